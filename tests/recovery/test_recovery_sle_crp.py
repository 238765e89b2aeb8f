"""sle_crp against exact posteriors, and against simulated cohorts whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

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
    pinned,
    rank,
)

pytestmark = [pytest.mark.recovery, pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")]

PRIORS = {
    "mean_level": pg.Prior("Normal", mu=0, sigma=1.5),
    "time_course": pg.Prior("Normal", mu=0, sigma=1),
    "level_difference": pg.Prior("Normal", mu=0, sigma=0.5),
    "effect": pg.Prior("Normal", mu=0, sigma=1),
    "sd_patient": pg.Prior("HalfNormal", sigma=1),
    "sd_residual": pg.Prior("HalfNormal", sigma=1),
}
MONTHS = [0, 1, 3]
LIMIT = 0.7


def cohort(table: pd.DataFrame, limit: float | None = None) -> pg.Cohort:
    crp = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=limit)
    return pg.Cohort.from_table(table, time_unit="months", outcomes=[crp], allocation="randomised",
                                arms=list(dict.fromkeys(table["arm"])), provenance="simulated")  # fmt: skip


@pytest.mark.slow
def test_uncensored_posterior_equals_generalised_least_squares() -> None:
    """With both SDs known log CRP is a normal linear model; a free baseline."""
    sd_patient, sd_residual = 1.1, 0.5
    table = simulators.sle_crp(
        np.random.default_rng(8), n_per_arm={"control": 7, "treated": 9}, months=MONTHS, mean_level=0.9,
        time_course=[-0.2, 0.1], effect={"treated": [-0.6, -0.3]}, sd_patient=sd_patient, sd_residual=sd_residual,
    ).drop(index=[4, 11, 20])  # fmt: skip
    priors = PRIORS | {"sd_patient": pinned(sd_patient), "sd_residual": pinned(sd_residual)}
    fit = pg.fit("sle_crp", cohort(table), priors=priors, options={"baseline": "free"}, random_seed=1, **FULL)
    assert not fit.problems
    treated = (table["arm"] == "treated").to_numpy(float)
    at = [(table["time"] == month).to_numpy(float) for month in MONTHS]
    design = np.column_stack([np.ones(len(table)), at[1], at[2], treated, treated * at[1], treated * at[2]])
    same = table["subject"].to_numpy()[:, None] == table["subject"].to_numpy()
    precision = np.linalg.inv(sd_residual**2 * np.eye(len(table)) + sd_patient**2 * same)
    prior = np.diag(1 / np.array([1.5, 1, 1, 0.5, 1, 1]) ** 2)
    covariance = np.linalg.inv(prior + design.T @ precision @ design)
    mean = covariance @ design.T @ precision @ np.log(table["crp_mg_dl"].to_numpy())
    p = fit.posterior
    course, effect = p["time_course"], p["effect"].squeeze("active_arm")
    parts = [p["mean_level"], course[..., 0], course[..., 1], p["level_difference"].squeeze(), effect[..., 0],
             effect[..., 1]]  # fmt: skip
    for i, one in enumerate(parts):
        assert_exact(one, mean[i], covariance[i, i] ** 0.5, f"coefficient {i}")
    ratio = pg.contrast(fit, "crp_ratio").select("crp_ratio", visit=3)
    m, v = mean[5], covariance[5, 5]
    assert_exact(ratio, np.exp(m + v / 2), np.exp(m + v / 2) * np.sqrt(np.exp(v) - 1), "crp_ratio")


@pytest.mark.slow
def test_censored_posterior_equals_integration() -> None:
    """One arm, SDs known, half of it below the limit: the mean level and one visit's effect on a grid, by SciPy."""
    sd_patient, sd_residual = 0.9, 0.6
    table = simulators.sle_crp(np.random.default_rng(9), n_per_arm={"treated": 7}, months=[0, 1], mean_level=0.2,
                               time_course=[-0.7], sd_patient=sd_patient, sd_residual=sd_residual,
                               detection_limit=0.8)  # fmt: skip
    below = table["crp_mg_dl_censored"].to_numpy()
    assert 0.3 < below.mean() < 0.8
    crp = pg.Outcome("crp_mg_dl", positive=True, detection_limit=0.8)
    made = pg.Cohort.from_table(table, time_unit="months", outcomes=[crp], provenance="simulated")
    priors = PRIORS | {"sd_patient": pinned(sd_patient), "sd_residual": pinned(sd_residual)}
    fit = pg.fit("sle_crp", made, priors=priors, random_seed=1, **FULL).with_log_likelihood()
    assert not fit.problems

    log, time = np.log(table["crp_mg_dl"].to_numpy()), table["time"].to_numpy()
    level, course = np.linspace(-3, 3, 121), np.linspace(-4, 2.5, 131)
    z, weight = np.polynomial.hermite_e.hermegauss(40)
    total = stats.norm.logpdf(level, 0, 1.5)[:, None] + stats.norm.logpdf(course)
    for subject in table["subject"].unique():
        own = np.zeros((len(level), len(course), len(z)))
        for row in np.flatnonzero(table["subject"] == subject):
            mu = level[:, None, None] + (time[row] > 0) * course[:, None] + sd_patient * z
            density = stats.norm.logcdf if below[row] else stats.norm.logpdf
            own += density(log[row], mu, sd_residual)
        total += np.log(np.exp(own) @ weight)
    mass = np.exp(total - total.max())
    mass /= mass.sum()
    for draws, values in ((fit.posterior["mean_level"], level[:, None]), (fit.posterior["time_course"], course)):
        mean = float((mass * values).sum())
        assert_exact(draws.squeeze(), mean, float((mass * (values - mean) ** 2).sum()) ** 0.5, str(draws.name))

    at = fit.posterior.isel(chain=2, draw=11)
    rows = made.visits
    mu = at["level"].sel(subject=rows["subject"].to_numpy()).to_numpy() + np.where(
        rows["month"] > 0, float(at["time_course"].squeeze()), 0
    )
    sd, value = float(at["sd_residual"]), rows["crp_mg_dl"].to_numpy()
    exact = np.where(rows["crp_mg_dl_censored"], stats.norm.logcdf(np.log(value), mu, sd),
                     stats.lognorm.logpdf(value, sd, scale=np.exp(mu)))  # fmt: skip
    # PyMC's normal tail holds the root of 2 in single precision: right to eight digits, no better.
    np.testing.assert_allclose(fit.idata["log_likelihood"]["crp"].isel(chain=2, draw=11), exact, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, LIMIT])
