"""Several sources as one population of studies, and drift over calendar time: limits, linear algebra, every ALS model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import progression as pg
from progression.drift import Following, SourcesPrior
from progression.faults import CohortError, SettingError
from tests import simulators
from tests.test_borrowing import HISTORICAL, effect, trial

SOURCES = ("north", "south", "west", "east")


def sources(drifts: tuple[float, ...], *, n: int = 30, historical: int = 50, seed: int = 0) -> pg.Cohort:
    arms = {"control": n, "treated": n} | dict.fromkeys(SOURCES[: len(drifts)], historical)
    table = simulators.als_slope(np.random.default_rng(seed), n_per_arm=arms, months=[0, 2, 4, 6, 8], mean_level=38, sd_level=5, mean_slope=-1.0,
                                 sd_slope=0.7, correlation=0.1, sd_residual=1.8,
                                 slope_effect={"treated": 0.3} | dict(zip(SOURCES, drifts, strict=False)))  # fmt: skip
    return pg.Cohort.from_table(table[["subject", "arm", "time", "alsfrsr"]], time_unit="months", outcomes=["alsfrsr"], arms=list(arms),
                                allocation="historical", provenance="simulated")  # fmt: skip


def by_period(drifts: tuple[float, float]) -> pg.Cohort:
    """Controls of 2020 and 2021, and a randomised trial of 2022."""
    cohort = sources(drifts)
    subjects = cohort.subjects
    subjects["period"] = subjects["arm"].map({"control": 2022, "treated": 2022, "north": 2020, "south": 2021})
    subjects["arm"] = subjects["arm"].where(subjects["arm"] == "treated", "control")
    rows = cohort.visits.rename(columns={"month": "time"})[["subject", "time", "alsfrsr"]]
    return pg.Cohort.from_table(rows, subjects[["arm", "period"]].reset_index(), time_unit="months", outcomes=["alsfrsr"],
                                arms=["control", "treated"], covariates=["period"], allocation="unstated", provenance="simulated")  # fmt: skip


@pytest.mark.slow
def test_the_prior_of_drifts_is_that_of_differences_between_studies() -> None:
    """Given tau: variance 2 tau², covariance tau² between sources; treated arms keep their own prior."""
    prior = SourcesPrior(pg.Prior("Normal", mu=0.1, sigma=0.5), "active_arm", ("north", "south"), 0.3)
    with pm.Model(coords={"active_arm": ["treated", "north", "south"]}) as model:
        prior.to_pymc("effect", dims="active_arm")
    fixed = pm.do(model, {"sd_between_effect": 0.4})
    drawn = pm.draw(fixed["effect"], 20_000, random_seed=1)
    found = np.cov(drawn.T)
    wanted = np.array([[0.25, 0, 0], [0, 0.32, 0.16], [0, 0.16, 0.32]])
    assert found == pytest.approx(wanted, abs=0.01) and drawn.mean(axis=0) == pytest.approx([0.1, 0, 0], abs=0.02)
    between = pm.draw(model["sd_between_effect"], 20_000, random_seed=1)
    assert between.mean() == pytest.approx(0.3 * np.sqrt(2 / np.pi), rel=0.03)


@pytest.mark.slow
def test_sources_that_agree_are_trusted_and_those_that_do_not_are_not() -> None:
    widths, between = {}, {}
    for name, drifts in (("alike", (0.0, 0.0, 0.0, 0.0)), ("apart", (-0.6, 0.6, 0.4, -0.4))):
        cohort = sources(drifts)
        fit = pg.fit("als_slope", cohort, borrowing=pg.Sources(0.3, arms=SOURCES), random_seed=1)
        assert not fit.problems
        widths[name] = float(pg.contrast(fit, "slope_difference").select(arm="treated").std())
        between[name] = float(fit.posterior["sd_between_slope_effect"].mean())
    # Whichever engine answers: with each source by itself the search for further modes may wander off where sums cancel, and NUTS is asked.
    fits = (pg.fit("als_slope", cohort, borrowing=way(arms=SOURCES), random_seed=1) for way in (pg.Separate, pg.Pooled))
    separate, pooled = (float(pg.contrast(fit, "slope_difference").select(arm="treated").std()) for fit in fits)
    assert pooled < widths["apart"] < 1.03 * separate
    assert widths["alike"] < 0.95 * widths["apart"] and between["alike"] < 0.2 < 0.3 < between["apart"]


@pytest.mark.slow
def test_sources_are_the_hierarchy_that_linear_algebra_has() -> None:
    """From each arm's own slope and its error, tau on a grid: the concurrent slope, in closed form for each tau."""
    cohort = sources((-0.3, 0.5, 0.2, -0.1), n=25)
    wide = {"mean_slope": pg.Prior("Normal", mu=0, sigma=50), "slope_effect": pg.Prior("Normal", mu=0, sigma=50)}
    slopes = pg.contrast(pg.fit("als_slope", cohort, priors=wide, random_seed=1), "slope").draws["slope"]
    flat = slopes.stack(sample=("chain", "draw")).transpose("sample", "arm").to_numpy()
    order = [list(slopes["arm"].to_numpy()).index(arm) for arm in ("control", "treated", *SOURCES)]
    mean, spread = flat.mean(axis=0)[order], np.cov(flat.T)[np.ix_(order, order)]
    total, weights, moments = np.linspace(0.002, 2, 400), [], []
    reads = np.eye(6)  # unknowns: concurrent slope, effect, four drifts
    reads[1:, 0] = 1.0
    for tau in total:
        prior = np.zeros((6, 6))
        prior[0, 0], prior[1, 1] = 1.0, 0.25
        prior[2:, 2:] = tau**2 * (np.eye(4) + 1)
        centre = np.array([-1.0, 0, 0, 0, 0, 0])
        v = reads @ prior @ reads.T + spread
        off = mean - reads @ centre
        gain = prior @ reads.T @ np.linalg.inv(v)
        own, left = centre + gain @ off, prior - gain @ reads @ prior
        weights.append(-0.5 * off @ np.linalg.solve(v, off) - 0.5 * np.linalg.slogdet(v)[1] - 0.5 * (tau / 0.3) ** 2)
        moments.append((own[1], left[1, 1] + own[1] ** 2, tau))
    weight = np.exp(np.array(weights) - max(weights))
    first, second, tau = (weight / weight.sum()) @ np.array(moments)
    fit = pg.fit("als_slope", cohort, borrowing=pg.Sources(0.3, arms=SOURCES), random_seed=1)
    drawn = pg.contrast(fit, "slope_difference").select(arm="treated")
    assert float(drawn.mean()) == pytest.approx(first, abs=0.03) and float(drawn.std()) == pytest.approx(
        np.sqrt(second - first**2), rel=0.06
    )
    assert float(fit.posterior["sd_between_slope_effect"].mean()) == pytest.approx(tau, rel=0.1)


