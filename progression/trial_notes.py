"""What to know when reading figures of simulated trials: how they were made, and what a pilot did not know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from progression.contrasts import contrast
from progression.design import Design
from progression.estimands import Estimand
from progression.fitted import Fit
from progression.learning import prior_warnings
from progression.resampling import Patients
from progression.rules import Rule
from progression.truths import inverted

__all__ = ["pilot_notes", "run_notes"]


def run_notes(designs: Mapping[str, Design], named: Mapping[str, Any], screens: Mapping[Any, Any]) -> tuple[str, ...]:
    """How trials were made and what closed forms leave out."""
    notes = []
    if screens:
        notes.append(
            "closed form: two normal means of all patients at all visits, a wide prior; without drop-out, deaths and looks"
        )
    if any(isinstance(one.historical, Mapping) for one in designs.values()) and not any(
        "drift" in str(truth) for truth in named.values()
    ):
        notes.append("historical controls are simulated without drift: give drift= in the truth to see what it does")
    if any(isinstance(truth, Patients) for truth, _ in named.values()):
        notes.append(
            "trials are drawn from real patients: their true value is not known, so that bias and coverage are not given"
        )
    return tuple(notes)


def pilot_notes(fit: Fit, rules: Sequence[Rule], fixed: Mapping[str, Any]) -> tuple[str, ...]:
    """What the pilot did not learn of the rules' estimands, those left out that are not drawn from it."""
    inverses = {one.name: _sets(one) for one in fit.model.estimands if one.inverse is not None}
    stated = {*fixed, *(parameter for name in fixed for parameter in inverses.get(name, ()))}
    known = {one.name: one for one in fit.model.estimands}
    drawn = [name for name in dict.fromkeys(one.estimand for one in rules)
             if name in known and name not in stated and not (inverses.get(name) and inverses[name] <= stated)]  # fmt: skip
    answerable = [name for name in drawn if known[name].refusal(fit.cohort) is None]
    if not answerable:
        return ()
    return tuple(f"the pilot: {text}" for text in prior_warnings(contrast(fit, answerable).against_prior()))


def _sets(estimand: Estimand) -> set[str]:
    """Parameters that say what an estimand is."""
    try:
        return set(inverted(estimand, 1.0, defaultdict(lambda: 1.0), {}))
    except Exception:  # whatever somebody's inverse makes of ones: the run is done, and a note is not worth it
        return set()
