"""Estimands computed draw by draw, labelled in words, and judged by a rule."""

import arviz_stats as azs
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr

import progression as pg
from progression.contrast_words import allocated
from progression.faults import SettingError
from progression.tables import components

ARVIZ = ["mean", "sd", "eti95_lb", "eti95_ub", "ess_bulk", "ess_tail", "r_hat", "mcse_mean", "mcse_sd"]


@pytest.fixture
def als_contrast(als, fake_fit):
    return pg.contrast(fake_fit("als_slope", als))


@pytest.fixture
def joints(fake_fit, tiny_cohort):
    return fake_fit("sle_joints", tiny_cohort(pg.models()["sle_joints"], 2))


def test_computed_for_each_draw(als_contrast):
    draws = als_contrast.fit.posterior
    effect, slope = draws["slope_effect"].isel(active_arm=0), draws["mean_slope"]
    np.testing.assert_array_equal(als_contrast.select("slope_difference"), effect)
    ratio = als_contrast.select("slope_ratio")
    np.testing.assert_allclose(ratio, (slope + effect) / slope)
    of_means = float((slope + effect).mean() / slope.mean())
    assert abs(float(ratio.mean()) - of_means) > 1e-3  # a ratio of means is another number
    np.testing.assert_allclose(als_contrast.select("change_difference"), 12 * effect)
    six = pg.contrast(als_contrast.fit, "change_difference", month=6)
    np.testing.assert_allclose(six.select(), 6 * effect)
    assert six.at == {"month": 6.0} and "month 6" in next(iter(six.labels().values()))
    np.testing.assert_allclose(als_contrast.select("slope", arm="control"), slope)
    np.testing.assert_allclose(als_contrast.select("slope", arm="treated"), slope + effect)


def test_population_average_of_counts(joints):
    """Against plain Monte Carlo over patients, for one draw."""
    found = pg.contrast(joints, "count_ratio")
    one = joints.posterior.isel(chain=0, draw=5, active_arm=0).sel(outcome="swollen_joints")
    at = {"followup_visit": found.draws["followup_visit"][1]}
    z = np.random.default_rng(0).normal(size=400_000)
    location = float(one["mean_level"] + one["time_course"].sel(at))
    shares = [np.mean(1 / (1 + np.exp(-(location + shift + float(one["sd_patient"]) * z))))
              for shift in (float(one["effect"].sel(at)), 0.0)]  # fmt: skip
    value = found.select(visit=float(at["followup_visit"]), outcome="swollen_joints")[0, 5]
    assert float(value) == pytest.approx(shares[0] / shares[1], rel=0.01)


def test_summary(als_contrast):
    table = als_contrast.summary()
    assert table.index.name == "estimand" and table.columns.tolist() == ARVIZ
    assert table.index.tolist()[0] == "slope_difference[treated]" and len(table) == 7
    draws = als_contrast.select("slope_ratio").to_numpy()
    row = table.loc["slope_ratio[treated]"]
    assert row["mean"] == pytest.approx(draws.mean()) and row["sd"] == pytest.approx(draws.std(ddof=1), rel=1e-3)
    assert [row["eti95_lb"], row["eti95_ub"]] == pytest.approx(np.quantile(draws, [0.025, 0.975]).tolist(), rel=1e-6)
    half = als_contrast.summary(ci_prob=0.5).loc["slope_ratio[treated]"]
    assert [half["eti50_lb"], half["eti50_ub"]] == pytest.approx(np.quantile(draws, [0.25, 0.75]).tolist(), rel=1e-6)


def test_every_row_is_the_component_it_names(joints):
    """Two variables that share a dim, one with a further one: labels once went to the wrong rows."""
    table, posterior = joints.summary(), joints.posterior
    assert len(table) == 2 + 2 * 2 + 1 * 2 * 2 + 2 + 2
    for index, row in table.iterrows():
        name, _, inside = index.partition("[")
        where = {}
        for dim, label in zip(posterior[name].dims[2:], inside.removesuffix("]").split(", "), strict=True):
            where[dim] = float(label) if dim == "followup_visit" else label
        assert row["mean"] == pytest.approx(float(posterior[name].sel(where).mean())), index
    found = pg.contrast(joints)
    table = found.summary()
    assert len(table) == 4 and table.index.is_unique
    for name in ("tender_joints", "swollen_joints"):
        for visit in (1.0, 3.0):
            rows = [i for i in table.index if name in i and f"{visit:.3g}" in i and "treated" in i]
            assert len(rows) == 1
            expected = found.draws["count_ratio"].sel(outcome=name, followup_visit=visit, active_arm="treated").mean()
            assert table.loc[rows[0], "mean"] == pytest.approx(float(expected))
            words = found.labels()[rows[0]]
            assert f"mean {name}" in words and f"month {visit:g}" in words and "treated to control" in words


