"""Selecting and drawing subjects, bringing historical controls in, and comparing arms at baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.faults import CohortError, SettingError
from tests.test_borrowing import trial


def registry(n: int = 200, seed: int = 0) -> pg.Cohort:
    """Patients of 40 to 80 followed for 3 to 24 months, some of whose ages are not known; one in ten died at the end."""
    rng = np.random.default_rng(seed)
    months = rng.integers(3, 25, n)
    rows = [
        (f"r{i}", float(m), float(np.clip(round(38 - 0.8 * m + rng.normal()), 0, 48)))
        for i in range(n)
        for m in range(0, months[i] + 1, 3)
    ]
    people = pd.DataFrame({
        "subject": [f"r{i}" for i in range(n)], "arm": np.where(np.arange(n) % 2, "a", "b"), "age": np.where(np.arange(n) % 10, rng.integers(40, 81, n), np.nan),
        "sex": rng.choice(["male", "female"], n), "event": np.where(np.arange(n) % 10 == 5, "death", None),
        "event_time": np.where(np.arange(n) % 10 == 5, months + 0.5, np.nan), "end_of_follow_up": np.where(np.arange(n) % 10 == 5, np.nan, months),
    })  # fmt: skip
    visits = pd.DataFrame(rows, columns=["subject", "time", "alsfrsr"])
    outcome = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)
    return pg.Cohort.from_table(visits, people, time_unit="months", outcomes=[outcome], covariates=["age", "sex"], arms=["a", "b"],
                                provenance="simulated", name="registry")  # fmt: skip


def test_a_rule_selects_who_meets_it_and_says_so() -> None:
    cohort = registry()
    found = cohort.select("age < 60 and alsfrsr_baseline >= 37", followed=12, visits=5)
    own = found.subjects
    assert (own["age"] < 60).all() and 0 < len(own) < len(cohort.subjects)
    assert (found.visits.groupby("subject")["month"].max() >= 12).all() and (
        found.visits.groupby("subject").size() >= 5
    ).all()
    first = found.visits[found.visits["month"] == 0].set_index("subject")["alsfrsr"]
    assert (first >= 37).all()
    others = cohort.subjects.drop(index=own.index)
    last = cohort.visits.groupby("subject")["month"].max()
    start = cohort.visits[cohort.visits["month"] == 0].set_index("subject")["alsfrsr"]
    assert not ((others["age"] < 60) & (start[others.index] >= 37) & (last[others.index] >= 12)).any()
    assert f"selected {len(own)} of 200" in found.warnings[-1] and "alive then" in found.warnings[-1]
    assert set(found.visits["subject"]) == set(own.index)


def test_a_function_and_ids_select_too() -> None:
    cohort = registry()
    assert (cohort.select(lambda table: table["sex"] == "male").subjects["sex"] == "male").all()
    assert list(cohort.select(["r3", "r1"]).subjects.index) == ["r1", "r3"]
    one_arm = cohort.select("arm == 'a'")
    assert one_arm.arms == ("a",) and one_arm.allocation == "single arm"


def test_a_draw_is_random_without_replacement_and_the_same_with_its_seed() -> None:
    cohort = registry()
    found = cohort.sample(30, arm="a", random_seed=1)
    count = found.subjects["arm"].value_counts()
    assert count["a"] == 30 and count["b"] == 100
    assert (
        found.fingerprint
        == cohort.sample(30, arm="a", random_seed=1).fingerprint
        != cohort.sample(30, arm="a", random_seed=2).fingerprint
    )
    drawn = np.concatenate([cohort.sample(20, random_seed=seed).subjects.index for seed in range(400)])
    count = pd.Series(drawn).value_counts().reindex(cohort.subjects.index, fill_value=0)
    assert abs(count - 40).max() < 5.5 * np.sqrt(40 * 0.9)  # each with probability 0.1


@pytest.mark.parametrize("call", [
    lambda c: c.select("age <"), lambda c: c.select("years < 3"), lambda c: c.select("age > 200"), lambda c: c.select(["nobody"]),
    lambda c: c.sample(0, random_seed=1), lambda c: c.sample(201, random_seed=1), lambda c: c.sample(10, arm="c", random_seed=1),
    lambda c: c.sample(2.5, random_seed=1), lambda c: c.select(followed=100),
])  # fmt: skip
def test_rules_and_draws_that_cannot_be_meant_are_refused(call: Any) -> None:
    with pytest.raises(SettingError):
        call(registry())


def test_historical_controls_become_the_control_arm() -> None:
    pilot = pg.datasets.als_anakinra().select("arm == 'anakinra'")
    controls = registry().select("arm == 'a'", followed=12).sample(40, random_seed=1)
    both = pg.with_historical_controls(pilot, controls)
    assert both.arms == ("historical control", "anakinra") and both.allocation == "historical"
    assert both.provenance == "simulated"  # of reconstructed and simulated the less certain
    assert both.n_subjects == 57 and both.n_visits == pilot.n_visits + controls.n_visits
    own = both.visits[both.visits["subject"].isin(pilot.subjects.index)].reset_index(drop=True)
    np.testing.assert_array_equal(own["alsfrsr"], pilot.visits["alsfrsr"])
    assert both.covariates == ("sex",) and any("drew 40" in text for text in both.warnings)
    died = both.subjects["event"].notna().sum()
    assert died == controls.subjects["event"].notna().sum() > 0
    contrast = pg.contrast(pg.fit("als_slope", both, random_seed=1), "slope_difference")
    assert any("historical" in text for text in contrast.assumptions())


@pytest.mark.slow
def test_the_controls_of_a_trial_stay_its_controls() -> None:
    """Taken apart and brought together again it is the same trial, and borrows alike."""
    whole = trial(n=15, historical=30)
    current, old = whole.select("arm != 'historical control'"), whole.select("arm == 'historical control'")
    again = pg.with_historical_controls(current, old)
    assert again.arms == whole.arms
    effects = [
        pg.contrast(pg.fit("als_slope", one, borrowing=pg.Commensurate(0.2), random_seed=1), "slope_difference")
        for one in (whole, again)
    ]
    one, other = (effect.select("slope_difference", active_arm="treated") for effect in effects)
    assert float(one.mean()) == pytest.approx(float(other.mean()), abs=0.05 * float(one.std()))
    assert not any("without concurrent" in text for text in effects[1].assumptions())


def test_what_is_unknown_meets_no_rule_not_even_a_negated_one() -> None:
    cohort = registry()
    kept = cohort.select("age != 50 and arm == 'a'").subjects
    assert kept["age"].notna().all() and len(kept)


def test_the_same_id_in_both_is_two_people_where_their_visits_differ() -> None:
    current, controls = registry(20).select("arm == 'a'"), registry(20, seed=1).select("arm == 'a'")
    both = pg.with_historical_controls(current, controls)
    assert both.n_subjects == 10 + 10 and "historical r1" in both.subjects.index and "r1" in both.subjects.index


def test_the_same_patients_in_both_are_refused_and_named() -> None:
    current, controls = registry(40).select("arm == 'a'"), registry(40, seed=1).select("arm == 'a'")
    mixed = pg.with_historical_controls(
        controls, current.select(["r1", "r3", "r5", "r7", "r9", "r11", "r13"]), control="a twice"
    )
    mixed = mixed.select("arm == 'a twice'")  # seven current patients, some under their own ids
    again = pg.Cohort.from_table(mixed.visits.assign(subject=mixed.visits["subject"].str.removeprefix("historical "))
                                 .rename(columns={"month": "time"}), time_unit="months", outcomes=list(mixed.outcomes))  # fmt: skip
    with pytest.raises(CohortError, match="7 of the controls are patients of the current cohort") as caught:
        pg.with_historical_controls(current, again)
    assert caught.value.faults[0].value == "r1, r3, r5, r7, r9, ..." and "controls.select" in str(caught.value)
    left = current.select(lambda table: ~table.index.isin(again.subjects.index))
    assert pg.with_historical_controls(left, again).n_subjects == current.n_subjects


def test_what_cannot_be_brought_together_is_refused() -> None:
    one = registry(20)
    other = pg.Cohort.from_table(pd.DataFrame({"subject": ["x", "x"], "time": [0, 1], "alsfrsr": [3, 2]}), time_unit="months",
                                 outcomes=[pg.Outcome("alsfrsr", unit="points", lower=0, upper=40)])  # fmt: skip
    with pytest.raises(CohortError, match="other bounds"):
        pg.with_historical_controls(one, other)
    with pytest.raises(CohortError, match="share no outcome"):
        pg.with_historical_controls(one, pg.datasets.sle_anakinra())
    with pytest.raises(CohortError, match="label of the controls"):
        pg.with_historical_controls(one, registry(20, seed=1).select("arm == 'b'"), control="a")
    with pytest.raises(CohortError, match="2 arms"):
        pg.with_historical_controls(one.select("arm == 'a'"), one)


def test_differences_are_standardised() -> None:
    cohort = registry()
    table = pg.comparability(cohort).table
    a, b = (cohort.subjects.loc[cohort.subjects["arm"] == arm, "age"] for arm in ("a", "b"))
    assert table.loc["age", "difference: b"] == pytest.approx((b.mean() - a.mean()) / np.sqrt((a.var() + b.var()) / 2))
    share = (cohort.subjects.loc[cohort.subjects["arm"] == "a", "sex"] == "male").mean()
    assert table.loc["sex: male", "a: mean"] == pytest.approx(share)
    assert table.loc["age", "a: n"] == a.notna().sum()


def test_selection_is_made_visible() -> None:
    found = pg.comparability(pg.datasets.als_anakinra())
    assert any("nobody died" in text for text in found.selection) and any(
        "elsewhere" in text for text in found.selection
    )
    assert "followed" in found.far_apart and "alsfrsr_baseline" not in found.far_apart
    assert "SELECTION" in repr(found)
    assert not any("nobody died" in text for text in pg.comparability(registry()).selection)


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(SettingError, match="with_historical_controls"):
        pg.comparability(registry().select("arm == 'a'"))


def test_equal_numbers_are_not_apart_by_their_rounding() -> None:
    """Follow-up is the same in all arms, but for the last digit of its mean."""
    current = pg.datasets.simulated_als(n=(30, 30), random_seed=1)
    controls = (
        pg.datasets.simulated_als(n=(200, 200), random_seed=2)
        .select("arm == 'control'", followed=5)
        .sample(100, random_seed=1)
    )
    found = pg.comparability(pg.with_historical_controls(current, controls))
    differences = found.table.loc["followed", [name for name in found.table if str(name).startswith("difference")]]
    assert (differences == 0).all() and "followed" not in found.far_apart
