"""Power in closed form, for designs simple enough: what a simulation is set beside, and where it starts from.

Each screen says how many standard errors the truth lies inside a statement such as P(drr < 1): with z of them and a threshold of p,
a trial succeeds with probability Phi(z - Phi^-1(p)), if the prior is wide and all patients are seen at all visits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["SCREENS", "crp", "rates", "slopes"]


def slopes(
    estimand: str, value: float, months: np.ndarray, n: tuple[int, int], known: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """Two means of patients' own slopes (`als_slope`): how many standard errors the estimand lies above a value.

    Parameters
    ----------
    estimand : str
    value : float
        That the statement names.
    months : array
        Planned visits.
    n : (int, int)
        Patients of the control arm and of the treated one.
    known : mapping of str to array, shape (truths,)
        Parameters, those by arm under ``name[control]`` and ``name[treated]``.

    Returns
    -------
    array, shape (truths,), or None
        None for an estimand that has no closed form.

    Notes
    -----
    Var(own slope) = sd_slope^2 + sd_residual^2 / sum (t - mean t)^2, the same in both arms (Diggle, Heagerty, Liang and Zeger 2002, Analysis
    of Longitudinal Data, section 2.4). What levels tell of slopes is left out.
    """
    effect, control = known["slope_effect"], known["mean_slope"]
    of_slope = known["sd_slope"] ** 2 + known["sd_residual"] ** 2 / _sxx(months)
    if estimand == "slope_difference":
        return np.asarray((effect - value) / np.sqrt(of_slope * (1 / n[0] + 1 / n[1])))
    # control + effect against value x control: above where steeper in the direction of control.
    if estimand == "slope_ratio":
        above = np.sign(control) * (control + effect - value * control)
        return np.asarray(above / np.sqrt(of_slope * (value**2 / n[0] + 1 / n[1])))
    return None


def rates(
    estimand: str, value: float, months: np.ndarray, n: tuple[int, int], known: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """Two means of patients' own rates of loss (`als_shared`), deaths left out; see `slopes`.

    The treated lose `rate_ratio` times what they would: mean and spread of their rates shrink alike, unless sd_rate is given by arm.
    """
    if estimand != "drr":
        return None
    ratio, residual = known["rate_ratio"], known["sd_residual"] ** 2 / _sxx(months)
    treated = (ratio * known["sd_rate[treated]"]) ** 2 + residual
    control = known["sd_rate[control]"] ** 2 + residual
    return np.asarray((ratio - value) * known["mean_rate"] / np.sqrt(treated / n[1] + value**2 * control / n[0]))


def crp(
    estimand: str, value: float, months: np.ndarray, n: tuple[int, int], known: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """Two means of log CRP at one visit, given the baseline (`sle_crp`): nothing censored, arms alike at baseline.

    Var = (tau^2 + sigma^2) (1 - rho^2) (1/n + 1/n) with rho = tau^2 / (tau^2 + sigma^2): Frison and Pocock (1992), Stat Med 11:1685.
    """
    if estimand != "crp_ratio":
        return None
    total = known["sd_patient"] ** 2 + known["sd_residual"] ** 2
    within = total * (1 - (known["sd_patient"] ** 2 / total) ** 2)
    return np.asarray((known["effect"] - np.log(value)) / np.sqrt(within * (1 / n[0] + 1 / n[1])))


def _sxx(months: np.ndarray) -> float:
    return float(((months - months.mean()) ** 2).sum())


SCREENS: Mapping[str, Any] = {"als_slope": slopes, "als_shared": rates, "sle_crp": crp}
