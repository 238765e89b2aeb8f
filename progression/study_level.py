"""Several studies of one quantity: mean and spread between them by quadrature, and what a new study would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special
from scipy.interpolate import CubicSpline

Kind = Literal["binomial", "counts", "normal"]

# Enough for six digits of the published check; twice as many of each change none of them.
_TAU, _MU, _NODES = 160, 161, 25
_WIDTH = 10.0
_LOG_ROOT = float(0.5 * np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class StudyLevel:
    """Posterior of a normal hierarchy over studies, on a grid of its two parameters.

    Attributes
    ----------
    mu, tau : array, shape (SDs x means,)
        Mean of the studies and SD between them, on the link scale (logit, log, or none): for each SD as many means,
        ascending and evenly spaced.
    weight : array, shape (SDs x means,)
        Posterior probability that each point stands for.
    share, share_weight : array, shape (SDs,)
        Gauss-Legendre points between 0 and 1 that the SDs are an increasing function of, and their weights.
    own_mean, own_sd : array, shape (studies,)
        Posterior mean and SD of each study's own value, on the link scale.
    """

    mu: np.ndarray
    tau: np.ndarray
    weight: np.ndarray
    share: np.ndarray
    share_weight: np.ndarray
    own_mean: np.ndarray
    own_sd: np.ndarray

    def moments(self, values: np.ndarray) -> tuple[float, float]:
        """Posterior mean and SD of a function of the points."""
        mean = float(self.weight @ values)
        return mean, float(self.weight @ (values - mean) ** 2) ** 0.5

    def quantiles_of_tau(self, probabilities: np.ndarray) -> np.ndarray:
        """Posterior quantiles of the SD between studies: its density, smooth between the points, integrated."""
        by_share = self.weight.reshape(len(self.share), -1).sum(axis=1)
        density = by_share / self.share_weight
        at = np.r_[0.0, self.share, 1.0]
        below: Any = CubicSpline(at, np.r_[_at_zero(self.share, density), density, 0.0]).antiderivative()
        fine = np.linspace(0, 1, 20_001)
        reached = np.maximum.accumulate(np.asarray(below(fine)))
        share = np.interp(probabilities, reached / reached[-1], fine)
        return self._scale() * share / (1 - share)

    def _scale(self) -> float:
        tau = self.tau.reshape(len(self.share), -1)[:, 0]
        return float(tau[0] * (1 - self.share[0]) / self.share[0])

    def quantiles_of_mu(self, probabilities: np.ndarray) -> np.ndarray:
        """Posterior quantiles of the mean of the studies."""
        rows = len(self.share)
        mu, weight = self.mu.reshape(rows, -1), self.weight.reshape(rows, -1)
        step = mu[:, 1:2] - mu[:, :1]
        x = np.linspace(mu[weight.sum(axis=1) > 1e-6].min(), mu[weight.sum(axis=1) > 1e-6].max(), 20_001)
        reached = np.zeros(len(x))
        for row in range(rows):  # each point of the trapezoidal rule stands for half a step to either side
            if weight[row].sum() > 1e-9:
                edges = np.r_[mu[row] - step[row] / 2, mu[row, -1] + step[row] / 2]
                reached += np.interp(x, edges, np.r_[0, np.cumsum(weight[row])])
        return np.interp(probabilities, reached / reached[-1], x)

    def new_study(self, theta: np.ndarray) -> np.ndarray:
        """Probability that a new study's value on the link scale lies below each of `theta`."""
        keep = self.weight > 1e-11
        mu, tau, weight = self.mu[keep], self.tau[keep], self.weight[keep] / self.weight[keep].sum()
        found = [
            special.ndtr((part[:, None] - mu) / tau) @ weight for part in np.array_split(theta, len(theta) // 20 + 1)
        ]
        return np.concatenate(found)

    def draws(self, n: int, random_seed: int) -> np.ndarray:
        """Values of new studies on the link scale, shape (n,)."""
        rng = np.random.default_rng(random_seed)
        which = rng.choice(len(self.weight), size=n, p=self.weight)
        return rng.normal(self.mu[which], self.tau[which])


def _at_zero(share: np.ndarray, density: np.ndarray) -> float:
    """The density at a share of zero, from the line through its first two points."""
    return float(max(density[0] - (density[1] - density[0]) / (share[1] - share[0]) * share[0], 0.0))


def study_level(
    kind: Kind, events: np.ndarray, size: np.ndarray, *, log_prior_mu: Callable[[np.ndarray], np.ndarray],
    log_prior_tau: Callable[[np.ndarray], np.ndarray], prior_centre: tuple[float, float] | None = None,
) -> StudyLevel:  # fmt: skip
    """Integrate a normal hierarchy over studies.

    Parameters
    ----------
    kind : {"binomial", "counts", "normal"}
    events, size : array, shape (studies,)
        Responders and patients; events and exposure; or estimate and its standard error.
    log_prior_mu, log_prior_tau : callable
        Log densities, vectorised.
    prior_centre : (float, float), optional
        Mean and SD of a normal prior of mu, which then helps to place the points.

    Notes
    -----
    Each study's likelihood is integrated over its own value by Gauss-Hermite quadrature around its conditional mode
    (exactly for normal estimates); the mean by the trapezoidal rule around its conditional normal, and the SD between
    studies by Gauss-Legendre on tau/(tau + s).
    """
    rough, error = _rough(kind, events, size)
    # Estimates that happen to be alike must not draw the points together: their errors say what spread could be seen.
    scale = max(float(np.std(rough)), float(np.mean(error)))
    node, node_weight = np.polynomial.legendre.leggauss(_TAU)
    share = (node + 1) / 2
    tau = scale * share / (1 - share)
    jacobian = scale / (1 - share) ** 2 * node_weight / 2
    precision = 1 / (error**2 + tau[:, None] ** 2)
    total, top = precision.sum(axis=1), (precision * rough).sum(axis=1)
    if prior_centre is not None:
        total, top = total + 1 / prior_centre[1] ** 2, top + prior_centre[0] / prior_centre[1] ** 2
    spread = 1 / np.sqrt(total)
    mu = (top / total)[:, None] + spread[:, None] * np.linspace(-_WIDTH, _WIDTH, _MU)
    flat_mu, flat_tau = mu.ravel(), np.repeat(tau, _MU)
    log_marginal, mean, square = _integrate(kind, events, size, rough, error, flat_mu, flat_tau)
    log_weight = log_marginal.sum(axis=1) + log_prior_mu(flat_mu) + log_prior_tau(flat_tau)
    log_weight += np.log(np.repeat(spread * jacobian, _MU))
    weight = np.exp(log_weight - special.logsumexp(log_weight))
    own = weight @ mean
    return StudyLevel(
        flat_mu, flat_tau, weight, share, node_weight / 2, own, np.sqrt(np.maximum(weight @ square - own**2, 0))
    )


def _rough(kind: Kind, events: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each study's estimate and standard error on the link scale, half an event added so that none is infinite."""
    if kind == "normal":
        return events, size
    some = events + 0.5
    if kind == "counts":
        return np.log(some / size), 1 / np.sqrt(some)
    return np.log(some / (size - events + 0.5)), np.sqrt(1 / some + 1 / (size - events + 0.5))


def _integrate(
    kind: Kind,
    events: np.ndarray,
    size: np.ndarray,
    rough: np.ndarray,
    error: np.ndarray,
    mu: np.ndarray,
    tau: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log marginal likelihood of each study, mean and mean square of its value given mu and tau: (points, studies)."""
    m, t = mu[:, None], tau[:, None]
    theta = (rough / error**2 + m / t**2) / (1 / error**2 + 1 / t**2)
    if kind == "normal":
        var = 1 / (1 / error**2 + 1 / t**2)
        whole = error**2 + t**2
        return -0.5 * (rough - m) ** 2 / whole - 0.5 * np.log(whole) - _LOG_ROOT, theta, theta**2 + var
    for _ in range(60):
        expected, information = _expected(kind, theta, size)
        step = (events - expected - (theta - m) / t**2) / (information + 1 / t**2)
        theta = theta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    sd = 1 / np.sqrt(_expected(kind, theta, size)[1] + 1 / t**2)
    node, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    totals: list[Any] = []
    for z, w in zip(node, weight, strict=True):
        value = theta + sd * z
        log = _log_likelihood(kind, value, events, size) - 0.5 * ((value - m) / t) ** 2 - np.log(t) - _LOG_ROOT
        totals.append((log + 0.5 * z * z + np.log(w) + np.log(sd), value))
    logs = np.stack([one for one, _ in totals])
    top = logs.max(axis=0)
    each = np.exp(logs - top)
    whole = each.sum(axis=0)
    values = np.stack([one for _, one in totals])
    return top + np.log(whole), (each * values).sum(axis=0) / whole, (each * values**2).sum(axis=0) / whole


def _expected(kind: Kind, theta: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected events and Fisher information about theta."""
    if kind == "counts":
        rate = size * np.exp(theta)
        return rate, rate
    p = special.expit(theta)
    return size * p, size * p * (1 - p)


def _log_likelihood(kind: Kind, theta: np.ndarray, events: np.ndarray, size: np.ndarray) -> np.ndarray:
    if kind == "counts":
        return np.asarray(events * theta - size * np.exp(np.minimum(theta, 700)))  # beyond, the density is zero anyway
    return np.asarray(events * theta - size * np.logaddexp(0, theta))
