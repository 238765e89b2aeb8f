"""Win probability of predicted cohorts: against the pairwise rule, draw by draw, and against a known truth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import progression as pg
from progression import predicted_ranks, wins_by_draw
from progression.engines import forward
from progression.pairs import Courses, outcomes

ARMS = ["control"] * 9 + ["high"] * 5 + ["low"] * 7


def arrays(rng, n_samples=6, *, missing=0.0, deaths=0.3, whole=False):
    n, months = len(ARMS), np.array([0.0, 1, 2, 4])
    scores = 38 + 3 * rng.normal(size=(n_samples, n, 4))
    if whole:
        scores = np.round(scores)
    scores[rng.random(scores.shape) < missing] = np.nan
    death = np.where(rng.random((n_samples, n)) < deaths, rng.uniform(0, 8, (n_samples, n)), np.nan)
    coords = {"sample": np.arange(n_samples), "month": months}
    return (xr.DataArray(scores, dims=("sample", "subject", "month"), coords=coords),
            xr.DataArray(death, dims=("sample", "subject"), coords={"sample": np.arange(n_samples)}))  # fmt: skip


def pairwise(scores, death, followed, label, *, sign=1.0):
    """Each draw by the table of all its pairs."""
    found, horizon = [], float(scores["month"][-1])
    arm = np.array(ARMS)
    for at in range(scores.sizes["sample"]):
        value, dead = scores.to_numpy()[at], death.to_numpy()[at]
        end = np.full(len(dead), horizon) if followed is None else np.minimum(followed, horizon)
        dead = np.where(dead <= end, dead, np.inf)  # beyond the horizon, unknown or NaN: alive as far as known
        change = sign * (value[:, 1:] - value[:, :1])
        change[scores["month"].to_numpy()[1:] > np.minimum(dead, end)[:, None]] = np.nan
        courses = Courses.of(change, dead, end)
        result, _ = outcomes(courses.part(arm == label), courses.part(arm == "control"))
        found.append(0.5 + result.mean() / 2)
    return found


@pytest.mark.parametrize(
    ("missing", "deaths", "whole", "leaves"),
    [
        (0, 0, False, False),
        (0, 0.4, False, False),
        (0, 0.4, True, False),
        (0.3, 0.4, True, False),
        (0.2, 0.3, True, True),
    ],
)
@pytest.mark.parametrize("higher", [True, False])
def test_each_draw_is_the_rule_of_pairs(missing, deaths, whole, leaves, higher):
    rng = np.random.default_rng(round(100 * missing + 10 * deaths) + whole)
    scores, death = arrays(rng, missing=missing, deaths=deaths, whole=whole)
    followed = rng.choice([1.5, 3.0, 5.0], len(ARMS)) if leaves else None
    given = None if followed is None else xr.DataArray(followed, dims="subject")
    found = pg.win_probability(scores.transpose("month", "subject", "sample"), ARMS, control="control", death=death,
                               followed=given, higher_is_better=higher)  # fmt: skip
    assert found.dims == ("sample", "arm") and found["arm"].to_numpy().tolist() == ["high", "low"]
    np.testing.assert_array_equal(found["sample"], scores["sample"])
    for label in ("high", "low"):
        expected = pairwise(scores, death, followed, label, sign=1 if higher else -1)
        np.testing.assert_allclose(found.sel(arm=label), expected, rtol=0, atol=1e-12)


def test_both_ways_of_counting_are_taken():
    """Complete draws go by rank, the others pair by pair; two deaths at one time are no order."""
    change, dead = np.zeros((4, 3, 2)), np.full((4, 3), np.inf)
    change[1, 0, 1] = np.nan  # alive, and not seen at the horizon
    dead[2] = [2, 2, np.inf]
    dead[3], change[3, :2] = [2, 3, np.inf], np.nan
    watched = np.ones((4, 3), bool)
    np.testing.assert_array_equal(wins_by_draw._in_one_order(change, dead, watched), [True, False, False, True])
    watched[3, 2] = False
    assert not wins_by_draw._in_one_order(change, dead, watched)[3]


def test_a_known_truth_with_deaths():
    """Half of the controls die, the others decline as the treated do, of whom nobody dies: 1/2 + 1/2 * 1/2."""
    rng = np.random.default_rng(1)
    n = 2000
    scores = 38 + rng.normal(size=(3, 2 * n, 2))
    death = np.full((3, 2 * n), np.inf)
    death[:, : n // 2] = rng.uniform(0, 6, (3, n // 2))
    found = pg.win_probability(
        xr.DataArray(scores, dims=("sample", "subject", "month"), coords={"month": [0.0, 6.0]}),
        ["control"] * n + ["treated"] * n, control="control",
        death=xr.DataArray(death, dims=("sample", "subject")),
    )  # fmt: skip
    np.testing.assert_allclose(found, 0.75, atol=4 * 0.5 / np.sqrt(12 * n / 2))


def test_refusals_of_arrays():
    scores, death = arrays(np.random.default_rng(0))
    for broken, text in (
        ({"scores": scores.rename(month="week")}, "sample, subject, month"),
        ({"scores": scores.isel(month=[0])}, "the baseline first"),
        ({"arm": ARMS[:-1]}, "one label a subject"),
        ({"control": "contrl"}, "did you mean 'control'"),
        ({"arm": ["control"] * len(ARMS)}, "the only arm"),
        ({"death": death.isel(sample=slice(2))}, "other sizes"),
        ({"death": death.rename(subject="patient")}, "other dims"),
    ):
        given = {"scores": scores, "arm": ARMS, "control": "control", "death": death} | broken
        with pytest.raises(pg.SettingError, match=text):
            pg.win_probability(given.pop("scores"), given.pop("arm"), **given)


@pytest.fixture(scope="module")
def fit():
    return pg.fit(
        "als_slope", pg.datasets.simulated_als(random_seed=1), engine="marginal", random_seed=1, progressbar=False
    )


@pytest.mark.slow
def test_predicted_by_als_slope_is_the_closed_form(fit):
    """A difference of two normal changes: Phi(effect m / sqrt(2 (m^2 sd_slope^2 + 2 sd_residual^2))), draw by draw."""
    month = 6.0
    found = pg.predicted_cafs(fit, month=month, new_patients={"control": 1500, "treated": 1500}, draws=60)
    assert found.new and found.deaths is None and "as if nobody died" in repr(found) and "SIMULATED" in repr(found)
    chosen = forward.thin(fit.posterior, 60)
    spread = np.sqrt(2 * (month**2 * chosen["sd_slope"] ** 2 + 2 * chosen["sd_residual"] ** 2))
    expected = stats.norm.cdf((chosen["slope_effect"].sel(active_arm="treated") * month / spread).to_numpy())
    error = found.win_probability.sel(arm="treated").to_numpy() - expected
    scale = np.sqrt(2 / (12 * 1500))
    assert np.abs(error).max() < 4.5 * scale and abs(error.mean()) < 4 * scale / np.sqrt(60)


@pytest.mark.slow
def test_a_cohort_lies_among_those_its_model_predicts(fit):
    seen = pg.cafs(fit.cohort).win_probability.loc["treated", "estimate"]
    own = pg.predicted_cafs(fit, new_patients=False, draws=200)
    assert not own.new and own.patients == {"control": 60, "treated": 60}
    row = own.summary().loc["treated"]
    assert row["lower"] < seen < row["upper"] and row["lower"] < row["median"] < row["upper"]
    # As many new patients: the spread of a trial's own statistic comes on top, sqrt((1/60 + 1/60) / 12) = 0.053.
    new = pg.predicted_cafs(fit, draws=200)
    assert new.patients == own.patients and 0.05 < new.summary().loc["treated", "sd"] < 0.12
    again = pg.predicted_cafs(fit, draws=200)
    np.testing.assert_array_equal(new.win_probability, again.win_probability)


def test_a_model_that_predicts_deaths(fake_fit, als, monkeypatch):
    """What a fit predicts under the name "death" decides first."""
    fit = fake_fit("als_slope", als, draws=50)
    labels = als.subjects["arm"].to_numpy()
    predict = type(fit).predict

    def with_death(self, months, **how):
        made = predict(self, months, **how)
        early = np.broadcast_to(np.where(labels == "control", 3.0, 50.0), (made.sizes["sample"], len(labels)))
        return made.assign(death=(("sample", "subject"), early))

    monkeypatch.setattr(type(fit), "predict", with_death)
    found = pg.predicted_cafs(fit, month=6, new_patients=False, draws=40)
    assert (found.win_probability == 1).all() and "died by then, on average: control 100%, treated 0%" in repr(found)
    assert found.deaths.sel(arm="control").to_numpy().tolist() == [1.0] * 40
    assert (pg.predicted_cafs(fit, month=2, new_patients=False, draws=40).win_probability < 1).any()
    rows = with_death(fit, [0.0, 1.0], draws=3)
    with pytest.raises(pg.SettingError, match="one time of death a patient"):
        predicted_ranks._death(rows.assign(death=rows["score"]))


def test_refusals_of_fits(fake_fit, als, tiny_cohort):
    fit = fake_fit("als_slope", als, draws=50)
    with pytest.raises(pg.SettingError, match="not a month after the start"):
        pg.predicted_cafs(fit, month=0)
    with pytest.raises(pg.SettingError, match="did you mean 'alsfrsr'"):
        pg.predicted_cafs(fit, outcome="alsfrs")
    with pytest.raises(pg.SettingError, match="needs the control"):
        pg.predicted_cafs(fit, new_patients={"treated": 3})
    with pytest.raises(pg.SettingError, match="is not a Fit"):
        pg.predicted_cafs(SimpleNamespace())
    single = fake_fit("als_slope", tiny_cohort(pg.models()["als_slope"], 1), draws=50)
    with pytest.raises(pg.SettingError, match="one arm only"):
        pg.predicted_cafs(single)
    assert pd.notna(pg.predicted_cafs(fit, draws=5).summary()).all().all()
