"""How many patients a prior is worth: by its moments, by ELIR, and by Morita's method."""

from __future__ import annotations

import numpy as np

from progression.mixtures import Mixture

METHODS = ("moment", "elir", "morita")


def effective_size(prior: Mixture, method: str, *, patient_sd: float | None = None) -> float:
    """Effective sample size of a mixture prior: patients, or exposure for a rate.

    Parameters
    ----------
    prior : Mixture
    method : {"moment", "elir", "morita"}
        "moment": of the single Beta, Normal or Gamma with the same mean and variance. "elir": expected local information
        ratio, the mean over the prior of its own information over that of one patient; consistent under prediction; NaN
        where a component's density has no bound (a Beta parameter or a Gamma shape below 1).
        "morita": the sample whose information, added to a nearly empty prior, equals that of this prior at its mean;
        it depends much on how the prior is written as a mixture.
    patient_sd : float, optional
        SD of one patient, for a Normal.

    Notes
    -----
    Neuenschwander et al. (2020), Biometrics 76:578 (ELIR); Morita, Thall and Mueller (2008), Biometrics 64:595.
    """
    if method == "moment":
        return _moment(prior, patient_sd)
    if method == "morita":
        return _morita(prior, patient_sd)
    if (prior.family == "beta" and min(prior.first.min(), prior.second.min()) < 1) or (
        prior.family == "gamma" and prior.first.min() < 1
    ):
        return float("nan")  # the density grows without bound at an end, and the mean over it does not exist
    x, weight = _points(prior)
    return float(weight @ (prior.information(x) / _one_patient(prior, x, patient_sd)))


def _one_patient(prior: Mixture, x: np.ndarray, patient_sd: float | None) -> np.ndarray:
    """Fisher information of one patient (or one unit of exposure) at `x`."""
    if prior.family == "beta":
        return 1 / (x * (1 - x))
    if prior.family == "gamma":
        return 1 / x
    assert patient_sd is not None
    return np.full(np.shape(x), 1 / patient_sd**2)


def _moment(prior: Mixture, patient_sd: float | None) -> float:
    if prior.family == "beta":
        return prior.mean * (1 - prior.mean) / prior.sd**2 - 1
    if prior.family == "gamma":
        return prior.mean / prior.sd**2
    assert patient_sd is not None
    return (patient_sd / prior.sd) ** 2


def _morita(prior: Mixture, patient_sd: float | None) -> float:
    """Information at the mean, less what a nearly empty prior of the same mean has, in units of one patient's expected one."""
    at = prior.mean
    own = float(prior.information(at))
    one = float(_one_patient(prior, np.asarray(at), patient_sd))
    if prior.family == "normal":
        return own / one
    if prior.family == "beta":  # Beta(e at, e (1 - at)), e near 0: its information tends to that of Beta(0, 0)
        return (own + 1 / at**2 + 1 / (1 - at) ** 2) / one
    return (own + 1 / at**2) / one


def _points(prior: Mixture, n: int = 2001) -> tuple[np.ndarray, np.ndarray]:
    """Points and their probabilities under the mixture: quantiles of each component, evenly spaced."""
    share = (np.arange(n) + 0.5) / n
    parts = prior._parts()
    x = parts.ppf(share[:, None])
    return x.T.ravel(), np.repeat(prior.weights / n, n)
