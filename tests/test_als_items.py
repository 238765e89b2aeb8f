"""als_items against sums written from the equations alone, and what it refuses."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import special

import progression as pg
from progression.encoding import encode
from progression.engines import forward
from progression.modeling import Facts
from tests import simulators

STEPS = np.array([0, 1.2, 2.2, 3.4])
TRUTH = {"cutpoints": np.linspace(-5.5, -2.5, 12)[:, None] + STEPS, "sd_level": 1.3, "mean_slope": -0.22, "sd_slope": 0.15,
         "correlation": 0.1}  # fmt: skip


def cohort(table, **facts):
    how = {"outcomes": list(pg.models()["als_items"].outcomes), "arms": list(dict.fromkeys(table["arm"])),
           "provenance": "simulated", "allocation": "randomised"}  # fmt: skip
    return pg.Cohort.from_table(table, time_unit="months", **(how | facts))


@cache
def table(n, seed=1, effect=0.1, months=(0, 2, 4, 6)):
    return simulators.als_items(np.random.default_rng(seed), n_per_arm={"control": n, "treated": n}, months=months,
                                slope_effect={"treated": effect}, **TRUTH)  # fmt: skip


def test_names_are_the_simulators():
    assert tuple(one.name for one in pg.models()["als_items"].outcomes) == simulators.ITEMS


def test_each_answer_has_the_probability_of_its_step():
    """P(item = k) = P(item >= k) - P(item >= k + 1), of logits latent minus cutpoint; no treatment before time 0."""
    own = simulators.als_items(
        np.random.default_rng(5), n_per_arm={"control": 2, "treated": 2}, months=[-1, 0, 4], **TRUTH
    )
    implied = pg.prior_check("als_items", cohort(own), draws=4, random_seed=3).fit
    encoded = implied.encoded()
    found = forward.log_likelihood(implied.model, encoded, implied.priors, implied.posterior)["items"]
    rows = {name: encoded.arrays[f"items_{name}"][1] for name in ("value", "subject", "month", "outcome")}
    treated = (implied.cohort.subjects["arm"] == "treated").to_numpy(float)
    for d in range(4):
        p = {name: variable.isel(chain=0, draw=d).to_numpy() for name, variable in implied.posterior.items()}
        third = p["third_cutpoint"]
        second = third - p["second_gap"]
        cuts = np.stack([np.full(12, -np.inf), second - p["first_gap"], second, third, third + p["third_gap"],
                         np.full(12, np.inf)], axis=1)  # fmt: skip
        latent = p["level"][rows["subject"]] + p["slope"][rows["subject"]] * rows["month"]
        latent = latent - treated[rows["subject"]] * p["slope_effect"][0] * np.minimum(rows["month"], 0)
        k = rows["value"].astype(int)
        at_least = special.expit(latent - cuts[rows["outcome"], k])
        exact = at_least - special.expit(latent - cuts[rows["outcome"], k + 1])
        sure = exact > 1e-9  # below that the difference of two probabilities has no digits left
        assert sure.mean() > 0.8
        np.testing.assert_allclose(
            found.isel(chain=0, draw=d).to_numpy()[sure], np.log(exact[sure]), rtol=1e-5, atol=1e-6
        )


@pytest.mark.slow
def test_effects_are_averages_over_level_and_slope():
    implied = pg.prior_check("als_items", cohort(table(3)), draws=3, random_seed=5).fit
    facts = Facts(implied.cohort, implied.idata["constant_data"].to_dataset(), implied.options)
    found = {one.name: one.compute(implied.posterior, facts, **({"month": 8.0} if one.at else {}))
             for one in implied.model.estimands}  # fmt: skip
    for d in range(3):
        p = {
            name: np.squeeze(implied.posterior[name].isel(chain=0, draw=d).to_numpy()) for name in implied.model.priors
        }
        second = p["third_cutpoint"] - p["second_gap"]
        cuts = np.stack([second - p["first_gap"], second, p["third_cutpoint"], p["third_cutpoint"] + p["third_gap"]])
        own = {name: float(p[name]) for name in ("sd_level", "sd_slope", "correlation")} | {"cutpoints": cuts}
        start, control, treated = (simulators.mean_items_score(month, mean_slope=float(p["mean_slope"] + on * p["slope_effect"]), **own)
                                   for month, on in ((0.0, 0), (8.0, 0), (8.0, 1)))  # fmt: skip
        of = {name: np.squeeze(one.isel(chain=0, draw=d)) for name, one in found.items()}
        assert float(of["slope_difference"]) == pytest.approx((treated - control) / 8, abs=2e-3)
        assert float(of["change"].sel(arm="control")) == pytest.approx(control - start, abs=2e-3)
        assert float(of["change"].sel(arm="treated")) == pytest.approx(treated - start, abs=2e-3)


@pytest.mark.slow
def test_priors_imply_plausible_slopes():
    implied = pg.prior_check("als_items", cohort(table(10)), draws=1000, random_seed=1)
    slope = pg.contrast(implied.fit, "slope", month=6).draws["slope"].sel(arm="control")
    assert -1.5 < float(slope.median()) < -0.3 and 0.4 < float(slope.std()) < 1.5


@pytest.mark.slow
def test_finds_the_effect_in_points_a_month(real_fit):
    fit = real_fit("als_items", cohort(table(40)), draws=2000, tune=1000)  # 55 parameters take more draws
    assert not fit.problems
    of = {e: simulators.mean_items_score(6, **(TRUTH | {"mean_slope": TRUTH["mean_slope"] + e})) for e in (0, 0.1)}
    found = pg.contrast(fit, month=6)
    draws = found.select("slope_difference", arm="treated")
    assert abs(float(draws.mean()) - (of[0.1] - of[0]) / 6) < 3 * float(draws.std())
    slope = found.select("slope", arm="control")
    true = (of[0] - simulators.mean_items_score(0, **TRUTH)) / 6
    assert abs(float(slope.mean()) - true) < 3 * float(slope.std()) < abs(true)
    third = fit.posterior["third_cutpoint"]
    z = (third.mean(("chain", "draw")) - TRUTH["cutpoints"][:, 2]) / third.std(("chain", "draw"))
    assert np.abs(z).max() < 3.5
    assert pg.check(fit, draws=300, random_seed=1).passed


def test_items_missing_or_off_their_scale_are_refused():
    own = table(3)
    few = [one for one in pg.models()["als_items"].outcomes if one.name not in ("speech", "walking")]
    with pytest.raises(pg.CohortError, match=r"(?s)'speech'.*needs all of its 12 items.*'walking'"):
        encode(pg.models()["als_items"], cohort(own.drop(columns=["speech", "walking"]), outcomes=few))
    off = own.astype({"walking": float})
    off.loc[0, "walking"], off.loc[1, "walking"] = 5, 2.5
    with pytest.raises(pg.CohortError) as caught:
        encode(pg.models()["als_items"], cohort(off))
    words = str(caught.value)
    assert "outside 0 to 4" in words and "not a whole number" in words and "subject 'p0'" in words


def test_items_that_do_not_sum_are_refused_at_the_door():
    own = table(3).copy()
    own["alsfrsr"] = own[list(simulators.ITEMS)].sum(axis=1)
    whole = pg.Outcome("alsfrsr", lower=0, upper=48, integer=True, items=simulators.ITEMS, item_upper=4)
    both = [whole, *pg.models()["als_items"].outcomes]
    assert encode(pg.models()["als_items"], cohort(own, outcomes=both)).n_subjects == 6
    own.loc[2, "alsfrsr"] += 1
    with pytest.raises(pg.CohortError, match="not the sum of its items"):
        cohort(own, outcomes=both)


def test_a_single_missing_answer_is_no_fault():
    own = table(3).astype(dict.fromkeys(simulators.ITEMS, float))
    own.loc[0, "walking"] = np.nan
    assert (
        len(encode(pg.models()["als_items"], cohort(pd.DataFrame(own))).arrays["items_value"][1]) == 12 * len(own) - 1
    )
