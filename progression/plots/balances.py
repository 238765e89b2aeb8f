"""Love plot: how far apart historical and current patients are at baseline, before and after weighting."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from progression.adjustment import Weights
from progression.baseline import LARGE
from progression.plots.style import ARM_COLOURS, FAINT, INK, SMALL, new_figure, shortened, tidy


def balance(weights: Weights) -> Figure:
    """Standardised differences of each fact before and after weighting, the largest before on top.

    Parameters
    ----------
    weights : Weights

    Returns
    -------
    matplotlib.figure.Figure
        Historical less current, in SDs; the dashed lines stand at a quarter of an SD.
    """
    table = weights.table.iloc[np.argsort(weights.table["before"].abs().to_numpy(), kind="stable")]
    keys = [Line2D([], [], marker="o", linestyle="", markersize=7, color=ARM_COLOURS[0], markerfacecolor="white", label="before"),
            Line2D([], [], marker="o", linestyle="", markersize=7, color=ARM_COLOURS[1], label="after weighting")]  # fmt: skip
    n = len(weights.by_subject)
    title = f"Balance at baseline: {n} historical controls, weighted worth {weights.effective_size:.3g} of equal weight"
    figure = new_figure(0.9 + 0.32 * len(table), weights, title, legend=keys)
    axes = tidy(figure.subplots(), grid="")
    rows = np.arange(len(table))
    axes.hlines(rows, table["before"], table["after"], color=FAINT, linewidth=2, zorder=1)
    axes.plot(
        table["before"], rows, "o", color=ARM_COLOURS[0], markerfacecolor="white", markersize=7, markeredgewidth=1.6
    )
    axes.plot(table["after"], rows, "o", color=ARM_COLOURS[1], markersize=7)
    axes.axvline(0, color=INK, linewidth=1)
    for edge in (-LARGE, LARGE):
        axes.axvline(edge, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    reach = 1.12 * max(float(table[["before", "after"]].abs().to_numpy().max()), LARGE)
    axes.set(xlim=(-reach, reach), ylim=(-0.6, len(table) - 0.4))
    axes.set_yticks(rows, [shortened(fact, 40) for fact in table.index])
    axes.set_xlabel("standardised difference, historical less current (SD)", size=SMALL, color=INK)
    return figure
