"""The published calibration is of this code and meets what is claimed of it; ranks that are not uniform are found."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import progression as pg
from progression.encoding import encode
from progression.engines import forward
from tests.evidence.calibration import (
    again,
    figures,
    likelihoods,
    many_sets,
    plan,
    ranks,
    records,
    sets,
    stamps,
    summed,
    truths,
)

# What has not been run yet (`python -m tests.evidence.calibration MODEL`): what comes takes its name off.
MARGINAL, MANY, NUTS = ([f"{regime}, {road}" for regime in truths.REGIMES] for road in ("marginal", "many", "nuts"))
LACKING = {
    "als_bounded": MANY,
    "als_items": NUTS,
    "als_antibody": [*MANY, "dense, nuts"],
    "sle_activity": ["dense, nuts"],
    "sle_crp": ["dense, many"],
    "sle_joints": ["dense, many"],
}
RECORDED = [model for model in plan.SETS if records.record_path(model).exists()]
N = 400


def published(model: str) -> dict[str, Any]:
    return json.loads(records.record_path(model).read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", list(plan.SETS))
def test_every_model_has_its_sets_or_is_known_to_lack_them(model: str) -> None:
    assert set(plan.SETS) == set(truths.DESIGNS) == set(pg.models())
    held = records.groups_so_far(model)
    assert sorted(set(records.names(model)) - set(held)) == sorted(LACKING.get(model, []))
    assert bool(held) == (model in RECORDED), f"stale: run `python -m tests.evidence.calibration {model}` again"
    assert records.record_path(model).with_suffix(".png").exists() == bool(held)


@pytest.mark.parametrize("model", RECORDED)
def test_record_is_of_this_code(model: str) -> None:
    one = published(model)
    assert list(one["groups"]) == list(records.groups_so_far(model)), (
        f"stale: run `python -m tests.evidence.calibration {model}` again"
    )
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
        assert "log-likelihood" in own["quantities"] and len(own["first"]) == records.FIRST
    assert records.unexpected(model, groups) == []
    for name in plan.KNOWN_FAULTS.get(model, {}):  # mended, it comes off the list
        assert not records.verdict({name: groups[name]})["calibrated"]
    assert records.verdict(groups) == published(model)["verdict"]


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


SMOKE = [("als_slope", "sparse", "marginal"), ("als_slope", "sparse", "many")]


@pytest.mark.parametrize(
    ("model", "regime", "road"),
    [pytest.param(model, regime, road, marks=() if (model, regime, road) in SMOKE else pytest.mark.slow)
     for model in RECORDED for regime, road in plan.SETS[model] if plan.ROADS[road] == "marginal" and f"{regime}, {road}" not in LACKING.get(model, [])],
)  # fmt: skip
def test_sets_of_the_record_made_again_have_its_ranks(model: str, regime: str, road: str) -> None:
    """Every parameter, estimand and patient's effect; another processor may move a draw or two."""
    known = published(model)["groups"][f"{regime}, {road}"]["first"]
    for kept, found in zip(known, again.made(model, (regime, road)), strict=True):
        assert set(found) == set(kept)
        off = [abs(found[name] - kept[name]) for name in kept]
        assert max(off) <= 3 and np.mean(off) < 0.3, {name: (kept[name], found[name]) for name in kept}


def test_a_rank_that_differs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    part = ("sparse", "marginal")
    kept = published("als_slope")["groups"]["sparse, marginal"]["first"]
    monkeypatch.setattr(again, "made", lambda model, part: kept)
    assert again.farthest("als_slope", part) == 0
    moved = [dict(one) for one in kept]
    moved[-1]["mean_slope"] += 7
    monkeypatch.setattr(again, "made", lambda model, part: moved)
    assert again.farthest("als_slope", part) == 7
    monkeypatch.setattr(again, "made", lambda model, part: [{**one, "another": 1} for one in kept])
    assert again.farthest("als_slope", part) == ranks.BINS


