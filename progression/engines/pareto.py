"""Importance weights smoothed by a generalised Pareto distribution, whose shape k says whether they can be trusted.

Sources: Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25:72; Zhang and Stephens (2009), Technometrics 51:316
(fit of the tail).
"""

from __future__ import annotations

import numpy as np
from scipy import special


def smooth(log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed, normalised log weights, and the Pareto k of each set.

    Parameters
    ----------
    log_weight : array, shape (sets, points)
    """
    sets, n = log_weight.shape
    hopeless = ~np.isfinite(log_weight.max(axis=1))  # no point has a density
    log_weight = np.where(hopeless[:, None], 0.0, log_weight)
    log_weight = log_weight - log_weight.max(axis=1, keepdims=True)
    tail = int(min(np.ceil(0.2 * n), np.ceil(3 * np.sqrt(n))))
    if tail < 5:
        return log_weight - special.logsumexp(log_weight, axis=1, keepdims=True), np.full(sets, np.inf)
    order = np.argpartition(log_weight, n - tail - 1, axis=1)[:, n - tail - 1 :]
    top = np.take_along_axis(log_weight, order, axis=1)
    rank = top.argsort(axis=1)
    order, top = np.take_along_axis(order, rank, axis=1), np.take_along_axis(top, rank, axis=1)
    cut = np.maximum(top[:, :1], np.log(np.finfo(float).tiny))
    over = np.exp(top[:, 1:]) - np.exp(cut)
    usable = over[:, -1] - over[:, 0] > 1e-14
    k, sigma = _fit_tail(np.where(usable[:, None], np.maximum(over, 1e-300), np.arange(1, tail + 1)))
    p = (np.arange(1, tail + 1) - 0.5) / tail
    straight = np.abs(k) < 1e-9
    safe = np.where(straight, 1.0, k)[:, None]
    quantile = sigma[:, None] * np.where(straight[:, None], -np.log1p(-p), np.expm1(-safe * np.log1p(-p)) / safe)
    smoothed = np.minimum(np.log(quantile + np.exp(cut)), 0.0)
    replaced = np.where((usable & np.isfinite(k))[:, None], smoothed, top[:, 1:])
    out = log_weight.copy()
    np.put_along_axis(out, order[:, 1:], replaced, axis=1)
    k = np.where(hopeless, np.inf, np.where(usable, k, -np.inf))
    return out - special.logsumexp(out, axis=1, keepdims=True), k


def _fit_tail(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Generalised Pareto shape and scale for sorted exceedances, (sets, n): Zhang and Stephens, k shrunk to 0.5."""
    n = x.shape[1]
    m = 30 + int(np.sqrt(n))
    grid = 1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))
    b = grid / (3 * x[:, [int(n / 4 + 0.5) - 1]]) + 1 / x[:, -1:]
    k = np.log1p(-b[:, :, None] * x[:, None, :]).mean(axis=2)
    with np.errstate(all="ignore"):
        likelihood = n * (np.log(-b / k) - k - 1)
        weight = 1 / np.exp(likelihood[:, None, :] - likelihood[:, :, None]).sum(axis=2)
    weight = np.where(np.isfinite(weight), weight, 0)
    weight /= weight.sum(axis=1, keepdims=True)
    best = (b * weight).sum(axis=1)
    k = np.log1p(-best[:, None] * x).mean(axis=1)
    sigma = -k / best
    return (n * k + 5) / (n + 10), sigma
