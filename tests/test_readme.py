"""What the README shows on historical controls runs as it stands: nothing of the user's own is needed."""

import re
from pathlib import Path

import pytest

import progression as pg

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_lines_on_historical_controls_run(tmp_path, monkeypatch):
    section = README.read_text().partition("## Historical controls")[2].partition("\n## ")[0]
    (lines,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {"pg": pg}
    exec(lines, names)
    assert "historical control" in names["both"].arms
    assert "Normal(0, 0.2)" in (tmp_path / "historical.html").read_text()
    assert not names["fit"].problems and not names["half"].problems
