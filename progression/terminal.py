"""What all commands share: where they print, and how the rest of the package is loaded."""

from __future__ import annotations

import gc

from rich.console import Console

import progression as pg

console, errors = Console(), Console(stderr=True)


def loaded() -> None:
    """Load the rest, then have garbage collected again, without looking at what was loaded."""
    _ = pg.fit, pg.contrast
    gc.freeze()
    gc.enable()
