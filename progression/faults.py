"""Faults found in what a user gave, and the errors that carry all of them at once."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

__all__ = [
    "CohortError",
    "Fault",
    "InputError",
    "SettingError",
    "TableName",
    "check_probability",
    "collected",
    "setting_fault",
    "suggest",
]

TableName = Literal["visits", "subjects", "events", "file", "studies", "setting"]

_LINES_SHOWN = 40
_ROWS_SHOWN = 8
_LONGEST_VALUE = 200


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong, where it stands, and what to do about it.

    Parameters
    ----------
    what : str
        What is wrong, in words that do not repeat the value, so that alike faults can be grouped.
    remedy : str
        What to do.
    column : str, optional
        The column under the name it has in the user's table; for a setting, the argument's name.
    subject : str, optional
        The subject's id.
    row : int, optional
        The row of the user's table, counted from 1 over data rows: the header is not counted.
    value : object, optional
        The offending value as the user wrote it.
    table : {"visits", "subjects", "events", "file", "studies", "setting"}
        Where to look.
    """

    what: str
    remedy: str
    column: str | None = None
    subject: str | None = None
    row: int | None = None
    value: object | None = None
    table: TableName = "visits"

    def __str__(self) -> str:
        where: list[str] = [self.table]
        if self.column is not None:
            where.append(f"{'argument' if self.table == 'setting' else 'column'} {self.column!r}")
        if self.subject is not None:
            where.append(f"subject {self.subject!r}")
        if self.row is not None:
            where.append(f"row {self.row}")
        if self.value is not None:
            where.append(f"value {_shown(self.value)}")
        stop = "" if self.what.endswith("?") else "."
        return f"{', '.join(where)}: {self.what}{stop} {self.remedy[:1].upper()}{self.remedy[1:]}"


class InputError(ValueError):
    """What the user gave cannot be used; every fault found is listed.

    Parameters
    ----------
    faults : sequence of Fault
        At least one.

    Attributes
    ----------
    faults : tuple of Fault
        All of them, also those the message only counts.
    """

    _opening = "The input was refused"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__(_message(self._opening, self.faults))

    @classmethod
    def single(cls, what: str, remedy: str, **where: Any) -> Self:
        """Make the error for one fault; `where` holds the other fields of `Fault`."""
        return cls([Fault(what=what, remedy=remedy, **where)])

    def table(self) -> pd.DataFrame:
        """Return the faults as a table, one row a fault, with the fields of `Fault` as columns."""
        columns = ["table", "column", "subject", "row", "value", "what", "remedy"]
        frame = pd.DataFrame([asdict(fault) for fault in self.faults], columns=columns, dtype=object)
        return frame.astype({"row": "Int64"})

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is rebuilt from its arguments when it crosses from a worker process
        return type(self), (self.faults,)


class CohortError(InputError):
    """A table, or a file holding one, cannot become a cohort."""

    _opening = "The cohort was refused"


class SettingError(InputError):
    """An argument or a setting has a value that cannot be meant."""

    _opening = "The settings were refused"


def setting_fault(name: str | None, value: object, what: str, remedy: str) -> Fault:
    """Make the fault of a setting: its name, its value, what is wrong with it and what to do."""
    return Fault(what=what, remedy=remedy, value=value, column=name, table="setting")


@contextmanager
def collected(faults: list[Fault]) -> Iterator[None]:
    """Put the faults of a SettingError raised inside into a list, those that are not there yet, so that all checks are made."""
    try:
        yield
    except SettingError as error:
        known = {str(one) for one in faults}
        faults += [one for one in error.faults if str(one) not in known]


def check_probability(name: str, value: float) -> None:
    """Raise SettingError unless `value` lies strictly between 0 and 1; 95 for 0.95 is answered as such."""
    if not is_number(value) or not 0 < value < 1:
        remedy = (
            f"did you mean {value / 100:g}?"
            if is_number(value) and 1 < value < 100
            else "give a number between 0 and 1"
        )
        raise SettingError([setting_fault(name, value, "is not a probability", remedy)])


def check_type(name: str, value: object, kind: type, remedy: str) -> None:
    """Raise SettingError unless `value` is of a class, such as a `Fit` where a figure is of one."""
    if not isinstance(value, kind):
        raise SettingError([setting_fault(name, type(value).__name__, f"is not a {kind.__name__}", remedy)])


def check_count(name: str, value: object) -> None:
    """Raise SettingError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise SettingError([setting_fault(name, value, "is not a whole number of at least 1", "give 1 or more")])


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and not a truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def suggest(name: object, known: Iterable[object]) -> str:
    """Say what there is, and what was probably meant.

    Parameters
    ----------
    name : object
        The unknown name.
    known : iterable
        The names there are.

    Returns
    -------
    str
        A clause to put behind a sentence, such as "; did you mean 'als_slope'? There are: 'als_slope'".
    """
    names = [str(each) for each in known]
    if not names:
        return "; there are none"
    folded = {each.casefold().strip(): each for each in names}
    close = difflib.get_close_matches(str(name).casefold().strip(), list(folded), n=1, cutoff=0.6)
    listed = ", ".join(repr(each) for each in names[:30]) + (", ..." if len(names) > 30 else "")
    return f"; did you mean {folded[close[0]]!r}? There are: {listed}" if close else f"; there are: {listed}"


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _shown(value: object) -> str:
    try:
        text = repr(_plain(value))
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _message(opening: str, faults: Sequence[Fault]) -> str:
    groups: dict[tuple[str, str | None, str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.table, fault.column, fault.what, fault.remedy), []).append(fault)
    count = f"{len(faults)} fault" + ("s" if len(faults) != 1 else "")
    counted = " (rows are data rows, the header is not counted)" if any(f.row for f in faults) else ""
    lines = [f"{opening}: {count}{counted}."]
    lines += [f"- {members[0]}{_others(members[1:])}" for members in list(groups.values())[:_LINES_SHOWN]]
    if len(groups) > _LINES_SHOWN:
        lines.append(f"- and {len(groups) - _LINES_SHOWN} more kinds of fault: see .faults or .table() of this error")
    return "\n".join(lines)


def _others(members: Sequence[Fault]) -> str:
    if not members:
        return ""
    by_row = all(fault.row is not None for fault in members)
    kind = "row" if by_row else ("subject" if all(f.subject is not None for f in members) else "place")
    shown = [str(f.row) if by_row else repr(f.subject) for f in members[:_ROWS_SHOWN]] if kind != "place" else []
    tail = ", ..." if len(members) > _ROWS_SHOWN else ""
    listed = f": {', '.join(shown)}{tail}" if shown else ""
    return f" (and {len(members)} more {kind}{'s' if len(members) > 1 else ''}{listed})"
