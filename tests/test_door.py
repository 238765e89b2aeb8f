"""Bad tables are refused with every fault in clear; odd but legal ones are accepted with the right content."""

# A case a line reads as a table; wrapped it does not.

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from progression.cohort import Cohort
from progression.faults import CohortError, Fault, SettingError
from progression.outcomes import Outcome

FRS = Outcome("frs", unit="points", lower=0, upper=48, integer=True)
JOINTS = Outcome("joints", unit="joints", lower=0, upper=28, integer=True)
CRP = Outcome("crp", unit="mg/dl", positive=True)
ASSAY = Outcome("crp", unit="mg/dl", positive=True, detection_limit=0.5)
SUM = Outcome("frs", lower=0, upper=48, integer=True, items=("Q1", "Q2", "Q5a", "Q5b"), item_upper=4,
              exclusive_items=(("Q5a", "Q5b"),))  # fmt: skip


def table(**columns: Any) -> pd.DataFrame:
    """Two subjects, A and B, seen twice, with columns replaced, added, or taken away by None."""
    base: dict[str, Any] = {"subject": ["A", "A", "B", "B"], "time": [0, 4, 0, 4], "frs": [40, 38, 44, 43]}
    base |= columns
    return pd.DataFrame({name: cells for name, cells in base.items() if cells is not None})


