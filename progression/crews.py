"""Who does the pieces of a run: workers of joblib, or of a dask cluster; and how their deaths are noticed."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import joblib
from joblib.parallel import get_active_backend

from progression.jobs import Piece, Task


@dataclass(frozen=True)
class Death:
    """What became of a piece instead of a chunk.

    Attributes
    ----------
    proven : int
        How many workers are known to have died of this very piece; 0 where it may have been one beside it.
    """

    proven: int


Done = Generator[tuple[Piece, bytes | Death], None, None]


def work_through(task: Task, waiting: deque[Piece], *, cores: int | None, client: Any = None) -> Done:
    """Do the pieces that wait, in any order.

    Parameters
    ----------
    task : Task
    waiting : deque of Piece
        Emptied from the left; more may be put in meanwhile. Few are taken before they can be worked on.
    cores : int, optional
        As joblib's ``n_jobs``; a dask cluster uses all its own.
    client : distributed.Client, optional
        The one of joblib's dask backend, where that is configured.

    Yields
    ------
    Piece, bytes or Death
        The piece and its chunk; or that the worker that had it, or one beside it, died.
    """
    if client is None:
        client = getattr(get_active_backend()[0], "client", None)
    return _on_joblib(task, waiting, cores) if client is None else _on_dask(task, waiting, client)


def _on_joblib(task: Task, waiting: deque[Piece], cores: int | None) -> Done:
    flying: dict[Piece, None] = {}

    def calls() -> Iterator[Any]:
        while waiting:
            piece = waiting.popleft()
            flying[piece] = None
            yield joblib.delayed(task)(piece)

    # as many as there are workers: what waits in a queue of theirs would be lost with the first of them that dies
    parallel = joblib.Parallel(n_jobs=cores, batch_size=1, pre_dispatch="n_jobs", return_as="generator_unordered")
    try:
        with closing(parallel(calls())) as results:
            for piece, content in results:
                del flying[piece]
                yield piece, content
    except BrokenProcessPool:
        lost = list(flying)
    else:
        return
    yield from ((piece, Death(0)) for piece in lost)


def _on_dask(task: Task, waiting: deque[Piece], client: Any) -> Done:
    # not through joblib's own backend, which waits for ever for a task whose workers died
    import distributed

    flying: dict[Any, Piece] = {}

    def more() -> list[Any]:
        free = sum(client.nthreads().values()) or 1  # none while all are being replaced
        pieces = [waiting.popleft() for _ in range(min(len(waiting), free - len(flying)))]
        futures = {client.submit(task, piece, key=f"replicates-{piece.start}-{uuid4().hex}"): piece for piece in pieces}
        flying.update(futures)
        return list(futures)

    try:
        done = distributed.as_completed(more(), loop=client.loop)
        for future in done:
            made: bytes | Death
            try:
                made = future.result()[1]
            except distributed.KilledWorker as killed:  # the scheduler counts deaths by task, and has tried it again
                made = Death(1 + killed.allowed_failures)
            piece = flying.pop(future)
            done.update(more())
            yield piece, made
    finally:
        if flying:
            client.cancel(list(flying))
