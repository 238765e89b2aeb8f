"""ALSFRS-R, or any continuous outcome: a straight line for each patient, treatment on its slope."""

from __future__ import annotations

from typing import Any

import pymc as pm
import xarray as xr

from progression.modeling import Estimand, Facts, Prior, model
from progression.outcomes import Outcome
from progression_models import parts

ALSFRSR = Outcome("alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True,
                  higher_is_better=True)  # fmt: skip


def slope_difference(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["slope_effect"]


def slope_ratio(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return (posterior["mean_slope"] + posterior["slope_effect"]) / posterior["mean_slope"]


def change_difference(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    return posterior["slope_effect"] * month


def slope(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    effect = posterior["slope_effect"].rename(active_arm="arm").reindex(arm=list(facts.cohort.arms), fill_value=0.0)
    return posterior["mean_slope"] + effect


def change(posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    return slope(posterior, facts) * month + parts.bend_at(posterior, facts, month)


@model(
    observes={"score": ALSFRSR},
    priors={
        "mean_level": Prior("Normal", mu=38, sigma=10),
        "level_difference": Prior("Normal", mu=0, sigma=5),
        "level_coefficient": Prior("Normal", mu=0, sigma=3),
        "sd_level": Prior("HalfNormal", sigma=8),
        "mean_slope": Prior("Normal", mu=-1, sigma=1),
        "slope_effect": Prior("Normal", mu=0, sigma=0.5),
        "slope_coefficient": Prior("Normal", mu=0, sigma=0.5),
        "sd_slope": Prior("HalfNormal", sigma=1),
        "correlation": Prior("Uniform", lower=-1, upper=1),
        "sd_residual": Prior("LogNormal", mu=0.6, sigma=0.5),
        "bend": Prior("Normal", mu=0, sigma=2),
    },
    estimands=[
        Estimand("slope_difference", slope_difference, over=("active_arm",), requires="control",
                 label="slope, {arm} minus {control}, {unit}/month, positive = slower decline", unit="{unit}/month",
                 scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=parts.COMPARABLE,
                 inverse=lambda value, parameters: {"slope_effect": value}),
        Estimand("slope_ratio", slope_ratio, over=("active_arm",), requires="control",
                 label="ratio of slopes, {arm} to {control}, below 1 = slower decline where controls decline", unit="",
                 scale="ratio", reference="control arm", null=1.0, benefit="lower",
                 population="population-averaged", assumption=parts.COMPARABLE,
                 inverse=lambda value, parameters: {"slope_effect": (value - 1) * parameters["mean_slope"]}),
        Estimand("change_difference", change_difference, over=("active_arm",), requires="control", at={"month": 12.0},
                 label="change from baseline to month {month:g}, {arm} minus {control}, {unit}, positive = less loss",
                 unit="{unit}", scale="difference", reference="control arm", null=0.0, benefit="higher",
                 population="population-averaged", assumption=parts.COMPARABLE + "; hypothetical: had nobody died or stopped",
                 inverse=lambda value, parameters, month=12.0: {"slope_effect": value / month}),
        Estimand("slope", slope, over=("arm",), label="slope in {arm}{window}, {unit}/month, negative = decline",
                 unit="{unit}/month", scale="direct", reference="none", null=None, benefit="higher",
                 population="population-averaged"),
        Estimand("change", change, over=("arm",), at={"month": 12.0}, unit="{unit}", scale="direct",
                 label="change from baseline to month {month:g} in {arm}, {unit}, negative = loss", reference="baseline",
                 null=None, benefit="higher", population="population-averaged"),
    ],
    reference="Laird and Ware (1982), Biometrics 38:963; common baseline: Liang and Zeger (2000), Sankhya B 62:134",
    needs=("follow_up",),
    options={"baseline": "auto", "covariates": (), "time_course": "straight"},
    padded=True,
    generic=True,
    sampling={"target_accept": 0.9},
    engine="marginal",
)  # fmt: skip
def als_slope(data: Any, prior: Any) -> None:
    """Linear decline with a random level and slope for each patient; treatment changes the slope."""
    mean_level, sd_level = prior("mean_level"), prior("sd_level")
    mean_slope, sd_slope = prior("mean_slope"), prior("sd_slope")
    level_difference = prior("level_difference", dims="baseline_arm")  # of length zero: a common baseline
    slope_effect = prior("slope_effect", dims="active_arm")
    level_coefficient = prior("level_coefficient", dims="covariate")
    slope_coefficient = prior("slope_coefficient", dims="covariate")
    correlation = prior("correlation")
    sd_residual = prior("sd_residual")
    bend = prior("bend", dims="knot")  # of length zero: a straight course

    score = data.score
    treatment = parts.linear(data.on_arm, slope_effect)
    expected_slope = mean_slope + treatment + parts.linear(data.covariates, slope_coefficient)
    slope = parts.subject_effect("slope", expected_slope, sd_slope,
                                 estimate=score.slope, precision=score.sxx / sd_residual**2)  # fmt: skip
    slope = pm.Deterministic("slope", slope, dims="subject")

    expected_level = (mean_level + parts.linear(data.on_baseline_arm, level_difference)
                      + parts.linear(data.covariates, level_coefficient))  # fmt: skip
    given_slope = expected_level + correlation * sd_level / sd_slope * (slope - expected_slope)
    level = parts.subject_effect("level", given_slope, sd_level * pm.math.sqrt(1 - correlation**2),
                                 estimate=score.mean - slope * score.mean_month, precision=score.n / sd_residual**2)  # fmt: skip
    level = pm.Deterministic("level", level, dims="subject")

    expected = level[score.subject] + slope[score.subject] * score.month
    if parts.has_columns(score.course):
        expected = expected + parts.by_row(score.course, bend)
    if parts.has_columns(data.on_arm):  # nothing works before time 0, where screening visits lie
        expected = expected - treatment[score.subject] * pm.math.minimum(score.month, 0)
    pm.Normal("score", expected, sd_residual, observed=score.value, dims="score_row")
