"""Design x Model x Rule -> OperatingCharacteristics: power, type I error and assurance, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from progression.characteristics import OperatingCharacteristics
from progression.contrasts import contrast
from progression.decisions import Statement, statements
from progression.design import Design
from progression.faults import Fault, SettingError, check_count, check_probability, setting_fault, suggest
from progression.fitted import Fit
from progression.fitters import Recipe, recipe
from progression.generator import BLOCK
from progression.learning import prior_warnings
from progression.modeling import Model, SupportsPyMC
from progression.outcomes import Outcome
from progression.registry import resolve
from progression.resampling import Patients
from progression.rules import Rule
from progression.run_identity import run_seed
from progression.runs import run
from progression.screening import screened
from progression.trial_job import Cell, Source, TrialJob, chosen
from progression.trials import Trials
from progression.truth_labels import labelled

__all__ = ["Truth", "assurance", "power"]

Truth = Mapping[str, Any] | Fit | Patients


def power(
    design: Design | Mapping[str, Design], model: str | Model, rule: Rule | Sequence[Rule], *,
    truths: Sequence[Truth] | Mapping[str, Truth], base: Mapping[str, Any] | Fit | None = None, n_trials: int = 1000,
    simulated_by: str | Model | None = None, simulation_options: Mapping[str, Any] | None = None,
    simulation_outcomes: Outcome | Sequence[Outcome] | None = None, priors: str | Mapping[str, SupportsPyMC] | None = None,
    outcomes: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None, engine: str | None = None,
    draws: int = 1000, fallback: bool = False, interval: float = 0.95, random_seed: int | None = None, path: str | Path | None = None,
    chunk: int = BLOCK, cores: int | None = None, client: Any = None, progressbar: bool = True, **at: float,
) -> OperatingCharacteristics:  # fmt: skip
    """How often a rule is met: type I error where its statement is false of the truth, power where it is true.

    Every trial walks the road of an observed one: simulated, known as far as a look lets know, fitted, contrasted, judged.

    Parameters
    ----------
    design : Design or mapping of label to Design
        One, or several to compare; their looks and their way of borrowing are part of the analysis.
    model : str or Model
        That analyses the trials.
    rule : Rule or sequence of Rule
        For success at the end; several are judged each by itself.
    truths : sequence, or mapping of label to truth
        Each a mapping of parameters and estimands as in `simulate`, a fit whose posterior trials are drawn from, or `Patients`.
    base : mapping or Fit, optional
        What all truths share: each truth is put on top of it.
    n_trials : int
        For each design and truth. A run in `path` grows when asked for more.
    simulated_by : str or Model, optional
        The model that trials come from where that is another one than analyses them, with its `simulation_options`.
    simulation_outcomes : Outcome or sequence of Outcome, optional
        As `outcomes` of `simulate`.
    priors, outcomes, options, engine, draws
        Of the analysis, as in `fit_many`.
    fallback : bool
        Whether fits that the marginal engine does not vouch for are made again by NUTS, which takes seconds each; else they are
        flagged, counted as they are, and the result is given under both extreme treatments of them.
    interval : float
        Probability of the interval whose width and coverage are reported.
    random_seed : int, optional
        Drawn where omitted; that of the folder where it holds a run.
    path : str or path, optional
        The folder of the run, from which it goes on when it was cut off.
    chunk : int
        Trials that are done together, and lost together when a worker dies.
    cores, client, progressbar
        As in `progression.runs.run`: results do not depend on them.
    **at : float
        Settings of estimands, such as ``month=6``.

    Returns
    -------
    OperatingCharacteristics

    Raises
    ------
    SettingError
        With every fault of designs, truths and rules; or where the folder was made with other settings.
    CohortError
        The trials do not suit the model.

    Examples
    --------
    >>> oc = pg.power(design, "als_shared", rule, base=pilot, truths=[{"drr": 1}, {"drr": 0.7}])  # doctest: +SKIP
    """
    chosen_model = resolve(model)
    designs, rules = _designs(design), _rules(rule)
    named = labelled(truths, base)
    check_count("n_trials", n_trials)
    check_probability("interval", interval)
    _check_rules(rules, designs, chosen_model)
    seed = run_seed(random_seed, path)
    given = chosen_model if simulated_by is None else resolve(simulated_by)
    source = Source(given if isinstance(simulated_by, Model) or isinstance(model, Model) else given.name,
                    simulation_options if simulated_by is not None or simulation_options is not None else _own(given, options),
                    simulation_outcomes)  # fmt: skip
    made = statements(rules, list(designs.values()))
    quantities = tuple(dict.fromkeys((one.estimand, one.labels) for one in rules))
    analysis: dict[str, Any] = {
        "priors": priors,
        "outcomes": outcomes,
        "options": options,
        "engine": engine,
        "draws": draws,
        "fallback": fallback,
    }
    cells: list[Cell] = []
    recipes: list[Recipe] = []
    firsts: list[Mapping[str, np.ndarray]] = []
    screens: dict[tuple[str, str, Statement], np.ndarray] = {}
    seen: dict[tuple[str, str], int] = {}
    for label, one in designs.items():
        for name, (truth, fixed) in named.items():
            cell = Cell(label, name, one, truth, fixed)
            simulated = cell.simulated(source, seed)
            trials = simulated(BLOCK, 0)
            key = (trials.cohort.fingerprint, repr(one.borrowing))
            if key not in seen:
                seen[key] = len(recipes)
                recipes.append(_recipe(model, trials, one, made, analysis, at, seed))
                values = recipes[-1].values(replace(trials[:1], cohort=recipes[-1].cohort))
                firsts.append({block: value[0] for block, value in values.items()})
                _check_components(recipes[-1], made)
            cells.append(replace(cell, recipe=seen[key]))
            for statement in made:
                inside = None if simulated_by is not None else screened(trials, chosen_model, statement)
                if inside is not None:
                    screens[label, name, statement] = _enough(simulated, inside, chosen_model, statement)
    job = TrialJob(
        tuple(cells),
        source,
        tuple(recipes),
        tuple(firsts),
        made,
        quantities,
        interval,
        at,
        seed,
        {"model": chosen_model, **analysis},
    )
    records = run(
        job, n_trials, path=path, chunk=chunk, random_seed=seed, cores=cores, client=client, progressbar=progressbar
    )
    settings = {
        "model": chosen_model.name,
        "n_trials": n_trials,
        "random_seed": seed,
        "interval": interval,
        **analysis,
        **at,
    }
    return OperatingCharacteristics(rules, designs, tuple((one.design, one.truth) for one in cells), made, quantities, screens, records, settings,
                                    notes=_notes(designs, named, screens), wording=_wording(recipes[0], quantities))  # fmt: skip


def assurance(
    design: Design | Mapping[str, Design], model: str | Model, rule: Rule | Sequence[Rule], *, prior: Mapping[str, Any] | Fit,
    fixed: Mapping[str, Any] | None = None, **settings: Any,
) -> OperatingCharacteristics:  # fmt: skip
    """How often a rule is met where the truth is not known but believed: each trial draws its own.

    Parameters
    ----------
    design, model, rule
        As in `power`.
    prior : Fit or mapping
        A pilot's fit, or parameters of which some are priors: ``{"slope_effect": pg.Prior("Normal", mu=0.3, sigma=0.15), ...}``.
    fixed : mapping, optional
        Beside a fit, what is not drawn from it.
    **settings
        All others of `power`.

    Returns
    -------
    OperatingCharacteristics
        ``success`` is the assurance; ``true_share`` how often the rule's statement is true of the truth drawn, the most that assurance
        could be for a rule that is never wrong; ``success_if_true`` and ``success_if_false`` what trials do in either case.

    Notes
    -----
    O'Hagan, Stevens and Campbell (2005), Pharmaceutical Statistics 4:187. A posterior of a few patients is mostly its prior: where that is so
    for the rule's estimand, the result says how much.
    """
    truth: Any = prior if isinstance(prior, Fit) else dict(prior)
    if isinstance(prior, Fit):
        found = power(design, model, rule, truths={"posterior of the pilot": dict(fixed or {})}, base=prior, **settings)
        return replace(found, notes=(*found.notes, *_weak(prior, found.rules)))
    if fixed:
        raise SettingError([setting_fault("fixed", ", ".join(map(str, fixed)), "replaces draws of a fit, and the prior is no fit", "put them into prior=")])  # fmt: skip
    return power(design, model, rule, truths={"design prior": truth}, **settings)


def _designs(design: Any) -> dict[str, Design]:
    if isinstance(design, Design):
        return {design.name or "design": design}
    if not isinstance(design, Mapping) or not design or not all(isinstance(one, Design) for one in design.values()):
        raise SettingError([setting_fault("design", type(design).__name__, "is neither a Design nor a mapping of labels to designs",
                                          "make one: pg.Design(arms=..., visits_weeks=...)")])  # fmt: skip
    return {str(label): one for label, one in design.items()}


def _rules(rule: Any) -> tuple[Rule, ...]:
    rules = (
        (rule,)
        if isinstance(rule, Rule)
        else tuple(rule)
        if isinstance(rule, Sequence) and not isinstance(rule, str)
        else ()
    )
    if not rules or not all(isinstance(one, Rule) for one in rules):
        raise SettingError([setting_fault("rule", type(rule).__name__, "is neither a Rule nor a sequence of rules",
                                          'make one: pg.Rule("slope_difference", ">", 0, probability=0.975)')])  # fmt: skip
    return rules


def _check_rules(rules: Sequence[Rule], designs: Mapping[str, Design], model: Model) -> None:
    names = [one.name for one in model.estimands]
    faults: list[Fault] = [setting_fault("rule", one.estimand, f"is no estimand of {model.name!r}{suggest(one.estimand, names)}", "rename it")
                           for one in rules if one.estimand not in names]  # fmt: skip
    for label, design in designs.items():
        for i, look in enumerate(design.looks):
            for side in ("success", "futility"):
                one = getattr(look, side)
                if isinstance(one, Rule) and one.estimand not in names:
                    faults.append(setting_fault(f"looks[{i}].{side}", one.estimand, f"of {label!r} is no estimand of {model.name!r}"
                                                f"{suggest(one.estimand, names)}", "rename it"))  # fmt: skip
    if faults:
        raise SettingError(faults)


def _wording(made: Recipe, quantities: Sequence[tuple[str, Any]]) -> dict[str, tuple[str, str]]:
    unit = next(iter(made.encoded.blocks.values()))[0].unit or "units"
    settings, found = dict(made.wanted), {}
    for name, _ in quantities:
        estimand = made.model.estimand(name).in_unit(unit)
        label = estimand.label.replace("{control}", made.cohort.arms[0].replace("{", "{{").replace("}", "}}"))
        for key, value in settings[name].items():
            label = label.replace(f"{{{key}:g}}", f"{value:g}")
        found[name] = (label, estimand.unit)
    return found


def _own(model: Model, options: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Options of the analysis are those of the simulation too, where nothing else is said; a baseline of its own is an analysis."""
    return (
        None
        if options is None
        else {key: value for key, value in options.items() if key in model.options and key != "baseline"}
    )


