"""A published mean and SD, or a MAP prior, in place of a control arm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import progression as pg
from progression.faults import SettingError
from progression.summary_arm import SummaryArm

PUBLISHED = SummaryArm(mean=-1.0, sd=0.8, n=64, source="a trial of 1990")


@pytest.fixture(scope="module")
def fit() -> pg.Fit:
    return pg.fit("als_slope", pg.datasets.simulated_als(n=(8, 8), random_seed=4), engine="marginal", random_seed=3)


def test_each_arm_minus_the_published_mean(fit: pg.Fit) -> None:
    found = pg.contrast(fit, "slope", against=PUBLISHED)
    own = pg.contrast(fit, "slope").draws["slope"]
    control = own - found.draws["slope_difference"]
    assert float(abs(control - control.isel(arm=0)).max()) < 1e-12  # one control for all arms
    one = control.isel(arm=0).to_numpy().ravel()
    n = one.size
    assert abs(one.mean() + 1.0) < 4 * 0.1 / np.sqrt(n) and abs(one.std() - 0.1) < 4 * 0.1 / np.sqrt(2 * n)
    assert abs(np.corrcoef(one, own.isel(arm=0).to_numpy().ravel())[0, 1]) < 4 / np.sqrt(n)  # independent of the fit


def test_drift_adds_its_variance() -> None:
    one = SummaryArm(mean=-1, sd=0.8, n=64, drift=0.3).draws(40_000, random_seed=1)
    sd = np.sqrt(0.8**2 / 64 + 0.3**2)
    assert abs(one.std() - sd) < 4 * sd / np.sqrt(80_000) and abs(one.mean() + 1) < 4 * sd / 200


def test_the_words_say_what_is_subtracted_and_what_it_rests_on(fit: pg.Fit) -> None:
    found = pg.contrast(
        fit, against=SummaryArm(mean=-1, sd=0.8, n=64, drift=0.2, label="controls {1990}, all", source="X")
    )
    one = found.estimands["slope_difference"]
    assert (one.scale, one.null, one.benefit, one.unit) == ("difference", 0.0, "higher", "points/month")
    label = found.labels()["slope_difference[treated]"]
    assert label == "slope in treated, minus controls {1990}, all, points/month, positive = benefit"
    said = " ".join(found.assumptions())
    assert "historical" in said and "n = 64" in said and "X" in said and "drift of SD 0.2 is allowed" in said
    assert "no drift is allowed" in " ".join(pg.contrast(fit, against=PUBLISHED).assumptions())
    assert "slope_difference[treated]" in found.summary().index and "rests on: the control is a published" in repr(
        found
    )
    assert pg.plots.forest(found).axes


def test_the_control_does_not_depend_on_the_engine(als: pg.Cohort, fake_fit: Any) -> None:
    fits = [
        pg.fit("als_slope", als, engine="marginal", random_seed=1),
        fake_fit("als_slope", als, random_seed=1),
        fake_fit("als_slope", als, random_seed=2),
    ]
    controls = []
    for one in fits:
        gap = (
            pg.contrast(one, "slope").draws["slope"]
            - pg.contrast(one, "slope", against=PUBLISHED).draws["slope_difference"]
        )
        controls.append(gap.isel(arm=0).to_numpy().ravel()[:400])
    assert fits[0].settings["engine"] != fits[1].settings["engine"]
    np.testing.assert_allclose(controls[0], controls[1], atol=1e-9)
    assert abs(controls[0] - controls[2]).max() > 0.01


def test_a_rule_judges_it(fit: pg.Fit) -> None:
    found = pg.contrast(fit, "slope", against=PUBLISHED)
    rule = pg.Rule("slope_difference", ">", 0, probability=0.5, arm="treated")
    share = float((found.draws["slope_difference"].sel(arm="treated") > 0).mean())
    decision = rule.judge(found)
    assert decision.probability.value == pytest.approx(share) and bool(decision) == (share > 0.5)


def test_a_ratio_of_losses_is_better_when_small(fit: pg.Fit) -> None:
    found = pg.contrast(fit, "slope", against=SummaryArm(mean=-1, sd=0.8, n=64, scale="ratio"))
    one = found.estimands["slope_ratio"]
    assert (one.null, one.benefit, one.unit) == (1.0, "lower", "") and one.label.endswith("below 1 = benefit")
    own = pg.contrast(fit, "slope").draws["slope"]
    control = own / found.draws["slope_ratio"]
    assert abs(float(control.isel(arm=0).mean()) + 1) < 0.02


def test_a_change_at_a_month_in_a_single_arm() -> None:
    alone = pg.fit("als_slope", pg.datasets.simulated_als(n=(8, 8), random_seed=4).select("arm == 'treated'"),
                   engine="marginal", random_seed=3)  # fmt: skip
    found = pg.contrast(alone, "change", against=SummaryArm(mean=-6, sd=5, n=50, estimand="change"), month=6)
    expected = pg.contrast(alone, "change", month=6).draws["change"].mean() + 6
    assert float(found.select().mean()) == pytest.approx(float(expected), abs=0.1)
    assert "month 6" in next(iter(found.labels().values()))


def test_a_map_prior_stands_in_too(fit: pg.Fit) -> None:
    past = pg.map_prior(
        {"study": list("abc"), "n": [80, 120, 60], "mean": [-0.95, -1.05, -1.1], "sd": [0.7, 0.8, 0.7]}, "normal"
    )
    found = pg.contrast(fit, "slope", against=past)
    control = (
        (pg.contrast(fit, "slope").draws["slope"] - found.draws["slope_difference"]).isel(arm=0).to_numpy().ravel()
    )
    new = past.summary().loc["new study"]
    assert abs(np.median(control) - new["median"]) < 6 * new["sd"] / np.sqrt(control.size)
    assert "MAP prior" in " ".join(found.assumptions()) and "3 published" in next(iter(found.labels().values()))


def test_what_the_data_taught_is_of_the_arms(fit: pg.Fit) -> None:
    table = pg.contrast(fit, "slope", against=PUBLISHED).against_prior(random_seed=1)
    np.testing.assert_allclose(table, pg.contrast(fit, "slope").against_prior(random_seed=1))


def test_faults_of_a_summary_come_all_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        SummaryArm(mean=np.nan, sd=0, drift=-1, label="", scale="odds")  # type: ignore[arg-type]
    assert {fault.column for fault in caught.value.faults} == {"mean", "sd", "n", "drift", "label", "scale"}
    assert "without its n" in str(caught.value)


@pytest.mark.parametrize("n", [1, 2.5, True, "many", np.nan])
def test_n_is_a_number_of_patients(n: Any) -> None:
    with pytest.raises(SettingError, match="whole number of at least 2"):
        SummaryArm(mean=-1, sd=1, n=n)


def test_a_mean_near_zero_divides_nothing() -> None:
    with pytest.raises(SettingError, match="within 3 SDs"):
        SummaryArm(mean=-0.2, sd=0.8, n=64, scale="ratio")


RATES = pg.map_prior({"study": ["a"], "n": [20], "events": [5]}, "binomial")


@pytest.mark.parametrize(("names", "against", "words"), [
    ("slope", -1.0, ["no published control"]),
    ("slope", RATES, ["no mean"]),
    ("slop", PUBLISHED, ["did you mean 'slope'"]),
    ("slope_difference", PUBLISHED, ["a contrast already", "and 'slope_difference' is asked for"]),
    ("change", SummaryArm(mean=-1, sd=1, n=9, label="control"), ["is an arm of the cohort", "'change' is asked for"]),
    (["slope", "change"], PUBLISHED, ["not one estimand", "'change' is asked for"]),
    (None, RATES, ["not one estimand", "no mean"]),
])  # fmt: skip
def test_what_cannot_be_set_against_each_other_is_refused(
    fit: pg.Fit, names: Any, against: Any, words: list[str]
) -> None:
    with pytest.raises(SettingError) as caught:
        pg.contrast(fit, names, against=against)
    assert all(word in str(caught.value) for word in words), str(caught.value)
