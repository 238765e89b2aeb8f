"""One trial, six tools: seconds until the treatment contrast stands to 1 % of its posterior SD.

The mean of a parameter has a Monte Carlo error of 1 % of its posterior SD at 10,000 effective draws. Each tool is run
with about as many draws as give that, by a first try, and what still lacks is reckoned from

    seconds = measured + sampling x (10,000 / effective draws - 1)

where `sampling` is what a fit takes beyond the same fit with 20 draws. Effective draws (of the mean) are computed here,
by one estimator for all, from the draws each tool hands over.
"""

import math
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import arviz as az
import numpy as np
import trials

HERE = Path(__file__).parent
TOOLS = ("nuts", "marginal", "pm_sample", "bambi", "brms", "rstanarm")
WANTED = 10_000  # effective draws
TUNE, FIRST_DRAWS = 1000, 1000


def measure(ways: dict[str, dict], *, runs: int, cores: int, longest: float) -> dict[str, dict]:
    """Time all tools, each in turn.

    Parameters
    ----------
    ways : mapping
        Of each tool its command and versions; empty where it is not installed.
    runs : int
        Processes in each state of the caches; two at most for a tool whose fits run into `longest`.
    longest : float
        Seconds for which a fit may run; beyond, draws are fewer and time is reckoned.
    """
    found: dict[str, dict] = {tool: {"installed": bool(way), **way} for tool, way in ways.items()}
    for one in found.values():
        one.pop("command", None)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"trial_{seed}.csv" for seed in (1, 2, 3)]
        for seed, path in enumerate(paths, start=1):
            trials.write_csv(path, seed)
        caches = {tool: Path(folder) / f"cache_{tool}" for tool in ways}

        def run(tool: str, draws: int, warm: int, cache: Path | None) -> list[dict]:
            try:
                return _process(ways[tool]["command"], tool, draws, warm, cache, cores, paths)
            except (
                RuntimeError
            ) as error:  # a crash of one process shall not cost the hour before it: tell, and once more
                print(error, flush=True)
                found[tool].setdefault("crashes", []).append(str(error).splitlines()[0])
                return _process(ways[tool]["command"], tool, draws, warm, cache, cores, paths)

        usable = [tool for tool, way in ways.items() if way]
        for tool in usable:  # a first try, which fills the caches and says how many draws are needed
            if tool == "brms":
                run(tool, FIRST_DRAWS, 0, caches[tool])  # compiles and saves the model, fits nothing
            found[tool] |= _plan(run(tool, FIRST_DRAWS, 1, caches[tool]), longest)
            found[tool] |= {"cold": [], "again": [], "warm": [], "fixed": []}
            print(f"  {tool:10} {found[tool]['draws']} draws a chain", flush=True)
        for number in range(runs):
            for tool in usable:
                one = found[tool]
                if one["slow"] and number >= 2:
                    continue  # minutes each, and alike
                one["cold"] += run(tool, one["draws"], 0, None)
                made = run(tool, one["draws"], 1 if one["slow"] else 2, caches[tool])
                for kind, where in (("first", "again"), ("warm", "warm"), ("fixed", "fixed")):
                    one[where] += [fit for fit in made if fit["kind"] == kind]
                print(f"  run {number + 1} {tool:10} cold {one['cold'][-1]['seconds']:.1f} s, "
                      f"again {one['again'][-1]['seconds']:.1f} s, warm {one['warm'][-1]['seconds']:.2f} s", flush=True)  # fmt: skip
    for tool in usable:
        _reckon(found[tool])
    return found


def _plan(fits: list[dict], longest: float) -> dict[str, object]:
    """How many draws a chain give what is wanted; fewer where that takes too long."""
    kinds = {fit["kind"]: fit for fit in fits}
    fixed, warm = kinds["fixed"]["seconds"], kinds["warm"]["seconds"]
    each = max(warm - fixed, 1e-6) / FIRST_DRAWS
    effective = statistics.mean(kinds[kind]["effective"] for kind in ("first", "warm"))
    needed = math.ceil(FIRST_DRAWS * 1.03 * WANTED / effective / 100) * 100
    affordable = int((longest - fixed) / each / 100) * 100
    draws = max(FIRST_DRAWS, min(needed, affordable))
    return {"draws": draws, "needed": needed, "slow": fixed + each * needed > longest}


def _reckon(one: dict) -> None:
    """Medians over runs, at the accuracy wanted; as measured they stay beside."""
    sampling = max(
        0.0, statistics.median(w["seconds"] - f["seconds"] for w, f in zip(one["warm"], one["fixed"], strict=True))
    )
    one["sampling_s"] = sampling
    for kind in ("cold", "again", "warm"):
        times = [fit["seconds"] + sampling * (WANTED / fit["effective"] - 1) for fit in one[kind]]
        one[f"{kind}_s"] = statistics.median(times)
        one[f"{kind}_measured_s"] = statistics.median(fit["seconds"] for fit in one[kind])
    one["fixed_s"] = statistics.median(fit["seconds"] for fit in one["fixed"])
    one["effective"] = statistics.median(fit["effective"] for kind in ("cold", "again", "warm") for fit in one[kind])
    first = one["cold"] + one["again"]  # all of the same trial
    one["effect_mean"], one["effect_sd"] = (statistics.mean(fit[name] for fit in first) for name in ("mean", "sd"))


def _process(command: list[str], tool: str, draws: int, warm: int, cache: Path | None, cores: int,
             paths: list[Path]) -> list[dict]:  # fmt: skip
    """Run a worker; its fits, the first counted from the start of the process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.mkdir()
        filled = cache or Path(folder) / "cache"
        filled.mkdir(exist_ok=True)
        env = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={filled}", "NUMBA_CACHE_DIR": str(filled)}
        words = [command[0], str(HERE / command[1]), tool, str(out), str(cores), str(TUNE), str(draws), str(warm)]
        if command[1].endswith(".R"):
            words.append(str(cache / "model.rds") if cache and tool == "brms" else "-")
        started = time.time()
        done = subprocess.run([*words, *map(str, paths)], capture_output=True, text=True, env=env)
        if done.returncode:
            raise RuntimeError(f"{tool} ended with status {done.returncode}\n{done.stderr[-2000:]}")
        listed = out / "fits.tsv"
        return (
            [_fit(out, k, line, started) for k, line in enumerate(listed.read_text().splitlines())]
            if listed.exists()
            else []
        )


def _fit(out: Path, number: int, line: str, started: float) -> dict:
    kind, clock, seconds = line.split("\t")
    draws = np.loadtxt(out / f"{number}.csv", delimiter=",").T
    return {
        "kind": kind, "seconds": float(clock) - started if kind == "first" else float(seconds),
        "effective": float(az.ess(draws, method="mean")), "mean": float(draws.mean()), "sd": float(draws.std()),
    }  # fmt: skip
