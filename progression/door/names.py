"""A user's table opened: is it a table at all, and which of its columns is which."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from progression.door.cells import is_absent
from progression.faults import Fault, TableName, suggest

__all__ = [
    "EVENT",
    "RESERVED",
    "SUBJECT",
    "VISIT",
    "Opened",
    "missing_column",
    "open_table",
    "same_but_for",
]

VISIT = ("subject", "time", "visit")
SUBJECT = ("arm", "site", "study", "onset_lower", "onset_upper", "end_of_follow_up", "event", "event_time")
EVENT = ("subject", "time", "kind", "note")
RESERVED = {*VISIT, *SUBJECT, *EVENT, "month", "event_month"}  # with a meaning of their own in a cohort

# To overlook "Site" loses a label; to overlook "Arm" or "Event" changes the analysis.
_HARMLESS = {"visit", "site", "study", "note"}
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00a0"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A user's table under standard column names, which still knows the user's own names and rows."""

    table: TableName
    frame: pd.DataFrame
    names: Mapping[str, str]  # standard name -> the user's
    ids: np.ndarray | None = None  # one text per row, None where the id was refused

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    def with_ids(self, ids: np.ndarray) -> Opened:
        """Return the table with its ids read."""
        return replace(self, ids=ids)

    def user_name(self, column: str) -> str:
        """Return the name a column has in the user's table."""
        return self.names.get(column, column)

    def fault(self, column: str | None, row: int | None, what: str, remedy: str, value: object = None) -> Fault:
        """Make the fault at a position (from 0) of the frame; None speaks of the whole column."""
        subject = None if row is None or self.ids is None else self.ids[row]
        if value is None and row is not None and column is not None and column in self.frame.columns:
            value = self.frame[column].iloc[row]
            value = None if is_absent(value) else value
        if not pd.api.types.is_hashable(value):
            value = repr(value)
        return Fault(
            what=what, remedy=remedy, subject=subject,
            column=None if column is None else self.user_name(column),
            row=None if row is None else int(row) + 1, value=value, table=self.table,
        )  # fmt: skip

    def faults(self, column: str, rows: Iterable[int], what: str, remedy: str) -> list[Fault]:
        """Make the same fault at several positions."""
        return [self.fault(column, int(row), what, remedy) for row in rows]


def open_table(
    data: Any,
    *,
    table: TableName,
    columns: Mapping[str, str],
    required: Sequence[str],
    optional: Sequence[str],
) -> tuple[Opened | None, list[Fault], list[str]]:
    """Read a table under standard names.

    Returns
    -------
    opened : Opened or None
        None where nothing further can be checked.
    faults : list of Fault
    warnings : list of str
        Columns that look meant but were not read.
    """
    frame, fault = _as_frame(data, table)
    if frame is None:
        return None, [fault] if fault else [], []
    faults = _structure(frame, table)
    if faults:
        return None, faults, []

    present = list(frame.columns)
    sources = {std: columns.get(std, std) for std in (*required, *optional, *columns)}
    # The flag of censoring goes with its outcome: CRP_censored where crp_mg_dl is the column CRP.
    sources |= {flag: f"{user}_censored" for std, user in columns.items() if f"{user}_censored" in present
                and (flag := f"{std}_censored") not in (*columns, *present)}  # fmt: skip
    if table != "visits":
        # one mapping serves all tables, and a second table may well use the standard name already
        sources = {std: std if user not in present and std in present else user for std, user in sources.items()}
    # a column that was said to be one thing is not also what its own name says
    spoken_for = {user for std, user in columns.items() if std != user}
    sources = {
        std: user for std, user in sources.items() if std in columns or user not in spoken_for or std in required
    }
    found = {std: user for std, user in sources.items() if user in present}
    claimed = set(found.values())
    warnings = []
    for std, user in sources.items():
        if std in found and std in spoken_for and std not in columns:
            other = next(each for each, user in columns.items() if user == std)
            what = f"columns= says that this is {other!r}, and nothing says which column is {std!r}"
            faults.append(Fault(what=what, remedy=f"Write columns={{{std!r}: ...}} too", column=std, table=table))
        if std in found:
            continue
        if std in required:
            faults.append(missing_column(user, [c for c in present if c not in claimed], table, frame, std=std))
        elif std in optional and std not in columns:
            alike = same_but_for(user, [c for c in present if c not in claimed])
            if alike and std in _HARMLESS:
                warnings.append(
                    f"{table}: column {alike!r} was not read as {std!r}: columns={{{std!r}: {alike!r}}} does"
                )
            elif alike:
                faults.append(_alike_fault(user, alike, table, std))
    taken = {std: frame[user] for std, user in found.items()}
    rest = {c: frame[c] for c in present if c not in claimed and c not in taken}
    return Opened(table=table, frame=pd.DataFrame({**taken, **rest}), names=found), faults, warnings


