"""sle_joints against exact posteriors, and against simulated cohorts whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import progression as pg
from tests import simulators
from tests.recovery.yardsticks import (
    FULL,
    QUICK,
    assert_calibrated,
    assert_covers,
    assert_exact,
    assert_no_shift,
    assert_unbiased,
    draw,
    rank,
)

pytestmark = [pytest.mark.recovery, pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")]

PRIORS = {
    "mean_level": pg.Prior("Normal", mu=-1, sigma=1),
    "time_course": pg.Prior("Normal", mu=0, sigma=1),
    "level_difference": pg.Prior("Normal", mu=0, sigma=0.5),
    "effect": pg.Prior("Normal", mu=0, sigma=1),
    "sd_patient": pg.Prior("HalfNormal", sigma=1),
    "overdispersion": pg.Prior("Beta", alpha=1, beta=15),
}
OUTCOMES = ["tender_joints", "swollen_joints"]


def cohort(table: pd.DataFrame) -> pg.Cohort:
    return pg.Cohort.from_table(table, time_unit="months", outcomes=OUTCOMES, provenance="simulated",
                                arms=list(dict.fromkeys(table["arm"])),
                                allocation="randomised" if table["arm"].nunique() > 1 else "single arm")  # fmt: skip


def log_pmf(k: np.ndarray, n: int, share: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Beta-binomial: choose(n, k) B(k + p c, n - k + (1 - p) c) / B(p c, (1 - p) c), c = (1 - rho)/rho."""
    c = (1 - rho) / rho
    a, b = share * c, (1 - share) * c
    choose = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return choose + special.betaln(k + a, n - k + b) - special.betaln(a, b)


def test_log_pmf_is_scipys() -> None:
    k = np.arange(29)
    np.testing.assert_allclose(
        log_pmf(k, 28, np.float64(0.3), np.float64(0.2)), stats.betabinom.logpmf(k, 28, 1.2, 2.8)
    )


