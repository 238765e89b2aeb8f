"""Times to events: read from a cohort, censored as they should be, laid over each other in replicates."""

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.encoding import encode
from progression.engines.data_sets import data_set
from progression.event_times import DEATH, is_event, signed
from progression.faults import CohortError, SettingError


def made(subjects, months=(0.0, 1.0, 2.0)):
    table = pd.DataFrame(subjects)
    ends = table.get("event_time", pd.Series(np.nan, table.index)).fillna(np.inf)
    rows = [{"subject": s, "time": t, "alsfrsr": 40.0 - t} for s, end in zip(table["subject"], ends, strict=True)
            for t in months if t <= end]  # fmt: skip
    return pg.Cohort.from_table(pd.DataFrame(rows), table, time_unit="months", outcomes=["alsfrsr"],
                                arms=["control", "treated"], allocation="randomised", provenance="simulated")  # fmt: skip


PEOPLE = [
    {"subject": "a", "arm": "control", "event": "death", "event_time": 1.5, "end_of_follow_up": np.nan},
    {"subject": "b", "arm": "control", "event": None, "event_time": np.nan, "end_of_follow_up": 6.0},
    {"subject": "c", "arm": "treated", "event": "Tracheostomy", "event_time": 2.5, "end_of_follow_up": np.nan},
    {"subject": "d", "arm": "treated", "event": "withdrew", "event_time": 2.0, "end_of_follow_up": np.nan},
    {"subject": "e", "arm": "treated", "event": "withdrew", "event_time": 2.0, "end_of_follow_up": 5.0},
    {"subject": "f", "arm": "treated", "event": None, "event_time": np.nan, "end_of_follow_up": np.nan},
]


def test_rows_of_deaths():
    """A death is one, other ends are censored: at the end of follow-up, else another event, else the last visit."""
    encoded = encode(pg.models()["als_shared"], made(PEOPLE))
    column = {name: encoded.arrays[f"death_{name}"][1] for name in ("value", "censored", "upper", "subject")}
    assert column["value"].tolist() == [1.5, 6, 2.5, 2, 5, 2]
    assert column["censored"].tolist() == [False, True, False, True, True, True]
    assert (column["upper"] == column["value"])[column["censored"]].all()
    assert (column["upper"][~column["censored"]] > 6).all()  # planned as long as the longest
    assert encoded.row_dim("death") == "death_row" and encoded.observed == ("score", "death")


def test_a_cohort_that_says_nothing_has_no_rows_and_no_deaths_to_learn_from():
    people = [{"subject": s, "arm": arm} for s, arm in zip("abcdef", ["control", "treated"] * 3, strict=True)]
    fit = pg.fit("als_shared", made(people), random_seed=1)
    assert fit.idata["observed_data"].sizes["death_row"] == 0
    prior = pg.models()["als_shared"].priors["hazard"].parameters
    log_hazard = np.log(fit.posterior["hazard"]).to_numpy().ravel()
    assert abs(log_hazard.mean() - prior["mu"]) < 0.1 and abs(log_hazard.std() - prior["sigma"]) < 0.1


@pytest.mark.parametrize(("word", "is_one"), [("death", True), ("Died", True), ("PAV", True), ("deceased", True), (None, False),
                                              ("permanent assisted ventilation", True), ("withdrew", False), (np.nan, False)])  # fmt: skip
def test_words_for_death(word, is_one):
    assert is_event(word, DEATH) is is_one


def test_death_before_the_last_visit_is_refused():
    table = pd.DataFrame(PEOPLE)
    rows = pd.DataFrame({"subject": ["a", "a", "b"], "time": [0.0, 2.0, 0.0], "alsfrsr": [40.0, 39, 38]})
    with pytest.raises(CohortError, match="a visit after the subject's death") as caught:
        pg.Cohort.from_table(rows, table.iloc[:2], time_unit="months", outcomes=["alsfrsr"], arms=["control"])
    assert caught.value.faults[0].subject == "a" and caught.value.faults[0].remedy


def test_replicates_carry_deaths_and_give_each_data_set_its_own():
    first = made(PEOPLE)
    other = [dict(one) for one in PEOPLE]
    other[1] |= {"event": "death", "event_time": 4.0, "end_of_follow_up": np.nan}
    other[0] |= {"event": None, "event_time": np.nan, "end_of_follow_up": 2.0}
    both = pg.Replicates.from_cohorts([first, made(other)])
    encoded = encode(pg.models()["als_shared"], both.cohort).unpadded()
    values = both.rows(encoded, strict=False)
    np.testing.assert_allclose(values["death"][0], [1.5, -6, 2.5, -2, -5, -2])
    np.testing.assert_allclose(values["death"][1, :2], [-2.0, 4.0])
    own = data_set(encoded, {name: value[1] for name, value in values.items()}).arrays
    assert own["death_censored"][1].tolist() == [True, False, False, True, True, True]
    assert own["death_upper"][1][0] == 2.0 and own["death_upper"][1][1] > 6


