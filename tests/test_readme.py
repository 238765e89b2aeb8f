"""What the README shows on responders, historical controls and trial design runs as it stands: nothing of the user's own is needed."""

import re
from pathlib import Path

import pytest

import progression as pg

README = Path(__file__).parents[1] / "README.md"


def lines_of(heading):
    section = README.read_text().partition(f"## {heading}")[2].partition("\n## ")[0]
    (lines,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    return lines


@pytest.mark.slow
def test_the_lines_on_historical_controls_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"pg": pg}
    exec(lines_of("Historical controls"), names)
    assert "historical control" in names["both"].arms
    assert "Normal(0, 0.2)" in (tmp_path / "historical.html").read_text()
    assert not names["fit"].problems and not names["half"].problems


@pytest.mark.slow
def test_the_lines_on_trial_design_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"pg": pg}
    exec(lines_of("Designing a trial"), names)
    table = names["oc"].table
    assert (
        list(table["what"]) == ["type I error", "power"] and table["success"].iloc[0] < 0.1 < table["success"].iloc[1]
    )
    assert names["size"].n > 120
    assert "SIMULATED" in (tmp_path / "power.html").read_text()


@pytest.mark.slow
def test_the_lines_on_responders_run():
    names = {"pg": pg}
    lines = lines_of("Who responds").replace("pg.responders(", "found = pg.responders(")
    exec(lines, names)
    assert names["found"].patients.loc["4", "event"] == "flare"
    assert all("diverged" in one for one in names["lupus"].problems)  # a draw or two, on some processors
