"""Inputs of the two readers that are fuzzed, and what is true of every cohort made of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st

import progression as pg
from tests import proact_folder
from tests.fuzz import mutations, oracle
from tests.fuzz.oracle import DAYS, Unlike, number, same

MONTH = 365.25 / 12
VISITS = [["subject", "time", "visit", "crp", "joints", "crp_censored", "note"],
          ["007", "0", "start", "1.2", "3", "no", "a, b"], ["007", "4", "week 4", "<0.5", "0", "", ""], ["S2", "-2", "", "0.8", "12", "0", "said \"no\""],
          ["S2", "4.5", "", "2", "", "false", ""], ["Müller", "0", "", "6e-1", "28", "", "x"], ["Müller", "12", "", "0.5", "7", "yes", ""]]  # fmt: skip
PEOPLE = [["subject", "arm", "age", "end_of_follow_up", "event", "event_time"],
          ["007", "placebo", "61", "12", "", ""], ["S2", "drug", "50.5", "", "death", "30"], ["Müller", "drug", "", "20", "", ""]]  # fmt: skip
STANDARD = {
    "subject",
    "time",
    "visit",
    "arm",
    "site",
    "study",
    "onset_lower",
    "onset_upper",
    "end_of_follow_up",
    "event",
    "event_time",
}
OUTCOMES: dict[str, Any] = {
    "found": None, "named": ["crp"], "both": ["crp", "joints"],
    "facts": [pg.Outcome("crp", positive=True, detection_limit=0.5), pg.Outcome("joints", lower=0, upper=28, integer=True)],
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """Files by name, and how they are read."""

    reader: str
    files: Mapping[str, bytes]
    how: Mapping[str, Any] = field(default_factory=dict)

    def read(self, folder: Path) -> pg.Cohort:
        """Whatever the reader makes of the files."""
        for old in folder.iterdir():
            old.unlink()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        if self.reader == "proact":
            return pg.read_proact(folder, **self.how)
        people = folder / "subjects.csv" if "subjects.csv" in self.files else None
        how = {**self.how, "outcomes": OUTCOMES[self.how["outcomes"]]}
        return pg.read_csv(folder / "visits.csv", people, time_unit="weeks", **how)

    def judge(self, cohort: pg.Cohort) -> None:
        """Raise `Unlike` where the cohort is not what the files say."""
        (_judge_proact if self.reader == "proact" else _judge_csv)(self, cohort)


@st.composite
def csv_inputs(draw: st.DrawFn) -> Input:
    visits, people = mutations.spoilt(draw, VISITS), None
    how: dict[str, Any] = {"outcomes": draw(st.sampled_from(list(OUTCOMES))), "decimal": draw(st.sampled_from("...,"))}
    if how["decimal"] == ",":
        visits = [visits[0], *([cell.replace(".", ",") for cell in row] for row in visits[1:])] if visits else visits
    files = {"visits.csv": mutations.written(draw, visits)}
    if draw(st.booleans()):
        people = mutations.spoilt(draw, PEOPLE, most=2)
        files["subjects.csv"] = mutations.written(draw, people)
        how["covariates"] = draw(st.sampled_from([[], ["age"]]))
    return Input("csv", files, how)


@st.composite
def proact_inputs(draw: st.DrawFn) -> Input:
    made = {form: [list(table.columns), *table.to_numpy().tolist()] for form, table in proact_folder.forms(5, visits=5).items()}  # fmt: skip
    touched = draw(st.lists(st.sampled_from(["ALSFRS", "ALSFRS", *made]), max_size=2, unique=True))
    for form in touched:
        made[form] = mutations.spoilt(draw, made[form], most=3)
    for form in draw(st.lists(st.sampled_from(list(made)), max_size=2, unique=True)):
        del made[form]
    files = {}
    for form, rows in made.items():
        plain = "\n".join(",".join(row) for row in rows).encode()
        files[f"PROACT_{form}.csv"] = mutations.written(draw, rows) if form in touched else plain
    return Input("proact", files, {"repair": draw(st.sampled_from([(), (), "all"])), "items": draw(st.booleans())})


INPUTS = {"csv": csv_inputs(), "proact": proact_inputs()}


def _judge_csv(given: Input, cohort: pg.Cohort) -> None:
    names, rows = oracle.table(given.files["visits.csv"], ["subject", "time"])
    at = {name: i for i, name in enumerate(names)}
    outcomes = [one.name for one in cohort.outcomes]
    said, empty = [], 0
    for row in rows:
        values = [number(row[at[name]], given.how["decimal"]) for name in outcomes]
        if all(math.isnan(value) for value, _ in values):
            empty += 1
            continue
        flags = [row[at[f"{name}_censored"]].strip().lower() in ("true", "yes", "1") if f"{name}_censored" in at else False for name in outcomes]  # fmt: skip
        month = number(row[at["time"]], given.how["decimal"])[0] * DAYS["weeks"] / MONTH + 0.0
        said.append((row[at["subject"]], month, *(v for v, _ in values), *(below or flag for (_, below), flag in zip(values, flags, strict=True))))  # fmt: skip
    found = [
        (one["subject"], one["month"] + 0.0, *(float(one[name]) for name in outcomes), *(bool(one.get(f"{name}_censored", False)) for name in outcomes))
        for one in cohort.visits.to_dict("records")
    ]  # fmt: skip
    same("visits", said, found)
    if empty != cohort.dropped_rows or (empty and not any("were dropped" in one for one in cohort.warnings)):
        raise Unlike(f"{empty} rows have no outcome, {cohort.dropped_rows} are said to be dropped")
    flags_of = {f"{name}_censored" for name in outcomes}
    unused = [
        name for name in names if name.strip() and name not in {*STANDARD, *outcomes, *flags_of, *cohort.covariates}
    ]
    if given.how["outcomes"] == "found" and any(not any(name in one for one in cohort.warnings) for name in unused):
        raise Unlike(f"columns {unused} are not all named in {cohort.warnings}")
    home, people = (names, rows) if "subjects.csv" not in given.files else oracle.table(given.files["subjects.csv"], ["subject"])  # fmt: skip
    who = home.index("subject")
    if "arm" in home:
        arms = {(row[who], row[home.index("arm")].strip()) for row in people if row[home.index("arm")].strip()}
        same("arms", arms, cohort.subjects["arm"].items())
    elif set(cohort.subjects.index) != {row[who] for row in people}:
        raise Unlike(f"subjects {list(cohort.subjects.index)}")
    if "age" in cohort.covariates and cohort.subjects["age"].dtype == float:
        said = {(row[who], number(row[home.index("age")], given.how["decimal"])[0]) for row in people}
        same("age", [one for one in said if not math.isnan(one[1])], cohort.subjects["age"].dropna().items())


def _judge_proact(given: Input, cohort: pg.Cohort) -> None:
    scores = _proact_rows(given, "ALSFRS", "ALSFRS_Delta", ["ALSFRS_R_Total"])
    visits = cohort.visits.dropna(subset=["alsfrsr"])
    found = [(one, round(month * MONTH), score) for one, month, score in zip(visits["subject"], visits["month"], visits["alsfrsr"], strict=True)]  # fmt: skip
    touched = [one for one in cohort.warnings if "rows touched" in one]
    if given.how["repair"] == ():
        same("scores", scores, found)
        if touched:
            raise Unlike(f"nothing was to be repaired: {touched}")
    else:
        armless = {one for one, *_ in scores} - set(cohort.subjects.index)
        if any(
            one.startswith(f"no_arm: {len(armless):,} rows") for one in touched
        ):  # it counts subjects, each with all rows
            scores = [one for one in scores if one[0] not in armless]
        lost = len(scores) - len(found)
        told = sum(int(one.split(":")[1].split()[0].replace(",", "")) for one in touched)
        strange = {(one, day) for one, day, _ in found} - {(one, day) for one, day, _ in scores}
        changed = [one for one in found if one not in scores]
        if lost > told or strange or len(changed) > told:
            raise Unlike(f"{lost} rows lost, {len(changed)} changed, {told} told of; {strange}")
    if "vital_capacity" not in cohort.visits or given.how["repair"] != ():
        return
    best: dict[tuple[str, int], float] = {}
    for form, day in (("FVC", "Forced_Vital_Capacity_Delta"), ("SVC", "Slow_vital_Capacity_Delta")):
        trials = [f"pct_of_Normal_Trial_{i}" for i in (1, 2, 3)]
        own: dict[tuple[str, int], float] = {}
        for one, when, *values in _proact_rows(given, form, day, trials):
            seen = [value for value in values if not math.isnan(value)]
            if seen and one in set(cohort.subjects.index):
                own[one, when] = max(*seen, own.get((one, when), 0.0), 0.0)
        best = own | best
    seen = cohort.visits.dropna(subset=["vital_capacity"])
    same("vital capacity", ((*key, value) for key, value in best.items()),
         zip(seen["subject"], (round(month * MONTH) for month in seen["month"]), seen["vital_capacity"], strict=True))  # fmt: skip


def _proact_rows(given: Input, form: str, day: str, columns: list[str]) -> list[tuple[Any, ...]]:
    """Subject, day and numbers of each row of a form; a number that cannot be read, and is to be repaired, is NaN."""
    file = given.files.get(f"PROACT_{form}.csv")
    if file is None:
        return []
    names, rows = oracle.table(file, ["subject_id"])
    names = [name.strip() for name in names]
    found = []
    for row in rows:
        cell = {name: value.strip() for name, value in zip(names, row, strict=True)}
        if form != "ALSFRS" and not (cell["subject_id"] and any(cell.get(name) for name in columns)):
            continue  # nothing was measured, or in nobody: whatever stands for the day
        try:
            numbers = [number(cell.get(name, ""))[0] for name in (day, *columns)]
            when = int(numbers[0])
        except (Unlike, ValueError, OverflowError):
            if given.how["repair"] == ():
                raise
            continue
        found.append((cell["subject_id"], when, *numbers[1:]))
    return found
