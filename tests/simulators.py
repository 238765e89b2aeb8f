"""Cohorts simulated with NumPy from the equations alone: nothing here comes from the package under test.

Each simulator returns a table of visits (subject, arm, time in months, outcomes) ready for ``Cohort.from_table``. What was
drawn for each patient, in their order, stands in ``table.attrs["patients"]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import integrate, special, stats

Generator = np.random.Generator


def _arms(n_per_arm: Mapping[str, int]) -> list[str]:
    return [arm for arm, n in n_per_arm.items() for _ in range(n)]


def _own(*names: str) -> dict[str, list[Any]]:
    return {name: [] for name in names}


def _keep(own: dict[str, list[Any]], *values: Any) -> None:
    for kept, value in zip(own.values(), values, strict=True):
        kept.append(value)


def _with(table: pd.DataFrame, own: dict[str, list[Any]]) -> pd.DataFrame:
    table.attrs["patients"] = own
    return table


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
    rows, own = [], _own("level", "slope")
    for i, arm in enumerate(arms):
        u, v = rng.normal(size=2)
        level = mean_level + (level_difference or {}).get(arm, 0.0) + sd_level * u
        slope = mean_slope + (slope_effect or {}).get(arm, 0.0)
        slope += sd_slope * (correlation * u + np.sqrt(1 - correlation**2) * v)
        level += float(np.dot(covariates[i], level_coefficient))
        slope += float(np.dot(covariates[i], slope_coefficient))
        _keep(own, level, slope)
        seen: list[float] = []
        for j, month in enumerate(months):
            if seen:
                hazard = dropout_per_month * 2 ** ((seen[0] - seen[-1]) / 5)
                if rng.random() > np.exp(-hazard * (month - months[j - 1])):
                    break
            seen.append(level + slope * month + sd_residual * rng.normal())
            rows.append((f"p{i}", arm, float(month), seen[-1], *(50 + 10 * covariates[i])))
    return _with(pd.DataFrame(rows, columns=["subject", "arm", "time", "alsfrsr", *(f"x{j}" for j in range(k))]), own)


def als_shared(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    mean_level: float = 38.0,
    sd_level: float = 5.0,
    mean_rate: float = 1.03,
    sd_rate: Mapping[str, float] | float = 0.76,
    rate_ratio: Mapping[str, float] | None = None,
    sd_residual: float = 1.77,
    hazard: float = 0.0093,
    hazard_ratio: Mapping[str, float] | None = None,
    hazard_by_rate: float = 0.0,
    dropout_per_month: float = 0.0,
    rate_coefficient: float | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits and subjects of y_ij = a_i - r b_i t_ij + e_ij, hazard r' h exp(k (b_i - mean)), with a_i and b_i independent.

    r is the arm's rate ratio (times exp(c x_i) where a coefficient is given), r' its hazard ratio, by default the rate
    ratio. Scores end with death, drop-out (a constant risk) or the last month, whichever is first; survival is known
    until drop-out or the last month.
    """
    ratio = rate_ratio or {}
    visits, subjects, patients = [], [], _own("level", "rate")
    arms = _arms(n_per_arm)
    x = rng.normal(size=len(arms))
    x = (x - x.mean()) / x.std()
    for i, arm in enumerate(arms):
        own = sd_rate if isinstance(sd_rate, int | float) else sd_rate[arm]
        rate, level = mean_rate + own * rng.normal(), mean_level + sd_level * rng.normal()
        _keep(patients, level, rate)
        on_hazard = (hazard_ratio or ratio).get(arm, 1.0) * np.exp(hazard_by_rate * (rate - mean_rate))
        slope = rate * ratio.get(arm, 1.0) * np.exp((rate_coefficient or 0.0) * x[i])
        death = rng.exponential(1 / (hazard * on_hazard)) if hazard else np.inf
        leaves = rng.exponential(-1 / np.log1p(-dropout_per_month)) if dropout_per_month else np.inf
        end = min(leaves, months[-1])
        for month in months:
            noise = rng.normal()
            if month <= min(death, end):
                visits.append((f"p{i}", float(month), level - slope * month + sd_residual * noise))
        died = death < end
        subjects.append(
            (f"p{i}", arm, "death" if died else None, death if died else np.nan, np.nan if died else end, x[i])
        )
    return (_with(pd.DataFrame(visits, columns=["subject", "time", "alsfrsr"]), patients),
            pd.DataFrame(subjects, columns=["subject", "arm", "event", "event_time", "end_of_follow_up", "x"]))  # fmt: skip


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
    rows, own = [], _own("level", "slope", "onset")
    for i, arm in enumerate(_arms(n_per_arm)):
        level, slope = rng.multivariate_normal(
            [mean_level, mean_slope],
            [[sd_level**2, correlation * sd_level * sd_slope], [correlation * sd_level * sd_slope, sd_slope**2]],
        )
        converts = rng.random() < share_converting
        onset = median_onset * (rng.exponential() / np.log(2)) ** (1 / onset_shape) if converts else np.inf
        _keep(own, level, slope, onset)
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
    return _with(pd.DataFrame(rows, columns=names), own)


