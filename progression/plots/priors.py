"""Figures of priors: against the posteriors, and what they imply before any data."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from progression.checking import PriorCheck, prior_check
from progression.faults import check_type
from progression.fitted import Fit
from progression.plots.draws import broken, population_parameters
from progression.plots.style import (
    INK,
    MARKED,
    MEDIUM,
    SMALL,
    arm_colour,
    in_time_unit,
    message,
    new_figure,
    outcome_axis,
    shortened,
    tidy,
    time_axis,
)

_ACROSS = 4
_KEY = "#7F8890"


def prior_posterior(fit: Fit, *, draws: int = 2000, random_seed: int = 0, prior: PriorCheck | None = None) -> Figure:
    """Prior against posterior of every population parameter.

    Parameters
    ----------
    fit : Fit
    draws : int
        Number of draws from the prior.
    random_seed : int
        For the draws from the prior.
    prior : PriorCheck, optional
        One made before with the same priors, to save drawing again.

    Returns
    -------
    matplotlib.figure.Figure
        A panel each: densities of prior (grey) and posterior (blue). Where the two coincide the data said nothing.
    """
    check_type("fit", fit, Fit, "give what pg.fit or pg.load returned")
    if prior is None:
        prior = prior_check(fit.model, fit.cohort, priors=fit.priors, outcomes=fit.outcomes, options=fit.options,
                            draws=draws, random_seed=random_seed)  # fmt: skip
    after, before = population_parameters(fit), population_parameters(fit, prior.fit.posterior)
    rows = -(-len(after) // _ACROSS)
    handles = [Patch(color="#B8BEC5", alpha=0.75, label="prior"), Patch(color="#0072B2", alpha=0.55, label="posterior")]
    figure = new_figure(1.55 * max(rows, 1) + 0.1, fit, f"{fit.model.name}: priors and posteriors", legend=handles)
    grid = list(figure.subplots(max(rows, 1), _ACROSS, squeeze=False).ravel())
    for axes in grid[len(after) :]:
        axes.set_axis_off()
    for axes, (name, drawn) in zip(grid, after.items(), strict=False):
        early, late = before[name].ravel(), drawn.ravel()
        low, high = np.quantile(early, [0.005, 0.995])
        reach = (min(low, float(np.quantile(late, 0.001))), max(high, float(np.quantile(late, 0.999))))
        axes.hist(early, bins=np.linspace(*reach, 41).tolist(), density=True, color="#B8BEC5", alpha=0.75)
        inner = np.quantile(late, [0.001, 0.999])
        bins = np.linspace(inner[0], inner[1], 31).tolist() if np.ptp(inner) > 0 else 10
        axes.hist(late, bins=bins, density=True, histtype="stepfilled", color="#0072B2", alpha=0.55)
        axes.set_xlim(*reach)
        tidy(axes, grid="").set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(broken(name), size=SMALL, pad=3)
    return figure


def prior_implies(prior_check: PriorCheck) -> Figure:
    """What the priors alone imply for the outcome at each visit, before any data.

    Parameters
    ----------
    prior_check : PriorCheck

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each outcome and arm: median, 50 % and 95 % intervals by visit; dashed lines at the ends of the
        scale, and the share of implied values that lie beyond them.
    """
    check_type("prior_check", prior_check, PriorCheck, "give what pg.prior_check returned")
    fit, table = prior_check.fit, prior_check.table
    cohort = fit.cohort
    outcomes = [outcome for block in fit.encoded().blocks.values() for outcome in block]
    handles = [
        Line2D([], [], color=_KEY, linewidth=6, label="50 %"),
        Line2D([], [], color=_KEY, linewidth=2, alpha=0.6, label="95 %"),
    ]
    if any(outcome.lower is not None or outcome.upper is not None for outcome in outcomes):
        handles.append(Line2D([], [], color=INK, linewidth=0.9, linestyle="--", label="end of the scale"))
    title = f"{fit.model.name}: what the priors imply before any data"
    figure = new_figure(2.6 * len(outcomes) + 0.1, fit, title, legend=handles)
    grid = figure.subplots(len(outcomes), len(cohort.arms), squeeze=False)
    columns = ["2.5%", "25%", "50%", "75%", "97.5%"]
    for row, outcome, last in zip(grid, outcomes, [False] * (len(outcomes) - 1) + [True], strict=True):
        mine = table[table["outcome"] == outcome.name]
        for column, (axes, arm) in enumerate(zip(row, cohort.arms, strict=True)):
            own = mine[mine["arm"] == arm].sort_values("month")
            if own.empty:
                message(axes, "no rows")
                continue
            times = in_time_unit(cohort, own["month"].to_numpy())
            q = own[columns].to_numpy().T
            colour = arm_colour(cohort, arm)
            axes.vlines(times, q[0], q[4], color=colour, linewidth=2, alpha=0.45)
            axes.vlines(times, q[1], q[3], color=colour, linewidth=6, alpha=0.8)
            axes.plot(times, q[2], "o", color="white", markeredgecolor=colour, markersize=5)
            ends = mine[columns].to_numpy()
            tidy(axes)
            if outcome.positive:
                outcome_axis(axes, outcome, ends)
            for bound in (outcome.lower, outcome.upper):
                if bound is not None:
                    axes.axhline(bound, color=INK, linestyle=(0, (4, 3)), linewidth=0.9)
            off = float(own["share off the scale"].mean())
            bounded = outcome.lower is not None or outcome.upper is not None
            beyond = f"; {100 * off:.0f} % off the scale" if bounded else ""
            axes.set_title(shortened(arm, 30) + beyond, size=MEDIUM, color=MARKED if off > 0.05 else INK)
            axes.margins(x=0.08)
            time_axis(axes, cohort, own["month"].to_numpy(), named=last)
            if not column:
                axes.set_ylabel(shortened(outcome.title, 34), size=SMALL)
        limits = [axes.get_ylim() for axes in row if axes.axison]
        for axes in row:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure
