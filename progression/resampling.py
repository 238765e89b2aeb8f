"""Real patients -> Trials: their own courses, drawn with replacement, and a stated effect of treatment put on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from progression.cohort import Cohort
from progression.design import Design
from progression.event_times import known_follow_up
from progression.faults import Fault, SettingError, is_number, setting_fault, suggest
from progression.follow_up import FollowUp, follow_up
from progression.generator import BLOCK, Complete, stream
from progression.outcomes import Outcome
from progression.schedule import Schedule, schedule
from progression.simulating import assembled, check_range
from progression.trial_course import happened
from progression.trials import Trials

__all__ = ["Patients", "resample"]

_WHO = 31  # stream of random numbers
_NEAR = 0.5  # months: how far a visit may lie from the planned one that it stands for


@dataclass(frozen=True, eq=False)
class Patients:
    """Real patients as the truth of a simulation: what `resample` draws trials from, and the effect put on them.

    Parameters
    ----------
    cohort : Cohort
        Untreated patients of one arm.
    change_per_month, slowing, outcome, matched
        As in `resample`.
    """

    cohort: Cohort
    _: KW_ONLY
    change_per_month: float | Mapping[str, float] = 0.0
    slowing: float | Mapping[str, float] = 0.0
    outcome: str | None = None
    matched: bool = True

    def settings(self) -> dict[str, Any]:
        """All but the cohort, as the arguments of `resample`."""
        return {key: getattr(self, key) for key in ("change_per_month", "slowing", "outcome", "matched")}

    def __repr__(self) -> str:
        effect = [f"{name.replace('_', ' ')} {value}" for name, value in self.settings().items()
                  if name in ("change_per_month", "slowing") and value]  # fmt: skip
        return f"patients of {self.cohort.name or 'a cohort'}, {', '.join(effect) or 'no effect'}"


def resample(
    cohort: Cohort, design: Design, *, change_per_month: float | Mapping[str, float] = 0.0, slowing: float | Mapping[str, float] = 0.0,
    outcome: str | None = None, matched: bool = True, n: int = 1000, first: int = 0, random_seed: int = 1,
) -> Trials:  # fmt: skip
    """Make trials of a design from real patients, so that power does not rest on a model of their course.

    Parameters
    ----------
    cohort : Cohort
        Untreated patients of one arm, such as placebo patients of a registry; those with a baseline score are drawn from.
    design : Design
        Its arms, visits, accrual and looks. What befell the patients stays; its drop-out, deaths and missed visits come on top.
    change_per_month : float or mapping of arm to float
        Effect of treatment: so much is added to each score for each month since entry (units of the outcome a month). A number
        is that of every active arm; a mapping may name simulated historical controls too, whose change is a drift.
    slowing : float or mapping of arm to float
        Or: the share of each patient's own change from baseline that treatment prevents, residuals among it.
    outcome : str, optional
        Needed where the cohort has several.
    matched : bool
        Whether each arm draws one patient from each of as many layers of the baseline score as it has patients, so that arms are
        alike at baseline and patients still independent; else all draws are independent, as after simple randomisation.
    n, first : int
        How many trials, and the number of the first. Trial k is the same whatever `n` and `first` are.
    random_seed : int

    Returns
    -------
    Trials
        Provenance "simulated". Changed scores are kept within the bounds of the outcome, and rounded only if the design says so.
        Each planned visit has the score nearest to it, within half a month; none where there is none.

    Raises
    ------
    SettingError
        With every argument that cannot be meant.

    Notes
    -----
    A bootstrap of whole patients (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 9): what patients differ in is
    the cohort's own, so that trials much larger than the cohort repeat its patients. Treatment changes no time of death.
    """
    chosen = _checked(cohort, design, outcome, change_per_month, slowing)
    check_range(n, first, random_seed)
    facts = next(one for one in cohort.outcomes if one.name == chosen)
    planned = design.visit_months
    near = min(_NEAR, float(np.diff(planned).min()) / 2)
    seen = follow_up(cohort, chosen, month=None, visits=list(planned), tolerance=near)
    course = np.column_stack([seen.baseline, seen.score])
    able = np.flatnonzero(np.isfinite(seen.baseline))
    if len(able) < 2:
        raise SettingError([setting_fault("cohort", len(able), f"of its patients have {chosen} at baseline: there is nothing to draw from",
                                          "give a cohort with baseline scores")])  # fmt: skip
    ranked = able[np.argsort(seen.baseline[able], kind="stable")]
    with_events = (
        known_follow_up(cohort.subjects) or bool(np.isfinite(seen.death).any()) or design.death_per_month is not None
    )
    plan = schedule(design, [facts], with_events=with_events, random_seed=int(random_seed))
    plan = replace(plan, data=_noted(plan.data, cohort, course[able], change_per_month, slowing))
    arm = plan.program.subjects["arm"].to_numpy()
    added, held = _by_subject(change_per_month, arm, design), _by_subject(slowing, arm, design)
    courses = []
    for block in range(first // BLOCK, (first + n - 1) // BLOCK + 1):
        who = ranked[_drawn(arm, len(ranked), matched, int(random_seed), block)]
        complete = _complete(course, seen, who, plan, added, held, facts)
        courses.append(happened(complete, design, plan, {chosen: facts}, random_seed=int(random_seed), block=block))
    kept = slice(first % BLOCK, first % BLOCK + n)
    return assembled(design, plan, courses, kept, first=first, random_seed=int(random_seed), origin=None)


def _drawn(arm: np.ndarray, patients: int, matched: bool, random_seed: int, block: int) -> np.ndarray:
    """For each place of each trial a patient, counted in order of the baseline score: (BLOCK, subjects)."""
    rng = np.random.default_rng(stream(random_seed, block, _WHO))
    within, order = rng.random((BLOCK, len(arm))), rng.random((BLOCK, len(arm)))
    place = within
    if matched:
        place = np.empty_like(within)
        for label in np.unique(arm):
            own = arm == label
            layer = order[:, own].argsort(axis=1)
            place[:, own] = (layer + within[:, own]) / own.sum()
    return np.minimum((place * patients).astype(int), patients - 1)


def _complete(
    course: np.ndarray,
    seen: FollowUp,
    who: np.ndarray,
    plan: Schedule,
    added: np.ndarray,
    held: np.ndarray,
    facts: Outcome,
) -> Complete:
    """The courses of drawn patients under treatment, before anything else happens to the trial."""
    score = course[who]
    start = score[:, :, :1]
    treated = start + (score - start) * (1 - held[:, None]) + added[:, None] * plan.months
    if facts.lower is not None or facts.upper is not None:
        treated = np.clip(treated, facts.lower, facts.upper)
    changed = ((added != 0) | (held != 0))[:, None]
    death, end = seen.death[who], seen.followed[who]
    # Who was followed as far as the trial goes left nothing; who died is lost by death.
    # A last visit a few days before the planned one stands for it: who made it had not left by then.
    last = np.where(np.isfinite(score), plan.months, 0.0).max(axis=2)
    left = np.where((end >= plan.months[:, -1] - _NEAR) | np.isfinite(death), np.inf, np.maximum(end, last))
    slope = _own_slopes(course, plan)[who]
    return Complete({facts.name: np.where(changed, treated, score)}, {"death": death}, slope, None, left)


def _noted(data: Cohort, patients: Cohort, course: np.ndarray, change: Any, slowing: Any) -> Cohort:
    """The cohort that trials fill in, saying whose courses they are, what was done to them, and what their visits lack."""
    own = {name: value for name, value in (("change per month", change), ("slowing", slowing)) if value}
    effect = ", ".join(f"{name} {value}" for name, value in own.items()) or "none"
    source = f"{data.source}; patients drawn from {patients.name or 'a cohort'} ({patients.provenance}); effect of treatment: {effect}"
    lacking = float(np.isnan(course).mean())
    note = f"of the patients' scores at the planned visits {100 * lacking:.0f} % are missing: they were seen at other times, or no longer"
    return replace(data, source=source, warnings=(*data.warnings, *([note] if lacking > 0.05 else [])))


def _own_slopes(course: np.ndarray, plan: Schedule) -> np.ndarray:
    """Least squares slope of each patient; the mean of all for those seen once."""
    known = np.isfinite(course)
    month = np.where(known, plan.months[0], np.nan)
    off = month - np.nanmean(month, axis=1, keepdims=True)
    square = np.nansum(off**2, axis=1)
    product = np.nansum(off * np.where(known, course, np.nan), axis=1) if course.size else square
    slope = np.divide(product, square, out=np.full(len(course), np.nan), where=square > 0)
    return np.where(np.isnan(slope), np.nanmean(slope) if np.isfinite(slope).any() else 0.0, slope)


def _by_subject(value: float | Mapping[str, float], arm: np.ndarray, design: Design) -> np.ndarray:
    active = list(design.arms)[1:] or list(design.arms)
    by_arm = dict(value) if isinstance(value, Mapping) else dict.fromkeys(active, value)
    return np.array([float(by_arm.get(label, 0.0)) for label in arm])


def _checked(cohort: Any, design: Any, outcome: str | None, change: Any, slowing: Any) -> str:
    """Which outcome; every fault of the arguments at once."""
    faults: list[Fault] = []
    if not isinstance(cohort, Cohort):
        faults.append(setting_fault("cohort", type(cohort).__name__, "is not a Cohort", "give untreated patients"))
    if not isinstance(design, Design):
        faults.append(
            setting_fault(
                "design", type(design).__name__, "is not a Design", "make one: pg.Design(arms=..., visits_weeks=...)"
            )
        )
    if faults:
        raise SettingError(faults)
    if len(cohort.arms) > 1:
        faults.append(setting_fault("cohort", ", ".join(cohort.arms), "has several arms, treated patients among them perhaps",
                                    "select the untreated: cohort.select(\"arm == 'placebo'\")"))  # fmt: skip
    names = [one.name for one in cohort.outcomes]
    if outcome is None and len(names) > 1:
        faults.append(setting_fault("outcome", None, f"must be named: the cohort has {', '.join(names)}", "name one"))
    elif outcome is not None and outcome not in names:
        faults.append(
            setting_fault("outcome", outcome, f"is no outcome of the cohort{suggest(outcome, names)}", "name one")
        )
    if design.visit_jitter_days:
        faults.append(setting_fault("visit_jitter_days", design.visit_jitter_days, "would misdate scores of real patients, who came early or late themselves",
                                    "leave it out"))  # fmt: skip
    if design.antibody_tests_weeks is not None:
        faults.append(
            setting_fault(
                "antibody_tests_weeks",
                design.antibody_tests_weeks,
                "look for an onset that untreated patients have not",
                "leave them out",
            )
        )
    known = [*design.arms, *([] if isinstance(design.historical, Cohort) else design.historical_sizes)]
    for name, value in (("change_per_month", change), ("slowing", slowing)):
        for label, one in value.items() if isinstance(value, Mapping) else [(None, value)]:
            if label is not None and label not in known:
                faults.append(
                    setting_fault(name, label, f"is no arm of the design{suggest(label, known)}", "rename it")
                )
            if not is_number(one) or (name == "slowing" and one > 1):
                words = "is not a share of at most 1" if name == "slowing" else "is not a finite number"
                faults.append(setting_fault(name, one, words, "give 0.3 for 30 % slower"))
    if faults:
        raise SettingError(faults)
    return names[0] if outcome is None else outcome
