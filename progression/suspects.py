"""Which replicate kills its worker? The pieces of a run, carried out whatever dies on the way."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace
from typing import Any

from progression.chunks import Chunk, stacked
from progression.crews import work_through
from progression.jobs import RETRIES, Piece, Task, failure

_DIED = "the worker process died: killed from outside, out of memory, or crashed in compiled code"


def settled(
    task: Task, missing: Iterable[Piece], note: Callable[..., None], *, cores: int | None, client: Any
) -> Generator[Chunk, None, None]:
    """Carry out whole chunks on any number of workers; yield them as they are finished, in any order.

    When a worker dies, every piece in flight may be the reason, and is done again. One that is in flight at two deaths is
    done alone, so that a third tells; then it is halved until the replicate that kills stands by itself.

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
        open_pieces = set(queue)
        with closing(work_through(task, queue, cores=cores, client=client)) as done:
            for piece, content in done:
                open_pieces.discard(piece)
                if content is None:
                    note("worker died", chunk=piece.chunk, start=piece.start, stop=piece.stop, alone=not company)
                    made = None
                    if company:
                        again = replace(piece, deaths=piece.deaths + 1)
                        (suspects if piece.deaths else waiting).append(again)
                        if not piece.deaths:
                            open_pieces.add(again)
                    else:
                        made = _questioned(piece, suspects, task)
                else:
                    made = Chunk.decode(content)
                if made is not None:
                    parts[piece.chunk].append(made)
                    one = whole[piece.chunk]
                    if sum(part.stop - part.start for part in parts[piece.chunk]) == one.stop - one.start:
                        yield Chunk.joined(parts.pop(piece.chunk))
        # joblib may have taken a piece without a word while it shut down
        waiting.extend(sorted(open_pieces - set(waiting), key=lambda piece: piece.start))


def _questioned(piece: Piece, suspects: deque[Piece], task: Task) -> Chunk | None:
    """A piece that died alone: halve it, try its one replicate again, or give that up."""
    if len(piece.indices) > 1:
        middle = (piece.start + piece.stop) // 2
        suspects.extendleft([replace(piece, start=middle), replace(piece, stop=middle)])
        return None
    piece = replace(piece, alone=piece.alone + 1)
    if piece.alone <= RETRIES:
        suspects.appendleft(piece)
        return None
    return Chunk(piece.start, piece.stop, stacked([]), (failure(task.random_seed, piece.start, piece.alone, _DIED),))
