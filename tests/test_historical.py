"""MAP priors: against published numbers, against an independent integration, and in what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import integrate, special, stats

import progression as pg
from progression.effective_size import effective_size
from progression.faults import CohortError, SettingError
from progression.historical import MapPrior
from progression.mixtures import Mixture, fit_mixture

# The eight historical trials of the RBesT package's example in ankylosing spondylitis: patients and responders.
AS = pd.DataFrame({"study": [f"Study {i}" for i in range(1, 9)], "n": [107, 44, 51, 39, 139, 20, 78, 35],
                   "events": [23, 12, 19, 9, 39, 6, 9, 10]})  # fmt: skip


@pytest.fixture(scope="module")
def found() -> MapPrior:
    return pg.map_prior(AS, "binomial")


def close(ours: float, published: float, sd: float, *, draws: int = 4000) -> bool:
    """Within four Monte Carlo errors of a mean over so many draws."""
    return abs(ours - published) < 4 * sd / np.sqrt(draws)


def test_meets_the_published_numbers(found: MapPrior) -> None:
    """Exact quadrature of the same model with the same priors, as published: mu, tau and the rate in a new study."""
    table = found.summary()
    for row, mean, sd in (("mu", -1.1037, 0.1892), ("tau", 0.3789, 0.2108), ("new study", 0.2583, 0.0873)):
        assert close(table.loc[row, "mean"], mean, sd) and table.loc[row, "sd"] == pytest.approx(sd, rel=0.005)
    np.testing.assert_allclose(table.loc["tau", ["lower", "median", "upper"]], [0.0418, 0.3525, 0.8743], atol=0.004)
    np.testing.assert_allclose(
        table.loc["new study", ["lower", "median", "upper"]], [0.1109, 0.2486, 0.4713], atol=0.0006
    )


@pytest.mark.slow
def test_meets_them_with_a_narrower_prior_of_the_spread() -> None:
    table = pg.map_prior(AS, "binomial", between=pg.Prior("HalfNormal", sigma=0.5)).summary()
    assert close(table.loc["tau", "mean"], 0.3313, 0.1764)
    assert table.loc["new study", "mean"] == pytest.approx(0.2561, abs=3e-4)
    np.testing.assert_allclose(
        table.loc["new study", ["lower", "median", "upper"]], [0.1232, 0.2485, 0.4404], atol=0.0006
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binomial", "counts", "normal"])
def test_integrals_are_those_of_an_independent_program(kind: Any) -> None:
    """Every integral by Simpson's rule on plain grids: no quadrature around modes, no change of variables."""
    theta, mu, tau = np.linspace(-6, 4, 1601), np.linspace(-3.5, 1.5, 101), np.r_[0, np.linspace(0.02, 4, 200)]
    if kind == "binomial":
        table, like = (
            AS.iloc[:3],
            [stats.binom.logpmf(r, n, special.expit(theta)) for n, r in zip(AS["n"], AS["events"], strict=True)][:3],
        )
    elif kind == "counts":
        table = pd.DataFrame({"study": list("abc"), "exposure": [30, 50, 20], "events": [6, 17, 3]})
        like = [
            stats.poisson.logpmf(r, e * np.exp(theta)) for e, r in zip(table["exposure"], table["events"], strict=True)
        ]
    else:
        table = pd.DataFrame(
            {"study": list("abc"), "n": [30, 50, 20], "mean": [-1.1, -0.8, -1.5], "sd": [0.9, 0.7, 0.9]}
        )
        like = [
            stats.norm.logpdf(m, theta, s / np.sqrt(n))
            for n, m, s in zip(table["n"], table["mean"], table["sd"], strict=True)
        ]
    priors = {"mean": pg.Prior("Normal", mu=-1, sigma=1), "between": pg.Prior("HalfNormal", sigma=0.6)}
    log = stats.norm.logpdf(mu, -1, 1)[:, None] + stats.halfnorm.logpdf(tau, scale=0.6)[None]
    for own in like:
        log[:, 0] += np.interp(mu, theta, own) - own.max()  # no spread: every study has the value mu
        for j, t in enumerate(tau[1:], start=1):
            kernel = np.exp(own - own.max()) * stats.norm.pdf(theta, mu[:, None], t)
            log[:, j] += np.log(np.maximum(integrate.simpson(kernel, x=theta, axis=1), 1e-300))
    weight = np.exp(log - log.max())
    at_tau = integrate.simpson(weight, x=mu, axis=0)
    total = integrate.simpson(at_tau, x=tau)
    mean_tau = integrate.simpson(at_tau * tau, x=tau) / total
    mean_mu = integrate.simpson(integrate.simpson(weight * mu[:, None], x=mu, axis=0), x=tau) / total
    table_ours = pg.map_prior(table, kind, **priors).summary()
    assert table_ours.loc["tau", "mean"] == pytest.approx(mean_tau, rel=0.003)
    assert table_ours.loc["mu", "mean"] == pytest.approx(mean_mu, abs=0.001)
    reached = integrate.cumulative_simpson(at_tau, x=tau, initial=0) / total
    assert table_ours.loc["tau", "median"] == pytest.approx(np.interp(0.5, reached, tau), rel=0.005)


