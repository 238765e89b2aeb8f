"""Every figure can be drawn from every kind of cohort, says where its data come from, and names problems."""

import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import progression as pg
from progression import plots
from progression.plots.checks import uniform_band
from progression.plots.words import components, rounded, share

ARMS = ["pla$ce$bo", "<script>alert(1)</script>"]


def lines(n, arms, provenance="simulated", **more):
    rng = np.random.default_rng(1)
    rows = [
        {"subject": f"S{i}", "week": week, "arm": arms[i % len(arms)], "alsfrsr": 40 - 0.2 * week + rng.normal(0, 1.5)}
        for i in range(n)
        for week in (0, 8, 16, 24)
    ]
    table = pd.DataFrame(rows)
    if provenance != "simulated":
        table["alsfrsr"] = table["alsfrsr"].round().clip(0, 48)
    return pg.Cohort.from_table(
        table,
        time_unit="weeks",
        columns={"time": "week"},
        outcomes=["alsfrsr"],
        arms=arms,
        provenance=provenance,
        **more,
    )


def crp(n):
    rng = np.random.default_rng(2)
    rows = [
        {"subject": f"S{i}", "week": week, "crp_mg_dl": "<0.5" if value < 0.5 else f"{value:.2f}"}
        for i in range(n)
        for week in (0, 4, 12)
        for value in [np.exp(0.2 + rng.normal(0, 0.8))]
    ]
    return pg.Cohort.from_table(
        pd.DataFrame(rows), time_unit="weeks", columns={"time": "week"}, outcomes=["crp_mg_dl"], name="pilot"
    )


def small(model, cohort):
    """Few draws in two chains: quick, and sure not to pass the gate; by the engine that compiles nothing."""
    with pytest.warns(pg.FitWarning):
        return pg.fit(model, cohort, engine="marginal", random_seed=1, draws=30, chains=2, progressbar=False)


@pytest.fixture(scope="module")
def als():
    return small("als_slope", lines(10, ARMS))


@pytest.fixture(scope="module")
def sle():
    return small("sle_crp", crp(4))


def texts(figure):
    return "\n".join(one.get_text() for one in figure.findobj(Text))


