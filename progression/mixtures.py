"""Mixtures of Beta, Normal or Gamma distributions: a prior from studies in a form that data can update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import optimize, special, stats

from progression.faults import SettingError, is_number, setting_fault

Family = Literal["beta", "normal", "gamma"]
_NAMES = {"beta": ("a", "b"), "normal": ("mean", "sd"), "gamma": ("shape", "rate")}
_ROUNDS = 2000


@dataclass(frozen=True, eq=False, repr=False)
class Mixture:
    """A weighted sum of distributions of one family, heaviest first.

    Attributes
    ----------
    family : {"beta", "normal", "gamma"}
        Of a probability, of a number, of a rate.
    weights : array, shape (components,)
        Add up to one.
    first, second : array, shape (components,)
        Beta a and b; Normal mean and SD; Gamma shape and rate.
    """

    family: Family
    weights: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def __post_init__(self) -> None:
        w, a, b = (np.atleast_1d(np.asarray(one, float)) for one in (self.weights, self.first, self.second))
        bad = not (w.shape == a.shape == b.shape and w.ndim == 1 and np.isfinite([w, a, b]).all())
        if self.family not in _NAMES or bad or (w < 0).any() or abs(w.sum() - 1) > 1e-6 or (b <= 0).any():
            raise SettingError([setting_fault("mixture", repr(self), "is not a mixture",
                                              "give a family, weights that add up to 1, and their two parameters")])  # fmt: skip
        for name, value in (("weights", w / w.sum()), ("first", a), ("second", b)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def _parts(self) -> Any:
        if self.family == "beta":
            return stats.beta(self.first, self.second)
        if self.family == "normal":
            return stats.norm(self.first, self.second)
        return stats.gamma(self.first, scale=1 / self.second)

    def log_density(self, x: Any) -> np.ndarray:
        """Log density at `x`, shape of `x`."""
        own = _log_each(self.family, np.asarray(x, float)[..., None], self.first, self.second)
        return np.asarray(special.logsumexp(own + np.log(np.maximum(self.weights, 1e-300)), axis=-1))

    def cdf(self, x: Any) -> np.ndarray:
        """Probability of a value up to `x`, shape of `x`."""
        return np.asarray(self._parts().cdf(np.asarray(x, float)[..., None]) @ self.weights)

    @property
    def mean(self) -> float:
        """Mean."""
        return float(self._parts().mean() @ self.weights)

    @property
    def sd(self) -> float:
        """Standard deviation."""
        own = self._parts()
        return float(np.sqrt((own.var() + own.mean() ** 2) @ self.weights - self.mean**2))

    def quantile(self, probability: float) -> float:
        """The value below which a given probability lies."""
        own = self._parts().ppf(probability)
        low, high = float(own.min()), float(own.max())
        if high - low < 1e-12:
            return low
        return float(optimize.brentq(lambda x: float(self.cdf(x)) - probability, low - 1e-9, high + 1e-9, xtol=1e-12))

    def draws(self, n: int, *, random_seed: int) -> np.ndarray:
        """Independent draws, shape (n,)."""
        rng = np.random.default_rng(random_seed)
        which = rng.choice(len(self.weights), size=n, p=self.weights)
        a, b = self.first[which], self.second[which]
        if self.family == "beta":
            return rng.beta(a, b)
        return rng.normal(a, b) if self.family == "normal" else rng.gamma(a, 1 / b)

    def information(self, x: Any) -> np.ndarray:
        """Minus the second derivative of the log density at `x`, from derivatives of each component."""
        x = np.asarray(x, float)[..., None]
        a, b = self.first, self.second
        if self.family == "beta":
            slope, bend = (a - 1) / x - (b - 1) / (1 - x), -(a - 1) / x**2 - (b - 1) / (1 - x) ** 2
        elif self.family == "normal":
            slope, bend = -(x - a) / b**2, np.broadcast_to(-1 / b**2, x.shape[:-1] + a.shape)
        else:
            slope, bend = (a - 1) / x - b, -(a - 1) / x**2
        share = _log_each(self.family, x, a, b) + np.log(np.maximum(self.weights, 1e-300))
        share = np.exp(share - special.logsumexp(share, axis=-1, keepdims=True))
        first = (share * slope).sum(-1)
        return np.asarray(first**2 - (share * (bend + slope**2)).sum(-1))

    def robust(self, weight: float, *, mean: float | None = None, sd: float | None = None) -> Mixture:
        """The same with a vague component of a given weight, for data that may contradict the studies.

        Parameters
        ----------
        weight : float
            Of the vague component, between 0 and 1.
        mean : float, optional
            Of the vague component: this mixture's own unless given (one half for a probability).
        sd : float, optional
            Of a vague Normal: needed for that family. A vague Beta is worth two patients, a vague Gamma one event.

        Notes
        -----
        Schmidli et al. (2014), Biometrics 70:1023.
        """
        if not is_number(weight) or not 0 <= weight < 1:
            raise SettingError([setting_fault("weight", weight, "is not a share", "give a number from 0 to below 1")])
        if self.family == "normal":
            if sd is None or not is_number(sd) or sd <= 0:
                raise SettingError(
                    [setting_fault("sd", sd, "is needed for a vague Normal", "give the SD of one patient")]
                )
            a, b = self.mean if mean is None else mean, sd
        elif self.family == "beta":
            centre = 0.5 if mean is None else mean
            if not 0 < centre < 1:
                raise SettingError([setting_fault("mean", mean, "is not a probability", "give one between 0 and 1")])
            a, b = 2 * centre, 2 * (1 - centre)
        else:
            a, b = 1.0, 1 / (self.mean if mean is None else mean)
        return Mixture(
            self.family, np.r_[self.weights * (1 - weight), weight], np.r_[self.first, a], np.r_[self.second, b]
        )

    def updated(
        self, *, n: float, events: float | None = None, mean: float | None = None, sd: float | None = None
    ) -> Mixture:
        """The posterior after data: exact, since each family is conjugate to its likelihood.

        Parameters
        ----------
        n : float
            Patients; for a rate the exposure.
        events : float
            Responders among `n`, or events in the exposure `n`.
        mean, sd : float
            Of the patients, for a Normal; `sd` is taken as known.
        """
        a, b = self.first, self.second
        if self.family == "beta" and events is not None and 0 <= events <= n:
            new_a, new_b = a + events, b + n - events
            weight = special.betaln(new_a, new_b) - special.betaln(a, b)
        elif self.family == "gamma" and events is not None and events >= 0 and n > 0:
            new_a, new_b = a + events, b + n
            weight = special.gammaln(new_a) - special.gammaln(a) + a * np.log(b) - new_a * np.log(new_b)
        elif self.family == "normal" and mean is not None and sd is not None and sd > 0 and n > 0:
            error = sd**2 / n
            new_b = 1 / np.sqrt(1 / b**2 + 1 / error)
            new_a = new_b**2 * (a / b**2 + mean / error)
            weight = stats.norm.logpdf(mean, a, np.sqrt(b**2 + error))
        else:
            wanted = {
                "beta": "n and events from 0 to n",
                "gamma": "n (exposure) and events",
                "normal": "n, mean and sd",
            }
            raise SettingError([setting_fault("data", (n, events, mean, sd), f"do not suit a {self.family} mixture",
                                              f"give {wanted[self.family]}")])  # fmt: skip
        weight = np.log(np.maximum(self.weights, 1e-300)) + weight
        return Mixture(self.family, np.exp(weight - special.logsumexp(weight)), new_a, new_b)

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name` in the PyMC model in context: a mixture is a prior like any other."""
        import pymc as pm

        make = {"beta": pm.Beta.dist, "normal": pm.Normal.dist, "gamma": pm.Gamma.dist}[self.family]
        if len(self.weights) == 1:
            own = {"beta": pm.Beta, "normal": pm.Normal, "gamma": pm.Gamma}[self.family]
            return own(name, float(self.first[0]), float(self.second[0]), **kwargs)
        return pm.Mixture(name, w=self.weights, comp_dists=make(self.first, self.second), **kwargs)

    def __repr__(self) -> str:
        one, two = _NAMES.get(self.family, ("first", "second"))
        parts = zip(np.atleast_1d(self.weights), np.atleast_1d(self.first), np.atleast_1d(self.second), strict=False)
        return " + ".join(f"{w:.3g} {self.family.capitalize()}({one}={a:.3g}, {two}={b:.3g})" for w, a, b in parts)