def _recipe(
    model: str | Model, trials: Trials, design: Design, made: Sequence[Statement], analysis: Mapping[str, Any], at: Mapping[str, float],
    seed: int,
) -> Recipe:  # fmt: skip
    wanted = list(dict.fromkeys(one.estimand for one in made))
    return recipe(
        model, trials.cohort, estimands=wanted, borrowing=design.borrowing, at=at, random_seed=seed, **analysis
    )


def _check_components(made: Recipe, wanted: Sequence[Statement]) -> None:
    """Every statement names one component: said before anything is run."""
    faults: list[Fault] = []
    for one in wanted:
        dims = [dim for dim in made.model.estimand(one.estimand).over if dim in made.encoded.coords]
        labels = {dim: list(made.encoded.coords[dim]) for dim in dims}
        blank = xr.DataArray(
            np.zeros([1, 1, *map(len, labels.values())]), dims=["data_set", "draw", *dims], coords=labels
        )
        try:
            chosen(xr.Dataset({one.estimand: blank}), one.estimand, one.labels, made)
        except SettingError as error:
            faults += error.faults
    if faults:
        raise SettingError(faults)


def _enough(
    simulated: Callable[[int, int], Trials], inside: np.ndarray, model: Model, statement: Statement
) -> np.ndarray:
    """One value for one truth; some thousand where it varies."""
    if np.ptp(inside) == 0:
        return inside[:1]
    found = screened(simulated(1024, 0), model, statement)
    return inside if found is None else found


def _notes(designs: Mapping[str, Design], named: Mapping[str, Any], screens: Mapping[Any, Any]) -> tuple[str, ...]:
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


def _weak(fit: Fit, rules: Sequence[Rule]) -> tuple[str, ...]:
    """What the pilot did not learn of the rule's estimand."""
    names = [
        name
        for name in dict.fromkeys(one.estimand for one in rules)
        if any(name == one.name for one in fit.model.estimands)
    ]
    answerable = [name for name in names if fit.model.estimand(name).refusal(fit.cohort) is None]
    if not answerable:
        return ()
    known = contrast(fit, answerable).against_prior()
    return tuple(f"the pilot: {text}" for text in prior_warnings(known))
