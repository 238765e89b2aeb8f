"""Borrowing: its limits, what it does to a single arm, every model it is for, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import integrate, stats

import progression as pg
from progression.drift import DriftPrior
from progression.faults import CohortError, SettingError
from tests import simulators

HISTORICAL = "historical control"


def trial(*, seed: int = 0, n: int = 20, historical: int = 60, drift: float = 0.3, single: bool = False) -> pg.Cohort:
    """Concurrent arms, and historical controls who decline more slowly by `drift` points/month."""
    arms = {"control": n, "treated": n, HISTORICAL: historical}
    if single:
        arms.pop("control")
    table = simulators.als_slope(np.random.default_rng(seed), n_per_arm=arms, months=[0, 2, 4, 6, 8], mean_level=38, sd_level=5, mean_slope=-1.0,
                                 sd_slope=0.7, correlation=0.1, sd_residual=1.8, slope_effect={"treated": 0.3, HISTORICAL: drift})  # fmt: skip
    order = [HISTORICAL, "treated"] if single else list(arms)
    return pg.Cohort.from_table(table[["subject", "arm", "time", "alsfrsr"]], time_unit="months", outcomes=["alsfrsr"], arms=order,
                                allocation="historical", provenance="simulated")  # fmt: skip


def effect(cohort: pg.Cohort, borrowing: Any, **more: Any) -> tuple[float, float]:
    """Posterior mean and SD of the treated arm's effect."""
    fit = pg.fit("als_slope", cohort, borrowing=borrowing, random_seed=1, **more)
    # With sources left apart the density may have several modes, by the last digit of a processor: NUTS answers then.
    assert not fit.problems and ("fell_back" not in fit.settings or isinstance(borrowing, pg.Separate))
    draws = pg.contrast(fit, "slope_difference").select("slope_difference", active_arm="treated") if len(fit.cohort.arms) > 2 else pg.contrast(
        fit, "slope_difference").select("slope_difference")  # fmt: skip
    return float(draws.mean()), float(draws.std())


@pytest.fixture(scope="module")
def cohort() -> pg.Cohort:
    return trial()


@pytest.mark.slow
def test_a_small_scale_pools_and_a_large_one_separates() -> None:
    cohort = trial(drift=0.9)
    pooled, separate = effect(cohort, pg.Pooled()), effect(cohort, pg.Separate())
    near, far = effect(cohort, pg.Commensurate(1e-3, level=1e-3)), effect(cohort, pg.Commensurate(50.0))
    assert near == pytest.approx(pooled, abs=0.05 * pooled[1]) and far == pytest.approx(
        separate, abs=0.05 * separate[1]
    )
    assert abs(pooled[0] - separate[0]) > 0.3 * separate[1] and pooled[1] < 0.9 * separate[1]
    between = effect(cohort, pg.Commensurate(0.15))
    assert sorted([pooled[0], between[0], separate[0]])[1] == between[0] and pooled[1] < between[1] < separate[1]


@pytest.mark.slow
def test_separate_is_leaving_the_slopes_of_the_source_out(cohort: pg.Cohort) -> None:
    """Only SDs are shared: with those well known, the answer is that of the concurrent arms alone."""
    large = trial(n=60, historical=60)
    alone = large.select(f"arm != '{HISTORICAL}'")
    own, without = effect(large, pg.Separate()), effect(alone, None, options={"baseline": "free"})
    assert own[0] == pytest.approx(without[0], abs=0.25 * without[1]) and own[1] == pytest.approx(without[1], rel=0.15)


