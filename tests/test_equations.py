"""Draws from the priors against the equations of each model: no fit. What is wrong in a program shows here in a second or two."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special, stats

import progression as pg
from progression.encoding import encode
from progression.engines import forward
from progression.modeling import Facts
from tests import simulators
from tests.recovery.yardsticks import pinned

COUNTS = ("tender_joints", "swollen_joints")
MONTHS = (0.0, 1.0, 3.0)
TRUTH = {
    "time_course": [0.3, 0.6], "sd_visit": 0.5, "count_level": [-0.5, -1.2], "count_loading": [0.8, 1.0], "sd_count": [0.4, 0.4],
    "overdispersion": [0.05, 0.05], "marker_level": [0.4], "marker_loading": [0.7], "sd_marker": [0.6], "sd_residual": [0.6],
}  # fmt: skip


def lupus(n, seed=3, months=MONTHS, **more):
    """Patients in no order of their arms, with values below a limit, of whom some flare; 66 joints assessed."""
    table = simulators.sle_activity(np.random.default_rng(seed), n_per_arm={"control": n, "treated": n}, months=months, joints=66,
                                    detection_limit=1.0, flare_hazard=0.1, flare_loading=0.7, **TRUTH | more)  # fmt: skip
    flares = table.groupby("subject")["flare"].first().dropna()
    events = pd.DataFrame({"subject": flares.index, "time": flares.to_numpy(), "kind": "flare"})
    crp = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=1.0)
    return pg.Cohort.from_table(table.drop(columns="flare"), events=events, time_unit="months", outcomes=[*COUNTS, crp],
                                allocation="randomised", arms=["control", "treated"], provenance="simulated")  # fmt: skip


def drawn(model, cohort, draws, **how):
    """Parameters drawn from the priors, as a fit."""
    return pg.prior_check(model, cohort, draws=draws, random_seed=5, **how).fit


def densities(fit, draw):
    """The program's own log likelihood by row, parameters of one draw, and whether each subject is treated."""
    found = forward.log_likelihood(fit.model, fit.encoded(), fit.priors, fit.posterior)
    at = {name: one.isel(chain=0, draw=draw).to_numpy() for name, one in fit.posterior.items()}
    return (
        found.isel(chain=0, draw=draw),
        at,
        (fit.cohort.subjects["arm"] == "treated").to_numpy(float),
    )


def beta_binomial(count, bound, logit, rho):
    share, total = special.expit(logit), (1 - rho) / (rho + 1e-4)  # the programs' floor
    return stats.betabinom.logpmf(count, bound, share * total, (1 - share) * total)


def places(fit):
    """Rows of the cohort: subject by number, visit by number."""
    visits = fit.cohort.visits
    return visits, fit.cohort.subjects.index.get_indexer(visits["subject"]), np.searchsorted(MONTHS, visits["month"])


def test_each_count_is_out_of_the_joints_assessed():
    fit = drawn("sle_joints", lupus(4), 3, options={"joints": 66})
    for draw in range(3):
        found, p, treated = densities(fit, draw)
        visits, i, visit = places(fit)
        exact = []
        for k, name in enumerate(COUNTS):
            moved = np.concatenate([[0.0], p["time_course"][:, k]])[visit]
            moved = moved + treated[i] * np.concatenate([[0.0], p["effect"][0, :, k]])[visit]
            exact.append(beta_binomial(visits[name], 66, p["level"][i, k] + moved, p["overdispersion"][k]))
        np.testing.assert_allclose(found["joints"], np.concatenate(exact), rtol=1e-6, atol=1e-6)


def test_each_crp_has_its_density_or_lies_below_the_limit():
    fit = drawn("sle_crp", lupus(6), 3)
    for draw in range(3):
        found, p, treated = densities(fit, draw)
        visits, i, visit = places(fit)
        moved = (
            np.concatenate([[0.0], p["time_course"]])[visit]
            + treated[i] * np.concatenate([[0.0], p["effect"][0]])[visit]
        )
        exact = log_crp(visits, p["level"][i] + moved, p["sd_residual"])
        np.testing.assert_allclose(found["crp"], exact, rtol=1e-5, atol=1e-6)


def log_crp(visits, mean, sd):
    value, below = visits["crp_mg_dl"].to_numpy(), visits["crp_mg_dl_censored"].to_numpy(bool)
    assert 0.1 < below.mean() < 0.9
    return np.where(
        below, stats.norm.logcdf(np.log(value), mean, sd), stats.lognorm.logpdf(value, sd, scale=np.exp(mean))
    )


