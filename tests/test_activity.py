"""sle_activity: which signs it takes, what it refuses, and counts that vary from visit to visit."""

from __future__ import annotations

import numpy as np
import pytest

import progression as pg
from progression.encoding import encode
from progression.engines.program import build
from progression.faults import CohortError, SettingError
from tests.recovery.yardsticks import pinned
from tests.test_equations import drawn, lupus


def signs(cohort, outcomes=None):
    made = encode(pg.models()["sle_activity"], cohort, outcomes=outcomes)
    return {block: [one.name for one in members] for block, members in made.blocks.items()}


def test_further_signs_come_on_request_and_on_top(lupus):
    core = ["tender_joints", "swollen_joints"]
    assert signs(lupus) == {"counts": core, "markers": ["crp_mg_dl"]}
    assert signs(lupus, "vas") == {"counts": [*core, "vas"], "markers": ["crp_mg_dl"]}
    assert signs(lupus, ["c3_mg_dl", "c4_mg_dl"]) == {"counts": core, "markers": ["crp_mg_dl", "c3_mg_dl", "c4_mg_dl"]}
    assert signs(lupus, ["tender_joints", "anti_dsdna_u_ml"])["counts"] == ["tender_joints"]


def test_all_seven_signs_make_a_model(lupus):
    model = pg.models()["sle_activity"]
    made = build(model, encode(model, lupus, outcomes=["vas", "anti_dsdna_u_ml", "c3_mg_dl", "c4_mg_dl"]), model.priors)
    assert np.isfinite(made.model.compile_fn(made.model.logp(), mode="FAST_COMPILE")(made.model.initial_point()))


def test_what_is_not_there_is_named(lupus, als):
    with pytest.raises(SettingError, match="did you mean 'c3_mg_dl'"):
        signs(lupus, "c3_mgdl")
    with pytest.raises(CohortError, match="observes tender_joints, swollen_joints, vas"):
        signs(als)
    with pytest.raises(SettingError, match="is not an outcome it observes"):
        pg.model(observes={"x": pg.Outcome("x")}, priors={}, estimands=[], reference="", unless_named=["y"])(
            lambda data, prior: None
        )


@pytest.mark.parametrize("name", ["sle_joints", "sle_activity"])
def test_counts_above_the_joints_assessed_are_refused_in_simulated_cohorts_too(name):
    cohort = pg.datasets.simulated_sle(n=(5, 5), joints=40, random_seed=1)
    visits = cohort.visits.assign(arm=lambda t: t["subject"].map(cohort.subjects["arm"]))
    visits.loc[3, "swollen_joints"] = 33
    unbounded = pg.Cohort.from_table(visits, time_unit="months", columns={"time": "month"}, provenance="simulated",
                                     outcomes=["tender_joints", "swollen_joints", "crp_mg_dl"], arms=list(cohort.arms))  # fmt: skip
    with pytest.raises(CohortError, match=r"'swollen_joints', subject '.*', value '33 at month .*outside 0 to 28"):
        encode(pg.models()[name], unbounded)
    encode(pg.models()[name], unbounded, options={"joints": 66})


@pytest.mark.slow
def test_ratios_of_crp_speak_of_crp_alone(lupus, fake_fit):
    fit = fake_fit("sle_activity", lupus, outcomes=["c3_mg_dl"])
    found = pg.contrast(fit)
    ratios = [name for name in found.components() if name.startswith("crp_ratio")]
    assert len(ratios) == 2 and all("crp_mg_dl" in name for name in ratios)
    assert "ratio of mean swollen_joints" in " ".join(found.labels().values())


def test_the_difference_at_baseline_is_in_the_activity_once():
    """Draws of the prior without departures: activity at baseline is a standard normal about the difference of the arm."""
    fit = drawn(
        "sle_activity", lupus(4), 60, options={"joints": 66, "baseline": "free"}, priors={"sd_visit": pinned(1e-6)}
    )
    treated = (fit.cohort.subjects["arm"] == "treated").to_numpy(float)
    start = fit.posterior["activity"].isel(chain=0, visit=0).to_numpy()
    moved = fit.posterior["level_difference"].isel(chain=0, baseline_arm=0).to_numpy()[:, None] * treated
    once = (moved * start).sum() / (moved**2).sum()
    assert abs(once - 1) < 4 / np.sqrt((moved**2).sum()) < 0.9


@pytest.mark.slow
def test_overdispersed_counts(sle_trial, real_fit):
    """Variance within patients and share of zeros are as seen; with counts (nearly) binomial about a patient's course they are not."""
    how = {"draws": 500, "tune": 500}
    wanted = "statistic in ('variance within patients', 'share of zeros')"
    assert pg.check(real_fit("sle_activity", sle_trial, **how), draws=500).table.query(wanted)["ok"].all()
    tight = {"overdispersion": pg.Prior("Beta", alpha=1, beta=100_000)}
    found = pg.check(real_fit("sle_activity", sle_trial, priors=tight, **how), draws=500)
    assert not found.table.query(wanted)["ok"].all()
    assert any("variance within patients of tender_joints" in problem for problem in found.problems)
