"""docs/evidence.md says what the records say."""

from __future__ import annotations

import re

from tests.evidence import page


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
