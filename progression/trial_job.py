"""Simulated trials analysed: what a worker does for some replicates of a simulation of designs and truths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from progression.components import component
from progression.decisions import Statement
from progression.descriptions import described
from progression.design import Design
from progression.faults import SettingError
from progression.fitted import Fit
from progression.fitters import Fitter, Recipe
from progression.looks import Look
from progression.modeling import Model
from progression.outcomes import Outcome
from progression.resampling import Patients, resample
from progression.simulating import simulator
from progression.trials import Trials

__all__ = ["Cell", "Source", "TrialJob"]


@dataclass(frozen=True, eq=False)
class Source:
    """The program that trials are simulated from.

    Attributes
    ----------
    model : str or Model
    options : mapping
    outcomes : Outcome or sequence of Outcome, or None
    """

    model: str | Model
    options: Mapping[str, Any] | None = None
    outcomes: Outcome | Sequence[Outcome] | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """One design under one truth.

    Attributes
    ----------
    design, truth : str
        Their labels.
    of : Design
    from_what : mapping, Fit or Patients
        Parameters, a posterior, or patients.
    fixed : mapping or None
        What is put in the place of draws of a posterior.
    recipe : int
        Which recipe analyses its trials.
    """

    design: str
    truth: str
    of: Design
    from_what: Mapping[str, Any] | Fit | Patients
    fixed: Mapping[str, Any] | None = None
    recipe: int = 0

    def simulated(self, source: Source, random_seed: int) -> Callable[[int, int], Trials]:
        """What draws its trials, given how many and the number of the first: made once, for many calls."""
        if isinstance(self.from_what, Patients):
            return partial(_resampled, self.from_what, self.of, random_seed)
        return simulator(self.of, source.model, truth=self.from_what, fixed=self.fixed, random_seed=random_seed, options=source.options,
                         outcomes=source.outcomes).trials  # fmt: skip


def _resampled(patients: Patients, design: Design, random_seed: int, n: int, first: int) -> Trials:
    return resample(patients.cohort, design, n=n, first=first, random_seed=random_seed, **patients.settings())


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a worker keeps: a simulator for each cell, and a fitter for each recipe."""

    simulated: tuple[Callable[[int, int], Trials], ...]
    fitters: tuple[Fitter, ...]


