"""A cohort is frozen, keeps its content through every road, and says what it is."""

# A case a line reads as a table; wrapped it does not.

import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import progression as pg
from progression.cohort import DAYS_PER_MONTH, Cohort, months_per
from progression.faults import CohortError, Fault, InputError, SettingError, suggest
from progression.outcomes import Outcome

FRS = Outcome("frs", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)
CRP = Outcome("crp", unit="mg/dl", positive=True)


def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    visits = pd.DataFrame(
        {
            "patient": ["S10", "S10", "S2", "S2", "ü", "ü"],
            "week": [4, 0, 0, 12, 0, 4],
            "visit": ["w4", "w0", "w0", None, "w0", "w4"],
            "frs": [38, 40, 44, None, 30, 29],
            "crp": ["<0.5", "1", "2", "3", None, "0.7"],
        }
    )
    subjects = pd.DataFrame(
        {
            "patient": ["ü", "S10", "S2"],
            "arm": ["placebo", "drug", "placebo"],
            "site": ["x", None, "y"],
            "onset_lower": [None, 0, None],
            "onset_upper": [None, np.inf, None],
            "end_of_follow_up": [4, 12, 52],
            "event": [None, "death", None],
            "event_time": [None, 10, None],
            "age": [50.5, 61, None],
            "sex": ["f", "m", "f"],
        }
    )
    events = pd.DataFrame(
        {"patient": ["S2", "S10"], "time": [2, 1], "kind": ["stopped", "halved"], "note": [None, "flare"]}
    )
    return visits, subjects, events


def make(**how: object) -> Cohort:
    visits, subjects, events = tables()
    given_: dict[str, object] = {
        "time_unit": "weeks", "columns": {"subject": "patient", "time": "week"}, "outcomes": [FRS, CRP], "events": events,
        "covariates": ["age", "sex"], "name": "pilot", "source": "doi 10.1/x, Table 2",
    }  # fmt: skip
    return Cohort.from_table(visits, subjects, **(given_ | how))  # type: ignore[arg-type]


def test_the_month_is_the_same_everywhere() -> None:
    assert pytest.approx(30.4375) == DAYS_PER_MONTH
    assert months_per["weeks"] * 52.1786 == pytest.approx(12, abs=1e-4)
    assert months_per["years"] / months_per["days"] == pytest.approx(365.25)


def test_content() -> None:
    cohort = make()
    assert cohort.arms == ("placebo", "drug")
    assert cohort.subjects.index.tolist() == ["S2", "S10", "ü"]
    assert list(cohort.visits) == ["subject", "month", "visit", "frs", "crp", "crp_censored"]
    assert cohort.visits["subject"].tolist() == ["S2", "S2", "S10", "S10", "ü", "ü"]
    assert cohort.visits["month"].iloc[1] == pytest.approx(12 * 7 / 30.4375)
    assert cohort.visits["crp_censored"].tolist() == [False, False, False, True, False, False]
    assert cohort.subjects.loc["S10", "event_month"] == pytest.approx(70 / 30.4375)
    assert cohort.events["kind"].tolist() == ["stopped", "halved"]
    assert (cohort.n_subjects, cohort.n_visits, cohort.allocation) == (3, 6, "unstated")


def test_subject_columns_stand_in_their_order() -> None:
    assert list(make().subjects) == [
        "arm", "site", "onset_lower", "onset_upper", "end_of_follow_up", "event", "event_month", "age", "sex"
    ]  # fmt: skip


def test_inputs_are_never_changed() -> None:
    visits, subjects, events = tables()
    kept = [frame.copy(deep=True) for frame in (visits, subjects, events)]
    Cohort.from_table(
        visits, subjects, events=events, time_unit="weeks", columns={"subject": "patient", "time": "week"}
    )
    for frame, before in zip((visits, subjects, events), kept, strict=True):
        pd.testing.assert_frame_equal(frame, before)


