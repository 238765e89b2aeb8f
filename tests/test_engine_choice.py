"""Which engine computes a posterior: asked for, refused in words, given up in words; and what a fit by either can do."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import progression as pg
from progression.engines import importance, marginal, nuts
from progression.faults import SettingError
from progression.gate import diagnose

QUICK = {"random_seed": 3, "draws": 500, "progressbar": False}


@pytest.fixture(scope="module")
def fit(als_trial):
    return pg.fit("als_slope", als_trial, engine="marginal", draws=1000, random_seed=3, progressbar=False)


@pytest.fixture
def no_nuts(monkeypatch):
    monkeypatch.setattr(nuts, "sample", lambda *_, **__: pytest.fail("NUTS was run"))


# --------------------------------------------------------------------------------------------------- a fit by the marginal engine


@pytest.mark.slow
def test_a_fit_passes_the_gate_and_says_how_it_was_made(fit, als_trial):
    assert fit.problems == () and "the gate was passed" in repr(fit) and "marginal engine" in repr(fit)
    assert fit.settings == {"engine": "marginal", "draws": 1000, "chains": 4, "random_seed": 3}
    posterior = fit.posterior
    assert posterior.sizes["chain"] == 4 and posterior.sizes["draw"] == 1000
    assert posterior["level"].dims == ("chain", "draw", "subject") and posterior["slope_effect"].dims == (
        "chain",
        "draw",
        "active_arm",
    )
    assert posterior["subject"].to_numpy().tolist() == als_trial.subjects.index.tolist()
    assert {"level_raw", "slope_raw", *fit.model.priors} <= set(posterior.data_vars)
    assert all(np.isfinite(variable).all() for variable in posterior.data_vars.values())
    stats = fit.idata["sample_stats"]
    assert {"pareto_k", "importance_share", "importance_ess", "quadrature_error"} <= set(stats.data_vars)
    assert float(stats["pareto_k"].max()) < 0.7 and 0.3 < float(stats["importance_share"].max()) <= 1
    assert set(fit.idata.children) == {"posterior", "sample_stats", "observed_data", "constant_data"}


def test_summary_contrast_and_rule(fit):
    table = fit.summary()
    assert {"mean_slope", "slope_effect[treated]", "sd_residual"} <= set(
        table.index
    ) and "the gate was passed" in table.header
    assert not any("raw" in name for name in table.index)
    assert len(fit.summary(subjects=True)) > len(table) + 48
    contrast = pg.contrast(fit)
    np.testing.assert_array_equal(contrast.draws["slope_difference"].squeeze(), fit.posterior["slope_effect"].squeeze())
    assert "slope" in repr(contrast.summary()) and "PROBLEM" not in repr(contrast)


@pytest.mark.slow
def test_prediction_and_checks(fit):
    seen = fit.predict([0, 6], draws=100)
    assert seen["score"].sizes == {"sample": 100, "subject": 48, "month": 2}
    np.testing.assert_allclose(
        seen["score"].sel(month=0).mean("sample"), fit.posterior["level"].mean(("chain", "draw")), atol=1.5
    )
    new = fit.predict([0, 6], new_patients={"treated": 30}, draws=100)
    assert new["score"].sizes == {"sample": 100, "subject": 30, "month": 2}
    checked = pg.check(fit)
    assert "PROBLEM" not in repr(checked)
    more = fit.with_posterior_predictive(draws=20).with_log_likelihood()
    assert {"posterior_predictive", "log_likelihood"} <= set(more.idata.children)


def test_a_file_holds_all_of_it(fit, tmp_path):
    back = pg.load(fit.save(tmp_path / "run.nc"))
    xr.testing.assert_identical(back.posterior, fit.posterior)
    assert back.settings == fit.settings and back.problems == () and repr(back) == repr(fit)
    xr.testing.assert_identical(back.idata["sample_stats"].to_dataset(), fit.idata["sample_stats"].to_dataset())


@pytest.mark.slow
def test_patients_can_be_left_out(als_trial, als):
    """Also patients of a second cohort, whose program was made ready for the first."""
    own = {"slope_effect": pg.Prior("Normal", mu=0, sigma=0.45)}
    pg.fit("als_slope", als_trial, engine="marginal", priors=own, **QUICK)
    second = pg.fit("als_slope", als, engine="marginal", priors=own, **QUICK)
    table = pg.loo(second, draws=100)
    assert table.loc["als_slope", "elpd"] < 0 and table.loc["als_slope", "patients_k_above_0.7"] <= 2


def test_same_seed_same_draws(fit, als_trial):
    again = pg.fit("als_slope", als_trial, engine="marginal", random_seed=3, progressbar=False)
    xr.testing.assert_identical(again.posterior, fit.posterior)
    other = pg.fit("als_slope", als_trial, engine="marginal", random_seed=4, progressbar=False)
    for name in ("mean_slope", "sd_slope", "level"):
        assert not np.any(other.posterior[name].to_numpy() == fit.posterior[name].to_numpy())


def test_what_came_before_does_not_matter(fit, als_trial, als):
    """The program is kept and given other data in between."""
    pg.fit("als_slope", als, engine="marginal", **QUICK)
    again = pg.fit("als_slope", als_trial, engine="marginal", random_seed=3, progressbar=False)
    xr.testing.assert_identical(again.posterior, fit.posterior)


@pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")
@pytest.mark.parametrize(("draws", "chains"), [(500, 1), (500, 2), (400, 3), (333, 4), (200, 7)])
def test_any_number_of_draws_and_chains(draws, chains, als):
    made = pg.fit("als_slope", als, engine="marginal", draws=draws, chains=chains, random_seed=1)
    assert made.posterior.sizes["chain"] == chains and made.posterior.sizes["draw"] == draws
    means = made.posterior["mean_level"].mean("draw").to_numpy()
    assert len(np.unique(means)) == chains and np.ptp(means) < 1
    if chains == 1:
        assert any("one chain only" in problem for problem in made.problems)


@pytest.mark.slow
def test_priors_options_and_outcomes_reach_the_engine(als):
    narrow = pg.fit(
        "als_slope", als, engine="marginal", priors={"slope_effect": pg.Prior("Normal", mu=0, sigma=0.01)}, **QUICK
    )
    assert float(narrow.posterior["slope_effect"].std()) < 0.012
    with_age = pg.fit(
        "als_slope",
        als,
        engine="marginal",
        options={"covariates": ["age"], "baseline": "free"},
        outcomes="alsfrsr",
        **QUICK,
    )
    assert with_age.posterior["slope_coefficient"].sizes["covariate"] == 1
    assert with_age.posterior["level_difference"].sizes["baseline_arm"] == 1


@pytest.mark.slow
def test_a_program_that_is_not_normal_is_fitted_too(sle_trial, no_nuts):
    crp = pg.fit("sle_crp", sle_trial, engine="marginal", random_seed=3, progressbar=False)
    assert crp.problems == () and 0 < float(crp.idata["sample_stats"]["quadrature_error"].max()) < 0.05
    assert pg.contrast(crp).draws.sizes["draw"] == 1000


# --------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("engine", "text"), [("marginl", "did you mean 'marginal'"), ("nut", "did you mean 'nuts'"),
                                              ("stan", "there are: 'nuts', 'marginal'"), (1, "unknown"), ("", "unknown")])  # fmt: skip
def test_an_unknown_engine_is_answered_with_the_nearest(engine, text, als, fake_engine):
    with pytest.raises(SettingError, match=f"(?i){text}") as caught:
        pg.fit("als_slope", als, engine=engine)
    assert [fault.column for fault in caught.value.faults] == ["engine"] and not fake_engine.calls


@pytest.mark.parametrize("how", [{"sampler": "nutpie"}, {"target_accept": 0.9}, {"maxdepth": 8},
                                 {"sampler": "pymc", "maxdepth": 8, "target_accept": 0.9}])  # fmt: skip
def test_settings_of_nuts_are_refused_all_at_once(how, als, fake_engine):
    with pytest.raises(SettingError, match="is a setting of NUTS") as caught:
        pg.fit("als_slope", als, engine="marginal", **how)
    assert sorted(fault.column for fault in caught.value.faults) == sorted(how) and not fake_engine.calls
    assert all('engine="nuts"' in fault.remedy for fault in caught.value.faults)


def test_the_number_of_cores_is_nobodys_choice_of_an_engine(als, fake_engine):
    """It changes no draw, and is handed on to NUTS should it come to that."""
    one, two = (pg.fit("als_slope", als, engine="marginal", cores=cores, **QUICK) for cores in (1, 2))
    xr.testing.assert_identical(one.posterior, two.posterior)
    assert not fake_engine.calls


def test_other_settings_are_checked_as_ever(als):
    with pytest.raises(SettingError) as caught:
        pg.fit("als_slope", als, engine="marginal", draws=0, chains=0, random_seed=-2)
    assert len(caught.value.faults) == 3
    with pytest.raises(SettingError, match="is not a keyword"):
        pg.fit("als_slope", als, engine="marginal", target_acept=0.9)


PRIORS = {"mu": pg.Prior("Normal", mu=38, sigma=5)}
SCORE = {"observes": {"y": pg.Outcome("alsfrsr")}, "estimands": [], "reference": "none", "priors": PRIORS}


@pg.model(**SCORE)
def no_effects(data, prior):
    pm.Normal("y", prior("mu"), 5, observed=data.y.value, dims="y_row")


@pg.model(**SCORE)
def discrete_effects(data, prior):
    kind = pm.Bernoulli("kind", 0.5, dims="subject")
    u = pm.Normal("u", prior("mu") + 5 * kind, 2, dims="subject")
    pm.Normal("y", u[data.y.subject], 5, observed=data.y.value, dims="y_row")


@pg.model(**SCORE)
def subject_last(data, prior):
    pm.modelcontext(None).add_coord("line", ["level", "slope"])
    u = pm.Normal("u", prior("mu"), 2, dims=("line", "subject"))
    pm.Normal("y", u[0][data.y.subject], 5, observed=data.y.value, dims="y_row")


@pg.model(**SCORE)
def tied_together(data, prior):
    u = pm.Normal("u", prior("mu"), 2, dims="subject")
    pm.Potential("sum_to_zero", -(u.sum() ** 2))
    pm.Normal("y", u[data.y.subject], 5, observed=data.y.value, dims="y_row")


@pg.model(**SCORE)
def prior_on_effects(data, prior):
    u = pm.Normal("u", prior("mu"), 2, dims="subject")
    spread = pm.HalfNormal("spread", 1 + pm.math.abs(u.mean()))
    pm.Normal("y", u[data.y.subject], spread, observed=data.y.value, dims="y_row")


REFUSED = [(no_effects, "no unknown has the dim 'subject'"), (discrete_effects, "kind is a discrete unknown"),
           (subject_last, "the first dim of u is not 'subject'"), (tied_together, "sum_to_zero depends on subject effects"),
           (prior_on_effects, "the prior of spread depends on subject effects")]  # fmt: skip


@pytest.mark.parametrize(("model", "text"), REFUSED, ids=[model.name for model, _ in REFUSED])
def test_a_program_it_cannot_handle_is_refused_and_nuts_named(model, text, als, no_nuts):
    with pytest.raises(SettingError, match=text) as caught:
        pg.fit(model, als, engine="marginal")
    assert all('engine="nuts"' in fault.remedy and model.name in fault.what for fault in caught.value.faults)


# --------------------------------------------------------------------------------------------------- whose choice it is


def test_a_model_has_an_engine_of_its_own(als, fake_engine):
    @pg.model(**SCORE, engine="marginal")
    def by_itself(data, prior):
        u = pm.Normal("u", prior("mu"), 2, dims="subject")
        pm.Normal("y", u[data.y.subject], 5, observed=data.y.value, dims="y_row")

    assert pg.fit(by_itself, als, **QUICK).settings["engine"] == "marginal" and not fake_engine.calls
    assert pg.fit(by_itself, als, engine="nuts", **QUICK).settings["engine"] == "nuts" and len(fake_engine.calls) == 1
    for how in ({"sampler": "nutpie"}, {"target_accept": 0.9}, {"maxdepth": 9}):  # a setting of NUTS asks for NUTS
        assert pg.fit(by_itself, als, **how, **QUICK).settings["engine"] == "nuts"
    with pytest.raises(SettingError, match="unknown"):

        @pg.model(**SCORE, engine="marginl")
        def misspelt(data, prior):
            pm.Normal("y", prior("mu"), 5, observed=data.y.value, dims="y_row")


def test_nuts_where_it_is_asked_for(als, fake_engine):
    made = pg.fit("als_slope", als, engine="nuts", **QUICK)
    assert (
        made.settings["engine"] == "nuts" and made.settings["sampler"] == "nutpie" and "fell_back" not in made.settings
    )
    assert len(fake_engine.calls) == 1


# --------------------------------------------------------------------------------------------------- what cannot be trusted


def _given_up(*_, **__):
    raise marginal.Untrusted("the weights are hopeless")


def test_what_cannot_be_trusted_is_done_by_nuts_and_told(als, fake_engine, monkeypatch, tmp_path):
    monkeypatch.setattr(marginal, "sample", _given_up)
    with pytest.warns(pg.FitWarning, match="NUTS was run instead of the marginal engine: the weights are hopeless"):
        made = pg.fit("als_slope", als, engine="marginal", tune=77, **QUICK)
    assert len(fake_engine.calls) == 1 and fake_engine.calls[0].tune == 77
    assert fake_engine.calls[0].kwargs == {"target_accept": 0.9}  # the model's own settings of NUTS
    assert made.settings["engine"] == "nuts" and made.settings["fell_back"] == "the weights are hopeless"
    assert made.settings["sampler"] == "nutpie" and made.settings["tune"] == 77
    back = pg.load(made.save(tmp_path / "run.nc"))
    for one in (made, back):
        for shown in (one.header(), repr(one), one.summary().header, repr(one.summary())):
            assert "by NUTS" in shown and "the weights are hopeless" in shown
    assert back.settings["fell_back"] == "the weights are hopeless"
    assert made.problems == ()  # the draws of NUTS are judged as such


@pytest.mark.parametrize(("limit", "value", "text"), [("MAX_PARETO_K", -9.0, "importance weights have Pareto k"),
                                                      ("MAX_QUADRATURE_ERROR", 0.0, "the integral over subject effects is off by")])  # fmt: skip
def test_the_engine_itself_gives_up_beyond_its_limits(limit, value, text, als, fake_engine, monkeypatch):
    @pg.model(**SCORE)
    def heavy_tails(data, prior):
        u = pm.Normal("u", prior("mu"), 3, dims="subject")
        pm.StudentT("y", nu=4, mu=u[data.y.subject], sigma=2, observed=data.y.value, dims="y_row")

    monkeypatch.setattr(importance, limit, value)
    with pytest.warns(pg.FitWarning, match=text):
        made = pg.fit(heavy_tails, als, engine="marginal", **QUICK)
    assert text in made.settings["fell_back"] and len(fake_engine.calls) == 1


def test_a_refusal_is_not_a_fall_back(als, fake_engine):
    """What the engine can never do is refused; only what it cannot do on these data goes to NUTS."""
    with pytest.raises(SettingError):
        pg.fit(no_effects, als, engine="marginal", **QUICK)
    assert not fake_engine.calls


# --------------------------------------------------------------------------------------------------- the gate


def weighted(k=0.1, error=0.0, ess=900.0, n=1000):
    rng = np.random.default_rng(0)
    posterior = xr.Dataset(
        {"mu": (("chain", "draw"), rng.normal(size=(4, n))), "sd": (("chain", "draw"), rng.gamma(3, size=(4, n)))}
    )
    facts = {"pareto_k": k, "quadrature_error": error, "importance_share": 0.5, "importance_ess": ess}
    return posterior, xr.Dataset({name: (("chain", "draw"), np.full((4, n), value)) for name, value in facts.items()})


def test_good_weights_pass_the_gate():
    found = diagnose(*weighted(), expected_draws=1000)
    assert found.problems == () and found.divergences == 0 and found.bfmi == ()
    assert diagnose(*weighted(k=-np.inf)).problems == ()  # equal weights: a normal posterior


@pytest.mark.parametrize(("how", "text"), [({"k": 0.9}, "Pareto k of the importance weights is 0.90; at most 0.7"),
                                           ({"k": np.nan}, "Pareto k"), ({"k": np.inf}, "Pareto k"),
                                           ({"error": 0.2}, "the integral over subject effects is off by 0.2; at most 0.05"),
                                           ({"error": np.nan}, "the integral over subject effects"),
                                           ({"ess": 60.0}, "effective sample size down to 240")])  # fmt: skip
def test_the_gate_flags_weights_that_cannot_be_trusted(how, text):
    found = diagnose(*weighted(**how), expected_draws=1000)
    assert len(found.problems) == 1 and text in found.problems[0], found.problems


def test_the_gate_lists_everything_wrong_with_weights():
    posterior, stats = weighted(k=0.9, error=0.2)
    posterior["mu"] = posterior["mu"] + xr.DataArray([0, 0, 0, 1.0], dims="chain")
    found = diagnose(posterior, stats, expected_draws=2000)
    for text in ("Pareto k", "integral over subject effects", "R-hat", "cut short"):
        assert any(text in problem for problem in found.problems), found.problems
    assert not any("divergences" in problem or "cannot be judged" in problem for problem in found.problems)


def test_effective_draws_are_no_more_than_the_weights_carry():
    """Draws are resampled points: where weights are uneven the same point is drawn again and again."""
    table = diagnose(*weighted(ess=120.0)).table
    assert (table[["ess_bulk", "ess_tail"]].max(axis=None)) <= 480


def test_a_fit_whose_weights_fail_the_gate_says_so(als, monkeypatch):
    """Should the engine's own limit ever be wider than the gate's."""
    made = marginal.sample

    def worse(*args, **how):
        posterior, stats = made(*args, **how)
        return posterior, stats.assign(pareto_k=stats["pareto_k"] * 0 + 0.9)

    monkeypatch.setattr(marginal, "sample", worse)
    with pytest.warns(pg.FitWarning, match="Pareto k of the importance weights is 0.90"):
        found = pg.fit("als_slope", als, engine="marginal", **QUICK)
    assert "PROBLEM" in repr(found) and "Pareto k" in found.summary().header
    with pytest.raises(pg.FitError, match="Pareto k"):
        pg.fit("als_slope", als, engine="marginal", strict=True, **QUICK)
