"""Fuzz a reader: whatever the files hold, it makes a cohort that says what they say, or refuses them with `CohortError`.

    python -m tests.fuzz.readers csv --seconds 600
    python -m tests.fuzz.readers proact --seconds 600
    python -m tests.fuzz.readers --again fuzz-failures/csv-1a2b3c4d.json

Valid files are spoilt by Hypothesis (cells, names, rows, columns, dialects, encodings, bytes). A cohort is compared, cell by cell, with what
a parser of this folder's own reads. An input that fails is made as small as it goes and kept; the exit status is then 1. Counts go to
docs/evidence/bad_input.json.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import progression as pg
from progression.store import write_atomically
from tests.evidence import sources
from tests.fuzz.inputs import INPUTS, Input

RESULT = sources.ROOT / "docs" / "evidence" / "bad_input.json"
BATCH = 50


class Failed(Exception):
    """A reader raised something else than `CohortError`, or made a cohort unlike its file."""


class Counts:
    """How many inputs were accepted, and how many refused for what."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.kinds: Counter[str] = Counter()
        self.last: Input | None = None

    def take(self, one: Input, folder: Path) -> None:
        """Read one input; raise `Failed` where the property does not hold."""
        self.last = one
        try:
            cohort = one.read(folder)
        except pg.CohortError as error:
            if (
                not str(error)
                or error.__cause__ is not None
                or not (error.__suppress_context__ or error.__context__ is None)
            ):
                raise Failed("an error of pandas is shown behind the refusal") from error
            self.refused += 1
            self.kinds.update(
                {re.sub(r"'[^']*'|\"[^\"]*\"|[\d.,]+|\(.*\)", "…", fault.what)[:60] for fault in error.faults}
            )
        except Exception as error:
            raise Failed(f"{type(error).__name__}: {error}") from error
        else:
            try:
                one.judge(cohort)
            except Exception as error:
                raise Failed(f"{type(error).__name__}: {error}") from error
            self.accepted += 1


def batch(reader: str, counts: Counts, number: int, size: int = BATCH) -> Failed | None:
    """Read `size` inputs; the failure of the smallest that fails, which is then `counts.last`."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning of pandas is a fault that somebody overlooks

        @seed(number)
        @settings(max_examples=size, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
                  suppress_health_check=list(HealthCheck), report_multiple_bugs=False)  # fmt: skip
        @given(INPUTS[reader])
        def run(one: Input) -> None:
            counts.take(one, Path(folder))

        try:
            run()
        except Failed as failure:
            return failure
    return None


def kept(one: Input, failure: Failed, folder: Path) -> Path:
    """Write a failing input to a file from which it can be read again."""
    files = {name: base64.b64encode(content).decode() for name, content in one.files.items()}
    made = json.dumps({"reader": one.reader, "how": dict(one.how), "files": files, "failure": str(failure)[:2000]}, indent=1).encode()  # fmt: skip
    folder.mkdir(exist_ok=True)
    return write_atomically(folder / f"{one.reader}-{hashlib.sha256(made).hexdigest()[:8]}.json", made)


def again(path: Path) -> int:
    """Read a kept input once more; what fails is raised as it is."""
    facts = json.loads(path.read_text())
    files = {name: base64.b64decode(content) for name, content in facts["files"].items()}
    how = {
        key: tuple(value) if key == "repair" and isinstance(value, list) else value
        for key, value in facts["how"].items()
    }
    one = Input(facts["reader"], files, how)
    console = Console()
    for name, content in files.items():
        console.print(f"{name}: {content!r}", markup=False)
    with TemporaryDirectory() as folder:
        try:
            cohort = one.read(Path(folder))
        except pg.CohortError as error:
            console.print(error, markup=False)
            return 0
        console.print(cohort, cohort.visits, cohort.warnings, markup=False)
        one.judge(cohort)
    return 0


def fuzz(reader: str, seconds: float, first: int, folder: Path, console: Console) -> tuple[Counts, float, list[Path]]:
    """Batch after batch until the time is up or three inputs have failed."""
    counts, failures, began = Counts(), list[Path](), time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task, number = progress.add_task(reader, total=None), first
        while (spent := time.monotonic() - began) < seconds and len(failures) < 3:
            failure = batch(reader, counts, number)
            if failure is not None and counts.last is not None:
                failures.append(kept(counts.last, failure, folder))
                console.print(
                    f"FAILED: {str(failure)[:600]}\n  python -m tests.fuzz.readers --again {failures[-1]}", markup=False
                )
            number += 1
            progress.update(
                task,
                description=f"{reader}: {counts.accepted:,} accepted, {counts.refused:,} refused, {seconds - spent:.0f} s left",
            )
    return counts, time.monotonic() - began, failures


def shown(counts: Counts, reader: str) -> Table:
    """Kinds of refusal, the most frequent first."""
    total = counts.accepted + counts.refused
    table = Table(
        "refused for",
        "inputs",
        title=f"{reader}: {total:,} inputs, {counts.accepted:,} accepted, {counts.refused:,} refused",
    )
    for what, n in counts.kinds.most_common(25):
        table.add_row(what, f"{n:,}")
    return table


def code(reader: str) -> str:
    """Hash of the code that reads: the door, the reader, and this folder."""
    readers = ["csv.py", "files.py"] if reader == "csv" else ["files.py", *(p.name for p in (sources.ROOT / "progression" / "readers").glob("proact*.py"))]  # fmt: skip
    own = [
        *(sources.ROOT / "progression" / "door").glob("*.py"),
        *(sources.ROOT / "progression" / "readers" / name for name in readers),
    ]
    return sources.code_hash([*own, *(sources.ROOT / "tests" / "fuzz").glob("*.py")])


def record(reader: str, counts: Counts, seconds: float, failures: Sequence[Path], read_by: str) -> None:
    """Put the counts of one reader into the record, beside those of the other."""
    facts: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    facts[reader] = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"), "by": f"python -m tests.fuzz.readers {reader} --seconds {seconds:.0f}",
        "seconds": round(seconds), "inputs": counts.accepted + counts.refused + len(failures), "accepted": counts.accepted,
        "refused": counts.refused, "failures": len(failures), "kinds_of_refusal": len(counts.kinds), "code": read_by,
        "versions": {name: version(name) for name in ("progression-bayes", "pandas", "hypothesis")},
    }  # fmt: skip
    RESULT.parent.mkdir(exist_ok=True)
    write_atomically(RESULT, (json.dumps(dict(sorted(facts.items())), indent=1) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz one reader for some time, or read a kept input again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.readers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reader", nargs="?", choices=sorted(INPUTS))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first batch")
    parser.add_argument("--again", type=Path, help="a kept input")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail")
    parser.add_argument("--no-record", action="store_true", help="leave docs/evidence/bad_input.json alone")
    given_ = parser.parse_args(arguments)
    if given_.again is not None:
        return again(given_.again)
    if given_.reader is None:
        parser.error("name a reader")
    console, read_by = Console(), code(given_.reader)  # of the code that runs, should a file change meanwhile
    counts, seconds, failures = fuzz(given_.reader, given_.seconds, given_.seed, given_.failures, console)
    console.print(shown(counts, given_.reader))
    if not given_.no_record:
        record(given_.reader, counts, seconds, failures, read_by)
    console.print(f"{len(failures)} failures in {seconds:.0f} s, first seed {given_.seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