def test_frames_are_copies_and_the_record_is_frozen() -> None:
    cohort = make()
    before = cohort.to_xarray()
    for name in ("visits", "subjects", "events"):
        frame = getattr(cohort, name)
        frame["month" if name != "subjects" else "age"] = 0.0
        del frame[frame.columns[-1]]
    values = cohort.visits["frs"].array
    values[:] = 0
    assert make().to_xarray().identical(cohort.to_xarray())
    assert before.identical(cohort.to_xarray())
    with pytest.raises(dataclasses.FrozenInstanceError):
        cohort.name = "other"  # type: ignore[misc]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)), people=st.permutations(range(3)), columns=st.permutations(range(5)))
def test_order_of_rows_and_columns_does_not_matter(order: list[int], people: list[int], columns: list[int]) -> None:
    visits, subjects, events = tables()
    cohort = Cohort.from_table(
        visits.iloc[order, columns], subjects.iloc[people], events=events[::-1], time_unit="weeks",
        columns={"subject": "patient", "time": "week"}, outcomes=[CRP, FRS], covariates=["sex", "age"],
    )  # fmt: skip
    assert cohort.fingerprint == make().fingerprint


@pytest.mark.parametrize(
    "how",
    [
        {"provenance": "reconstructed"}, {"allocation": "randomised"}, {"time_unit": "days"}, {"covariates": ["age"]},
        {"arms": ["drug", "placebo"]}, {"outcomes": [FRS]}, {"events": None}, {"averaged": ["frs"]},
        {"outcomes": [FRS, Outcome("crp")]},
    ],
    ids=str,
)  # fmt: skip
def test_other_content_has_another_fingerprint(how: dict[str, object]) -> None:
    visits, subjects, _ = tables()
    if "time_unit" in how:
        how = how | {"columns": {"subject": "patient", "time": "study"}}
        visits = visits.rename(columns={"week": "study"})
        cohort = Cohort.from_table(visits, subjects, outcomes=[FRS, CRP], covariates=["age", "sex"], **how)  # type: ignore[arg-type]
    else:
        cohort = make(**how)
    assert cohort.fingerprint != make().fingerprint


def test_name_and_source_do_not_change_the_fingerprint() -> None:
    assert make(name="x", source="y").fingerprint == make().fingerprint


def test_one_changed_value_changes_the_fingerprint() -> None:
    visits, subjects, events = tables()
    how = {"time_unit": "weeks", "columns": {"subject": "patient", "time": "week"}, "events": events}
    one = Cohort.from_table(visits, subjects, **how)
    visits.loc[0, "frs"] = 37
    assert Cohort.from_table(visits, subjects, **how).fingerprint != one.fingerprint


def _same(one: Cohort, two: Cohort) -> None:
    for name in ("visits", "subjects", "events"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    for field in dataclasses.fields(Cohort):
        if not field.name.startswith("_"):
            assert getattr(one, field.name) == getattr(two, field.name), field.name
    assert one.fingerprint == two.fingerprint


def test_xarray_round_trip() -> None:
    _same(Cohort.from_xarray(make().to_xarray()), make())


def test_xarray_attributes_are_text() -> None:
    assert all(isinstance(value, str) for value in make().to_xarray().attrs.values())


@pytest.mark.parametrize("events", [True, False])
def test_netcdf_round_trip(tmp_path, events: bool) -> None:
    pytest.importorskip("h5netcdf")
    cohort = make() if events else make(events=None)
    tree = xr.DataTree.from_dict({"/cohort": cohort.to_xarray()})
    tree.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "run.nc", engine="h5netcdf") as back:
        _same(Cohort.from_xarray(back["cohort"].to_dataset()), cohort)


def test_pickle_round_trip() -> None:
    _same(pickle.loads(pickle.dumps(make())), make())


def test_own_tables_make_the_same_cohort_again() -> None:
    cohort = make()
    again = Cohort.from_table(
        cohort.visits, cohort.subjects, events=cohort.events, time_unit="months", outcomes=cohort.outcomes,
        columns={"time": "month", "event_time": "event_month"}, covariates=cohort.covariates, arms=cohort.arms,
    )  # fmt: skip
    assert again.fingerprint == cohort.fingerprint


