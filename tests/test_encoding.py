"""A cohort as a program sees it."""

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.encoding import choose_outcomes, encode, planned_visits, size_bucket
from progression.faults import CohortError, InputError, SettingError
from progression.units import months_per

FRS = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True)
TENDER = pg.Outcome("tender_joints", lower=0, integer=True)
CRP = pg.Outcome("crp_mg_dl", positive=True, higher_is_better=False)
SWOLLEN = pg.Outcome("swollen_joints", lower=0, integer=True)


def cohort(visits, subjects=None, **how):
    return pg.Cohort.from_table(pd.DataFrame(visits), subjects, **({"time_unit": "months"} | how))


def model(name):
    return pg.models()[name]


@pytest.mark.parametrize(("n", "bucket"), [(1, 8), (8, 8), (9, 16), (63, 64), (64, 64), (65, 72), (127, 128),
                                           (128, 128), (129, 144), (240, 240), (1000, 1024), (1025, 1152)])  # fmt: skip
def test_buckets(n, bucket):
    assert size_bucket(n) == bucket


def test_buckets_never_shrink_and_waste_little():
    sizes = [size_bucket(n) for n in range(1, 3000)]
    assert all(b >= n for n, b in enumerate(sizes, 1)) and sizes == sorted(sizes)
    assert all(size_bucket(b) == b for b in sizes)
    assert all(b <= max(n + 7, n * 1.125 + 1) for n, b in enumerate(sizes, 1))


def test_arrays_hold_the_table(als):
    made = encode(model("als_slope"), als)
    assert made.n_subjects == 12 and made.n_padded == 16
    assert made.coords["active_arm"] == ["treated"] and made.coords["baseline_arm"] == []
    visits, arm = als.visits, als.subjects["arm"]
    np.testing.assert_array_equal(made.arrays["score_value"][1], visits["alsfrsr"])
    np.testing.assert_array_equal(made.arrays["score_month"][1], visits["month"])
    ids = np.array(made.coords["subject"])[made.arrays["score_subject"][1]]
    assert ids.tolist() == visits["subject"].tolist()
    on_arm = made.arrays["on_arm"][1]
    assert on_arm.shape == (16, 1) and on_arm[:12, 0].tolist() == (arm == "treated").astype(float).tolist()
    assert not on_arm[12:].any() and not made.arrays["score_n"][1][12:].any()
    assert made.sizes()["subject"] == 16 and "score_row" not in made.sizes()
    groups = made.groups()
    assert groups["observed_data"]["score"].sizes == {"score_row": 48}
    assert groups["constant_data"]["on_arm"].sizes == {"subject": 12, "active_arm": 1}


def test_statistics_by_subject_are_those_of_polyfit():
    rng = np.random.default_rng(2)
    rows = [(f"S{s}", m, rng.uniform(1, 47)) for s in range(5) for m in np.sort(rng.uniform(0, 9, size=3 + s))]
    rows.append(("S9", 2.0, 20.0))
    table = pd.DataFrame(rows, columns=["subject", "time", "alsfrsr"])
    made = encode(model("als_slope"), cohort(table, outcomes=[FRS], provenance="simulated"))
    found = {key: made.arrays[f"score_{key}"][1] for key in ("n", "mean", "mean_month", "slope", "sxx", "mean_log",
                                                             "mean_logit", "logit_information", "most")}  # fmt: skip
    for i, subject in enumerate(made.coords["subject"]):
        own = table[table["subject"] == subject]
        month, value = own["time"].to_numpy(), own["alsfrsr"].to_numpy()
        share = (value + 0.5) / 49
        expected = {"n": len(own), "mean": value.mean(), "mean_month": month.mean(), "most": 48,
                    "slope": np.polyfit(month, value, 1)[0] if len(own) > 1 else 0.0,
                    "sxx": ((month - month.mean()) ** 2).sum(), "mean_log": np.log(value).mean(),
                    "mean_logit": np.log(share / (1 - share)).mean(),
                    "logit_information": (48 * share * (1 - share)).sum()}  # fmt: skip
        for key, wanted in expected.items():
            assert found[key][i] == pytest.approx(wanted, abs=1e-9), (subject, key)


