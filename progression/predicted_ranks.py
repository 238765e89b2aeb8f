"""CAFS of predicted cohorts: the win probability of every draw of scores and times of death."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from progression.faults import Fault, SettingError, check_count, is_number, setting_fault, suggest
from progression.fitted import Fit
from progression.pairs import Courses, share_won

# Name of the observed variable that a model with a survival part predicts times of death in.
DEATH = "death"


def win_probability(
    scores: xr.DataArray, arm: Sequence[str] | xr.DataArray, *, control: str, death: xr.DataArray | None = None,
    followed: xr.DataArray | None = None, higher_is_better: bool = True,
) -> xr.DataArray:  # fmt: skip
    """Probability that a patient of each arm does better than a control, by the rule of CAFS, draw by draw.

    Parameters
    ----------
    scores : xarray.DataArray, dims (sample, subject, month)
        Scores at planned visits, the first of which is the baseline; NaN where none was taken. The last month is the
        horizon. Scores after a patient's death are ignored.
    arm : sequence of str, one a subject
    control : str
        The arm that the others are compared with.
    death : xarray.DataArray, dims (sample, subject), optional
        Months of death; NaN, infinity or beyond the horizon where the patient is alive at it. None dies if omitted.
    followed : xarray.DataArray, dims (sample, subject) or (subject), optional
        Last month each patient was watched; the horizon where omitted. Deaths and scores after it are not known.
    higher_is_better : bool

    Returns
    -------
    xarray.DataArray, dims (sample, arm)
        P(win) + P(tie)/2 over the pairs of that draw. Arms in the order in which they first appear.

    Raises
    ------
    SettingError
        For other dims, an unknown control or a single arm.

    Notes
    -----
    The pairs are compared as in `progression.cafs`. Where every patient who is alive at the horizon has a score there, the
    patients stand in one order (deaths by time, then change), and draws take time in proportion to n log n.
    """
    labels = np.asarray(arm).astype(str)
    _check_arrays(scores, labels, control, death, followed)
    value = scores.transpose("sample", "subject", "month").to_numpy().astype(float)
    months = scores["month"].to_numpy().astype(float)
    n_samples, n = value.shape[:2]
    horizon = months[-1]
    watched = _spread(followed, n_samples, n, horizon)
    dead = _spread(death, n_samples, n, np.inf)
    dead = np.where(dead <= np.minimum(horizon, watched), dead, np.inf)  # NaN: alive
    gone = months > np.minimum(dead, watched)[:, :, None]
    sign = 1.0 if higher_is_better else -1.0
    change = sign * (np.where(gone, np.nan, value)[:, :, 1:] - value[:, :, :1])
    treated = [label for label in dict.fromkeys(labels) if label != control]
    found = np.empty((n_samples, len(treated)))
    ordered = _in_one_order(change, dead, watched >= horizon)
    for column, label in enumerate(treated):
        own, other = labels == label, labels == control
        found[ordered, column] = _by_rank(dead[ordered], change[ordered, :, -1], own, other)
        for at in np.flatnonzero(~ordered):
            courses = Courses.of(change[at], dead[at], np.minimum(watched[at], horizon))
            found[at, column] = share_won(courses.part(own), courses.part(other))
    coords: dict[str, Any] = {"arm": treated}
    if "sample" in scores.coords:
        coords["sample"] = scores["sample"]
    what = f"P(does better than {control}) + P(tie)/2, survival first, then change by month {horizon:g}"
    return xr.DataArray(found, dims=("sample", "arm"), coords=coords, name="win_probability", attrs={"long_name": what})


def _in_one_order(change: np.ndarray, dead: np.ndarray, watched: np.ndarray) -> np.ndarray:
    """Draws whose patients stand in one order: the living all seen at the horizon, no two deaths at once."""
    alive = np.isinf(dead)
    seen = (np.isfinite(change[:, :, -1]) & watched) | ~alive
    times = np.sort(dead, axis=1)
    apart = (times[:, 1:] > times[:, :-1]) | np.isinf(times[:, 1:])
    return seen.all(axis=1) & apart.all(axis=1)


def _by_rank(dead: np.ndarray, change: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of pairs won from midranks (Mann and Whitney 1947): the dead by time, then the living by change."""
    both = own | other
    alive = np.isinf(dead[:, both])
    # Differences below a billionth are rounding, here as in `Courses.of`.
    living = stats.rankdata(np.where(alive, np.round(change[:, both], 9), -np.inf), axis=1)
    rank = np.where(alive, living, stats.rankdata(dead[:, both], axis=1))
    m, n = int(own.sum()), int(other.sum())
    return np.asarray((rank[:, own[both]].sum(axis=1) - m * (m + 1) / 2) / (m * n))


