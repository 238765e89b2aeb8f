"""Odd but legal tables are accepted with the right content; all faults of a bad one come at once (the bad: test_bad_input.py)."""

import numpy as np
import pandas as pd
import pytest

from progression.faults import CohortError
from tests.bad_input.cases import ASSAY, CRP, FRS, JOINTS, SUM, items, people, read, table


def test_all_faults_come_at_once() -> None:
    visits = table(subject=["A", "A ", "B", "B"], time=[0, 4, None, 4], frs=["40", "0,8", "50", "n.d."])
    with pytest.raises(CohortError) as caught:
        read(visits, outcomes=[FRS])
    found = {(fault.column, fault.row) for fault in caught.value.faults}
    assert found == {("subject", 2), ("frs", 2), ("time", 3), ("frs", 3), ("frs", 4)}


def test_all_tables_are_looked_at_when_one_is_broken() -> None:
    with pytest.raises(CohortError) as caught:
        read(pd.DataFrame(), pd.DataFrame({"id": [1]}), events=pd.DataFrame({"subject": ["A"], "kind": ["x"]}))
    assert [fault.table for fault in caught.value.faults] == ["visits", "subjects", "events"]


def test_missing_time_does_not_hide_the_values() -> None:
    with pytest.raises(CohortError) as caught:
        read(table(time=None, frs=[40, 50, 44, 43]), outcomes=[FRS])
    assert {fault.column for fault in caught.value.faults} == {"time", "frs"}


def test_faults_speak_of_the_users_columns() -> None:
    visits = table(frs=[40, 50, 44, 43]).rename(columns={"subject": "patient", "frs": "ALSFRS_R_Total"})
    with pytest.raises(CohortError) as caught:
        read(visits, columns={"subject": "patient", "frs": "ALSFRS_R_Total"}, outcomes=[FRS])
    (fault,) = caught.value.faults
    assert (fault.column, fault.subject, fault.row, fault.value) == ("ALSFRS_R_Total", "A", 2, 50)


@pytest.mark.slow
def test_many_faults_print_few_lines() -> None:
    n = 90_000
    visits = pd.DataFrame({"subject": [f"S{i // 6}" for i in range(n)], "time": np.arange(n) % 6, "frs": 99})
    with pytest.raises(CohortError) as caught:
        read(visits, outcomes=[FRS])
    assert len(caught.value.faults) == n
    assert len(str(caught.value).splitlines()) == 2
    assert "and 89999 more rows: 2, 3, 4" in str(caught.value)


# --- odd but legal -----------------------------------------------------------------------------------------------


def test_one_arm_only() -> None:
    cohort = read(table())
    assert cohort.arms == ("all",)
    assert cohort.allocation == "single arm"
    assert read(table(), arms=["anakinra"]).arms == ("anakinra",)


def test_screening_visits_before_time_0() -> None:
    assert read(table(time=[-4, 0, -2, 4])).visits["month"].min() == pytest.approx(-4 * 7 / (365.25 / 12))


def test_below_the_detection_limit() -> None:
    cohort = read(table(crp=["<0.5", " 1.2 ", "< 0.3", ""]), outcomes=[CRP])
    assert cohort.visits["crp"].tolist() == [0.5, 1.2, 0.3]
    assert cohort.visits["crp_censored"].tolist() == [True, False, True]


def test_limits_below_the_usual_one_are_legal() -> None:
    assert read(table(crp=["<0.3", "0.5", "1", "2"]), outcomes=[ASSAY]).visits["crp"].tolist() == [
        0.3,
        0.5,
        1,
        2,
    ]


def test_missing_as_text() -> None:
    assert read(table(crp=["NaN", "NA", "<NA>", "2"]), outcomes=["crp"]).visits["crp"].tolist() == [2]


def test_flag_column() -> None:
    cohort = read(table(crp=[0.5, 1, 1, 2], crp_censored=["yes", "no", None, 0]), outcomes=[ASSAY])
    assert cohort.visits["crp_censored"].tolist() == [True, False, False, False]
    assert "crp_censored" not in read(table(crp=[0.5, 1, 1, 2], crp_censored=[False] * 4)).visits


