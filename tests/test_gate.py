"""The gate lets good draws pass and names whatever is wrong with bad ones."""

import numpy as np
import pytest
import xarray as xr

from progression.gate import MIN_BFMI, convergence, diagnose

NAMES = {"nutpie": "maxdepth_reached", "pymc": "reached_max_treedepth"}
DIMS = ("chain", "draw")


def draws(chains=4, n=500, seed=0):
    rng = np.random.default_rng(seed)
    return xr.Dataset({
        "mu": (DIMS, rng.normal(size=(chains, n))),
        "effect": ((*DIMS, "arm"), rng.normal(size=(chains, n, 2))),
        "level": ((*DIMS, "subject"), rng.normal(size=(chains, n, 30))),
        "level_raw": ((*DIMS, "subject"), rng.normal(size=(chains, n, 30))),
        "nothing": ((*DIMS, "covariate"), np.empty((chains, n, 0))),
    }, coords={"arm": ["low", "high"], "subject": [f"S{i}" for i in range(30)]})  # fmt: skip


def stats(sampler="nutpie", chains=4, n=500, **replaced):
    made = {"diverging": np.zeros((chains, n), bool), NAMES[sampler]: np.zeros((chains, n), bool),
            "energy": np.random.default_rng(1).normal(size=(chains, n))}  # fmt: skip
    return xr.Dataset({name: (DIMS, array) for name, array in (made | replaced).items() if array is not None})


def only(found, text):
    assert len(found.problems) == 1 and text in found.problems[0], found.problems


@pytest.mark.parametrize("sampler", NAMES)
def test_good_draws_pass(sampler):
    found = diagnose(draws(), stats(sampler), expected_draws=500)
    assert found.problems == () and found.divergences == 0 and found.deep_trees == 0 and len(found.bfmi) == 4
    assert list(found.table) == ["r_hat", "ess_bulk", "ess_tail"]
    assert {"mu", "effect[low]", "effect[high]"} <= set(found.table.index)
    assert not any("raw" in name or "nothing" in name for name in found.table.index)


@pytest.mark.parametrize("sampler", NAMES)
def test_divergences_and_deep_trees(sampler):
    some = np.zeros((4, 500), bool)
    some[1, :7] = True
    found = diagnose(draws(), stats(sampler, diverging=some))
    only(found, "7 of 2000 draws diverged")
    assert found.divergences == 7
    found = diagnose(draws(), stats(sampler, **{NAMES[sampler]: some}))
    only(found, "7 draws ran into the greatest tree depth")
    assert found.deep_trees == 7


def test_chains_apart():
    bad = draws()
    bad["mu"] = bad["mu"] + xr.DataArray([0, 0, 0, 1.0], dims="chain")
    found = diagnose(bad, stats())
    assert any("R-hat up to 1." in p and "(mu)" in p for p in found.problems)


def test_one_subject_among_many_apart():
    bad = draws()
    bad["level"][{"subject": 17}] += np.array([0, 0, 0, 3.0])[:, None]
    found = diagnose(bad, stats())
    assert any("(level[S17])" in p for p in found.problems)
    assert found.table["r_hat"].idxmax() == "level[S17]"


def test_effective_sample_size():
    slow = draws()
    rng, walk = np.random.default_rng(3), np.zeros((4, 500))
    for i in range(1, 500):
        walk[:, i] = 0.9 * walk[:, i - 1] + rng.normal(size=4)
    slow["mu"] = (DIMS, walk)
    found = diagnose(slow, stats())
    assert any("effective sample size down to" in p and "(mu)" in p and "400 is wanted" in p for p in found.problems)


def test_tails_that_do_not_mix():
    """The middle is visited at random, the width of the tails wanders slowly: only the tail ESS sees it."""
    rng, walk = np.random.default_rng(6), np.zeros((4, 1000))
    for i in range(1, 1000):
        walk[:, i] = 0.97 * walk[:, i - 1] + 0.4 * rng.normal(size=4)
    slow = draws(n=1000)
    slow["mu"] = slow["mu"] * np.exp(walk)
    table = convergence(slow)
    assert table.loc["mu", "ess_bulk"] > 400 > table.loc["mu", "ess_tail"]
    assert any("effective sample size" in p and "(mu)" in p for p in diagnose(slow, stats(n=1000)).problems)


def test_energy():
    walk = np.cumsum(np.random.default_rng(2).normal(size=(4, 500)), axis=1)
    found = diagnose(draws(), stats(energy=walk))
    only(found, "E-BFMI down to 0.0")
    assert min(found.bfmi) < MIN_BFMI
    one = np.random.default_rng(1).normal(size=(4, 500))
    one[2] = walk[2]
    only(diagnose(draws(), stats(energy=one)), "E-BFMI")
    # By hand: mean of squared steps over the variance.
    energy = np.array([[0.0, 1, 0, 3]])
    few = stats(chains=1, n=4, energy=energy)
    assert diagnose(draws(1, 4), few).bfmi[0] == pytest.approx((1 + 1 + 9) / 3 / np.var([0, 1, 0, 3]))


def test_energy_that_is_not_a_number():
    assert diagnose(draws(), stats(energy=np.full((4, 500), np.nan))).problems


@pytest.mark.parametrize("meaning", ["diverging", "maxdepth_reached", "energy"])
def test_an_unknown_name_is_a_failure(meaning):
    renamed = stats().rename({meaning: "something_else"})
    found = diagnose(draws(), renamed)
    only(found, "cannot be judged")
    assert meaning in found.problems[0]


def test_one_chain_and_short_chains():
    found = diagnose(draws(1), stats(chains=1))
    assert any("one chain only" in problem for problem in found.problems)
    found = diagnose(draws(n=400), stats(n=400), expected_draws=500)
    only(found, "cut short: 400 draws a chain of 500")
    assert not diagnose(draws(n=400), stats(n=400), expected_draws=400).problems


def test_what_cannot_be_computed_is_a_problem():
    stuck = draws()
    stuck["mu"] = xr.zeros_like(stuck["mu"])
    assert diagnose(stuck, stats()).problems
    lost = draws()
    lost["mu"][0, 3] = np.nan
    assert any("cannot be computed for mu" in p for p in diagnose(lost, stats()).problems)
