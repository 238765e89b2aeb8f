"""Onset of antibodies: its coding, its distribution, and als_antibody held against sums and formulas made elsewhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from scipy import integrate, special, stats

import progression as pg
from progression.encoding import encode
from progression.engines import integration, prepared
from progression.faults import CohortError
from progression_models.als_antibody import NEVER, months_without, onset_log_likelihood, onset_within
from tests import simulators

MODEL = pg.models()["als_antibody"]
TRUTH = {"mean_level": 38.0, "sd_level": 4.0, "mean_slope": -1.0, "sd_slope": 0.5, "correlation": 0.3,
         "sd_residual": 1.5, "effect_before": 0.6, "effect_after": -0.2, "share_converting": 0.7, "median_onset": 3.0,
         "onset_shape": 1.4}  # fmt: skip
MONTHS = [-0.5, 0.0, 1.0, 2.0, 4.0, 6.0, 9.0]


def cohort(table, **how):
    settings = {"allocation": "randomised", "arms": ["control", "treated"], "outcomes": ["alsfrsr"]}
    return pg.Cohort.from_table(table.drop(columns="onset", errors="ignore"), time_unit="months", provenance="simulated",
                                **(settings | how))  # fmt: skip


def simulated(seed=1, n=9, tests=(0, 2, 6, 9), months=MONTHS, **how):
    return simulators.als_antibody(np.random.default_rng(seed), n_per_arm={"control": n, "treated": n}, months=months,
                                   tests=tests, **(TRUTH | how))  # fmt: skip


@pytest.fixture(scope="module")
def table():
    """Intervals of every kind: between tests, after the last, a day, and not given though treated."""
    made = simulated()
    made.loc[made["subject"] == "p9", ["onset_lower", "onset_upper"]] = 3.0
    made.loc[made["subject"] == "p10", ["onset_lower", "onset_upper"]] = np.nan
    made.loc[made["subject"] == "p11", ["onset_lower", "onset_upper"]] = [9.0, np.inf]
    return made


# ------------------------------------------------------------------------------------------------------- coding


def test_intervals_become_arrays_without_infinity(table):
    made = encode(MODEL, cohort(table))
    own = table.groupby("subject", sort=False).first()
    at = {name: made.arrays[f"onset_{name}"][1] for name in ("lower", "upper", "seen")}
    where = {subject: i for i, subject in enumerate(made.coords["subject"])}
    for subject, i in where.items():
        lower, upper = own.loc[subject, ["onset_lower", "onset_upper"]]
        if own.loc[subject, "arm"] == "control" or np.isnan(lower):
            expected = (0, 0, 0)
        elif np.isinf(upper):
            expected = (lower, 0, 0)
        else:
            half = 0.5 / 30.4375 if lower == upper else 0
            expected = (lower - half, upper + half, 1)
        assert tuple(at[name][i] for name in at) == pytest.approx(expected), subject
    assert made.n_padded > len(where) and not any(at[name][len(where) :].any() for name in at)
    tested = [s for s in where if own.loc[s, "arm"] == "treated" and s != "p10"]
    assert made.coords["tested"] == tested and len(tested) == 8
    for name, column in at.items():
        np.testing.assert_array_equal(made.arrays[f"tested_{name}"][1], column[[where[s] for s in tested]])
    new = made.on_schedule([0, 1], {"treated": 3})
    assert all(not new.arrays[f"onset_{name}"][1].any() and len(new.arrays[f"onset_{name}"][1]) == 3 for name in at)


def test_an_onset_known_at_the_start_is_the_first_half_day(table):
    first = table.assign(onset_lower=np.where(table["arm"] == "treated", 0.0, np.nan),
                         onset_upper=np.where(table["arm"] == "treated", 0.0, np.nan))  # fmt: skip
    arrays = encode(MODEL, cohort(first)).arrays
    assert set(arrays["tested_lower"][1]) == {0.0} and set(arrays["tested_upper"][1]) == {0.5 / 30.4375}


def test_models_that_know_no_onset_are_untouched(table, fake_fit):
    with_, without = cohort(table), cohort(table.drop(columns=["onset_lower", "onset_upper"]))
    one, other = (encode(pg.models()["als_slope"], each) for each in (with_, without))
    assert one.sizes() == other.sizes()
    from progression.engines.program import build

    used = build(pg.models()["als_slope"], one, pg.models()["als_slope"].priors).used
    assert not [name for name in used if name.startswith(("onset", "tested"))]
    for name in used:
        np.testing.assert_array_equal(one.arrays[name][1], other.arrays[name][1])


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [(4.0, 2.0, "ends before it begins"), (-1.0, 2.0, "before treatment start"), (2.0, np.nan, "has no end")],
)
def test_intervals_that_cannot_be_are_refused(table, lower, upper, text):
    wrong = table.copy()
    wrong.loc[wrong["subject"] == "p9", ["onset_lower", "onset_upper"]] = lower, upper
    with pytest.raises(CohortError, match=text) as caught:
        cohort(wrong)
    assert "p9" in str(caught.value)


@pytest.mark.slow
def test_many_data_sets_with_other_onsets_are_refused():
    first, second = (cohort(simulated(seed)) for seed in (1, 2))
    with pytest.raises(CohortError, match="another interval of onset") as caught:
        pg.fit_many("als_antibody", [first, second], progressbar=False)
    assert "pg.fit" in str(caught.value)
    assert len(pg.Replicates.from_cohorts([first, second])) == 2  # of no matter to als_slope


# -------------------------------------------------------------------------------------------------- distribution


def onset_at(quantile, lower, upper, seen, share=0.7, median=3.0, shape=1.4):
    data = SimpleNamespace(**{f"onset_{name}": pt.as_tensor(np.atleast_1d(float(value)))
                              for name, value in {"lower": lower, "upper": upper, "seen": seen}.items()})  # fmt: skip
    q = pt.vector("q")
    at = [pt.as_tensor(np.array(value)) for value in (share, median, shape)]
    run = pytensor.function([q], onset_within(q, data, *at), mode="FAST_COMPILE")
    return run(np.asarray(quantile, float))


def weibull(median=3.0, shape=1.4):
    return stats.weibull_min(shape, scale=median / np.log(2) ** (1 / shape))


@pytest.mark.parametrize("lower", [0.0, 2.0, 9.0])
def test_onset_after_a_last_negative_test(lower):
    q = (np.arange(2000) + 0.5) / 2000
    found = onset_at(q, lower, 0, 0)
    converts = 0.7 * weibull().sf(lower)
    share = converts / (converts + 0.3)
    assert np.mean(found < NEVER) == pytest.approx(share, abs=1 / 2000)
    some = found < NEVER
    expected = weibull().isf(weibull().sf(lower) * (1 - q[some] / share))
    np.testing.assert_allclose(found[some], expected, rtol=1e-7)
    assert (found[~some] == NEVER).all() and (np.diff(found) >= 0).all()


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 1.0), (2.0, 6.0), (3.0, 3.03), (30.0, 31.0)])
def test_onset_between_two_tests(lower, upper):
    q = np.linspace(0.001, 0.999, 50)
    found = onset_at(q, lower, upper, 1)
    sf = weibull().sf
    np.testing.assert_allclose(sf(found), sf(lower) - q * (sf(lower) - sf(upper)), rtol=1e-9)
    assert lower <= found.min() and found.max() <= upper


@pytest.mark.slow
def test_log_probability_of_intervals():
    rows = [(0.0, 0.0, 0), (2.0, 0.0, 0), (12.0, 0.0, 0), (0.0, 1.0, 1), (2.0, 6.0, 1), (9.0, 9.03, 1), (40.0, 41.0, 1)]
    lower, upper, seen = np.array(rows).T
    data = SimpleNamespace(
        tested_lower=pt.as_tensor(lower), tested_upper=pt.as_tensor(upper), tested_seen=pt.as_tensor(seen)
    )
    at = [pt.scalar(name) for name in ("share", "median", "shape")]
    graph = onset_log_likelihood(data, *at)
    run = pytensor.function(at, [graph, *pt.grad(graph.sum(), at)], mode="FAST_COMPILE")
    for share, median, shape in ((0.7, 3.0, 1.4), (0.95, 0.7, 0.8), (0.2, 8.0, 2.5)):
        own = weibull(median, shape)
        exact = [np.log(share * (own.sf(a) - own.sf(b))) if s else np.log(1 - share * own.cdf(a)) for a, b, s in rows]
        np.testing.assert_allclose(run(share, median, shape)[0], exact, rtol=1e-7, atol=1e-12)
    # Where a search may pass by: finite, with finite slopes.
    for share, median, shape in ((1 - 1e-12, 1e-4, 12.0), (1e-9, 1e5, 0.05), (0.5, 1e-3, 30.0)):
        assert all(np.isfinite(one).all() for one in run(share, median, shape))


def test_months_without_antibodies_are_those_of_an_integral(table):
    draws = xr.Dataset({name: (("chain", "draw"), np.array([values]))
                        for name, values in {"share_converting": [0.7, 1.0, 0.05], "median_onset": [3.0, 0.6, 30.0],
                                             "onset_shape": [1.4, 0.6, 3.0]}.items()})  # fmt: skip
    for month in (1.0, 12.0, 60.0):
        found = months_without(draws, month).to_numpy()[0]
        for value, share, median, shape in zip(found, [0.7, 1.0, 0.05], [3.0, 0.6, 30.0], [1.4, 0.6, 3.0], strict=True):
            survival = integrate.quad(weibull(median, shape).sf, 0, month, limit=200)[0]
            assert value == pytest.approx(share * survival + (1 - share) * month, rel=1e-6)


# -------------------------------------------------------------------------------------------------------- density


def by_sum(rows, interval, nodes=4000):
    """Log likelihood of one patient: a multivariate normal for each onset of a fine grid of the interval, added up."""
    t, y = rows["time"].to_numpy(), rows["alsfrsr"].to_numpy()
    a, b, r = TRUTH["sd_level"], TRUTH["sd_slope"], TRUTH["correlation"]
    cov = a**2 + r * a * b * np.add.outer(t, t) + b**2 * np.outer(t, t) + TRUTH["sd_residual"] ** 2 * np.eye(len(t))
    own, share = weibull(TRUTH["median_onset"], TRUTH["onset_shape"]), TRUTH["share_converting"]
    lower, upper = interval
    p = own.sf(lower) + (np.arange(nodes) + 0.5) / nodes * (own.sf(upper) - own.sf(lower))
    onset, weight = own.isf(p), np.full(nodes, share * (own.sf(lower) - own.sf(upper)) / nodes)
    if np.isinf(upper):
        onset, weight = np.append(onset, 1e9), np.append(weight, 1 - share)
    weight /= weight.sum()
    since = np.maximum(t, 0)
    without = np.minimum(since, onset[:, None])
    gained = TRUTH["effect_before"] * without + TRUTH["effect_after"] * (since - without)
    if rows["arm"].iloc[0] == "control":
        gained = np.zeros_like(gained)
    expected = TRUTH["mean_level"] + TRUTH["mean_slope"] * t + gained
    return special.logsumexp(stats.multivariate_normal(np.zeros(len(t)), cov).logpdf(y - expected) + np.log(weight))


def test_density_is_that_of_a_fine_sum_times_that_of_the_intervals(table):
    """Scores and onsets, each patient once: whatever the engine repeats, the intervals count once."""
    own = cohort(table)
    encoded = encode(MODEL, own).unpadded()
    program = prepared.prepare(MODEL, encoded, MODEL.priors)
    x = program.split.unconstrained({name: np.array([value]) for name, value in _natural(program).items()})
    half = 0.5 / 30.4375
    intervals, onsets = {}, 0.0
    for subject, row in table.groupby("subject", sort=False).first().iterrows():
        lower, upper = row["onset_lower"], row["onset_upper"]
        known = row["arm"] == "treated" and not np.isnan(lower)
        lower, upper = (lower, upper) if known else (0.0, np.inf)
        if lower == upper:
            lower, upper = lower - half, upper + half
        intervals[subject] = lower, upper
        w, share = weibull(TRUTH["median_onset"], TRUTH["onset_shape"]), TRUTH["share_converting"]
        if known:
            onsets += np.log(share * (w.sf(lower) - w.sf(upper)) + (1 - share) * np.isinf(upper))
    exact = np.array([by_sum(rows, intervals[s]) for s, rows in table.groupby("subject", sort=False)])
    sharp = [i for i, s in enumerate(encoded.coords["subject"]) if s != "p10"]
    priors = None
    for copies, within in ((4, 0.02), (32, 2e-4)):
        integration.put(program.inner, program, encoded, copies)
        assert program.inner.quadratic
        program.inner.refer(x[0])
        found = program.inner.by_subject(x, order=1)[0]
        np.testing.assert_allclose(found[sharp], exact[sharp], atol=within)
        np.testing.assert_allclose(
            found, exact, atol=0.3 if copies == 4 else 0.05
        )  # p10: a jump where the converts end
        rest = program.inner.log_density(x, order=1)[0] - found.sum()
        plain = _log_priors(x[0], program)
        np.testing.assert_allclose(rest - plain, onsets, rtol=1e-7)
        assert priors is None or rest == pytest.approx(priors)
        priors = rest


def _natural(program):
    empty = {"level_difference": np.zeros(0), "level_coefficient": np.zeros(0), "slope_coefficient": np.zeros(0)}
    arms = {name: np.array([TRUTH[name]]) for name in ("effect_before", "effect_after")}
    return {rv.name: {**empty, **TRUTH, **arms}[rv.name] for rv in program.split.population}


def _log_priors(x, program):
    """Log density of the priors on the unconstrained scale, by SciPy and the derivatives of log and logit."""
    t = TRUTH
    normal = {"mean_level": (38, 10), "mean_slope": (-1, 1), "effect_before": (0, 0.5), "effect_after": (0, 0.5)}
    total = sum(stats.norm(*at).logpdf(t[name]) for name, at in normal.items())
    total += sum(
        stats.halfnorm(scale=s).logpdf(t[name]) + np.log(t[name]) for name, s in (("sd_level", 8), ("sd_slope", 1))
    )
    total += sum(stats.norm(mu, s).logpdf(np.log(t[name]))
                 for name, mu, s in (("sd_residual", 0.6, 0.5), ("median_onset", 1, 1), ("onset_shape", 0.3, 0.5)))  # fmt: skip
    r, p = (t["correlation"] + 1) / 2, t["share_converting"]
    return total + np.log(r * (1 - r)) + np.log(p * (1 - p))
