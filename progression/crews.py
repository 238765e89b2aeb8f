"""Who does the pieces of a run: workers of joblib, or of a dask cluster; and how their deaths are noticed."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from progression.jobs import Piece, Task

Done = Generator[tuple[Piece, bytes | None], None, None]


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
    Piece, bytes or None
        The piece and its chunk; None where the worker that had it, or one beside it, died.
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
    yield from ((piece, None) for piece in lost)


def _on_dask(task: Task, waiting: deque[Piece], client: Any) -> Done:
    # not through joblib's own backend, which waits for ever for a task whose workers died
    import distributed

    flying: dict[Any, Piece] = {}

    def more() -> Iterator[Any]:
        threads = sum(client.nthreads().values())
        while waiting and len(flying) < max(1, threads):
            piece = waiting.popleft()
            future = client.submit(task, piece, pure=False)
            flying[future] = piece
            yield future

    try:
        done = distributed.as_completed(list(more()), loop=client.loop)
        for future in done:
            piece = flying.pop(future)
            dead = future.status == "error" and isinstance(future.exception(), distributed.KilledWorker)
            content = None if dead or future.status in ("cancelled", "lost") else future.result()[1]
            done.update(more())
            yield piece, content
    finally:
        if flying:
            client.cancel(list(flying))
