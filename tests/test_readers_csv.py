"""CSV files as people have them are read right; every fault of every file is named (the bad ones: test_bad_input.py)."""

# A case a line reads as a table; wrapped it does not.

from pathlib import Path

import pandas as pd
import pytest

from progression.faults import CohortError
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
