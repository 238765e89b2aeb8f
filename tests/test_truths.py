"""What a user may say of the truth, historical controls among it, and trials from real patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import progression as pg

WEEKS = [0, 8, 16, 24]
ALS = {"mean_level": 38, "sd_level": 5, "mean_slope": -1.0, "sd_slope": 0.5, "correlation": 0.1, "sd_residual": 1.5}
SHARED = {"mean_level": 38, "sd_level": 5, "mean_rate": 1.0, "sd_rate": 0.5, "sd_residual": 1.5, "hazard": 0.01}
TWO = {"control": 30, "treated": 30}
THREE = {"placebo": 20, "low": 10, "high": 10}


def trial(arms=TWO, **more):
    return pg.Design(**({"arms": arms, "visits_weeks": WEEKS} | more))


def slopes(trials):
    """Mean least squares slope of each arm over all trials."""
    month = trials.cohort.visits["month"].to_numpy().reshape(trials.cohort.n_subjects, -1)
    off = month - month.mean(axis=1, keepdims=True)
    own = (trials.values["alsfrsr"].reshape(len(trials), *month.shape) * off).sum(axis=-1) / (off**2).sum(axis=-1)
    arm = trials.cohort.subjects["arm"]
    return {label: float(own[:, (arm == label).to_numpy()].mean()) for label in trials.cohort.arms}


@pytest.mark.parametrize(("say", "effect"), [({"slope_effect": 0.3}, 0.3), ({"slope_ratio": 0.7}, 0.3), ({"slope_difference": 0.3}, 0.3),
                                             ({"change_difference": 1.8, "month": 6}, 0.3), ({"change_difference": 1.8}, 0.15)])  # fmt: skip
def test_an_effect_in_any_words(say, effect):
    trials = pg.simulate(trial(), "als_slope", truth=ALS | say, n=2)
    np.testing.assert_allclose(trials.origin.truth["slope_effect"], effect)
    np.testing.assert_allclose(trials.true_value("slope_ratio"), 1 - effect)


def test_effects_by_arm():
    low = {"low": 0.1, "high": 0.4}
    for say in ({"slope_effect": low}, {"slope_effect": [0.1, 0.4]}, {"slope_ratio": {"low": 0.9, "high": 0.6}}):
        trials = pg.simulate(trial(THREE), "als_slope", truth=ALS | say, n=400)
        found = slopes(trials)
        assert trials.true_value("slope_difference").sel(active_arm="high").item(0) == pytest.approx(0.4)
        for arm, effect in (("placebo", 0), ("low", 0.1), ("high", 0.4)):
            assert found[arm] == pytest.approx(-1 + effect, abs=0.06)
    wide = pg.simulate(
        trial(), "als_shared", truth=SHARED | {"drr": 0.5, "sd_rate": {"control": 0.3, "treated": 0.6}}, n=1
    )
    np.testing.assert_allclose(wide.origin.truth["sd_rate"].sel(arm=["control", "treated"]), [[0.3, 0.6]])


def test_priors_are_drawn_for_each_trial_and_each_of_its_own():
    same = pg.Prior("Normal", mu=0.3, sigma=0.1)
    trials = pg.simulate(trial(THREE), "als_slope", truth=ALS | {"slope_effect": {"low": same, "high": same}}, n=500)
    drawn = trials.origin.truth["slope_effect"].to_numpy()
    assert abs(drawn.mean() - 0.3) < 0.02 and abs(drawn.std() - 0.1) < 0.01
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2, "equal priors draw numbers of their own"
    ratio = pg.simulate(
        trial(), "als_slope", truth=ALS | {"mean_slope": pg.Prior("Normal", mu=-1, sigma=0.2), "slope_ratio": 0.7}, n=64
    )
    np.testing.assert_allclose(ratio.true_value("slope_ratio"), 0.7)
    assert ratio.origin.truth["slope_effect"].std() > 0.02


def test_all_that_is_missing_or_wrong_is_named():
    for truth, words in (
        ({}, ["mean_level", "sd_level", "mean_slope", "sd_slope", "slope_effect", "correlation", "sd_residual"]),
        (ALS | {"slope_rati": 0.7, "sd_slop": 1, "sd_level": "x"}, ["did you mean 'slope_ratio'", "did you mean 'sd_slope'", "neither a finite number nor a prior"]),
        ({**ALS, "slope_ratio": 0.7, "slope_effect": 0.3}, ["sets 'slope_effect', which is set already"]),
        ({"slope_ratio": 0.7}, ["rests on 'mean_slope', which is not given"]),
        (ALS | {"slope_effect": {"treatd": 0.3}}, ["did you mean 'treated'"]),
        (ALS | {"slope_effect": [0.1, 0.2]}, ["does not fit the dims"]),
        (ALS | {"slope_effect": np.nan}, ["neither a finite number nor a prior"]),
        (ALS | {"slope_effect": 0.3, "sd_level": -1, "correlation": 2}, ["HalfNormal(sigma=8)", "Uniform(lower=-1, upper=1)"]),
        (ALS | {"slope_effect": 0.3, "drift": 0.1}, ["the design has none"]),
        (ALS | {"slope_effect": 0.3, "bend": 0.1}, ["has no entry under this design: there is no knot"]),
        (ALS | {"slope_effect": 0.3, "slope": -1}, ["cannot be set through"]),
        (ALS | {"slope_effect": 0.3, "sd_slope": 0}, ["gives no finite values", "such as 1e-6"]),
        ([1], ["neither a mapping of parameters nor a fit"]),
    ):  # fmt: skip
        with pytest.raises(pg.SettingError) as caught:
            pg.simulate(trial(), "als_slope", truth=truth, n=2)
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.slow
def test_what_a_design_asks_of_a_model():
    shared = SHARED | {"drr": 0.7}
    crp = {"mean_level": 0, "time_course": 0, "effect": 0, "sd_patient": 1, "sd_residual": 1}
    looks = [pg.Look(3, success=pg.Rule("dr", "<", 1, probability=0.99))]
    for design, model, truth, words in (
        (trial(death_per_month=0.01), "als_shared", shared, "sets death twice"),
        (trial(dropout_per_month=0.1, dropout_by_slope=0.5), "sle_crp", crp, "'sle_crp' has none"),
        (trial(antibody_tests_weeks=[0, 4]), "als_slope", ALS, "simulate from als_antibody"),
        (trial(looks=looks), "als_shared", shared, "did you mean 'drr'"),
        ("design", "als_slope", ALS, "is not a Design"),
    ):
        with pytest.raises(pg.SettingError, match=words):
            pg.simulate(design, model, truth=truth, n=2)
    for wrong in ({"n": 0}, {"first": -1}, {"random_seed": 1.5}):
        with pytest.raises(pg.SettingError, match=next(iter(wrong))):
            pg.simulate(trial(), "als_slope", truth=ALS, **wrong)


@pytest.fixture(scope="module")
def pilot():
    return pg.fit("als_slope", pg.datasets.simulated_als(n=(20, 20), random_seed=4), random_seed=1, progressbar=False)


@pytest.mark.slow
def test_a_pilots_posterior_is_the_truth(pilot):
    trials = pg.simulate(trial({"placebo": 30, "drug": 30}), "als_slope", truth=pilot, n=400, random_seed=2)
    posterior = pilot.posterior
    for name in ("mean_slope", "sd_slope", "correlation", "slope_effect"):
        drawn = trials.origin.truth[name].to_numpy().ravel()
        assert abs(drawn.mean() - float(posterior[name].mean())) < 0.25 * float(posterior[name].std())
        assert np.isin(drawn, posterior[name].to_numpy()).all()
    together = trials.origin.truth[["mean_level", "mean_slope"]].to_dataframe()
    whole = posterior[["mean_level", "mean_slope"]].to_dataframe()
    assert together.merge(whole).shape[0] >= 400, "the parameters of one draw stay together"
    null = pg.simulate(trial(), "als_slope", truth=pilot, fixed={"slope_ratio": 0.7}, n=64, random_seed=2)
    np.testing.assert_allclose(null.true_value("slope_ratio"), 0.7)
    np.testing.assert_array_equal(null.origin.truth["mean_slope"], trials.origin.truth["mean_slope"][:64])
    with pytest.raises(pg.SettingError, match="has no draws of 'mean_rate'"):
        pg.simulate(trial(), "als_shared", truth=pilot, n=2)


@pytest.mark.slow
def test_a_pilots_arms_stand_for_those_of_the_design():
    """The published pilot against historical controls, borrowed from: the arm that nobody is in is the control to come."""
    how = {"random_seed": 1, "progressbar": False}
    fit = pg.fit("als_slope", pg.datasets.als_anakinra(), borrowing=pg.Commensurate(0.2), **how)
    trials = pg.simulate(trial({"placebo": 30, "drug": 30}), "als_slope", truth=fit, n=64)
    pairs = fit.posterior["slope_effect"].sel(active_arm="anakinra").to_numpy().ravel()
    assert np.isin(trials.origin.truth["slope_effect"].sel(active_arm="drug"), pairs).all()
    old = pg.simulate(trial(historical={"old": 5}), "als_slope", truth=fit, fixed={"drift": -0.1}, n=64)
    np.testing.assert_allclose(old.origin.truth["slope_effect"].sel(active_arm="old"), -0.1)
    assert np.isin(old.origin.truth["slope_effect"].sel(active_arm="treated"), pairs).all()
    with pytest.raises(pg.SettingError, match="is the control arm of the fit, and the design has none"):
        pg.simulate(trial({"treated": 30}), "als_slope", truth=fit, n=2)
    untreated = pg.fit("als_slope", pg.datasets.simulated_als(n=(30, 2)).select("arm == 'control'"), **how)
    with pytest.raises(pg.SettingError, match="is an arm that the fit has no draws for"):
        pg.simulate(trial(), "als_slope", truth=untreated, n=2)
    future = pg.simulate(trial(), "als_slope", truth=untreated, fixed={"slope_ratio": 0.7}, n=64)
    np.testing.assert_allclose(future.true_value("slope_ratio"), 0.7)


@pytest.mark.slow
def test_controls_to_come_spread_as_the_pilots_historical_ones():
    """Of the arm that nobody is in the spread of rates has no posterior but its prior: no trial is to be made of that."""
    alone = trial({"treated": 40}, historical={"historical control": 60})
    cohort = pg.simulate(alone, "als_shared", truth=SHARED | {"drr": 0.7, "sd_rate": 0.3}, n=1).of(0)
    fit = pg.fit("als_shared", cohort, borrowing=pg.Commensurate(0.1), random_seed=1, draws=500, progressbar=False)
    known = fit.posterior["sd_rate"].sel(arm="historical control").to_numpy()
    randomised, three = trial({"placebo": 30, "drug": 30}), trial(historical={"old": 5})
    for design, arm in ((randomised, "placebo"), (three, "old"), (three, "control"), (alone, "historical control")):
        drawn = pg.simulate(design, "als_shared", truth=fit, n=64).origin.truth["sd_rate"]
        assert np.isin(drawn.sel(arm=arm), known).all()
        assert not np.isin(drawn.sel(arm=list(design.arms)[-1]), known).any(), "the treated have their own"


@pytest.mark.slow
@pytest.mark.parametrize("arms", [TWO, {"treated": 30}])
def test_simulated_historical_controls_drift(arms):
    design = trial(arms, historical={"historical control": 30})
    trials = pg.simulate(design, "als_slope", truth=ALS | {"slope_effect": 0.3, "drift": -0.2}, n=300)
    found = slopes(trials)
    assert found["treated"] == pytest.approx(-0.7, abs=0.03) and found["historical control"] == pytest.approx(
        -1.2, abs=0.03
    )
    assert trials.cohort.allocation == "historical" and not trials.cohort.historical_arms
    assert np.isneginf(trials.entry[:, (trials.cohort.subjects["arm"] == "historical control").to_numpy()]).all()
    assert (trials.enrolled() == sum(arms.values())).all()
    fits = pg.fit_many(
        "als_slope",
        trials[:64],
        borrowing=pg.Commensurate(1.0),
        random_seed=1,
        progressbar=False,
        estimands="slope_difference",
    )
    means = fits.draws["slope_difference"].mean(("data_set", "draw"))
    if len(arms) > 1:
        assert float(means.sel(active_arm="historical control")) == pytest.approx(-0.2, abs=0.1)
        assert float(means.sel(active_arm="treated")) == pytest.approx(0.3, abs=0.1)
    else:  # only their difference is known
        gap = means.sel(active_arm="treated") - means.sel(active_arm="historical control")
        assert float(gap) == pytest.approx(0.5, abs=0.1)


def test_a_drift_of_a_ratio_is_on_the_log_scale():
    trials = pg.simulate(trial(historical={"old": 5}), "als_shared", truth=SHARED | {"drr": 0.7, "drift": 0.2}, n=1)
    ratio = trials.origin.truth["rate_ratio"].isel(data_set=0)
    np.testing.assert_allclose(ratio.sel(active_arm=["treated", "old"]), [0.7, np.exp(0.2)])
    given = pg.simulate(
        trial(historical={"old": 5}), "als_shared", truth=SHARED | {"drr": {"treated": 0.7, "old": 1.1}}, n=1
    )
    np.testing.assert_allclose(given.origin.truth["rate_ratio"].isel(data_set=0), [0.7, 1.1])


@pytest.mark.slow
def test_real_controls_are_the_same_in_every_trial():
    real = pg.datasets.als_anakinra().select("arm == 'historical control'")
    design = pg.Design(
        arms={"anakinra": 17}, visits_weeks=[0, 12, 24, 52], historical=real, accrual_months=10, dropout_per_month=0.02
    )
    trials = pg.simulate(design, "als_slope", truth=ALS | {"slope_effect": 0.3}, n=70)
    one, other = trials.of(3), trials.of(69)
    for cohort in (one, other, trials.at(5).of(3)):
        assert cohort.arms == ("historical control", "anakinra") and cohort.provenance == "simulated"
        kept = cohort.select("arm == 'historical control'").visits
        assert (
            kept["alsfrsr"].tolist() == real.visits["alsfrsr"].tolist()
            and kept["month"].tolist() == real.visits["month"].tolist()
        )
    assert not one.visits.equals(other.visits) and (trials.enrolled() == 17).all()
    arm = trials.cohort.subjects["arm"]
    assert (
        np.nanmax(trials.calendar) < 24
        and (np.isneginf(trials.entry).sum(axis=1) == (arm == "historical control").sum()).all()
    )
    fits = pg.fit_many("als_slope", trials[:4], borrowing=pg.Commensurate(0.2), random_seed=1, progressbar=False)
    assert not len(fits.problems)


PATIENTS = pg.datasets.simulated_als(n=(150, 2), visits_weeks=WEEKS, deaths_per_month=0.02, random_seed=3).select(
    "arm == 'control'"
)


def test_resampled_trials_are_of_the_patients_own_courses():
    trials = pg.resample(PATIENTS, trial(), n=130, random_seed=2)
    real = {tuple(np.round(one["alsfrsr"], 6)) for _, one in PATIENTS.visits.groupby("subject")}
    one = trials.of(129)
    assert {tuple(np.round(own["alsfrsr"], 6)) for _, own in one.visits.groupby("subject")} <= real
    assert one.provenance == "simulated" and "patients drawn from" in one.source
    share = (PATIENTS.subjects["event"] == "death").mean()
    assert abs((trials.events["death"] > 0).mean() - share) < 0.03
    part = pg.resample(PATIENTS, trial(), n=5, first=100, random_seed=2)
    np.testing.assert_array_equal(part.values["alsfrsr"], trials.values["alsfrsr"][100:105])
    with pytest.raises(pg.SettingError, match="the trials come from patients"):
        trials.true_value("slope_ratio")


def test_a_last_visit_some_days_early_is_not_lost():
    """Half the patients leave after month 3, which each of their visits missed by three days."""
    visits = pd.DataFrame([(f"A{i}", month - 0.1 * (i % 2) * (month > 0), 40 - month) for i in range(40)
                           for month in range(4 if i % 2 else 7)], columns=["subject", "time", "alsfrsr"])  # fmt: skip
    subjects = pd.DataFrame({"subject": [f"A{i}" for i in range(40)], "arm": "placebo"})
    cohort = pg.Cohort.from_table(visits, subjects, time_unit="months", provenance="simulated")
    trials = pg.resample(cohort, pg.Design(arms=TWO, visits_months=range(7)), n=64)
    seen = np.isfinite(trials.values["alsfrsr"]).reshape(64, 60, 7).mean(axis=(0, 1))
    np.testing.assert_array_equal(seen[:4], 1)
    np.testing.assert_allclose(seen[4:], 0.5, atol=0.04)


def test_what_treatment_does_to_resampled_patients():
    plain = pg.resample(PATIENTS, trial(), n=10, random_seed=2)
    month = plain.cohort.visits["month"].to_numpy()
    treated = plain.cohort.visits["subject"].map(plain.cohort.subjects["arm"]).eq("treated").to_numpy()
    added = pg.resample(PATIENTS, trial(), change_per_month=0.4, n=10, random_seed=2)
    expected = np.where(treated, np.clip(plain.values["alsfrsr"] + 0.4 * month, 0, 48), plain.values["alsfrsr"])
    np.testing.assert_allclose(added.values["alsfrsr"], expected)
    slowed = (
        pg.resample(PATIENTS, trial(), slowing={"treated": 0.3}, n=10, random_seed=2)
        .values["alsfrsr"]
        .reshape(10, 60, -1)
    )
    own = plain.values["alsfrsr"].reshape(10, 60, -1)
    lost = np.where(treated.reshape(60, -1), 0.7, 1.0) * (own - own[..., :1])
    np.testing.assert_allclose(slowed, np.where(treated.reshape(60, -1), np.clip(own[..., :1] + lost, 0, 48), own))


def test_matched_arms_are_alike_at_baseline():
    gaps = {}
    for matched in (True, False):
        trials = pg.resample(PATIENTS, trial({"control": 30, "treated": 15}), matched=matched, n=200, random_seed=2)
        start = trials.values["alsfrsr"][:, (trials.cohort.visits["month"] == 0).to_numpy()]
        arm = trials.cohort.subjects["arm"].to_numpy()
        gaps[matched] = (start[:, arm == "control"].mean(axis=1) - start[:, arm == "treated"].mean(axis=1)).std()
    assert gaps[True] < 0.3 * gaps[False]


def test_resampling_refuses_what_cannot_be_meant():
    with pytest.raises(pg.SettingError) as caught:
        pg.resample(
            pg.datasets.als_anakinra(),
            trial(visit_jitter_days=2, antibody_tests_weeks=[0]),
            slowing={"treatd": 30},
            outcome="alsfrs",
        )
    assert len(caught.value.faults) == 6
