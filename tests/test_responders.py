"""Responders: rules by hand, strategies for intercurrent events, and probabilities against counting simulated patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.faults import SettingError
from progression.responses import Signs
from progression_models import bicla_style, fewer_joints, sri_style
from tests import simulators
from tests.recovery.yardsticks import pinned

FEWER = pg.Response("at least 50 % fewer active joints", fewer_joints())
BEFALLS = {"flare": "composite", "treatment interrupted": "treatment policy"}
TRUTH = {
    "time_course": [-0.3, -0.4], "sd_visit": 0.4, "count_level": [-0.5, -1.2], "count_loading": [0.8, 1.0], "sd_count": [0.4, 0.3],
    "overdispersion": [0.05, 0.08], "marker_level": [0.4], "marker_loading": [0.7], "sd_marker": [0.6], "sd_residual": [0.5],
}  # fmt: skip


class Vector:
    """A prior that is one known vector, within a ten-thousandth."""

    def __init__(self, values):
        self.values = np.asarray(values, float)

    def to_pymc(self, name, **kwargs):
        import pymc as pm

        return pm.Normal(name, self.values, 1e-4, **kwargs)


@pytest.fixture
def lupus_fit(lupus, fake_fit):
    return fake_fit("sle_activity", lupus, outcomes="vas", draws=200)


def signs(**values):
    return {name: np.array(value, float) for name, value in values.items()}


def test_rules_by_hand():
    start = signs(
        tender_joints=[10, 10, 0, 3], swollen_joints=[4, 4, 0, 0], crp_mg_dl=[2, 2, 1, 1], vas=[50, 50, 10, 40]
    )
    now = signs(tender_joints=[5, 6, 0, 1], swollen_joints=[2, 2, 0, 1], crp_mg_dl=[1, 1, 1, 1], vas=[61, 40, 10, 50])
    assert fewer_joints()(start, now).tolist() == [True, False, False, False]
    assert fewer_joints(0.3)(start, now).tolist() == [True, True, False, True]
    assert sri_style()(start, now).tolist() == [False, False, False, False]
    assert sri_style(worse_vas=11)(start, now).tolist() == [True, False, False, False]
    assert bicla_style()(start, now).tolist() == [True, False, False, False]
    assert not bicla_style()(start, now | {"crp_mg_dl": np.full(4, 9.0)}).any()
    unseen = signs(tender_joints=[np.nan] * 4, swollen_joints=[0] * 4)
    assert not FEWER.of(Signs(start), Signs(unseen)).any()


@pytest.mark.slow
def test_the_four_patients(lupus_fit, lupus):
    """Table 2: by week 4 active joints of patients 1, 2 and 4 fell by half; by week 12 patient 3 was worse, and patient 4 had flared."""
    week4, week12 = (
        pg.responders(lupus_fit, FEWER, month=month, strategies=BEFALLS, draws=100, new_patients=20)
        for month in (0.92, 2.76)
    )
    seen = lupus.visits.assign(
        active=lambda t: t["tender_joints"] + t["swollen_joints"], week=lambda t: (t["month"] * 365.25 / 84).round()
    )
    active = seen.pivot_table(index="subject", columns="week", values="active")
    assert week4.patients["observed"].tolist() == (active[4] <= active[0] / 2).tolist()
    assert week12.patients["event"].fillna("").tolist() == ["", "", "", "flare"]
    assert not week12.patients.loc["4", "observed"] and week12.patients.loc["4", "probability"] == 0
    assert week4.patients.loc["4", "probability"] > 0 and week4.patients["event"].isna().all()
    assert "single arm" in repr(week12) and "n = 4" in repr(week12) and week12.difference.empty


@pytest.mark.slow
def test_a_sign_that_the_rule_does_not_read_may_be_missing(lupus, fake_fit):
    visits = lupus.visits.assign(vas=lambda t: t["vas"].where(t["month"] == 0))
    some = pg.Cohort.from_table(visits, lupus.subjects.reset_index(), time_unit="months", columns={"time": "month"}, outcomes=list(lupus.outcomes),
                                arms=["anakinra"], allocation="single arm")  # fmt: skip
    fit = fake_fit("sle_activity", some, outcomes="vas", draws=100)
    how = {"month": 0.92, "draws": 20, "new_patients": 5}
    assert pg.responders(fit, FEWER, **how).patients["observed"].notna().all()
    assert pg.responders(fit, pg.Response("SRI style", sri_style()), **how).patients["observed"].isna().all()


def test_patients_respond_from_the_baseline_that_was_seen(fake_fit):
    """Of a rule that reads baseline alone the table knows the answer: no draw of the posterior may change it."""
    cohort = pg.datasets.simulated_sle(n=(5, 5), random_seed=2)
    fit = fake_fit("sle_activity", cohort, draws=100)
    start = (
        cohort.visits[cohort.visits["month"] == 0].set_index("subject")["tender_joints"].reindex(cohort.subjects.index)
    )
    many = start > start.median()
    found = pg.responders(fit, pg.Response("many", lambda start_, now: start_["tender_joints"] > start.median()), month=3, draws=20,
                          new_patients=5)  # fmt: skip
    np.testing.assert_array_equal(found.patients["probability"], many)
    np.testing.assert_array_equal(found.patients["observed"], many)
    shares = many.groupby(cohort.subjects["arm"]).mean()
    control, treated = (shares[arm] for arm in cohort.arms)
    assert control != treated
    assert found.difference.loc[(cohort.arms[1], "these patients"), "mean"] == pytest.approx(treated - control)


@pytest.mark.slow
def test_strategies(lupus, fake_fit):
    without = lupus.visits[~((lupus.visits["subject"] == "2") & (lupus.visits["month"] > 0))]
    events = lupus.events.rename(columns={"month": "time"})
    some = pg.Cohort.from_table(without, lupus.subjects.reset_index(), events=events, time_unit="months", columns={"time": "month"},
                                outcomes=list(lupus.outcomes), arms=["anakinra"], allocation="single arm")  # fmt: skip
    fit = fake_fit("sle_activity", some, draws=200)
    policy = pg.responders(fit, FEWER, month=2.76, strategies=dict.fromkeys(BEFALLS, "treatment policy"))
    supposed = pg.responders(
        fit, FEWER, month=2.76, strategies={"flare": "hypothetical", "treatment interrupted": "hypothetical"}
    )
    composite = pg.responders(fit, FEWER, month=2.76, strategies=dict.fromkeys(BEFALLS, "composite"))
    pd.testing.assert_series_equal(policy.patients["probability"], supposed.patients["probability"])
    assert policy.patients["observed"].isna().tolist() == [False, True, False, True]
    assert (composite.patients.loc[["2", "4"], "probability"] == 0).all() and (policy.patients["probability"] > 0).all()
    expected = composite.patients["probability"].mean()
    assert composite.arms.loc[("anakinra", "these patients"), "mean"] == pytest.approx(expected)
    # A new patient is spared as a Beta(1/2 + 2, 1/2 + 2) says: a half.
    share = (
        composite.arms.loc[("anakinra", "a new patient"), "mean"]
        / policy.arms.loc[("anakinra", "a new patient"), "mean"]
    )
    assert share == pytest.approx(0.5, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [fewer_joints(), bicla_style()], ids=["fewer joints", "BICLA style"])
def test_new_patients_respond_as_often_as_simulated_ones(rule, fake_fit):
    """Parameters known: the joint posterior predictive against counting patients of an independent simulator."""
    months, n, effect = [0, 1, 3], 20_000, [-0.5, -0.8]
    rng = np.random.default_rng(4)
    table = simulators.sle_activity(
        rng, n_per_arm={"control": n, "treated": n}, months=months, effect={"treated": effect}, **TRUTH
    )
    few = table[table["subject"].isin([f"p{i}" for i in (*range(5), *range(n, n + 5))])]
    names = ["tender_joints", "swollen_joints", "crp_mg_dl"]
    cohort = pg.Cohort.from_table(few, time_unit="months", outcomes=names, arms=["control", "treated"], allocation="randomised",
                                  provenance="simulated")  # fmt: skip
    known = {name: Vector(value) for name, value in TRUTH.items() if name != "sd_visit"}
    priors = {**known, "sd_visit": pinned(TRUTH["sd_visit"]), "effect": Vector([effect])}
    fit = fake_fit("sle_activity", cohort, priors=priors, draws=200)
    found = pg.responders(fit, pg.Response("rule", rule), month=3, draws=400, new_patients=200)
    wide = {month: table[table["time"] == month].reset_index(drop=True) for month in (0, 3)}
    meets = rule(wide[0], wide[3]).to_numpy()
    treated = (wide[0]["arm"] == "treated").to_numpy()
    for arm, who in (("control", ~treated), ("treated", treated)):
        share = meets[who].mean()
        error = np.sqrt(share * (1 - share) * (1 / n + 1 / (400 * 200)))
        assert abs(found.arms.loc[(arm, "a new patient"), "mean"] - share) < 4 * error
    assert found.difference.loc[("treated", "a new patient"), "probability"] > 0.5
    assert "SIMULATED data" in found.notes


@pytest.mark.slow
def test_refusals(lupus_fit):
    def told(match, response=FEWER, **how):
        with pytest.raises(SettingError, match=match):
            pg.responders(lupus_fit, response, **({"month": 2.76, "strategies": BEFALLS} | how))

    told("how it counts is not stated", strategies={"flare": "composite"})
    told("did you mean 'flare'", strategies={"flair": "composite"} | BEFALLS)
    told("did you mean 'composite'", strategies=BEFALLS | {"flare": "compsite"})
    told("nothing hypothetical is left", strategies=BEFALLS | {"treatment interrupted": "hypothetical"})
    told("not a time after baseline", month=0)
    told("not a number of patients", new_patients=0)
    told("is not a Response", response=fewer_joints())
    told("is not an outcome of this fit", response=pg.Response("C3", lambda start, now: now["c3_mg_dl"] > 90))
