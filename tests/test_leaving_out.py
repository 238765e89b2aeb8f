"""Likelihoods of rows, and of patients whose own effects are integrated out, against what can be computed exactly."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import special, stats

import progression as pg
from progression.engines import forward
from progression.faults import CohortError, SettingError
from progression.leaving_out import _thin_each_chain, patient_likelihood


def exact_line(fit, draws):
    """All rows of a patient are multivariate normal under a random level and slope."""
    few, visits, arm = _thin_each_chain(fit.posterior, draws), fit.cohort.visits, fit.cohort.subjects["arm"]
    found = np.empty((few.sizes["chain"], few.sizes["draw"], fit.cohort.n_subjects))
    own = [visits[visits["subject"] == subject] for subject in fit.cohort.subjects.index]
    for c, d in np.ndindex(found.shape[:2]):
        p = few.isel(chain=c, draw=d)
        a, b, r, s = (float(p[name]) for name in ("sd_level", "sd_slope", "correlation", "sd_residual"))
        between = np.array([[a * a, r * a * b], [r * a * b, b * b]])
        for i, rows in enumerate(own):
            lines = np.column_stack([np.ones(len(rows)), rows["month"]])
            effect = float(p["slope_effect"][0]) * (arm.iloc[i] == "treated")
            mean = lines @ [float(p["mean_level"]), float(p["mean_slope"]) + effect]
            spread = lines @ between @ lines.T + s * s * np.eye(len(rows))
            found[c, d, i] = stats.multivariate_normal.logpdf(rows["alsfrsr"], mean, spread)
    return found


@pytest.mark.slow
def test_patient_likelihood_is_the_exact_one(als_fit):
    found = patient_likelihood(als_fit, draws=24)
    assert found.log_likelihood.dims == ("chain", "draw", "subject")
    np.testing.assert_allclose(found.log_likelihood, exact_line(als_fit, 24), atol=1e-8)
    assert found.log_likelihood["subject"].to_numpy().tolist() == als_fit.cohort.subjects.index.tolist()
    assert (found.error < 1e-8).all()  # quadrature is exact where effects are normal
    again = patient_likelihood(als_fit, draws=24)
    np.testing.assert_array_equal(again.log_likelihood, found.log_likelihood)


@pytest.mark.slow
def test_loo_ranks_fits_of_the_same_cohort(als_fit, joints_fit):
    one = pg.loo(als_fit, draws=100)
    assert one.index.tolist() == ["als_slope"] and one.loc["als_slope", "elpd"] < 0
    exact = exact_line(als_fit, 100).reshape(-1, 48)
    inside = np.log(np.exp(exact).mean(axis=0)).sum()  # without leaving out: always the higher
    assert inside - 30 < one.loc["als_slope", "elpd"] < inside
    groups = {name: node.to_dataset() for name, node in als_fit.idata.children.items()}
    groups["posterior"] = groups["posterior"].assign(sd_residual=2 * groups["posterior"]["sd_residual"])
    worse = replace(als_fit, idata=xr.DataTree.from_dict(groups))  # as if the scores scattered twice as wide
    table = pg.loo(worse, als_fit, draws=100)
    assert table.index.tolist() == ["als_slope 2", "als_slope 1"]
    assert table.loc["als_slope 2", "elpd"] == pytest.approx(one.loc["als_slope", "elpd"])
    assert table.loc["als_slope 1", "elpd"] < one.loc["als_slope", "elpd"] - 20
    assert {"elpd", "elpd_diff", "patients_k_above_0.7", "integration_error"} <= set(table.columns)
    assert "leave one patient out, 2 fit(s)" in repr(table)
    with pytest.raises(CohortError, match="different patients or different values"):
        pg.loo(als_fit, joints_fit)


def test_fits_that_cannot_be_compared(als, fake_fit):
    with pytest.raises(SettingError, match="no fit was given"):
        pg.loo()
    first = fake_fit("als_slope", als, draws=40)
    rows = als.visits.rename(columns={"month": "time"}).assign(alsfrsr=lambda table: table["alsfrsr"] - 1)
    other = pg.Cohort.from_table(rows, als.subjects.reset_index(), time_unit="months", outcomes=["alsfrsr"])
    with pytest.raises(CohortError, match="different patients or different values"):
        pg.loo(first, fake_fit("als_slope", other, draws=40))
    rows = als.visits.rename(columns={"month": "time"}).assign(subject=lambda table: "x" + table["subject"])
    people = als.subjects.reset_index().assign(subject=lambda table: "x" + table["subject"])
    other = pg.Cohort.from_table(rows, people, time_unit="months", outcomes=["alsfrsr"])
    with pytest.raises(CohortError):
        pg.loo(first, fake_fit("als_slope", other, draws=40))


@pytest.mark.parametrize("order", ["as declared", "reversed"])
def test_two_outcomes_in_whatever_order(order, als, fake_fit):
    """A program without patient effects: the likelihood of a patient is the plain sum over the patient's rows."""

    @pg.model(observes={"a": pg.Outcome("first"), "b": pg.Outcome("second")}, estimands=[], reference="none",
              priors={"mean": pg.Prior("Normal", mu=0, sigma=1)}, name="both")  # fmt: skip
    def both(data, prior):
        mean = prior("mean")
        names = ["a", "b"] if order == "as declared" else ["b", "a"]
        for name in names:
            own = getattr(data, name)
            pm.Normal(name, mean, 1, observed=own.value, dims=f"{name}_row")

    rows = als.visits.rename(columns={"month": "time"})[["subject", "time"]]
    rng = np.random.default_rng(0)
    rows = rows.assign(first=rng.normal(size=48), second=np.where(np.arange(48) % 4 < 2, rng.normal(size=48), np.nan))
    cohort = pg.Cohort.from_table(rows, als.subjects.reset_index()[["subject", "arm"]], time_unit="months",
                                  outcomes=["first", "second"])  # fmt: skip
    fit = fake_fit(both, cohort, draws=20, chains=2)
    found = patient_likelihood(fit, draws=8, points=1).log_likelihood
    few = _thin_each_chain(fit.posterior, 8)
    values = cohort.visits.groupby("subject", sort=False)
    for subject, own in values:
        row = own[["first", "second"]].to_numpy().ravel()
        row = row[np.isfinite(row)]
        expected = stats.norm.logpdf(row[:, None, None], few["mean"].to_numpy(), 1).sum(axis=0)
        np.testing.assert_allclose(found.sel(subject=subject), expected, rtol=1e-8)


