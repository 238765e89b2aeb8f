"""Times to an event, by subject: what a cohort knows of them, in the rows that a program observes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from progression.door.events import is_death

__all__ = ["DEATH", "event_rows", "is_event", "known_follow_up", "signed", "unsigned"]

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
