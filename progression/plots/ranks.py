"""Figure of a CAFS: where the patients of each arm stand, and how the pairs with controls were decided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from progression.cohort import Cohort
from progression.plots.style import INK, MEDIUM, SMALL, arm_colour, new_figure, shortened, tidy, wrapped
from progression.ranking import Cafs

_BINS = 48
_REACH = 0.36  # how far a heap of dots goes to either side of its arm's line


@dataclass(frozen=True)
class _Source:
    """What the frame of a figure asks of what it shows."""

    cohort: Cohort
    problems: tuple[str, ...] = ()


def ranks(found: Cafs) -> Figure:
    """Each patient's rank by arm, those who died marked, beside the share of pairs won and lost against the controls.

    Parameters
    ----------
    found : Cafs

    Returns
    -------
    matplotlib.figure.Figure
        Left: a mark a patient, worst rank at the left, the mean of each arm as a bar. Right, where there is more than one
        arm: the pairs of a patient of each arm with a control, by who did better and whether deaths decided it.
    """
    cohort = found.cohort
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, marker="o", linewidth=0, markersize=5, label="alive, as far as known"),
        Line2D([], [], color=INK, marker="x", linewidth=0, markersize=6, markeredgewidth=1.6, label="died"),
        Line2D([], [], color=INK, marker="|", linewidth=0, markersize=12, markeredgewidth=2.4, label="mean rank"),
    ]
    if found.statistics:
        handles += [Patch(facecolor="#9AA0A6", alpha=0.45, label="decided by function"),
                    Patch(facecolor="#9AA0A6", label="decided by death")]  # fmt: skip
    until = f"up to month {found.month:g}" if found.month is not None else "over all of the follow-up"
    title = f"Survival, then change of {found.outcome.label or found.outcome.name}, {until}: {len(found.scores)} patients ranked"
    height = 0.75 + 0.95 * len(cohort.arms)
    figure = new_figure(height, _Source(cohort), title, legend=handles)
    if not found.statistics:
        _places(tidy(figure.subplots(), grid="x"), found)
        return figure
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _places(tidy(left, grid="x"), found)
    _pairs(tidy(right, grid="x"), found)
    return figure


def _places(axes: Axes, found: Cafs) -> None:
    n, arms = len(found.scores), found.cohort.arms
    size = float(np.clip(70 / np.sqrt(n), 1.2, 5.5))
    edges = np.linspace(0.5, n + 0.5, min(n, _BINS) + 1)
    heaps = {arm: np.histogram(own["rank"], edges)[0].max() for arm, own in found.scores.groupby("arm")}
    step = (
        min(0.13, 2 * _REACH / max(*heaps.values(), 1))
        if len(heaps) > 1
        else min(0.13, 2 * _REACH / max(heaps.values()))
    )
    for row, arm in enumerate(arms):
        own = found.scores[found.scores["arm"] == arm].sort_values("rank", kind="stable")
        rank, dead = own["rank"].to_numpy(float), own["death"].notna().to_numpy()
        which = np.digitize(rank, edges[1:-1])
        count = np.bincount(which, minlength=len(edges))
        within = np.arange(len(own)) - np.concatenate([[0], np.cumsum(count)])[which]
        height = row + step * (within - (count[which] - 1) / 2)
        colour = arm_colour(found.cohort, arm)
        axes.plot(rank[~dead], height[~dead], "o", color=colour, markersize=size, markeredgewidth=0, alpha=0.75)
        axes.plot(rank[dead], height[dead], "x", color=colour, markersize=size + 1, markeredgewidth=1.3)
        if len(own):
            axes.vlines(rank.mean(), row - 0.45, row + 0.45, color=INK, linewidth=2.4, zorder=5)
            axes.text(rank.mean(), row - 0.47, f"{rank.mean():.1f}", ha="center", va="bottom", size=SMALL, color=INK)
    axes.set_yticks(range(len(arms)), [shortened(arm, 20) for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.75)
    axes.set_xlim(0.5 - 0.02 * n, n + 0.5 + 0.02 * n)
    axes.set_xlabel("rank, 1 is worst", size=SMALL)


def _pairs(axes: Axes, found: Cafs) -> None:
    control = found.cohort.arms[0]
    rows = list(found.cohort.arms)
    for arm, one in found.statistics.items():
        row, pairs = rows.index(arm), one.wins + one.losses + one.ties
        grey, colour = arm_colour(found.cohort, control), arm_colour(found.cohort, arm)
        parts = [(one.losses_by_death, grey, 1.0), (one.losses - one.losses_by_death, grey, 0.45), (one.ties, "white", 1.0),
                 (one.wins - one.wins_by_death, colour, 0.45), (one.wins_by_death, colour, 1.0)]  # fmt: skip
        start = 0.0
        for number, shade, alpha in parts:
            width = number / pairs
            axes.barh(row, width, left=start, height=0.42, color=shade, alpha=alpha, linewidth=0)
            start += width
        axes.barh(row, 1, height=0.42, facecolor="none", edgecolor="#9AA0A6", linewidth=0.8)
        axes.text(0, row + 0.25, f"lost {one.losses / pairs:.0%}", ha="left", va="top", size=SMALL, color=INK)
        axes.text(1, row + 0.25, f"won {one.wins / pairs:.0%}", ha="right", va="top", size=SMALL, color=INK)
        if one.ties:
            middle = float(np.clip((one.losses + one.ties / 2) / pairs, 0.25, 0.75))  # clear of the words at either end
            axes.text(middle, row + 0.25, f"tied {one.ties / pairs:.0%}", ha="center", va="top", size=SMALL, color=INK)
        axes.text(0, row - 0.25, wrapped(f"P(better than {shortened(control, 18)}) = {one.probability:.2f} "
                                         f"({one.lower:.2f} to {one.upper:.2f}, {100 * found.ci_prob:g} %)", 60),
                  ha="left", va="bottom", size=MEDIUM, color=INK)  # fmt: skip
    for text in axes.texts:  # the line of one half passes behind them
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})
    axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0.5)
    axes.set_yticks(range(len(rows)), ["" for _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.75)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of the pairs with {shortened(control, 24)}", size=SMALL)
