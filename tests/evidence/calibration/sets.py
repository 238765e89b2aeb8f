"""One simulated data set through `pg.fit`: the rank of every truth among thinned posterior draws, and what the fit says of itself."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

import progression as pg
from tests.evidence.calibration import plan, ranks
from tests.evidence.calibration.likelihoods import log_likelihood
from tests.evidence.calibration.truths import Simulated, simulated

SUBJECTS = 3
NUTS_SETS = 500_000  # number of the first data set that NUTS fits
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
    cohort, how = of.cohort(), plan.how(model, engine)
    fit = _fit(of, cohort, engine, index, how)
    fell_back = str(fit.settings.get("fell_back", ""))  # of the first fit: a longer one asks for NUTS outright
    longer = fit.settings["engine"] == "nuts" and bool(fit.diagnostics.table["ess_bulk"].min() < ranks.DRAWS)
    if longer:
        fit = _fit(of, cohort, "nuts", index + 1_000_000, plan.longer(model))
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
    below = {label: share_below(draws, truth)
             for label, draws, truth in _scalars(str(primary), estimands[primary], of.asked[str(primary)])}  # fmt: skip
    return {
        "ranks": ranked,
        "below": below,
        "seconds": round(seconds, 2),
        "longer": longer,
        "fell_back": fell_back,
        **_merit(fit),
    }


def share_below(draws: np.ndarray, truth: float) -> float:
    """Where the truth lies among the draws, from 0 to 1: uniform over the middles of as many equal steps as it has places."""
    return round((float(np.sum(draws < truth)) + 0.5) / (len(draws) + 1), 6)


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