def test_no_component_is_lost():
    draws = xr.Dataset({"effect": (("chain", "draw", "visit"), np.zeros((2, 4, 2)))}, coords={"visit": [10.87, 10.91]})
    assert len(components(draws)) == 2


def test_labels_carry_sign_and_unit(als_contrast):
    words = als_contrast.labels()
    assert words["slope_difference[treated]"] == "slope, treated minus control, points/month, positive = slower decline"
    assert "points" in words["change[control]"] and "in control" in words["change[control]"]
    for index, text in words.items():
        assert text in repr(als_contrast) and index in repr(als_contrast)
    assert "rests on: the arms differ in nothing but treatment" in repr(als_contrast)
    assert als_contrast.draws.attrs["provenance"] == "observed data"


@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">="])
def test_probability_and_its_error(comparison, als_contrast):
    draws = als_contrast.select("slope_difference").to_numpy()
    holds = {"<": draws < 0.2, "<=": draws <= 0.2, ">": draws > 0.2, ">=": draws >= 0.2}[comparison].astype(float)
    found = als_contrast.probability(comparison, 0.2)
    assert found.value == float(found) == pytest.approx(holds.mean())
    assert found.mcse == pytest.approx(float(azs.mcse(xr.DataArray(holds, dims=("chain", "draw")))))
    assert found.mcse == pytest.approx(np.sqrt(holds.mean() * (1 - holds.mean()) / holds.size), rel=0.2)
    assert repr(found).startswith(f"P(slope_difference {comparison} 0.2) = {holds.mean():.3f} (Monte Carlo error 0.0")
    sure = als_contrast.probability("<", 1e9)
    assert sure.value == 1 and sure.mcse == pytest.approx(
        1.5 / float(azs.ess(xr.DataArray(draws, dims=("chain", "draw"))))
    )


def test_equal_draws_tell_strict_from_not(als, fake_fit):
    fake_fit.engine.replace = {"slope_effect": lambda v: np.round(2 * v) / 2}
    found = pg.contrast(fake_fit("als_slope", als))
    equal = float((found.select() == 0.5).mean())
    assert equal > 0
    assert found.probability("<=", 0.5).value - found.probability("<", 0.5).value == pytest.approx(equal)


def test_a_rule_is_a_sentence_and_judges(als_contrast):
    rule = pg.Rule("slope_difference", ">", 0, probability=0.5, arm="treated")
    assert repr(rule) == "P(slope_difference, arm treated > 0) > 0.5"
    assert repr(pg.Rule("drr", "<", 1, probability=0.979)) == "P(drr < 1) > 0.979"
    assert pg.Rule("drr", "<", 1, probability=0.9) == pg.Rule("drr", "<", 1.0, probability=0.9)
    p = als_contrast.probability(">", 0).value
    for threshold, met in ((p - 0.1, True), (p + 0.1, False)):
        verdict = pg.Rule("slope_difference", ">", 0, probability=threshold).judge(als_contrast)
        assert bool(verdict) is verdict.met is met and not verdict.close and verdict.probability.value == p
        assert ("not met" in repr(verdict)) is not met and "draw more" not in repr(verdict)
    exactly = pg.Rule("slope_difference", ">", 0, probability=p).judge(als_contrast)
    assert not exactly.met and exactly.close and "draw more" in repr(exactly)
    mcse = als_contrast.probability(">", 0).mcse
    assert pg.Rule("slope_difference", ">", 0, probability=p - 1.8 * mcse).judge(als_contrast).close
    assert not pg.Rule("slope_difference", ">", 0, probability=p - 2.2 * mcse).judge(als_contrast).close


