"""A fit, its file, its predictions and its log likelihood."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr

import progression as pg
from progression import store
from progression.engines import forward
from progression.faults import SettingError
from progression.fitted import ForeignPrior
from progression.store import StoreError


@pytest.fixture
def fit(als, fake_fit):
    return fake_fit("als_slope", als, draws=60, chains=2, priors={"sd_slope": pg.Prior("HalfNormal", sigma=0.123456789)},
                    options={"covariates": ["age"]}, posterior_predictive=True, log_likelihood=True)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["als_slope", "sle_crp", "sle_joints"])
@pytest.mark.parametrize("n_arms", [1, 2])
def test_a_file_loses_nothing(name, n_arms, fake_fit, tiny_cohort, tmp_path):
    model = pg.models()[name]
    fit = fake_fit(name, tiny_cohort(model, n_arms), draws=50, chains=2, posterior_predictive=True, log_likelihood=True)
    again = pg.load(fit.save(tmp_path / "run.nc"))
    assert list(again.idata.children) == list(fit.idata.children) and len(fit.idata.children) == 6
    for group, node in fit.idata.children.items():
        before, after = node.to_dataset(), again.idata[group].to_dataset()
        xr.testing.assert_identical(before, after)
        assert {k: v.dtype for k, v in before.variables.items()} == {k: v.dtype for k, v in after.variables.items()}
        assert {k: v.dims for k, v in before.variables.items()} == {k: v.dims for k, v in after.variables.items()}
    assert again.cohort.fingerprint == fit.cohort.fingerprint and again.cohort.name == "tiny"
    assert again.priors == fit.priors and again.outcomes == fit.outcomes and again.model is model
    assert dict(again.settings) == dict(fit.settings) and dict(again.versions) == dict(fit.versions)
    assert {k: v if isinstance(v, str | int) else list(v) for k, v in fit.options.items()} == dict(again.options)
    assert again.problems == fit.problems
    pd.testing.assert_frame_equal(pd.DataFrame(again.summary()), pd.DataFrame(fit.summary()))
    xr.testing.assert_identical(pg.contrast(again).draws, pg.contrast(fit).draws)


@pytest.mark.slow
def test_replaced_priors_and_options_come_back(fit, tmp_path):
    again = pg.load(fit.save(tmp_path / "run.nc"))
    assert again.priors["sd_slope"].parameters["sigma"] == 0.123456789 and again.priors == fit.priors
    assert again.options == {"baseline": "auto", "covariates": ["age"], "time_course": "straight"}
    np.testing.assert_array_equal(again.predict([3.0], draws=10)["score"], fit.predict([3.0], draws=10)["score"])


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"score_n": 1.5}, {"score_of_a_later_version": 0.0}])
def test_a_file_whose_draws_would_be_read_as_other_effects_is_refused(change, fit, tmp_path, monkeypatch):
    """Effects are saved as distances from what a subject's rows say, so what these say must be what it was."""
    path, coded = fit.save(tmp_path / "run.nc"), fit.encoded()
    some = coded.arrays["score_n"]
    arrays = coded.arrays | {name: (some[0], some[1] + more) for name, more in change.items()}
    monkeypatch.setattr("progression.fitted.encode", lambda *_, **__: replace(coded, arrays=arrays))
    with pytest.raises(SettingError, match=f"coded the cohort otherwise .*{next(iter(change))}.*it the model again"):
        pg.load(path)


@pytest.mark.slow
def test_nothing_in_a_file_is_executed(fit, tmp_path, monkeypatch):
    path = fit.save(tmp_path / "run.nc")
    raw = path.read_bytes()
    for trace in (b"pickle", b"cloudpickle", b"progression_models", b"__reduce__", b"\x80\x04\x95", b"builtins"):
        assert trace not in raw
    for name in ("eval", "exec"):
        monkeypatch.setattr(f"progression.fitted.{name}", pytest.fail, raising=False)
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("unpickled"))
    monkeypatch.setattr("pickle.load", lambda *_: pytest.fail("unpickled"))
    assert pg.load(path).model.name == "als_slope"
    facts = json.loads(xr.open_datatree(path, engine="h5netcdf").attrs["facts"])
    assert facts["model"] == "als_slope" and facts["priors"]["sd_slope"]["distribution"] == "HalfNormal"


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.3, 0.999999])
def test_a_torn_file(share, fit, tmp_path):
    path = fit.save(tmp_path / "run.nc")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(StoreError):
        pg.load(path)


