"""sle_activity against exact posteriors, against the models of one outcome, and against simulated cohorts whose truth is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import progression as pg
from tests import simulators
from tests.recovery.yardsticks import FULL, QUICK, assert_calibrated, assert_exact, draw, pinned, rank

pytestmark = [pytest.mark.recovery, pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")]

PRIORS = {
    "time_course": pg.Prior("Normal", mu=0, sigma=1),
    "level_difference": pg.Prior("Normal", mu=0, sigma=0.5),
    "effect": pg.Prior("Normal", mu=0, sigma=1),
    "sd_visit": pg.Prior("HalfNormal", sigma=0.5),
    "count_level": pg.Prior("Normal", mu=-1, sigma=1),
    "count_loading": pg.Prior("LogNormal", mu=-0.3, sigma=0.5),
    "sd_count": pg.Prior("HalfNormal", sigma=0.5),
    "overdispersion": pg.Prior("Beta", alpha=1, beta=15),
    "marker_level": pg.Prior("Normal", mu=1, sigma=1.5),
    "marker_loading": pg.Prior("Normal", mu=0, sigma=1),
    "sd_marker": pg.Prior("HalfNormal", sigma=1),
    "sd_residual": pg.Prior("LogNormal", mu=-0.5, sigma=0.5),
}
COUNTS = ("tender_joints", "swollen_joints")
MONTHS = [0, 1, 3]
TRUTH = {
    "time_course": [-0.3, -0.3], "sd_visit": 0.4, "count_level": [-0.5, -1.2], "count_loading": [0.8, 1.0], "sd_count": [0.4, 0.4],
    "overdispersion": [0.05, 0.05], "marker_level": [0.4], "marker_loading": [0.7], "sd_marker": [0.6], "sd_residual": [0.6],
}  # fmt: skip


def cohort(table: pd.DataFrame, limit: float | None = None) -> pg.Cohort:
    crp = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=limit)
    return pg.Cohort.from_table(table, time_unit="months", outcomes=[*COUNTS, crp], allocation="randomised",
                                arms=list(dict.fromkeys(table["arm"])), provenance="simulated")  # fmt: skip


def flaring(table: pd.DataFrame) -> pg.Cohort:
    """With flares among its events; of a trial whose patients leave for nothing else."""
    flares = table.groupby("subject", sort=False)["flare"].first().dropna()
    events = pd.DataFrame({"subject": flares.index, "time": flares.to_numpy(), "kind": "flare"})
    return pg.Cohort.from_table(table.drop(columns="flare"), events=events, time_unit="months", outcomes=[*COUNTS, "crp_mg_dl"],
                                allocation="randomised", arms=["control", "treated"], provenance="simulated")  # fmt: skip


@pytest.mark.slow
def test_where_counts_say_nothing_crp_is_a_normal_linear_model() -> None:
    """All SDs and the loading of CRP known, counts without loading: generalised least squares, in closed form."""
    table = simulators.sle_activity(np.random.default_rng(8), n_per_arm={"control": 7, "treated": 9}, months=MONTHS,
                                    effect={"treated": [-0.6, -0.3]}, **TRUTH | {"count_loading": [1e-3, 1e-3]}).drop(index=[4, 11, 20])  # fmt: skip
    known = {"sd_visit": 0.4, "sd_marker": 0.6, "sd_residual": 0.6, "marker_loading": 0.7, "count_loading": 1e-3}
    priors = PRIORS | {name: pinned(value) for name, value in known.items()}
    fit = pg.fit("sle_activity", cohort(table), priors=priors, options={"baseline": "free"}, random_seed=1, **FULL)
    treated = (table["arm"] == "treated").to_numpy(float)
    at = [(table["time"] == month).to_numpy(float) for month in MONTHS]
    loading = known["marker_loading"]
    moved = np.column_stack([at[1], at[2], treated, treated * at[1], treated * at[2]])
    design = np.column_stack([np.ones(len(table)), loading * moved])
    same = table["subject"].to_numpy()[:, None] == table["subject"].to_numpy()
    own = loading**2 * known["sd_visit"] ** 2 + known["sd_residual"] ** 2
    precision = np.linalg.inv((loading**2 + known["sd_marker"] ** 2) * same + own * np.eye(len(table)))
    spreads = np.array([1.5, 1, 1, 0.5, 1, 1])
    covariance = np.linalg.inv(np.diag(1 / spreads**2) + design.T @ precision @ design)
    mean = covariance @ (
        design.T @ precision @ np.log(table["crp_mg_dl"].to_numpy()) + np.array([1, 0, 0, 0, 0, 0]) / spreads**2
    )
    p = fit.posterior
    course, effect = p["time_course"], p["effect"].squeeze("active_arm")
    parts = [
        p["marker_level"].squeeze(),
        course[..., 0],
        course[..., 1],
        p["level_difference"].squeeze(),
        effect[..., 0],
        effect[..., 1],
    ]
    for i, one in enumerate(parts):
        assert_exact(one, mean[i], covariance[i, i] ** 0.5, f"coefficient {i}")


@pytest.mark.slow
def test_each_row_has_scipys_density() -> None:
    limit = 1.0
    table = simulators.sle_activity(np.random.default_rng(3), n_per_arm={"control": 5, "treated": 5}, months=MONTHS, detection_limit=limit,
                                    effect={"treated": [-0.6, -0.3]}, **TRUTH)  # fmt: skip
    fit = pg.fit("sle_activity", cohort(table, limit), random_seed=1, **QUICK).with_log_likelihood()
    rows, at = fit.cohort.visits, fit.posterior.isel(chain=1, draw=7)
    subject, visit = rows["subject"].to_numpy(), np.searchsorted(MONTHS, rows["month"].to_numpy())
    spec = {name: np.atleast_1d(at[name].to_numpy())
            for name in ("count_level", "count_loading", "overdispersion", "marker_level", "marker_loading", "sd_residual")}  # fmt: skip
    activity = at["activity"].sel(subject=subject).to_numpy()[np.arange(len(rows)), visit]
    own = at["own_count"].sel(subject=subject).to_numpy()
    exact = []
    for k, name in enumerate(COUNTS):
        p = 1 / (1 + np.exp(-(spec["count_level"][k] + own[:, k] + spec["count_loading"][k] * activity)))
        c = (1 - spec["overdispersion"][k]) / (spec["overdispersion"][k] + 1e-4)
        exact.append(stats.betabinom.logpmf(rows[name].to_numpy(), 28, p * c, (1 - p) * c))
    np.testing.assert_allclose(
        fit.idata["log_likelihood"]["counts"].isel(chain=1, draw=7), np.concatenate(exact), rtol=1e-6
    )
    mu = (
        spec["marker_level"][0]
        + at["own_marker"].sel(subject=subject).to_numpy()[:, 0]
        + spec["marker_loading"][0] * activity
    )
    sd, value = spec["sd_residual"][0], rows["crp_mg_dl"].to_numpy()
    below = rows["crp_mg_dl_censored"].to_numpy(bool)
    assert 0.1 < below.mean() < 0.9
    exact = [
        np.where(below, stats.norm.logcdf(np.log(value), mu, sd), stats.lognorm.logpdf(value, sd, scale=np.exp(mu)))
    ]
    np.testing.assert_allclose(fit.idata["log_likelihood"]["markers"].isel(chain=1, draw=7), exact[0], rtol=1e-6)


@pytest.mark.slow
def test_each_interval_has_scipys_density() -> None:
    """Of a flare: exponential, at the hazard of the mean activity of the two visits around it; of none, its survival."""
    table = simulators.sle_activity(np.random.default_rng(6), n_per_arm={"control": 8, "treated": 8}, months=MONTHS,
                                    effect={"treated": [-0.6, -0.3]}, flare_hazard=0.2, flare_loading=1.0, **TRUTH)  # fmt: skip
    fit = pg.fit(
        "sle_activity", flaring(table), options={"flare": "shared"}, random_seed=1, **QUICK
    ).with_log_likelihood()
    at = fit.posterior.isel(chain=0, draw=11)
    flares, last = (table.groupby("subject", sort=False)[name].max() for name in ("flare", "time"))
    exact = []
    for subject in flares.index:
        activity = at["activity"].sel(subject=subject).to_numpy()
        for k, (begin, end) in enumerate(pairwise(MONTHS)):
            if last[subject] < begin or flares[subject] < begin:
                continue
            rate = float(
                at["flare_hazard"].item() * np.exp(at["flare_loading"].item() * (activity[k] + activity[k + 1]) / 2)
            )
            own = stats.expon(scale=1 / rate)
            exact.append(own.logpdf(flares[subject] - begin) if flares[subject] <= end else own.logsf(end - begin))
    assert 2 < flares.notna().sum() < 14
    np.testing.assert_allclose(fit.idata["log_likelihood"]["flare"].isel(chain=0, draw=11), exact, rtol=1e-6)


@pytest.mark.slow
def test_agrees_with_the_models_of_one_outcome_where_nothing_is_shared() -> None:
    """Without departures and with many patients the ratios are those of `sle_joints` and `sle_crp`, and sharing narrows them."""
    table = simulators.sle_activity(np.random.default_rng(21), n_per_arm={"control": 50, "treated": 50}, months=MONTHS,
                                    effect={"treated": [-0.5, -0.8]}, **TRUTH)  # fmt: skip
    one, how = cohort(table), {"random_seed": 1, **QUICK}
    joint, joints, crp = (pg.contrast(pg.fit(name, one, **how)) for name in ("sle_activity", "sle_joints", "sle_crp"))
    for month in MONTHS[1:]:
        for outcome in COUNTS:
            together = np.log(joint.select("count_ratio", visit=month, outcome=outcome))
            alone = np.log(joints.select("count_ratio", visit=month, outcome=outcome))
            assert abs(float(together.mean() - alone.mean())) < 2.5 * float(alone.std())
            assert float(together.std()) < float(alone.std())
        together, alone = np.log(joint.select("crp_ratio", visit=month)), np.log(crp.select("crp_ratio", visit=month))
        assert abs(float(together.mean() - alone.mean())) < 2.5 * float(alone.std())
        assert float(together.std()) < float(alone.std())


@pytest.mark.evidence
def test_calibrated() -> None:
    """Minutes, hence no part of CI, which reads tests/evidence/activity.json instead. Truths from the priors; one CRP value in five or so below a limit."""
    ranks: dict[str, list[float]] = {}
    for k in range(20):
        rng = np.random.default_rng([5, k])
        two = ("count_level", "count_loading", "sd_count", "overdispersion")
        one = ("marker_level", "marker_loading", "sd_marker", "sd_residual")
        truth = {name: draw(rng, PRIORS[name], 2) for name in two} | {name: draw(rng, PRIORS[name], 1) for name in one}
        truth |= {"sd_visit": float(draw(rng, PRIORS["sd_visit"])), "time_course": draw(rng, PRIORS["time_course"], 2)}
        effect = draw(rng, PRIORS["effect"], 2)
        table = simulators.sle_activity(rng, n_per_arm={"control": 20, "treated": 20}, months=MONTHS, detection_limit=0.7,
                                        effect={"treated": list(effect)}, **truth)  # fmt: skip
        fit = pg.fit("sle_activity", cohort(table, 0.7), priors=PRIORS, random_seed=k, **QUICK)
        p = fit.posterior
        ranks.setdefault("sd_visit", []).append(rank(p["sd_visit"], truth["sd_visit"]))
        for name in (*two, *one):
            ranks.setdefault(name, []).append(rank(p[name][..., 0], truth[name][0]))
        for j, month in enumerate(MONTHS[1:]):
            ranks.setdefault(f"time_course {month}", []).append(rank(p["time_course"][..., j], truth["time_course"][j]))
            found = pg.contrast(fit, "activity_effect").select(visit=month)
            ranks.setdefault(f"activity_effect {month}", []).append(rank(found, effect[j]))
    assert_calibrated(ranks)


@pytest.mark.evidence
def test_flares_are_calibrated() -> None:
    """The hazard, its loading and what they do to the course, truths from the priors, patients who flare seen no more."""
    ranks: dict[str, list[float]] = {}
    hazards = {
        "flare_hazard": pg.Prior("LogNormal", mu=-2, sigma=0.5),
        "flare_loading": pg.Prior("LogNormal", mu=-0.3, sigma=0.5),
    }
    for k in range(20):
        rng = np.random.default_rng([9, k])
        effect, course = draw(rng, PRIORS["effect"], 2), draw(rng, PRIORS["time_course"], 2)
        truth = TRUTH | {"time_course": course, "sd_visit": float(draw(rng, PRIORS["sd_visit"]))}
        known = {name: float(draw(rng, prior)) for name, prior in hazards.items()}
        table = simulators.sle_activity(rng, n_per_arm={"control": 25, "treated": 25}, months=MONTHS, effect={"treated": list(effect)},
                                        **known, **truth)  # fmt: skip
        p = pg.fit(
            "sle_activity", flaring(table), priors=hazards, options={"flare": "shared"}, random_seed=k, **QUICK
        ).posterior
        for name in hazards:
            ranks.setdefault(name, []).append(rank(p[name][..., 0], known[name]))
        for j, month in enumerate(MONTHS[1:]):
            ranks.setdefault(f"time_course {month}", []).append(rank(p["time_course"][..., j], course[j]))
            ranks.setdefault(f"effect {month}", []).append(rank(p["effect"][..., 0, j], effect[j]))
        ranks.setdefault("sd_visit", []).append(rank(p["sd_visit"], truth["sd_visit"]))
    assert_calibrated(ranks)
