"""Ranks of truths among posterior draws: are they uniform, what would be seen if not, and do intervals cover?

Chi-square of binned ranks, and the largest departure of their ECDF from the diagonal with a simultaneous band (Saeilynoja, Buerkner and
Vehtari 2022, Statistics and Computing 32:32), whose probability is summed exactly here instead of simulated. Shifts and wrong SDs are
translated into the distribution of ranks by quadrature over a normal posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

DRAWS, BINS = 99, 20  # 100 possible ranks, five a bin
LEVELS = (0.5, 0.9, 0.95)
FEWEST = 1e-4  # no p-value may lie below
ALPHA, POWER = 0.01, 0.8  # at which the smallest detectable faults of one quantity are stated, beside those at `FEWEST`
UNIFORM = np.full(DRAWS + 1, 1 / (DRAWS + 1))
COVERAGE_ERRORS = 2.6  # Monte Carlo standard errors


def rank(draws: np.ndarray, truth: float, rng: np.random.Generator) -> int:
    """How many draws lie below the truth; of those equal to it a number drawn at random counts as below."""
    if not (np.isfinite(draws).all() and np.isfinite(truth)):
        raise ValueError(f"no ranks among what is no number: the truth {truth}, draws {draws}")
    return int(np.sum(draws < truth) + rng.integers(np.sum(draws == truth) + 1))


def counts(ranks: Sequence[int]) -> np.ndarray:
    """How often each of the `DRAWS` + 1 ranks came."""
    return np.bincount(np.asarray(ranks, int), minlength=DRAWS + 1)


def chi_square(count: np.ndarray) -> float:
    """P-value of the counts of ranks, put into `BINS` bins of equal size."""
    return float(stats.chisquare(count.reshape(BINS, -1).sum(axis=1)).pvalue)


@lru_cache(maxsize=8)
def _pointwise(n: int, k: int) -> np.ndarray:
    """Two-sided p-values, (k - 1, n + 1): of `x` of `n` ranks among the first 1, ..., k - 1 of k."""
    x, share = np.arange(n + 1), np.arange(1, k)[:, None] / k
    return 2 * np.minimum(stats.binom.cdf(x, n, share), stats.binom.sf(x - 1, n, share))


def leaves(n: int, gamma: float, probability: np.ndarray = UNIFORM) -> float:
    """Chance that the ECDF of `n` ranks of that distribution has a pointwise p-value of at most `gamma` anywhere.

    Counts are a Markov chain along the ranks: of those not yet passed a binomial number falls on the next.
    """
    k = len(probability)
    inside = _pointwise(n, k) > gamma * (1 + 1e-9)
    factorial = special.gammaln(np.arange(n + 2) + 1.0)
    remaining = np.cumsum(probability[::-1])[::-1]
    at, mass = np.array([0]), np.array([1.0])
    for i in range(k - 1):
        to, q = np.flatnonzero(inside[i]), np.clip(probability[i] / remaining[i], 1e-300, 1 - 1e-12)
        left, new = n - at[:, None], to - at[:, None]
        possible = (new >= 0) & (new <= left)
        new = np.where(possible, new, 0)
        log = factorial[left] - factorial[new] - factorial[left - new] + new * np.log(q) + (left - new) * np.log1p(-q)
        step = np.exp(np.where(possible & (log > -60), log, -np.inf))  # numbers near the smallest there are take ages
        at, mass = to, mass @ step
        mass[mass < 1e-30] = 0
    return float(np.clip(1 - mass.sum(), 0.0, 1.0))


def ecdf(count: np.ndarray) -> float:
    """P-value of the greatest departure of the ECDF from the diagonal, over all ranks at once."""
    n, below = int(count.sum()), np.cumsum(count)[:-1]
    return leaves(n, float(_pointwise(n, len(count))[np.arange(len(below)), below].min()))


@lru_cache(maxsize=16)
def pointwise_level(n: int, alpha: float) -> float:
    """The pointwise level at which `n` uniform ranks leave their band anywhere with probability `alpha`."""
    k = DRAWS + 1
    return float(np.exp(optimize.brentq(lambda x: leaves(n, np.exp(x)) - alpha, np.log(alpha / k), np.log(alpha), xtol=0.01)))  # fmt: skip


def band(n: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end, as shares and by rank, of where the ECDF stays with probability 1 - `alpha`."""
    inside = _pointwise(n, DRAWS + 1) > pointwise_level(n, alpha)
    return inside.argmax(axis=1) / n, (n - inside[:, ::-1].argmax(axis=1)) / n


