"""A file of delimited text as it is on the disk: decoded, split, and every fault of its lines named."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from progression.faults import CohortError, Fault

__all__ = ["TextFile", "may_delimit", "read_text_file"]

_MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MAGIC = {
    b"PK\x03\x04": ("a zip archive, as Excel workbooks (.xlsx) are", "Save it as CSV (UTF-8) and read that"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls)", "Save it as CSV (UTF-8) and read that"),
    b"\x1f\x8b": ("compressed with gzip", "Unpack it first"),
    b"%PDF": ("a PDF", "Export the table as CSV"),
    b"<": ("HTML or XML, such as a web page", "Export the table as CSV"),
}


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A file's cells as text."""

    frame: pd.DataFrame
    rows: list[int]  # position in the frame -> the data row of the file, which counts blank lines too
    faults: list[Fault]
    name: str


def read_text_file(path: Path, delimiter: str | None = None, encoding: str | None = None) -> TextFile:
    """Read a file; faults of single lines travel with it, for the reader to raise with all others.

    Raises
    ------
    CohortError
        Where nothing can be read at all.
    """
    text = _decoded(path, encoding)
    told = re.match(r"sep=(.)\r?\n", text)  # Excel's own way of saying it
    if told and may_delimit(told[1]):
        text, delimiter = text[told.end() :], delimiter or told[1]
    if not text.strip():
        raise _refused("the file is empty", "Check that the whole file was exported", path)
    mark = delimiter or _sniffed(text)
    records, faults = _records(text, mark, path)
    header, *body = records
    names = header[1]
    if _title(names, body):
        what = f"line {header[0]} is a title, not the names of columns"
        raise _refused(what, "Delete the lines above the names of the columns", path)
    rows: list[int] = []
    cells: list[list[str]] = []
    for row, (line, record) in enumerate(body, start=1):
        if not any(cell.strip() for cell in record):
            continue
        while len(record) > len(names) and not record[-1].strip():
            record.pop()
        if len(record) != len(names):
            faults.append(_ragged(row, line, len(record), len(names), mark))
            continue
        rows.append(row)
        cells.append(record)
    frame = pd.DataFrame(cells, columns=pd.Index(names, dtype=object), dtype=object)
    if faults and not rows:
        raise CohortError(faults)
    keep = [at for at, name in enumerate(names) if name.strip()]
    for at, name in enumerate(names):
        if not name.strip() and not _counts_or_blank(frame.iloc[:, at]):
            what = f"column {at + 1} has cells but no name"
            faults.append(Fault(what=what, remedy="Name it, or delete it", table="file", value=str(frame.iloc[0, at])))
    return TextFile(frame=frame.iloc[:, keep], rows=rows, faults=faults, name=path.name)


def _decoded(path: Path, encoding: str | None) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _refused("there is no such file", "Check its name and folder", path) from None
    except ValueError:  # NUL in a name
        raise _refused("this is no name of a file", "Check its name and folder", path) from None
    except OSError as error:
        raise _refused(f"the file cannot be read ({error.strerror})", "Check its name and permissions", path) from None
    for magic, (what, remedy) in _MAGIC.items():
        if raw.startswith(magic):
            raise _refused(f"this is {what}, not a CSV file", remedy, path)
    if encoding is None and (raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw[:4096]):
        kind = (
            "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-16-be" if raw[:1] == b"\x00" else "utf-16-le")
        )
        raise _refused(
            "the file is UTF-16, or not text at all",
            f"Read it with encoding={kind!r}, or save it as UTF-8",
            path,
        )
    try:
        text = raw.decode(encoding or "utf-8")
    except UnicodeError as error:
        line = raw.count(b"\n", 0, getattr(error, "start", 0)) + 1
        what = f"line {line} is not {encoding or 'UTF-8'}"
        raise _refused(
            what, "Save it as UTF-8, or give its encoding: encoding='cp1252' from Excel on Windows", path
        ) from None
    if "\x00" in text:
        raise _refused("the file holds NUL bytes: UTF-16 read as another", "Read it with encoding='utf-16'", path)
    return text.removeprefix("\ufeff")


def _sniffed(text: str) -> str:
    """Find the mark at which the first lines fall into the most, and equally many, cells."""

    def worth(mark: str) -> tuple[float, int]:
        widths = []
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
        try:
            for record in reader:
                widths.append(len(record))
                if len(widths) == 30:
                    break
        except csv.Error:
            pass
        if not widths or widths[0] < 2:
            return 0.0, 0
        return float(widths[0]), sum(width == widths[0] for width in widths)

    return max(_MARKS, key=worth)


def _records(text: str, mark: str, path: Path) -> tuple[list[tuple[int, list[str]]], list[Fault]]:
    """Split into records, each with the line it begins in."""
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    begins = 1
    try:
        for record in reader:
            if record or records:
                records.append((begins, record))
            begins = reader.line_num + 1
    except csv.Error as error:
        why = "a cell is longer than any" if "field limit" in str(error) else str(error)
        what = f"quotes do not close, or stand inside a cell, in the record from line {begins} on ({why})"
        fault = _refused(what, "Double a quote inside a quoted cell, and close every quote", path).faults[0]
        if not records:
            raise CohortError([fault]) from None
        return records, [fault]
    return records, []


def _ragged(row: int, line: int, found: int, expected: int, mark: str) -> Fault:
    more = "A cell that holds the delimiter needs quotes around it"
    if mark == "," and found > expected:
        more += "; decimal commas need another delimiter, such as the semicolon"
    return Fault(
        what=f"a line with {found} cells under a header of {expected}",
        remedy=more if found > expected else "Fill up the line, or delete it",
        row=row, value=f"line {line} of the file", table="file",
    )  # fmt: skip


def _title(names: Sequence[str], body: Sequence[tuple[int, list[str]]]) -> bool:
    """Tell whether the first line is a title, or a comment, above the names of the columns."""
    below = next((record for _, record in body if any(cell.strip() for cell in record)), [])
    return len([name for name in names if name.strip()]) == 1 and sum(map(_is_name, below)) > 1


def _is_name(cell: str) -> bool:
    return bool(re.match(r"\s*[^\W\d]", cell))


def _counts_or_blank(column: pd.Series) -> bool:
    """Tell whether a nameless column is empty, or the row numbers that R and pandas write."""
    texts = [cell.strip() for cell in column]
    if not any(texts):
        return True
    start = int(texts[0]) if texts[0] in ("0", "1") else None
    return start is not None and texts == [str(at) for at in range(start, start + len(texts))]


def _refused(what: str, remedy: str, path: Path) -> CohortError:
    return CohortError.single(what, remedy, table="file", value=path.name)


def may_delimit(mark: str) -> bool:
    """Tell whether a text can stand between cells."""
    return len(mark) == 1 and mark not in '"\r\n\0'
