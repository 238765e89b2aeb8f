"""The gate every fit passes: did the sampler converge, can its draws be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from progression.engines.importance import MAX_PARETO_K, MAX_QUADRATURE_ERROR
from progression.tables import components

# Thresholds: Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16:667, for R-hat and ESS;
# Betancourt (2016), arXiv 1604.00695, for E-BFMI.
MAX_RHAT, MIN_ESS_PER_CHAIN, MIN_BFMI = 1.01, 100, 0.3

# Each statistic under the name it bears in nutpie and in PyMC.
_NAMES = {
    "divergences": ("diverging",),
    "tree depth": ("maxdepth_reached", "reached_max_treedepth"),
    "energy": ("energy",),
}


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What the gate read, and what it found wrong.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns r_hat, ess_bulk, ess_tail; one row for each scalar parameter.
    divergences, deep_trees : int
        Draws that diverged, draws that ran into the greatest tree depth.
    bfmi : tuple of float
        Energy Bayesian fraction of missing information, one value a chain.
    problems : tuple of str
        Empty if the fit passed.
    """

    table: pd.DataFrame
    divergences: int
    deep_trees: int
    bfmi: tuple[float, ...]
    problems: tuple[str, ...]


def diagnose(posterior: xr.Dataset, stats: xr.Dataset, *, expected_draws: int | None = None) -> Diagnostics:
    """Read R-hat, bulk and tail ESS, and what the engine that ran says of itself.

    For NUTS: divergences, E-BFMI and tree depth. For the marginal engine: Pareto k of the weights, their effective
    sample size and the error of the integral over subject effects.
    """
    problems: list[str] = []
    found: dict[str, np.ndarray] = {}
    weighted = "pareto_k" in stats
    for meaning, names in _NAMES.items() if not weighted else ():
        present = [name for name in names if name in stats]
        if present:
            found[meaning] = stats[present[0]].to_numpy()
        else:
            problems.append(
                f"the sampler reports no {meaning} under a known name ({', '.join(names)}): cannot be judged"
            )
    divergences = int(np.sum(found.get("divergences", 0)))
    deep = int(np.sum(found.get("tree depth", 0)))
    bfmi = tuple(_bfmi(chain) for chain in found["energy"]) if "energy" in found else ()
    table = convergence(posterior)
    if weighted:
        problems += _weights(stats)
        most = float(stats["importance_ess"].max()) * posterior.sizes["chain"]  # draws repeat where weights are uneven
        table[["ess_bulk", "ess_tail"]] = table[["ess_bulk", "ess_tail"]].clip(upper=most)
    n_draws, n_chains = posterior.sizes["draw"], posterior.sizes["chain"]
    if expected_draws is not None and n_draws < expected_draws:
        problems.append(f"sampling was cut short: {n_draws} draws a chain of {expected_draws}")
    if n_chains < 2:
        problems.append("one chain only: convergence between chains cannot be judged")
    if not np.isfinite(table.to_numpy()).all():
        names_ = ", ".join(table.index[~np.isfinite(table).all(axis=1)][:3])
        problems.append(f"R-hat or effective sample size cannot be computed for {names_}")
    worst, low = table["r_hat"].max(), min(table["ess_bulk"].min(), table["ess_tail"].min())
    if worst > MAX_RHAT:
        problems.append(f"R-hat up to {worst:.3f} ({table['r_hat'].idxmax()}); at most {MAX_RHAT} is wanted")
    if low < MIN_ESS_PER_CHAIN * n_chains:
        kind = table[["ess_bulk", "ess_tail"]].min(axis=1).idxmin()
        problems.append(
            f"effective sample size down to {low:.0f} ({kind}); at least {MIN_ESS_PER_CHAIN * n_chains} is wanted"
        )
    if divergences:
        total = n_draws * n_chains
        problems.append(f"{divergences} of {total} draws diverged; raise target_accept or reconsider the priors")
    if deep:
        problems.append(f"{deep} draws ran into the greatest tree depth")
    if bfmi and not min(bfmi) >= MIN_BFMI:  # written so that a NaN fails
        problems.append(f"E-BFMI down to {min(bfmi):.2f}; at least {MIN_BFMI} is wanted")
    return Diagnostics(table, divergences, deep, bfmi, tuple(problems))


def _weights(stats: xr.Dataset) -> list[str]:
    """What is wrong with weighted points: the shape of the weights' tail, the error of the integral over subjects."""
    k, error = float(stats["pareto_k"].max()), float(stats["quadrature_error"].max())
    found = []
    if not k <= MAX_PARETO_K:
        found.append(f"Pareto k of the importance weights is {k:.2f}; at most {MAX_PARETO_K} is wanted")
    if not error <= MAX_QUADRATURE_ERROR:
        found.append(
            f"the integral over subject effects is off by {error:.2g}; at most {MAX_QUADRATURE_ERROR} is wanted"
        )
    return found


def convergence(posterior: xr.Dataset) -> pd.DataFrame:
    """R-hat, bulk and tail ESS of each scalar population parameter, and the worst subjects of each subject effect."""
    parts: dict[str, xr.DataArray] = {}
    for name, variable in posterior.data_vars.items():
        if str(name).endswith("_raw") or variable.size == 0:
            continue
        if "subject" in variable.dims:
            variable = variable.isel(subject=_suspects(variable))
        parts |= components(xr.Dataset({name: variable}))
    if not parts:
        return pd.DataFrame(columns=["r_hat", "ess_bulk", "ess_tail"], dtype=float)
    array = xr.concat([one.reset_coords(drop=True) for one in parts.values()], dim="entry")
    columns = {
        "r_hat": azs.rhat(array),
        "ess_bulk": azs.ess(array, method="bulk"),
        "ess_tail": azs.ess(array, method="tail"),
    }
    return pd.DataFrame({key: found.to_numpy() for key, found in columns.items()}, index=list(parts))


def _suspects(variable: xr.DataArray, count: int = 3) -> list[int]:
    """The few subjects whose chains differ most, by plain split variance ratio: R-hat of hundreds takes seconds."""
    array = variable.transpose("subject", ..., "chain", "draw").to_numpy()
    half = array.shape[-1] // 2
    if half < 2 or len(array) <= count:
        return list(range(min(count, len(array))))
    parts = np.concatenate([array[..., :half], array[..., -half:]], axis=-2)
    within = parts.var(axis=-1).mean(axis=-1)
    ratio = parts.mean(axis=-1).var(axis=-1) / np.where(within > 0, within, 1)
    worst = ratio.reshape(len(ratio), -1).max(axis=1)
    return sorted(np.argsort(worst)[-count:].tolist())


def _bfmi(energy: np.ndarray) -> float:
    spread = float(np.var(energy))
    return float(np.mean(np.diff(energy) ** 2)) / spread if spread > 0 else float("nan")
