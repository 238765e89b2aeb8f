"""A model that looks like the data passes; one that cannot vary enough fails."""

import numpy as np
import pytest
from scipy import stats

import progression as pg
from progression.checking import _loo_pit


@pytest.mark.slow
def test_a_model_that_fits_passes(als_fit):
    assert not als_fit.problems
    found = pg.check(als_fit, draws=500)
    assert found.passed and found.problems == () and "passed" in repr(found)
    assert found.table["ok"].all() and len(found.table) > 10
    assert set(found.table["statistic"]) >= {"mean change", "SD of change"}
    row = found.table.query("arm == 'treated' and statistic == 'mean change'").iloc[-1]
    visits = als_fit.cohort.visits.merge(als_fit.cohort.subjects, left_on="subject", right_index=True)
    own = visits[visits["arm"] == "treated"].groupby("subject")["alsfrsr"]
    assert row["observed"] == pytest.approx(float((own.last() - own.first()).mean()))
    assert row["lower"] < row["predicted"] < row["upper"] and 0 < row["p"] <= 1
    pit = found.loo_pit["score"]
    assert pit.shape == (als_fit.cohort.n_visits,) and stats.kstest(pit, "uniform").pvalue > 0.01
    assert found.fit.idata["posterior_predictive"]["score"].sizes["sample"] == 500
    again = pg.check(als_fit, draws=500)
    np.testing.assert_array_equal(again.table["predicted"], found.table["predicted"])


@pytest.mark.slow
def test_other_data_than_the_model_saw_fail(als_fit):
    """The same posterior before data from a trial whose scores scatter three times as wide."""
    from dataclasses import replace

    wild = pg.datasets.simulated_als(n=(24, 24), random_seed=3, sd_residual=6.0)
    found = pg.check(replace(als_fit, cohort=wild), draws=400)
    assert not found.passed and "FAILED" in repr(found)
    assert any("SD of change of alsfrsr" in problem for problem in found.problems)
    assert any("LOO-PIT" in problem for problem in found.problems)


@pytest.mark.slow
def test_overdispersion(joints_fit, sle_trial, real_fit):
    """Counts that vary strongly from visit to visit: beta-binomial passes, (nearly) binomial fails."""
    assert pg.check(joints_fit, draws=500).passed
    tight = {"overdispersion": pg.Prior("Beta", alpha=1, beta=100_000)}
    found = pg.check(real_fit("sle_joints", sle_trial, priors=tight, draws=500, tune=500), draws=500)
    assert not found.passed
    assert any("variance within patients" in problem or "LOO-PIT" in problem for problem in found.problems)
    assert not found.table.query("statistic == 'variance within patients'")["ok"].all()


@pytest.mark.slow
def test_values_below_the_limit(crp_fit):
    found = pg.check(crp_fit, draws=500)
    assert found.passed, found.problems
    rows = found.table[found.table["statistic"] == "share below the limit"]
    visits = crp_fit.cohort.visits.merge(crp_fit.cohort.subjects, left_on="subject", right_index=True)
    share = visits.groupby("arm")["crp_mg_dl_censored"].mean()
    assert rows.set_index("arm")["observed"].to_dict() == pytest.approx(share.to_dict())


def test_problems_of_the_fit_fail_the_check(als, fake_fit):
    fake_fit.engine.divergences = 3
    found = pg.check(fake_fit("als_slope", als, draws=50), draws=40)
    assert not found.passed and any("diverged" in problem for problem in found.problems)


@pytest.mark.parametrize(("spread", "uniform"), [(1.0, True), (0.4, False), (2.5, False)])
def test_loo_pit_is_uniform_only_for_the_truth(spread, uniform):
    rng = np.random.default_rng(1)
    values, replicates = rng.normal(size=600), spread * rng.normal(size=(800, 600))
    density = np.tile(stats.norm.logpdf(values, scale=spread), (800, 1))
    p = stats.kstest(_loo_pit(values, replicates, density, seed=1), "uniform").pvalue
    assert (p > 0.01) if uniform else (p < 1e-4)


def test_loo_pit_leaves_the_row_out():
    """Two points of the posterior; the weight of each is one over the density it gives the row."""
    values, replicates = np.array([0.5]), np.array([[0.0], [1.0]])
    found = _loo_pit(values, replicates, np.log([[0.75], [0.25]]), seed=0)
    weight = np.minimum(np.array([1.0, 3.0]), 2.0 * np.sqrt(2))  # truncated at mean times root of their number
    assert found[0] == pytest.approx(weight[0] / weight.sum())


def test_what_priors_imply(als):
    narrow = {"mean_level": pg.Prior("Normal", mu=38, sigma=0.001), "sd_level": pg.Prior("HalfNormal", sigma=0.001),
              "sd_residual": pg.Prior("LogNormal", mu=-7, sigma=0.1), "mean_slope": pg.Prior("Normal", mu=-1, sigma=0.001),
              "sd_slope": pg.Prior("HalfNormal", sigma=0.001), "slope_effect": pg.Prior("Normal", mu=0.5, sigma=0.01)}  # fmt: skip
    found = pg.prior_check("als_slope", als, priors=narrow, draws=200, random_seed=2)
    table = found.table.set_index(["arm", "month"])
    for arm, slope in (("control", -1.0), ("treated", -0.5)):
        for month in (0.0, 2.0, 4.0, 6.0):
            row = table.loc[(arm, month)]
            assert row["50%"] == pytest.approx(38 + slope * month, abs=0.05)
            assert row["2.5%"] <= row["25%"] <= row["50%"] <= row["75%"] <= row["97.5%"]
            assert row["share off the scale"] == 0
    ratio = found.estimands.loc["slope_ratio[treated]"]
    assert ratio["50%"] == pytest.approx(0.5, abs=0.01) and ratio["97.5%"] - ratio["2.5%"] == pytest.approx(0.04, rel=0.3)
    assert found.predictive["score"].sizes == {"sample": 200, "score_row": 48}
    assert "before any data" in repr(found) and found.fit.settings["sampler"] == "prior"
    high = {**narrow, "mean_level": pg.Prior("Normal", mu=60, sigma=0.1)}
    assert (pg.prior_check("als_slope", als, priors=high, draws=50).table["share off the scale"] == 1).all()
    again = pg.prior_check("als_slope", als, priors=narrow, draws=200, random_seed=2)
    np.testing.assert_array_equal(again.predictive["score"], found.predictive["score"])
