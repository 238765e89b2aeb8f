"""What all commands share: where they print, and how the rest of the package is loaded."""

from __future__ import annotations

import gc

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import progression as pg

console, errors = Console(), Console(stderr=True)


def loaded() -> None:
    """Load the rest, then have garbage collected again, without looking at what was loaded."""
    _ = pg.fit, pg.contrast
    gc.freeze()
    gc.enable()


def steps(*, transient: bool = False) -> Progress:
    """A bar for a command of a few steps: which is being done, how many are, and for how long."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())  # fmt: skip
    return Progress(*columns, console=console, transient=transient)
