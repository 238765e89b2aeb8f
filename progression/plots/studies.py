"""Figure of a MAP prior: every study as it was seen and as the others move it, and what they say of a new one."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy import special, stats

from progression.historical import MapPrior
from progression.plots.style import ARM_COLOURS, INK, MARKED, MEDIUM, SMALL, WIDTH, shortened, tidy

_UNITS = {"binomial": "response rate", "counts": "events per unit of exposure", "normal": "mean"}


def studies(found: MapPrior) -> Figure:
    """Studies above, the new one below; beside them the density of the new one and of the mixture that stands for it.

    Parameters
    ----------
    found : MapPrior

    Returns
    -------
    matplotlib.figure.Figure
        Left: each study's own 95 % interval (grey) and, shrunken towards the others, its posterior one (blue); at the
        bottom the interval of a new study. Right: the exact density of the new study's value, and the mixture.
    """
    table, summary = found.studies, found.summary()
    n = len(table)
    figure = Figure(figsize=(WIDTH, 1.6 + 0.3 * (n + 2)), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    tidy(left, grid="x")
    tidy(right, grid="x")
    left.set_title("the studies, and a new one: 95 % intervals", size=MEDIUM, loc="left")
    value, low, high = _own(found)
    rows = summary.iloc[2:]
    for i in range(n):
        own = rows.iloc[i]
        seen = left.plot([low[i], high[i]], [i - 0.14] * 2, color="#9AA0A6", linewidth=1.6)[0]
        left.plot(value[i], i - 0.14, "o", color="#9AA0A6", markersize=4)
        moved = left.plot([own["lower"], own["upper"]], [i + 0.14] * 2, color=ARM_COLOURS[1], linewidth=2)[0]
        left.plot(own["median"], i + 0.14, "o", color=ARM_COLOURS[1], markersize=4)
    new = rows.iloc[-1]
    ahead = left.plot([new["lower"], new["upper"]], [n + 0.3] * 2, color=MARKED, linewidth=2.6)[0]
    left.plot(new["median"], n + 0.3, "o", color=MARKED, markersize=6)
    sizes = table["n"] if "n" in table else table["exposure"]
    names = [shortened(f"{name} ({size:g})", 34) for name, size in zip(table["study"], sizes, strict=True)]
    left.set_yticks([*range(n), n + 0.3], [*names, "a new study"], size=SMALL)
    left.invert_yaxis()
    left.set_xlabel(_UNITS[found.kind], size=SMALL)
    left.legend([seen, moved, ahead], ["alone", "with the others", "new"], frameon=False, fontsize=SMALL, loc="best")
    right.set_title(f"the MAP prior, worth {found.ess():.3g} by ELIR", size=MEDIUM, loc="left")
    x, weight = found.density()
    inside = (x > summary.loc["new study", "lower"] - (new["upper"] - new["lower"]) * 0.3) & (
        x < new["upper"] * 1.6 - 0.6 * new["median"]
    )
    right.fill_between(
        x[inside], (weight / np.gradient(x))[inside], color=MARKED, alpha=0.25, linewidth=0, label="exact"
    )
    right.plot(x[inside], np.exp(found.mixture.log_density(x[inside])), color=INK, linewidth=1.3, linestyle=(0, (4, 2)),
               label=f"mixture of {len(found.mixture.weights)}")  # fmt: skip
    right.set(yticks=[], ylim=(0, None))
    right.set_xlabel(f"{_UNITS[found.kind]} in a new study", size=SMALL)
    right.legend(frameon=False, fontsize=SMALL, loc="upper right")
    return figure


def _own(found: MapPrior) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each study's own estimate and 95 % interval: Clopper-Pearson, exact Poisson, or normal."""
    table = found.studies
    if found.kind == "normal":
        half = 1.96 * table["sd"] / np.sqrt(table["n"])
        return table["mean"].to_numpy(), (table["mean"] - half).to_numpy(), (table["mean"] + half).to_numpy()
    r = table["events"].to_numpy(float)
    if found.kind == "binomial":
        n = table["n"].to_numpy(float)
        low, high = stats.beta.ppf(0.025, r, n - r + 1), stats.beta.ppf(0.975, r + 1, n - r)
        return r / n, np.nan_to_num(low), np.where(np.isnan(high), 1.0, high)
    size = table["exposure"].to_numpy(float)
    return r / size, special.gammaincinv(np.maximum(r, 1e-9), 0.025) / size, special.gammaincinv(r + 1, 0.975) / size
