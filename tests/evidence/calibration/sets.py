"""One simulated data set, fitted: the rank of every truth among thinned posterior draws, and what the fit says of itself."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import progression as pg
from progression.store import write_atomically
from tests.evidence.calibration import ranks
from tests.evidence.calibration.likelihoods import log_likelihood
from tests.evidence.calibration.truths import Simulated, simulated

# Data sets of each model by regime and engine, by what a fit costs.
SETS: Mapping[str, Mapping[tuple[str, str], int]] = {
    "als_slope": {("sparse", "marginal"): 2000, ("dense", "marginal"): 2000, ("sparse", "nuts"): 200, ("dense", "nuts"): 200},
    "als_shared": {("sparse", "marginal"): 2000, ("dense", "marginal"): 2000, ("sparse", "nuts"): 200, ("dense", "nuts"): 200},
    "als_bounded": {("sparse", "marginal"): 300, ("dense", "marginal"): 300, ("sparse", "nuts"): 300, ("dense", "nuts"): 300},
    "als_items": {("sparse", "nuts"): 300, ("dense", "nuts"): 300},
    "als_antibody": {("sparse", "nuts"): 300, ("dense", "nuts"): 300},
    "sle_crp": {("sparse", "marginal"): 2000, ("dense", "marginal"): 2000, ("sparse", "nuts"): 200, ("dense", "nuts"): 200},
    "sle_joints": {("sparse", "marginal"): 2000, ("dense", "marginal"): 2000, ("sparse", "nuts"): 200, ("dense", "nuts"): 200},
    "sle_activity": {("sparse", "nuts"): 300, ("dense", "nuts"): 300},
}  # fmt: skip
HOW: Mapping[str, dict[str, Any]] = {
    "marginal": {"draws": 500, "chains": 4},
    "nuts": {"draws": 500, "tune": 1000, "chains": 4, "cores": 1},
}
LONGER = 4  # times as many draws, once, where a NUTS run has fewer effective draws than are ranked among
SUBJECTS = 3
EXACT_PRIOR = "the fit used other priors than the truths were drawn from"


def one(model: str, regime: str, engine: str, index: int) -> dict[str, Any]:
    """Simulate a data set, fit it, and rank its truths.

    Returns
    -------
    dict
        ranks by quantity; below, the share of all draws below the truth, for each component of the primary estimand; what engine gave the
        answer, its problems and figures of merit; seconds.
    """
    of, start = simulated(model, regime, index), time.perf_counter()
    cohort, how = of.cohort(), HOW[engine]
    fit = _fit(of, cohort, engine, index, how)
    longer = fit.settings["engine"] == "nuts" and bool(fit.diagnostics.table["ess_bulk"].min() < ranks.DRAWS)
    if longer:
        again = {**HOW["nuts"], "draws": LONGER * HOW["nuts"]["draws"]}
        fit = _fit(of, cohort, "nuts", index + 1_000_000, again)
    seconds = time.perf_counter() - start
    assert dict(fit.priors) == dict(pg.models()[model].priors), EXACT_PRIOR

    rng = np.random.default_rng([31, index])
    raw = [name for name in fit.posterior if str(name).endswith("_raw")]
    posterior = _flat(fit.posterior.drop_vars(raw))
    found = pg.contrast(fit).draws
    estimands = _flat(found)
    total = posterior.sizes["sample"]
    chosen = rng.permutation(total)[: ranks.DRAWS]  # independent draws, in any order
    if fit.settings["engine"] == "nuts":
        chosen = np.linspace(0, total - 1, ranks.DRAWS).astype(int)  # as far apart as they can be
    thinned, values = posterior.isel(sample=chosen), estimands.isel(sample=chosen)
    ranked = {label: ranks.rank(draws, truth, rng) for label, draws, truth in quantities(of, thinned, values)}
    primary = next(iter(found.data_vars))
    below = {label: round(float(np.mean(draws < truth)), 5)
             for label, draws, truth in _scalars(str(primary), estimands[primary], of.asked[str(primary)])}  # fmt: skip
    return {"ranks": ranked, "below": below, "seconds": round(seconds, 2), "longer": longer, **_merit(fit, engine)}


def quantities(of: Simulated, posterior: xr.Dataset, estimands: xr.Dataset) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, draws and truth of everything that is ranked; every parameter that the posterior has must have its truth."""
    used = {str(name) for name in pg.models()[of.model].priors if name in posterior}
    assert used == set(of.population), f"without a truth or a posterior: {sorted(used ^ set(of.population))}"
    for name, truth in of.population.items():
        yield from _scalars(name, posterior[name], truth)
    for name in map(str, estimands.data_vars):
        yield from _scalars(name, estimands[name], of.asked[name])
    n = len(next(iter(of.patients.values())))
    own = {name: posterior[name].sel(subject=[f"p{i}" for i in range(n)]) for name in of.patients}
    for i in np.linspace(0, n - 1, SUBJECTS).astype(int):
        for name, truth in of.patients.items():
            yield from _scalars(f"{name} of p{i}", own[name].isel(subject=int(i), drop=True), truth[i])
    drawn = log_likelihood(of, *({name: one.transpose("sample", ...).to_numpy() for name, one in part.items()}
                                 for part in ({name: posterior[name] for name in of.population}, own)))  # fmt: skip
    truth = log_likelihood(of, *({name: one[None] for name, one in part.items()} for part in (of.population, of.patients)))  # fmt: skip
    yield "log-likelihood", drawn, float(truth[0])


