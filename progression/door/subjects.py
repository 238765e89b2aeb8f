"""What is known once per subject: arm, site, onset, end of follow-up, event, covariates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from progression.door.cells import Spot, numbers, numeric_looking, texts
from progression.door.ids import natural
from progression.door.names import SUBJECT, Opened
from progression.faults import Fault

__all__ = ["Gathered", "gather", "subject_values"]


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """One raw cell a subject and column, and where each was found."""

    raw: pd.DataFrame  # index: ids in natural order
    tables: dict[str, Opened]  # column -> the table it came from
    rows: dict[str, np.ndarray]  # column -> position of the row the cell came from

    def faults(self, column: str, spots: Sequence[Spot]) -> list[Fault]:
        """Place faults at positions of `raw` into the user's table."""
        table, rows = self.tables[column], self.rows[column]
        faults = []
        for at, what, remedy in spots:
            # a subject without any row in that table can only be named
            fault = table.fault(column, int(rows[at]) if rows[at] >= 0 else None, what, remedy)
            faults.append(fault if rows[at] >= 0 else replace(fault, subject=str(self.raw.index[at])))
        return faults


def gather(visits: Opened, subjects: Opened | None, covariates: Sequence[str]) -> tuple[Gathered, list[Fault]]:
    """Collect the subject-level columns from the subjects table, or from the visits where it has none."""
    home = visits if subjects is None else subjects
    assert home.ids is not None
    order = sorted({each for each in home.ids if each is not None}, key=natural)
    index = pd.Index(order, name="subject", dtype="str")
    faults: list[Fault] = []
    raw: dict[str, list[object]] = {}
    tables: dict[str, Opened] = {}
    rows: dict[str, np.ndarray] = {}
    if subjects is not None:
        faults += _repeated(subjects, covariates)
    for column in dict.fromkeys((*SUBJECT, *covariates)):
        here = subjects if subjects is not None and column in subjects else (visits if column in visits else None)
        if here is None:
            continue
        key, first, more = _one_each(here, column, index, report=here is visits)
        faults += more
        if here is subjects and column == "arm" and "arm" in visits:
            other, row, more = _one_each(visits, column, index, report=True)
            faults += more
            for at in np.flatnonzero(
                [a is not None and b is not None and a != b for a, b in zip(key, other, strict=True)]
            ):
                what = f"the visits put the subject into another arm than the subjects table ({key[at]!r})"
                faults.append(
                    visits.fault(column, int(row[at]), what, "One subject has one arm: correct one of the tables")
                )
        cells = here.frame[column].astype(object).to_numpy()
        raw[column] = [cells[row] if row >= 0 else None for row in first]
        tables[column], rows[column] = here, first
    frame = pd.DataFrame({c: pd.Series(cells, index=index, dtype=object) for c, cells in raw.items()}, index=index)
    return Gathered(raw=frame, tables=tables, rows=rows), faults


def subject_values(
    gathered: Gathered, covariates: Sequence[str], *, per: float, decimal: str, missing: Collection[str]
) -> tuple[pd.DataFrame, list[Fault]]:
    """Turn the gathered cells into typed columns, times in months; arms are left to `settle_arms`."""
    faults: list[Fault] = []
    typed: dict[str, Any] = {}
    raw = gathered.raw
    for column in ("site", "study", "event"):
        if column in raw:
            typed[column] = pd.array(texts(raw[column], missing=missing).tolist(), dtype="str")
    for column in ("onset_lower", "onset_upper", "end_of_follow_up", "event_time"):
        if column in raw:
            read = numbers(raw[column], decimal=decimal, missing=missing, infinite=column == "onset_upper")
            faults += gathered.faults(column, read.spots)
            typed["event_month" if column == "event_time" else column] = read.value * per
    for column in covariates:
        if column not in raw:
            continue
        cells = raw[column]
        bools = cells.map(lambda cell: isinstance(cell, bool | np.bool_) or pd.isna(cell)).all() and cells.notna().any()
        if bools:
            typed[column] = cells.map(lambda cell: np.nan if pd.isna(cell) else float(cell)).to_numpy(float)
        elif numeric_looking(cells):
            read = numbers(cells, decimal=decimal, missing=missing)
            faults += gathered.faults(column, read.spots)
            typed[column] = read.value
        else:
            words = texts(cells, missing=missing)
            faults += _mixed(gathered, column, words, decimal)
            typed[column] = pd.array(words.tolist(), dtype="str")
        values = pd.Series(typed[column]).dropna()
        if len(raw) > 1 and values.nunique() == 1 and len(values) == len(raw):
            what = "the covariate is constant: every subject has the same value"
            faults.append(
                gathered.tables[column].fault(column, None, what, "Leave it out of covariates=", values.iloc[0])
            )
    order = [*(column for column in SUBJECT if column != "event_time"), "event_month", *covariates]
    return pd.DataFrame({c: typed[c] for c in order if c in typed}, index=raw.index), faults


