"""The same table whoever does the work, in whatever pieces, and however often it was cut off."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import progression as pg
from progression.faults import SettingError
from progression.looks import Look
from progression.run_folder import RunWarning

TRUTH = {"mean_level": 38, "sd_level": 5, "mean_slope": -1.0, "sd_slope": 0.6, "correlation": 0.1, "sd_residual": 1.5}
RULE = pg.Rule("slope_difference", ">", 0, probability=0.95)
DESIGN = pg.Design(
    arms={"control": 8, "treated": 8},
    visits_months=[0, 3, 6],
    accrual_months=4,
    dropout_per_month=0.03,
    looks=[Look(5, futility=0.05)],
)
N = 24


def go(n=N, **more):
    settings = {"design": DESIGN, "model": "als_slope", "rule": RULE, "base": TRUTH, "truths": [{"slope_effect": 0}, {"slope_effect": 0.4}],
                "draws": 200, "random_seed": 3, "chunk": 8, "progressbar": False, "n_trials": n}  # fmt: skip
    return pg.power(**(settings | more))


def same(found, wanted):
    pd.testing.assert_frame_equal(found.records.table, wanted.records.table, check_exact=True)
    pd.testing.assert_frame_equal(found.table, wanted.table, check_exact=True)
    pd.testing.assert_frame_equal(found.by_look, wanted.by_look, check_exact=True)


@pytest.fixture(scope="module")
def undisturbed():
    return go()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, undisturbed):
    """A finished run of fewer trials."""
    path = tmp_path_factory.mktemp("power") / "run"
    go(10, path=path)
    return path


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("cores", "chunk"), [(2, 8), (4, 6)])
def test_workers(undisturbed, cores, chunk):
    """They finish in any order, and each prepares its programs anew; nor does it matter in what pieces."""
    same(go(cores=cores, chunk=chunk), undisturbed)


@pytest.mark.slow
def test_grown_from_a_folder(undisturbed, copied):
    grown = go(path=copied)
    assert grown.records.resumed == 16  # ten were asked for, two whole chunks done
    same(grown, undisturbed)
    again = go(path=copied)
    assert again.records.resumed == N
    same(again, undisturbed)


@pytest.mark.slow
def test_the_seed_of_the_folder(undisturbed, copied):
    same(go(path=copied, random_seed=None), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm", [lambda b: b[: len(b) // 2], lambda b: b[:300] + bytes([b[300] ^ 1]) + b[301:]], ids=["cut", "flipped"]
)
def test_a_damaged_chunk_is_run_again(undisturbed, copied, harm):
    chunk = sorted((copied / "chunks").glob("*.parquet"))[1]
    chunk.write_bytes(harm(chunk.read_bytes()))
    with pytest.warns(RunWarning, match="was damaged"):
        mended = go(path=copied)
    assert mended.records.resumed == 8
    same(mended, undisturbed)


OTHER = {
    "truth": {"truths": [{"slope_effect": 0}, {"slope_effect": 0.400000001}]},
    "rule": {"rule": pg.Rule("slope_difference", ">", 1e-7, probability=0.95)},
    "design": {"design": replace(DESIGN, dropout_per_month=0.02)},
    "prior": {"priors": {"slope_effect": pg.Prior("Normal", mu=0, sigma=0.4)}},
    "options": {"options": {"baseline": "common"}},
    "draws": {"draws": 201},
    "simulated by": {"simulated_by": "als_shared", "base": {"mean_level": 38, "sd_level": 5, "mean_rate": 1, "sd_rate": 0.7, "sd_residual": 1.5, "hazard": 0.01},
                     "truths": [{"drr": 1}, {"drr": 0.7}]},
    "simulation outcomes": {"simulation_outcomes": pg.Outcome("alsfrsr", unit="points", lower=0, upper=40)},
    "seed": {"random_seed": 4},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_a_folder_of_other_settings_is_refused(copied, other):
    with pytest.raises(SettingError, match="Give the same settings"):
        go(10, path=copied, **other)


def test_a_threshold_is_no_part_of_a_run(copied):
    """Nothing that was recorded hangs on it."""
    strict = go(10, path=copied, rule=pg.Rule("slope_difference", ">", 0, probability=0.99))
    assert strict.records.resumed == 10 and strict.table["success"].sum() <= go(10, path=copied).table["success"].sum()


SCORE = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, higher_is_better=True)


def levels(shift=0.0):
    """A user's own model: mean of all scores, the treated higher."""

    @pg.model(observes={"score": SCORE}, reference="none", engine="marginal",
              priors={"mean": pg.Prior("Normal", mu=30, sigma=20), "effect": pg.Prior("Normal", mu=0, sigma=5),
                      "spread": pg.Prior("HalfNormal", sigma=5)},
              estimands=[pg.Estimand("difference", lambda posterior, facts: posterior["effect"] + shift, over=("active_arm",), requires="control",
                                     label="difference", unit="points", scale="difference", reference="control arm", null=0.0, benefit="higher",
                                     population="population-averaged", inverse=lambda value, parameters: {"effect": value - shift})])  # fmt: skip
    def my_levels(data, prior):
        treated = (data.on_arm * prior("effect", dims="active_arm")).sum(axis=-1)
        level = pm.Normal("level", prior("mean") + treated, prior("spread"), dims="subject")
        pm.Normal("score", level[data.score.subject], 2.0, observed=data.score.value, dims="score_row")

    return my_levels


@pytest.mark.slow
def test_a_model_that_was_registered_here_reaches_every_worker(own_registry, tmp_path):
    """Workers know the shelves only: its name says nothing to them, and content, not name, is what the run is of."""
    pg.register(levels())
    plain = pg.Design(arms={"control": 6, "treated": 6}, visits_months=[0, 3])
    how = {"design": plain, "model": "my_levels", "rule": pg.Rule("difference", ">", 0, probability=0.9), "base": {"mean": 30, "spread": 2},
           "truths": [{"difference": 1}], "n_trials": 8, "chunk": 4}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone, two = go(8, **how), go(8, cores=2, path=tmp_path / "run", **how)
    same(two, alone)
    assert np.isfinite(alone.table["estimate"]).all() and alone.table["what"].tolist() == ["power"]
    pg.register(levels(shift=0.5))
    with pytest.raises(SettingError, match="Give the same settings"):
        go(8, path=tmp_path / "run", **how)