def test_damaged_datasets_are_refused() -> None:
    good = make().to_xarray()
    with pytest.raises(CohortError, match="no cohort"):
        Cohort.from_xarray(xr.Dataset())
    with pytest.raises(CohortError, match=r"lacks the variable 'visits\.frs'"):
        Cohort.from_xarray(good.drop_vars("visits.frs"))
    changed = good.copy(deep=True)
    changed["visits.frs"][0] = 1
    with pytest.raises(CohortError, match="not the one that was saved"):
        Cohort.from_xarray(changed)


def test_repr_says_what_it_is() -> None:
    text = repr(make(provenance="reconstructed"))
    assert "RECONSTRUCTED from published summaries" in text
    assert "3 subjects, 6 visits" in text
    assert "placebo 2, drug 1" in text
    assert "crp (mg/dl)" in text
    assert "doi 10.1/x" in text
    assert "observed" in repr(make())


def test_table_of_arms() -> None:
    table = make().table()
    assert table.index.tolist() == ["placebo", "drug"]
    assert table["patients"].tolist() == [2, 1]
    assert table["visits"].tolist() == [4, 2]
    assert table.loc["placebo", "frs at baseline, points"] == "37 (9.9)"
    assert table.loc["placebo", "age"] == "50.5 (-), 1 missing"
    assert table.loc["placebo", "sex"] == "f: 2"
    # medians of 52 and 4 weeks
    assert table.loc["placebo", "median follow-up (months)"] == pytest.approx(28 * 7 / 30.4375, abs=0.01)
    assert set(make(provenance="simulated").table()["provenance"]) == {"SIMULATED"}


def test_baseline_is_the_last_value_up_to_time_0_and_limits_are_no_values() -> None:
    visits = pd.DataFrame(
        {
            "subject": ["A", "A", "B", "B"],
            "time": [-4, 0, 0, 4],
            "y": [1, 3, 5, 9],
            "crp": ["9", "<1", "5", "1"],
        }
    )
    table = Cohort.from_table(visits, time_unit="weeks", outcomes=["y", "crp"]).table()
    assert table.loc["all", "y at baseline"] == "4 (1.41)"
    assert table.loc["all", "crp at baseline"] == "median 3, 1 of 2 below the limit"


def test_check_finds_what_a_model_declares() -> None:
    cohort = make(outcomes=["frs", "crp"])
    assert cohort.check([FRS, CRP]) == ()
    (fault,) = cohort.check([Outcome("frs", upper=43)])
    assert (fault.column, fault.subject, fault.value) == ("frs", "S2", "44 at month 0")
    (fault,) = cohort.check([Outcome("crp", detection_limit=0.4)])
    assert fault.subject == "S10"
    assert "yet above it" in fault.what
    (fault,) = cohort.check([Outcome("alsfrsr")])
    assert "There are" in fault.what or "there are" in fault.what


def test_check_items_of_a_cohort_that_has_them() -> None:
    visits = pd.DataFrame({"subject": ["A", "B"], "time": 0, "total": [5, 6], "q1": [2, 3], "q2": [3, 4]})
    cohort = Cohort.from_table(visits, time_unit="weeks", outcomes=["total", "q1", "q2"])
    (fault,) = cohort.check([Outcome("total", items=("q1", "q2"))])
    assert (fault.subject, fault.column) == ("B", "total")


def test_check_baseline() -> None:
    visits = pd.DataFrame({"subject": ["A", "A", "B", "C"], "time": [-3, 8, 3, 8], "y": [1, 2, 3, 4]})
    cohort = Cohort.from_table(visits, time_unit="weeks")
    (fault,) = cohort.check_baseline()
    assert (fault.subject, fault.column) == ("C", "month")
    assert "no visit at baseline" in fault.what
    assert "1.84" in str(fault.value)
    assert [fault.subject for fault in cohort.check_baseline(within=0)] == ["B", "C"]


def test_check_baseline_of_one_outcome() -> None:
    cohort = make()
    assert cohort.check_baseline() == ()
    assert [fault.subject for fault in cohort.check_baseline("crp", within=0.5)] == ["ü"]
    with pytest.raises(SettingError, match="did you mean 'crp'"):
        cohort.check_baseline("crpp")


