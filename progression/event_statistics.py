"""Statistics of observed and replicated times to an event that a model should reproduce."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from progression.encoding import Encoded
from progression.outcomes import Outcome

_TIMES = 3


@dataclass(frozen=True, eq=False)
class EventSlice:
    """The times to one event in one arm.

    Attributes
    ----------
    block : str
        Name of the observed variable.
    arm : str
    rows : array of int
    upper : array of float
        Month at which each row is censored.
    months : array of float
        Months at which the share of subjects with the event is looked at; of rows by interval, the visit that ends each.
    by_interval : bool
        Whether a row is an interval that a subject entered, not a subject.
    """

    block: str
    arm: str
    rows: np.ndarray
    upper: np.ndarray
    months: np.ndarray
    by_interval: bool = False

    @property
    def outcome(self) -> Outcome:
        """The event as an outcome: its name and unit."""
        return Outcome(self.block, unit="months", label=f"time to {self.block}", lower=0)

    def statistics(self, values: np.ndarray) -> dict[tuple[str, float], np.ndarray]:
        """Share of subjects with the event, at all and by some months; `values` of shape (..., rows)."""
        happened = values < self.upper
        if self.by_interval:
            by_visit = {
                float(month): happened[..., self.months == month].mean(axis=-1) for month in np.unique(self.months)
            }
            every = {("intervals with the event", math.nan): happened.mean(axis=-1)}
            return every | {
                ("share with the event since the visit before", month): share for month, share in by_visit.items()
            }
        found: dict[tuple[str, float], np.ndarray] = {("share with the event", math.nan): happened.mean(axis=-1)}
        for month in self.months[:-1]:
            by_then = (happened & (values <= month)).mean(axis=-1)
            found["share with the event by then", float(month)] = by_then
        return found


def event_slices(encoded: Encoded, arm_of: dict[str, str]) -> Iterator[EventSlice]:
    """The times to each event in each arm."""
    arms = np.array([arm_of[subject] for subject in encoded.coords["subject"]])
    for name in encoded.events:
        subject, upper = (encoded.arrays[f"{name}_{key}"][1] for key in ("subject", "upper"))
        if not len(subject):
            continue
        visit = encoded.arrays.get(f"{name}_visit")
        months = np.round(upper.max() * np.arange(1, _TIMES + 1) / _TIMES, 2)
        for arm in encoded.coords["arm"]:
            rows = np.flatnonzero(arms[subject] == arm)
            if len(rows) and visit is None:
                yield EventSlice(name, arm, rows, upper[rows], months)
            elif len(rows) and visit is not None:
                ends = np.asarray(encoded.coords["visit"], float)[visit[1][rows]]
                yield EventSlice(name, arm, rows, upper[rows], ends, by_interval=True)
