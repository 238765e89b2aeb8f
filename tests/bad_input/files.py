"""Files that are no table, or whose cells spreadsheets and people have spoilt."""

# A case a line reads as a table; wrapped it does not.

from pathlib import Path
from tempfile import TemporaryDirectory

import progression as pg
from tests import proact_folder
from tests.bad_input.cases import bad, bad_file, read_file

HEAD = "subject,time,crp\n"
GOOD = f"{HEAD}007,0,<0.5\n007,4,1.2\n8,0,2\n"
ONE = {"outcomes": ["crp"]}


def cell(text: str, mark: str = ",") -> str:
    """A file whose first value of CRP is this text."""
    return f"subject{mark}time{mark}crp\nA{mark}0{mark}{text}\nA{mark}4{mark}2\n"


FILES = [
    bad_file("empty file", b"", "empty", "exported", table="file", value="visits.csv"),
    bad_file("blank file", b"\xef\xbb\xbf \n\n", "empty", "exported", table="file"),
    bad_file("file with a header only", HEAD, "no rows", "exported", table="visits", value="visits.csv"),
    bad_file("file without the outcome", GOOD, "missing", "columns=", how={"outcomes": ["joints"]}, column="joints"),
    bad_file("file with a name twice", "subject,time,crp,crp\nA,0,1,2\n", "2 columns", "ename", column="crp"),
    bad_file("file whose name differs by case", "Subject,time,crp\nA,0,1\n", "only by case", "columns=", how=ONE, column="Subject"),
    bad_file("file whose name has a no-break space", "subject,time\u00a0,crp\nA,0,1\n", "invisible mark", "columns=", how=ONE, column="time\u00a0"),
    bad_file("UTF-16", GOOD.encode("utf-16"), "UTF-16", "encoding='utf-16'", table="file"),
    bad_file("UTF-16 without BOM", GOOD.encode("utf-16-le"), "UTF-16", "encoding='utf-16-le'", table="file"),
    bad_file("UTF-16 big-endian", GOOD.encode("utf-16-be"), "UTF-16", "encoding='utf-16-be'", table="file"),
    bad_file("UTF-16 read as cp1252", GOOD.encode("utf-16"), "NUL bytes", "utf-16", how={"encoding": "cp1252"}, table="file"),
    bad_file("NUL far down", HEAD.encode() + b"A,0,1\n" * 900 + b"A,4,\x00\n", "NUL bytes", "encoding='utf-16'", table="file"),
    bad_file("latin 1", f"{HEAD}A,0,1\nMüller,0,1\n".encode("cp1252"), "line 3 is not UTF-8", "cp1252", table="file", value="visits.csv"),
    bad_file("two encodings in one file", f"{HEAD}Jörg,0,1\n".encode() + b"J\xf6rg,4,1\n", "line 3 is not UTF-8", "cp1252", table="file"),
    bad_file("Excel workbook", b"PK\x03\x04xxxx", "Excel", "CSV", table="file"),
    bad_file("old Excel workbook", b"\xd0\xcf\x11\xe0xxxx", "Excel", "CSV", table="file"),
    bad_file("gzip", b"\x1f\x8bxxxx", "gzip", "Unpack", table="file"),
    bad_file("PDF", b"%PDF-1.4", "a PDF", "CSV", table="file"),
    bad_file("web page", b"<!DOCTYPE html><html></html>", "web page", "CSV", table="file"),
    bad_file("short line", f"{HEAD}A,0,1\nA,4\n", "2 cells under a header of 3", "Fill up", table="file", row=2, value="line 3 of the file"),
    bad_file("long line", f'{HEAD}"A\nB",0,1\nA,4,1,9\n', "4 cells", "quotes", table="file", row=2, value="line 4 of the file"),
    bad_file("decimal commas between commas", f"{HEAD}A,0,0,8\n", "4 cells", "decimal commas", row=1),
    bad_file("open quote", f'{HEAD}A,0,1\n"A,4,1\n', "quotes do not close", "close every quote", table="file"),
    bad_file("quote inside a quoted cell", f'{HEAD}A,0,1\n"A"x,4,1\n', "stand inside a cell", "Double a quote", table="file"),
    bad_file("cell longer than any", f'{HEAD}A,0,"{"x" * 140_000}"\n', "longer than any", "close every quote", table="file"),
    bad_file("nameless column", "subject,time,crp,\nA,0,1,x\n", "no name", "Name it", table="file", value="x"),
    bad_file("title above the names", f"Trial 12,,\n{HEAD}A,0,1\n", "line 1 is a title", "Delete the lines above", table="file"),
    bad_file("comment above the names", f"# exported in June\n{HEAD}A,0,1\n", "line 1 is a title", "Delete the lines above", table="file"),
    bad_file("merged header rows", ",,CRP,CRP\nsubject,time,week 0,week 4\nA,0,1,2\n", "no name", "Name it", count=None, table="file", value="subject"),
    bad_file("units below the names", f"{HEAD},weeks,mg/dl\nA,0,1\n", "mark or a word", "missing=", count=3, column="crp", row=1, value="mg/dl"),
    bad_file("names again further down", f"{HEAD}A,0,1\n{HEAD}A,4,2\n", "mark or a word", "missing=", count=2, column="time", row=2, value="time", subject="subject"),
    bad_file("row of totals", f"{HEAD}A,0,1\nA,4,2\nTotal,,3\n", "totals", "Delete", count=2, column="subject", row=3, value="Total"),
    bad_file("row of means", f"{HEAD}A,0,1\nA,4,2\nMean:,8,1.5\n", "totals", "Delete", column="subject", row=3, value="Mean:"),
    bad_file("nameless row of totals", f"{HEAD}A,0,1\nA,4,2\n,8,3\n", "totals?", "Delete", column="subject", row=3),
    bad_file("wide file", "subject,frs_w0,frs_w4\nA,40,38\n", "wide", "wide_to_long", count=None, column="time"),
    bad_file("file with float ids", f"{HEAD}101.0,0,1\n101.0,4,1\n", "'.0'", "text", column="subject", value="101.0"),
    bad_file("some ids through decimals", f"{HEAD}101,0,1\n101.0,4,1\n", "'101' but for a '.0'", "as text", column="subject", row=2, value="101.0"),
    bad_file("ids rounded by a spreadsheet", f"{HEAD}1.23457E+11,0,1\n", "rounded by a spreadsheet", "as text", column="subject", row=1, value="1.23457E+11"),
    bad_file("invisible mark in an id", f"{HEAD}A\u200b1,0,1\n", "invisible mark", "second subject", column="subject", row=1),
    bad_file("vertical tab behind an id", f"{HEAD}A\x0b,0,1\n", "space or an invisible", "second subject", column="subject", row=1),
    bad_file("two kinds of space in ids", f"{HEAD}A 1,0,1\nA  1,4,1\n", "kinds of space", "alike", column="subject", row=2, value="A  1"),
    bad_file("fault after a blank line", f"{HEAD}A,0,1\n\nA,4,x\n", "mark or a word", "missing=", how=ONE, row=3, value="x", subject="A"),
    bad_file("same visit written twice", f"{HEAD}A,0,1\nA,0.0,2\n", "different values", "Find out", column="time", row=2, value="0.0"),
    bad_file("zero and minus zero", f"{HEAD}A,0,1\nA,-0,1\n", "equal values", "Delete", column="time", row=2, value="-0"),
    bad_file("dates for times", f"{HEAD}A,2020-01-05,1\n", "a date", "time since the subject's start", column="time", row=1, value="2020-01-05"),
    bad_file("German dates", f"{HEAD}A,05.01.2020,1\n", "a date", "time since", column="time", row=1, value="05.01.2020"),
    bad_file("American dates", f"{HEAD}A,1/5/2020,1\n", "a date", "time since", column="time", row=1, value="1/5/2020"),
    bad_file("dates as numbers of days", f"{HEAD}A,0,1\nA,43865,2\n", "40 years", "time_unit", column="time", row=2, value="43865"),
    bad_file("infinite time before the start", f"{HEAD}A,-inf,1\nA,0,1\n", "infinite", "Correct", column="time", row=1, value="-inf"),
]  # fmt: skip

