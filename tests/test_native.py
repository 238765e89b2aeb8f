"""Machine code kept on disk: found again for the same program, never for another."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import nutpie
import pymc as pm
import pytensor
import pytest

import progression as pg
from progression.encoding import encode
from progression.engines import native
from progression.engines.native import compile_native, graph_key
from progression.engines.program import build

DATA = {"y": np.array([1.0, 2.0, 3.0]), "x": np.array([[0.5], [1.0], [2.0]])}


def small(constant=1.0, long=None, sigma=1.0, arms=2, prior=pm.HalfNormal):
    with pm.Model(coords={"arm": list(range(arms))}) as model:
        y, x = pm.Data("y", DATA["y"]), pm.Data("x", DATA["x"])
        mu, sd = pm.Normal("mu", 0, sigma, dims="arm"), prior("sd", 1.0)
        shift = 0.0 if long is None else pytensor.tensor.as_tensor(np.asarray(long, float)).sum()
        pm.Normal("y_", mu.sum() * x[:, 0] + constant + shift, sd, observed=y)
    return model


def test_the_key_is_that_of_the_program():
    key = graph_key(small())
    assert key == graph_key(small()) and len(key) == 40
    long = np.arange(50.0)
    other = long.copy()
    other[25] += 1e-9  # what printing shortens away
    keys = [key, *(graph_key(small(**how)) for how in (
        {"constant": 1.0 + 1e-12}, {"sigma": 2.0}, {"arms": 3}, {"prior": pm.Exponential}, {"long": long}, {"long": other},
    ))]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_the_key_depends_on_what_is_compiled_in_only(als, als_trial):
    model = pg.models()["als_slope"]

    def key(cohort, priors=None, **how):
        return graph_key(build(model, encode(model, cohort, **how), model.with_priors(priors)).model)

    assert key(als) == key(als)
    fewer = pg.datasets.simulated_als(n=(5, 6), visits_weeks=(0, 4, 9))
    assert key(als) == key(fewer)  # the same bucket of 16: other values, other rows, the same code
    assert key(als) != key(als_trial)
    assert key(als) != key(als, {"sd_slope": pg.Prior("HalfNormal", sigma=0.9)})
    assert key(als) != key(als, {"sd_slope": pg.Prior("Exponential", lam=1)})
    assert key(als) != key(als, options={"covariates": ["age"]})
    assert key(als) != key(als, options={"baseline": "free"})


@pytest.fixture(scope="module")
def kept():
    """A program that no other run has, its code compiled once, and the file it is kept in."""
    unique = 1.0 + os.getpid() * 1e-9
    model = small(constant=unique)
    path = Path(str(pytensor.config.compiledir)) / "progression" / f"{graph_key(model)}.zip"
    fresh = compile_native(model, DATA)
    yield lambda: small(constant=unique), path, fresh
    path.unlink(missing_ok=True)


def sampled(code):
    trace = nutpie.sample(code, draws=30, tune=50, chains=2, cores=1, seed=3, progress_bar=False, save_warmup=False)
    return np.column_stack([trace.posterior[name].to_numpy().reshape(60, -1) for name in ("mu", "sd")])


@pytest.mark.slow
def test_from_the_disk_the_same_results_without_compiling(kept, monkeypatch):
    again, path, fresh = kept
    assert path.is_file()
    monkeypatch.setattr(native, "_compile", lambda *_: pytest.fail("compiled again"))
    found = sampled(compile_native(again(), DATA))
    np.testing.assert_array_equal(found, sampled(fresh))
    assert np.unique(found[:, 0]).size > 10
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        compile_native(again(), DATA, cache=False)


class Compiling(Exception):
    """Stands for the seconds that compiling takes."""


def _damaged(whole, damage):
    if damage == "cut":
        return whole[: len(whole) // 2]
    if damage == "altered":
        return whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 0xFF]) + whole[len(whole) // 2 + 1 :]
    if damage == "empty":
        return b""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            if name != "plan.json":
                new.writestr(name, old.read(name))
        if damage == "unknown function":
            plan = json.loads(old.read("plan.json")) | {"imports": ["no_such_function_anywhere"]}
            new.writestr("plan.json", json.dumps(plan))
    return made.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "no plan", "unknown function"])
def test_a_torn_file_is_not_used(damage, kept, monkeypatch):
    again, path, _ = kept
    whole = path.read_bytes()

    def compiling(*_):
        raise Compiling

    monkeypatch.setattr(native, "_compile", compiling)
    try:
        path.write_bytes(_damaged(whole, damage))
        with pytest.raises(Compiling):
            compile_native(again(), DATA)
        assert not path.exists()
    finally:
        path.write_bytes(whole)
    compile_native(again(), DATA)


@pytest.mark.slow
def test_a_torn_file_is_mended(kept, monkeypatch):
    again, path, fresh = kept
    path.write_bytes(path.read_bytes()[:1000])
    np.testing.assert_array_equal(sampled(compile_native(again(), DATA)), sampled(fresh))
    monkeypatch.setattr(native, "_compile", lambda *_: pytest.fail("the mended file is not used"))
    compile_native(again(), DATA)


def test_other_data_in_the_same_code(kept):
    _, _, fresh = kept
    more = {"y": np.arange(9.0) + 30, "x": np.ones((9, 1))}
    moved = sampled(fresh.with_values(more))
    assert moved[:, :2].sum(axis=1).mean() > sampled(fresh)[:, :2].sum(axis=1).mean() + 1
    np.testing.assert_array_equal(sampled(fresh.with_values(DATA)), sampled(fresh))
    for wrong in ({**DATA, "x": np.ones(3)}, {**DATA, "y": np.ones((3, 1))}):
        with pytest.raises(ValueError, match="dimensions where the program was compiled for"):
            fresh.with_values(wrong)
    with pytest.raises(KeyError):
        fresh.with_values({"y": DATA["y"]})


def test_values_are_copied(kept):
    _, _, fresh = kept
    own = {name: array.copy() for name, array in DATA.items()}
    code = fresh.with_values(own)
    own["y"][:] = 1e6
    np.testing.assert_array_equal(sampled(code), sampled(fresh))
