"""Model x many data sets -> the estimands of each: what power and calibration are made of."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from progression.arranging import Arranged, arranged
from progression.borrowing import Borrowing
from progression.cohort import Cohort
from progression.encoding import Encoded, encode
from progression.engines import batches, forward, nuts, prepared
from progression.engines.program import build, knows_of_censoring
from progression.faults import CohortError, Fault, SettingError, check_count, is_number, setting_fault, suggest
from progression.fitted import provenance
from progression.fitting import check_settings, choose_engine
from progression.gate import diagnose
from progression.matching import off_scale
from progression.modeling import Estimand, Facts, Model, SupportsPyMC
from progression.registry import models, resolve
from progression.replicates import Replicates, other_onsets
from progression.rules import OPERATORS

_NUTS_AT_ONCE = 8
_PROGRAMS = 4  # that a worker keeps: each takes some 30 MB, and a worker that grows by 300 MB is ended by joblib


@dataclass(frozen=True, eq=False, repr=False)
class Fits:
    """A model fitted to many data sets of one design.

    Attributes
    ----------
    model : Model
    replicates : Replicates
    draws : xarray.Dataset
        One variable an estimand, dims (data_set, draw, then those the estimand runs over).
    diagnostics : pandas.DataFrame
        One row a data set: engine, pareto_k, share (effective points over points), quadrature_error, fell_back (why NUTS
        was run instead), problem (empty where the draws can be trusted).
    estimands : mapping of str to Estimand
    settings : mapping
    """

    model: Model
    replicates: Replicates
    draws: xr.Dataset
    diagnostics: pd.DataFrame
    estimands: Mapping[str, Estimand]
    settings: Mapping[str, Any]

    @property
    def problems(self) -> pd.Series:
        """What is wrong, for each data set whose draws cannot be trusted."""
        found = self.diagnostics["problem"]
        return found[found != ""]

    def summary(self, *, ci_prob: float = 0.95) -> xr.Dataset:
        """Posterior mean, SD and equal-tailed interval of every estimand: dims (statistic, data_set, ...)."""
        low, high = (1 - ci_prob) / 2, (1 + ci_prob) / 2
        parts = [self.draws.mean("draw"), self.draws.std("draw"), self.draws.quantile(low, "draw").drop_vars("quantile"),
                 self.draws.quantile(high, "draw").drop_vars("quantile")]  # fmt: skip
        return xr.concat(parts, dim=pd.Index(["mean", "sd", "lower", "upper"], name="statistic"))

    def probability(self, comparison: str, value: float, *, estimand: str | None = None) -> xr.DataArray:
        """Posterior probability, for each data set, that an estimand lies below or above a value.

        Parameters
        ----------
        comparison : {"<", "<=", ">", ">="}
        value : float
        estimand : str, optional
            The primary one unless given.
        """
        name = next(iter(self.estimands)) if estimand is None else estimand
        if name not in self.draws:
            raise SettingError(
                [setting_fault(None, name, f"is not an estimand here{suggest(name, self.estimands)}", "name one")]
            )
        if comparison not in OPERATORS or not is_number(value):
            raise SettingError([setting_fault(None, f"{comparison} {value}", "is not a comparison with a number",
                                              f"use one of {', '.join(OPERATORS)} and a finite number")])  # fmt: skip
        return OPERATORS[comparison](self.draws[name], value).mean("draw")

    def __repr__(self) -> str:
        bad = len(self.problems)
        state = f"{bad} with problems" if bad else "none with problems"
        return (f"Fits of {self.model.name} to {len(self.replicates)} data sets of {self.replicates.cohort.n_subjects} "
                f"subjects, {provenance(self.replicates.cohort)} ({state}); estimands {', '.join(self.estimands)}")  # fmt: skip


def fit_many(
    model: str | Model, data: Replicates | Sequence[Cohort], *, priors: str | Mapping[str, SupportsPyMC] | None = None,
    outcomes: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None, engine: str | None = None,
    estimands: str | Sequence[str] | None = None, random_seed: int | None = None, draws: int = 1000, cores: int = 1,
    fallback: bool = True, progressbar: bool = True, borrowing: Borrowing | None = None, **at: float,
) -> Fits:  # fmt: skip
    """Fit one model to many data sets of one design.

    The program is prepared once, and data sets are worked through in groups of fixed size: the same seed gives the same
    draws whatever `cores` is.

    Parameters
    ----------
    model : str or Model
    data : Replicates or sequence of Cohort
        Data sets of one design. Replicates are faster to prepare.
    priors, outcomes, options
        As in `fit`.
    engine : {"marginal", "nuts"}, optional
        "marginal" where omitted; a program it cannot handle is refused, with the reason.
    estimands : str or sequence of str, optional
        Which; all that the design can answer where omitted, the primary one first.
    random_seed : int, optional
    draws : int
        For each data set. With NUTS they are taken from four chains of at least 1,000.
    cores : int
        Worker processes, through joblib: its ``parallel_config`` chooses another backend, such as a cluster.
    fallback : bool
        Whether data sets that the marginal engine cannot vouch for are fitted by NUTS.
    progressbar : bool
    borrowing : Borrowing, optional
        As in `fit`.
    **at : float
        Settings of estimands, such as ``month=6``.

    Returns
    -------
    Fits

    Raises
    ------
    CohortError
        The design or some values do not suit the model.
    SettingError
        An unknown name, or a program the chosen engine cannot handle.
    """
    chosen = resolve(model)
    cohorts: Sequence[Cohort] = ()
    if not isinstance(data, Replicates):
        if not isinstance(data, Sequence) or not data or not all(isinstance(one, Cohort) for one in data):
            raise SettingError([setting_fault("data", type(data).__name__, "is neither Replicates nor a sequence of cohorts",
                                              "give pg.Replicates(cohort, {outcome: array}) or a list of cohorts")])  # fmt: skip
        cohorts, data = data, Replicates.from_cohorts(data)
    check_settings(data.cohort, draws, 1, 1, "nutpie", random_seed, {})
    check_count("cores", cores)
    engine = choose_engine(chosen, engine or "marginal", None, {}, borrowing)
    used_priors, used_options = chosen.with_priors(priors), chosen.with_options(options)
    way = Arranged(data.cohort, used_priors)
    if borrowing is not None:
        way = arranged(chosen, data.cohort, used_priors, borrowing, options=used_options, outcomes=outcomes)
        if way.power is not None:
            raise SettingError([setting_fault("borrowing", str(borrowing), "is for one fit at a time: each data set has a constant of its own",
                                              "give a number: pg.PowerPrior(0.5)")])  # fmt: skip
        data, used_priors = replace(data, cohort=way.cohort), dict(way.priors)
    encoded = encode(chosen, data.cohort, options=used_options, outcomes=outcomes).unpadded()
    known = chosen.name in models() and models()[chosen.name] is chosen
    said = cloudpickle.dumps((chosen.name if known else chosen, used_priors))
    meant, used_priors = _meant(said)
    built = build(meant, encoded, used_priors)  # says in words what data the program lacks
    if "onset_lower" in built.used:
        other_onsets(cohorts, data.cohort)
        data.refuse_onsets()
    blind = [block for block in encoded.blocks if not knows_of_censoring(built.used, block)]
    values = data.rows(encoded, strict=data.cohort.provenance != "simulated", blind=blind)
    if "bounded" in chosen.needs:
        _check_scale(encoded, values)
    wanted = _wanted(chosen, data.cohort, estimands, at)
    seed = secrets.randbelow(2**31) if random_seed is None else int(random_seed)
    seeds = np.random.SeedSequence(seed).spawn(len(data))
    size = _NUTS_AT_ONCE
    if engine == "marginal":  # prepared here too, so that a program is refused before any worker starts
        size = batches.group_size(prepared.prepare(meant, encoded, used_priors, built))
    known_rows = sum(np.isfinite(value).sum(axis=1) for value in values.values())
    first = {block: value[int(np.argmax(known_rows > 0))] for block, value in values.items()}
    job = cloudpickle.dumps((os.getpid(), said, encoded, first, data.cohort, used_options,
                             [(one.name, settings) for one, settings in wanted], draws, engine,
                             fallback and way.weights is None, way.weights))  # fmt: skip
    tasks = [({block: value[i : i + size] for block, value in values.items()}, seeds[i : i + size])
             for i in range(0, len(data), size)]  # fmt: skip
    run = joblib.Parallel(n_jobs=cores, return_as="generator")(joblib.delayed(_work)(job, *task) for task in tasks)
    found = list(_watched(run, len(tasks), size, len(data), progressbar))
    table = pd.concat([frame for _, frame in found], ignore_index=True).rename_axis("data_set")
    drawn = xr.concat([one for one, _ in found], dim="data_set").assign_coords(data_set=np.arange(len(data)))
    drawn.attrs["provenance"] = provenance(data.cohort)
    settings = {"engine": engine, "draws": draws, "random_seed": seed, **at}
    return Fits(chosen, data, drawn, table, {one.name: one for one, _ in wanted}, settings)


def _watched(run: Any, tasks: int, size: int, total: int, progressbar: bool) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=not progressbar), transient=True) as progress:
        task = progress.add_task("data sets", total=total)
        for one in run:
            progress.advance(task, min(size, total))
            yield one


def _check_scale(encoded: Encoded, values: Mapping[str, np.ndarray]) -> None:
    """Refuse data sets whose scores are not whole numbers within bounds, simulated ones too."""
    faults = []
    for block, value in values.items():
        index = encoded.arrays[f"{block}_outcome"][1]
        for number, outcome in enumerate(encoded.blocks[block]):
            own = value[:, index == number]
            faults += [Fault(what=f"data set {at // own.shape[1]}: {what}", remedy=remedy, column=outcome.name, table="visits",
                             value=float(own.flat[at])) for at, what, remedy in off_scale(own.ravel(), outcome)[:5]]  # fmt: skip
    if faults:
        raise CohortError(faults)


def _wanted(model: Model, cohort: Cohort, estimands: str | Sequence[str] | None, at: Mapping[str, float]) -> list[Any]:
    names = [estimands] if isinstance(estimands, str) else estimands
    asked = [model.estimand(name) for name in names] if names is not None else [
        one for one in model.estimands if one.refusal(cohort) is None]  # fmt: skip
    faults = [
        setting_fault(None, one.name, reason, "ask for another") for one in asked if (reason := one.refusal(cohort))
    ]
    known = sorted({key for one in asked for key in one.at})
    faults += [setting_fault(None, key, f"is not a setting of these estimands{suggest(key, known)}", "rename it")
               for key in at if key not in known]  # fmt: skip
    faults += [setting_fault(None, key, f"= {value} is not a finite number", "give a number")
               for key, value in at.items() if not is_number(value)]  # fmt: skip
    if not asked and not faults:
        faults.append(
            setting_fault(None, model.name, "has no estimand that this design can answer", "see its estimands")
        )
    if faults:
        raise SettingError(faults)
    return [(one, {key: float(at.get(key, default)) for key, default in one.at.items()}) for one in asked]


@lru_cache(maxsize=16)
def _meant(said: bytes) -> tuple[Model, Mapping[str, SupportsPyMC]]:
    """Model and priors from their pickle: the same objects for the same content, by which a prepared program is found."""
    model, priors = cloudpickle.loads(said)
    return resolve(model), priors


@lru_cache(maxsize=1)
def _loaded(job: bytes) -> Any:
    """What all groups share: unpickled once in a worker, so that its program is prepared once."""
    parent, said, encoded, first, *rest = cloudpickle.loads(job)
    (model, priors), (*_, engine, _, _) = _meant(said), rest
    if os.getpid() != parent and prepared._prepared.cache_info().currsize >= _PROGRAMS:
        prepared._prepared.cache_clear()  # a worker outlives its job: it shall not keep all that ever was prepared
    program = prepared.prepare(model, encoded, priors) if engine == "marginal" else None
    begin = batches.start(program, encoded, first) if program is not None else None
    return (model, program, begin, encoded, priors, *rest)


def _work(job: bytes, values: Mapping[str, np.ndarray], seeds: Sequence[np.random.SeedSequence]) -> Any:
    """One group of data sets: the draws of the estimands, and a row of diagnostics for each."""
    model, program, begin, encoded, priors, cohort, options, wanted, draws, engine, fallback, weights = _loaded(job)
    n = len(seeds)
    if program is not None:
        (batch,) = batches.run(program, encoded, values, draws=draws, seeds=seeds, begin=begin, weights=weights)
        dims = {name: program.split.model.named_vars_to_dims.get(name) or () for name in batch.draws}
        table = pd.DataFrame({"engine": "marginal", "pareto_k": batch.pareto_k, "share": batch.share,
                              "quadrature_error": batch.quadrature_error, "fell_back": "", "problem": list(batch.reasons)})  # fmt: skip
        drawn = dict(batch.draws)
    else:
        dims, drawn = {}, {}
        table = pd.DataFrame({"engine": ["nuts"] * n, "pareto_k": np.nan, "share": np.nan, "quadrature_error": np.nan,
                              "fell_back": "", "problem": ""})  # fmt: skip
    again = list(range(n)) if engine == "nuts" else [s for s in range(n) if table.at[s, "problem"]] if fallback else []
    for s in again:
        own = batches.data_set(encoded, {block: value[s] for block, value in values.items()})
        posterior, problems = _by_nuts(model, own, priors, draws, int(seeds[s].generate_state(1)[0]))
        for key, variable in posterior.items():
            if str(key) not in drawn:
                drawn[str(key)] = np.full((n, *variable.shape), np.nan)
                dims[str(key)] = tuple(str(dim) for dim in variable.dims[1:])
            drawn[str(key)][s] = variable.to_numpy()
        why = str(table.at[s, "problem"])
        table.at[s, "fell_back"], table.at[s, "engine"] = why, "nuts"
        table.at[s, "problem"] = problems
    posterior = xr.Dataset({name: (("data_set", "draw", *dims[name]), array) for name, array in drawn.items()})
    labels = {dim: encoded.coords[dim] for dim in posterior.dims if dim in encoded.coords}
    posterior = posterior.assign_coords(labels)
    facts = Facts(cohort=cohort, data=encoded.groups()["constant_data"], options=options)
    found = {}
    for name, settings in wanted:
        estimand = model.estimand(name)
        made = estimand.compute(posterior, facts, **settings)
        found[name] = made.transpose("data_set", "draw", *(dim for dim in estimand.over if dim in made.dims))
    return xr.Dataset(found), table


def _by_nuts(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], draws: int, seed: int
) -> tuple[xr.Dataset, str]:
    """Population parameters of one data set by NUTS, dims (draw, ...), and what the gate says."""
    keywords = {**model.sampling, "cores": 1}
    each = max(1000, -(-draws // 4))  # fewer would fail the gate for want of draws, not of convergence
    posterior, stats = nuts.sample(model, encoded, priors, draws=each, tune=1000, chains=4, random_seed=seed,
                                   progressbar=False, **keywords)  # fmt: skip
    problems = "; ".join(diagnose(posterior, stats).problems)
    population = posterior[[name for name, variable in posterior.items() if "subject" not in variable.dims]]
    every = np.linspace(0, 4 * each - 1, draws).astype(int)
    return forward.stack(population).isel(sample=every).rename(sample="draw"), problems