def test_ids_are_text_in_natural_order() -> None:
    ids = ["S10", "S2", "007", "7", "Müller", "患者1"]
    cohort = read(pd.DataFrame({"subject": ids, "time": 0, "frs": range(6)}))
    assert cohort.subjects.index.tolist() == ["007", "7", "Müller", "S2", "S10", "患者1"]
    assert cohort.visits.set_index("subject")["frs"]["007"] == 2
    assert read(table(subject=[101, 101, 7, 7])).subjects.index.tolist() == ["7", "101"]


def test_ids_that_differ_by_case_are_two_and_said() -> None:
    cohort = read(table(subject=["a", "a", "A", "A"]))
    assert cohort.n_subjects == 2
    assert any("differ by case" in warning for warning in cohort.warnings)


def test_unsorted_unequal_and_single_visits() -> None:
    visits = pd.DataFrame({"subject": list("BABC"), "time": [4, 0, 0, 7], "frs": [43, 40, 44, 30]})
    cohort = read(visits)
    assert cohort.visits["subject"].tolist() == ["A", "B", "B", "C"]
    assert cohort.visits["frs"].tolist() == [40, 44, 43, 30]
    assert cohort.check_follow_up() == ()


def test_all_zero_counts() -> None:
    assert read(table(joints=[0, 0, 0, 0]), outcomes=[JOINTS]).visits["joints"].tolist() == [0] * 4
    assert "joints" in read(table(joints=[0, 0, 0, 0])).visits


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_nullable_and_arrow_dtypes(backend: str) -> None:
    visits = table(frs=[40, None, 44, 43], crp=["<0.5", None, "1", "2"], ill=[True, True, False, False])
    plain = read(visits, outcomes=["frs", "crp"], covariates=["ill"])
    other = read(visits.convert_dtypes(dtype_backend=backend), outcomes=["frs", "crp"], covariates=["ill"])
    assert other.fingerprint == plain.fingerprint
    assert plain.subjects["ill"].tolist() == [1.0, 0.0]


def test_pyarrow_table_and_dict() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    assert (
        read(pyarrow.Table.from_pandas(table())).fingerprint
        == read(table().to_dict("list")).fingerprint
        == read(table()).fingerprint
    )


def test_categoricals_with_unused_levels() -> None:
    subject = pd.Categorical(["A", "A", "B", "B"], categories=["Z", "B", "A"])
    arm = pd.Categorical(["control", "control", "x", "x"], categories=["control", "x", "never"])
    cohort = read(
        table(subject=subject, arm=arm, frs=pd.Categorical([40, 38, 44, 43], categories=range(49))),
        outcomes=[FRS],
    )
    assert cohort.arms == ("control", "x")
    assert cohort.subjects.index.tolist() == ["A", "B"]
    assert cohort.visits["frs"].tolist() == [40, 38, 44, 43]


def test_missing_values_in_unused_columns() -> None:
    cohort = read(table(comment=[None, None, "x", None]), people(age=[None, 50], weight=["*", "n.d."]))
    assert list(cohort.visits.columns) == ["subject", "month", "frs"]
    assert cohort.covariates == ()


def test_rows_without_any_outcome_are_dropped_and_counted() -> None:
    cohort = read(table(frs=[40, None, None, None]))
    assert (cohort.n_visits, cohort.n_subjects, cohort.dropped_rows) == (1, 2, 3)
    assert any("'B'" in warning for warning in cohort.warnings)


def test_simulated_scores_may_leave_the_scale() -> None:
    cohort = read(table(frs=[51.3, -2, 44, 43]), outcomes=[FRS], provenance="simulated")
    assert cohort.check([FRS]) == ()
    assert "SIMULATED" in repr(cohort)


def test_averages_may_be_fractional() -> None:
    cohort = read(table(frs=[40.5, 38, 44, 43]), outcomes=[FRS], averaged=["frs"])
    assert cohort.check([FRS]) == ()


