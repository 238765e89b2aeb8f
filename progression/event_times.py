"""Times to an event, by subject or by interval between visits: what a cohort knows of them, in the rows that a program observes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.door.events import is_death
from progression.faults import CohortError, Fault

__all__ = [
    "DEATH",
    "event_rows",
    "every_interval",
    "first_times",
    "interval_rows",
    "is_event",
    "known_follow_up",
    "planned_intervals",
    "signed",
    "unsigned",
]

# What ends the observation of function in ALS trials: death, or what it is put off by for good.
DEATH = ("death", "permanent assisted ventilation", "permanent ventilation", "pav", "tracheostomy")

# Above every time of a cohort, so that an event on the last day is not taken for the end of follow-up.
_BEYOND = 1 + 1e-9


def is_event(word: object, kinds: Sequence[str]) -> bool:
    """Whether what happened to a subject is one of these kinds; "death" knows how else one dies."""
    if pd.isna(word):
        return False
    return any(is_death(word) if kind == "death" else str(word).casefold().startswith(kind) for kind in kinds)


def known_follow_up(subjects: pd.DataFrame) -> bool:
    """Whether a table of subjects says who was followed for events, and how long."""
    return "event" in subjects or "end_of_follow_up" in subjects


def event_rows(subjects: pd.DataFrame, visits: pd.DataFrame, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """One row a subject: the time of the event, or until when it is known not to have happened.

    Parameters
    ----------
    subjects, visits : DataFrame
        Of a cohort.
    kinds : sequence of str
        Words for the event.

    Returns
    -------
    dict of str to array, shape (subjects,); (0,) where the cohort says nothing of events
        subject, value (months), censored, and upper: the month at which a subject without the event is censored. Of a
        subject with the event it is the longest follow-up of the cohort, as planned for it. Follow-up ends with
        `end_of_follow_up`, else with an event of another kind, else with the last visit.
    """
    if not known_follow_up(subjects):
        empty = np.zeros(0)
        return {"value": empty, "subject": empty.astype(np.int64), "censored": empty.astype(bool), "upper": empty}
    n = len(subjects)
    nowhere = pd.Series(np.nan, subjects.index)
    word = subjects.get("event", pd.Series(None, subjects.index, dtype=object))
    month = subjects.get("event_month", nowhere).to_numpy(float, na_value=np.nan)
    happened = np.array([is_event(one, kinds) for one in word], dtype=bool)
    last = subjects.index.to_series().map(visits.groupby("subject")["month"].max()).to_numpy(float, na_value=np.nan)
    end = subjects.get("end_of_follow_up", nowhere).to_numpy(float, na_value=np.nan)
    end = np.where(np.isnan(end), np.where(np.isnan(month), np.maximum(np.nan_to_num(last), 0.0), month), end)
    return _rows(np.where(happened, month, end), ~happened, np.arange(n), float(np.nanmax(end, initial=0.0)))


def _rows(value: np.ndarray, censored: np.ndarray, subject: np.ndarray, planned: float) -> dict[str, np.ndarray]:
    most = max(planned, float(value.max(initial=0.0))) * _BEYOND + 1e-9
    return {"value": value, "subject": subject.astype(np.int64), "censored": censored,
            "upper": np.where(censored, value, most)}  # fmt: skip


def signed(months: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Times to an event as positive numbers, times without it as negative ones: one array for both."""
    return np.where(happened, months, -np.asarray(months, float))


def unsigned(times: np.ndarray, subject: np.ndarray, planned: float) -> dict[str, np.ndarray]:
    """Rows of `event_rows` from the array of `signed` of one data set, (subjects,); NaN where there is none."""
    known = np.isfinite(times)
    return _rows(np.abs(times[known]), np.signbit(times[known]), subject[known], planned)


