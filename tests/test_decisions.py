"""What rules and looks say of trials whose probabilities are written down by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.characteristics import OperatingCharacteristics, wilson
from progression.decisions import Statement, statements, stopped
from progression.faults import SettingError
from progression.looks import Look

RULE = pg.Rule("slope_difference", ">", 0, probability=0.9)
OTHER = pg.Rule("slope_ratio", ">=", 0.8, probability=0.95)
OWN, RATIO = Statement.of(RULE), Statement.of(OTHER)
VISITS = [0, 3, 6, 12]


def told(*, p, month=None, true=0.0, problem=None, looks=(), rules=(RULE,), other=None, failed=0, mean=0.1, spread=0.2):
    """Operating characteristics of one cell, from probabilities (trials, analyses) alone."""
    p = np.asarray(p, float)
    n, k = p.shape
    both = np.repeat(np.arange(n), k)
    fill = lambda value: np.broadcast_to(np.asarray(value, float), p.shape).ravel()  # noqa: E731
    table = pd.DataFrame({"replicate": both, "cell": 0, "look": np.tile(np.arange(k), n), "p_0": p.ravel(), "p_1": fill(0 if other is None else other),
                          "month": fill(np.arange(1, k + 1) if month is None else month), "enrolled": fill(10 * np.arange(1, k + 1)),
                          "problem": fill(0 if problem is None else problem).astype(bool), "nuts": False, "mean_0": fill(mean), "sd_0": 0.1,
                          "lower_0": fill(mean) - spread, "upper_0": fill(mean) + spread, "mean_1": 0.8, "sd_1": 0.1, "lower_1": 0.7, "upper_1": 0.9,
                          "true_0": np.repeat(np.broadcast_to(np.asarray(true, float), n), k), "true_1": 1.0})  # fmt: skip
    table = table.sample(frac=1, random_state=1)  # what is told must not hang on the order of rows
    records = SimpleNamespace(table=table, failures=pd.DataFrame({"replicate": np.arange(failed)}), n=n + failed)
    design = pg.Design(arms={"control": 10, "treated": 10}, visits_months=VISITS, looks=looks)
    quantities = (("slope_difference", ()), ("slope_ratio", ()))
    return OperatingCharacteristics(
        rules, {"d": design}, (("d", "t"),), (OWN, RATIO), quantities, {}, records, {"model": "by hand"}
    )  # type: ignore[arg-type]


# ---- stopping ----


def test_no_looks():
    found = stopped(RULE, (), {OWN: np.array([[0.95], [0.9], [0.1]])})
    assert found.success.tolist() == [True, False, False]  # above, not at
    assert found.at.tolist() == [0, 0, 0] and found.early.tolist() == ["", "", ""]


def test_the_earlier_look_decides():
    looks = (Look(2, success=0.99, futility=0.1), Look(4, success=0.95, futility=0.3))
    p = np.array([[0.995, 0.01, 0.01],  # success at once, whatever came after
                  [0.05, 0.99, 0.99],  # futile at once
                  [0.5, 0.96, 0.01],  # success at the second
                  [0.5, 0.2, 0.99],  # futile at the second
                  [0.5, 0.5, 0.95],
                  [0.99, 0.95, 0.9]])  # at each limit: above none  # fmt: skip
    found = stopped(RULE, looks, {OWN: p})
    assert found.at.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.early.tolist() == ["success", "futility", "success", "futility", "", ""]
    assert found.success.tolist() == [True, False, True, False, True, False]


def test_success_goes_before_futility_and_rules_have_estimands_of_their_own():
    looks = (Look(2, success=0.8, futility=OTHER),)
    own, ratio = np.array([[0.85, 0.0], [0.5, 0.99], [0.5, 0.99]]), np.array([[0.99, 0.0], [0.96, 0.0], [0.95, 0.99]])
    found = stopped(RULE, looks, {OWN: own, RATIO: ratio})
    assert found.early.tolist() == ["success", "futility", ""]
    assert found.success.tolist() == [True, False, True] and found.at.tolist() == [0, 0, 1]


def test_statements_are_those_of_the_end_then_of_looks():
    design = pg.Design(
        arms={"control": 10, "treated": 10},
        visits_months=VISITS,
        looks=(Look(2, futility=OTHER), Look(4, success=0.99)),
    )
    twice = pg.Rule("slope_difference", ">", 0, probability=0.5)
    assert statements([RULE, twice], [design, design]) == (OWN, RATIO)


def test_a_truth_at_the_limit_is_at_it():
    limit = Statement("slope_ratio", "<", 0.7)
    near = np.array([0.7, np.nextafter(0.7, 0), 0.7 - 1e-9, 0.69, 0.71])
    assert limit.is_true(near).tolist() == [False, False, False, True, False]
    assert limit.holds(near).tolist() == [False, True, True, True, False]  # what rounding alone would say
    assert Statement("slope_ratio", ">=", 0.7).is_true(near).tolist() == [True, True, True, False, True]


# ---- the table ----


def test_wilson():
    low, high = wilson(81, 263)  # Newcombe (1998), Stat Med 17:857, table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert [round(one, 4) for one in wilson(0, 20)] == [0.0, 0.1611]
    assert wilson(0, 0) == (0.0, 1.0)


def test_flagged_and_failed_under_both_extremes():
    p = [[0.95], [0.95], [0.5], [0.5]]
    row = told(p=p, problem=[[0], [1], [0], [1]], failed=1).table.iloc[0]
    assert row["success"] == 0.5 and (row["trials"], row["failed"], row["flagged"]) == (4, 1, 2)
    assert row["if_flagged_fail"] == 1 / 5 and row["if_flagged_succeed"] == 4 / 5


def test_only_flags_up_to_the_decision_count():
    looks = (Look(2, success=0.99),)
    found = told(p=[[0.999, 0.5], [0.5, 0.5]], problem=[[0, 1], [0, 1]], looks=looks).table.iloc[0]
    assert found["flagged"] == 1


@pytest.mark.parametrize(
    ("true", "what", "share"),
    [(0.0, "type I error", 0), (1e-12, "type I error", 0), (0.3, "power", 1), ([0.1, 0.2, 0.3, 0.4], "assurance", 1),
     ([-0.1, 0.2, 0.3, 0.4], "assurance", 0.75), (np.nan, "success", np.nan)],
)  # fmt: skip
def test_what_a_cell_tells_depends_on_its_truth(true, what, share):
    row = told(p=[[0.95], [0.95], [0.5], [0.5]], true=true).table.iloc[0]
    assert row["what"] == what
    np.testing.assert_equal(row["true_share"], share)


def test_success_by_whether_it_should_be():
    row = told(p=[[0.95], [0.95], [0.5], [0.95]], true=[-0.1, 0.2, 0.3, 0.4]).table.iloc[0]
    assert row["success_if_false"] == 1.0 and row["success_if_true"] == pytest.approx(2 / 3)


def test_bias_and_coverage_at_the_decision():
    looks = (Look(2, success=0.99),)
    mean = np.array([[0.8, 0.1], [0.7, 0.4], [0.7, 0.2], [0.7, -0.4]])
    row = told(p=[[0.999, 0.5], [0.5, 0.95], [0.5, 0.5], [0.5, 0.5]], mean=mean, true=0.25, looks=looks).table.iloc[0]
    taken = np.array([0.8, 0.4, 0.2, -0.4])
    assert row["estimate"] == pytest.approx(taken.mean()) and row["bias"] == pytest.approx(taken.mean() - 0.25)
    assert row["bias_se"] == pytest.approx(taken.std(ddof=1) / 2) and row["estimate_sd"] == pytest.approx(
        taken.std(ddof=1)
    )
    assert row["coverage"] == 0.5 and row["coverage_se"] == pytest.approx(np.sqrt(0.25 / 3))
    assert row["width"] == pytest.approx(0.4)
    assert row["patients"] == (10 + 20 * 3) / 4 and row["months"] == (1 + 2 * 3) / 4
    assert row["stop_success"] == 0.25 and row["stop_futility"] == 0


def test_looks_add_up():
    looks = (Look(2, success=0.99, futility=0.1), Look(4, success=0.95, futility=0.3))
    p = np.random.default_rng(1).random((200, 3)) ** 0.5
    oc = told(p=p, looks=looks)
    table = oc.by_look.reset_index()
    assert table["decided"].sum() == pytest.approx(1) and table["final"].tolist() == [False, False, True]
    failures = table["decided"] - table["success"] - table["futility"]
    np.testing.assert_allclose(failures[:2], 0, atol=1e-12)
    assert failures[2] > 0 and table["success"].sum() == pytest.approx(oc.table["success"].iloc[0])
    assert table["futility"].sum() == pytest.approx(oc.table["stop_futility"].iloc[0]) and (
        table["futility"] > 0
    ).tolist() == [True, True, False]


def test_estimates():
    looks = (Look(2, success=0.99),)
    found = told(p=[[0.999, 0.5], [0.5, 0.95]], mean=[[0.8, 0.1], [0.7, 0.4]], looks=looks, true=0.3).estimates(
        "d", "t"
    )
    assert found["estimate"].tolist() == [0.8, 0.4] and found["probability"].tolist() == [0.999, 0.95]
    assert found["month"].tolist() == [1, 2] and found["early"].tolist() == ["success", ""]
    assert {
        "estimate",
        "sd",
        "lower",
        "upper",
        "true",
        "probability",
        "success",
        "month",
        "patients",
        "design",
        "truth",
    } <= set(found)
    with pytest.raises(SettingError, match="no cell of this run"):
        told(p=[[0.5]]).estimates("another")


# ---- other thresholds ----


def test_another_rule_on_the_same_trials():
    p = np.linspace(0.01, 0.99, 50)[:, None]
    oc = told(p=p, other=p / 2)
    strict = oc.with_rule(
        pg.Rule("slope_difference", ">", 0, probability=0.8), pg.Rule("slope_ratio", ">=", 0.8, probability=0.3)
    )
    assert strict.table["success"].tolist() == [(p > 0.8).mean(), (p / 2 > 0.3).mean()]
    with pytest.raises(SettingError, match="was not recorded") as caught:
        oc.with_rule(
            pg.Rule("slope_difference", ">", 0.1, probability=0.8), pg.Rule("slope_difference", "<", 0, probability=0.8)
        )
    assert len(caught.value.faults) == 2
    with pytest.raises(SettingError, match="is missing"):
        oc.with_rule()


def by_search(p, error):
    """The smallest threshold, among all that matter, with at most that share above it."""
    return next(t for t in np.sort(np.unique(np.append(p, 0))) if (p > t).mean() <= error)


@pytest.mark.parametrize("error", [0.05, 0.1, 0.29, 0.5])
@pytest.mark.parametrize("digits", [8, 1])  # the latter: many ties
def test_calibrated(error, digits):
    p = np.round(np.random.default_rng(2).random(100), digits) * 0.999
    rule = told(p=p[:, None]).calibrated(error)
    assert rule.probability == pytest.approx(max(by_search(p, error), 1e-6)) and (rule.estimand, rule.comparison, rule.value) == (
        "slope_difference", ">", 0)  # fmt: skip
    assert told(p=p[:, None]).with_rule(rule).table["success"].iloc[0] <= error


def test_calibrated_under_looks():
    looks = (Look(2, success=0.98, futility=0.2),)
    p = np.random.default_rng(3).random((400, 2))
    oc = told(p=p, looks=looks)
    early, gone = p[:, 0] > 0.98, p[:, 0] < 0.2
    rule = oc.calibrated(0.1)
    wins = lambda t: (early | (~gone & (p[:, 1] > t))).mean()  # noqa: E731
    assert oc.with_rule(rule).table["success"].iloc[0] == wins(rule.probability) <= 0.1
    assert wins(rule.probability - 0.005) > 0.1  # and no lower one would do
    with pytest.raises(SettingError, match="by the looks that stop for success"):
        oc.calibrated(early.mean() / 2)


def test_calibration_refused():
    with pytest.raises(SettingError, match="under no truth of this run"):
        told(p=[[0.5], [0.9]], true=0.3).calibrated()
    with pytest.raises(SettingError, match="under no truth of this run"):
        told(p=[[0.5], [0.9]], true=np.nan).calibrated()
    with pytest.raises(SettingError, match="Take more draws"):  # a tenth at 1: no threshold lets a twentieth through
        told(p=np.where(np.arange(100) < 10, 1.0, 0.4)[:, None]).calibrated(0.05)
    with pytest.raises(SettingError, match="Did you mean"):
        told(p=[[0.5]]).calibrated(5)
