"""Cells as a person typed them, read as numbers, texts and flags."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["INFINITY", "Numbers", "Spot", "is_absent", "numbers", "numeric_looking", "texts", "truths"]

# What is wrong at one position (from 0), and what to do.
Spot = tuple[int, str, str]

_TOO_LARGE = ("the number is too large to be one", "Correct it, or empty the cell if it is missing")
INFINITY = ("the value is infinite", "Correct it, or empty the cell if it is missing")
_MISSING = {"", "na", "nan", "<na>"}  # what R and pandas write for a missing number
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_ATTEMPT = re.compile(r"[<>≤≥]?\s*[+-]?[.,]?\d")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_INFINITE = {f"{sign}{word}" for sign in ("", "+", "-") for word in ("inf", "infinity", "∞")}
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,'\u2019\s][0-9]{3})+([.,][0-9]+)?")
_SHEET_ERRORS = {
    "#div/0!",
    "#n/a",
    "#name?",
    "#null!",
    "#num!",
    "#ref!",
    "#value!",
    "#spill!",
    "#calc!",
    "#getting_data",
}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A column read as numbers: NaN where missing or refused, the limit where censored from below."""

    value: np.ndarray
    censored: np.ndarray
    spots: tuple[Spot, ...]


def numbers(
    column: pd.Series,
    *,
    decimal: str = ".",
    missing: Collection[str] = (),
    infinite: bool = False,
    censored: bool = False,
) -> Numbers:
    """Read a column of any dtype as numbers.

    Parameters
    ----------
    column : Series
    decimal : {".", ","}
        The decimal mark declared for text.
    missing : collection of str
        Texts that mean a missing value, beside an empty cell, NA and NaN; "-99" is one however the number is written.
    infinite : bool
        Whether "inf" is a number here.
    censored : bool
        Whether "<0.5" is a value here.
    """
    n, none = len(column), np.zeros(len(column), bool)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.dtype.kind != "c":
        value = column.to_numpy(dtype=float, na_value=np.nan)
        if codes := _codes(missing, decimal):
            value = np.where(np.isin(value, list(codes)), np.nan, value)
        spots = [] if infinite else [(int(row), *INFINITY) for row in np.flatnonzero(np.isinf(value))]
        return Numbers(
            value=np.where(np.isinf(value), np.nan, value) if spots else value,
            censored=none,
            spots=tuple(spots),
        )
    value, flags, spots = np.full(n, np.nan), none.copy(), []
    absent, codes = _absent(missing), _codes(missing, decimal)
    known: dict[tuple[type, object], tuple[float, bool, tuple[str, str] | None]] = {}
    for row, cell in enumerate(column.astype(object).to_numpy()):
        key = (type(cell), cell if pd.api.types.is_hashable(cell) else repr(cell))
        read = known.get(key)
        if read is None:
            number, below, problem = _cell(cell, decimal, absent, infinite, censored)
            gone = number in codes and not below
            read = known[key] = (np.nan if gone else number, below, problem)
        value[row], flags[row], problem = read
        if problem is not None:
            spots.append((row, *problem))
    return Numbers(value=value, censored=flags, spots=tuple(spots))


def texts(column: pd.Series, *, missing: Collection[str] = ()) -> np.ndarray:
    """Read a column as text, without spaces around it; None where missing. Whole numbers lose a ".0"."""
    absent = _absent(missing)
    cells = column.astype(object).to_numpy()
    known: dict[object, str | None] = {}
    out = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        key = (type(cell), cell if pd.api.types.is_hashable(cell) else repr(cell))
        if key not in known:
            known[key] = _text(cell, absent)
        out[row] = known[key]
    return out


def truths(column: pd.Series) -> Numbers:
    """Read a column of flags: true/false, 1/0, yes/no; missing is false."""
    words = {"true": 1.0, "yes": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}
    value, spots = np.zeros(len(column)), []
    for row, text in enumerate(texts(column)):
        if text is not None and text.casefold() not in words:
            spots.append((row, "this is not a flag", "Write true or false"))
        value[row] = words.get((text or "false").casefold(), 0.0)
    return Numbers(value=value, censored=value == 1, spots=tuple(spots))


