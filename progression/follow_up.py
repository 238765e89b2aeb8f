"""How long each patient of a cohort was watched, who died, and the change from baseline at each planned visit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.door.events import is_death
from progression.faults import Fault, SettingError, is_number, setting_fault

# Six days: what a visit may be early or late without being another one; weekly visits stay apart.
JITTER = 0.2
# With the planned visits named, each score goes to the nearest if that is no further than this.
WINDOW = 0.5


@dataclass(frozen=True, eq=False)
class FollowUp:
    """A cohort as arrays, patients in the order of its table of subjects.

    Attributes
    ----------
    planned : array of float, shape (visits,)
        Months of the planned visits after baseline.
    baseline : array of float, shape (patients,)
        Score at the start; NaN where there is none.
    score : array of float, shape (patients, visits)
        NaN where there is none.
    death : array of float, shape (patients,)
        Month of death up to the horizon; infinity where none is known by then.
    followed : array of float, shape (patients,)
        Last month up to the horizon at which the patient is known to have been alive.
    unused : int
        Scores up to the horizon that belong to no planned visit.
    """

    planned: np.ndarray
    baseline: np.ndarray
    score: np.ndarray
    death: np.ndarray
    followed: np.ndarray
    unused: int


def follow_up(
    cohort: Cohort, outcome: str, *, month: float | None, visits: Sequence[float] | None, tolerance: float | None,
    terminal: Collection[str] = (),
) -> FollowUp:  # fmt: skip
    """Deaths, follow-up and scores by planned visit; arguments as in `progression.cafs`."""
    horizon = np.inf if month is None else float(month)
    window = tolerance if tolerance is not None else (JITTER if visits is None else WINDOW)
    death, followed = _ends(cohort, {word.casefold() for word in terminal})
    table = cohort.visits
    table = table[table[outcome].notna()]
    at = pd.Index(cohort.subjects.index).get_indexer(table["subject"])
    time, value = table["month"].to_numpy(float), table[outcome].to_numpy(float)
    late = window
    if visits is not None:
        plan, late = _nearest(np.unique(np.asarray(visits, float)), time, window), 1e-6
    elif "visit" in table:
        plan = _by_label(table, time, window)
    else:
        plan = _clustered(table, time, window)
    n = cohort.n_subjects
    score = np.full((n, len(plan.months)), np.nan)
    rows = np.flatnonzero(plan.column >= 0)
    # Of several scores for one planned visit the nearest in time stands: it is written last.
    rows = rows[np.argsort(-np.abs(time - plan.months[plan.column])[rows], kind="stable")] if len(rows) else rows
    score[at[rows], plan.column[rows]] = value[rows]
    kept = plan.months <= horizon + late
    return FollowUp(
        planned=plan.months[kept], baseline=_baseline(n, at, time, value, plan.start), score=score[:, kept],
        unused=int(((plan.column < 0) & ~plan.start & (time <= horizon)).sum()),
        death=np.where(death <= horizon, death, np.inf), followed=np.minimum(followed, horizon),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Plan:
    """Months of the planned visits after baseline, the visit of each row (-1: none), and which rows are of the start."""

    months: np.ndarray
    column: np.ndarray
    start: np.ndarray


def _ends(cohort: Cohort, terminal: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Month of death, infinity where none is known, and the last month at which each was known to be alive."""
    subjects, events = cohort.subjects, cohort.events
    death = pd.Series(np.inf, index=subjects.index)
    followed = cohort.visits.groupby("subject")["month"].max().reindex(subjects.index).fillna(0.0)
    if "end_of_follow_up" in subjects:
        followed = np.fmax(followed, subjects["end_of_follow_up"])

    def fatal(word: object) -> bool:
        return pd.notna(word) and (is_death(word) or str(word).casefold() in terminal)

    happened = [events[["subject", "kind", "month"]].rename(columns={"kind": "event"})]
    if {"event", "event_month"} <= set(subjects):
        own = subjects[["event", "event_month"]].rename(columns={"event_month": "month"})
        happened.append(own[own["event"].notna()].rename_axis("subject").reset_index())
    for each in happened:
        dead = each["event"].map(fatal).astype(bool)
        died, other = each[dead].groupby("subject")["month"].min(), each[~dead].groupby("subject")["month"].max()
        death = np.minimum(death, died.reindex(subjects.index).fillna(np.inf))
        followed = np.fmax(followed, other.reindex(subjects.index))
    return death.to_numpy(float), followed.to_numpy(float)


