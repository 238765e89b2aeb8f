"""als_shared on trials of the size and slopes of the verdiperstat trial: width, coverage and bias of the disease rate ratio.

    python -m tests.evidence.shared      # six minutes; writes tests/evidence/shared.json

The trial: 126 active against 164 shared placebo patients, slopes -1.02 and -1.05 points/month, DRR 0.98 (0.77 to 1.24). Its
spread of slopes, residual SD, visits, drop-out and mortality are those of the platform's own simulations (slope SD 0.76,
residual 1.77, weeks 0, 4, ..., 24, 2 % a month, 5 % by week 24). All trials are SIMULATED.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import stats

import progression as pg
from progression.store import write_atomically
from tests import simulators
from tests.evidence import sources

RESULT = Path(__file__).parent / "shared.json"
PAGE = Path(__file__).parents[2] / "docs" / "_static" / "evidence_shared.md"
ARMS = {"control": 164, "treated": 126}
DRR, RATE = 1.02 / 1.05, 1.05
MONTHS = np.arange(0, 25, 4) * 12 / 52
PUBLISHED = {"drr": 0.98, "lower": 0.77, "upper": 1.24, "slope_sd": 0.09}
LEVELS = (0.5, 0.9, 0.95)


def trials(n: int, seed: int = 20261125) -> list[pg.Cohort]:
    """Simulated trials, by NumPy alone; treatment multiplies each patient's own rate."""
    made = []
    for k in range(n):
        visits, subjects = simulators.als_shared(
            np.random.default_rng([seed, k]), n_per_arm=ARMS, months=MONTHS, mean_rate=RATE, rate_ratio={"treated": DRR},
            hazard=-np.log(0.95) / MONTHS[-1], dropout_per_month=0.02,
        )  # fmt: skip
        made.append(pg.Cohort.from_table(visits, subjects, time_unit="months", outcomes=["alsfrsr"], arms=list(ARMS),
                                         allocation="randomised", provenance="simulated"))  # fmt: skip
    return made


def measure(n: int, *, cores: int = 2, priors: str | None = None, progressbar: bool = True) -> dict[str, Any]:
    """Fit `n` trials, and judge the disease rate ratio."""
    fits = pg.fit_many("als_shared", trials(n), priors=priors, random_seed=1, cores=cores, progressbar=progressbar)
    drr = fits.draws["drr"].isel(active_arm=0).to_numpy()
    rank = (drr < DRR).mean(axis=1)
    hits = {f"{level:.0%}": int(np.sum(np.abs(rank - 0.5) < level / 2)) for level in LEVELS}
    bounds = np.quantile(drr, [0.025, 0.975], axis=1).mean(axis=1)
    errors = drr.mean(axis=1) - DRR
    slopes = fits.draws["slope"].std("draw").mean("data_set")
    return {
        "trials": n, "priors": priors or "default", "problems": len(fits.problems),
        "fell_back": int((fits.diagnostics["fell_back"] != "").sum()),
        "mean_sd": round(float(drr.std(axis=1).mean()), 4), "mean_interval": [round(float(b), 3) for b in bounds],
        "bias": round(float(errors.mean()), 4), "bias_error": round(float(errors.std(ddof=1) / n**0.5), 4),
        "sd_of_means": round(float(errors.std(ddof=1)), 4), "covered": hits,
        "slope_sd": {str(arm): round(float(slopes.sel(arm=arm)), 4) for arm in slopes["arm"].to_numpy()},
    }  # fmt: skip


def expected(hits: int, n: int, level: float) -> bool:
    """Whether a number of intervals that cover lies within what 99 % of studies of calibrated intervals would see."""
    low, high = stats.binom.ppf([0.005, 0.995], n, level)
    return bool(low <= hits <= high)


def unlike(found: dict[str, Any]) -> set[tuple[str, str]]:
    """Priors and levels whose number of intervals that cover is not what it should be."""
    return {(name, level) for name, one in found.items() for level, hits in one["covered"].items()
            if not expected(hits, one["trials"], float(level.rstrip("%")) / 100)}  # fmt: skip


def in_words(facts: dict[str, Any]) -> str:
    """The result as a table for the page of the model."""
    published = facts["published"]
    lines = [
        "<!-- made by python -m tests.evidence.shared: do not edit -->", "",
        f"*{facts['made']}: {facts['results']['default']['trials']} SIMULATED trials, 126 treated and 164 control patients, "
        f"true DRR {facts['truth']:.3f}.*", "",
        "| priors | mean posterior SD of the DRR | mean 95 % interval | bias (its error) | SD of the estimates | "
        + " | ".join(f"{level:.0%} intervals that cover" for level in LEVELS) + " |",
        "| --- " + "| ---: " * (4 + len(LEVELS)) + "|",
    ]  # fmt: skip
    for name, one in facts["results"].items():
        share = " | ".join(f"{hits / one['trials']:.1%}" for hits in one["covered"].values())
        low, high = one["mean_interval"]
        lines.append(f"| {name} | {one['mean_sd']:.3f} | {low:.2f} to {high:.2f} | {one['bias']:+.3f} ({one['bias_error']:.3f}) | "
                     f"{one['sd_of_means']:.3f} | {share} |")  # fmt: skip
    lines += ["", f"Published for the trial itself: DRR {published['drr']} ({published['lower']} to {published['upper']}), and slopes "
              f"with a posterior SD of {published['slope_sd']}; here {facts['results']['healey']['slope_sd']['control']:.3f} and "
              f"{facts['results']['healey']['slope_sd']['treated']:.3f}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the result; 0 if coverage is nominal under the default priors and those of the plan."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.shared", description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    begin = time.perf_counter()
    found = {name: measure(given.trials, cores=given.cores, priors=priors)
             for name, priors in (("default", None), ("healey", "healey"))}  # fmt: skip
    facts = {"made": datetime.now(UTC).date().isoformat(), "by": "python -m tests.evidence.shared", "truth": DRR,
             "published": PUBLISHED, "sources": sources.sources("als_shared", "marginal"),
             "versions": sources.versions(), "core_hours": round(given.cores * (time.perf_counter() - begin) / 3600, 2), "results": found}  # fmt: skip
    write_atomically(given.out, (json.dumps(facts, indent=1) + "\n").encode())
    if given.out == RESULT:
        write_atomically(PAGE, in_words(facts).encode())
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return int(bool(unlike(found)))


if __name__ == "__main__":
    sys.exit(main())
