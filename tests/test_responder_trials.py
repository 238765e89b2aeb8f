"""Responders counted in simulated trials: against counting by hand, exact probabilities, and a test everyone knows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import progression as pg
from progression.faults import SettingError
from progression.responder_trials import _higher
from progression_models import fewer_joints

FEWER = pg.Response("at least 50 % fewer active joints", fewer_joints())
TRUTH = {
    "time_course": [-0.2, -0.3], "effect": [[-0.5, -1.2]], "sd_visit": 0.4, "count_level": [-0.5, -1.2],
    "count_loading": [0.8, 1.0], "sd_count": [0.4, 0.3], "overdispersion": [0.05, 0.08], "marker_level": [0.4], "marker_loading": [0.7],
    "sd_marker": [0.6], "sd_residual": [0.5],
}  # fmt: skip
DESIGN = pg.Design(arms={"control": 15, "treated": 25}, visits_months=(0, 1, 3), missed_visits=0.1)


@pytest.fixture(scope="module")
def trials():
    return pg.simulate(DESIGN, "sle_activity", truth=TRUTH, n=300, random_seed=2)


@pytest.fixture(scope="module")
def found(trials):
    return pg.count_responders(trials, FEWER, month=2.9)


@pytest.mark.slow
def test_counts_are_those_of_the_cohorts(trials, found):
    """Trial by trial from the cohort that `of` gives, in pandas: a missed visit is no response."""
    assert found.month == 3 and found.patients.to_dict() == {"control": 15, "treated": 25}
    for index in (0, 7, 299):
        cohort = trials.of(index)
        active = cohort.visits.assign(active=lambda t: t["tender_joints"] + t["swollen_joints"]).pivot(
            index="subject", columns="month", values="active"
        )
        meets = (active[0] > 0) & (active[3] <= active[0] / 2)
        own = meets.groupby(cohort.subjects["arm"]).sum()
        assert found.responders.isel(data_set=index).to_series().to_dict() == own.to_dict()
    shares = found.shares
    assert shares.loc["treated", "difference"] == pytest.approx(
        shares.loc["treated", "share"] - shares.loc["control", "share"]
    )
    assert shares.loc["treated", "difference"] > 5 * shares.loc["treated", "difference_error"]


def test_probability_is_the_integral():
    for active, n_active, control, n_control in (
        (0, 5, 0, 9),
        (5, 5, 0, 9),
        (12, 25, 3, 15),
        (60, 100, 40, 100),
        (25, 25, 15, 15),
    ):
        mine = _higher(np.array([active]), n_active, np.array([control]), n_control)[0]
        above = stats.beta(0.5 + control, 0.5 + n_control - control)
        exact = integrate.quad(lambda q, a=active, n=n_active, b=above: b.cdf(stats.beta.ppf(q, 0.5 + a, 0.5 + n - a)), 0, 1, epsabs=1e-8, limit=400)[0]  # fmt: skip
        assert mine == pytest.approx(exact, abs=5e-4)
    both = _higher(np.array([3, 8]), 10, np.array([8, 3]), 10)
    assert both.sum() == pytest.approx(1, abs=1e-3)  # arms relabelled


@pytest.mark.slow
def test_without_effect_it_errs_as_often_as_it_says():
    """Counts are coarse: the exact error of the rule at the share that responds, by summing over all pairs of counts."""
    null = TRUTH | {"time_course": [-0.4, -0.8], "effect": [[0.0, 0.0]]}
    found = pg.count_responders(pg.simulate(DESIGN, "sle_activity", truth=null, n=2000, random_seed=3), FEWER, month=3)
    control, treated = found.patients
    share = float((found.responders.sum("arm") / (control + treated)).mean())
    pairs = np.array(np.meshgrid(np.arange(treated + 1), np.arange(control + 1), indexing="ij")).reshape(2, -1)
    weight = stats.binom.pmf(pairs[0], treated, share) * stats.binom.pmf(pairs[1], control, share)
    exact = weight[_higher(pairs[0], treated, pairs[1], control) > 0.975].sum()
    assert 0.01 < exact < 0.04 and 0.2 < share < 0.6
    assert abs(found.success().loc["treated", "success"] - exact) < 4 * np.sqrt(exact * (1 - exact) / 2000)


@pytest.mark.slow
def test_a_flare_before_the_visit_is_no_response():
    truth = TRUTH | {"flare_loading": [1.0]}
    share = {}
    for hazard in (1e-6, 0.4):
        trials = pg.simulate(
            DESIGN,
            "sle_activity",
            truth=truth | {"flare_hazard": [hazard]},
            options={"flare": "shared"},
            n=200,
            random_seed=4,
        )
        share[hazard] = pg.count_responders(trials, FEWER, month=3).shares["share"]
        struck = (trials.events["flare"] > 0).mean()
    assert struck > 0.3 and (share[0.4] < share[1e-6] - 0.05).all()


@pytest.mark.slow
def test_refusals(trials):
    def told(match, some=trials, response=FEWER, month=3.0):
        with pytest.raises(SettingError, match=match):
            pg.count_responders(some, response, month=month)

    told("is not a Response", response=fewer_joints())
    told("not a time after baseline", month=0)
    told("cut short", trials.at(2.0))
    told("is not an outcome", response=pg.Response("VAS", lambda start, now: now["vas"] < 10))
    alone = pg.simulate(pg.Design(arms={"treated": 5}, visits_months=(0, 1, 3)), "sle_activity", n=2,
                        truth={k: v for k, v in TRUTH.items() if k != "effect"})  # fmt: skip
    told("only arm of the trial", alone)
    with pytest.raises(SettingError, match=r"Did you mean 0\.975"):
        pg.count_responders(trials, FEWER, month=3).success(97.5)
    assert "SIMULATED" in repr(pg.count_responders(trials, FEWER, month=3))
