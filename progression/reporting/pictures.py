"""Figures as parts of a page, and templates filled in."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure as an address that holds the whole picture, and what it shows in words."""

    source: str
    caption: str


def embedded(figure: Figure) -> str:
    """The figure as an SVG inside its own address: sharp in print, and what stands in it can run no script."""
    # The layout's solver orders its unknowns by address in memory, hence the last digits of positions vary.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(float(x), 4) for x in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))
    buffer = io.BytesIO()
    # Ids that depend on the content alone, and no date: the same fits give the same file.
    with mpl.rc_context({"svg.hashsalt": "progression", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def rendered(template: str, **values: Any) -> str:
    """A template of this package filled in: whatever stands in names, ids and arms is text, never markup."""
    loader = PackageLoader("progression.reporting")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.get_template(template).render(**values)
