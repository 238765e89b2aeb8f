"""Times of visits: one visit at a time, none after death, in the unit that was declared."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from progression.door.cells import Spot
from progression.door.events import is_death
from progression.door.names import Opened
from progression.faults import Fault
from progression.units import DAYS_PER_MONTH, months_per

__all__ = [
    "baseline_faults",
    "end_faults",
    "far_spots",
    "follow_up_faults",
    "label_faults",
    "time_faults",
    "unit_fault",
    "unit_warnings",
]

_LONGEST_FOLLOW_UP = 40 * 12.0
_LONGEST_LIFE = 130 * 12.0
# a millionth of a month: what conversion between units can lose, far below a day
_ROUNDING = 1e-6
_LABEL = re.compile(r"\s*(day|week|month|year)s?\s*[-_ ]?\s*(\d+(?:\.\d+)?)\s*", re.IGNORECASE)


_UNIT_WORDS = {
    "day": "days", "days": "days", "week": "weeks", "weeks": "weeks", "wk": "weeks", "wks": "weeks",
    "month": "months", "months": "months", "year": "years", "years": "years", "yr": "years", "yrs": "years",
}  # fmt: skip


def time_faults(
    visits: Opened, raw: np.ndarray, month: np.ndarray, outcomes: pd.DataFrame, time_unit: str
) -> list[Fault]:
    """Check the times themselves: there, once a subject, and humanly possible.

    Parameters
    ----------
    visits : Opened
    raw, month : array, shape (rows,)
        The times in the user's unit and in months; NaN where missing or refused.
    outcomes : DataFrame
        Values of the outcomes, to say whether two rows at one time agree.
    time_unit : str
    """
    assert visits.ids is not None
    cells = visits.frame["time"]
    absent = np.flatnonzero(cells.isna().to_numpy() | (cells.astype(object).astype(str).str.strip() == "").to_numpy())
    faults = visits.faults("time", absent, "the time of the visit is missing", "Fill it in, or delete the row")
    frame = pd.DataFrame({"id": visits.ids, "raw": raw, "month": month, "row": np.arange(len(raw))}).dropna()
    faults += _duplicates(visits, frame, outcomes)
    span = frame.groupby("id")["month"].agg(["min", "max"])
    long = span.index[(span["max"] - span["min"] > _LONGEST_FOLLOW_UP) | (span.abs() > _LONGEST_LIFE).any(axis=1)]
    last = frame.sort_values("month").drop_duplicates("id", keep="last").set_index("id")["row"]
    what = f"read in {time_unit}, this subject was followed for more than 40 years"
    return faults + visits.faults(
        "time", sorted(last[long]), what, "Check time_unit, and that all rows have the same unit"
    )


def far_spots(month: np.ndarray, time_unit: str) -> list[Spot]:
    """Find the times that are further from the start than any follow-up; infinity stands for never."""
    what = f"read in {time_unit}, this is more than 40 years after the start"
    remedy = "Check time_unit, and that all rows have the same unit"
    return [(int(row), what, remedy) for row in np.flatnonzero(np.isfinite(month) & (month > _LONGEST_FOLLOW_UP))]


def end_faults(visits: Opened, month: np.ndarray, subjects: pd.DataFrame, events: pd.DataFrame) -> list[Fault]:
    """Check that no visit comes after the subject's death or the end of follow-up."""
    assert visits.ids is not None
    ids = pd.Series(visits.ids)
    faults: list[Fault] = []
    died: dict[str, float] = {}
    again: dict[str, tuple[float, float]] = {}
    if {"event", "event_month"} <= set(subjects.columns):
        dead = subjects[
            subjects["event"].map(lambda e: pd.notna(e) and is_death(e)).astype(bool) & subjects["event_month"].notna()
        ]
        died.update((str(subject), float(when)) for subject, when in dead["event_month"].items())
    for subject, when in events.loc[events["kind"].map(is_death).astype(bool), ["subject", "month"]].itertuples(
        index=False
    ):
        again.update({subject: (died[subject], float(when))} if abs(when - died.get(subject, when)) > _ROUNDING else {})
        died[subject] = min(when, died.get(subject, np.inf))
    for subject, whens in again.items():
        value = " and ".join(f"{when:.3g}" for when in sorted(whens)) + " months"
        what, remedy = "the subject dies twice, at different times", "Correct one of the two, or delete it"
        faults.append(Fault(what=what, remedy=remedy, column="event", subject=subject, value=value, table="events"))
    if died:
        late = np.flatnonzero(month > ids.map(died).to_numpy(float, na_value=np.nan) + _ROUNDING)
        faults += visits.faults(
            "time", late, "a visit after the subject's death", "Correct the time of the visit or of the death"
        )
    if "end_of_follow_up" in subjects:
        end = ids.map(subjects["end_of_follow_up"]).to_numpy(float, na_value=np.nan)
        late = np.flatnonzero(month > end + _ROUNDING)
        what = "a visit after the subject's end_of_follow_up"
        faults += visits.faults("time", late, what, "Correct one of the two, and check that both are in the same unit")
    return faults


