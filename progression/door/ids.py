"""Subjects' ids: text that names one person, and the same one in every table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import pandas as pd

from progression.door.cells import is_absent
from progression.door.names import Opened
from progression.faults import Fault

__all__ = ["natural", "read_ids", "unknown_ids"]

_TOTALS = {
    "total",
    "totals",
    "grand total",
    "subtotal",
    "sum",
    "mean",
    "average",
    "median",
    "summe",
    "gesamt",
    "mittelwert",
}
_NO_ID = {"nan", "na", "n/a", "<na>", "none", "null", "nat"}
_INVISIBLE = "\ufeff\u200b\u2060"
_ROUNDED = re.compile(r"\d(\.\d+)?E\+\d+")
_AS_TEXT = "Read the table again with ids as text (dtype=str), so that '007' stays '007'"


def natural(name: str) -> tuple[object, ...]:
    """Key that sorts "S2" before "S10", and is never equal for two different ids."""
    parts = re.split(r"(\d+)", name)
    return (tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p), name)


def read_ids(opened: Opened) -> tuple[Opened, list[Fault], list[str]]:
    """Turn the id column into text, refusing what cannot be an id or may be two."""
    cells = opened.frame["subject"].astype(object).to_numpy()
    known: dict[tuple[type, object], tuple[str | None, str, str]] = {}
    ids = np.empty(len(cells), dtype=object)
    refused: list[tuple[int, str, str]] = []
    for row, cell in enumerate(cells):
        key = (type(cell), cell if pd.api.types.is_hashable(cell) else repr(cell))
        verdict = known.get(key)
        if verdict is None:
            verdict = known[key] = _id(cell)
        ids[row] = verdict[0]
        if verdict[0] is None:
            refused.append((row, *verdict[1:]))
    if refused and refused[-1][0] == len(cells) - 1 and refused[-1][1].startswith("the id is missing"):
        refused[-1] = (
            len(cells) - 1,
            "the id is missing in the last row: a row of totals?",
            "Delete the row, or give its id",
        )
    faults = []
    for row, what, remedy in refused:
        fault = opened.fault("subject", row, what, remedy)
        faults.append(fault)
    distinct = [each for each in dict.fromkeys(ids) if each is not None]
    if distinct and all(re.fullmatch(r"\d+\.0+", each) for each in distinct):
        what = "every id ends in '.0': numbers that went through a column of decimals"
        return opened.with_ids(ids), [*faults, opened.fault("subject", None, what, _AS_TEXT, distinct[0])], []
    more, warnings = _look_alikes(opened, ids, distinct)
    return opened.with_ids(ids), faults + more, warnings


def unknown_ids(visits: Opened, subjects: Opened) -> list[Fault]:
    """Find the subjects of `visits` that `subjects` does not list, and whom they may be."""
    assert visits.ids is not None and subjects.ids is not None
    known = {each for each in subjects.ids if each is not None}
    near = {_loose(each): each for each in known}
    faults, seen = [], set()
    for row, each in enumerate(visits.ids):
        if each is None or each in known or each in seen:
            continue
        seen.add(each)
        twin = near.get(_loose(each))
        what = f"the subject stands in the {visits.table} but not in the subjects table"
        remedy = "Add the subject to the subjects table, or take the rows out"
        if twin is not None:
            what += f", which has {twin!r}: the same id, changed on the way (a spreadsheet drops leading zeros)?"
            remedy = "Write the id alike in both tables; keep ids as text (dtype=str)"
        faults.append(visits.fault("subject", row, what, remedy))
    return faults


def _id(cell: object) -> tuple[str | None, str, str]:
    """Return the id as text, or None with what is wrong and what to do."""
    if is_absent(cell):
        return None, "the id is missing", "Give the id, or delete the row"
    if isinstance(cell, bool | np.bool_):
        return None, "the id is true or false", "Name the column of ids with columns={'subject': ...}"
    if isinstance(cell, int | np.integer):
        return str(int(cell)), "", ""
    if isinstance(cell, float | np.floating):
        return None, "the id is a decimal number", _AS_TEXT
    if not isinstance(cell, str):
        return None, f"the id is neither text nor a whole number ({type(cell).__name__})", _AS_TEXT
    bare = re.sub(rf"^[\s{_INVISIBLE}]+|[\s{_INVISIBLE}]+$", "", cell)
    if not bare:
        return None, "the id is missing", "Give the id, or delete the row"
    if bare != cell:
        return (
            None,
            "the id has a space or an invisible mark before or behind it",
            "Take it away: it would make a second subject",
        )
    if any(mark in bare for mark in _INVISIBLE):
        return None, "the id has an invisible mark in it", "Take it away: it would make a second subject"
    if _ROUNDED.fullmatch(bare):
        return None, "the id was rounded by a spreadsheet to a number with an exponent", _AS_TEXT
    if bare.casefold() in _NO_ID:
        return None, "the id looks like a missing one written as text", "Give the id, or delete the row"
    if bare.casefold().rstrip(":") in _TOTALS:
        return None, "this is a row of totals, not a patient", "Delete the row"
    return cell, "", ""


def _look_alikes(opened: Opened, ids: np.ndarray, distinct: Iterable[str]) -> tuple[list[Fault], list[str]]:
    def row(each: str) -> int:
        return int(np.flatnonzero(ids == each)[0])

    composed: dict[str, str] = {}
    plain: dict[str, str] = {}
    folded: dict[str, str] = {}
    bare: dict[str, str] = {}
    faults, warnings = [], []
    for each in distinct:
        twin = composed.setdefault(" ".join(unicodedata.normalize("NFC", each).split()), each)
        if twin != each:
            what = "the id looks the same as another's but is coded otherwise (accents composed or not, kinds of space)"
            faults.append(
                opened.fault("subject", row(each), what, "Write the two alike, or make them visibly different")
            )
            continue
        twin = plain.setdefault(re.sub(r"(?<=\d)\.0+$", "", each), each)
        if twin != each:
            what = (
                f"the id is {twin!r} but for a '.0' behind one of them: a number that went through a column of decimals"
            )
            faults.append(opened.fault("subject", row(each), what, _AS_TEXT))
            continue
        twin = bare.setdefault(each.lstrip("0") or "0", each)
        if twin != each:
            warnings.append(
                f"{opened.table}: ids {twin!r} and {each!r} differ by leading zeros only: taken as two subjects"
            )
        twin = folded.setdefault(each.casefold(), each)
        if twin != each:
            warnings.append(f"{opened.table}: ids {twin!r} and {each!r} differ by case only: taken as two subjects")
    return faults, warnings


def _loose(name: str) -> str:
    bare = re.sub(r"\s+", "", unicodedata.normalize("NFKC", name)).casefold()
    return re.sub(r"\.0+$", "", bare).lstrip("0") or "0"