CELLS = [
    bad_file("decimal comma", cell("0,8", ";"), "decimal comma", "decimal=','", column="crp", row=1, value="0,8", subject="A"),
    bad_file("decimal commas declared, a point", cell("1.25", ";"), "decimal point", "comma", how={"decimal": ","}, column="crp", row=1, value="1.25"),
    bad_file("decimal comma with a sign of less", cell("<0,5", ";"), "decimal comma", "decimal=','", column="crp", row=1, value="<0,5"),
    bad_file("comma before three digits", cell("1,234", ";"), "two ways", "without marks of thousands", column="crp", row=1, value="1,234"),
    bad_file("thousands and decimals", cell("1,234.5", ";"), "marks of thousands", "without", column="crp", row=1, value="1,234.5"),
    bad_file("German thousands and decimals", cell("1.234,5", ";"), "marks of thousands", "without", how={"decimal": ","}, row=1, value="1.234,5"),
    bad_file("Swiss thousands", cell("1'234"), "marks of thousands", "without", column="crp", row=1, value="1'234"),
    bad_file("no-break space between thousands", cell("1\u00a0234"), "marks of thousands", "without", column="crp", row=1, value="1\u00a0234"),
    bad_file("two values in a cell", cell("80/15"), "two values", "own column", column="crp", row=1, value="80/15"),
    bad_file("star", cell("*"), "mark or a word", "missing=", column="crp", row=1, value="*"),
    bad_file("n.d.", cell("n.d."), "mark or a word", "missing=", column="crp", row=1, value="n.d."),
    bad_file("dash", cell("-"), "mark or a word", "missing=", column="crp", row=1, value="-"),
    bad_file("NULL", cell("NULL"), "mark or a word", "missing=", column="crp", row=1, value="NULL"),
    bad_file("true in words", cell("TRUE"), "mark or a word", "missing=", column="crp", row=1, value="TRUE"),
    bad_file("division by zero", cell("#DIV/0!"), "error of the spreadsheet", "formula", column="crp", row=1, value="#DIV/0!"),
    bad_file("#N/A", cell("#N/A"), "error of the spreadsheet", "formula", column="crp", row=1, value="#N/A"),
    bad_file("#VALUE!", cell("#VALUE!"), "error of the spreadsheet", "formula", column="crp", row=1, value="#VALUE!"),
    bad_file("formula", cell("=1+1"), "not a number", "alone", column="crp", row=1, value="=1+1"),
    bad_file("percent", cell("45%"), "not a number", "alone", column="crp", row=1, value="45%"),
    bad_file("about", cell("~5"), "not a number", "alone", column="crp", row=1, value="~5"),
    bad_file("range", cell("3-4"), "not a number", "alone", column="crp", row=1, value="3-4"),
    bad_file("accountant's minus", cell("(5)"), "not a number", "alone", column="crp", row=1, value="(5)"),
    bad_file("exponent of another language", cell("1d5"), "not a number", "alone", column="crp", row=1, value="1d5"),
    bad_file("hexadecimal", cell("0x10"), "not a number", "alone", column="crp", row=1, value="0x10"),
    bad_file("wide digits", cell("５"), "not a number", "alone", column="crp", row=1, value="５"),
    bad_file("too large", cell("1e400"), "too large", "Correct", column="crp", row=1, value="1e400"),
    bad_file("infinity", cell("∞"), "infinite", "Correct", column="crp", row=1, value="∞"),
    bad_file("at most", cell("≤0.5"), "limit", "'<0.5'", column="crp", row=1, value="≤0.5"),
    bad_file("above a limit, in a file", cell(">200"), "limit", "'<0.5'", column="crp", row=1, value=">200"),
    bad_file("less than nothing", cell("<"), "mark or a word", "missing=", column="crp", row=1, value="<"),
    bad_file("a quote in a cell", cell('1"'), "not a number", "alone", column="crp", row=1, value='1"'),
]  # fmt: skip


