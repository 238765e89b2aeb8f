"""Valid tables, spoilt: the ways in which files reach a reader, as Hypothesis strategies over rows of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from hypothesis import strategies as st

Rows = list[list[str]]

NASTY = [
    "", " ", "0", "-0", "-1", "7", "49", "1e400", "1e-400", "1e5", "123456789012345678901234567890", "0.1000000000000000055", "1_0", "0x10", "٥", "５", "½", "²",
    "0,8", "1,234", "1.234,5", "1 234", "1\u00a0234", "1'234", ".5", "5.", "+5", "\u22125", "--5", "(5)", "<0.5", "< 0.5", "<=0.5", "<-1", "<", ">9", "≤2", "80/15", "3-4", "~5",
    "*", "n.d.", "NA", "NaN", "nan", "<NA>", "NULL", "None", "#DIV/0!", "#N/A", "inf", "-inf", "∞", "TRUE", "false", "yes", "2020-01-05", "5.1.2020", "1/5/2020", "=1+1", "45%",
    "Total", "mean", "A", "a", "A ", "\u00a0A", "A\u200b", "é", "e\u0301", "007", "7", "101.0", "1.2E+11", "'", '"', "a;b", "a,b", "a\tb", "a\nb", "a\rb", "a\r\nb", "\x00", "\x0b", "\x85",
    "\u2028", "\ufeff", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "x" * 300, "9" * 400, "placebo", "Placebo", "Yes", "No", "Active", "48", "4", "5", "4.0", "04", "4e0",
]  # fmt: skip
NAMES = ["", " ", "subject", "Subject", "time", "time ", "\ufefftime", "visit", "arm", "Arm", "event", "event_time", "crp", "crp_censored", "onset_lower", "onset_upper", "Unnamed: 0",
         "week", "days", "month", "site", "x", "a;b", "a,b", '"', "subject_id", "ALSFRS_Delta", "ALSFRS_R_Total"]  # fmt: skip

cells = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=6),
    st.floats().map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.decimals(0, 60, places=2).map(str),
)


def row_edit(draw: st.DrawFn, rows: Rows) -> None:
    """Change the rows in place, in one way."""
    what = draw(st.sampled_from(["cell", "cell", "cell", "cell", "double row", "drop row", "blank row", "swap rows", "ragged", "totals", "names", "drop column", "double column", "swap columns", "new column", "fill column"]))  # fmt: skip
    at = draw(st.integers(0, len(rows) - 1))
    column = draw(st.integers(0, max(len(rows[0]) - 1, 0)))
    body = draw(st.integers(min(1, len(rows) - 1), len(rows) - 1))
    if what == "cell" and column < len(rows[at]):
        rows[body if column < len(rows[body]) else at][column] = draw(cells)
    elif what == "double row":
        rows.insert(draw(st.integers(1, len(rows))), list(rows[body]))
    elif what == "drop row":
        del rows[at]
    elif what == "blank row":
        rows.insert(at, draw(st.sampled_from([[], [""] * len(rows[0]), [" "]])))
    elif what == "swap rows":
        rows[at], rows[body] = rows[body], rows[at]
    elif what == "ragged" and rows[at]:
        rows[at] = draw(st.sampled_from([rows[at][:-1], [*rows[at], draw(cells)], [*rows[at], ""]]))
    elif what == "totals":
        rows.append([draw(cells) for _ in rows[0]])
    elif what == "names" and column < len(rows[0]):
        rows[0][column] = draw(st.one_of(st.sampled_from(NAMES), cells))
    else:
        value, name = draw(cells), draw(st.sampled_from(NAMES))
        for i, row in enumerate(rows):
            if column < len(row):
                if what == "drop column":
                    del row[column]
                elif what == "double column":
                    row.insert(column, row[column])
                elif what == "swap columns":
                    row[0], row[column] = row[column], row[0]
                elif what == "new column":
                    row.insert(column, value if i else name)
                elif what == "fill column" and i:
                    row[column] = value


def spoilt(draw: st.DrawFn, rows: Sequence[Sequence[str]], most: int = 4) -> Rows:
    """The rows with some edits."""
    made = [list(row) for row in rows]
    for _ in range(draw(st.sampled_from([1, 1, 1, 0, *range(1, most + 1)]))):
        if made:
            row_edit(draw, made)
    return made


def written(draw: st.DrawFn, rows: Rows) -> bytes:
    """The rows as bytes, in some dialect and encoding, and now and then damaged."""
    mark = draw(st.sampled_from([",", ",", ",", ";", "\t", "|"]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    careless = draw(st.sampled_from([False] * 19 + [True]))  # nothing is quoted
    if careless:
        text = end.join(mark.join(row) for row in rows) + end
    else:
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=mark, lineterminator=end).writerows(rows)
        text = file.getvalue()
    encoding = draw(st.sampled_from(["utf-8"] * 70 + ["utf-8-sig"] * 5 + ["utf-16", "utf-16-le", "cp1252"]))
    raw = bytearray(text.encode(encoding, errors="replace"))
    for _ in range(draw(st.sampled_from([0] * 30 + [1, 1, 3]))):
        how = draw(st.sampled_from(["flip", "insert", "cut", "drop"]))
        at = draw(st.integers(0, len(raw)))
        if how == "flip" and at < len(raw):
            raw[at] = draw(st.integers(0, 255))
        elif how == "insert":
            raw[at:at] = draw(
                st.sampled_from([b"\x00", b'"', b"\xff\xfe", b",", b"\n", b"sep=;\n", b"<", b"\xef\xbb\xbf"])
            )
        elif how == "cut":
            del raw[at:]
        else:
            del raw[at : at + 1]
    return bytes(raw)