@dataclass(frozen=True, eq=False)
class TrialJob:
    """What `runs.run` does for replicate k: trial k of every cell, analysed at each look and at the end.

    Attributes
    ----------
    cells : tuple of Cell
    source : Source
    recipes : tuple of Recipe
    firsts : tuple of mapping of str to array
        Values of one trial for each recipe: the search for modes begins there.
    statements : tuple of Statement
        Their probabilities are recorded.
    quantities : tuple of (str, labels)
        Estimands, one component of each: their posterior mean, SD and interval are recorded.
    interval : float
        Probability of the interval.
    at : mapping of str to float
        Settings of estimands.
    random_seed : int
        That of the run.
    said : mapping
        Settings of the analysis, for `identity`.
    """

    cells: tuple[Cell, ...]
    source: Source
    recipes: tuple[Recipe, ...]
    firsts: tuple[Mapping[str, np.ndarray], ...]
    statements: tuple[Statement, ...]
    quantities: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
    interval: float
    at: Mapping[str, float]
    random_seed: int
    said: Mapping[str, Any]

    def identity(self) -> Mapping[str, Any]:
        """Everything that determines the results: designs, truths, models, priors, statements."""
        cells = [{"design": one.design, "truth": one.truth, "setting": one.of.fingerprint, "plan": one.of.to_dict(),
                  "drawn from": described(one.from_what), "fixed": described(one.fixed)} for one in self.cells]  # fmt: skip
        return {
            "cells": cells, "simulated by": described(self.source.model), "simulation options": described(self.source.options),
            "simulation outcomes": described(self.source.outcomes), "statements": described(self.statements),
            "quantities": described(self.quantities), "interval": self.interval, "at": described(self.at), "analysis": described(self.said),
        }  # fmt: skip

    def prepare(self) -> Prepared:
        """Compile each program, of the simulations and of the analyses."""
        simulated = tuple(cell.simulated(self.source, self.random_seed) for cell in self.cells)
        return Prepared(
            simulated, tuple(recipe.ready(first) for recipe, first in zip(self.recipes, self.firsts, strict=True))
        )

    def run(self, prepared: Prepared, indices: Sequence[int], seeds: Sequence[np.random.SeedSequence]) -> pd.DataFrame:
        """Analyse the trials of these numbers: one row a trial, cell and analysis."""
        found = []
        for number, (cell, simulated) in enumerate(zip(self.cells, prepared.simulated, strict=True)):
            fitter, trials = prepared.fitters[cell.recipe], simulated(len(indices), indices[0])
            truths = {f"true_{i}": true_values(trials, name, labels, self.at, fitter.recipe)
                      for i, (name, labels) in enumerate(self.quantities)}  # fmt: skip
            for look, when in enumerate((*cell.of.looks, None)):
                table = self._analysed(trials, when, fitter, [child(seed, look) for seed in seeds])
                table.insert(0, "look", np.int16(look))
                table.insert(0, "cell", np.int16(number))
                table.insert(0, "replicate", list(indices))
                found.append(table.assign(**truths))
        return pd.concat(found, ignore_index=True)

    def _analysed(
        self, trials: Trials, when: Look | None, fitter: Fitter, seeds: Sequence[np.random.SeedSequence]
    ) -> pd.DataFrame:
        recipe = fitter.recipe
        known = trials if when is None else trials.at(when)
        month = trials.duration if when is None else trials.month_of(when)
        values = recipe.values(replace(known, cohort=recipe.cohort))
        parts = [fitter.fit({block: value[i : i + recipe.group] for block, value in values.items()}, seeds[i : i + recipe.group])
                 for i in range(0, len(seeds), recipe.group)]  # fmt: skip
        draws = xr.concat([one for one, _ in parts], dim="data_set")
        table = pd.concat([one for _, one in parts], ignore_index=True)
        made: dict[str, Any] = {"month": month, "enrolled": trials.enrolled(month).astype(np.int32),
                                "problem": (table["problem"] != "").to_numpy(), "nuts": (table["engine"] == "nuts").to_numpy()}  # fmt: skip
        tail = (1 - self.interval) / 2
        for i, (name, labels) in enumerate(self.quantities):
            own = chosen(draws, name, labels, recipe)
            made |= {f"mean_{i}": own.mean(axis=1), f"sd_{i}": own.std(axis=1)}
            made[f"lower_{i}"], made[f"upper_{i}"] = np.quantile(own, [tail, 1 - tail], axis=1)
        for i, one in enumerate(self.statements):
            made[f"p_{i}"] = one.holds(chosen(draws, one.estimand, one.labels, recipe)).mean(axis=1)
        return pd.DataFrame(made)


def chosen(draws: xr.Dataset, name: str, labels: Sequence[tuple[str, Any]], recipe: Recipe) -> np.ndarray:
    """Draws of one component of an estimand, (data sets, draws)."""
    drifts = {*recipe.cohort.historical_arms, *recipe.encoded.coords["earlier"]}
    found: np.ndarray = (
        component(draws[name], dict(labels), name=name, drifts=drifts).transpose("data_set", "draw").to_numpy()
    )
    return found


def true_values(
    trials: Trials, name: str, labels: Sequence[tuple[str, Any]], at: Mapping[str, float], recipe: Recipe
) -> np.ndarray:
    """What an estimand is in each trial; NaN where the trials come from patients, or from a model that has no such estimand."""
    nothing = np.full(len(trials), np.nan)
    if trials.origin is None or name not in {one.name for one in trials.origin.model.estimands}:
        return nothing
    drifts = {*recipe.cohort.historical_arms, *trials.design.historical_sizes}
    wanted = {key: at[key] for key in trials.origin.model.estimand(name).at if key in at}
    try:
        one = component(trials.true_value(name, **wanted), dict(labels), name=name, drifts=drifts)
    except SettingError:  # the model that made them has no such component
        return nothing
    found: np.ndarray = np.broadcast_to(one.to_numpy(), len(trials)).astype(float)
    return found


def child(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """The seed of one analysis of a trial; `spawn` would give another one each time."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number))
