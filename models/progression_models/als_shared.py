"""ALSFRS-R and death together: one disease rate ratio on each patient's own decline and on the hazard."""

from __future__ import annotations

from typing import Any

import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from progression.modeling import DEATH, Estimand, Facts, Prior, model
from progression.outcomes import Outcome
from progression_models import parts

ALSFRSR = Outcome("alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True,
                  higher_is_better=True)  # fmt: skip
ONE_RATIO = "treatment multiplies the decline of function and the hazard of death by one and the same ratio"
NOBODY_DIED = parts.COMPARABLE + "; hypothetical: had nobody died or stopped"


def drr(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["rate_ratio"]


def _by_arm(ratio: xr.DataArray, facts: Facts) -> xr.DataArray:
    return ratio.rename({ratio.dims[-1]: "arm"}).reindex(arm=list(facts.cohort.arms), fill_value=1.0)


def slope(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return -posterior["mean_rate"] * _by_arm(posterior["rate_ratio"], facts)


def slope_difference(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["mean_rate"] * (1 - posterior["rate_ratio"])


def change_difference(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    control = parts.bend_at(posterior, facts, month) - posterior["mean_rate"] * month
    return control * (posterior["rate_ratio"] - 1)


def hazard_ratio(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    own = posterior["hazard_ratio"]
    return own.rename(separate_arm="active_arm") if own.size else posterior["rate_ratio"]


def survival(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    """Mean over patients of exp(-hazard x month): hazards differ between patients where they follow the own rate."""
    rate = posterior["hazard"] * _by_arm(hazard_ratio(posterior, facts), facts)
    if not posterior["hazard_by_rate"].size:
        return parts.exp(-rate * month)
    spread = posterior["hazard_by_rate"].isel(hazard_link=0) * posterior["sd_rate"]
    return (parts.exp(-rate * month * parts.exp(spread * parts.NODES)) * parts.WEIGHTS).sum("node")


def survival_difference(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    found = survival(posterior, facts, month=month)
    return (found - found.isel(arm=0, drop=True)).isel(arm=slice_of_active(facts)).rename(arm="active_arm")


def slice_of_active(facts: Facts) -> slice:
    return slice(1, len(facts.cohort.arms))


@model(
    observes={"score": ALSFRSR},
    events={"death": DEATH},
    priors={
        "mean_level": Prior("Normal", mu=38, sigma=10),
        "level_difference": Prior("Normal", mu=0, sigma=5),
        "level_regimen": Prior("Normal", mu=0, sigma=5),
        "sd_level": Prior("HalfNormal", sigma=8),
        "mean_rate": Prior("Normal", mu=1, sigma=1),
        "sd_rate": Prior("HalfNormal", sigma=1),
        "rate_ratio": Prior("LogNormal", mu=0, sigma=0.5),
        "rate_coefficient": Prior("Normal", mu=0, sigma=0.5),
        "regimen_raw": Prior("Normal", mu=0, sigma=1),
        "variance_regimen": Prior("HalfNormal", sigma=0.01),
        "period_raw": Prior("Normal", mu=0, sigma=1),
        "sd_period": Prior("HalfNormal", sigma=0.1),
        "sd_residual": Prior("LogNormal", mu=0.6, sigma=0.5),
        "bend": Prior("Normal", mu=0, sigma=2),
        "hazard": Prior("LogNormal", mu=-4.6, sigma=1),
        "hazard_ratio": Prior("LogNormal", mu=0, sigma=0.5),
        "hazard_by_rate": Prior("Normal", mu=0, sigma=1),
    },
    presets={
        "healey": {
            "mean_level": Prior("Normal", mu=38, sigma=10),
            "sd_level": Prior("Uniform", lower=0, upper=10),
            "mean_rate": Prior("Normal", mu=1, sigma=1),
            "sd_rate": Prior("Uniform", lower=0, upper=2),
            "rate_ratio": Prior("Uniform", lower=0, upper=2),
            "rate_coefficient": Prior("Normal", mu=0, sigma=1),
            "variance_regimen": Prior("InverseGamma", alpha=1, beta=0.05**2),
            "sd_period": Prior("Uniform", lower=0, upper=2),
            "sd_residual": Prior("Uniform", lower=0, upper=4),
            "hazard": Prior("Gamma", alpha=0.01, beta=1),
        },
    },
    estimands=[
        Estimand("drr", drr, over=("active_arm",), requires="control", unit="", scale="ratio", reference="control arm",
                 label="disease rate ratio, {arm} to {control}, below 1 = slower decline and lower hazard", null=1.0,
                 benefit="lower", population="conditional", assumption=f"{parts.COMPARABLE}; {ONE_RATIO}",
                 inverse=lambda value, parameters: {"rate_ratio": value}),
        Estimand("slope_difference", slope_difference, over=("active_arm",), requires="control", unit="{unit}/month",
                 label="slope, {arm} minus {control}{window}, {unit}/month, positive = slower decline", scale="difference",
                 reference="control arm", null=0.0, benefit="higher", population="population-averaged",
                 assumption=parts.COMPARABLE,
                 inverse=lambda value, parameters: {"rate_ratio": 1 - value / parameters["mean_rate"]}),
        Estimand("change_difference", change_difference, over=("active_arm",), requires="control", at={"month": 6.0},
                 label="change from baseline to month {month:g}, {arm} minus {control}, {unit}, positive = less loss",
                 unit="{unit}", scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=NOBODY_DIED,
                 inverse=lambda value, parameters, month=6.0: {"rate_ratio": 1 - value / month / parameters["mean_rate"]}),
        Estimand("hazard_ratio", hazard_ratio, over=("active_arm",), requires="control", unit="", scale="ratio",
                 label="ratio of hazards of death, {arm} to {control}, below 1 = longer survival", null=1.0,
                 reference="control arm", benefit="lower", population="conditional", assumption=parts.COMPARABLE),
        Estimand("survival_difference", survival_difference, over=("active_arm",), requires="control", at={"month": 6.0},
                 label="share alive at month {month:g}, {arm} minus {control}, proportion, positive = more alive",
                 unit="proportion", scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=parts.COMPARABLE),
        Estimand("slope", slope, over=("arm",), label="slope in {arm}{window}, {unit}/month, negative = decline",
                 unit="{unit}/month", scale="direct", reference="none", null=None, benefit="higher",
                 population="population-averaged"),
        Estimand("survival", survival, over=("arm",), at={"month": 6.0}, unit="proportion", scale="direct",
                 label="share alive at month {month:g} in {arm}, proportion", reference="none", null=None,
                 benefit="higher", population="population-averaged"),
    ],
    reference="HEALEY ALS platform trial, statistical analysis plan (supplements to JAMA 2025); shared parameters: Wu and "
              "Carroll (1988), Biometrics 44:175",
    needs=("follow_up",),
    options={"baseline": "auto", "covariates": (), "regimen": None, "period": None, "mortality": "shared",
             "time_course": "straight"},
    padded=True,
    sampling={"target_accept": 0.9},
    engine="marginal",
)  # fmt: skip
def als_shared(data: Any, prior: Any) -> None:
    """Function and survival: one disease rate ratio on the rate of loss of every patient and on the hazard of death."""
    mean_level, sd_level = prior("mean_level"), prior("sd_level")
    level_difference = prior("level_difference", dims="baseline_arm")  # of length zero: a common baseline
    level_regimen = prior("level_regimen", dims="later_regimen")
    mean_rate, sd_rate = prior("mean_rate"), prior("sd_rate", dims="arm")
    rate_ratio = prior("rate_ratio", dims="active_arm")
    rate_coefficient = prior("rate_coefficient", dims="covariate")
    regimen = pt.sqrt(prior("variance_regimen", dims="regimens")) * prior("regimen_raw", dims="regimen")
    period = prior("sd_period", dims="periods") * prior("period_raw", dims="later_period")  # a random walk's steps
    sd_residual = prior("sd_residual")
    bend = prior("bend", dims="knot")  # of length zero: a straight course
    hazard, hazard_ratio = prior("hazard"), prior("hazard_ratio", dims="separate_arm")
    hazard_by_rate = prior("hazard_by_rate", dims="hazard_link")

    score, death = data.score, data.death
    untreated = pm.math.exp(parts.linear(data.covariates, rate_coefficient) + parts.linear(data.on_regimen, regimen)
                            + parts.linear(data.since_period, period))  # fmt: skip
    multiplier = untreated * (1 + parts.linear(data.on_arm, rate_ratio - 1))
    sd_own = sd_rate[0] + parts.linear(data.on_arm, sd_rate[1:] - sd_rate[0])
    rate = parts.subject_effect("rate", mean_rate, sd_own, estimate=-score.slope / multiplier,
                                precision=score.sxx * (multiplier / sd_residual) ** 2)  # fmt: skip
    rate = pm.Deterministic("rate", rate, dims="subject")
    expected_level = (mean_level + parts.linear(data.on_baseline_arm, level_difference)
                      + parts.linear(data.on_later_regimen, level_regimen))  # fmt: skip
    level = parts.subject_effect("level", expected_level, sd_level, precision=score.n / sd_residual**2,
                                 estimate=score.mean + rate * multiplier * score.mean_month)  # fmt: skip
    level = pm.Deterministic("level", level, dims="subject")

    expected = level[score.subject] - (rate * multiplier)[score.subject] * score.month
    if parts.has_columns(data.on_arm):  # nothing works before time 0, where screening visits lie
        gained = rate * (multiplier - untreated)
        expected = expected + gained[score.subject] * pm.math.minimum(score.month, 0)
    if parts.has_columns(score.course):  # what the rate multiplies need not be a straight line
        everybody, course = pt.ones(data.on_arm.shape[0]), parts.by_row(score.course, bend)
        expected = (expected + (multiplier * everybody)[score.subject] * (course * pt.ge(score.month, 0))
                    + (untreated * everybody)[score.subject] * (course * pt.lt(score.month, 0)))  # fmt: skip
    pm.Normal("score", expected, sd_residual, observed=score.value, dims="score_row")

    on_hazard = (1 + parts.linear(data.on_shared_arm, rate_ratio - 1)
                 + parts.linear(data.on_separate_arm, hazard_ratio - 1))  # fmt: skip
    own_hazard = hazard * on_hazard * pt.ones(data.on_arm.shape[0])
    if parts.has_columns(data.linked):
        own_hazard = own_hazard * pm.math.exp(hazard_by_rate[0] * (rate - mean_rate))
    time = pm.Exponential.dist(lam=own_hazard[death.subject])
    pm.Censored("death", time, lower=None, upper=death.upper, observed=death.value, dims="death_row")
