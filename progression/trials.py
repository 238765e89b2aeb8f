"""Trials: simulated data sets of one design, with what happened in each and the truth behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from progression.cohort import Cohort
from progression.design import Design, Look
from progression.estimands import Facts
from progression.faults import CohortError, SettingError, setting_fault
from progression.modeling import Model
from progression.replicates import Replicates
from progression.trial_course import intervals, months_of_tests

__all__ = ["Origin", "Trials"]

_SAME_TIME = 1e-9  # months: a visit on the day of a look is known, whichever way its date was computed


@dataclass(frozen=True, eq=False)
class Origin:
    """Where simulated trials come from: the model, its parameters in each trial, and the facts that estimands ask for.

    Attributes
    ----------
    model : Model
    truth : xarray.Dataset
        Every population parameter, dims (data_set, ...), labels of the program's dims.
    facts : Facts
    """

    model: Model
    truth: xr.Dataset
    facts: Facts


@dataclass(frozen=True, eq=False, repr=False)
class Trials(Replicates):
    """Simulated trials of one design. Made by `simulate` and `resample`; `fit_many` takes them as they are.

    Attributes
    ----------
    cohort : Cohort
        All subjects and planned visits, real historical controls among them.
    values, events
        As in `Replicates`.
    design : Design
    entry : array, shape (trials, subjects)
        Calendar month of entry, 0 for the first patient of a trial; minus infinity for historical controls.
    followed : array, shape (trials, subjects)
        Months from entry to the end of follow-up: as planned, or death, or drop-out, or the date that `at` was asked for.
    onset : array, shape (trials, subjects), or None
        Month of onset of antibodies where patients are tested for them; NaN in those who are not.
    first : int
        Number of the first trial: trial ``first + i`` is the same whatever else is simulated.
    random_seed : int
    origin : Origin or None
        None where trials do not come from a model.
    cut : bool
        Whether they are known up to a date only, as `at` makes them.
    """

    design: Design = field(kw_only=True)
    entry: np.ndarray = field(kw_only=True)
    followed: np.ndarray = field(kw_only=True)
    onset: np.ndarray | None = field(default=None, kw_only=True)
    first: int = field(default=0, kw_only=True)
    random_seed: int = field(default=0, kw_only=True)
    origin: Origin | None = field(default=None, kw_only=True)
    cut: bool = field(default=False, kw_only=True)

    @property
    def calendar(self) -> np.ndarray:
        """Calendar month of every visit that took place, (trials, rows); NaN where none did."""
        visits = self.cohort.visits
        who = self.cohort.subjects.index.get_indexer(visits["subject"])
        seen = np.any([np.isfinite(value) for value in self.values.values()], axis=0)
        return np.where(
            seen & np.isfinite(self.entry[:, who]), self.entry[:, who] + visits["month"].to_numpy(float), np.nan
        )

    @property
    def duration(self) -> np.ndarray:
        """Calendar months until the last visit of each trial, (trials,)."""
        return np.nanmax(self.calendar, axis=1)

    def enrolled(self, month: float | np.ndarray = np.inf) -> np.ndarray:
        """Patients who have entered each trial by a calendar month, (trials,); historical controls are not counted."""
        return (np.isfinite(self.entry) & (self.entry <= np.reshape(month, (-1, 1)))).sum(axis=1)

    def month_of(self, look: Look) -> np.ndarray:
        """Calendar month at which each trial is looked at, (trials,): with a share of the information, when that share of its scores is in."""
        if look.month is not None:
            return np.full(len(self), float(look.month))
        return np.nanquantile(self.calendar, look.information or 1.0, axis=1, method="higher")

    def at(self, month: float | np.ndarray | Look) -> Trials:
        """The trials as they are known at a calendar month, one for all or one for each: later visits, deaths and patients are not.

        Raises
        ------
        SettingError
            For what is no month.
        """
        when = self.month_of(month) if isinstance(month, Look) else np.asarray(month, float)
        if when.ndim > 1 or when.size not in (1, len(self)) or np.isnan(when).any():
            raise SettingError(
                [setting_fault("month", str(month), "is no calendar month, nor one for each trial", "give a number")]
            )
        since = np.broadcast_to(when.reshape(-1, 1), (len(self), 1)) - self.entry  # months since entry
        visits = self.cohort.visits
        who = self.cohort.subjects.index.get_indexer(visits["subject"])
        later = visits["month"].to_numpy(float) > since[:, who] + _SAME_TIME
        followed = np.minimum(self.followed, np.maximum(since, 0.0))
        events = {}
        for name, times in self.events.items():
            happened = (times > 0) & (times < since)
            known = np.where(happened, times, -np.minimum(np.abs(times), np.maximum(since, 0.0)))
            events[name] = np.where(since < 0, np.nan, known)
        return replace(self, values={name: np.where(later, np.nan, value) for name, value in self.values.items()}, events=events,
                       followed=followed, cut=True)  # fmt: skip

    def true_value(self, estimand: str, **at: float) -> xr.DataArray:
        """What an estimand of the model that made the trials is in each of them, dims (data_set, then its own).

        Raises
        ------
        SettingError
            Where the trials come from no model, or the model has no such estimand.
        """
        if self.origin is None:
            raise SettingError([setting_fault("estimand", estimand, "has no true value: the trials come from patients, not from a model",
                                              "compare with what was done to them")])  # fmt: skip
        one = self.origin.model.estimand(estimand)
        settings = {key: float(at.get(key, default)) for key, default in one.at.items()}
        found: xr.DataArray = one.compute(self.origin.truth.expand_dims(draw=1), self.origin.facts, **settings)
        return found.isel(draw=0, drop=True)

    def of(self, index: int) -> Cohort:
        """One trial as a cohort: its patients who have entered, the visits that took place, deaths, intervals of onset."""
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < len(self):
            raise SettingError(
                [setting_fault("index", index, "is not the place of a trial", f"give 0 to {len(self) - 1}")]
            )
        visits, subjects = self.cohort.visits, self.cohort.subjects
        for outcome in self.cohort.outcomes:
            visits[outcome.name] = self.values[outcome.name][index]
            if outcome.detection_limit is not None:
                visits[f"{outcome.name}_censored"] = visits[outcome.name] <= outcome.detection_limit
        seen = visits[[outcome.name for outcome in self.cohort.outcomes]].notna().any(axis=1)
        there = self._there(index)
        if self.events:
            ends = np.abs(next(iter(self.events.values()))[index])  # one of them at most ended it
            struck = {name: times[index] > 0 for name, times in self.events.items()}
            what = np.select(list(struck.values()), list(struck), default="")
            subjects["event"] = pd.array([word or None for word in what], dtype="str")
            subjects["event_month"] = np.where(what != "", ends, np.nan)
            subjects["end_of_follow_up"] = np.where(what != "", np.nan, ends)
        if self.onset is not None:
            own = np.isfinite(self.onset[index]) | np.isposinf(self.onset[index])
            lower, upper = intervals(self.onset[index], self.followed[index], months_of_tests(self.design))
            subjects["onset_lower"], subjects["onset_upper"] = (
                np.where(own, lower, np.nan),
                np.where(own, upper, np.nan),
            )
        return replace(self.cohort, _visits=visits[seen & visits["subject"].map(there)].reset_index(drop=True),
                       _subjects=subjects[there], name=f"{self.cohort.name} {self.first + index}")  # fmt: skip

    def cohorts(self) -> Iterator[Cohort]:
        """Each trial as a cohort, one after the other."""
        return (self.of(index) for index in range(len(self)))

    def __getitem__(self, which: slice) -> Trials:
        """Some of the trials, in their order."""
        if not isinstance(which, slice) or which.step not in (None, 1):
            raise SettingError(
                [
                    setting_fault(
                        "index", str(which), "is no run of trials", "write trials[10:20]; trials.of(10) is one of them"
                    )
                ]
            )
        start, stop, _ = which.indices(len(self))
        own = slice(start, max(stop, start + 1))
        origin = None if self.origin is None else replace(self.origin, truth=self.origin.truth.isel(data_set=own))
        return replace(self, values={name: value[own] for name, value in self.values.items()}, first=self.first + start,
                       events={name: times[own] for name, times in self.events.items()}, entry=self.entry[own], origin=origin,
                       followed=self.followed[own], onset=None if self.onset is None else self.onset[own])  # fmt: skip

    def refuse_onsets(self) -> None:
        """Raise CohortError where intervals of onset differ between the trials, which one coding cannot hold."""
        if self.onset is not None:
            what = "the trials have intervals of onset of their own, which differ from one to another"
            raise CohortError.single(what, "fit each by itself: [pg.fit(model, one) for one in trials.cohorts()]", column="onset_lower",
                                     table="subjects")  # fmt: skip

    def _there(self, index: int) -> pd.Series:
        """Who has entered by the date the trials are known at."""
        seen = np.any([np.isfinite(value[index]) for value in self.values.values()], axis=0)
        here = pd.Series(seen).groupby(self.cohort.visits["subject"].to_numpy()).any()
        return here.reindex(self.cohort.subjects.index, fill_value=False)

    def __repr__(self) -> str:
        last = self.first + len(self) - 1
        whence = "patients" if self.origin is None else self.origin.model.name
        return f"Trials {self.first} to {last}, simulated from {whence}, seed {self.random_seed}: {self.cohort.n_subjects} subjects, {', '.join(self.values)}"
