"""C-reactive protein: positive, skewed, and censored below where the assay has a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from progression.modeling import Estimand, Facts, Prior, model
from progression.outcomes import Outcome
from progression_models import parts

CRP = Outcome("crp_mg_dl", unit="mg/dl", label="CRP", positive=True, higher_is_better=False)


def ratio_to_control(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return parts.exp(posterior["effect"])


def ratio_to_baseline(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return parts.exp(posterior["time_course"])


@model(
    observes={"crp": CRP},
    priors={
        "mean_level": Prior("Normal", mu=0, sigma=1.5),
        "time_course": Prior("Normal", mu=0, sigma=1),
        "level_difference": Prior("Normal", mu=0, sigma=0.5),
        "effect": Prior("Normal", mu=0, sigma=1),
        "sd_patient": Prior("HalfNormal", sigma=1),
        "sd_residual": Prior("HalfNormal", sigma=1),
    },
    estimands=[
        Estimand("crp_ratio", ratio_to_control, over=("active_arm", "followup_visit"), requires="control", unit="",
                 label="ratio of geometric mean CRP, {arm} to {control}, at {visit}, below 1 = lower CRP",
                 scale="ratio", reference="control arm", null=1.0, benefit="lower",
                 population="population-averaged", assumption=parts.COMPARABLE,
                 inverse=lambda value, parameters: {"effect": np.log(value)}),
        Estimand("crp_ratio_to_baseline", ratio_to_baseline, over=("followup_visit",), requires="no control", unit="",
                 label="ratio of geometric mean CRP, {visit} to baseline, on treatment, below 1 = lower CRP",
                 scale="ratio", reference="baseline", null=1.0, benefit="lower",
                 population="population-averaged", assumption=parts.BEFORE_AFTER,
                 inverse=lambda value, parameters: {"time_course": np.log(value)}),
    ],
    reference="Left-censored log-normal with random effects: Hughes (1999), Biometrics 55:625",
    needs=("baseline", "visits"),
    options={"baseline": "auto"},
    padded=True,
    sampling={"target_accept": 0.95},
)  # fmt: skip
def sle_crp(data: Any, prior: Any) -> None:
    """Log-normal CRP with a random level for each patient and an effect at each visit; censored below a limit."""
    mean_level = prior("mean_level")
    time_course = prior("time_course", dims="followup_visit")
    level_difference = prior("level_difference", dims="baseline_arm")
    effect = prior("effect", dims=("active_arm", "followup_visit"))
    sd_patient = prior("sd_patient")
    sd_residual = prior("sd_residual")

    expected_level = mean_level + parts.linear(data.on_baseline_arm, level_difference)
    crp = data.crp
    level = parts.subject_effect("level", expected_level, sd_patient,
                                 estimate=crp.mean_log, precision=crp.n / sd_residual**2)  # fmt: skip
    level = pm.Deterministic("level", level, dims="subject")

    since_baseline = parts.from_first_visit(time_course)[crp.visit]
    treatment = parts.effect_by_visit(effect, data.on_arm)[crp.subject, crp.visit]
    measured = pm.LogNormal.dist(level[crp.subject] + since_baseline + treatment, sd_residual)
    pm.Censored("crp", measured, lower=crp.lower, upper=None, observed=crp.value, dims="crp_row")
