"""A model that looks like the data passes; one that cannot vary enough fails."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import progression as pg
from progression.checking import compare
from progression.encoding import encode
from progression.statistics import slices


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
def test_a_spread_that_is_too_narrow_fails(als_fit):
    """The same posterior with a third of the residual."""
    groups = {name: node.to_dataset() for name, node in als_fit.idata.children.items()}
    groups["posterior"] = groups["posterior"].assign(sd_residual=groups["posterior"]["sd_residual"] / 3)
    found = pg.check(replace(als_fit, idata=xr.DataTree.from_dict(groups)))
    assert not found.passed and "FAILED" in repr(found)
    assert any("LOO-PIT of score is not uniform" in problem for problem in found.problems)
    assert not found.table.query("statistic == 'SD of change'")["ok"].all()
    assert any("SD of change of alsfrsr at month" in problem for problem in found.problems)


@pytest.mark.slow
def test_overdispersion(joints_fit, sle_trial, real_fit):
    """Counts that vary strongly from visit to visit: beta-binomial passes, (nearly) binomial fails."""
    assert pg.check(joints_fit, draws=500).passed
    tight = {"overdispersion": pg.Prior("Beta", alpha=1, beta=100_000)}
    found = pg.check(real_fit("sle_joints", sle_trial, priors=tight, draws=500, tune=500))
    assert not found.passed
    for text in ("variance within patients of tender_joints in control", "LOO-PIT of joints is not uniform"):
        assert any(text in problem for problem in found.problems)
    assert not found.table.query("statistic == 'variance within patients'")["ok"].any()


@pytest.mark.parametrize("n", [40, 400])
def test_few_replicates_hide_no_misfit(n, als):
    """Observed values far outside all replicates must fail, however many replicates and statistics there are."""
    encoded = encode(pg.models()["als_slope"], als)
    flat = 38 + 0.01 * np.random.default_rng(0).normal(size=(n, als.n_visits))
    arm = dict(als.subjects["arm"])
    found = compare(encoded, arm, xr.Dataset({"score": (("sample", "score_row"), flat)}))
    spread = found[found["statistic"] == "SD of change"]
    assert len(spread) == 6 and (spread["observed"] > 10 * spread["upper"]).all() and not spread["ok"].any()
    own = encoded.arrays["score_value"][1] + np.random.default_rng(0).normal(size=(n, als.n_visits))
    near = compare(encoded, arm, xr.Dataset({"score": (("sample", "score_row"), own)}))
    assert near.query("statistic == 'mean change'")["ok"].all()


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
    assert ratio["50%"] == pytest.approx(0.5, abs=0.01) and ratio["97.5%"] - ratio["2.5%"] == pytest.approx(
        0.04, rel=0.3
    )
    assert found.predictive["score"].sizes == {"sample": 200, "score_row": 48}
    assert "before any data" in repr(found) and found.fit.settings["sampler"] == "prior"
    high = {**narrow, "mean_level": pg.Prior("Normal", mu=60, sigma=0.1)}
    assert (pg.prior_check("als_slope", als, priors=high, draws=50).table["share off the scale"] == 1).all()
    again = pg.prior_check("als_slope", als, priors=narrow, draws=200, random_seed=2)
    np.testing.assert_array_equal(again.predictive["score"], found.predictive["score"])


def test_variance_within_patients_by_hand():
    """Two patients on either side of each visit's mean, moving apart: computed with pencil and paper."""
    facts = {"integer": True, "lower": 0, "upper": 28, "higher_is_better": False}
    rows = {
        "subject": list("AAABBB"),
        "time": [0, 1, 2] * 2,
        "tender_joints": [0, 5, 11, 0, 1, 3],
        "swollen_joints": [5] * 6,
    }
    outcomes = [pg.Outcome(name, **facts) for name in ("tender_joints", "swollen_joints")]
    cohort = pg.Cohort.from_table(pd.DataFrame(rows), time_unit="months", outcomes=outcomes)
    encoded = encode(pg.models()["sle_joints"], cohort)
    tender, swollen = slices(encoded, dict(cohort.subjects["arm"]))
    value = encoded.arrays["joints_value"][1]
    found = {key[0]: v for key, v in tender.statistics(value[tender.rows].astype(float)).items() if np.isnan(key[1])}
    assert found["variance within patients"] == 4.0  # means of visits 0, 3, 7; residuals 0, 2, 4 and 0, -2, -4
    assert found["variance"] == pytest.approx(np.var([0, 5, 11, 0, 1, 3], ddof=1))
    assert found["share of zeros"] == pytest.approx(2 / 6) and found["share at the ceiling"] == 0
    still = {key[0]: v for key, v in swollen.statistics(value[swollen.rows].astype(float)).items()}
    assert still["variance within patients"] == 0
