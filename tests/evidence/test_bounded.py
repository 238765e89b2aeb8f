"""The published recovery of an effect with a quarter of the scores at the floor: it holds, it is of this code, a part again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.evidence import bounded

AGAIN = "run `python -m tests.evidence.bounded` and commit tests/evidence/bounded.json"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bounded.RESULT.read_text(encoding="utf-8"))
    return found


def test_published_recovery_meets_the_criterion(published: dict[str, Any]) -> None:
    one = published["als_bounded"]
    assert published["trials"] >= 100 and len(one["ranks"]) == published["trials"]
    assert 0.2 < published["share_at_floor"] < 0.3 and published["effect"] == pytest.approx(bounded.truth())
    assert bounded.met(one) and one["with_problems"] == 0
    for share in bounded.SHARES:  # the coverage is that of the ranks
        hits = np.mean(np.abs(np.array(one["ranks"]) - 0.5) < share / 2)
        assert one["coverage"][f"{share:g}"] == pytest.approx(hits, abs=1.5 / published["trials"])
    assert one["bias"] == pytest.approx(np.mean(one["means"]) - published["effect"], abs=1e-3)


def test_published_gaussian_model_fails_its_check_and_the_bounded_one_passes(published: dict[str, Any]) -> None:
    gaussian, own = published["checks"]["als_slope"], published["checks"]["als_bounded"]
    assert gaussian["floor"] == gaussian["trials"] >= 10
    assert own["failed"] <= 0.3 * own["trials"]  # at most one in twenty or so fails by chance


def test_published_recovery_is_of_this_code(published: dict[str, Any]) -> None:
    assert published["sources"] == bounded.hashes(), f"the model changed since {published['made']}; {AGAIN}"


@pytest.mark.slow
def test_part_again(published: dict[str, Any]) -> None:
    """The first trials, each within a tenth of its posterior SD: other machines draw otherwise."""
    few = [bounded.cohort(index) for index in range(2)]
    found = bounded.recovery("als_bounded", few, 1, month=bounded.WINDOW)
    np.testing.assert_allclose(found["means"], published["als_bounded"]["means"][:2], atol=0.1 * found["posterior_sd"])


def test_a_shifted_or_narrow_posterior_is_found_out() -> None:
    rng = np.random.default_rng(1)
    centre = rng.normal(size=(150, 1))
    draws = centre + rng.normal(size=(150, 400))

    def verdict(made: np.ndarray) -> bool:
        return bounded.met(bounded.judge(made, 0.0) | {"ranks": [0.0] * len(made)})

    assert verdict(draws)
    assert not verdict(draws + 0.4) and not verdict(centre + 0.6 * (draws - centre))
