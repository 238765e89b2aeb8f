"""A course that bends otherwise than the model says fails the check, in words; a straight one passes."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from simulators import als_slope

import progression as pg
from progression.checking import compare
from progression.curvature import CURVATURE, EVERYBODY, advice, bends
from progression.encoding import encode
from progression.engines import forward

MONTHS = np.array([0.0, 1, 2, 3, 4, 5, 6])


def trial(rng, *, bend=0.0, n=60, months=MONTHS, sd_residual=1.77, **how):
    """Straight lines of the independent simulator, with `bend` points/month^2 added to every patient's course."""
    table = als_slope(rng, n_per_arm={"control": n, "treated": n}, months=months, mean_level=38, sd_level=5, mean_slope=-1.03,
                      sd_slope=0.76, correlation=0.1, sd_residual=sd_residual, slope_effect={"treated": 0.3}, **how)  # fmt: skip
    table["alsfrsr"] += bend * table["time"] ** 2
    outcome = pg.models()["als_slope"].outcomes[0]
    return pg.Cohort.from_table(
        table, time_unit="months", outcomes=[outcome], allocation="randomised", provenance="simulated"
    )


def coded(cohort):
    return encode(pg.models()["als_slope"], cohort), dict(cohort.subjects["arm"])


def test_it_is_the_coefficient_of_month_squared():
    """Patient by patient with NumPy's own regression, weighted by what each one's visits tell."""
    rng = np.random.default_rng(0)
    cohort = trial(rng, bend=0.1, n=9, dropout_per_month=0.1)
    encoded, arm_of = coded(cohort)
    rows = cohort.visits.assign(arm=cohort.visits["subject"].map(arm_of))
    found = {one.arm: one for one in bends(encoded, arm_of)}
    assert list(found) == ["control", "treated", EVERYBODY]
    value = encoded.arrays["score_value"][1]
    sizes = rows.groupby("subject").size()
    assert sizes.min() < 3 < sizes.max()
    for arm, one in found.items():
        total = information = 0.0
        for _, own in rows[(rows["arm"] == arm) | (arm == EVERYBODY)].groupby("subject"):
            if len(own) >= 3:
                design = np.vander(own["month"], 3)
                inverse = np.linalg.inv(design.T @ design)[0, 0]
                total += np.polyfit(own["month"], own["alsfrsr"], 2)[0] / inverse
                information += 1 / inverse
        assert one.statistic(value) == pytest.approx(total / information)


def test_lines_add_nothing_whatever_they_are():
    rng = np.random.default_rng(1)
    encoded, arm_of = coded(trial(rng, sd_residual=0, n=8))
    value = encoded.arrays["score_value"][1]
    month, subject = encoded.arrays["score_month"][1], encoded.arrays["score_subject"][1]
    for one in bends(encoded, arm_of):
        assert one.statistic(value) == pytest.approx(0, abs=1e-10)
        lines = rng.normal(0, 100, 16)[subject] + rng.normal(0, 50, 16)[subject] * month
        both = np.stack([value + lines, value + lines + 0.3 * month**2])
        np.testing.assert_allclose(one.statistic(both), [0, 0.3], atol=1e-9)
        assert one.statistic(both.reshape(2, 1, -1)).shape == (2, 1)


def test_too_few_visits_or_visits_with_effects_of_their_own(als, sle_trial):
    encoded, arm_of = coded(trial(np.random.default_rng(2), months=MONTHS[:2]))
    assert list(bends(encoded, arm_of)) == []
    joints = encode(pg.models()["sle_joints"], sle_trial)
    assert list(bends(joints, dict(sle_trial.subjects["arm"]))) == []
    assert len(list(bends(*coded(als)))) == 3


def replicated(rng, cohort, n=400):
    """Replicates of straight lines: their levels and slopes do not matter to the statistic."""
    return xr.Dataset({"score": (("sample", "score_row"), 38 + 1.77 * rng.normal(size=(n, cohort.n_visits)))})


@pytest.mark.slow
def test_tail_probabilities_are_uniform_for_straight_lines():
    rng = np.random.default_rng(3)
    p = []
    for _ in range(100):
        cohort = trial(rng, n=12)
        table = compare(*coded(cohort), replicated(rng, cohort))
        p.append(table.loc[(table["statistic"] == CURVATURE) & (table["arm"] == EVERYBODY), "p"].item())
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_curvature_has_half_of_the_chance_to_fail():
    """Three rows share 0.025, the others the other half; without curvature they share all of it."""
    rng = np.random.default_rng(4)
    cohort = trial(rng, n=20)
    table = compare(*coded(cohort), replicated(rng, cohort))
    bent = table["statistic"] == CURVATURE
    assert bent.sum() == 3 and table.loc[bent, "month"].isna().all()
    np.testing.assert_array_equal(table.loc[bent, "ok"], table.loc[bent, "p"] >= 0.025 / 3)
    np.testing.assert_array_equal(table.loc[~bent, "ok"], table.loc[~bent, "p"] >= 0.025 / (~bent).sum())
    short = trial(rng, n=20, months=MONTHS[:2])
    table = compare(*coded(short), replicated(rng, short))
    np.testing.assert_array_equal(table["ok"], table["p"] >= 0.05 / len(table))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bend", "words"), [(0.08, "the decline slows down"), (-0.08, "the decline speeds up"), (0.0, None)]
)
def test_the_verdict_and_its_words(bend, words):
    cohort = trial(np.random.default_rng(5), bend=bend)
    fit = pg.fit("als_slope", cohort, engine="marginal", random_seed=1, progressbar=False)
    found = pg.check(fit, draws=500)
    told = [problem for problem in found.problems if "bends otherwise than als_slope says" in problem]
    if words is None:
        assert found.passed and not told
        return
    assert not found.passed and len(told) == 1
    assert f"in all arms {words}" in told[0] and "do not extrapolate" in told[0]
    assert any(problem.startswith("curvature of alsfrsr in all arms: observed") for problem in found.problems)
    drawn = pg.plots.predictive(found)
    assert any("curvature (points/month²)" in axes.get_title() for axes in drawn.axes)
    labels = [label.get_text() for axes in drawn.axes for label in axes.get_yticklabels()]
    assert EVERYBODY in labels


@pytest.mark.slow
def test_a_rise_is_called_a_rise():
    cohort = trial(np.random.default_rng(6), bend=0.08)
    table = cohort.visits.assign(alsfrsr=lambda own: 48 - own["alsfrsr"]).merge(
        cohort.subjects, left_on="subject", right_index=True
    )
    turned = pg.Outcome("burden", unit="points", higher_is_better=False)
    table = table.rename(columns={"alsfrsr": "burden", "month": "time"})[["subject", "time", "burden", "arm"]]
    other = pg.Cohort.from_table(
        table, time_unit="months", outcomes=[turned], allocation="randomised", provenance="simulated"
    )
    fit = pg.fit("als_slope", other, engine="marginal", random_seed=1, progressbar=False)
    chosen = forward.thin(fit.posterior, 300)
    replicates = forward.replicate(fit.model, fit.encoded(), fit.priors, chosen, random_seed=1)
    arm_of = dict(other.subjects["arm"])
    said = advice(fit.encoded(), arm_of, compare(fit.encoded(), arm_of, replicates), "als_slope")
    assert len(said) == 1 and "burden" in said[0] and "in all arms the rise slows down" in said[0]