def _pick(fit, n=4):
    return forward.thin(fit.posterior, n)


def _rows(fit, n=4):
    few = _pick(fit, n).expand_dims("chain").rename(sample="draw")
    encoded = fit.encoded()
    found = forward.log_likelihood(fit.model, encoded, fit.priors, few)
    return encoded, _pick(fit, n), {name: rows.to_numpy()[0] for name, rows in found.items()}


@pytest.mark.slow
def test_log_likelihood_of_a_line(als_fit):
    encoded, draws, found = _rows(als_fit)
    value, subject, month = (encoded.arrays[f"score_{name}"][1] for name in ("value", "subject", "month"))
    expected = draws["level"].to_numpy()[:, subject] + draws["slope"].to_numpy()[:, subject] * month
    rows = stats.norm.logpdf(value, expected, draws["sd_residual"].to_numpy()[:, None])
    np.testing.assert_allclose(found["score"], rows, rtol=1e-8)


@pytest.mark.slow
def test_log_likelihood_of_censored_crp(crp_fit):
    encoded, draws, found = _rows(crp_fit)
    value, subject, visit, censored = (encoded.arrays[f"crp_{n}"][1] for n in ("value", "subject", "visit", "censored"))
    treated = (crp_fit.cohort.subjects["arm"] == "treated").to_numpy()[subject]
    zero = np.zeros((4, 1))
    course = np.hstack([zero, draws["time_course"].transpose("sample", "followup_visit")])
    effect = np.hstack([zero, draws["effect"].isel(active_arm=0).transpose("sample", "followup_visit")])
    place = draws["level"].to_numpy()[:, subject] + course[:, visit] + treated * effect[:, visit]
    sd = draws["sd_residual"].to_numpy()[:, None]
    exact = stats.norm.logpdf(np.log(value), place, sd) - np.log(value)
    below = stats.norm.logcdf(np.log(value), place, sd)
    assert censored.sum() > 5 and (~censored).sum() > 5
    np.testing.assert_allclose(found["crp"], np.where(censored, below, exact), rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_log_likelihood_of_joint_counts(joints_fit):
    encoded, draws, found = _rows(joints_fit)
    value, subject, visit, outcome = (
        encoded.arrays[f"joints_{n}"][1] for n in ("value", "subject", "visit", "outcome")
    )
    treated = (joints_fit.cohort.subjects["arm"] == "treated").to_numpy()[subject]
    order = ("sample", "followup_visit", "outcome")
    zero = np.zeros((4, 1, 2))
    course = np.concatenate([zero, draws["time_course"].transpose(*order)], axis=1)
    effect = np.concatenate([zero, draws["effect"].isel(active_arm=0).transpose(*order)], axis=1)
    level = draws["level"].transpose("sample", "subject", "outcome").to_numpy()[:, subject, outcome]
    share = special.expit(level + course[:, visit, outcome] + treated * effect[:, visit, outcome])
    rho = draws["overdispersion"].to_numpy()[:, outcome]
    total = (1 - rho) / (rho + 1e-4)
    rows = stats.betabinom.logpmf(value.astype(int), 28, share * total, (1 - share) * total)
    np.testing.assert_allclose(found["joints"], rows, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_after_a_fit_that_went_to_nuts(als_trial, monkeypatch):
    """What the engine read from the data it gave up on does not come back."""
    from progression.engines import marginal

    monkeypatch.setattr(marginal, "refuse", lambda weighted: (_ for _ in ()).throw(marginal.Untrusted("made up")))
    with pytest.warns(pg.FitWarning, match="made up"):
        fit = pg.fit("als_slope", als_trial, random_seed=1, draws=300, tune=500, progressbar=False, priors={"sd_slope": pg.Prior("HalfNormal", sigma=0.9)})  # fmt: skip
    monkeypatch.undo()
    assert np.isfinite(pg.loo(fit, draws=40)["elpd"]).all()


@pytest.mark.slow
def test_effects_found_apart_on_other_patients_are_not_taken_for_apart(als):
    """A program prepared where every visit is at time 0 cannot see that level and slope meet."""
    from progression.encoding import encode
    from progression.engines import marginal, prepared

    @pg.model(observes={"score": pg.Outcome("alsfrsr")}, estimands=[], reference="of this test",
              priors={"mean_level": pg.Prior("Normal", mu=38, sigma=10), "mean_slope": pg.Prior("Normal", mu=-1, sigma=1)})  # fmt: skip
    def tailed(data, prior):
        level = pm.Normal("level", prior("mean_level"), 3, dims="subject")
        slope = pm.Normal("slope", prior("mean_slope"), 1, dims="subject")
        expected = level[data.score.subject] + slope[data.score.subject] * data.score.month
        pm.StudentT("score", nu=4, mu=expected, sigma=1.5, observed=data.score.value, dims="score_row")

    encoded, priors = encode(tailed, als, options=tailed.with_options(None)).unpadded(), tailed.with_priors(None)
    dims, month = encoded.arrays["score_month"]
    at_once = replace(encoded, arrays=dict(encoded.arrays) | {"score_month": (dims, np.zeros_like(month))})
    assert prepared.prepare(tailed, at_once, priors).inner.groups == [[0], [1]]
    at = xr.Dataset({"mean_level": ("sample", np.full(4, 38.0)), "mean_slope": ("sample", np.full(4, -1.0))})
    with pytest.raises(marginal.Untrusted, match="taken not to meet"):
        marginal.subject_log_likelihood(tailed, encoded, priors, at)