def _spread(given: xr.DataArray | None, n_samples: int, n: int, default: float) -> np.ndarray:
    if given is None:
        return np.full((n_samples, n), default)
    dims = ("sample", "subject") if "sample" in given.dims else ("subject",)
    return np.broadcast_to(given.transpose(*dims).to_numpy().astype(float), (n_samples, n))


def _check_arrays(
    scores: xr.DataArray, labels: np.ndarray, control: str, death: xr.DataArray | None, followed: xr.DataArray | None
) -> None:
    faults = []
    if set(scores.dims) != {"sample", "subject", "month"}:
        faults.append(setting_fault("scores", tuple(scores.dims), "has other dims", "give sample, subject, month"))
        raise SettingError(faults)
    months = np.asarray(scores["month"].to_numpy(), float) if "month" in scores.coords else np.zeros(0)
    if len(months) < 2 or not (np.diff(months) > 0).all():
        faults.append(setting_fault("scores", months.tolist(), "has no increasing months from baseline on",
                                    "give the coordinate month, the baseline first"))  # fmt: skip
    if labels.shape != (scores.sizes["subject"],):
        faults.append(setting_fault("arm", labels.shape, "is not one label a subject", "give one for each"))
    elif control not in labels:
        faults.append(
            setting_fault(
                "control", control, f"is the arm of no subject{suggest(control, np.unique(labels))}", "name one"
            )
        )
    elif len(np.unique(labels)) < 2:
        faults.append(setting_fault("arm", control, "is the only arm", "give two arms or more"))
    for name, given, allowed in (
        ("death", death, [{"sample", "subject"}]),
        ("followed", followed, [{"sample", "subject"}, {"subject"}]),
    ):
        if given is None:
            continue
        if set(given.dims) not in allowed:
            faults.append(setting_fault(name, tuple(given.dims), "has other dims", "give sample, subject"))
        elif any(given.sizes[dim] != scores.sizes[dim] for dim in given.dims):
            faults.append(
                setting_fault(
                    name, dict(given.sizes), "has other sizes than scores", "give the same draws and subjects"
                )
            )
    if faults:
        raise SettingError(faults)


@dataclass(frozen=True, eq=False, repr=False)
class PredictedCafs:
    """Win probabilities of cohorts that a fit predicts.

    Attributes
    ----------
    win_probability : xarray.DataArray, dims (sample, arm)
        One predicted cohort a sample. Its spread is that of the posterior and that of so many patients together.
    month : float
        The horizon.
    patients : mapping of str to int
        Patients of each arm in a predicted cohort.
    new : bool
        Whether they are new patients; else the cohort's own.
    deaths : xarray.DataArray or None
        Share of each arm that died by the horizon, dims (sample, arm); None for a model that predicts no deaths.
    fit : Fit
    """

    win_probability: xr.DataArray
    month: float
    patients: Mapping[str, int]
    new: bool
    deaths: xr.DataArray | None
    fit: Fit = field(repr=False)

    def summary(self, *, ci_prob: float = 0.95) -> pd.DataFrame:
        """Mean, median and equal-tailed interval of each arm's win probability, and how often it exceeds one half."""
        tail = (1 - ci_prob) / 2
        rows = {}
        for label in self.win_probability["arm"].to_numpy().tolist():
            one = self.win_probability.sel(arm=label).to_numpy()
            low, middle, high = np.quantile(one, [tail, 0.5, 1 - tail])
            rows[label] = {"mean": one.mean(), "sd": one.std(ddof=1), "median": middle, "lower": low, "upper": high,
                           "share above 1/2": np.mean(one > 0.5) + 0.5 * np.mean(one == 0.5)}  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")

    def __repr__(self) -> str:
        who = "new patients" if self.new else "the cohort's own patients"
        sizes = ", ".join(f"{label} {count}" for label, count in self.patients.items())
        control = self.fit.cohort.arms[0]
        lines = [f"CAFS predicted by {self.fit.header()}",
                 f"  {self.win_probability.sizes['sample']} cohorts of {who} ({sizes}), to month {self.month:g}"]  # fmt: skip
        for label, row in self.summary().iterrows():
            lines.append(f"  P({label} does better than {control}) = {row['mean']:.3f} (95 % of the cohorts {row['lower']:.3f} to "
                         f"{row['upper']:.3f})")  # fmt: skip
        if self.deaths is None:
            lines.append("  this model predicts no deaths: function alone decides, as if nobody died")
        else:
            shares = ", ".join(
                f"{label} {float(self.deaths.sel(arm=label).mean()):.0%}" for label in self.deaths["arm"].to_numpy()
            )
            lines.append(f"  died by then, on average: {shares}")
        return "\n".join(lines)


