"""Tender and swollen joint counts: bounded, overdispersed, with an effect at each visit."""

from __future__ import annotations

from typing import Any

import pymc as pm
import xarray as xr

from progression.modeling import Estimand, Facts, Prior, model
from progression.outcomes import Outcome
from progression_models import parts

TENDER = Outcome("tender_joints", unit="joints", label="tender joints", lower=0, integer=True, higher_is_better=False)
SWOLLEN = Outcome(
    "swollen_joints", unit="joints", label="swollen joints", lower=0, integer=True, higher_is_better=False
)


def _inverse_logit(x: xr.DataArray) -> xr.DataArray:
    return 1 / (1 + parts.exp(-x))


def _share(posterior: xr.Dataset, *, arm_effect: xr.DataArray | float = 0.0, visits: bool = True) -> xr.DataArray:
    """Mean share of the assessed joints that are active, averaged over patients."""
    location = posterior["mean_level"] + (posterior["time_course"] if visits else 0.0) + arm_effect
    return parts.population_mean(_inverse_logit, location, posterior["sd_patient"])


def ratio_to_control(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return _share(posterior, arm_effect=posterior["effect"]) / _share(posterior)


def ratio_to_baseline(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return _share(posterior) / _share(posterior, visits=False)


@model(
    observes={"joints": (TENDER, SWOLLEN)},
    priors={
        "mean_level": Prior("Normal", mu=-1, sigma=1),
        "time_course": Prior("Normal", mu=0, sigma=1),
        "level_difference": Prior("Normal", mu=0, sigma=0.5),
        "effect": Prior("Normal", mu=0, sigma=1),
        "sd_patient": Prior("HalfNormal", sigma=1),
        "overdispersion": Prior("Beta", alpha=1, beta=15),
    },
    estimands=[
        Estimand("count_ratio", ratio_to_control, over=("active_arm", "followup_visit", "outcome"),
                 requires="control", unit="", scale="ratio", reference="control arm", null=1.0, benefit="lower",
                 label="ratio of mean {outcome}, {arm} to {control}, at {visit}, below 1 = fewer joints",
                 population="population-averaged", assumption=parts.COMPARABLE),
        Estimand("count_ratio_to_baseline", ratio_to_baseline, over=("followup_visit", "outcome"),
                 requires="no control", unit="", scale="ratio", reference="baseline", null=1.0, benefit="lower",
                 label="ratio of mean {outcome}, {visit} to baseline, on treatment, below 1 = fewer joints",
                 population="population-averaged", assumption=parts.BEFORE_AFTER),
    ],
    reference="Crowder (1978), Applied Statistics 27:34 (beta-binomial regression); Griffiths (1973), Biometrics 29:637",
    needs=("baseline", "visits"),
    options={"baseline": "auto", "joints": 28},
    padded=True,
    sampling={"target_accept": 0.95},
)  # fmt: skip
def sle_joints(data: Any, prior: Any) -> None:
    """Joint counts out of those assessed: beta-binomial, a random level for each patient, an effect at each visit."""
    mean_level = prior("mean_level", dims="outcome")
    time_course = prior("time_course", dims=("followup_visit", "outcome"))
    level_difference = prior("level_difference", dims=("baseline_arm", "outcome"))
    effect = prior("effect", dims=("active_arm", "followup_visit", "outcome"))
    sd_patient = prior("sd_patient", dims="outcome")
    overdispersion = prior("overdispersion", dims="outcome")  # correlation of two joints at one visit

    joints = data.joints
    expected_level = mean_level + parts.linear(data.on_baseline_arm, level_difference)
    level = parts.subject_effect(
        "level", expected_level, sd_patient, dims=("subject", "outcome"), estimate=joints.mean_logit,
        precision=joints.logit_information / (1 + joints.most * overdispersion),
    )  # fmt: skip
    level = pm.Deterministic("level", level, dims=("subject", "outcome"))

    since_baseline = parts.from_first_visit(time_course)[joints.visit, joints.outcome]
    treatment = parts.effect_by_visit(effect, data.on_arm)[joints.subject, joints.visit, joints.outcome]
    share = pm.math.invlogit(level[joints.subject, joints.outcome] + since_baseline + treatment)
    # The floor keeps the gamma functions accurate; at 0.0001 the variance of 28 joints is within 0.3 % of binomial.
    correlated = overdispersion[joints.outcome]
    concentration = (1 - correlated) / (correlated + 1e-4)
    pm.BetaBinomial("joints", n=joints.upper, alpha=share * concentration, beta=(1 - share) * concentration,
                    observed=joints.value, dims="joints_row")  # fmt: skip
