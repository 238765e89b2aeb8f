"""What all figures share: colours, a frame with provenance and problems, axes of time and outcome."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from progression.cohort import Cohort
from progression.fitted import provenance
from progression.outcomes import Outcome
from progression.units import months_per

# After Okabe and Ito (2008), the orange darkened for text; the control is grey, and red is kept for what failed.
ARM_COLOURS = ("#5F6368", "#0072B2", "#D17F00", "#009E73", "#CC79A7", "#56B4E9")
FAILED, MARKED, INK, FAINT = "#C62828", "#8A4B00", "#222222", "#D9DCE0"
SMALL, MEDIUM, LARGE = 8.5, 10.0, 12.0
WIDTH = 9.6  # inches: a page of about 1000 pixels shows it without shrinking


def arm_colour(cohort: Cohort, arm: str) -> str:
    """Colour of an arm: grey for a control and for a step over calendar time, blue for the first treated one."""
    if arm not in cohort.arms:
        return ARM_COLOURS[0]
    index = cohort.arms.index(arm) + (len(cohort.arms) == 1)
    return ARM_COLOURS[index % len(ARM_COLOURS)]


def plain(text: object) -> str:
    """Text that matplotlib sets as it stands: a dollar in a name starts no formula."""
    return str(text).replace("$", r"\$")


def wrapped(text: object, width: int) -> str:
    """Text broken into lines, ready for a figure."""
    return plain("\n".join(textwrap.wrap(str(text), width)))


def shortened(text: object, width: int) -> str:
    """Text of at most `width` letters."""
    text = str(text)
    return plain(text if len(text) <= width else text[: width - 1] + "…")


class Shown(Protocol):
    """What a figure is made from: a fit, or anything else that has a cohort and may have problems."""

    @property
    def cohort(self) -> Cohort:
        """Whose provenance stands below the figure."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What stands above it in red."""


def new_figure(
    height: float, fit: Shown, title: str, *, legend: Sequence[Artist] = (), warnings: Sequence[str] = ()
) -> Figure:
    """An empty figure with title, the fit's problems in red, a legend below, and where the data come from.

    Parameters
    ----------
    height : float
        Inches for the axes; what is written around them is added.
    fit : Fit or anything else with a cohort and problems
    warnings : sequence of str
        Written in red below the fit's problems.
    """
    texts = [*(f"PROBLEM: {problem}" for problem in fit.problems), *(f"WARNING: {text}" for text in warnings)]
    source = "" if fit.cohort.provenance == "observed" else provenance(fit.cohort)
    if fit.cohort.provenance == "reconstructed":
        source += ": to be read for width, never for direction"
    return framed(height, title, source=source, problems=texts, legend=legend)


def framed(
    height: float, title: str, *, source: str, problems: Sequence[str] = (), legend: Sequence[Artist] = ()
) -> Figure:
    """An empty figure as `new_figure` makes it, for what has no cohort: its source and problems in words."""
    lines = textwrap.wrap(title, 92)
    problems = [line for text in problems for line in textwrap.wrap(text, 125)]
    columns = _columns(legend)
    keys = 0.22 * -(-len(legend) // columns) + 0.06 if legend else 0.0
    above, below = 0.12 + 0.22 * len(lines) + 0.17 * len(problems), 0.05 + (0.2 if source else 0.0)
    whole = height + above + below + keys
    figure = Figure(figsize=(WIDTH, whole), facecolor="white", layout="constrained")
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.004, (below + keys) / whole, 0.992, height / whole), w_pad=0.06, h_pad=0.06)  # type: ignore[call-arg]
    figure.text(0.012, 1 - 0.06 / whole, plain("\n".join(lines)), size=LARGE, weight="bold", color=INK, va="top")
    figure.text(0.012, 1 - (0.1 + 0.22 * len(lines)) / whole, plain("\n".join(problems)), size=SMALL, color=FAILED,
                weight="bold", va="top")  # fmt: skip
    figure.text(0.988, 0.05 / whole, plain(source), size=SMALL, color=MARKED, weight="bold", ha="right", va="bottom")
    if legend:
        # Not "outside": the layout would take its room from the place kept for the line of provenance.
        figure.legend(handles=list(legend), loc="lower center", bbox_to_anchor=(0.5, below / whole), ncols=columns,
                      frameon=False, fontsize=SMALL, borderpad=0, borderaxespad=0, columnspacing=1.6)  # fmt: skip
    return figure


def _columns(legend: Sequence[Artist]) -> int:
    """How many entries go side by side within the width of the page."""
    widths = [0.068 * len(str(one.get_label())) + 0.6 for one in legend]
    if sum(widths) < WIDTH:
        return max(len(widths), 1)
    return max(1, int(WIDTH / max(widths)))


def tidy(axes: Axes, *, grid: str = "y") -> Axes:
    """Quiet spines, a faint grid, readable ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9AA0A6")
    axes.tick_params(labelsize=SMALL, color="#9AA0A6", labelcolor=INK)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=FAINT, linewidth=0.6)  # type: ignore[arg-type]
    return axes


def message(axes: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(
        0.5,
        0.5,
        wrapped(text, 60),
        ha="center",
        va="center",
        size=MEDIUM,
        color=INK,
        transform=axes.transAxes,
    )


def in_time_unit(cohort: Cohort, months: np.ndarray | Sequence[float]) -> np.ndarray:
    """Months in the unit of the user's own table, which axes of time are drawn in."""
    return np.asarray(months, float) / months_per[cohort.time_unit]


def time_axis(axes: Axes, cohort: Cohort, months: np.ndarray | Sequence[float], *, named: bool = True) -> None:
    """Ticks at the visits where they are few and apart, else at round numbers."""
    times = np.unique(np.round(in_time_unit(cohort, months), 1))
    if 1 < len(times) <= 6 and np.diff(times).min() > 0.12 * np.ptp(times):
        axes.set_xticks(times)
        axes.set_xticklabels([f"{t:g}" for t in times])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 3, 4, 5, 6, 10]))
    if named:
        axes.set_xlabel(cohort.time_unit, size=SMALL)


def outcome_axis(
    axes: Axes, outcome: Outcome, observed: np.ndarray, *bands: np.ndarray, upper: float | None = None
) -> None:
    """Limits that hold all observed values, and the bands as far as the outcome's scale goes; log where positive."""
    every = np.concatenate([np.ravel(values) for values in (observed, *bands)])
    every = every[np.isfinite(every)]
    if outcome.positive:
        every = every[every > 0]
        axes.set_yscale("log")
        if len(every):
            axes.set_ylim(every.min() / 1.3, every.max() * 1.3)
        log_ticks(axes, "y")
        return
    if not len(every):
        return
    top = outcome.upper if outcome.upper is not None else upper
    low, high = float(every.min()), float(every.max())
    # Simulated values may lie beyond the scale: they are shown; what is predicted beyond it is not.
    if outcome.lower is not None:
        low = min(max(low, outcome.lower), float(np.nanmin(observed)))
    if top is not None:
        high = max(min(high, top), float(np.nanmax(observed)))
    room = 0.05 * (high - low) if high > low else 1.0
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=outcome.integer))


def log_ticks(axes: Axes, which: str) -> None:
    """Plain numbers on a log axis: 0.5, 1, 2 rather than powers of ten."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    decades = np.log10(high / low)
    marks: tuple[float, ...] = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 2 else (1.0, 2.0, 5.0)
    if decades < 0.7:
        marks = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    if decades < 0.4:
        marks = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    axis.set_major_locator(LogLocator(base=10, subs=marks, numticks=30))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