def predicted_cafs(
    fit: Fit, *, month: float | None = None, outcome: str | None = None,
    new_patients: Mapping[str, int] | bool | None = True, draws: int = 500, random_seed: int | None = None,
) -> PredictedCafs:  # fmt: skip
    """CAFS of the cohorts that a fit predicts: one win probability a posterior draw.

    Parameters
    ----------
    fit : Fit
    month : float, optional
        Horizon, months from baseline; the cohort's last visit by default.
    outcome : str, optional
        The score, where the model has several outcomes.
    new_patients : mapping of arm to int, or bool
        Patients of each arm in a predicted cohort; True for as many new ones as the cohort has, False for the cohort's own.
        With many the spread that is left is that of the posterior.
    draws : int
        Number of posterior draws, hence of predicted cohorts.
    random_seed : int, optional
        The fit's own unless given.

    Returns
    -------
    PredictedCafs

    Raises
    ------
    SettingError
        For an unknown outcome, a month that is not after the start, or a cohort of one arm.

    Notes
    -----
    Nobody leaves a predicted cohort but by death, so that baseline and horizon are all the visits that matter. Deaths are
    taken from the observed variable named "death" where the model has one: months, dims (sample, subject). A model without
    it predicts what function alone would say. See `win_probability` for the rule.
    """
    faults = []
    if not isinstance(fit, Fit):
        raise SettingError([setting_fault("fit", type(fit).__name__, "is not a Fit", "give what pg.fit returned")])
    check_count("draws", draws)
    cohort = fit.cohort
    until = float(cohort.visits["month"].max()) if month is None else month
    if not is_number(until) or until <= 0:
        faults.append(setting_fault("month", month, "is not a month after the start", "give a positive number"))
    if len(cohort.arms) < 2:
        faults.append(
            setting_fault("fit", cohort.arms[0], "has one arm only: nobody to compare with", "fit a cohort of two arms")
        )
    blocks = {block: [one.name for one in members] for block, members in fit.encoded().blocks.items() if block != DEATH}
    named = {name: block for block, names in blocks.items() for name in names}
    chosen = outcome or next(iter(named))
    if chosen not in named:
        faults.append(
            setting_fault("outcome", outcome, f"is no outcome of the fit{suggest(outcome, named)}", "name one")
        )
    sizes = cohort.subjects["arm"].value_counts()
    wanted = (
        {label: int(sizes[label]) for label in cohort.arms if label in sizes}
        if new_patients is True
        else new_patients or None
    )
    if isinstance(wanted, Mapping) and not faults and (cohort.arms[0] not in wanted or len(wanted) < 2):
        faults.append(
            setting_fault(
                "new_patients", dict(wanted), f"needs the control {cohort.arms[0]!r} and another arm", "give both"
            )
        )
    if faults:
        raise SettingError(faults)
    predicted = fit.predict([0.0, float(until)], new_patients=wanted, draws=draws, random_seed=random_seed)
    block = named[chosen]
    scores = predicted[block]
    inner = [dim for dim in scores.dims if dim not in ("sample", "subject", "month")]
    if inner:
        scores = scores.sel({inner[0]: chosen}, drop=True)
    labels = (
        cohort.subjects["arm"].tolist()
        if wanted is None
        else [label for label, count in wanted.items() for _ in range(count)]
    )
    facts = next(one for one in fit.encoded().blocks[block] if one.name == chosen)
    death = _death(predicted)
    found = win_probability(scores, labels, control=cohort.arms[0], death=death,
                            higher_is_better=facts.higher_is_better is not False)  # fmt: skip
    patients = {label: labels.count(label) for label in cohort.arms if label in labels}
    died = None
    if death is not None:
        shares = {
            label: (death <= until).isel(subject=np.flatnonzero(np.array(labels) == label)).mean("subject")
            for label in patients
        }
        died = xr.concat(list(shares.values()), dim=pd.Index(list(shares), name="arm")).transpose("sample", "arm")
    return PredictedCafs(
        win_probability=found, month=float(until), patients=patients, new=wanted is not None, deaths=died, fit=fit
    )


def _death(predicted: xr.Dataset) -> xr.DataArray | None:
    """Predicted months of death, if the model has any; refused where they come in a form that is not understood."""
    if DEATH not in predicted:
        return None
    found = predicted[DEATH]
    if set(found.dims) != {"sample", "subject"}:
        what = f"the predicted variable {DEATH!r} has dims {', '.join(map(str, found.dims))}"
        raise SettingError([
            Fault(what=what, remedy="a model must predict one time of death a patient: dims sample, subject", table="setting")
        ])  # fmt: skip
    return found
