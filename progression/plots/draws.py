"""Figures of draws: how the sampler did."""

from __future__ import annotations

from itertools import product

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from progression.faults import check_type
from progression.fitted import Fit
from progression.gate import MAX_RHAT, MIN_BFMI, MIN_ESS_PER_CHAIN
from progression.plots.style import FAILED, FAINT, INK, SMALL, message, new_figure, plain, tidy

_ACROSS = 4
_MOST_RANKS = 8
_CHAIN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#5F6368")


def population_parameters(fit: Fit, posterior: xr.Dataset | None = None) -> dict[str, np.ndarray]:
    """Draws of each scalar that has a prior and is no subject's own, by name and labels, shape (chain, draw)."""
    posterior = fit.posterior if posterior is None else posterior
    found: dict[str, np.ndarray] = {}
    for name in fit.model.priors:
        if name not in posterior or posterior[name].size == 0 or "subject" in posterior[name].dims:
            continue
        variable = posterior[name].transpose("chain", "draw", ...)
        dims = variable.dims[2:]
        labels = [
            variable[dim].to_numpy().tolist() if dim in variable.coords else list(range(variable.sizes[dim]))
            for dim in dims
        ]
        array = variable.to_numpy().reshape(variable.sizes["chain"], variable.sizes["draw"], -1)
        for i, chosen in enumerate(product(*labels)):
            # A dim of one label says nothing: "slope_effect[treated]" yes, "effect[0]" no.
            shown = [f"{x:.1f} mo" if isinstance(x, float) else str(x) for x in chosen]
            found[f"{name}[{', '.join(shown)}]" if shown else name] = array[:, :, i]
    return found


def broken(name: str) -> str:
    """A parameter's name over its labels, cut to what a small panel holds."""
    head, _, labels = name.partition("[")
    labels = labels.removesuffix("]")
    return plain(head + (f"\n{labels if len(labels) <= 34 else labels[:33] + '…'}" if labels else ""))


def diagnostics(fit: Fit) -> Figure:
    """How the sampler did: R-hat and effective sample size, energy, and ranks of the worst mixing parameters.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    matplotlib.figure.Figure
        Above: every parameter's R-hat and smaller effective sample size against what the gate asks for, and the energy
        by chain. Below: for up to eight parameters, those whose chains differ most, the ranks of each chain's
        draws among all; chains that sample the same distribution stay within the grey band (Vehtari et al. 2021,
        Bayesian Analysis 16:667).
    """
    check_type("fit", fit, Fit, "give what pg.fit or pg.load returned")
    every = population_parameters(fit)
    spread = {name: _spread_of_means(array) for name, array in every.items()}
    worst = sorted(every, key=lambda name: -spread[name])[:_MOST_RANKS]
    rows = -(-len(worst) // _ACROSS)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_CHAIN_COLOURS[i % len(_CHAIN_COLOURS)], linewidth=1.6, label=f"chain {i + 1}")
        for i in range(min(fit.posterior.sizes["chain"], 6))
    ]
    handles.append(Patch(color=FAINT, label="95 % of bins if chains agree and draws are independent"))
    figure = new_figure(2.75 + 1.4 * rows + 0.1, fit, f"{fit.model.name}: sampling diagnostics", legend=handles)
    grid = figure.add_gridspec(1 + rows, 12, height_ratios=[2.6, *[1.5] * rows])
    _convergence(figure.add_subplot(grid[0, :6]), fit)
    _energy(figure.add_subplot(grid[0, 6:]), fit)
    for i, name in enumerate(worst):
        row, column = divmod(i, _ACROSS)
        axes = figure.add_subplot(grid[1 + row, 3 * column : 3 * column + 3])
        _ranks(axes, every[name])
        axes.set_title(broken(name), size=SMALL, pad=3)
    return figure