def als_bounded(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    mean_level: float,
    sd_level: float,
    mean_slope: float,
    sd_slope: float,
    correlation: float,
    overdispersion: float,
    slope_effect: Mapping[str, float] | None = None,
    level_difference: Mapping[str, float] | None = None,
    level_coefficient: float = 0.0,
    slope_coefficient: float = 0.0,
    dropout_per_month: float = 0.0,
) -> pd.DataFrame:
    """Whole scores 0 to 48: a share drawn from Beta(p c, (1 - p) c), c = (1 - rho)/rho, then 48 points with that chance.

    logit p = a_i + b_i t, (a_i, b_i) bivariate normal, treatment on the mean of b; no treatment before time 0. `x0` is a
    covariate of two values, -1 and 1, equally many in each arm. Drop-out as in `als_slope`.
    """
    rows, own = [], _own("level", "slope")
    for i, arm in enumerate(_arms(n_per_arm)):
        u, v = rng.normal(size=2)
        x = 2 * (i % 2) - 1.0
        effect = (slope_effect or {}).get(arm, 0.0)
        level = mean_level + (level_difference or {}).get(arm, 0.0) + level_coefficient * x + sd_level * u
        slope = mean_slope + slope_coefficient * x + sd_slope * (correlation * u + np.sqrt(1 - correlation**2) * v)
        _keep(own, level, slope + effect)
        seen: list[int] = []
        for j, month in enumerate(months):
            if seen:
                hazard = dropout_per_month * 2 ** ((seen[0] - seen[-1]) / 5)
                if rng.random() > np.exp(-hazard * (month - months[j - 1])):
                    break
            p = special.expit(level + slope * month + effect * max(month, 0))
            c = (1 - overdispersion) / overdispersion
            chance = rng.beta(p * c, (1 - p) * c) if overdispersion else p
            seen.append(int(rng.binomial(48, chance)))
            rows.append((f"p{i}", arm, float(month), seen[-1], x))
    return _with(pd.DataFrame(rows, columns=["subject", "arm", "time", "alsfrsr", "x0"]), own)


def mean_bounded_score(
    month: float, *, mean_level: float, sd_level: float, mean_slope: float, sd_slope: float, correlation: float
) -> float:
    """E 48 inverse-logit(a + b month) over level a and slope b, jointly normal: the plain sum over a grid of both."""
    z = np.linspace(-8, 8, 641)
    a = mean_level + sd_level * z[:, None]
    b = mean_slope + sd_slope * (correlation * z[:, None] + np.sqrt(1 - correlation**2) * z[None, :])
    weight = stats.norm.pdf(z)[:, None] * stats.norm.pdf(z)[None, :]
    return float((48 * special.expit(a + b * month) * weight).sum() / weight.sum())


ITEMS = ("speech", "salivation", "swallowing", "handwriting", "cutting", "dressing", "turning_in_bed", "walking",
         "climbing_stairs", "dyspnea", "orthopnea", "respiratory_insufficiency")  # fmt: skip


