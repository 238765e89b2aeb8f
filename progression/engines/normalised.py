"""A power of the historical likelihood that is not known: the normalised power prior, by quadrature over the power.

p(theta, a0 | D) is proportional to p(a0) p(theta) L_current(theta) L_historical(theta) ** a0 / C(a0), where C(a0) is the
integral of p(theta) L_historical(theta) ** a0: without it a0 would be judged by constants of the likelihood. Given a0 the
posterior is that of `powered`, so it is made at the nodes of Gauss-Jacobi quadrature and mixed by their probability.

Source: Duan, Ye and Smith (2006), Environmetrics 17:95; Neuenschwander, Branson and Spiegelhalter (2009), Statistics in
Medicine 28:3562 (why the constant matters).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy import special

from progression.encoding import Encoded
from progression.engines import powered
from progression.modeling import Model, SupportsPyMC

NODES = 12


def sample(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], *, weights: np.ndarray, historical: np.ndarray,
    alpha: float, beta: float, draws: int, chains: int, random_seed: int,
) -> tuple[xr.Dataset, xr.Dataset]:  # fmt: skip
    """Draw from the posterior of parameters and power together.

    Parameters
    ----------
    weights : array, shape (subjects,)
        Of each subject, of the historical ones where the power is 1.
    historical : array of bool, shape (subjects,)
    alpha, beta : float
        Of the Beta prior of the power.

    Returns
    -------
    posterior, stats : xarray.Dataset
        As `marginal.sample`; the posterior has `a0` besides, (chain, draw), which takes the values of the nodes.
        `stats` has the worst of the nodes used, and evidence_error: the standard error of their log constants.
    """
    node, share = beta_nodes(alpha, beta)
    current, old = np.where(historical, 0.0, weights), np.where(historical, weights, 0.0)
    log_ratio, error = np.empty(NODES), np.empty(NODES)
    for k, a0 in enumerate(node):
        both, both_error = powered.log_evidence(model, encoded, priors, weights=current + a0 * old, random_seed=random_seed)  # fmt: skip
        constant, own_error = powered.log_evidence(model, encoded, priors, weights=a0 * old, random_seed=random_seed)  # fmt: skip
        log_ratio[k], error[k] = both - constant, np.hypot(both_error, own_error)
    probability = special.softmax(np.log(share) + log_ratio)
    rng = np.random.default_rng(np.random.SeedSequence(random_seed).spawn(1)[0])
    reached = np.round(np.cumsum(probability) / probability.sum() * draws).astype(int)
    counts = np.diff(reached, prepend=0)
    parts, stats = [], []
    for j in np.flatnonzero(counts):
        found, own = powered.sample(
            model, encoded, priors, weights=current + node[j] * old, draws=int(counts[j]), chains=chains,
            random_seed=random_seed + int(j),
        )  # fmt: skip
        parts.append(found.assign(a0=(("chain", "draw"), np.full((chains, int(counts[j])), node[j]))))
        stats.append(own)
    posterior = xr.concat(parts, dim="draw").isel(draw=rng.permutation(draws))
    return posterior, _worst(stats, chains, draws, float(np.max(error * (probability > 1e-3))))


def beta_nodes(alpha: float, beta: float, n: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Jacobi nodes between 0 and 1 and their shares of a Beta(alpha, beta)."""
    t, weight = special.roots_jacobi(n, beta - 1, alpha - 1)
    return (t + 1) / 2, weight / weight.sum()


def _worst(stats: list[xr.Dataset], chains: int, draws: int, error: float) -> xr.Dataset:
    worst = {
        "pareto_k": max(float(one["pareto_k"].max()) for one in stats),
        "importance_share": min(float(one["importance_share"].min()) for one in stats),
        "importance_ess": sum(float(one["importance_ess"].min()) for one in stats),
        "quadrature_error": max(float(one["quadrature_error"].max()) for one in stats),
        "evidence_error": error,
    }
    return xr.Dataset({name: (("chain", "draw"), np.full((chains, draws), value)) for name, value in worst.items()})
