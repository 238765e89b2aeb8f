"""Contrast -> how much each prior, and the data, decide it: by power-scaling, without fitting again."""

from __future__ import annotations

from collections.abc import Sequence

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from progression.contrasts import Contrast
from progression.engines import forward
from progression.engines.program import Built, build
from progression.faults import SettingError, setting_fault, suggest
from progression.fitted import Fit, ForeignPrior
from progression.tables import Summary

__all__ = ["SENSITIVE", "prior_sensitivity"]

SENSITIVE = 0.05  # above it a component is called sensitive: the threshold of Kallioinen et al. (2024)
FLAT = 1e-9
SCALED = 0.8, 1.25  # powers that a table of how the mean moves is made for


def prior_sensitivity(contrast: Contrast, *, priors: Sequence[str] | None = None) -> pd.DataFrame:
    """How far each component of a contrast moves where priors, or the likelihood, are raised to a power near 1.

    A prior raised to the power 1.25 is one that is held a quarter more strongly: of a normal one, the variance is divided by 1.25.

    Parameters
    ----------
    contrast : Contrast
    priors : sequence of str, optional
        Parameters whose priors are scaled one at a time; all by default.

    Returns
    -------
    pandas.DataFrame
        One row a component. ``prior`` and ``likelihood``: the sensitivity to all priors of population parameters together, and to all data;
        then, by parameter, to that prior alone. Sensitivity is the change of the distribution (cumulative Jensen-Shannon distance) per
        doubling of the power; 0.05 and more counts. ``in words``: "rests on the prior" where the prior counts and the data do not,
        "prior and data pull apart" where both do, else empty. ``mean x 0.8`` and ``mean x 1.25``: the posterior mean with all
        priors scaled by these powers.

    Raises
    ------
    SettingError
        For an unknown parameter; for a fit whose priors are known by their description only, as one read from a file with priors of a
        user's own class; for a contrast against a published control, of which the fit has no prior.

    Notes
    -----
    Power-scaling with Pareto smoothed importance weights: Kallioinen, Paananen, Bürkner and Vehtari (2024), Statistics and Computing 34:57. What is
    scaled are priors of population parameters; how effects of patients are distributed, given these, is part of the model.
    """
    fit = contrast.fit
    built = build(fit.model, fit.encoded(), fit.priors)
    population = [rv.name for rv in built.model.free_RVs if "subject" not in (built.model.named_vars_to_dims.get(rv.name) or ())]  # fmt: skip
    _check(contrast, priors, population)
    population = [name for name in population if fit.posterior[name].size]  # not what this cohort has no use for
    chosen = list(population if priors is None else priors)
    parts = contrast.components()
    tree = xr.DataTree.from_dict({
        "posterior": xr.Dataset({f"v{k}": one.reset_coords(drop=True) for k, one in enumerate(parts.values())}),
        "log_prior": _log_prior(fit, built, population),
        "log_likelihood": forward.log_likelihood(fit.model, fit.encoded(), fit.priors, fit.posterior),
    })  # fmt: skip
    table = pd.DataFrame({"prior": _sensitivity(tree, "prior"), "likelihood": _sensitivity(tree, "likelihood")})
    for name in chosen:
        flat = np.ptp(tree["log_prior"][name].to_numpy()) < FLAT  # a flat prior stays what it is, whatever its power
        table[name] = 0.0 if flat else _sensitivity(tree, "prior", group_var_names=[name])
    weak, told = table["prior"] >= SENSITIVE, table["likelihood"] >= SENSITIVE
    table["in words"] = np.select([weak & told, weak], ["prior and data pull apart", "rests on the prior"], "")
    for power in SCALED:
        table[f"mean x {power:g}"] = _means(tree, power)
    table.index = pd.Index(list(parts))
    return Summary(table).with_header(f"sensitivity to power-scaling; {fit.header()}")


def _unknown(fit: Fit, population: Sequence[str]) -> list[str]:
    return [name for name in population if name not in fit.posterior]


def _check(contrast: Contrast, priors: Sequence[str] | None, population: Sequence[str]) -> None:
    fit, faults = contrast.fit, []
    foreign = [name for name, prior in fit.priors.items() if isinstance(prior, ForeignPrior)]
    if foreign or _unknown(fit, population):
        faults.append(setting_fault("contrast", ", ".join(foreign or _unknown(fit, population)), "has a prior that is known by its description only",
                                    "fit again in this session"))  # fmt: skip
    if contrast.against is not None:
        faults.append(setting_fault("contrast", "against", "is set against a published control, of which the fit has no prior",
                                    "ask of pg.contrast(fit) without it"))  # fmt: skip
    faults += [
        setting_fault("priors", name, f"is no population parameter of this fit{suggest(name, population)}", f"use {', '.join(population)}")
        for name in priors or () if name not in population
    ]  # fmt: skip
    if faults:
        raise SettingError(faults)


def _log_prior(fit: Fit, built: Built, population: Sequence[str]) -> xr.Dataset:
    """Log density of the prior of each population parameter, dims (chain, draw, ...)."""
    given = [built.model[name] for name in population]
    run = forward._log_densities(built, given, given)
    found = [run(*point) for point in forward.points(built, given, forward.stack(fit.posterior[list(population)]))]
    chains, draws = fit.posterior.sizes["chain"], fit.posterior.sizes["draw"]
    return xr.Dataset({
        name: (("chain", "draw", f"{name}_part"), np.stack([one[i] for one in found]).reshape(chains, draws, -1))
        for i, name in enumerate(population)
    })  # fmt: skip


def _sensitivity(tree: xr.DataTree, group: str, **which: Sequence[str]) -> np.ndarray:
    found = azs.psense(tree, group=group, **which)
    return np.array([float(found[f"v{k}"]) for k in range(len(found.data_vars))])


def _means(tree: xr.DataTree, power: float) -> np.ndarray:
    """Posterior means with all priors raised to a power, by smoothed importance weights."""
    logs = tree["log_prior"].to_dataset().to_stacked_array("part", sample_dims=("chain", "draw"))
    raw = logs.sum("part").azstats.power_scale_lw(alpha=power, dim=["chain", "draw"]).to_numpy().ravel()
    weights = np.exp(raw - np.logaddexp.reduce(raw))
    return np.array([float(weights @ one.to_numpy().ravel()) for one in tree["posterior"].to_dataset().data_vars.values()])  # fmt: skip
