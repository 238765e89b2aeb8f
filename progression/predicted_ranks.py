"""CAFS of the cohorts that a fit predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from progression.faults import Fault, SettingError, check_count, is_number, setting_fault, suggest
from progression.fitted import Fit
from progression.wins_by_draw import win_probability

# Name of the observed variable that a model with a survival part predicts times of death in.
DEATH = "death"


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
