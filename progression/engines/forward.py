"""A program run forwards from given draws: replicates, log likelihoods, prior draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from pymc.model.transform.conditioning import remove_value_transforms

from progression.encoding import Encoded
from progression.engines.nuts import label
from progression.engines.program import Built, build
from progression.faults import Fault, SettingError
from progression.modeling import Model, SupportsPyMC

# Interpreted, not compiled: a thousand passes over a small graph take less time than numba takes to compile it.
_MODE = "FAST_COMPILE"


def thin(posterior: xr.Dataset, draws: int) -> xr.Dataset:
    """Return about `draws` draws spread evenly over all chains, stacked into one dim `sample`."""
    every = stack(posterior)
    total = every.sizes["sample"]
    return every.isel(sample=np.unique(np.linspace(0, total - 1, min(draws, total)).astype(int)))


def stack(posterior: xr.Dataset) -> xr.Dataset:
    """All draws in one dim `sample`, chain by chain; xarray's own stack refuses dims of length zero."""
    made = {}
    for name, variable in posterior.data_vars.items():
        array = variable.transpose("chain", "draw", ...)
        made[name] = (
            ("sample", *array.dims[2:]),
            array.to_numpy().reshape(array.shape[0] * array.shape[1], *array.shape[2:]),
        )
    labels = {dim: index for dim, index in posterior.coords.items() if dim not in ("chain", "draw")}
    return xr.Dataset(made, coords=labels)


def replicate(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], samples: xr.Dataset, *, random_seed: int,
    new_subjects: bool = False,
) -> xr.Dataset:  # fmt: skip
    """New data from the program, one set for each sample of the parameters.

    Parameters
    ----------
    samples : xarray.Dataset
        Draws of the program's unknowns, one dim `sample`.
    new_subjects : bool
        Whether subject effects are drawn afresh from their population instead of taken from `samples`.

    Returns
    -------
    xarray.Dataset
        Each observed variable with dims (sample, <block>_row).
    """
    built = build(model, encoded, priors)
    given = [rv for rv in built.model.free_RVs if not (new_subjects and _by_subject(built, rv))]
    observed = built.model.observed_RVs
    run = pm.compile(given, observed, random_seed=random_seed, mode=_MODE, on_unused_input="ignore")
    drawn = [run(*point) for point in points(built, given, samples)]
    return xr.Dataset({
        rv.name: (("sample", encoded.row_dim(rv.name)), np.stack([one[i] for one in drawn]).astype(float))
        for i, rv in enumerate(observed)
    })  # fmt: skip


def log_likelihood(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], posterior: xr.Dataset
) -> xr.Dataset:
    """Log likelihood of every observed row given the subject's own effects, dims (chain, draw, <block>_row)."""
    built = build(model, encoded, priors)
    given, observed = built.model.free_RVs, built.model.observed_RVs
    run = _log_densities(built, given, observed)
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    found = [run(*point) for point in points(built, given, stack(posterior))]
    return xr.Dataset({
        rv.name: (("chain", "draw", encoded.row_dim(rv.name)), np.stack([one[i] for one in found]).reshape(chains, draws, -1))
        for i, rv in enumerate(observed)
    })  # fmt: skip


def prior_draws(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], *, draws: int, random_seed: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Parameters from their priors and data from them: (prior, prior_predictive), dims (chain, draw, ...), one chain."""
    built = build(model, encoded, priors)
    unknown = [*built.model.free_RVs, *built.model.deterministics]
    run = pm.compile([], [*unknown, *built.model.observed_RVs], random_seed=random_seed, mode=_MODE)
    drawn = [run() for _ in range(draws)]
    columns = [np.stack([one[i] for one in drawn])[None] for i in range(len(drawn[0]))]
    prior = label({rv.name: column for rv, column in zip(unknown, columns, strict=False)}, built)
    predictive = {
        rv.name: (("chain", "draw", encoded.row_dim(rv.name)), column.astype(float))
        for rv, column in zip(built.model.observed_RVs, columns[len(unknown) :], strict=True)
    }
    return prior, xr.Dataset(predictive)


def subject_terms(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC]
) -> tuple[Built, Callable[..., list[np.ndarray]], list[Any], list[Any]]:
    """A function of all unknowns that returns the log density of every observed row and of every subject effect.

    Returns
    -------
    built, run, population, effects
        ``run(*population, *effects)`` gives the log likelihood of each observed variable's rows, then the log prior of
        each effect in the shape of that effect.
    """
    built = build(model, encoded, priors)
    effects = [rv for rv in built.model.free_RVs if _by_subject(built, rv)]
    population = [rv for rv in built.model.free_RVs if rv not in effects]
    run = _log_densities(built, [*population, *effects], [*built.model.observed_RVs, *effects])
    return built, run, population, effects


def _log_densities(built: Built, given: list[Any], wanted: list[Any]) -> Callable[..., list[np.ndarray]]:
    """Compile elementwise log densities as a function of the unknowns themselves, not of their transforms."""
    plain = remove_value_transforms(built.model)
    inputs = [plain.rvs_to_values[plain[rv.name]] for rv in given]
    outputs = plain.logp(vars=[plain[rv.name] for rv in wanted], sum=False)
    return pm.compile(inputs, outputs, mode=_MODE, on_unused_input="ignore")


def _by_subject(built: Built, rv: Any) -> bool:
    return "subject" in (built.model.named_vars_to_dims.get(rv.name) or ())


def points(built: Built, given: list[Any], samples: xr.Dataset) -> list[tuple[np.ndarray, ...]]:
    """The value of each unknown for each sample, subjects padded again."""
    lost = [rv.name for rv in given if rv.name not in samples]
    if lost:
        raise SettingError([
            Fault(what=f"the draws hold no {', '.join(lost)}: they are of another version of the model", value=lost[0],
                  remedy="fit again with this version", table="setting")
        ])  # fmt: skip
    columns = []
    for rv in given:
        dims = built.model.named_vars_to_dims.get(rv.name) or ()
        own = [dim for dim in samples[rv.name].dims if dim not in ("sample", "chain", "draw")]
        array = samples[rv.name].transpose("sample", *own).to_numpy()
        if "subject" in dims:
            axis = 1 + dims.index("subject")
            width = [(0, 0)] * array.ndim
            width[axis] = (0, built.encoded.n_padded - array.shape[axis])
            array = np.pad(array, width)
        columns.append(array.astype(rv.type.dtype))
    return list(zip(*columns, strict=True)) if columns else [()] * samples.sizes["sample"]
