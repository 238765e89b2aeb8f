"""Figures of fits, contrasts, checks and simulated trials. Each function draws and returns a matplotlib Figure; none shows or saves it.

No pyplot, no global settings: ``figure.savefig("x.svg")`` writes one; a notebook shows it after ``%matplotlib inline``. Every figure says
where its data come from unless they were observed, and names the problems of its fit in red.
"""

from progression.plots.balances import balance
from progression.plots.checks import loo_pit, predictive
from progression.plots.draws import diagnostics
from progression.plots.forests import forest
from progression.plots.operating import power
from progression.plots.patients import trajectories
from progression.plots.priors import prior_implies, prior_posterior
from progression.plots.ranks import ranks
from progression.plots.sizes import sizes
from progression.plots.studies import studies
from progression.plots.sweeps import sweep
from progression.plots.trial_ends import estimates, stopping
from progression.plots.trials import trial

__all__ = [
    "balance",
    "diagnostics",
    "estimates",
    "forest",
    "loo_pit",
    "power",
    "predictive",
    "prior_implies",
    "prior_posterior",
    "ranks",
    "sizes",
    "stopping",
    "studies",
    "sweep",
    "trajectories",
    "trial",
]
