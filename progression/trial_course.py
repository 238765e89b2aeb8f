"""The one step between complete data and a trial: entry, drop-out, death, missed visits, tests, and what is known by a date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from progression.design import Design
from progression.generator import BLOCK, Complete, stream
from progression.outcomes import Outcome
from progression.schedule import Schedule
from progression.units import months_per

__all__ = ["Course", "happened", "intervals"]

_ENTRY, _DROPOUT, _DEATH, _MISSED = 21, 22, 23, 24  # streams of random numbers


@dataclass(frozen=True, eq=False)
class Course:
    """What happened in a block of trials, times in months.

    Attributes
    ----------
    scores : mapping of str to array, shape (trials, subjects, visits)
        NaN where a visit did not take place.
    entry : array, shape (trials, subjects)
        Calendar month of entry; minus infinity for historical controls, who were there before.
    end : array, shape (trials, subjects)
        Months from entry to the end of follow-up: the planned one, or drop-out, or an event.
    ended_by : mapping of str to array of bool, shape (trials, subjects)
        Whether "death", or another event that the program has, ended it.
    onset : array, shape (trials, subjects), or None
        Month of onset of antibodies, where the program has one.
    """

    scores: Mapping[str, np.ndarray]
    entry: np.ndarray
    end: np.ndarray
    ended_by: Mapping[str, np.ndarray]
    onset: np.ndarray | None


def happened(
    complete: Complete, design: Design, plan: Schedule, outcomes: Mapping[str, Outcome], *, random_seed: int, block: int
) -> Course:
    """Do to complete data what happens to a trial.

    In this order: patients enter; each leaves after a time with a constant hazard, or one that depends on the own slope; to each its
    event comes (a death, a flare) at the time that the program drew, and death else with the design's own hazard; visits after any of
    these do not take place; of the others some are missed, never the first; scores are rounded and clipped if the design says so. Historical controls enter before the trial, and the
    same happens to them.

    Notes
    -----
    Every stream of random numbers is drawn in full whatever the design, so that designs which differ in one thing share all others.
    """
    months, n = plan.months, len(plan.months)
    planned = np.maximum(months[:, -1], design.visit_months[-1])
    left = _leaving(complete, design, n, random_seed, block)
    left = left if complete.left is None else np.minimum(left, complete.left)
    times = {"death": _waiting(design.death_per_month or 0.0, n, stream(random_seed, block, _DEATH))} | dict(
        complete.events
    )
    first = np.min(list(times.values()), axis=0)
    end = np.minimum(left, planned)
    ended_by = {name: (time < end) & (time <= first) for name, time in times.items()}
    end = np.minimum(first, end)
    missed = (
        np.random.default_rng(stream(random_seed, block, _MISSED)).random((BLOCK, *months.shape)) < design.missed_visits
    )
    missed[:, :, 0] = False
    lost = missed | ((months > end[:, :, None]) & (months > 0))
    scores = {}
    for name, value in complete.scores.items():
        scores[name] = np.where(lost, np.nan, kept(value, design, outcomes[name]))
    return Course(scores, _entry(design, plan, random_seed, block), end, ended_by, complete.onset)


def kept(value: np.ndarray, design: Design, outcome: Outcome) -> np.ndarray:
    """Scores rounded and kept within their scale, where the design says so."""
    if design.rounding and outcome.integer:
        value = np.round(value)
    if design.clipping and (outcome.lower is not None or outcome.upper is not None):
        value = np.clip(value, outcome.lower, outcome.upper)
    return value


def intervals(onset: np.ndarray, known: np.ndarray, tests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which two tests each onset lies, as far as it is known.

    Parameters
    ----------
    onset : array
        Months of the onsets.
    known : array, of the same shape
        Months from entry until which tests took place and are known.
    tests : array, shape (tests,)
        Months of the tests.

    Returns
    -------
    lower, upper : array
        Last test before the onset (0 where there is none), first test at or after it (infinite where none is known).
    """
    taken = tests <= known[..., None]
    positive = taken & (tests >= onset[..., None])
    negative = taken & (tests < onset[..., None])
    return np.where(negative, tests, 0.0).max(axis=-1, initial=0.0), np.where(positive, tests, np.inf).min(
        axis=-1, initial=np.inf
    )


def months_of_tests(design: Design) -> np.ndarray:
    """Months of the tests for antibodies."""
    return np.asarray(design.antibody_tests_weeks or (), float) * months_per["weeks"]


def _leaving(complete: Complete, design: Design, n: int, random_seed: int, block: int) -> np.ndarray:
    left = _waiting(design.dropout_per_month, n, stream(random_seed, block, _DROPOUT))
    if not design.dropout_by_slope or complete.slope is None:
        return left
    slope = complete.slope
    spread = slope.std(axis=1, keepdims=True)
    own = (slope - slope.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return left * np.exp(-design.dropout_by_slope * own)  # a hazard twice as high halves the time


def _waiting(probability: float, n: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Months until something with a constant hazard: with this probability it happens within a month."""
    unit = np.random.default_rng(seed).standard_exponential((BLOCK, n))
    return unit / -np.log1p(-probability) if probability else np.full(unit.shape, np.inf)


def _entry(design: Design, plan: Schedule, random_seed: int, block: int) -> np.ndarray:
    """Calendar months of entry: the first patient opens the trial."""
    rng = np.random.default_rng(stream(random_seed, block, _ENTRY))
    n, total = int(plan.current.sum()), design.months_of_accrual
    entry = np.full((BLOCK, len(plan.current)), -np.inf)
    if design.entry == "poisson":
        order = rng.random((BLOCK, n)).argsort(axis=1)
        times = np.cumsum(rng.standard_exponential((BLOCK, n)), axis=1) * total / n
        own = np.take_along_axis(times, order, axis=1)
    else:
        own = rng.random((BLOCK, n)) * total
    entry[:, plan.current] = own - own.min(axis=1, keepdims=True)
    return entry
