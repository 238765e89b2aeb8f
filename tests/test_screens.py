"""Closed forms of power against estimators of NumPy, in both directions; and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import progression as pg
from progression.decisions import Statement
from progression.registry import screens, shelved
from progression.screening import screened

MONTHS = np.array([0.0, 1, 2, 4, 6])
SXX = ((MONTHS - MONTHS.mean()) ** 2).sum()
N, TRIALS = (40, 60), 4000
ARMS = pg.Design(arms={"control": N[0], "treated": N[1]}, visits_months=tuple(MONTHS))
SLOPES = {
    "mean_level": 38,
    "sd_level": 5,
    "mean_slope": -1.0,
    "slope_effect": 0.25,
    "sd_slope": 0.6,
    "correlation": 0.0,
    "sd_residual": 1.5,
}
RATES = {
    "mean_level": 38,
    "sd_level": 5,
    "mean_rate": 1.0,
    "drr": 0.75,
    "sd_rate": 0.6,
    "sd_residual": 1.5,
    "hazard": 1e-9,
}
CRP = {"mean_level": 0.0, "sd_patient": 0.8, "sd_residual": 0.6, "time_course": [0.0, 0.0], "effect": [[-0.1, -0.35]]}


def trials(model, truth, design=ARMS, n=64):
    return pg.simulate(design, model, truth=truth, n=n)


def inside(model, truth, rule, design=ARMS):
    return screened(trials(model, truth, design), pg.models()[model], Statement.of(rule))


def observed(estimate, error):
    """How many of its errors an estimate lies inside a statement, over many trials."""
    return (estimate / error).mean(), 5 / np.sqrt(len(estimate))


def own(rng, arm_means, spreads, residual):
    """Own slopes as least squares find them, (trials, patients), for each arm."""
    return [
        rng.normal(mean, np.hypot(sd, residual / np.sqrt(SXX)), size=(TRIALS, n))
        for mean, sd, n in zip(arm_means, spreads, N, strict=True)
    ]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (pg.Rule("slope_difference", ">", 0, probability=0.9), 0.0),
        (pg.Rule("slope_difference", ">", 0.1, probability=0.9), 0.1),
    ],
)
def test_difference_of_slopes(rule, value):
    control, treated = own(np.random.default_rng(1), (-1, -0.75), (0.6, 0.6), 1.5)
    error = np.sqrt(control.var(axis=1).mean() / N[0] + treated.var(axis=1).mean() / N[1])
    wanted, tolerance = observed(treated.mean(axis=1) - control.mean(axis=1) - value, error)
    found = inside("als_slope", SLOPES, rule)
    assert found.shape == (64,) and np.ptp(found) == 0 and abs(found[0] - wanted) < tolerance


def test_ratio_of_slopes():
    control, treated = (one.mean(axis=1) for one in own(np.random.default_rng(2), (-1, -0.75), (0.6, 0.6), 1.5))
    for value in (1.0, 0.9):
        gap = treated - value * control  # above 0 where the ratio is below the value, as both are negative
        wanted, tolerance = observed(gap, gap.std())
        below = inside("als_slope", SLOPES, pg.Rule("slope_ratio", "<", value, probability=0.9))[0]
        assert abs(below - wanted) < tolerance and below > 0
        assert inside("als_slope", SLOPES, pg.Rule("slope_ratio", ">=", value, probability=0.9))[0] == -below


@pytest.mark.parametrize("spread", [0.6, {"control": 0.6, "treated": 0.9}])
def test_ratio_of_rates(spread):
    by_arm = spread if isinstance(spread, dict) else {"control": spread, "treated": spread}
    control, treated = (
        one.mean(axis=1)
        for one in own(np.random.default_rng(3), (1, 0.75), (by_arm["control"], 0.75 * by_arm["treated"]), 1.5)
    )
    gap = control - treated
    wanted, tolerance = observed(gap, gap.std())
    found = inside("als_shared", {**RATES, "sd_rate": spread}, pg.Rule("drr", "<", 1, probability=0.9))[0]
    assert abs(found - wanted) < tolerance
    assert inside("als_shared", {**RATES, "sd_rate": spread}, pg.Rule("drr", ">", 1, probability=0.9))[0] == -found


def test_crp_at_a_visit():
    """Analysis of covariance, each visit by itself; the second has the stronger effect."""
    rng = np.random.default_rng(4)
    arm = np.repeat([0, 1], N)
    level = 0.8 * rng.normal(size=(TRIALS, sum(N)))
    before, after = (level + 0.6 * rng.normal(size=level.shape) for _ in range(2))
    after -= 0.35 * arm
    rho = 0.8**2 / (0.8**2 + 0.6**2)
    left = after - rho * before
    gap = left[:, arm == 0].mean(axis=1) - left[:, arm == 1].mean(axis=1)
    wanted, tolerance = observed(gap, gap.std())
    design = pg.Design(arms=dict(zip(("control", "treated"), N, strict=True)), visits_months=(0, 1, 3))
    found = inside("sle_crp", CRP, pg.Rule("crp_ratio", "<", 1, probability=0.9, visit=3), design)[0]
    assert abs(found - wanted) < tolerance
    margin = inside("sle_crp", CRP, pg.Rule("crp_ratio", "<", 0.9, probability=0.9, visit=3), design)[0]
    wanted, tolerance = observed(gap + np.log(0.9), gap.std())
    assert abs(margin - wanted) < tolerance
    first = inside("sle_crp", CRP, pg.Rule("crp_ratio", "<", 1, probability=0.9, visit=1), design)[0]
    assert first == pytest.approx(found * 0.1 / 0.35)


def test_each_arm_has_its_own():
    design = pg.Design(arms={"control": 40, "low": 20, "high": 60}, visits_months=tuple(MONTHS))
    truth = {**SLOPES, "slope_effect": {"low": 0.1, "high": 0.3}}
    low, high = (
        inside("als_slope", truth, pg.Rule("slope_difference", ">", 0, probability=0.9, arm=arm), design)[0]
        for arm in ("low", "high")
    )
    assert high / low == pytest.approx(3 * np.sqrt((1 / 40 + 1 / 20) / (1 / 40 + 1 / 60)))
    assert inside("als_slope", truth, pg.Rule("slope_difference", ">", 0, probability=0.9), design) is None


def test_truths_that_vary_have_one_each():
    found = inside(
        "als_slope",
        {**SLOPES, "slope_effect": pg.Prior("Normal", mu=0.2, sigma=0.1)},
        pg.Rule("slope_difference", ">", 0, probability=0.9),
    )
    assert found.shape == (64,) and found.std() > 0.1


def test_none_where_there_is_none():
    rule = pg.Rule("slope_difference", ">", 0, probability=0.9)
    history = pg.Design(
        arms={"control": 10, "treated": 10}, visits_months=(0, 2, 4), historical={"historical control": 10}
    )
    assert inside("als_slope", SLOPES, rule, history) is None
    assert inside("als_slope", SLOPES, pg.Rule("change_difference", ">", 0, probability=0.9)) is None
    made = trials("als_slope", SLOPES)
    assert screened(made, pg.models()["als_shared"], Statement.of(rule)) is None  # analysed by another model
    rising = {**SLOPES, "mean_slope": 1.0}  # the form of the difference holds whichever way controls go
    assert inside("als_slope", rising, rule)[0] == inside("als_slope", SLOPES, rule)[0]
    assert set(screens()) == {"als_slope", "als_shared", "sle_crp"} and all(
        shelved(pg.models()[one]) for one in screens()
    )


def test_a_ratio_of_slopes_reads_the_same_where_controls_rise():
    rule = pg.Rule("slope_ratio", "<", 1, probability=0.9)
    mirrored = {**SLOPES, "mean_slope": -SLOPES["mean_slope"], "slope_effect": -SLOPES["slope_effect"]}
    assert inside("als_slope", mirrored, rule) == pytest.approx(inside("als_slope", SLOPES, rule))
    assert inside("als_slope", {**mirrored, "slope_effect": SLOPES["slope_effect"]}, rule)[0] < 0


@pytest.mark.slow
def test_success_is_the_chance_to_be_far_enough_inside():
    """That of a z test, for one truth and on average over a design prior."""
    oc = pg.assurance(ARMS, "als_slope", pg.Rule("slope_difference", ">", 0, probability=0.975), n_trials=8, draws=200, progressbar=False,
                      prior={**SLOPES, "slope_effect": pg.Prior("Normal", mu=0.2, sigma=0.1)}, random_seed=1)  # fmt: skip
    error = np.sqrt((0.6**2 + 1.5**2 / SXX) * (1 / N[0] + 1 / N[1]))
    wanted = stats.norm.sf(1.959964, loc=0.2 / error, scale=np.hypot(1, 0.1 / error))  # normal on normal
    assert oc.table["closed_form"].iloc[0] == pytest.approx(wanted, abs=4 * 0.5 / np.sqrt(1024))
