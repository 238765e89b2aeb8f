"""Figures, report and command line of simulated trials: every one says SIMULATED, how many, by which model, and with what error."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from typer.testing import CliRunner

import progression as pg
from progression import plots
from progression.cli import app
from progression.plots.simulated import doubts
from progression.plots.words import asked
from progression.power_file import read_assurance, read_power
from progression.size_curve import fitted_curve
from progression.sizing import SampleSize

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "als_trial.toml"
RULE = pg.Rule("slope_difference", ">", 0, probability=0.975)
BASE = {
    "mean_level": 38.0,
    "sd_level": 5.0,
    "mean_slope": -1.0,
    "sd_slope": 0.5,
    "sd_residual": 1.0,
    "correlation": 0.0,
}
LOOKS = [pg.Look(8, futility=0.2), pg.Look(12, success=0.99, futility=0.3)]
QUICK = {"n_trials": 32, "chunk": 32, "random_seed": 1, "cores": 1, "progressbar": False}


def design(n, name="", **more):
    return pg.Design(arms={"pla$ce$bo": n, "<i>new": n}, visits_months=[0, 3, 6], accrual_months=9, looks=LOOKS, name=name, **more)  # fmt: skip


@pytest.fixture(scope="module")
def oc():
    designs = {"small": design(15), "large": design(30)}
    rules = [RULE, pg.Rule("slope_difference", ">", 0.1, probability=0.8)]
    return pg.power(designs, "als_slope", rules, base=BASE, truths=[{"slope_effect": 0.0}, {"slope_effect": 0.4}], **QUICK)  # fmt: skip


@pytest.fixture(scope="module")
def believed():
    prior = {**BASE, "slope_effect": pg.Prior("Normal", mu=0.3, sigma=0.3)}
    return pg.assurance(design(15, "<b>pilot"), "als_slope", RULE, prior=prior, **QUICK)


def unknown(oc):
    """The same trials as if they came from patients: nobody knows what is true of them."""
    table = oc.records.table.assign(true_0=np.nan)
    return replace(oc, records=replace(oc.records, table=table), screens={})


def texts(figure):
    return "\n".join(one.get_text() for one in figure.findobj(Text))


def drawn(figure):
    """Draw for real, so that a layout that collapses (a warning) fails the test."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return texts(figure)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", [plots.power, plots.estimates, plots.stopping])
def test_every_figure_says_what_was_simulated(oc, believed, draw):
    for one in (oc, believed, unknown(oc), oc.with_rule(RULE)):
        assert "32 SIMULATED trials for each design and truth, analysed by als_slope" in drawn(draw(one))


@pytest.mark.slow
def test_power_is_drawn_where_the_truth_is(oc):
    axes = plots.power(oc).axes[0]
    assert (
        "slope, <i>new minus pla" in axes.get_xlabel()
        and "points/month" in axes.get_xlabel()
        and "positive = slower decline" in axes.get_xlabel()
    )
    points = [one.lines[0].get_xydata() for one in axes.containers]
    assert len(points) == 4  # two designs, two rules
    wanted = oc.table.xs("small", level="design").xs(repr(RULE), level="rule")["success"]
    np.testing.assert_allclose(points[0][:, 1], wanted)
    np.testing.assert_allclose(points[0][:, 0], [0, 0.4], atol=0.02)
    bars = axes.containers[0].lines[2][0].get_segments()
    low, high = oc.table.iloc[0][["lower", "upper"]]
    np.testing.assert_allclose([bars[0][0][1], bars[0][1][1]], [low, high])
    lines = {
        float(one.get_ydata()[0]) for one in axes.lines if one.get_linestyle() == ":" and len(set(one.get_ydata())) == 1
    }
    assert {round(value, 9) for value in lines} == {0.025, 0.2}


@pytest.mark.slow
def test_truths_without_a_value_stand_by_their_labels(oc, believed):
    for one, word in ((believed, "assurance"), (unknown(oc), "success")):
        axes = plots.power(one).axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == list(
            dict.fromkeys(truth for _, truth in one.cells)
        )
        assert word in texts(axes.figure)


