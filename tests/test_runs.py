"""Runs that last: the same table whoever does the work; resumed, grown, refused, repaired."""

import json
import os
import re
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from run_jobs import Draws, Interrupts, chunks, go, lines, log, same

from progression import run_progress
from progression.faults import SettingError
from progression.jobs import replicate_seed
from progression.run_folder import RunWarning
from progression.store import StoreError


@pytest.fixture(scope="module")
def undisturbed():
    return go(Draws()).table


# ---- the table ----


def test_rows_in_order_from_seeds_of_their_own(undisturbed):
    assert list(undisturbed["replicate"]) == list(range(40))
    seeds = np.random.SeedSequence(7).spawn(40)
    factor = np.linalg.cholesky(np.eye(50) + 0.5)
    for index in (0, 17, 39):
        np.testing.assert_array_equal(replicate_seed(7, index).generate_state(4), seeds[index].generate_state(4))
        assert undisturbed["mean"][index] == (factor @ np.random.default_rng(seeds[index]).normal(size=50)).mean()


def test_a_folder_says_the_same_as_memory(tmp_path, undisturbed):
    found = go(Draws(), path=tmp_path / "run")
    same(found.table, undisturbed)
    assert len(chunks(tmp_path / "run")) == 4
    assert pd.read_parquet(tmp_path / "run" / "chunks").shape == (40, 4)  # readable without this package


def test_two_workers_and_threads(undisturbed, tmp_path):
    spy = str(tmp_path / "spy")
    same(go(Draws(spy=spy), cores=2).table, undisturbed)
    assert len(lines(spy, "prepare")) <= 2  # once a worker
    assert str(os.getpid()) not in Path(spy).read_text()
    with joblib.parallel_config(backend="threading", n_jobs=3):
        same(go(Draws()).table, undisturbed)


def test_several_rows_a_replicate():
    class Looks(Draws):
        def run(self, prepared, indices, seeds):
            return {"replicate": [i for i in reversed(indices) for _ in range(2)], "look": [1, 2] * len(indices)}

    table = go(Looks(), n=15).table
    assert list(table["replicate"]) == [i for i in range(15) for _ in range(2)]
    assert list(table["look"]) == [1, 2] * 15


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda k: {"x": [1.0]}, "1 rows for 10 replicates"),
        (lambda k: {"x": np.zeros((len(k), 2))}, "one dimension"),
        (lambda k: [1.0] * len(k), "must return a DataFrame"),
        (lambda k: {"x": [1.0], "replicate": [3]}, "differ from that in 0, 1"),
        (lambda k: {"x": [object()] * len(k)}, "does not fit into a table"),
    ],
)
def test_a_job_that_returns_no_table_is_told(made, said):
    class Odd(Draws):
        def run(self, prepared, indices, seeds):
            return made(indices)

    with pytest.raises(RuntimeError, match=said):
        go(Odd())


