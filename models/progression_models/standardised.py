"""Population-averaged scores where the score is no straight line in the latent: the mean over patients, draw by draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from progression.modeling import Facts

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
        mean_level, level_difference, level_coefficient, sd_level, mean_slope, slope_coefficient, sd_slope, correlation:
        dims (..., those of the clause).
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
    location = posterior["mean_level"] + (posterior["mean_slope"] + effect) * month
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
    return score(posterior["mean_level"] + (posterior["mean_slope"] + effect) * month)


def by_arm(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    """The effect on the latent slope in every arm, dims (..., arm): zero in the control."""
    effect = posterior["slope_effect"].rename(active_arm="arm")
    return effect.reindex(arm=list(facts.cohort.arms), fill_value=0.0)


def _kinds(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Patients that differ in baseline arm or covariates, (kinds, columns), and the share of the cohort that each is."""
    columns = [facts.data[name].transpose("subject", ...).to_numpy() for name in ("on_baseline_arm", "covariates")]
    found, count = np.unique(np.concatenate(columns, axis=1), axis=0, return_counts=True)
    return found, count / count.sum()