@pytest.mark.slow
def test_steps_over_calendar_time_pool_where_small_and_leave_only_concurrent_controls_where_large() -> None:
    cohort = by_period((0.6, -0.4))
    found = {}
    for scale in (1e-4, 0.2, 50.0):
        fit = pg.fit("als_slope", cohort, borrowing=pg.CalendarDrift("period", scale), random_seed=1)
        assert not fit.problems
        draws = pg.contrast(fit, "slope_difference")
        found[scale] = tuple(float(getattr(draws.select(arm="treated"), name)()) for name in ("mean", "std"))
        assert list(draws.draws["active_arm"].to_numpy()) == ["treated", "before 2021", "before 2022"]
    concurrent = cohort.select("period == 2022")
    alone = effect(concurrent, None, options={"baseline": "free"})
    assert found[50.0] == pytest.approx(alone, abs=0.25 * alone[1])
    pooled = pg.fit("als_slope", cohort, random_seed=1)
    drawn = pg.contrast(pooled, "slope_difference").select()
    assert found[1e-4][0] == pytest.approx(float(drawn.mean()), abs=0.25 * float(drawn.std()))
    assert found[1e-4][1] < found[0.2][1] < found[50.0][1]


@pytest.mark.slow
def test_a_step_is_the_difference_between_those_before_and_those_since() -> None:
    """Large samples: drifts of 0.6 and -0.4 against 2022 are steps of -0.4 (2021 against 2022) and 1.0 (2020 against 2021)."""
    fit = pg.fit("als_slope", by_period((0.6, -0.4)), borrowing=pg.CalendarDrift("period", 50.0), random_seed=1)
    draws = pg.contrast(fit, "slope_difference").draws["slope_difference"]
    mean, sd = draws.mean(("chain", "draw")), draws.std(("chain", "draw"))
    for label, truth in (("before 2021", 1.0), ("before 2022", -0.4)):
        assert abs(float(mean.sel(active_arm=label)) - truth) < 3.5 * float(sd.sel(active_arm=label))
    assert "before 2022" not in fit.cohort.arms
    again = pg.contrast(pg.load(_saved(fit)), "slope_difference")
    assert again.draws.equals(pg.contrast(fit, "slope_difference").draws) and again.fit.cohort.calendar == "period"