# Those of the scale itself, and one each of doubled rows and of life; all the kinds are in test_readers_proact.py.
OF_ALSFRS = (
    "short_scale",
    "over_48",
    "item_out_of_range",
    "both_q5",
    "total_from_items",
    "exact_duplicates",
    "after_death",
)


def planted(kind: str) -> pg.Cohort:
    """The cohort of a folder of PRO-ACT forms with one fault."""
    made = proact_folder.forms(12)
    proact_folder.FAULTS[kind][0](made)
    with TemporaryDirectory() as folder:
        return pg.read_proact(proact_folder.write(Path(folder), made))


def forms(form: str, content: str | bytes) -> pg.Cohort:
    """The cohort of a clean folder in which one form is replaced."""
    with TemporaryDirectory() as folder:
        proact_folder.write(Path(folder), proact_folder.forms(4))
        Path(folder, f"PROACT_{form}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return pg.read_proact(folder, repair="all")


def both(subjects: str) -> pg.Cohort:
    return read_file(f"{HEAD}007,0,1\n007,4,2\n", subjects)


SEVERAL = [
    *(bad(f"PRO-ACT: {kind}", lambda kind=kind: planted(kind), "", f"repair=['{kind}']", count=None, table="file") for kind in OF_ALSFRS),
    bad("PRO-ACT: short line", lambda: forms("TREATMENT", "subject_id,Study_Arm\n100,Active\n101\n"), "TREATMENT: a line with 1 cells under a header of 2", "Fill up", table="file", row=2),
    bad("PRO-ACT: long line", lambda: forms("TREATMENT", "subject_id,Study_Arm\n100,Active,x\n"), "3 cells under a header of 2", "quotes", table="file", row=1),
    bad("PRO-ACT: name twice", lambda: forms("TREATMENT", "subject_id,Study_Arm,Study_Arm \n100,Active,Placebo\n"), "several columns", "rename one", table="file", column="Study_Arm"),
    bad("PRO-ACT: form without ids", lambda: forms("TREATMENT", "subject_id,Study_Arm\n,Active\n"), "none of its subjects stands in ALSFRS", "alike", count=None, column="subject_id"),
    bad("PRO-ACT: no score at all", lambda: forms("ALSFRS", "subject_id,ALSFRS_Delta,ALSFRS_R_Total\n100,0,\n"), "no row has a score", "again", column="ALSFRS_R_Total", table="file"),
    bad("PRO-ACT: form in latin 1", lambda: forms("TREATMENT", b"subject_id,Study_Arm\n\xe9,Active\n"), "line 2 is not UTF-8", "cp1252", table="file", value="PROACT_TREATMENT.csv"),
    bad("id merged by a spreadsheet", lambda: both("subject,arm\n7,placebo\n"), "which has '7': the same id", "as text", column="subject", subject="007", row=1),
    bad("second file empty", lambda: both(""), "empty", "exported", table="file", value="subjects.csv"),
    bad("no such file", lambda: pg.read_csv("nothing.csv", time_unit="weeks"), "no such file", "name and folder", table="file", value="nothing.csv"),
    bad("a folder", lambda: pg.read_csv(".", time_unit="weeks"), "cannot be read", "permissions", table="file"),
    bad("no name of a file", lambda: pg.read_csv("a\0b", time_unit="weeks"), "no name of a file", "name and folder", table="file"),
    bad("no folder of forms", lambda: pg.read_proact("nowhere"), "no such folder", "CSV files", table="file", value="nowhere"),
]  # fmt: skip