@pytest.mark.slow
def test_a_robust_prior_lets_conflicting_controls_go() -> None:
    alike, apart = trial(drift=0.0, seed=3), trial(drift=1.5, seed=3)
    wide = pg.RobustMAP(0.1, weight=0.2, wide=2.0)
    shifts = []
    for one in (alike, apart):
        separate, robust, pooled = (effect(one, way)[0] for way in (pg.Separate(), wide, pg.Commensurate(0.1)))
        shifts.append((abs(robust - separate), abs(pooled - separate)))
    assert shifts[0][1] < 0.5 * shifts[1][1]  # where they are alike there is little to let go of
    assert shifts[1][0] < 0.35 * shifts[1][1]  # far apart: let go, where the plain normal holds on
    drift = pg.contrast(pg.fit("als_slope", apart, borrowing=wide, random_seed=1), "slope_difference")
    assert float(drift.select("slope_difference", active_arm=HISTORICAL).mean()) > 0.8


@pytest.mark.slow
def test_of_a_single_arm_the_drift_is_its_prior() -> None:
    """Treatment and drift cannot be told apart: the effect is as uncertain as pooling says, plus all of the drift's prior."""
    single = trial(single=True, n=40)
    mean, sd = effect(single, pg.Pooled())
    fit = pg.fit(
        "als_slope",
        single,
        borrowing=pg.Commensurate(0.25),
        random_seed=1,
        priors={"slope_effect": pg.Prior("Normal", mu=0, sigma=3)},
    )
    draws = pg.contrast(fit, "slope_difference")
    drift, treated = (draws.select("slope_difference", active_arm=arm) for arm in (HISTORICAL, "treated"))
    assert abs(float(drift.mean())) < 0.03 and float(drift.std()) == pytest.approx(0.25, rel=0.06)
    assert (
        float(treated.std()) == pytest.approx(np.hypot(sd, 0.25), rel=0.1) and abs(float(treated.mean()) - mean) < 0.1
    )
    assert fit.cohort.arms[0] == "concurrent control" and any(
        "Normal(0, 0.25); without concurrent controls" in text for text in draws.assumptions()
    )
    assert not any("pooled" in text for text in draws.assumptions())


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.25, 0.8])
def test_of_a_single_arm_the_priors_split_what_is_known(scale: float) -> None:
    """Concurrent slope Normal(-1, 1), drift and effect Normal(0, 0.5): three normals of which two sums are measured."""
    single = trial(single=True, n=40, drift=-0.7)
    wide = {"mean_slope": pg.Prior("Normal", mu=0, sigma=50), "slope_effect": pg.Prior("Normal", mu=0, sigma=50)}
    slopes = pg.contrast(pg.fit("als_slope", single, priors=wide, random_seed=1), "slope").draws["slope"]
    seen, error = (
        getattr(slopes, name)(("chain", "draw")).sel(arm=[HISTORICAL, "treated"]).to_numpy() for name in ("mean", "std")
    )
    reads = np.array([[1.0, 1, 0], [1, 0, 1]])  # historical slope = concurrent + drift, treated = concurrent + effect
    prior, centre = np.diag([1.0, scale**-2, 4.0]), np.array([-1.0, 0, 0])
    covariance = np.linalg.inv(prior + reads.T @ np.diag(error**-2) @ reads)
    mean = covariance @ (prior @ centre + reads.T @ (seen / error**2))
    found = effect(single, pg.Commensurate(scale))
    assert found[0] == pytest.approx(mean[2], abs=0.04) and found[1] == pytest.approx(
        np.sqrt(covariance[2, 2]), rel=0.05
    )


def exactly(cohort: pg.Cohort, way: pg.RobustMAP, prior_sd: float) -> tuple[float, float]:
    """P(effect > 0) and SD of the effect of a single arm, by integrating over the drift, from the two slopes that the data measure."""
    fit = pg.fit(
        "als_slope",
        cohort,
        borrowing=pg.Pooled(),
        priors={"slope_effect": pg.Prior("Normal", mu=0, sigma=prior_sd)},
        random_seed=1,
    )
    found = np.ravel(pg.contrast(fit, "slope_difference").select("slope_difference"))
    var = 1 / (1 / found.var() - 1 / prior_sd**2)  # of the measured difference, treated - historical
    difference, historical = found.mean() / found.var() * var, float(fit.posterior["mean_slope"].mean())
    drift = np.linspace(-6, 6, 60_001)  # historical - concurrent
    weight = sum(share * stats.norm.pdf(drift, 0, sd) for share, sd in way.components())
    weight *= stats.norm.pdf(historical - drift, -1, 1) * stats.norm.pdf(
        difference + drift, 0, np.hypot(prior_sd, np.sqrt(var))
    )
    weight /= weight.sum()
    given = 1 / (1 / prior_sd**2 + 1 / var)
    mean = given * (difference + drift) / var
    centre = weight @ mean
    return float(weight @ stats.norm.cdf(mean / np.sqrt(given))), float(np.sqrt(weight @ (given + mean**2) - centre**2))


