"""Cohort: subjects and their visits, checked, in months, control arm first, and frozen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from progression.cohort_archive import fingerprint, pack, unpack
from progression.cohort_words import arm_table, few_lines
from progression.door.admission import admit
from progression.door.ledger import Wanted
from progression.door.settings import check_settings, known_outcomes
from progression.door.times import baseline_faults, follow_up_faults
from progression.door.values import item_spots, outcome_spots
from progression.faults import CohortError, Fault, SettingError, setting_fault, suggest
from progression.outcomes import Outcome
from progression.subsets import chosen, drawn, with_baseline
from progression.units import DAYS_PER_MONTH, months_per

__all__ = ["DAYS_PER_MONTH", "Cohort", "check_cohort", "months_per"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Cohort:
    """Subjects and their visits. Made by `Cohort.from_table`, never by hand.

    Attributes
    ----------
    visits : DataFrame
        One row a visit: subject, month, visit (a label, where the table had one), a float column an outcome,
        and ``<outcome>_censored`` where any of its values is known only to lie below the limit that stands in
        the value's column. Sorted by subject, then month. A copy.
    subjects : DataFrame
        One row a subject, in the natural order of ids ("S2" before "S10"), index "subject": arm, and where
        known site, study, onset_lower, onset_upper (months; infinity: not seen by the end),
        end_of_follow_up (month), event, event_month, then the covariates. A copy.
    events : DataFrame
        Intercurrent events: subject, month, kind, note. A copy.
    arms : tuple of str
        Labels of the arms, the control first.
    outcomes : tuple of Outcome
    covariates : tuple of str
    allocation : {"randomised", "historical", "single arm", "unstated"}
    provenance : {"observed", "reconstructed", "simulated"}
    name, source : str
    time_unit : str
        The unit of the user's table, for figures. Times inside are months of 365.25/12 days.
    averaged : tuple of str
        Outcomes that may be fractional because they are averages.
    dropped_rows : int
        Rows of the table that had no outcome at all.
    warnings : tuple of str
        What was accepted, but should be looked at.
    historical_arms : tuple of str
        Arms whose patients were controls elsewhere, where a way to borrow from them has been chosen.
    calendar : str
        Covariate that says in which period a subject entered, where a drift from period to period is allowed for.
    brought_in : tuple of str
        Arms that `with_historical_controls` added, whether or not a way to borrow from them has been chosen.
    """

    _visits: pd.DataFrame
    _subjects: pd.DataFrame
    _events: pd.DataFrame
    arms: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    covariates: tuple[str, ...] = ()
    allocation: str = "unstated"
    provenance: str = "observed"
    name: str = ""
    source: str = ""
    time_unit: str = "months"
    averaged: tuple[str, ...] = ()
    dropped_rows: int = 0
    warnings: tuple[str, ...] = ()
    historical_arms: tuple[str, ...] = ()
    calendar: str = ""
    brought_in: tuple[str, ...] = ()

    @classmethod
    def from_table(
        cls, visits: Any, subjects: Any = None, *, time_unit: str, columns: Mapping[str, str] | None = None,
        outcomes: str | Outcome | Sequence[str | Outcome] | None = None,
        arms: Sequence[str] | Mapping[Any, str] | None = None, covariates: Sequence[str] | None = None,
        events: Any = None, allocation: str | None = None, provenance: str = "observed", name: str = "",
        source: str = "", averaged: Collection[str] = (), decimal: str = ".", missing: Collection[str] = (),
    ) -> Self:  # fmt: skip
        """Check tables of visits and subjects, and make a cohort of them.

        Parameters
        ----------
        visits : DataFrame
            One row a visit: subject, time, the outcomes; optionally visit (a label) and flags
            ``<outcome>_censored``.
        subjects : DataFrame, optional
            One row a subject: subject, and any of arm, site, study, onset_lower, onset_upper,
            end_of_follow_up, event, event_time and covariates. Without it these may stand in `visits`, the
            same in all rows of a subject.
        time_unit : {"days", "weeks", "months", "years"}
            Unit of every time in the tables; time 0 is the start.
        columns : mapping, optional
            Standard name to the name in the user's tables: ``{"subject": "patient", "time": "week"}``.
        outcomes : sequence of str or Outcome, optional
            With `Outcome` its facts are checked. By default every column of `visits` that looks numeric
            and does not merely describe the subject.
        arms : sequence or mapping, optional
            Labels with the control first, or ``{code: label}``. Needed for several arms, unless just
            one is called control, placebo or historical control(s).
        covariates : sequence of str, optional
            Columns that describe subjects and models may use; by default none.
        events : DataFrame, optional
            Intercurrent events: subject, time, kind, and optionally note.
        allocation : {"randomised", "historical", "single arm", "unstated"}, optional
        provenance : {"observed", "reconstructed", "simulated"}
            Only simulated scores may be fractional and beyond the bounds of their outcome.
        name, source : str
            For titles; where the data come from.
        averaged : collection of str
            Outcomes whose values are averages, so that fractions of a whole-number outcome are right.
        decimal : {".", ","}
            Decimal mark of numbers that come as text.
        missing : collection of str
            What stands for a missing value ("*", "n.d.", "-99"), beside an empty cell, NA and NaN.

        Returns
        -------
        Cohort

        Raises
        ------
        CohortError
            With every fault found in the tables. The tables themselves are never changed.
        SettingError
            If an argument cannot be meant.
        """
        check_settings(
            time_unit=time_unit,
            allocation=allocation,
            provenance=provenance,
            decimal=decimal,
            columns=columns,
            arms=arms,
            missing=missing,
        )
        listed = known_outcomes(outcomes, covariates, averaged)
        wanted = Wanted(
            time_unit=time_unit, columns=dict(columns or {}), outcomes=listed, arms=arms,
            covariates=tuple(str(each) for each in dict.fromkeys(covariates or ())), simulated=provenance == "simulated",
            averaged=tuple(averaged or ()), decimal=decimal, missing=tuple(str(mark) for mark in missing),
        )  # fmt: skip
        parts = admit(visits, subjects, events, wanted)
        known_outcomes(parts.outcomes, covariates, averaged)  # names of averages against the outcomes found
        if (allocation == "single arm") != (len(parts.arms) == 1) and allocation in (
            "single arm",
            "randomised",
        ):
            what = f"allocation is {allocation!r}, and the arms are {', '.join(parts.arms)}"
            raise CohortError.single(
                what, "Correct allocation=, or arms=", column="arm", value=allocation, table="setting"
            )
        return cls(
            _visits=parts.visits, _subjects=parts.subjects, _events=parts.events, arms=parts.arms,
            outcomes=parts.outcomes, covariates=wanted.covariates,
            allocation=allocation or ("single arm" if len(parts.arms) == 1 else "unstated"),
            provenance=provenance, name=name, source=source, time_unit=time_unit, averaged=tuple(averaged or ()),
            dropped_rows=parts.dropped_rows, warnings=parts.warnings,
        )  # fmt: skip

    @property
    def visits(self) -> pd.DataFrame:
        """One row a visit: a copy of the table."""
        return self._visits.copy()

    @property
    def subjects(self) -> pd.DataFrame:
        """One row a subject: a copy of the table."""
        return self._subjects.copy()

    @property
    def events(self) -> pd.DataFrame:
        """One row an intercurrent event: a copy of the table."""
        return self._events.copy()

    @property
    def n_subjects(self) -> int:
        """Number of subjects, those without a visit included."""
        return len(self._subjects)

    @property
    def n_visits(self) -> int:
        """Number of visits with any outcome."""
        return len(self._visits)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: tables, arms, facts of outcomes; not of name, source, unit or warnings."""
        kept = ("arms", "outcomes", "covariates", "allocation", "provenance", "averaged")
        facts = {key: value for key, value in self._facts().items() if key in kept}
        for key in ("outcomes", "covariates", "averaged"):
            facts[key] = sorted(facts[key], key=str)
        return fingerprint(self._frames(), facts)

    def check(self, outcomes: Sequence[Outcome]) -> tuple[Fault, ...]:
        """Check the values against the facts of outcomes, as a model does with the ones it declares.

        Parameters
        ----------
        outcomes : sequence of Outcome
            Each by the name of one of the cohort's.

        Returns
        -------
        tuple of Fault
            With subject and month; empty if all is well.
        """
        faults: list[Fault] = []
        none = np.zeros(self.n_visits, bool)
        simulated = self.provenance == "simulated"
        for outcome in outcomes:
            if outcome.name not in self._visits:
                what = f"the cohort has no such outcome{suggest(outcome.name, [o.name for o in self.outcomes])}"
                faults.append(Fault(what=what, remedy="Name it so in from_table(columns=...)", column=outcome.name))
                continue
            value = self._visits[outcome.name].to_numpy()
            averaged = outcome.name in self.averaged
            flag = f"{outcome.name}_censored"
            censored = self._visits[flag].to_numpy() if flag in self._visits else none
            spots = {outcome.name: outcome_spots(value, censored, outcome, simulated=simulated, averaged=averaged)}
            if items := [item for item in outcome.items if item in self._visits]:
                more = item_spots(value, self._visits[items], outcome, simulated=simulated, averaged=averaged)
                spots = {c: spots.get(c, []) + more.get(c, []) for c in {*spots, *more}}
            faults += [self._fault(column, *spot) for column, found in spots.items() for spot in found]
        return tuple(faults)

    def check_baseline(self, outcome: str | None = None, *, within: float = 1.0) -> tuple[Fault, ...]:
        """Find the subjects not seen at the start.

        Parameters
        ----------
        outcome : str, optional
            Count only visits at which this outcome was observed.
        within : float
            Months after time 0 that still count as the start; visits before it always do.

        Returns
        -------
        tuple of Fault
        """
        return tuple(baseline_faults(self._counting(outcome), self._subjects.index, within))

    def check_follow_up(self, outcome: str | None = None) -> tuple[Fault, ...]:
        """Find out whether any subject was seen at two times, without which there is no slope.

        Parameters
        ----------
        outcome : str, optional
            Count only visits at which this outcome was observed.

        Returns
        -------
        tuple of Fault
        """
        return tuple(follow_up_faults(self._counting(outcome)))

    def select(
        self,
        rule: str | Callable[[pd.DataFrame], Any] | Sequence[str] | None = None,
        *,
        followed: float | None = None,
        visits: int | None = None,
    ) -> Self:
        """The subjects that meet a rule, such as a trial's criteria of eligibility.

        Parameters
        ----------
        rule : str, callable or sequence of str
            A rule over the subjects' table and, for each outcome, ``<outcome>_baseline``: ``"age < 75 and
            months_since_onset < 24"``; or a function of that table; or ids. A subject of whom a fact is missing does not
            meet a rule about it.
        followed : float, optional
            Months from the start to the last visit, at least. This selects on the future: who died early is left out.
        visits : int, optional
            Number of visits, at least.

        Returns
        -------
        Cohort
            Whose `warnings` say how many subjects were left out, and how.

        Raises
        ------
        SettingError
            For a rule that cannot be read, or that nobody meets.
        """
        table = with_baseline(self._visits, self._subjects, self.outcomes)
        ids = chosen(table, rule, followed=followed, visits=visits)
        words = [rule if isinstance(rule, str) else "a rule"] if rule is not None else []
        words += [f"followed for {followed:g} months or more, hence alive then"] if followed is not None else []
        words += [f"{visits} visits or more"] if visits is not None else []
        return self._only(ids, f"selected {len(ids):,} of {len(table):,} subjects: {'; '.join(words) or 'all'}")

    def sample(self, n: int, *, arm: str | None = None, random_seed: int) -> Self:
        """`n` subjects drawn at random without replacement, of one arm (the others are kept whole) or of all.

        Raises
        ------
        SettingError
            For an unknown arm, or more subjects than there are.
        """
        ids = drawn(self._subjects, n, arm=arm, random_seed=random_seed)
        of = len(self._subjects) if arm is None else int((self._subjects["arm"] == arm).sum())
        return self._only(
            ids, f"drew {n:,} of {of:,} subjects at random{'' if arm is None else f' in {arm}'}, seed {random_seed}"
        )

    def _only(self, ids: pd.Index, what: str) -> Self:
        subjects = self._subjects.loc[ids]
        arms = tuple(arm for arm in self.arms if (subjects["arm"] == arm).any())
        return replace(
            self, _visits=self._visits[self._visits["subject"].isin(ids)].reset_index(drop=True), _subjects=subjects,
            _events=self._events[self._events["subject"].isin(ids)].reset_index(drop=True), arms=arms,
            allocation="single arm" if len(arms) == 1 else self.allocation, warnings=(*self.warnings, what),
        )  # fmt: skip

    def to_xarray(self) -> xr.Dataset:
        """Return the whole cohort as one Dataset that netCDF can hold; `from_xarray` is the way back."""
        return pack(self._frames(), self._facts()).assign_attrs(fingerprint=self.fingerprint)

    @classmethod
    def from_xarray(cls, dataset: xr.Dataset) -> Self:
        """Take a cohort out of what `to_xarray` made.

        Raises
        ------
        CohortError
            If it is no cohort, or its content is not what was put in.
        """
        frames, facts = unpack(dataset)
        facts["outcomes"] = tuple(Outcome.from_dict(each) for each in facts["outcomes"])
        facts = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        made = cls(_visits=frames["visits"], _subjects=frames["subjects"], _events=frames["events"], **facts)
        if made.fingerprint != dataset.attrs["fingerprint"]:
            raise CohortError.single("the cohort is not the one that was saved", "Take an undamaged file", table="file")
        return made

    def table(self) -> pd.DataFrame:
        """Summarise each arm: patients, visits, follow-up, baseline mean (SD), covariates, provenance."""
        return arm_table(
            self._visits, self._subjects, arms=self.arms, outcomes=self.outcomes, covariates=self.covariates,
            provenance=self.provenance, baseline_within=1.0,
        )  # fmt: skip

    def __repr__(self) -> str:
        return few_lines(
            self._visits, self._subjects, name=self.name, arms=self.arms, outcomes=self.outcomes,
            covariates=self.covariates, allocation=self.allocation, provenance=self.provenance,
            source=self.source, n_events=len(self._events), warnings=self.warnings,
        )  # fmt: skip

    def _frames(self) -> dict[str, pd.DataFrame]:
        return {"visits": self._visits, "subjects": self._subjects, "events": self._events}

    def _facts(self) -> dict[str, Any]:
        return {
            "arms": list(self.arms), "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "covariates": list(self.covariates), "allocation": self.allocation, "provenance": self.provenance,
            "name": self.name, "source": self.source, "time_unit": self.time_unit,
            "averaged": list(self.averaged), "dropped_rows": self.dropped_rows,
            "warnings": list(self.warnings), "historical_arms": list(self.historical_arms), "calendar": self.calendar,
            "brought_in": list(self.brought_in),
        }  # fmt: skip

    def _counting(self, outcome: str | None) -> pd.DataFrame:
        if outcome is None:
            return self._visits
        if outcome not in [each.name for each in self.outcomes]:
            what = f"the cohort has no such outcome{suggest(outcome, [each.name for each in self.outcomes])}"
            raise SettingError.single(
                what, "Name one of its outcomes", column="outcome", value=outcome, table="setting"
            )
        return self._visits[self._visits[outcome].notna()]

    def _fault(self, column: str, row: int, what: str, remedy: str) -> Fault:
        at = self._visits.iloc[row]
        value = f"{at[column]:g} at month {at['month']:.3g}"
        return Fault(what=what, remedy=remedy, column=column, subject=str(at["subject"]), value=value)


def check_cohort(name: str, value: object) -> None:
    """Raise SettingError unless an argument is a cohort."""
    if not isinstance(value, Cohort):
        remedy = "make one with Cohort.from_table(...)"
        raise SettingError([setting_fault(name, type(value).__name__, "is not a Cohort", remedy)])
