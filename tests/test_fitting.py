"""From a model and a cohort to a fit: settings refused at once, problems told everywhere, seeds that hold."""

import time
import warnings

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import progression as pg
from progression.engines import nuts
from progression.faults import CohortError, SettingError

SETTINGS = [
    ({"draws": 0}, "draws", "whole number"),
    ({"draws": 10.5}, "draws", "whole number"),
    ({"draws": True}, "draws", "whole number"),
    ({"tune": 0}, "tune", "whole number"),
    ({"tune": -5}, "tune", "whole number"),
    ({"chains": 0}, "chains", "whole number"),
    ({"chains": "4"}, "chains", "whole number"),
    ({"sampler": "nutpi"}, "sampler", "did you mean 'nutpie'"),
    ({"sampler": "stan"}, "sampler", "there are: 'nutpie', 'pymc'"),
    ({"target_accept": 2}, "target_accept", "not a probability"),
    ({"target_accept": 1.0}, "target_accept", "not a probability"),
    ({"random_seed": -1}, "random_seed", "whole number"),
    ({"random_seed": 1.5}, "random_seed", "whole number"),
]


@pytest.mark.parametrize(("how", "column", "what"), SETTINGS)
def test_impossible_settings_are_refused_at_once(how, column, what, als, fake_engine):
    pg.models()  # the first use of a name imports PyMC, which is not what is timed
    start = time.thread_time()  # of this thread: a machine may be busy with other things
    with pytest.raises(SettingError, match=what) as caught:
        pg.fit("als_slope", als, **how)
    assert time.thread_time() - start < 1
    assert [fault.column for fault in caught.value.faults] == [column] and not fake_engine.calls


@pytest.mark.parametrize("how", [{"cores": 0}, {"cores": -1}, {"target_acept": 0.9}, {"target_accept": "high"},
                                 {"random_seed": True}, {"random_seed": 2**70}])  # fmt: skip
def test_keywords_of_the_sampler_are_checked_too(how, als, fake_engine):
    with pytest.raises(SettingError):
        pg.fit("als_slope", als, **how)


def test_all_settings_at_once_and_what_else_is_refused(als, lupus, fake_engine):
    with pytest.raises(SettingError) as caught:
        pg.fit("als_slope", als, draws=0, chains=0, sampler="x", random_seed=-2, target_accept=0)
    assert len(caught.value.faults) == 5
    with pytest.raises(SettingError, match="is not a Cohort"):
        pg.fit("als_slope", als.visits)
    with pytest.raises(SettingError, match="did you mean 'mean_slope'"):
        pg.fit("als_slope", als, priors={"mean_slop": pg.Prior("Normal", mu=0, sigma=1)})
    with pytest.raises(SettingError, match="did you mean 'covariates'"):
        pg.fit("als_slope", als, options={"covariate": ["age"]})
    with pytest.raises(CohortError, match="observes alsfrsr"):
        pg.fit("als_slope", lupus)
    assert not fake_engine.calls


def test_a_fit_without_problems_is_silent(als, fake_engine):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = pg.fit("als_slope", als, random_seed=4, strict=True)
    assert fit.problems == () and "the gate was passed" in repr(fit) and "PROBLEM" not in repr(fit)
    assert "the gate was passed" in repr(fit.summary()) and "tiny ALS (12 subjects, observed data)" in repr(fit)
    assert fit.outcomes == ("alsfrsr",) and set(fit.versions) >= {"pymc", "nutpie", "progression-bayes"}
    assert set(fit.idata.children) == {"posterior", "sample_stats", "observed_data", "constant_data"}


FAULTS = [("apart", 9.0, "R-hat up to"), ("divergences", 5, "5 of 4000 draws diverged"),
          ("cut_short", 200, "cut short: 800"), ("rename", {"diverging": "div"}, "no divergences under a known name")]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
@pytest.mark.parametrize(("switch", "value", "text"), FAULTS)
def test_problems_are_told_everywhere(switch, value, text, sampler, als, fake_engine, tmp_path):
    setattr(fake_engine, switch, value)
    with pytest.warns(pg.FitWarning, match=text):
        fit = pg.fit("als_slope", als, random_seed=4, sampler=sampler)
    assert any(text in problem for problem in fit.problems)
    for shown in (
        repr(fit),
        fit.summary().header,
        repr(fit.summary()),
        fit.summary()._repr_html_(),
        repr(pg.contrast(fit)),
    ):
        assert text in shown and "PROBLEM" in shown
    assert text in pg.contrast(fit).draws.attrs["problems"] and text in repr(pg.contrast(fit).summary())
    path = fit.save(tmp_path / "run.nc")
    assert text in xr.open_datatree(path, engine="h5netcdf").attrs["problems"]
    assert pg.load(path).problems == fit.problems
    with pytest.raises(pg.FitError, match=text) as caught:
        pg.fit("als_slope", als, random_seed=4, sampler=sampler, strict=True)
    assert caught.value.fit.problems == fit.problems


