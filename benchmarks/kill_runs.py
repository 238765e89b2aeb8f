"""Runs killed with SIGKILL at random moments and resumed: is anything lost, done twice, or different?

    python benchmarks/kill_runs.py                          # 30 kills of a cheap job: a few minutes
    python benchmarks/kill_runs.py --job my_module:MY_JOB   # of a job of your own, by the name of a value

Each run has a fresh folder and is killed once: the process itself, one of its workers, or the process in the middle of
writing a chunk (half of it, or all but its name). Then the same command goes on with it. Checked each time:

- what was finished before the kill is there afterwards, the very same files;
- chunks begun more often than once are at most those that were in flight: one a worker, and one a worker on its way back;
- the final table is that of an undisturbed run, bit by bit;
- no worker outlives its run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from progression import runs, store
from progression.jobs import Job

KINDS = ("process", "worker", "half a chunk written", "chunk not yet named")


@dataclass(frozen=True)
class Cheap:
    """A small fit of a line by least squares, and some waiting."""

    seconds: float = 0.004

    def identity(self) -> Mapping[str, Any]:
        return {"what": "least squares", "seconds": self.seconds}

    def prepare(self) -> np.ndarray:
        return np.column_stack([np.ones(200), np.linspace(0, 1, 200)])

    def run(self, prepared: np.ndarray, indices: Any, seeds: Any) -> dict[str, list[float]]:
        found = []
        for seed in seeds:
            y = prepared @ [1.0, 2.0] + np.random.default_rng(seed).normal(size=len(prepared))
            found.append(np.linalg.lstsq(prepared, y)[0])
            time.sleep(self.seconds)
        return {"level": [float(one[0]) for one in found], "slope": [float(one[1]) for one in found]}


CHEAP = Cheap()


@dataclass(frozen=True)
class Tallied:
    """A job that writes down who begins what."""

    job: Job
    tally: str

    def identity(self) -> Mapping[str, Any]:
        return self.job.identity()

    def prepare(self) -> Any:
        return self.job.prepare()

    def run(self, prepared: Any, indices: Any, seeds: Any) -> Any:
        with open(self.tally, "a") as file:
            file.write(f"{os.getpid()} {indices[0]}\n")
        return self.job.run(prepared, indices, seeds)


def main() -> int:
    """Kill runs; 0 if nothing was lost, done twice or different."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", default="kill_runs:CHEAP", help="module:value")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--n", type=int, default=1000, help="replicates")
    parser.add_argument("--chunk", type=int, default=20)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of the replicates, and of the moments to kill at")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "WRITE", "HOW"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given)
    rng = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as work:
        begin = time.monotonic()
        assert start(given, Path(work) / "undisturbed").wait() == 0
        seconds = time.monotonic() - begin
        wanted, begun = table(given, Path(work) / "undisturbed"), tally(Path(work) / "undisturbed")
        n_chunks = len(set(begun["start"]))
        print(
            f"{given.job}: {given.n} replicates in {n_chunks} chunks, {given.cores} workers; undisturbed {seconds:.1f} s"
        )
        bad = 0
        for number in range(given.kills):
            folder = Path(work) / str(number)
            faults, line = kill_once(given, folder, KINDS[number % len(KINDS)], rng, n_chunks, seconds, wanted)
            bad += bool(faults)
            print(f"{number + 1:3}  {line}  {'; '.join(faults) or 'as undisturbed'}", flush=True)
    print(f"{given.kills} runs killed, {bad} of them with something lost, done twice or different")
    return 1 if bad else 0