def test_worth_in_patients(found: MapPrior) -> None:
    """Published 24 and 38; of the exact quadrature 24.2 and 37.3. Morita's number depends on the mixture: 56 to 111."""
    assert found.ess("moment") == pytest.approx(24.2, rel=0.05) and found.ess("elir") == pytest.approx(37.3, rel=0.05)
    assert 56 < found.ess("morita") < 111
    assert effective_size(found.robust(0.2), "elir") == pytest.approx(27, rel=0.06)  # published
    assert found.divergence < 1e-3 and len(found.mixture.weights) <= 4


@pytest.mark.parametrize("method", ["moment", "elir", "morita"])
def test_worth_of_one_component_is_known(method: str) -> None:
    assert effective_size(Mixture("beta", [1], [7], [13]), method) == pytest.approx(20, rel=1e-3)
    assert effective_size(Mixture("gamma", [1], [7], [13]), method) == pytest.approx(13, rel=1e-3)
    assert effective_size(Mixture("normal", [1], [2], [0.25]), method, patient_sd=2) == pytest.approx(64, rel=1e-3)


def test_elir_adds_up_with_data() -> None:
    """Predictive consistency, its defining property: the mean worth after 20 patients is that before, plus 20."""
    prior = Mixture("beta", [0.6, 0.4], [4, 12], [12, 30])
    chance = [float(np.exp(special.logsumexp(np.log(prior.weights) + stats.betabinom.logpmf(r, 20, prior.first, prior.second))))
              for r in range(21)]  # fmt: skip
    after = [effective_size(prior.updated(n=20, events=r), "elir") for r in range(21)]
    assert np.dot(chance, after) == pytest.approx(effective_size(prior, "elir") + 20, rel=2e-3)


MIXTURES = [Mixture("beta", [0.7, 0.3], [3, 12], [9, 20]), Mixture("normal", [0.5, 0.5], [-1, 1], [0.5, 2]),
            Mixture("gamma", [0.8, 0.2], [3, 2], [10, 1])]  # fmt: skip
GRIDS = {
    "beta": np.linspace(1e-5, 1 - 1e-5, 20001),
    "normal": np.linspace(-12, 14, 20001),
    "gamma": np.linspace(1e-6, 25, 20001),
}


