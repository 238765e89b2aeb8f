"""Fits, operating characteristics -> one self-contained HTML report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from progression import plots
from progression.characteristics import OperatingCharacteristics
from progression.checking import check, prior_check
from progression.contrasts import contrast
from progression.faults import Fault, SettingError, is_number, suggest
from progression.fitted import Fit, provenance
from progression.plots.words import components
from progression.reporting import tables, words
from progression.reporting.controls import Controls, belongs, controls
from progression.reporting.operating import simulated_trials
from progression.reporting.pictures import Picture, embedded, rendered
from progression.reporting.words import Table
from progression.store import refuse_foreign, write_atomically
from progression.sweeps import Sweep

_CAPTIONS = {
    "forest": "Mean (dot), 50 % (thick) and 95 % interval (thin) of every estimand.",
    "trajectories": "The patients' data with predictions from the fit.",
    "predictive": "Statistics of the data against the same statistics of replicated data.",
    "loo_pit": "Leave-one-out probability integral transforms: a line within the band is good.",
    "prior_posterior": "What was assumed of each parameter, and what the data made of it.",
    "prior_implies": "Outcomes that the priors alone imply.",
    "sweep": "The answer under one prior SD of the drift after another, and what is known of the drift under each.",
    "diagnostics": "Convergence, energy, and ranks of the draws of each chain.",
}


@dataclass(frozen=True)
class Section:
    """All that the report says of one fit, as text, tables and pictures."""

    key: str
    title: str
    provenance: str
    cohort_kind: str
    model: str
    data: str
    allocation: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    sentences: tuple[str, ...]
    assumptions: tuple[str, ...]
    verdict: str
    gate: str
    passed: bool
    controls: Controls | None
    tables: dict[str, Table]
    pictures: dict[str, Picture]


def report(
    fits: Fit | OperatingCharacteristics | Sequence[Fit | OperatingCharacteristics], path: str | Path, *, title: str | None = None, random_seed: int | None = None,
    sweep: Sweep | None = None, **at: float,
) -> Path:  # fmt: skip
    """Write one HTML file that holds everything about fits and simulated trials: no scripts, nothing loaded from elsewhere.

    Parameters
    ----------
    fits : Fit, OperatingCharacteristics, or sequence of these
        Fits come first on the page, then what `power` and `assurance` found.
    path : str or Path
        Written whole or not at all.
    title : str, optional
    random_seed : int, optional
        For the replicated data of the checks and figures; each fit's own unless given.
    sweep : Sweep, optional
        What `drift_sweep` made of the same patients: shown with the historical controls of every fit that it belongs to.
    **at : float
        Settings of estimands, such as ``month=6``, for the fits that have them; their defaults where omitted.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    SettingError
        Nothing was given, something else than these, a folder that does not exist, a sweep of other patients, or a setting that no fit has.
    StoreError
        Where a file that is no report would be written over.

    Notes
    -----
    The estimands are described by the five attributes of ICH E9(R1); what is reported follows BARG (Kruschke 2021,
    Nature Human Behaviour 5:1282).
    """
    path = Path(path)
    kinds = (Fit, OperatingCharacteristics)
    listed = [fits] if isinstance(fits, kinds) or not isinstance(fits, Iterable) else list(fits)
    faults = [
        _fault(
            "fits",
            type(one).__name__,
            "is neither a Fit nor OperatingCharacteristics",
            "give what pg.fit, pg.load, pg.power or pg.assurance returned",
        )
        for one in listed
        if not isinstance(one, kinds)
    ]
    if not listed:
        faults.append(_fault("fits", "nothing", "holds nothing to report", "give at least one"))
    if not path.parent.is_dir():
        faults.append(_fault("path", str(path), "lies in a folder that does not exist", "make the folder first"))
    if path.is_dir():
        faults.append(_fault("path", str(path), "is a folder", "name a file, such as report.html"))
    if sweep is not None and not isinstance(sweep, Sweep):
        faults.append(_fault("sweep", type(sweep).__name__, "is not a Sweep", "give what pg.drift_sweep returned"))
    elif sweep is not None and not any(belongs(sweep, one) for one in listed if isinstance(one, Fit)):
        faults.append(_fault("sweep", sweep.estimand.name, "is of other patients than every fit, or of a question none of them answers",
                             "make it with the model and the cohort of a fit"))  # fmt: skip
    own = [one for one in listed if isinstance(one, Fit)]
    settings = [
        {key for one in fit.model.estimands if one.refusal(fit.cohort) is None for key in one.at} for fit in own
    ]
    every = sorted(set().union(*settings))
    faults += [_fault(key, value, f"is not a setting of the estimands of any fit here{suggest(key, every)}", "rename it")
               for key, value in at.items() if key not in every]  # fmt: skip
    faults += [_fault(key, value, "is not a number above 0", "give one") for key, value in at.items()
               if key in every and not (is_number(value) and (value > 0 or key != "month"))]  # fmt: skip
    if faults:
        raise SettingError(faults)
    refuse_foreign(path, "report")
    trials = [one for one in listed if isinstance(one, OperatingCharacteristics)]
    sections = [
        _section(one, f"fit-{i}", random_seed, sweep, {key: at[key] for key in at if key in known})
        for i, (one, known) in enumerate(zip(own, settings, strict=True), start=1)
    ]
    simulated = [simulated_trials(one, f"trials-{i}") for i, one in enumerate(trials, start=1)]
    usual = "Bayesian analysis of disease progression" if sections else "Operating characteristics of a trial design"
    html = rendered("report.html.j2", title=title or usual, sections=sections, trials=simulated)
    return write_atomically(path, html.encode())


def _section(fit: Fit, key: str, random_seed: int | None, sweep: Sweep | None, at: Mapping[str, float]) -> Section:
    seed = int(fit.settings["random_seed"] if random_seed is None else random_seed)
    cohort = fit.cohort
    checked = check(fit, random_seed=seed)
    prior = prior_check(
        fit.model, cohort, priors=fit.priors, outcomes=fit.outcomes, options=fit.options, random_seed=seed
    )
    made = contrast(fit, None, against=None, **at)
    # A drift is nobody's benefit.
    drifts = words.drifting(fit)
    found = [replace(one, probability=None) if one.arm in drifts else one for one in components(made)]
    sweep = sweep if sweep is not None and belongs(sweep, fit) else None
    told = controls(fit, found, prior, sweep)
    source = "" if cohort.provenance == "observed" else f" {provenance(cohort)}."
    figures = {
        "forest": plots.forest(made),
        "trajectories": plots.trajectories(fit, random_seed=seed),
        "predictive": plots.predictive(checked),
        "loo_pit": plots.loo_pit(checked),
        "prior_posterior": plots.prior_posterior(fit, prior=prior),
        "prior_implies": plots.prior_implies(prior),
        "diagnostics": plots.diagnostics(fit),
    }
    if told and sweep:
        figures["sweep"] = plots.sweep(sweep)
    made_tables = {
        "questions": words.questions(made),
        "attributes": words.attributes(made),
        "cohort": words.cohort_table(fit),
        "events": tables.events_table(cohort),
        "results": words.results(found, made),
        "checks": tables.checks_table(checked),
        "priors": tables.priors_table(fit),
        "prior_estimands": tables.prior_estimands(prior, found),
        "parameters": tables.parameters_table(fit),
        "provenance": tables.provenance_table(fit, seed),
    }
    name = cohort.name or "unnamed cohort"
    sizes = cohort.subjects["arm"].value_counts()
    arms = f" ({'; '.join(f'{arm}: {sizes.get(arm, 0)}' for arm in cohort.arms)})" if len(cohort.arms) > 1 else ""
    # Contrasts answer the question; what single arms did, and how sources differ, stands further down.
    main = [one for one in found if one.estimand.scale != "direct" and one.arm not in drifts] or found
    return Section(
        key=key,
        title=f"{name}: {fit.model.name}",
        provenance=words.PROVENANCE[cohort.provenance],
        cohort_kind=cohort.provenance,
        model=f"{fit.model.name}: {fit.model.title}",
        data=f"{cohort.n_subjects} patients{arms}, {cohort.n_visits} visits",
        allocation=words.allocation(fit),
        problems=(*checked.problems, *made.warnings),
        notes=tuple(cohort.warnings),
        sentences=tuple(words.sentence(one, cohort, at=made.at) for one in main),
        assumptions=words.assumptions(made),
        verdict=tables.verdict(checked),
        gate=tables.gate_sentence(fit),
        passed=checked.passed,
        controls=told,
        tables=made_tables,
        pictures={which: Picture(embedded(figure), _CAPTIONS[which] + source) for which, figure in figures.items()},
    )


def _fault(name: str, value: object, what: str, remedy: str) -> Fault:
    return Fault(what=what, remedy=remedy, value=value, column=name, table="setting")
