"""A time course that bends: its basis, its knots, and what als_slope and als_shared do with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.faults import CohortError, SettingError
from progression.time_course import course, place_knots

MONTHS = np.arange(13.0)


def cohort(
    *, seed: int = 0, n: int = 60, effect: float = 0.0, ratio: float = 1.0, screening: bool = False
) -> pg.Cohort:
    """Two arms whose decline slows down: 0.05 x month x (month - 12) points beside each patient's own line."""
    rng, rows, months = np.random.default_rng(seed), [], np.r_[-1.0, MONTHS] if screening else MONTHS
    for i in range(2 * n):
        arm, level, slope = ("control", "treated")[i % 2], rng.normal(38, 5), rng.normal(-1.0, 0.5)
        for month in months:
            on = arm == "treated" and month > 0
            change = (ratio if on else 1) * (slope * month + 0.05 * month * (month - 12)) + (
                effect * month if on else 0
            )
            rows.append((f"p{i}", arm, month, level + change + rng.normal(0, 1.8)))
    table = pd.DataFrame(rows, columns=["subject", "arm", "time", "alsfrsr"])
    return pg.Cohort.from_table(table, time_unit="months", outcomes=["alsfrsr"], arms=["control", "treated"],
                                allocation="randomised", provenance="simulated")  # fmt: skip


def curvature(fit: pg.Fit) -> pd.DataFrame:
    table = pg.check(fit).table
    return table[table["statistic"] == "curvature"]


def test_a_column_is_one_at_its_knot_and_zero_at_the_others_and_the_ends() -> None:
    np.testing.assert_allclose(course(np.array([0, 3, 6, 9, 12.0]), [3, 6, 9], 12), np.eye(5)[:, 1:-1], atol=1e-12)


def test_outside_the_window_it_is_straight_and_inside_it_is_smooth() -> None:
    months = np.linspace(-3, 15, 1801)
    bent = course(months, [3, 6], 12) @ [1.0, -2.0]
    second = np.diff(bent, 2) / 0.01**2
    np.testing.assert_allclose(second[(months[1:-1] < -0.02) | (months[1:-1] > 12.02)], 0, atol=1e-6)
    assert np.abs(np.diff(second)).max() < 0.02  # a jump in the second derivative would be hundreds of times that


def test_any_cubic_curve_is_met_where_knots_are_dense() -> None:
    knots = list(np.arange(0.5, 12, 0.5))

    def curve(m: Any) -> Any:
        return np.sin(m / 4)

    chord = curve(12.0) / 12 * MONTHS
    bends = curve(np.array(knots)) - curve(12.0) / 12 * np.array(knots)
    np.testing.assert_allclose(chord + course(MONTHS, knots, 12) @ bends, curve(MONTHS), atol=2e-3)


@pytest.mark.parametrize(
    ("months", "knots", "end"),
    [
        (np.repeat(MONTHS, 10), [3, 6, 9], 12),
        (np.array([0, 1, 3.0] * 4), [1], 3),
        (np.random.default_rng(0).uniform(0, 10, 500), None, None),
    ],
)
def test_knots_are_placed_where_the_values_are(
    months: np.ndarray, knots: list[float] | None, end: float | None
) -> None:
    placed, last = place_knots("spline", months)
    assert min(placed) > 0 and max(placed) < last[0] <= months.max() and len(placed) == len(set(placed)) <= 3
    if knots is not None:
        np.testing.assert_allclose(placed, knots, atol=0.3)
        assert last == [end]


def test_visits_too_close_for_any_knot_are_refused_in_words() -> None:
    with pytest.raises(CohortError, match="cannot show 1 bend"):
        place_knots("spline", np.array([0, 0.26, 0.26, 0.51, 0.509]))


def test_straight_has_no_knots() -> None:
    assert place_knots("straight", MONTHS) == ([], [])


@pytest.mark.parametrize(
    ("option", "word"),
    [("splne", "spline"), ((6,), "two or more"), (5, "two or more"), ((0, 6), "not after time 0"), ((9, 6, 12), "does not come after"),
     ((6, 18), "later than the last visit"), ((6, np.nan), "two or more"), (("6", "12"), "two or more")],
)  # fmt: skip
def test_bad_settings_are_refused(option: Any, word: str) -> None:
    with pytest.raises(SettingError, match=word):
        pg.fit("als_slope", cohort(n=4), options={"time_course": option}, random_seed=1)


