"""als_shared against an independent posterior, and against simulated cohorts whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import progression as pg
from tests import simulators
from tests.recovery import shared_by_scipy
from tests.recovery.yardsticks import assert_covers, assert_no_shift, rank

pytestmark = [pytest.mark.recovery, pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")]

MONTHS = np.arange(0, 25, 4) * 12 / 52
ARMS = {"control": 60, "treated": 60}
_NORMAL = {"mean_level": stats.norm(38, 10), "mean_rate": stats.norm(1, 1)}
DEFAULT = _NORMAL | {
    "sd_level": stats.halfnorm(scale=8), "sd_control": stats.halfnorm(scale=1), "sd_treated": stats.halfnorm(scale=1),
    "sd_residual": stats.lognorm(0.5, scale=np.exp(0.6)), "rate_ratio": stats.lognorm(0.5),
    "hazard": stats.lognorm(1, scale=np.exp(-4.6)),
}  # fmt: skip
HEALEY = _NORMAL | {
    "sd_level": stats.uniform(0, 10), "sd_control": stats.uniform(0, 2), "sd_treated": stats.uniform(0, 2),
    "sd_residual": stats.uniform(0, 4), "rate_ratio": stats.uniform(0, 2), "hazard": stats.gamma(0.01, scale=1),
}  # fmt: skip


def cohort(visits: pd.DataFrame, subjects: pd.DataFrame, **how: object) -> pg.Cohort:
    return pg.Cohort.from_table(
        visits, subjects, time_unit="months", outcomes=["alsfrsr"], arms=list(dict.fromkeys(subjects["arm"])),
        allocation="randomised", provenance="simulated", **how,
    )  # fmt: skip


def without_events(subjects: pd.DataFrame) -> pd.DataFrame:
    return subjects[["subject", "arm", "x"]]


CASES = {
    "deaths": (1, ARMS, {"rate_ratio": {"treated": 0.7}, "dropout_per_month": 0.02}, None, True),
    "small, unequal, the published priors": (
        2, {"control": 30, "treated": 15}, {"hazard": 0.03, "dropout_per_month": 0.05}, "healey", True),
    "nothing known of deaths": (3, ARMS, {"rate_ratio": {"treated": 0.6}}, None, False),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", list(CASES))
def test_posterior_is_that_of_an_independent_program(case: str) -> None:
    """Means and SDs within four combined Monte Carlo errors."""
    seed, arms, truth, preset, events = CASES[case]
    visits, subjects = simulators.als_shared(np.random.default_rng(seed), n_per_arm=arms, months=MONTHS, **truth)
    subjects = subjects if events else without_events(subjects)
    reference = shared_by_scipy.posterior(visits, subjects, DEFAULT if preset is None else HEALEY)
    fit = pg.fit("als_shared", cohort(visits, subjects), priors=preset, draws=4000, random_seed=1)
    assert not fit.problems and fit.settings["engine"] == "marginal"
    found = {name: fit.posterior[name] for name in shared_by_scipy.NAMES if name in fit.posterior}
    found |= {f"sd_{arm}": fit.posterior["sd_rate"].sel(arm=arm) for arm in ("control", "treated")}
    assert set(found) == set(shared_by_scipy.NAMES)
    for name, draws in found.items():
        mean, mean_error, sd, sd_error = reference.moments(name)
        own = draws.to_numpy().ravel()
        n = float(fit.idata["sample_stats"]["importance_ess"].mean()) * fit.posterior.sizes["chain"]
        n = min(n, own.size)
        kurtosis = float(stats.kurtosis(own, fisher=False))
        errors = own.std() / n**0.5, own.std() * ((kurtosis - 1) / 4 / n) ** 0.5
        assert abs(own.mean() - mean) < 4 * np.hypot(mean_error, errors[0]), name
        assert abs(own.std() - sd) < 4 * np.hypot(sd_error, errors[1]), name


@pytest.mark.slow
def test_recovers_ratios_under_deaths_and_drop_out() -> None:
    """Forty trials: one ratio for both, and separate ones where the option says so."""
    truth = {
        "rate_ratio": {"treated": 0.7},
        "hazard": 0.02,
        "hazard_ratio": {"treated": 1.4},
        "dropout_per_month": 0.02,
    }
    cohorts = []
    for k in range(40):
        made = simulators.als_shared(np.random.default_rng([5, k]), n_per_arm=ARMS, months=MONTHS, **truth)
        cohorts.append(cohort(*made))
    for option, wanted in (("separate", {"drr": 0.7, "hazard_ratio": 1.4}),):
        found = pg.fit_many("als_shared", cohorts, options={"mortality": option}, random_seed=1, progressbar=False)
        assert len(found.problems) == 0 and not found.diagnostics["fell_back"].any()
        for name, value in wanted.items():
            ranks = np.array([rank(found.draws[name].isel(data_set=k, active_arm=0), value) for k in range(40)])
            assert_covers(ranks, name, 0.9)
            if name == "drr":  # the prior of the hazard ratio weighs against few deaths
                assert_no_shift(stats.norm.ppf(ranks), name)


@pytest.mark.slow
def test_many_fits_are_the_fits_one_by_one() -> None:
    """Deaths and drop-out differ between trials: summaries of `fit_many` are those of `fit`."""
    cohorts = []
    for k in range(3):
        made = simulators.als_shared(np.random.default_rng([6, k]), n_per_arm={"control": 25, "treated": 30}, months=MONTHS,
                                     rate_ratio={"treated": 0.7}, hazard=0.03, dropout_per_month=0.03)  # fmt: skip
        cohorts.append(cohort(*made))
    many = pg.fit_many("als_shared", cohorts, draws=4000, random_seed=1, progressbar=False)
    assert not many.diagnostics["problem"].any()
    for k, one in enumerate(cohorts):
        own = pg.contrast(pg.fit("als_shared", one, random_seed=1)).draws
        for name in many.draws:
            a, b = own[name].to_numpy(), many.draws[name].isel(data_set=k).to_numpy()
            sd = a.std(axis=(0, 1))
            assert np.all(np.abs(a.mean(axis=(0, 1)) - b.mean(axis=0)) < 0.1 * sd), name
            assert np.all(np.abs(np.log(b.std(axis=0) / sd)) < 0.1), name


@pytest.mark.slow
def test_linked_hazard_agrees_with_nuts() -> None:
    visits, subjects = simulators.als_shared(
        np.random.default_rng(7), n_per_arm={"control": 40, "treated": 40}, months=np.arange(0, 13.0, 3), hazard=0.05,
        hazard_by_rate=1.2, rate_ratio={"treated": 0.8},
    )  # fmt: skip
    made = cohort(visits, subjects)
    options = {"mortality": "linked"}
    marginal, sampled = (pg.fit("als_shared", made, options=options, engine=engine, random_seed=1)
                         for engine in ("marginal", "nuts"))  # fmt: skip
    assert marginal.settings["engine"] == "marginal"
    for name in ("rate_ratio", "hazard", "hazard_by_rate"):
        a, b = (fit.posterior[name].to_numpy().ravel() for fit in (marginal, sampled))
        assert abs(a.mean() - b.mean()) < 0.12 * b.std() and abs(np.log(a.std() / b.std())) < 0.12, name
    low, high = np.quantile(marginal.posterior["hazard_by_rate"], [0.001, 0.999])
    assert low < 1.2 < high