@pytest.mark.parametrize("many", [False, True])
def test_of_a_single_arm_a_robust_prior_is_what_integration_makes_of_it(many: bool) -> None:
    """Its wide component lies far out along a ridge of drift and effect: missed, P(benefit) is 0.999 where it is 0.98."""
    cohort, way = trial(seed=3, n=17, historical=47, drift=-0.5, single=True), pg.RobustMAP(0.1)
    wide = {"slope_effect": pg.Prior("Normal", mu=0, sigma=2)}
    share, sd = exactly(cohort, way, 2.0)
    assert 0.95 < share < 0.99
    if many:  # a trial's points are few, some 512: eight sets of them, each with an error of 0.006
        fits = pg.fit_many("als_slope", [cohort] * 8, borrowing=way, priors=wide, estimands="slope_difference",
                           random_seed=1, progressbar=False)  # fmt: skip
        draws = fits.draws["slope_difference"].sel(active_arm="treated").to_numpy()
        assert (draws > 0).mean() == pytest.approx(share, abs=0.006) and (fits.diagnostics["pareto_k"] < 0.5).all()
        assert all(abs((one > 0).mean() - share) < 0.02 for one in draws)
    else:
        fit = pg.fit("als_slope", cohort, borrowing=way, priors=wide, random_seed=1)
        assert fit.settings["engine"] == "marginal" and not fit.problems
        draws = np.ravel(pg.contrast(fit, "slope_difference").select("slope_difference", active_arm="treated"))
        assert draws.std() == pytest.approx(sd, rel=0.08)
        assert (draws > 0).mean() == pytest.approx(share, abs=0.006)


def test_which_arm_is_concurrent_must_be_said() -> None:
    mixed = trial()
    table = mixed.visits.assign(arm=mixed.visits["subject"].map(mixed.subjects["arm"])).rename(
        columns={"month": "time"}
    )
    seen = pg.Cohort.from_table(table, time_unit="months", outcomes=["alsfrsr"], arms=[HISTORICAL, "control", "treated"], allocation="historical",
                                provenance="simulated")  # fmt: skip
    with pytest.raises(CohortError, match="begin with the concurrent control"):
        pg.fit("als_slope", seen, borrowing=pg.Commensurate(0.2), random_seed=1)


def test_of_a_single_arm_separate_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot be told apart"):
        pg.fit("als_slope", trial(single=True), borrowing=pg.Separate(), random_seed=1)


@pytest.mark.slow
def test_randomised_arms_keep_their_common_baseline(cohort: pg.Cohort) -> None:
    fit = pg.fit("als_slope", cohort, borrowing=pg.Commensurate(0.2), options={"baseline": "common"}, random_seed=1)
    assert list(fit.posterior["baseline_arm"].to_numpy()) == [HISTORICAL]


@pytest.mark.slow
def test_both_engines_say_the_same(cohort: pg.Cohort) -> None:
    for way in (pg.Commensurate(0.2), pg.RobustMAP(0.15)):
        ours, nuts = effect(cohort, way), None
        fit = pg.fit("als_slope", cohort, borrowing=way, engine="nuts", random_seed=1)
        draws = pg.contrast(fit, "slope_difference").select("slope_difference", active_arm="treated")
        nuts = float(draws.mean()), float(draws.std())
        assert ours == pytest.approx(nuts, abs=0.1 * nuts[1])


