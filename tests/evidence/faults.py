"""What takes too long for a test: a thousand fits in one process, and processes that all find an empty cache of compiled code.

    python -m tests.evidence.faults          # half an hour on two cores; writes docs/evidence/faults.json

Memory and handles of the process are read from the system after every `STEP` fits (psutil), once what is loaded at first use is there.
Shorter faults (killed while saving, a full disk, folders that cannot be written, two processes at one file, no home) are tests of their own,
tests/test_faults.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from progression.store import write_atomically
from tests.evidence import sources

RESULT = sources.ROOT / "docs" / "evidence" / "faults.json"
FITS = {"marginal": 1000, "nuts": 100}
STEP = {"marginal": 50, "nuts": 5}
SETTLED = 0.3  # share of the fits after which nothing more should be loaded
ROOM = 10.0  # MB between the mean of the first and of the last third after that
COLD = 4
SAME = (
    1e-8  # points/month: code that was just compiled and code read from the disk round differently in the last digits
)

MANY = """
import gc, json, sys, warnings
import psutil
import progression as pg
warnings.simplefilter("ignore")
engine, n, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
how = {"draws": 500, "chains": 4} if engine == "marginal" else {"draws": 100, "tune": 200, "chains": 2, "cores": 1}
me = psutil.Process()
fell_back = 0
for k in range(n):
    cohort = pg.datasets.simulated_als(n=(60 + k % 5, 60), random_seed=k)  # sizes differ, as those of users do
    fit = pg.fit("als_slope", cohort, engine=engine, random_seed=k, progressbar=False, **how)
    fell_back += fit.settings["engine"] != engine  # what compiles grows, once a size
    pg.contrast(fit).summary()
    if k % step == step - 1:
        gc.collect()
        print(json.dumps([k + 1, me.memory_info().rss / 2**20, me.num_fds(), me.num_threads(), fell_back]), flush=True)
"""
ONE = """
import json, time
began = time.perf_counter()
import progression as pg
fit = pg.fit("als_slope", pg.datasets.simulated_als(n=(12, 12), random_seed=1), engine="nuts", random_seed=1, draws=200, tune=200,
             chains=2, cores=1, progressbar=False)
print(json.dumps({"draws": fit.posterior["slope_effect"].to_numpy().ravel().tolist(), "seconds": time.perf_counter() - began}))
"""


def child(script: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A Python of its own that finds this checkout, one thread for linear algebra."""
    paths = os.pathsep.join([str(sources.ROOT), str(sources.ROOT / "models")])
    own = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment}
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)], env=own, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def many_fits(engine: str, n: int, step: int) -> dict[str, Any]:
    """Fits, memory (MB), file handles and threads along the way, and whether they stayed where they were."""
    began, process = time.monotonic(), child(MANY, engine, n, step)
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        sys.stderr.write(f"{engine}: {seen[-1][0]} of {n} fits, {seen[-1][1]:.0f} MB, {seen[-1][2]} handles\n")
    _, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"fits by {engine} ended after {len(seen) * step}: {error[-2000:]}")
    fits, memory, handles, threads, fell_back = (list(one) for one in zip(*seen, strict=True))
    rounded = [round(one, 1) for one in memory]
    return {"fits": fits, "memory_mb": rounded, "handles": handles, "threads": threads, "fell_back": fell_back[-1], "seconds": round(time.monotonic() - began),
            **flat(fits, rounded, handles, threads)}  # fmt: skip


def flat(
    fits: Sequence[int], memory: Sequence[float], handles: Sequence[int], threads: Sequence[int]
) -> dict[str, Any]:
    """Growth between the first and the last third of what came once all was loaded, and whether that is none.

    Thirds rather than ends: memory goes up and down by what the garbage collector has not yet been at.
    """
    late = [i for i, k in enumerate(fits) if k > SETTLED * fits[-1]]
    third = max(len(late) // 3, 1)
    first, last = late[:third], late[-third:]
    grown = float(np.mean([memory[i] for i in last]) - np.mean([memory[i] for i in first]))
    more = {name: max(values[i] for i in last) - max(values[i] for i in first) for name, values in (("handles", handles), ("threads", threads))}  # fmt: skip
    return {"grown_mb": round(grown, 1), "more_handles": more["handles"], "more_threads": more["threads"],
            "flat": grown < ROOM and more["handles"] <= 0 and more["threads"] <= 0}  # fmt: skip


def cold_cache(n: int = COLD) -> dict[str, Any]:
    """Processes started at once on an empty cache, then one more: the same draws from all but for rounding, and only finished files left."""
    with tempfile.TemporaryDirectory(prefix="progression-cold-") as folder:
        flags = {"PYTENSOR_FLAGS": f"base_compiledir={folder}"}
        together = [child(ONE, **flags) for _ in range(n)]
        said = [process.communicate() for process in together]
        after = child(ONE, **flags)
        said.append(after.communicate())
        codes = [process.returncode for process in (*together, after)]
        if any(codes):
            raise RuntimeError(f"a process ended with {codes}: {next(error for _, error in said if error)[-2000:]}")
        made = [json.loads(out) for out, _ in said]
        draws, seconds = np.array([one["draws"] for one in made]), [one["seconds"] for one in made]
        left = sorted(path.name for path in Path(folder).rglob("progression/*"))
    taken = [round(float(one), 1) for one in seconds]
    return {"processes": n, "seconds": taken[:n], "seconds_once_cached": taken[n], "kept": len(left),
            "same_bits_while_compiling": bool((draws[:n] == draws[0]).all()), "same_bits_once_cached": bool((draws == draws[0]).all()),
            "largest_difference": float(np.abs(draws - draws[0]).max()), "half_written": [name for name in left if not name.endswith(".zip")]}  # fmt: skip


def code() -> str:
    """Hash of what runs in a fit by either engine, and keeps files; and of this page."""
    package = sources.ROOT / "progression"
    more = [package / name for name in ("store.py", "compile_folder.py", "fitting.py", "fitted.py", "contrasts.py")]
    return sources.code_hash({*sources.engine("marginal"), *sources.engine("nuts"), *sources.page("als_slope"), *more, Path(__file__)})  # fmt: skip


def verdict(facts: Mapping[str, Any]) -> list[str]:
    """What is not as it should be, in words."""
    found = [
        f"{engine}: memory grew by {one['grown_mb']} MB, {one['more_handles']} handles and {one['more_threads']} threads more"
        for engine, one in facts["fits"].items()
        if not one["flat"]
    ]
    cold = facts["cold_cache"]
    if cold["largest_difference"] > SAME or cold["half_written"]:
        found.append(
            f"cold cache: draws differ by {cold['largest_difference']:.1e}, or files were left: {cold['half_written']}"
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both, write the record; 0 if nothing grew and all agreed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.evidence.faults", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--share", type=float, default=1.0, help="this share of the fits: a look, nothing is written")
    given = parser.parse_args(arguments)
    own = code()
    facts: dict[str, Any] = {
        "made": datetime.now(UTC).date().isoformat(), "by": "python -m tests.evidence.faults", "code": own,
        "versions": sources.versions(), "data": "SIMULATED", "cold_cache": cold_cache(),
        "fits": {engine: many_fits(engine, int(n * given.share), STEP[engine]) for engine, n in FITS.items()},
    }  # fmt: skip
    wrong = verdict(facts)
    if given.share == 1:
        RESULT.parent.mkdir(exist_ok=True)
        write_atomically(RESULT, (json.dumps(facts, indent=1) + "\n").encode())
    sys.stdout.write("\n".join(wrong or ["flat memory and handles, the same draws from every process"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