def test_what_reaches_the_engine_and_what_is_recorded(als, fake_fit):
    sharp = pg.Prior("HalfNormal", sigma=0.1)
    fit = fake_fit("als_slope", als, priors={"sd_slope": sharp}, draws=400, tune=90, chains=3, random_seed=12, cores=1)
    call = fake_fit.engine.calls[0]
    assert (call.draws, call.tune, call.chains, call.random_seed) == (400, 90, 3, 12)
    assert call.priors["sd_slope"] is sharp and set(call.priors) == set(fit.model.priors)
    assert call.priors["sd_level"] == fit.model.priors["sd_level"] and fit.priors["sd_slope"] is sharp
    assert fit.model.priors["sd_slope"] != sharp
    assert call.kwargs == {"target_accept": 0.9, "cores": 1}  # the model's own keyword, and the user's
    assert fit.settings == {"engine": "nuts", "sampler": "nutpie", "draws": 400, "tune": 90, "chains": 3, "random_seed": 12,
                            "target_accept": 0.9, "cores": 1}  # fmt: skip
    assert fake_fit("als_slope", als, target_accept=0.7).settings["target_accept"] == 0.7
    drawn = {fake_fit("als_slope", als, random_seed=None).settings["random_seed"] for _ in range(2)}
    assert len(drawn) == 2 and drawn == {call.random_seed for call in fake_fit.engine.calls[-2:]}
    assert fake_fit("als_slope", als, options={"covariates": ["age"]}).options["covariates"] == ["age"]


def test_groups_on_request(als, fake_fit):
    fit = fake_fit("als_slope", als, posterior_predictive=True, log_likelihood=True, draws=100)
    assert fit.idata["posterior_predictive"]["score"].sizes == {"sample": 400, "score_row": 48}
    assert fit.idata["log_likelihood"]["score"].sizes == {"chain": 4, "draw": 100, "score_row": 48}


@pytest.mark.parametrize("value", [95, 0, 1, -0.1])
def test_an_interval_is_a_probability(value, als, fake_fit):
    fit = fake_fit("als_slope", als)
    for ask in (fit.summary, pg.contrast(fit).summary):
        with pytest.raises(SettingError, match=r"Did you mean 0\.95" if value == 95 else "not a probability"):
            ask(ci_prob=value)


@pytest.mark.slow
def test_same_seed_same_draws_on_any_cores(als_trial, real_fit, monkeypatch):
    """And the second fit of this size runs the code of the first: nothing is compiled."""
    first = real_fit("als_slope", als_trial, engine="nuts", draws=300, tune=300)
    monkeypatch.setattr(nuts, "compile_native", lambda *_, **__: pytest.fail("compiled again"))
    again = real_fit("als_slope", als_trial, engine="nuts", draws=300, tune=300, cores=1)
    xr.testing.assert_identical(again.posterior, first.posterior)
    other = real_fit("als_slope", als_trial, engine="nuts", draws=300, tune=300, random_seed=2)
    assert not np.array_equal(other.posterior["mean_slope"], first.posterior["mean_slope"])
    fewer = pg.datasets.simulated_als(n=(20, 24), random_seed=8)  # the same bucket of 48, other data
    fit = real_fit("als_slope", fewer, engine="nuts", draws=100, tune=200)
    assert fit.posterior.sizes["subject"] == 44
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        real_fit("als_slope", als_trial, engine="nuts", priors={"sd_slope": pg.Prior("HalfNormal", sigma=3)})


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_a_funnel_is_told(sampler, als, real_fit):
    @pg.model(observes={"score": pg.Outcome("alsfrsr")}, estimands=[], reference="Neal (2003)",
              priors={"width": pg.Prior("Normal", mu=0, sigma=3), "unit": pg.Prior("Normal", mu=0, sigma=1)})  # fmt: skip
    def funnel(data, prior):
        width, unit = prior("width"), prior("unit")
        narrow = pm.Normal("narrow", 0, pm.math.exp(width / 2), shape=9)
        pm.Normal("score", 38 + 0 * narrow.sum() + 0 * unit, 10, observed=data.score.value, dims="score_row")

    fit = real_fit(funnel, als, sampler=sampler, draws=300, tune=300, cores=1, target_accept=0.3, random_seed=5)
    assert fit.diagnostics.divergences > 0 and any("diverged" in problem for problem in fit.problems)
    assert not any("cannot be judged" in problem for problem in fit.problems)


def test_what_compiled_code_is_kept_under(als, als_trial, coded):
    """Nothing but what the code is tied to: the program, its priors, the sizes of its dims."""
    model = pg.models()["als_slope"]

    def program(cohort, priors=None, **how):
        return nuts._Program(model, model.with_priors(priors), coded(model, cohort, **how))

    same = pg.datasets.simulated_als(n=(5, 6), random_seed=9)
    assert program(als) == program(same) and hash(program(als)) == hash(program(same))
    others = [program(als_trial), program(als, options={"covariates": ["age"]}), program(als, options={"baseline": "free"}),
              program(als, {"sd_slope": pg.Prior("HalfNormal", sigma=0.9)})]  # fmt: skip
    assert all(program(als) != other for other in others)
