"""Every fault of a design, found before anything is simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from progression.borrowing import Borrowing
from progression.cohort import Cohort
from progression.faults import Fault, SettingError, is_number, setting_fault, suggest
from progression.looks import Look, order_faults
from progression.units import DAYS_PER_MONTH, months_per

__all__ = ["design_faults"]

ENTRIES = ("uniform", "poisson")


def design_faults(design: Any) -> list[Fault]:
    """Every fault of a design's settings, in the order of its parameters."""
    faults = [*_sizes("arms", design.arms), *_visits(design), *_numbers(design), *_accrual(design)]
    faults += [*_tests(design.antibody_tests_weeks), *_historical(design), *_switches(design)]
    looks = design.looks
    if isinstance(looks, str) or not isinstance(looks, Sequence) or not all(isinstance(one, Look) for one in looks):
        return [*faults, setting_fault("looks", looks, "is not a list of looks", "give [pg.Look(6, futility=0.05)]")]
    for i, look in enumerate(looks):
        faults += look.faults(f"looks[{i}]")
    return [*faults, *order_faults(looks, _end(design, faults))]


def _end(design: Any, faults: Sequence[Fault]) -> float:
    """The planned end, where what it rests on is sound; else no end at all."""
    sound = {"arms", "visits_weeks", "visits_months", "accrual_per_month", "accrual_months"} - {
        one.column for one in faults
    }
    return design.duration if len(sound) == 5 else np.inf


def _sizes(name: str, sizes: object, taken: Sequence[str] = ()) -> Iterator[Fault]:
    if not isinstance(sizes, Mapping) or not sizes:
        yield setting_fault(name, sizes, "is not a mapping of labels to numbers of patients",
                            'give {"control": 60, "treated": 60}, the control first')  # fmt: skip
        return
    for label, n in sizes.items():
        if not isinstance(label, str) or not label.strip() or label != label.strip():
            yield setting_fault(name, label, "is not the label of an arm", "give text without spaces around it")
        if label in taken:
            yield setting_fault(name, label, "is the label of an arm of the trial too", "give it another label")
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            yield setting_fault(name, n, f"patients in {label!r} is not a whole number of at least 1",
                                "give a number, or leave the arm out")  # fmt: skip


def _times(name: str, value: object) -> tuple[list[float], list[Fault]]:
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence | np.ndarray)
        or not all(is_number(one) for one in value)
    ):
        return [], [setting_fault(name, value, "is not a list of times", "give [0, 4, 8, 12]")]
    times = [float(one) for one in value]
    wrong = [(a, b) for a, b in pairwise(times) if b <= a]
    return times, [
        setting_fault(name, b, f"does not come after {a:g}", "put the times in ascending order") for a, b in wrong
    ]


def _visits(design: Any) -> Iterator[Fault]:
    given = [key for key in ("visits_weeks", "visits_months") if getattr(design, key) is not None]
    if len(given) != 1:
        what = "are both given" if given else "are both missing"
        yield setting_fault(
            "visits_weeks", None, f"and visits_months {what}", "give the visits in exactly one of the two"
        )
    for key in given:
        times, faults = _times(key, getattr(design, key))
        yield from faults
        if not times and not faults:
            yield setting_fault(key, getattr(design, key), "holds no visit", "give [0, 4, 8, 12]")
        if times and times[0] != 0:
            yield setting_fault(key, times[0], "is the first visit, and not at 0", "begin with the baseline visit, 0")
        if len(times) == 1:
            yield setting_fault(key, times[0], "is the only visit: nothing can change", "plan a visit after it")


def _numbers(design: Any) -> Iterator[Fault]:
    for key in ("missed_visits", "dropout_per_month", "death_per_month"):
        value = getattr(design, key)
        if value is not None and (not is_number(value) or not 0 <= value < 1):
            remedy = (
                f"did you mean {value / 100:g}?"
                if is_number(value) and 1 <= value < 100
                else "give a number from 0 to below 1"
            )
            yield setting_fault(key, value, "is not a probability of at least 0 and below 1", remedy)
    if not is_number(design.visit_jitter_days) or design.visit_jitter_days < 0:
        yield setting_fault(
            "visit_jitter_days", design.visit_jitter_days, "is not an SD in days", "give a number of at least 0"
        )
    if not is_number(design.dropout_by_slope):
        yield setting_fault(
            "dropout_by_slope", design.dropout_by_slope, "is not a log hazard ratio", "give a number such as -0.5"
        )
    elif design.dropout_by_slope and not design.dropout_per_month:
        yield setting_fault("dropout_by_slope", design.dropout_by_slope, "changes a hazard of leaving that is 0",
                            "give dropout_per_month= too")  # fmt: skip


