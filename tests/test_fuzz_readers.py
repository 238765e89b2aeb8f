"""The fuzzing of the readers, a few seconds of it with fixed seeds; and that it would notice. The long run: python -m tests.fuzz.readers."""

import json
from pathlib import Path

import pandas as pd
import pytest

import progression as pg
from tests.fuzz import oracle, readers
from tests.fuzz.inputs import PEOPLE, VISITS, Input


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "size"), [("csv", 60), ("proact", 12)])
def test_a_reader_makes_what_the_file_says_or_refuses_it(reader: str, size: int) -> None:
    counts = readers.Counts()
    failure = readers.batch(reader, counts, 1, size)
    assert failure is None, f"{failure}: {counts.last}"
    assert counts.accepted and counts.refused


def plain(rows: list[list[str]]) -> bytes:
    return "\n".join(",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows).encode()


VALID = Input(
    "csv",
    {"visits.csv": plain(VISITS), "subjects.csv": plain(PEOPLE)},
    {"outcomes": "found", "decimal": ".", "covariates": ["age"]},
)


def changed(table: str, column: str, value: object) -> object:
    def read(self: Input, folder: Path) -> pg.Cohort:
        cohort = VALID_READ(self, folder)
        frame = getattr(cohort, table)
        frame.loc[frame.index[0], column] = value
        object.__setattr__(cohort, f"_{table}", frame)
        return cohort

    return read


VALID_READ = Input.read


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("visits", "crp", 1.3), ("visits", "month", 0.5), ("visits", "subject", "7"), ("visits", "crp_censored", True), ("subjects", "age", 60.0), ("subjects", "arm", "drug")],
)  # fmt: skip
def test_a_cohort_unlike_its_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, column: str, value: object) -> None:  # fmt: skip
    readers.Counts().take(VALID, tmp_path)
    monkeypatch.setattr(Input, "read", changed(table, column, value))
    with pytest.raises(readers.Failed, match="Unlike"):
        readers.Counts().take(VALID, tmp_path)


def test_other_errors_are_noticed_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def broken(self: Input, folder: Path) -> pg.Cohort:
        raise pd.errors.ParserError("a traceback of pandas")

    counts = readers.Counts()
    with monkeypatch.context() as patched:
        patched.setattr(Input, "read", broken)
        failure = readers.batch("csv", counts, 1, 5)
        assert isinstance(failure, readers.Failed)
        path = readers.kept(VALID, failure, tmp_path)
    assert readers.main(["--again", str(path)]) == 0
    assert "007,0,start" in capsys.readouterr().out.translate({ord('"'): None, ord("\n"): None})


def test_the_parser_of_the_fuzzer_reads_by_hand() -> None:
    names, rows = oracle.table(b'\xef\xbb\xbfsubject;time;"a;b"\r\nA;0;"x ""y"""\n\n;;\nB;1;\n', ["subject", "time"])
    assert names == ["subject", "time", "a;b"] and rows == [["A", "0", 'x "y"'], ["B", "1", ""]]
    assert oracle.number("<0,5", ",") == (0.5, True) and oracle.number(" \u22122e1 ") == (-20.0, False)
    with pytest.raises(oracle.Unlike):
        oracle.number("1_0")


@pytest.mark.parametrize("reader", ["csv", "proact"])
def test_the_published_record_is_of_this_code_and_has_no_failure(reader: str) -> None:
    one = json.loads(readers.RESULT.read_text())[reader]
    assert one["failures"] == 0 and one["seconds"] >= 600 and one["inputs"] == one["accepted"] + one["refused"]
    assert min(one["accepted"], one["refused"]) >= 30 and one["code"] == readers.code(reader), (
        f"run python -m tests.fuzz.readers {reader} --seconds 600"
    )
