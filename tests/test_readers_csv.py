"""CSV files as people have them: read right, or refused with every fault and its place."""

# A case a line reads as a table; wrapped it does not.

import csv as stdlib_csv
import time
from pathlib import Path

import pandas as pd
import pytest

from progression.faults import CohortError, SettingError
from progression.readers.csv import read_csv

GOOD = "subject,time,crp\n007,0,<0.5\n007,4,1.2\n7,0,2\n7,4,\n"


def write(folder: Path, content: str | bytes, name: str = "visits.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


ACCEPTED = {
    "comma": GOOD,
    "semicolon": GOOD.replace(",", ";"),
    "tab": GOOD.replace(",", "\t"),
    "bar": GOOD.replace(",", "|"),
    "excel's sep line": "sep=;\r\n" + GOOD.replace(",", ";").replace("\n", "\r\n"),
    "BOM": b"\xef\xbb\xbf" + GOOD.encode(),
    "windows line ends": GOOD.replace("\n", "\r\n"),
    "old mac line ends": GOOD.replace("\n", "\r"),
    "quoted": 'subject,time,crp\n"007","0","<0.5"\n"007","4","1.2"\n"7","0","2"\n"7","4",""\n',
    "blank lines": GOOD.replace("\n7,0", "\n\n,,\n7,0") + "\n\n,,\n",
    "trailing delimiters": GOOD.replace("\n", ",\n"),
    "row numbers of R": '"",subject,time,crp\n1,007,0,<0.5\n2,007,4,1.2\n3,7,0,2\n4,7,4,NA\n',
    "no last line end": GOOD.rstrip("\n"),
    "delimiter in quotes": 'subject,time,crp,comment\n007,0,<0.5,"a;b, c"\n007,4,1.2,\n7,0,2,"said ""no"""\n7,4,,\n',
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(tmp_path: Path, content: str | bytes) -> None:
    cohort = read_csv(write(tmp_path, content), time_unit="weeks", outcomes=["crp"])
    assert cohort.subjects.index.tolist() == ["007", "7"]
    assert cohort.visits["crp"].tolist() == [0.5, 1.2, 2]
    assert cohort.visits["crp_censored"].tolist() == [True, False, False]


def test_declared_decimal_comma(tmp_path: Path) -> None:
    path = write(tmp_path, "subject;time;crp\nA;0;0,8\nA;4;<0,5\n")
    assert read_csv(path, time_unit="weeks", decimal=",").visits["crp"].tolist() == [0.8, 0.5]


def test_declared_encodings(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-le", "cp1252"):
        path = write(tmp_path, "subject,time,crp\nMüller,0,1\n".encode(encoding))
        assert read_csv(path, time_unit="weeks", encoding=encoding).subjects.index.tolist() == ["Müller"]


def test_subjects_and_events_from_files(tmp_path: Path) -> None:
    subjects = write(tmp_path, "subject;arm;age\n7;placebo;61\n007;drug;50\n", "subjects.csv")
    events = write(tmp_path, "subject,time,kind\n7,2,stopped\n", "events.csv")
    cohort = read_csv(write(tmp_path, GOOD), subjects, time_unit="weeks", events=events, covariates=["age"])
    assert cohort.arms == ("placebo", "drug")
    assert cohort.subjects["age"].tolist() == [50, 61]
    assert cohort.events["subject"].tolist() == ["7"]
    again = read_csv(
        str(write(tmp_path, GOOD)),
        pd.DataFrame({"subject": ["7", "007"], "arm": ["placebo", "drug"]}),
        time_unit="weeks",
    )
    assert again.n_subjects == 2


REFUSED = [
    ("empty", b"", "empty", "exported", {"table": "file"}),
    ("blank", b"\xef\xbb\xbf \n\n", "empty", "exported", {"table": "file"}),
    ("header only", b"subject,time,crp\n", "no rows", "exported", {"table": "visits"}),
    ("missing column", b"subject,time,crp\nA,0,1\n", "missing", "columns=", {"column": "joints"}),
    ("duplicate names", b"subject,time,crp,crp\nA,0,1,2\n", "2 columns", "ename", {"column": "crp"}),
    ("case", b"Subject,time,crp\nA,0,1\n", "only by case", "columns=", {"column": "Subject"}),
    ("UTF-16 with BOM", GOOD.encode("utf-16"), "UTF-16", "encoding='utf-16'", {"table": "file"}),
    ("UTF-16 without BOM", GOOD.encode("utf-16-le"), "UTF-16", "encoding='utf-16-le'", {"table": "file"}),
    ("UTF-16 big-endian", GOOD.encode("utf-16-be"), "UTF-16", "encoding='utf-16-be'", {"table": "file"}),
    ("latin 1", "subject,time,crp\nA,0,1\nMüller,0,1\n".encode("cp1252"), "line 3 is not UTF-8", "cp1252", {"table": "file"}),
    ("excel", b"PK\x03\x04xxxx", "Excel", "CSV", {"table": "file"}),
    ("short line", b"subject,time,crp\nA,0,1\nA,4\n", "2 cells under a header of 3", "Fill up", {"row": 2, "value": "line 3 of the file"}),
    ("long line", b'subject,time,crp\n"A\nB",0,1\nA,4,1,9\n', "4 cells", "quotes", {"row": 2, "value": "line 4 of the file"}),
    ("decimal commas between commas", b"subject,time,crp\nA,0,0,8\n", "4 cells", "decimal commas", {"row": 1}),
    ("open quote", b'subject,time,crp\nA,0,1\n"A,4,1\n', "quotes do not close", "close every quote", {"table": "file"}),
    ("nameless column", b"subject,time,crp,\nA,0,1,x\n", "no name", "Name it", {"table": "file", "value": "x"}),
    ("totals", b"subject,time,crp\nA,0,1\nA,4,2\nTotal,,3\n", "totals", "Delete", {"column": "subject", "row": 3, "value": "Total"}),
    ("mean", b"subject,time,crp\nA,0,1\nA,4,2\nMean,,1.5\n", "totals", "Delete", {"column": "subject", "row": 3}),
    ("blank id at the end", b"subject,time,crp\nA,0,1\nA,4,2\n,,3\n", "totals?", "Delete", {"column": "subject", "row": 3}),
    ("decimal comma", b"subject;time;crp\nA;0;0,8\n", "decimal comma", "decimal=','", {"column": "crp", "row": 1, "value": "0,8"}),
    ("two values", b"subject,time,crp\nA,0,80/15\n", "two values", "own column", {"value": "80/15"}),
    ("star", b"subject,time,crp\nA,0,*\n", "mark", "missing=", {"value": "*"}),
    ("wide", b"subject,frs_w0,frs_w4\nA,40,38\n", "wide", "wide_to_long", {"column": "time"}),
    ("float ids", b"subject,time,crp\n101.0,0,1\n101.0,4,1\n", "'.0'", "text", {"column": "subject"}),
    ("after a blank line", b"subject,time,crp\nA,0,1\n\nA,4,x\n", "mark or a word", "missing=", {"row": 3, "value": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "what", "remedy", "where"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused(tmp_path: Path, name: str, content: bytes, what: str, remedy: str, where: dict) -> None:
    path = write(tmp_path, content)
    outcomes = (
        ["joints"]
        if name == "missing column"
        else (["crp"] if b"crp" in content and name != "duplicate names" else None)
    )
    began = time.perf_counter()
    with pytest.raises(CohortError) as caught:
        read_csv(path, time_unit="weeks", outcomes=outcomes)
    assert time.perf_counter() - began < 1
    assert any(
        what in fault.what
        and remedy in fault.remedy
        and all(getattr(fault, key) == value for key, value in where.items())
        for fault in caught.value.faults
    ), caught.value
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_semicolons_forced_as_commas(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace(",", ";"))
    with pytest.raises(CohortError, match=r"semicolons.*delimiter=';'"):
        read_csv(path, time_unit="weeks", delimiter=",")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such file"):
        read_csv(tmp_path / "nothing.csv", time_unit="weeks")
    with pytest.raises(CohortError, match="cannot be read"):
        read_csv(tmp_path, time_unit="weeks")


def test_id_merged_by_a_spreadsheet(tmp_path: Path) -> None:
    visits = write(tmp_path, "subject,time,crp\n007,0,1\n")
    subjects = write(tmp_path, "subject,arm\n7,placebo\n", "subjects.csv")
    with pytest.raises(CohortError, match="'7': the same id") as caught:
        read_csv(visits, subjects, time_unit="weeks")
    assert caught.value.faults[0].subject == "007"


def test_every_fault_of_every_file_at_once(tmp_path: Path) -> None:
    visits = write(tmp_path, "subject,time,crp\nA,0,1\nA,4\n B,0,0,8\nB,x,*\n")
    subjects = write(tmp_path, "subject,arm\nA,1\nB,2\n", "subjects.csv")
    with pytest.raises(CohortError) as caught:
        read_csv(visits, subjects, time_unit="weeks", outcomes=["crp"])
    found = {(fault.table, fault.column, fault.row) for fault in caught.value.faults}
    assert found == {
        ("file", None, 2),
        ("file", None, 3),
        ("visits", "time", 4),
        ("visits", "crp", 4),
        ("subjects", "arm", None),
    }


def test_both_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError) as caught:
        read_csv(write(tmp_path, b""), tmp_path / "nothing.csv", time_unit="weeks")
    assert [fault.value for fault in caught.value.faults] == ["visits.csv", "nothing.csv"]


def test_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="one character"):
        read_csv(write(tmp_path, GOOD), time_unit="weeks", delimiter=", ")
    with pytest.raises(SettingError, match="'weeks'"):
        read_csv(write(tmp_path, GOOD), time_unit="week")


def test_long_file_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w", newline="") as file:
        writer = stdlib_csv.writer(file)
        writer.writerow(["subject", "time", "crp"])
        writer.writerows([f"S{i // 7}", i % 7, 1.5] for i in range(70_000))
    began = time.perf_counter()
    assert read_csv(path, time_unit="weeks").n_subjects == 10_000
    assert time.perf_counter() - began < 4
