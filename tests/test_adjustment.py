"""Historical controls matched to current patients, or weighted, by the propensity."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import progression as pg
from progression.adjustment import _pairs
from progression.faults import CohortError, SettingError
from progression.propensity import Propensity, propensity

OLD = "historical control"


def make(age: np.ndarray, level: np.ndarray, old: np.ndarray, **more: Any) -> pg.Cohort:
    """Patients seen at 0 and 6 months: covariates as given, baseline scores `level`."""
    ids = [f"s{i}" for i in range(len(age))]
    people = pd.DataFrame({"subject": ids, "arm": np.where(old, OLD, "treated"), "age": age, **more})
    visits = pd.DataFrame({"subject": np.repeat(ids, 2), "time": np.tile([0.0, 6.0], len(ids)),
                           "alsfrsr": np.column_stack([level, level - 6 + np.random.default_rng(9).normal(0, 4, len(ids))]).ravel()})  # fmt: skip
    return pg.Cohort.from_table(visits, people, time_unit="months", outcomes=["alsfrsr"], arms=[OLD, "treated"], covariates=["age", *more],
                                allocation="historical", provenance="simulated", name="simulated")  # fmt: skip


def confounded(n: int = 240, seed: int = 0) -> pg.Cohort:
    """Historical controls are older, lower at baseline and more often of bulbar onset."""
    rng = np.random.default_rng(seed)
    old = np.arange(n) >= n // 6
    age = rng.normal(57 + 5 * old, 9)
    level = rng.normal(39 - 3 * old, 4)
    onset = np.where(rng.random(n) < 0.2 + 0.2 * old, "bulbar", "limb")
    return make(age, level, old, onset=onset)


FACTS = ["age", "alsfrsr_baseline", "onset"]


def test_weights_bring_the_means_together() -> None:
    cohort = confounded(900)
    found = pg.propensity_weights(cohort, FACTS)
    before, after = found.table["before"].abs(), found.table["after"].abs()
    assert list(found.table.index) == ["age", "alsfrsr_baseline", "onset: limb"]
    assert (before > 0.25).sum() >= 2 and (after < 0.1).all() and (after < before).all()
    own = cohort.subjects[cohort.subjects["arm"] == OLD]
    assert list(found.by_subject.index) == list(own.index) and found.by_subject.between(0, 1).all()
    assert found.by_subject.max() == 1
    assert found.table.loc["age", "weighted"] == pytest.approx(np.average(own["age"], weights=found.by_subject))
    before_there = pg.comparability(cohort).table["difference: treated"]
    assert found.table.loc["age", "before"] == pytest.approx(-before_there["age"])
    assert 1 < found.effective_size < len(own) and f"{found.effective_size:.3g}" in repr(found) and not found.problems


def test_the_effective_size_is_kish() -> None:
    cohort = confounded(60)
    for weight, size in (([1.0] * 50, 50.0), ([1.0, 0.5, *[0.0] * 48], 1.5**2 / 1.25)):
        one = pg.adjustment.Weights(pd.Series(weight), pd.DataFrame({"after": [0.4]}, index=["age"]), cohort)
        assert one.effective_size == pytest.approx(size)
        assert one.problems == ("age is still +0.40 SD apart after weighting",)


def test_weights_recover_a_known_ratio() -> None:
    """Of normals with one SD the odds are exp((mean difference) x / SD^2) up to a constant."""
    rng, n = np.random.default_rng(2), 20_000
    old = np.arange(n) % 2 == 1
    x = rng.normal(60.0 - 3.0 * ~old, 6.0)
    table = make(x, np.full(n, 40.0) + rng.normal(size=n), old)
    found = pg.propensity_weights(table, ["age"])
    slope = np.polyfit(x[old], np.log(found.by_subject), 1)[0]
    e = special.expit(-3.0 / 36.0 * (x - 58.5))
    error = 1 / np.sqrt(
        np.sum(e * (1 - e) * (x - 58.5) ** 2)
    )  # of maximum likelihood, by Fisher's information at the truth
    assert abs(slope - -3.0 / 36.0) < 4 * error < 0.2 * 3.0 / 36.0
    assert found.table.loc["age", "weighted"] == pytest.approx(57.0, abs=4 * 6 / np.sqrt(found.effective_size))


def test_the_propensity_solves_its_score_equations() -> None:
    """Maximum likelihood without a penalty: sum of (current - e) x is zero for each fact and the constant."""
    found = propensity(confounded(), FACTS, (OLD,))
    residual = ~found.historical - special.expit(found.logit)
    scaled = (found.facts - found.facts.mean()) / found.facts.std()
    assert np.abs(scaled.mul(residual, axis=0).sum()).max() < 1e-3 and abs(residual.sum()) < 1e-3


@pytest.mark.slow
def test_a_power_prior_takes_the_weights() -> None:
    cohort = confounded(90)
    weights = pg.propensity_weights(cohort, FACTS).by_subject
    fit = pg.fit("als_slope", cohort, borrowing=pg.PowerPrior(1.0, weights=weights), random_seed=1)
    assert "a weight of its own" in " ".join(pg.contrast(fit, "slope_difference").assumptions())


def test_matching_improves_balance_and_says_what_it_did() -> None:
    cohort = confounded()
    found = pg.matched(cohort, FACTS)
    count = found.subjects["arm"].value_counts()
    assert count["treated"] == 40 and count[OLD] <= 40 and found.arms == cohort.arms
    one, other = (pg.comparability(c).table["difference: treated"].abs() for c in (cohort, found))
    assert (other[["age", "alsfrsr_baseline"]] < one[["age", "alsfrsr_baseline"]] / 2).all()
    lost = 40 - count[OLD]
    note = found.warnings[-1]
    assert (
        f"matched {count[OLD]} of 200 historical controls, 1 to 1, to 40 current patients on age, alsfrsr_baseline, onset"
        in note
    )
    assert f"{lost} current patients found no match" in note
    assert note in pg.comparability(found).selection and len(found.warnings) == len(cohort.warnings) + 1
    assert pg.matched(cohort, FACTS, caliper=None, ratio=3).subjects["arm"].value_counts()[OLD] == 120


def scored(here: list[float], there: list[float]) -> Propensity:
    logit = pd.Series([*here, *there], [*(f"c{i}" for i in range(len(here))), *(f"h{i}" for i in range(len(there)))])
    return Propensity(logit, pd.Series([False] * len(here) + [True] * len(there), logit.index), pd.DataFrame())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("ratio", "caliper"), [(1, None), (1, 0.5), (2, None), (2, 0.6)])
def test_matching_is_the_best_of_all_assignments(seed: int, ratio: int, caliper: float | None) -> None:
    rng = np.random.default_rng(seed)
    here, there = rng.normal(size=3), rng.normal(1.0, 1.2, size=7)
    found = _pairs(scored(list(here), list(there)), ratio, caliper)
    limit = np.inf if caliper is None else caliper * np.sqrt((here.var(ddof=1) + there.var(ddof=1)) / 2)
    slots = np.repeat(here, ratio)
    best = min((-int((d <= limit).sum()), float(d[d <= limit].sum()))
               for chosen in itertools.permutations(range(7), len(slots)) for d in [np.abs(slots - there[list(chosen)])])  # fmt: skip
    apart = [abs(here[int(a[1:])] - there[int(b[1:])]) for a, b in found.to_numpy()]
    assert len(apart) == -best[0] and sum(apart) == pytest.approx(best[1]) and max(apart, default=0) <= limit
    assert found["historical"].is_unique and found["current"].value_counts().max() <= ratio


def test_it_is_not_greedy() -> None:
    found = _pairs(scored([0.0, 0.9], [1.0, 5.0, -0.8]), 1, None)
    assert dict(found.to_numpy()) == {"c0": "h2", "c1": "h0"}


@pytest.mark.parametrize(("change", "word"), [
    ({"arms": ("elsewhere",)}, "is not an arm"), ({"arms": ()}, "no historical arm"), ({"arms": (OLD, "treated")}, "every arm is historical"),
    ({"covariates": ["agee"]}, "did you mean 'age'"), ({"covariates": ["followed"]}, "neither a covariate nor a baseline score"),
    ({"covariates": []}, "is empty"), ({"ratio": 0}, "whole number of at least 1"), ({"caliper": -1}, "not a positive number"),
])  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(change: dict[str, Any], word: str) -> None:
    asked = {"covariates": ["age"]} | change
    calls = [pg.matched] if {"ratio", "caliper"} & set(change) else [pg.matched, pg.propensity_weights]
    for call in calls:
        with pytest.raises(SettingError, match=word):
            call(confounded(30), **asked)  # type: ignore[operator]


def test_a_missing_value_is_named() -> None:
    age = np.array([50.0, 61, np.nan, 52, 58, 63])
    with pytest.raises(CohortError, match=r"subject 's2'.*cohort\.select") as caught:
        pg.propensity_weights(make(age, np.full(6, 40.0), np.arange(6) > 1), ["age", "alsfrsr_baseline"])
    assert [fault.column for fault in caught.value.faults] == ["age", "alsfrsr_baseline"]
    assert "the same in everybody" in str(caught.value)


def test_separation_is_refused_and_named() -> None:
    rng = np.random.default_rng(0)
    old = np.arange(40) > 11
    level, age = rng.normal(39, 3, 40), rng.normal(60, 5, 40)
    with pytest.raises(CohortError, match="age alone tells"):
        pg.matched(make(np.where(old, 70, 50) + rng.normal(size=40), level, old), ["age", "alsfrsr_baseline"])
    drug = np.where(old & (np.arange(40) % 2 == 0), "no", "yes")  # all current patients take it: separated but for ties
    with pytest.raises(CohortError, match="riluzole alone tells"):
        pg.propensity_weights(make(age, level, old, riluzole=drug), ["age", "riluzole"])
    both = 100 - age + np.where(old, -2, 2) + rng.uniform(-1, 1, 40)
    with pytest.raises(CohortError, match="together these covariates tell"):
        pg.propensity_weights(make(age, both, old), ["age", "alsfrsr_baseline"])


def test_too_few_controls_are_refused() -> None:
    with pytest.raises(CohortError, match="fewer than 6 for each of 10 current"):
        pg.matched(confounded(60), ["age"], ratio=6)


def test_nobody_within_the_caliper_is_refused() -> None:
    age = np.array([50.0, 52, 70, 60, 61.5, 58.5])
    with pytest.raises(CohortError, match="no historical control lies within"):
        pg.matched(make(age, np.full(6, 40.0), np.arange(6) > 2), ["age"], caliper=1e-6)


def test_without_scikit_learn_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(SettingError, match=r"progression-bayes\[adjust\]"):
        pg.propensity_weights(confounded(30), ["age"])


def test_the_love_plot_shows_both() -> None:
    found = pg.propensity_weights(confounded(), FACTS)
    axes = pg.plots.balance(found).axes[0]
    before, after = (line.get_xdata() for line in axes.get_lines()[:2])
    np.testing.assert_allclose(np.abs(before), np.sort(found.table["before"].abs()))
    assert np.abs(after).max() < np.abs(before).max()
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == found.table["before"].abs().idxmax()
