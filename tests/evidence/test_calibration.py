"""The published calibration is of this code and meets what is claimed of it; ranks that are not uniform are found."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

import progression as pg
from progression.encoding import encode
from progression.engines import forward
from tests.evidence.calibration import figures, likelihoods, ranks, records, sets, truths

# What has not been run yet (`python -m tests.evidence.calibration MODEL`): what comes takes its name off.
MARGINAL, NUTS = ["sparse, marginal", "dense, marginal"], ["sparse, nuts", "dense, nuts"]
LACKING = {
    "als_slope": ["dense, marginal", "dense, nuts"],
    "als_shared": MARGINAL + NUTS,
    "als_bounded": MARGINAL + NUTS,
    "als_items": NUTS,
    "als_antibody": NUTS,
    "sle_activity": NUTS,
    "sle_crp": MARGINAL + NUTS,
    "sle_joints": MARGINAL + NUTS,
}
RECORDED = [model for model in sets.SETS if records.record_path(model).exists()]
N = 400


def published(model: str) -> dict[str, Any]:
    return json.loads(records.record_path(model).read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", list(sets.SETS))
def test_every_model_has_its_sets_or_is_known_to_lack_them(model: str) -> None:
    assert set(sets.SETS) == set(truths.DESIGNS) == set(pg.models())
    held = records.groups_so_far(model)
    assert sorted(set(records.names(model)) - set(held)) == sorted(LACKING.get(model, []))
    assert bool(held) == (model in RECORDED), f"stale: run `python -m tests.evidence.calibration {model}` again"
    assert records.record_path(model).with_suffix(".png").exists() == bool(held)


@pytest.mark.parametrize("model", RECORDED)
def test_record_is_of_this_code(model: str) -> None:
    one = published(model)
    assert one["code"] == records.code(model), f"stale: run `python -m tests.evidence.calibration {model}` again"
    assert list(one["groups"]) == [name for name in records.names(model) if name in one["groups"]]
    assert one["priors"] == {name: repr(prior) for name, prior in pg.models()[model].priors.items()}


@pytest.mark.parametrize("model", RECORDED)
def test_record_meets_what_is_claimed(model: str) -> None:
    """P-values of the chi-square from the counts themselves; those of the ECDF, which take longer, of the joint log-likelihood."""
    groups = published(model)["groups"]
    for own in groups.values():
        for name, one in own["quantities"].items():
            count = np.array(one["counts"].split(), int)
            assert count.sum() == own["sets"]
            assert one["chi_square"] == pytest.approx(ranks.chi_square(count), rel=1e-3)
            if name == "log-likelihood":
                assert one["ecdf"] == pytest.approx(ranks.ecdf(count), rel=1e-3)
        assert "log-likelihood" in own["quantities"]
    said = records.verdict(groups)
    assert said["calibrated"], said["faults"]


def conjugate(rng: np.random.Generator, *, prior_sd: float = 1.0, sd: float = 1.0, shift: float = 0.0, blind: bool = False) -> dict[str, list[int]]:  # fmt: skip
    """Ranks of a normal mean and of the log-likelihood of one observation, posterior exact for a prior SD of 1, or wrong as told."""
    found: dict[str, list[int]] = {"mean": [], "log-likelihood": []}
    for _ in range(N):
        mean = prior_sd * rng.normal()
        y = mean + rng.normal()
        draws = (
            rng.normal(0, 1, ranks.DRAWS) if blind else y / 2 + (shift + sd * rng.normal(size=ranks.DRAWS)) / np.sqrt(2)
        )
        found["mean"].append(ranks.rank(draws, mean, rng))
        found["log-likelihood"].append(ranks.rank(stats.norm.logpdf(y, draws), stats.norm.logpdf(y, mean), rng))
    return found


def p_values(found: list[int]) -> tuple[float, float]:
    count = ranks.counts(found)
    return ranks.chi_square(count), ranks.ecdf(count)


def test_exact_posteriors_pass_and_wrong_ones_fail() -> None:
    right = conjugate(np.random.default_rng(1))
    assert all(p > 0.01 for one in right.values() for p in p_values(one))
    for number, wrong in enumerate(({"prior_sd": 2.0}, {"sd": 0.7}, {"sd": 1.5}, {"shift": 0.4}), 2):
        found = conjugate(np.random.default_rng(number), **wrong)
        assert max(p_values(found["mean"])) < ranks.FEWEST, wrong


def test_a_likelihood_that_is_missing_shows_in_the_log_likelihood_alone() -> None:
    """Draws from the prior are calibrated for every parameter: Modrak et al. (2023)."""
    found = conjugate(np.random.default_rng(6), blind=True)
    assert min(p_values(found["mean"])) > 0.01
    assert max(p_values(found["log-likelihood"])) < ranks.FEWEST


def test_ecdf_probability_is_that_of_simulated_ranks() -> None:
    """Exact p-values are uniform over uniform ranks, but for their being discrete; the band holds as often as it says."""
    rng = np.random.default_rng(3)
    counted = [ranks.counts(rng.integers(ranks.DRAWS + 1, size=100)) for _ in range(200)]
    p = np.array([ranks.ecdf(one) for one in counted])
    for alpha in (0.05, 0.2, 0.5):
        assert np.sum(p <= alpha) <= stats.binom.ppf(0.999, len(p), alpha)
        assert np.sum(p <= alpha) >= stats.binom.ppf(0.001, len(p), alpha) - 10
    low, high = ranks.band(100, 0.05)
    shares = [np.cumsum(one)[:-1] / 100 for one in counted]
    stays = sum(bool(np.all((one >= low) & (one <= high))) for one in shares)
    assert stats.binom.ppf(0.001, 200, 0.95) <= stays


def test_stated_power_is_that_of_simulated_ranks() -> None:
    fault, rng = ranks.departing(scale=0.8), np.random.default_rng(4)
    counted = [ranks.counts(rng.choice(ranks.DRAWS + 1, size=200, p=fault)) for _ in range(100)]
    for stated, found in zip(ranks.power(200, fault), np.array([(ranks.chi_square(c), ranks.ecdf(c)) for c in counted]).T, strict=True):  # fmt: skip
        low, high = stats.binom.ppf([0.001, 0.999], 100, stated)
        assert low <= np.sum(found < ranks.ALPHA) <= high
    assert ranks.detectable(200)["sd_too_small"] == pytest.approx(0.77, abs=0.02)


def test_verdict_names_what_fails() -> None:
    good, bad = (list(conjugate(np.random.default_rng(5), **how)["mean"]) for how in ({}, {"sd": 0.7}))
    own = {"engine": "marginal", "problems": [], "fell_back": "", "longer": False, "r_hat": 1.0, "ess": 900, "seconds": 1.0,
           "pareto_k": 0.1, "quadrature_error": 0.0}  # fmt: skip
    found = [
        {"ranks": {"a": a, "2 a": a, "-a": ranks.DRAWS - a, "b": b}, "below": {"b": b / ranks.DRAWS}, **own}
        for a, b in zip(good, bad, strict=True)
    ]
    made = {"sparse, marginal": records.group(found)}
    assert made["sparse, marginal"]["same_ranks"] == {"2 a": "a", "-a": "a"}
    said = records.verdict(made)
    assert not said["calibrated"] and said["chi_square"]["of"] == "sparse, marginal, b"
    assert any("intervals of 0.9 hold b" in fault for fault in said["faults"])
    assert "a shift of 0.2" in records.in_words("als_slope", made)
    assert figures.png(figures.ecdf_differences("als_slope", made)).startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_set_ranks_every_parameter_estimand_and_the_likelihood() -> None:
    found = sets.one("als_slope", "sparse", "marginal", 0)
    assert set(found["ranks"]) >= {
        "sd_slope",
        "level_difference[0]",
        "slope_difference[0]",
        "slope of p63",
        "log-likelihood",
    }
    assert all(0 <= rank <= ranks.DRAWS for rank in found["ranks"].values()) and not found["problems"]


def test_a_set_that_ran_longer_keeps_why_it_fell_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, right = [], sets._fit

    def first_by_nuts(of: Any, cohort: Any, engine: str, seed: int, how: Any) -> Any:
        asked.append(engine)
        done = right(of, cohort, "marginal", seed, sets.HOW["marginal"])
        few = dataclasses.replace(done.diagnostics, table=done.diagnostics.table.assign(ess_bulk=1.0))
        told = {"engine": "nuts"} if len(asked) > 1 else {"engine": "nuts", "fell_back": "it could not vouch"}
        return dataclasses.replace(done, settings={**done.settings, **told}, diagnostics=few)

    monkeypatch.setattr(sets, "_fit", first_by_nuts)
    found = sets.one("als_slope", "sparse", "marginal", 0)
    assert asked == ["marginal", "nuts"] and found["longer"] and found["fell_back"] == "it could not vouch"


@pytest.mark.slow
def test_sets_at_once_are_those_one_by_one() -> None:
    """`fit_many` asked for parameters as if they were estimands, beside `fit`: the same sets and truths, the same places but for Monte Carlo error."""
    at_once = sets.several("sle_crp", "sparse", range(4))
    for index, made in enumerate(at_once):
        alone = sets.one("sle_crp", "sparse", "marginal", index)
        assert set(made["ranks"]) == {name for name in alone["ranks"] if " of p" not in name}
        assert all(0 <= rank <= ranks.DRAWS for rank in made["ranks"].values())
        for name, rank in made["ranks"].items():
            # Two lots of 99 draws; the likelihoods are not the same function of them.
            assert name == "log-likelihood" or abs(rank - alone["ranks"][name]) <= 30, (index, name)
        for name, share in made["below"].items():
            assert share == pytest.approx(alone["below"][name], abs=0.1)


@pytest.mark.parametrize("name", likelihoods.SUMMED)
def test_patients_summed_out_are_those_integrated_out(name: str) -> None:
    """One patient after another by adaptive quadrature over the density given the level, which is that of the program."""
    of = truths.simulated(name, "sparse", 1)
    p = {key: one[None] for key, one in of.population.items()}
    total = 0.0
    for who in of.visits["subject"].unique():
        one = dataclasses.replace(of, visits=of.visits[of.visits["subject"] == who].assign(subject="p0"))
        for k in range(max(1, np.size(of.population["mean_level"]))):
            centre, sd = (float(np.ravel(of.population[key])[k]) for key in ("mean_level", "sd_patient"))

            def density(level: float, one: Any = one, k: int = k, centre: float = centre, sd: float = sd) -> float:
                at = np.full((1, 1, 2), of.population["mean_level"]) if name == "sle_joints" else np.array([[level]])
                at[..., k if name == "sle_joints" else 0] = level
                found = likelihoods.log_likelihood(one, p, {"level": at})[0]
                return float(np.exp(found) * stats.norm.pdf(level, centre, sd))

            fixed = likelihoods.log_likelihood(one, p, {"level": np.full((1, 1, 2), of.population["mean_level"])})[0] if name == "sle_joints" else 0.0  # fmt: skip
            other = 0.0 if name == "sle_crp" else fixed - _of_count(one, p, k)
            total += (
                np.log(integrate.quad(density, centre - 8 * sd, centre + 8 * sd, limit=400, points=[centre])[0]) - other
            )
    assert likelihoods.marginal_log_likelihood(of, p)[0] == pytest.approx(total, abs=0.05)


def _of_count(of: Any, p: Any, k: int) -> float:
    """Log-likelihood of one of the two counts with every level at its mean."""
    rows = likelihoods.Rows(of)
    logit = p["mean_level"][:, None] + likelihoods._course(rows, p)
    return float(likelihoods.beta_binomial(rows[likelihoods.COUNTS[k]], 28, special.expit(logit[..., k]), p["overdispersion"][:, k, None]).sum())  # fmt: skip


@pytest.mark.evidence
@pytest.mark.parametrize("name", list(sets.SETS))
def test_log_likelihood_is_that_of_the_program(name: str) -> None:
    """At draws from the prior: two programs, one of SciPy and one of PyMC, of the same density."""
    of, model = truths.simulated(name, "sparse", 3), pg.models()[name]
    encoded = encode(model, of.cohort(), options=model.with_options(of.options)).unpadded()
    prior, _ = forward.prior_draws(model, encoded, model.priors, draws=3, random_seed=1)
    exact = forward.log_likelihood(model, encoded, model.priors, prior)
    exact = sum(one.sum(one.dims[-1]).to_numpy()[0] for one in exact.data_vars.values())
    one = prior.isel(chain=0)
    p, own = ({key: one[key].to_numpy() for key in part} for part in (of.population, of.patients))
    if name == "als_antibody":  # a potential, no observed rows
        exact = exact + likelihoods.intervals(likelihoods.Rows(of), p)
    np.testing.assert_allclose(likelihoods.log_likelihood(of, p, own), exact, rtol=1e-6)
