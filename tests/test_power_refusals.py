"""What power and assurance refuse, at once and with every fault."""

from __future__ import annotations

import time

import pytest

import progression as pg
from progression.faults import SettingError
from progression.looks import Look

TRUTH = {"mean_level": 38, "sd_level": 5, "mean_slope": -1.0, "sd_slope": 0.6, "correlation": 0.1, "sd_residual": 1.5}
RULE = pg.Rule("slope_difference", ">", 0, probability=0.95)
DESIGN = pg.Design(arms={"control": 10, "treated": 10}, visits_months=[0, 3, 6])
QUIET = {"progressbar": False, "random_seed": 5, "n_trials": 4}


def refused(design=DESIGN, rule=RULE, *, model="als_slope", **more):
    more = QUIET | {"base": TRUTH, "truths": [{"slope_effect": 0.3}]} | more
    with pytest.raises(SettingError) as caught:
        pg.power(design, model, rule, **more)
    return str(caught.value), caught.value.faults


def test_everything_that_can_be_seen_at_once():
    looked = pg.Design(
        arms={"control": 10, "treated": 10},
        visits_months=[0, 3, 6],
        looks=[Look(3, futility=pg.Rule("slop_ratio", ">", 1, probability=0.9))],
    )
    began = time.thread_time()
    text, faults = refused({"a": DESIGN, "b": looked}, [RULE, pg.Rule("slope_diference", ">", 0, probability=0.9)], truths=[3, "x"],
                           n_trials=0, interval=95, chunk=0, cores=0, random_seed=-1, base=4)  # fmt: skip
    assert time.thread_time() - began < 5  # nothing was compiled
    for words in ("did you mean 'slope_difference'", "b.looks[0].futility", "did you mean 'slope_ratio'", "'n_trials', value 0", "Did you mean 0.95",
                  "'chunk', value 0", "'cores', value 0", "'random_seed', value -1", "'base', value 'int'"):  # fmt: skip
        assert words in text, words
    assert len(faults) == 10 and sum("neither parameters, nor a fit, nor patients" in one.what for one in faults) == 2


def test_designs_say_their_own_faults():
    with pytest.raises(SettingError) as caught:
        pg.Design(
            arms={"control": 0, "treated": 10},
            visits_months=[0, 3, 6],
            looks=[Look(5, futility=0.1), Look(3, success=95)],
        )
    for words in ("patients in 'control'", "value 0", "does not come after the look before it", "mean 0.95"):
        assert words in str(caught.value), words
    with pytest.raises(SettingError, match="is not before the last visit of the last patient"):
        pg.Design(arms={"control": 10, "treated": 10}, visits_months=[0, 3, 6], looks=[Look(7, futility=0.1)])
    with pytest.raises(SettingError, match=r"mean 0\.95"):
        pg.Rule("slope_difference", ">", 0, probability=95)
    assert "is neither a Design nor a mapping" in refused("a design")[0]
    assert "is neither a Design nor a mapping" in refused({})[0]
    assert "is neither a Rule nor a sequence" in refused(rule="slope_difference > 0")[0]
    assert "is neither a Rule nor a sequence" in refused(rule=[])[0]


def test_truths():
    assert "is no list of truths" in refused(truths=[])[0]
    assert "Put it into a list" in refused(truths={"slope_effect": 0.3, "mean_slope": -1})[0]
    assert "stands there twice" in refused(truths=[{"slope_effect": 0.3}, {"slope_effect": 0.3}])[0]


def test_every_faulty_truth_is_named():
    text, faults = refused(
        truths=[{"slope_effect": 0.3, "slope_efect": 1}, {"slope_effect": 0.3, "sd_slope": -1}, {"sd_residual": 2}]
    )
    assert "truth['slope_efect']" in text and "did you mean 'slope_effect'" in text
    assert "truth['sd_slope']" in text and "is a parameter of 'als_slope' under this design and is not given" in text
    assert len(faults) == 3


def test_a_fault_of_the_base_is_said_once():
    _, faults = refused(base={**TRUTH, "sd_slope": -1}, truths=[{"slope_effect": 0}, {"slope_effect": 0.3}])
    assert len(faults) == 1


def test_death_set_twice():
    design = pg.Design(arms={"control": 10, "treated": 10}, visits_months=[0, 3, 6], death_per_month=0.01)
    base = {"mean_level": 38, "sd_level": 5, "mean_rate": 1, "sd_rate": 0.7, "sd_residual": 1.5, "hazard": 0.01}
    text, _ = refused(
        design, pg.Rule("drr", "<", 1, probability=0.9), model="als_shared", base=base, truths=[{"drr": 0.7}]
    )
    assert "sets death twice" in text


def test_one_component_of_several():
    design = pg.Design(arms={"control": 8, "low": 8, "high": 8}, visits_months=[0, 3, 6])
    truth = [{"slope_effect": {"low": 0.1, "high": 0.3}}]
    text, faults = refused(design, [RULE, pg.Rule("slope_ratio", "<", 1, probability=0.9, arm="hihg"),
                                    pg.Rule("slope_ratio", "<", 1, probability=0.9, dose=3)], truths=truth)  # fmt: skip
    assert (
        "has several components" in text
        and "did you mean 'high'" in text
        and "is not something 'slope_ratio' runs over" in text
    )
    assert len(faults) == 3


def test_one_arm_has_no_contrast():
    text, _ = refused(pg.Design(arms={"treated": 10}, visits_months=[0, 3, 6]), truths=[{}])
    assert "contrasts arms, and the cohort has one arm only" in text


def test_unknown_words():
    assert "did you mean 'als_slope'" in refused(model="als_slop")[0]
    assert "did you mean 'als_slope'" in refused(simulated_by="als_slop")[0]
    assert "is not a setting of these estimands" in refused(mnth=3)[0]
    assert "has no prior of that name" in refused(priors={"slope_efect": pg.Prior("Normal", mu=0, sigma=1)})[0]
    assert "has no option of that name" in refused(options={"basline": "common"})[0]


@pytest.mark.slow
def test_looks_are_judged_by_the_model_that_analyses():
    """Trials of another model, which has no such estimand, are looked at all the same."""
    looks = [Look(3, futility=pg.Rule("drr", ">", 1, probability=0.999999))]
    design, rule = (
        pg.Design(arms={"control": 10, "treated": 10}, visits_months=[0, 3, 6], looks=looks),
        pg.Rule("drr", "<", 1, probability=0.9),
    )
    truth = {**TRUTH, "slope_effect": 0.3}
    oc = pg.power(design, "als_shared", rule, simulated_by="als_slope", truths=[truth], draws=200, **QUIET)
    row = oc.table.iloc[0]
    assert (
        row["what"] == "success" and row["trials"] == 4 and len(oc.by_look) == 2
    )  # als_slope has no drr that could be true
    assert row[["closed_form", "true", "bias", "coverage", "true_share"]].isna().all() and row["width"] > 0
    with pytest.raises(SettingError, match="is no estimand of 'als_slope'"):
        pg.simulate(design, "als_slope", truth=truth, n=1)


def test_assurance():
    prior = {**TRUTH, "slope_effect": pg.Prior("Normal", mu=0.3, sigma=0.1)}
    with pytest.raises(SettingError, match="the prior is no fit"):
        pg.assurance(DESIGN, "als_slope", RULE, prior=prior, fixed={"slope_effect": 0.3}, **QUIET)
    with pytest.raises(SettingError, match="neither a fit nor a mapping"):
        pg.assurance(DESIGN, "als_slope", RULE, prior=0.3, **QUIET)
