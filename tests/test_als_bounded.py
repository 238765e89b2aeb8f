"""als_bounded against integrals and sums written from the equations alone, and what it refuses."""

from functools import cache

import arviz_stats as azs
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import progression as pg
from progression.encoding import encode
from progression.engines.integration import put
from progression.engines.prepared import prepare
from progression.modeling import Facts
from tests import simulators

SEVERE = {"mean_level": -1.25, "sd_level": 1.2, "mean_slope": -0.3, "sd_slope": 0.15, "correlation": 0.2}
MILD = {"mean_level": 1.4, "sd_level": 0.7, "mean_slope": -0.13, "sd_slope": 0.1, "correlation": 0.1}
FRS = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)


def cohort(table, **facts):
    how = {"outcomes": [FRS], "arms": list(dict.fromkeys(table["arm"])), "provenance": "simulated",
           "allocation": "randomised" if table["arm"].nunique() > 1 else "single arm", "covariates": ["x0"]}  # fmt: skip
    return pg.Cohort.from_table(table, time_unit="months", **(how | facts))


def simulated(truth, n, seed=1, months=(0, 2, 4, 6, 8, 10, 12), **more):
    rng = np.random.default_rng(seed)
    made = {"overdispersion": 0.02} | more
    table = simulators.als_bounded(rng, n_per_arm={"control": n, "treated": n}, months=months, **truth, **made)
    return cohort(table)


@cache
def severe_trial():
    return simulated(SEVERE, 60, slope_effect={"treated": 0.12})


# ---- the program against its equations ---------------------------------------------------------------------------


def log_pmf(k, share, rho):
    c = (1 - rho) / (rho + 1e-4)  # the program's floor
    return stats.betabinom.logpmf(k, 48, share * c, (1 - share) * c)


def own_integral(visits, on, x, p):
    """log of the integral over a patient's level and slope, by a sum over a grid of both: nothing of the package."""
    z = np.linspace(-7, 7, 281)
    step = np.log(z[1] - z[0])
    slope_mean = p["mean_slope"] + on * p["slope_effect"] + x * p["slope_coefficient"]
    level_mean = p["mean_level"] + on * p["level_difference"] + x * p["level_coefficient"]
    level = level_mean + p["sd_level"] * z[:, None]
    slope = slope_mean + p["sd_slope"] * (p["correlation"] * z[:, None] + np.sqrt(1 - p["correlation"] ** 2) * z)
    total = stats.norm.logpdf(z)[:, None] + stats.norm.logpdf(z) + 2 * step
    for month, k in zip(visits["month"], visits["alsfrsr"], strict=True):
        latent = level + slope * month - on * p["slope_effect"] * min(month, 0)
        total = total + log_pmf(k, special.expit(latent), p["overdispersion"])
    return special.logsumexp(total)


def constrained(inner, x):
    """Parameters from a place on the unconstrained scale: PyMC's log, logit and interval transforms, written out."""
    back = {
        "sd_level": np.exp,
        "sd_slope": np.exp,
        "overdispersion": special.expit,
        "correlation": lambda v: 2 * special.expit(v) - 1,
    }
    return {
        name: float(np.squeeze(back.get(name, lambda v: v)(piece[0])))
        for name, piece in inner.x.pieces(x[None]).items()
    }


@pytest.mark.parametrize(
    "truth", [pytest.param(MILD, id="mild", marks=pytest.mark.slow), pytest.param(SEVERE, id="severe")]
)
def test_each_patients_likelihood_is_the_integral_over_level_and_slope(truth):
    """A screening visit, a covariate, and a baseline for each arm."""
    table = simulators.als_bounded(
        np.random.default_rng(7), n_per_arm={"control": 4, "treated": 4}, months=[-1, 0, 2, 6], overdispersion=0.03,
        slope_effect={"treated": 0.1}, level_difference={"treated": 0.3}, level_coefficient=0.2, slope_coefficient=0.05, **truth,
    )  # fmt: skip
    one, model = cohort(table), pg.models()["als_bounded"]
    encoded = encode(model, one, options={"covariates": ["x0"], "baseline": "free"}).unpadded()
    program = prepare(model, encoded, model.priors)
    inner = program.integral()
    put(inner, program, encoded)
    rng, at = np.random.default_rng(3), {}
    start = {"mean_level": truth["mean_level"], "mean_slope": truth["mean_slope"], "sd_level": np.log(truth["sd_level"]),
             "sd_slope": np.log(truth["sd_slope"]), "overdispersion": -3.5}  # fmt: skip
    for name, piece in inner.x.pieces(np.zeros((1, inner.x.size))).items():
        at[name] = np.full(piece[0].size, start.get(name, 0.0))
    centre = np.concatenate([at[name] for name in inner.x.names])
    points = centre + 0.05 * rng.normal(size=(3, inner.x.size))
    inner.refer(centre)
    found = inner.by_subject(points, order=19)
    treated = (one.subjects["arm"] == "treated").to_numpy(float)
    for x, row in zip(points, found, strict=True):
        p = constrained(inner, x)
        for i, subject in enumerate(one.subjects.index):
            own = one.visits[one.visits["subject"] == subject]
            covariate = float(one.subjects["x0"].iloc[i])  # -1 and 1 equally often: standardised as it is
            assert row[i] == pytest.approx(own_integral(own, treated[i], covariate, p), abs=2e-5)


