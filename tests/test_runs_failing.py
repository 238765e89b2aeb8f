"""Runs in which something dies: a replicate, a worker, the run itself. The table is the same, but for what cannot be had."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from run_jobs import Dies, Draws, Raises, chunks, go, lines, log, same

from progression.jobs import replicate_seed
from progression.run_folder import RunWarning
from progression.store import StoreError

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def undisturbed():
    return go(Draws()).table


# ---- poison ----


def test_a_replicate_that_raises_is_stepped_over(tmp_path, undisturbed):
    spy = tmp_path / "spy"
    spy.touch()
    found = go(Raises(spy=str(spy), bad=(13, 14)), path=tmp_path / "run")
    same(found.table, undisturbed.drop(index=[13, 14]).reset_index(drop=True))
    assert list(found.failures["replicate"]) == [13, 14]
    assert found.failures["error"][0] == "ArithmeticError: no mode for 13"
    seed = eval(found.failures["seed"][0], {"SeedSequence": np.random.SeedSequence})
    np.testing.assert_array_equal(seed.generate_state(2), replicate_seed(7, 13).generate_state(2))
    assert len(lines(spy, "run 13 14")) == 3 and list(found.failures["attempts"]) == [3, 3]  # tried, and retried twice
    assert "before" in log(tmp_path / "run", "failed")[0]["traceback"]
    again = go(Raises(spy=str(spy), bad=(13, 14)), path=tmp_path / "run")
    same(again.table, found.table)
    same(again.failures, found.failures)
    assert again.resumed == 40


def test_a_passing_failure_leaves_no_trace(tmp_path, undisturbed):
    spy = tmp_path / "spy"
    spy.touch()
    found = go(Raises(spy=str(spy), bad=(13,), times=1))
    same(found.table, undisturbed)
    assert found.failures.empty


@pytest.mark.slow
def test_a_replicate_that_kills_its_worker_is_stepped_over(tmp_path, undisturbed):
    spy = tmp_path / "spy"
    spy.touch()
    found = go(Dies(spy=str(spy), bad=(13,)), path=tmp_path / "run", cores=2)
    same(found.table, undisturbed.drop(index=13).reset_index(drop=True))
    assert list(found.failures["replicate"]) == [13] and "worker" in found.failures["error"][0]
    assert len(lines(spy, "run 13 14")) == 3


def test_a_worker_that_was_killed_once_leaves_no_trace(tmp_path, undisturbed):
    spy = tmp_path / "spy"
    spy.touch()
    found = go(Dies(spy=str(spy), bad=(13,), times=1), path=tmp_path / "run", cores=2)
    same(found.table, undisturbed)
    assert found.failures.empty
    assert len(lines(spy, "run")) <= 4 + 2  # only what was in flight is run again


def test_a_job_that_never_succeeds_is_given_up_and_not_recorded(tmp_path, undisturbed):
    with pytest.raises(RuntimeError, match=r"first 10 replicates failed.*no mode for 0"):
        go(Raises(bad=tuple(range(40))), path=tmp_path)
    assert not chunks(tmp_path)
    same(go(Draws(), path=tmp_path).table, undisturbed)


# ---- dask ----


@pytest.mark.slow
def test_dask_workers_one_of_which_is_killed(undisturbed, tmp_path):
    distributed = pytest.importorskip("distributed")
    spy = str(tmp_path / "spy")
    Path(spy).touch()
    with (
        distributed.LocalCluster(processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        same(go(Draws(), client=client).table, undisturbed)
        with joblib.parallel_config(backend="dask"):
            same(go(Dies(spy=spy, bad=(23,), times=1), path=tmp_path / "run").table, undisturbed)
        assert str(os.getpid()) not in "".join(lines(spy, "run"))
        assert len(lines(spy, "bad")) == 2


@pytest.mark.slow
def test_a_replicate_that_kills_dask_workers_is_stepped_over(undisturbed, tmp_path):
    distributed, dask = pytest.importorskip("distributed"), pytest.importorskip("dask")
    spy = str(tmp_path / "spy")
    Path(spy).touch()
    settings = {"distributed.scheduler.allowed-failures": 1, "distributed.deploy.lost-worker-timeout": "1 hour"}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = go(Dies(spy=spy, bad=(13,)), client=client)
    same(found.table, undisturbed.drop(index=13).reset_index(drop=True))
    assert found.failures[["replicate", "attempts"]].to_numpy().tolist() == [[13, 4]]  # twice two


# ---- processes ----

SCRIPT = """
import sys
from run_jobs import Draws
from progression.runs import run
run(Draws(spy=sys.argv[2], seconds=0.02), 4000, chunk=10, random_seed=7, cores=int(sys.argv[3]), path=sys.argv[1],
    progressbar=False)
"""


def started(path, spy, cores):
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parent / "models")])}
    # a shell that starts the tests in the background has them ignore SIGINT, and all that they start
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path), str(spy), str(cores)], env=env, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    deadline = time.monotonic() + 60
    while not (path / "chunks").is_dir() or len([one for one in chunks(path) if one.name[0] != "."]) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.02)
    return process


def test_a_second_process_is_told_until_the_first_is_killed(tmp_path, undisturbed):
    path = tmp_path / "run"
    process = started(path, tmp_path / "spy", 1)
    try:
        with pytest.raises(StoreError, match=f"in use by process {process.pid} on .* since 20"):
            go(Draws(), path=path)
    finally:
        process.kill()
        process.wait()
    (path / "chunks" / ".000003.abc.parquet.xyz.part").write_bytes(b"half a chu")
    done = len([one for one in chunks(path) if one.name[0] != "."])
    found = go(Draws(), path=path)
    same(found.table, undisturbed)
    assert found.resumed == min(10 * done, 40)
    assert not [one for one in chunks(path) if one.name.endswith(".part")]


def test_a_file_system_without_locks_is_said(tmp_path, undisturbed, monkeypatch):
    def refuse(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(RunWarning, match="no locks .*no second process"):
        same(go(Draws(), path=tmp_path).table, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_run(tmp_path, undisturbed, how):
    path, spy = tmp_path / "run", tmp_path / "spy"
    process = started(path, spy, 2)
    workers = {int(line.split()[1]) for line in lines(spy, "prepare")}
    assert workers and process.pid not in workers
    process.send_signal(how)
    process.wait(timeout=30)
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if alive(pid)]
    found = go(Draws(), path=path)
    same(found.table, undisturbed)
    assert found.resumed >= 20


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else True