@pytest.mark.slow
def test_an_altered_value(fit, tmp_path):
    import h5py

    path = fit.save(tmp_path / "run.nc")
    for change in ("value", "attribute", "label"):
        altered = tmp_path / f"{change}.nc"
        altered.write_bytes(path.read_bytes())
        with h5py.File(altered, "r+") as file:
            if change == "value":
                file["posterior/mean_slope"][0, 0] += 1e-12
            elif change == "attribute":
                file.attrs["problems"] = "none at all"
            else:
                file["posterior/active_arm"][0] = "control"
        with pytest.raises(StoreError, match="altered or torn"):
            pg.load(altered)


@pytest.mark.slow
def test_altered_bytes_are_found_or_harmless(fit, tmp_path):
    raw = fit.save(tmp_path / "run.nc").read_bytes()
    rng, found = np.random.default_rng(0), 0
    for at in rng.integers(len(raw), size=25):
        path = tmp_path / "altered.nc"
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
        try:
            xr.testing.assert_identical(pg.load(path).posterior, fit.posterior)
        except AssertionError:
            raise
        except Exception:  # the test below says which
            found += 1
    assert found > 10


@pytest.mark.parametrize("error", [RuntimeError("Link iteration failed"), AttributeError("'NoneType' has no 'split'")])
def test_whatever_the_reader_raises_is_a_store_error(error, fit, tmp_path, monkeypatch):
    path = fit.save(tmp_path / "run.nc")

    def broken(*_, **__):
        raise error

    monkeypatch.setattr(store.xr, "open_datatree", broken)
    with pytest.raises(StoreError):
        pg.load(path)


def test_wrong_files(fit, tmp_path):
    with pytest.raises(StoreError, match="no file"):
        pg.load(tmp_path / "absent.nc")
    (tmp_path / "text.nc").write_text("not a file of that kind")
    with pytest.raises(StoreError, match="cannot be read as a fit"):
        pg.load(tmp_path / "text.nc")
    fit.posterior.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(StoreError, match="not a fit that progression saved"):
        pg.load(tmp_path / "other.nc")
    tree = xr.DataTree.from_dict({"x": xr.Dataset({"a": ("i", [1.0])})})
    tree.attrs = {"kind": "runs"}
    store.write_tree(tmp_path / "runs.nc", tree)
    with pytest.raises(StoreError, match="kind: 'runs'"):
        pg.load(tmp_path / "runs.nc")
    with pytest.raises(StoreError, match="folder"):
        fit.save(tmp_path / "nowhere" / "run.nc")


@pytest.mark.parametrize("step", ["os.replace", "os.fsync"])
def test_a_killed_write_leaves_the_old_file(step, fit, tmp_path, monkeypatch):
    path = fit.save(tmp_path / "run.nc")
    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"progression.store.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            fit.with_posterior_predictive(draws=5).save(path)
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["run.nc"]


def test_a_model_that_is_not_known_here(als, fake_fit, tmp_path, own_registry):
    def define(**priors):
        @pg.model(observes={"score": pg.Outcome("alsfrsr")}, estimands=[], reference="none", name="als_mine",
                  priors=priors)  # fmt: skip
        def program(data, prior):
            pm.Normal("score", prior("mean"), 5, observed=data.score.value, dims="score_row")

        return program

    class Own:
        def to_pymc(self, name, **kwargs):
            return pm.Normal(name, 30, 5, **kwargs)

        def __repr__(self):
            return "Own(30, 5)"

    mine = define(mean=pg.Prior("Normal", mu=30, sigma=5))
    path = fake_fit(mine, als, priors={"mean": Own()}, draws=20, chains=2).save(tmp_path / "run.nc")
    with pytest.raises(SettingError, match=r"model=my_model"):
        pg.load(path)
    again = pg.load(path, model=mine)
    assert again.model is mine and again.priors["mean"] == ForeignPrior("Own(30, 5)")
    with pytest.raises(SettingError, match="known by its description only"):
        again.with_log_likelihood()
    pg.register(mine)
    assert pg.load(path).model is mine
    with pytest.raises(SettingError, match="declares other priors"):
        pg.load(path, model=pg.models()["sle_crp"])


