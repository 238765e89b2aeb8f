"""What a file says, by a parser that shares no line with the package."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

DAYS = {"days": 1.0, "weeks": 7.0}
MISSING = {"", "na", "nan", "<na>"}


class Unlike(AssertionError):
    """A cohort that is not what its file says."""


def lines(text: str, mark: str) -> list[list[str]]:
    """Cells of every line: a cell that begins with a quote goes on to the next quote that stands alone."""
    rows: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        if text[at] == '"':
            cell, at = "", at + 1
            while text[at : at + 1] != '"' or text[at + 1 : at + 2] == '"':
                if at == len(text):
                    raise Unlike("a quote that does not close")
                cell += text[at]
                at += 2 if text[at] == '"' else 1
            at += 1
        else:
            end = next((i for i in range(at, len(text)) if text[i] in (mark, "\n", "\r")), len(text))
            cell, at = text[at:end], end
        rows[-1].append(cell)
        if at < len(text) and text[at] == mark:
            at += 1
            if at == len(text) or text[at] in "\r\n":
                rows[-1].append("")
        if at < len(text) and text[at] in "\r\n":
            at += 2 if text[at : at + 2] == "\r\n" else 1
            rows.append([])
    return rows


def table(raw: bytes, wanted: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """Names and rows of a file, split at the mark under which the wanted names are there; rows without any cell are left out."""
    text = raw.decode("utf-8-sig")
    marks = ",;\t|"
    if told := re.match("sep=(.)\r?\n", text):
        text, marks = text[told.end() :], told[1] + marks
    for mark in marks:
        with contextlib.suppress(Unlike):
            found = [row for row in lines(text, mark) if row != [""]]
            if found and set(wanted) <= {name.strip() for name in found[0]}:
                break
    else:
        raise Unlike(f"accepted, and no line has the names {wanted}")
    names, *rows = found
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    for row in rows:
        if any(cell.strip() for cell in row[len(names) :]) or len(row) < len(names):
            raise Unlike(f"accepted with the ragged line {row}")
    return names, [row[: len(names)] for row in rows]


def number(cell: str, decimal: str = ".") -> tuple[float, bool]:
    """A number as it is written, NaN for none, and whether it stands behind a sign of less."""
    text = cell.strip().replace("\u2212", "-")
    if text.lower() in MISSING:
        return math.nan, False
    below = text.startswith("<")
    text = text.removeprefix("<").strip().replace(decimal, ".")
    if not re.fullmatch("[-+0-9.eE]+", text):
        raise Unlike(f"accepted, and {cell!r} is no number")
    return float(Decimal(text)), below


def same(what: str, said: Iterable[Sequence[object]], found: Iterable[Sequence[object]]) -> None:
    """Raise unless two collections of rows are alike, in any order; numbers to twelve digits, NaN like NaN."""
    one, two = (Counter(tuple(f"{x:.12g}" if isinstance(x, float) else str(x) for x in row) for row in rows) for rows in (said, found))  # fmt: skip
    if one != two:
        raise Unlike(f"{what}: the file alone says {dict(one - two)}, the cohort alone {dict(two - one)}")