def test_a_job_that_cannot_be_prepared_stops_the_run(tmp_path):
    class Unprepared(Draws):
        def prepare(self):
            raise LookupError("no such model")

    with pytest.raises(LookupError, match="no such model"):
        go(Unprepared(), path=tmp_path, cores=2)
    assert not chunks(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"n": 0}, {"chunk": 2.5}, {"random_seed": -1}, {"cores": 0}, {"path": __file__}],
    ids=lambda one: str([*one]),
)
def test_settings_that_cannot_be_meant(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        go(Draws(), **wrong)


def test_rate_and_time_left_are_told_in_a_log(capfd, monkeypatch):
    monkeypatch.setattr(run_progress, "_A_LINE_EVERY", 0)
    with run_progress.progress(100, resumed=20, failed=1, shown=True) as advance:
        time.sleep(0.1)
        advance(40, 2)
    line = capfd.readouterr().err
    found = re.fullmatch(r"60/100 replicates, (\S+)/s, 0:00:00 left, 20 resumed, 3 failed\n", line)
    assert 200 < float(found[1]) < 400.001


# ---- resume and grow ----


def test_resumed_after_an_interruption(tmp_path, undisturbed):
    spy, path = tmp_path / "spy", tmp_path / "run"
    spy.touch()
    with pytest.raises(KeyboardInterrupt):
        go(Interrupts(spy=str(spy), bad=(25,)), path=path)
    assert len(chunks(path)) == 2
    spy.write_text("")
    found = go(Draws(spy=str(spy)), path=path)
    same(found.table, undisturbed)
    assert found.resumed == 20
    assert [line.split()[1:3] for line in lines(spy, "run")] == [["20", "30"], ["30", "40"]]


def test_grown_and_looked_at_again(tmp_path, undisturbed):
    spy, path = tmp_path / "spy", tmp_path / "run"
    found = go(Draws(spy=str(spy)), n=15, path=path)
    same(found.table, undisturbed[:15])
    spy.write_text("")
    grown = go(Draws(spy=str(spy)), n=40, path=path, random_seed=None)  # the folder's own
    same(grown.table, undisturbed)
    assert grown.resumed == 20 and len(lines(spy, "run")) == 2
    spy.write_text("")
    same(go(Draws(spy=str(spy)), n=7, path=path).table, undisturbed[:7])
    assert spy.read_text() == ""


def test_other_settings_are_refused_one_by_one(tmp_path):
    go(Draws(), n=10, path=tmp_path / "run")
    with pytest.raises(SettingError) as refused:
        go(Draws(shift=1.0), n=10, path=tmp_path / "run", chunk=5, random_seed=8)
    assert {fault.column: fault.value for fault in refused.value.faults} == {
        "job.shift": 1.0,
        "chunk": 5,
        "random_seed": 8,
    }
    assert "was 0.0 when" in str(refused.value) and "another path" in str(refused.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingError, match=r"thesis\.tex"):
        go(Draws(), path=tmp_path)


def test_an_altered_identity_is_refused(tmp_path):
    go(Draws(), n=10, path=tmp_path)
    file = tmp_path / "run.json"
    file.write_text(file.read_text().replace('"shift": 0.0', '"shift": 2.0'))
    with pytest.raises(StoreError, match="altered"):
        go(Draws(shift=2.0), n=10, path=tmp_path)


def test_other_versions_are_said(tmp_path):
    go(Draws(), n=10, path=tmp_path)
    made = json.loads((tmp_path / "run.json").read_text())
    made["versions"]["numpy"] = "1.0"
    (tmp_path / "run.json").write_text(json.dumps(made))
    with pytest.warns(RunWarning, match=r"numpy 1\.0 -> "):
        go(Draws(), n=20, path=tmp_path)


# ---- damage ----


@pytest.mark.parametrize("damage", ["truncated", "emptied", "first bit", "last bit", "middle bit"])
def test_a_damaged_chunk_is_run_again(tmp_path, undisturbed, damage):
    path, spy = tmp_path / "run", tmp_path / "spy"
    go(Draws(), path=path)
    file = chunks(path)[2]
    content = bytearray(file.read_bytes())
    if "bit" in damage:
        content[{"first": 0, "last": -1, "middle": len(content) // 2}[damage.split()[0]]] ^= 4
    file.write_bytes({"truncated": content[:-100], "emptied": b""}.get(damage, bytes(content)))
    with pytest.warns(RunWarning, match="damaged"):
        found = go(Draws(spy=str(spy)), path=path)
    same(found.table, undisturbed)
    assert [line.split()[1] for line in lines(spy, "run")] == ["20"]
    assert [entry["chunk"] for entry in log(path, "damaged")] == [2]


def test_a_chunk_of_another_run_is_refused(tmp_path):
    go(Draws(), path=tmp_path / "a")
    go(Draws(shift=1.0), path=tmp_path / "b")
    theirs = chunks(tmp_path / "b")[1]
    chunks(tmp_path / "a")[1].unlink()
    (tmp_path / "a" / "chunks" / theirs.name).write_bytes(theirs.read_bytes())
    with pytest.raises(StoreError, match="belongs to another run"):
        go(Draws(), path=tmp_path / "a")


def test_a_renamed_chunk_is_refused(tmp_path):
    go(Draws(), path=tmp_path)
    file = chunks(tmp_path)[1]
    file.rename(file.with_name(file.name.replace("000001", "000009")))
    with pytest.raises(StoreError, match="renamed"):
        go(Draws(), path=tmp_path)
