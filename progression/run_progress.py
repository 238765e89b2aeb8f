"""How far a run has come: rate, time left, what was resumed, what failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_A_LINE_EVERY = 60  # seconds, where there is no terminal to draw a bar on


@contextmanager
def progress(total: int, *, resumed: int, failed: int, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, or a line a minute in a log; give the function that moves it on.

    Parameters
    ----------
    total, resumed, failed : int
        Replicates: asked for, there already, and failed among those.
    shown : bool

    Yields
    ------
    callable
        Takes how many replicates are done since, and how many of them failed.
    """
    console = Console(stderr=True, quiet=not shown)
    columns = (TextColumn("replicates"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"))
    begin = said = time.monotonic()
    done = 0
    drawn = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, transient=True, disable=not drawn) as bar:
        line = bar.add_task("", total=total, completed=resumed, state=_state(0, total, 0.0, resumed, failed))

        def advance(more: int, of_them_failed: int) -> None:
            nonlocal done, failed, said
            done, failed = done + more, failed + of_them_failed
            now = time.monotonic()
            state = _state(done, total - resumed - done, now - begin, resumed, failed)
            bar.update(line, advance=more, state=state)
            if not drawn and now - said > _A_LINE_EVERY:
                said = now
                console.print(f"{resumed + done}/{total} replicates, {state}", highlight=False)

        yield advance


def _state(done: int, left: int, seconds: float, resumed: int, failed: int) -> str:
    """Words for the end of the bar, such as "12.3/s, 0:01:05 left, 200 resumed, 2 failed"."""
    words = []
    if done and seconds:
        rate = done / seconds
        words = [f"{rate:.3g}/s", f"{timedelta(seconds=round(left / rate))} left"]
    return ", ".join(words + [f"{count} {what}" for count, what in ((resumed, "resumed"), (failed, "failed")) if count])