def departing(shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Probability of each rank where posteriors are normal, off by `shift` of their true SDs, their SDs `scale` times the true ones."""
    z, k = np.linspace(-8, 8, 2001), np.arange(DRAWS + 1)[:, None]  # the truth, about its posterior mean
    share = np.clip(stats.norm.cdf((z - shift) / scale), 1e-300, 1 - 1e-16)
    ways = special.gammaln(DRAWS + 1) - special.gammaln(k + 1) - special.gammaln(DRAWS - k + 1)
    own = np.exp(ways + k * np.log(share) + (DRAWS - k) * np.log1p(-share)) @ stats.norm.pdf(z)
    return np.asarray(own / own.sum())


def power(n: int, probability: np.ndarray, alpha: float = ALPHA) -> tuple[float, float]:
    """Chance that chi-square, and that the ECDF, of `n` ranks of that distribution is significant."""
    share = probability.reshape(BINS, -1).sum(axis=1)
    noncentral = n * float(np.sum((share - 1 / BINS) ** 2) * BINS)
    by_bins = stats.ncx2.sf(stats.chi2.isf(alpha, BINS - 1), BINS - 1, max(noncentral, 1e-12))
    return float(by_bins), leaves(n, pointwise_level(n, alpha), probability)


@lru_cache(maxsize=32)
def detectable(n: int, alpha: float = ALPHA) -> dict[str, float | None]:
    """The smallest faults of a normal posterior that either test finds in `n` sets with a chance of 80 % at `alpha`; None: none.

    A shift of its mean in posterior SDs; its SD as a multiple of the true one.
    """

    def smallest(fault: Callable[[float], np.ndarray], none: float, most: float) -> float | None:
        missed = lambda x: max(power(n, fault(x), alpha)) - POWER  # noqa: E731
        return round(float(optimize.brentq(missed, none, most, xtol=2e-3)), 2) if missed(most) > 0 else None

    return {
        "shift": smallest(lambda x: departing(shift=x), 0.01, 2.0),
        "sd_too_small": smallest(lambda x: departing(scale=x), 0.99, 0.2),
        "sd_too_large": smallest(lambda x: departing(scale=x), 1.01, 5.0),
    }


def most(n: int) -> int:
    """The upper end of the 95 % band of the number of p-values below 0.05 among `n` independent ones."""
    return int(stats.binom.ppf(0.975, n, 0.05))


def few_enough(p_values: Sequence[float]) -> bool:
    """Whether the number of p-values below 0.05 is not above the 95 % band of as many independent ones, and none below `FEWEST`.

    Quantities of the same sets depend on each other: a calibrated model exceeds the band more often than one time in forty. Too few are no
    fault.
    """
    p = np.asarray(p_values)
    return bool(np.sum(p < 0.05) <= most(len(p)) and np.all(p >= FEWEST))


def covers(hits: int, n: int, level: float) -> bool:
    """Whether a number of intervals that hold the truth is within 2.6 Monte Carlo standard errors of what was promised."""
    return bool(abs(hits / n - level) <= COVERAGE_ERRORS * np.sqrt(level * (1 - level) / n))


def coverage_p(hits: int, n: int, level: float) -> float:
    """Exact two-sided p-value of such a number: of many intervals some are beyond 2.6 errors by chance alone."""
    return float(stats.binomtest(hits, n, level).pvalue)