@pytest.mark.slow
def test_many_fits_borrow_as_one_does() -> None:
    sets = [trial(seed=seed) for seed in (1, 2)]
    many = pg.fit_many("als_slope", sets, borrowing=pg.Commensurate(0.2), random_seed=1, progressbar=False)
    for number, one in enumerate(sets):
        own = many.draws["slope_difference"].sel(active_arm="treated").isel(data_set=number)
        mean, sd = effect(one, pg.Commensurate(0.2))
        assert float(own.mean()) == pytest.approx(mean, abs=0.1 * sd)


@pytest.mark.slow
def test_the_file_keeps_how_was_borrowed(cohort: pg.Cohort, tmp_path: Path) -> None:
    fit = pg.fit("als_slope", cohort, borrowing=pg.RobustMAP(0.2), random_seed=1)
    again = pg.load(fit.save(tmp_path / "fit.nc"))
    assert again.priors == fit.priors and isinstance(again.priors["slope_effect"], DriftPrior)
    assert again.cohort.historical_arms == (HISTORICAL,) and again.cohort.fingerprint == fit.cohort.fingerprint
    assert pg.contrast(again).assumptions() == pg.contrast(fit).assumptions()
    assert not pg.check(again).problems


@pytest.mark.parametrize("components", [((1.0, 0.2),), ((0.8, 0.1), (0.2, 1.0))])
@pytest.mark.parametrize("family", ["Normal", "LogNormal"])
def test_the_prior_is_what_it_says(components: Any, family: str) -> None:
    prior = DriftPrior(pg.Prior(family, mu=0.1, sigma=0.5), "active_arm", ("old",), components)
    with pm.Model(coords={"active_arm": ["new", "old"]}) as model:
        prior.to_pymc("x", dims="active_arm")
    x = np.linspace(-8, 8, 4001) if family == "Normal" else np.linspace(1e-4, 60, 60_001)
    for arm, wanted in ((0, ((1.0, 0.5, 0.1),)), (1, tuple((w, sd, 0.0) for w, sd in components))):
        drawn = pm.draw(model["x"], 4000, random_seed=1)[:, arm]
        density = sum(
            w * (stats.norm(mu, sd).pdf(x) if family == "Normal" else stats.lognorm(sd, scale=np.exp(mu)).pdf(x))
            for w, sd, mu in wanted
        )
        cdf = integrate.cumulative_trapezoid(density, x, initial=0)
        assert stats.kstest(drawn, lambda v, cdf=cdf: np.interp(v, x, cdf)).pvalue > 1e-3


def test_a_robust_prior_lets_go_with_the_probability_it_says() -> None:
    with pm.Model(coords={"active_arm": ["new", "old"]}) as model:
        pg.RobustMAP(0.1, weight=0.2, wide=2.0, arms="old").drift(pg.Prior("Normal", mu=0, sigma=0.5), "active_arm", ("old",)).to_pymc("x", dims="active_arm")  # fmt: skip
    drift = pm.draw(model["x"], 4000, random_seed=1, mode="FAST_COMPILE")[:, 1]
    expected = 0.2 * 2 * stats.norm(0, 2).sf(0.5)  # the narrow normal does not reach so far
    assert abs((np.abs(drift) > 0.5).mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)


