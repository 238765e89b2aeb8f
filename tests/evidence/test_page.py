"""docs/evidence.md says what the records say."""

from __future__ import annotations

import re

from tests.evidence import effort, page


def test_the_page_is_what_the_records_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text == page.written(), "run `python -m tests.evidence.page` and commit docs/evidence.md"
    for picture in re.findall(r"\]\((evidence/\S+\.png)\)", text):
        assert (page.PAGE.parent / picture).exists(), picture


def test_what_does_not_cover_is_marked(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    rows = [("als_slope", "sparse, marginal", 1000, "drr", {"0.5": 500, "0.9": 900, "0.95": 900})]
    monkeypatch.setattr(page, "_covered", lambda: iter(rows))
    *_, table = page.coverage()
    assert "**no**" in table and "90.0" in table
    assert len(page.coverage_figure().axes) == 1


def test_hours_are_those_of_the_records() -> None:
    record = {
        "groups": {"a": {"diagnostics": {"seconds": 1800, "median_seconds": 9}}, "b": {"diagnostics": {"seconds": 900}}}
    }
    assert effort.spent("calibration", record) == 0.75
    assert effort.spent("sharing", {"core_hours": 0.5}) == 0.5 and effort.spent("sharing", {"seconds": 60}) is None
    assert effort.spent("references", {"references": [{"core_hours": 0.1}, {}]}) is None
    assert (
        effort.core_hours([{"took": 1800.0}, {"took": 900.0}]) == 0.75
        and effort.core_hours([{"took": 9.0}, {}]) is None
    )
    assert any("core hours" in part for part in page.effort())