def label_faults(visits: Opened, month: np.ndarray, labels: np.ndarray, time_unit: str) -> list[Fault]:
    """Refuse times whose own labels ("week 12") contradict them by the ratio of two units."""
    told = [_LABEL.fullmatch(label) if label is not None else None for label in labels]
    said = np.array([months_per[m[1].lower() + "s"] * float(m[2]) if m else np.nan for m in told])
    ok = (said > 0) & (month > 0)
    ratios = month[ok] / said[ok]
    if len(ratios) == 0 or not (ratio := _unit_ratio(float(np.median(ratios)))):
        return []
    example = next(label for label, use in zip(labels, ok, strict=True) if use)
    what = f"read in {time_unit}, times are about {ratio:.3g} times what the visits' labels say"
    return [visits.fault("time", None, what, "Check time_unit", f"label {example}")]


def _unit_in_name(column: str) -> str | None:
    """Find the one unit of time a column's name speaks of ("study_week"), None where none or several."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", column)
    units = {_UNIT_WORDS[word.lower()] for word in words if word.lower() in _UNIT_WORDS}
    return units.pop() if len(units) == 1 else None


def unit_fault(opened: Opened, column: str, time_unit: str) -> list[Fault]:
    """Refuse a column whose own name contradicts the declared unit: weeks given as months."""
    unit = _unit_in_name(opened.user_name(column))
    if column not in opened or unit is None or unit == time_unit or unit not in months_per:
        return []
    remedy = f"Write time_unit={unit!r} if it holds {unit}; if it holds {time_unit}, rename the column"
    return [opened.fault(column, None, f"the name speaks of {unit}, but time_unit is {time_unit!r}", remedy)]


def unit_warnings(ids: np.ndarray, month: np.ndarray) -> tuple[str, ...]:
    """Notice subjects whose times look like another unit than the others'; it may be the truth."""
    frame = pd.DataFrame({"id": ids, "month": month}).dropna().sort_values(["id", "month"])
    frame = frame[frame["month"] >= 0]
    frame["step"] = frame.groupby("id")["month"].diff()
    each = frame.groupby("id").agg(last=("month", "max"), step=("step", "median"), n=("month", "size"))
    each = each[(each["n"] >= 2) & (each["step"] > 0)]
    if len(each) < 3:
        return ()
    ratio = pd.DataFrame({"last": each["last"] / each["last"].median(), "step": each["step"] / each["step"].median()})
    odd = each.index[
        [
            bool(_unit_ratio(a)) and _unit_ratio(a) == _unit_ratio(b)
            for a, b in zip(ratio["last"], ratio["step"], strict=True)
        ]
    ]
    if len(odd) == 0:
        return ()
    listed = ", ".join(repr(each) for each in odd[:5]) + (", ..." if len(odd) > 5 else "")
    return (f"times of {len(odd)} subject(s) look as if in another unit than the others': {listed}",)


def baseline_faults(visits: pd.DataFrame, subjects: pd.Index, within: float) -> list[Fault]:
    """Find the subjects without a visit at the start; `visits` holds the rows that count."""
    first = visits.groupby("subject")["month"].min().reindex(subjects)
    what = f"no visit at baseline: none before or within {within:g} month(s) after time 0"
    remedy = "Add the baseline visit, set time 0 to it, or take the subject out"
    return [
        Fault(what=what, remedy=remedy, column="month", subject=str(subject), table="visits",
              value=None if np.isnan(month) else f"first visit at month {month:.3g}")
        for subject, month in first.items() if not month <= within
    ]  # fmt: skip


def follow_up_faults(visits: pd.DataFrame) -> list[Fault]:
    """Find out whether anybody was seen twice; `visits` holds the rows that count."""
    times = visits.groupby("subject")["month"].nunique()
    if (times >= 2).any():
        return []
    what = "no subject was seen at two times, so nothing can be said of change"
    value = "all visits are at one time" if visits["month"].nunique() <= 1 else "one visit a subject"
    return [Fault(what=what, remedy="Give later visits, or a model that needs no slope", column="month", value=value)]


def _duplicates(visits: Opened, frame: pd.DataFrame, outcomes: pd.DataFrame) -> list[Fault]:
    again = frame[frame.duplicated(["id", "raw"])]
    if again.empty:
        return []
    first = frame.drop_duplicates(["id", "raw"]).set_index(["id", "raw"])["row"]
    faults = []
    for row, key in zip(again["row"], zip(again["id"], again["raw"], strict=True), strict=True):
        before = int(first[key])
        one, two = outcomes.iloc[before], outcomes.iloc[row]
        if one.equals(two):
            what, remedy = "the same visit stands twice, with equal values", "Delete one of the rows"
        else:
            what, remedy = (
                "two rows for the same visit, with different values",
                "Find out which is right and delete the other",
            )
        faults.append(visits.fault("time", int(row), f"{what} (also in row {before + 1})", remedy))
    return faults


def _unit_ratio(ratio: float) -> float | None:
    """Find the ratio of two units of time that a ratio equals within 5 %, and is not 1."""
    days = {"days": 1.0, "weeks": 7.0, "months": DAYS_PER_MONTH, "years": 365.25}
    ratios = {a / b for a in days.values() for b in days.values() if a != b}
    return next((r for r in sorted(ratios) if abs(ratio / r - 1) < 0.05), None)