@pytest.mark.slow
@pytest.mark.parametrize("one", MIXTURES, ids=lambda one: one.family)
def test_a_mixture_is_what_it_says(one: Mixture) -> None:
    x = GRIDS[one.family]
    p = np.exp(one.log_density(x))
    assert integrate.simpson(p, x=x) == pytest.approx(1, abs=1e-6)
    assert integrate.simpson(p * x, x=x) == pytest.approx(one.mean, rel=1e-5, abs=1e-6)
    assert integrate.simpson(p * (x - one.mean) ** 2, x=x) == pytest.approx(one.sd**2, rel=1e-4)
    for share in (0.025, 0.5, 0.9):
        assert float(one.cdf(one.quantile(share))) == pytest.approx(share, abs=1e-9)
    assert stats.kstest(one.draws(4000, random_seed=1), one.cdf).pvalue > 0.001
    at, h = one.mean, 1e-3 * one.sd
    bend = (one.log_density(at + h) - 2 * one.log_density(at) + one.log_density(at - h)) / h**2
    assert float(one.information(at)) == pytest.approx(-float(bend), rel=1e-3)
    with pm.Model() as model:
        one.to_pymc("x")
    point = {"x": one.mean}
    made = model.compile_fn(model.logp(jacobian=False), inputs=model.value_vars, mode="FAST_COMPILE")
    value = {v.name: (one.mean if v.name == "x" else special.logit(one.mean) if one.family == "beta" else np.log(one.mean))
             for v in model.value_vars}  # fmt: skip
    assert float(made(value)) == pytest.approx(float(one.log_density(point["x"])), rel=1e-6)


@pytest.mark.parametrize(("one", "data"), list(zip(MIXTURES, [{"n": 30, "events": 12}, {"n": 10, "mean": 0.7, "sd": 1.5}, {"n": 8, "events": 5}], strict=True)),
                         ids=["beta", "normal", "gamma"])  # fmt: skip
