"""Design x Model x truth -> Trials, thousands at once, from the model's own program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from progression.design import Design
from progression.encoding import encode
from progression.estimands import Facts
from progression.event_times import DEATH, event_rows, known_follow_up, signed
from progression.faults import SettingError, is_number, setting_fault
from progression.fitted import Fit
from progression.generator import BLOCK, ONSET, Complete, Generator, generator
from progression.groups import events_in_use
from progression.looks import estimand_faults
from progression.modeling import Model
from progression.outcomes import Outcome
from progression.parameter_layout import Layout
from progression.registry import resolve
from progression.schedule import Schedule, named, schedule
from progression.stated_truth import truth_of_trials
from progression.trial_course import Course, happened
from progression.trials import Origin, Trials
from progression.truths import Truth

__all__ = ["Simulator", "assembled", "check_range", "outlined", "simulate", "simulator"]


def simulate(
    design: Design, model: str | Model, *, truth: Mapping[str, Any] | Fit, fixed: Mapping[str, Any] | None = None, n: int = 1000,
    first: int = 0, random_seed: int = 1, options: Mapping[str, Any] | None = None,
    outcomes: Outcome | Sequence[Outcome] | None = None,
) -> Trials:  # fmt: skip
    """Simulate trials of a design from a model's own program, its population fixed at the truth.

    Parameters
    ----------
    design : Design
    model : str or Model
    truth : mapping or Fit
        Every population parameter of the program by name: a number, an array over its dims, a mapping of labels to numbers
        (``{"low": 0.1, "high": 0.3}``, ``{"control": 0.76, "treated": 1.09}``), or a `Prior` that each trial draws from. In the place
        of an effect an estimand that has an inverse: ``{"slope_ratio": 0.7}``. `drift`: how much simulated historical controls differ
        from concurrent ones, in the unit of the effect, on the log scale where the effect is a ratio; 0 where omitted, as is their
        difference at baseline. Or a fit: each trial has one draw of its posterior.
    fixed : mapping, optional
        Beside a fit, what is not drawn from it, in the same words: ``{"slope_ratio": 0.7}`` or ``{"slope_effect": 0}``.
    n, first : int
        How many trials, and the number of the first. Trial k is the same whatever `n` and `first` are.
    random_seed : int
    options : mapping, optional
        The model's options, such as ``{"mortality": "linked"}``.
    outcomes : Outcome or sequence of Outcome, optional
        In the place of the model's own: another detection limit, or another outcome for a model that takes any.

    Returns
    -------
    Trials
        Provenance "simulated". Scores are neither rounded nor clipped unless the design says so.

    Raises
    ------
    SettingError
        With every parameter that is missing, unknown or impossible, and all that the design asks of a model that has it not.

    Notes
    -----
    `pm.do` fixes the population parameters; the program then draws subjects, scores and times of events. What happens to a trial
    is done by one step: `progression.trial_course.happened`.
    """
    check_range(n, first, random_seed)
    return simulator(
        design,
        model,
        truth=truth,
        fixed=fixed,
        random_seed=random_seed,
        options=options,
        outcomes=outcomes,
        analysis=resolve(model),
    ).trials(n, first)


@dataclass(frozen=True, eq=False)
class Simulator:
    """What trials of one design under one truth are drawn with: its program compiled, its truth read. Made by `simulator`."""

    design: Design
    made: Generator
    plan: Schedule
    truth: Truth
    options: Mapping[str, Any]
    random_seed: int

    def trials(self, n: int, first: int = 0) -> Trials:
        """Trials `first` to below ``first + n``."""
        made, courses, values = self.made, [], []
        for block in range(first // BLOCK, (first + n - 1) // BLOCK + 1):
            values.append(self.truth.block(self.random_seed, block))
            courses.append(_block(made, self.design, self.plan, values[-1], self.random_seed, block))
        kept = slice(first % BLOCK, first % BLOCK + n)
        labels = {dim: made.encoded.coords[dim] for own in made.dims.values() for dim in own}
        drawn = xr.Dataset({name: (("data_set", *own), np.concatenate([one[name] for one in values])[kept]) for name, own in made.dims.items()},
                           coords=labels)  # fmt: skip
        facts = Facts(cohort=self.plan.program, data=made.encoded.groups()["constant_data"], options=self.options)
        return assembled(self.design, self.plan, courses, kept, first=first, random_seed=self.random_seed,
                         origin=Origin(made.model, drawn, facts))  # fmt: skip


def simulator(
    design: Design, model: str | Model, *, truth: Mapping[str, Any] | Fit, fixed: Mapping[str, Any] | None = None,
    random_seed: int = 1, options: Mapping[str, Any] | None = None, outcomes: Outcome | Sequence[Outcome] | None = None,
    analysis: Model | None = None,
) -> Simulator:  # fmt: skip
    """Compile the program and read the truth once, for many calls; parameters and errors as those of `simulate`.

    Rules at looks are checked against the estimands of `analysis`, where it is given: trials may be analysed by another model.
    """
    chosen = resolve(model)
    if not isinstance(design, Design):
        raise SettingError([setting_fault("design", type(design).__name__, "is not a Design",
                                          "make one: pg.Design(arms=..., visits_weeks=...)")])  # fmt: skip
    listed = (outcomes,) if isinstance(outcomes, Outcome) else tuple(outcomes or chosen.usual_outcomes)
    used = chosen.with_options(options)
    made, plan = _prepared(chosen, design, listed, tuple(sorted(used.items(), key=str)), int(random_seed))
    check_suits(design, chosen, made, analysis)
    plan = named(plan, design)  # a name is no part of a design: the program may have been made for another one's
    read = truth_of_trials(chosen, _layout(made, design, plan), truth, fixed)
    return Simulator(design, made, plan, read, used, int(random_seed))


def outlined(design: Design, *, random_seed: int) -> Trials:
    """Trials of a design as far as it says by itself what happens: entry, drop-out, missed visits, its own deaths; no scores."""
    outcome = Outcome("seen")
    plan = schedule(design, [outcome], with_events=design.death_per_month is not None, random_seed=random_seed)
    complete = Complete({"seen": np.ones((BLOCK, *plan.months.shape))}, {}, None, None)
    course = happened(complete, design, plan, {"seen": outcome}, random_seed=random_seed, block=0)
    return assembled(design, plan, [course], slice(0, BLOCK), first=0, random_seed=random_seed, origin=None)


@lru_cache(maxsize=8)
def _prepared(
    model: Model, design: Design, outcomes: tuple[Outcome, ...], options: tuple[tuple[str, Any], ...], seed: int
) -> tuple[Generator, Schedule]:
    """A program compiled for a design: once in a process, for all truths and all chunks of trials."""
    with_events = bool(events_in_use(model, dict(options))) or design.death_per_month is not None
    plan = schedule(design, outcomes, with_events=with_events, random_seed=seed)
    encoded = encode(model, plan.program, options=dict(options), outcomes=[one.name for one in outcomes]).unpadded()
    return generator(model, encoded), plan


def _layout(made: Generator, design: Design, plan: Schedule) -> Layout:
    coords = {dim: list(labels) for dim, labels in made.encoded.coords.items()}
    return Layout(made.dims, coords, tuple(design.arms), plan.program.historical_arms, made.model.priors)


def _block(
    made: Generator, design: Design, plan: Schedule, parameters: Mapping[str, np.ndarray], seed: int, block: int
) -> Course:
    complete = made.draw(parameters, np.random.SeedSequence([seed, block, 0]))
    lost = [name for name, value in complete.scores.items() if not np.isfinite(value).all()]
    if lost:
        zero = [
            name for name, value in parameters.items() if value.size and (value == 0).any() and name.startswith("sd_")
        ]
        raise SettingError([setting_fault("truth", ", ".join(zero) or None, f"gives no finite values of {', '.join(lost)}",
                                          "a spread of exactly 0 is none: give a small one, such as 1e-6")])  # fmt: skip
    facts = {one.name: one for members in made.encoded.blocks.values() for one in members}
    return happened(complete, design, plan, facts, random_seed=seed, block=block)


def assembled(
    design: Design,
    plan: Schedule,
    courses: Sequence[Course],
    kept: slice,
    *,
    first: int,
    random_seed: int,
    origin: Origin | None,
) -> Trials:
    """Blocks of trials as one record, real historical controls put beside the patients of each."""
    data, n = plan.data, kept.stop - kept.start

    def whole(blocks: Sequence[np.ndarray], fill: np.ndarray, where: np.ndarray) -> np.ndarray:
        made = np.repeat(fill[None], n, axis=0)
        made[:, where] = np.concatenate(blocks)[kept].reshape(n, -1)
        return made

    values = {
        name: whole([one.scores[name] for one in courses], data.visits[name].to_numpy(float), plan.rows)
        for name in courses[0].scores
    }
    end, entry = ([getattr(one, name) for one in courses] for name in ("end", "entry"))
    own_end, events = np.zeros(data.n_subjects), {}
    if known_follow_up(data.subjects):
        kinds = {"death": DEATH} | (dict(origin.model.events) if origin else {})
        for name in courses[0].ended_by:
            rows = event_rows(data.subjects, data.visits, kinds[name])
            own, own_end = signed(rows["value"], ~rows["censored"]), rows["value"]
            events[name] = whole([signed(one.end, one.ended_by[name]) for one in courses], own, plan.subjects)
    onset = None
    if design.antibody_tests_weeks is not None:
        tested = np.isin(
            plan.program.subjects["arm"], list(design.arms)[1:] if len(design.arms) > 1 else list(design.arms)
        )
        shown = [np.where(tested, one.onset if one.onset is not None else np.nan, np.nan) for one in courses]
        onset = whole(shown, np.full(data.n_subjects, np.nan), plan.subjects)
    return Trials(
        data, values, events, design=design,
        entry=whole(entry, np.full(data.n_subjects, -np.inf), plan.subjects), followed=whole(end, own_end, plan.subjects),
        onset=onset, first=first, random_seed=random_seed, origin=origin,
    )  # fmt: skip


def check_range(n: Any, first: Any, random_seed: Any) -> None:
    """Raise SettingError unless these say which trials are wanted."""
    faults = []
    for name, value, least in (("n", n, 1), ("first", first, 0), ("random_seed", random_seed, 0)):
        if isinstance(value, bool) or not is_number(value) or value != int(value) or value < least:
            faults.append(
                setting_fault(name, value, f"is not a whole number of at least {least}", f"give {least} or more")
            )
    if faults:
        raise SettingError(faults)


def check_suits(design: Design, model: Model, made: Generator, analysis: Model | None) -> None:
    """Raise SettingError with all that a design asks and a model does not have, or has already; its looks ask of the model that analyses."""
    faults = []
    if design.death_per_month is not None and "death" in made.encoded.events:
        faults.append(setting_fault("death_per_month", design.death_per_month, f"sets death twice: {model.name!r} has "
                                    "a hazard of its own for it", "leave it out, and give the hazard in the truth"))  # fmt: skip
    if design.dropout_by_slope and made.slope is None:
        faults.append(setting_fault("dropout_by_slope", design.dropout_by_slope, f"rests on a patient's own slope, and {model.name!r} has none",
                                    "leave it out"))  # fmt: skip
    if design.antibody_tests_weeks is not None and ONSET not in made.effects:
        faults.append(setting_fault("antibody_tests_weeks", design.antibody_tests_weeks, f"look for an onset, and {model.name!r} has none",
                                    "leave them out, or simulate from als_antibody"))  # fmt: skip
    if analysis is not None:
        faults += estimand_faults(design.looks, analysis.name, [one.name for one in analysis.estimands])
    if faults:
        raise SettingError(faults)
