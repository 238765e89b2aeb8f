"""The posterior of als_shared by NumPy and SciPy alone: each patient's scores are multivariate normal given the rest.

Nothing here comes from the package: no PyMC, no engine. Two arms, a common baseline, no covariates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special, stats

NAMES = ("mean_level", "mean_rate", "sd_level", "sd_control", "sd_treated", "sd_residual", "rate_ratio", "hazard")
_POSITIVE = np.array([False, False, *(True,) * 6])
_DEGREES = 7.0


@dataclass(frozen=True, eq=False)
class Reference:
    """Weighted draws in the order of `NAMES`, natural scale."""

    draws: np.ndarray
    weight: np.ndarray

    def moments(self, name: str) -> tuple[float, float, float, float]:
        """Mean, its Monte Carlo error, SD, its Monte Carlo error."""
        x, w = self.draws[:, NAMES.index(name)], self.weight
        mean = float(w @ x)
        variance = float(w @ (x - mean) ** 2)
        error = float(np.sqrt(np.sum(w**2 * (x - mean) ** 2)))
        of_variance = float(np.sqrt(np.sum(w**2 * ((x - mean) ** 2 - variance) ** 2)))
        return mean, error, variance**0.5, of_variance / (2 * variance**0.5)


class _Trial:
    """Sufficient statistics by arm and set of visits: numbers, sums and products of scores."""

    def __init__(self, visits: pd.DataFrame, subjects: pd.DataFrame) -> None:
        arm = subjects.set_index("subject")["arm"]
        by_pattern: dict[tuple[int, tuple[float, ...]], list[np.ndarray]] = {}
        for subject, own in visits.groupby("subject"):
            key = int(arm[subject] == "treated"), tuple(own["time"])
            by_pattern.setdefault(key, []).append(own["alsfrsr"].to_numpy())
        self.patterns = [(treated, np.array(months), np.array(rows)) for (treated, months), rows in by_pattern.items()]
        if "event" in subjects:
            died = subjects["event"].notna()
            exposed = subjects["event_time"].where(died, subjects["end_of_follow_up"])
            groups = [subjects["arm"] == one for one in ("control", "treated")]
            self.deaths = np.array([(died & group).sum() for group in groups], float)
            self.exposure = np.array([exposed[group].sum() for group in groups])
        else:
            self.deaths = self.exposure = np.zeros(2)

    def log_likelihood(self, p: np.ndarray) -> np.ndarray:
        level, rate, sd_level, *sd_rate, sd, ratio, hazard = p.T
        total = np.zeros(len(p))
        for treated, t, y in self.patterns:
            r = ratio if treated else np.ones_like(ratio)
            mean = level[:, None] - (rate * r)[:, None] * t
            v = (sd_level**2)[:, None, None] + ((sd_rate[treated] * r) ** 2)[:, None, None] * np.outer(t, t)
            v = v + (sd**2)[:, None, None] * np.eye(len(t))
            root = np.linalg.cholesky(v)
            z = np.linalg.solve(root, y.T[None] - mean[:, :, None])
            log_det = 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
            total -= 0.5 * (len(y) * (log_det + len(t) * np.log(2 * np.pi)) + (z**2).sum(axis=(1, 2)))
        for d, e, r in zip(self.deaths, self.exposure, (np.ones_like(ratio), ratio), strict=True):
            total += d * np.log(hazard * r) - hazard * r * e
        return total


def posterior(
    visits: pd.DataFrame, subjects: pd.DataFrame, priors: Mapping[str, stats.rv_continuous], *, draws: int = 40_000,
    seed: int = 1,
) -> Reference:  # fmt: skip
    """Importance sampling from a multivariate t around the mode.

    Parameters
    ----------
    priors : mapping
        A frozen SciPy distribution for each of `NAMES`.
    """
    trial = _Trial(visits, subjects)

    def natural(x: np.ndarray) -> np.ndarray:
        return np.where(_POSITIVE, np.exp(np.clip(x, -40, 40)), x)

    def log_density(x: np.ndarray) -> np.ndarray:
        p = natural(x)
        prior = sum(priors[name].logpdf(p[:, i]) for i, name in enumerate(NAMES)) + x[:, _POSITIVE].sum(axis=1)
        found = np.full(len(x), -np.inf)
        ok = np.isfinite(prior)
        found[ok] = prior[ok] + trial.log_likelihood(p[ok])
        return found

    start = np.array([38, 1, np.log(5), np.log(0.7), np.log(0.7), np.log(1.8), -0.1, np.log(0.01)])
    found = optimize.minimize(lambda x: -np.nan_to_num(log_density(x[None])[0], neginf=-1e12), start,
                              method="Nelder-Mead", options={"maxiter": 6000, "maxfev": 6000, "adaptive": True,
                                                             "xatol": 1e-4, "fatol": 1e-4})  # fmt: skip
    rng = np.random.default_rng(seed)
    mean, covariance = found.x, np.diag([0.5, 0.1, 0.1, 0.2, 0.2, 0.05, 0.2, 0.6]) ** 2
    for _ in range(8):  # the proposal is fitted to what the last one found
        root = linalg.cholesky(1.4 * covariance, lower=True)
        x = mean + stats.multivariate_t(shape=np.eye(8), df=_DEGREES, seed=rng).rvs(draws // 8) @ root.T
        mean, covariance = _moments(x, _weights(log_density(x), x, mean, root))
    root = linalg.cholesky(1.4 * covariance, lower=True)
    x = mean + stats.multivariate_t(shape=np.eye(8), df=_DEGREES, seed=rng).rvs(draws) @ root.T
    return Reference(natural(x), _weights(log_density(x), x, mean, root))


def _weights(log_density: np.ndarray, x: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    z = linalg.solve_triangular(root, (x - mean).T, lower=True)
    log_weight = log_density + 0.5 * (_DEGREES + 8) * np.log1p((z**2).sum(axis=0) / _DEGREES)
    return np.asarray(np.exp(log_weight - special.logsumexp(log_weight)))


def _moments(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = weight @ x
    return mean, (weight[:, None] * (x - mean)).T @ (x - mean) + 1e-6 * np.eye(8)