def kill_once(given: Any, folder: Path, kind: str, rng: np.random.Generator, n_chunks: int, seconds: float, wanted: pd.DataFrame) -> tuple[list[str], str]:  # fmt: skip
    """Start a run, kill it at a random moment, go on with it; say what is wrong, and a line for the log."""
    in_writing = kind not in ("process", "worker")
    process = start(given, folder, int(rng.integers(1, n_chunks + 1)) if in_writing else 0, kind)
    if in_writing:
        process.wait()
    else:
        moment = int(rng.integers(0, n_chunks - 2 * given.cores))
        while not tally_of(folder).exists() or len(finished(folder)) < moment:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, given.cores * seconds / n_chunks))  # about what a chunk takes
        pids = tally(folder)["pid"]
        target = process.pid if kind == "process" else int(rng.choice(pids[-given.cores :]))
        os.kill(target, signal.SIGKILL)
        if kind == "process":
            process.wait()
    before = finished(folder)
    if kind == "worker":
        code = process.wait()
        faults = [] if code == 0 else [f"the run ended with {code}"]
    else:
        faults = (
            [] if process.returncode == -signal.SIGKILL else [f"ended with {process.returncode} and not by SIGKILL"]
        )
    if start(given, folder).wait() != 0:
        return [*faults, "could not be resumed"], kind
    after = finished(folder)
    lost = [name for name, made in before.items() if after.get(name) != made]
    if lost:
        faults.append(f"{len(lost)} finished chunks lost or written again")
    times = Counter(tally(folder)["start"])
    twice = sum(count - 1 for count in times.values())
    if twice > 2 * given.cores:
        faults.append(f"{twice} chunks begun again")
    try:
        pd.testing.assert_frame_equal(table(given, folder), wanted, check_exact=True)
    except AssertionError as error:
        faults.append(f"another table: {error}")
    deadline = time.monotonic() + 5
    while (left := [pid for pid in set(tally(folder)["pid"]) if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        faults.append(f"workers {left} outlived their run")
    return faults, f"{kind:22} {len(before):3} of {n_chunks} chunks were finished, {twice} begun again"


def start(given: Any, folder: Path, write: int = 0, how: str = "") -> subprocess.Popen[bytes]:
    """Run, or go on with, what is in a folder, in a process of its own."""
    settings = [f"--{name}={getattr(given, name)}" for name in ("job", "n", "chunk", "cores", "seed")]
    return subprocess.Popen([sys.executable, __file__, *settings, "--child", str(folder), str(write), how])


def child(given: Any) -> int:
    """Be a run that, if asked to, kills itself at a certain write of a chunk."""
    folder, write, how = Path(given.child[0]), int(given.child[1]), given.child[2]
    if write:
        mischief(write + 1, half=how == KINDS[2])  # the first write is run.json
    run(given, folder)
    return 0


def mischief(at: int, *, half: bool) -> None:
    """Let this process die at its `at`-th write."""
    fsync, calls = os.fsync, iter(range(1, 10**9))

    def dying(handle: int) -> None:
        if stat.S_ISREG(os.fstat(handle).st_mode) and next(calls) == at:
            if half:
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            fsync(handle)
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(handle)

    store.os.fsync = dying


def run(given: Any, folder: Path) -> runs.Records:
    """The run itself."""
    module, _, name = given.job.partition(":")
    job = Tallied(getattr(importlib.import_module(module), name), str(tally_of(folder)))
    return runs.run(job, given.n, path=folder, chunk=given.chunk, random_seed=given.seed, cores=given.cores, progressbar=False)  # fmt: skip


def table(given: Any, folder: Path) -> pd.DataFrame:
    """What a finished run gave; nothing is left to be run."""
    found = run(given, folder)
    assert found.resumed == given.n, f"{folder} was not finished"
    return found.table


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """Chunks that are in place: which file, and when it was written."""
    return {one.name: ((facts := one.stat()).st_ino, facts.st_mtime_ns) for one in (folder / "chunks").glob("[0-9]*.parquet")}  # fmt: skip


def tally_of(folder: Path) -> Path:
    """Beside the folder, which holds nothing but the run."""
    return folder.with_suffix(".tally")


def tally(folder: Path) -> pd.DataFrame:
    """Who began what, in order: pid, start."""
    return pd.read_csv(tally_of(folder), sep=" ", names=["pid", "start"])


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
