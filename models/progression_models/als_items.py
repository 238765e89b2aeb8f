"""The 12 items of the ALSFRS-R: ordered logistic, one latent function of each patient that declines in a straight line."""

from __future__ import annotations

from typing import Any

import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from progression.modeling import Prior, model
from progression.outcomes import Outcome
from progression_models import parts, standardised

ITEMS = tuple(
    Outcome(name, unit="points", label=name.replace("_", " "), lower=0, upper=4, integer=True, higher_is_better=True)
    for name in ("speech", "salivation", "swallowing", "handwriting", "cutting", "dressing", "turning_in_bed", "walking",
                 "climbing_stairs", "dyspnea", "orthopnea", "respiratory_insufficiency")
)  # fmt: skip


def total(posterior: xr.Dataset) -> Any:
    """Expected total score in points, as a function of the latent: the sum over items and steps of P(item >= step)."""
    third = posterior["third_cutpoint"]
    second = third - posterior["second_gap"]
    cutpoints = (second - posterior["first_gap"], second, third, third + posterior["third_gap"])
    return lambda latent: sum((1 / (1 + parts.exp(cut - latent))).sum("outcome") for cut in cutpoints)


@model(
    observes={"items": ITEMS},
    priors={
        "third_cutpoint": Prior("Normal", mu=-1, sigma=2),
        "first_gap": Prior("LogNormal", mu=0, sigma=0.7),
        "second_gap": Prior("LogNormal", mu=0, sigma=0.7),
        "third_gap": Prior("LogNormal", mu=0, sigma=0.7),
        "level_difference": Prior("Normal", mu=0, sigma=0.7),
        "level_coefficient": Prior("Normal", mu=0, sigma=0.5),
        "sd_level": Prior("HalfNormal", sigma=1.5),
        "mean_slope": Prior("Normal", mu=-0.15, sigma=0.2),
        "slope_effect": Prior("Normal", mu=0, sigma=0.12),
        "slope_coefficient": Prior("Normal", mu=0, sigma=0.1),
        "sd_slope": Prior("HalfNormal", sigma=0.2),
        "correlation": Prior("Uniform", lower=-1, upper=1),
    },
    estimands=standardised.estimands(total, log_odds="the log odds of the next better answer to an item"),
    reference="Samejima (1969), Psychometrika Monograph 17 (graded response); McCullagh (1980), JRSS B 42:109 (cumulative "
    "logit); Zeger, Liang and Albert (1988), Biometrics 44:1049 (population-averaged effects)",
    needs=("follow_up", "bounded"),
    options={"baseline": "auto", "covariates": ()},
    padded=True,
    sampling={"target_accept": 0.8},
)  # fmt: skip
def als_items(data: Any, prior: Any) -> None:
    """Ordered logistic items, a random level and slope of one latent function for each patient; treatment changes the slope."""
    sd_level = prior("sd_level")
    mean_slope, sd_slope = prior("mean_slope"), prior("sd_slope")
    level_difference = prior("level_difference", dims="baseline_arm")  # of length zero: a common baseline
    slope_effect = prior("slope_effect", dims="active_arm")
    level_coefficient = prior("level_coefficient", dims="covariate")
    slope_coefficient = prior("slope_coefficient", dims="covariate")
    correlation = prior("correlation")

    third = prior("third_cutpoint", dims="outcome")  # the latent at which an item is as likely below 3 as not
    second = third - prior("second_gap", dims="outcome")
    first = second - prior("first_gap", dims="outcome")
    fourth = third + prior("third_gap", dims="outcome")
    cutpoints = pt.stack([first, second, third, fourth], axis=1)  # (outcome, step)

    items = data.items
    # What a patient's own answers say of the latent, near enough: a logit of a share is about 0.7 of the latent's.
    each = 0.7**2 * items.logit_information
    known = each.sum(axis=1)
    located = ((cutpoints.mean(axis=1) + items.mean_logit / 0.7) * each).sum(axis=1) / pm.math.maximum(known, 0.01)
    per_logit = 0.7 * items.logit_information / pm.math.maximum(items.n, 1)
    treatment = parts.linear(data.on_arm, slope_effect)
    expected_slope = mean_slope + treatment + parts.linear(data.covariates, slope_coefficient)
    slope = parts.subject_effect("slope", expected_slope, sd_slope,
                                 estimate=items.slope.sum(axis=1) / pm.math.maximum(per_logit.sum(axis=1), 0.01),
                                 precision=(items.sxx * each / pm.math.maximum(items.n, 1)).sum(axis=1))  # fmt: skip
    slope = pm.Deterministic("slope", slope, dims="subject")

    expected_level = (parts.linear(data.on_baseline_arm, level_difference)
                      + parts.linear(data.covariates, level_coefficient))  # fmt: skip
    given_slope = expected_level + correlation * sd_level / sd_slope * (slope - expected_slope)
    middle = items.mean_month.mean(axis=1)
    level = parts.subject_effect("level", given_slope, sd_level * pm.math.sqrt(1 - correlation**2),
                                 estimate=located - slope * middle, precision=known)  # fmt: skip
    level = pm.Deterministic("level", level, dims="subject")

    latent = level[items.subject] + slope[items.subject] * items.month
    if parts.has_columns(data.on_arm):  # nothing works before time 0, where screening visits lie
        latent = latent - treatment[items.subject] * pm.math.minimum(items.month, 0)
    pm.OrderedLogistic("items", eta=latent, cutpoints=cutpoints[items.outcome], compute_p=False,
                       observed=items.value, dims="items_row")  # fmt: skip
