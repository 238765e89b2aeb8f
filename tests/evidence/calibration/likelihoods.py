"""Log-likelihood of all rows of a data set given its patients' own effects and the population, by NumPy and SciPy alone.

At the truth and at draws of a posterior alike: parameters have a leading dim of draws. It is the quantity by which calibration can see
that a likelihood is wrong or missing, which no parameter alone can show (Modrak et al. 2023, Bayesian Analysis 18:1). `summed` has the
same with patients' effects summed out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from tests import simulators
from tests.evidence.calibration.estimands import Values, converted, cutpoints
from tests.evidence.calibration.truths import COUNTS, FLOOR, LIMIT, Simulated

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


class Rows:
    """A table of visits as arrays: whose row it is, when, whether treated, and what was measured."""

    def __init__(self, of: Simulated) -> None:
        table, months = of.visits, np.asarray(of.design.months, float)
        self.subject = table["subject"].str.removeprefix("p").to_numpy(int)
        self.month = table["time"].to_numpy(float)
        self.visit = np.abs(self.month[:, None] - months).argmin(axis=1)
        arm = table["arm"] if of.subjects is None else of.subjects["arm"].iloc[self.subject]
        self.treated = (arm == "treated").to_numpy() & ("control" in of.design.arms)
        self.table, self.subjects = table, of.subjects

    def __getitem__(self, name: str) -> np.ndarray:
        return self.table[name].to_numpy(float)


def log_likelihood(of: Simulated, population: Values, patients: Values) -> np.ndarray:
    """One value a draw.

    Parameters
    ----------
    population, patients : mapping of str to array
        Leading dim draws; of patients then one entry a patient.
    """
    return _LIKELIHOODS[of.model](Rows(of), population, patients)


def normal(value: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    return -0.5 * ((value - mean) / sd) ** 2 - np.log(sd) - _HALF_LOG_2PI


def beta_binomial(count: np.ndarray, n: int, share: np.ndarray, rho: np.ndarray) -> np.ndarray:
    c = (1 - rho) / (rho + FLOOR)
    choose = special.gammaln(n + 1) - special.gammaln(count + 1) - special.gammaln(n - count + 1)
    return choose + special.betaln(count + share * c, n - count + (1 - share) * c) - special.betaln(share * c, (1 - share) * c)  # fmt: skip


def log_normal(value: np.ndarray, below: np.ndarray, location: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Of positive values; of those below the limit the probability to lie there."""
    seen = normal(np.log(value), location, sd) - np.log(value)
    return np.where(below, special.log_ndtr((np.log(LIMIT) - location) / sd), seen)


def _line(rows: Rows, own: Values) -> np.ndarray:
    return own["level"][:, rows.subject] + own["slope"][:, rows.subject] * rows.month


def _slope(rows: Rows, p: Values, own: Values) -> np.ndarray:
    return normal(rows["alsfrsr"], _line(rows, own), p["sd_residual"][:, None]).sum(axis=1)


def _shared(rows: Rows, p: Values, own: Values) -> np.ndarray:
    ratio = np.where(rows.treated, p["rate_ratio"], 1.0)
    expected = own["level"][:, rows.subject] - ratio * own["rate"][:, rows.subject] * rows.month
    return normal(rows["alsfrsr"], expected, p["sd_residual"][:, None]).sum(axis=1) + deaths(rows, p)


def deaths(rows: Rows, p: Values) -> np.ndarray:
    """Of the times to death, known or censored."""
    assert rows.subjects is not None
    died = rows.subjects["event"].notna().to_numpy()
    time = rows.subjects["event_time"].where(died, rows.subjects["end_of_follow_up"]).to_numpy(float)
    hazard = p["hazard"][:, None] * np.where(rows.subjects["arm"] == "treated", p["rate_ratio"], 1.0)
    return np.asarray((died * np.log(hazard) - hazard * time).sum(axis=1))


def _bounded(rows: Rows, p: Values, own: Values) -> np.ndarray:
    share = special.expit(_line(rows, own))
    return beta_binomial(rows["alsfrsr"], 48, share, p["overdispersion"][:, None]).sum(axis=1)