def test_estimates_count_every_trial_and_tell_successes_apart(oc):
    figure = plots.estimates(oc, rule=1)
    for axes, (_, row) in zip(figure.axes, oc.table.iloc[1::2].iterrows(), strict=True):
        met, other = (sum(bar.get_height() for bar in axes.containers[i]) for i in (0, 1))
        assert met == pytest.approx(32 * row["success"]) and met + other == 32
        assert any(np.allclose(line.get_xdata(), row["true"]) for line in axes.lines)
    with pytest.raises(pg.SettingError, match="place of a rule"):
        plots.estimates(oc, rule=2)


@pytest.mark.parametrize("rule", [0, 1])
def test_stopping_adds_up_to_what_the_table_says(oc, rule):
    figure = plots.stopping(oc, rule=rule)
    for axes, (_, row) in zip(figure.axes, oc.table.iloc[rule::2].iterrows(), strict=True):
        success, going_on, futility = ([bar.get_height() for bar in one] for one in axes.containers)
        np.testing.assert_allclose(np.sum([success, going_on, futility], axis=0), 1)
        assert success[-1] == pytest.approx(row["success"])
        assert success[-2] == pytest.approx(row["stop_success"]) and futility[-1] == pytest.approx(row["stop_futility"])
        assert next(label.get_text().split("\n")[:2] for label in axes.get_xticklabels()) == ["look 1", "month 8.0"]


@pytest.mark.slow
def test_flagged_trials_are_named_in_figure_and_report(oc, tmp_path):
    clean = replace(oc, records=replace(oc.records, table=oc.records.table.assign(problem=False)))
    table = clean.records.table.copy()
    table.loc[(table["replicate"] < 3) & (table["cell"] == 1), "problem"] = True
    one = replace(oc, records=replace(oc.records, table=table))
    assert len(doubts(one)) == 1 and "3 were flagged" in doubts(one)[0] and not doubts(clean)
    assert "3 were flagged" in drawn(plots.power(one)).replace("\n", " ")
    page = pg.report(one, tmp_path / "r.html").read_text()
    assert page.index("3 were flagged") < page.index('class="card"') and "0 / 3" in page and 'class="failed"' in page


def found(effect, sizes, oc):
    z = effect * np.sqrt(sizes) / 2.2 - 1.96
    share = 0.5 * (1 + np.tanh(0.8 * z))
    table = pd.DataFrame({"success": share, "lower": share - 0.03, "upper": share + 0.03, "closed_form": np.nan, "trials": 500, "true": effect, "what": "power"},
                         index=pd.Index(sizes, name="n"))  # fmt: skip
    curve = fitted_curve({n: (round(500 * p), 500) for n, p in zip(sizes, share, strict=True)}, 0.975)
    n = round(curve.solved(0.8))
    return SampleSize(
        n, n - 5, n + 6, int(sizes[1]), 0.8, RULE, oc.designs["small"], table, {int(one): oc for one in sizes}, curve
    )


def test_sizes_mark_the_target_and_what_meets_it(oc):
    one = found(0.5, np.array([100, 140, 180]), oc)
    said = drawn(plots.sizes(one))
    assert (
        f"n = {one.n} ({one.n - 5} to {one.n + 6})" in said
        and "500 SIMULATED trials for each size, analysed by als_slope" in said
    )
    several = {"slow": found(0.4, np.array([150, 220, 300]), oc), "pla$ce$bo": one}
    figure = plots.sizes(several)
    drawn(figure)
    assert {round(float(bar.lines[0].get_xdata()[0]), 3) for bar in figure.axes[1].containers} == {0.4, 0.5}
    same = plots.sizes({"one": one, "other": replace(one, n=one.n + 10, lower=None, upper=None)})
    assert [label.get_text() for label in same.axes[1].get_xticklabels()] == ["one", "other"]
    with pytest.raises(pg.SettingError, match="find_n"):
        plots.sizes(oc)


def test_a_label_without_wording_is_the_bare_name(oc):
    assert asked(replace(oc, wording={}), RULE).axis() == "slope_difference"


@pytest.mark.slow
def test_the_report_is_whole_and_escaped(oc, believed, tmp_path):
    page = pg.report([oc, believed], tmp_path / "r.html").read_text()
    assert "<script" not in page and "<i>new" not in page and "<b>pilot" not in page and html.escape("<b>pilot") in page
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses and all(one.startswith(("data:image/svg+xml;base64,", "#")) for one in addresses)
    ids = re.findall(r'id="([^"]*)"', page)
    assert len(ids) == len(set(ids)) and {one[1:] for one in addresses if one.startswith("#")} <= set(ids)
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower().replace("finance", "")
    for words in ("SIMULATED", "randomised, 1:1", "points/month", "type I error", "assurance", "Random seed", "pymc", "Monte Carlo", oc.designs["small"].fingerprint,
                  "Normal(mu=0.3, sigma=0.3)", "mean_level 38"):  # fmt: skip
        assert words in page, words
    row = oc.table.iloc[0]
    said = f"{100 * row['lower']:.1f} to {100 * row['upper']:.1f} %".replace(" ", "\N{NO-BREAK SPACE}")
    assert said in page


