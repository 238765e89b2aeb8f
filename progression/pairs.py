"""Pairs of patients compared on survival first and then on function: counted in blocks, never all held at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Rows of the table of pairs that are held at once: a few megabytes with 5,000 patients.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Courses:
    """What the comparison needs to know of each patient.

    Attributes
    ----------
    level : array of int, shape (patients, visits)
        Rank of the change from baseline among all patients seen at that planned visit, higher is better, equal for
        equal changes; -1 where it is not known. Visits in the order of time.
    death : array of float, shape (patients,)
        Month of death; infinity where none is known.
    followed : array of float, shape (patients,)
        Last month at which the patient is known to have been alive; the month of death for those who died.
    """

    level: np.ndarray
    death: np.ndarray
    followed: np.ndarray

    @classmethod
    def of(cls, change: np.ndarray, death: np.ndarray, followed: np.ndarray) -> Courses:
        """From changes since baseline, NaN where unknown, positive where better.

        Changes that differ by less than a billionth are equal: 40.1 - 38.3 and 32.0 - 30.2 are no different decline.
        """
        level = np.full(change.shape, -1, np.int32)
        for visit in range(change.shape[1]):
            seen = np.isfinite(change[:, visit])
            level[seen, visit] = np.unique(np.round(change[seen, visit], 9), return_inverse=True)[1]
        small = level.astype(np.int16) if level.max(initial=-1) < np.iinfo(np.int16).max else level
        return cls(small, np.asarray(death, float), np.where(np.isfinite(death), death, followed))

    def part(self, which: np.ndarray | slice) -> Courses:
        """The same for some of the patients."""
        return Courses(self.level[which], self.death[which], self.followed[which])


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each patient won and lost against the patients of each group, shape (patients, groups) each."""

    wins: np.ndarray
    losses: np.ndarray
    wins_by_death: np.ndarray
    losses_by_death: np.ndarray


def outcomes(rows: Courses, columns: Courses) -> tuple[np.ndarray, np.ndarray]:
    """The outcome of every pair of a patient in `rows` and one in `columns`.

    Parameters
    ----------
    rows, columns : Courses
        With the same visits, and levels of one ranking.

    Returns
    -------
    result : array of int8, shape (rows, columns)
        1 where the patient of the row did better, -1 where worse, 0 for a tie.
    by_death : array of bool, shape (rows, columns)
        Whether deaths decided.

    Notes
    -----
    Finkelstein and Schoenfeld (1999), Statistics in Medicine 18:1341: if one died while the other was known to be
    alive, he did worse. Otherwise (both alive, died at the same time, or one lost sight of before the other's death) the
    change from baseline at the last visit at which both have a score decides. Without such a visit they tie.
    """
    result = np.zeros((len(rows.death), len(columns.death)), np.int8)
    for visit in range(rows.level.shape[1]):  # later visits overwrite earlier ones
        own, other = rows.level[:, visit, None], columns.level[None, :, visit]
        difference = (own > other).view(np.int8) - (own < other).view(np.int8)
        np.copyto(result, difference, where=(own >= 0) & (other >= 0))
    own, other = rows.death[:, None], columns.death[None]
    better = (other < own) & (other <= rows.followed[:, None])
    worse = (own < other) & (own <= columns.followed[None])
    result[better], result[worse] = 1, -1
    return result, better | worse


def count(courses: Courses, group: np.ndarray, n_groups: int) -> Counts:
    """Count wins and losses of each patient against each group.

    Parameters
    ----------
    courses : Courses
    group : array of int, shape (patients,)
        Group of each patient, 0 to ``n_groups - 1``.
    n_groups : int

    Returns
    -------
    Counts
        Time grows with the square of the number of patients, memory with the number itself.
    """
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(n_groups + 1))
    columns = courses.part(order)
    n = len(group)
    wins, losses, wins_by_death, losses_by_death = (np.zeros((n, n_groups), np.int64) for _ in range(4))
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        result, by_death = outcomes(courses.part(rows), columns)
        won, lost = result > 0, result < 0
        for index in range(n_groups):
            own = slice(edges[index], edges[index + 1])
            wins[rows, index] = np.count_nonzero(won[:, own], axis=1)
            losses[rows, index] = np.count_nonzero(lost[:, own], axis=1)
            wins_by_death[rows, index] = np.count_nonzero(won[:, own] & by_death[:, own], axis=1)
            losses_by_death[rows, index] = np.count_nonzero(lost[:, own] & by_death[:, own], axis=1)
    return Counts(wins, losses, wins_by_death, losses_by_death)


def share_won(first: Courses, second: Courses) -> float:
    """Share of pairs that the patients of `first` won against those of `second`, ties counted half."""
    total = 0
    for start in range(0, len(first.death), _BLOCK):
        result, _ = outcomes(first.part(slice(start, start + _BLOCK)), second)
        total += int(result.sum(dtype=np.int64))
    return 0.5 + 0.5 * total / (len(first.death) * len(second.death))