def test_all_signs_of_one_activity_have_their_densities():
    """Counts, CRP with a limit, and flares between visits, given the activity."""
    fit = drawn("sle_activity", lupus(6), 3, options={"joints": 66, "flare": "shared"})
    for draw in range(3):
        found, p, _ = densities(fit, draw)
        visits, i, visit = places(fit)
        activity = p["activity"][i, visit]
        exact = [
            beta_binomial(visits[name], 66, p["count_level"][k] + p["own_count"][i, k] + p["count_loading"][k] * activity, p["overdispersion"][k])
            for k, name in enumerate(COUNTS)
        ]  # fmt: skip
        np.testing.assert_allclose(found["counts"], np.concatenate(exact), rtol=1e-6, atol=1e-6)
        mean = p["marker_level"][0] + p["own_marker"][i, 0] + p["marker_loading"][0] * activity
        np.testing.assert_allclose(found["markers"], log_crp(visits, mean, p["sd_residual"][0]), rtol=1e-5, atol=1e-6)
        flares, last = fit.cohort.events.set_index("subject")["month"], visits.groupby("subject")["month"].max()
        exact = []
        for s, subject in enumerate(fit.cohort.subjects.index):
            when = flares.get(subject, np.inf)
            for k, (begin, end) in enumerate(pairwise(MONTHS)):
                if last[subject] < begin or when < begin:
                    continue
                around = (p["activity"][s, k] + p["activity"][s, k + 1]) / 2
                own = stats.expon(scale=1 / (p["flare_hazard"][0] * np.exp(p["flare_loading"][0] * around)))
                exact.append(own.logpdf(when - begin) if when <= end else own.logsf(end - begin))
        assert 2 < len(flares) < 10
        np.testing.assert_allclose(found["flare"], exact, rtol=1e-6, atol=1e-9)


def test_activity_is_a_level_a_course_and_an_effect_from_the_first_visit_after_baseline():
    """Without departures from it: then it can be read off."""
    fit = drawn(
        "sle_activity", lupus(6), 5, options={"joints": 66, "baseline": "free"}, priors={"sd_visit": pinned(1e-6)}
    )
    treated = (fit.cohort.subjects["arm"] == "treated").to_numpy(float)
    for draw in range(5):
        p = {name: one.isel(chain=0, draw=draw).to_numpy() for name, one in fit.posterior.items()}
        moved = p["activity"][:, 1:] - p["activity"][:, :1]
        np.testing.assert_allclose(moved, p["time_course"] + treated[:, None] * p["effect"][0], atol=1e-5)


@pytest.mark.parametrize("mortality", ["shared", "separate", "linked"])
def test_scores_and_deaths_of_one_rate_have_their_densities(mortality):
    """A screening visit, a covariate, deaths and drop-out; what multiplies the hazard follows the option."""
    visits, subjects = simulators.als_shared(np.random.default_rng(2), n_per_arm={"control": 6, "treated": 6}, months=[-1, 0, 4, 8],
                                             hazard=0.06, rate_ratio={"treated": 0.7}, dropout_per_month=0.04)  # fmt: skip
    cohort = pg.Cohort.from_table(visits, subjects, time_unit="months", outcomes=["alsfrsr"], covariates=["x"], allocation="randomised",
                                  arms=["control", "treated"], provenance="simulated")  # fmt: skip
    fit = drawn("als_shared", cohort, 2, options={"mortality": mortality, "covariates": ["x"]})
    x = fit.cohort.subjects["x"].to_numpy(float)
    x = (x - x.mean()) / x.std()
    died = fit.cohort.subjects["event"].notna().to_numpy()
    time = np.where(died, *(fit.cohort.subjects[name].to_numpy(float) for name in ("event_month", "end_of_follow_up")))
    assert 2 < died.sum() < 10
    for draw in range(2):
        found, p, treated = densities(fit, draw)
        rows = fit.cohort.visits
        i, month = fit.cohort.subjects.index.get_indexer(rows["subject"]), rows["month"].to_numpy()
        ratio = np.where(treated > 0, p["rate_ratio"][0], 1.0)
        own = p["rate"] * np.exp(x * p["rate_coefficient"][0])
        expected = p["level"][i] - own[i] * np.where(month > 0, ratio[i], 1.0) * month
        exact = stats.norm.logpdf(rows["alsfrsr"], expected, p["sd_residual"])
        np.testing.assert_allclose(found["score"], exact, rtol=1e-6, atol=1e-6)
        on_hazard = np.where(treated > 0, p["hazard_ratio"][0], 1.0) if mortality == "separate" else ratio
        if mortality == "linked":
            on_hazard = on_hazard * np.exp(p["hazard_by_rate"][0] * (p["rate"] - p["mean_rate"]))
        waiting = stats.expon(scale=1 / (p["hazard"] * on_hazard))
        np.testing.assert_allclose(found["death"], np.where(died, waiting.logpdf(time), waiting.logsf(time)), rtol=1e-6)