@pytest.mark.parametrize(("how", "what"), [
    ({"comparison": "=="}, "not a comparison"), ({"value": float("nan")}, "not a finite number"),
    ({"probability": 97.9}, r"Did you mean 0\.979"), ({"probability": 1}, "not a probability"), ({"probability": 0}, "not a probability"),
])  # fmt: skip
def test_impossible_rules(how, what):
    facts = {"estimand": "drr", "comparison": "<", "value": 1, "probability": 0.9} | how
    with pytest.raises(SettingError, match=what):
        pg.Rule(facts.pop("estimand"), facts.pop("comparison"), facts.pop("value"), **facts)


def test_questions_a_cohort_cannot_answer(lupus, als, fake_fit, tiny_cohort):
    alone = fake_fit("sle_crp", lupus)
    with pytest.raises(
        SettingError, match=r"'crp_ratio' contrasts arms, and the cohort has one arm only.*crp_ratio_to_baseline"
    ):
        pg.contrast(alone, "crp_ratio")
    assert list(pg.contrast(alone).estimands) == ["crp_ratio_to_baseline"]
    assert "before against after" in repr(pg.contrast(alone))
    both = fake_fit("sle_crp", tiny_cohort(pg.models()["sle_crp"], 2))
    with pytest.raises(SettingError, match="is for a cohort without controls"):
        pg.contrast(both, ["crp_ratio", "crp_ratio_to_baseline"])
    fit = fake_fit("als_slope", als)
    with pytest.raises(SettingError, match="did you mean 'slope_ratio'"):
        pg.contrast(fit, "slope_ratoi")
    with pytest.raises(SettingError, match="did you mean 'month'"):
        pg.contrast(fit, months=6)
    with pytest.raises(SettingError, match="finite"):
        pg.contrast(fit, month=float("inf"))
    with pytest.raises(SettingError, match="not a setting"):
        pg.contrast(fit, "slope_ratio", month=6)


def test_components_that_cannot_be_told(joints):
    found = pg.contrast(joints)
    with pytest.raises(SettingError, match="several components"):
        found.select()
    with pytest.raises(SettingError, match=r"several components.*followup_visit"):
        found.select(outcome="tender_joints")
    with pytest.raises(SettingError, match="did you mean 'tender_joints'"):
        found.select(outcome="tendr_joints", visit=1)
    with pytest.raises(SettingError, match="not something 'count_ratio' runs over"):
        found.select(month=3)
    with pytest.raises(SettingError, match="not an estimand of this contrast"):
        found.select("slope")
    with pytest.raises(SettingError, match="not a comparison"):
        found.probability("~", 1, outcome="tender_joints", visit=1)
    near = found.select(visit=2.9, outcome="tender_joints", arm="treated")
    np.testing.assert_array_equal(
        near, found.draws["count_ratio"].sel(followup_visit=3, outcome="tender_joints")[..., 0]
    )


@pytest.mark.parametrize("value", [float("nan"), "1"])
def test_a_probability_needs_a_number(value, als_contrast):
    with pytest.raises(SettingError):
        als_contrast.probability("<", value)


@pytest.mark.parametrize(("allocation", "text"), [("historical", "the controls are historical"),
                                                  ("unstated", "not stated whether the arms were randomised")])  # fmt: skip
def test_what_is_not_randomised_says_so(allocation, text, als, fake_fit):
    rows, people = als.visits.rename(columns={"month": "time"}), als.subjects.reset_index()[["subject", "arm"]]
    own = pg.Cohort.from_table(pd.DataFrame(rows), people, time_unit="months", outcomes=["alsfrsr"], allocation=allocation,
                               arms=["control", "treated"])  # fmt: skip
    assert any(text in line for line in pg.contrast(fake_fit("als_slope", own)).assumptions())
    randomised = pg.contrast(fake_fit("als_slope", als)).assumptions()
    assert not any(text in line for line in randomised) and len(set(randomised)) == len(randomised)


