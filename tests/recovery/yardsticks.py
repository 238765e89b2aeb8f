"""Priors to draw truths from, and what may be asked of intervals and estimates over many fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

import progression as pg

QUICK = {"draws": 500, "tune": 500, "chains": 2, "cores": 2, "progressbar": False}
FULL = {"draws": 1000, "tune": 1000, "chains": 4, "cores": 2, "progressbar": False}
ALPHA = 0.001


def pinned(value: float, width: float = 1e-4) -> pg.Prior:
    """A prior that fixes a parameter, but for a ten-thousandth of it (or of 1)."""
    half = width * max(abs(value), 1.0) if value <= 0 else width * value
    return pg.Prior("Uniform", lower=value - half, upper=value + half)


def draw(rng: np.random.Generator, prior: pg.Prior, size: Any = None) -> Any:
    """A draw from a prior, by SciPy."""
    p = prior.parameters
    made = {
        "Normal": lambda: stats.norm(p["mu"], p["sigma"]),
        "HalfNormal": lambda: stats.halfnorm(scale=p["sigma"]),
        "LogNormal": lambda: stats.lognorm(p["sigma"], scale=np.exp(p["mu"])),
        "Uniform": lambda: stats.uniform(p["lower"], p["upper"] - p["lower"]),
        "Beta": lambda: stats.beta(p["alpha"], p["beta"]),
    }[prior.distribution]()
    return made.rvs(size=size, random_state=rng)


def rank(draws: xr.DataArray, truth: float) -> float:
    """Share of the posterior below the truth: uniform over cohorts whose truths come from the prior."""
    values = np.asarray(draws).ravel()
    return (np.sum(values < truth) + 0.5) / (len(values) + 1)


def assert_covers(ranks: np.ndarray, name: str, share: float = 0.9) -> None:
    """The central interval covers as often as it says, within binomial bounds at the 0.1 % level."""
    hits, n = int(np.sum(np.abs(ranks - 0.5) < share / 2)), len(ranks)
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], n, share)
    assert low <= hits <= high, f"{name}: {hits} of {n} intervals of {share:.0%} cover, {low:g} to {high:g} expected"


def assert_no_shift(z: np.ndarray, name: str) -> None:
    """The mean z-score lies within 3.3 of its standard errors of zero."""
    assert abs(np.mean(z)) < 3.3 / np.sqrt(len(z)), f"{name}: mean z {np.mean(z):.2f} over {len(z)} fits"


def assert_unbiased(errors: np.ndarray, name: str) -> None:
    """The mean error lies within 3.3 of its empirical standard errors of zero."""
    se = np.std(errors, ddof=1) / np.sqrt(len(errors))
    assert abs(np.mean(errors)) < 3.3 * se, f"{name}: mean error {np.mean(errors):.3g}, standard error {se:.2g}"


def assert_calibrated(ranks: Mapping[str, list[float]]) -> None:
    """Ranks of truths drawn from the prior: coverage of 50 and 90 %, no shift, uniform."""
    for name, found in ranks.items():
        values = np.array(found)
        assert_covers(values, name, 0.9)
        assert_covers(values, name, 0.5)
        assert_no_shift(stats.norm.ppf(values), name)
        p = stats.kstest(values, "uniform").pvalue
        assert p > ALPHA, f"{name}: ranks are not uniform (p = {p:.1g})"


def assert_exact(draws: xr.DataArray, mean: float, sd: float, name: str) -> None:
    """Posterior mean and SD agree with exact ones within four Monte Carlo errors."""
    import arviz_stats as azs

    array = draws.reset_coords(drop=True).transpose("chain", "draw")
    off = float(array.mean()) - mean
    error = float(azs.mcse(array, method="mean"))
    assert abs(off) < 4 * error, f"{name}: mean off by {off:.3g}, Monte Carlo error {error:.2g}"
    off = float(array.std(ddof=1)) - sd
    error = float(azs.mcse(array, method="sd"))
    assert abs(off) < 4 * error, f"{name}: SD off by {off:.3g}, Monte Carlo error {error:.2g}"
