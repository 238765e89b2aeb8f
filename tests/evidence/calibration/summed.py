"""Log-likelihood of a data set given the population alone, each patient's own effects summed out, by NumPy and SciPy.

For what `fit_many` draws: parameters and estimands, no patient's effects. Any function of data and parameters may be ranked, so that a
grid need not be finer than what shall be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy import special

from tests.evidence.calibration.estimands import Values
from tests.evidence.calibration.likelihoods import Rows, beta_binomial, course, deaths, intervals, log_normal
from tests.evidence.calibration.truths import COUNTS, Simulated

_NODES = np.linspace(-5, 5, 51)  # SDs between patients
_LOG_WEIGHT = -0.5 * _NODES**2 - special.logsumexp(-0.5 * _NODES**2)
_ONSETS = (np.arange(8) + 0.5) / 8  # quantiles of the onset within a patient's interval
_LATENT = np.arange(-18, 18.01, 0.03)  # logits at which chances of whole scores are looked up
_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def marginal_log_likelihood(of: Simulated, population: Values) -> np.ndarray:
    """One value a draw; parameters have a leading dim of draws."""
    return _SUMMED[of.model](Rows(of), population)


def kinds(rows: Rows) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
    """Patients seen in the same months of the same arm: treated or not, months, and their rows, (patients, visits)."""
    start = np.flatnonzero(np.diff(rows.subject, prepend=-1))
    assert (np.diff(rows.subject) >= 0).all()
    alike: dict[tuple[float, ...], list[np.ndarray]] = {}
    for own in np.split(np.arange(len(rows.subject)), start[1:]):
        alike.setdefault((float(rows.treated[own[0]]), *rows.month[own]), []).append(own)
    for (treated, *months), own in alike.items():
        yield bool(treated), np.array(months), np.stack(own)


def jointly_normal(off: np.ndarray, basis: np.ndarray, spread: np.ndarray, sd_residual: np.ndarray) -> np.ndarray:
    """Of scores that lie `off` (draws, ..., visits) their means: lines of normal level and slope, and noise; (draws, ...).

    `basis` (draws, visits, 2) is what each of the two adds to each score, `spread` (draws, 2, 2) their covariance.
    """
    n = off.shape[-1]
    covariance = basis @ spread @ basis.swapaxes(1, 2) + sd_residual[:, None, None] ** 2 * np.eye(n)
    root = np.linalg.cholesky(covariance)
    z = np.linalg.solve(root, off.reshape(len(off), -1, n).swapaxes(1, 2))
    size = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return np.asarray((-0.5 * (z**2).sum(axis=1) - size[:, None] - n * _HALF_LOG_2PI).reshape(off.shape[:-1]))


def _line(months: np.ndarray, draws: int) -> np.ndarray:
    return np.broadcast_to(np.stack([np.ones(len(months)), months], axis=1), (draws, len(months), 2))


def _spread(sd_level: np.ndarray, sd_slope: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    both = correlation * sd_level * sd_slope
    return np.stack([np.stack([sd_level**2, both], axis=-1), np.stack([both, sd_slope**2], axis=-1)], axis=-2)


def _slope(rows: Rows, p: Values) -> np.ndarray:
    score, spread, total = rows["alsfrsr"], _spread(p["sd_level"], p["sd_slope"], p["correlation"]), np.zeros(len(p["sd_level"]))  # fmt: skip
    for treated, months, own in kinds(rows):
        level = p["mean_level"] + (p["level_difference"][:, 0] * treated if "level_difference" in p else 0.0)
        slope = p["mean_slope"] + p["slope_effect"][:, 0] * treated
        off = score[own] - (level[:, None] + slope[:, None] * months)[:, None]
        total += jointly_normal(off, _line(months, len(total)), spread, p["sd_residual"]).sum(axis=1)
    return total


def _shared(rows: Rows, p: Values) -> np.ndarray:
    score, total = rows["alsfrsr"], deaths(rows, p)
    for treated, months, own in kinds(rows):
        ratio = p["rate_ratio"][:, 0] if treated else np.ones(len(total))
        basis = _line(months, len(total)) * np.stack([np.ones(len(total)), -ratio], axis=1)[:, None]
        spread = _spread(p["sd_level"], p["sd_rate"][:, int(treated)], np.zeros(len(total)))
        mean = p["mean_level"][:, None] + p["mean_rate"][:, None] * basis[..., 1]
        total = total + jointly_normal(score[own] - mean[:, None], basis, spread, p["sd_residual"]).sum(axis=1)
    return np.asarray(total)


def _antibody(rows: Rows, p: Values) -> np.ndarray:
    """An onset between two tests lies at one of a few quantiles of its distribution there; one that was not seen, after the last visit."""
    score, total = rows["alsfrsr"], intervals(rows, p)
    start, end = rows["onset_lower"], rows["onset_upper"]
    spread = _spread(p["sd_level"], p["sd_slope"], p["correlation"])
    before, after = p["effect_before"][:, :1, None, None], p["effect_after"][:, :1, None, None]
    median, shape = p["median_onset"][:, None, None], p["onset_shape"][:, None, None]
    for treated, months, own in kinds(rows):
        mean = p["mean_level"][:, None] + p["mean_slope"][:, None] * months
        off = (score[own] - mean[:, None])[:, :, None]  # draws, patients, onsets, visits
        if treated:
            low, high = start[own[:, 0], None], end[own[:, 0], None]
            free = [0.5 ** ((month / median) ** shape) for month in (low, high)]  # of antibodies, among converts
            left = np.maximum(free[0] + (free[1] - free[0]) * _ONSETS, 1e-300)
            onset = np.clip(median * (-np.log2(left)) ** (1 / shape), low, high)
            onset = np.where(np.isfinite(high), onset, np.inf)[..., None]
            off = off - before * np.minimum(months, onset) - after * np.maximum(months - onset, 0)
        found = jointly_normal(off, _line(months, len(total)), spread, p["sd_residual"])
        total = total + (special.logsumexp(found, axis=2) - np.log(found.shape[2])).sum(axis=1)
    return np.asarray(total)


def _bounded(rows: Rows, p: Values) -> np.ndarray:
    """A grid over level and slope for each draw; chances of whole scores by table, since rows differ only in score, month and arm."""
    draws = len(p["mean_level"])
    score, both, total = rows["alsfrsr"].astype(int), _LOG_WEIGHT[:, None] + _LOG_WEIGHT, np.zeros(draws)
    seen, place = np.unique(score, return_inverse=True)
    for d in range(draws):
        chance = beta_binomial(seen[:, None], 48, special.expit(_LATENT), p["overdispersion"][d])
        level = p["mean_level"][d] + p["sd_level"][d] * _NODES[:, None]
        turned = p["correlation"][d] * _NODES[:, None] + np.sqrt(1 - p["correlation"][d] ** 2) * _NODES
        for treated, months, own in kinds(rows):
            slope = p["mean_slope"][d] + p["slope_effect"][d, 0] * treated + p["sd_slope"][d] * turned
            latent = np.clip(level + slope * months[:, None, None], _LATENT[0], _LATENT[-1])
            at = np.rint((latent - _LATENT[0]) / (_LATENT[1] - _LATENT[0])).astype(int)
            by_patient = sum(chance[:, at[v]][place[own[:, v]]] for v in range(len(months)))
            total[d] += special.logsumexp(both + by_patient, axis=(1, 2)).sum()
    return total


def _by_patient(rows: Rows, by_row: np.ndarray) -> np.ndarray:
    """Sum over the nodes of a level, (draws, nodes, rows), then over patients."""
    start = np.flatnonzero(np.diff(rows.subject, prepend=-1))
    assert (np.diff(rows.subject) >= 0).all()
    own = np.add.reduceat(by_row, start, axis=2) + _LOG_WEIGHT[:, None]
    return np.asarray(special.logsumexp(own, axis=1).sum(axis=1))


def _crp(rows: Rows, p: Values) -> np.ndarray:
    level = p["mean_level"][:, None] + p["sd_patient"][:, None] * _NODES
    below = rows["crp_mg_dl_censored"].astype(bool)
    location = level[..., None] + course(rows, p)[:, None]
    return _by_patient(rows, log_normal(rows["crp_mg_dl"], below, location, p["sd_residual"][:, None, None]))


def _joints(rows: Rows, p: Values) -> np.ndarray:
    moved, total = course(rows, p), np.zeros(len(p["mean_level"]))
    for k, name in enumerate(COUNTS):
        # Rows that are alike in visit, arm and count have one density.
        kind, place = np.unique(np.stack([rows.visit, rows.treated, rows[name]]), axis=1, return_inverse=True)
        first = np.array([np.flatnonzero(place == i)[0] for i in range(kind.shape[1])])
        level = p["mean_level"][:, k, None] + p["sd_patient"][:, k, None] * _NODES
        logit = level[..., None] + moved[:, None, first, k]
        own = beta_binomial(kind[2], 28, special.expit(logit), p["overdispersion"][:, k, None, None])
        total += _by_patient(rows, own[..., place])
    return total


_SUMMED: Mapping[str, Callable[[Rows, Values], np.ndarray]] = {
    "als_slope": _slope, "als_shared": _shared, "als_bounded": _bounded, "als_antibody": _antibody, "sle_crp": _crp, "sle_joints": _joints,
}  # fmt: skip
