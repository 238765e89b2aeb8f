"""Operating characteristics that can be checked against others' numbers: kept with their date and a hash of the code.

    python benchmarks/operating.py [STUDY ...] [--trials 10000] [--cores 2] [--runs FOLDER]      # half an hour for all

- healey: the HEALEY platform's base cells (success P(DRR < 1) > 0.979), beside the closed form, the published cells and a z test;
- pilot: 17 treated against 47 historical controls over 52 weeks, with and without drift between them;
- intercept: a model without random slopes, on the pilot's design, under no effect;
- calibration: a rule calibrated on one set of trials without effect, judged on another.

All trials are SIMULATED. Results go into operating.json, and from there into docs/power.md; with --runs a stopped study goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import operating_page
from scipy import stats

import progression as pg
from progression.store import write_atomically

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.evidence import sources  # noqa: E402
from tests.wrong_models import random_intercept  # noqa: E402

KEPT = ROOT / "benchmarks" / "operating.json"
SEED = 20261126
_FILES = ("operating", "trial_job", "decisions", "fitters", "simulating", "generator", "truths", "stated_truth", "trial_course", "schedule",
          "looks", "rules", "arranging", "encoding", "own_rows")  # fmt: skip
CODE = [*sorted(ROOT.glob("progression/engines/*.py")), *(ROOT / "progression" / f"{name}.py" for name in _FILES),
        *(ROOT / "models" / "progression_models" / f"{name}.py" for name in ("als_slope", "als_shared", "parts", "screens"))]  # fmt: skip

# SCIENCE.md, section 2: slopes -1.03 (SD 0.76), residual 1.77; visits every 4 weeks to week 24; 5 % die by then.
WEEKS = [0, 4, 8, 12, 16, 20, 24]
HEALEY = pg.Design(name="as published, nothing goes wrong", arms={"placebo": 120, "active": 120}, visits_weeks=WEEKS)
MONTH_24W = 24 * 7 / (365.25 / 12)
SUCCESS = pg.Rule("drr", "<", 1, probability=0.979)
# One regimen of three that share 40 patients a month and their placebo: 20 a month into these 240. First look when 40 are in: the second
# month; then every 12 weeks. Futility P(DRR < 0.9) < 0.05 is P(DRR >= 0.9) > 0.95.
FUTILITY = pg.Rule("drr", ">=", 0.9, probability=0.95)
LOOKS = tuple(pg.Look(month=float(month), futility=FUTILITY) for month in 2 + np.arange(6) * 12 * 7 / (365.25 / 12))
TRIAL = replace(
    HEALEY, name="drop-out, deaths, futility looks", accrual_per_month=20, dropout_per_month=0.02, looks=LOOKS
)
SLOWING = {"0 %": 1.0, "25 %": 0.75, "30 %": 0.7, "35 %": 0.65}
PUBLISHED = {"0 %": 0.024, "25 %": 0.61, "30 %": 0.77, "35 %": 0.88}
SLOPES = {"mean_level": 38.0, "sd_level": 5.0, "mean_rate": 1.03, "sd_residual": 1.77}

PILOT = pg.Design(name="pilot", arms={"anakinra": 17}, historical={"historical control": 47}, visits_weeks=[0, 4, 8, 12, 24, 36, 52],
                  borrowing=pg.Pooled())  # fmt: skip
BETTER, WORSE = (pg.Rule("slope_difference", sign, 0, probability=0.975) for sign in "><")
SPREADS = {"slopes -0.90 (SD 0.76)": (-0.90, 0.76), "slopes -1.03 (SD 0.59)": (-1.03, 0.59)}
WIDE = {"slope_effect": pg.Prior("Normal", mu=0, sigma=2)}


def healey(n: int, how: dict[str, Any]) -> list[dict[str, Any]]:
    """Base cells: the spread of treated slopes held at 0.76, and shrinking with treatment."""
    model = pg.models()["als_shared"]
    # The trial's own prior of the hazard is improper where nobody dies. Where nobody can, the default would take that for a low hazard,
    # hence for a low ratio, which multiplies the hazard too: type I error 0.032 in place of 0.021.
    hazards = {False: pg.Prior("LogNormal", mu=-14, sigma=1), True: model.priors["hazard"]}
    rows = []
    for design, held in ((HEALEY, True), (HEALEY, False), (TRIAL, True), (TRIAL, False)):
        hazard = -np.log(0.95) / MONTH_24W if design.looks else 1e-9
        truths = {label: {**SLOPES, "hazard": hazard, "drr": drr, "sd_rate": {"placebo": 0.76, "active": 0.76 / drr if held else 0.76}}
                  for label, drr in SLOWING.items()}  # fmt: skip
        if not held:
            del truths["0 %"]  # as with the spread held
        spread = "held at 0.76" if held else "shrinks with the mean"
        found = kept(f"healey {design.name}, {held}", design, "als_shared", SUCCESS, truths, n, how,
                     priors={**model.presets["healey"], "hazard": hazards[bool(design.looks)]})  # fmt: skip
        for label, row in by_truth(found):
            own = {"design": design.name, "spread": spread, "slowing": label, **row}
            if not design.looks:
                own["z_test"] = z_test(design, truths[label], n)
            rows.append(own | ({"published": PUBLISHED[label]} if design.looks else {}))
    return rows


def z_test(design: pg.Design, truth: dict[str, Any], n: int) -> float:
    """Share of the same trials in which a z test of patients' own least-squares slopes succeeds: no model of ours is in it."""
    wins = []
    for first in range(0, n, 1024):
        trials = pg.simulate(design, "als_shared", truth=truth, n=min(1024, n - first), first=first, random_seed=SEED)
        score = trials.values["alsfrsr"].reshape(len(trials), -1, len(WEEKS))
        months = design.visit_months - design.visit_months.mean()
        own = score @ months / (months**2).sum()
        placebo, active = np.split(own, [design.arms["placebo"]], axis=1)
        error = np.sqrt(placebo.var(axis=1, ddof=1) / placebo.shape[1] + active.var(axis=1, ddof=1) / active.shape[1])
        wins.append((active.mean(axis=1) - placebo.mean(axis=1)) / error > stats.norm.ppf(0.979))
    return float(np.concatenate(wins).mean())


