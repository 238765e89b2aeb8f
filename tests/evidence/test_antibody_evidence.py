"""The published recovery of als_antibody meets what is claimed of it, and is of this code."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.evidence import antibody, sources

AGAIN = "run `python -m tests.evidence.antibody` again"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    if not antibody.RESULT.exists():
        pytest.skip("tests/evidence/antibody.json does not exist yet: run python -m tests.evidence.antibody")
    return json.loads(antibody.RESULT.read_text())


def test_it_is_of_this_page_and_complete(published: dict[str, Any]) -> None:
    assert published["page"] == sources.code_hash(sources.page("als_antibody")), f"the model changed; {AGAIN}"
    for kind, n in antibody.SETS.items():
        assert published[kind]["trials"] == n
        for way in set(published[kind]) - {"trials"}:
            assert published[kind][way]["problems"] == 0


def test_intervals_cover_as_often_as_they_say(published: dict[str, Any]) -> None:
    for name in antibody.ASKED:
        one, n = published["coverage"]["model"][name], published["coverage"]["trials"]
        for level in antibody.LEVELS:
            low, high = stats.binom.ppf([0.005, 0.995], n, level) / n
            assert low <= one["coverage"][f"{level:g}"] <= high, (name, level)
        assert abs(one["mean_error"]) < 3 * one["standard_error"], name


def test_the_visit_date_is_biased_where_the_model_is_not(published: dict[str, Any]) -> None:
    found = published["visit date"]
    for name in ("slope_difference_before", "loss_of_effect"):
        own, naive = found["model"][name], found["visit date"][name]
        assert abs(own["mean_error"]) < 3 * own["standard_error"], name
        assert abs(naive["mean_error"]) > 4 * naive["standard_error"], name
        assert np.sign(naive["mean_error"]) == (-1 if name == "slope_difference_before" else 1), name


def test_simulated_trials_are_what_they_say() -> None:
    """The simulator against the equations: means at a visit, shares by a month, intervals around the onset."""
    visits = antibody.table("visit date", 0)
    own = visits[visits["arm"] == "treated"].groupby("subject").first()
    assert (own["onset_lower"] < own["onset"]).all() and (own["onset"] <= own["onset_upper"]).all()
    assert (
        set(own["onset_lower"]) <= {0, 3, 6, 9, 12}
        and visits.loc[visits["arm"] == "control", "onset_upper"].isna().all()
    )
    naive = antibody.at_visit_date(visits)
    seen = np.isfinite(naive["onset_upper"])
    assert (naive["onset_lower"] == naive["onset_upper"])[seen].all()
    assert (naive["onset_lower"] == visits["onset_lower"])[np.isinf(naive["onset_upper"])].all()
    every = [antibody.table("visit date", k).groupby("subject").first() for k in range(20)]
    onset = np.concatenate([one.loc[one["arm"] == "treated", "onset"].to_numpy() for one in every])
    for month in (1.0, 3.0, 12.0):
        share = 0.8 * (1 - 2 ** -((month / 3) ** 1.4))
        assert abs(np.mean(onset <= month) - share) < 4 * np.sqrt(share * (1 - share) / len(onset))