def numeric_looking(column: pd.Series) -> bool:
    """Tell whether most cells of a column are numbers, or attempts at one ("0,8", "<0.5", "80/15")."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    cells = column.astype(object).map(lambda cell: _text(cell, _MISSING)).dropna()
    attempts = cells.map(lambda cell: bool(_ATTEMPT.match(cell)) and not _DATE.fullmatch(cell))
    return len(cells) > 0 and bool(attempts.mean() >= 0.5)


def is_absent(cell: Any) -> bool:
    """Tell whether a cell holds nothing, in any of the ways pandas has for it."""
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def _absent(missing: Collection[str]) -> set[str]:
    return _MISSING | {mark.strip().casefold() for mark in missing}


def _codes(missing: Collection[str], decimal: str) -> set[float]:
    """Find the numbers among the marks for a missing value, such as -99."""
    bare = [mark.strip().replace(decimal, ".") for mark in missing]
    return {float(mark) for mark in bare if _NUMBER.fullmatch(mark)}


def _text(cell: object, absent: Collection[str]) -> str | None:
    if is_absent(cell):
        return None
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        cell = int(cell)
    try:
        text = str(cell).strip()
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    return None if text.casefold() in absent else text


def _cell(
    cell: object, decimal: str, absent: Collection[str], infinite: bool, censored: bool
) -> tuple[float, bool, tuple[str, str] | None]:
    """Read one cell: its number, whether it is censored, and what is wrong with it."""
    if is_absent(cell):
        return np.nan, False, None
    if isinstance(cell, bool | np.bool_):
        return np.nan, False, ("true or false stands where a number is asked for", "Give the number itself")
    if not isinstance(cell, str):
        try:
            if isinstance(cell, bytes | bytearray):  # which float() takes for text
                raise TypeError
            number = float(cell)  # type: ignore[arg-type]
        except OverflowError:
            return np.nan, False, _TOO_LARGE
        except (TypeError, ValueError):
            return (
                np.nan,
                False,
                (
                    f"this is not a number ({type(cell).__name__})",
                    "Give a number; for a time, the time since start",
                ),
            )
        return (np.nan, False, INFINITY) if np.isinf(number) and not infinite else (number, False, None)
    text = cell.strip().replace("\u2212", "-")
    if text.casefold() in absent:
        return np.nan, False, None
    below = censored and text.startswith("<") and not text.startswith("<=")
    bare = text[1:].strip() if below else text
    if bare.casefold() in _INFINITE:
        seen = infinite and not below and not bare.startswith("-")
        return (np.inf, False, None) if seen else (np.nan, False, INFINITY)
    if decimal == "," and _COMMA.fullmatch(bare):
        bare = bare.replace(",", ".")
    elif decimal == "," and _NUMBER.fullmatch(bare) and "." in bare:
        return (
            np.nan,
            False,
            ("a decimal point, though commas are declared", "Write a comma, or leave out decimal=','"),
        )
    if _NUMBER.fullmatch(bare):
        return (float(bare), below, None) if np.isfinite(float(bare)) else (np.nan, False, _TOO_LARGE)
    return np.nan, False, _unreadable(bare)


def _unreadable(text: str) -> tuple[str, str]:
    if text.casefold() in _SHEET_ERRORS:
        return "an error of the spreadsheet, not a number", "Mend its formula, or empty the cell"
    if _DATE.fullmatch(text):
        return (
            "a date stands where a number is asked for",
            "Give the number; for a time, the time since the subject's start",
        )
    if _THOUSANDS.fullmatch(text):
        return (
            "marks of thousands, or a decimal mark that was not declared: this can be read in two ways",
            "Write the number without marks of thousands; a decimal comma is declared with decimal=','",
        )
    if _COMMA.fullmatch(text):
        return "a decimal comma", "Declare it with decimal=',', or write a point"
    if re.fullmatch(r"[^/]*\d\s*/\s*\d[^/]*", text):
        return "two values stand in one cell", "Give each its own column"
    if text[:1] in "<>≤≥" and re.search(r"\d", text):
        return (
            "a limit that cannot be read here",
            "Only values below a detection limit are known, in outcomes, written '<0.5'",
        )
    if re.search(r"\d", text):
        return (
            "this is not a number",
            "Give the number alone; a unit or a comment belongs into another column",
        )
    return (
        "this is a mark or a word, not a number",
        "If it stands for a missing value, empty the cell or list it in missing=[...]",
    )
