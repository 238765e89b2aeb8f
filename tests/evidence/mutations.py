"""Would the tests notice? Bugs planted one at a time into a copy of the code, each of which the tests named for it must catch.

    python -m tests.evidence.mutations            # half an hour on one core; goes on where it was cut off

The list is in `tests.evidence.mutants`. Each of its tests must pass on the code as it is (the control) and one of them must fail on the
mutated copy; a test that cannot be collected, or takes longer than `LIMIT`, has caught nothing. The exit status is 1 if a mutation
survives, if a control fails, or if a substitution no longer applies.

Writes docs/evidence/mutations.json; one small file a mutation is kept in a work folder (``--work``), under a name that changes with the
mutation, the file it is planted in, and the files of its tests. Code is compiled in that folder too: nothing mutated is left elsewhere.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from progression.store import write_atomically
from tests.evidence import sources
from tests.evidence.mutants import MUTATIONS, Mutation

RESULT = sources.ROOT / "docs" / "evidence" / "mutations.json"
CODE = ("progression", "models")
COPIED = (*CODE, "tests", "pyproject.toml")
SHARED = ("tests/conftest.py", "tests/simulators.py")  # by tests of many files
LIMIT = 600  # seconds for the tests of one mutation


def faults(mutations: Iterable[Mutation] = MUTATIONS, root: Path = sources.ROOT) -> list[str]:
    """Substitutions that do not apply exactly once, names that stand twice."""
    found, names = [], set()
    for one in mutations:
        times = (root / one.file).read_text(encoding="utf-8").count(one.old)
        if times != 1:
            found.append(f"{one.name}: the text to replace stands {times} times in {one.file}, not once: {one.old!r}")
        if one.name in names:
            found.append(f"{one.name}: the name stands twice")
        names.add(one.name)
    return found


def code() -> str:
    """Hash of the files that mutations are planted in."""
    return sources.code_hash({sources.ROOT / one.file for one in MUTATIONS})


def key(files: Iterable[str], *more: str) -> str:
    """Of what a result rests on."""
    paths = {sources.ROOT / name for name in (*files, *SHARED)}
    return hashlib.sha256("\0".join([sources.code_hash(paths), *more]).encode()).hexdigest()[:12]


def file_of(test: str) -> str:
    return test.split("::")[0]


# Waits with the libraries loaded, and nothing of the package: each run of tests is a fork of it, hence a process of its own.
WARM = """
import importlib, json, os, signal, sys
import pytest
for name in ("pandera.pandas", "scipy.stats", "scipy.integrate", "xarray", "pymc", "arviz_stats", "numba", "matplotlib"):
    importlib.import_module(name)
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.alarm(int(job["limit"]))
        told = os.open(job["told"], os.O_WRONLY | os.O_CREAT)
        os.dup2(told, 1), os.dup2(told, 2)
        status = int(pytest.main(["-x", "-q", "--tb=line", "-p", "no:cacheprovider", *job["tests"]]))
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Bench:
    """A copy of the code in a folder, and a process that runs tests there."""

    def __init__(self, copy: Path, work: Path) -> None:
        self.copy = copy
        paths = os.pathsep.join([str(copy), str(copy / "models")])
        alone = {
            "PYTHONPATH": paths,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTENSOR_FLAGS": f"base_compiledir={work / 'compiled'}",
        }
        alone |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg", "COLUMNS": "240"}
        self.process = subprocess.Popen([sys.executable, "-W", "ignore:.*fork:DeprecationWarning", "-c", WARM], cwd=copy, env=os.environ | alone, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()

    def run(self, tests: Sequence[str], limit: float = LIMIT) -> dict[str, Any]:
        """Run tests until the first fails: exit status of pytest, the test, its error, seconds. Negative: it was ended, after `limit` seconds."""
        assert self.process.stdin is not None and self.process.stdout is not None
        told, begin = self.copy / "told.txt", time.perf_counter()
        told.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps({"tests": list(tests), "told": str(told), "limit": limit}) + "\n")
        self.process.stdin.flush()
        status, text = int(self.process.stdout.readline()), told.read_text()
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)(?: - (.*))?$", text, flags=re.MULTILINE)
        last = text.strip().splitlines()[-1:]
        return {
            "status": status,
            "test": failed and failed[1],
            "error": (failed and failed[2]) or "".join(last),
            "seconds": round(time.perf_counter() - begin, 1),
        }

    def planted(self, one: Mutation) -> dict[str, Any]:
        """Plant a bug, run its tests, take it out again."""
        path = self.copy / one.file
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole.replace(one.old, one.new), encoding="utf-8")
        try:
            return self.run(one.tests)
        finally:
            path.write_text(whole, encoding="utf-8")