def interval_rows(cohort: Cohort, timetable: pd.Series, name: str, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """One row for each interval between planned visits that a subject entered without the event: for a hazard that moves from visit to visit.

    Parameters
    ----------
    cohort : Cohort
        The event stands in its subjects (`event`, `event_month`) or among its intercurrent events; the first counts.
    timetable : Series
        Planned month of each row of ``cohort.visits``.
    name : str
        Of the event, for errors.
    kinds : sequence of str
        Words for it.

    Returns
    -------
    dict of str to array, shape (rows,)
        subject, visit (index of the planned visit that ends the interval), value (months since the interval began), censored, and upper:
        the months after which the row is censored. A subject is followed to `end_of_follow_up`, else to another event that its table of
        subjects names, else to its last visit, never beyond the last planned one. Where it was seen, it was followed.

    Raises
    ------
    CohortError
        Where an event lies at or before baseline, or the cohort says nothing of events.
    """
    subjects, visits = cohort.subjects, cohort.visits
    nowhere = pd.Series(np.nan, subjects.index)
    month = subjects.get("event_month", nowhere).to_numpy(float, na_value=np.nan)
    own = np.array(
        [is_event(one, kinds) for one in subjects.get("event", pd.Series(None, subjects.index, dtype=object))]
    )
    listed = cohort.events
    listed = (
        listed[listed["kind"].map(lambda kind: is_event(kind, kinds)).astype(bool)].groupby("subject")["month"].min()
    )
    first = np.fmin(np.where(own, month, np.inf), listed.reindex(subjects.index).fillna(np.inf).to_numpy(float))
    if not known_follow_up(subjects) and not len(cohort.events):
        raise CohortError.single(f"the cohort says nothing of events, and the model is asked for the time to {name}",
                                 f'Give events= with the kind "{kinds[0]}", or a column end_of_follow_up if nobody had one; '
                                 f'or fit with options={{"{name}": "at random"}}', column="event", table="subjects")  # fmt: skip
    early = [Fault(what=f"{name} at month {first[i]:.3g} is at or before baseline: the time to it is counted from there", column="month",
                   subject=str(subjects.index[i]), value=float(first[i]), table="events",
                   remedy="leave it out (the values at baseline hold it), or correct its time") for i in np.flatnonzero(first <= 0)]  # fmt: skip
    if early:
        raise CohortError(early)
    seen = subjects.index.to_series().map(timetable.groupby(visits["subject"]).max()).fillna(0.0).to_numpy(float)
    end = subjects.get("end_of_follow_up", nowhere).to_numpy(float, na_value=np.nan)
    end = np.where(np.isnan(end), np.where(own, np.nan, month), end)
    start, length = planned_intervals(np.sort(timetable.unique()))
    stop = np.where(np.isfinite(first), first, np.fmax(end, seen))[:, None]
    who, which = np.nonzero(stop > start)
    within = np.minimum(stop - start, length)[who, which]
    struck = first[who] <= (start + length)[which]
    beyond = length[which] * _BEYOND + 1e-9
    return {"value": within, "subject": who.astype(np.int64), "visit": which.astype(np.int64) + 1, "censored": ~struck,
            "upper": np.where(struck, beyond, within)}  # fmt: skip


def planned_intervals(planned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and length, in months, of the intervals between planned visits; the first begins at 0, wherever baseline was seen."""
    start = np.concatenate([[0.0], planned[1:-1]])
    return start, planned[1:] - start


def every_interval(n: int, planned: np.ndarray, last: float) -> dict[str, np.ndarray]:
    """Rows of `interval_rows` for subjects of whom nothing has happened yet, up to the planned visit nearest to `last`."""
    _, length = planned_intervals(planned)
    k = int(np.abs(planned - last).argmin())
    upper = np.tile(length[:k], n)
    return {"value": np.zeros(n * k), "subject": np.repeat(np.arange(n), k), "visit": np.tile(np.arange(1, k + 1), n),
            "censored": np.ones(n * k, bool), "upper": upper}  # fmt: skip


def first_times(
    drawn: np.ndarray, rows: Mapping[str, np.ndarray], planned: Sequence[float] | None, n: int
) -> np.ndarray:
    """Months to the event of each subject, (..., subjects), from drawn rows, (..., rows): infinite where it does not come.

    Parameters
    ----------
    rows : mapping
        `subject` and `upper` of the rows and, where they are intervals, `visit`.
    planned : sequence of float
        Months of the planned visits, for intervals.
    """
    found = np.full((*drawn.shape[:-1], n), np.inf)
    times = np.where(drawn < rows["upper"], drawn, np.inf)
    if "visit" not in rows:
        found[..., rows["subject"]] = times
        return found
    start, _ = planned_intervals(np.asarray(planned, float))
    for interval in np.unique(rows["visit"]):  # what happens later in a subject to whom it happened already is no more
        of = rows["visit"] == interval
        who = rows["subject"][of]
        found[..., who] = np.minimum(found[..., who], start[interval - 1] + times[..., of])
    return found
