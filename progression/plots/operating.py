"""Figure of operating characteristics: how often rules are met, against what is true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from progression.characteristics import OperatingCharacteristics
from progression.plots.simulated import SERIES, figure_of
from progression.plots.style import INK, MARKED, SMALL, plain, tidy, wrapped
from progression.plots.words import asked

__all__ = ["power"]


def power(oc: OperatingCharacteristics) -> Figure:
    """How often rules are met, against the value that is true of their estimand.

    Parameters
    ----------
    oc : OperatingCharacteristics

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each estimand that rules are about, against its true value, the mean over trials where that varies. Points are shares of simulated trials, bars their 95 % Monte Carlo intervals (Wilson),
        a line for each design and rule; dashed the closed form, where there is one; dotted, one minus the rule's threshold, where
        type I error would lie if the posterior were that of a normal estimate and a flat prior. Truths without a value of their own
        (drawn from patients, a prior or a posterior) stand side by side under their labels.
    """
    groups: dict[tuple[str, object], list[int]] = {}
    for index, rule in enumerate(oc.rules):
        groups.setdefault((rule.estimand, rule.labels), []).append(index)
    series = [(design, index) for design in oc.designs for index in range(len(oc.rules))]
    colours = {one: SERIES[i % len(SERIES)] for i, one in enumerate(series)}
    legend: list[Artist] = [
        Line2D([], [], color=colours[one], marker="o", markersize=4, label=_named(oc, *one))
        for one in (series if len(series) > 1 else ())
    ]
    title = "How often the rule is met, by what is true" + (f": {oc.rules[0]}" if len(oc.rules) == 1 else "")
    numeric = {key: _on_a_scale(oc, members) for key, members in groups.items()}
    scaled = all(numeric.values())
    legend.append(
        Line2D(
            [],
            [],
            color=INK,
            marker="|" if scaled else "",
            linewidth=0 if scaled else 1.3,
            markersize=9,
            label="95 % Monte Carlo interval",
        )
    )
    if oc.table["closed_form"].notna().any():
        legend.append(
            Line2D(
                [],
                [],
                color=INK,
                linestyle="--" if scaled else "",
                marker="" if scaled else "|",
                markersize=11,
                linewidth=1,
                label="closed form",
            )
        )
    legend.append(Line2D([], [], color=INK, linestyle=":", linewidth=1, label="1 − threshold of the rule"))
    height = 3.6 if scaled else max(1.4, 0.34 * len(oc.cells) * max(map(len, groups.values())) + 0.9)
    figure = figure_of(oc, height, title, legend)
    for axes, (key, members) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        tidy(axes, grid="both")
        if numeric[key]:
            _against_truth(axes, oc, members, colours)
        else:
            _by_label(axes, oc, members, colours)
            axes.tick_params(labelleft=axes is figure.axes[0] or any(numeric.values()))
    return figure


def _against_truth(
    axes: Axes, oc: OperatingCharacteristics, members: Sequence[int], colours: dict[tuple[str, int], str]
) -> None:
    table, first = oc.table, oc.rules[members[0]]
    series = [(design, index) for design in oc.designs for index in members]
    # Side by side by a hair: bars of several designs at one truth would hide each other.
    steps = (np.arange(len(series)) - (len(series) - 1) / 2) * 0.007 * np.ptp(_rows(oc, table, *series[0])["true"])
    for step, (design, index) in zip(steps, series, strict=True):
        own = _rows(oc, table, design, index).sort_values("true")
        at, colour = own["true"] + step, colours[design, index]
        axes.errorbar(
            at,
            own["success"],
            yerr=_bars_of(own),
            fmt="o-",
            color=colour,
            markersize=4,
            linewidth=1.4,
            capsize=3,
            elinewidth=1.1,
        )
        axes.plot(at, own["closed_form"], "--", color=colour, linewidth=1.1)
    for threshold in {oc.rules[index].probability for index in members}:
        axes.axhline(1 - threshold, color=INK, linestyle=":", linewidth=1)
    for value in {oc.rules[index].value for index in members}:
        axes.axvline(value, color=MARKED, linestyle=":", linewidth=1)
    axes.margins(x=0.06)
    axes.set(ylim=(-0.03, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    said = asked(oc, first).axis("mean true value: " if _varies(oc, members[0]) else "true value: ")
    axes.set_xlabel(_broken(axes, said), size=SMALL)
    axes.set_ylabel("share of trials that meet the rule", size=SMALL)


def _by_label(
    axes: Axes, oc: OperatingCharacteristics, members: Sequence[int], colours: dict[tuple[str, int], str]
) -> None:
    """A line of the panel for each truth: where its value is not known, or varies."""
    truths = list(dict.fromkeys(truth for _, truth in oc.cells))
    series = [(design, index) for design in oc.designs for index in members]
    steps = np.linspace(-0.28, 0.28, len(series)) if len(series) > 1 else [0.0]
    for step, (design, index) in zip(steps, series, strict=True):
        own = _rows(oc, oc.table, design, index)
        at = np.array([truths.index(truth) for truth in own.index.get_level_values("truth")]) + step
        colour = colours[design, index]
        axes.errorbar(own["success"], at, xerr=_bars_of(own), fmt="o", color=colour, markersize=5, capsize=3, elinewidth=1.3)  # fmt: skip
        axes.plot(own["closed_form"], at, "|", color=INK, markersize=12)
        for y, (_, row) in zip(at, own.iterrows(), strict=True):
            side = "left" if row["success"] < 0.1 else "right" if row["success"] > 0.9 else "center"
            axes.annotate(f"{row['what']} {row['success']:.1%}", (row["success"], y), xytext=(0, 5), textcoords="offset points", ha=side,
                          size=SMALL, color=INK)  # fmt: skip
    for threshold in {oc.rules[index].probability for index in members}:
        axes.axvline(1 - threshold, color=INK, linestyle=":", linewidth=1)
    axes.set(xlim=(-0.06, 1.06), ylim=(len(truths) - 0.4, -0.6), yticks=range(len(truths)))
    axes.set_yticklabels([wrapped(truth, 34) for truth in truths])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel(
        _broken(axes, f"share of trials that meet the rule\n{asked(oc, oc.rules[members[0]]).what}"), size=SMALL
    )


def _broken(axes: Axes, text: str) -> str:
    """Text of several lines, each no wider than the panel."""
    grid = axes.get_subplotspec()
    width = 100 // (1 if grid is None else grid.get_gridspec().ncols)
    return "\n".join(wrapped(line, width) for line in text.split("\n"))


def _on_a_scale(oc: OperatingCharacteristics, members: Sequence[int]) -> bool:
    """Whether the true values of a line are known and differ from truth to truth: else labels tell truths apart."""
    for design in oc.designs:
        for index in members:
            own = _rows(oc, oc.table, design, index)
            true = own["true"].to_numpy(float)
            if (
                not np.isfinite(true).all()
                or (own["what"] == "assurance").any()
                or len(np.unique(true.round(9))) < max(len(true), 2)
            ):
                return False
    return True


def _varies(oc: OperatingCharacteristics, index: int) -> bool:
    """Whether the true value differs between the trials of a cell, as where the rest of the truth is a posterior."""
    true = oc.estimates(rule=index).groupby(["design", "truth"])["true"].agg(["min", "max"])
    return not np.allclose(true["min"], true["max"])


def _rows(oc: OperatingCharacteristics, table: pd.DataFrame, design: str, index: int) -> pd.DataFrame:
    """Rows of one design and rule, by place: labels of rules may be alike."""
    chosen = table.iloc[index :: len(oc.rules)]
    return chosen[chosen.index.get_level_values("design") == design]


def _bars_of(own: pd.DataFrame) -> np.ndarray:
    return np.clip(np.array([own["success"] - own["lower"], own["upper"] - own["success"]]), 0, None)


def _named(oc: OperatingCharacteristics, design: str, index: int) -> str:
    words = [design] * (len(oc.designs) > 1) + [repr(oc.rules[index])] * (len(oc.rules) > 1)
    return plain(", ".join(words))