def test_controls_brought_in_beside_concurrent_ones_are_not_said_to_be_pooled(als, fake_fit):
    """A third arm with an effect of its own: treatment is compared with the trial's own control."""
    rows = als.visits.rename(columns={"month": "time"}).assign(alsfrsr=lambda table: table["alsfrsr"] - 1)
    elsewhere = pg.Cohort.from_table(rows, time_unit="months", outcomes=als.outcomes)
    both = pg.with_historical_controls(als, elsewhere, control="registry")
    said = " ".join(pg.contrast(fake_fit("als_slope", both)).assumptions())
    assert "the trial's own control, control" in said and "registry came from elsewhere" in said
    assert "historical" not in said and "no drift" not in said
    alone = pg.with_historical_controls(als.select("arm == 'treated'"), elsewhere)
    assert "no drift between the cohorts allowed for" in " ".join(
        pg.contrast(fake_fit("als_slope", alone)).assumptions()
    )
    more = pg.Cohort.from_table(
        rows.assign(alsfrsr=lambda table: table["alsfrsr"] - 1), time_unit="months", outcomes=als.outcomes
    )
    twice = pg.with_historical_controls(alone, more, control="registry")
    both_from_elsewhere = allocated(twice)
    assert twice.brought_in == ("historical control", "registry") and twice.arms[0] == "historical control"
    assert (
        "taken as if they were the trial's own" in both_from_elsewhere
        and "registry came from elsewhere" in both_from_elsewhere
    )
    assert "left out again" in allocated(both.select("arm != 'registry'"))
    assert "treatment is compared" not in allocated(both.select("arm != 'treated'"))
    kept = pg.Cohort.from_xarray(both.to_xarray())
    assert kept.brought_in == ("registry",) and both.select("arm != 'treated'").brought_in == ("registry",)


def own(**facts):
    """A model without a baseline of each arm, and one estimand."""
    told = {"label": "slope, {arm} minus {control}, points/month", "unit": "points/month", "scale": "difference", "reference": "control arm",
            "null": 0.0, "benefit": "higher", "population": "population-averaged"}  # fmt: skip

    @pg.model(observes={"score": pg.Outcome("alsfrsr", unit="points")}, reference="none", estimands=[pg.Estimand("gain", **{**told, **facts})],
              priors={"slope": pg.Prior("Normal", mu=-1, sigma=1), "effect": pg.Prior("Normal", mu=0, sigma=1), "sd": pg.Prior("HalfNormal", sigma=3)})  # fmt: skip
    def lines(data, prior):
        """One line for each arm."""
        slope = prior("slope") + pm.math.dot(data.on_arm, prior("effect", dims="active_arm"))
        pm.Normal(
            "score",
            38 + slope[data.score.subject] * data.score.month,
            prior("sd"),
            observed=data.score.value,
            dims="score_row",
        )

    return lines


def test_an_estimand_that_dropped_its_arm_is_not_said_to_be_of_the_control(als, fake_fit):
    found = pg.contrast(
        fake_fit(own(compute=lambda posterior, facts: posterior["effect"].isel(active_arm=0, drop=True)), als)
    )
    assert found.labels() == {"gain": "slope, treated minus control, points/month"}
    assert found.assumptions() == (), "the program knows no baseline of each arm"


@pytest.mark.parametrize(("compute", "words"), [
    (lambda posterior, facts: posterior["effect"], ("does not name active_arm", "over=('active_arm',)", 'requires="control"')),
    (lambda posterior, facts: posterior["efect"], ("'gain' fails: KeyError", "the posterior holds slope, effect, sd")),
    (lambda posterior, facts: 1.0, ("gives float",)),
    (lambda posterior, facts: posterior["slope"].mean("draw"), ("not a value for each chain and draw",)),
])  # fmt: skip
def test_an_estimand_that_cannot_be_computed_is_named_with_the_way_out(compute, words, als, fake_fit):
    with pytest.raises(SettingError) as caught:
        pg.contrast(fake_fit(own(compute=compute), als))
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(("facts", "words"), [({"scale": "diff"}, "'difference'"), ({"benefit": "up"}, "'higher'"), ({"requires": "controls"}, "'control'"),
                                              ({"population": "all"}, "'conditional'"), ({"over": "active_arm"}, '("active_arm",)')])  # fmt: skip
def test_words_of_an_estimand_that_there_are_not(facts, words):
    with pytest.raises(SettingError, match="gain") as caught:
        own(compute=lambda posterior, facts: posterior["effect"], **facts)
    assert words in str(caught.value)


@pytest.mark.parametrize("visit", ["week 12", "2.76", None])
def test_a_visit_is_named_by_its_month(visit, joints):
    with pytest.raises(SettingError, match="Name one of the months"):
        pg.contrast(joints).select(visit=visit, outcome="tender_joints", arm="treated")
