"""Figure of one simulated trial over calendar time: who enters when, how long each is followed, and when it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from progression.cohort import Cohort
from progression.design import Design
from progression.faults import SettingError, setting_fault
from progression.plots.style import INK, MARKED, SMALL, arm_colour, new_figure, tidy
from progression.simulating import outlined
from progression.trials import Trials

__all__ = ["trial"]

_COUNTS = {"have entered": INK, "being followed": "#9AA0A6", "information, % of all scores": MARKED}


@dataclass(frozen=True)
class _Shown:
    cohort: Cohort
    problems: tuple[str, ...] = ()


def trial(trials: Trials | Design, *, index: int = 0, random_seed: int = 1) -> Figure:
    """Accrual and follow-up of one simulated trial.

    Parameters
    ----------
    trials : Trials or Design
        From `simulate` or `resample`; a design alone shows what it says by itself, without the deaths of a model.
    index : int
        Which of the trials.
    random_seed : int
        Of the trial that is made of a design.

    Returns
    -------
    matplotlib.figure.Figure
        Above a line for each patient in order of entry, from entry to the end of follow-up, with a point for each visit that took
        place; below how many have entered, are being followed, and how much of the information is in. Interim looks are dashed lines.
        Historical controls were there before and are not drawn.

    Raises
    ------
    SettingError
        For a trial that is not there.
    """
    if isinstance(trials, Design):
        trials = outlined(trials, random_seed=random_seed)
    if not isinstance(trials, Trials):
        raise SettingError([setting_fault("trials", type(trials).__name__, "is neither trials nor a design", "give what pg.simulate made")])  # fmt: skip
    if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < len(trials):
        raise SettingError(
            [setting_fault("index", index, "is not the place of a trial", f"give 0 to {len(trials) - 1}")]
        )
    design, table = trials.design, _patients(trials, index)
    legend = [Line2D([], [], color=arm_colour(trials.cohort, arm), linewidth=2, label=arm) for arm in design.arms]
    legend.append(Line2D([], [], color=INK, marker=".", linewidth=0, markersize=5, label="visit"))
    if table["died"].any():
        legend.append(Line2D([], [], color=INK, marker="x", linewidth=0, markersize=6, label="death"))
    if table["left"].any():
        legend.append(Line2D([], [], color=INK, marker="|", linewidth=0, markersize=8, label="left the trial"))
    legend += [Line2D([], [], color=colour, linewidth=1.6, label=label) for label, colour in _COUNTS.items()]
    counts = [
        f"{int(table[column].sum())} {words}"
        for column, words in (("left", "left"), ("died", "died"))
        if table[column].any()
    ]
    before = sum(design.historical_sizes.values())
    counts += [f"{before} historical controls not drawn"] if before else []
    title = f"One simulated trial of {len(table)} patients over {float(table['end'].max()):.3g} months: {', '.join(counts) or 'all followed to the end'}"
    height = float(np.clip(0.035 * len(table), 1.6, 5.0))
    figure = new_figure(height + 2.1, _Shown(trials.cohort), title, legend=legend)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(height, 1.6))
    _swimmers(tidy(above, grid="x"), trials, table, index)
    _counts(tidy(below), trials, table, index)
    looks = [float(trials.month_of(look)[index]) for look in design.looks]
    for i, month in enumerate(looks, start=1):
        for axes in (above, below):
            axes.axvline(month, color=MARKED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=5)
        above.annotate(f"look {i}", (month, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -2), textcoords="offset points",
                       va="top", size=SMALL, color=MARKED, weight="bold",
                       bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85})  # fmt: skip
    return figure


def _patients(trials: Trials, index: int) -> pd.DataFrame:
    """Patients of one trial in order of entry: arm, entry and end in calendar months, whether they died or left."""
    subjects = trials.cohort.subjects
    entry, followed = trials.entry[index], trials.followed[index]
    last = trials.cohort.visits.groupby("subject")["month"].max().reindex(subjects.index).to_numpy(float)
    died = (trials.events["death"][index] > 0) if "death" in trials.events else np.zeros(len(subjects), bool)
    table = pd.DataFrame({"arm": subjects["arm"], "place": np.arange(len(subjects)), "entry": entry, "end": entry + followed, "died": died,
                          "left": ~died & (followed < last - 1e-9)}, index=subjects.index)  # fmt: skip
    return table[np.isfinite(entry)].sort_values("entry", kind="stable")


def _swimmers(axes: Axes, trials: Trials, table: pd.DataFrame, index: int) -> None:
    row = pd.Series(np.arange(1, len(table) + 1), table.index)
    calendar = trials.calendar[index]
    at = trials.cohort.visits["subject"].map(row).to_numpy(float)
    arm_of = trials.cohort.visits["subject"].map(trials.cohort.subjects["arm"]).to_numpy()
    size = float(np.clip(250 / len(table), 1.2, 4.0))
    for arm in trials.design.arms:
        own, colour = table["arm"] == arm, arm_colour(trials.cohort, arm)
        axes.hlines(
            row[own],
            table.loc[own, "entry"],
            table.loc[own, "end"],
            color=colour,
            linewidth=size / 2.2,
            alpha=0.5,
            zorder=2,
        )
        seen = np.isfinite(calendar) & (arm_of == arm)
        axes.plot(calendar[seen], at[seen], ".", color=colour, markersize=size + 1.5, zorder=3)
    for column, marker, large in (("died", "x", 5), ("left", "|", 7)):
        own = table[column]
        axes.plot(table.loc[own, "end"], row[own], marker, color=INK, markersize=large, zorder=4)
    axes.set_ylim(len(table) + 0.8, 0.2)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("patients, by entry", size=SMALL)
    axes.margins(x=0.015)


def _counts(axes: Axes, trials: Trials, table: pd.DataFrame, index: int) -> None:
    entry, end = np.sort(table["entry"].to_numpy()), np.sort(table["end"].to_numpy())
    month = np.unique(np.concatenate([entry, end, [0.0]]))
    entered = np.searchsorted(entry, month, side="right")
    followed = entered - np.searchsorted(end, month, side="right")
    colours = list(_COUNTS.values())
    for values, colour in ((entered, colours[0]), (followed, colours[1])):
        axes.step(month, values, where="post", color=colour, linewidth=1.6)
    axes.set(ylim=(0, 1.06 * len(table)))
    axes.set_ylabel("patients", size=SMALL)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("calendar month, from the entry of the first patient", size=SMALL)
    seen = np.sort(trials.calendar[index][np.isfinite(trials.calendar[index])])
    share = tidy(axes.twinx(), grid="")
    share.step(seen, 100 * np.arange(1, len(seen) + 1) / len(seen), where="post", color=colours[2], linewidth=1.3)
    share.set(ylim=(0, 106), yticks=[0, 50, 100])
    share.set_ylabel("%", size=SMALL, color=MARKED)
