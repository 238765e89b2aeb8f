"""What the command line refuses before any time is spent, and what it takes: no model is fitted here."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import progression as pg
from progression.cli import app

ROWS = (
    "subject,week,arm,alsfrsr\nP1,0,control,42\nP1,4,control,n.d.\nP1,8,control,40\nP2,0,treated,41\nP2,4,treated,41\n"
)
TOLD = ["--time-unit", "weeks", "--column", "time=week"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text(ROWS)
    return path


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, " ".join((done.output + str(done.exception or "")).replace("│", " ").split())


def test_a_table_is_not_written_over_by_the_fit_of_it(table: Path) -> None:
    code, said = run("fit", "als_slope", table, *TOLD, "--out", table)
    assert code and "is no fit: nothing was written" in said and table.read_text() == ROWS


def test_nor_by_its_ranks(table: Path) -> None:
    for option in ("--out", "--figure"):
        code, said = run("cafs", table, *TOLD, "--missing", "n.d.", option, table)
        assert code and "is one of the tables that were read" in said and table.read_text() == ROWS


def test_a_report_of_trials_is_refused_before_they_are_simulated(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulated(*told: object, **how: object) -> None:
        raise AssertionError("trials were simulated")

    monkeypatch.setattr(pg, "power", simulated, raising=False)
    example = Path(pg.__file__).parents[1] / "docs" / "examples" / "als_trial.toml"
    code, said = run("power", example, "--trials", 32, "--report", table)
    assert code and "is no report: nothing was written" in said and table.read_text() == ROWS


@pytest.mark.parametrize("month", [0, -3])
def test_a_month_that_cannot_be_meant(month: int, table: Path) -> None:
    assert "give a month after 0" in run("fit", "als_slope", table, *TOLD, f"--month={month}")[1]
    assert "give a month after 0" in run("fit", "sle_crp", table, *TOLD, "--month=6")[1], "its estimands have visits"


def test_words_for_what_is_missing(table: Path) -> None:
    assert "n.d." in run("cafs", table, *TOLD)[1]
    code, said = run("cafs", table, *TOLD, "--missing", "n.d.")
    assert code == 0 and "treated" in said


def test_an_encoding(table: Path) -> None:
    table.write_bytes(ROWS.encode("utf-16"))
    assert run("cafs", table, *TOLD, "--missing", "n.d.")[0]
    assert run("cafs", table, *TOLD, "--missing", "n.d.", "--encoding", "utf-16")[0] == 0


@pytest.mark.parametrize(
    "prior", ["sd_slope=HalfNormal(sigma=1)", "sd_slope", "sd_slope=HalfNormal", "sd_slope=HalfNormal:1"]
)
def test_a_prior_that_is_written_otherwise(prior: str, table: Path) -> None:
    code, said = run("fit", "als_slope", table, *TOLD, "--missing", "n.d.", "--prior", prior)
    assert code and "name=Family:key=value" in said and "[''" not in said
