"""A latent on a grid, such as an onset between two visits: held against fine sums, against NUTS, and refused in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from scipy import special, stats

import progression as pg
from progression.encoding import encode
from progression.engines import by_unit, grids, integration, marginal, prepared
from progression.faults import SettingError

MONTHS = np.array([0.0, 2.0, 4.0, 6.0, 8.0])
PRIORS = {
    "mean_level": pg.Prior("Normal", mu=38, sigma=10), "sd_level": pg.Prior("HalfNormal", sigma=5),
    "mean_slope": pg.Prior("Normal", mu=-1, sigma=1), "sd_slope": pg.Prior("HalfNormal", sigma=1),
    "bend": pg.Prior("Normal", mu=0, sigma=2), "sd_residual": pg.Prior("HalfNormal", sigma=3),
}  # fmt: skip
FACTS = {"observes": {"score": pg.Outcome("alsfrsr")}, "estimands": [], "reference": "of this test"}


BEND = pg.Estimand("bend", lambda posterior, facts: posterior["bend"], over=(), label="bend of the line at the onset, points/month",
                   unit="points/month", scale="direct", reference="none", null=0.0, benefit="higher",
                   population="population-averaged")  # fmt: skip


def bent(data, level, slope, bend, sd_residual, onset):
    """A line for each patient that bends at the onset."""
    score = data.score
    after = pm.math.maximum(score.month - onset[score.subject], 0)
    expected = level[score.subject] + slope[score.subject] * score.month + bend * after
    pm.Normal("score", expected, sd_residual, observed=score.value, dims="score_row")


@pg.model(**FACTS, priors=PRIORS, grid={"onset": 8})
def between_visits(data, prior):
    """The onset lies somewhere between the visits at 2 and at 4 months."""
    level = pm.Normal("level", prior("mean_level"), prior("sd_level"), dims="subject")
    slope = pm.Normal("slope", prior("mean_slope"), prior("sd_slope"), dims="subject")
    onset = pm.Uniform("onset", 2, 4, dims="subject")
    pm.Deterministic("half", onset / 2, dims="subject")
    bent(data, level, slope, prior("bend"), prior("sd_residual"), onset)


@pg.model(**FACTS, priors=PRIORS | {"rate": pg.Prior("Gamma", alpha=9, beta=27)}, grid={"onset": 16})
def at_a_rate(data, prior):
    """The onset may lie anywhere, sooner or later by a rate that is not known."""
    level = pm.Normal("level", prior("mean_level"), prior("sd_level"), dims="subject")
    slope = pm.Normal("slope", prior("mean_slope"), prior("sd_slope"), dims="subject")
    onset = pm.Exponential("onset", prior("rate"), dims="subject")
    bent(data, level, slope, prior("bend"), prior("sd_residual"), onset)


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(4)
    n = 30
    onset = rng.uniform(2, 4, n)
    line = rng.normal(38, 3, n)[:, None] + rng.normal(-0.5, 0.3, n)[:, None] * MONTHS
    score = line - 1.5 * np.maximum(MONTHS - onset[:, None], 0) + rng.normal(0, 1, (n, len(MONTHS)))
    score[:6, -1] = np.nan  # some leave early
    table = pd.DataFrame({"subject": np.repeat([f"P{i}" for i in range(n)], len(MONTHS)), "time": np.tile(MONTHS, n),
                          "alsfrsr": score.ravel()})  # fmt: skip
    return pg.Cohort.from_table(
        table.dropna(), time_unit="months", outcomes=["alsfrsr"], provenance="simulated", name="bent"
    )


def ready(model, cohort):
    encoded = encode(model, cohort, options=model.with_options(None)).unpadded()
    return encoded, prepared.prepare(model, encoded, model.with_priors(None))


def by_sum(encoded, at, onset, weight):
    """Each subject's log likelihood: a multivariate normal for each onset of a fine grid, added up."""
    arrays = {name: encoded.arrays[f"score_{name}"][1] for name in ("subject", "month", "value")}
    found = []
    for i in range(encoded.n_subjects):
        own = arrays["subject"] == i
        t, y = arrays["month"][own], arrays["value"][own]
        cov = at["sd_level"] ** 2 + at["sd_slope"] ** 2 * np.outer(t, t) + at["sd_residual"] ** 2 * np.eye(len(t))
        after = np.maximum(t - onset[:, None], 0)
        mean = at["mean_level"] + at["mean_slope"] * t + at["bend"] * after
        found.append(
            special.logsumexp(stats.multivariate_normal(np.zeros(len(t)), cov).logpdf(y - mean) + np.log(weight))
        )
    return np.array(found)