def als_items(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    cutpoints: np.ndarray,
    sd_level: float,
    mean_slope: float,
    sd_slope: float,
    correlation: float,
    slope_effect: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Items 0 to 4: how many of its cutpoints, (items, 4), lie below the patient's latent plus standard logistic noise.

    The latent is a + b t, (a, b) bivariate normal with mean (0, mean_slope), treatment on the mean of b, not before time 0.
    """
    rows, own = [], _own("level", "slope")
    for i, arm in enumerate(_arms(n_per_arm)):
        u, v = rng.normal(size=2)
        effect = (slope_effect or {}).get(arm, 0.0)
        slope = mean_slope + sd_slope * (correlation * u + np.sqrt(1 - correlation**2) * v)
        _keep(own, sd_level * u, slope + effect)
        for month in months:
            latent = sd_level * u + slope * month + effect * max(month, 0)
            noisy = latent + rng.logistic(size=len(cutpoints))
            rows.append((f"p{i}", arm, float(month), *(noisy[:, None] >= cutpoints).sum(axis=1)))
    return _with(pd.DataFrame(rows, columns=["subject", "arm", "time", *ITEMS[: len(cutpoints)]]), own)


def mean_items_score(
    month: float, *, cutpoints: np.ndarray, sd_level: float, mean_slope: float, sd_slope: float, correlation: float
) -> float:
    """E of the sum of the items over level and slope, by the plain sum over a grid of both."""
    z = np.linspace(-7, 7, 181)
    a = sd_level * z[:, None]
    b = mean_slope + sd_slope * (correlation * z[:, None] + np.sqrt(1 - correlation**2) * z[None, :])
    weight = stats.norm.pdf(z)[:, None] * stats.norm.pdf(z)[None, :]
    total = sum(special.expit(a + b * month - cut) for cut in np.ravel(cutpoints))
    return float((total * weight).sum() / weight.sum())


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
    rows, own = [], _own("level")
    for i, arm in enumerate(_arms(n_per_arm)):
        level = np.asarray(mean_level) + np.asarray(sd_patient) * rng.normal(size=len(outcomes))
        _keep(own, level.tolist())
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
    return _with(pd.DataFrame(rows, columns=["subject", "arm", "time", *outcomes]), own)


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
    rows, own = [], _own("level")
    for i, arm in enumerate(_arms(n_per_arm)):
        level = mean_level + sd_patient * rng.normal()
        _keep(own, level)
        for j, month in enumerate(months):
            log = level + sd_residual * rng.normal()
            if j:
                log += time_course[j - 1] + (effect or {}).get(arm, np.zeros(len(months) - 1))[j - 1]
            crp = np.exp(log)
            rows.append((f"p{i}", arm, float(month), max(crp, detection_limit), crp < detection_limit))
    table = pd.DataFrame(rows, columns=["subject", "arm", "time", "crp_mg_dl", "crp_mg_dl_censored"])
    table = _with(table, own)
    return table if detection_limit else table.drop(columns="crp_mg_dl_censored")


def sle_activity(
    rng: Generator,
    *,
    n_per_arm: Mapping[str, int],
    months: Sequence[float],
    time_course: Sequence[float],
    sd_visit: float,
    count_level: Sequence[float],
    count_loading: Sequence[float],
    sd_count: Sequence[float],
    overdispersion: Sequence[float],
    marker_level: Sequence[float],
    marker_loading: Sequence[float],
    sd_marker: Sequence[float],
    sd_residual: Sequence[float],
    effect: Mapping[str, Sequence[float]] | None = None,
    counts: Sequence[str] = ("tender_joints", "swollen_joints"),
    markers: Sequence[str] = ("crp_mg_dl",),
    joints: int = 28,
    detection_limit: float = 0.0,
    flare_hazard: float = 0.0,
    flare_loading: float = 0.0,
) -> pd.DataFrame:
    """Counts and markers of one activity; `time_course` and each `effect` in SDs of activity between patients, by visit after the first.

    A marker below the detection limit is flagged, with the limit in its column. With a hazard of flare (a month, at average activity at
    baseline) a patient who flares is seen no more; the column `flare` has the month, empty in those who do not.
    """
    rows, patients = [], _own("activity", "own_count", "own_marker")
    for i, arm in enumerate(_arms(n_per_arm)):
        activity, before, flared, begun = rng.normal(), 0.0, np.nan, len(rows)
        at_visits: list[float] = []
        own_counts = [sd * rng.normal() for sd in sd_count]
        own_markers = [sd * rng.normal() for sd in sd_marker]
        for j, month in enumerate(months):
            now = activity + sd_visit * rng.normal()
            if j:
                now += time_course[j - 1] + ((effect or {}).get(arm) or [0.0] * len(time_course))[j - 1]
                if flare_hazard:
                    wait = rng.exponential(1 / (flare_hazard * np.exp(flare_loading * (before + now) / 2)))
                    if wait < month - months[j - 1]:
                        flared = months[j - 1] + wait
                        break
            before = now
            at_visits.append(float(now))
            row: dict[str, Any] = {"subject": f"p{i}", "arm": arm, "time": float(month)}
            for name, level, loading, own, rho in zip(
                counts, count_level, count_loading, own_counts, overdispersion, strict=True
            ):
                p, c = special.expit(level + loading * now + own), (1 - rho) / rho
                row[name] = rng.binomial(joints, rng.beta(p * c, (1 - p) * c))
            for name, level, loading, own, sd in zip(
                markers, marker_level, marker_loading, own_markers, sd_residual, strict=True
            ):
                value = np.exp(level + loading * now + own + sd * rng.normal())
                row[name] = max(value, detection_limit)
                if detection_limit:
                    row[f"{name}_censored"] = value < detection_limit
            rows.append(row)
        _keep(patients, at_visits, own_counts, own_markers)
        if flare_hazard:
            for row in rows[begun:]:
                row["flare"] = flared
    return _with(pd.DataFrame(rows), patients)


def mean_share(location: float, sd: float) -> float:
    """E inverse-logit(location + sd z), z standard normal, by adaptive quadrature."""
    return integrate.quad(lambda z: stats.norm.pdf(z) * special.expit(location + sd * z), -9, 9, epsabs=1e-10)[0]
