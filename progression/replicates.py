"""Replicates: many data sets of one design, as simulation makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.door.values import outcome_spots
from progression.encoding import Encoded
from progression.event_times import DEATH, event_rows, known_follow_up, signed
from progression.faults import CohortError, Fault
from progression.outcomes import Outcome

__all__ = ["Replicates", "other_onsets"]

_SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class Replicates:
    """Many data sets of one design: the same subjects and planned visits, each with values of its own.

    Parameters
    ----------
    cohort : Cohort
        The design: every subject and every visit that a data set may have, with some value at each.
    values : mapping of str to array, shape (data sets, rows of ``cohort.visits``)
        Values of each outcome in the order of ``cohort.visits``; NaN where a data set lacks the visit (drop-out, a
        missed visit, a subject who was not enrolled).
    events : mapping of str to array, shape (data sets, subjects of ``cohort.subjects``), optional
        Months to an event ("death") where it was seen; minus the months of follow-up where it was not; NaN for a subject
        of whom nothing is known. The design must say of each subject how long it is followed (`end_of_follow_up`).

    Raises
    ------
    CohortError
        Where a shape does not fit, an outcome is unknown, a value is infinite, or a value stands where the design has none.
    """

    cohort: Cohort
    values: Mapping[str, np.ndarray]
    events: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = []
        object.__setattr__(
            self, "values", {name: np.atleast_2d(np.asarray(v, float)) for name, v in self.values.items()}
        )
        known, sizes = [outcome.name for outcome in self.cohort.outcomes], set()
        for name, value in self.values.items():
            if name not in known:
                faults.append(Fault(what=f"the design has no such outcome (it has {', '.join(known)})", column=name,
                                    remedy="rename it", table="visits"))  # fmt: skip
                continue
            if value.ndim != 2 or value.shape[1] != self.cohort.n_visits:
                faults.append(Fault(what=f"values have the shape {value.shape}; (data sets, {self.cohort.n_visits}) is wanted",
                                    column=name, remedy="give one column for each row of cohort.visits", table="visits"))  # fmt: skip
                continue
            sizes.add(len(value))
            if np.isinf(value).any():
                s, row = np.argwhere(np.isinf(value))[0]
                faults.append(Fault(what=f"data set {s} has an infinite value", column=name, row=int(row),
                                    remedy="write NaN where a value is missing", table="visits"))  # fmt: skip
            empty = self.cohort.visits[name].isna().to_numpy()
            if np.isfinite(value[:, empty]).any():
                faults.append(Fault(what="a data set has values at visits where the design has none", column=name,
                                    remedy="give the design a value at every visit that any data set has", table="visits"))  # fmt: skip
        object.__setattr__(
            self, "events", {name: np.atleast_2d(np.asarray(v, float)) for name, v in self.events.items()}
        )
        for name, times in self.events.items():
            sizes.add(len(times))
            if times.ndim != 2 or times.shape[1] != self.cohort.n_subjects or np.isinf(times).any():
                faults.append(Fault(what=f"times have the shape {times.shape}; (data sets, {self.cohort.n_subjects}), all finite or "
                                         "NaN, is wanted", column=name, table="subjects",
                                    remedy="give one column for each row of cohort.subjects"))  # fmt: skip
        if self.events and not known_follow_up(self.cohort.subjects):
            faults.append(Fault(what="the design does not say how long subjects are followed", column="end_of_follow_up",
                                table="subjects", remedy="give it a column end_of_follow_up"))  # fmt: skip
        if len(sizes) > 1:
            faults.append(Fault(what=f"outcomes have different numbers of data sets: {sorted(sizes)}", table="visits",
                                remedy="give each the same number"))  # fmt: skip
        if not self.values:
            faults.append(Fault(what="no values were given", remedy="give {outcome: array}", table="visits"))
        if faults:
            raise CohortError(faults)

    @classmethod
    def from_cohorts(cls, cohorts: Sequence[Cohort]) -> Replicates:
        """Lay cohorts of one design over each other: subjects and visits of any of them make up the design.

        Parameters
        ----------
        cohorts : sequence of Cohort
            With the same arms and outcomes; a subject of the same id must be in the same arm with the same covariates.

        Raises
        ------
        CohortError
            Where the cohorts are not of one design.
        """
        first = cohorts[0]
        faults = []
        names = [outcome.name for outcome in first.outcomes]
        for number, one in enumerate(cohorts):
            if list(one.arms) != list(first.arms) or [o.name for o in one.outcomes] != names:
                faults.append(Fault(what=f"cohort {number} has other arms or outcomes than the first", table="subjects",
                                    remedy="fit cohorts of different designs separately"))  # fmt: skip
            if any(f"{name}_censored" in one.visits and one.visits[f"{name}_censored"].any() for name in names):
                limits = [o.detection_limit for o in one.outcomes if f"{o.name}_censored" in one.visits]
                if None in limits:
                    faults.append(Fault(what=f"cohort {number} has censored values of an outcome without a detection limit",
                                        remedy="declare detection_limit= on the outcome", table="visits"))  # fmt: skip
        subjects = pd.concat([one.subjects for one in cohorts])
        events = _events_of(cohorts)
        subjects = subjects.loc[:, ["arm", *first.covariates]]
        kinds = subjects.groupby(level=0).nunique(dropna=False).max(axis=1)
        for subject in list(kinds.index[kinds > 1])[:_SHOWN]:
            faults.append(Fault(what="a subject has another arm or other covariates in another cohort", subject=subject,
                                table="subjects", remedy="give different patients different ids"))  # fmt: skip
        if faults:
            raise CohortError(faults)
        keys = [pd.MultiIndex.from_arrays([one.visits["subject"], one.visits["month"].round(9)]) for one in cohorts]
        union = keys[0]
        for key in keys[1:]:
            union = union.union(key, sort=False) if len(key.difference(union)) else union
        design = first.visits.set_index(keys[0])
        extra = union.difference(keys[0])
        values = {name: np.full((len(cohorts), len(union)), np.nan) for name in names}
        for number, (one, key) in enumerate(zip(cohorts, keys, strict=True)):
            where = union.get_indexer(key)
            for name in names:
                values[name][number, where] = one.visits[name].to_numpy(float)
        if len(extra) or any(design[name].isna().any() for name in names):
            filled = {name: _any_value(value) for name, value in values.items()}
            table = pd.DataFrame({"subject": union.get_level_values(0), "time": union.get_level_values(1), **filled})
            people = subjects[~subjects.index.duplicated()].rename_axis("subject").reset_index()
            for times in events.values():  # followed as long as in any of them
                people["end_of_follow_up"] = people["subject"].map(times.abs().max())
            first = Cohort.from_table(table, subjects=people, time_unit="months", outcomes=first.outcomes,
                                      covariates=list(first.covariates), provenance=first.provenance,
                                      allocation=first.allocation, arms=list(first.arms))  # fmt: skip
            order = pd.MultiIndex.from_arrays([first.visits["subject"], first.visits["month"].round(9)])
            back = union.get_indexer(order)
            values = {name: value[:, back] for name, value in values.items()}
        return cls(first, values, {name: table[first.subjects.index].to_numpy() for name, table in events.items()})

    def refuse_onsets(self) -> None:
        """Raise CohortError where data sets have intervals of onset of their own: these share those of the design."""

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __repr__(self) -> str:
        return f"Replicates: {len(self)} data sets of {self.cohort.n_subjects} subjects, {', '.join(self.values)}"

    def rows(self, encoded: Encoded, *, strict: bool, blind: Sequence[str] = ()) -> dict[str, np.ndarray]:
        """Values by observed variable, (data sets, rows of the coding), checked against the facts of their outcomes.

        Parameters
        ----------
        encoded : Encoded
            The design's.
        strict : bool
            Whether values must be ones that can be observed: whole numbers within bounds.
        blind : sequence of str
            Observed variables of a program that would take a censored value for a measured one.
        """
        found, faults = {}, []
        for block, members in encoded.blocks.items():
            parts = []
            for outcome in members:
                seen = self.cohort.visits[outcome.name].notna().to_numpy()
                value = self.values.get(outcome.name)
                if value is None:
                    faults.append(Fault(what="the replicates have no values of this outcome", column=outcome.name,
                                        remedy="give them", table="visits"))  # fmt: skip
                    continue
                flag = self.cohort.visits.get(f"{outcome.name}_censored")
                if flag is not None and flag.any() and outcome.detection_limit is None:
                    faults.append(Fault(what="the design has censored values, and the outcome no detection limit to censor the "
                                             "data sets at", column=outcome.name, table="visits",
                                        remedy="declare detection_limit= on the outcome"))  # fmt: skip
                faults += _value_faults(value, outcome, strict=strict)
                limit = outcome.detection_limit
                if block in blind and limit is not None and (value <= limit).any():
                    s, row = np.argwhere(value <= limit)[0]
                    faults.append(Fault(what=f"data set {s} has a value at or below the detection limit {limit:g}, hence censored, "
                                             "and the model would take it for a measured one", column=outcome.name, row=int(row),
                                        value=float(value[s, row]), table="visits",
                                        remedy="use a model that knows of censoring"))  # fmt: skip
                parts.append(value[:, seen])
            # In one memory layout, so that sums are taken in the same order in every process.
            found[block] = np.ascontiguousarray(np.concatenate(parts, axis=1)) if parts else np.zeros((0, 0))
        for name in encoded.events:
            times, of = self.events.get(name), encoded.arrays[f"{name}_subject"][1]
            if times is None and len(of):
                faults.append(Fault(what=f"the design says how long subjects are followed for {name}, and the replicates do not "
                                         "say what happened", column=name, remedy="give events={name: array}", table="subjects"))  # fmt: skip
            found[name] = np.zeros((len(self), 0)) if times is None else np.ascontiguousarray(times[:, of])
        if faults:
            raise CohortError(faults)
        return found


def _events_of(cohorts: Sequence[Cohort]) -> dict[str, pd.DataFrame]:
    """Times to death of cohorts, as `Replicates.events`: a row a cohort, a column a subject; none where nobody knows."""
    if not all(known_follow_up(one.subjects) for one in cohorts):
        return {}
    made = []
    for one in cohorts:
        subjects = one.subjects
        rows = event_rows(subjects, one.visits, DEATH)
        made.append(pd.Series(signed(rows["value"], ~rows["censored"]), subjects.index))
    return {"death": pd.DataFrame(made)}


def _value_faults(value: np.ndarray, outcome: Outcome, *, strict: bool) -> list[Fault]:
    flat = value.ravel()
    limit = outcome.detection_limit or 0.0
    spots = outcome_spots(
        flat, (flat <= limit) & (limit > 0), replace(outcome, detection_limit=None), simulated=not strict
    )
    width = value.shape[1]
    return [Fault(what=f"data set {spot[0] // width}: {spot[1]}", column=outcome.name, row=int(spot[0] % width), remedy=spot[2],
                  value=float(flat[spot[0]]), table="visits") for spot in spots[:_SHOWN]]  # fmt: skip


def other_onsets(cohorts: Sequence[Cohort], design: Cohort) -> None:
    """Refuse cohorts whose intervals of onset are not those of the design: data sets share all but their outcomes.

    Raises
    ------
    CohortError
        For a model that reads intervals of onset; others have no use for them.
    """
    columns = ["onset_lower", "onset_upper"]
    own = design.subjects.reindex(columns=columns)
    faults = []
    for number, one in enumerate(cohorts):
        here = one.subjects.reindex(columns=columns)
        there = own.reindex(here.index)
        same = (here == there) | (here.isna() & there.isna())
        faults += [Fault(what=f"cohort {number} has another interval of onset than the design", subject=str(subject),
                         table="subjects", remedy="fit each cohort by itself: pg.fit")
                   for subject in list(here.index[~same.all(axis=1)])[:_SHOWN]]  # fmt: skip
    if faults:
        raise CohortError(faults[:_SHOWN])


def _any_value(value: np.ndarray) -> np.ndarray:
    """A value for each row of the design: the first that any data set has there."""
    where = np.isfinite(value).argmax(axis=0)
    return np.asarray(value[where, np.arange(value.shape[1])])
