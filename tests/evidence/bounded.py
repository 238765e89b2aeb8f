"""A known effect in points/month where a quarter of the scores sit at the floor: found by als_bounded, by als_slope not.

    python -m tests.evidence.bounded    # about ten minutes on two cores

Simulates trials with `tests/simulators.py`, fits both models to each and writes tests/evidence/bounded.json. The truth in
points/month is an integral over level and slope taken there, by nothing of the package under test.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

if not __package__:  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import progression as pg
from progression.store import write_atomically
from tests import simulators
from tests.evidence import sources

RESULT = Path(__file__).parent / "bounded.json"
TRIALS, CHECKED = 150, 10
MONTHS, WINDOW = [0, 2, 4, 6, 8, 10, 12], 12.0
PATIENTS = {"control": 60, "treated": 60}
# Bulbar and limb function largely lost at the start: 12 points on average, and every fourth score over the year is 0.
SEVERE = {"mean_level": -1.25, "sd_level": 1.2, "mean_slope": -0.3, "sd_slope": 0.15, "correlation": 0.2}
OVERDISPERSION, EFFECT, DROPOUT = 0.02, 0.12, 0.01
SHARES = (0.5, 0.9, 0.95)
console = Console()


def truth() -> float:
    """The effect in points/month: difference of the mean changes over the window, divided by it."""
    treated = SEVERE | {"mean_slope": SEVERE["mean_slope"] + EFFECT}
    return (simulators.mean_bounded_score(WINDOW, **treated) - simulators.mean_bounded_score(WINDOW, **SEVERE)) / WINDOW


def cohort(index: int) -> pg.Cohort:
    """The trial of that number, always the same one."""
    table = simulators.als_bounded(
        np.random.default_rng([20261125, index]), n_per_arm=PATIENTS, months=MONTHS, overdispersion=OVERDISPERSION,
        slope_effect={"treated": EFFECT}, dropout_per_month=DROPOUT, **SEVERE,
    ).drop(columns="x0")  # fmt: skip
    outcome = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)
    return pg.Cohort.from_table(table, time_unit="months", outcomes=[outcome], arms=list(PATIENTS), allocation="randomised",
                                provenance="simulated", name=f"severe {index}")  # fmt: skip


def recovery(model: str, cohorts: Sequence[pg.Cohort], cores: int, **at: float) -> dict[str, Any]:
    """Bias and coverage of the primary estimand of a model, over trials."""
    fits = pg.fit_many(model, cohorts, estimands="slope_difference", random_seed=1, draws=2000, cores=cores, progressbar=False,
                       **at)  # fmt: skip
    draws = fits.draws["slope_difference"].isel(active_arm=0).transpose("data_set", "draw").to_numpy()
    return judge(draws, truth()) | {
        "by_nuts": int((fits.diagnostics["engine"] == "nuts").sum()),
        "with_problems": len(fits.problems),
        "means": [float(f"{value:.4g}") for value in draws.mean(axis=1)],
        "ranks": [float(f"{value:.4g}") for value in (draws < truth()).mean(axis=1)],
    }


def judge(draws: np.ndarray, true: float) -> dict[str, Any]:
    """Bias, its standard error, coverage, and posterior SD beside the SD of the estimates; draws (trials, draws)."""
    mean, rank = draws.mean(axis=1), (draws < true).mean(axis=1)
    return {
        "bias": float(mean.mean() - true),
        "bias_error": float(mean.std(ddof=1) / np.sqrt(len(mean))),
        "coverage": {f"{share:g}": float(np.mean(np.abs(rank - 0.5) < share / 2)) for share in SHARES},
        "posterior_sd": float(draws.std(axis=1, ddof=1).mean()),
        "sd_of_estimates": float(mean.std(ddof=1)),
    }


def failures(model: str, cohorts: Sequence[pg.Cohort], **how: Any) -> dict[str, int]:
    """In how many trials the predictive check of a model fails, and in how many by the share at the floor."""
    found = {"trials": len(cohorts), "failed": 0, "floor": 0}
    for one in cohorts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pg.FitWarning)
            fit = pg.fit(model, one, random_seed=1, progressbar=False, **how)
        check = pg.check(fit, draws=500)
        floor = check.table[check.table["statistic"] == "share at the floor"]
        found["failed"] += not check.passed
        found["floor"] += bool((~floor["ok"]).any())
    return found


def hashes() -> Mapping[str, str]:
    """Of the code that the result rests on."""
    shelf = sources.SHELF
    files = [shelf / "als_bounded.py", shelf / "standardised.py", shelf / "parts.py"]
    return {"als_bounded": sources.code_hash(files)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all of it and write the result; 0 if the model covers and is unbiased."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.bounded", description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--checked", type=int, default=CHECKED, help="trials whose predictive checks are run")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    begin = time.perf_counter()
    cohorts = [cohort(index) for index in range(given.trials)]
    floor = np.mean([(one.visits["alsfrsr"] == 0).mean() for one in cohorts])
    found: dict[str, Any] = {
        "made": f"{datetime.now(UTC):%Y-%m-%d}", "by": "python -m tests.evidence.bounded", "trials": given.trials,
        "patients": PATIENTS, "months": MONTHS, "window": WINDOW, "effect": truth(), "share_at_floor": float(floor),
        "sources": hashes(), "versions": sources.versions(),
    }  # fmt: skip
    found["als_slope"] = recovery("als_slope", cohorts, given.cores)
    found["als_bounded"] = recovery("als_bounded", cohorts, given.cores, month=WINDOW)
    few = cohorts[: given.checked]
    found["checks"] = {"als_slope": failures("als_slope", few), "als_bounded": failures("als_bounded", few, tune=700)}
    found["core_hours"] = round(given.cores * (time.perf_counter() - begin) / 3600, 2)
    write_atomically(given.out, (json.dumps(found, indent=1) + "\n").encode())
    for model in ("als_bounded", "als_slope"):
        one, check = found[model], found["checks"][model]
        console.print(f"{model}: bias {one['bias']:.4f} ({one['bias_error']:.4f}) of {truth():.4f} points/month, coverage "
                      f"{one['coverage']}; predictive check failed in {check['failed']} of {check['trials']}, at the floor in "
                      f"{check['floor']}")  # fmt: skip
    return 0 if met(found["als_bounded"]) else 1


def met(one: Mapping[str, Any]) -> bool:
    """Unbiased within 3.3 standard errors, and coverage within binomial bounds at the 1 % level."""
    n = len(one["ranks"])
    hits = {share: one["coverage"][f"{share:g}"] - share for share in SHARES}
    covers = all(abs(off) < 2.58 * np.sqrt(share * (1 - share) / n) + 0.5 / n for share, off in hits.items())
    return bool(abs(one["bias"]) < 3.3 * one["bias_error"]) and covers


if __name__ == "__main__":
    sys.exit(main())