def test_predictions_have_the_asked_shape(als, fake_fit, tiny_cohort):
    fit = fake_fit("als_slope", als, draws=50)
    own = fit.predict([0, 6, 12], draws=40)["score"]
    assert own.dims == ("sample", "subject", "month") and own.shape == (40, 12, 3)
    assert own["subject"].to_numpy().tolist() == fit.cohort.subjects.index.tolist() and own["month"][2] == 12
    np.testing.assert_array_equal(fit.predict(6, draws=9)["score"], fit.predict([6], draws=9)["score"])
    new = fit.predict([6], new_patients={"treated": 3, "control": 2}, draws=30)["score"]
    assert new.shape == (30, 5, 1) and np.isfinite(new).all()
    joints = fake_fit("sle_joints", tiny_cohort(pg.models()["sle_joints"], 2), draws=50).predict([1, 3], draws=20)[
        "joints"
    ]
    assert joints.dims == ("sample", "subject", "month", "outcome") and joints.shape == (20, 6, 2, 2)
    assert ((joints >= 0) & (joints <= 28) & (joints == joints.round())).all()
    np.testing.assert_array_equal(fit.predict([6], draws=9)["score"], fit.predict([6], draws=9)["score"])
    other = fit.predict([6], draws=9, random_seed=77)["score"]
    assert not np.array_equal(other, fit.predict([6], draws=9)["score"])


def test_predictions_follow_the_lines(als, fake_fit):
    """With no residual to speak of, each patient's prediction is the patient's own line; new ones take their arm's."""
    fake_fit.engine.replace = {"sd_residual": lambda v: 0 * v + 1e-6}
    fit = fake_fit("als_slope", als, draws=50, chains=2)
    drawn = fit.predict([4.0], draws=100)["score"].isel(month=0)
    sample = forward.stack(fit.posterior)
    # The program computes lines from its own unknowns: run it backwards for one draw.
    rows = forward.replicate(fit.model, fit.encoded().on_schedule([0.0, 1.0]), fit.priors, sample, random_seed=1)[
        "score"
    ]
    line = rows.to_numpy().reshape(100, 12, 2)
    expected = line[..., 0] + 4 * (line[..., 1] - line[..., 0])
    np.testing.assert_allclose(drawn, expected, atol=1e-3)


@pytest.mark.parametrize(("how", "what"), [
    ({"months": [np.nan]}, "finite"), ({"months": []}, "empty"),
    ({"months": [1], "new_patients": {"treatd": 3}}, "did you mean 'treated'"),
    ({"months": [1], "new_patients": {"treated": 0}}, "not a number of patients"),
    ({"months": [1], "new_patients": {"treated": 1.5}}, "not a number of patients"),
    ({"months": [1], "new_patients": {"treated": True}}, "not a number of patients"),
])  # fmt: skip
def test_impossible_predictions(how, what, als, fake_fit):
    with pytest.raises(SettingError, match=what):
        fake_fit("als_slope", als, draws=20).predict(**how)


@pytest.mark.parametrize(
    "how", [{"months": [1], "draws": 0}, {"months": ["six"]}, {"months": "6"}, {"months": [1], "new_patients": {}}]
)
def test_more_impossible_predictions(how, als, fake_fit):
    fit = fake_fit("als_slope", als, draws=20)
    try:
        fit.predict(**how)
    except SettingError:
        return
    pytest.fail("accepted")
