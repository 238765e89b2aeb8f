"""Power against other ways to know it: two-stage slopes in NumPy, closed forms, and trials fitted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import progression as pg
from progression.looks import Look
from tests import simulators

MONTHS = np.array([0.0, 2, 4, 6, 8])
N = 30
SXX = ((MONTHS - MONTHS.mean()) ** 2).sum()
# Own levels and own slopes, each by least squares, are then uncorrelated: what levels tell of slopes is nothing, and closed forms are exact.
CORRELATION = 1.5**2 * MONTHS.mean() / SXX / (5 * 0.6)
TRUTH = {
    "mean_level": 38,
    "sd_level": 5,
    "mean_slope": -1.0,
    "sd_slope": 0.6,
    "correlation": CORRELATION,
    "sd_residual": 1.5,
}
VAGUE = {"slope_effect": pg.Prior("Normal", mu=0, sigma=5)}
RULE = pg.Rule("slope_difference", ">", 0, probability=0.95)
RATIO = pg.Rule("slope_ratio", "<", 1, probability=0.9)
DESIGN = pg.Design(arms={"control": N, "treated": N}, visits_months=tuple(MONTHS))
QUIET = {"progressbar": False, "random_seed": 5, "draws": 800}


@pytest.fixture(scope="module")
def oc():
    return pg.power(DESIGN, "als_slope", [RULE, RATIO], base=TRUTH, truths=[{"slope_effect": 0}, {"slope_effect": 0.4}], n_trials=256,
                    priors=VAGUE, **QUIET)  # fmt: skip


def own_slopes(scores):
    """(trials, subjects, visits) -> (trials, subjects)."""
    return scores @ (MONTHS - MONTHS.mean()) / SXX


def two_stages(slopes):
    """Difference of mean own slopes and its error, by trial: subjects of the control arm first."""
    control, treated = slopes[..., :N], slopes[..., N:]
    error = np.sqrt((control.var(axis=-1, ddof=1) + treated.var(axis=-1, ddof=1)) / N)
    return treated.mean(axis=-1) - control.mean(axis=-1), error


def given_levels(scores):
    """The same by least squares of own slopes on arm and own level at baseline: arms are alike there, as the model says."""
    found = []
    for slope, level in zip(own_slopes(scores), scores.mean(axis=-1) - own_slopes(scores) * MONTHS.mean(), strict=True):
        design = np.column_stack([np.ones(2 * N), np.arange(2 * N) >= N, level])
        inverse = np.linalg.inv(design.T @ design)
        fitted = inverse @ design.T @ slope
        found.append((fitted[1], np.sqrt(((slope - design @ fitted) ** 2).sum() / (2 * N - 3) * inverse[1, 1])))
    return np.array(found).T


def on_the_same(effect):
    """The very trials that power analysed, by two stages, arm by arm."""
    trials = pg.simulate(DESIGN, "als_slope", truth={**TRUTH, "slope_effect": effect}, n=256, random_seed=5)
    scores = trials.values["alsfrsr"].reshape(256, 2 * N, -1)
    arms = (trials.cohort.subjects["arm"] == "treated").to_numpy()
    return given_levels(scores[:, np.argsort(arms, kind="stable")])


@pytest.mark.parametrize("cell", [0, 1])
def test_trial_by_trial_against_two_stages(oc, cell):
    estimate, error = on_the_same((0, 0.4)[cell])
    found = oc.estimates(truth=oc.cells[cell][1])
    assert np.abs(found["estimate"] - estimate).max() < 0.2 * error.mean()
    assert np.corrcoef(found["estimate"], estimate)[0, 1] > 0.995
    np.testing.assert_allclose(found["sd"], error, rtol=0.2)
    p = stats.norm.cdf(estimate / error)
    assert np.abs(found["probability"] - p).mean() < 0.01
    sure = np.abs(estimate / error - stats.norm.ppf(0.95)) > 0.2
    assert (found["success"] == (p > 0.95))[sure].all() and sure.mean() > 0.7


@pytest.mark.parametrize("cell", [0, 1])
def test_success_against_trials_of_numpy_alone(oc, cell):
    rng = np.random.default_rng(8)
    table = simulators.als_slope(rng, n_per_arm={"control": 400 * N, "treated": 400 * N}, months=MONTHS,
                                 slope_effect={"treated": (0, 0.4)[cell]},
                                 **{key: value for key, value in TRUTH.items() if key != "slope_effect"})  # fmt: skip
    slopes = own_slopes(table["alsfrsr"].to_numpy().reshape(2, 400, N, -1))
    estimate, error = two_stages(np.concatenate([slopes[0], slopes[1]], axis=1))
    wins = estimate / error > stats.norm.ppf(0.95)
    row = oc.table.iloc[2 * cell]
    assert abs(row["success"] - wins.mean()) < 3.5 * np.hypot(row["se"], wins.std() / np.sqrt(len(wins)))


def test_success_against_the_closed_form(oc):
    table = oc.table.reset_index()
    of_slope = 0.6**2 + 1.5**2 / SXX
    wanted = stats.norm.sf(stats.norm.ppf(0.95) - np.array([0, 0.4]) / np.sqrt(of_slope * 2 / N))
    np.testing.assert_allclose(table["closed_form"][::2], wanted, rtol=1e-9)
    assert (np.abs(table["success"] - table["closed_form"]) < 3.5 * np.maximum(table["se"], 0.01)).all()
    assert table["what"].tolist() == ["type I error", "type I error", "power", "power"]
    assert (table["lower"] < table["success"]).all() and (table["success"] < table["upper"]).all()


def test_bias_and_coverage(oc):
    table = oc.table
    difference = table.iloc[::2]  # a posterior mean of a ratio is not without bias: its denominator is uncertain
    assert (difference["bias"].abs() < 3.5 * difference["bias_se"]).all()
    assert (np.abs(table["coverage"] - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / 256)).all()
    np.testing.assert_allclose(table["posterior_sd"], table["estimate_sd"], rtol=0.2)
    assert table["true"].tolist() == pytest.approx([0, 1, 0.4, 0.6])
    assert (table["failed"] == 0).all() and (table["patients"] == 2 * N).all() and (table["months"] == 8).all()


def test_a_wider_interval(oc):
    half = pg.power(
        DESIGN,
        "als_slope",
        RULE,
        base=TRUTH,
        truths=[{"slope_effect": 0.4}],
        n_trials=64,
        interval=0.5,
        priors=VAGUE,
        **QUIET,
    )
    row = half.table.iloc[0]
    assert abs(row["coverage"] - 0.5) < 3.5 * np.sqrt(0.25 / 64)
    np.testing.assert_allclose(row["width"], 2 * stats.norm.ppf(0.75) * row["posterior_sd"], rtol=0.05)


def test_it_says_what_it_is(oc):
    text = repr(oc)
    assert "256 SIMULATED trials a cell, als_slope" in text and "closed form" in text
    assert "slope_effect 0.4: power of P(slope_difference > 0) > 0.95" in text


@pytest.mark.slow
def test_the_limit_of_a_rule_is_no_effect():
    """A ratio of 0.9 tested against 0.9 is a type I error, whichever way 0.9 comes back from the slope that it was turned into."""
    rule = pg.Rule("slope_ratio", "<", 0.9, probability=0.9)
    for slope in (-1.03, -0.97, -0.7):
        oc = pg.power(
            DESIGN,
            "als_slope",
            rule,
            base={**TRUTH, "mean_slope": slope},
            truths=[{"slope_ratio": 0.9}],
            n_trials=8,
            **QUIET,
        )
        assert oc.table["what"].tolist() == ["type I error"]


# ---- looks ----

LOOKS = pg.Design(arms={"control": N, "treated": N}, visits_months=tuple(MONTHS), accrual_months=6, dropout_per_month=0.02,
                  looks=(Look(5, futility=0.2), Look(8, success=pg.Rule("slope_ratio", "<", 1, probability=0.98), futility=0.3)))  # fmt: skip


@pytest.fixture(scope="module")
def looked():
    return pg.power(LOOKS, "als_slope", RULE, base=TRUTH, truths=[{"slope_effect": 0.25}], n_trials=64, **QUIET)


@pytest.mark.slow
@pytest.mark.parametrize("look", [0, 1, 2])
def test_a_look_knows_only_what_was_known(looked, look):
    """The same trials cut at the date by hand: rows of later dates struck out, then fitted."""
    trials = pg.simulate(LOOKS, "als_slope", truth={**TRUTH, "slope_effect": 0.25}, n=64, random_seed=5)
    date = (5.0, 8.0, np.inf)[look]
    visits = trials.cohort.visits
    who = trials.cohort.subjects.index.get_indexer(visits["subject"])
    values = np.where(trials.entry[:, who] + visits["month"].to_numpy() <= date, trials.values["alsfrsr"], np.nan)
    assert np.isfinite(values).sum() < np.isfinite(trials.values["alsfrsr"]).sum() or look == 2
    fits = pg.fit_many("als_slope", pg.Replicates(trials.cohort, {"alsfrsr": values}), estimands="slope_difference", draws=800,
                       fallback=False, random_seed=1, progressbar=False)  # fmt: skip
    draws = fits.draws["slope_difference"].transpose("data_set", "draw", ...).to_numpy().reshape(64, -1)
    rows = looked.records.table.query("look == @look").sort_values("replicate")
    spread = draws.std(axis=1)
    assert (
        np.abs(rows["mean_0"].to_numpy() - draws.mean(axis=1)) < 0.2 * spread
    ).all()  # other points of the same posterior
    np.testing.assert_allclose(rows["sd_0"], spread, rtol=0.2)
    assert np.abs(rows["p_0"].to_numpy() - (draws > 0).mean(axis=1)).max() < 0.08


def test_when_and_how_many(looked):
    trials = pg.simulate(LOOKS, "als_slope", truth={**TRUTH, "slope_effect": 0.25}, n=64, random_seed=5)
    rows = looked.records.table.sort_values(["look", "replicate"])
    entry = trials.entry
    np.testing.assert_array_equal(rows.query("look == 0")["enrolled"], (entry <= 5).sum(axis=1))
    assert (rows.query("look == 0")["enrolled"] < 2 * N).any()
    last = np.nanmax(np.where(np.isfinite(trials.values["alsfrsr"]), trials.calendar, np.nan), axis=1)
    np.testing.assert_allclose(rows.query("look == 2")["month"], last)
    assert (rows.query("look == 2")["enrolled"] == 2 * N).all()


def test_looks_decide(looked):
    table, row = looked.by_look.reset_index(), looked.table.iloc[0]
    wide = {
        name: looked.records.table.pivot(index="replicate", columns="look", values=name).to_numpy()
        for name in ("p_0", "p_1", "month")
    }
    p, ratio = wide["p_0"], wide["p_1"]
    first = p[:, 0] < 0.2
    won, lost = ~first & (ratio[:, 1] > 0.98), ~first & ~(ratio[:, 1] > 0.98) & (p[:, 1] < 0.3)
    end = ~first & ~won & ~lost
    assert table["decided"].tolist() == pytest.approx([first.mean(), (won | lost).mean(), end.mean()])
    assert row["success"] == pytest.approx((won | (end & (p[:, 2] > 0.95))).mean())
    assert row["stop_futility"] == pytest.approx((first | lost).mean()) and row["stop_success"] == pytest.approx(
        won.mean()
    )
    assert row["months"] == pytest.approx(np.where(first, 5, np.where(end, wide["month"][:, 2], 8)).mean())
    assert row["stop_success"] > 0 and row["stop_futility"] > 0
    assert "stopped early" in repr(looked)
    # what was recorded for a look's own rule can be judged too
    assert looked.with_rule(pg.Rule("slope_ratio", "<", 1, probability=0.9)).table["true"].iloc[0] == pytest.approx(
        0.75
    )


def test_information_instead_of_a_month():
    design = pg.Design(
        arms={"control": N, "treated": N},
        visits_months=tuple(MONTHS),
        accrual_months=6,
        looks=(Look(information=0.5, futility=0.1),),
    )
    oc = pg.power(design, "als_slope", RULE, base=TRUTH, truths=[{"slope_effect": 0.25}], n_trials=16, **QUIET)
    trials = pg.simulate(design, "als_slope", truth={**TRUTH, "slope_effect": 0.25}, n=16, random_seed=5)
    month = oc.records.table.query("look == 0").sort_values("replicate")["month"].to_numpy()
    seen = (trials.calendar <= month[:, None]).sum(axis=1)
    assert (np.abs(seen - 0.5 * 2 * N * len(MONTHS)) <= 1).all() and np.ptp(month) > 0


@pytest.mark.slow
def test_designs_side_by_side(oc):
    """Two designs in one run, of different numbers of looks: each is what it is by itself."""
    both = pg.power(
        {"plain": DESIGN, "looks": LOOKS},
        "als_slope",
        RULE,
        base=TRUTH,
        truths=[{"slope_effect": 0.25}],
        n_trials=64,
        **QUIET,
    )
    alone = pg.power(LOOKS, "als_slope", RULE, base=TRUTH, truths=[{"slope_effect": 0.25}], n_trials=64, **QUIET)
    assert both.cells == (("plain", "slope_effect 0.25"), ("looks", "slope_effect 0.25"))
    one, other = both.estimates("looks"), alone.estimates()
    same = one["month"] == other["month"]  # a trial at a limit may go either way: searches for modes began elsewhere
    assert same.mean() > 0.95 and (one["success"] == other["success"]).mean() > 0.95
    assert (np.abs(one["estimate"] - other["estimate"]) < 0.1 * other["sd"])[same].all()
    pd.testing.assert_series_equal(one["true"], other["true"])
    assert len(both.by_look) == 4 and np.isfinite(both.table["closed_form"]).all()
