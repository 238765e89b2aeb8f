"""A design in words: the synopsis that a protocol opens with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from progression.cohort import Cohort

__all__ = ["parts", "synopsis"]

_WIDTH, _INDENT = 100, 15


def synopsis(design: Any) -> str:
    """A line or two for each part of a design, as a protocol states them."""
    title = f"Trial design{f' {design.name!r}' if design.name else ''}"
    lines = [title, "-" * len(title)]
    for heading, text in parts(design):
        first, *rest = textwrap.wrap(text, _WIDTH - _INDENT) or [""]
        lines += [f"{heading:<{_INDENT}}{first}", *(" " * _INDENT + line for line in rest)]
    return "\n".join(lines)


def parts(design: Any) -> Iterator[tuple[str, str]]:
    """Each part of a synopsis: its heading, and what the design says of it."""
    sizes = ", ".join(f"{arm} {n}" for arm, n in design.arms.items())
    if len(design.arms) == 1:
        yield "Allocation", f"single arm, {sizes} patients"
    else:
        control = next(iter(design.arms))
        yield (
            "Allocation",
            f"randomised, {_ratio(design)}: {sizes} ({design.n_patients} patients); control arm: {control}",
        )
    yield "Visits", _visits(design)
    yield "Accrual", _accrual(design)
    yield "Drop-out", _dropout(design)
    yield "Deaths", ("as the model has them; none where it has none" if design.death_per_month is None
                     else f"{_percent(design.death_per_month)} a month, unrelated to treatment and score")  # fmt: skip
    if design.antibody_tests_weeks is not None:
        yield "Antibodies", f"tested for in the treated at weeks {_listed(design.antibody_tests_weeks)}"
    if design.historical is not None:
        yield "Historical", _historical(design)
    for i, look in enumerate(design.looks, start=1):
        yield f"Look {i}", repr(look)
    if not design.looks:
        yield "Looks", "none before the end"
    kept = [
        word
        for word, on in (("rounded", design.rounding), ("kept within the bounds of their scale", design.clipping))
        if on
    ]
    if kept:
        yield "Scores", " and ".join(kept)


def _ratio(design: Any) -> str:
    sizes = list(design.arms.values())
    least = min(sizes)
    return ":".join(f"{n / least:.3g}" for n in sizes)


def _visits(design: Any) -> str:
    text = f"{len(design.visits)}, at {design.time_unit} {_listed(design.visits)} from entry"
    if design.visit_jitter_days:
        text += f"; early or late by {design.visit_jitter_days:g} days (SD)"
    if design.missed_visits:
        text += f"; {_percent(design.missed_visits)} of those after the first missed"
    return text


def _accrual(design: Any) -> str:
    if not design.months_of_accrual:
        return f"all enter on one day; last visit at month {design.duration:.3g}"
    rate = design.n_patients / design.months_of_accrual
    how = "at random with independent gaps" if design.entry == "poisson" else "at uniform times"
    return f"{rate:.3g} patients a month for {design.months_of_accrual:.3g} months, {how}; last visit of the last at month {design.duration:.3g}"


def _dropout(design: Any) -> str:
    if not design.dropout_per_month:
        return "none"
    text = f"{_percent(design.dropout_per_month)} a month"
    if design.dropout_by_slope:
        sooner = "faster" if design.dropout_by_slope < 0 else "slower"
        text += f"; the log hazard changes by {design.dropout_by_slope:g} for each SD of the own slope: who declines {sooner} leaves sooner"
    return text


def _historical(design: Any) -> str:
    sizes = ", ".join(f"{label} {n}" for label, n in design.historical_sizes.items())
    real = isinstance(design.historical, Cohort)
    whose = (
        f"{design.historical.provenance} controls, the same in every trial" if real else "simulated with every trial"
    )
    how = f"; {design.borrowing}" if design.borrowing is not None else "; how they are borrowed is not said"
    return f"{sizes}, {whose}{how}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _listed(times: Any) -> str:
    return ", ".join(f"{one:g}" for one in times)
