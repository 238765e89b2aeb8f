"""The published recovery of sle_activity meets what is claimed of it, and is of this code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scipy import stats

from tests.evidence import activity, laplace, sharing, sources

AGAIN = "run `python -m tests.evidence.activity` again"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads(activity.RESULT.read_text())


def test_it_is_of_this_page_and_complete(published: dict[str, Any]) -> None:
    assert published["page"] == sources.code_hash(sources.page("sle_activity")), f"the model changed; {AGAIN}"
    assert published["model"]["trials"] == activity.TRIALS and published["the limit"]["trials"] == activity.SUBSTITUTED
    assert published["flares"]["trials"] == activity.FLARING
    assert 0.35 < published["censored"] < 0.45


def test_intervals_cover_as_often_as_they_say(published: dict[str, Any]) -> None:
    for name in ("activity_effect", "later_effect", "crp_ratio", *activity.COUNTS):
        own = published["model"][name]
        for level in activity.LEVELS:
            low, high = stats.binom.ppf([0.005, 0.995], activity.TRIALS, level) / activity.TRIALS
            assert low <= own["coverage"][f"{level:g}"] <= high, (name, level)
        assert abs(own["mean_error"]) < 3 * own["standard_error"], name


def test_what_is_put_in_place_of_censored_values_pulls_the_ratio_towards_one(published: dict[str, Any]) -> None:
    slope, error = published["model"]["crp_ratio"]["slope_of_truth"]
    assert abs(slope - 1) < 3 * error
    for way in ("the limit", "half the limit"):
        slope, error = published[way]["crp_ratio"]["slope_of_model"]
        assert slope - 1 > 4 * error, way


def test_the_hazard_in_the_model_mends_what_flares_do_to_the_visits_that_are_left(published: dict[str, Any]) -> None:
    """Patients who leave are those whose activity rose: the course of the others is too low, unless the hazard is in the model."""
    shared, at_random = (published["flares"][how] for how in ("shared", "at random"))
    for name, own in shared.items():
        assert abs(own["mean_error"]) < 3 * own["standard_error"], name
        for level in activity.LEVELS:
            low, high = stats.binom.ppf([0.005, 0.995], activity.FLARING, level) / activity.FLARING
            assert low <= own["coverage"][f"{level:g}"] <= high, (name, level)
    course = at_random["time_course"]
    assert course["mean_error"] < -4 * course["standard_error"] and course["coverage"]["0.5"] < 0.4


def test_one_activity_narrows_what_each_sign_says_and_costs_where_it_is_wrong() -> None:
    published = json.loads(sharing.RESULT.read_text())
    assert published["code"] == sharing.code(), "run `python -m tests.evidence.sharing` again"
    found = published["patients"]
    assert {int(n): found[n]["trials"] for n in found if n.isdigit()} == sharing.TRIALS
    for n in ("40", "400"):
        for sign in sharing.SIGNS:
            own = found[n][sign]
            assert own["sd_ratio"] > 1 + 2 * own["sd_ratio_error"], (n, sign)
    for n, least in ((n, stats.binom.ppf(0.001, found[n]["trials"], 0.95)) for n in found if n.isdigit()):
        assert all(found[n][sign][way]["covered_95"] >= least for sign in sharing.SIGNS for way in ("as one", "alone"))
    wrong = found["40, CRP lowered by itself"]
    assert wrong["crp"]["as one"]["rmse"] > 1.5 * wrong["crp"]["alone"]["rmse"]


def test_laplace_has_been_measured_on_this_page() -> None:
    published = json.loads(laplace.RESULT.read_text())
    again = "run `python -m tests.evidence.laplace` again"
    assert published["page"] == sources.code_hash(sources.page("sle_activity")), again
    for one in published["studies"]:
        assert one["largest_importance_error"] < 0.05 and one["effective_draws"] > one["draws"] / 4