@pytest.mark.slow
def test_engines_agree(real_fit):
    """Both engines on one trial with a quarter of its scores at the floor, within four Monte Carlo errors."""
    trial = simulated(SEVERE, 12, seed=3, months=(0, 4, 8, 12), slope_effect={"treated": 0.1})
    assert 0.15 < (trial.visits["alsfrsr"] == 0).mean() < 0.4
    fits = {engine: real_fit("als_bounded", trial, engine=engine, **({"cores": 2} if engine == "nuts" else {}))
            for engine in ("nuts", "marginal")}  # fmt: skip
    assert all(fit.settings["engine"] == engine and not fit.problems for engine, fit in fits.items())
    found = {engine: pg.contrast(fit, month=12).components() for engine, fit in fits.items()}
    for name, draws in found["nuts"].items():
        a, b = draws.reset_coords(drop=True), found["marginal"][name].reset_coords(drop=True)
        # The marginal engine's points are fewer than its draws: its own account of them, not the chains' autocorrelation.
        points = float(fits["marginal"].idata["sample_stats"]["importance_ess"].isel(draw=0).sum())
        sd = float(a.std())
        error = np.hypot(float(azs.mcse(a, method="mean")), sd / np.sqrt(min(points, b.size)))
        assert abs(float(a.mean() - b.mean())) < 4 * error, name
        assert abs(np.log(float(b.std()) / sd)) < 4 * error / sd, name


# ---- estimands ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_effects_are_averages_over_level_and_slope():
    """Against sums over a grid of level and slope, by arm, baseline and covariate: what the cohort's patients are."""
    table = simulators.als_bounded(np.random.default_rng(2), n_per_arm={"control": 6, "treated": 4}, months=[0, 3],
                                   overdispersion=0.02, **SEVERE)  # fmt: skip
    implied = pg.prior_check("als_bounded", cohort(table), draws=3, random_seed=5,
                             options={"covariates": ["x0"], "baseline": "free"}).fit  # fmt: skip
    facts = Facts(implied.cohort, implied.idata["constant_data"].to_dataset(), implied.options)
    model, month = implied.model, 9.0
    found = {
        one.name: one.compute(implied.posterior, facts, **({"month": month} if one.at else {}))
        for one in model.estimands
    }
    for draw in range(3):
        p = {name: float(np.squeeze(implied.posterior[name].isel(chain=0, draw=draw))) for name in model.priors}
        at = {"start": 0.0, "control": 0.0, "treated": 0.0}
        for arm, share in (("control", 0.6), ("treated", 0.4)):
            for x in (-1, 1):
                own = {"mean_level": p["mean_level"] + (arm == "treated") * p["level_difference"] + x * p["level_coefficient"],
                       "sd_level": p["sd_level"], "sd_slope": p["sd_slope"], "correlation": p["correlation"]}  # fmt: skip
                for when, m, on in (("start", 0.0, 0), ("control", month, 0), ("treated", month, 1)):
                    slope = p["mean_slope"] + x * p["slope_coefficient"] + on * p["slope_effect"]
                    at[when] += share / 2 * simulators.mean_bounded_score(m, mean_slope=slope, **own)
        of = {name: np.squeeze(draws.isel(chain=0, draw=draw)) for name, draws in found.items()}
        close = {"abs": 2e-3}
        assert float(of["change_difference"]) == pytest.approx(at["treated"] - at["control"], **close)
        assert float(of["slope_difference"]) == pytest.approx((at["treated"] - at["control"]) / month, **close)
        assert float(of["change"].sel(arm="treated")) == pytest.approx(at["treated"] - at["start"], **close)
        assert float(of["slope"].sel(arm="control")) == pytest.approx((at["control"] - at["start"]) / month, **close)
        typical = [48 * special.expit(p["mean_level"] + (p["mean_slope"] + e) * month) for e in (p["slope_effect"], 0)]
        assert float(of["typical_slope_difference"]) == pytest.approx((typical[0] - typical[1]) / month, abs=1e-10)
        assert float(of["latent_slope_difference"]) == p["slope_effect"]


def test_arms_are_standardised_to_the_same_patients(fake_fit):
    """Arms with baselines of their own: their slopes differ by the contrast, as both are of all the cohort's patients."""
    found = pg.contrast(fake_fit("als_bounded", severe_trial(), options={"baseline": "free"}), month=12)
    by_arm = found.draws["slope"]
    difference = by_arm.sel(arm="treated", drop=True) - by_arm.sel(arm="control", drop=True)
    np.testing.assert_allclose(difference, found.draws["slope_difference"].isel(active_arm=0, drop=True), atol=1e-12)