def _spread_of_means(array: np.ndarray) -> float:
    """Variance between halves of chains in units of that within: enough to order parameters by how badly they mix."""
    half = max(array.shape[1] // 2, 1)
    halves = np.concatenate([array[:, :half], array[:, -half:]])
    within = float(halves.var(axis=1).mean())
    return float(halves.mean(axis=1).var()) / within if within > 0 else 0.0


def _convergence(axes: Axes, fit: Fit) -> None:
    table = fit.diagnostics.table
    if table.empty:
        message(axes, "no convergence statistics")
        return
    size = table[["ess_bulk", "ess_tail"]].min(axis=1).to_numpy()
    rhat = table["r_hat"].to_numpy()
    wanted = MIN_ESS_PER_CHAIN * fit.posterior.sizes["chain"]
    bad = (rhat > MAX_RHAT) | (size < wanted)
    axes.plot(size[~bad], rhat[~bad], "o", color="#0072B2", alpha=0.7, markersize=5)
    axes.plot(size[bad], rhat[bad], "X", color=FAILED, markersize=8)
    axes.axhline(MAX_RHAT, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.axvline(wanted, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    tidy(axes, grid="both")
    axes.set_xlim(0, None)
    low, high = min(0.999, np.nanmin(rhat)), max(1.0105, np.nanmax(rhat))
    axes.set_ylim(low - 0.07 * (high - low), high + 0.07 * (high - low))
    axes.set_xlabel("effective draws, the smaller of bulk and tail", size=SMALL)
    axes.set_ylabel("R-hat", size=SMALL)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title(f"{len(table)} parameters: good is below and right of the dashes", size=SMALL)


def _energy(axes: Axes, fit: Fit) -> None:
    stats_ = fit.idata["sample_stats"].to_dataset() if "sample_stats" in fit.idata.children else xr.Dataset()
    if "energy" not in stats_:
        message(axes, "weighted points have no energy" if "pareto_k" in stats_ else "the sampler reports no energy")
        return
    energy = stats_["energy"].transpose("chain", "draw").to_numpy()
    centred, steps = (energy - energy.mean()).ravel(), np.diff(energy, axis=1).ravel()
    reach = np.quantile(np.abs(np.concatenate([centred, steps])), 0.995)
    bins = np.linspace(-reach, reach, 41).tolist()
    axes.hist(centred, bins=bins, density=True, color="#B8BEC5", alpha=0.8, label="energy")
    axes.hist(steps, bins=bins, density=True, histtype="step", color="#0072B2", linewidth=1.6, label="its steps")
    tidy(axes, grid="").set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("energy, centred", size=SMALL)
    axes.legend(fontsize=SMALL, frameon=False, loc="upper right")
    low = min(fit.diagnostics.bfmi, default=float("nan"))
    divergences = fit.diagnostics.divergences
    axes.set_title(f"E-BFMI from {low:.2f} (at least {MIN_BFMI}); {divergences} divergences", size=SMALL,
                   color=FAILED if low < MIN_BFMI or divergences else INK)  # fmt: skip


def _ranks(axes: Axes, array: np.ndarray, bins: int = 15) -> None:
    chains, draws = array.shape
    bins = max(min(bins, draws // 8), 2)
    ranks = stats.rankdata(array, method="ordinal").reshape(array.shape) - 1
    edges = np.linspace(0, array.size, bins + 1)
    low, high = stats.binom.ppf([0.025, 0.975], draws, 1 / bins)
    axes.axhspan(low, high, color=FAINT, linewidth=0)
    seen = [low, high]
    for i in range(chains):
        counts, _ = np.histogram(ranks[i], bins=edges)
        seen += [counts.min(), counts.max()]
        colour = _CHAIN_COLOURS[i % len(_CHAIN_COLOURS)]
        axes.stairs(counts, edges / array.size, color=colour, linewidth=1.1, baseline=None)
    tidy(axes, grid="").set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 1)
    room = 0.3 * (max(seen) - min(seen))
    axes.set_ylim(max(min(seen) - room, 0), max(seen) + room)
    axes.set_xticks([0, 0.5, 1], ["lowest", "rank", "highest"])
