"""The shipped cohorts against what was published, and the simulators against their own truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import progression as pg
from progression.cohort import Cohort
from progression.datasets import published
from progression.units import months_per

DATA = Path(__file__).parents[1].parent / "shared" / "data"
DIRECTIONS = ("none", "benefit", "harm")
WEEK = months_per["weeks"]
TREATED = [str(i) for i in range(1, 18)]
SUMS = {"none": 22927, "benefit": 22717, "harm": 23143}
WEIGHTED = {"none": 7679343, "benefit": 7577678, "harm": 7781311}


def change(cohort: Cohort, week: float) -> dict[str, np.ndarray]:
    """Change from baseline to a week by arm, interpolated between visits."""
    arm = cohort.subjects["arm"]
    found: dict[str, list[float]] = {name: [] for name in cohort.arms}
    for subject, own in cohort.visits.groupby("subject"):
        at = np.interp(week * WEEK, own["month"], own["alsfrsr"])
        found[arm[subject]].append(float(at - own["alsfrsr"].iloc[0]))
    return {name: np.array(values) for name, values in found.items()}


def arm_of_rows(cohort: Cohort) -> np.ndarray:
    return cohort.visits["subject"].map(cohort.subjects["arm"]).to_numpy()


def near(value: float, target: float, within: float) -> bool:
    return abs(value - target) <= within


# the published tables


def test_lupus_table_is_the_published_one() -> None:
    source = DATA / "sle_anakinra_table2_long.csv"
    if not source.exists():
        pytest.skip("the shared copy of the table is not here")
    raw = pd.read_csv(source).dropna().reset_index(drop=True)
    visits = pg.datasets.sle_anakinra().visits
    assert visits["subject"].tolist() == raw["patient"].astype(str).tolist()
    np.testing.assert_allclose(visits["month"], raw["week"] * 7 / (365.25 / 12))
    names = [name for name in raw if name not in ("patient", "week")]
    assert len(names) == 7
    np.testing.assert_array_equal(visits[names], raw[names])


def test_als_table_is_the_published_one() -> None:
    source = DATA / "als_anakinra_table1.csv"
    if not source.exists():
        pytest.skip("the shared copy of the table is not here")
    raw = pd.read_csv(source)
    ours = published.als_table1().set_index("subject")
    assert ours.index.tolist() == raw["patient"].astype(str).tolist()
    for name in (
        "age_years",
        "disease_duration_months",
        "alsfrsr_baseline",
        "vc_baseline_pct",
        "vc_final_pct",
    ):
        np.testing.assert_array_equal(ours[name], raw[name])
    assert ours["sex"].str.title().tolist() == raw["gender"].tolist()
    assert ours["exclusive_lmnd"].str.title().tolist() == raw["exclusive_lmnd"].tolist()
    assert ours["onset_site"].str[0].str.upper().tolist() == raw["onset"].str[0].tolist()
    status = {"-": "not expanded", "n.d.": None}
    for ours_now, printed, repeats in zip(
        ours["c9orf72"], raw["c9orf72_repeats"], ours["c9orf72_repeats"], strict=True
    ):
        assert (None if pd.isna(ours_now) else ours_now) == status.get(printed, "expanded")
        assert printed in status or float(printed) == repeats


def test_als_table_has_the_published_summaries() -> None:
    table = published.als_table1()
    assert len(table) == 17 and (table["sex"] == "female").sum() == 1
    expected = {
        "alsfrsr_baseline": (40.71, 3.89), "age_years": (57.4, 7.5), "disease_duration_months": (22.4, 8.6),
        "rate_before_baseline": (0.367, 0.267), "vc_baseline_pct": (83.7, 12.6), "vc_final_pct": (68.7, 22.9),
    }  # fmt: skip
    for name, (mean, sd) in expected.items():
        digits = 3 if name.startswith("rate") else 2 if name.startswith("als") else 1
        within = 0.51 * 10**-digits
        assert near(table[name].mean(), mean, within), name
        assert near(table[name].std(), sd, within), name
    assert table["alsfrsr_baseline"].median() == 42
    assert table["c9orf72"].notna().sum() == 15 and (table["c9orf72"] == "expanded").sum() == 4


def test_vital_capacity_before_and_after() -> None:
    cohort = pg.datasets.als_anakinra_capacity()
    assert cohort.provenance == "observed" and cohort.arms == ("anakinra",)
    wide = cohort.visits.pivot(index="subject", columns="month", values="vital_capacity")
    np.testing.assert_allclose(wide.columns, [0, 52 * WEEK])
    paired = wide.iloc[:, 1] - wide.iloc[:, 0]
    assert near(paired.mean(), -15.0, 0.05) and near(paired.std(), 15.3, 0.05)
    assert "alsfrsr_baseline" in cohort.covariates


def test_lupus_summaries_and_events() -> None:
    cohort = pg.datasets.sle_anakinra()
    assert cohort.provenance == "observed" and cohort.allocation == "single arm"
    assert (cohort.n_subjects, cohort.n_visits, cohort.dropped_rows) == (4, 11, 1)
    crp = cohort.visits.pivot(index="subject", columns="month", values="crp_mg_dl")
    assert near(crp.iloc[:, 0].mean(), 5.4, 0.001) and near(crp.iloc[:, 0].std(), 4.10, 0.005)
    assert near(crp.iloc[:, 1].mean(), 1.65, 0.001) and near(crp.iloc[:, 1].std(), 1.28, 0.005)
    first = cohort.visits[cohort.visits["subject"] != "4"].groupby("month")[["crp_mg_dl", "swollen_joints"]].mean()
    np.testing.assert_allclose(first["crp_mg_dl"], [3.67, 2.07, 1.77], atol=0.005)
    np.testing.assert_allclose(first["swollen_joints"], [6, 1, 1])
    assert stats.wilcoxon(crp.iloc[:, 0], crp.iloc[:, 1], alternative="greater").pvalue == 0.0625
    assert not any(column.endswith("_censored") for column in cohort.visits)
    events = cohort.events.set_index("subject")
    assert events["kind"].to_dict() == {"2": "treatment interrupted", "4": "flare"}
    assert near(events.loc["4", "month"], 6 * WEEK, 1e-9) and 0 < events.loc["2", "month"] < WEEK
    assert "half dose" in events.loc["2", "note"] and "not missing at random" in events.loc["4", "note"]
    assert cohort.subjects["age_years"].tolist() == [33, 41, 33, 45]


# the reconstructions


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_reconstruction_meets_what_was_published(direction: str) -> None:
    cohort = pg.datasets.als_anakinra(direction)
    assert cohort.provenance == "reconstructed" and cohort.allocation == "historical"
    assert cohort.arms == ("historical control", "anakinra")
    by_arm = cohort.subjects.groupby("arm")
    assert by_arm.size().to_dict() == {"anakinra": 17, "historical control": 47}
    assert (by_arm["sex"].apply(lambda sex: (sex == "female").sum())).to_dict() == {
        "anakinra": 1, "historical control": 18,
    }  # fmt: skip
    at_24, at_52 = change(cohort, 24), change(cohort, 52)
    treated = at_52["anakinra"]
    assert near(treated.mean(), -10.76, 0.005) and near(treated.std(ddof=1), 7.1, 0.1)
    differences = [at["anakinra"].mean() - at["historical control"].mean() for at in (at_24, at_52)]
    p = [stats.ttest_ind(at["anakinra"], at["historical control"]).pvalue for at in (at_24, at_52)]
    if direction == "none":
        assert max(map(abs, differences)) < 0.05 and min(p) > 0.95
    else:
        sign = 1 if direction == "benefit" else -1
        assert near(sign * differences[0], 1.5, 0.1) and near(sign * differences[1], 0.8, 0.05)
        assert near(p[0], 0.19, 0.01) and near(p[1], 0.69, 0.02)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_reconstruction_looks_like_als(direction: str) -> None:
    cohort = pg.datasets.als_anakinra(direction)
    visits, arm = cohort.visits, arm_of_rows(cohort)
    table = published.als_table1().set_index("subject")
    base = visits.groupby("subject").first()["alsfrsr"]
    assert base[TREATED].tolist() == table.loc[TREATED, "alsfrsr_baseline"].tolist()
    controls = base.drop(TREATED)
    assert near(controls.mean(), 40.7, 0.3) and near(controls.std(), 3.9, 0.3)
    scores = visits["alsfrsr"]
    assert scores.between(0, 48).all() and (scores == scores.round()).all()
    weeks = visits["month"] / WEEK
    np.testing.assert_allclose(weeks[arm == "anakinra"], np.tile([0, 4, 8, 12, 24, 36, 52], 17))
    own = weeks[arm != "anakinra"].groupby(visits["subject"])
    gaps = own.diff().dropna()
    assert own.max().min() >= 52 and gaps.between(4 - 1e-6, 8 + 1e-6).all() and gaps.nunique() > 10
    # a straight line for each patient: what is left over, and the slopes less their own error
    left, freedom, slopes, error = 0.0, 0, [], []
    for _, one in visits.groupby("subject"):
        line = np.polyfit(one["month"], one["alsfrsr"], 1)
        left += float(np.sum((one["alsfrsr"] - np.polyval(line, one["month"])) ** 2))
        freedom += len(one) - 2
        slopes.append(line[0])
        error.append(1 / np.sum((one["month"] - one["month"].mean()) ** 2))
    residual = left / freedom
    assert near(np.sqrt(residual), 1.77, 0.15)
    assert 0.50 < np.sqrt(np.var(slopes, ddof=1) - residual * np.mean(error)) < 0.65


def test_antibodies_appear_in_all_but_patient_4() -> None:
    subjects = pg.datasets.als_anakinra().subjects
    assert subjects.loc[subjects["arm"] != "anakinra", ["onset_lower", "onset_upper"]].isna().all(axis=None)
    weeks = (subjects.loc[TREATED, ["onset_lower", "onset_upper"]] / WEEK).round(6)
    counts = weeks.value_counts().to_dict()
    assert counts == {(0.0, 4.0): 11, (4.0, 8.0): 3, (8.0, 12.0): 2, (52.0, np.inf): 1}
    assert weeks.loc["4"].tolist() == [52.0, np.inf]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_reconstruction_says_what_it_is(direction: str) -> None:
    cohort = pg.datasets.als_anakinra(direction)
    shown = repr(cohort)
    assert "RECONSTRUCTED" in shown and "never direction of effect or loss of effect" in shown
    assert any("never direction" in note for note in cohort.warnings)
    assert direction in cohort.name and "assumption" in cohort.source and "10.1371" in cohort.source
    back = Cohort.from_xarray(cohort.to_xarray())
    assert back.warnings == cohort.warnings and back.provenance == "reconstructed"


def test_reconstruction_is_the_same_on_every_machine() -> None:
    # Checked sums: a change of the recipe, or of the stream behind it, must be seen.
    sums = {d: int(pg.datasets.als_anakinra(d).visits["alsfrsr"].sum()) for d in DIRECTIONS}
    weighted = {
        d: int((v := pg.datasets.als_anakinra(d).visits["alsfrsr"]).mul(np.arange(len(v))).sum()) for d in DIRECTIONS
    }
    assert (sums, weighted) == (SUMS, WEIGHTED)
    assert pg.datasets.als_anakinra("harm").fingerprint == pg.datasets.als_anakinra("harm").fingerprint


def test_directions_share_the_antibodies_and_the_visits() -> None:
    cohorts = [pg.datasets.als_anakinra(direction) for direction in DIRECTIONS]
    for other in cohorts[1:]:
        pd.testing.assert_frame_equal(other.subjects, cohorts[0].subjects)
        pd.testing.assert_series_equal(other.visits["month"], cohorts[0].visits["month"])
    assert len({cohort.fingerprint for cohort in cohorts}) == 3


def test_unknown_direction_is_refused() -> None:
    with pytest.raises(pg.SettingError, match="did you mean 'benefit'"):
        pg.datasets.als_anakinra("benefits")
    with pytest.raises(pg.SettingError, match="'harm'"):
        pg.datasets.als_anakinra(["harm"])  # type: ignore[arg-type]


# the simulated trials


def test_simulated_als_has_the_truth_it_states() -> None:
    cohort = pg.datasets.simulated_als(n=(20000, 20000), slope_effect=0.3, correlation=0.4, random_seed=3)
    assert cohort.provenance == "simulated" and cohort.allocation == "randomised"
    assert cohort.arms == ("control", "treated")
    wide = cohort.visits.pivot(index="subject", columns="month", values="alsfrsr")
    months, scores = wide.columns.to_numpy(float), wide.to_numpy()
    np.testing.assert_allclose(months, np.arange(0, 25, 4) * WEEK)
    off = months - months.mean()
    sxx = float(np.sum(off**2))
    slope = scores @ off / sxx
    level = scores.mean(axis=1) - slope * months.mean()
    treated = (cohort.subjects.loc[wide.index, "arm"] == "treated").to_numpy()
    left = scores - level[:, None] - slope[:, None] * months
    residual = float(np.sum(left**2) / (left.size - 2 * len(left)))
    error = 4 * np.sqrt((0.76**2 + 1.77**2 / sxx) / 20000)  # four standard errors of a mean slope
    assert near(slope[~treated].mean(), -1.03, error)
    assert near(slope[treated].mean() - slope[~treated].mean(), 0.3, np.sqrt(2) * error)
    assert near(np.sqrt(residual), 1.77, 0.03) and near(level.mean(), 38, 0.3)
    assert near(np.sqrt(slope[~treated].var() - residual / sxx), 0.76, 0.03)
    spread_level = level.var() - residual * (1 / len(months) + months.mean() ** 2 / sxx)
    assert near(np.sqrt(spread_level), 5, 0.2)
    within = np.mean([np.cov(level[a], slope[a])[0, 1] for a in (treated, ~treated)]) + residual * months.mean() / sxx
    assert near(within / (0.76 * 5), 0.4, 0.05)


def test_simulated_als_drop_out() -> None:
    cohort = pg.datasets.simulated_als(n=(4000, 4000), dropout_per_month=0.1, random_seed=3)
    seen = cohort.visits.groupby("month").size() / 8000
    np.testing.assert_allclose(seen, 0.9 ** seen.index.to_numpy(float), atol=0.02)
    assert seen.iloc[0] == 1
    # monotone: nobody comes back
    assert (cohort.visits.groupby("subject")["month"].max().value_counts().sort_index() > 0).all()
    rank = cohort.visits.groupby("subject").cumcount()
    assert near(float((cohort.visits["month"] / WEEK - 4 * rank).abs().max()), 0, 1e-9)


def test_simulated_sle_has_the_truth_it_states() -> None:
    cohort = pg.datasets.simulated_sle(n=(4000, 4000), random_seed=5)
    truth = pg.datasets.truth_of(cohort)
    assert cohort.provenance == "simulated" and cohort.allocation == "randomised"
    visits, treated = cohort.visits, arm_of_rows(cohort) == "treated"
    months = np.sort(visits["month"].unique())
    np.testing.assert_allclose(months, np.array([0, 4, 12]) * WEEK)
    logs = np.log(visits["crp_mg_dl"])
    total = np.sqrt(truth["crp_sd_patient"] ** 2 + truth["crp_sd_residual"] ** 2)
    error = 4 * total / np.sqrt(4000)
    for at, month in enumerate(months):
        now = (visits["month"] == month).to_numpy()
        course = ([0, *truth["crp_time_course"]])[at]
        effect = ([0, *truth["crp_effect"]])[at]
        assert near(logs[now & ~treated].mean(), truth["crp_level"] + course, error)
        assert near(logs[now & treated].mean() - logs[now & ~treated].mean(), effect, np.sqrt(2) * error)
        assert near(logs[now & ~treated].std(), total, 0.04)
    wide = np.log(visits.pivot(index="subject", columns="month", values="crp_mg_dl"))
    assert near(wide.corr().iloc[0, 1], (truth["crp_sd_patient"] / total) ** 2, 0.05)


@pytest.mark.parametrize(("index", "name"), [(0, "tender_joints"), (1, "swollen_joints")])
def test_simulated_joints_have_the_truth_they_state(index: int, name: str) -> None:
    cohort = pg.datasets.simulated_sle(
        n=(6000, 6000), random_seed=5, joints_overdispersion=(0.05, 0.2), joints_sd_patient=(0.9, 0.4)
    )
    truth = pg.datasets.truth_of(cohort)
    visits, treated = cohort.visits, arm_of_rows(cohort) == "treated"
    assert visits[name].between(0, 28).all() and (visits[name] == visits[name].round()).all()
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    for at, month in enumerate(np.sort(visits["month"].unique())):
        for on in (False, True):
            odds = truth["joints_level"][index] + ([0, *truth["joints_time_course"]])[at]
            odds += on * ([0, *truth["joints_effect"]])[at]
            share = 1 / (1 + np.exp(-(odds + truth["joints_sd_patient"][index] * nodes)))
            mean = 28 * float(weights @ share)
            d = truth["joints_overdispersion"][index]
            within = 28 * share * (1 - share) * (1 + 27 * d)
            variance = float(weights @ within) + float(weights @ (28 * share - mean) ** 2)
            own = visits.loc[(visits["month"] == month).to_numpy() & (treated == on), name]
            assert near(own.mean(), mean, 4 * np.sqrt(variance / 6000))
            assert near(own.var() / variance, 1, 0.1)


def test_simulated_activity_drives_all_three() -> None:
    def correlation(activity: float) -> float:
        cohort = pg.datasets.simulated_sle(n=(3000, 3000), activity=activity, random_seed=2)
        start = cohort.visits[cohort.visits["month"] == 0]
        return float(np.corrcoef(start["tender_joints"], start["swollen_joints"])[0, 1])

    assert abs(correlation(0.0)) < 0.06 and correlation(1.0) > correlation(0.5) + 0.2 > 0.4


def test_simulated_crp_is_censored_at_the_limit() -> None:
    free = pg.datasets.simulated_sle(random_seed=4).visits
    cohort = pg.datasets.simulated_sle(random_seed=4, detection_limit=0.5)
    visits = cohort.visits
    low = (free["crp_mg_dl"] < 0.5).to_numpy()
    assert 0 < low.sum() < len(low)
    np.testing.assert_array_equal(visits["crp_mg_dl_censored"], low)
    np.testing.assert_array_equal(visits["crp_mg_dl"], np.where(low, 0.5, free["crp_mg_dl"]))
    assert {o.name: o.detection_limit for o in cohort.outcomes}["crp_mg_dl"] == 0.5


def test_truth_travels_and_is_not_invented() -> None:
    cohort = pg.datasets.simulated_als(n=(3, 4), slope_effect=0.25, random_seed=9)
    truth = pg.datasets.truth_of(Cohort.from_xarray(cohort.to_xarray()))
    assert truth["slope_effect"] == 0.25 and truth["n"] == [3, 4] and truth["random_seed"] == 9
    assert pg.datasets.truth_of(pg.datasets.simulated_sle(joints=66))["joints"] == 66
    for other in (pg.datasets.sle_anakinra(), pg.datasets.als_anakinra()):
        with pytest.raises(pg.SettingError, match="truth"):
            pg.datasets.truth_of(other)


def test_seeds_decide_everything() -> None:
    for simulate in (pg.datasets.simulated_als, pg.datasets.simulated_sle):
        assert simulate(random_seed=1).fingerprint == simulate(random_seed=1).fingerprint
        assert simulate(random_seed=1).fingerprint != simulate(random_seed=2).fingerprint


@pytest.mark.parametrize(
    ("simulator", "argument", "value"),
    [
        ("simulated_als", "n", (0, 10)), ("simulated_als", "n", 20), ("simulated_als", "n", (5.5, 3)),
        ("simulated_als", "sd_slope", -1), ("simulated_als", "sd_residual", float("nan")),
        ("simulated_als", "correlation", 1.2), ("simulated_als", "dropout_per_month", 1.0),
        ("simulated_als", "visits_weeks", (4, 8)), ("simulated_als", "visits_weeks", (0, 8, 8)),
        ("simulated_als", "visits_weeks", "weekly"), ("simulated_als", "slope_effect", "30 %"),
        ("simulated_als", "random_seed", -1), ("simulated_als", "random_seed", 1.5),
        ("simulated_sle", "crp_effect", (-0.5,)), ("simulated_sle", "crp_sd_patient", -0.1),
        ("simulated_sle", "joints_overdispersion", (0.1, -0.1)), ("simulated_sle", "joints", 0),
        ("simulated_sle", "joints", 2.5), ("simulated_sle", "detection_limit", 0.0),
        ("simulated_sle", "activity", 1.1), ("simulated_sle", "joints_level", "low"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(simulator: str, argument: str, value: object) -> None:
    with pytest.raises(pg.SettingError) as refused:
        getattr(pg.datasets, simulator)(**{argument: value})
    assert [fault.column for fault in refused.value.faults] == [argument]


def test_all_bad_arguments_are_named_at_once() -> None:
    with pytest.raises(pg.SettingError) as refused:
        pg.datasets.simulated_als(n=(0, 1), sd_level=-1, correlation=3)
    assert {fault.column for fault in refused.value.faults} == {"n", "sd_level", "correlation"}


def test_extremes_that_are_allowed() -> None:
    flat = pg.datasets.simulated_als(n=(2, 2), sd_level=0, sd_slope=0, sd_residual=0, correlation=-1.0)
    assert set(flat.visits.loc[flat.visits["month"] == 0, "alsfrsr"]) == {38.0}
    assert pg.datasets.simulated_sle(joints_overdispersion=(0, 0), activity=0).n_subjects == 60