def test_updating_is_bayes(one: Mixture, data: dict[str, float]) -> None:
    x = GRIDS[one.family]
    like = {"beta": lambda: stats.binom.logpmf(data["events"], data["n"], x), "gamma": lambda: stats.poisson.logpmf(data["events"], data["n"] * x),
            "normal": lambda: stats.norm.logpdf(data["mean"], x, data["sd"] / np.sqrt(data["n"]))}[one.family]()  # fmt: skip
    log = one.log_density(x) + like
    p = np.exp(log - log.max())
    after = one.updated(**data)
    assert after.mean == pytest.approx(integrate.simpson(p * x, x=x) / integrate.simpson(p, x=x), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("one", MIXTURES, ids=lambda one: one.family)
def test_a_mixture_is_found_again(one: Mixture) -> None:
    x = np.array([one.quantile(p) for p in (np.arange(400) + 0.5) / 400])
    again, score = fit_mixture(x, np.full(400, 1 / 400), one.family, 2)
    assert score >= float(one.log_density(x).mean()) - 1e-6  # at least as likely as the one the points came from
    assert again.mean == pytest.approx(one.mean, rel=0.02) and again.sd == pytest.approx(one.sd, rel=0.05)


def test_draws_are_of_the_new_study(found: MapPrior) -> None:
    own = found.draws(40_000, random_seed=1)
    row = found.summary().loc["new study"]
    assert abs(own.mean() - row["mean"]) < 4 * row["sd"] / 200 and np.median(own) == pytest.approx(
        row["median"], abs=0.002
    )
    np.testing.assert_array_equal(own, found.draws(40_000, random_seed=1))


def test_a_single_study_is_borrowed_by_the_prior_alone() -> None:
    found = pg.map_prior(AS.iloc[:1], "binomial")
    assert "single study says nothing" in found.warnings[0] and "WARNING" in repr(found)
    assert found.summary().loc["tau", "mean"] == pytest.approx(np.sqrt(2 / np.pi), rel=0.1)


def test_a_rate_without_events_is_fitted_and_says_what_it_cannot() -> None:
    found = pg.map_prior({"study": ["a", "b"], "exposure": [30.0, 20.0], "events": [0, 2]}, "counts")
    assert np.isfinite(found.summary().loc["new study", "median"])
    assert np.isnan(found.ess("moment")) and np.isnan(found.summary().loc["new study", "sd"])


@pytest.mark.slow
@pytest.mark.parametrize("means", [(-0.3, -(0.1 + 0.2), -0.3), (-1, -1, -1), (-1, -1.0001, -1)])
def test_estimates_that_happen_to_be_alike_do_not_settle_the_spread(means: tuple[float, ...]) -> None:
    """Their errors say what spread could have been seen: 0.1, so that one of that size stays possible."""
    table = {"study": list("abc"), "n": [30, 50, 20], "mean": list(means), "sd": [0.9, 0.7, 0.9]}
    found = pg.map_prior(
        table, "normal", mean=pg.Prior("Normal", mu=-1, sigma=1), between=pg.Prior("HalfNormal", sigma=0.6)
    )
    assert found.summary().loc["tau", "mean"] == pytest.approx(0.173, abs=0.006)
    assert found.summary().loc["new study", "sd"] == pytest.approx(0.297, abs=0.02)


@pytest.mark.slow
def test_it_is_a_prior_of_any_model() -> None:
    """Slopes of three past trials as the prior of the mean slope: few patients are pulled to them, many are not."""
    slopes = pd.DataFrame(
        {"study": list("abc"), "n": [80, 120, 60], "mean": [-0.95, -1.05, -1.1], "sd": [0.7, 0.8, 0.7]}
    )
    prior = pg.map_prior(slopes, "normal").mixture
    seen = pg.datasets.simulated_als(n=(6, 6), random_seed=2)
    with_it, without = (
        pg.fit("als_slope", seen, priors=priors, random_seed=1) for priors in ({"mean_slope": prior}, None)
    )
    one, other = (float(fit.posterior["mean_slope"].std()) for fit in (with_it, without))
    assert one < 0.8 * other and not with_it.problems


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: t.drop(columns="n"), "column is missing"),
        (lambda t: t.assign(study="a"), "second time"),
        (lambda t: t.assign(events=[200, *t["events"][1:]]), "more events than patients"),
        (lambda t: t.assign(events=[-1, *t["events"][1:]]), "at least 0"),
        (lambda t: t.assign(events=[2.5, *t["events"][1:]]), "whole number"),
        (lambda t: t.assign(n=[0, *t["n"][1:]]), "not a whole number"),
        (lambda t: t.assign(n=["many", *t["n"][1:]]), "not a whole number"),
        (lambda t: t.iloc[:0], "no studies"),
    ],
)
def test_bad_tables_are_refused(change: Any, word: str) -> None:
    with pytest.raises(CohortError, match=word):
        pg.map_prior(change(AS), "binomial")


@pytest.mark.slow
def test_studies_alike_in_every_number_may_be_one() -> None:
    table = {"study": ["one", "other", "again"], "n": [30, 30, 30], "events": [9, 8, 9]}
    found = pg.map_prior(table, "binomial")
    assert [text for text in found.warnings if "one and again are alike in every number" in text] and len(
        found.warnings
    ) == 1
    assert not pg.map_prior(AS, "binomial").warnings


def test_a_summary_arm_needs_its_n() -> None:
    with pytest.raises(CohortError, match="needs study, n, mean, sd"):
        pg.map_prior({"study": ["a"], "mean": [-1.0], "sd": [0.7]}, "normal")


@pytest.mark.parametrize(
    "call",
    [lambda: pg.map_prior(AS, "binary"), lambda: pg.map_prior(AS, "binomial", between=1.0), lambda: pg.map_prior(AS, "binomial", components=0),
     lambda: Mixture("beta", [0.5, 0.6], [1, 2], [1, 2]), lambda: Mixture("beta", [1], [1], [0]), lambda: MIXTURES[0].robust(20),
     lambda: MIXTURES[1].robust(0.2), lambda: MIXTURES[0].updated(n=3, events=5)],
)  # fmt: skip
def test_bad_settings_are_refused(call: Any) -> None:
    with pytest.raises(SettingError):
        call()
