"""Effects in points where the score is no straight line in the latent: averaged over patients, draw by draw, and not.

For models with a level and a slope of each patient on a latent scale and treatment on the slope.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from progression.modeling import Estimand, Facts
from progression_models.parts import COMPARABLE

Curve = Callable[[xr.Dataset], Callable[[xr.DataArray], xr.DataArray]]
ASSUMED = COMPARABLE + "; hypothetical: had nobody died or stopped"

# 41 points: the mean of 48 x inverse logit is within 0.0002 points of exact where the latent's SD is 3, 0.004 where it is 4.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def mean_score(
    score: Callable[[xr.DataArray], xr.DataArray], posterior: xr.Dataset, facts: Facts, *, month: float,
    effect: xr.DataArray | float = 0.0,
) -> xr.DataArray:  # fmt: skip
    """Mean of ``score(level + slope * month)`` over the cohort's patients, all of them given the same treatment.

    Level and slope are normal and correlated between patients; of the two only ``level + slope * month`` bears on the
    score, and it is normal with variance ``sd_level**2 + 2 rho sd_level sd_slope month + sd_slope**2 month**2``. The
    integral over both is therefore one over this one variable, by Gauss-Hermite quadrature. What distinguishes patients
    beside it (the covariates, and the baseline of their arm where arms have their own) is averaged over the cohort as it
    is: standardisation, so that arms are compared in the same patients.

    Parameters
    ----------
    score : callable
        Expected score (points) of a patient given the latent.
    posterior : xarray.Dataset
        level_difference, level_coefficient, sd_level, mean_slope, slope_coefficient, sd_slope, correlation: dims (...,
        those of the clause); mean_level, 0 where a model has none.
    facts : Facts
    month : float
        Months since the start.
    effect : DataArray or float
        Added to every patient's slope: its dims stay.

    Returns
    -------
    xarray.DataArray
        Points, dims of the draws and of `effect`.

    Notes
    -----
    Source: Zeger, Liang and Albert (1988), Biometrics 44:1049 (population-averaged from subject-specific); Robins (1986),
    Mathematical Modelling 7:1393 (standardisation).
    """
    kinds, share = _kinds(facts)
    sd_level, sd_slope = posterior["sd_level"], posterior["sd_slope"]
    covariance = posterior["correlation"] * sd_level * sd_slope
    sd = np.sqrt(sd_level**2 + 2 * month * covariance + (sd_slope * month) ** 2)
    location = posterior.get("mean_level", 0.0) + (posterior["mean_slope"] + effect) * month
    coefficient = posterior["level_coefficient"] + posterior["slope_coefficient"] * month
    total: xr.DataArray | float = 0.0
    for kind, weight in zip(kinds, share, strict=True):
        own = location
        for one in range(posterior.sizes["baseline_arm"]):
            own = own + kind[one] * posterior["level_difference"].isel(baseline_arm=one, drop=True)
        for one in range(posterior.sizes["covariate"]):
            own = own + kind[posterior.sizes["baseline_arm"] + one] * coefficient.isel(covariate=one, drop=True)
        for node, mass in zip(_NODES, _WEIGHTS, strict=True):
            total = total + weight * mass * score(own + node * sd)
    assert isinstance(total, xr.DataArray)
    return total


def typical_score(
    score: Callable[[xr.DataArray], xr.DataArray], posterior: xr.Dataset, *, month: float,
    effect: xr.DataArray | float = 0.0,
) -> xr.DataArray:  # fmt: skip
    """Expected score of the patient whose level, slope and covariates are the control arm's averages: no averaging."""
    return score(posterior.get("mean_level", 0.0) + (posterior["mean_slope"] + effect) * month)


def _kinds(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Patients that differ in baseline arm or covariates, (kinds, columns), and the share of the cohort that each is."""
    columns = [facts.data[name].transpose("subject", ...).to_numpy() for name in ("on_baseline_arm", "covariates")]
    found, count = np.unique(np.concatenate(columns, axis=1), axis=0, return_counts=True)
    return found, count / count.sum()


def _change_difference(curve: Curve, posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    mean = partial(mean_score, curve(posterior), posterior, facts, month=month)
    return mean(effect=posterior["slope_effect"]) - mean()


def _slope_difference(curve: Curve, posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    return _change_difference(curve, posterior, facts, month=month) / month


def _typical_slope_difference(curve: Curve, posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    typical = partial(typical_score, curve(posterior), posterior, month=month)
    return (typical(effect=posterior["slope_effect"]) - typical()) / month


def _latent_slope_difference(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["slope_effect"]


def _change(curve: Curve, posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    effect = posterior["slope_effect"].rename(active_arm="arm").reindex(arm=list(facts.cohort.arms), fill_value=0.0)
    mean = partial(mean_score, curve(posterior), posterior, facts)
    return mean(month=month, effect=effect) - mean(month=0.0)


def _slope(curve: Curve, posterior: xr.Dataset, facts: Facts, *, month: float) -> xr.DataArray:
    return _change(curve, posterior, facts, month=month) / month


def estimands(curve: Curve, *, log_odds: str) -> list[Estimand]:
    """The estimands of such a model, the population-averaged effect in points/month over a window first.

    Parameters
    ----------
    curve : callable
        Posterior to the function that turns the latent into an expected score, points.
    log_odds : str
        Of what the latent is the log odds, for a given patient.
    """
    against: dict[str, Any] = {"over": ("active_arm",), "requires": "control", "scale": "difference", "reference": "control arm",
               "null": 0.0, "benefit": "higher"}  # fmt: skip
    averaged: dict[str, Any] = {"population": "population-averaged", "at": {"month": 6.0}}
    of_arm: dict[str, Any] = {"over": ("arm",), "scale": "direct", "null": None, "benefit": "higher", **averaged}
    return [
        Estimand("slope_difference", partial(_slope_difference, curve), unit="points/month", assumption=ASSUMED,
                 label="mean change per month from baseline to month {month:g}, {arm} minus {control}, points/month, "
                 "positive = slower decline, averaged over patients", **against, **averaged),
        Estimand("change_difference", partial(_change_difference, curve), unit="points", assumption=ASSUMED,
                 label="mean change from baseline to month {month:g}, {arm} minus {control}, points, positive = less "
                 "loss, averaged over patients", **against, **averaged),
        Estimand("typical_slope_difference", partial(_typical_slope_difference, curve), unit="points/month",
                 label="change per month from baseline to month {month:g} of a patient of average level and slope, {arm} "
                 "minus {control}, points/month, positive = slower decline", assumption=ASSUMED,
                 population="conditional", at={"month": 6.0}, **against),
        Estimand("latent_slope_difference", _latent_slope_difference, unit="logits/month", assumption=COMPARABLE,
                 label=f"slope of {log_odds} of a given patient, {{arm}} minus {{control}}, logits/month, positive = slower "
                 "decline", population="conditional", **against,
                 inverse=lambda value, parameters: {"slope_effect": value}),
        Estimand("slope", partial(_slope, curve), unit="points/month", reference="none", **of_arm,
                 label="mean change per month from baseline to month {month:g} in {arm}, points/month, negative = decline"),
        Estimand("change", partial(_change, curve), unit="points", reference="baseline", **of_arm,
                 label="mean change from baseline to month {month:g} in {arm}, points, negative = loss"),
    ]  # fmt: skip
