"""Faults of the machine: killed while saving, a full disk, folders that cannot be written, two at one file."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import progression as pg
from progression import store
from progression.engines import native
from progression.store import StoreError

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "models")])}


@pytest.fixture
def fit(als, fake_fit):
    return fake_fit("als_slope", als, draws=50, chains=2)


def child(script, *arguments, **how):
    """A Python process of its own; its last words are in the failure of a test."""
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], env=ENVIRONMENT | how, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


# ---- a file that is being written ----

# Trees stand for fits: one file format, and a process that need not load PyMC.
SAVING = """
import sys
import numpy as np, xarray as xr
from progression.store import write_tree
trees = []
for k in range(2):
    values = np.random.default_rng([int(sys.argv[2]), k]).normal(size=40_000)
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"a": ("x", values)})})
    tree.attrs = {"kind": "fit", "who": sys.argv[2]}
    trees.append(tree)
print("ready", flush=True)
for i in range(int(sys.argv[3])):
    write_tree(sys.argv[1], trees[i % 2])
"""


def written(path):
    """Which of the two trees of which process a file holds: read whole, with its checksum."""
    tree = store.read_tree(path, kind="fit")
    who = int(tree.attrs["who"])
    values = tree["posterior/a"].to_numpy()
    return [(who, k) for k in range(2) if (values == np.random.default_rng([who, k]).normal(size=40_000)).all()]


def test_killed_while_saving(tmp_path):
    """SIGKILL at moments all over the time that a save takes: one whole file or the other, and it can be saved anew."""
    path, rng = tmp_path / "run.nc", np.random.default_rng(1)
    for _ in range(2):
        process = child(SAVING, path, 1, 100_000)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        while not path.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.2 * rng.uniform())
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        assert len(written(path)) == 1
    again = child(SAVING, path, 2, 1)
    assert again.wait() == 0, again.stderr.read()
    again.communicate()
    assert written(path) == [(2, 0)]


def test_two_processes_at_one_file(tmp_path):
    """Whoever comes last has it; at no moment is it half of one and half of the other."""
    path = tmp_path / "run.nc"
    both = [child(SAVING, path, who, 10) for who in (1, 2)]
    read = []
    while any(process.poll() is None for process in both):
        if path.exists():
            read += written(path)
    for process in both:
        assert process.communicate()[1] == "" and process.returncode == 0
    assert len(read) > 2 and len(written(path)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["run.nc"]


# ---- a disk that is full, a folder that is closed ----

FULL = """
import resource, sys
import numpy as np, xarray as xr
from progression.store import StoreError, read_tree, write_tree
tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"a": ("x", np.random.default_rng(0).normal(size=40_000))})})
tree.attrs = {"kind": "fit"}
write_tree(sys.argv[1], tree)
for most in (100_000, 4096, 0):  # bytes of any file: the error is EFBIG instead of ENOSPC, at the same call
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        write_tree(sys.argv[1], tree * 2)
    except StoreError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert (read_tree(sys.argv[1], kind="fit")["posterior/a"] == tree["posterior/a"]).all()
write_tree(sys.argv[1], tree)
"""


def test_a_full_disk(tmp_path):
    """The process lives, says what to do, and leaves what was there; with room again it saves. (HDF5 alone: SIGSEGV.)"""
    process = child(FULL, tmp_path / "run.nc")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and err == ""
    assert out.count("cannot be written") == out.count("free space or choose another place") == 3
    assert [one.name for one in tmp_path.iterdir()] == ["run.nc"]


@pytest.mark.slow
def test_whatever_the_system_refuses(fit, tmp_path, monkeypatch):
    """The error says what, the folder is as it was, and the next save is as good as any."""
    path = fit.save(tmp_path / "run.nc")
    before = path.read_bytes()
    for call, number in (("fsync", errno.ENOSPC), ("replace", errno.EROFS), ("chmod", errno.EPERM)):

        def refuse(*_, number=number, **__):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as broken:
            broken.setattr(store.os, call, refuse)
            with pytest.raises(StoreError, match=os.strerror(number)):
                fit.save(path)
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    xr.testing.assert_identical(pg.load(fit.save(path)).posterior, fit.posterior)


def test_places_where_no_file_can_be(fit, tmp_path):
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "file" / "run.nc", tmp_path / "nowhere" / "run.nc"):
        with pytest.raises(StoreError, match="does not exist: make it first"):
            fit.save(place)
    closed = [tmp_path, tmp_path / ("long" * 100)]
    if Path("/proc/self").is_dir():
        closed.append(Path("/proc/self/run.nc"))  # closed to root as well
    for place in closed:
        with pytest.raises(StoreError, match="cannot be written"):
            fit.save(place)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


# ---- no home ----

HOMELESS = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    import progression as pg
    fit = pg.fit("als_slope", pg.datasets.simulated_als(n=(6, 6), random_seed=1), random_seed=1, draws=50, chains=1, progressbar=False)
print([str(one.message) for one in said if "compiled code" in str(one.message)])
print(float(fit.posterior["slope_effect"].mean()))
import os
print(os.environ["PYTENSOR_FLAGS"].rpartition("base_compiledir=")[2])
"""


@pytest.mark.slow
def test_a_home_that_cannot_be_written(tmp_path):
    """PyTensor alone would not even be imported: a folder for the session is made, said once, and removed."""
    (tmp_path / "file").write_text("no home")
    process = child(HOMELESS, HOME=str(tmp_path / "file" / "home"), PYTENSOR_FLAGS="")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    said, mean, folder = out.splitlines()
    assert said.count("compiled code cannot be kept in") == 1 and "PYTENSOR_FLAGS=base_compiledir=" in said
    here = pg.fit(
        "als_slope",
        pg.datasets.simulated_als(n=(6, 6), random_seed=1),
        random_seed=1,
        draws=50,
        chains=1,
        progressbar=False,
    )
    assert float(mean) == pytest.approx(float(here.posterior["slope_effect"].mean()), rel=1e-10)
    assert folder and not Path(folder).exists()


def test_machine_code_that_cannot_be_kept_is_used_all_the_same(monkeypatch, tmp_path):
    """A full disk under the cache of code: compiled, not kept, and the numbers are right."""
    import nutpie
    import pymc as pm
    import pytensor

    with pm.Model() as model:
        y = pm.Data("y", np.array([1.0, 2.0, 3.0]))
        mu = pm.Normal("mu", 0, 100 + os.getpid() * 1e-7)  # of this run only
        pm.Normal("y_", mu, 1, observed=y)
    path = Path(str(pytensor.config.compiledir)) / "progression" / f"{native.graph_key(model)}.zip"

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    code = native.compile_native(model, {"y": np.array([1.0, 2.0, 3.0])})
    drawn = nutpie.sample(code, draws=500, tune=300, chains=2, cores=1, seed=3, progress_bar=False, save_warmup=False)
    assert not path.exists() and not list(path.parent.glob(f".{path.name}*"))
    assert float(drawn.posterior["mu"].mean()) == pytest.approx(2, abs=0.15)
    assert float(drawn.posterior["mu"].std()) == pytest.approx(3**-0.5, rel=0.15)