def test_sets_of_two_kinds_of_code_are_not_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    part = ("sparse", "many")
    made_by = stamps.stamp("als_slope", part)
    stamps.check("als_slope", part, made_by)
    places = {stamps.folder("als_slope", part, one) for one in (made_by, {**made_by, "versions": {"pymc": "0"}}, {**made_by, "fitted": {}})}  # fmt: skip
    assert len(places) == 3
    stamps._checked.clear()
    monkeypatch.setattr(stamps, "code", lambda model, part: {**made_by["code"], "engine": "another"})
    with pytest.raises(RuntimeError, match="has changed since this run began"):
        stamps.check("als_slope", part, made_by)


def test_what_the_program_is_given_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoding that gives the program other arrays makes a record stale."""
    known, right = stamps._data.__wrapped__("als_slope", "sparse"), stamps.encode
    assert known == stamps._data.__wrapped__("als_slope", "sparse") != stamps._data.__wrapped__("als_slope", "dense")

    def flipped(*told: Any, **how: Any) -> Any:
        found = right(*told, **how)
        dims, on_arm = found.arrays["on_arm"]
        return dataclasses.replace(found, arrays={**found.arrays, "on_arm": (dims, 1 - on_arm)})

    monkeypatch.setattr(stamps, "encode", flipped)
    assert stamps._data.__wrapped__("als_slope", "sparse") != known


def test_no_number_has_no_rank() -> None:
    with pytest.raises(ValueError, match="no ranks"):
        ranks.rank(np.array([1.0, np.nan]), 0.0, np.random.default_rng(1))


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
        done = right(of, cohort, "marginal", seed, plan.how("als_slope", "marginal"))
        few = dataclasses.replace(done.diagnostics, table=done.diagnostics.table.assign(ess_bulk=1.0))
        told = {"engine": "nuts"} if len(asked) > 1 else {"engine": "nuts", "fell_back": "it could not vouch"}
        return dataclasses.replace(done, settings={**done.settings, **told}, diagnostics=few)

    monkeypatch.setattr(sets, "_fit", first_by_nuts)
    found = sets.one("als_slope", "sparse", "marginal", 0)
    assert asked == ["marginal", "nuts"] and found["longer"] and found["fell_back"] == "it could not vouch"


@pytest.mark.slow
def test_sets_at_once_are_those_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit_many` asked for parameters as if they were estimands, beside `fit`: the same sets and truths, the same places but for Monte Carlo error."""
    monkeypatch.setattr(many_sets, "OWN_SETS", 0)
    at_once = many_sets.several("sle_crp", "sparse", range(4))
    for index, made in enumerate(at_once):
        alone = sets.one("sle_crp", "sparse", "marginal", index)
        assert set(made["ranks"]) == {name for name in alone["ranks"] if " of p" not in name}
        assert all(0 <= rank <= ranks.DRAWS for rank in made["ranks"].values())
        for name, rank in made["ranks"].items():
            # Two lots of 99 draws; the likelihoods are not the same function of them.
            assert name == "log-likelihood" or abs(rank - alone["ranks"][name]) <= 30, (index, name)
        for name, share in made["below"].items():
            assert share == pytest.approx(alone["below"][name], abs=0.1)


