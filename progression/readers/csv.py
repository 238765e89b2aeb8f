"""CSV files as people really have them, read into a cohort or refused with every fault named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from progression.cohort import Cohort
from progression.faults import CohortError, Fault, SettingError, TableName, setting_fault
from progression.readers.files import TextFile, may_delimit, read_text_file

__all__ = ["read_csv"]


def read_csv(
    path: Any, subjects: Any = None, *, time_unit: str, delimiter: str | None = None, decimal: str = ".",
    encoding: str | None = None, **from_table: Any,
) -> Cohort:  # fmt: skip
    """Read a cohort from a CSV file of visits and, where there is one, of subjects.

    Every cell is read as text, so that the id "007" stays "007" and "<0.5" is known to be censored.

    Parameters
    ----------
    path : path-like
        The file of visits, one row a visit.
    subjects : path-like or DataFrame, optional
        The table of subjects, one row a subject.
    time_unit : {"days", "weeks", "months", "years"}
        Unit of every time in the files.
    delimiter : str, optional
        What stands between cells; by default it is found out: comma, semicolon, tab or bar.
    decimal : {".", ","}
        Decimal mark. A comma must be declared: it is never guessed.
    encoding : str, optional
        By default UTF-8, with or without a byte-order mark.
    **from_table
        Further arguments of `Cohort.from_table`; `events` may be a file too.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        With every fault found in the files, and where.
    SettingError
        If an argument cannot be meant.
    """
    _check_settings(delimiter, encoding)
    given: dict[TableName, Any] = {
        "visits": path,
        "subjects": subjects,
        "events": from_table.pop("events", None),
    }
    files: dict[str, TextFile] = {}
    faults: list[Fault] = []
    for table, source in given.items():
        if _is_path(source):
            try:
                files[table] = read_text_file(Path(source), delimiter, encoding)
                faults += files[table].faults
            except CohortError as error:
                faults += error.faults
    if any(_is_path(source) and table not in files for table, source in given.items()):
        raise CohortError(faults)
    tables = {table: files[table].frame if table in files else source for table, source in given.items()}
    try:
        cohort = Cohort.from_table(
            tables["visits"],
            tables["subjects"],
            events=tables["events"],
            time_unit=time_unit,
            decimal=decimal,
            **from_table,
        )
    except CohortError as error:
        raise CohortError([*faults, *(_as_in_file(fault, files) for fault in error.faults)]) from None
    if faults:
        raise CohortError(faults)
    return cohort


def _check_settings(delimiter: object, encoding: object) -> None:
    faults = []
    if delimiter is not None and not (isinstance(delimiter, str) and may_delimit(delimiter)):
        what = "the delimiter is one character, no quote and no end of line"
        faults.append(setting_fault("delimiter", str(delimiter), what, "give ',' or ';'"))
    if encoding is not None:
        try:
            "".encode(encoding)  # type: ignore[arg-type]
            b"".decode(encoding)  # type: ignore[arg-type]
        except (LookupError, TypeError, ValueError):
            what = "there is no such encoding of text"
            faults.append(setting_fault("encoding", str(encoding), what, "give 'utf-8', 'utf-16' or 'cp1252'"))
    if faults:
        raise SettingError(faults)


def _is_path(source: object) -> bool:
    return isinstance(source, str) or hasattr(source, "__fspath__")


def _as_in_file(fault: Fault, files: Mapping[str, TextFile]) -> Fault:
    if fault.table not in files:
        return fault
    if fault.row is None:
        return fault if fault.column or fault.value else replace(fault, value=files[fault.table].name)
    return replace(fault, row=files[fault.table].rows[fault.row - 1])
