"""Figures of predictive checks: statistics of the data against their replicates, and LOO-PIT."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from progression.checking import Check
from progression.cohort import Cohort
from progression.curvature import CURVATURE, EVERYBODY
from progression.faults import check_type
from progression.plots.style import (
    FAILED,
    FAINT,
    INK,
    MEDIUM,
    SMALL,
    arm_colour,
    in_time_unit,
    message,
    new_figure,
    shortened,
    tidy,
    time_axis,
    wrapped,
)  # fmt: skip

_SIMULATIONS = 2000
_MOST_POINTS = 200


def predictive(check: Check) -> Figure:
    """Each statistic of the data against what replicated data show.

    Parameters
    ----------
    check : Check

    Returns
    -------
    matplotlib.figure.Figure
        For each outcome: mean and SD of the change by visit, arms side by side; then the statistics over all visits.
        Bars are 95 % intervals of the replicates, ticks on them their means; a failed statistic is a red cross.
    """
    check_type("check", check, Check, "give what pg.check returned")
    cohort, rows = check.fit.cohort, check.table
    timed = rows[rows["month"].notna()] if len(rows) else rows
    single = rows[rows["month"].isna()] if len(rows) else rows
    plan, singles = _grouped(timed), _grouped(single)
    across = 3 if len(singles) > 2 or len(plan) > 2 else 2
    n_timed, n_single = -(-len(plan) // 2), -(-len(singles) // across)
    most = max((len(own) for _, own in singles), default=len(cohort.arms))
    tall = 0.75 + 0.25 * max(most, len(cohort.arms))
    failed = int((~rows["ok"].astype(bool)).sum()) if len(rows) else 0
    verdict = f"{failed} of {len(rows)} beyond what replicated data show" if failed else "all as replicated data show"
    handles = [
        Line2D(
            [],
            [],
            color=arm_colour(cohort, arm),
            linewidth=5,
            alpha=0.45,
            label=f"replicated, 95 %: {shortened(arm, 30)}",
        )
        for arm in cohort.arms
    ]
    handles.append(Line2D([], [], color=INK, marker="o", linewidth=0, markersize=5, label="observed"))
    if failed:
        handles.append(Line2D([], [], color=FAILED, marker="X", linewidth=0, markersize=8, label="observed, failed"))
    height = max(2.4 * n_timed + tall * n_single + 0.1, 1.2)
    figure = new_figure(height, check.fit, f"Predictive checks: {verdict}", legend=handles)
    if not plan and not singles:
        message(figure.subplots(), "no statistic can be computed for so few patients and visits")
        return figure
    # One subfigure for each kind, so that their grids need not have the same number of columns.
    sizes = [size for size in (2.4 * n_timed, tall * n_single) if size]
    parts = list(np.ravel(np.asarray(figure.subfigures(len(sizes), 1, height_ratios=sizes))))
    titles = {outcome.name: (outcome.label or outcome.name, outcome.unit)
              for block in check.fit.encoded().blocks.values() for outcome in block}  # fmt: skip
    for part in parts:
        part.set_facecolor("none")
    if plan:
        for axes, (key, own) in zip(_panels(parts[0], n_timed, 2, len(plan)), plan, strict=True):
            _by_visit(axes, cohort, own)
            axes.set_title(_heading(key, titles, 56), size=SMALL)
    if singles:
        for axes, (key, own) in zip(_panels(parts[-1], n_single, across, len(singles)), singles, strict=True):
            _over_all(axes, cohort, own)
            axes.set_title(_heading(key, titles, 108 // across), size=SMALL)
    return figure


def _grouped(rows: pd.DataFrame) -> list[tuple[tuple[str, str], list[dict[Hashable, Any]]]]:
    """The rows of each outcome and statistic, in their own order."""
    found: dict[tuple[str, str], list[dict[Hashable, Any]]] = {}
    for row in rows.to_dict("records"):
        found.setdefault((row["outcome"], row["statistic"]), []).append(row)
    return list(found.items())


def _panels(figure: Figure, rows: int, columns: int, used: int) -> list[Axes]:
    grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in grid[used:]:
        axes.set_axis_off()
    return grid[:used]


def _heading(key: tuple[str, str], titles: Mapping[str, tuple[str, str]], width: int) -> str:
    outcome, statistic = key
    label, unit = titles[outcome]
    scaled = unit and "share" not in statistic and "log" not in statistic
    power = "²" if "variance" in statistic else "/month²" if statistic == CURVATURE else ""
    return wrapped(f"{label[:40]}: {statistic}" + (f" ({unit}{power})" if scaled else ""), width)


def _mark(axes: Axes, x: float, y: float, ok: bool) -> None:
    if ok:
        axes.plot(x, y, "o", color=INK, markersize=5, zorder=5)
    else:
        axes.plot(x, y, "X", color=FAILED, markersize=9, zorder=5)


def _by_visit(axes: Axes, cohort: Cohort, own: list[dict[Hashable, Any]]) -> None:
    tidy(axes)
    times = in_time_unit(cohort, [row["month"] for row in own])
    gaps = np.diff(np.unique(np.round(times, 3)))
    step = min(
        float(gaps.min()) / (len(cohort.arms) + 1.5) if len(gaps) else 0.1,
        0.03 * max(np.ptp(times), 1e-9) or 0.1,
    )
    for row, time in zip(own, times, strict=True):
        at = time + step * (cohort.arms.index(row["arm"]) - (len(cohort.arms) - 1) / 2)
        colour = FAILED if not row["ok"] else arm_colour(cohort, row["arm"])
        axes.vlines(at, row["lower"], row["upper"], color=colour, linewidth=5, alpha=0.45)
        axes.plot(at, row["predicted"], "_", color=colour, markersize=7, markeredgewidth=1.6)
        _mark(axes, at, row["observed"], row["ok"])
    axes.margins(x=0.08)
    time_axis(axes, cohort, [row["month"] for row in own])


def _over_all(axes: Axes, cohort: Cohort, own: list[dict[Hashable, Any]]) -> None:
    tidy(axes, grid="x")
    labels = list(cohort.arms) + ([EVERYBODY] if any(row["arm"] == EVERYBODY for row in own) else [])
    for row in own:
        at = labels.index(row["arm"])
        known = INK if row["arm"] == EVERYBODY else arm_colour(cohort, row["arm"])
        colour = FAILED if not row["ok"] else known
        axes.hlines(at, row["lower"], row["upper"], color=colour, linewidth=6, alpha=0.45)
        axes.plot(row["predicted"], at, "|", color=colour, markersize=9, markeredgewidth=1.6)
        _mark(axes, row["observed"], at, row["ok"])
    axes.set_yticks(range(len(labels)), [shortened(arm, 20) for arm in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    low = min(min(row["lower"], row["observed"]) for row in own)
    high = max(max(row["upper"], row["observed"]) for row in own)
    room = 0.08 * (high - low) if high > low else 0.08 * max(high, 0.5)
    # Shares and variances are never negative, so the axis does not suggest it.
    signed = own[0]["statistic"] == CURVATURE
    axes.set_xlim(low - room if signed else max(low - room, -0.4 * room), high + room)
    axes.locator_params(axis="x", nbins=5)


def loo_pit(check: Check) -> Figure:
    """How far the LOO-PIT values are from uniform: the ECDF minus the diagonal, with a simultaneous 95 % band.

    Parameters
    ----------
    check : Check

    Returns
    -------
    matplotlib.figure.Figure
        One panel an observed variable. A curve above zero at the left and below it at the right means predictions too
        narrow; a curve that leaves the band is red.

    Notes
    -----
    The band is found by simulating uniform samples of the same size (Saeilynoja, Buerkner and Vehtari 2022,
    Statistics and Computing 32:32). It takes rows as independent, which those of one patient are only given the fit.
    """
    check_type("check", check, Check, "give what pg.check returned")
    figure = new_figure(2.7, check.fit, "LOO-PIT: is the spread and shape of single values right?")
    if not check.loo_pit:
        message(figure.subplots(), "cannot be computed: too few different draws")
        return figure
    grid = figure.subplots(1, len(check.loo_pit), squeeze=False)[0]
    names = {
        block: ", ".join(o.label or o.name for o in members) for block, members in check.fit.encoded().blocks.items()
    }
    for axes, (block, values) in zip(grid, check.loo_pit.items(), strict=True):
        points, low, high = uniform_band(len(values))
        difference = (np.sort(values)[None, :] <= points[:, None]).mean(axis=1) - points
        out = bool(np.any((difference < low - 1e-9) | (difference > high + 1e-9)))
        axes.fill_between(points, low, high, color=FAINT, linewidth=0, step="mid", label="95 % band if uniform")
        axes.axhline(0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(points, difference, color=FAILED if out else "#0072B2", linewidth=1.8, drawstyle="steps-mid",
                  label="leaves the band" if out else "stays in the band")  # fmt: skip
        tidy(axes)
        axes.set_title(f"{shortened(names[block], 50)}: {len(values)} values", size=MEDIUM)
        axes.set_xlabel("LOO-PIT", size=SMALL)
        axes.set_ylabel("ECDF minus uniform", size=SMALL)
        axes.set_xlim(0, 1)
        reach = 1.7 * max(np.abs(low).max(), np.abs(high).max(), np.abs(difference).max() / 1.4)
        axes.set_ylim(-reach, reach)
        axes.legend(fontsize=SMALL, frameon=False, loc="upper right", ncols=2)
    return figure


def uniform_band(n: int, *, prob: float = 0.95, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points in (0, 1) and the lower and upper end of a simultaneous band for the ECDF difference of `n` uniforms."""
    size = min(max(n, 1), _MOST_POINTS)
    points = np.linspace(0, 1, size + 2)[1:-1]
    drawn = np.sort(np.random.default_rng(seed).uniform(size=(_SIMULATIONS, n)), axis=1)
    counts = np.stack([np.searchsorted(one, points, side="right") for one in drawn])
    # The pointwise level at which 95 % of the simulated curves lie within the pointwise intervals everywhere.
    tails = 2 * np.minimum(stats.binom.cdf(counts, n, points), 1 - stats.binom.cdf(counts - 1, n, points))
    level = float(np.quantile(tails.min(axis=1), 1 - prob))
    low, high = stats.binom.ppf(level / 2, n, points), stats.binom.ppf(1 - level / 2, n, points)
    return points, low / n - points, high / n - points
