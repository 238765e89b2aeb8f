"""One simulated data set, fitted: the rank of every truth among thinned posterior draws, and what the fit says of itself."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import progression as pg
from progression.store import write_atomically
from tests.evidence.calibration import ranks
from tests.evidence.calibration.likelihoods import SUMMED, log_likelihood, marginal_log_likelihood
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
MANY_DRAWS = 1000
NUTS_SETS = 500_000  # number of the first data set that NUTS fits
_PARAMETER = "parameter_"
EXACT_PRIOR = "the fit used other priors than the truths were drawn from"


def one(model: str, regime: str, engine: str, index: int) -> dict[str, Any]:
    """Simulate a data set, fit it, and rank its truths.

    Returns
    -------
    dict
        ranks by quantity; below, the share of all draws below the truth, for each component of the primary estimand; what engine gave the
        answer, its problems and figures of merit; seconds.
    """
    # Data of their own: engines that err on the same sets would err together.
    number = index + (NUTS_SETS if engine == "nuts" else 0)
    of, start = simulated(model, regime, number), time.perf_counter()
    cohort, how = of.cohort(), HOW[engine]
    fit = _fit(of, cohort, engine, index, how)
    fell_back = str(fit.settings.get("fell_back", ""))  # of the first fit: a longer one asks for NUTS outright
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
    below = {label: _share_below(draws, truth)
             for label, draws, truth in _scalars(str(primary), estimands[primary], of.asked[str(primary)])}  # fmt: skip
    return {
        "ranks": ranked,
        "below": below,
        "seconds": round(seconds, 2),
        "longer": longer,
        "fell_back": fell_back,
        **_merit(fit),
    }


def several(model: str, regime: str, indices: Sequence[int]) -> list[dict[str, Any]]:
    """The same of many sets at once, as `fit_many` fits them: population parameters, estimands, and the likelihood with effects summed out.

    Parameters are asked for as if they were estimands, so that nothing but the public road is walked.
    """
    sets, start = [simulated(model, regime, k) for k in indices], time.perf_counter()
    names = list(sets[0].population)
    shelf = pg.models()[model]
    asking = replace(shelf, estimands=(*shelf.estimands, *map(_as_estimand, names)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = pg.fit_many(asking, [of.cohort() for of in sets], options=sets[0].options, draws=MANY_DRAWS, random_seed=indices[0],
                           progressbar=False)  # fmt: skip
    seconds = (time.perf_counter() - start) / len(sets)
    asked = [name for name in fits.draws if not str(name).startswith(_PARAMETER)]
    assert set(asked) == set(sets[0].asked)
    primary, made = str(next(iter(fits.draws))), []
    for place, (k, of) in enumerate(zip(indices, sets, strict=True)):
        rng = np.random.default_rng([31, k])
        drawn = {
            str(name): one.isel(data_set=place).transpose("draw", ...).to_numpy() for name, one in fits.draws.items()
        }
        population = {name: drawn[_PARAMETER + name].reshape(-1, *of.population[name].shape) for name in names}
        estimands = {name: drawn[name].reshape(-1, *np.shape(of.asked[name])) for name in map(str, asked)}
        row = fits.diagnostics.iloc[place]
        chosen = rng.permutation(MANY_DRAWS)[: ranks.DRAWS]
        if row["engine"] == "nuts":
            chosen = np.linspace(0, MANY_DRAWS - 1, ranks.DRAWS).astype(int)
        thinned = {name: one[chosen] for name, one in population.items()}
        pairs = [*_arrays(population, of.population, chosen), *_arrays(estimands, of.asked, chosen),
                 ("log-likelihood", marginal_log_likelihood(of, thinned),
                  float(marginal_log_likelihood(of, {name: one[None] for name, one in of.population.items()})[0]))]  # fmt: skip
        merit = {
            "engine": row["engine"],
            "fell_back": row["fell_back"],
            "problems": [row["problem"]] if row["problem"] else [],
        }
        if row["engine"] == "marginal":
            merit |= {"pareto_k": round(float(row["pareto_k"]), 3), "quadrature_error": float(row["quadrature_error"])}
        below = {label: _share_below(draws, truth)
                 for label, draws, truth in _arrays({primary: estimands[primary]}, of.asked, slice(None))}  # fmt: skip
        made.append({"ranks": {label: ranks.rank(draws, truth, rng) for label, draws, truth in pairs}, "below": below,
                     "seconds": round(seconds, 2), "longer": False, **merit})  # fmt: skip
    return made


def _share_below(draws: np.ndarray, truth: float) -> float:
    """Where the truth lies among the draws, from 0 to 1: uniform over the middles of as many equal steps as it has places."""
    return round((float(np.sum(draws < truth)) + 0.5) / (len(draws) + 1), 6)


def _as_estimand(name: str) -> pg.Estimand:
    """A population parameter, all its entries along one dim."""
    dim = f"entry_of_{name}"

    def compute(posterior: xr.Dataset, facts: Any) -> xr.DataArray:
        own = [d for d in posterior[name].dims if d not in ("chain", "draw", "data_set")]
        return posterior[name].stack({dim: own}, create_index=False) if own else posterior[name].expand_dims({dim: 1})

    return pg.Estimand(_PARAMETER + name, compute, label=name, unit="", scale="direct", reference="none", null=None, benefit=None,
                       population="conditional", over=(dim,))  # fmt: skip


def _arrays(drawn: Mapping[str, np.ndarray], truths: Mapping[str, np.ndarray], chosen: Any) -> Iterator[tuple[str, np.ndarray, float]]:  # fmt: skip
    """Each scalar of quantities by name and position, at some of the draws."""
    for name, draws in drawn.items():
        for place in np.ndindex(np.shape(truths[name])):
            label = f"{name}[{', '.join(map(str, place))}]" if place else name
            yield label, draws[(chosen, *place)], float(np.asarray(truths[name])[place])


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
    # Of als_antibody two treated ones, the last: controls are not tested.
    chosen = [0, n - 2, n - 1] if of.model == "als_antibody" else np.linspace(0, n - 1, SUBJECTS).astype(int)
    for i in chosen:
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


def _merit(fit: pg.Fit) -> dict[str, Any]:
    stats = fit.idata["sample_stats"]
    merit = {
        "engine": fit.settings["engine"], "problems": list(fit.problems),
        "r_hat": round(float(fit.diagnostics.table["r_hat"].max()), 4), "ess": round(float(fit.diagnostics.table["ess_bulk"].min())),
    }  # fmt: skip
    if "pareto_k" in stats:
        return merit | {"pareto_k": round(float(stats["pareto_k"].max()), 3), "quadrature_error": float(stats["quadrature_error"].max())}  # fmt: skip
    return merit | {"divergences": fit.diagnostics.divergences}


def done(jobs: Sequence[tuple[str, str, str, int]], folder: Path) -> list[dict[str, Any]]:
    """Sets of one model, regime and engine; those that a file holds are read."""
    model, regime, engine, _ = jobs[0]
    own = folder / f"{model}-{regime}-{engine}"
    own.mkdir(parents=True, exist_ok=True)
    paths = {index: own / f"{index:04d}.json" for *_, index in jobs}
    lacking = [index for index, path in paths.items() if not path.exists()]
    if lacking and at_once(model, engine):  # all of them: draws depend on the place in a group
        for index, made in zip(paths, several(model, regime, list(paths)), strict=True):
            write_atomically(paths[index], json.dumps(made).encode())
    else:
        for index in lacking:
            write_atomically(paths[index], json.dumps(one(model, regime, engine, index)).encode())
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths.values()]


def at_once(model: str, engine: str) -> bool:
    """Whether sets go through `fit_many`: integrals that take `fit` seconds, and a tenth of one where they are compiled."""
    return engine == "marginal" and model in SUMMED