def moments(mass: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    mean = float((mass * values).sum())
    return mean, float((mass * (values - mean) ** 2).sum()) ** 0.5


@pytest.mark.slow
def test_posterior_equals_a_grid_without_differences_between_patients() -> None:
    """Two arms, two visits, six patients, patients' SD pinned near 0: four parameters an outcome, by brute force."""
    table = simulators.sle_joints(
        np.random.default_rng(3), n_per_arm={"control": 3, "treated": 3}, months=[0, 3], mean_level=[-0.8, -1.2],
        time_course=np.array([[-0.3, 0.0]]), effect={"treated": np.array([[-0.7, -0.4]])}, sd_patient=[0.0, 0.0],
        overdispersion=[0.08, 0.05],
    )  # fmt: skip
    priors = PRIORS | {"sd_patient": pg.Prior("Uniform", lower=0.001, upper=0.0011)}
    fit = pg.fit("sle_joints", cohort(table), priors=priors, random_seed=1, **FULL).with_log_likelihood()
    assert not fit.problems

    level, course, effect = np.linspace(-3, 1, 41), np.linspace(-3, 3, 41), np.linspace(-4, 3.2, 41)
    node, weight = np.polynomial.legendre.leggauss(24)
    rho = 0.3 * (node + 1)  # Beta(1, 15) leaves nothing above 0.6 beside these data
    a, b, c, d = (axis.reshape([-1 if i == j else 1 for j in range(4)])
                  for i, axis in enumerate((level, course, effect, rho)))  # fmt: skip
    prior = stats.norm.logpdf(a, -1, 1) + stats.norm.logpdf(b) + stats.norm.logpdf(c) + stats.beta.logpdf(d, 1, 15)
    contrast = pg.contrast(fit)
    for name in OUTCOMES:
        total = prior + np.log(weight)
        later, treated = table["time"] > 0, table["arm"] == "treated"
        for rows, logit in ((~later, a), (later & ~treated, a + b), (later & treated, a + b + c)):
            for k in table.loc[rows, name]:
                total = total + log_pmf(k, 28, special.expit(logit), d)
        mass = np.exp(total - total.max())
        mass /= mass.sum()
        for edge in (mass[0].sum(), mass[-1].sum(), mass[:, 0].sum(), mass[:, -1].sum(), mass[:, :, 0].sum(),
                     mass[:, :, -1].sum(), mass[..., -1].sum()):  # fmt: skip
            assert edge < 1e-4  # the grid holds the posterior
        own = fit.posterior.sel(outcome=name).squeeze()
        for draws, values in ((own["mean_level"], a), (own["time_course"], b), (own["effect"], c), (own["overdispersion"], d),
                              (contrast.select("count_ratio", outcome=name), special.expit(a + b + c) / special.expit(a + b))):  # fmt: skip
            assert_exact(draws, *moments(mass, values), f"{name} {draws.name}")

    at = fit.posterior.isel(chain=1, draw=5)
    data = fit.encoded().arrays
    share = np.array([
        special.expit(float(at["level"][s, o]) + (m > 0) * (float(at["time_course"].squeeze()[o])
                      + (fit.cohort.subjects["arm"].iloc[s] == "treated") * float(at["effect"].squeeze()[o])))
        for s, m, o in zip(data["joints_subject"][1], data["joints_month"][1], data["joints_outcome"][1], strict=True)
    ])  # fmt: skip
    rho = at["overdispersion"].to_numpy()[data["joints_outcome"][1]]
    exact = log_pmf(data["joints_value"][1], 28, share, rho)
    # The program adds 0.0001 to the denominator of the concentration, hence not to the last digit.
    np.testing.assert_allclose(fit.idata["log_likelihood"]["joints"].isel(chain=1, draw=5), exact, atol=0.02)


@pytest.mark.slow
def test_posterior_equals_a_grid_with_differences_between_patients() -> None:
    """One arm of eight patients, SD 0.8: patients integrated out by quadrature, three parameters by brute force."""
    sd = 0.8
    table = simulators.sle_joints(
        np.random.default_rng(4), n_per_arm={"treated": 8}, months=[0, 3], mean_level=[-0.8, -1.2],
        time_course=np.array([[-0.8, -0.5]]), sd_patient=[sd, sd], overdispersion=[0.05, 0.03],
    )  # fmt: skip
    priors = PRIORS | {"sd_patient": pg.Prior("Uniform", lower=sd - 1e-4, upper=sd + 1e-4)}
    fit = pg.fit("sle_joints", cohort(table), priors=priors, random_seed=1, **FULL)
    assert not fit.problems
    level, course = np.linspace(-3.5, 1.5, 31), np.linspace(-3, 2, 31)
    node, weight = np.polynomial.legendre.leggauss(20)
    rho = 0.25 * (node + 1)
    z, w = np.polynomial.hermite_e.hermegauss(24)
    w = w / w.sum()
    a, b, d, e = (axis.reshape([-1 if i == j else 1 for j in range(4)])
                  for i, axis in enumerate((level, course, rho, z)))  # fmt: skip
    prior = (stats.norm.logpdf(a, -1, 1) + stats.norm.logpdf(b) + stats.beta.logpdf(d, 1, 15))[..., 0] + np.log(weight)
    ratio = (special.expit(a + b + sd * e) @ w) / (special.expit(a + 0 * b + sd * e) @ w)
    contrast = pg.contrast(fit)
    for name in OUTCOMES:
        total = prior
        for _, own in table.groupby("subject"):
            rows = sum(log_pmf(k, 28, special.expit(a + (m > 0) * b + sd * e), d)
                       for k, m in zip(own[name], own["time"], strict=True))  # fmt: skip
            total = total + np.log(np.exp(rows) @ w)
        mass = np.exp(total - total.max())
        mass /= mass.sum()
        found = fit.posterior.sel(outcome=name).squeeze()
        for draws, values in ((found["mean_level"], a[..., 0]), (found["time_course"], b[..., 0]),
                              (found["overdispersion"], d[..., 0]),
                              (contrast.select("count_ratio_to_baseline", outcome=name), ratio)):  # fmt: skip
            assert_exact(draws, *moments(mass, values), f"{name} {draws.name}")


@pytest.mark.slow
def test_calibrated() -> None:
    """Truths from the priors, two visits, both outcomes of each cohort counted."""
    ranks: dict[str, list[float]] = {}
    for k in range(20):
        rng = np.random.default_rng([1, k])
        truth = {name: draw(rng, PRIORS[name], 2) for name in ("mean_level", "sd_patient", "overdispersion")}
        course, effect = draw(rng, PRIORS["time_course"], (1, 2)), draw(rng, PRIORS["effect"], (1, 2))
        table = simulators.sle_joints(rng, n_per_arm={"control": 16, "treated": 16}, months=[0, 3], time_course=course,
                                      effect={"treated": effect}, **truth)  # fmt: skip
        fit = pg.fit("sle_joints", cohort(table), priors=PRIORS, random_seed=k, **QUICK)
        found = pg.contrast(fit)
        for o, name in enumerate(OUTCOMES):
            for parameter, values in {**truth, "time_course": course[0], "effect": effect[0]}.items():
                own = fit.posterior[parameter].sel(outcome=name).squeeze()
                ranks.setdefault(parameter, []).append(rank(own, values[o]))
            later = truth["mean_level"][o] + course[0, o]
            sd = truth["sd_patient"][o]
            ratio = simulators.mean_share(later + effect[0, o], sd) / simulators.mean_share(later, sd)
            ranks.setdefault("count_ratio", []).append(rank(found.select("count_ratio", outcome=name), ratio))
    assert_calibrated(ranks)


@pytest.mark.slow
def test_overdispersion_and_the_ratio_near_the_bound() -> None:
    """Four in five joints active: the ratio of means is far from exp(effect). Tender 0.15, swollen 0.03 overdispersed."""
    truth = {"mean_level": [1.5, 1.5], "sd_patient": [1.0, 1.0], "overdispersion": [0.15, 0.03]}
    course, effect = np.array([[0.2, 0.2]]), np.array([[-1.0, -1.0]])
    exact = simulators.mean_share(0.7, 1.0) / simulators.mean_share(1.7, 1.0)
    ratios, error_of_ratio, rho_ranks, rho_z = [], [], ([], []), ([], [])
    for k in range(15):
        table = simulators.sle_joints(np.random.default_rng([2, k]), n_per_arm={"control": 28, "treated": 28},
                                      months=[0, 3], time_course=course, effect={"treated": effect}, **truth)  # fmt: skip
        fit = pg.fit("sle_joints", cohort(table), priors=PRIORS, random_seed=k, **QUICK)
        found = pg.contrast(fit)
        for o, name in enumerate(OUTCOMES):
            ratio = found.select("count_ratio", outcome=name)
            ratios.append(rank(ratio, exact))
            error_of_ratio.append(float(ratio.median()) - exact)
            rho = fit.posterior["overdispersion"].sel(outcome=name)
            rho_ranks[o].append(rank(rho, truth["overdispersion"][o]))
            rho_z[o].append((float(rho.median()) - truth["overdispersion"][o]) / float(rho.std()))
    assert exact > 1.8 * np.exp(-1.0)
    assert_covers(np.array(ratios), "count_ratio")
    assert_unbiased(np.array(error_of_ratio), "count_ratio")
    for o, name in enumerate(OUTCOMES):
        assert_covers(np.array(rho_ranks[o]), f"overdispersion of {name}")
        assert_no_shift(np.array(rho_z[o]), f"overdispersion of {name}")