def _mixed(gathered: Gathered, column: str, words: np.ndarray, decimal: str) -> list[Fault]:
    """Refuse labels among which numbers stand, and labels that differ by case or space only."""
    there = [at for at, word in enumerate(words) if word is not None]
    read = numbers(pd.Series([words[at] for at in there], dtype=object), decimal=decimal).value
    what = "a number among words: a label, or a number where the others are missing?"
    remedy = "List the words that mean a missing value in missing=[...], or write it as a word"
    spots: list[Spot] = [(at, what, remedy) for at, value in zip(there, read, strict=True) if np.isfinite(value)]
    folded: dict[str, str] = {}
    for at in there:
        twin = folded.setdefault(" ".join(words[at].split()).casefold(), words[at])
        if twin != words[at]:
            spots.append((at, f"the label differs from {twin!r} only by case or space", "Write the two alike"))
    return gathered.faults(column, spots)


def _one_each(
    here: Opened, column: str, index: pd.Index, *, report: bool
) -> tuple[list[str | None], np.ndarray, list[Fault]]:
    """Find each subject's one value of a column, the row it stands in, and the rows that say otherwise."""
    assert here.ids is not None
    key = texts(here.frame[column])
    frame = pd.DataFrame({"id": here.ids, "key": key, "row": np.arange(len(key))}).dropna(subset=["id", "key"])
    first = frame.drop_duplicates("id").set_index("id")
    faults: list[Fault] = []
    if report:
        own = frame["id"].map(first["key"])
        what = (
            "the same subject in two arms"
            if column == "arm"
            else "a subject has two different values of what describes the subject"
        )
        remedy = (
            "One subject has one arm: correct the rows"
            if column == "arm"
            else "Write the same value in all rows of the subject"
        )
        differing = frame[own != frame["key"]].drop_duplicates(["id", "key"])
        faults = here.faults(column, differing["row"], what, remedy)
    # where the cell is empty in all of a subject's rows, the first of them is the place to point at
    anywhere = pd.DataFrame({"id": here.ids, "row": np.arange(len(key))}).dropna().drop_duplicates("id").set_index("id")
    row = first["row"].reindex(index).fillna(anywhere["row"]).fillna(-1).to_numpy(dtype=int)
    return [key[at] if at >= 0 else None for at in row], row, faults


def _repeated(subjects: Opened, covariates: Sequence[str]) -> list[Fault]:
    """Find the ids that stand twice in a table that has one row a subject."""
    assert subjects.ids is not None
    ids = pd.Series(subjects.ids)
    again = np.flatnonzero(ids.duplicated().to_numpy() & ids.notna().to_numpy())
    first = {each: row for row, each in reversed(list(enumerate(subjects.ids)))}
    columns = [c for c in dict.fromkeys((*SUBJECT, *covariates)) if c in subjects]
    keys = {column: texts(subjects.frame[column]) for column in columns} if len(again) else {}
    faults = []
    for row in again:
        before = first[subjects.ids[row]]
        differs = [c for c in columns if keys[c][row] != keys[c][before]]
        if "arm" in differs:
            column, what, remedy = (
                "arm",
                f"the same subject in two arms (also in row {before + 1})",
                "One subject has one arm: correct it",
            )
        elif differs:
            column = differs[0]
            other = f"row {before + 1} has {keys[column][before]!r}"
            what = f"the subject stands twice, with two different values ({other})"
            remedy = "Keep the row that is right"
        else:
            column, what, remedy = (
                "subject",
                f"the subject stands twice (also in row {before + 1})",
                "Delete one of the rows",
            )
        faults.append(subjects.fault(column, int(row), what, remedy))
    return faults
