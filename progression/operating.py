"""Design x Model x Rule -> OperatingCharacteristics: power, type I error and assurance, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from progression.characteristics import OperatingCharacteristics
from progression.decisions import Statement, statements
from progression.descriptions import described
from progression.design import Design
from progression.faults import Fault, SettingError, check_count, check_probability, collected, setting_fault
from progression.fitted import Fit
from progression.fitters import Recipe, recipe
from progression.generator import BLOCK
from progression.modeling import Model, SupportsPyMC
from progression.outcomes import Outcome
from progression.registry import resolve, shelved
from progression.resampling import Patients
from progression.rule_checks import check_components, check_rules, designs_of, rules_of
from progression.rules import Rule
from progression.run_identity import run_seed
from progression.runs import check_run, run
from progression.screening import screened
from progression.trial_job import Cell, Source, TrialJob
from progression.trial_notes import pilot_notes, run_notes
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
        Trials that are done together, and lost together when a worker dies. Of the closed form 256 take a third less time
        each than 64, which suits a run of thousands.
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
    faults: list[Fault] = []
    designs, rules, named = dict[str, Design](), tuple[Rule, ...](), dict[str, Any]()
    with collected(faults):
        designs = designs_of(design)
    with collected(faults):
        rules = rules_of(rule)
    with collected(faults):
        named = labelled(truths, base)
    with collected(faults):
        check_rules(rules, designs, resolve(model))
    with collected(faults):
        resolve(model if simulated_by is None else simulated_by)
    with collected(faults):
        check_count("n_trials", n_trials)
    with collected(faults):
        check_probability("interval", interval)
    with collected(faults):
        check_run(1, chunk, random_seed, cores)
    if faults:
        raise SettingError(faults)
    chosen_model = resolve(model)
    seed = run_seed(random_seed, path)
    given = chosen_model if simulated_by is None else resolve(simulated_by)
    source = Source(given.name if shelved(given) else given,
                    simulation_options if simulated_by is not None or simulation_options is not None else _own(given, options),
                    simulation_outcomes)  # fmt: skip
    made = statements(rules, list(designs.values()))
    quantities = tuple(dict.fromkeys((one.estimand, one.labels) for one in made))
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
            with collected(faults):
                cell = Cell(label, name, one, truth, fixed)
                simulated = cell.simulated(source, seed)
                trials = simulated(BLOCK, 0)
                key = (trials.cohort.fingerprint, repr(described(one.borrowing)))
                if key not in seen:
                    made_ready = _recipe(model, trials, one, made, analysis, at, seed)
                    check_components(made_ready, made)
                    seen[key] = len(recipes)
                    recipes.append(made_ready)
                    values = made_ready.values(replace(trials[:1], cohort=made_ready.cohort))
                    firsts.append({block: value[0] for block, value in values.items()})
                cells.append(replace(cell, recipe=seen[key]))
                for statement in made if simulated_by is None else ():
                    inside = screened(trials, chosen_model, statement)
                    if inside is not None:
                        screens[label, name, statement] = _enough(simulated, inside, chosen_model, statement)
    if faults:
        raise SettingError(faults)
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
                                    notes=run_notes(designs, named, screens), wording=_wording(recipes[0], quantities))  # fmt: skip


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
    if not isinstance(prior, Fit | Mapping):
        raise SettingError([setting_fault("prior", type(prior).__name__, "is neither a fit nor a mapping of parameters",
                                          "give a pilot's fit, or parameters of which some are priors")])  # fmt: skip
    if isinstance(prior, Fit):
        found = power(design, model, rule, truths={"posterior of the pilot": dict(fixed or {})}, base=prior, **settings)
        return replace(found, notes=(*found.notes, *pilot_notes(prior, found.rules, fixed or {})))
    if fixed:
        raise SettingError([setting_fault("fixed", ", ".join(map(str, fixed)), "replaces draws of a fit, and the prior is no fit", "put them into prior=")])  # fmt: skip
    return power(design, model, rule, truths={"design prior": dict(prior)}, **settings)


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


def _enough(
    simulated: Callable[[int, int], Trials], inside: np.ndarray, model: Model, statement: Statement
) -> np.ndarray:
    """One value for one truth; some thousand where it varies."""
    if np.ptp(inside) == 0:
        return inside[:1]
    found = screened(simulated(1024, 0), model, statement)
    return inside if found is None else found
