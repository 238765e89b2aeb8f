"""How far the data moved an estimand from its prior, and the warning where they hardly did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import progression as pg
from progression import contrasts, plots
from progression.fitted import ForeignPrior
from progression.learning import PRIOR_COUNTS, learned, population_prior, prior_warnings


def draws(mean, sd, n=20_000, seed=1):
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {"effect": (("chain", "draw", "arm"), rng.normal(mean, sd, (2, n // 2, 1)))}, coords={"arm": ["a"]}
    )


@pytest.mark.parametrize(("sd", "warned"), [(0.5, False), (0.6, True), (1.0, True)])
def test_a_normal_prior_has_the_weight_of_its_share(sd, warned):
    """Prior N(0, 1) and an estimate of SD s: posterior SD r = s / sqrt(1 + s^2), mean (1 - r^2) times the estimate."""
    table = learned(draws(1.5, sd), draws(0, 1, seed=2))
    row = table.loc["effect[a]"]
    assert row["ratio"] == pytest.approx(sd, rel=0.03) and row["prior_share"] == pytest.approx(min(sd**2, 1), rel=0.06)
    assert row["shift"] == pytest.approx(1.5, abs=0.05) and row["prior_sd"] == pytest.approx(1, rel=0.03)
    found = prior_warnings(table)
    assert bool(found) == warned == (sd**2 > PRIOR_COUNTS)
    if warned:
        assert "effect[a]" in found[0] and f"{row['posterior_sd']:.2g} after" in found[0]


def test_an_estimand_without_a_standard_deviation_has_a_spread():
    rng = np.random.default_rng(3)
    cauchy = xr.Dataset({"ratio": (("chain", "draw"), rng.standard_cauchy((2, 20_000)))})
    row = learned(0.1 * cauchy, cauchy).loc["ratio"]
    assert row["ratio"] == pytest.approx(0.1) and 1 < row["prior_sd"] < 3


def test_prior_of_the_population_is_that_of_the_priors(als, fake_fit):
    fit = fake_fit(
        "als_slope", als, options={"covariates": ["age"]}, priors={"mean_slope": pg.Prior("Normal", mu=-2, sigma=0.1)}
    )
    found = population_prior(fit, draws=2000, random_seed=1)
    assert set(found.data_vars) == set(fit.priors)  # nothing by patient
    assert (
        found["slope_effect"].dims == ("chain", "draw", "active_arm")
        and found["slope_effect"].active_arm.item() == "treated"
    )
    assert float(found["mean_slope"].mean()) == pytest.approx(-2, abs=0.01)
    assert float(found["slope_effect"].std()) == pytest.approx(0.5, rel=0.06)
    again = population_prior(fit, draws=20, random_seed=1)
    assert again.equals(found.isel(draw=slice(20)))


@pytest.mark.slow
def test_any_model_can_be_asked(als_trial):
    how = {"random_seed": 1, "progressbar": False}
    found = pg.contrast(pg.fit("als_slope", als_trial, **how), "slope_difference")
    assert found.warnings == () and found.learned.empty and "WARNING" not in repr(found)
    row = found.against_prior().loc["slope_difference[treated]"]
    assert row["prior_sd"] == pytest.approx(0.5, rel=0.05)
    assert row["posterior_sd"] == pytest.approx(float(found.select().std()), rel=0.05) and row["prior_share"] < 0.25
    tight = pg.fit("als_slope", als_trial, priors={"slope_effect": pg.Prior("Normal", mu=0, sigma=0.01)}, **how)
    table = pg.contrast(tight, "slope_difference").against_prior()
    assert table.loc["slope_difference[treated]", "prior_share"] > 0.9
    weak = replace(tight.model, estimands=tuple(replace(e, weak=True) for e in tight.model.estimands))
    assert pg.contrast(replace(tight, model=weak), "slope_difference").warnings


def test_of_a_few_patients_every_estimand_is_set_beside_its_prior(lupus, fake_fit):
    """Whether or not the model thought it weak: four patients say little of anything."""
    found = pg.contrast(fake_fit("sle_joints", lupus, draws=500), "count_ratio_to_baseline")
    assert not found.estimands["count_ratio_to_baseline"].weak and list(found.learned.index) == list(found.components())
    assert found.warnings and "the prior makes up" in repr(found)  # the pretended sampler draws from the prior


def test_where_nothing_was_learnt_every_word_says_so(tiny_cohort, fake_fit, monkeypatch):
    """The pretended sampler draws from the prior; of six patients every estimand would be asked, not the weak ones alone."""
    monkeypatch.setattr(contrasts, "FEW_PATIENTS", 0)
    found = pg.contrast(fake_fit("als_antibody", tiny_cohort(pg.models()["als_antibody"], 2), draws=2000))
    names = ["slope_difference_before", "slope_difference_after", "loss_of_effect", "change_difference"]
    assert found.learned.index.tolist() == [f"{name}[treated]" for name in names]
    np.testing.assert_allclose(found.learned["ratio"], 1, atol=0.15)
    assert len(found.warnings) == 4
    for text in found.warnings:
        assert f"WARNING  {text}" in repr(found) and f"WARNING: {text}" in repr(found.summary())
    assert "the prior makes up" in repr(found)
    figure = plots.forest(found)
    written = " ".join(text.get_text() for text in figure.texts)
    assert written.count("WARNING") == 4
    assert set(found.against_prior().index) == set(found.components())


def test_draws_from_the_prior_and_priors_not_at_hand_give_no_verdict(tiny_cohort, fake_fit):
    cohort = tiny_cohort(pg.models()["als_antibody"], 2)
    prior = pg.contrast(pg.prior_check("als_antibody", cohort, draws=20).fit)
    assert prior.warnings == () and prior.learned.empty
    fit = fake_fit("als_antibody", cohort)
    foreign = replace(fit, priors={**fit.priors, "sd_slope": ForeignPrior("something of another package")})
    assert pg.contrast(foreign).learned.empty
