"""ALSFRS-R, or any continuous outcome: treatment changes the slope by one amount until antibodies appear, by another after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from scipy import special

from progression.modeling import Estimand, Facts, Prior, model
from progression.outcomes import Outcome
from progression_models import parts

ALSFRSR = Outcome("alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True,
                  higher_is_better=True)  # fmt: skip

ONSET = (
    parts.COMPARABLE + "; before against after antibodies is no randomised contrast: when they appear is taken to be "
    "independent of prognosis (level and slope), and the effect to change at once"
)
POLICY = ONSET + "; antibodies as they come in a population like this one; hypothetical: had nobody died or stopped"

NEVER = 1200.0  # months, for an onset that never comes: later than any visit, and finite for those who take means
_LOG_2 = float(np.log(2))

# Time to onset among those who convert: Weibull, S(t) = 2 ** -((t / median) ** shape), H = -log S its cumulative hazard.


def cumulative_hazard(month: Any, median: Any, shape: Any) -> Any:
    """H(month); the floor, far below a second, keeps derivatives finite at 0."""
    return _LOG_2 * (pt.maximum(month, 1e-15) / median) ** shape


def onset_within(quantile: Any, data: Any, converting: Any, median: Any, shape: Any) -> Any:
    """The onset of each subject at a quantile of its distribution within the subject's interval.

    S falls within the interval from S(lower) to S(upper), or, of those not seen to convert, to the level at which all
    converts are used up: ``S(onset) / S(lower) = 1 - quantile * fall``, and never where that is below 0.
    """
    start, end = (cumulative_hazard(month, median, shape) for month in (data.onset_lower, data.onset_upper))
    unseen = 1 + (1 - converting) / converting * pt.exp(pt.minimum(start, 60))
    gone = quantile * pt.switch(data.onset_seen, -pt.expm1(start - pt.maximum(end, start)), unseen)
    hazard = start - pt.log1p(-pt.minimum(gone, 1 - 1e-15))
    month = pt.minimum(median * (hazard / _LOG_2) ** (1 / shape), NEVER)
    return pt.switch(pt.lt(gone, 1), month, NEVER)


def onset_log_likelihood(data: Any, converting: Any, median: Any, shape: Any) -> Any:
    """Log probability of each tested subject's interval: an onset within it, or none up to its lower end."""
    start, end = (cumulative_hazard(month, median, shape) for month in (data.tested_lower, data.tested_upper))
    width = pt.maximum(pt.switch(data.tested_seen, end - start, 1.0), 1e-30)
    within = pt.log(converting) - start + pt.log(-pt.expm1(-width))
    return pt.switch(data.tested_seen, within, pt.logaddexp(pt.log(converting) - start, pt.log1p(-converting)))


def months_without(posterior: xr.Dataset, month: float) -> xr.DataArray:
    """Mean number of the first `month` months that a treated patient spends without antibodies.

    The integral of 1 - G, G the distribution of onset with the share who never convert: an incomplete gamma function.
    """

    def integral(median: np.ndarray, shape: np.ndarray) -> np.ndarray:
        scale = median / np.log(2) ** (1 / shape)
        return scale * special.gamma(1 + 1 / shape) * special.gammainc(1 / shape, (month / scale) ** shape)

    converts = xr.apply_ufunc(integral, posterior["median_onset"], posterior["onset_shape"])
    share = posterior["share_converting"]
    return share * converts + (1 - share) * month