def drawn(figure):
    """Draw for real, so that a layout that collapses (a warning) fails the test."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return texts(figure)


def every_figure(fit):
    check = pg.check(fit, draws=50)
    prior = pg.prior_check(fit.model, fit.cohort, priors=fit.priors, options=fit.options, draws=50)
    return {
        "forest": plots.forest(pg.contrast(fit)),
        "trajectories": plots.trajectories(fit, draws=20),
        "predictive": plots.predictive(check),
        "loo_pit": plots.loo_pit(check),
        "prior_posterior": plots.prior_posterior(fit, prior=prior),
        "prior_implies": plots.prior_implies(prior),
        "diagnostics": plots.diagnostics(fit),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("error:constrained_layout")
def test_every_figure_of_two_arms_says_where_its_data_come_from_and_what_is_wrong(als):
    before = dict(mpl.rcParams)
    for name, figure in every_figure(als).items():
        words = drawn(figure)
        assert "SIMULATED" in words, name
        if name != "prior_implies":  # of the priors alone: no fit, hence no problems of one
            assert "PROBLEM" in words, name
    assert dict(mpl.rcParams) == before


@pytest.mark.slow
@pytest.mark.filterwarnings("error:constrained_layout")
def test_every_figure_of_an_observed_single_arm_with_censored_values_can_be_drawn(sle):
    for name, figure in every_figure(sle).items():
        assert "SIMULATED" not in drawn(figure), name
    assert "below the limit" in texts_of_legend(plots.trajectories(sle, draws=20))


def texts_of_legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.slow
def test_problems_are_red(als):
    [shown] = [one for one in plots.forest(pg.contrast(als)).texts if "PROBLEM" in one.get_text()]
    assert shown.get_color() == "#C62828"


def test_many_patients_are_drawn_together_and_few_one_by_one(als):
    assert len([axes for axes in plots.trajectories(als, draws=10).axes if axes.axison]) == 10
    # Prior draws in the place of posterior ones: nothing to compile.
    cohort = lines(26, ["control", "a", "b"], "reconstructed", allocation="historical")
    many = pg.prior_check("als_slope", cohort, draws=10).fit
    figure = plots.trajectories(many, draws=10)
    assert len(figure.axes) == 3
    assert "never for direction" in texts(figure)
    low, high = figure.axes[0].get_ylim()
    assert high < 51 and low > -3  # no further than the scale goes


def test_forest_puts_ratios_on_a_log_axis_and_says_which_side_favours_whom(als):
    figure = plots.forest(pg.contrast(als, ["slope_difference", "slope"]))
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "linear"]
    words = texts(figure)
    assert "favours <script>" in words and r"pla\$ce\$bo" in words
    sides = [one for one in figure.axes[0].texts if "favours" in one.get_text()]
    right = max(sides, key=lambda one: one.get_position()[0])
    assert "script" in right.get_text()  # higher is better, so the treated stand at the right


def test_forest_of_reconstructed_data_says_of_no_side_whom_it_favours():
    cohort = lines(6, ["control", "treated"], "reconstructed", allocation="historical")
    figure = plots.forest(pg.contrast(pg.prior_check("als_slope", cohort, draws=10).fit))
    words = texts(figure)
    assert "never for direction" in words and "favours" not in words and "better" not in words and "→" not in words


@pytest.mark.slow
def test_forest_of_ratios_to_baseline(sle):
    figure = plots.forest(pg.contrast(sle))
    assert figure.axes[0].get_xscale() == "log"
    assert "better: lower CRP" in texts(figure)


def test_forest_refuses_95(sle):
    with pytest.raises(pg.SettingError, match=r"0\.95"):
        plots.forest(pg.contrast(sle), ci_prob=95)


def test_a_failed_statistic_is_marked(als):
    check = pg.check(als, draws=50)
    table = check.table.assign(ok=[False, *check.table["ok"][1:]])
    figure = plots.predictive(replace(check, table=table))
    assert "observed, failed" in drawn(figure)


def test_the_band_of_uniform_values_holds_95_of_100_curves():
    points, low, high = uniform_band(50)
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(1000):
        values = np.sort(rng.uniform(size=50))
        difference = np.searchsorted(values, points, side="right") / 50 - points
        inside += bool(np.all((difference >= low - 1e-9) & (difference <= high + 1e-9)))
    assert 925 <= inside <= 990


def test_words_of_components(als):
    first = components(pg.contrast(als))[0]
    assert first.what == f"slope, {ARMS[1]} minus {ARMS[0]}"
    assert first.benefit == "slower decline" and first.direction == "positive = slower decline"
    assert first.probability.value == pytest.approx(float((first.draws > 0).mean()))


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.03124, 0.17, "0.03"),
        (-0.3, 0.17, "−0.30"),
        (-0.001, 0.17, "0.00"),
        (1234.4, 50, "1234"),
        (0.00123, None, "0.00123"),
        (float("nan"), 1, "not computable"),
        (0, 0, "0.00"),
    ],
)
def test_rounding_follows_the_spread(value, spread, text):
    assert rounded(value, spread) == text


def test_a_probability_is_never_a_bare_0_or_1():
    assert share(1.0) == "> 0.999" and share(0.0) == "< 0.001" and share(0.5666, 0.01) == "0.57"


def test_a_figure_needs_no_pyplot(als):
    # ArviZ may load pyplot; a figure of ours must not be among those that pyplot keeps open.
    plots.forest(pg.contrast(als))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


ALS_TRUTH = {
    "mean_level": 38,
    "sd_level": 5,
    "mean_slope": -1,
    "sd_slope": 0.5,
    "slope_effect": 0.3,
    "correlation": 0.1,
    "sd_residual": 1.5,
}


def test_one_simulated_trial_over_calendar_time():
    design = pg.Design(arms={"placebo": 12, "drug": 12}, visits_weeks=[0, 8, 16], accrual_per_month=4, dropout_per_month=0.1,
                       death_per_month=0.05, looks=[pg.Look(4, futility=0.05)], historical={"old": 5})  # fmt: skip
    trials = pg.simulate(design, "als_slope", truth=ALS_TRUTH, n=3)
    written = texts(plots.trial(trials, index=2)).replace("\n", " ")
    died = int((trials.events["death"][2][np.isfinite(trials.entry[2])] > 0).sum())
    last = trials.cohort.visits.groupby("subject")["month"].max().reindex(trials.cohort.subjects.index).to_numpy()
    left = int(
        (np.isfinite(trials.entry[2]) & (trials.events["death"][2] <= 0) & (trials.followed[2] < last - 1e-9)).sum()
    )
    for words in (
        "of 24 patients",
        f"{left} left",
        f"{died} died",
        "5 historical controls not drawn",
        "SIMULATED",
        "look 1",
        "drug",
    ):
        assert words in written, words
    assert isinstance(plots.trial(design), Figure) and isinstance(
        plots.trial(pg.Design(arms={"a": 3}, visits_weeks=[0, 4])), Figure
    )
    for wrong, words in (({"index": 3}, "not the place of a trial"), ({"trials": 1}, "neither trials nor a design")):
        with pytest.raises(pg.SettingError, match=words):
            plots.trial(**({"trials": trials} | wrong))


@pytest.mark.parametrize(("draw", "wanted"), [
    (plots.forest, "Contrast"), (plots.predictive, "Check"), (plots.loo_pit, "Check"), (plots.trajectories, "Fit"), (plots.prior_posterior, "Fit"),
    (plots.prior_implies, "PriorCheck"), (plots.diagnostics, "Fit"),
])  # fmt: skip
def test_a_figure_of_something_else_is_refused(draw, wanted):
    with pytest.raises(pg.SettingError, match=f"value 'Cohort': is not a {wanted}"):
        draw(lines(2, ["a"]))