def test_priors_imply_plausible_slopes():
    """Before any data: about -1 point/month in controls, give or take 1, and scores over the whole scale."""
    implied = pg.prior_check("als_bounded", simulated(MILD, 30, months=(0, 3, 6)), draws=1000, random_seed=1)
    slope = pg.contrast(implied.fit, "slope", month=6).draws["slope"].sel(arm="control")
    assert -1.3 < float(slope.median()) < -0.4 and 0.5 < float(slope.std()) < 1.3
    effect = pg.contrast(implied.fit, "slope_difference", month=6).draws["slope_difference"]
    assert abs(float(effect.mean())) < 0.1 and 0.2 < float(effect.std()) < 0.8
    assert implied.predictive["score"].min() == 0 and implied.predictive["score"].max() == 48


# ---- the acceptance: a floor -----------------------------------------------------------------------------------------


def floor_row(found):
    rows = found.table[found.table["statistic"] == "share at the floor"]
    assert len(rows) == 2
    return rows


def test_the_gaussian_model_fails_its_predictive_check_at_the_floor():
    trial = severe_trial()
    assert 0.2 < (trial.visits["alsfrsr"] == 0).mean() < 0.35
    found = pg.check(pg.fit("als_slope", trial, random_seed=1, progressbar=False), draws=400, random_seed=1)
    assert not found.passed and not floor_row(found)["ok"].any()
    assert any("share at the floor" in problem for problem in found.problems)


@pytest.mark.slow
def test_the_bounded_model_passes_it_and_finds_the_effect(real_fit):
    fit = real_fit("als_bounded", severe_trial())
    found = pg.check(fit, draws=400, random_seed=1)
    assert found.passed, found.problems
    assert floor_row(found)["ok"].all()
    true = (
        simulators.mean_bounded_score(12, **(SEVERE | {"mean_slope": -0.18}))
        - simulators.mean_bounded_score(12, **SEVERE)
    ) / 12
    draws = pg.contrast(fit, month=12).select("slope_difference", arm="treated")
    assert abs(float(draws.mean()) - true) < 3 * float(draws.std()) and float(draws.std()) < true / 2


# ---- what is refused -------------------------------------------------------------------------------------------------


def rows(values, **facts):
    table = pd.DataFrame({"subject": ["A", "A", "B", "B"], "arm": "treated", "time": [0, 1, 0, 1], "alsfrsr": values})
    return cohort(table, covariates=[], **facts)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: pg.datasets.simulated_als(), r"not a whole number.*round\(\)\.clip\(0, 48\)"),
        (lambda: rows([40, 38.5, 30, 28]), r"subject 'A', value '38.5 at month 1'.*not a whole number"),
        (lambda: rows([40, 38, 30, 53]), r"outside 0 to 48"),
        (lambda: rows([40, 38, -1, 20]), r"outside 0 to 48"),
        (lambda: rows([40, 38.5, 30, 28], provenance="observed", averaged=["alsfrsr"]), r"not a whole number.*round"),
        (lambda: rows([40, 38.5, 30, 28], outcomes=["alsfrsr"]), r"not a whole number"),
        (lambda: rows([40, 38, 30, 28], outcomes=[pg.Outcome("alsfrsr", lower=0, upper=40)]), r"declared on 0 to 40.*0 to 48"),
        (lambda: rows([40, 38, 30, 28], outcomes=[pg.Outcome("alsfrsr", lower=1)]), r"declared on 1 to 48"),
    ],
)  # fmt: skip
def test_a_score_that_is_not_whole_points_of_0_to_48_is_refused(made, words):
    with pytest.raises(pg.CohortError, match=f"(?s){words}"):
        pg.fit("als_bounded", made(), progressbar=False)


def test_the_way_out_of_the_refusal_works():
    trial = pg.datasets.simulated_als(n=(4, 4))
    table = trial.visits.rename(columns={"month": "time"})
    table["alsfrsr"] = table["alsfrsr"].round().clip(0, 48)
    again = pg.Cohort.from_table(table, trial.subjects.reset_index(), time_unit="months", outcomes=[FRS], provenance="simulated",
                                 allocation="randomised", arms=["control", "treated"])  # fmt: skip
    assert (encode(pg.models()["als_bounded"], again).arrays["score_upper"][1] == 48).all()


@pytest.mark.slow
def test_all_faults_at_once_and_in_many_data_sets():
    with pytest.raises(pg.CohortError) as caught:
        pg.fit("als_bounded", rows([40, 38.5, 50, -2]), progressbar=False)
    assert {fault.subject for fault in caught.value.faults} == {"A", "B"} and len(caught.value.faults) == 3
    design = rows([40, 38, 30, 28])
    values = np.array([[40, 38, 30, 28], [40, 38.5, 30, np.nan], [40, 49, 30, 28]])
    with pytest.raises(pg.CohortError, match=r"(?s)data set 2: outside 0 to 48.*data set 1: not a whole number"):
        pg.fit_many("als_bounded", pg.Replicates(design, {"alsfrsr": values}), progressbar=False)
