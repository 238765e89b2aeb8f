"""Power of other trials: several arms, historical controls, deaths, real patients; and assurance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import progression as pg
from progression.looks import Look

MONTHS = (0, 2, 4, 6, 8)
TRUTH = {"mean_level": 38, "sd_level": 5, "mean_slope": -1.0, "sd_slope": 0.6, "correlation": 0.1, "sd_residual": 1.5}
RATES = {"mean_level": 38, "sd_level": 5, "mean_rate": 1.0, "sd_rate": 0.6, "sd_residual": 1.5}
VAGUE = {"slope_effect": pg.Prior("Normal", mu=0, sigma=5)}
RULE = pg.Rule("slope_difference", ">", 0, probability=0.95)
DESIGN = pg.Design(arms={"control": 25, "treated": 25}, visits_months=MONTHS)
QUIET = {"progressbar": False, "random_seed": 5, "draws": 400}


def near(row, z=4.0):
    """No bias beyond Monte Carlo error."""
    assert abs(row["bias"]) < z * row["bias_se"], row[["true", "estimate", "bias_se"]]


# ---- arms ----


@pytest.mark.slow
def test_each_dose_by_its_own_rule():
    design = pg.Design(arms={"control": 25, "low": 25, "high": 25}, visits_months=MONTHS)
    rules = [pg.Rule("slope_difference", ">", 0, probability=0.95, arm=arm) for arm in ("low", "high")]
    oc = pg.power(
        design,
        "als_slope",
        rules,
        base=TRUTH,
        truths={"one works": {"slope_effect": {"low": 0.0, "high": 0.5}}},
        n_trials=64,
        priors=VAGUE,
        **QUIET,
    )
    low, high = oc.table.iloc[0], oc.table.iloc[1]
    assert (low["what"], high["what"]) == ("type I error", "power") and (low["true"], high["true"]) == (0, 0.5)
    assert high["success"] > 0.5 > 0.2 > low["success"]
    near(low)
    near(high)
    assert "arm high" in oc.table.index[1][2]


# ---- historical controls ----


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", [pg.RobustMAP(scale=0.1), pg.Commensurate(scale=0.1)], ids=["robust MAP", "commensurate"]
)
def test_one_arm_and_historical_controls(way):
    design = pg.Design(arms={"treated": 20}, visits_months=MONTHS, historical={"historical control": 40}, borrowing=way)
    oc = pg.power(
        design,
        "als_slope",
        RULE,
        base={**TRUTH, "slope_effect": 0.3},
        truths=[{"drift": 0}, {"drift": 0.6}],
        n_trials=32,
        **QUIET,
    )
    still, drifted = oc.table.iloc[0], oc.table.iloc[1]
    assert (still["true"], drifted["true"]) == (0.3, 0.3) and still["what"] == "power"
    near(still)
    # Controls of old declined that much more slowly: who takes them for concurrent ones sees less of the effect
    assert drifted["bias"] < -0.4 and drifted["success"] < still["success"]
    assert not any("drift" in note for note in oc.notes)
    assert (oc.table["patients"] == 20).all() and oc.table["closed_form"].isna().all()


@pytest.mark.slow
def test_two_arms_borrow_more_or_less():
    """Historical controls that are alike make the answer more precise, the more so the more they are trusted."""
    arms = {"arms": {"control": 12, "treated": 24}, "visits_months": MONTHS, "historical": {"historical control": 60}}
    ways = {"none": pg.Separate(), "half": pg.PowerPrior(0.5)}
    oc = pg.power({label: pg.Design(**arms, borrowing=way) for label, way in ways.items()}, "als_slope", RULE,
                  base=TRUTH, truths=[{"slope_effect": 0.3}], n_trials=32, **QUIET)  # fmt: skip
    spread = oc.table["posterior_sd"].to_numpy()
    assert spread[0] > 1.1 * spread[1]
    assert any("simulated without drift" in note for note in oc.notes)
    for _, row in oc.table.iterrows():
        near(row)


# ---- deaths, looks ----


@pytest.mark.slow
def test_deaths_end_patients_and_are_known_at_looks():
    design = pg.Design(
        arms={"control": 25, "treated": 25}, visits_months=MONTHS, accrual_months=9, looks=(Look(6, futility=0.1),)
    )
    oc = pg.power(design, "als_shared", pg.Rule("drr", "<", 1, probability=0.9), base=RATES | {"hazard": 0.05},
                  truths=[{"drr": 0.6}], n_trials=32, **QUIET)  # fmt: skip
    row = oc.table.iloc[0]
    assert row["true"] == pytest.approx(0.6) and abs(row["estimate"] - 0.6) < 0.15 and row["coverage"] > 0.75
    assert row["flagged"] == 0 and row["stop_futility"] < 0.5 and len(oc.by_look) == 2
    early, late = (oc.records.table.query("look == @look")["sd_0"].mean() for look in (0, 1))
    assert early > 1.2 * late  # less was known
    # what a look says is what the patients and deaths known by then say by themselves
    trials = pg.simulate(design, "als_shared", truth=RATES | {"hazard": 0.05, "drr": 0.6}, n=1, random_seed=5)
    known = trials.at(design.looks[0]).of(0)
    drawn = pg.contrast(pg.fit("als_shared", known, engine="marginal", random_seed=1, progressbar=False), "drr").draws[
        "drr"
    ]
    look = oc.records.table.query("look == 0 and replicate == 0").iloc[0]
    assert look["enrolled"] == known.n_subjects < 50 and (known.subjects["event"] == "death").sum() > 0
    assert abs(look["mean_0"] - float(drawn.mean())) < 0.2 * look["sd_0"]
    assert look["sd_0"] == pytest.approx(float(drawn.std()), rel=0.15)


# ---- real patients ----


@pytest.fixture(scope="module")
def patients():
    trial = pg.datasets.simulated_als(n=(60, 2), visits_weeks=(0, 8, 16, 24, 32), random_seed=3)
    return trial.select("arm == 'control'")


@pytest.mark.slow
def test_patients_in_the_place_of_a_model(patients):
    design = pg.Design(arms={"control": 25, "treated": 25}, visits_weeks=(0, 8, 16, 24, 32))
    truths = {"nothing": pg.Patients(patients), "a third": pg.Patients(patients, slowing=0.9)}
    oc = pg.power(design, "als_slope", RULE, truths=truths, n_trials=64, **QUIET)
    assert oc.table["what"].tolist() == ["success", "success"]
    for name in (
        "true",
        "bias",
        "bias_se",
        "coverage",
        "coverage_se",
        "true_share",
        "success_if_true",
        "success_if_false",
        "closed_form",
    ):
        assert oc.table[name].isna().all(), name
    nothing, much = oc.table.iloc[0], oc.table.iloc[1]
    assert nothing["success"] < 0.2 < 0.9 < much["success"] and abs(nothing["estimate"]) < 0.1
    assert any("drawn from real patients" in note for note in oc.notes)
    with pytest.raises(pg.SettingError, match="under no truth of this run"):
        oc.calibrated()
    beside = pg.power(
        design,
        "als_slope",
        RULE,
        truths={"real": pg.Patients(patients), "a model": {**TRUTH, "slope_effect": 0}},
        n_trials=4,
        **QUIET,
    )
    assert beside.table["what"].tolist() == ["success", "type I error"]


# ---- assurance ----


@pytest.mark.slow
def test_a_prior_that_is_a_point_is_power():
    sure = pg.assurance(DESIGN, "als_slope", RULE, prior={**TRUTH, "slope_effect": 0.3}, n_trials=16, **QUIET)
    power = pg.power(
        DESIGN, "als_slope", RULE, truths={"design prior": {**TRUTH, "slope_effect": 0.3}}, n_trials=16, **QUIET
    )
    pd.testing.assert_frame_equal(sure.table, power.table)
    assert sure.table["what"].tolist() == ["power"]


@pytest.mark.slow
def test_assurance_is_power_averaged_over_the_prior():
    prior = {**TRUTH, "slope_effect": pg.Prior("Normal", mu=0.2, sigma=0.3)}
    oc = pg.assurance(
        DESIGN,
        "als_slope",
        RULE,
        prior=prior,
        n_trials=256,
        priors=VAGUE,
        **QUIET,
    )
    row, each = oc.table.iloc[0], oc.estimates()
    assert row["what"] == "assurance" and row["true_share"] == (each["true"] > 0).mean()
    assert abs(row["true_share"] - stats.norm.cdf(0.2 / 0.3)) < 3.5 * np.sqrt(0.19 / 256)
    assert abs(row["success"] - row["closed_form"]) < 3.5 * row["se"]
    share = row["true_share"]
    assert row["success"] == pytest.approx(share * row["success_if_true"] + (1 - share) * row["success_if_false"])
    assert row["success_if_false"] < 0.1 < row["success_if_true"]
    near(row)  # of each trial against its own truth
    assert abs(each["true"].std() - 0.3) < 0.05 and np.corrcoef(each["true"], each["estimate"])[0, 1] > 0.7


@pytest.fixture(scope="module")
def pilot(als):
    few = als.select("subject in ['P1', 'P2', 'P3', 'P4', 'P5']")
    return pg.fit("als_slope", few, engine="marginal", random_seed=1, progressbar=False)


@pytest.mark.slow
def test_assurance_of_a_pilot_of_five(pilot):
    """Draws of it are wide, some of them absurd: none of that stops a run, and the result says what it rests on."""
    oc = pg.assurance(DESIGN, "als_slope", RULE, prior=pilot, n_trials=64, **QUIET)
    row, each = oc.table.iloc[0], oc.estimates()
    assert row["what"] == "assurance" and row["failed"] == 0 and row["trials"] == 64
    drawn = pilot.posterior["slope_effect"].to_numpy()
    assert each["true"].std() > 0.5 * drawn.std() and set(np.round(each["true"], 9)) <= set(np.round(drawn.ravel(), 9))
    assert row["true_share"] == (each["true"] > 0).mean() and 0 < row["true_share"] < 1
    assert np.isfinite(row[["success", "bias", "coverage", "closed_form"]].astype(float)).all()
    assert any(note.startswith("the pilot:") for note in oc.notes)
    assert "assurance" in repr(oc)


@pytest.mark.slow
def test_a_pilot_and_a_stated_effect(pilot):
    """Its patients, another effect: the truth of the rule is then one, and power is what it is."""
    oc = pg.assurance(DESIGN, "als_slope", RULE, prior=pilot, fixed={"slope_effect": 0.3}, n_trials=8, **QUIET)
    assert oc.table["what"].tolist() == ["power"] and (oc.estimates()["true"] == 0.3).all()
    assert not any(note.startswith("the pilot:") for note in oc.notes)  # nothing of the effect is drawn from it
    ratio = pg.assurance(DESIGN, "als_slope", RULE, prior=pilot, fixed={"slope_ratio": 0.7}, n_trials=8, **QUIET)
    assert ratio.table["what"].tolist() == ["assurance"] and not any(
        note.startswith("the pilot:") for note in ratio.notes
    )
    beside = pg.power(
        DESIGN, "als_slope", RULE, base=pilot, truths=[{"slope_effect": 0}, {"slope_effect": 0.3}], n_trials=8, **QUIET
    )
    assert beside.table["what"].tolist() == ["type I error", "power"]