def test_check_follow_up() -> None:
    assert make().check_follow_up() == ()
    visits = pd.DataFrame({"subject": ["A", "B"], "time": [0, 0], "y": [1, 2]})
    (fault,) = Cohort.from_table(visits, time_unit="weeks").check_follow_up()
    assert fault.value == "all visits are at one time"
    (fault,) = Cohort.from_table(visits.assign(time=[0, 4]), time_unit="weeks").check_follow_up()
    assert fault.value == "one visit a subject"


# --- faults and outcomes -----------------------------------------------------------------------------------------


def test_faults_are_grouped_in_the_message_only() -> None:
    faults = [Fault(what="bad", remedy="mend it", column="y", subject=str(i), row=i, value=i) for i in range(1, 20)]
    error = CohortError([*faults, Fault(what="other", remedy="Look", table="file")])
    lines = str(error).splitlines()
    assert len(lines) == 3
    assert lines[1] == (
        "- visits, column 'y', subject '1', row 1, value 1: bad. Mend it (and 18 more rows: 2, 3, 4, 5, 6, 7, 8, 9, ...)"
    )
    assert len(error.faults) == 20
    assert error.table()["row"].notna().sum() == 19
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(SettingError.single("bad", "mend", table="setting", column="x")))
    assert isinstance(error, SettingError)
    assert error.faults[0].column == "x"


def test_suggest() -> None:
    assert (
        suggest("als_slop", ["als_slope", "sle_crp"]) == "; did you mean 'als_slope'? There are: 'als_slope', 'sle_crp'"
    )
    assert suggest("x", ["als_slope"]) == "; there are: 'als_slope'"
    assert suggest("x", []) == "; there are none"


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"lower": 2, "upper": 1}, "below upper"), ({"upper": float("nan")}, "finite"), ({"detection_limit": 0, "lower": 0}, "above the lower"),
        ({"detection_limit": 9, "upper": 9}, "below the upper"), ({"positive": True, "upper": 0}, "positive"), ({"item_upper": 0}, "item_upper"),
        ({"items": ("a", "a")}, "twice"), ({"exclusive_items": (("a", "b"),)}, "two of the items"),
    ],
    ids=str,
)  # fmt: skip
def test_contradictory_outcome_is_refused(facts: dict, what: str) -> None:
    with pytest.raises(SettingError, match=what):
        Outcome("y", **facts)


def test_outcome_survives_json() -> None:
    outcome = Outcome("y", items=("a", "b"), exclusive_items=(("a", "b"),), lower=0, upper=4, unit="points", label="Y")
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome
    assert outcome.title == "Y (points)"
    with pytest.raises(TypeError):
        Outcome("y", "points")  # type: ignore[misc]


def test_the_flag_of_a_renamed_outcome_goes_with_it():
    """CRP_censored beside CRP, which is said to be crp_mg_dl."""
    visits = pd.DataFrame(
        {"subject": list("aabb"), "time": [0, 1, 0, 1], "CRP": [2.0, 0.5, 0.5, 1.0], "CRP_censored": [0, 1, 1, 0]}
    )
    found = pg.Cohort.from_table(
        visits, time_unit="months", columns={"crp_mg_dl": "CRP"}, outcomes=pg.models()["sle_crp"].outcomes
    )
    assert found.visits["crp_mg_dl_censored"].tolist() == [False, True, True, False]
    both = pg.Cohort.from_table(visits.assign(crp_mg_dl_censored=[1, 0, 0, 0]), time_unit="months", columns={"crp_mg_dl": "CRP"},
                                outcomes=pg.models()["sle_crp"].outcomes)  # fmt: skip
    assert both.visits["crp_mg_dl_censored"].tolist() == [True, False, False, False], "its own flag stands"


def test_how_follow_up_ended_is_said():
    visits = pd.DataFrame({"subject": list("abc"), "time": [0, 0, 0], "alsfrsr": [40, 41, 42]})
    people = pd.DataFrame({"subject": list("abc"), "event": ["Died", "Exitus", None], "event_time": [2.0, 3.0, None]})
    text = repr(pg.Cohort.from_table(visits, people, time_unit="months", outcomes=["alsfrsr"]))
    assert "ended by: Died 1, Exitus 1 (a death only to what says so)" in text
    assert "ended by" not in repr(pg.Cohort.from_table(visits, time_unit="months", outcomes=["alsfrsr"]))