def _accrual(design: Any) -> Iterator[Fault]:
    given = [key for key in ("accrual_per_month", "accrual_months") if getattr(design, key) is not None]
    if len(given) == 2:
        yield setting_fault("accrual_per_month", design.accrual_per_month, "and accrual_months are both given: one follows from the other",
                            "leave one out")  # fmt: skip
    for key in given:
        value = getattr(design, key)
        if not is_number(value) or value <= 0:
            yield setting_fault(
                key, value, "is not a number above 0", "give one, or leave it out: all enter on one day"
            )
    if design.entry not in ENTRIES:
        yield setting_fault("entry", design.entry, f"is unknown{suggest(design.entry, ENTRIES)}", "use one of them")
    elif design.entry != "uniform" and not given:
        yield setting_fault("entry", design.entry, "says how patients enter, and nothing says over how long",
                            "give accrual_per_month= or accrual_months=")  # fmt: skip


def _tests(value: object) -> Iterator[Fault]:
    if value is None:
        return
    times, faults = _times("antibody_tests_weeks", value)
    yield from faults
    if times and times[0] < 0:
        yield setting_fault("antibody_tests_weeks", times[0], "lies before the start", "give weeks from 0")
    if not times and not faults:
        yield setting_fault("antibody_tests_weeks", None, "has no test", "give weeks, or leave it out")


def _historical(design: Any) -> Iterator[Fault]:
    historical, taken = design.historical, list(design.arms) if isinstance(design.arms, Mapping) else []
    labels: list[str] = []
    if isinstance(historical, Cohort):
        labels = [design.historical_arm]
        if len(historical.arms) > 1:
            yield setting_fault("historical", ", ".join(historical.arms), "are several arms, treated patients among them perhaps",
                                "select theirs first: cohort.select(\"arm == 'placebo'\")")  # fmt: skip
        if design.historical_arm in taken:
            yield setting_fault(
                "historical_arm", design.historical_arm, "is the label of an arm of the trial too", "give another one"
            )
    elif historical is not None:
        yield from _sizes("historical", historical, taken)
        labels = list(historical) if isinstance(historical, Mapping) else []
    if design.borrowing is None:
        return
    if not isinstance(design.borrowing, Borrowing):
        yield setting_fault(
            "borrowing", design.borrowing, "is no way to borrow", "give pg.Commensurate(scale=0.2) or another"
        )
        return
    try:
        design.borrowing.components()
    except SettingError as error:
        yield from error.faults
    if historical is None:
        yield setting_fault(
            "borrowing",
            str(design.borrowing),
            "borrows from historical controls, and there are none",
            "give historical= too",
        )
    else:
        for arm in design.borrowing.arms:
            if arm not in labels:
                yield setting_fault("borrowing", arm, f"is no historical arm of this design{suggest(arm, labels)}",
                                    "name theirs: pg.Commensurate(0.2, arms=(...,))")  # fmt: skip


def _switches(design: Any) -> Iterator[Fault]:
    for key in ("rounding", "clipping"):
        if not isinstance(getattr(design, key), bool):
            yield setting_fault(key, getattr(design, key), "is neither True nor False", "give one of them")
    if not isinstance(design.name, str):
        yield setting_fault("name", design.name, "is not text", "give text")
    jitter = design.visit_jitter_days
    months = design.visits_months if design.visits_weeks is None else design.visits_weeks
    if (
        is_number(jitter)
        and jitter > 0
        and isinstance(months, Sequence)
        and len(months) > 1
        and all(is_number(one) for one in months)
    ):
        gap = float(np.diff(np.asarray(months, float)).min()) * (
            months_per["weeks"] if design.visits_weeks is not None else 1.0
        )
        if gap > 0 and jitter / DAYS_PER_MONTH > gap / 4:
            yield setting_fault(
                "visit_jitter_days",
                jitter,
                "would put visits out of their order",
                "give less than a quarter of the gap between two visits",
            )