def _items(rows: Rows, p: Values, own: Values) -> np.ndarray:
    """P(item = k) = F(latent - c_k) - F(latent - c_k+1), F logistic, the outer cutpoints infinite."""
    steps = cutpoints(p)
    edge = np.full((*steps.shape[:2], 1), np.inf)
    steps, latent, total = np.concatenate([-edge, steps, edge], axis=-1), _line(rows, own), np.zeros(len(steps))
    for k, name in enumerate(simulators.ITEMS):
        value = rows[name].astype(int)
        above, below = latent - steps[:, k, value], latent - steps[:, k, value + 1]
        width = np.where(np.isfinite(above) & np.isfinite(below), above - below, np.inf)
        total += (special.log_expit(above) + special.log_expit(-below) + np.log(-np.expm1(-width))).sum(axis=1)
    return total


def _antibody(rows: Rows, p: Values, own: Values) -> np.ndarray:
    onset = own["onset"][:, rows.subject]
    gained = p["effect_before"] * np.minimum(rows.month, onset) + p["effect_after"] * np.maximum(rows.month - onset, 0)
    scores = normal(rows["alsfrsr"], _line(rows, own) + rows.treated * gained, p["sd_residual"][:, None])
    return scores.sum(axis=1) + intervals(rows, p)


def intervals(rows: Rows, p: Values) -> np.ndarray:
    """Of the onset of antibodies: between two tests, or after the last."""
    tested = rows.table.groupby("subject", sort=False)[["onset_lower", "onset_upper"]].first().dropna()
    curve = [p[name][:, None] for name in ("share_converting", "median_onset", "onset_shape")]
    start, end = (converted(tested[name].to_numpy(float), *curve) for name in ("onset_lower", "onset_upper"))
    seen = np.isfinite(tested["onset_upper"].to_numpy(float))
    own = np.log(np.maximum(np.where(seen, end - start, 1 - start), 1e-300))
    return own.sum(axis=1)


def _later(values: np.ndarray) -> np.ndarray:
    """By visit, 0 at the first; the visits are the second dim."""
    return np.concatenate([np.zeros_like(values[:, :1]), values], axis=1)


def course(rows: Rows, p: Values) -> np.ndarray:
    """What visit and treatment add to a patient's level, (draws, rows, then counts)."""
    moved = _later(p["time_course"])[:, rows.visit]
    if "effect" in p:
        treated = rows.treated.reshape(1, -1, *(1,) * (moved.ndim - 2))
        moved = moved + treated * _later(p["effect"][:, 0])[:, rows.visit]
    return moved


def _crp(rows: Rows, p: Values, own: Values) -> np.ndarray:
    location = own["level"][:, rows.subject] + course(rows, p)
    below = rows["crp_mg_dl_censored"].astype(bool)
    return log_normal(rows["crp_mg_dl"], below, location, p["sd_residual"][:, None]).sum(axis=1)


def _joints(rows: Rows, p: Values, own: Values) -> np.ndarray:
    logit, total = own["level"][:, rows.subject] + course(rows, p), np.zeros(1)
    for k, name in enumerate(COUNTS):
        counts = beta_binomial(rows[name], 28, special.expit(logit[..., k]), p["overdispersion"][:, k, None])
        total = total + counts.sum(axis=1)
    return total


def _activity(rows: Rows, p: Values, own: Values) -> np.ndarray:
    activity, total = own["activity"][:, rows.subject, rows.visit], np.zeros(len(p["sd_visit"]))
    for k, name in enumerate(COUNTS):
        logit = p["count_level"][:, k, None] + own["own_count"][:, rows.subject, k] + p["count_loading"][:, k, None] * activity  # fmt: skip
        total += beta_binomial(rows[name], 28, special.expit(logit), p["overdispersion"][:, k, None]).sum(axis=1)
    location = p["marker_level"] + own["own_marker"][:, rows.subject, 0] + p["marker_loading"] * activity
    below = rows["crp_mg_dl_censored"].astype(bool)
    return total + log_normal(rows["crp_mg_dl"], below, location, p["sd_residual"]).sum(axis=1)


_LIKELIHOODS: Mapping[str, Callable[[Rows, Values, Values], np.ndarray]] = {
    "als_slope": _slope, "als_shared": _shared, "als_bounded": _bounded, "als_items": _items, "als_antibody": _antibody,
    "sle_crp": _crp, "sle_joints": _joints, "sle_activity": _activity,
}  # fmt: skip