@pytest.mark.parametrize("option", ["spline", (1, 2)])
def test_two_visits_cannot_show_a_bend(option: Any) -> None:
    two = cohort(n=4).visits.query("month in (0, 2)")
    table = two.assign(arm=two["subject"].map(cohort(n=4).subjects["arm"])).rename(columns={"month": "time"})
    seen = pg.Cohort.from_table(table, time_unit="months", outcomes=["alsfrsr"], provenance="simulated")
    with pytest.raises(CohortError, match="cannot show 1 bend"):
        pg.fit("als_slope", seen, options={"time_course": option}, random_seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "truth"),
    [("als_slope", {"effect": 0.3}), pytest.param("als_shared", {"ratio": 0.7}, marks=pytest.mark.evidence)],
)
def test_the_check_names_the_option_and_the_option_mends_it(model: str, truth: dict[str, float]) -> None:
    """Straight lines fail their check on a course that bends; the spline passes it, in closed form, and finds the truth."""
    seen = cohort(screening=True, **truth)
    straight = pg.fit(model, seen, random_seed=1)
    found = pg.check(straight)
    assert not found.table.query("statistic == 'curvature'")["ok"].any()
    assert any('options={"time_course": "spline"}' in problem for problem in found.problems)
    bent = pg.fit(model, seen, options={"time_course": "spline"}, random_seed=1)
    assert "fell_back" not in bent.settings and not bent.problems
    assert curvature(bent)["ok"].all()
    contrast = pg.contrast(bent, month=12)
    name = "slope_difference" if model == "als_slope" else "drr"
    value = contrast.select(name)
    assert abs(float(value.mean()) - next(iter(truth.values()))) < 2.5 * float(value.std())
    assert "average of months 0 to 12" in contrast.labels()["slope[control]"]
    bend = bent.posterior["bend"].mean(("chain", "draw"))
    wanted = 0.05 * bend["knot"] * (bend["knot"] - 12)
    assert float(abs(bend - wanted).max()) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("model", ["als_slope", "als_shared"])
def test_change_follows_the_course(model: str) -> None:
    """Change at month 6 of the posterior means is the line's and the bend's, arm by arm."""
    fit = pg.fit(model, cohort(n=20, ratio=0.7), options={"time_course": (3, 6, 12)}, random_seed=1)
    mean = fit.posterior.mean(("chain", "draw"))
    bend = float(mean["bend"].sel(knot=6))
    draws = pg.contrast(fit, month=6).draws
    if model == "als_slope":
        control = fit.posterior["mean_slope"] * 6 + fit.posterior["bend"].sel(knot=6)
        np.testing.assert_allclose(draws["change"].sel(arm="control"), control)
        assert bend < -1
    else:
        ratio = fit.posterior["rate_ratio"].isel(active_arm=0)
        control = -fit.posterior["mean_rate"] * 6 + fit.posterior["bend"].sel(knot=6)
        np.testing.assert_allclose(draws["change_difference"].isel(active_arm=0), ratio * control - control)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "truth"),
    [("als_slope", {"effect": 0.3}), pytest.param("als_shared", {"ratio": 0.7}, marks=pytest.mark.evidence)],
)
def test_predictions_bend_and_are_the_programs_own(model: str, truth: dict[str, float]) -> None:
    """Mean predicted courses of new patients follow 0.05 x month x (month - 12), at months that no visit has."""
    fit = pg.fit(model, cohort(**truth), options={"time_course": "spline"}, random_seed=1)
    months = np.array([0.0, 2.5, 6.5, 10.5, 12.0])
    rows = fit.predict(list(months), new_patients={"control": 400}, draws=200, random_seed=2)["score"]
    mean = rows.mean(("sample", "subject")).to_numpy()
    line = mean[0] + (mean[-1] - mean[0]) * months / 12
    np.testing.assert_allclose((mean - line)[1:-1], (0.05 * months * (months - 12))[1:-1], atol=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "truth"),
    [("als_slope", {"effect": 0.3}), pytest.param("als_shared", {"ratio": 0.7}, marks=pytest.mark.evidence)],
)
def test_both_engines_say_the_same(model: str, truth: dict[str, float]) -> None:
    seen = cohort(n=20, screening=True, **truth)
    option = {"time_course": (3, 6, 12)}
    ours, nuts = (pg.contrast(pg.fit(model, seen, options=option, engine=engine, random_seed=1)).summary()
                  for engine in ("marginal", "nuts"))  # fmt: skip
    keep = [name for name in ours.index if not name.startswith(("hazard", "survival"))]
    gap = (ours.loc[keep, "mean"] - nuts.loc[keep, "mean"]).abs()
    assert (gap < 0.1 * nuts.loc[keep, "sd"]).all()
    assert (np.log(ours.loc[keep, "sd"] / nuts.loc[keep, "sd"]).abs() < 0.1).all()


@pytest.mark.slow
def test_many_fits_bend_as_one_does() -> None:
    sets = [cohort(seed=seed, n=10, effect=0.3) for seed in (1, 2)]
    many = pg.fit_many("als_slope", sets, options={"time_course": "spline"}, random_seed=1, progressbar=False)
    for number, one in enumerate(sets):
        alone = pg.contrast(
            pg.fit("als_slope", one, options={"time_course": "spline"}, random_seed=1), "slope_difference"
        )
        single = alone.select("slope_difference")
        own = many.draws["slope_difference"].isel(data_set=number)
        assert abs(float(own.mean()) - float(single.mean())) < 0.1 * float(single.std())


@pytest.mark.evidence
def test_leaving_out_prefers_what_bends() -> None:
    seen = cohort(n=8)
    straight, bent = (
        pg.fit("als_slope", seen, options={"time_course": one}, random_seed=1) for one in ("straight", "spline")
    )
    assert next(iter(pg.loo(straight, bent).index)) == "als_slope 2"
