"""Runs that last: many replicates of a simulation, in chunks, on any number of workers, kept as they are finished."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd

from progression.chunks import REPLICATE, Chunk, Failure, RunError, stacked
from progression.faults import Fault, SettingError, check_count, collected, setting_fault
from progression.jobs import Job, Piece, Task
from progression.run_folder import InMemory, run_folder
from progression.run_identity import as_json, run_seed, sha256
from progression.run_progress import progress
from progression.suspects import settled

__all__ = ["Records", "check_run", "run"]

_HOPELESS = 10


@dataclass(frozen=True, eq=False, repr=False)
class Records:
    """What the replicates of a run gave.

    Attributes
    ----------
    table : pandas.DataFrame
        In the order of the column ``replicate``; those that failed have no row.
    failures : pandas.DataFrame
        One row a replicate that failed: replicate, seed, attempts, error, traceback.
    n : int
        How many replicates were asked for.
    resumed : int
        How many of them were there before this call.
    identity : mapping
        Everything that determines the results.
    path : pathlib.Path or None
        The folder.
    """

    table: pd.DataFrame
    failures: pd.DataFrame
    n: int
    resumed: int
    identity: Mapping[str, Any]
    path: Path | None

    def __repr__(self) -> str:
        place = "in memory" if self.path is None else f"in {self.path}"
        return f"Records of {self.n} replicates ({self.resumed} resumed, {len(self.failures)} failed), {place}"


def run(
    job: Job, n: int, *, path: str | Path | None = None, chunk: int = 100, random_seed: int | None = None,
    cores: int | None = None, client: Any = None, progressbar: bool = True,
) -> Records:  # fmt: skip
    """Run `n` replicates of a job; go on with what an earlier call has left in `path`.

    Results depend on the job, the seed and the chunk size: not on the number of workers, on what they are, on the order they
    finish in, nor on how often the run was cut off.

    Parameters
    ----------
    job : Job
        A value with ``identity()``, ``prepare()`` and ``run(prepared, indices, seeds)``.
    n : int
        How many replicates. More than before makes the run grow. The last chunk is always run whole; what it holds beyond
        `n` is kept for then.
    path : str or path, optional
        The folder of the run; in memory only where omitted.
    chunk : int
        Replicates that are done together, and lost together when a worker dies.
    random_seed : int, optional
        Drawn where omitted; that of the folder where it holds a run.
    cores : int, optional
        Workers, as joblib's ``n_jobs``: 1, unless ``joblib.parallel_config`` says otherwise, which also chooses a backend other
        than loky. With 1 the job runs in this process, and takes it down where it crashes.
    client : distributed.Client, optional
        A dask cluster to use.
    progressbar : bool

    Returns
    -------
    Records

    Raises
    ------
    SettingError
        The folder was made with other settings; a setting cannot be meant.
    StoreError
        Another process works in the folder, or it holds what is not of this run.
    RunError
        What the job returns makes no table, or the first replicates all failed.
    """
    check_run(n, chunk, random_seed, cores)
    path = None if path is None else Path(path)
    identity = as_json({"job": job.identity(), "random_seed": run_seed(random_seed, path), "chunk": int(chunk)})
    task = Task(cloudpickle.dumps(job), identity["random_seed"], sha256(identity), os.getpid())
    with nullcontext(InMemory()) if path is None else run_folder(path, identity) as store:
        wanted = range(-(-n // chunk))
        there = {number: failed for number, failed in store.finished().items() if number in wanted}
        missing = [Piece(number, number * chunk, (number + 1) * chunk) for number in wanted if number not in there]
        resumed = n - sum(min(piece.stop, n) - piece.start for piece in missing)
        with progress(n, resumed=resumed, failed=sum(there.values()), shown=progressbar) as advance:
            finished = settled(task, missing, store.note, cores=cores, client=client)
            with closing(_hopeful(finished, hope=sum(there.values()) < chunk * len(there))) as chunks:
                for one in chunks:
                    store.write(one.start // chunk, one.encode(task.identity))
                    for failed in one.failures:
                        store.note("failed", **asdict(failed))
                    advance(min(one.stop, n) - one.start, len(one.failures))
        tables, failures = [], []
        for number in wanted:
            one = Chunk.decode(store.read(number))
            tables.append(one.table[one.table[REPLICATE] < n])
            failures += [asdict(failed) for failed in one.failures if failed.replicate < n]
    failed = pd.DataFrame(failures, columns=[field.name for field in fields(Failure)])
    return Records(stacked(tables), failed, int(n), resumed, identity, path)


def check_run(n: int, chunk: int, random_seed: int | None, cores: int | None) -> None:
    """Raise SettingError with every argument of `run` that cannot be meant."""
    faults: list[Fault] = []
    for name, value in (("n", n), ("chunk", chunk)):
        with collected(faults):
            check_count(name, value)
    if random_seed is not None and not _whole(random_seed, at_least=0):
        faults.append(setting_fault("random_seed", random_seed, "is not a whole number of at least 0", "give one"))
    if cores is not None and (not _whole(cores) or cores == 0):
        faults.append(setting_fault("cores", cores, "is not a number of workers", "give 1 or more, or -1 for all"))
    if faults:
        raise SettingError(faults)


def _whole(value: object, at_least: float = -np.inf) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= at_least)


def _hopeful(chunks: Iterator[Chunk], *, hope: bool) -> Generator[Chunk, None, None]:
    """Hold chunks back until a replicate succeeds: a job that never does is not worth recording, nor going on with."""
    held: list[Chunk] = []
    for one in chunks:
        held.append(one)
        hope = hope or len(one.failures) < one.stop - one.start
        if hope:
            yield from held
            held.clear()
        elif sum(len(chunk.failures) for chunk in held) >= _HOPELESS:
            break
    if held:
        failed = [failure for chunk in held for failure in chunk.failures]
        raise RunError(f"all of the first {len(failed)} replicates failed, and none is recorded. Replicate {failed[0].replicate}, "
                       f"{failed[0].seed}: {failed[0].error}\n{failed[0].traceback}")  # fmt: skip