@pytest.mark.slow
def test_a_rule_needs_no_arm_where_one_is_treated_and_the_rest_are_drifts() -> None:
    rule = pg.Rule("slope_difference", ">", -5, probability=0.9)
    for cohort, way in (
        (by_period((0.1, 0.1)), pg.CalendarDrift("period", 0.2)),
        (trial(n=8, historical=10), pg.Commensurate(0.2)),
    ):
        made = pg.contrast(pg.fit("als_slope", cohort, borrowing=way, random_seed=1), "slope_difference")
        assert rule.judge(made) and made.select().equals(made.select(arm="treated"))


def _saved(fit: pg.Fit) -> Any:
    import tempfile
    from pathlib import Path

    return fit.save(Path(tempfile.mkdtemp()) / "fit.nc")


def test_what_cannot_be_a_calendar_is_refused() -> None:
    cohort = by_period((0.1, 0.1))
    with pytest.raises(SettingError, match="no covariate"):
        pg.fit("als_slope", cohort, borrowing=pg.CalendarDrift("perod", 0.2), random_seed=1)
    with pytest.raises(CohortError, match="same period"):
        pg.fit("als_slope", cohort.select("period == 2022"), borrowing=pg.CalendarDrift("period", 0.2), random_seed=1)
    with pytest.raises(SettingError, match="drift already"):
        pg.fit(
            "als_shared", cohort, borrowing=pg.CalendarDrift("period", 0.2), options={"period": "period"}, random_seed=1
        )
    with pytest.raises(SettingError, match="positive"):
        pg.fit("als_slope", cohort, borrowing=pg.CalendarDrift("period", 0.0), random_seed=1)


def test_an_arm_named_twice_is_refused_and_one_label_may_stand_alone() -> None:
    with pytest.raises(SettingError, match="twice"):
        pg.Commensurate(0.2, arms=("a", "a"))
    assert pg.Commensurate(0.2, arms="registry").arms == ("registry",)


def antibody(n: int = 12) -> pg.Cohort:
    table = simulators.als_antibody(np.random.default_rng(2), n_per_arm={"control": n, "treated": n, HISTORICAL: 2 * n}, months=[*range(0, 11, 2)],
                                    mean_level=38, sd_level=5, mean_slope=-1.0, sd_slope=0.5, correlation=0.1, sd_residual=1.5,
                                    effect_before=0.4, effect_after=0.1, share_converting=0.8, median_onset=3.0, onset_shape=1.2,
                                    tests=[*range(0, 11, 2)])  # fmt: skip
    return pg.Cohort.from_table(table.drop(columns="onset"), time_unit="months", outcomes=["alsfrsr"], arms=["control", "treated", HISTORICAL],
                                allocation="historical", provenance="simulated")  # fmt: skip


