"""Win probability of two samples, with what belongs to it: net benefit, win odds, win ratio, and a test of no difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from progression.pairs import Counts


@dataclass(frozen=True)
class WinStatistics:
    """Patients of one arm against those of another.

    Attributes
    ----------
    wins, losses, ties : int
        Numbers of pairs, as seen from the first arm.
    wins_by_death, losses_by_death : int
        Those of them that deaths decided.
    probability, se, lower, upper : float
        P(win) + P(tie)/2, its standard error and interval.
    ratio, ratio_se_log, ratio_lower, ratio_upper : float
        Wins divided by losses, the standard error of its logarithm, its interval; not a number where either is zero.
    z, p : float
        Of the test that the arms do not differ; positive where the first did better.
    """

    wins: int
    losses: int
    ties: int
    wins_by_death: int
    losses_by_death: int
    probability: float
    se: float
    lower: float
    upper: float
    ratio: float
    ratio_se_log: float
    ratio_lower: float
    ratio_upper: float
    z: float
    p: float

    @property
    def net_benefit(self) -> tuple[float, float, float]:
        """P(win) - P(loss) with its interval (Buyse 2010, Statistics in Medicine 29:3245)."""
        return 2 * self.probability - 1, 2 * self.lower - 1, 2 * self.upper - 1

    @property
    def odds(self) -> tuple[float, float, float]:
        """Win odds with their interval (Brunner, Vandemeulebroecke and Muetze 2021, Statistics in Medicine 40:3367)."""
        mid, low, high = (p / (1 - p) if p < 1 else np.inf for p in (self.probability, self.lower, self.upper))
        return mid, low, high


def win_statistics(counts: Counts, group: np.ndarray, first: int, second: int, *, ci_prob: float) -> WinStatistics:
    """Compare the patients of group `first` with those of group `second`.

    Parameters
    ----------
    counts : Counts
    group : array of int, shape (patients,)
    first, second : int
    ci_prob : float

    Returns
    -------
    WinStatistics

    Notes
    -----
    Standard errors: the projection of a two-sample U statistic (Sen 1960, Calcutta Statistical Association Bulletin
    10:1; DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837), which needs no transitive order and no normal
    data; for plain scores it is that of Brunner and Munzel (2000), Biometrical Journal 42:17, whose degrees of freedom are
    used. For the logarithm of the win ratio by the delta method, covariance of wins and losses included (Bebu and
    Lachin 2016, Biostatistics 17:178).

    Interval: Wilson's, for as many independent comparisons as have that standard error. It stays within 0 and 1, and
    where no variance can be seen (complete separation) the largest there can be stands in, theta (1 - theta) / min(n)
    (Birnbaum and Klose 1957, Annals of Mathematical Statistics 28:933).

    Test: permutation variance of the sum of wins minus losses, each patient compared with those of both arms
    (Finkelstein and Schoenfeld 1999, Statistics in Medicine 18:1341).
    """
    one, other = np.flatnonzero(group == first), np.flatnonzero(group == second)
    m, n = len(one), len(other)
    won, lost = counts.wins[one, second], counts.losses[one, second]
    lost_back, won_back = counts.wins[other, first], counts.losses[other, first]  # as seen from `first`
    wins, losses = int(won.sum()), int(lost.sum())
    probability = 0.5 + 0.5 * (wins - losses) / (m * n)
    variances = _parts(0.5 * (won - lost) / n, 0.5 * (won_back - lost_back) / m)
    variance = sum(variances)
    freedom = _freedom(variances, m, n)
    quantile = float(stats.t.ppf(0.5 + ci_prob / 2, freedom))
    lower, upper = _wilson(probability, variance, quantile, min(m, n))
    ratio, se_log, low, high = (np.nan,) * 4
    if wins and losses:
        ratio = wins / losses
        se_log = float(
            np.sqrt(sum(_parts(m * won / wins - m * lost / losses, n * won_back / wins - n * lost_back / losses)))
        )
        low, high = ratio * np.exp(-quantile * se_log), ratio * np.exp(quantile * se_log)
    z, p = _no_difference(counts, one, other, first, second)
    return WinStatistics(
        wins=wins, losses=losses, ties=m * n - wins - losses,
        wins_by_death=int(counts.wins_by_death[one, second].sum()),
        losses_by_death=int(counts.losses_by_death[one, second].sum()),
        probability=probability, se=float(np.sqrt(variance)), lower=lower, upper=upper,
        ratio=ratio, ratio_se_log=se_log, ratio_lower=float(low), ratio_upper=float(high), z=z, p=p,
    )  # fmt: skip


def _parts(rows: np.ndarray, columns: np.ndarray) -> tuple[float, float]:
    """Variance of each sample's mean; not a number for a single patient, of whom no spread is known."""
    return tuple(float(each.var(ddof=1)) / len(each) if len(each) > 1 else np.nan for each in (rows, columns))  # type: ignore[return-value]


def _freedom(variances: tuple[float, float], m: int, n: int) -> float:
    """Degrees of freedom after Satterthwaite."""
    first, second = variances
    if not first + second > 0:
        return max(min(m, n) - 1, 1)
    return (first + second) ** 2 / (first**2 / (m - 1) + second**2 / (n - 1))


def _wilson(probability: float, variance: float, quantile: float, least: int) -> tuple[float, float]:
    """Interval from the score test of a share of as many trials as would have this variance."""
    spread = probability * (1 - probability)
    size = max(spread / variance, least) if variance > 1e-12 and spread > 0 else least
    centre = probability + quantile**2 / (2 * size)
    half = quantile * np.sqrt(spread / size + quantile**2 / (4 * size**2))
    low, high = ((centre + sign * half) / (1 + quantile**2 / size) for sign in (-1, 1))
    return float(np.clip(low, 0, probability)), float(np.clip(high, probability, 1))  # beyond it by rounding alone


def _no_difference(counts: Counts, one: np.ndarray, other: np.ndarray, first: int, second: int) -> tuple[float, float]:
    """Standardised sum of the scores of `one` among the patients of both arms, and its two-sided p."""
    both = [first, second]
    score = (counts.wins[:, both] - counts.losses[:, both]).sum(axis=1).astype(float)
    m, n = len(one), len(other)
    squares = float((score[one] ** 2).sum() + (score[other] ** 2).sum())
    if squares == 0 or m + n < 2:
        return 0.0, 1.0
    z = float(score[one].sum() / np.sqrt(m * n / ((m + n) * (m + n - 1)) * squares))
    return z, float(2 * stats.norm.sf(abs(z)))