def missing_column(
    wanted: str,
    present: Sequence[str],
    table: TableName,
    frame: pd.DataFrame | None = None,
    *,
    std: str | None = None,
) -> Fault:
    """Say that a column is missing, with the likely reason: a look-alike, a wide table, another name."""
    std = std or wanted
    if alike := same_but_for(wanted, present):
        return _alike_fault(wanted, alike, table, std)
    if std == "time" and frame is not None and (wide := _wide(frame.columns)):
        return Fault(
            what="there is no column of times, and columns look like one visit each: a wide table",
            remedy="Turn it into a long one, one row a visit, with pandas.wide_to_long or DataFrame.melt",
            column=wanted, value=", ".join(wide[:6]), table=table,
        )  # fmt: skip
    what = f"the column is missing{suggest(wanted, present)}"
    return Fault(what=what, remedy=f"Say which it is with columns={{{std!r}: ...}}", column=wanted, table=table)


def same_but_for(wanted: str, present: Iterable[str]) -> str | None:
    """Find a column that differs from the wanted one only by case, space or a byte-order mark."""
    return next((column for column in present if column != wanted and _fold(column) == _fold(wanted)), None)


def _alike_fault(wanted: str, alike: str, table: TableName, std: str) -> Fault:
    return Fault(
        what=f"the column differs from {wanted!r} only by case, space or an invisible mark",
        remedy=f"Rename it, or write columns={{{std!r}: {alike!r}}}", column=alike, table=table,
    )  # fmt: skip


def _fold(name: str) -> str:
    visible = "".join(mark for mark in str(name) if mark not in _INVISIBLE)
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", visible)).casefold()


def _wide(present: Iterable[str]) -> list[str]:
    stems: dict[str, list[str]] = {}
    for column in present:
        # one letter or a few before or after a number: bdi.2m, alsfrsr_week12, W4
        stem = re.sub(r"\d+(\.\d+)?", "#", column, count=1)
        if "#" in stem:
            stems.setdefault(_fold(stem), []).append(column)
    longest = max(stems.values(), key=len, default=[])
    return longest if len(longest) >= 2 else []


def _as_frame(data: Any, table: TableName) -> tuple[pd.DataFrame | None, Fault | None]:
    remedy = "Give a pandas DataFrame, or read a file with progression.readers.csv.read_csv"
    if isinstance(data, str | bytes) or hasattr(data, "__fspath__"):
        return None, Fault(
            what="this is text or a file's name, not a table",
            remedy=remedy,
            value=str(data)[:60],
            table=table,
        )
    try:
        if isinstance(data, pd.DataFrame):
            frame = data.copy(deep=False)
        else:
            frame = data.to_pandas() if hasattr(data, "to_pandas") else pd.DataFrame(data)
    except Exception as error:
        what = f"this cannot be read as a table ({error})"
        return None, Fault(what=what, remedy=remedy, value=type(data).__name__, table=table)
    if isinstance(frame.columns, pd.MultiIndex):
        return None, Fault(what="the table has several rows of column names", remedy="Keep one", table=table)
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    frame = frame.reset_index(level=named) if named else frame
    return frame.set_axis([str(c) for c in frame.columns], axis="columns").reset_index(drop=True), None


def _structure(frame: pd.DataFrame, table: TableName) -> list[Fault]:
    names = list(frame.columns)
    if not names:
        return [Fault(what="the table is empty: it has no columns", remedy="Give one row a visit", table=table)]
    if any("\x00" in name for name in names):
        remedy = "Read the file again with encoding='utf-16'"
        return [
            Fault(
                what="the column names hold NUL bytes: a UTF-16 file read as another",
                remedy=remedy,
                table=table,
            )
        ]
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if len(names) == 1 and mark in names[0]:
            return [
                Fault(
                    what=f"the only column's name holds {word}: the file was split at the wrong mark",
                    remedy=f"Read it again with delimiter={mark!r}", column=names[0], table=table,
                )
            ]  # fmt: skip
    repeated = sorted({name for name in names if names.count(name) > 1})
    faults = [
        Fault(
            what=f"{names.count(name)} columns have this name",
            remedy="Keep or rename one",
            column=name,
            table=table,
        )
        for name in repeated
    ]
    if len(frame) == 0:
        what = "the table has column names but no rows"
        faults.append(Fault(what=what, remedy="Check that the whole file was exported and read", table=table))
    return faults