def _fit(of: Simulated, cohort: pg.Cohort, engine: str, seed: int, how: Mapping[str, Any]) -> pg.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pg.fit(of.model, cohort, options=of.options, engine=engine, random_seed=seed, progressbar=False, **how)


def _flat(draws: xr.Dataset) -> xr.Dataset:
    """One dim of draws, first; clauses that are not in use hold nothing and stay behind."""
    used = draws[[name for name, one in draws.items() if one.size]]
    return used.stack(sample=("chain", "draw"), create_index=False).transpose("sample", ...)


def _scalars(name: str, draws: xr.DataArray, truth: np.ndarray) -> Iterator[tuple[str, np.ndarray, float]]:
    """Each scalar of a quantity by name and position; truths must have its shape."""
    array = draws.transpose("sample", ...).to_numpy()
    assert array.shape[1:] == np.shape(truth), f"{name}: {array.shape[1:]} in the posterior, {np.shape(truth)} known"
    for place in np.ndindex(np.shape(truth)):
        label = f"{name}[{', '.join(map(str, place))}]" if place else name
        yield label, array[(slice(None), *place)], float(np.asarray(truth)[place])


def _merit(fit: pg.Fit, engine: str) -> dict[str, Any]:
    stats = fit.idata["sample_stats"]
    merit = {
        "engine": fit.settings["engine"], "fell_back": str(fit.settings.get("fell_back", "")), "problems": list(fit.problems),
        "r_hat": round(float(fit.diagnostics.table["r_hat"].max()), 4), "ess": round(float(fit.diagnostics.table["ess_bulk"].min())),
    }  # fmt: skip
    if "pareto_k" in stats:
        return merit | {"pareto_k": round(float(stats["pareto_k"].max()), 3), "quadrature_error": float(stats["quadrature_error"].max())}  # fmt: skip
    return merit | {"divergences": fit.diagnostics.divergences}


def done(jobs: Sequence[tuple[str, str, str, int]], folder: Path) -> list[dict[str, Any]]:
    """Sets one after another; those that a file holds are read."""
    found = []
    for model, regime, engine, index in jobs:
        path = folder / f"{model}-{regime}-{engine}" / f"{index:04d}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(one(model, regime, engine, index)).encode())
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found
