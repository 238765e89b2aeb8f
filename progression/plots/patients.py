"""Figures of patients over time: their data with predictive bands, and what priors imply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from progression.faults import check_type
from progression.fitted import Fit
from progression.outcomes import Outcome
from progression.plots.style import (
    INK,
    MEDIUM,
    SMALL,
    arm_colour,
    in_time_unit,
    new_figure,
    outcome_axis,
    shortened,
    tidy,
    time_axis,
)  # fmt: skip

MOST_PANELS = 24
_PANELS_A_ROW = 6
# New patients of each arm behind one band, and residuals drawn at each month: fewer would leave the band's edge ragged.
_NEW_PATIENTS, _REPEATS = 20, 5
_KEY = "#7F8890"
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One outcome of a fit: its rows and how far its scale goes."""

    block: str
    outcome: Outcome
    rows: pd.DataFrame
    upper: float | None


def trajectories(fit: Fit, *, draws: int = 400, random_seed: int | None = None) -> Figure:
    """Each patient's data with posterior predictive bands.

    Parameters
    ----------
    fit : Fit
    draws : int
        Number of posterior draws behind the bands.
    random_seed : int, optional
        The fit's own unless given.

    Returns
    -------
    matplotlib.figure.Figure
        Up to 24 patients: a panel each, by arm, with the 50 % and 90 % bands of the patient's own predictions. More
        patients: their lines by arm, with the same bands for a new patient of that arm. Models with effects by visit
        are drawn at their planned visits only, others over a grid of months. Open triangles are values known only to
        lie below the limit.
    """
    check_type("fit", fit, Fit, "give what pg.fit or pg.load returned")
    by_visit = "visits" in fit.model.needs
    parts = _outcomes(fit)
    months = _months(fit, by_visit)
    repeated = np.repeat(months, 1 if by_visit else _REPEATS)
    single = fit.cohort.n_subjects <= MOST_PANELS
    new = None if single else dict.fromkeys(fit.cohort.arms, _NEW_PATIENTS)
    predicted = fit.predict(list(repeated), new_patients=new, draws=draws, random_seed=random_seed)
    return (_one_by_one if single else _together)(fit, parts, predicted, months, by_visit)


def _outcomes(fit: Fit) -> list[_Drawn]:
    encoded, found = fit.encoded(), []
    for block, members in encoded.blocks.items():
        column = {
            name: encoded.arrays[f"{block}_{name}"][1]
            for name in ("subject", "month", "value", "censored", "outcome", "upper")
        }
        rows = pd.DataFrame(column)
        rows["subject"] = np.array(encoded.coords["subject"], dtype=object)[rows["subject"].to_numpy()]
        for index, outcome in enumerate(members):
            own = rows[rows["outcome"] == index].sort_values(["subject", "month"])
            top = own["upper"].max()
            found.append(_Drawn(block, outcome, own, float(top) if np.isfinite(top) else None))
    return found


def _months(fit: Fit, by_visit: bool) -> np.ndarray:
    if by_visit:
        return np.asarray(fit.encoded().coords["visit"], float)
    seen = fit.cohort.visits["month"]
    return np.linspace(min(seen.min(), 0.0), seen.max(), 17)


def _quantiles(part: _Drawn, predicted: xr.Dataset, months: np.ndarray, subjects: list[str]) -> np.ndarray:
    """Quantiles at each month over draws, repeats and the given subjects, shape (levels, months)."""
    array = predicted[part.block]
    inner = [dim for dim in array.dims if dim not in ("sample", "subject", "month")]
    if inner:
        array = array.sel({inner[0]: part.outcome.name})
    values = array.sel(subject=subjects).transpose("month", "sample", "subject").to_numpy()
    return np.quantile(values.reshape(len(months), -1), _LEVELS, axis=1)


def _band(axes: Axes, fit: Fit, months: np.ndarray, q: np.ndarray, colour: str, by_visit: bool) -> None:
    times = in_time_unit(fit.cohort, months)
    if by_visit:
        wide = 0.045 * np.ptp(times)
        for alpha, low, high in ((0.2, 0, 4), (0.33, 1, 3)):
            axes.bar(
                times,
                q[high] - q[low],
                bottom=q[low],
                width=2 * wide,
                color=colour,
                alpha=alpha,
                linewidth=0,
                zorder=1,
            )
        axes.hlines(q[2], times - wide, times + wide, color=colour, linewidth=1.8, zorder=2)
    else:
        axes.fill_between(times, q[0], q[4], color=colour, alpha=0.18, linewidth=0, zorder=1)
        axes.fill_between(times, q[1], q[3], color=colour, alpha=0.3, linewidth=0, zorder=1)
        axes.plot(times, q[2], color=colour, linewidth=1.8, zorder=5)


def _points(
    axes: Axes, fit: Fit, own: pd.DataFrame, *, line: float, size: float, colour: str, alpha: float = 1.0
) -> None:
    times, value, censored = (
        in_time_unit(fit.cohort, own["month"].to_numpy()),
        own["value"].to_numpy(),
        own["censored"].to_numpy(),
    )
    axes.plot(times, value, color=colour, linewidth=line, alpha=alpha, zorder=3)
    # An empty line that may leave its axes has an endless extent, which no layout can hold.
    seen = ~censored
    if seen.any():
        axes.plot(times[seen], value[seen], "o", color=colour, markersize=size, alpha=alpha, zorder=4, clip_on=False)
    if censored.any():
        below, open_ = size + 2, {"markerfacecolor": "white", "markeredgecolor": colour}
        axes.plot(times[censored], value[censored], "v", markersize=below, zorder=4, clip_on=False, **open_)  # type: ignore[arg-type]


