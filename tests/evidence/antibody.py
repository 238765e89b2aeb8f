"""Does als_antibody give the truth back, and is putting the onset at the visit date biased where it is not?

    python -m tests.evidence.antibody            # an hour or two on two cores; goes on where it was cut off

Two sets of simulated trials, 100 patients an arm, visits at months 0, 1, ..., 12 (`tests.simulators.als_antibody`):

- `coverage`: tests for antibodies at every visit; effects drawn from the model's own priors, the rest fixed. Intervals
  of a posterior then cover as often as they say, and errors are zero on average.
- `visit date`: tests every third month; effects 0.6 before and 0 after, with wide priors. Each trial is analysed as it
  is, and once more with each onset put at the visit of its first positive test.

Writes tests/evidence/antibody.json; one small file a trial is kept in a work folder (``--work``).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import progression as pg
from progression.store import write_atomically
from tests import simulators
from tests.evidence import sources
from tests.evidence.effort import core_hours

RESULT = Path(__file__).parent / "antibody.json"
SETS = {"coverage": 200, "visit date": 60}
FIXED = {"mean_level": 38.0, "sd_level": 5.0, "mean_slope": -1.03, "sd_slope": 0.76, "correlation": 0.1,
         "sd_residual": 1.77, "share_converting": 0.8, "median_onset": 3.0, "onset_shape": 1.4}  # fmt: skip
PRIOR_SD, WIDE = 0.5, pg.Prior("Normal", mu=0, sigma=2)
ASKED = ("slope_difference_before", "slope_difference_after", "loss_of_effect")
LEVELS = (0.5, 0.9, 0.95)


def truth(kind: str, index: int) -> dict[str, float]:
    """Effects of one simulated trial."""
    if kind != "coverage":
        return {"effect_before": 0.6, "effect_after": 0.0}
    before, after = np.random.default_rng([4, 1, index]).normal(0, PRIOR_SD, 2)
    return {"effect_before": float(before), "effect_after": float(after)}


def asked(at: dict[str, float]) -> dict[str, float]:
    """The value of each estimand where the effects are these."""
    before, after = at["effect_before"], at["effect_after"]
    return dict(zip(ASKED, (before, after, after - before), strict=True))


def table(kind: str, index: int) -> pd.DataFrame:
    """Visits of one simulated trial, with the intervals of onset and, in the column `onset`, their truth."""
    tests = range(0, 13, 1 if kind == "coverage" else 3)
    return simulators.als_antibody(np.random.default_rng([4, list(SETS).index(kind), 2, index]), months=range(13), tests=tests,
                                   n_per_arm={"control": 100, "treated": 100}, **FIXED, **truth(kind, index))  # fmt: skip


def at_visit_date(visits: pd.DataFrame) -> pd.DataFrame:
    """Each onset put at the visit of the first positive test."""
    seen = np.isfinite(visits["onset_upper"])
    return visits.assign(onset_lower=visits["onset_upper"].where(seen, visits["onset_lower"]))


def cohort(visits: pd.DataFrame) -> pg.Cohort:
    return pg.Cohort.from_table(visits.drop(columns="onset"), time_unit="months", outcomes=["alsfrsr"], provenance="simulated",
                                allocation="randomised", arms=["control", "treated"])  # fmt: skip


def analyse(visits: pd.DataFrame, at: dict[str, float], seed: int, *, wide: bool, draws: int = 4000) -> dict[str, Any]:
    """Posterior mean, SD and the rank of the truth, for each estimand; the engine that gave them.

    Through `fit_many`, which keeps the compiled program for the next trial.
    """
    priors = {"effect_before": WIDE, "effect_after": WIDE} if wide else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pg.fit_many("als_antibody", [cohort(visits)], priors=priors, estimands=list(ASKED), draws=draws,
                            random_seed=seed, progressbar=False)  # fmt: skip
    wanted = asked(at)
    own = {name: found.draws[name].to_numpy().ravel() for name in ASKED}
    state = found.diagnostics.iloc[0]
    return {
        "engine": state["engine"], "problem": state["problem"], "pareto_k": round(float(state["pareto_k"]), 3),
        **{name: [round(float(v), 6) for v in (x.mean() - wanted[name], x.std(), np.mean(x < wanted[name]))]
           for name, x in own.items()},
    }  # fmt: skip


def one(kind: str, index: int) -> dict[str, Any]:
    """One trial: how it was analysed, and what came out."""
    visits, at = table(kind, index), truth(kind, index)
    if kind == "coverage":
        return {"model": analyse(visits, at, index, wide=False)}
    return {
        "model": analyse(visits, at, index, wide=True),
        "visit date": analyse(at_visit_date(visits), at, index, wide=True),
    }


def summary(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Coverage of intervals, mean error with its standard error, and mean posterior SD, of each way and estimand."""
    found: dict[str, Any] = {}
    for way in (name for name in trials[0] if name != "took"):
        for name in ASKED:
            error, sd, rank = np.array([one[way][name] for one in trials]).T
            found.setdefault(way, {})[name] = {
                "mean_error": round(float(error.mean()), 4), "standard_error": round(float(error.std(ddof=1) / np.sqrt(len(error))), 4),
                "mean_sd": round(float(sd.mean()), 4),
                "coverage": {f"{level:g}": round(float(np.mean(np.abs(rank - 0.5) < level / 2)), 3) for level in LEVELS},
            }  # fmt: skip
        engines = [one[way]["engine"] for one in trials]
        found[way]["by_nuts"] = engines.count("nuts")
        found[way]["problems"] = sum(bool(one[way]["problem"]) for one in trials)
    return found


def work(kind: str, index: int, folder: Path) -> dict[str, Any]:
    path = folder / f"{kind.replace(' ', '-')}-{index:03d}.json"
    if not path.exists():
        begin = time.perf_counter()
        made = one(kind, index)
        write_atomically(path, json.dumps({**made, "took": round(time.perf_counter() - begin, 1)}).encode())
    return json.loads(path.read_text())


def works(jobs: Sequence[tuple[str, int]], folder: Path) -> list[dict[str, Any]]:
    return [work(*job, folder) for job in jobs]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done; write the result if nothing is missing."""
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(prog="python -m tests.evidence.antibody", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("evidence-runs/antibody"), help="folder for one file a trial")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=SETS, nargs="+", default=list(SETS))
    parser.add_argument("--trials", type=int, help="only the first of each set: nothing is written")
    given = parser.parse_args(arguments)
    folder = given.work / sources.code_hash(sources.page("als_antibody"))  # nothing old is taken for new
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(kind, k) for kind in given.only for k in range(min(given.trials or SETS[kind], SETS[kind]))]
    shares = [
        jobs[i :: given.workers] for i in range(given.workers)
    ]  # one task a worker, which keeps its compiled program
    done = Parallel(n_jobs=given.workers)(delayed(works)(share, folder) for share in shares)
    found = [done[i % given.workers][i // given.workers] for i in range(len(jobs))]
    sets = {kind: [x for (k, _), x in zip(jobs, found, strict=True) if k == kind] for kind in given.only}
    result = {kind: {"trials": len(own), **summary(own)} for kind, own in sets.items()}
    print(json.dumps(result, indent=1))
    if {kind: len(own) for kind, own in sets.items()} == SETS:
        facts = {"made": datetime.now(UTC).strftime("%Y-%m-%d"), "by": "python -m tests.evidence.antibody",
                 "page": folder.name, "versions": sources.versions(), "truth": FIXED,
                 "core_hours": core_hours(found)}  # fmt: skip
        write_atomically(RESULT, (json.dumps({**facts, **result}, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
