"""The published study of als_shared: it is of this code, its intervals cover, and a part of it is repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.evidence import shared, sources

AGAIN = "run `python -m tests.evidence.shared` and commit tests/evidence/shared.json"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    if not shared.RESULT.exists():
        pytest.skip("tests/evidence/shared.json does not exist yet")
    return json.loads(shared.RESULT.read_text(encoding="utf-8"))


def test_published_study_is_of_this_code(published: dict[str, Any]) -> None:
    assert sources.same(published["sources"], sources.sources("als_shared", "marginal")), AGAIN


def test_published_intervals_cover(published: dict[str, Any]) -> None:
    for name, one in published["results"].items():
        assert one["trials"] >= 1000 and max(one["problems"], one["fell_back"]) <= one["trials"] // 100, name
    assert shared.unlike(published["results"]) == set()


@pytest.mark.slow
def test_part_again(published: dict[str, Any]) -> None:
    """Eight trials: the width of the posterior, which varies little between trials, is the published one."""
    found = shared.measure(8, cores=1, progressbar=False)
    assert found["problems"] == 0
    assert found["mean_sd"] == pytest.approx(published["results"]["default"]["mean_sd"], rel=0.1)
