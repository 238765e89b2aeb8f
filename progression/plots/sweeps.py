"""Figure of a drift sweep: the answer, and the drift, against how large a drift is allowed for."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from progression.plots.style import ARM_COLOURS, INK, MARKED, MEDIUM, SMALL, new_figure, tidy, wrapped
from progression.sweeps import Sweep


def sweep(found: Sweep) -> Figure:
    """The estimand with its 95 % interval against the SD of the drift; beside it what the data say of the drift.

    Parameters
    ----------
    found : Sweep

    Returns
    -------
    matplotlib.figure.Figure
        Left: mean and interval of the estimand, its null value dotted, P(benefit) above (of reconstructed data the
        width of the interval). Right: mean of the drift and two posterior SDs to
        either side, with two prior SDs behind: where both are alike the data say nothing of it.
    """
    table = found.table
    figure = new_figure(3.4, found, f"How large a drift between sources would undo it: {found.label}")
    left, right = (tidy(axes, grid="both") for axes in figure.subplots(1, 2, width_ratios=(3, 2)))
    at = np.arange(len(table))
    left.fill_between(at, table["lower"], table["upper"], color=ARM_COLOURS[1], alpha=0.2, linewidth=0)
    left.plot(at, table["mean"], "o-", color=ARM_COLOURS[1], markersize=4)
    if found.estimand.null is not None:
        left.axhline(found.estimand.null, color=INK, linewidth=1, linestyle=":")
    # A probability of benefit is a direction, which a reconstruction cannot give.
    by_width = found.cohort.provenance == "reconstructed"
    above = table["upper"] - table["lower"] if by_width else table["probability"]
    for i, number in zip(at, above, strict=True):
        left.annotate(
            f"{number:.2f}",
            (i, table["upper"].iloc[i]),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            size=SMALL,
            color=INK,
        )
    left.margins(y=0.12)
    left.set_title(
        f"mean and 95 % interval; above it {'its width' if by_width else 'P(benefit)'}", size=MEDIUM, loc="left"
    )
    ratio = found.estimand.scale == "ratio"
    right.fill_between(
        at, -2 * table["scale"], 2 * table["scale"], color="#9AA0A6", alpha=0.25, linewidth=0, label="prior, ± 2 SD"
    )
    right.errorbar(
        at,
        table["drift_mean"],
        yerr=2 * table["drift_sd"],
        color=MARKED,
        fmt="o",
        markersize=4,
        linewidth=1.6,
        label="posterior",
    )
    right.set_title("log drift" if ratio else "drift", size=MEDIUM, loc="left")
    right.legend(frameon=False, fontsize=SMALL, loc="upper left")
    if found.single_arm:
        right.annotate(
            wrapped("no concurrent controls: only the priors of drift and effect speak of it", 34),
            (0.03, 0.04),
            xycoords="axes fraction",
            size=SMALL,
            color=MARKED,
        )
    for axes in (left, right):
        axes.set_xticks(at, [f"{scale:g}" for scale in table["scale"]])
        axes.set_xlabel("prior SD of the drift" + (", log scale" if ratio else f", {found.estimand.unit}"), size=SMALL)
    return figure
