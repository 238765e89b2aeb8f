"""How far the data moved an estimand from its prior, and the warning where they hardly did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from scipy import stats

import progression as pg
from progression import contrasts, learning, plots
from progression.encoding import encode
from progression.engines.program import build
from progression.fitted import ForeignPrior
from progression.learning import PRIOR_COUNTS, _at_once, _drawn_at_once, learned, population_prior, prior_warnings


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


def test_draws_taken_together_are_those_taken_one_by_one():
    """Parents and children, what is computed of patients, constants, mixtures and truncations: each draw is of the joint prior."""
    with pm.Model() as model:
        spread = pm.HalfNormal("spread", 2.0)
        effect = pm.Normal("effect", 0, spread, shape=3)
        cut = pm.Truncated("cut", pm.Normal.dist(0, 1), lower=0.5)
        drift = pm.Mixture("drift", w=[0.5, 0.5], comp_dists=[pm.Normal.dist(-3, 0.1), pm.Normal.dist(3, 0.1)])
        own = pm.Normal("own", effect.sum(), 1.0, shape=5)
        raw = pm.Normal("raw", shape=4)
        for name, one in {
            "total": own.mean() + cut,
            "fixed": pt.as_tensor([1.0, 2.0]),
            "of_raw": raw.max(),
            "sum": effect.sum() + drift,
        }.items():
            pm.Deterministic(name, one)
    wanted = [*model.free_RVs, *model.deterministics]
    n = 4000
    wide = _at_once(model, n)
    together = pm.compile([], [wide[rv] for rv in wanted], random_seed=1)()
    run = pm.compile([], wanted, random_seed=2, mode="FAST_COMPILE")
    alone = [np.stack(column) for column in zip(*(run() for _ in range(n)), strict=True)]
    held = {rv.name: column for rv, column in zip(wanted, together, strict=True)}
    for rv, one, other in zip(wanted, together, alone, strict=True):
        assert one.shape == other.shape
        for a, b in zip(one.reshape(n, -1).T, other.reshape(n, -1).T, strict=True):
            assert stats.ks_2samp(a, b).pvalue > 1e-4 or rv.name == "fixed", rv.name
    np.testing.assert_allclose(held["total"], held["own"].mean(1) + held["cut"])
    np.testing.assert_allclose(held["sum"], held["effect"].sum(1) + held["drift"])
    np.testing.assert_allclose(held["of_raw"], held["raw"].max(1))
    assert held["fixed"].tolist() == [[1.0, 2.0]] * n
    assert np.std(held["effect"] / held["spread"][:, None]) == pytest.approx(1, rel=0.03)
    assert len(np.unique(held["raw"])) == 4 * n  # nobody's effect is that of all draws
    with model:  # what PyTensor cannot be told to do at once is done one by one
        pm.Mixture("child", w=[0.5, 0.5], comp_dists=[pm.Normal.dist(spread, 0.1), pm.Normal.dist(3, 0.1)])
    assert _at_once(model, n) is None


@pytest.mark.parametrize("program", [
    lambda a: pm.Normal("b", pm.math.stack([a, a]), 1, shape=pm.math.stack([a, a]).shape),  # a size that depends on a draw
    lambda a: pm.Deterministic("b", pm.math.stack([a, -a, a])[pm.math.stack([a, -a, a]) > 0].sum()),  # ragged
    lambda a: pm.Deterministic("b", a + pm.Normal.dist()),  # draws without a name
    lambda a: pm.Deterministic("b", 1.0 * pm.Normal.dist()),
    lambda a: pm.Normal("b", pm.Normal.dist(0, 5), 1e-3),
    lambda a: pm.CustomDist("b", 0.0, dist=lambda mu, size: pm.Normal.dist(pm.Normal.dist(mu, 5), 1e-3, size=size)),
])  # fmt: skip
def test_what_would_be_drawn_wrongly_at_once_is_drawn_one_by_one(program):
    with pm.Model() as model:
        b = program(pm.Normal("a"))
    found = _drawn_at_once(model, [b], 50, 1)
    assert found is None or len(np.unique(found[0].reshape(50, -1)[:, 0].round(1))) > 20


@pytest.mark.parametrize("name", pg.models())
def test_models_on_the_shelf_are_drawn_at_once(name, tiny_cohort):
    model = pg.models()[name]
    built = build(model, encode(model, tiny_cohort(model, 2)), model.priors)
    wide = _at_once(built.model, 7)
    assert wide is not None and set(wide) == {*built.model.free_RVs, *built.model.deterministics}


def test_a_program_that_cannot_be_drawn_at_once_is_drawn_one_by_one(als, fake_fit, monkeypatch):
    fit = fake_fit("als_slope", als)
    at_once = population_prior(fit, draws=500, random_seed=1)
    monkeypatch.setattr(learning, "_at_once", lambda model, draws: None)
    one_by_one = population_prior(fit, draws=500, random_seed=1)
    assert set(at_once.data_vars) == set(one_by_one.data_vars) and at_once.sizes == one_by_one.sizes
    for name, one in at_once.items():
        assert one.dims == one_by_one[name].dims
        assert not one.size or stats.ks_2samp(one.values.ravel(), one_by_one[name].values.ravel()).pvalue > 1e-4, name


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