def pilot(n: int, how: dict[str, Any]) -> list[dict[str, Any]]:
    """A fifth of the trials for each of many cells: historical controls pooled, doubted, and drifting."""
    rows = []
    ways = {"pooled": pg.Pooled(), "commensurate 0.1": pg.Commensurate(0.1), "robust MAP 0.1": pg.RobustMAP(0.1)}
    designs = {name: replace(PILOT, name=name, borrowing=way) for name, way in ways.items()}
    for spread, (mean, sd) in SPREADS.items():
        base = {
            "mean_level": 40.7,
            "sd_level": 3.9,
            "mean_slope": mean,
            "sd_slope": sd,
            "sd_residual": 1.77,
            "correlation": 0.0,
        }
        truths = {f"slowing {slowing}, drift {drift:+.1f}": {**base, "slope_ratio": ratio, "drift": drift}
                  for slowing, ratio in (("0 %", 1.0), ("30 %", 0.7)) for drift in (-0.2, 0.0, 0.2)}  # fmt: skip
        found = kept(f"pilot {spread}", designs, "als_slope", BETTER, truths, n // 5, how, priors=WIDE)
        rows += [{"slopes": spread, "way": way, "truth": label, **row} for (way, label), row in cells(found)]
        found = kept(f"pilot {spread}, default prior", PILOT, "als_slope", BETTER, truths, n // 5, how)
        rows += [
            {"slopes": spread, "way": "pooled, default prior", "truth": label, **row} for label, row in by_truth(found)
        ]
    return rows


def intercept(n: int, how: dict[str, Any]) -> list[dict[str, Any]]:
    """Both tails of a nominal 5 %, under no effect, of a model without and of one with random slopes."""
    rows = []
    for spread, (mean, sd) in SPREADS.items():
        truth = {"mean_level": 40.7, "sd_level": 3.9, "mean_slope": mean, "sd_slope": sd, "sd_residual": 1.77, "correlation": 0.0,
                 "slope_ratio": 1.0, "drift": 0.0}  # fmt: skip
        for name, model in (("random intercept", random_intercept), ("als_slope", "als_slope")):
            found = kept(f"intercept {spread} {name}", PILOT, model, [BETTER, WORSE], {"null": truth}, n // 5, how, priors=WIDE,
                         simulated_by="als_slope")  # fmt: skip
            wins = round(found.table["success"].sum() * found.records.n)
            first = sum(int(found.ended(0, side).success[:64].sum()) for side in (0, 1))
            between = stats.binomtest(wins, found.records.n).proportion_ci(method="wilson")
            rows.append({"slopes": spread, "model": name, "two_sided": wins / found.records.n, "lower": between.low, "upper": between.high,
                         "trials": found.records.n, "of_first_64": first})  # fmt: skip
    return rows


def calibration(n: int, how: dict[str, Any]) -> list[dict[str, Any]]:
    """A one-sided 5 % by simulation, small arms and a sceptical prior, so that the nominal threshold is not it."""
    design = pg.Design(name="2 x 20", arms={"control": 20, "treated": 20}, visits_weeks=WEEKS, dropout_per_month=0.03)
    truth = {
        "mean_level": 38.0,
        "sd_level": 5.0,
        "mean_slope": -1.03,
        "sd_slope": 0.76,
        "sd_residual": 1.77,
        "correlation": 0.2,
    }
    rule = pg.Rule("slope_difference", ">", 0, probability=0.95)
    sets = [kept(f"calibration {i}", design, "als_slope", rule, {"null": {**truth, "slope_difference": 0.0}}, n, how, seed=SEED + i)
            for i in range(2)]  # fmt: skip
    made = sets[0].calibrated(0.05)
    rows = []
    for name, one in (("nominal", rule), ("calibrated on set 1", made)):
        for i, own in enumerate(sets, start=1):
            ((_, row),) = by_truth(own.with_rule(one))
            rows.append({"threshold": one.probability, "rule": name, "set": i} | row)
    return rows


def kept(
    name: str,
    design: Any,
    model: Any,
    rule: Any,
    truths: Any,
    n: int,
    how: dict[str, Any],
    *,
    seed: int = SEED,
    **settings: Any,
) -> Any:
    """A run, in a folder of its own where one is given; says how long it took."""
    start = time.perf_counter()
    # What another state of the code made is not taken up.
    own = hashlib.sha256(f"{code_hash()} {name}".encode()).hexdigest()[:12]
    folder = how["runs"] and Path(how["runs"]) / own
    found = pg.power(
        design, model, rule, truths=truths, n_trials=n, random_seed=seed, path=folder, cores=how["cores"],
        chunk=256 if n >= 2048 else 64, **settings,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(f"{name}: {seconds:.0f} s\n{found}\n", flush=True)
    how["seconds"][name] = round(seconds, 1)
    return found


def figures(row: Any) -> dict[str, Any]:
    """What is kept of a cell."""
    names = ("success", "se", "lower", "upper", "closed_form", "true", "estimate", "bias", "bias_se", "coverage", "stop_futility", "patients",
             "months", "trials", "failed", "flagged", "by_nuts", "if_flagged_fail", "if_flagged_succeed")  # fmt: skip
    return {name: int(row[name]) if name in ("trials", "failed", "flagged", "by_nuts") else round(float(row[name]), 6)
            for name in names if np.isfinite(row[name])}  # fmt: skip


def cells(found: Any) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    """Each cell by its labels, for a run with one rule; with the successes of its first 64 trials, which CI repeats."""
    rows = (figures(row) for _, row in found.table.iterrows())
    first = (int(found.ended(number).success[:64].sum()) for number in range(len(found.cells)))
    return [(labels, row | {"of_first_64": own}) for labels, row, own in zip(found.cells, rows, first, strict=True)]


def by_truth(found: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(truth, row) for (_, truth), row in cells(found)]


def code_hash() -> str:
    """Of what the results depend on, comments and docstrings left out."""
    return sources.code_hash(CODE)


STUDIES = {"healey": healey, "pilot": pilot, "intercept": intercept, "calibration": calibration}


def main() -> int:
    """Run the studies asked for, and keep each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(STUDIES) + "; all where none is named")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=None)
    given = parser.parse_args()
    if unknown := set(given.studies) - set(STUDIES):
        parser.error(f"no study is called {', '.join(sorted(unknown))}")
    for name in given.studies or STUDIES:
        how = {"cores": given.cores, "runs": given.runs, "seconds": {}}
        rows = STUDIES[name](given.trials, how)
        before = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
        before[name] = {"provenance": "SIMULATED trials", "made": f"{datetime.now(UTC):%Y-%m-%d}", "trials": given.trials, "code": code_hash(), "cores": given.cores,
                        "seed": SEED, "seconds": how["seconds"], "rows": rows}  # fmt: skip
        write_atomically(KEPT, (json.dumps(before, indent=1) + "\n").encode())
    operating_page.write(json.loads(KEPT.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
