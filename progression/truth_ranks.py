"""A small simulation-based calibration: ranks of truths from the priors among the posterior draws of data simulated from them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats

from progression.design import Design
from progression.many import fit_many
from progression.registry import models
from progression.simulating import simulate
from progression.trials import Trials

RANKED, LEAST = 99, 1e-4
_UNUSED = {
    "level_difference",
    "level_coefficient",
    "slope_coefficient",
    "bend",
}  # of clauses that the design here has not


def calibration(ranks: dict[str, np.ndarray], *, cores: int, random_seed: int, sets: int) -> tuple[str, str, bool]:
    """Rank the estimands of als_slope in simulated trials of 2 x 20 patients with three visits.

    Parameters
    ----------
    ranks : dict
        Filled with ranks, 0 to 99, (sets,), by quantity.
    cores, random_seed, sets : int

    Returns
    -------
    found, wanted : str
    passed : bool

    Notes
    -----
    Uniform ranks are wanted (Talts et al. 2018, arXiv:1804.06788), those of the distance from a plain estimate among them, which draws from
    the prior would fail (Modrak et al. 2023, Bayesian Analysis 18:1). Data come from the program's own generator: what that shares with the
    posterior can be wrong unnoticed.
    """
    model = models()["als_slope"]
    truth = {name: prior for name, prior in model.priors.items() if name not in _UNUSED}
    design = Design(arms={"control": 20, "treated": 20}, visits_months=[0, 3, 6])
    trials = simulate(design, model, truth=truth, n=sets, random_seed=random_seed)
    done = fit_many(model, trials, random_seed=random_seed, cores=cores, progressbar=False)
    chosen = np.random.default_rng(random_seed).permutation(done.draws.sizes["draw"])[:RANKED]
    for estimand, drawn in done.draws.items():
        draws, true = _by_set(drawn.isel(draw=chosen)), _by_set(trials.true_value(str(estimand)).expand_dims("draw"))
        for i in range(true.shape[2]):
            ranks[f"{estimand}[{i}]" if true.shape[2] > 1 else str(estimand)] = (draws[..., i] < true[..., i]).sum(
                axis=1
            )
    estimate = _plain_estimate(trials)[:, None]
    draws, true = _by_set(done.draws["slope_difference"].isel(draw=chosen)), _by_set(trials.true_value("slope_difference").expand_dims("draw"))  # fmt: skip
    ranks["distance from a plain estimate"] = (abs(draws[..., 0] - estimate) < abs(true[..., 0] - estimate)).sum(axis=1)
    p = {name: float(stats.chisquare(np.histogram(own, 20, range=(0, RANKED + 1))[0]).pvalue) for name, own in ranks.items()}  # fmt: skip
    worst = min(p, key=lambda name: p[name])
    inside = np.mean([np.mean(np.abs(own - RANKED / 2) < 0.45 * (RANKED + 1)) for own in ranks.values()])
    bad = len(done.problems)
    said = f"{sets} simulated trials, {len(p)} quantities: smallest p {p[worst]:.2g} ({worst}); 90 % intervals hold {100 * inside:.1f} %; {bad} with problems"
    return said, f"no p below {LEAST:g}, problems in less than 5 %", p[worst] >= LEAST and bad < 0.05 * sets


def _by_set(values: xr.DataArray) -> np.ndarray:
    """(data sets, draws, components)."""
    array = values.transpose("data_set", "draw", ...).to_numpy()
    return array.reshape(*array.shape[:2], -1)


def _plain_estimate(trials: Trials) -> np.ndarray:
    """Difference of slopes from the first to the last scores, (data sets,): treated minus control."""
    visits, score = trials.cohort.visits, trials.values["alsfrsr"]
    treated = (visits["subject"].map(trials.cohort.subjects["arm"]).astype(str) == trials.cohort.arms[1]).to_numpy()
    ends = visits["month"].min(), visits["month"].max()
    first, last = ((visits["month"] == end).to_numpy() for end in ends)
    change = [np.nanmean(score[:, last & own], axis=1) - np.nanmean(score[:, first & own], axis=1) for own in (treated, ~treated)]  # fmt: skip
    return (change[0] - change[1]) / float(ends[1] - ends[0])