def test_values_below_the_detection_limit_count_for_nothing_in_the_statistics():
    """They choose coordinates: a limit taken for a value left a parameter of four patients' CRP 5 effective draws of 1,000."""
    table = pd.DataFrame(
        {"subject": ["A"] * 3 + ["B"] * 3, "time": [0, 1, 3] * 2, "crp_mg_dl": [2.0, "<0.5", 8.0] + ["<0.5"] * 3}
    )
    arrays = encode(model("sle_crp"), cohort(table, outcomes=[CRP], provenance="simulated")).arrays
    assert arrays["crp_n"][1][:2].tolist() == [2, 0]
    assert arrays["crp_mean_log"][1][:2] == pytest.approx([np.log(4), 0.0])
    assert arrays["crp_censored"][1].tolist() == [False, True, False, True, True, True]


def test_what_is_seen_at_each_visit_is_told_by_visit():
    rows = {"subject": ["A", "A", "A", "B", "B"], "time": [0, 1, 3, 0, 3], "tender_joints": [3, None, 5, 6, 28],
            "swollen_joints": [1, 2, None, 0, 4], "crp_mg_dl": [2.0, "<0.5", None, "<0.5", 8.0]}  # fmt: skip
    arrays = encode(model("sle_activity"), cohort(rows, outcomes=[TENDER, SWOLLEN, CRP], provenance="simulated")).arrays
    dims, seen = arrays["counts_n_at_visit"]
    assert dims == ("subject", "visit", "counts_outcomes") and seen.shape[1:] == (3, 2)
    assert seen[:2].tolist() == [[[1, 1], [0, 1], [1, 0]], [[1, 1], [0, 0], [1, 1]]] and not seen[2:].any()
    logit, known = (arrays[f"counts_{name}_at_visit"][1] for name in ("mean_logit", "logit_information"))
    assert logit[0, 2, 0] == pytest.approx(np.log(5.5 / 23.5)) and known[0, 2, 0] == pytest.approx(
        28 * 5.5 * 23.5 / 29**2
    )
    assert logit[1, 2, 0] == pytest.approx(np.log(28.5 / 0.5)) and logit[0, 2, 1] == known[0, 2, 1] == 0
    log = arrays["markers_mean_log_at_visit"][1][:2, :, 0]
    assert log == pytest.approx(np.log([[2.0, 1, 1], [1, 1, 8.0]]))
    assert arrays["markers_n_at_visit"][1][:2, :, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert arrays["markers_at_visit"][1][:2].tolist() == [
        [1, 0, 0],
        [0, 0, 1],
    ]  # of what was measured, not of what lies below


def test_values_missing_for_one_outcome_only():
    rows = {"subject": ["A", "A", "A", "B", "B", "B"], "time": [0, 1, 3] * 2,
            "tender_joints": [3, None, 5, 6, 7, 8], "swollen_joints": [1, 2, None, None, 0, 4]}  # fmt: skip
    made = encode(model("sle_joints"), cohort(rows, outcomes=[TENDER, SWOLLEN]))
    value, outcome, visit = (made.arrays[f"joints_{name}"][1] for name in ("value", "outcome", "visit"))
    assert value.tolist() == [3, 5, 6, 7, 8, 1, 2, 0, 4] and outcome.tolist() == [0] * 5 + [1] * 4
    assert visit.tolist() == [0, 2, 0, 1, 2, 0, 1, 1, 2]
    assert made.coords["outcome"] == ["tender_joints", "swollen_joints"]
    assert made.coords["visit"] == [0, 1, 3] and made.coords["followup_visit"] == [1, 3]
    assert made.arrays["joints_n"][1][:2].tolist() == [[2, 2], [3, 2]]
    assert set(made.arrays["joints_upper"][1]) == {28}
    wider = encode(model("sle_joints"), cohort(rows, outcomes=[TENDER, SWOLLEN]), options={"joints": 66})
    assert set(wider.arrays["joints_upper"][1]) == {66}


def test_censored_values_and_limits():
    limited = pg.Outcome("crp_mg_dl", positive=True, detection_limit=0.5)
    rows = {"subject": ["A", "A", "B", "B"], "time": [0, 1, 0, 1], "crp_mg_dl": ["<0.5", "0.9", "0.5", "2"]}
    made = encode(model("sle_crp"), cohort(rows, outcomes=[limited]))
    assert made.arrays["crp_censored"][1].tolist() == [True, False, False, False]
    assert made.arrays["crp_lower"][1].tolist() == [0.5, 0.5, 0.0, 0.5]  # one measured at the limit is no censored one
    own = cohort({**rows, "crp_mg_dl": ["<0.3", "0.9", "0.5", "2"]}, outcomes=[pg.Outcome("crp_mg_dl", positive=True)])
    assert encode(model("sle_crp"), own).arrays["crp_lower"][1].tolist() == [
        0.3,
        0.3,
        0.3,
        0.3,
    ]  # no limit declared: the highest censored value


def test_which_outcomes_a_model_sees(als):
    rows = als.visits.rename(columns={"month": "time"}).assign(fvc=80.0 + np.arange(48))
    both = cohort(rows[["subject", "time", "alsfrsr", "fvc"]], outcomes=["alsfrsr", "fvc"])
    slope = model("als_slope")
    assert [o.name for o in choose_outcomes(slope, both)["score"]] == ["alsfrsr"]
    assert [o.name for o in choose_outcomes(slope, both, "fvc")["score"]] == ["fvc"]
    assert choose_outcomes(slope, both)["score"][0].upper == 48  # completed from the model's own facts
    assert encode(slope, both, outcomes="fvc").arrays["score_value"][1][0] == 80
    only = cohort(rows[["subject", "time", "fvc"]], outcomes=["fvc"])
    assert [o.name for o in choose_outcomes(slope, only)["score"]] == ["fvc"]
    with pytest.raises(SettingError, match="did you mean 'alsfrsr'"):
        encode(slope, both, outcomes="alsfrs")
    with pytest.raises(CohortError, match=r"observes alsfrsr; the cohort has alsfrsr, fvc"):
        encode(slope, both, outcomes=["alsfrsr", "fvc"])
    with pytest.raises(CohortError, match=r"observes tender_joints, swollen_joints; the cohort has alsfrsr"):
        encode(model("sle_joints"), als)


def test_covariates_are_standardised(als):
    made = encode(model("als_slope"), als, options={"covariates": ["age", "sex"]})
    columns = made.arrays["covariates"][1][:12]
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(columns.std(axis=0), 1)
    age = als.subjects["age"].to_numpy()
    np.testing.assert_allclose(columns[:, 0], (age - age.mean()) / age.std())
    assert (columns[(als.subjects["sex"] == "m").to_numpy(), 1] > 0).all()  # the later label is 1
    assert made.coords["covariate"] == ["age", "sex"]
    assert encode(model("als_slope"), als, options={"covariates": "age"}).coords["covariate"] == ["age"]


def test_covariates_that_cannot_be_used(als):
    with pytest.raises(SettingError, match="did you mean 'age'"):
        encode(model("als_slope"), als, options={"covariates": ["aeg"]})
    rows = {"subject": ["A", "A", "B", "B", "C", "C"], "time": [0, 1] * 3, "alsfrsr": [40, 39, 41, 38, 30, 28]}
    people = pd.DataFrame(
        {"subject": ["A", "B", "C"], "twice": [1, 1, 2], "country": ["x", "y", "z"], "age": [50, None, 60]}
    )
    own = cohort(rows, people, outcomes=[FRS], covariates=["twice", "country", "age"])
    for name, what in (("country", "3 labels"), ("age", "missing")):
        with pytest.raises(CohortError, match=what) as caught:
            encode(model("als_slope"), own, options={"covariates": [name]})
        assert caught.value.faults[0].column == name
    with pytest.raises(CohortError, match="missing") as caught:
        encode(model("als_slope"), own, options={"covariates": ["age"]})
    assert caught.value.faults[0].subject == "B"


def test_planned_visits():
    table = pd.DataFrame({"visit": ["b", "w4"] * 3, "month": [0, 0.9, 0, 1.0, 0, 1.3]})
    planned, faults = planned_visits(table)
    assert planned.tolist() == [0, 1, 0, 1, 0, 1] and not faults
    assert planned_visits(table.drop(columns="visit"))[0].tolist() == table["month"].tolist()
    assert "one visit" in planned_visits(pd.DataFrame({"month": [0.0, 0.0]}))[1][0].what
    assert "no common schedule" in planned_visits(pd.DataFrame({"month": np.arange(25.0)}))[1][0].what


def test_cohorts_a_model_cannot_use():
    once = cohort({"subject": ["A", "B"], "time": [0, 0], "alsfrsr": [40, 30]}, outcomes=[FRS])
    with pytest.raises(CohortError):
        encode(model("als_slope"), once)
    late = cohort(
        {"subject": ["A", "A", "B", "B"], "time": [0, 2, 2, 3], "crp_mg_dl": [1, 2, 3, 4]}, outcomes=["crp_mg_dl"]
    )
    with pytest.raises(CohortError) as caught:
        encode(model("sle_crp"), late)
    assert [fault.subject for fault in caught.value.faults] == ["B"]
    out = cohort({"subject": ["A", "A"], "time": [0, 2], "alsfrsr": [40, 55]}, outcomes=["alsfrsr"])
    with pytest.raises(CohortError, match="48"):
        encode(model("als_slope"), out)


def test_more_joints_than_were_assessed():
    rows = {
        "subject": ["A", "A", "B", "B"],
        "time": [0, 1] * 2,
        "tender_joints": [30, 2, 3, 4],
        "swollen_joints": [1, 2, 3, 4],
    }
    with pytest.raises(CohortError):
        encode(model("sle_joints"), cohort(rows, outcomes=[TENDER, SWOLLEN]))


@pytest.mark.parametrize(("name", "options"), [
    ("als_slope", {"baseline": "comon"}),
    ("sle_joints", {"joints": -3}),
])  # fmt: skip
def test_options_have_possible_values(name, options, tiny_cohort):
    with pytest.raises(InputError):
        encode(model(name), tiny_cohort(model(name), 2), options=options)


@pytest.mark.parametrize("seen", [0, 3])
def test_baseline_and_follow_up_of_the_outcome_that_is_used(seen):
    rows = {"subject": ["A", "A", "B", "B"], "time": [0, 3, 0, 3], "other": [1.0, 2, 3, 4]}
    name, outcome = ("als_slope", "alsfrsr") if seen == 0 else ("sle_crp", "crp_mg_dl")
    rows[outcome] = [3.0 if time == seen else None for time in rows["time"]]
    with pytest.raises(CohortError):
        encode(model(name), cohort(rows, outcomes=[outcome, "other"]))


def test_baseline_difference_follows_the_allocation(als):
    how = {"outcomes": [FRS], "arms": ["control", "treated"]}
    rows, people = als.visits.rename(columns={"month": "time"}), als.subjects.reset_index()[["subject", "arm"]]
    for allocation, free in (("randomised", []), ("historical", ["treated"]), ("unstated", ["treated"])):
        own = cohort(rows, people, allocation=allocation, **how)
        assert encode(model("als_slope"), own).coords["baseline_arm"] == free
    own = cohort(rows, people, allocation="historical", **how)
    common = encode(model("als_slope"), own, options={"baseline": "common"})
    assert common.arrays["on_baseline_arm"][1].shape == (16, 0)
    assert encode(model("als_slope"), als, options={"baseline": "free"}).coords["baseline_arm"] == ["treated"]


def test_schedule_for_prediction(als, lupus):
    made = encode(model("als_slope"), als).on_schedule([0, 6, 12])
    assert made.n_subjects == 12 and made.n_padded == 16 and len(made.arrays["score_month"][1]) == 36
    assert made.arrays["score_month"][1][:3].tolist() == [0, 6, 12] and set(made.arrays["score_upper"][1]) == {48}
    new = encode(model("als_slope"), als).on_schedule([1, 2], {"treated": 2, "control": 1})
    assert new.arrays["on_arm"][1].ravel().tolist() == [1, 1, 0] and new.coords["subject"] == [
        "new 1",
        "new 2",
        "new 3",
    ]
    assert not new.arrays["score_n"][1].any()
    joints = encode(model("sle_joints"), lupus).on_schedule([0.1, 50])
    last = len(joints.coords["visit"]) - 1
    assert joints.arrays["joints_visit"][1][:4].tolist() == [0, 0, last, last]  # the nearest planned visit
    assert joints.arrays["joints_outcome"][1][:4].tolist() == [0, 1, 0, 1]
    assert months_per["weeks"] * 4 == pytest.approx(joints.coords["visit"][1], abs=1e-3)