def sle(rng: np.random.Generator, kind: str) -> pg.Cohort:
    arms = {"control": 8, "treated": 8, HISTORICAL: 12}
    if kind == "sle_crp":
        table = simulators.sle_crp(rng, n_per_arm=arms, months=[0, 1, 3], mean_level=0.5, time_course=[-0.2, -0.3], sd_patient=0.8, sd_residual=0.5,
                                   effect={"treated": [-0.3, -0.5], HISTORICAL: [0.1, 0.1]})  # fmt: skip
        return pg.Cohort.from_table(
            table,
            time_unit="months",
            outcomes=["crp_mg_dl"],
            arms=list(arms),
            allocation="historical",
            provenance="simulated",
        )
    table = simulators.sle_joints(rng, n_per_arm=arms, months=[0, 1, 3], mean_level=[-0.5, -1.0], time_course=[[-0.2, -0.2], [-0.3, -0.3]],
                                  sd_patient=[0.8, 0.8], overdispersion=[0.05, 0.05], effect={"treated": [[-0.3, -0.3], [-0.5, -0.5]],
                                                                                              HISTORICAL: [[0.1, 0.1], [0.1, 0.1]]})  # fmt: skip
    return pg.Cohort.from_table(table, time_unit="months", outcomes=["tender_joints", "swollen_joints"], arms=list(arms), allocation="historical",
                                provenance="simulated")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["als_shared", "sle_crp", pytest.param("sle_joints", marks=pytest.mark.evidence)])
def test_other_models_borrow_through_the_same_value(kind: str) -> None:
    cohort = trial() if kind == "als_shared" else sle(np.random.default_rng(1), kind)
    sds = {}
    for scale in (0.01, 5.0):
        fit = pg.fit(kind, cohort, borrowing=pg.Commensurate(scale), random_seed=1)
        first = pg.contrast(fit, fit.model.estimands[0].name).draws[fit.model.estimands[0].name]
        sds[scale] = np.log(first.sel(active_arm="treated")).std(("chain", "draw")).to_numpy().ravel()
        drift = np.log(first.sel(active_arm=HISTORICAL)).std(("chain", "draw")).to_numpy().ravel()
        assert (drift < 0.03).all() if scale < 1 else (drift > 0.03).all()
    assert (sds[0.01] < sds[5.0]).all()


@pytest.mark.parametrize("make", [
    lambda: pg.Commensurate(0), lambda: pg.Commensurate(-1), lambda: pg.Commensurate(0.2, level=0), lambda: pg.RobustMAP(0.1, weight=20),
    lambda: pg.RobustMAP(0.1, weight=1), lambda: pg.Separate(wide=0), lambda: "pooled", lambda: pg.Commensurate("much"),
])  # fmt: skip
def test_impossible_values_are_refused(make: Any, cohort: pg.Cohort) -> None:
    with pytest.raises(SettingError):
        pg.fit("als_slope", cohort, borrowing=make(), random_seed=1)


def test_no_historical_source_is_refused(cohort: pg.Cohort) -> None:
    with pytest.raises(CohortError, match="with_historical_controls"):
        pg.fit("als_slope", cohort.select(f"arm != '{HISTORICAL}'"), borrowing=pg.Commensurate(0.2), random_seed=1)
    with pytest.raises(CohortError, match="no historical arm of that name"):
        pg.fit("als_slope", cohort, borrowing=pg.Commensurate(0.2, arms=("registry",)), random_seed=1)
    with pytest.raises(CohortError, match="every arm is historical"):
        pg.fit("als_slope", cohort.select(f"arm == '{HISTORICAL}'"), borrowing=pg.Commensurate(0.2), random_seed=1)


def test_a_prior_that_a_drift_cannot_share_is_refused() -> None:
    with pytest.raises(SettingError, match="Normal or LogNormal"):
        pg.fit("als_shared", trial(), priors="healey", borrowing=pg.Commensurate(0.2), random_seed=1)


@pytest.mark.slow
def test_tables_and_checks_of_an_arm_without_patients() -> None:
    fit = pg.fit("als_slope", trial(single=True), borrowing=pg.Commensurate(0.2), random_seed=1)
    assert isinstance(fit.cohort.table(), pd.DataFrame) and "concurrent control" in repr(fit.cohort)
    assert not pg.check(fit).problems
    rows = fit.predict([0, 6], new_patients={"concurrent control": 5}, draws=20)
    assert rows["score"].sizes["subject"] == 5