def fit_mixture(x: np.ndarray, weight: np.ndarray, family: Family, components: int) -> tuple[Mixture, float]:
    """The mixture nearest to a density that is known at points: maximum likelihood by EM, without any randomness.

    Parameters
    ----------
    x, weight : array, shape (points,)
        Points inside the family's range, and the probability that each stands for.
    family : {"beta", "normal", "gamma"}
    components : int

    Returns
    -------
    mixture : Mixture
    log_score : float
        Mean log density of the mixture under the given one; the negative entropy of that, minus the Kullback-Leibler
        divergence.
    """
    weight = weight / weight.sum()
    order = np.argsort(x)
    x, weight = x[order], weight[order]
    # Start from slices of equal probability, and from slices by distance: the better end is taken.
    share = np.minimum((np.cumsum(weight) - weight / 2) * components, components - 1e-9).astype(int)
    mean = weight @ x
    sd = np.sqrt(weight @ (x - mean) ** 2)
    rings = np.minimum((np.abs(x - mean) / sd).astype(int), components - 1)
    best: tuple[Mixture, float] | None = None
    for start in (share, rings):
        member = 0.9 * (start[None] == np.arange(components)[:, None]) + 0.1 / components
        last = -np.inf
        for _ in range(_ROUNDS):
            own = member * weight
            total = own.sum(axis=1)
            first, second = _best(x, own / total[:, None], family)
            weights = total / total.sum()
            each = _log_each(family, x, first[:, None], second[:, None]) + np.log(weights)[:, None]
            whole = special.logsumexp(each, axis=0)
            member = np.exp(each - whole)
            score = float(weight @ whole)
            if score - last < 1e-10:
                break
            last = score
        if best is None or score > best[1]:
            order = np.argsort(-weights)
            best = Mixture(family, weights[order], first[order], second[order]), score
    assert best is not None
    return best


