"""Figures of how simulated trials end: what they estimate, and where they stop."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from progression.characteristics import OperatingCharacteristics
from progression.plots.simulated import cell_label, check_rule, figure_of
from progression.plots.style import ARM_COLOURS, FAINT, INK, MARKED, SMALL, plain, tidy
from progression.plots.words import asked, rounded

__all__ = ["estimates", "stopping"]

_SHOWN = 12  # panels: more are a table's business
MET, NOT_MET, GOING_ON, FUTILITY = ARM_COLOURS[1], "#B8BDC3", FAINT, ARM_COLOURS[2]


def estimates(oc: OperatingCharacteristics, *, rule: int = 0) -> Figure:
    """What trials estimate under each truth, those that met the rule told apart.

    Parameters
    ----------
    oc : OperatingCharacteristics
    rule : int
        Which of its rules.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each design and truth: numbers of trials by posterior mean, at the analysis that decided. A black line marks the true
        value; where truths vary between trials their distribution is outlined. The dotted line is the value that the rule speaks of.
        The outermost thousandths of all trials stand in the first and the last bar.
    """
    check_rule(oc, rule)
    one = oc.rules[rule]
    cells = oc.cells[:_SHOWN]
    tables = [oc.estimates(*cell, rule=rule) for cell in cells]
    every = pd.concat(tables)
    marks = [one.value, *every["true"].dropna().quantile([0.001, 0.999])]
    low, high = min(every["estimate"].quantile(0.001), *marks), max(every["estimate"].quantile(0.999), *marks)
    room = 0.03 * (high - low) or 1.0
    edges = np.linspace(low - room, high + room, int(np.clip(2 * np.sqrt(len(tables[0])), 15, 60)) + 1)
    legend: list[Artist] = [Patch(color=MET, label="rule met"), Patch(color=NOT_MET, label="not met")]
    if every["true"].notna().any():
        legend.append(Line2D([], [], color=INK, linewidth=1.8, label="true value"))
    legend.append(Line2D([], [], color=MARKED, linestyle=":", linewidth=1.4, label=f"value in the rule, {one.value:g}"))
    figure = figure_of(
        oc,
        0.95 * len(cells) + 0.7,
        f"What simulated trials estimate; {one}",
        legend,
        left_out=len(oc.cells) - len(cells),
    )
    panels = figure.subplots(len(cells), 1, sharex=True, squeeze=False)[:, 0]
    for axes, cell, table in zip(panels, cells, tables, strict=True):
        tidy(axes, grid="x")
        inside = table["estimate"].clip(edges[0], edges[-1])
        axes.hist([inside[table["success"]], inside[~table["success"]]], bins=edges, stacked=True, color=[MET, NOT_MET])
        _mark_truth(axes, table["true"].to_numpy(float), edges)
        axes.axvline(one.value, color=MARKED, linestyle=":", linewidth=1.4)
        spread = float(table["estimate"].std())
        axes.set_title(f"{cell_label(oc, cell, 70)}: mean {rounded(float(table['estimate'].mean()), spread)}, met in {table['success'].mean():.1%}",
                       size=SMALL, loc="left", pad=2)  # fmt: skip
        axes.set_ylabel("trials", size=SMALL)
        axes.locator_params(axis="y", nbins=3, integer=True)
    panels[-1].set_xlabel(plain(asked(oc, one).axis("posterior mean: ")), size=SMALL)
    return figure


def stopping(oc: OperatingCharacteristics, *, rule: int = 0) -> Figure:
    """Where trials stop: at each look the share that has met the rule, has been given up, or goes on.

    Parameters
    ----------
    oc : OperatingCharacteristics
    rule : int

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each design and truth. Shares are of all trials and cumulative: what stopped at one look stays stopped at the next.
        Below each bar the mean calendar month, and how many patients have entered by then.
    """
    check_rule(oc, rule)
    cells = oc.cells[:_SHOWN]
    columns = min(len(cells), 2 if len(cells) == 4 else 3)
    lines = -(-len(cells) // columns)
    legend: list[Artist] = [Patch(color=MET, label="success"), Patch(color=GOING_ON, label="going on; at the end, rule not met"),
                            Patch(color=FUTILITY, label="stopped for futility")]  # fmt: skip
    figure = figure_of(oc, 2.3 * lines, f"Where trials stop: share of all trials by each analysis; {oc.rules[rule]}", legend,
                     left_out=len(oc.cells) - len(cells))  # fmt: skip
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    by_look = oc.by_look
    for axes, cell in zip(panels, cells, strict=False):
        # Two rules may read alike; the looks of the one asked for come in the order of the rules.
        here = (by_look.index.get_level_values("design") == cell[0]) & (
            by_look.index.get_level_values("truth") == cell[1]
        )
        own = by_look[here]
        looks = own.index.get_level_values("look").nunique()
        _bars(tidy(axes), own.iloc[rule * looks : (rule + 1) * looks])
        axes.set_title(cell_label(oc, cell, 42), size=SMALL, loc="left")
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("share of trials", size=SMALL)
    return figure


def _bars(axes: Axes, own: pd.DataFrame) -> None:
    at = np.arange(len(own))
    success, futility = own["success"].cumsum().to_numpy(), own["futility"].cumsum().to_numpy()
    rest = np.clip(1 - success - futility, 0, 1)
    for bottom, height, colour, ink in (
        (0 * rest, success, MET, "white"),
        (success, rest, GOING_ON, INK),
        (success + rest, futility, FUTILITY, INK),
    ):
        axes.bar(at, height, bottom=bottom, color=colour, width=0.72, edgecolor="white", linewidth=0.6)
        for x, low, size in zip(at.tolist(), bottom, height, strict=True):
            if size >= 0.1:
                axes.text(x, low + size / 2, f"{size:.0%}", ha="center", va="center", size=SMALL, color=ink)
    names = ["end" if row["final"] else f"look {look}" for look, (_, row) in enumerate(own.iterrows(), start=1)]
    words = [
        f"{name}\nmonth {row['month']:.1f}\n{row['patients']:.0f} entered"
        for name, (_, row) in zip(names, own.iterrows(), strict=True)
    ]
    axes.set(xticks=at, xlim=(-0.6, len(own) - 0.4), ylim=(0, 1))
    axes.set_xticklabels(words, size=SMALL - 0.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _mark_truth(axes: Axes, true: np.ndarray, edges: np.ndarray) -> None:
    known = true[np.isfinite(true)]
    if not len(known):
        return
    if np.ptp(known) > 1e-9 * max(1.0, float(np.abs(known).max())):
        axes.hist(known.clip(edges[0], edges[-1]), bins=list(edges), histtype="step", color=INK, linewidth=1.3)
    else:
        axes.axvline(known[0], color=INK, linewidth=1.8)
