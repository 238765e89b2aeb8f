"""Power-scaled priors: the mean they give is that of a fit with such priors; what decides an estimand is named."""

from __future__ import annotations

import numpy as np
import pytest

import progression as pg
from progression.faults import SettingError

HOW = {"random_seed": 1, "draws": 2500, "progressbar": False}


@pytest.fixture(scope="module")
def trial():
    return pg.datasets.simulated_als(n=(12, 12), random_seed=2)


@pytest.fixture(scope="module")
def contrast(trial):
    return pg.contrast(pg.fit("als_slope", trial, **HOW), "slope_difference")


def raised(prior, power):
    """The prior whose density is proportional to this one's to a power; flat ones stay."""
    own = dict(prior.parameters)
    if prior.distribution == "LogNormal":
        own["mu"] += (1 - power) / power * own["sigma"] ** 2
    if "sigma" in own:
        own["sigma"] /= np.sqrt(power)
    assert prior.distribution in {"Normal", "HalfNormal", "LogNormal", "Uniform"}
    return pg.Prior(prior.distribution, **own)


@pytest.mark.slow
def test_scaled_means_are_those_of_fits_with_scaled_priors(trial, contrast):
    found = pg.prior_sensitivity(contrast, priors=[])
    for power in (0.8, 1.25):
        priors = {name: raised(prior, power) for name, prior in contrast.fit.priors.items()}
        again = pg.contrast(pg.fit("als_slope", trial, priors=priors, **HOW), "slope_difference")
        mean = float(again.draws["slope_difference"].mean())
        error = 3 * float(again.draws["slope_difference"].std()) * np.sqrt(2 / again.draws["slope_difference"].size)
        assert abs(float(found[f"mean x {power:g}"].iloc[0]) - mean) < error
        moved = mean - float(contrast.draws["slope_difference"].mean())
        assert abs(moved) > error  # else nothing is shown


@pytest.mark.slow
def test_what_decides_is_named(contrast):
    wide = pg.prior_sensitivity(contrast, priors=["slope_effect", "mean_level"]).iloc[0]
    assert wide["slope_effect"] > 5 * wide["mean_level"]
    large = pg.datasets.simulated_als(n=(60, 60), random_seed=3)
    said = {}
    for name, mu, sigma in (("far", -1.0, 0.3), ("wide", 0.0, 2.0)):
        fit = pg.fit(
            "als_slope", large, priors={"slope_effect": pg.Prior("Normal", mu=mu, sigma=sigma)}, **HOW | {"draws": 500}
        )
        said[name] = pg.prior_sensitivity(pg.contrast(fit, "slope_difference"), priors=["slope_effect"])
    assert list(said["far"].columns[:3]) == ["prior", "likelihood", "slope_effect"]
    assert said["far"]["in words"].iloc[0] == "prior and data pull apart" and said["wide"]["in words"].iloc[0] == ""
    assert said["far"]["slope_effect"].iloc[0] > 5 * said["wide"]["slope_effect"].iloc[0]


def test_refusals(contrast, tmp_path):
    with pytest.raises(SettingError, match="did you mean 'slope_effect'"):
        pg.prior_sensitivity(contrast, priors=["slope_efect"])
    published = pg.SummaryArm(mean=-1.0, sd=0.8, n=64, source="a trial of 1990")
    with pytest.raises(SettingError, match="of which the fit has no prior"):
        pg.prior_sensitivity(pg.contrast(contrast.fit, "slope", against=published))
