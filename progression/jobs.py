"""A job: what is done for each replicate of a simulation; and how a worker does it for some of them."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import cloudpickle
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from progression.chunks import Chunk, Failure, as_table, stacked

RETRIES = 2


class Job(Protocol):
    """What is done for each replicate: a small frozen value that can be pickled.

    What a replicate gives must depend on its seed and on what `identity` says, and not on the replicates it is run with.
    """

    def identity(self) -> Mapping[str, Any]:
        """Return everything that determines the results but seed and chunk size, as values that JSON can hold."""
        ...

    def prepare(self) -> Any:
        """Make what all replicates share, such as a compiled program: once in a worker, and kept there."""
        ...

    def run(
        self, prepared: Any, indices: Sequence[int], seeds: Sequence[np.random.SeedSequence]
    ) -> pd.DataFrame | Mapping[str, Any]:
        """Do some replicates.

        Parameters
        ----------
        prepared : object
            What `prepare` returned.
        indices : sequence of int
            Which; mostly a whole chunk, less where one of its replicates fails.
        seeds : sequence of numpy.random.SeedSequence
            Theirs: ``SeedSequence(random_seed).spawn(n)[index]``.

        Returns
        -------
        pandas.DataFrame or mapping of str to array of one dimension
            One row a replicate in the order of `indices`; or several, with the column ``replicate``.
        """
        ...


@dataclass(frozen=True)
class Piece:
    """Replicates `start` to below `stop` of a chunk, to be done together.

    Attributes
    ----------
    chunk, start, stop : int
    deaths : int
        How often a worker died while this piece was in flight, and others that may be the reason.
    proven : int
        How many workers died of it.
    """

    chunk: int
    start: int
    stop: int
    deaths: int = 0
    proven: int = 0

    @property
    def indices(self) -> range:
        """Which replicates."""
        return range(self.start, self.stop)


@dataclass(frozen=True)
class Task:
    """What is sent to a worker once and again: the job, as bytes, and whose it is.

    Attributes
    ----------
    job : bytes
        Pickled by cloudpickle.
    random_seed : int
    identity : str
        SHA-256 of the run.
    boss : int
        Process id of the run: a worker that is its child ends with it.
    """

    job: bytes
    random_seed: int
    identity: str
    boss: int

    def __call__(self, piece: Piece) -> tuple[Piece, bytes]:
        """Do a piece, in a worker; return it and its chunk as bytes."""
        _end_with(self.boss)
        # Threads take turns: a program compiled by PyTensor must not run in two of them. Sums in more than one thread
        # of a BLAS would make the last digits depend on the machine.
        with _turn, threadpool_limits(1):
            job, prepared = _loaded(self.job)
            tables, failures = _tried(job, prepared, piece.indices, self.random_seed)
        table = tables[0] if len(tables) == 1 else stacked(tables)
        return piece, Chunk(piece.start, piece.stop, table, tuple(failures)).encode(self.identity)


def replicate_seed(random_seed: int, index: int) -> np.random.SeedSequence:
    """Return the seed of one replicate: what ``SeedSequence(random_seed).spawn(n)[index]`` is, whatever n."""
    return np.random.SeedSequence(random_seed, spawn_key=(index,))


def failure(random_seed: int, index: int, attempts: int, error: str, traceback: str = "") -> Failure:
    """Record that a replicate failed, with the expression that gives its seed again."""
    return Failure(index, f"SeedSequence({random_seed}, spawn_key=({index},))", attempts, error, traceback)


def _tried(
    job: Job, prepared: Any, indices: Sequence[int], random_seed: int
) -> tuple[list[pd.DataFrame], list[Failure]]:
    """Run together what can be; halve what fails twice, until the replicates that fail stand by themselves."""
    attempts = 1 + RETRIES if len(indices) == 1 else 2
    for _ in range(attempts):
        seeds = [replicate_seed(random_seed, index) for index in indices]  # anew: spawning from one changes it
        try:
            made = job.run(prepared, indices, seeds)
        except Exception as error:
            said, where = f"{type(error).__name__}: {error}", traceback.format_exc()
        else:
            return [as_table(made, indices)], []
    if len(indices) == 1:
        return [], [failure(random_seed, indices[0], attempts, said, where)]
    middle = len(indices) // 2
    first, second = (_tried(job, prepared, half, random_seed) for half in (indices[:middle], indices[middle:]))
    return first[0] + second[0], first[1] + second[1]


_turn = threading.RLock()


@lru_cache(maxsize=1)
def _loaded(job: bytes) -> tuple[Job, Any]:
    made: Job = cloudpickle.loads(job)
    return made, made.prepare()


@lru_cache(maxsize=1)
def _end_with(boss: int) -> None:
    """End this process when its parent, the run, was killed: loky's workers would wait for it for minutes."""
    if os.getppid() != boss:
        return

    def watch() -> None:
        while os.getppid() == boss:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-the-run", daemon=True).start()
