"""A model that is wrong on purpose: what simulation must be able to show of an analysis."""

from __future__ import annotations

from typing import Any

import pymc as pm
import xarray as xr

from progression.modeling import Estimand, Facts, Prior, model
from progression_models import parts
from progression_models.als_slope import ALSFRSR


def slope_difference(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["slope_effect"]


@model(
    observes={"score": ALSFRSR},
    priors={
        "mean_level": Prior("Normal", mu=38, sigma=10),
        "sd_level": Prior("HalfNormal", sigma=8),
        "mean_slope": Prior("Normal", mu=-1, sigma=1),
        "slope_effect": Prior("Normal", mu=0, sigma=2),
        "sd_residual": Prior("LogNormal", mu=0.6, sigma=0.5),
    },
    estimands=[
        Estimand("slope_difference", slope_difference, over=("active_arm",), requires="control", unit="{unit}/month",
                 label="slope, {arm} minus {control}, {unit}/month, positive = slower decline", scale="difference",
                 reference="control arm", null=0.0, benefit="higher", population="population-averaged",
                 assumption="all patients of an arm decline at one rate, which they do not"),
    ],
    reference="Schielzeth and Forstmeier (2009), Behavioral Ecology 20:416, on why this is wrong",
    engine="marginal",
)  # fmt: skip
def random_intercept(data: Any, prior: Any) -> None:
    """Levels differ between patients, slopes do not: the error of every slope comes out far too small."""
    mean_level, sd_level = prior("mean_level"), prior("sd_level")
    mean_slope, slope_effect = prior("mean_slope"), prior("slope_effect", dims="active_arm")
    sd_residual = prior("sd_residual")
    level = pm.Normal("level", mean_level, sd_level, dims="subject")
    slope = mean_slope + parts.linear(data.on_arm, slope_effect)
    score = data.score
    pm.Normal(
        "score",
        level[score.subject] + slope[score.subject] * score.month,
        sd_residual,
        observed=score.value,
        dims="score_row",
    )