def kept(path: Path, make: Any) -> dict[str, Any]:
    """What the work folder has, or what `make` returns, put there."""
    if not path.exists():
        write_atomically(path, json.dumps(make()).encode())
    return dict(json.loads(path.read_text()))


def verdict(one: Mutation, result: dict[str, Any]) -> dict[str, Any]:
    """A record of a mutation. Status 1 of pytest: tests ran and one failed. Any other (2 to 5) says that they could not be run."""
    caught = result["status"] == 1 and result["test"] is not None
    return {
        "kind": one.kind, "file": one.file, "what": one.what, "was": one.old, "becomes": one.new, "caught": caught,
        "by": result["test"] if caught else None, "error": result["error"], "seconds": result["seconds"],
    }  # fmt: skip


def of_this_copy(copy: Path) -> None:
    """Refuse to go on where Python would import the code from elsewhere: every mutation would survive."""
    paths = os.pathsep.join([str(copy), str(copy / "models")])
    told = "import progression, progression_models; print(progression.__file__, progression_models.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", told],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    if not all(Path(place).resolve().is_relative_to(copy.resolve()) for place in done.stdout.split()):
        raise RuntimeError(f"the tests would not run on the copy but on {done.stdout}")


def copied(copy: Path) -> None:
    """Put what tests need into a folder, compiled by content, not by time: what is mutated is read anew, and nothing else."""
    for name in COPIED:
        source = sources.ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy2(source, copy / name)
    for name in CODE:  # pytest compiles tests itself
        compileall.compile_dir(copy / name, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    of_this_copy(copy)


def judged(chosen: Sequence[Mutation], work: Path, console: Console) -> tuple[dict[str, Any], dict[str, Any]]:
    """Controls by file of tests, and results by mutation."""
    tests: dict[str, list[str]] = {}
    for test in dict.fromkeys(test for one in chosen for test in one.tests):
        tests.setdefault(file_of(test), []).append(test)
    # Named before the copy is made, so that nothing is kept under the name of code that it was not made with.
    whole = [path.relative_to(sources.ROOT).as_posix() for name in CODE for path in (sources.ROOT / name).rglob("*.py")]
    control = {file: work / f"control-{Path(file).stem}-{key([file, *whole])}.json" for file in tests}
    result = {one.name: work / f"{re.sub('[^a-z0-9]+', '-', one.name)}-{key([one.file, *map(file_of, one.tests)], one.old, one.new, *one.tests)}.json"
              for one in chosen}  # fmt: skip
    controls, found = {}, {}
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)  # fmt: skip
    with bar, ExitStack() as own:
        copy = Path(own.enter_context(tempfile.TemporaryDirectory(prefix="mutations-")))
        copied(copy)
        bench = own.enter_context(Bench(copy, work))
        task = bar.add_task("controls", total=len(tests))
        for file, asked in tests.items():
            if control[file].exists() and not set(asked) <= set(json.loads(control[file].read_text())["asked"]):
                control[file].unlink()
            controls[file] = kept(control[file], lambda asked=asked: bench.run(asked, 4 * LIMIT) | {"asked": asked})
            if controls[file]["status"] != 0:
                console.print(f"[red]control fails[/red]  {controls[file]['test']}: {controls[file]['error']}")
            bar.advance(task)
        task = bar.add_task("mutations", total=len(chosen))
        for one in chosen:
            bar.update(task, description=one.name)
            found[one.name] = verdict(one, kept(result[one.name], lambda one=one: bench.planted(one)))
            if not found[one.name]["caught"]:
                console.print(f"[red]survives[/red]  {one.name} ({one.what}): {found[one.name]['error']}")
            bar.advance(task)
    return controls, found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done; write the result if all mutations were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.mutations", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=Path("evidence-runs/mutations"), help="folder for one file a mutation"
    )
    parser.add_argument("--only", default="", help="mutations whose name matches this pattern: nothing is written")
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    if wrong := faults():
        console.print("\n".join(wrong), markup=False)
        return 1
    given.work.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in MUTATIONS if re.search(given.only, one.name)]
    controls, found = judged(chosen, given.work.resolve(), console)
    good = all(one["status"] == 0 for one in controls.values())
    caught = sum(one["caught"] for one in found.values())
    console.print(f"{caught} of {len(found)} mutations caught; controls {'pass' if good else 'FAIL'}")
    if not given.only:
        made = {
            "made": datetime.now(UTC).strftime("%Y-%m-%d"), "by": "python -m tests.evidence.mutations", "code": code(),
            "versions": sources.versions(), "caught": caught, "of": len(found), "controls": controls, "mutations": found,
        }  # fmt: skip
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(RESULT, (json.dumps(made, indent=1) + "\n").encode())
    return 0 if good and caught == len(found) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
