"""Figure of sample sizes: success against the number of patients, and the number found against what is true."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from progression.faults import SettingError, setting_fault
from progression.plots.simulated import SERIES
from progression.plots.style import INK, SMALL, framed, plain, shortened, tidy, wrapped
from progression.plots.words import asked
from progression.sizing import SampleSize

__all__ = ["sizes"]


def sizes(found: SampleSize | Mapping[str, SampleSize]) -> Figure:
    """Success against the number of patients, and what number meets the target.

    Parameters
    ----------
    found : SampleSize, or mapping of label to SampleSize
        From `find_n`; several, by effect or by design, to compare.

    Returns
    -------
    matplotlib.figure.Figure
        Points are shares of simulated trials with 95 % Monte Carlo intervals (Wilson); the line is the curve fitted to them with its band;
        crosses the closed form, where there is one; dotted the target. The size found is marked, its Monte Carlo interval on the axis.
        Of several, the sizes found stand in a second panel against the true value, or beside their labels where that is not known or the same.

    Raises
    ------
    SettingError
        Where something else is given.
    """
    several = {"": found} if isinstance(found, SampleSize) else found
    if (
        not isinstance(several, Mapping)
        or not several
        or not all(isinstance(one, SampleSize) for one in several.values())
    ):
        raise SettingError([setting_fault("found", type(found).__name__, "is neither a SampleSize nor a mapping of labels to some",
                                          "give what pg.find_n returned")])  # fmt: skip
    named = {str(label): (one, SERIES[i % len(SERIES)]) for i, (label, one) in enumerate(several.items())}
    legend: list[Artist] = [Line2D([], [], color=colour, marker="o", markersize=4, label=shortened(label, 60))
                            for label, (_, colour) in named.items() if label]  # fmt: skip
    legend.append(Line2D([], [], color=INK, marker="|", linewidth=0, markersize=9, label="95 % Monte Carlo interval"))
    if any(one.table["closed_form"].notna().any() for one, _ in named.values()):
        legend.append(Line2D([], [], color=INK, marker="x", linewidth=0, markersize=6, label="closed form"))
    legend.append(Line2D([], [], color=INK, linestyle=":", linewidth=1, label="target"))
    first = next(iter(named.values()))[0]
    title = (
        f"How many patients meet the target of {first.target:.0%}: {first.n}"
        if len(named) == 1
        else "How many patients meet the target"
    )
    same = len({repr(one.rule) for one, _ in named.values()}) == 1
    figure = framed(3.6, title + (f"; {first.rule}" if same else ""), source=_source(several), legend=legend)
    panels = figure.subplots(1, 1 + (len(named) > 1), squeeze=False, width_ratios=(3, 2)[: 1 + (len(named) > 1)])[0]
    _success(tidy(panels[0], grid="both"), named)
    if len(named) > 1:
        _found(tidy(panels[1], grid="both"), named)
    return figure


def _success(axes: Axes, named: Mapping[str, tuple[SampleSize, str]]) -> None:
    for place, (one, colour) in enumerate(named.values()):
        own, at = one.table, one.table.index.to_numpy(float)
        ends = [*at, *(float(n) for n in (one.n, one.lower, one.upper) if n is not None)]
        grid = np.linspace(0.9 * min(ends), 1.05 * max(ends), 200)
        axes.plot(grid, one.curve(grid), color=colour, linewidth=1.4)
        axes.fill_between(grid, *one.curve.band(grid), color=colour, alpha=0.15, linewidth=0)
        bars = np.clip([own["success"] - own["lower"], own["upper"] - own["success"]], 0, None)
        axes.errorbar(at, own["success"], yerr=bars, fmt="o", color=colour, markersize=4, capsize=3, elinewidth=1.1)
        axes.plot(at, own["closed_form"], "x", color=colour, markersize=6)
        axes.axhline(one.target, color=INK, linestyle=":", linewidth=1)
        axes.plot([one.n, one.n], [0, one.target], color=colour, linestyle="--", linewidth=1)
        if one.lower is not None and one.upper is not None:
            axes.plot([one.lower, one.upper], [0.012, 0.012], color=colour, linewidth=3, solid_capstyle="butt")
        # One above the other: sizes of neighbouring effects lie close.
        axes.annotate(f"n = {one.n}{_between(one)}", (one.n, 0.05 + 0.07 * place), xytext=(5, 0), textcoords="offset points", size=SMALL,
                      color=colour, weight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8})  # fmt: skip
    axes.set(ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel("patients, all arms", size=SMALL)
    axes.set_ylabel("share of trials that meet the rule", size=SMALL)


def _found(axes: Axes, named: Mapping[str, tuple[SampleSize, str]]) -> None:
    true = np.array([float(one.table.loc[one.nearest, "true"]) for one, _ in named.values()])
    estimands = {(one.rule.estimand, one.rule.labels) for one, _ in named.values()}
    scaled = bool(np.isfinite(true).all()) and len(set(np.round(true, 9))) == len(true) and len(estimands) == 1
    at = true if scaled else np.arange(len(named), dtype=float)
    order = np.argsort(at)
    n = np.array([one.n for one, _ in named.values()])
    if scaled:
        axes.plot(at[order], n[order], color="#9AA0A6", linewidth=1)
    for x, (one, colour) in zip(at, named.values(), strict=True):
        low, high = one.n if one.lower is None else one.lower, one.n if one.upper is None else one.upper
        axes.errorbar(
            [x],
            [one.n],
            yerr=[[max(one.n - low, 0)], [max(high - one.n, 0)]],
            fmt="o",
            color=colour,
            markersize=5,
            capsize=3,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("patients found, all arms", size=SMALL)
    axes.margins(x=0.12)
    if scaled:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        first = next(iter(named.values()))[0]
        axes.set_xlabel(
            plain(wrapped(asked(first.runs[first.nearest], first.rule).axis("true value: "), 46)), size=SMALL
        )
    else:
        axes.set_xticks(at)
        axes.set_xticklabels([wrapped(label, 14) for label in named])


def _between(one: SampleSize) -> str:
    return "" if one.lower is None or one.upper is None else f" ({one.lower} to {one.upper})"


def _source(several: Mapping[str, SampleSize]) -> str:
    trials = {int(count) for one in several.values() for count in one.table["trials"]}
    models = dict.fromkeys(str(run.settings["model"]) for one in several.values() for run in one.runs.values())
    counts = f"{min(trials):,}" if len(trials) == 1 else f"{min(trials):,} to {max(trials):,}"
    return f"{counts} SIMULATED trials for each size, analysed by {', '.join(models)}"
