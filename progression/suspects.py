"""Which replicate kills its worker? The pieces of a run, carried out whatever dies on the way."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace
from typing import Any

from progression.chunks import Chunk, stacked
from progression.crews import Death, work_through
from progression.jobs import RETRIES, Piece, Task, failure

_DIED = "the worker process died: killed from outside, out of memory, or crashed in compiled code"


def settled(
    task: Task, missing: Iterable[Piece], note: Callable[..., None], *, cores: int | None, client: Any
) -> Generator[Chunk, None, None]:
    """Carry out whole chunks on any number of workers; yield them as they are finished, in any order.

    When a worker of joblib dies, every piece in flight may be the reason, and is done again. One that is in flight at two
    deaths is done alone, so that a third tells; then its replicates are done one by one, each alone. Dask's scheduler tells by
    itself.

    Parameters
    ----------
    task : Task
    missing : iterable of Piece
        One a chunk.
    note : callable
        Takes the log's entries.
    cores, client
        As in `progression.crews.work_through`.
    """
    waiting, suspects = deque(missing), deque[Piece]()
    whole = {piece.chunk: piece for piece in waiting}
    parts: dict[int, list[Chunk]] = defaultdict(list)
    while waiting or suspects:
        company = bool(waiting)
        queue = waiting if company else deque([suspects.popleft()])
        unsettled = set(queue)
        with closing(work_through(task, queue, cores=cores, client=client)) as done:
            for piece, made in done:
                unsettled.discard(piece)
                if isinstance(made, Death):
                    proven = made.proven or int(not company)
                    note("worker died", start=piece.start, stop=piece.stop, proven=proven)
                    chunk, again = _after_death(piece, proven, task)
                    if made.proven or (company and not piece.deaths):  # may be done beside others
                        waiting.extend(again)
                        unsettled.update(again)
                    else:
                        suspects.extend(again)
                else:
                    chunk = Chunk.decode(made)
                if chunk is not None:
                    parts[piece.chunk].append(chunk)
                    if sum(part.stop - part.start for part in parts[piece.chunk]) == len(whole[piece.chunk].indices):
                        yield Chunk.joined(parts.pop(piece.chunk))
        # joblib may have taken a piece without a word while it shut down
        waiting.extend(sorted(unsettled - set(waiting), key=lambda piece: piece.start))


def _after_death(piece: Piece, proven: int, task: Task) -> tuple[Chunk | None, list[Piece]]:
    """What to do about a piece: the same again, one by one, or give it up, as a chunk that failed."""
    if not proven:
        return None, [replace(piece, deaths=piece.deaths + 1)]
    if len(piece.indices) > 1:
        return None, [replace(piece, start=index, stop=index + 1) for index in piece.indices]
    piece = replace(piece, proven=piece.proven + proven)
    if piece.proven <= RETRIES:
        return None, [piece]
    return Chunk(
        piece.start, piece.stop, stacked([]), (failure(task.random_seed, piece.start, piece.proven, _DIED),)
    ), []