def test_items_that_add_up() -> None:
    cohort = read(items(Q1=[4, None, 4, 4], Q2=[3, None, 3, 3], Q5a=[2, None, None, None]), outcomes=[SUM])
    assert list(cohort.visits.columns) == ["subject", "month", "frs"]
    assert cohort.n_visits == 4


def test_missing_marks_may_be_declared() -> None:
    cohort = read(table(crp=["*", "1", "n.d.", "NA"]), outcomes=["crp"], missing=["*", "n.d."])
    assert cohort.n_visits == 1


@pytest.mark.parametrize("frs", [[40, -99, 44, 43], ["40", "-99.0", "44", "43"], [40.0, None, 44, 43]])
@pytest.mark.parametrize("mark", [-99, "-99"])
def test_a_code_for_missing_is_one_in_any_dtype(frs: list, mark: object) -> None:
    assert read(table(frs=frs), outcomes=[FRS], missing=[mark]).visits["frs"].tolist() == [40, 44, 43]


def test_ids_that_differ_by_leading_zeros_are_two_and_said() -> None:
    cohort = read(table(subject=["007", "007", "7", "7"]))
    assert cohort.subjects.index.tolist() == ["007", "7"]
    assert any("leading zeros" in warning for warning in cohort.warnings)


def test_declared_decimal_commas() -> None:
    assert read(table(crp=["0,8", "<0,5", "1", "2"]), outcomes=["crp"], decimal=",").visits["crp"].tolist() == [
        0.8,
        0.5,
        1,
        2,
    ]


def test_subject_level_numbers_are_no_outcomes() -> None:
    cohort = read(table(age=[50, 50, 61, 61], comment=list("abcd")))
    assert [outcome.name for outcome in cohort.outcomes] == ["frs"]
    assert any("age, comment" in warning for warning in cohort.warnings)


def test_row_numbers_of_pandas_are_no_outcome() -> None:
    assert [o.name for o in read(table(**{"Unnamed: 0": [0, 1, 2, 3]})).outcomes] == ["frs"]


def test_onset_and_control_that_never_seroconverts() -> None:
    subjects = people(onset_lower=[4, 0], onset_upper=["inf", 4])
    cohort = read(table(), subjects)
    assert cohort.subjects["onset_upper"].tolist() == [np.inf, pytest.approx(4 * 7 / (365.25 / 12))]


def test_arm_codes_get_labels_control_first() -> None:
    cohort = read(table(), people(arm=[2, 1]), arms={2: "placebo", 1: "drug"})
    assert cohort.arms == ("placebo", "drug")
    assert cohort.subjects["arm"].tolist() == ["placebo", "drug"]
    merged = read(table(), people(arm=["Yes", "yes "]), arms={"Yes": "Yes", "yes ": "Yes"})
    assert merged.arms == ("Yes",)
    assert read(table(), people(arm=["drug", "Placebo"])).arms == ("Placebo", "drug")


def test_death_after_the_last_visit_and_on_its_day() -> None:
    cohort = read(table(), people(event=["death", "stopped"], event_time=[4, 2], end_of_follow_up=[4, 30]))
    assert cohort.subjects["event_month"].tolist() == pytest.approx([4 * 7 / (365.25 / 12), 2 * 7 / (365.25 / 12)])


def test_a_subject_in_another_unit_is_a_warning_not_a_fault() -> None:
    visits = pd.DataFrame({"subject": np.repeat(["A", "B", "C", "D"], 3), "frs": 40})
    visits["time"] = [0, 4, 8, 0, 4, 8, 0, 4, 8, 0, 28, 56]
    assert any("another unit" in w and "'D'" in w for w in read(visits).warnings)
    visits["time"] = [0, 4, 8, 0, 4, 8, 0, 4, 8, 0, 10, 20]
    assert read(visits).warnings == ()


def test_unmapped_look_alike_of_a_label_is_a_warning() -> None:
    assert any("'Site'" in warning for warning in read(table(Site=["x", "x", "y", "y"])).warnings)
