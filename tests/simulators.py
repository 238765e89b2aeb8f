"""Cohorts simulated with NumPy from the equations alone: nothing here comes from the package under test.

Each simulator returns a table of visits (subject, arm, time in months, outcomes) ready for ``Cohort.from_table``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import integrate, special, stats

Generator = np.random.Generator


def _arms(n_per_arm: Mapping[str, int]) -> list[str]:
    return [arm for arm, n in n_per_arm.items() for _ in range(n)]


def als_slope(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    mean_level: float,
    sd_level: float,
    mean_slope: float,
    sd_slope: float,
    correlation: float,
    sd_residual: float,
    slope_effect: Mapping[str, float] | None = None,
    level_difference: Mapping[str, float] | None = None,
    level_coefficient: Sequence[float] = (),
    slope_coefficient: Sequence[float] = (),
    dropout_per_month: float = 0.0,
) -> pd.DataFrame:
    """y_ij = a_i + b_i t_ij + e_ij with (a_i, b_i) bivariate normal, treatment on the mean of b.

    Covariates x0, x1, ... have mean 0 and SD 1 in the sample, on a scale of their own (50 + 10 x). Drop-out is at
    random: the hazard doubles for each 5 points that the last *observed* score lies below the first.
    """
    arms = _arms(n_per_arm)
    n, k = len(arms), len(slope_coefficient)
    covariates = rng.normal(size=(n, k))
    if k:
        covariates = (covariates - covariates.mean(axis=0)) / covariates.std(axis=0)
    rows = []
    for i, arm in enumerate(arms):
        u, v = rng.normal(size=2)
        level = mean_level + (level_difference or {}).get(arm, 0.0) + sd_level * u
        slope = mean_slope + (slope_effect or {}).get(arm, 0.0)
        slope += sd_slope * (correlation * u + np.sqrt(1 - correlation**2) * v)
        level += float(np.dot(covariates[i], level_coefficient))
        slope += float(np.dot(covariates[i], slope_coefficient))
        seen: list[float] = []
        for j, month in enumerate(months):
            if seen:
                hazard = dropout_per_month * 2 ** ((seen[0] - seen[-1]) / 5)
                if rng.random() > np.exp(-hazard * (month - months[j - 1])):
                    break
            seen.append(level + slope * month + sd_residual * rng.normal())
            rows.append((f"p{i}", arm, float(month), seen[-1], *(50 + 10 * covariates[i])))
    return pd.DataFrame(rows, columns=["subject", "arm", "time", "alsfrsr", *(f"x{j}" for j in range(k))])


def als_antibody(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    mean_level: float,
    sd_level: float,
    mean_slope: float,
    sd_slope: float,
    correlation: float,
    sd_residual: float,
    effect_before: float,
    effect_after: float,
    share_converting: float,
    median_onset: float,
    onset_shape: float,
    tests: Sequence[float],
    treated: str = "treated",
) -> pd.DataFrame:
    """y_ij = a_i + b_i t_ij + (treated) integral of the effect from 0 to t_ij, an effect that changes at the onset T_i.

    T_i is Weibull, or never comes with probability 1 - share_converting. Antibodies are looked for at the months
    `tests` (the first at 0): onset_lower is the last test before T_i, onset_upper the first after it, or infinite.
    onset holds T_i itself (infinite where never); controls have none of these.
    """
    rows = []
    for i, arm in enumerate(_arms(n_per_arm)):
        level, slope = rng.multivariate_normal(
            [mean_level, mean_slope],
            [[sd_level**2, correlation * sd_level * sd_slope], [correlation * sd_level * sd_slope, sd_slope**2]],
        )
        converts = rng.random() < share_converting
        onset = median_onset * (rng.exponential() / np.log(2)) ** (1 / onset_shape) if converts else np.inf
        for month in months:
            score = level + slope * month + sd_residual * rng.normal()
            if arm == treated and month > 0:
                score += (
                    effect_before * month if onset >= month else effect_before * onset + effect_after * (month - onset)
                )
            seen = [t for t in tests if t >= onset]
            interval = (max(t for t in tests if t < onset), min(seen, default=np.inf), onset)
            rows.append((f"p{i}", arm, float(month), score, *(interval if arm == treated else (np.nan,) * 3)))
    names = ["subject", "arm", "time", "alsfrsr", "onset_lower", "onset_upper", "onset"]
    return pd.DataFrame(rows, columns=names)


def sle_joints(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    mean_level: Sequence[float],
    time_course: np.ndarray,
    sd_patient: Sequence[float],
    overdispersion: Sequence[float],
    effect: Mapping[str, np.ndarray] | None = None,
    outcomes: Sequence[str] = ("tender_joints", "swollen_joints"),
    joints: int = 28,
) -> pd.DataFrame:
    """Beta-binomial counts; `time_course` and each `effect` have shape (visits after the first, outcomes), logit scale.

    `overdispersion` is the correlation rho of two joints of one patient at one visit, given the patient's level: the
    share of active joints is Beta(p c, (1 - p) c) with c = (1 - rho)/rho.
    """
    rows = []
    for i, arm in enumerate(_arms(n_per_arm)):
        level = np.asarray(mean_level) + np.asarray(sd_patient) * rng.normal(size=len(outcomes))
        for j, month in enumerate(months):
            logit = level.copy()
            if j:
                logit = logit + time_course[j - 1] + (effect or {}).get(arm, np.zeros_like(time_course))[j - 1]
            share = 1 / (1 + np.exp(-logit))
            counts = []
            for p, rho in zip(share, overdispersion, strict=True):
                c = (1 - rho) / rho
                counts.append(rng.binomial(joints, rng.beta(p * c, (1 - p) * c)))
            rows.append((f"p{i}", arm, float(month), *counts))
    return pd.DataFrame(rows, columns=["subject", "arm", "time", *outcomes])


def sle_crp(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    mean_level: float,
    time_course: Sequence[float],
    sd_patient: float,
    sd_residual: float,
    effect: Mapping[str, Sequence[float]] | None = None,
    detection_limit: float = 0.0,
) -> pd.DataFrame:
    """Log-normal CRP; what lies below the detection limit is flagged, with the limit in the value's column."""
    rows = []
    for i, arm in enumerate(_arms(n_per_arm)):
        level = mean_level + sd_patient * rng.normal()
        for j, month in enumerate(months):
            log = level + sd_residual * rng.normal()
            if j:
                log += time_course[j - 1] + (effect or {}).get(arm, np.zeros(len(months) - 1))[j - 1]
            crp = np.exp(log)
            rows.append((f"p{i}", arm, float(month), max(crp, detection_limit), crp < detection_limit))
    table = pd.DataFrame(rows, columns=["subject", "arm", "time", "crp_mg_dl", "crp_mg_dl_censored"])
    return table if detection_limit else table.drop(columns="crp_mg_dl_censored")


def mean_share(location: float, sd: float) -> float:
    """E inverse-logit(location + sd z), z standard normal, by adaptive quadrature."""
    return integrate.quad(lambda z: stats.norm.pdf(z) * special.expit(location + sd * z), -9, 9, epsabs=1e-10)[0]