def test_replicates_without_deaths_for_a_design_that_follows_patients_are_refused():
    cohort = made(PEOPLE)
    values = {"alsfrsr": cohort.visits["alsfrsr"].to_numpy()[None]}
    with pytest.raises(CohortError, match="do not say what happened"):
        pg.fit_many("als_shared", pg.Replicates(cohort, values), random_seed=1)
    with pytest.raises(CohortError, match="times have the shape"):
        pg.Replicates(cohort, values, events={"death": np.ones((1, 2))})
    plain = made([{"subject": s, "arm": arm} for s, arm in zip("ab", ["control", "treated"], strict=True)])
    with pytest.raises(CohortError, match="how long subjects are followed"):
        pg.Replicates(plain, {"alsfrsr": plain.visits["alsfrsr"].to_numpy()[None]}, events={"death": np.ones((1, 2))})


def test_minus_nothing_is_a_time_without_the_event():
    assert np.signbit(signed(np.zeros(1), np.array([False])))[0]


@pytest.mark.parametrize(("options", "message"), [
    ({"mortality": "shard"}, "shared"), ({"regimen": "platform"}, "is no column of the subjects")])  # fmt: skip
def test_options_that_cannot_be_meant(options, message):
    with pytest.raises(SettingError, match=message):
        pg.fit("als_shared", made(PEOPLE), options=options)


def test_regimens_and_periods_are_clauses():
    people = [one | {"wave": "I" if i < 3 else "II", "year": 2020 + i // 2} for i, one in enumerate(PEOPLE)]
    table = pd.DataFrame(people)
    plain = made(PEOPLE)
    cohort = pg.Cohort.from_table(
        plain.visits.rename(columns={"month": "time"})[["subject", "time", "alsfrsr"]], table, time_unit="months",
        outcomes=["alsfrsr"], covariates=["wave", "year"], arms=["control", "treated"], provenance="simulated",
    )  # fmt: skip
    encoded = encode(pg.models()["als_shared"], cohort, options={"regimen": "wave", "period": "year"})
    assert encoded.coords["regimen"] == ["I", "II"] and encoded.coords["later_period"] == [2021, 2022]
    np.testing.assert_array_equal(encoded.arrays["since_period"][1][:6], [[0, 0]] * 2 + [[1, 0]] * 2 + [[1, 1]] * 2)
    np.testing.assert_array_equal(encoded.arrays["on_later_regimen"][1][:6, 0], [0, 0, 0, 1, 1, 1])


def test_check_looks_at_deaths(als_shared_fit):
    check = pg.check(als_shared_fit, draws=200)
    rows = check.table[check.table["outcome"] == "death"]
    assert set(rows["arm"]) == {"control", "treated"} and len(rows) >= 4
    assert check.passed, check.problems


def test_predicted_deaths_end_with_the_horizon_and_count_in_cafs(als_shared_fit):
    predicted = als_shared_fit.predict([0, 5], new_patients={"control": 300, "treated": 300}, draws=40)
    times = predicted["death"]
    assert times.dims == ("sample", "subject") and (times.where(np.isfinite(times), 0) <= 5).all()
    survival = pg.contrast(als_shared_fit, "survival", month=5).draws["survival"].mean(("chain", "draw"))
    alive = np.isinf(times.to_numpy()).mean(axis=0).reshape(2, 300).mean(axis=1)
    np.testing.assert_allclose(alive, survival, atol=0.04)
    cafs = pg.predicted_cafs(als_shared_fit, month=5, draws=40)
    assert cafs.deaths is not None and 0.05 < float(cafs.deaths.mean()) < 0.3 and "died by then" in repr(cafs)


@pytest.fixture(scope="module")
def als_shared_fit():
    cohort = pg.datasets.simulated_als(deaths_per_month=0.03, dropout_per_month=0.02, n=(50, 50), random_seed=3)
    return pg.fit("als_shared", cohort, random_seed=1)


def test_simulated_deaths():
    plain, deaths = (pg.datasets.simulated_als(random_seed=4, n=(400, 400), deaths_per_month=p) for p in (0.0, 0.05))
    assert "event" not in plain.subjects
    died = deaths.subjects["event"] == "death"
    months = 24 * 12 / 52
    assert abs(died.mean() - (1 - 0.95**months)) < 4 * 0.5 / 800**0.5
    merged = deaths.visits.merge(plain.visits, on=["subject", "month"], suffixes=("", "_plain"))
    assert len(merged) == len(deaths.visits) < len(plain.visits)
    assert (merged["alsfrsr"] == merged["alsfrsr_plain"]).all()
    last = deaths.visits.groupby("subject")["month"].max()
    assert (last <= deaths.subjects["event_month"].fillna(np.inf).reindex(last.index)).all()