def people(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {"subject": ["A", "B"], "arm": ["control", "treated"]}
    base |= columns
    return pd.DataFrame({name: cells for name, cells in base.items() if cells is not None})


def items(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "Q1": [4, 4, 4, 4],
        "Q2": [3, 3, 3, 3],
        "Q5a": [2, 2, None, None],
        "Q5b": [None, None, 1, 1],
    }
    return table(**({"frs": [9, 9, 8, 8]} | base | columns))


def read(visits: Any, subjects: Any = None, **how: Any) -> Cohort:
    return Cohort.from_table(visits, subjects, **({"time_unit": "weeks"} | how))


@dataclass
class Bad:
    name: str
    attempt: Callable[[], Any]
    what: str
    remedy: str
    where: dict[str, Any] = field(default_factory=dict)
    count: int | None = 1


def bad(name: str, attempt: Callable[[], Any], what: str, remedy: str, *, count: int | None = 1, **where: Any) -> Bad:
    return Bad(name, attempt, what, remedy, where, count)


STRUCTURE = [
    bad("empty", lambda: read(pd.DataFrame()), "empty", "one row a visit", table="visits"),
    bad("header only", lambda: read(table().iloc[:0]), "no rows", "whole file"),
    bad("no subject column", lambda: read(table(subject=None)), "missing", "columns={'subject'", column="subject"),
    bad("no outcome column", lambda: read(table(), outcomes=["fsr"]), "did you mean 'frs'", "columns=", column="fsr"),
    bad("no outcome at all", lambda: read(table(frs=None)), "looks like an outcome", "outcomes="),
    bad("duplicate names", lambda: read(pd.DataFrame([["A", 0, 1, 2]], columns=["subject", "time", "frs", "frs"])),
        "2 columns have this name", "rename", column="frs"),
    bad("case differs", lambda: read(table().rename(columns={"subject": "Subject"})), "only by case, space",
        "columns={'subject': 'Subject'}", column="Subject"),
    bad("space differs", lambda: read(table().rename(columns={"time": "time "})), "only by case, space", "Rename", column="time "),
    bad("BOM differs", lambda: read(table().rename(columns={"subject": "\ufeffsubject"})), "invisible mark", "Rename",
        column="\ufeffsubject"),
    bad("mapped id differs", lambda: read(table().rename(columns={"subject": "Subject"}), columns={"subject": "subject"}),
        "only by case", "columns={'subject': 'Subject'}", column="Subject"),
    bad("optional column differs", lambda: read(table(Arm=["a", "a", "b", "b"])), "'arm'", "columns={'arm': 'Arm'}", column="Arm"),
    bad("mapped name differs", lambda: read(table().rename(columns={"time": "Week"}), columns={"time": "week"}),
        "'week'", "columns={'time': 'Week'}", column="Week"),
    bad("mapping to nothing", lambda: read(table(), columns={"site": "centre"}), "missing", "columns=", column="centre"),
    bad("semicolons as commas", lambda: read(pd.DataFrame({"subject;time;frs": ["A;0;40"]})), "semicolons", "delimiter=';'"),
    bad("UTF-16 names", lambda: read(pd.DataFrame({"s\x00u\x00": ["A"], "t\x00": ["0"]})), "UTF-16", "encoding='utf-16'"),
    bad("wide as long", lambda: read(pd.DataFrame({"subject": ["A"], "frs.2m": [40], "frs.3m": [39]})), "wide", "wide_to_long",
        column="time", value="frs.2m, frs.3m"),
    bad("totals row", lambda: read(table(subject=["A", "A", "B", "Total"])), "totals", "Delete", column="subject", row=4, value="Total"),
    bad("nameless totals row", lambda: read(table(subject=["A", "A", "B", ""])), "totals?", "Delete", column="subject", row=4),
    bad("text", lambda: read("visits.csv"), "not a table", "read_csv"),
    bad("no table", lambda: read(object()), "cannot be read", "DataFrame"),
    bad("dated times", lambda: read(table(time=pd.to_datetime(["2020-01-01"] * 4))), "not a number", "time since start", count=4),
]  # fmt: skip

IDS = [
    bad("float ids", lambda: read(table(subject=[101.0, 101.0, 102.0, 102.0])), "decimal number", "dtype=str", count=4,
        column="subject", row=1, value=101.0),
    bad("float ids as text", lambda: read(table(subject=["101.0", "101.0", "102.0", "102.0"])), "'.0'", "dtype=str", value="101.0"),
    bad("missing id", lambda: read(table(subject=["A", None, "B", "B"])), "missing", "Give the id", column="subject", row=2),
    bad("missing id as text", lambda: read(table(subject=["A", "nan", "B", "B"])), "looks like a missing", "Give", row=2, value="nan"),
    bad("trailing space", lambda: read(table(subject=["A", "A ", "B", "B"])), "space", "Take it away", row=2, value="A "),
    bad("no-break space", lambda: read(table(subject=["A", "\u00a0A", "B", "B"])), "space", "Take it away", row=2),
    bad("composed twice", lambda: read(table(subject=["\u00e9", "\u00e9", "e\u0301", "e\u0301"])), "looks the same", "alike", row=3),
    bad("007 merged to 7", lambda: read(table(subject=["7", "7", "B", "B"]), people(subject=["007", "B"])), "'007'", "as text",
        column="subject", subject="7", row=1, value="7", table="visits"),
    bad("unknown to the subjects", lambda: read(table(), people(subject=["A", "Z"])), "not in the subjects table", "Add", subject="B"),
    bad("two arms", lambda: read(table(arm=["control", "treated", "control", "control"])), "two arms", "one arm",
        column="arm", subject="A", row=2, value="treated"),
    bad("two arms in subjects", lambda: read(table(), people(subject=["A", "B", "A"], arm=["control", "treated", "treated"])), "two arms",
        "one arm", column="arm", subject="A", row=3, table="subjects"),
    bad("arms of two tables", lambda: read(table(arm=["treated"] * 4), people()), "another arm", "one arm", subject="A", column="arm"),
    bad("two sexes", lambda: read(table(sex=["f", "m", "m", "m"]), covariates=["sex"]), "two different values", "same value",
        column="sex", subject="A", row=2, value="m"),
    bad("two sexes in subjects",
        lambda: read(table(), people(subject=["A", "B", "B"], arm=["control", "treated", "treated"], sex=["f", "m", "f"]), covariates=["sex"]),
        "stands twice", "Keep the row", column="sex", subject="B", row=3, value="f", table="subjects"),
    bad("subject twice", lambda: read(table(), people(subject=["A", "B", "B"], arm=["control", "treated", "treated"])),
        "stands twice", "Delete", subject="B", row=3, table="subjects"),
]  # fmt: skip

TIME = [
    bad("visit twice, equal", lambda: read(table(time=[0, 0, 0, 4], frs=[40, 40, 44, 43])), "equal values (also in row 1)", "Delete",
        column="time", subject="A", row=2),
    bad("visit twice, different", lambda: read(table(time=[0, 0, 0, 4])), "different values", "Find out", subject="A", row=2),
    bad("missing time", lambda: read(table(time=[0, None, 0, 4])), "time of the visit is missing", "Fill", column="time", subject="A", row=2),
    bad("blank time", lambda: read(table(time=["0", " ", "0", "4"])), "missing", "Fill", column="time", row=2),
    bad("infinite time", lambda: read(table(time=[0, np.inf, 0, 4])), "infinite", "Correct", column="time", row=2, value=np.inf),
    bad("time in words", lambda: read(table(time=["week 0", "week 4", "week 0", "week 4"])), "not a number", "alone", count=4, value="week 0"),
    bad("weeks as months, by name", lambda: read(table().rename(columns={"time": "week"}), columns={"time": "week"}, time_unit="months"),
        "speaks of weeks", "time_unit='weeks'", column="week"),
    bad("weeks as months, by label", lambda: read(table(visit=["week 0", "week 4"] * 2), time_unit="months"), "4.35 times", "time_unit",
        value="label week 4"),
    bad("days as months", lambda: read(table(time=[0, 728, 0, 364]), time_unit="months"), "40 years", "time_unit", subject="A", row=2, value=728),
    bad("mixed units", lambda: read(table(time=[0, 4, 0, 2800])), "40 years", "same unit", subject="B", row=4),
    bad("after death", lambda: read(table(event=["death"] * 2 + [None] * 2, event_time=[3, 3, None, None])), "after the subject's death",
        "Correct the time", column="time", subject="A", row=2, value=4),
    bad("after a death among events", lambda: read(table(), events=pd.DataFrame({"subject": ["A"], "time": [3], "kind": ["Died"]})),
        "after the subject's death", "Correct", subject="A", row=2),
    bad("after end of follow-up", lambda: read(table(), people(end_of_follow_up=[1, 4])), "end_of_follow_up", "same unit", subject="A", row=2),
]  # fmt: skip

VALUES = [
    bad("over 48", lambda: read(table(frs=[40, 49, 44, 43]), outcomes=[FRS]), "above 48 points", "Correct", column="frs", subject="A", row=2,
        value=49),
    bad("over 48, reconstructed", lambda: read(table(frs=[40, 49, 44, 43]), outcomes=[FRS], provenance="reconstructed"), "above 48", "Correct"),
    bad("below 0", lambda: read(table(frs=[40, -1, 44, 43]), outcomes=[FRS]), "below 0 points", "Correct", row=2, value=-1),
    bad("fractional", lambda: read(table(frs=[40, 38.5, 44, 43]), outcomes=[FRS]), "whole numbers", "averaged=['frs']", row=2, value=38.5),
    bad("infinite", lambda: read(table(frs=[40, np.inf, 44, 43])), "infinite", "Correct", row=2),
    bad("infinite as text", lambda: read(table(frs=["40", "inf", "44", "43"])), "infinite", "Correct", row=2, value="inf"),
    bad("not the sum", lambda: read(items(frs=[9, 10, 8, 8]), outcomes=[SUM]), "sum of its items, which is 9", "Correct", column="frs",
        subject="A", row=2, value=10),
    bad("item over 4", lambda: read(items(Q1=[4, 5, 4, 4], frs=[9, 10, 8, 8]), outcomes=[SUM]), "above 4", "Correct", column="Q1", row=2, value=5),
    bad("item below 0", lambda: read(items(Q1=[4, -1, 4, 4], frs=[9, 4, 8, 8]), outcomes=[SUM]), "below 0", "Correct", column="Q1", row=2),
    bad("both exclusive items", lambda: read(items(Q5b=[None, 1, 1, 1]), outcomes=[SUM]), "and both are", "does not apply", column="Q5b", row=2),
    bad("neither exclusive item", lambda: read(items(Q5a=[2, None, None, None], frs=[9, 7, 8, 8]), outcomes=[SUM]), "and neither is",
        "applies", column="Q5b", row=2),
    bad("items missing", lambda: read(items(Q2=[3, None, 3, 3], frs=[9, 6, 8, 8]), outcomes=[SUM]), "not the items Q2", "shorter version",
        column="frs", row=2, value=6),
    bad("negative count", lambda: read(table(joints=[3, -1, 0, 0]), outcomes=[JOINTS]), "below 0", "Correct", column="joints", row=2),
    bad("count of 2.5", lambda: read(table(joints=[3, 2.5, 0, 0]), outcomes=[JOINTS]), "whole numbers", "averaged", row=2, value=2.5),
    bad("too many joints", lambda: read(table(joints=[3, 29, 0, 0]), outcomes=[JOINTS]), "above 28 joints", "Outcome(upper=", row=2, value=29),
    bad("boolean", lambda: read(table(joints=[True, False, True, True]), outcomes=["joints"]), "true or false", "number", count=4, row=1, value=True),
    bad("decimal comma", lambda: read(table(crp=["0,8", "1.2", "1", "2"])), "decimal comma", "decimal=','", column="crp", subject="A", row=1,
        value="0,8"),
    bad("point where commas are declared", lambda: read(table(crp=["0,8", "1.250", "1", "2"]), decimal=","), "decimal point", "comma", row=2),
    bad("zero", lambda: read(table(crp=[0.8, 0, 1, 2]), outcomes=[CRP]), "above zero", "'<0.5'", column="crp", row=2, value=0),
    bad("below nothing", lambda: read(table(crp=["0.8", "<0", "1", "2"]), outcomes=[CRP]), "above zero", "missing", row=2, value="<0"),
    bad("flagged above the limit", lambda: read(table(crp=[0.8, 0.5, 1, 2], crp_censored=[True, True, False, False]), outcomes=[ASSAY]),
        "yet above it (0.5 mg/dl)", "flag", column="crp", subject="A", row=1, value=0.8),
    bad("measured below the limit", lambda: read(table(crp=[0.8, 0.4, 1, 2]), outcomes=[ASSAY]), "given as measured", "'<0.5'", row=2, value=0.4),
    bad("flagged without limit", lambda: read(table(crp=[0.8, None, 1, 2], crp_censored=[0, 1, 0, 0]), outcomes=["crp"]),
        "limit is not there", "Write the limit", column="crp", row=2),
    bad("flag unknown", lambda: read(table(crp=[0.8, 1, 1, 2], crp_censored=["n", "y", "n", "n"]), outcomes=["crp"]), "not a flag", "true",
        column="crp_censored", count=4),
    bad("two values", lambda: read(table(crp=["80/15", "1", "1", "2"])), "two values", "own column", row=1, value="80/15"),
    bad("star", lambda: read(table(crp=["*", "1", "1", "2"])), "mark or a word", "missing=", row=1, value="*"),
    bad("n.d.", lambda: read(table(crp=["n.d.", "1", "1", "2"])), "mark or a word", "missing=", row=1, value="n.d."),
    bad("above a limit", lambda: read(table(crp=[">9", "1", "1", "2"])), "limit", "'<0.5'", row=1, value=">9"),
    bad("unit in the cell", lambda: read(table(crp=["5 mg", "1", "1", "2"])), "not a number", "alone", row=1, value="5 mg"),
    bad("underscored", lambda: read(table(crp=["1_0", "1", "1", "2"])), "not a number", "alone", row=1, value="1_0"),
    bad("not a scalar", lambda: read(table(crp=[[1], 1, 1, 2]), outcomes=["crp"]), "not a number (list)", "Give", row=1),
]  # fmt: skip

SUBJECTS = [
    bad("arms 1 and 2", lambda: read(table(), people(arm=[1, 2])), "coded", "arms={'1': 'control', '2': 'treated'}", column="arm", value="1, 2"),
    bad("arms 1 and 2, listed", lambda: read(table(), people(arm=["1", "2"]), arms=["1", "2"]), "coded", "arms={'1'", column="arm"),
    bad("arms true and false", lambda: read(table(), people(arm=[True, False])), "coded", "arms={", column="arm"),
    bad("arms Yes and yes", lambda: read(table(), people(arm=["Yes", "yes "])), "case or space", "arms={'Yes': 'Yes', 'yes ': 'Yes'}", column="arm"),
    bad("which is the control", lambda: read(table(), people(arm=["A", "B"])), "which is the control", "arms=[...]", column="arm"),
    bad("two controls", lambda: read(table(), people(arm=["Placebo", "control"])), "which is the control", "arms=[...]", column="arm"),
    bad("arm unknown", lambda: read(table(), people(), arms=["control", "treatd"]), "did you mean 'treatd'", "Add it", column="arm", subject="B",
        value="treated", count=2),
    bad("arm not in the mapping", lambda: read(table(), people(arm=[1, 3]), arms={1: "control"}), "not among", "Add it", subject="B", row=2,
        value=3, table="subjects"),
    bad("empty arm", lambda: read(table(), people(), arms=["control", "treated", "high"]), "no patient", "arms=", value="high"),
    bad("no arm", lambda: read(table(), people(arm=["control", None])), "no arm", "Fill", subject="B", row=2),
    bad("no arm for one without visits", lambda: read(table(arm=["control"] * 2 + ["x"] * 2),
        people(subject=["A", "B", "C"], arm=None)), "no arm", "Fill", subject="C", row=None),
    bad("no arm column", lambda: read(table(), arms=["control", "treated"]), "no table has a column of arms", "columns=", column="arm"),
    bad("single arm of two", lambda: read(table(), people(), allocation="single arm"), "allocation", "Correct", value="single arm"),
    bad("randomised of one", lambda: read(table(), allocation="randomised"), "allocation", "Correct", value="randomised"),
    bad("onset out of order", lambda: read(table(), people(onset_lower=[None, 4], onset_upper=[None, 2])), "before it begins", "Exchange",
        column="onset_lower", subject="B", row=2, value=4),
    bad("onset before treatment", lambda: read(table(), people(onset_lower=[None, -2], onset_upper=[None, 2])), "before treatment",
        "negative", subject="B", row=2, value=-2),
    bad("onset in a control", lambda: read(table(), people(onset_lower=[0, 0], onset_upper=[4, 4])), "control arm", "Correct the arm",
        subject="A", row=1),
    bad("onset without end", lambda: read(table(), people(onset_lower=[None, 0], onset_upper=[None, None])), "no end", "'inf'", subject="B"),
    bad("onset without beginning", lambda: read(table(), people(onset_lower=[None, None], onset_upper=[None, 4])), "no beginning", "or 0",
        subject="B"),
    bad("onset half", lambda: read(table(), people(onset_lower=[None, 4])), "without onset_upper", "inf", column="onset_lower"),
    bad("infinite covariate", lambda: read(table(), people(age=[50, np.inf]), covariates=["age"]), "infinite", "Correct", column="age",
        subject="B", row=2, table="subjects"),
    bad("constant covariate", lambda: read(table(), people(age=[50, 50]), covariates=["age"]), "constant", "Leave it out", column="age"),
    bad("constant label", lambda: read(table(), people(sex=["f", "f"]), covariates=["sex"]), "constant", "Leave it out", column="sex", value="f"),
    bad("covariate with a mark", lambda: read(table(), people(age=["50", "n.d."]), covariates=["age"]), "mark", "missing=", subject="B"),
    bad("no such covariate", lambda: read(table(), people(age=[50, 51]), covariates=["aeg"]), "did you mean 'age'", "columns=", column="aeg"),
    bad("event without time", lambda: read(table(), people(event=["death", None])), "not when", "event_time", column="event"),
    bad("event, one time missing", lambda: read(table(), people(event=["death", "death"], event_time=[9, None])), "without its time",
        "event_time", subject="B"),
    bad("time without event", lambda: read(table(), people(event=["death", None], event_time=[9, 9])), "without the event", "Name it",
        subject="B"),
    bad("event yes", lambda: read(table(), people(event=["yes", None], event_time=[9, None])), "which event", "what happened", subject="A",
        value="yes"),
    bad("event before start", lambda: read(table(), people(event=["stopped", None], event_time=[-9, None])), "before the start", "Correct",
        subject="A"),
    bad("events of a stranger", lambda: read(table(), events=pd.DataFrame({"subject": ["Z"], "time": [1], "kind": ["x"]})), "no visits",
        "Correct", subject="Z", table="events", row=1),
    bad("event of no kind", lambda: read(table(), events=pd.DataFrame({"subject": ["A"], "time": [1], "kind": [""]})), "kind", "what happened",
        table="events", column="kind", row=1),
    bad("event at no time", lambda: read(table(), events=pd.DataFrame({"subject": ["A"], "time": [None], "kind": ["x"]})), "missing", "Fill",
        table="events", column="time", row=1),
]  # fmt: skip

CASES = [*STRUCTURE, *IDS, *TIME, *VALUES, *SUBJECTS]


def _matches(fault: Fault, case: Bad) -> bool:
    where = all(getattr(fault, name) == expected for name, expected in case.where.items())
    return where and case.what in fault.what and case.remedy in f"{fault.remedy[:1].upper()}{fault.remedy[1:]}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_table_is_refused(case: Bad) -> None:
    began = time.perf_counter()
    with pytest.raises(CohortError) as caught:
        case.attempt()
    assert time.perf_counter() - began < 1
    faults = caught.value.faults
    assert any(_matches(fault, case) for fault in faults), caught.value
    if case.count is not None:
        assert len(faults) == case.count, caught.value
    assert case.what in str(caught.value)


SETTINGS = [
    ("unit", lambda: read(table(), time_unit="week"), "did you mean 'weeks'"),
    ("allocation", lambda: read(table(), allocation="randomized"), "did you mean 'randomised'"),
    ("provenance", lambda: read(table(), provenance="real"), "observed"),
    ("decimal", lambda: read(table(), decimal=";"), "choices"),
    ("arms as text", lambda: read(table(), arms="control"), "list of labels"),
    ("arms empty", lambda: read(table(), arms=[]), "empty"),
    ("arm twice", lambda: read(table(), arms=["a", "a"]), "twice"),
    ("columns", lambda: read(table(), columns={"time": 1}), "mapping"),
    ("outcome twice", lambda: read(table(), outcomes=["frs", "frs"]), "twice"),
    ("no outcome", lambda: read(table(), outcomes=[]), "no outcome"),
    ("reserved", lambda: read(table(), outcomes=["month"]), "meaning of its own"),
    ("averaged", lambda: read(table(), outcomes=["frs"], averaged=["fsr"]), "did you mean 'frs'"),
    ("covariates as text", lambda: read(table(), covariates="age"), "not a list"),
    ("averaged unknown, outcomes found", lambda: read(table(), averaged=["fsr"]), "did you mean 'frs'"),
]


@pytest.mark.parametrize(("name", "attempt", "what"), SETTINGS, ids=[case[0] for case in SETTINGS])
def test_bad_setting_is_refused(name: str, attempt: Callable[[], Any], what: str) -> None:
    with pytest.raises(SettingError, match=what):
        attempt()


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
