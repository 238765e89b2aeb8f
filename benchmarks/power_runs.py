"""A real power run under everything that may happen to it: the same table each time, and how much faster two workers are.

    python benchmarks/power_runs.py [--trials 1024] [--many 20000]      # ten minutes; needs the extra "cluster"

One power run of `als_slope` with two looks, by 1, 2 and 4 workers of joblib, by a dask cluster of separate processes, and by
one of whose workers is killed in mid-run: all tables must be equal bit by bit. Then the time for --many trials of
`als_shared` by one worker and by as many as there are cores, and how the memory of the process that collects them grows.
`JOB` is that first run for `python benchmarks/kill_runs.py --job power_runs:JOB --n 1024 --chunk 64`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import replace
from typing import Any
from unittest import mock

import joblib
import pandas as pd
import psutil

import progression as pg

SEED = 20261126
PATIENTS = {
    "mean_level": 38.0,
    "sd_level": 5.0,
    "mean_slope": -1.03,
    "sd_slope": 0.76,
    "sd_residual": 1.77,
    "correlation": 0.0,
}
DESIGN = pg.Design(name="2 x 40, two looks", arms={"control": 40, "treated": 40}, visits_weeks=[0, 4, 8, 12, 16, 20, 24],
                   accrual_per_month=8, dropout_per_month=0.02,
                   looks=[pg.Look(month=6, futility=0.1), pg.Look(month=9, futility=0.1, success=0.999)])  # fmt: skip
BETTER = pg.Rule("slope_difference", ">", 0, probability=0.975)
SLOW = {"mean_level": 38.0, "sd_level": 5.0, "mean_rate": 1.03, "sd_rate": 0.76, "sd_residual": 1.77, "hazard": 0.009}


def small(n: int, **how: Any) -> Any:
    """The run that is done again and again."""
    truths = {"null": {**PATIENTS, "slope_ratio": 1.0}, "30 % slower": {**PATIENTS, "slope_ratio": 0.7}}
    return pg.power(DESIGN, "als_slope", BETTER, truths=truths, n_trials=n, random_seed=SEED, progressbar=False, **how)


class _Caught(Exception):
    """Not an error: what `power` hands to `run`, on its way here."""


def _job() -> Any:
    def caught(job: Any, *_: Any, **__: Any) -> Any:
        raise _Caught(job)

    with mock.patch("progression.operating.run", caught):
        try:
            small(64)
        except _Caught as found:
            return found.args[0]
    raise RuntimeError("power runs no job any more")


def __getattr__(name: str) -> Any:  # made when it is asked for: workers import this module too
    if name == "JOB":
        return _job()
    raise AttributeError(name)


def same(n: int) -> None:
    """Every way of running it; SystemExit where a table differs."""
    first = small(n, cores=1)
    for cores in (2, 4):
        _compare(f"{cores} workers of joblib", first, small(n, cores=cores))
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:  # fmt: skip
        _compare("a dask cluster of two processes", first, small(n, client=client))
        victim = next(iter(cluster.workers.values())).pid
        killer = threading.Timer(1.5, os.kill, (victim, signal.SIGKILL))
        killer.start()
        found = small(8 * n, client=client)
        killer.cancel()
        alive = psutil.pid_exists(victim) and psutil.Process(victim).status() != psutil.STATUS_ZOMBIE
    _compare(
        f"dask, one worker killed after 1.5 s ({'STILL ALIVE' if alive else 'dead'})", small(8 * n, cores=2), found
    )
    if alive:
        raise SystemExit("the run was over before its worker was killed: give more trials")


def _compare(name: str, first: Any, other: Any) -> None:
    pd.testing.assert_frame_equal(first.table, other.table, check_exact=True)
    pd.testing.assert_frame_equal(first.by_look, other.by_look, check_exact=True)
    print(
        f"{name}: the same table, bit by bit ({other.records.n:,} trials a cell, {len(other.cells)} cells)", flush=True
    )


def speed(n: int) -> None:
    """Seconds by one worker and by several, and memory."""
    design = replace(DESIGN, name="2 x 60", arms={"control": 60, "treated": 60})
    cores = joblib.cpu_count()
    seconds = {}
    for workers in (1, cores):
        with tempfile.TemporaryDirectory() as folder:
            watch = _Watch()
            start = time.perf_counter()
            pg.power(design, "als_shared", pg.Rule("drr", "<", 1, probability=0.975), truths={"30 %": {**SLOW, "drr": 0.7}}, n_trials=n,
                     random_seed=SEED, progressbar=False, cores=workers, path=folder)  # fmt: skip
            seconds[workers] = time.perf_counter() - start
            print(
                f"{n:,} trials with two looks by als_shared, {workers} worker{'s' * (workers > 1)}: {seconds[workers]:.0f} s; {watch.told()}",
                flush=True,
            )
    print(f"speed-up from 1 to {cores} workers: {seconds[1] / seconds[cores]:.2f}")


class _Watch:
    """Resident memory of this process and of each of its children, every second."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.on = True
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        me = psutil.Process()
        while self.on:
            children = [0.0]
            for one in me.children(recursive=True):
                try:
                    children.append(one.memory_info().rss / 2**20)
                except psutil.NoSuchProcess:
                    continue
            self.seen.append((me.memory_info().rss / 2**20, max(children)))
            time.sleep(1)

    def told(self) -> str:
        self.on = False
        quarter = self.seen[len(self.seen) // 4]
        return (f"MiB after a quarter and at the end: this process {quarter[0]:.0f}, {self.seen[-1][0]:.0f}; "
                f"its largest worker {quarter[1]:.0f}, {max(one[1] for one in self.seen):.0f} at most")  # fmt: skip


def main() -> int:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1024)
    parser.add_argument("--many", type=int, default=20_000)
    given = parser.parse_args()
    same(given.trials)
    speed(given.many)
    return 0


if __name__ == "__main__":
    sys.exit(main())
