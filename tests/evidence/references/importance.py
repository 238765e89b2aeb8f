"""A posterior by importance sampling, with NumPy and SciPy alone: for densities of a dozen parameters, effects integrated out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import linalg, optimize, special, stats

_DEGREES = 5.0

# By scale of a parameter: back to its own, and log of the derivative of that.
_SCALES: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "real": (lambda x: x, lambda x: 0 * x),
    "positive": (np.exp, lambda x: x),
    "correlation": (np.tanh, lambda x: np.log1p(-(np.tanh(x) ** 2))),
}


def quantities(
    log_density: Callable[[Mapping[str, np.ndarray]], np.ndarray], names: Mapping[str, str], start: Sequence[float],
    spread: Sequence[float], *, draws: int = 40_000, seed: int = 1,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Mean and SD of each parameter with their Monte Carlo errors.

    Parameters
    ----------
    log_density : callable
        Of parameters by name, arrays of shape (points,), on their own scale.
    names : mapping of name to scale
    start, spread : sequence of float
        Where to begin and how wide, on the real line.
    """
    size = len(names)

    def natural(x: np.ndarray) -> dict[str, np.ndarray]:
        return {name: _SCALES[scale][0](x[:, i]) for i, (name, scale) in enumerate(names.items())}

    def density(x: np.ndarray) -> np.ndarray:
        jacobian = sum(_SCALES[scale][1](x[:, i]) for i, scale in enumerate(names.values()))
        return np.nan_to_num(log_density(natural(x)) + jacobian, nan=-np.inf)

    found = optimize.minimize(lambda x: -max(float(density(x[None])[0]), -1e12), np.array(start), method="Nelder-Mead",
                              options={"maxiter": 4000, "maxfev": 4000, "adaptive": True, "xatol": 1e-3, "fatol": 1e-3})  # fmt: skip
    rng = np.random.default_rng(seed)
    mean, covariance = found.x, np.diag(np.array(spread) ** 2)
    for n in (*(draws // 10,) * 6, draws):  # the proposal is fitted to what the last one found
        root = linalg.cholesky(1.3 * covariance, lower=True)
        x = mean + stats.multivariate_t(shape=np.eye(size), df=_DEGREES, seed=rng).rvs(n) @ root.T
        z = linalg.solve_triangular(root, (x - mean).T, lower=True)
        log_weight = density(x) + 0.5 * (_DEGREES + size) * np.log1p((z**2).sum(axis=0) / _DEGREES)
        weight = np.exp(log_weight - special.logsumexp(log_weight))
        mean = weight @ x
        covariance = (weight[:, None] * (x - mean)).T @ (x - mean) + 1e-6 * np.eye(size)
    worth = 1 / (weight**2).sum()
    print(f"importance sampling: {draws} points worth {worth:.0f}")
    assert worth > draws / 10 and weight.max() < 0.01
    return {name: _moments(values, weight) for name, values in natural(x).items()}


def _moments(values: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    mean = float(weight @ values)
    square = (values - mean) ** 2
    sd = float(np.sqrt(weight @ square))
    error = float(np.sqrt(np.sum(weight**2 * square)))
    return {"mean": mean, "mean_error": error, "sd": sd,
            "sd_error": float(np.sqrt(np.sum(weight**2 * (square - sd**2) ** 2))) / (2 * sd)}  # fmt: skip


def lines(p: Mapping[str, np.ndarray], month: np.ndarray) -> np.ndarray:
    """Covariance of a patient's scores, (points, visits, visits): level and slope normal and correlated, residuals beside them."""
    level, slope, residual = (p[name][:, None, None] for name in ("sd_level", "sd_slope", "sd_residual"))
    both = p["correlation"][:, None, None] * level * slope * (month[:, None] + month)
    return level**2 + slope**2 * np.outer(month, month) + both + residual**2 * np.eye(len(month))


def of_lines(p: Mapping[str, np.ndarray]) -> np.ndarray:
    """Log prior of levels, slopes and residuals in als_slope."""
    return (stats.norm.logpdf(p["mean_level"], 38, 10) + stats.halfnorm.logpdf(p["sd_level"], scale=8)
            + stats.norm.logpdf(p["mean_slope"], -1, 1) + stats.halfnorm.logpdf(p["sd_slope"], scale=1)
            + stats.lognorm.logpdf(p["sd_residual"], 0.5, scale=np.exp(0.6)))  # fmt: skip


LINES = {"mean_level": "real", "sd_level": "positive", "mean_slope": "real", "sd_slope": "positive", "correlation": "correlation",
         "sd_residual": "positive"}  # fmt: skip
LINES_START = (38.0, np.log(5), -1.0, np.log(0.6), 0.1, np.log(1.8))
LINES_SPREAD = (0.5, 0.1, 0.1, 0.1, 0.15, 0.05)
