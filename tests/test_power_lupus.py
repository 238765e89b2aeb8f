"""Power of lupus trials: programs without a closed form, which are compiled before the first fit."""

from __future__ import annotations

import numpy as np
import pytest

import progression as pg

QUIET = {"progressbar": False, "random_seed": 5, "draws": 400}


@pytest.mark.slow
def test_crp_at_a_visit():
    design = pg.Design(arms={"control": 25, "treated": 25}, visits_months=(0, 1, 3))
    truth = {
        "mean_level": 0.0,
        "sd_patient": 0.8,
        "sd_residual": 0.6,
        "time_course": [0.0, 0.0],
        "effect": [[-0.2, -0.7]],
    }
    limit = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=0.3)
    oc = pg.power(design, "sle_crp", pg.Rule("crp_ratio", "<", 1, probability=0.95, visit=3), truths={"works": truth}, n_trials=24,
                  simulation_outcomes=limit, **QUIET)  # fmt: skip
    row = oc.table.iloc[0]
    assert (
        row["true"] == pytest.approx(np.exp(-0.7))
        and abs(row["estimate"] - row["true"]) < 0.08
        and row["success"] > 0.6
    )
    assert row["closed_form"] > 0.9 and "visit 3" in oc.table.index[0][2]


@pytest.mark.slow
def test_joints():
    design = pg.Design(arms={"control": 20, "treated": 20}, visits_months=(0, 3))
    truth = {"mean_level": [-1.0, -1.2], "sd_patient": [0.7, 0.7], "overdispersion": [0.05, 0.05], "time_course": [[0.0, 0.0]],
             "effect": [[[-1.0, 0.0]]]}  # fmt: skip
    rules = [
        pg.Rule("count_ratio", "<", 1, probability=0.95, outcome=joints)
        for joints in ("tender_joints", "swollen_joints")
    ]
    oc = pg.power(design, "sle_joints", rules, truths={"tender ones": truth}, n_trials=8, **QUIET)
    tender, swollen = oc.table.iloc[0], oc.table.iloc[1]
    assert tender["what"] == "power" and 0.4 < tender["true"] < 0.7 and abs(tender["estimate"] - tender["true"]) < 0.2
    assert (
        swollen["what"] == "type I error"
        and abs(swollen["estimate"] - 1) < 0.3
        and tender["success"] > swollen["success"]
    )
