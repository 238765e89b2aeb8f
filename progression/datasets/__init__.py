"""Cohorts that come with the package: two published pilots of anakinra, and simulated trials."""

from progression.datasets.als_trial import simulated_als
from progression.datasets.published import als_anakinra_capacity, sle_anakinra
from progression.datasets.reconstructed import als_anakinra
from progression.datasets.sle_trial import simulated_sle
from progression.datasets.truth import truth_of

__all__ = [
    "als_anakinra",
    "als_anakinra_capacity",
    "sle_anakinra",
    "simulated_als",
    "simulated_sle",
    "truth_of",
]
