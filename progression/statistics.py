"""Statistics of observed and replicated rows that a model of disease progression should reproduce."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from progression.encoding import Encoded
from progression.outcomes import Outcome

MOST_VISITS = 8


@dataclass(frozen=True, eq=False)
class Slice:
    """The rows of one outcome in one arm, with what is needed to compute statistics of any values in them.

    Attributes
    ----------
    rows : array of int
        Positions in the block.
    first : array of int
        For each row, the position (within `rows`) of the first row of the same subject.
    month : array of float
        Month of each row, or the middle of its bin where there are more than `MOST_VISITS` times.
    """

    block: str
    outcome: Outcome
    arm: str
    rows: np.ndarray
    first: np.ndarray
    month: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def statistics(self, values: np.ndarray) -> dict[tuple[str, float], np.ndarray]:
        """Each statistic of `values`, shape (..., rows), by name and month (nan where it is over all visits)."""
        found: dict[tuple[str, float], np.ndarray] = {}
        change = values - values[..., self.first]
        later = self.first != np.arange(len(self.rows))
        shown = np.log if self.outcome.positive else _same
        if self.outcome.positive:
            change = shown(values) - shown(values)[..., self.first]
        for month in np.unique(self.month[later]):
            here = later & (self.month == month)
            if here.sum() >= 3:
                word = "log change" if self.outcome.positive else "change"
                found[f"mean {word}", float(month)] = change[..., here].mean(axis=-1)
                found[f"SD of {word}", float(month)] = change[..., here].std(axis=-1, ddof=1)
        nan = math.nan  # one object, so that it finds itself again as part of a key
        if self.outcome.lower is not None and not self._count:
            found["share at the floor", nan] = self._at(self.outcome.lower, values, values <= self.outcome.lower)
        if self.outcome.upper is not None:
            found["share at the ceiling", nan] = self._at(self.outcome.upper, values, values >= self.outcome.upper)
        if self._count:
            found["share of zeros", nan] = (values == 0).mean(axis=-1)
            found["variance", nan] = values.var(axis=-1, ddof=1) if len(self.rows) > 1 else values[..., 0] * 0
            within = self._within(values)
            if within is not None:
                found["variance within patients", nan] = within
        if (self.lower > 0).any():
            found["share below the limit", nan] = (values <= self.lower).mean(axis=-1)
        return found

    def _at(self, bound: float, values: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Share at a bound. Of whole scores those within half a unit: a prediction far off the scale is not at its end."""
        return (np.abs(values - bound) <= 0.5 if self.outcome.integer else beyond).mean(axis=-1)

    @property
    def _count(self) -> bool:
        """Whether the outcome is a count from zero that may well be zero, rather than a total score."""
        return self.outcome.integer and self.outcome.lower == 0 and self.outcome.higher_is_better is False

    def _within(self, values: np.ndarray) -> np.ndarray | None:
        """Mean over patients of the variance of their own residuals from the mean of each visit."""
        residual = values.astype(float)
        for month in np.unique(self.month):
            here = self.month == month
            residual[..., here] -= residual[..., here].mean(axis=-1, keepdims=True)
        parts = [residual[..., self.first == one].var(axis=-1, ddof=1)
                 for one in np.unique(self.first) if (self.first == one).sum() > 1]  # fmt: skip
        return np.mean(parts, axis=0) if parts else None


def slices(encoded: Encoded, arm_of: dict[str, str]) -> Iterator[Slice]:
    """The rows of each outcome in each arm."""
    arms = np.array([arm_of[subject] for subject in encoded.coords["subject"]])
    for block, members in encoded.blocks.items():
        column = {
            name: encoded.arrays[f"{block}_{name}"][1] for name in ("subject", "month", "outcome", "lower", "upper")
        }
        for index, outcome in enumerate(members):
            for arm in encoded.coords["arm"]:
                rows = np.flatnonzero((column["outcome"] == index) & (arms[column["subject"]] == arm))
                if not len(rows):
                    continue
                rows = rows[np.lexsort((column["month"][rows], column["subject"][rows]))]
                subject = column["subject"][rows]
                first = np.searchsorted(subject, subject, side="left")
                yield Slice(block, outcome, arm, rows, first, _binned(column["month"][rows]),
                            column["lower"][rows], column["upper"][rows])  # fmt: skip


def _binned(month: np.ndarray) -> np.ndarray:
    """Months as they are where they are few, else the median of about equally filled bins; baseline by itself."""
    rounded = np.round(month, 2)
    if len(np.unique(rounded)) <= MOST_VISITS:
        return rounded
    later = month > 0
    edges = np.quantile(month[later], np.linspace(0, 1, MOST_VISITS)[1:-1])
    index = np.where(later, 1 + np.digitize(month, np.unique(edges)), 0)
    return np.array([round(float(np.median(month[index == i])), 2) for i in index])


def _same(values: np.ndarray) -> np.ndarray:
    return values
