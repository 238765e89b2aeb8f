"""A model and a design, checked once and made ready: what fits any of the design's data sets."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import xarray as xr

from progression.arranging import Arranged, arranged
from progression.borrowing import Borrowing
from progression.cohort import Cohort
from progression.encoding import Encoded, encode
from progression.engines import batches, data_sets, forward, nuts, prepared
from progression.engines.program import build, knows_of_censoring
from progression.estimands import Estimand, Facts
from progression.faults import CohortError, Fault, SettingError, is_number, setting_fault, suggest
from progression.fitting import check_settings, choose_engine
from progression.gate import diagnose
from progression.matching import off_scale
from progression.modeling import Model, SupportsPyMC
from progression.registry import resolve, shelved
from progression.replicates import Replicates

__all__ = ["Fitter", "Recipe", "recipe"]

_NUTS_AT_ONCE = 8
_PROGRAMS = 4  # that a worker keeps: each takes some 30 MB, and a worker that grows by 300 MB is ended by joblib


@dataclass(frozen=True, eq=False)
class Recipe:
    """How data sets of one design are to be fitted: all of it checked, nothing of it compiled; it can be pickled.

    Attributes
    ----------
    said : bytes
        Model (by name where it is on a shelf: other processes know nothing of what was registered in this one) and priors, pickled: equal bytes are the same program.
    encoded : Encoded
        The design: every row a data set may have, unpadded.
    cohort : Cohort
        As the program needs its arms.
    options : mapping
    wanted : tuple of (str, mapping)
        Estimands with their settings.
    draws : int
    engine : {"marginal", "nuts"}
    fallback : bool
    weights : array, shape (subjects,), or None
    group : int
        Data sets that are done together.
    blind : tuple of str
        Observed variables for which the program would take a censored value for a measured one.
    home : int
        The process it was made in.
    """

    said: bytes
    encoded: Encoded
    cohort: Cohort
    options: Mapping[str, Any]
    wanted: tuple[tuple[str, Mapping[str, float]], ...]
    draws: int
    engine: str
    fallback: bool
    weights: np.ndarray | None
    group: int
    blind: tuple[str, ...]
    home: int

    @property
    def model(self) -> Model:
        """The model."""
        return meant(self.said)[0]

    @property
    def estimands(self) -> dict[str, Estimand]:
        """Those wanted, by name."""
        return {name: self.model.estimand(name) for name, _ in self.wanted}

    def values(self, data: Replicates) -> dict[str, np.ndarray]:
        """Values of data sets by observed variable, (data sets, rows), checked.

        Raises
        ------
        CohortError
            Where a value cannot be, or not for this model.
        """
        if {"onset_lower"} & self._reads:
            data.refuse_onsets()
        found = data.rows(self.encoded, strict=data.cohort.provenance != "simulated", blind=self.blind)
        if "bounded" in self.model.needs:
            _check_scale(self.encoded, found)
        return found

    @cached_property
    def _reads(self) -> set[str]:
        model, priors = meant(self.said)
        return set(build(model, self.encoded, priors).used)

    def reads_onsets(self) -> bool:
        """Whether the program has intervals of onset among its data."""
        return "onset_lower" in self._reads

    def ready(self, first: Mapping[str, np.ndarray]) -> Fitter:
        """Make the program ready for its engine.

        Parameters
        ----------
        first : mapping of str to array, shape (rows,)
            Values of one data set, always the same one: the search for modes begins from its own.
        """
        model, priors = meant(self.said)
        if self.engine != "marginal":
            return Fitter(self, model, priors, None, None)
        if os.getpid() != self.home and prepared._prepared.cache_info().currsize >= _PROGRAMS:
            prepared._prepared.cache_clear()  # a worker outlives its job: it shall not keep all that ever was prepared
        program = prepared.prepare(model, self.encoded, priors)
        return Fitter(self, model, priors, program, batches.start(program, self.encoded, first))


def recipe(
    model: str | Model, cohort: Cohort, *, priors: str | Mapping[str, SupportsPyMC] | None = None,
    outcomes: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None, engine: str | None = None,
    estimands: str | Sequence[str] | None = None, draws: int = 1000, fallback: bool = True, borrowing: Borrowing | None = None,
    at: Mapping[str, float] | None = None, random_seed: int | None = None,
) -> Recipe:  # fmt: skip
    """Check a model against a design; parameters as in `fit_many`, `at` being the settings of estimands.

    Raises
    ------
    CohortError
        The design does not suit the model.
    SettingError
        An unknown name, or a program the chosen engine cannot handle.
    """
    chosen = resolve(model)
    check_settings(cohort, draws, 1, 1, "nutpie", random_seed, {})
    engine = choose_engine(chosen, engine or "marginal", None, {}, borrowing)
    used_priors, used_options = chosen.with_priors(priors), chosen.with_options(options)
    way = Arranged(cohort, used_priors)
    if borrowing is not None:
        way = arranged(chosen, cohort, used_priors, borrowing, options=used_options, outcomes=outcomes)
        if way.power is not None:
            raise SettingError([setting_fault("borrowing", str(borrowing), "is for one fit at a time: each data set has a constant of its own",
                                              "give a number: pg.PowerPrior(0.5)")])  # fmt: skip
    encoded = encode(chosen, way.cohort, options=used_options, outcomes=outcomes).unpadded()
    said = cloudpickle.dumps((chosen.name if shelved(chosen) else chosen, dict(way.priors)))
    same, same_priors = meant(said)
    built = build(same, encoded, same_priors)  # says in words what data the program lacks
    blind = tuple(block for block in encoded.blocks if not knows_of_censoring(built.used, block))
    wanted = tuple((one.name, settings) for one, settings in _wanted(chosen, way.cohort, estimands, at or {}))
    group = _NUTS_AT_ONCE
    if engine == "marginal":  # prepared here too, so that a program is refused before any worker starts
        group = batches.group_size(prepared.prepare(same, encoded, same_priors, built))
    return Recipe(said, encoded, way.cohort, used_options, wanted, draws, engine, fallback and way.weights is None,
                  way.weights, group, blind, os.getpid())  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fitter:
    """A recipe with its program ready. Made by `Recipe.ready`."""

    recipe: Recipe
    model: Model
    priors: Mapping[str, SupportsPyMC]
    program: prepared.Program | None
    begin: batches.Start | None

    def fit(
        self, values: Mapping[str, np.ndarray], seeds: Sequence[np.random.SeedSequence]
    ) -> tuple[xr.Dataset, pd.DataFrame]:
        """Fit some data sets, a group at most.

        Parameters
        ----------
        values : mapping of str to array, shape (sets, rows)
            By observed variable, NaN where a data set lacks the row.
        seeds : sequence of numpy.random.SeedSequence
            One a data set.

        Returns
        -------
        draws : xarray.Dataset
            One variable an estimand, dims (data_set, draw, then its own).
        table : pandas.DataFrame
            One row a data set: engine, pareto_k, share, quadrature_error, fell_back, problem.

        Notes
        -----
        What a data set gives does not depend on the others: a single one is fitted beside a copy of itself, because sums over
        arrays of one row are taken in another order.
        """
        n = len(seeds)
        if n == 1:
            draws, table = self._fit(
                {block: np.repeat(value, 2, axis=0) for block, value in values.items()}, [*seeds, *seeds], 1
            )
            return draws.isel(data_set=slice(1)), table[:1]
        return self._fit(values, seeds, n)

    def _fit(
        self, values: Mapping[str, np.ndarray], seeds: Sequence[np.random.SeedSequence], real: int
    ) -> tuple[xr.Dataset, pd.DataFrame]:
        recipe, n = self.recipe, len(seeds)
        dims: dict[str, tuple[str, ...]] = {}
        drawn: dict[str, np.ndarray] = {}
        if self.program is not None and self.begin is not None:
            (batch,) = batches.run(self.program, recipe.encoded, values, draws=recipe.draws, seeds=seeds, begin=self.begin,
                                   weights=recipe.weights)  # fmt: skip
            named = self.program.split.model.named_vars_to_dims
            dims, drawn = {name: tuple(named.get(name) or ()) for name in batch.draws}, dict(batch.draws)
            table = pd.DataFrame({"engine": "marginal", "pareto_k": batch.pareto_k, "share": batch.share,
                                  "quadrature_error": batch.quadrature_error, "fell_back": "", "problem": list(batch.reasons)})  # fmt: skip
        else:
            table = pd.DataFrame({"engine": ["nuts"] * n, "pareto_k": np.nan, "share": np.nan, "quadrature_error": np.nan,
                                  "fell_back": "", "problem": ""})  # fmt: skip
        again = list(range(real))
        if self.program is not None:
            again = [s for s in again if table.at[s, "problem"]] if recipe.fallback else []
        for s in again:
            own = data_sets.data_set(recipe.encoded, {block: value[s] for block, value in values.items()})
            posterior, problems = _by_nuts(
                self.model, own, self.priors, recipe.draws, int(seeds[s].generate_state(1)[0])
            )
            for key, variable in posterior.items():
                name = str(key)
                if name not in drawn:
                    drawn[name] = np.full((n, *variable.shape), np.nan)
                    dims[name] = tuple(str(dim) for dim in variable.dims[1:])
                drawn[name][s] = variable.to_numpy()
            table.at[s, "fell_back"], table.at[s, "engine"] = str(table.at[s, "problem"]), "nuts"
            table.at[s, "problem"] = problems
        if again:
            _give_back()
        return self._estimands(dims, drawn), table

    def _estimands(self, dims: Mapping[str, tuple[str, ...]], drawn: Mapping[str, np.ndarray]) -> xr.Dataset:
        encoded = self.recipe.encoded
        posterior = xr.Dataset({name: (("data_set", "draw", *dims[name]), array) for name, array in drawn.items()})
        labels = {str(dim): encoded.coords[str(dim)] for dim in posterior.dims if dim in encoded.coords}
        posterior = posterior.assign_coords(labels)
        facts = Facts(cohort=self.recipe.cohort, data=self._constant, options=self.recipe.options)
        found = {}
        for name, settings in self.recipe.wanted:
            estimand = self.model.estimand(name)
            made = estimand.compute(posterior, facts, **settings)
            found[name] = made.transpose("data_set", "draw", *(dim for dim in estimand.over if dim in made.dims))
        return xr.Dataset(found)

    @cached_property
    def _constant(self) -> xr.Dataset:
        return self.recipe.encoded.groups()["constant_data"]


@lru_cache(maxsize=16)
def meant(said: bytes) -> tuple[Model, Mapping[str, SupportsPyMC]]:
    """Model and priors from their pickle: the same objects for the same content, by which a prepared program is found."""
    model, priors = cloudpickle.loads(said)
    return resolve(model), priors


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


def _give_back() -> None:
    """Return to the system what draws of NUTS took: joblib ends a worker that has grown by 300 MB, and all it has compiled."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others need no such help
    if trim is not None:
        trim(0)


def _check_scale(encoded: Encoded, values: Mapping[str, np.ndarray]) -> None:
    """Refuse data sets whose scores are not whole numbers within bounds, simulated ones too."""
    faults = []
    for block, value in values.items():
        if block not in encoded.blocks:
            continue
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
