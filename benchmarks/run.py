"""Time the main road against plain PyMC, side by side, in turn, on this machine; one command, one table.

Whole processes are timed from outside (shell to contrast), each way in turn so that a slow moment hits both; the
figures to quote are the medians and the ratios. Writes benchmarks/results.json and prints the same as a table.

    python benchmarks/run.py [--runs 5] [--cold]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import trials

HERE = Path(__file__).parent
SECOND_FIT = """
import json, sys, time, warnings
import progression as pg
warnings.simplefilter("ignore")
cohort = pg.read_csv(sys.argv[1], time_unit="weeks", columns={"time": "week"}, outcomes=["alsfrsr"], allocation="randomised")
seconds, draws = [], []
for seed in range(6):
    start = time.perf_counter()
    fit = pg.fit("als_slope", cohort, random_seed=seed, progressbar=False)
    seconds.append(time.perf_counter() - start)
    draws.append(float(fit.diagnostics.table.loc["slope_effect[treated]", "ess_bulk"]))
print(json.dumps({"seconds": seconds, "draws": draws}))
"""


def timed(command: list[str], env: dict[str, str] | None = None) -> float:
    """Wall seconds of one process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)
    return time.perf_counter() - start


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="also time both with empty caches (once each)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.csv"
        trials.write_csv(trial)
        ours = [sys.executable, "-c", "from progression.cli import main; main()", "fit", "als_slope", str(trial),
                "--time-unit", "weeks", "--column", "time=week", "--allocation", "randomised", "--seed", "1"]  # fmt: skip
        plain = [sys.executable, str(HERE / "plain_pm_sample.py"), str(trial)]
        found: dict[str, object] = {}
        if options.cold:
            for name, command in (("cold_ours", ours), ("cold_plain", plain)):
                with tempfile.TemporaryDirectory() as cache:
                    env = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={cache}", "NUMBA_CACHE_DIR": cache}
                    found[name] = timed(command, env)
        timed(ours), timed(plain)  # warm every cache
        pairs = [(timed(ours), timed(plain)) for _ in range(options.runs)]
        found |= {
            "ours_s": statistics.median(a for a, _ in pairs), "plain_s": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(a / b for a, b in pairs), "pairs": pairs,
        }  # fmt: skip
        second = json.loads(subprocess.run([sys.executable, "-c", SECOND_FIT, str(trial)], check=True, capture_output=True,
                                           text=True).stdout)  # fmt: skip
        found |= {
            "second_fit_s": statistics.median(second["seconds"][1:]), "second_fit_worst_s": max(second["seconds"][1:]),
            "effective_draws_of_effect": second["draws"], "first_fit_s": second["seconds"][0],
        }  # fmt: skip
        for package in ("progression", "pymc", "progression.cli"):
            code = f"import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
            runs = [float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
                    for _ in range(options.runs)]  # fmt: skip
            found[f"import_{package}_s"] = statistics.median(runs)
        help_ = [sys.executable, "-c", "from progression.cli import main; main()", "--help"]
        found["help_s"] = statistics.median(timed(help_) for _ in range(options.runs))
    found |= {"cores": os.cpu_count(), "python": platform.python_version(), "date": datetime.now(UTC).isoformat()[:10]}
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, value in found.items():
        print(f"{name:28} {value:.3f}" if isinstance(value, float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
