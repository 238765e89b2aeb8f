"""CAFS against a second program of the same rule, written pair by pair in plain Python, and against published statistics."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

import progression as pg
from progression.cli import app
from progression.pairs import Courses, count, share_won
from progression.win_statistics import win_statistics

ALSFRSR = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)


def better(one, other):
    """1 if `one` did better, -1 if worse, 0 for a tie; from dicts of death, followed, baseline and scores by visit."""
    for first, second, sign in ((one, other, -1), (other, one, 1)):
        died = first["death"]
        if died is not None and (second["death"] is None or second["death"] > died):
            known_alive = second["death"] if second["death"] is not None else second["followed"]
            if known_alive >= died:
                return sign
    common = sorted(set(one["scores"]) & set(other["scores"]))
    if not common or one["baseline"] is None or other["baseline"] is None:
        return 0
    last = common[-1]
    mine, theirs = one["scores"][last] - one["baseline"], other["scores"][last] - other["baseline"]
    return (mine > theirs) - (mine < theirs)


def brute(people):
    """Wins and losses of each, by arm of the other."""
    found = {}
    for name, one in people.items():
        against = {"wins": {}, "losses": {}}
        for other_name, other in people.items():
            if other_name != name:
                result = better(one, other)
                key = {1: "wins", -1: "losses"}.get(result)
                if key:
                    against[key][other["arm"]] = against[key].get(other["arm"], 0) + 1
        found[name] = against
    return found


def random_people(rng, n, arms, *, step=1.0, n_visits=4, jitter=0.05):
    """Patients with deaths, drop-out, missed visits, no baseline or nothing at all, few distinct values, late visits."""
    people, rows, table = {}, [], []
    for i in range(n):
        name, arm = f"p{i}", arms[i % len(arms)]
        end = float(rng.choice([0.5, 1.5, 2.5, 3.5, 4.5]))
        death = float(rng.choice([0.4, 1.3, 2.2, 2.2, 3.1, 4.4])) if rng.random() < 0.35 else None
        stop = end if death is None else min(end, death)
        person = {"arm": arm, "death": death, "baseline": None, "scores": {}}
        seen = []
        for visit in range(n_visits + 1):
            at = visit * step + (rng.uniform(-jitter, jitter) if visit else 0.0)
            if at <= stop and rng.random() < 0.8:
                value = float(rng.integers(30, 34))
                seen.append(at)
                rows.append((name, at, value))
                if visit:
                    person["scores"][visit] = value
                else:
                    person["baseline"] = value
        given_end = rng.random() < 0.7
        person["followed"] = end if given_end and death is None else max(seen, default=0.0)
        people[name] = person
        table.append((name, arm, end if given_end and death is None else math.nan, "death" if death else None, death))
    visits = pd.DataFrame(rows, columns=["subject", "time", "alsfrsr"])
    subjects = pd.DataFrame(table, columns=["subject", "arm", "end_of_follow_up", "event", "event_time"])
    return people, visits, subjects


def cohort_of(visits, subjects, arms, **how):
    settings_ = {"time_unit": "months", "outcomes": [ALSFRSR], "arms": list(arms), "allocation": "randomised"} | how
    return pg.Cohort.from_table(visits, subjects, **settings_)


def agree(found, people):
    expected = brute(people)
    for name, row in found.scores.iterrows():
        wins, losses = (sum(expected[name][key].values()) for key in ("wins", "losses"))
        assert (row["wins"], row["losses"], row["score"]) == (wins, losses, wins - losses), name
        assert row["ties"] == len(people) - 1 - wins - losses
        assert row["rank"] == (len(people) + 1 + wins - losses) / 2
    control = found.cohort.arms[0]
    sizes = {arm: sum(one["arm"] == arm for one in people.values()) for arm in found.cohort.arms}
    for arm, one in found.statistics.items():
        own = [name for name, person in people.items() if person["arm"] == arm]
        wins = sum(expected[name]["wins"].get(control, 0) for name in own)
        losses = sum(expected[name]["losses"].get(control, 0) for name in own)
        assert (one.wins, one.losses, one.ties) == (wins, losses, sizes[arm] * sizes[control] - wins - losses)
        assert one.probability == pytest.approx((wins + one.ties / 2) / (sizes[arm] * sizes[control]))


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_every_pair_by_hand(seed):
    rng = np.random.default_rng(seed)
    arms = [("control", "treated"), ("placebo", "low", "high")][seed % 2]
    people, visits, subjects = random_people(rng, int(rng.integers(4, 24)), arms)
    if not len(visits):
        pytest.skip("nobody was seen")
    found = pg.cafs(cohort_of(visits, subjects, arms), visits=[1, 2, 3, 4] if seed % 3 else None)
    agree(found, people)


def test_the_random_cohorts_hold_what_they_should():
    """Deaths that decide, function that decides, ties, and triples without an order: all occur in the test above."""
    rng = np.random.default_rng(5)
    people, visits, subjects = random_people(rng, 60, ("control", "treated"))
    one = pg.cafs(cohort_of(visits, subjects, ("control", "treated"))).statistics["treated"]
    assert min(one.wins_by_death, one.losses_by_death, one.ties, one.wins - one.wins_by_death) > 30
    names = list(people)
    beats = np.array([[better(people[a], people[b]) == 1 for b in names] for a in names], int)
    assert np.trace(beats @ beats @ beats) > 0


people_strategy = st.lists(
    st.fixed_dictionaries({
        "death": st.sampled_from([None, None, 1.0, 2.0, 2.5]),
        "followed": st.sampled_from([0.0, 1.0, 2.0, 3.0]),
        "change": st.lists(st.sampled_from([None, -2.0, -1.0, 0.0]), min_size=3, max_size=3),
        "arm": st.integers(0, 1),
    }),
    min_size=2, max_size=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(people_strategy)
def test_the_rule_on_arrays(drawn):
    """Against the same plain rule, whatever the patients, also where blocks and integers are at their smallest."""
    change = np.array([[math.nan if v is None else v for v in one["change"]] for one in drawn])
    death = np.array([math.inf if one["death"] is None else one["death"] for one in drawn])
    followed = np.array([one["followed"] for one in drawn])
    group = np.array([one["arm"] for one in drawn])
    counts = count(Courses.of(change, death, followed), group, 2)
    people = {i: {"death": one["death"], "followed": one["followed"], "baseline": 0.0, "arm": one["arm"],
                  "scores": {v: c for v, c in enumerate(one["change"]) if c is not None}} for i, one in enumerate(drawn)}  # fmt: skip
    expected = brute(people)
    for i in people:
        for arm in (0, 1):
            assert counts.wins[i, arm] == expected[i]["wins"].get(arm, 0)
            assert counts.losses[i, arm] == expected[i]["losses"].get(arm, 0)
    assert counts.wins.sum() == counts.losses.sum()  # who wins makes another lose
    if set(group) == {0, 1}:
        courses = Courses.of(change, death, followed)
        share = share_won(courses.part(group == 1), courses.part(group == 0))
        one = win_statistics(counts, group, 1, 0, ci_prob=0.95)
        assert share == pytest.approx(one.probability)
        assert 0 <= one.lower <= one.probability <= one.upper <= 1
        back = win_statistics(counts, group, 0, 1, ci_prob=0.95)
        assert back.probability == pytest.approx(1 - one.probability) and back.z == pytest.approx(-one.z)
        assert (back.lower, back.upper) == pytest.approx((1 - one.upper, 1 - one.lower))


def test_blocks_do_not_show():
    """More patients than a block holds, against one table of all pairs."""
    rng = np.random.default_rng(2)
    n = 700
    change = np.where(rng.random((n, 5)) < 0.8, rng.integers(-9, 3, (n, 5)), np.nan)
    death = np.where(rng.random(n) < 0.2, rng.integers(1, 6, n), np.inf)
    followed, group = rng.integers(1, 6, n).astype(float), rng.integers(0, 3, n)
    counts = count(Courses.of(change, death, followed), group, 3)
    alive = np.where(np.isfinite(death), death, followed)
    result = np.zeros((n, n), int)
    for visit in range(5):
        a, b = change[:, visit, None], change[None, :, visit]
        result = np.where(np.isnan(a) | np.isnan(b), result, np.sign(a - b))
    result = np.where((death[:, None] < death) & (death[:, None] <= alive), -1, result)
    result = np.where((death < death[:, None]) & (death <= alive[:, None]), 1, result)
    for one in range(3):
        np.testing.assert_array_equal(counts.wins[:, one], (result[:, group == one] > 0).sum(axis=1))
        np.testing.assert_array_equal(counts.losses[:, one], (result[:, group == one] < 0).sum(axis=1))


def plain_counts(x, y):
    """Counts of two samples of plain scores."""
    every, group = np.concatenate([y, x]), np.repeat([0, 1], [len(y), len(x)])
    alive = np.full(len(every), np.inf)
    return count(Courses.of(every[:, None], alive, np.zeros(len(every))), group, 2), group


@pytest.mark.parametrize(("m", "n"), [(7, 12), (40, 25)])
def test_plain_scores_give_the_statistics_of_scipy(m, n):
    """One visit, no death: the Mann-Whitney statistic, and the error of Brunner and Munzel."""
    rng = np.random.default_rng(m)
    x, y = np.round(3 * rng.normal(size=m) + 1), np.round(3 * rng.normal(size=n))
    counts, group = plain_counts(x, y)
    one = win_statistics(counts, group, 1, 0, ci_prob=0.9)
    assert one.probability == pytest.approx(stats.mannwhitneyu(x, y).statistic / (m * n))
    munzel = stats.brunnermunzel(y, x)
    assert (one.probability - 0.5) / one.se == pytest.approx(munzel.statistic)
    # The permutation variance with ties is that of the asymptotic test without continuity correction.
    whole = stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
    assert one.p == pytest.approx(whole.pvalue)
    resampled = []
    for _ in range(2000):
        again, same = plain_counts(rng.choice(x, m), rng.choice(y, n))
        resampled.append((again.wins[same == 1, 0].sum(), again.losses[same == 1, 0].sum()))
    wins, losses = np.array(resampled).T
    # A sample drawn from a sample of m varies by a share of 1/m too little.
    assert one.se == pytest.approx(np.std(wins - losses) / (2 * m * n) * np.sqrt(m / (m - 1)), rel=0.06)
    if m > 10:
        assert one.ratio_se_log == pytest.approx(np.std(np.log(wins / losses)), rel=0.1)
    low, high = one.ratio_lower, one.ratio_upper
    assert np.sqrt(low * high) == pytest.approx(one.ratio) and low < one.ratio < high


def test_errors_and_intervals_hold_in_trials_with_deaths_and_drop_out():
    """400 trials of one truth: the errors are the spread, the intervals cover, and under no difference p is uniform."""
    rng = np.random.default_rng(8)

    def trial(effect, n=40):
        group = np.repeat([0, 1], n)
        slope = -1 + 0.7 * rng.normal(size=2 * n) + effect * group
        months = np.array([1, 2, 3, 4, 5, 6])
        change = np.round(slope[:, None] * months + 2 * rng.normal(size=(2 * n, 6)))
        death = rng.exponential(20 * np.exp(0.5 * slope))
        left = rng.exponential(12, size=2 * n)
        change[months > np.minimum(death, left)[:, None]] = np.nan
        death = np.where(death <= np.minimum(6, left), death, np.inf)
        counts = count(Courses.of(change, death, np.minimum(6, left)), group, 2)
        return win_statistics(counts, group, 1, 0, ci_prob=0.9)

    trials = [trial(1.0) for _ in range(400)]
    truth = np.mean([trial(1.0, n=400).probability for _ in range(20)])
    found = np.array([one.probability for one in trials])
    assert abs(found.mean() - truth) < 0.01 and truth > 0.6
    assert np.mean([one.se for one in trials]) == pytest.approx(found.std(), rel=0.12)
    covered = np.mean([one.lower <= truth <= one.upper for one in trials])
    assert 0.86 < covered < 0.94  # 0.9 and 2.7 of its standard errors
    logs = np.log([one.ratio for one in trials])
    assert np.mean([one.ratio_se_log for one in trials]) == pytest.approx(logs.std(), rel=0.12)
    null = [trial(0.0).p for _ in range(400)]
    assert stats.kstest(null, "uniform").pvalue > 0.01


def test_complete_separation_has_an_interval():
    """Three against three, all won: no spread can be seen, yet the interval has a width: 3 / (3 + t^2), 2 degrees of freedom."""
    counts, group = plain_counts(np.array([4.0, 5, 6]), np.array([1.0, 2, 3]))
    one = win_statistics(counts, group, 1, 0, ci_prob=0.95)
    assert (one.probability, one.upper) == (1, 1) and one.lower == pytest.approx(3 / (3 + stats.t.ppf(0.975, 2) ** 2))
    assert math.isnan(one.ratio) and one.odds[0] == math.inf
    tied, group = plain_counts(np.ones(4), np.ones(4))
    one = win_statistics(tied, group, 1, 0, ci_prob=0.95)
    assert one.probability == 0.5 and one.lower < 0.2 < 0.8 < one.upper and (one.z, one.p) == (0, 1)
    alone, group = plain_counts(np.array([4.0]), np.array([1.0, 2, 3]))
    one = win_statistics(alone, group, 1, 0, ci_prob=0.95)
    assert one.lower < 0.1 and one.upper == 1 and math.isnan(one.se)


def small(rows, people, **how):
    visits = pd.DataFrame(rows, columns=["subject", "time", "alsfrsr"])
    columns = ["subject", "arm", "end_of_follow_up", "event", "event_time"]
    return cohort_of(visits, pd.DataFrame(people, columns=columns), ("control", "treated"), **how)


def test_by_hand():
    """Five patients; who beats whom is written down beside each."""
    rows = [("A", 0, 40), ("A", 1, 38), ("A", 2, 30), ("B", 0, 36), ("B", 1, 35), ("C", 0, 44), ("C", 1, 41), ("C", 2, 40),
            ("D", 0, 20), ("E", 0, 30), ("E", 1, 29)]  # fmt: skip
    people = [("A", "control", 6, None, None), ("B", "treated", 1.5, None, None), ("C", "treated", None, "died", 5),
              ("D", "control", None, "Death", 1.2), ("E", "control", 1.1, None, None)]  # fmt: skip
    found = pg.cafs(small(rows, people))
    # A: beats C (alive at 5) and D; loses to B and E at month 1 (-2 against -1 and -1). B: beats A, D (alive at 1.2), and
    # C at month 1 (-1 against -3); ties with E. C: beats D. D: dead at 1.2, E was last seen alive at 1.1, and D has no
    # later score: tie. E: beats A and C at month 1, ties with B and D.
    expected = {"A": (2, 2), "B": (3, 0), "C": (1, 3), "D": (0, 3), "E": (2, 0)}
    assert {name: (row["wins"], row["losses"]) for name, row in found.scores.iterrows()} == expected
    one = found.statistics["treated"]  # B and C against A, D, E: B won 2 tied 1; C won 1 (D) lost 2
    assert (one.wins, one.losses, one.ties) == (3, 2, 1)
    assert (one.wins_by_death, one.losses_by_death) == (2, 1)
    assert one.probability == pytest.approx(3.5 / 6) and one.ratio == pytest.approx(1.5)
    table = found.table
    assert table["deaths"].to_dict() == {"control": 1, "treated": 1}
    assert table["mean_rank"].to_dict() == pytest.approx({"control": (3 + 1.5 + 4) / 3, "treated": (4.5 + 2) / 2})
    assert found.scores.loc["C", ["death", "followed", "baseline", "visit", "change"]].tolist() == [5, 5, 44, 2, -4]
    assert found.notes == (
        "without a score after baseline, compared by deaths only: 1 patient, 0 of them alive as far as known",
    )
    # The horizon: at month 3 C still lives.
    short = pg.cafs(small(rows, people), month=3)
    assert short.table["deaths"].sum() == 1
    assert (short.scores.loc["C", "wins"], short.scores.loc["C", "losses"]) == (
        2,
        2,
    )  # beats A at month 2: -4 against -10


def test_mean_ranks_say_the_same_as_the_win_probability():
    rng = np.random.default_rng(3)
    _, visits, subjects = random_people(rng, 31, ("control", "treated"))
    found = pg.cafs(cohort_of(visits, subjects, ("control", "treated")))
    difference = found.table.loc["treated", "mean_rank"] - found.table.loc["control", "mean_rank"]
    summary = found.summary()
    assert difference == pytest.approx(summary.loc[("treated", "mean_rank_difference"), "estimate"])
    assert found.scores["rank"].mean() == 16 and found.scores["score"].sum() == 0
    win = found.win_probability.loc["treated"]
    assert summary.loc[("treated", "net_benefit"), "estimate"] == pytest.approx(2 * win["estimate"] - 1)
    assert summary.loc[("treated", "win_odds"), "lower"] == pytest.approx(win["lower"] / (1 - win["lower"]))
    assert (summary["lower"] < summary["estimate"]).all() and (summary["estimate"] < summary["upper"]).all()


def test_direction_and_units_do_not_matter():
    rng = np.random.default_rng(4)
    _, visits, subjects = random_people(rng, 20, ("control", "treated"), jitter=0.0)
    one = pg.cafs(cohort_of(visits, subjects, ("control", "treated")))
    turned = pg.Outcome("burden", lower=0, upper=48, integer=True, higher_is_better=False)
    other = visits.rename(columns={"alsfrsr": "burden"}).assign(burden=48 - visits["alsfrsr"])
    two = pg.cafs(cohort_of(other, subjects, ("control", "treated"), outcomes=[turned]), "burden")
    pd.testing.assert_series_equal(one.scores["score"], two.scores["score"])
    assert (two.scores["change"].dropna() == -one.scores["change"].dropna()).all()
    years, life = visits.assign(time=visits["time"] / 12), subjects.copy()
    life[["end_of_follow_up", "event_time"]] /= 12
    three = pg.cafs(cohort_of(years, life, ("control", "treated"), time_unit="years"))
    pd.testing.assert_series_equal(one.scores["score"], three.scores["score"])
    shuffled = pg.cafs(cohort_of(visits.sample(frac=1, random_state=1), subjects[::-1], ("control", "treated")))
    pd.testing.assert_frame_equal(one.scores, shuffled.scores)


def test_changes_that_differ_by_rounding_tie():
    outcome = pg.Outcome("alsfrsr", lower=0, upper=48, higher_is_better=True)
    rows = [("A", 0, 40.1), ("A", 1, 38.3), ("B", 0, 32.0), ("B", 1, 30.2)]
    people = [("A", "control", None, None, None), ("B", "treated", None, None, None)]
    assert 38.3 - 40.1 != 30.2 - 32.0
    assert pg.cafs(small(rows, people, outcomes=[outcome])).statistics["treated"].ties == 1


def test_deaths_from_either_table_and_other_ends():
    rows = [(name, month, 40 - k * month) for k, name in enumerate("ABCD") for month in (0, 1)]
    people = [("A", "control", 9, None, None), ("B", "control", None, "tracheostomy", 4), ("C", "treated", 9, None, None),
              ("D", "treated", None, None, None)]  # fmt: skip
    events = pd.DataFrame(
        {"subject": ["C", "D"], "time": [3.0, 5.0], "kind": ["death (respiratory)", "treatment stopped"]}
    )
    cohort = small(rows, people, events=events)
    found = pg.cafs(cohort).scores
    assert found["death"].dropna().to_dict() == {"C": 3.0}
    assert found["followed"].to_dict() == {"A": 9, "B": 4, "C": 3, "D": 5}
    more = pg.cafs(cohort, terminal=["Tracheostomy"])
    assert more.scores["death"].dropna().to_dict() == {"B": 4.0, "C": 3.0}
    assert any("Tracheostomy" in note for note in more.notes)


def test_which_score_belongs_to_which_visit():
    """Visits early and late by days are one visit; of two for one visit the nearer stands; screening is baseline."""
    rows = [
        ("A", -1.0, 45),
        ("A", -0.1, 44),
        ("A", 1.1, 40),
        ("A", 2.9, 38),
        ("B", 0.15, 40),
        ("B", 0.95, 39),
        ("B", 3.1, 30),
    ]
    people = [("A", "control", None, None, None), ("B", "treated", None, None, None)]
    found = pg.cafs(small(rows, people))
    assert found.planned == pytest.approx((1.025, 3.0))
    assert found.scores["baseline"].to_dict() == {"A": 44, "B": 40} and found.scores["change"].to_dict() == {
        "A": -6,
        "B": -10,
    }
    named = pg.cafs(small([*rows, ("B", 2.7, 35)], people), visits=[0, 1, 3])
    assert named.planned == (1, 3) and named.scores["change"].to_dict() == {"A": -6, "B": -10}
    strict = pg.cafs(small([*rows, ("B", 2.7, 35)], people), visits=[1, 3], tolerance=0.16)
    assert "scores that belong to no planned visit, not used: 1" in strict.notes
    assert strict.scores.loc["B", ["visit", "change"]].tolist() == [3, -10]
    # At month 1 A lost 4 and B 1; with month 3 out of sight B is the better one.
    assert pg.cafs(small(rows, people), month=2).statistics["treated"].wins == 1
    assert pg.cafs(small(rows, people)).statistics["treated"].losses == 1


def test_labels_of_visits_are_used():
    visits = pd.DataFrame({"subject": list("AAABBB"), "time": [0, 1.0, 2.9, 0.05, 1.6, 3.4], "alsfrsr": [40, 39, 38, 40, 37, 39],
                           "visit": ["base", "V1", "V2"] * 2})  # fmt: skip
    subjects = pd.DataFrame({"subject": ["A", "B"], "arm": ["control", "treated"]})
    found = pg.cafs(cohort_of(visits, subjects, ("control", "treated")))
    assert found.planned == pytest.approx((1.3, 3.15)) and found.statistics["treated"].wins == 1
    assert found.scores["baseline"].tolist() == [40, 40]


def test_those_who_tell_nothing_tie():
    rows = [("A", 0, 40), ("A", 1, 38), ("B", 1, 20), ("C", 0, 30)]
    people = [("A", "control", 3, None, None), ("B", "treated", 3, None, None), ("C", "treated", 3, None, None),
              ("D", "control", None, None, None)]  # fmt: skip
    found = pg.cafs(small(rows, people))
    assert (found.scores["ties"] == 3).all() and (found.scores["rank"] == 2.5).all()
    text = repr(found)
    assert "without a baseline score, compared by deaths only: 2 patients" in text and "no death is known" in text
    assert found.table["compared_on_function"].to_dict() == {"control": 1, "treated": 0}


def test_one_arm_is_ranked_but_not_compared():
    rows = [("A", 0, 40), ("A", 1, 38), ("B", 0, 30), ("B", 1, 29)]
    visits = pd.DataFrame(rows, columns=["subject", "time", "alsfrsr"]).assign(arm="treated")
    found = pg.cafs(pg.Cohort.from_table(visits, time_unit="months", outcomes=[ALSFRSR]))
    assert found.scores["rank"].to_dict() == {"A": 1, "B": 2} and found.statistics == {}
    assert found.win_probability.empty and found.summary().empty and "2 patients" in repr(found)


def test_what_it_says_of_the_data():
    cohort = pg.datasets.simulated_als(n=(20, 20), random_seed=2)
    found = pg.cafs(cohort, month=4)
    text = repr(found)
    assert "SIMULATED" in text and "P(treated does better than control)" in text and "up to month 4" in text
    assert (found.table["provenance"] == "SIMULATED").all() and max(found.planned) < 4.2
    with pytest.raises(AttributeError):
        found.month = 3


def test_the_figure_shows_every_patient_and_every_pair():
    rng = np.random.default_rng(7)
    _, visits, subjects = random_people(rng, 45, ("placebo", "low", "high"))
    found = pg.cafs(cohort_of(visits, subjects, ("placebo", "low", "high")), visits=[1, 2, 3, 4])
    left, right = pg.plots.ranks(found).axes
    marks = {
        marker: np.concatenate([line.get_xdata() for line in left.lines if line.get_marker() == marker])
        for marker in "ox"
    }
    dead = found.scores["death"].notna()
    np.testing.assert_array_equal(np.sort(marks["x"]), np.sort(found.scores.loc[dead, "rank"]))
    np.testing.assert_array_equal(np.sort(marks["o"]), np.sort(found.scores.loc[~dead, "rank"]))
    bars = [(bar.get_y(), bar.get_width()) for bar in right.patches]
    for row, one in enumerate(found.statistics.values(), start=1):
        widths = [width for at, width in bars if abs(at + 0.21 - row) < 1e-9]
        pairs = one.wins + one.losses + one.ties
        parts = [
            one.losses_by_death,
            one.losses - one.losses_by_death,
            one.ties,
            one.wins - one.wins_by_death,
            one.wins_by_death,
        ]
        assert widths == pytest.approx([part / pairs for part in parts] + [1])
        assert any(f"= {one.probability:.2f}" in text.get_text() for text in right.texts)
    single = pg.cafs(
        cohort_of(visits, subjects.assign(arm="treated"), ("treated",), allocation="single arm"), visits=[1, 2, 3, 4]
    )
    assert len(pg.plots.ranks(single).axes) == 1


def test_the_command_line_says_the_same(tmp_path):
    rng = np.random.default_rng(9)
    _, visits, subjects = random_people(rng, 30, ("control", "treated"))
    visits.to_csv(tmp_path / "visits.csv", index=False)
    subjects.to_csv(tmp_path / "subjects.csv", index=False)
    command = ["cafs", str(tmp_path / "visits.csv"), "--subjects", str(tmp_path / "subjects.csv"), "--time-unit", "months",
               "--month", "3", "--allocation", "randomised", "--out", str(tmp_path / "ranks.csv"), "--figure", str(tmp_path / "ranks.png")]  # fmt: skip
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    found = pg.cafs(cohort_of(visits, subjects, ("control", "treated"), name="visits"), month=3)
    assert repr(found) in run.output
    saved = pd.read_csv(tmp_path / "ranks.csv", index_col="subject")
    np.testing.assert_allclose(saved["rank"], found.scores["rank"])
    assert (tmp_path / "ranks.png").stat().st_size > 5000


def refused(cohort, *args, **how):
    with pytest.raises(pg.SettingError) as caught:
        pg.cafs(cohort, *args, **how)
    return caught.value


def test_refusals(als, lupus):
    error = refused(als, "alsfrs", month=-1, visits=[], tolerance=0, terminal="PAV")
    assert len(error.faults) == 5
    for text in ("did you mean 'alsfrsr'", "month", "visits", "tolerance", "Give a list: ['PAV']"):
        assert text in str(error)
    assert "is not a Cohort" in str(refused("als"))
    assert "0.95" in str(refused(als, ci_prob=95))
    unknown = pg.Outcome("strength")
    rows = pd.DataFrame(
        {"subject": list("AABB"), "time": [0, 1, 0, 1], "strength": [3.0, 2, 3, 1], "arm": list("ccdd")}
    )
    cohort = pg.Cohort.from_table(rows, time_unit="months", outcomes=[unknown], arms=["c", "d"])
    assert "which direction is benefit" in str(refused(cohort, "strength"))
    jittered = rows.loc[np.repeat([0, 1], 8)].assign(
        subject=[f"P{i}" for i in range(16)], time=np.r_[np.zeros(8), np.linspace(1, 2, 8)], alsfrsr=30.0, arm="c"
    )
    spread = pg.Cohort.from_table(
        jittered[["subject", "time", "alsfrsr", "arm"]], time_unit="months", outcomes=[ALSFRSR]
    )
    assert "visits=[1, 2, 3, 6]" in str(refused(spread)) and len(pg.cafs(spread, visits=[1, 2]).planned) == 2
    limit = pg.Outcome("crp", positive=True, higher_is_better=False, detection_limit=0.5)
    below = pd.DataFrame(
        {"subject": list("AABB"), "time": [0, 1, 0, 1], "crp": ["2", "<0.5", "1", "0.7"], "arm": list("ccdd")}
    )
    cohort = pg.Cohort.from_table(below, time_unit="months", outcomes=[limit], arms=["c", "d"])
    assert "below a limit" in str(refused(cohort, "crp"))


def test_a_label_that_is_no_death_is_named():
    rows = [("A", 0, 40), ("A", 1, 38), ("B", 0, 41), ("B", 1, 20)]
    found = pg.cafs(small(rows, [("A", "control", None, "Exitus", 2.0), ("B", "treated", 3, None, None)]))
    assert "none of 'Exitus' counts as one; name those that do: terminal=" in repr(found)
    late = pg.cafs(small(rows, [("A", "control", None, "death", 9.0), ("B", "treated", 3, None, None)]), month=6)
    assert "terminal=" not in repr(late)
