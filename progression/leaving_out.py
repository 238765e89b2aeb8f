"""Models compared by how well they predict a patient they have not seen."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from scipy import special, stats

from progression.engines import forward, marginal
from progression.faults import CohortError, Fault, SettingError, check_count, setting_fault
from progression.fitted import Fit
from progression.tables import Summary

# Beyond this the importance weights of a left-out patient are unreliable (Vehtari et al. 2024, JMLR 25:72).
MAX_PARETO_K = 0.7


@dataclass(frozen=True, eq=False)
class PatientLikelihood:
    """Each patient's likelihood with the patient's own effects integrated out.

    Attributes
    ----------
    log_likelihood : xarray.DataArray
        Dims (chain, draw, subject).
    error : xarray.DataArray
        Error of the integral over each patient's effects, root mean square over draws, dim subject.
    """

    log_likelihood: xr.DataArray
    error: xr.DataArray


def patient_likelihood(
    fit: Fit, *, draws: int = 500, points: int = 16, random_seed: int | None = None
) -> PatientLikelihood:
    """The log likelihood of all rows of a patient, for a patient whose effects are not known.

    The effects are integrated out by adaptive quadrature; where more of them depend on each other than that can handle,
    by importance sampling: a normal proposal with the mean and covariance of their own posterior, a little widened, and
    quasi-random points. Conditional on its own effects a patient's data say almost
    nothing about the population, and leaving them out that way would flatter every model (Merkle, Furr and
    Rabe-Hesketh 2019, Psychometrika 84:802).

    Parameters
    ----------
    fit : Fit
    draws : int
        Number of posterior draws used, spread evenly over the chains.
    points : int
        Number of quasi-random points for each of them; a power of two.
    random_seed : int, optional
        The fit's own unless given.
    """
    seed = fit.settings["random_seed"] if random_seed is None else random_seed
    encoded = fit.encoded()
    chosen = _thin_each_chain(fit.posterior, draws)
    try:
        likelihood, error = marginal.subject_log_likelihood(fit.model, encoded, fit.priors, forward.stack(chosen))
        return _labelled(likelihood, error, chosen, encoded.coords["subject"])
    except (SettingError, marginal.Untrusted):
        pass  # no effects, or too many that depend on each other: by importance sampling
    built, run, population, effects = forward.subject_terms(fit.model, encoded, fit.priors)
    n, n_padded, blocks = encoded.n_subjects, encoded.n_padded, list(encoded.observed)
    subject = {block: encoded.arrays[f"{block}_subject"][1] for block in blocks}
    proposal = _Proposal([fit.posterior[rv.name] for rv in effects], n)
    normal = stats.norm.ppf(stats.qmc.Sobol(max(proposal.width, 1), seed=seed).random(points))
    shapes = [rv.type.ndim for rv in effects]
    flat = forward.stack(chosen)
    found = np.empty((flat.sizes["sample"], n))
    spread = np.empty_like(found)
    for index, point in enumerate(forward.points(built, population, flat)):
        log_weight = np.empty((points, n))
        for k in range(points):
            values, log_density = proposal.at(normal[k])
            arguments = [_padded(value, n_padded, ndim) for value, ndim in zip(values, shapes, strict=True)]
            terms = run(*point, *arguments)
            total = np.zeros(n)
            for rv, rows in zip(built.model.observed_RVs, terms, strict=False):
                total += np.bincount(subject[rv.name], rows, n)[:n]
            for own in terms[len(blocks) :]:
                total += own.reshape(own.shape[0], -1).sum(axis=1)[:n]
            log_weight[k] = total - log_density
        found[index] = special.logsumexp(log_weight, axis=0) - np.log(points)
        weight = np.exp(log_weight - log_weight.max(axis=0))
        spread[index] = weight.std(axis=0) / weight.mean(axis=0) / np.sqrt(points)
    return _labelled(found, np.sqrt(np.mean(spread**2, axis=0)), chosen, encoded.coords["subject"])


def _labelled(values: np.ndarray, error: np.ndarray, chosen: xr.Dataset, subjects: list[Any]) -> PatientLikelihood:
    shape = (chosen.sizes["chain"], chosen.sizes["draw"], len(subjects))
    labels = {"subject": subjects}
    return PatientLikelihood(
        xr.DataArray(values.reshape(shape), dims=("chain", "draw", "subject"), coords=labels),
        xr.DataArray(error, dims="subject", coords=labels),
    )


def loo(*fits: Fit, draws: int = 500, random_seed: int | None = None) -> pd.DataFrame:
    """Leave one patient out: expected log predictive density of patients a model has not seen.

    Parameters
    ----------
    *fits : Fit
        One or more fits of the same patients and outcome values.
    draws : int
        Posterior draws used for each.
    random_seed : int, optional
        Each fit's own unless given.

    Returns
    -------
    pandas.DataFrame
        One row a fit, best first, in ArviZ's columns (`arviz.compare` where there are several), with the number of
        patients whose Pareto k is above 0.7, for whom the estimate is not to be trusted, and the Monte Carlo error of
        the integration over patient effects.

    Raises
    ------
    CohortError
        The fits are of different patients or values.
    """
    check_count("draws", draws)
    if not fits:
        raise SettingError([Fault(what="no fit was given", remedy="give one or more fits", table="setting")])
    if strange := [one for one in fits if not isinstance(one, Fit)]:
        raise SettingError([setting_fault("fits", type(one).__name__, "is not a Fit", "give what pg.fit returned") for one in strange])  # fmt: skip
    in_part = [fit for fit in fits if fit.settings.get("patients_in_part")]
    if in_part:
        raise SettingError([Fault(what=f"{fit.settings['patients_in_part']} patients of {fit.model.name} count in part: leaving one of them out has no "
                                       "meaning", value=str(fit.settings["borrowing"]), table="setting",
                                  remedy="compare fits that count every patient whole") for fit in in_part])  # fmt: skip
    _refuse_different(fits)
    results: dict[str, Any] = {}
    trouble, errors = {}, {}
    for number, fit in enumerate(fits):
        name = (
            fit.model.name
            if [f.model.name for f in fits].count(fit.model.name) == 1
            else f"{fit.model.name} {number + 1}"
        )
        likelihood = patient_likelihood(fit, draws=draws, random_seed=random_seed)
        tree = xr.DataTree.from_dict({
            "posterior": _thin_each_chain(fit.posterior, draws),
            "log_likelihood": xr.Dataset({"patients": likelihood.log_likelihood}),
        })  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # high Pareto k is reported in the table instead
            results[name] = azs.loo(tree, pointwise=True)
        trouble[name] = int((results[name].pareto_k > MAX_PARETO_K).sum())
        errors[name] = float(np.sqrt((likelihood.error**2).sum()))
    if len(results) > 1:
        table = pd.DataFrame(azs.compare(results, round_to="none"))
    else:
        table = pd.DataFrame({name: {"elpd": one.elpd, "se": one.se, "p": one.p} for name, one in results.items()}).T
    table["patients_k_above_0.7"] = pd.Series(trouble)
    table["integration_error"] = pd.Series(errors)
    worst = {name: count for name, count in trouble.items() if count}
    note = (
        f"not to be trusted for {worst} patients (Pareto k above {MAX_PARETO_K})" if worst else "every Pareto k is fine"
    )
    problems = [fit.header() for fit in fits if fit.problems]
    return Summary(table).with_header("; ".join([f"leave one patient out, {len(fits)} fit(s): {note}", *problems]))


class _Proposal:
    """A normal for each subject's effects, fitted to their posterior draws."""

    def __init__(self, draws: list[xr.DataArray], n: int) -> None:
        self.shapes = [one.transpose("chain", "draw", "subject", ...).shape[3:] for one in draws]
        columns = [one.transpose("chain", "draw", "subject", ...).to_numpy().reshape(-1, n, int(np.prod(shape)))
                   for one, shape in zip(draws, self.shapes, strict=True)]  # fmt: skip
        joined = np.concatenate(columns, axis=2) if columns else np.zeros((1, n, 0))
        self.width = joined.shape[2]
        self.mean = joined.mean(axis=0)
        centred = joined - self.mean
        covariance = np.einsum("sni,snj->nij", centred, centred) / max(len(joined) - 1, 1)
        self.root = np.linalg.cholesky(1.3 * covariance + 1e-12 * np.eye(self.width))
        self.log_determinant = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)

    def at(self, normal: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The effects of every subject at one standard normal point, and the log density of the proposal there."""
        z = normal[: self.width]
        joined = self.mean + self.root @ z
        density = -0.5 * (z @ z) - 0.5 * self.width * np.log(2 * np.pi) - self.log_determinant
        values, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            values.append(joined[:, start : start + size].reshape(-1, *shape))
            start += size
        return values, density


def _padded(values: np.ndarray, n_padded: int, ndim: int) -> np.ndarray:
    return np.pad(values, [(0, n_padded - len(values)), *[(0, 0)] * (ndim - 1)])


def _thin_each_chain(posterior: xr.Dataset, draws: int) -> xr.Dataset:
    n = posterior.sizes["draw"]
    each = max(4, min(n, draws // posterior.sizes["chain"]))
    return posterior.isel(draw=np.unique(np.linspace(0, n - 1, each).astype(int)))


def _refuse_different(fits: tuple[Fit, ...]) -> None:
    first = fits[0].idata["observed_data"].to_dataset()
    subjects = list(fits[0].cohort.subjects.index)
    for fit in fits[1:]:
        other = fit.idata["observed_data"].to_dataset()
        same = all(np.array_equal(first[a].to_numpy(), other[b].to_numpy())
                   for a, b in zip(first.data_vars, other.data_vars, strict=False))  # fmt: skip
        if len(first.data_vars) != len(other.data_vars) or not same or list(fit.cohort.subjects.index) != subjects:
            raise CohortError([Fault(what="the fits are of different patients or different values, so their predictive "
                                          "densities cannot be compared", remedy="fit all models to the same cohort and "
                                          "outcome", table="visits")])  # fmt: skip
