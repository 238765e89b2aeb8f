"""Success against the number of patients: a probit line in the square root of n."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

__all__ = ["SizeCurve", "fitted_curve"]

_DOUBT = 0.5  # SD of the intercept about what a normal estimate and a wide prior would have it be


@dataclass(frozen=True, eq=False)
class SizeCurve:
    """Phi(intercept + slope sqrt(n)).

    Attributes
    ----------
    intercept, slope : float
    covariance : array, shape (2, 2)
        Of the two, from the Monte Carlo error of the simulations.
    """

    intercept: float
    slope: float
    covariance: np.ndarray

    def __call__(self, n: np.ndarray | float) -> np.ndarray:
        """Probability of success with n patients."""
        return self._at(n, 0.0)

    def band(self, n: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """95 % Monte Carlo band of it."""
        return self._at(n, -1.96), self._at(n, 1.96)

    def solved(self, target: float) -> float:
        """The n at which the line meets the target; infinite where it does not rise."""
        return self._root(target, 0.0) or np.inf

    def limits(self, target: float) -> tuple[float | None, float | None]:
        """The n at which the upper and the lower limit of the band meet it; None where they do not."""
        return self._root(target, 1.96), self._root(target, -1.96)

    def _at(self, n: np.ndarray | float, errors: float) -> np.ndarray:
        root = np.sqrt(np.asarray(n, float))
        variance = self.covariance[0, 0] + 2 * root * self.covariance[0, 1] + root**2 * self.covariance[1, 1]
        found: np.ndarray = stats.norm.cdf(self.intercept + self.slope * root + errors * np.sqrt(variance))
        return found

    def _root(self, target: float, errors: float) -> float | None:
        def above(n: float) -> float:
            return float(self._at(n, errors)) - target

        grid = np.geomspace(1, 1e7, 400)
        over = np.flatnonzero(np.array([above(n) for n in grid]) >= 0)
        if not len(over) or over[0] == 0:
            return 1.0 if len(over) else None
        return float(optimize.brentq(above, grid[over[0] - 1], grid[over[0]]))


def fitted_curve(successes: Mapping[int, tuple[int, int]], threshold: float) -> SizeCurve:
    """The line through some sizes.

    Parameters
    ----------
    successes : mapping of n to (successes, trials)
    threshold : float
        Probability that the rule asks for. A normal estimate with a wide prior meets it with probability Phi(c sqrt(n) - z), z its normal
        quantile: the intercept is -z, give or take a little for other priors, so that one size is enough to begin with.
    """
    roots = np.sqrt(np.array(list(successes), float))
    won, trials = np.array(list(successes.values()), float).T
    won, trials = won + 0.5, trials + 1.0  # all or none of the trials still leave a finite slope
    usual = stats.norm.isf(threshold)

    def loss(line: np.ndarray) -> float:
        at = line[0] + line[1] * roots
        fit = won * stats.norm.logcdf(at) + (trials - won) * stats.norm.logsf(at)
        return float(-fit.sum() + ((line[0] - usual) / _DOUBT) ** 2 / 2)

    start = np.array([usual, ((stats.norm.ppf(won / trials) - usual) / roots).mean()])
    best = optimize.minimize(
        loss, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000}
    ).x
    at = best[0] + best[1] * roots
    weight = trials * stats.norm.pdf(at) ** 2 / (stats.norm.cdf(at) * stats.norm.sf(at))  # expected information
    matrix = np.array(
        [[weight.sum() + 1 / _DOUBT**2, (weight * roots).sum()], [(weight * roots).sum(), (weight * roots**2).sum()]]
    )
    return SizeCurve(float(best[0]), float(best[1]), np.linalg.inv(matrix))