TRUTH = {"mean_level": 38.0, "sd_level": 3.0, "mean_slope": -0.5, "sd_slope": 0.3, "bend": -1.5, "sd_residual": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "copies", "within"), [(between_visits, 8, 1e-6), (at_a_rate, 16, 0.1), (at_a_rate, 64, 0.00625)]
)
def test_each_subject_has_the_likelihood_of_a_fine_sum(model, copies, within, cohort):
    encoded, program = ready(model, cohort)
    inner = program.integral()
    integration.put(inner, program, encoded, copies)
    at = TRUTH | ({"rate": 0.33} if model is at_a_rate else {})
    x = program.split.unconstrained({name: np.array([value]) for name, value in at.items()})
    inner.refer(x[0])
    s = (np.arange(20_000) + 0.5) / 20_000
    onset = 2 + 2 * s if model is between_visits else -np.log1p(-s) / 0.33
    expected = by_sum(encoded, at, onset, np.full(len(s), 1 / len(s)))
    np.testing.assert_allclose(inner.by_subject(x, order=5)[0], expected, atol=within)
    prior = inner.log_density(x, order=5) - inner.by_subject(x, order=5).sum()
    value, gradient = inner.gradient(x, order=5)
    np.testing.assert_allclose(value, inner.log_density(x, order=5))
    step = 1e-5 * np.eye(len(x[0]))
    slope = (inner.log_density(x + step, order=5) - inner.log_density(x - step, order=5)) / 2e-5
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-3, atol=1e-3)
    assert np.isfinite(prior).all()


