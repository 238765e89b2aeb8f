"""Settings that are refused in words, wherever they are given."""

import pickle

import pytest

import progression as pg


@pytest.mark.parametrize("draws", [0, True, 2.5, "many"])
def test_a_number_of_draws_is_checked_everywhere(draws, als, fake_fit):
    fit = fake_fit("als_slope", als)
    for ask in (
        lambda: pg.prior_check("als_slope", als, draws=draws),
        lambda: pg.check(fit, draws=draws),
        lambda: pg.loo(fit, draws=draws),
        lambda: fit.with_posterior_predictive(draws=draws),
        lambda: fit.predict([1], draws=draws),
    ):
        with pytest.raises(pg.SettingError, match=r"at least 1|number of draws"):
            ask()


def test_numbers_are_numbers(als, fake_fit):
    fit = fake_fit("als_slope", als)
    for ask in (
        lambda: pg.contrast(fit, month="6"),
        lambda: pg.Rule("a", "<", "1", probability=0.9),
        lambda: pg.Rule("a", "<", 1, probability="x"),
        lambda: fit.summary(ci_prob="0.95"),
        lambda: pg.fit("als_slope", als, priors=["a"]),
        lambda: pg.fit("als_slope", als, options=["a"]),
        lambda: pg.fit("als_slope", als, outcomes=5),
        lambda: pg.fit("als_slope", als, priors={"mean_slope": pg.Prior("sample")}),
    ):
        with pytest.raises(pg.SettingError):
            ask()


def test_one_outcome_of_a_model_of_two(lupus, fake_fit):
    """The dim `outcome` stays, with one label, and the estimand has it."""
    found = pg.contrast(fake_fit("sle_joints", lupus, outcomes="tender_joints"))
    assert found.draws["count_ratio_to_baseline"].sizes["outcome"] == 1
    assert all("tender_joints" in index for index in found.summary().index)


def test_a_screening_visit_is_part_of_the_baseline(als):
    """A month before time 0 is no planned visit of its own, and treatment does not work before time 0."""
    from progression.encoding import encode

    rows = {"subject": ["A", "A", "A", "B", "B"], "time": [-1, 0, 2, 0, 2], "crp_mg_dl": [1.0, 2, 3, 4, 5]}
    cohort = pg.Cohort.from_table(rows, time_unit="months", outcomes=["crp_mg_dl"])
    coded = encode(pg.models()["sle_crp"], cohort)
    assert coded.coords["visit"] == [0.0, 2.0] and coded.arrays["crp_visit"][1].tolist() == [0, 0, 1, 0, 1]


def test_a_visit_without_a_label_is_refused():
    from progression.encoding import encode

    rows = {"subject": ["A", "A", "B", "B"], "time": [0, 1, 0, 1], "visit": ["start", None, "start", "end"],
            "crp_mg_dl": [1.0, 2, 3, 4]}  # fmt: skip
    cohort = pg.Cohort.from_table(rows, time_unit="months", outcomes=["crp_mg_dl"])
    with pytest.raises(pg.CohortError, match="no visit"):
        encode(pg.models()["sle_crp"], cohort)


def test_a_prior_error_crosses_processes():
    with pytest.raises(pg.SettingError) as caught:
        pg.Prior("Normal", mu=0, sigma=-1)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.faults == caught.value.faults and str(again) == str(caught.value)


def test_stuck_chains_are_reported_not_raised(als, fake_fit, monkeypatch):
    """ArviZ refuses to smooth weights that are all the same; the check says so and the figure still draws."""
    from progression import checking, plots

    def stuck(*_, **__):
        raise ValueError("All tail values are the same")

    monkeypatch.setattr(checking.azs, "loo_pit", stuck)
    found = pg.check(fake_fit("als_slope", als), draws=20)
    assert not found.passed and any("LOO-PIT cannot be computed" in problem for problem in found.problems)
    assert plots.loo_pit(found).axes


def test_a_censored_value_needs_a_model_that_knows_of_censoring():
    rows = {"subject": ["A", "A", "B", "B"], "time": [0, 1, 0, 1], "alsfrsr": ["40", "<30", "38", "37"]}
    cohort = pg.Cohort.from_table(rows, time_unit="months", outcomes=["alsfrsr"])
    with pytest.raises(pg.CohortError, match="would take the limit for the value"):
        pg.fit("als_slope", cohort, progressbar=False)