def _baseline(n: int, at: np.ndarray, time: np.ndarray, value: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Each patient's last score up to time 0, or else the first of the start after it."""
    found = np.full(n, np.nan)
    # Rows run by time within a subject, and what is written last stands.
    for rows in (np.flatnonzero(start & (time > 0))[::-1], np.flatnonzero(time <= 0)):
        found[at[rows]] = value[rows]
    return found


def _by_label(table: pd.DataFrame, time: np.ndarray, window: float) -> _Plan:
    """From the table's own labels, each at the median of its times."""
    label = table["visit"]
    if label.isna().any():
        what = f"{int(label.isna().sum())} scores have no label of their visit, and others have"
        raise SettingError([
            Fault(what=what, remedy="name the months of the planned visits: visits=[1, 2, 3, 6]", column="visits", table="setting")
        ])  # fmt: skip
    middle = pd.Series(time, index=table.index).groupby(label).median().sort_values(kind="stable")
    later = middle[middle > window]
    column = pd.Index(later.index).get_indexer(label)
    return _Plan(later.to_numpy(float), np.where(time > 0, column, -1), (column < 0) | (time <= 0))


def _nearest(planned: np.ndarray, time: np.ndarray, window: float) -> _Plan:
    """From months that were named: each time belongs to the nearest, if that is near enough."""
    planned = planned[planned > 0]
    start = time <= min(window, planned[0] / 2)
    column = np.abs(time[:, None] - planned).argmin(axis=1)
    near = np.abs(time - planned[column]) <= window + 1e-9
    return _Plan(planned, np.where(near & ~start, column, -1), start)


def _clustered(table: pd.DataFrame, time: np.ndarray, window: float) -> _Plan:
    """From the times alone: those within a window of their neighbours are one visit."""
    start = time <= window
    column = np.full(len(time), -1)
    distinct, inverse = np.unique(np.round(time[~start], 6), return_inverse=True)
    if not len(distinct):
        return _Plan(np.zeros(0), column, start)
    cluster = np.concatenate([[0], np.cumsum(np.diff(distinct) > window + 1e-6)])
    column[~start] = cluster[inverse]
    grouped = pd.Series(time[~start]).groupby(column[~start])
    wide = (grouped.max() - grouped.min() > 2 * window + 1e-6).any()
    twice = pd.DataFrame({"subject": table["subject"].to_numpy(), "visit": column})[~start].duplicated().any()
    if wide or twice:
        what = "the times of the scores do not fall into planned visits by themselves"
        remedy = "name the months of the planned visits, such as visits=[1, 2, 3, 6], or add a column `visit`"
        raise SettingError([Fault(what=what, remedy=remedy, column="visits", table="setting")])
    return _Plan(grouped.median().to_numpy(float), column, start)


def setting_faults(month: Any, visits: Any, tolerance: Any) -> list[Fault]:
    """What is wrong with the arguments that say which visits count."""
    faults = []
    if month is not None and (not is_number(month) or float(month) <= 0):
        faults.append(setting_fault("month", month, "is not a month after the start", "give a positive number or None"))
    if tolerance is not None and (not is_number(tolerance) or float(tolerance) <= 0):
        faults.append(setting_fault("tolerance", tolerance, "is not a length of time", "give months, such as 0.5"))
    if visits is not None:
        listed = list(visits) if isinstance(visits, Sequence | np.ndarray) and not isinstance(visits, str) else [visits]
        if not listed or not all(is_number(one) for one in listed) or not any(float(one) > 0 for one in listed):
            faults.append(setting_fault("visits", visits, "is no list of months after the start", "give [1, 2, 3, 6]"))
    return faults
