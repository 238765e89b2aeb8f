"""Who is in a simulated trial, in which arm, and when each is to be seen: the cohort that every trial of a design fills in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from progression.baseline import with_historical_controls
from progression.borrowing import NOBODY
from progression.cohort import Cohort
from progression.design import Design
from progression.outcomes import Outcome
from progression.units import DAYS_PER_MONTH, months_per

__all__ = ["Schedule", "named", "schedule"]

_JITTER = 1  # the stream of random numbers for days early and late


@dataclass(frozen=True, eq=False)
class Schedule:
    """The subjects and planned visits of a design, as two cohorts with the same simulated subjects in the same order.

    Attributes
    ----------
    program : Cohort
        Simulated subjects alone, arms as a program needs them: the historical ones last, and before a single arm that is compared
        with them the arm of the concurrent controls that nobody is in.
    data : Cohort
        What an analysis sees: real historical controls among its subjects.
    months : array, shape (simulated subjects, visits)
        When each is to be seen, from the own entry.
    rows, subjects : array of int
        Where the simulated rows (subject by subject) and subjects stand in the tables of `data`.
    current : array of bool, shape (simulated subjects,)
        Patients of the trial, as against simulated historical controls.
    """

    program: Cohort
    data: Cohort
    months: np.ndarray
    rows: np.ndarray
    subjects: np.ndarray
    current: np.ndarray


def schedule(design: Design, outcomes: Sequence[Outcome], *, with_events: bool, random_seed: int) -> Schedule:
    """Lay out subjects and visits of a design, with some value of each outcome at each visit.

    Parameters
    ----------
    design : Design
    outcomes : sequence of Outcome
    with_events : bool
        Whether the cohorts say how long each subject is followed for events.
    random_seed : int
        For days early and late, alike in all trials of a seed.
    """
    real = design.historical if isinstance(design.historical, Cohort) else None
    simulated = {} if real is not None else design.historical_sizes
    sizes = {**design.arms, **simulated}
    arms = list(sizes) if len(design.arms) > 1 or not simulated else [*simulated, *design.arms]
    labels = np.repeat(list(sizes), list(sizes.values()))
    current = np.isin(labels, list(design.arms))
    number = np.where(current, np.cumsum(current), np.cumsum(~current))
    ids = np.array([f"{'P' if own else 'H'}{i}" for own, i in zip(current, number, strict=True)])
    months = _months(design, len(labels), random_seed)
    per = months_per[design.time_unit]
    n, k = months.shape
    names = [f"{design.time_unit.removesuffix('s')} {one:g}" for one in design.visits]
    visits = pd.DataFrame({"subject": np.repeat(ids, k), "time": months.ravel() / per, "visit": np.tile(names, n),
                           **{one.name: _some_value(one) for one in outcomes}})  # fmt: skip
    subjects = pd.DataFrame({"subject": ids, "arm": labels})
    if with_events:
        subjects["end_of_follow_up"] = np.maximum(months[:, -1], design.visit_months[-1]) / per
    source = f"trials simulated from a design ({design.fingerprint[:12]})"
    made = Cohort.from_table(
        visits, subjects, time_unit=design.time_unit, outcomes=list(outcomes), arms=arms, provenance="simulated",
        allocation="single arm" if len(arms) == 1 else "historical" if simulated else "randomised",
        name=_name(design), source=source,
    )  # fmt: skip
    compared = len(design.arms) == 1 and design.historical is not None
    program = replace(made, arms=((NOBODY,) if compared else ()) + tuple(sizes), historical_arms=tuple(simulated),
                      allocation="single arm" if len(sizes) + compared == 1 else "randomised")  # fmt: skip
    data = made if real is None else with_historical_controls(made, real, control=design.historical_arm, name=made.name)
    own = (data.subjects["arm"] != design.historical_arm).to_numpy() if real is not None else np.ones(n, bool)
    rows = np.flatnonzero(data.visits["subject"].map(pd.Series(own, data.subjects.index)).to_numpy(bool))
    order = pd.Index(ids).get_indexer(program.subjects.index)
    return Schedule(program, data, months[order], rows, np.flatnonzero(own), current[order])


def named(plan: Schedule, design: Design) -> Schedule:
    """The same schedule under the name of a design."""
    return replace(plan, data=replace(plan.data, name=_name(design)))


def _name(design: Design) -> str:
    return design.name or "simulated trial"


def _months(design: Design, n: int, random_seed: int) -> np.ndarray:
    """Months of the visits of `n` subjects; days early or late never change the order of visits."""
    planned = design.visit_months
    rng = np.random.default_rng(np.random.SeedSequence([random_seed, _JITTER]))
    off = rng.standard_normal((n, len(planned))) * design.visit_jitter_days / DAYS_PER_MONTH
    room = 0.45 * np.diff(planned)
    off[:, 0] = 0.0
    off[:, 1:] = np.clip(off[:, 1:], -room, np.append(room[1:], room[-1]))
    return planned + off


def _some_value(outcome: Outcome) -> float:
    """A value that the outcome can have, above its detection limit, for rows that each trial fills in."""
    low = outcome.lower or 0.0
    if outcome.detection_limit is not None:
        return (
            max(low, 2 * outcome.detection_limit)
            if outcome.upper is None
            else (outcome.detection_limit + outcome.upper) / 2
        )
    middle = low + 5.0 if outcome.upper is None else (low + outcome.upper) / 2
    return float(np.floor(middle)) if outcome.integer else middle
