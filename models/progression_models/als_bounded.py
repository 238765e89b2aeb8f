"""ALSFRS-R as the bounded score it is: beta-binomial on 0 to 48, a straight line for each patient on the logit scale."""

from __future__ import annotations

from typing import Any

import pymc as pm
import xarray as xr

from progression.modeling import Prior, model
from progression.outcomes import Outcome
from progression_models import parts, standardised

ALSFRSR = Outcome("alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True,
                  higher_is_better=True)  # fmt: skip


def score(posterior: xr.Dataset) -> Any:
    """Expected score in points, as a function of the latent."""
    return lambda latent: 48 / (1 + parts.exp(-latent))


@model(
    observes={"score": ALSFRSR},
    priors={
        "mean_level": Prior("Normal", mu=1, sigma=1.5),
        "level_difference": Prior("Normal", mu=0, sigma=0.6),
        "level_coefficient": Prior("Normal", mu=0, sigma=0.4),
        "sd_level": Prior("HalfNormal", sigma=1),
        "mean_slope": Prior("Normal", mu=-0.12, sigma=0.15),
        "slope_effect": Prior("Normal", mu=0, sigma=0.1),
        "slope_coefficient": Prior("Normal", mu=0, sigma=0.07),
        "sd_slope": Prior("HalfNormal", sigma=0.15),
        "correlation": Prior("Uniform", lower=-1, upper=1),
        "overdispersion": Prior("Beta", alpha=1, beta=50),
    },
    estimands=standardised.estimands(score, log_odds="the log odds of a point"),
    reference="Najera-Zuloaga, Lee and Arostegui (2019), Biometrical Journal 61:600 (beta-binomial mixed model of a bounded "
    "score); Zeger, Liang and Albert (1988), Biometrics 44:1049 (population-averaged effects)",
    needs=("follow_up", "bounded"),
    options={"baseline": "auto", "covariates": ()},
    padded=True,
    sampling={"target_accept": 0.9},
)  # fmt: skip
def als_bounded(data: Any, prior: Any) -> None:
    """Beta-binomial score on 0 to 48, a random level and slope for each patient on the logit scale; treatment changes the slope."""
    mean_level, sd_level = prior("mean_level"), prior("sd_level")
    mean_slope, sd_slope = prior("mean_slope"), prior("sd_slope")
    level_difference = prior("level_difference", dims="baseline_arm")  # of length zero: a common baseline
    slope_effect = prior("slope_effect", dims="active_arm")
    level_coefficient = prior("level_coefficient", dims="covariate")
    slope_coefficient = prior("slope_coefficient", dims="covariate")
    correlation = prior("correlation")
    overdispersion = prior("overdispersion")  # correlation of two of the 48 points of one patient at one visit

    score = data.score
    # What a patient's own rows say, near enough: of the logit in all, and by how many points a logit moves one score.
    known = score.logit_information / (1 + score.most * overdispersion)
    per_logit = score.logit_information / pm.math.maximum(score.n, 1)
    treatment = parts.linear(data.on_arm, slope_effect)
    expected_slope = mean_slope + treatment + parts.linear(data.covariates, slope_coefficient)
    slope = parts.subject_effect("slope", expected_slope, sd_slope, estimate=score.slope / pm.math.maximum(per_logit, 0.1),
                                 precision=score.sxx * known / pm.math.maximum(score.n, 1))  # fmt: skip
    slope = pm.Deterministic("slope", slope, dims="subject")

    expected_level = (mean_level + parts.linear(data.on_baseline_arm, level_difference)
                      + parts.linear(data.covariates, level_coefficient))  # fmt: skip
    given_slope = expected_level + correlation * sd_level / sd_slope * (slope - expected_slope)
    level = parts.subject_effect("level", given_slope, sd_level * pm.math.sqrt(1 - correlation**2),
                                 estimate=score.mean_logit - slope * score.mean_month, precision=known)  # fmt: skip
    level = pm.Deterministic("level", level, dims="subject")

    latent = level[score.subject] + slope[score.subject] * score.month
    if parts.has_columns(data.on_arm):  # nothing works before time 0, where screening visits lie
        latent = latent - treatment[score.subject] * pm.math.minimum(score.month, 0)
    share = pm.math.invlogit(latent)
    # The floor keeps the gamma functions accurate; at 0.0001 the variance of 48 points is within 0.5 % of binomial.
    concentration = (1 - overdispersion) / (overdispersion + 1e-4)
    pm.BetaBinomial("score", n=score.upper, alpha=share * concentration, beta=(1 - share) * concentration,
                    observed=score.value, dims="score_row")  # fmt: skip