def difference_before(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["effect_before"]


def difference_after(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["effect_after"]


def loss_of_effect(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["effect_after"] - posterior["effect_before"]


def change_difference(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    without = months_without(posterior, month)
    return posterior["effect_before"] * without + posterior["effect_after"] * (month - without)


def change(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    effect = change_difference(posterior, facts, month=month)
    effect = effect.rename(active_arm="arm").reindex(arm=list(facts.cohort.arms), fill_value=0.0)
    return posterior["mean_slope"] * month + effect


def share_converted(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    hazard = np.log(2) * (month / posterior["median_onset"]) ** posterior["onset_shape"]
    return -posterior["share_converting"] * xr.apply_ufunc(np.expm1, -hazard)


@model(
    observes={"score": ALSFRSR},
    priors={
        "mean_level": Prior("Normal", mu=38, sigma=10),
        "level_difference": Prior("Normal", mu=0, sigma=5),
        "level_coefficient": Prior("Normal", mu=0, sigma=3),
        "sd_level": Prior("HalfNormal", sigma=8),
        "mean_slope": Prior("Normal", mu=-1, sigma=1),
        "effect_before": Prior("Normal", mu=0, sigma=0.5),
        "effect_after": Prior("Normal", mu=0, sigma=0.5),
        "slope_coefficient": Prior("Normal", mu=0, sigma=0.5),
        "sd_slope": Prior("HalfNormal", sigma=1),
        "correlation": Prior("Uniform", lower=-1, upper=1),
        "sd_residual": Prior("LogNormal", mu=0.6, sigma=0.5),
        "share_converting": Prior("Beta", alpha=1, beta=1),
        "median_onset": Prior("LogNormal", mu=1, sigma=1),
        "onset_shape": Prior("LogNormal", mu=0.3, sigma=0.5),
    },
    estimands=[
        Estimand("slope_difference_before", difference_before, over=("active_arm",), requires="control",
                 label="slope until antibodies appear, {arm} minus {control}, {unit}/month, positive = slower decline",
                 unit="{unit}/month", scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=ONSET, weak=True,
                 inverse=lambda value, parameters: {"effect_before": value}),
        Estimand("slope_difference_after", difference_after, over=("active_arm",), requires="control",
                 label="slope with antibodies, {arm} minus {control}, {unit}/month, positive = slower decline",
                 unit="{unit}/month", scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=ONSET, weak=True,
                 inverse=lambda value, parameters: {"effect_after": value}),
        Estimand("loss_of_effect", loss_of_effect, over=("active_arm",), requires="control",
                 label="slope with antibodies minus without, {arm} minus {control}, {unit}/month, negative = effect lost",
                 unit="{unit}/month", scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=ONSET, weak=True,
                 inverse=lambda value, parameters: {"effect_after": parameters["effect_before"] + value}),
        Estimand("change_difference", change_difference, over=("active_arm",), requires="control", at={"month": 12.0},
                 label="change from baseline to month {month:g} whatever the antibodies, {arm} minus {control}, {unit}, "
                       "positive = less loss", unit="{unit}", scale="difference", reference="control arm", null=0.0,
                 benefit="higher", population="population-averaged", assumption=POLICY, weak=True,
                 inverse=lambda value, parameters, month=12.0: dict.fromkeys(("effect_before", "effect_after"), value / month)),
        Estimand("change", change, over=("arm",), at={"month": 12.0}, unit="{unit}", scale="direct",
                 label="change from baseline to month {month:g} in {arm}, {unit}, negative = loss", reference="baseline",
                 null=None, benefit="higher", population="population-averaged"),
        Estimand("share_converted", share_converted, at={"month": 12.0}, unit="share", scale="direct", reference="none",
                 label="share of the treated with antibodies by month {month:g}, a share from 0 to 1", null=None,
                 benefit="lower", population="population-averaged"),
    ],
    reference="Farewell (1982), Biometrics 38:1041 (time to an event that some never have); Laird and Ware (1982), "
              "Biometrics 38:963; van den Hout, Muniz-Terrera and Matthews (2011), Statistics in Medicine 30:1429 (change "
              "points within patients)",
    needs=("follow_up",),
    options={"baseline": "auto", "covariates": ()},
    padded=True,
    generic=True,
    sampling={"target_accept": 0.9},
    engine="nuts",  # the latent mixes well; the marginal engine repeats every patient once a node, and takes longer
    grid={"onset_raw": 4},
)  # fmt: skip
def als_antibody(data: Any, prior: Any) -> None:
    """Linear decline; treatment changes the slope by one amount until antibodies appear, by another from then on."""
    mean_level, sd_level = prior("mean_level"), prior("sd_level")
    mean_slope, sd_slope = prior("mean_slope"), prior("sd_slope")
    level_difference = prior("level_difference", dims="baseline_arm")  # of length zero: a common baseline
    effect_before = prior("effect_before", dims="active_arm")
    effect_after = prior("effect_after", dims="active_arm")
    level_coefficient = prior("level_coefficient", dims="covariate")
    slope_coefficient = prior("slope_coefficient", dims="covariate")
    correlation = prior("correlation")
    sd_residual = prior("sd_residual")
    to_onset = prior("share_converting"), prior("median_onset"), prior("onset_shape")

    raw = pm.Normal("onset_raw", dims="subject")  # its place within the subject's interval; on the engine's grid
    onset = onset_within(pm.math.invprobit(raw), data, *to_onset)
    onset = pm.Deterministic("onset", onset, dims="subject")
    pm.Potential("onset_intervals", onset_log_likelihood(data, *to_onset).sum())

    score = data.score
    before = pt.zeros_like(onset) + parts.linear(data.on_arm, effect_before)
    change = parts.linear(data.on_arm, effect_after) - before  # of the effect, at the onset

    # What treatment brought is in a subject's own statistics. Taken out of them, as least squares over evenly spaced
    # visits would find it, it chooses the coordinates to sample in and nothing else.
    share = 1 - pm.math.minimum(onset / pm.math.maximum(2 * score.mean_month, 0.1), 1)  # of the visits, after the onset
    brought = before + change * share**2 * (3 - 2 * share)
    expected_slope = mean_slope + parts.linear(data.covariates, slope_coefficient)
    slope = parts.subject_effect("slope", expected_slope, sd_slope, estimate=score.slope - brought,
                                 precision=score.sxx / sd_residual**2)  # fmt: skip
    slope = pm.Deterministic("slope", slope, dims="subject")

    expected_level = (mean_level + parts.linear(data.on_baseline_arm, level_difference)
                      + parts.linear(data.covariates, level_coefficient))  # fmt: skip
    given_slope = expected_level + correlation * sd_level / sd_slope * (slope - expected_slope)
    level = parts.subject_effect("level", given_slope, sd_level * pm.math.sqrt(1 - correlation**2),
                                 estimate=score.mean - (slope + before + change * share**2) * score.mean_month,
                                 precision=score.n / sd_residual**2)  # fmt: skip
    level = pm.Deterministic("level", level, dims="subject")

    i, since_onset = score.subject, pm.math.maximum(score.month - onset[score.subject], 0)
    gained = before[i] * pm.math.maximum(score.month, 0) + change[i] * since_onset
    pm.Normal("score", level[i] + slope[i] * score.month + gained, sd_residual, observed=score.value, dims="score_row")
