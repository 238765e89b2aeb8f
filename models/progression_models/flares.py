"""Time to a flare whose hazard follows a latent activity from visit to visit: its estimands."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from progression.modeling import Estimand, Facts
from progression_models import parts

COMPARABLE = (
    "the arms differ in nothing but treatment, and drop-out is at random given what was seen, flares apart where the option flare is "
    "'shared'"
)

# Points of a standard normal in several dims over which patients are averaged: error of a share below 0.002, the same in every draw.
_POINTS = 256


def _lengths(course: xr.DataArray) -> xr.DataArray:
    """Months between planned visits, by the visit that ends the interval."""
    months = course["followup_visit"].to_numpy().astype(float)
    return xr.DataArray(
        np.diff(months, prepend=0.0), dims="followup_visit", coords={"followup_visit": course["followup_visit"]}
    )


def _between(at_visits: xr.DataArray) -> xr.DataArray:
    """Mean over each interval of what is 0 at baseline and moves in straight lines from visit to visit."""
    return (at_visits + at_visits.shift(followup_visit=1, fill_value=0.0)) / 2


@cache
def _patients(visits: int) -> np.ndarray:
    """Standard normals of the level and of the departure at each visit, (points, 1 + visits), and their mirror images."""
    from scipy.stats import norm, qmc  # a second of import that other models do without

    half = norm.ppf(qmc.Sobol(1 + visits, seed=0).random(_POINTS // 2))
    return np.concatenate([half, -half])


def _by_arm(effect: xr.DataArray, facts: Facts) -> xr.DataArray:
    return effect.rename(active_arm="arm").reindex(arm=list(facts.cohort.arms), fill_value=0.0)


def flare_hazard_ratio(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return parts.exp(_between(posterior["effect"]) * posterior["flare_loading"])


def flare_free(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    """Mean over patients of the probability of no flare by the last planned visit."""
    course = _between(posterior["time_course"] + _by_arm(posterior["effect"], facts))
    loading = posterior["flare_loading"]
    hazard = posterior["flare_hazard"] * _lengths(course) * parts.exp(loading * course)
    found = xr.zeros_like(hazard.isel(followup_visit=0, drop=True))
    if not found.size:
        return found
    normals = _patients(hazard.sizes["followup_visit"] + 1)
    # Point by point: all at once would be as large as the posterior times their number.
    for level, departures in zip(normals[:, 0], normals[:, 1:], strict=True):
        off = level + posterior["sd_visit"] * course["followup_visit"].copy(data=(departures[:-1] + departures[1:]) / 2)
        found = found + parts.exp(-(hazard * parts.exp(loading * off)).sum("followup_visit"))
    return found / len(normals)


def flare_free_difference(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    found = flare_free(posterior, facts)
    active = found.isel(arm=slice(1, len(facts.cohort.arms))).rename(arm="active_arm")
    return active - found.isel(arm=0, drop=True)


COMPARED: dict[str, Any] = {"requires": "control", "reference": "control arm", "assumption": COMPARABLE}

ESTIMANDS = (
    Estimand("flare_hazard_ratio", flare_hazard_ratio, over=("active_arm", "followup_visit", "event"), unit="", scale="ratio",
             label="ratio of hazards of {event}, {arm} to {control}, in the interval up to {visit}, below 1 = fewer", null=1.0,
             benefit="lower", population="conditional", **COMPARED),
    Estimand("flare_free_difference", flare_free_difference, over=("active_arm", "event"), unit="proportion", scale="difference",
             label="share without {event} by the last visit, {arm} minus {control}, proportion, positive = fewer with it", null=0.0,
             benefit="higher", population="population-averaged", **COMPARED),
    Estimand("flare_free", flare_free, over=("arm", "event"), unit="proportion", scale="direct", reference="none", null=None,
             label="share without {event} by the last visit in {arm}, proportion", benefit="higher", population="population-averaged"),
)  # fmt: skip