@pytest.mark.slow
def test_after_antibodies_historical_controls_drift_as_before_them() -> None:
    """They never have any: one drift of the slope, whatever stands in their onset columns."""
    fit = pg.fit(
        "als_antibody",
        antibody(),
        borrowing=pg.Commensurate(0.1),
        random_seed=1,
        draws=500,
        tune=800,
        progressbar=False,
    )
    assert isinstance(fit.priors["effect_after"], Following)
    draws = pg.contrast(fit).draws.sel(active_arm=HISTORICAL)
    assert float(np.abs(draws["loss_of_effect"]).max()) == 0.0
    assert draws["slope_difference_after"].equals(draws["slope_difference_before"].rename("slope_difference_after"))
    assert 0 < float(draws["slope_difference_before"].std()) < 0.11
    assert "nan" not in repr(pg.contrast(fit))


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::progression.fitting.FitWarning"
)  # few draws: only the size of the drift is looked at
def test_the_bounded_score_borrows_too() -> None:
    table = simulators.als_bounded(np.random.default_rng(1), n_per_arm={"control": 12, "treated": 12, HISTORICAL: 24}, months=[0, 4, 8],
                                   mean_level=0.7, sd_level=0.8, mean_slope=-0.12, sd_slope=0.08, correlation=0.2, overdispersion=0.01,
                                   slope_effect={"treated": 0.05, HISTORICAL: -0.1}, dropout_per_month=0.0)  # fmt: skip
    cohort = pg.Cohort.from_table(table[["subject", "arm", "time", "alsfrsr"]], time_unit="months", outcomes=["alsfrsr"],
                                  arms=["control", "treated", HISTORICAL], allocation="historical", provenance="simulated")  # fmt: skip
    fit = pg.fit(
        "als_bounded", cohort, borrowing=pg.Commensurate(0.002), random_seed=1, draws=250, tune=500, progressbar=False
    )
    drift = fit.posterior["slope_effect"].sel(active_arm=HISTORICAL)
    assert 0.001 < float(drift.std()) < 0.003  # -0.1 in the data: held by the prior
    assert float(fit.posterior["slope_effect"].sel(active_arm="treated").std()) > 0.01


def test_items_borrow_through_the_same_value() -> None:
    """Of the item model its prior of the drift: the arrangement, without a fit."""
    rng = np.random.default_rng(1)
    cut = np.sort(rng.normal(0, 1.5, (12, 4)), axis=1)
    table = simulators.als_items(rng, n_per_arm={"control": 5, "treated": 5, HISTORICAL: 8}, months=[0, 4], cutpoints=cut, sd_level=0.8,
                                 mean_slope=-0.1, sd_slope=0.05, correlation=0.0)  # fmt: skip
    from progression.arranging import arranged

    chosen = pg.models()["als_items"]
    items = [column for column in table if str(column).startswith("item")] or [
        c for c in table if c not in ("subject", "arm", "time")
    ]
    cohort = pg.Cohort.from_table(table, time_unit="months", outcomes=items, arms=["control", "treated", HISTORICAL], allocation="historical",
                                  provenance="simulated")  # fmt: skip
    made = arranged(chosen, cohort, chosen.priors, pg.Commensurate(0.07), options=chosen.options, outcomes=None)
    assert "Normal(0, 0.07)" in repr(made.priors["slope_effect"]) and made.cohort.historical_arms == (HISTORICAL,)


def test_pooled_patients_of_a_power_prior_have_no_arm_of_their_own() -> None:
    fit = pg.fit("als_slope", trial(n=8, historical=10), borrowing=pg.PowerPrior(0.5), random_seed=1)
    assert fit.cohort.arms == ("control", "treated") and isinstance(fit.cohort.table(), pd.DataFrame)