def test_calibrated(limit: float | None) -> None:
    """Truths from the priors; with the limit a third of all values on average, from none to nearly all."""
    ranks: dict[str, list[float]] = {}
    for k in range(30):
        rng = np.random.default_rng([1 + bool(limit), k])
        truth = {name: float(draw(rng, PRIORS[name])) for name in ("mean_level", "sd_patient", "sd_residual")}
        course, effect = draw(rng, PRIORS["time_course"], 2), draw(rng, PRIORS["effect"], 2)
        table = simulators.sle_crp(rng, n_per_arm={"control": 20, "treated": 20}, months=MONTHS, time_course=course,
                                   effect={"treated": effect}, detection_limit=limit or 0.0, **truth)  # fmt: skip
        fit = pg.fit("sle_crp", cohort(table, limit), priors=PRIORS, random_seed=k, **QUICK)
        for name, value in truth.items():
            ranks.setdefault(name, []).append(rank(fit.posterior[name], value))
        for j, month in enumerate(MONTHS[1:]):
            ranks.setdefault(f"time_course {month}", []).append(rank(fit.posterior["time_course"][..., j], course[j]))
            found = pg.contrast(fit).select("crp_ratio", visit=month)
            ranks.setdefault(f"crp_ratio {month}", []).append(rank(found, np.exp(effect[j])))
    assert_calibrated(ranks)


@pytest.mark.slow
def test_ratio_is_unbiased_with_two_fifths_censored_where_substitution_is_not() -> None:
    """Flat priors: the question is the likelihood's. Every estimate is set beside one made from the uncensored values."""
    truth = {"mean_level": 0.9, "time_course": [-0.4, -0.4], "sd_patient": 1.4, "sd_residual": 0.7}
    effect, limit, n = -1.0, 1.0, 60
    flat = dict.fromkeys(("mean_level", "time_course", "effect"), pg.Prior("Normal", mu=0, sigma=10))
    flat |= dict.fromkeys(("sd_patient", "sd_residual"), pg.Prior("HalfNormal", sigma=5))
    spread, ranks, share = [], [], []
    errors: dict[str, list[float]] = {"model": [], "limit": [], "half the limit": [], "uncensored": []}
    for k in range(30):
        table = simulators.sle_crp(
            np.random.default_rng([3, k]), n_per_arm={"control": n // 2, "treated": n // 2}, months=MONTHS,
            effect={"treated": [effect, effect]}, **truth,
        )  # fmt: skip
        crp, last = table["crp_mg_dl"], (table["time"] == MONTHS[-1]).to_numpy()
        seen = table.assign(crp_mg_dl=crp.clip(lower=limit), crp_mg_dl_censored=crp < limit)
        share.append(seen["crp_mg_dl_censored"].mean())
        fit = pg.fit("sle_crp", cohort(seen, limit), priors=PRIORS | flat, random_seed=k, **QUICK)
        log_ratio = np.log(pg.contrast(fit).select("crp_ratio", visit=MONTHS[-1]))
        errors["model"].append(float(log_ratio.median()) - effect)
        spread.append(float(log_ratio.std()))
        ranks.append(rank(log_ratio, effect))
        # Plain regression of the last log value on arm and baseline, with a number in place of what was not seen.
        substituted = {
            "uncensored": crp,
            "limit": crp.clip(lower=limit),
            "half the limit": crp.where(crp >= limit, limit / 2),
        }
        for name, values in substituted.items():
            log = np.log(values.to_numpy())
            treated = (table.loc[last, "arm"] == "treated").to_numpy(float)
            design = np.column_stack([np.ones(n), treated, log[(table["time"] == 0).to_numpy()]])
            errors[name].append(np.linalg.lstsq(design, log[last])[0][1] - effect)
    assert 0.35 < np.mean(share) < 0.45
    assert_covers(np.array(ranks), "crp_ratio")
    assert_no_shift(np.array(errors["model"]) / np.array(spread), "crp_ratio")
    assert_unbiased(np.array(errors["model"]), "log crp_ratio")
    assert_unbiased(np.array(errors["uncensored"]), "the regression on uncensored values")
    # The same patients with and without censoring: luck of the draw cancels, and what is left is bias.
    beside = {name: np.array(one) - np.array(errors["uncensored"]) for name, one in errors.items()}
    assert_unbiased(beside["model"], "log crp_ratio beside the uncensored regression")
    for name in ("limit", "half the limit"):
        se = np.std(beside[name], ddof=1) / np.sqrt(len(beside[name]))
        assert np.mean(beside[name]) > 5 * se, f"putting {name} in its place should pull the ratio towards 1"