def test_ratios_of_one_activity_are_those_of_counted_patients():
    """Mean counts of 400,000 patients, a logarithm for CRP, and differences of activity, for one draw of the parameters."""
    fit = drawn("sle_activity", lupus(4), 2, options={"joints": 66})
    facts = Facts(fit.cohort, xr.Dataset(), {})
    names = (
        "count_ratio",
        "count_ratio_to_baseline",
        "crp_ratio",
        "crp_ratio_to_baseline",
        "later_effect",
        "later_change",
    )
    found = {name: fit.model.estimand(name).compute(fit.posterior, facts).isel(chain=0, draw=1) for name in names}
    p = {name: one.isel(chain=0, draw=1).to_numpy() for name, one in fit.posterior.items()}
    course, effect, loading = p["time_course"], p["effect"][0], p["marker_loading"][0]
    z = np.random.default_rng(1).normal(size=(3, 400_000))
    activity = z[0] + p["sd_visit"] * z[1]
    for k, outcome in enumerate(COUNTS):

        def count(moved, k=k):
            return special.expit(
                p["count_level"][k] + p["count_loading"][k] * (activity + moved) + p["sd_count"][k] * z[2]
            ).mean()

        for v in range(2):
            at = {"followup_visit": v, "counts_outcomes": k}
            assert float(found["count_ratio"].squeeze("active_arm").isel(at)) == pytest.approx(
                count(course[v] + effect[v]) / count(course[v]), rel=0.01
            ), outcome
            assert float(found["count_ratio_to_baseline"].isel(at)) == pytest.approx(
                count(course[v]) / count(0), rel=0.01
            ), outcome
    np.testing.assert_allclose(np.log(found["crp_ratio"]).squeeze(), loading * effect)
    np.testing.assert_allclose(np.log(found["crp_ratio_to_baseline"]).squeeze(), loading * course)
    assert found["later_effect"].item() == pytest.approx(effect[1] - effect[0])
    assert found["later_change"].item() == pytest.approx(course[1] - course[0])


# ---- patients' own effects ---------------------------------------------------------------------------------------


DRAWS = 80


def lines(p, on, x, *, name="slope", treated_slope="slope_effect"):
    """Standardised departures of level and slope from what is expected of the patient."""
    slope = p[f"mean_{name}"] + x * p["slope_coefficient"][0]
    slope = slope + on * p[treated_slope][0] if treated_slope else slope
    level = p.get("mean_level", 0.0) + on * p["level_difference"][0] + x * p["level_coefficient"][0]
    u, v = (p["slope"] - slope) / p["sd_slope"], (p["level"] - level) / p["sd_level"]
    return [u, (v - p["correlation"] * u) / np.sqrt(1 - p["correlation"] ** 2)]


def rates(p, on, x):
    own = np.where(on > 0, p["sd_rate"][1], p["sd_rate"][0])
    return [
        (p["rate"] - p["mean_rate"]) / own,
        (p["level"] - p["mean_level"] - on * p["level_difference"][0]) / p["sd_level"],
    ]


def signs(p, on, x):
    made = [p["own_count"] / p["sd_count"], p["own_marker"] / p["sd_marker"]]
    of_baseline = p["activity"][:, 0] - on * p["level_difference"][0]
    return [*(one for table in made for one in table.T), of_baseline / np.hypot(1, p["sd_visit"])]


EFFECTS = {
    "als_slope": lines,
    "als_bounded": lines,
    "als_items": lines,
    "als_antibody": lambda p, on, x: lines(p, on, x, treated_slope=""),
    "als_shared": rates,
    "sle_crp": lambda p, on, x: [(p["level"] - p["mean_level"] - on * p["level_difference"][0]) / p["sd_patient"]],
    "sle_joints": lambda p, on, x: list(((p["level"] - p["mean_level"] - on[:, None] * p["level_difference"][0]) / p["sd_patient"]).T),
    "sle_activity": signs,
}  # fmt: skip


def test_every_model_is_here():
    assert set(EFFECTS) == {
        name for name, one in pg.models().items() if one.program.__module__.startswith("progression_models")
    }


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_of_patients_are_normal_with_their_own_means_and_sds(name, tiny_cohort):
    """Whatever the data: they choose the coordinates to sample in, never the distribution."""
    model = pg.models()[name]
    options = {"baseline": "free"} | ({"covariates": ["age"]} if name.startswith("als") else {})
    cohort = tiny_cohort(model, 2)
    prior, _ = forward.prior_draws(
        model, encode(model, cohort, options=options), model.priors, draws=DRAWS, random_seed=5
    )
    on = (cohort.subjects["arm"] == "treated").to_numpy(float)
    x = cohort.subjects["age"].to_numpy(float)
    x = (x - x.mean()) / x.std()
    values = {key: one.isel(chain=0).to_numpy() for key, one in prior.items()}
    z = np.array(
        [EFFECTS[name]({key: one[d] for key, one in values.items()}, on, x) for d in range(DRAWS)]
    )  # draw, effect, patient
    for k in range(z.shape[1]):
        assert stats.kstest(z[:, k].ravel(), "norm").pvalue > 1e-4, k
        for arm in (0, 1):
            assert stats.kstest(z[:, k, on == arm].ravel(), "norm").pvalue > 1e-4, (k, arm)
    for first, second in pairwise(range(z.shape[1])):
        assert abs(np.corrcoef(z[:, first].ravel(), z[:, second].ravel())[0, 1]) < 4 / np.sqrt(z[:, 0].size)
