"""Figures of operating characteristics: success against the truth, what trials estimate, and where they stop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from progression.characteristics import OperatingCharacteristics
from progression.faults import SettingError, setting_fault
from progression.plots.style import ARM_COLOURS, FAINT, INK, MARKED, SMALL, framed, plain, shortened, tidy, wrapped
from progression.plots.words import asked, rounded

__all__ = ["doubts", "estimates", "power", "simulated_by", "stopping"]

_SERIES = (*ARM_COLOURS[1:], ARM_COLOURS[0])
_SHOWN = 12  # panels: more are a table's business
SUCCESS, GOING_ON, FUTILITY = ARM_COLOURS[1], FAINT, ARM_COLOURS[2]


def power(oc: OperatingCharacteristics) -> Figure:
    """How often rules are met, against the value that is true of their estimand.

    Parameters
    ----------
    oc : OperatingCharacteristics

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each estimand that rules are about. Points are shares of simulated trials, bars their 95 % Monte Carlo intervals (Wilson),
        a line for each design and rule; dashed the closed form, where there is one; dotted, one minus the rule's threshold, where
        type I error would lie if the posterior were that of a normal estimate and a flat prior. Truths without a value of their own
        (drawn from patients, a prior or a posterior) stand side by side under their labels.
    """
    groups: dict[tuple[str, object], list[int]] = {}
    for index, rule in enumerate(oc.rules):
        groups.setdefault((rule.estimand, rule.labels), []).append(index)
    series = [(design, index) for design in oc.designs for index in range(len(oc.rules))]
    colours = {one: _SERIES[i % len(_SERIES)] for i, one in enumerate(series)}
    legend: list[Artist] = [
        Line2D([], [], color=colours[one], marker="o", markersize=4, label=_named(oc, *one))
        for one in (series if len(series) > 1 else ())
    ]
    legend.append(Line2D([], [], color=INK, marker="|", linewidth=0, markersize=9, label="95 % Monte Carlo interval"))
    if oc.table["closed_form"].notna().any():
        legend.append(Line2D([], [], color=INK, linestyle="--", linewidth=1, label="closed form"))
    legend.append(Line2D([], [], color=INK, linestyle=":", linewidth=1, label="1 − threshold of the rule"))
    title = "How often the rule is met, by what is true" + (f": {oc.rules[0]}" if len(oc.rules) == 1 else "")
    numeric = {key: _on_a_scale(oc, members) for key, members in groups.items()}
    rows = max(len(oc.cells) for _ in groups)
    height = 3.6 if all(numeric.values()) else max(1.4, 0.34 * rows * max(map(len, groups.values())) + 0.9)
    figure = _figure(oc, height, title, legend)
    for axes, (key, members) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        tidy(axes, grid="both")
        if numeric[key]:
            _against_truth(axes, oc, members, colours)
        else:
            _by_label(axes, oc, members, colours)
    return figure


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
    _check_rule(oc, rule)
    one = oc.rules[rule]
    cells = oc.cells[:_SHOWN]
    tables = [oc.estimates(*cell, rule=rule) for cell in cells]
    every = pd.concat(tables)
    marks = [one.value, *every["true"].dropna().quantile([0.001, 0.999])]
    low, high = min(every["estimate"].quantile(0.001), *marks), max(every["estimate"].quantile(0.999), *marks)
    room = 0.03 * (high - low) or 1.0
    edges = np.linspace(low - room, high + room, int(np.clip(2 * np.sqrt(len(tables[0])), 15, 60)) + 1)
    legend: list[Artist] = [Patch(color=SUCCESS, label="rule met"), Patch(color="#B8BDC3", label="not met")]
    if every["true"].notna().any():
        legend.append(Line2D([], [], color=INK, linewidth=1.8, label="true value"))
    legend.append(Line2D([], [], color=MARKED, linestyle=":", linewidth=1.4, label=f"value in the rule, {one.value:g}"))
    figure = _figure(
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
        axes.hist(
            [inside[table["success"]], inside[~table["success"]]], bins=edges, stacked=True, color=[SUCCESS, "#B8BDC3"]
        )
        _mark_truth(axes, table["true"].to_numpy(float), edges)
        axes.axvline(one.value, color=MARKED, linestyle=":", linewidth=1.4)
        spread = float(table["estimate"].std())
        axes.set_title(f"{_cell(oc, cell, 70)}: mean {rounded(float(table['estimate'].mean()), spread)}, met in {table['success'].mean():.1%}",
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
    _check_rule(oc, rule)
    cells = oc.cells[:_SHOWN]
    columns = min(len(cells), 3)
    lines = -(-len(cells) // columns)
    legend: list[Artist] = [Patch(color=SUCCESS, label="success"), Patch(color=GOING_ON, label="going on; at the end, rule not met"),
                            Patch(color=FUTILITY, label="stopped for futility")]  # fmt: skip
    figure = _figure(oc, 2.3 * lines, f"Where trials stop: share of all trials by each analysis; {oc.rules[rule]}", legend,
                     left_out=len(oc.cells) - len(cells))  # fmt: skip
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    by_look = oc.by_look
    for axes, cell in zip(panels, cells, strict=False):
        # Two rules may read alike; the looks of the one asked for come in the order of the rules.
        own = by_look.loc[cell]
        looks = own.index.get_level_values("look").nunique()
        _bars(tidy(axes), own.iloc[rule * looks : (rule + 1) * looks].droplevel("rule"))
        axes.set_title(_cell(oc, cell, 42), size=SMALL, loc="left")
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("share of trials", size=SMALL)
    return figure


def _against_truth(
    axes: Axes, oc: OperatingCharacteristics, members: Sequence[int], colours: dict[tuple[str, int], str]
) -> None:
    table, first = oc.table, oc.rules[members[0]]
    for design in oc.designs:
        for index in members:
            own = _rows(oc, table, design, index).sort_values("true")
            colour = colours[design, index]
            axes.errorbar(own["true"], own["success"], yerr=_bars_of(own), fmt="o-", color=colour, markersize=4, linewidth=1.4, capsize=3,
                          elinewidth=1.1)  # fmt: skip
            axes.plot(own["true"], own["closed_form"], "--", color=colour, linewidth=1.1)
    for threshold in {oc.rules[index].probability for index in members}:
        axes.axhline(1 - threshold, color=INK, linestyle=":", linewidth=1)
    for value in {oc.rules[index].value for index in members}:
        axes.axvline(value, color=MARKED, linestyle=":", linewidth=1)
    axes.margins(x=0.06)
    axes.set(ylim=(-0.03, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel(plain(asked(oc, first).axis("true value: ")), size=SMALL)
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
            axes.annotate(f"{row['what']} {row['success']:.1%}", (row["success"], y), xytext=(0, 7), textcoords="offset points", ha="center",
                          size=SMALL, color=INK)  # fmt: skip
    for threshold in {oc.rules[index].probability for index in members}:
        axes.axvline(1 - threshold, color=INK, linestyle=":", linewidth=1)
    axes.set(xlim=(-0.06, 1.06), ylim=(len(truths) - 0.4, -0.6), yticks=range(len(truths)))
    axes.set_yticklabels([wrapped(truth, 34) for truth in truths])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel(f"share of trials that meet the rule; {plain(asked(oc, oc.rules[members[0]]).what)}", size=SMALL)


def _bars(axes: Axes, own: pd.DataFrame) -> None:
    at = np.arange(len(own))
    success, futility = own["success"].cumsum().to_numpy(), own["futility"].cumsum().to_numpy()
    rest = np.clip(1 - success - futility, 0, 1)
    for bottom, height, colour, ink in (
        (0 * rest, success, SUCCESS, "white"),
        (success, rest, GOING_ON, INK),
        (success + rest, futility, FUTILITY, INK),
    ):
        axes.bar(at, height, bottom=bottom, color=colour, width=0.72, edgecolor="white", linewidth=0.6)
        for x, low, size in zip(at, bottom, height, strict=True):
            if size >= 0.07:
                axes.text(x, low + size / 2, f"{size:.0%}", ha="center", va="center", size=SMALL, color=ink)
    names = ["end" if row["final"] else f"look {look}" for look, (_, row) in enumerate(own.iterrows(), start=1)]
    words = [
        f"{name}\nmonth {row['month']:.1f}\nn = {row['patients']:.0f}"
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


def _on_a_scale(oc: OperatingCharacteristics, members: Sequence[int]) -> bool:
    """Whether every truth has one value of its own, and they are not all the same."""
    own = pd.concat([_rows(oc, oc.table, design, index) for design in oc.designs for index in members])
    return bool(np.isfinite(own["true"]).all()) and own["true"].nunique() > 1 and not (own["what"] == "assurance").any()


def _rows(oc: OperatingCharacteristics, table: pd.DataFrame, design: str, index: int) -> pd.DataFrame:
    """Rows of one design and rule, by place: labels of rules may be alike."""
    chosen = table.iloc[index :: len(oc.rules)]
    return chosen[chosen.index.get_level_values("design") == design]


def _bars_of(own: pd.DataFrame) -> np.ndarray:
    return np.clip(np.array([own["success"] - own["lower"], own["upper"] - own["success"]]), 0, None)


def _named(oc: OperatingCharacteristics, design: str, index: int) -> str:
    words = [design] * (len(oc.designs) > 1) + [repr(oc.rules[index])] * (len(oc.rules) > 1)
    return plain(", ".join(words))


def _cell(oc: OperatingCharacteristics, cell: tuple[str, str], width: int) -> str:
    return shortened(f"{cell[0]}: {cell[1]}" if len(oc.designs) > 1 else cell[1], width)


def simulated_by(oc: OperatingCharacteristics) -> str:
    """Where the numbers come from, as it stands below every figure."""
    return f"{oc.records.n:,} SIMULATED trials for each design and truth, analysed by {oc.settings['model']}"


def doubts(oc: OperatingCharacteristics) -> tuple[str, ...]:
    """What failed or was flagged, and between what success would lie under both extreme treatments of it."""
    table = oc.table
    found = []
    for (design, truth), own in table[(table["failed"] > 0) | (table["flagged"] > 0)].groupby(
        level=["design", "truth"], sort=False
    ):
        row = own.iloc[int(own["flagged"].argmax())]
        found.append(f"{f'{design}, ' if len(oc.designs) > 1 else ''}{truth}: of {oc.records.n:,} trials {row['failed']:.0f} failed and {row['flagged']:.0f} were "
                     f"flagged; success lies between {row['if_flagged_fail']:.1%} and {row['if_flagged_succeed']:.1%} however they are counted")  # fmt: skip
    return tuple(found)


def _figure(
    oc: OperatingCharacteristics, height: float, title: str, legend: Sequence[Artist], *, left_out: int = 0
) -> Figure:
    told = [f"WARNING: {text}" for text in doubts(oc)]
    told = (
        told if len(told) <= 3 else [*told[:2], f"WARNING: so in {len(told)} of {len(oc.cells)} cells: see the table"]
    )
    told += [f"{left_out} more designs and truths are not drawn: see the table"] * (left_out > 0)
    return framed(height, title, source=simulated_by(oc), problems=told, legend=legend)


def _check_rule(oc: OperatingCharacteristics, rule: int) -> None:
    if isinstance(rule, bool) or not isinstance(rule, int | np.integer) or not 0 <= rule < len(oc.rules):
        raise SettingError([setting_fault("rule", rule, "is not the place of a rule", f"give 0 to {len(oc.rules) - 1}")])  # fmt: skip