@pytest.mark.slow
def test_the_posterior_is_that_of_nuts(cohort):
    """Population parameters, and the onset of each subject."""
    fit = pg.fit(between_visits, cohort, engine="marginal", random_seed=1, progressbar=False)
    assert fit.settings["engine"] == "marginal" and not fit.problems
    nuts = pg.fit(
        between_visits, cohort, engine="nuts", random_seed=1, draws=2000, progressbar=False, target_accept=0.95
    )
    for name in (*PRIORS, "onset"):
        one, other = fit.posterior[name], nuts.posterior[name]
        sd = other.std(("chain", "draw"))
        assert float(abs((one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / sd).max()) < 0.12, name
        assert float(abs(one.std(("chain", "draw")) / sd - 1).max()) < 0.12, name
    onset = fit.posterior["onset"]
    assert float(onset.min()) > 2 and float(onset.max()) < 4
    np.testing.assert_allclose(fit.posterior["half"], onset / 2)
    assert pg.loo(fit, draws=40)["integration_error"].iloc[0] < 0.05


@pytest.mark.slow
def test_a_program_taken_for_quadratic_is_found_out(sle_trial, monkeypatch):
    """Censored values bend the log density: one node is not enough, and the error at the posterior's draws says so."""
    how = {"engine": "marginal", "draws": 500, "random_seed": 1, "progressbar": False}
    fit = pg.fit("sle_crp", sle_trial, **how)
    monkeypatch.setattr(by_unit.ByUnit, "_is_quadratic", lambda self: True)
    misled = pg.fit("sle_crp", sle_trial, **how)
    assert misled.settings["engine"] == "marginal" and not misled.problems
    assert 0 < float(misled.idata["sample_stats"]["quadrature_error"].max()) < 0.05
    for name in ("effect", "sd_patient", "sd_residual", "level"):
        one, other = fit.posterior[name], misled.posterior[name]
        sd = one.std(("chain", "draw"))
        assert float((abs(one.mean(("chain", "draw")) - other.mean(("chain", "draw"))) / sd).max()) < 0.15, name


def test_what_is_repeated_is_the_same_data(cohort):
    encoded, _ = ready(between_visits, cohort)
    wide = grids.repeated(encoded, 3, ["score"])
    assert wide.n_subjects == 3 * encoded.n_subjects
    of, value = wide.arrays["score_subject"][1], wide.arrays["score_value"][1]
    for i in range(encoded.n_subjects):
        own = encoded.arrays["score_value"][1][encoded.arrays["score_subject"][1] == i]
        for copy in range(3):
            np.testing.assert_array_equal(value[of == 3 * i + copy], own)


def variant(**facts):
    def program(data, prior):
        level = pm.Normal("level", prior("mean_level"), 1, dims="subject")
        onset = pm.Uniform("onset", 2, 4, dims="subject")
        late = pm.Normal("late", level, 1, dims="subject")
        pm.Normal("score", (level + onset + late)[data.score.subject], 1, observed=data.score.value, dims="score_row")

    program.__name__ = "variant"
    return pg.model(**FACTS, priors={"mean_level": PRIORS["mean_level"]}, **facts)(program)


@pytest.mark.parametrize(
    ("grid", "text"),
    [({"onse": 8}, "no unknown of that name"), ({"onset": 8, "level": 8}, "2 latents for a grid"),
     ({"late": 8}, "depends on other subject effects")],
)  # fmt: skip
def test_a_grid_that_cannot_be_is_refused_and_nuts_named(grid, text, cohort):
    with pytest.raises(SettingError, match=text) as caught:
        pg.fit(variant(grid=grid), cohort, engine="marginal")
    assert 'engine="nuts"' in str(caught.value)


def test_a_number_of_points_that_is_none_is_refused():
    with pytest.raises(SettingError, match="at least 2"):
        variant(grid={"onset": 1})


@pytest.mark.slow
def test_many_data_sets_are_each_what_they_are_alone(cohort):
    model = replace(between_visits, estimands=(BEND,))
    other = pg.Cohort.from_table(cohort.visits.assign(alsfrsr=cohort.visits["alsfrsr"] + 3).rename(columns={"month": "time"}),
                                 time_unit="months", outcomes=["alsfrsr"], provenance="simulated")  # fmt: skip
    fits = pg.fit_many(model, [cohort, other], random_seed=1, draws=4000, progressbar=False, fallback=False)
    assert not len(fits.problems) and set(fits.diagnostics["engine"]) == {"marginal"}
    for number, one in enumerate((cohort, other)):
        alone = pg.fit(model, one, engine="marginal", random_seed=2, progressbar=False).posterior["bend"]
        many = fits.draws["bend"].sel(data_set=number)
        assert abs(float(many.mean() - alone.mean())) < 0.1 * float(alone.std())
        assert abs(float(many.std() / alone.std()) - 1) < 0.1


@pytest.mark.slow
def test_what_is_summed_over_subjects_does_not_see_the_copies(cohort):
    patients = replace(BEND, name="patients", compute=lambda posterior, facts: posterior["patients"])

    @pg.model(**(FACTS | {"estimands": [patients]}), priors=PRIORS, grid={"onset": 8})
    def counting(data, prior):
        level = pm.Normal("level", prior("mean_level"), prior("sd_level"), dims="subject")
        slope = pm.Normal("slope", prior("mean_slope"), prior("sd_slope"), dims="subject")
        onset = pm.Uniform("onset", 2, 4, dims="subject")
        pm.Deterministic("patients", data.on_arm.shape[0] + 0.0 * prior("bend"))
        bent(data, level, slope, 1.0, prior("sd_residual"), onset)

    fits = pg.fit_many(counting, [cohort, cohort], random_seed=1, draws=200, progressbar=False, fallback=False)
    assert (fits.draws["patients"] == 30).all()


def test_another_grid_is_another_program(cohort):
    _, first = ready(between_visits, cohort)
    _, other = ready(replace(between_visits, grid={"onset": 24}), cohort)
    assert first.split.grid.points == 8 and other.split.grid.points == 24
    with pytest.raises(SettingError, match="no unknown of that name"):
        ready(replace(between_visits, grid={"onse": 24}), cohort)


@pytest.mark.slow
def test_a_grid_that_is_too_coarse_shows_in_loo(cohort):
    encoded, _ = ready(at_a_rate, cohort)
    at = {name: xr.DataArray(np.full(20, value), dims="sample") for name, value in (TRUTH | {"rate": 0.33}).items()}
    _, error = marginal.subject_log_likelihood(at_a_rate, encoded, at_a_rate.with_priors(None), xr.Dataset(at))
    assert error.max() > 0.005