@pytest.mark.slow
def test_the_report_of_unknown_truths_gives_no_bias(oc, tmp_path):
    page = pg.report(unknown(oc), tmp_path / "r.html").read_text()
    table = page[page.index('id="trials-1-estimates"') : page.index('id="trials-1-trial"')]
    assert table.count("not known") == 3 * len(oc.table) and "nan" not in re.sub(r"base64,[^\"]*", "", table)


SMALL = """
[design]
visits_months = [0, 3, 6]
[design.arms]
control = 15
treated = 15
[power]
model = "als_slope"
rule = {estimand = "slope_difference", comparison = ">", value = 0, probability = 0.975}
n_trials = 8
chunk = 8
random_seed = 1
[power.base]
mean_level = 38
sd_level = 5
mean_slope = -1
sd_slope = 0.5
correlation = 0
sd_residual = 1
[power.priors]
sd_slope = {distribution = "HalfNormal", sigma = 0.7}
[[power.truths]]
label = "nothing"
slope_effect = 0
[[power.truths]]
label = "much"
slope_effect = {treated = 0.5}
[assurance]
model = "als_slope"
rule = {estimand = "slope_difference", comparison = ">", value = 0, probability = 0.975}
prior = {mean_level = 38, sd_level = 5, mean_slope = -1, sd_slope = 0.5, correlation = 0, sd_residual = 1, slope_effect = {distribution = "Normal", mu = 0.3, sigma = 0.1}}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(SMALL)
    return path


def test_the_file_is_read_as_arguments(small):
    read = read_power(small)
    assert read.design == pg.Design.from_toml(small) and dict(read.design.arms) == {"control": 15, "treated": 15}
    assert read.given["rule"] == [RULE] and read.given["truths"]["much"] == {"slope_effect": {"treated": 0.5}}
    assert read.given["priors"] == {"sd_slope": pg.Prior("HalfNormal", sigma=0.7)} and read.given["n_trials"] == 8
    assert read_assurance(small).given["prior"]["slope_effect"] == pg.Prior("Normal", mu=0.3, sigma=0.1)
    preset = read_power(EXAMPLE).given["priors"]
    assert preset["sd_rate"] == pg.Prior("Uniform", lower=0, upper=2) and preset["hazard"].distribution == "LogNormal"


def test_every_fault_of_the_file_is_named_at_once(small):
    small.write_text(SMALL.replace("control = 15", "control = 1.5").replace("n_trials = 8", 'n_trials = "8"\ntruth = 3\npreset = "heal"').replace("value = 0,", "value = true,", 1)
                     .replace("sigma = 0.7", "sigma = -1").replace("treated = 0.5", 'treated = "x"').replace('label = "nothing"', ""))  # fmt: skip
    with pytest.raises(pg.SettingError) as caught:
        read_power(small)
    assert {fault.column for fault in caught.value.faults} == {
        "arms.control",
        "power.n_trials",
        "power.truth",
        "power.rule.value",
    }
    assert "did you mean 'truths'" in str(caught.value)
    # Of the right types, what they mean is looked at: again all of it.
    small.write_text(SMALL.replace("n_trials = 8", 'n_trials = 8\npreset = "heal"').replace("probability = 0.975", "probability = 97.5", 1).replace("sigma = 0.7", "sigma = -1")
                     .replace("treated = 0.5", 'treated = "x"').replace('label = "nothing"', "").replace("[0, 3, 6]", "[0, 6, 3]"))  # fmt: skip
    with pytest.raises(pg.SettingError) as caught:
        read_power(small)
    assert {fault.column for fault in caught.value.faults} == {"visits_months", "power.rule", "power.preset", "power.priors.sd_slope", "power.truths[0].label",
                                                               "power.truths[1].slope_effect.treated"}  # fmt: skip
    small.write_text(SMALL.partition("[power]")[0])
    with pytest.raises(pg.SettingError, match="is no table"):
        read_power(small)


def test_a_file_without_a_design_table_is_a_design_too(tmp_path):
    path = tmp_path / "flat.toml"
    path.write_text("visits_weeks = [0, 12]\narms = {a = 4, b = 4}\n[power]\nanything = 1\n")
    assert dict(pg.Design.from_toml(path).arms) == {"a": 4, "b": 4}


@pytest.mark.slow
def test_the_command_runs_resumes_and_grows(small, tmp_path):
    out = tmp_path / "runs" / "one"
    first = CliRunner().invoke(app, ["power", str(small), "--out", str(out)])
    assert first.exit_code == 0, first.output
    assert "SIMULATED" in first.output and "8 trials for each truth, random seed 1" in first.output
    assert "…" not in first.output  # within 80 columns nothing is cut
    assert all(word in first.output for word in ("(type I error)", "(power)", "months"))
    assert {"report.html", "table.csv", "synopsis.txt", "run.json"} <= {one.name for one in out.iterdir()}
    table = pd.read_csv(out / "table.csv", index_col=["design", "truth", "rule"])
    assert list(table["trials"]) == [8, 8] and list(table["true"]) == [0, 0.5]
    assert "Allocation" in (out / "synopsis.txt").read_text() and "much" in (out / "report.html").read_text()
    again = CliRunner().invoke(app, ["power", str(small), "--out", str(out), "--trials", "12"])
    assert again.exit_code == 0 and "12 trials for each truth, 8 of them there already" in again.output
    other = CliRunner().invoke(app, ["power", str(small), "--out", str(out), "--seed", "2"])
    assert isinstance(other.exception, pg.SettingError) and "random_seed" in str(other.exception)


@pytest.mark.slow
def test_assurance_runs_from_the_same_file(small, tmp_path):
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["assurance", str(small), "--trials", "8", "--seed", "3", "--report", str(page)])
    assert done.exit_code == 0, done.output
    assert "assurance" in done.output and "random seed 3" in done.output and "design prior" in page.read_text()
    assert (
        CliRunner().invoke(app, ["assurance", str(small), "--report", str(tmp_path / "no" / "page.html")]).exit_code
        == 2
    )
    small.write_text(SMALL.partition("prior = {")[0])
    assert "pilot" in CliRunner().invoke(app, ["assurance", str(small)]).output


@pytest.mark.slow
def test_assurance_from_a_saved_pilot(small, tmp_path):
    pilot = pg.simulate(
        pg.Design.from_toml(small), "als_slope", truth={**BASE, "slope_effect": 0.4}, n=1, random_seed=2
    ).of(0)
    pg.fit("als_slope", pilot, draws=200, random_seed=1).save(tmp_path / "pilot.nc")
    done = CliRunner().invoke(
        app,
        [
            "assurance",
            str(small),
            "--pilot",
            str(tmp_path / "pilot.nc"),
            "--trials",
            "4",
            "--out",
            str(tmp_path / "run"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert (
        "posterior of the pilot" in (tmp_path / "run" / "table.csv").read_text()
        and "posterior of als_slope" in (tmp_path / "run" / "report.html").read_text()
    )
    small.write_text(SMALL.replace("prior = {mean", 'pilot = "pilot.nc"\nprior = {mean'))
    with pytest.raises(pg.SettingError, match="beside a prior"):
        read_assurance(small)


@pytest.mark.slow
def test_the_example_is_a_trial_of_the_platform(tmp_path):
    done = CliRunner().invoke(app, ["power", str(EXAMPLE), "--trials", "2", "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    identity = json.loads((tmp_path / "run" / "run.json").read_text())["identity"]
    assert [cell["truth"] for cell in identity["job"]["cells"]] == ["no effect", "30 % slower"]
    table = pd.read_csv(tmp_path / "run" / "table.csv")
    np.testing.assert_allclose(table["true"], [1, 0.7])
    assert read_assurance(EXAMPLE).given["prior"]["slope_effect"].distribution == "Normal"


def test_truths_alike_in_the_estimand_are_told_apart_by_their_labels(oc):
    """Such as one effect under two drifts: on a scale of effects they would lie on each other."""
    same = oc.records.table.assign(true_0=0.4)
    axes = plots.power(replace(oc, records=replace(oc.records, table=same))).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["slope_effect 0", "slope_effect 0.4"]