@pytest.mark.parametrize(
    ("name", "regime"),
    [pytest.param(name, regime, marks=() if (name, regime) in (("als_slope", "sparse"), ("sle_joints", "dense")) else pytest.mark.slow)
     for name, parts in plan.SETS.items() for regime, road in parts if road == "many"],
)  # fmt: skip
def test_patients_summed_out_are_those_drawn(name: str, regime: str) -> None:
    """One patient after another: the mean likelihood of very many draws of what is the patient's own, whose density is that of the program."""
    of, rng = truths.simulated(name, regime, 0), np.random.default_rng(7)
    n = 200_000 if name in ("als_bounded", "sle_joints") else 1_500_000
    last = len(next(iter(of.patients.values()))) - 1
    died = [] if of.subjects is None else np.flatnonzero(of.subjects["event"] == "death")[-1:].tolist()
    for i in sorted({0, max(last - 6, 1), last, *died}):
        mine = of.visits["subject"] == f"p{i}"
        facts = None if of.subjects is None else of.subjects.iloc[[i]].assign(subject="p0").reset_index(drop=True)
        alone = dataclasses.replace(of, visits=of.visits[mine].assign(subject="p0").reset_index(drop=True), subjects=facts)  # fmt: skip
        treated = bool(likelihoods.Rows(alone).treated[0])
        one = {key: value[None] for key, value in of.population.items()}
        found = likelihoods.log_likelihood(alone, one, own_effects(alone, treated, n, rng))
        drawn = special.logsumexp(found) - np.log(n)
        error = np.exp(found - drawn).std() / np.sqrt(n)
        assert error < 0.02, "too few draws to say anything"
        # Where a beta-binomial is looked up or an onset is one of eight, sums are near, not exact.
        near = {"als_bounded": 0.02, "als_antibody": 0.05}.get(name, 0.005)
        assert summed.marginal_log_likelihood(alone, one)[0] == pytest.approx(drawn, abs=near + 4 * error)


def own_effects(of: truths.Simulated, treated: bool, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What one patient may have, (draws, 1, ...), from the population and, of an onset, from within its interval."""
    p, u, v = of.population, rng.normal(size=(n, 1)), rng.normal(size=(n, 1))
    if of.model.startswith("sle"):
        return {"level": p["mean_level"] + p["sd_patient"] * rng.normal(size=(n, 1, *p["mean_level"].shape))}
    level = p["mean_level"] + p["sd_level"] * u + (treated * p["level_difference"][0] if "level_difference" in p else 0)
    if of.model == "als_shared":
        return {"level": level, "rate": p["mean_rate"] + p["sd_rate"][int(treated)] * v}
    slope = p["mean_slope"] + p["sd_slope"] * (p["correlation"] * u + np.sqrt(1 - p["correlation"] ** 2) * v)
    if of.model != "als_antibody":
        return {"level": level, "slope": slope + treated * p["slope_effect"][0]}
    low, high = (float(of.visits[name].iloc[0]) if treated else np.inf for name in ("onset_lower", "onset_upper"))
    onset = np.full((n, 1), truths.NEVER)
    if np.isfinite(high):
        many = p["median_onset"] * (rng.exponential(size=2_000_000) / np.log(2)) ** (1 / p["onset_shape"])
        within = many[(many > low) & (many <= high)]
        assert len(within) > 1000
        onset = rng.choice(within, (n, 1))
    return {"level": level, "slope": slope, "onset": onset}


@pytest.mark.evidence
@pytest.mark.parametrize("regime", truths.REGIMES)
@pytest.mark.parametrize("name", list(plan.SETS))
def test_log_likelihood_is_that_of_the_program(name: str, regime: str) -> None:
    """At draws from the prior: two programs, one of SciPy and one of PyMC, of the same density.

    But for the potential of als_antibody, which forward runs leave out: tests/test_antibody.py holds it to a fine sum.
    """
    of, model = truths.simulated(name, regime, 3), pg.models()[name]
    if name in ("sle_crp", "sle_activity") and regime == "dense":
        assert 0 < of.visits["crp_mg_dl_censored"].mean() < 1
    encoded = encode(model, of.cohort(), options=model.with_options(of.options)).unpadded()
    prior, _ = forward.prior_draws(model, encoded, model.priors, draws=3, random_seed=1)
    exact = forward.log_likelihood(model, encoded, model.priors, prior)
    exact = sum(one.sum(one.dims[-1]).to_numpy()[0] for one in exact.data_vars.values())
    one = prior.isel(chain=0)
    p, own = ({key: one[key].to_numpy() for key in part} for part in (of.population, of.patients))
    if name == "als_antibody":  # a potential, no observed rows
        exact = exact + likelihoods.intervals(likelihoods.Rows(of), p)
    np.testing.assert_allclose(likelihoods.log_likelihood(of, p, own), exact, rtol=1e-6)