def _log_each(family: Family, x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Log density of each component, by broadcasting; scipy's distributions take ten times as long to set up."""
    if family == "beta":
        return np.asarray(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))
    if family == "normal":
        return -0.5 * ((x - a) / b) ** 2 - np.log(b) - 0.5 * np.log(2 * np.pi)
    return np.asarray(special.xlogy(a - 1, x) - b * x + a * np.log(b) - special.gammaln(a))


def _best(x: np.ndarray, weight: np.ndarray, family: Family) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood of each component from weighted points, (components, points)."""
    mean = weight @ x
    var = np.maximum(np.einsum("kp,kp->k", weight, (x - mean[:, None]) ** 2), 1e-12)
    if family == "normal":
        return mean, np.sqrt(var)
    if family == "gamma":
        gap = np.maximum(np.log(mean) - weight @ np.log(x), 1e-9)
        shape = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
        for _ in range(30):
            shape /= 1 + (np.log(shape) - special.digamma(shape) - gap) / (1 - shape * special.polygamma(1, shape))
        return shape, shape / mean
    logs, other = weight @ np.log(x), weight @ np.log1p(-x)
    size = np.maximum(mean * (1 - mean) / var - 1, 1e-3)
    a, b = mean * size, (1 - mean) * size
    for _ in range(50):
        both = special.digamma(a + b)
        f, g = special.digamma(a) - both - logs, special.digamma(b) - both - other
        p, q, r = special.polygamma(1, a), special.polygamma(1, b), special.polygamma(1, a + b)
        det = p * q - r * (p + q)
        step_a, step_b = ((q - r) * f + r * g) / det, (r * f + (p - r) * g) / det
        a, b = np.where(a > step_a, a - step_a, a / 2), np.where(b > step_b, b - step_b, b / 2)
        if max(np.abs(step_a / a).max(), np.abs(step_b / b).max()) < 1e-12:
            break
    return a, b
