"""Simulated trials: the program's own distribution, the same trial whatever the chunks, and what happens to a trial."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import progression as pg
from tests import simulators

WEEKS = [0, 4, 8, 12, 16, 20, 24]
MONTHS = np.array(WEEKS) * 7 * 12 / 365.25
ALS = {"mean_level": 38, "sd_level": 5, "mean_slope": -1.03, "sd_slope": 0.76, "slope_effect": 0.3, "correlation": 0.4,
       "sd_residual": 1.77}  # fmt: skip
SHARED = {
    "mean_level": 38,
    "sd_level": 5,
    "mean_rate": 1.03,
    "sd_rate": 0.76,
    "drr": 0.7,
    "sd_residual": 1.77,
    "hazard": 0.03,
}
ARMS = {"control": 20, "treated": 20}


def trial(**more):
    return pg.Design(**({"arms": ARMS, "visits_weeks": WEEKS} | more))


def cube(trials, outcome):
    """Scores as (trials, subjects, visits): subjects in the order of the cohort."""
    return trials.values[outcome].reshape(len(trials), trials.cohort.n_subjects, -1)


def of_arm(trials, outcome, arm):
    return cube(trials, outcome)[:, (trials.cohort.subjects["arm"] == arm).to_numpy()].reshape(-1, len(WEEKS))


def wide(table, outcome, arm):
    own = table[table["arm"] == arm]
    return own.pivot(index="subject", columns="time", values=outcome).to_numpy()


def statistics(scores, months):
    """Of each patient: level, slope, their squares and product, residual variance. Together they are all second moments of a line."""
    off = months - months.mean()
    level, slope = scores.mean(axis=1), scores @ off / (off @ off)
    residual = scores - level[:, None] - slope[:, None] * off
    return np.column_stack([level, slope, level**2, slope**2, level * slope, (residual**2).sum(axis=1)])


def alike(a, b, z=4.5):
    """Means of the columns of two samples differ by no more than `z` standard errors."""
    error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
    gap = np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.where(error > 0, error, 1e-12)
    assert (gap < z).all(), gap
    assert min(len(a), len(b)) >= 1500, "too few to see a difference of a tenth of an SD or so"


def test_als_slope_has_the_moments_of_the_equations():
    trials = pg.simulate(trial(), "als_slope", truth=ALS, n=400, random_seed=3)
    table = simulators.als_slope(np.random.default_rng(5), n_per_arm=dict.fromkeys(ARMS, 6000), months=MONTHS, slope_effect={"treated": 0.3},
                                 **{key: value for key, value in ALS.items() if key != "slope_effect"})  # fmt: skip
    for arm in ARMS:
        alike(statistics(of_arm(trials, "alsfrsr", arm), MONTHS), statistics(wide(table, "alsfrsr", arm), MONTHS))


def test_als_shared_has_the_moments_of_the_equations_and_its_deaths():
    design = trial(dropout_per_month=0.03)
    trials = pg.simulate(design, "als_shared", truth=SHARED, n=400, random_seed=3)
    visits, subjects = simulators.als_shared(np.random.default_rng(6), n_per_arm=dict.fromkeys(ARMS, 6000), months=MONTHS, hazard=0.03,
                                             rate_ratio={"treated": 0.7}, dropout_per_month=0.03)  # fmt: skip
    table = visits.merge(subjects[["subject", "arm"]], on="subject")
    arm_of = trials.cohort.subjects["arm"].to_numpy()
    for arm in ARMS:
        here, there = of_arm(trials, "alsfrsr", arm), wide(table, "alsfrsr", arm)
        alike(np.isfinite(here).astype(float), np.isfinite(there).astype(float))
        whole = [one[np.isfinite(one).all(axis=1)] for one in (here, there)]
        alike(*(statistics(one, MONTHS) for one in whole))
        times = trials.events["death"][:, arm_of == arm].ravel()
        own = subjects[subjects["arm"] == arm]
        died, end = own["event"].notna().to_numpy(), own["event_time"].fillna(own["end_of_follow_up"]).to_numpy()
        alike(np.column_stack([times > 0, np.abs(times), (times > 0) * np.abs(times)]).astype(float),
              np.column_stack([died, end, died * end]).astype(float))  # fmt: skip


def test_sle_crp_has_the_moments_of_the_equations():
    outcome = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=0.5)
    design = pg.Design(arms=ARMS, visits_weeks=[0, 4, 12])
    truth = {
        "mean_level": 0.3,
        "time_course": [-0.2, -0.4],
        "effect": [[-0.3, -0.6]],
        "sd_patient": 0.7,
        "sd_residual": 0.5,
    }
    trials = pg.simulate(design, "sle_crp", truth=truth, n=400, random_seed=2, outcomes=outcome)
    months = design.visit_months
    table = simulators.sle_crp(np.random.default_rng(7), n_per_arm=dict.fromkeys(ARMS, 6000), months=months, mean_level=0.3,
                               time_course=[-0.2, -0.4], sd_patient=0.7, sd_residual=0.5, effect={"treated": [-0.3, -0.6]},
                               detection_limit=0.5)  # fmt: skip
    arm_of = trials.cohort.subjects["arm"].to_numpy()
    for arm in ARMS:
        here, there = (
            np.log(cube(trials, "crp_mg_dl")[:, arm_of == arm].reshape(-1, 3)),
            np.log(wide(table, "crp_mg_dl", arm)),
        )
        products = [
            np.column_stack([one, one**2, one[:, :1] * one[:, 1:], one <= np.log(0.5)]) for one in (here, there)
        ]
        alike(*products)
    one = trials.of(4)
    assert (one.visits["crp_mg_dl_censored"] == (one.visits["crp_mg_dl"] <= 0.5)).all() and one.visits[
        "crp_mg_dl_censored"
    ].any()


def test_sle_joints_have_the_moments_of_the_equations():
    design = pg.Design(arms=ARMS, visits_weeks=[0, 4, 12])
    course, effect = np.array([[-0.2, -0.1], [-0.4, -0.5]]), np.array([[-0.5, -0.2], [-0.8, -0.6]])
    truth = {"mean_level": {"tender_joints": -0.7, "swollen_joints": -1.2}, "time_course": course, "effect": {"treated": effect},
             "sd_patient": [0.8, 0.6], "overdispersion": [0.08, 0.2]}  # fmt: skip
    trials = pg.simulate(design, "sle_joints", truth=truth, n=128, random_seed=2)
    table = simulators.sle_joints(np.random.default_rng(8), n_per_arm=dict.fromkeys(ARMS, 2500), months=design.visit_months,
                                  mean_level=[-0.7, -1.2], time_course=course, sd_patient=[0.8, 0.6], overdispersion=[0.08, 0.2],
                                  effect={"treated": effect})  # fmt: skip
    arm_of = trials.cohort.subjects["arm"].to_numpy()
    for arm in ARMS:
        for outcome in ("tender_joints", "swollen_joints"):
            here, there = cube(trials, outcome)[:, arm_of == arm].reshape(-1, 3), wide(table, outcome, arm)
            assert (here == np.round(here)).all() and here.min() >= 0 and here.max() <= 28
            alike(
                *(
                    np.column_stack([one, one**2, one[:, :1] * one[:, 1:], one == 0]).astype(float)
                    for one in (here, there)
                )
            )


@pytest.mark.slow
def test_sle_activity_has_the_moments_of_the_equations():
    """All three signs of one activity, their products across signs and visits, and flares that end the visits."""
    design = pg.Design(arms=ARMS, visits_weeks=[0, 4, 12])
    truth = {"time_course": [-0.2, -0.5], "effect": [[-0.5, -0.9]], "sd_visit": 0.6, "count_level": [-0.5, -1.2], "count_loading": [0.8, 1.1],
             "sd_count": [0.4, 0.3], "overdispersion": [0.08, 0.2], "marker_level": [0.4], "marker_loading": [0.7], "sd_marker": [0.6],
             "sd_residual": [0.5], "flare_hazard": [0.15], "flare_loading": [0.9]}  # fmt: skip
    crp = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=0.8)
    outcomes = (*pg.models()["sle_activity"].observes["counts"][:2], crp)
    trials = pg.simulate(
        design, "sle_activity", truth=truth, n=192, random_seed=2, outcomes=outcomes, options={"flare": "shared"}
    )
    own = {name: value[0] if name in ("flare_hazard", "flare_loading") else value for name, value in truth.items()}
    own["effect"] = {"treated": truth["effect"][0]}
    table = simulators.sle_activity(np.random.default_rng(9), n_per_arm=dict.fromkeys(ARMS, 4000), months=design.visit_months,
                                    detection_limit=0.8, **own)  # fmt: skip
    arm_of = trials.cohort.subjects["arm"].to_numpy()
    for arm in ARMS:
        cubes = []
        for name in ("tender_joints", "swollen_joints", "crp_mg_dl"):
            here, there = cube(trials, name)[:, arm_of == arm].reshape(-1, 3), wide(table, name, arm)
            cubes.append([np.log(one) if name == "crp_mg_dl" else one for one in (here, there)])
        columns = []
        for tender, swollen, log_crp in zip(*cubes, strict=True):
            seen = np.isfinite(tender)
            signs = [np.where(seen, one, 0.0) for one in (tender, swollen, log_crp)]
            products = [signs[i] * signs[j] for i in range(3) for j in range(i, 3)]
            across = [one[:, :1] * one[:, 1:] for one in signs]
            columns.append(
                np.column_stack([seen, *signs, *products, *across, seen & (signs[2] <= np.log(0.8))]).astype(float)
            )
        alike(*columns)
    struck = trials.events["flare"] > 0
    assert 0.15 < struck.mean() < 0.6
    assert (
        np.isfinite(cube(trials, "tender_joints")[..., 2])
        == (np.abs(trials.events["flare"]) >= design.visit_months[-1] - 1e-9)
    ).all()


def test_a_trial_is_the_same_whatever_else_is_simulated():
    design = trial(dropout_per_month=0.05, dropout_by_slope=-0.5, missed_visits=0.1, accrual_per_month=10, visit_jitter_days=2,
                   historical={"historical control": 5})  # fmt: skip
    truth = SHARED | {"hazard": pg.Prior("LogNormal", mu=-4, sigma=0.5), "drift": 0.2}
    whole = pg.simulate(design, "als_shared", truth=truth, n=140, random_seed=9)
    for first, n in ((0, 1), (60, 10), (139, 1)):
        part = pg.simulate(design, "als_shared", truth=truth, n=n, first=first, random_seed=9)
        own = whole[first : first + n]
        np.testing.assert_array_equal(part.values["alsfrsr"], own.values["alsfrsr"])
        np.testing.assert_array_equal(part.events["death"], own.events["death"])
        np.testing.assert_array_equal(part.entry, own.entry)
        assert part.origin.truth.equals(own.origin.truth) and part.of(0).fingerprint == whole.of(first).fingerprint
    assert len({one.tobytes() for one in whole.values["alsfrsr"]}) == 140, "trials that repeat each other"
    other = pg.simulate(design, "als_shared", truth=truth, n=1, random_seed=10)
    assert not np.array_equal(other.values["alsfrsr"], whole.values["alsfrsr"][:1], equal_nan=True)


def test_trials_have_the_name_of_their_own_design():
    for name in ("one", "another"):
        assert pg.simulate(trial(name=name), "als_slope", truth=ALS, n=1).cohort.name == name


def test_drop_out_by_slope_sees_treatment_where_the_slope_has_it():
    """What the documentation says of als_slope and als_shared: only in the first does treatment keep patients."""
    rate = {
        "mean_level": 38,
        "sd_level": 5,
        "mean_rate": 1,
        "sd_rate": 0.3,
        "sd_residual": 1.8,
        "hazard": 1e-9,
        "drr": 0.2,
    }
    slope = {"mean_level": 38, "sd_level": 5, "mean_slope": -1, "sd_slope": 0.3, "correlation": 0, "sd_residual": 1.8, "slope_effect": 0.8}  # fmt: skip
    apart = {}
    for model, truth in (("als_slope", slope), ("als_shared", rate)):
        trials = pg.simulate(trial(dropout_per_month=0.05, dropout_by_slope=-1), model, truth=truth, n=128)
        left = trials.followed < trials.followed.max() - 1e-6
        first = (trials.cohort.subjects["arm"] == trials.cohort.arms[0]).to_numpy()
        apart[model] = left[:, first].mean() - left[:, ~first].mean()
    assert apart["als_slope"] > 0.2 and abs(apart["als_shared"]) < 0.04


def test_designs_that_differ_in_one_thing_share_the_rest():
    plain = pg.simulate(trial(), "als_slope", truth=ALS, n=20, random_seed=1)
    leaving = pg.simulate(trial(dropout_per_month=0.1, accrual_months=6), "als_slope", truth=ALS, n=20, random_seed=1)
    seen = np.isfinite(leaving.values["alsfrsr"])
    assert 0.5 < seen.mean() < 0.9
    np.testing.assert_array_equal(plain.values["alsfrsr"][seen], leaving.values["alsfrsr"][seen])
    treated = plain.cohort.visits["subject"].map(plain.cohort.subjects["arm"]).eq("treated").to_numpy()
    null = pg.simulate(trial(), "als_slope", truth=ALS | {"slope_effect": 0}, n=20, random_seed=1)
    gained = plain.values["alsfrsr"] - null.values["alsfrsr"]
    np.testing.assert_allclose(
        gained, np.where(treated, 0.3 * plain.cohort.visits["month"], 0)[None] + np.zeros((20, 1)), atol=1e-9
    )


@pytest.mark.slow
def test_every_random_thing_differs_between_trials():
    """The onset of antibodies rests on no parameter: a careless pass would draw it once for a block."""
    design = trial(antibody_tests_weeks=[0, 4, 8, 12])
    truth = {key: value for key, value in ALS.items() if key != "slope_effect"} | {
        "effect_before": 0.5, "effect_after": 0.1, "share_converting": 0.8, "median_onset": 2.0, "onset_shape": 1.5}  # fmt: skip
    trials = pg.simulate(design, "als_antibody", truth=truth, n=130, random_seed=2)
    treated = (trials.cohort.subjects["arm"] == "treated").to_numpy()
    onset = trials.onset[:, treated]
    assert np.isnan(trials.onset[:, ~treated]).all() and onset.std(axis=0).min() > 0
    for month in (1.0, 2.0, 5.0):
        share = 0.8 * (1 - 2 ** (-((month / 2) ** 1.5)))
        assert abs((onset <= month).mean() - share) < 4.5 * np.sqrt(share * (1 - share) / onset.size)
    one = trials.of(7).subjects
    own = one["arm"] == "treated"
    true = trials.onset[7][treated]
    assert (one.loc[own, "onset_lower"].to_numpy() < true).all() and (
        one.loc[own, "onset_upper"].to_numpy() >= np.minimum(true, 1e9)
    ).all()
    assert one.loc[~own, "onset_lower"].isna().all() and set(np.round(one.loc[own, "onset_lower"] / MONTHS[1], 6)) <= {
        0,
        1,
        2,
        3,
    }
    with pytest.raises(pg.CohortError, match="Fit each by itself"):
        pg.fit_many("als_antibody", trials, random_seed=1, progressbar=False)
    assert np.isfinite(pg.fit_many("als_slope", trials[:2], random_seed=1, progressbar=False).draws["slope"]).all()


@pytest.mark.slow
def test_drop_out_at_its_rate_and_by_slope():
    plain = pg.simulate(trial(dropout_per_month=0.1), "als_slope", truth=ALS, n=250, random_seed=4)
    for visit, month in enumerate(MONTHS):
        seen = np.isfinite(cube(plain, "alsfrsr")[:, :, visit])
        assert abs(seen.mean() - 0.9**month) < 4.5 * np.sqrt(0.25 / seen.size)
    sloping = pg.simulate(
        trial(dropout_per_month=0.1, dropout_by_slope=-0.7),
        "als_slope",
        truth=ALS | {"sd_residual": 1e-3},
        n=250,
        random_seed=4,
    )
    whole = pg.simulate(trial(), "als_slope", truth=ALS | {"sd_residual": 1e-3}, n=250, random_seed=4)
    slope = (cube(whole, "alsfrsr")[:, :, -1] - cube(whole, "alsfrsr")[:, :, 0]) / MONTHS[-1]
    z = (slope - slope.mean(axis=1, keepdims=True)) / slope.std(axis=1, keepdims=True)
    left = np.isnan(cube(sloping, "alsfrsr")[:, :, -1])
    for low, high in ((-3, -1), (-0.5, 0.5), (1, 3)):  # the share who leave is that of the mean hazard of the layer
        here = (z > low) & (z < high)
        expected = 1 - 0.9 ** (MONTHS[-1] * np.exp(-0.7 * z[here]))
        assert abs(left[here].mean() - expected.mean()) < 4.5 * np.sqrt(0.25 / here.sum())


def test_missed_visits_never_the_first():
    trials = pg.simulate(trial(missed_visits=0.2), "als_slope", truth=ALS, n=100, random_seed=4)
    lost = np.isnan(cube(trials, "alsfrsr")).mean(axis=(0, 1))
    assert lost[0] == 0 and (np.abs(lost[1:] - 0.2) < 4.5 * np.sqrt(0.16 / 4000)).all()


def test_deaths_of_the_design_where_the_model_has_none():
    trials = pg.simulate(trial(death_per_month=0.05), "als_slope", truth=ALS, n=200, random_seed=4)
    died = trials.events["death"] > 0
    assert abs(died.mean() - (1 - 0.95 ** MONTHS[-1])) < 4.5 * np.sqrt(0.25 / died.size)
    visits = trials.cohort.visits
    who = trials.cohort.subjects.index.get_indexer(visits["subject"])
    after = died[:, who] & (visits["month"].to_numpy() > trials.events["death"][:, who])
    assert after.any() and np.isnan(trials.values["alsfrsr"][after]).all()
    with pytest.raises(pg.SettingError, match="sets death twice"):
        pg.simulate(trial(death_per_month=0.05), "als_shared", truth=SHARED, n=2)


@pytest.mark.parametrize("entry", ["uniform", "poisson"])
def test_entry(entry):
    trials = pg.simulate(trial(accrual_per_month=8, entry=entry), "als_slope", truth=ALS, n=200, random_seed=4)
    assert (trials.entry.min(axis=1) == 0).all() and (trials.enrolled() == 40).all()
    last = trials.entry.max(axis=1)
    expected = 5 * 39 / 40 if entry == "poisson" else 5 * 39 / 41
    assert abs(last.mean() - expected) < 4.5 * last.std() / np.sqrt(200)
    control = (trials.cohort.subjects["arm"] == "control").to_numpy()
    gap = trials.entry[:, control].mean(axis=1) - trials.entry[:, ~control].mean(axis=1)
    assert abs(gap.mean()) < 4.5 * gap.std() / np.sqrt(200), "arms enter alike"
    np.testing.assert_allclose(trials.duration, last + MONTHS[-1])


def test_a_look_knows_nothing_of_what_comes_later():
    design = trial(
        accrual_per_month=8, dropout_per_month=0.02, looks=[pg.Look(4, futility=0.05), pg.Look(7, futility=0.1)]
    )
    trials = pg.simulate(design, "als_shared", truth=SHARED, n=60, random_seed=4)
    early = trials.at(design.looks[0])
    assert np.nanmax(early.calendar) <= 4 and (early.enrolled(4) < 40).all() and (early.enrolled(4) > 0).all()
    seen = trials.calendar <= 4
    np.testing.assert_array_equal(np.isfinite(early.values["alsfrsr"]), seen)
    times, known = trials.events["death"], early.events["death"]
    since = 4 - trials.entry
    assert np.isnan(known[since < 0]).all()
    died = (times > 0) & (times < since)
    np.testing.assert_array_equal(known[died], times[died])
    later = (since >= 0) & ~died
    np.testing.assert_allclose(-known[later], np.minimum(np.abs(times), since)[later])
    one = early.of(5)
    assert one.n_subjects == early.enrolled(4)[5] and one.check_baseline() == ()
    half = trials.at(pg.Look(information=0.5, success=0.99))
    share = np.isfinite(half.values["alsfrsr"]).sum(axis=1) / np.isfinite(trials.values["alsfrsr"]).sum(axis=1)
    assert ((share >= 0.5) & (share < 0.52)).all()
    np.testing.assert_array_equal(trials.at(99).events["death"], times)
    with pytest.raises(pg.SettingError, match="no calendar month"):
        trials.at([1.0, 2.0])


def test_one_trial_is_the_cohort_that_its_tables_make():
    design = trial(accrual_per_month=8, dropout_per_month=0.05, missed_visits=0.1, visit_jitter_days=3)
    trials = pg.simulate(design, "als_shared", truth=SHARED, n=3, random_seed=4)
    one = trials.of(2)
    subjects = one.subjects.rename(columns={"event_month": "event_time"}).reset_index()
    again = pg.Cohort.from_table(one.visits.rename(columns={"month": "time"}), subjects, time_unit="months", outcomes=list(one.outcomes),
                                 arms=list(one.arms), allocation="randomised", provenance="simulated")  # fmt: skip
    assert again.fingerprint == one.fingerprint
    assert [cohort.fingerprint for cohort in trials.cohorts()][2] == one.fingerprint
    jitter = one.visits["month"] - one.visits["visit"].str.removeprefix("week ").astype(float) * 7 * 12 / 365.25
    assert (
        0.5 < jitter[one.visits["month"] > 0].std() / (3 * 12 / 365.25) < 1.5
        and (jitter[one.visits["visit"] == "week 0"] == 0).all()
    )
    with pytest.raises(pg.SettingError, match="not the place of a trial"):
        trials.of(3)


@pytest.mark.slow
@pytest.mark.parametrize(("ratio", "held", "power"), [(1.0, True, 0.021), (0.7, True, 0.791), (0.7, False, None)])
def test_a_z_test_on_healeys_base_design_meets_its_closed_form(ratio, held, power):
    """120 against 120, no drop-out, hardly a death; with the SD of treated slopes held, or shrunken by the ratio."""
    design = trial(arms={"control": 120, "treated": 120})
    sd = {"control": 0.76, "treated": 0.76 / ratio if held else 0.76}
    truth = SHARED | {"drr": ratio, "sd_rate": sd, "hazard": 1e-9}
    trials = pg.simulate(design, "als_shared", truth=truth, n=2000, random_seed=11)
    off = MONTHS - MONTHS.mean()
    slope = cube(trials, "alsfrsr") @ off / (off @ off)
    treated = (trials.cohort.subjects["arm"] == "treated").to_numpy()
    noise = 1.77**2 / (off @ off)
    own = (0.76**2 + noise, (sd["treated"] * ratio) ** 2 + noise)
    z = (slope[:, treated].mean(axis=1) - slope[:, ~treated].mean(axis=1)) / np.sqrt(sum(own) / 120)
    expected = 1 - stats.norm.cdf(stats.norm.ppf(0.979) - 1.03 * (1 - ratio) / np.sqrt(sum(own) / 120))
    found = float((z > stats.norm.ppf(0.979)).mean())
    assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / 2000)
    assert power is None or expected == pytest.approx(power, abs=0.005), (
        "the published closed form, whose month has 52/12 weeks"
    )


def test_rounding_and_clipping_are_off_unless_asked_for():
    low = ALS | {"mean_level": 5}
    plain = pg.simulate(trial(), "als_slope", truth=low, n=5).values["alsfrsr"]
    kept = pg.simulate(trial(rounding=True, clipping=True), "als_slope", truth=low, n=5).values["alsfrsr"]
    assert plain.min() < 0 and (plain != np.round(plain)).any()
    np.testing.assert_array_equal(kept, np.clip(np.round(plain), 0, 48))


def test_bounded_scores_are_whole():
    truth = {
        "mean_level": 1.2,
        "sd_level": 0.5,
        "mean_slope": -0.1,
        "sd_slope": 0.1,
        "slope_effect": 0.05,
        "correlation": 0.1,
        "overdispersion": 0.01,
    }
    scores = pg.simulate(trial(), "als_bounded", truth=truth, n=4).values["alsfrsr"]
    assert (scores == np.round(scores)).all() and scores.min() >= 0 and scores.max() <= 48