def _panels_a_row(sizes: list[int]) -> int:
    """The fewest panels side by side that need no more rows than the most would."""
    rows = [sum(-(-size // width) for size in sizes) for width in range(1, _PANELS_A_ROW + 1)]
    return max(rows.index(min(rows)) + 1, min(3, max(sizes)))


def _one_by_one(fit: Fit, parts: list[_Drawn], predicted: xr.Dataset, months: np.ndarray, by_visit: bool) -> Figure:
    cohort = fit.cohort
    members = {arm: list(cohort.subjects.index[cohort.subjects["arm"] == arm]) for arm in cohort.arms}
    across = _panels_a_row([len(own) for own in members.values()])
    plan = [
        (part, arm, own[i : i + across])
        for part in parts
        for arm, own in members.items()
        for i in range(0, len(own), across)
    ]
    legend = _legend(parts, "predicted for this patient", by_visit)
    title = f"{fit.model.name}: each patient's data with predictions from the fit"
    figure = new_figure(1.6 * len(plan) + 0.1, fit, title, legend=legend)
    grid = figure.subplots(len(plan), across, squeeze=False)
    for row, (part, arm, own) in enumerate(plan):
        bands = {s: _quantiles(part, predicted, months, [s]) for s in members[arm]}
        everyone = np.concatenate(
            [_quantiles(part, predicted, months, [s])[[0, 4]].ravel() for s in cohort.subjects.index]
        )
        for column, axes in enumerate(grid[row]):
            if column >= len(own):
                axes.set_axis_off()
                continue
            subject = own[column]
            _band(axes, fit, months, bands[subject], arm_colour(cohort, arm), by_visit)
            _points(axes, fit, part.rows[part.rows["subject"] == subject], line=0.7, size=4, colour=INK)
            outcome_axis(tidy(axes), part.outcome, part.rows["value"].to_numpy(), everyone, upper=part.upper)
            last = row + 1 == len(plan) or column >= len(plan[row + 1][2])
            time_axis(axes, cohort, _ticks(fit, months, by_visit), named=last)
            who = f"patient {subject}" if len(cohort.arms) == 1 else f"{subject[:12]}, {arm}"
            who = shortened(who, 22 if across > 4 else 30)
            axes.set_title(who, size=SMALL, color=arm_colour(cohort, arm), weight="bold", pad=3)
            if column:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel(shortened(part.outcome.title, 24), size=SMALL)
    return figure


def _together(fit: Fit, parts: list[_Drawn], predicted: xr.Dataset, months: np.ndarray, by_visit: bool) -> Figure:
    cohort = fit.cohort
    legend = _legend(parts, "predicted for a new patient", by_visit)
    title = f"{fit.model.name}: patients by arm, with predictions for a new patient"
    figure = new_figure(3.1 * len(parts) + 0.1, fit, title, legend=legend)
    grid = figure.subplots(len(parts), len(cohort.arms), squeeze=False, sharex=True)
    arm_of = cohort.subjects["arm"]
    fresh = np.array(predicted["subject"])
    for row, part, last in zip(grid, parts, [False] * (len(parts) - 1) + [True], strict=True):
        bands = {arm: _quantiles(part, predicted, months, list(fresh[i * _NEW_PATIENTS : (i + 1) * _NEW_PATIENTS]))
                 for i, arm in enumerate(cohort.arms)}  # fmt: skip
        edges = np.concatenate([q[[0, 4]].ravel() for q in bands.values()])
        for column, (axes, arm) in enumerate(zip(row, cohort.arms, strict=True)):
            own = part.rows[part.rows["subject"].map(arm_of) == arm]
            faint = float(np.clip(10 / max(own["subject"].nunique(), 1), 0.08, 0.4))
            for _, one in own.groupby("subject", sort=False):
                _points(axes, fit, one, line=0.7, size=2, colour=INK, alpha=faint)
            _band(axes, fit, months, bands[arm], arm_colour(cohort, arm), by_visit)
            outcome_axis(tidy(axes), part.outcome, part.rows["value"].to_numpy(), edges, upper=part.upper)
            time_axis(axes, cohort, _ticks(fit, months, by_visit), named=last)
            heading = f"{shortened(arm, 34)} (n = {own['subject'].nunique()})"
            axes.set_title(heading, size=MEDIUM, color=arm_colour(cohort, arm), weight="bold")
            if column:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel(shortened(part.outcome.title, 44), size=SMALL)
    return figure


def _ticks(fit: Fit, months: np.ndarray, by_visit: bool) -> np.ndarray:
    return months if by_visit else fit.cohort.visits["month"].to_numpy()


def _legend(parts: list[_Drawn], whose: str, by_visit: bool) -> list[Line2D | Patch]:
    shape = "bars" if by_visit else "bands"
    below = Line2D([], [], color=INK, marker="v", markerfacecolor="white", linewidth=0, label="below the limit")
    return [
        Line2D([], [], color=INK, marker="o", markersize=4, linewidth=0.7, label="observed"),
        *([below] if any(part.rows["censored"].any() for part in parts) else []),
        Patch(color=_KEY, alpha=0.6, linewidth=0, label=f"{whose} ({shape}): 50 %, line at the median"),
        Patch(color=_KEY, alpha=0.25, linewidth=0, label="90 %"),
    ]
