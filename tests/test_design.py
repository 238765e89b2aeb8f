"""Design: a trial as its protocol states it, read from TOML, with every fault of it named at once."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import progression as pg

WEEKS = [0, 4, 8, 12, 16, 20, 24]


def full(**more):
    settings = {
        "arms": {"placebo": 120, "low": 60, "high": 60}, "visits_weeks": WEEKS, "visit_jitter_days": 3, "missed_visits": 0.05,
        "accrual_per_month": 15, "dropout_per_month": 0.02, "dropout_by_slope": -0.5, "historical": {"historical control": 47},
        "borrowing": pg.RobustMAP(0.2, weight=0.1), "clipping": True, "name": "follow-up",
        "looks": [pg.Look(6, futility=pg.Rule("drr", ">=", 0.9, probability=0.95, arm="high")), pg.Look(12, success=0.99)],
    }  # fmt: skip
    return pg.Design(**(settings | more))


def test_it_reads_as_a_synopsis():
    text = str(full())
    for words in ("'follow-up'", "randomised, 2:1:1: placebo 120, low 60, high 60 (240 patients)", "control arm: placebo",
                  "7, at weeks 0, 4, 8, 12, 16, 20, 24", "3 days (SD)", "5 % of", "15 patients a month for 16 months",
                  "21.5", "2 % a month", "declines faster leaves sooner", "historical control 47, simulated with every trial",
                  "with probability 0.1", "Look 1         month 6: futility if P(drr, arm high >= 0.9) > 0.95",
                  "Look 2         month 12: success above 0.99", "kept within the bounds"):  # fmt: skip
        assert words in text, words


def test_a_single_arm_and_all_entering_at_once():
    design = pg.Design(arms={"treated": 17}, visits_months=[0, 3, 12])
    assert "single arm, treated 17" in str(design) and "all enter on one day" in str(design)
    assert design.time_unit == "months" and design.duration == 12 and design.n_patients == 17
    np.testing.assert_allclose(pg.Design(arms={"a": 1}, visits_weeks=[0, 52]).visit_months, [0, 52 * 7 * 12 / 365.25])


def test_the_fingerprint_is_of_all_that_matters():
    design = full()
    assert full() == design and hash(full()) == hash(design) and full(visit_jitter_days=3.0) == design
    assert full(name="another").fingerprint == design.fingerprint
    assert full(arms={"low": 60, "placebo": 120, "high": 60}) != design, "another control"
    changed = [full(missed_visits=0.06), full(looks=()), full(looks=[pg.Look(6, futility=0.05)]), full(borrowing=pg.RobustMAP(0.2)),
               full(visits_weeks=[*WEEKS, 28]), full(historical={"historical control": 48}), full(clipping=False), full(entry="poisson")]  # fmt: skip
    assert len({one.fingerprint for one in [design, *changed]}) == len(changed) + 1
    assert pickle.loads(pickle.dumps(design)) == design


def test_every_way_to_borrow_has_a_fingerprint_and_a_text(tmp_path):
    beta = pg.Prior("Beta", alpha=1, beta=2)
    weights = pd.Series({"H1": 0.25, "H2": 1.0})
    ways = [pg.PowerPrior(0.5), pg.PowerPrior(beta), pg.PowerPrior(0.5, weights=weights), pg.Sources(0.2), pg.Pooled()]
    path, found = tmp_path / "design.toml", set()
    for way in ways:
        design = full(borrowing=way)
        path.write_text(design.to_toml())
        assert pg.Design.from_toml(path) == design
        found.add(design.fingerprint)
    assert len(found) == len(ways)
    path.write_text(
        design.to_toml().replace('"kind" = "Pooled"', 'kind = "PowerPrior"\na0 = {distribution = "Beta", alfa = 1}')
    )
    with pytest.raises(pg.SettingError, match="did you mean 'alpha'"):
        pg.Design.from_toml(path)


def test_historical_sources_count_in_their_order():
    one, other = (
        full(historical={"a": 10, "b": 20}, borrowing=None),
        full(historical={"b": 20, "a": 10}, borrowing=None),
    )
    assert one != other, "trials are simulated in the order of the arms"


def test_a_real_cohort_counts_by_its_content():
    controls = pg.datasets.als_anakinra().select("arm == 'historical control'")
    one = pg.Design(arms={"treated": 17}, visits_weeks=[0, 24, 52], historical=controls)
    other = pg.Design(arms={"treated": 17}, visits_weeks=[0, 24, 52], historical=controls.sample(40, random_seed=1))
    assert one != other and dict(one.historical_sizes) == {"historical control": 47}
    assert "reconstructed controls, the same in every trial" in str(one)
    with pytest.raises(pg.SettingError, match="a text file holds no patients"):
        one.to_toml()


def test_toml_there_and_back(tmp_path):
    for design in (
        full(),
        pg.Design(arms={"a b": 3}, visits_months=[0, 1.5], antibody_tests_weeks=[0, 4], death_per_month=0.01),
    ):
        path = tmp_path / "design.toml"
        path.write_text(design.to_toml())
        again = pg.Design.from_toml(path)
        assert again == design and again.name == design.name and list(again.arms) == list(design.arms)


def test_toml_names_every_key_that_is_wrong(tmp_path):
    path = tmp_path / "design.toml"
    path.write_text("""
        arm = {control = 5}
        visits_weeks = [0, "4"]
        rounding = 1
        dropout_per_month = true
        [arms]
        control = 4.5
        [[looks]]
        mnth = 3
        success = {estimand = "drr", comparison = "=", value = 1}
        [borrowing]
        kind = "Commens"
    """)
    with pytest.raises(pg.SettingError) as caught:
        pg.Design.from_toml(path)
    keys = {fault.column for fault in caught.value.faults}
    assert keys == {"arm", "arms.control", "visits_weeks[1]", "rounding", "dropout_per_month", "looks[0].mnth", "borrowing.kind",
                    "looks[0].success.comparison", "looks[0].success.probability"}  # fmt: skip
    assert "did you mean 'month'" in str(caught.value)
    path.write_text("arms = [")
    with pytest.raises(pg.SettingError, match="cannot be read as a TOML file"):
        pg.Design.from_toml(path)
    path.write_text(
        'arms = {a = 2}\nvisits_weeks = [0, 4]\nhistorical = {h = 3}\n[borrowing]\nkind = "Pooled"\nscale = 2'
    )
    with pytest.raises(pg.SettingError, match="are not the settings of Pooled"):
        pg.Design.from_toml(path)


GOOD = {"arms": {"control": 5, "treated": 5}, "visits_weeks": WEEKS}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"arms": {"control": 0, "treated": 5}}, "patients in 'control' is not a whole number of at least 1"),
        ({"arms": {}}, "is not a mapping of labels"),
        ({"visits_weeks": [0, 8, 4]}, "does not come after 8"),
        ({"visits_weeks": [4, 8]}, "is the first visit, and not at 0"),
        ({"visits_months": [0, 1]}, "are both given"),
        ({"visits_weeks": None}, "are both missing"),
        ({"visits_weeks": [0]}, "nothing can change"),
        ({"missed_visits": 95}, "did you mean 0.95"),
        ({"dropout_per_month": 1}, "is not a probability of at least 0 and below 1"),
        ({"dropout_per_month": -0.1}, "is not a probability of at least 0 and below 1"),
        ({"death_per_month": 1.5}, "is not a probability"),
        ({"dropout_by_slope": 0.5}, "changes a hazard of leaving that is 0"),
        ({"accrual_per_month": 2, "accrual_months": 3}, "both given"),
        ({"accrual_months": 0}, "is not a number above 0"),
        ({"entry": "unifrm"}, "did you mean 'uniform'"),
        ({"entry": "poisson"}, "nothing says over how long"),
        ({"visit_jitter_days": 30}, "out of their order"),
        ({"antibody_tests_weeks": [-1, 4]}, "before the start"),
        ({"historical": {"control": 3}}, "is the label of an arm of the trial too"),
        ({"borrowing": pg.Commensurate(0.2)}, "borrows from historical controls, and there are none"),
        ({"historical": {"old": 3}, "borrowing": pg.Commensurate(0.2)}, "is no historical arm of this design"),
        ({"historical": {"historical control": 3}, "borrowing": pg.Commensurate(-1)}, "is not a positive number"),
        ({"looks": [pg.Look(3, success=95)]}, "did you mean 0.95"),
        ({"looks": [pg.Look(3)]}, "can stop nothing"),
        ({"looks": [pg.Look(success=0.99)]}, "must say when"),
        ({"looks": [pg.Look(9, success=0.99)]}, "is not before the last visit of the last patient, month 5.52"),
        ({"looks": [pg.Look(3, success=0.99), pg.Look(2, success=0.99)]}, "does not come after the look before it"),
        ({"looks": [pg.Look(3, success=0.99), pg.Look(information=0.9, success=0.99)]}, "their order is not known"),
        ({"looks": [pg.Look(3, success=0.1, futility=0.2)]}, "both would be met"),
        ({"looks": [3]}, "is not a list of looks"),
        ({"rounding": "yes"}, "is neither True nor False"),
    ],
)  # fmt: skip
def test_a_bad_design_is_refused(wrong, words):
    with pytest.raises(pg.SettingError, match=f"(?i){words}"):
        pg.Design(**(GOOD | wrong))


def test_all_faults_come_at_once():
    with pytest.raises(pg.SettingError) as caught:
        pg.Design(arms={"c": 0, "t": 5.5}, visits_weeks=[0, 8, 4], missed_visits=95, dropout_per_month=1, accrual_months=-1,
                  looks=[pg.Look(5), pg.Look(4, success=95)])  # fmt: skip
    assert len(caught.value.faults) == 9


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="drop_out"):
        pg.Design(**GOOD, drop_out=0.02)
