"""Does sle_activity give the truth back: with two fifths of CRP below a limit, and with patients who leave because of a flare?

    python -m tests.evidence.activity            # half an hour on two cores; goes on where it was cut off

Simulated trials of 2 x 60 patients at months 0, 1 and 3 (`tests.simulators.sle_activity`); effects and time course drawn from the
model's own priors, the rest fixed. Intervals of a posterior then cover as often as they say, and errors are zero on average. The
first of them are analysed twice more, with the limit and with half of it in the place of what lies below it. In other trials a flare,
the likelier the higher activity is, ends a patient's visits: analysed with the time to flare, and as if drop-out were at random.

Writes tests/evidence/activity.json; one small file a trial is kept in a work folder (``--work``).
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

RESULT = Path(__file__).parent / "activity.json"
TRIALS, SUBSTITUTED, FLARING = 200, 30, 80
MONTHS, LIMIT = (0, 1, 3), 1.05
FIXED = {
    "sd_visit": 0.4, "count_level": [-0.5, -1.2], "count_loading": [0.8, 1.0], "sd_count": [0.4, 0.4], "overdispersion": [0.05, 0.05],
    "marker_level": [0.4], "marker_loading": [0.7], "sd_marker": [0.6], "sd_residual": [0.6],
}  # fmt: skip
FLARES = {"sd_visit": 0.8, "flare_hazard": 0.15, "flare_loading": 1.2}
HOW = ("shared", "at random")
COUNTS = ("tender_joints", "swollen_joints")
LEVELS = (0.5, 0.9, 0.95)
WAYS = {"model": None, "the limit": 1.0, "half the limit": 0.5}


def truth(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Time course and effect of one trial, each (2,), from the priors of the model."""
    drawn = np.random.default_rng([7, 1, index]).normal(size=(2, 2))
    return drawn[0], drawn[1]


def asked(course: np.ndarray, effect: np.ndarray) -> dict[str, float]:
    """The value of each estimand at the last visit; ratios as logarithms, of counts by quadrature of this file's own."""
    found = {
        "activity_effect": float(effect[1]),
        "later_effect": float(effect[1] - effect[0]),
        "crp_ratio": float(FIXED["marker_loading"][0] * effect[1]),
    }  # type: ignore[index]
    for k, name in enumerate(COUNTS):
        level, loading, own = (FIXED[key][k] for key in ("count_level", "count_loading", "sd_count"))  # type: ignore[index]
        spread = float(np.hypot(loading * np.hypot(1, FIXED["sd_visit"]), own))  # type: ignore[call-overload]
        shares = [
            simulators.mean_share(level + loading * moved, spread) for moved in (course[1] + effect[1], course[1])
        ]
        found[name] = float(np.log(shares[0] / shares[1]))
    return found


def table(index: int) -> pd.DataFrame:
    course, effect = truth(index)
    return simulators.sle_activity(np.random.default_rng([7, 2, index]), n_per_arm={"control": 60, "treated": 60}, months=MONTHS,
                                   time_course=list(course), effect={"treated": list(effect)}, detection_limit=LIMIT, **FIXED)  # fmt: skip


def cohort(visits: pd.DataFrame, put: float | None) -> pg.Cohort:
    """As it is, or with a multiple of the limit in the place of what lies below it."""
    limit = LIMIT if put is None else None
    if put is not None:
        below = visits.pop("crp_mg_dl_censored")
        visits["crp_mg_dl"] = visits["crp_mg_dl"].where(~below, put * LIMIT)
    crp = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=limit)
    return pg.Cohort.from_table(visits, time_unit="months", outcomes=[*COUNTS, crp], provenance="simulated", allocation="randomised",
                                arms=["control", "treated"])  # fmt: skip


def analyse(visits: pd.DataFrame, put: float | None, index: int) -> dict[str, Any]:
    """Error of the posterior mean, SD and the rank of the truth, for each estimand."""
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = pg.fit("sle_activity", cohort(visits.copy(), put), random_seed=index, draws=600, tune=600, chains=2, cores=1, progressbar=False)  # fmt: skip
        found = pg.contrast(fit)
    own = {
        name: found.select(name, **({"visit": 3} if name == "activity_effect" else {}))
        for name in ("activity_effect", "later_effect")
    }
    own["crp_ratio"] = np.log(found.select("crp_ratio", visit=3))
    own |= {name: np.log(found.select("count_ratio", visit=3, outcome=name)) for name in COUNTS}
    wanted = asked(*truth(index))
    plain = {name: np.asarray(one).ravel() for name, one in own.items()}
    return {
        "seconds": round(time.perf_counter() - begin, 1), "problems": list(fit.problems),
        **{name: [round(float(v), 6) for v in (x.mean() - wanted[name], x.std(), np.mean(x < wanted[name]))] for name, x in plain.items()},
    }  # fmt: skip


def one(index: int) -> dict[str, Any]:
    visits = table(index)
    ways = WAYS if index < SUBSTITUTED else {"model": None}
    return {
        "censored": round(float(visits["crp_mg_dl_censored"].mean()), 4),
        **{name: analyse(visits, put, index) for name, put in ways.items()},
    }


def flaring(index: int) -> dict[str, Any]:
    """One trial whose patients are lost to flares, analysed either way."""
    course, effect = truth(index)
    visits = simulators.sle_activity(np.random.default_rng([7, 3, index]), n_per_arm={"control": 60, "treated": 60}, months=MONTHS,
                                     time_course=list(course), effect={"treated": list(effect)}, **FIXED | FLARES)  # fmt: skip
    struck = visits.groupby("subject")["flare"].first().dropna()
    events = pd.DataFrame({"subject": struck.index, "time": struck.to_numpy(), "kind": "flare"})
    seen = pg.Cohort.from_table(visits.drop(columns="flare"), events=events, time_unit="months", outcomes=[*COUNTS, "crp_mg_dl"],
                                provenance="simulated", allocation="randomised", arms=["control", "treated"])  # fmt: skip
    found: dict[str, Any] = {"flared": round(len(struck) / 120, 4)}
    for how in HOW:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = pg.fit("sle_activity", seen, options={"flare": how}, random_seed=index, draws=600, tune=600, chains=2, cores=1, progressbar=False)  # fmt: skip
        p = fit.posterior
        own = {"time_course": (p["time_course"][..., 1], course[1]), "effect": (p["effect"][..., 0, 1], effect[1])}
        own |= {name: (p[name][..., 0], FLARES[name]) for name in ("flare_hazard", "flare_loading") if how == "shared"}
        plain = {name: (np.asarray(x).ravel(), true) for name, (x, true) in own.items()}
        found[how] = {
            name: [round(float(v), 6) for v in (x.mean() - true, x.std(), np.mean(x < true))]
            for name, (x, true) in plain.items()
        }
    return found


def line(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Slope of y on x with its standard error: of the truth on posterior means 1, more where those are pulled towards no effect."""
    fitted, spread = np.polyfit(x, y, 1, cov=True)
    return [round(float(fitted[0]), 4), round(float(np.sqrt(spread[0, 0])), 4)]


def summary(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Coverage of intervals, mean error with its standard error, mean posterior SD, for each way and estimand."""
    found: dict[str, Any] = {"censored": round(float(np.mean([one["censored"] for one in trials])), 3)}
    for way in WAYS:
        own = [one[way] for one in trials if way in one]
        made: dict[str, Any] = {"trials": len(own)}
        for name in ("activity_effect", "later_effect", "crp_ratio", *COUNTS):
            error, sd, rank = np.array([one[name] for one in own]).T
            made[name] = {
                "mean_error": round(float(error.mean()), 4), "standard_error": round(float(error.std(ddof=1) / np.sqrt(len(error))), 4),
                "mean_sd": round(float(sd.mean()), 4),
                "coverage": {f"{level:g}": round(float(np.mean(np.abs(rank - 0.5) < level / 2)), 3) for level in LEVELS},
            }  # fmt: skip
            if name == "crp_ratio":
                true = np.array([asked(*truth(k))[name] for k in range(len(own))])
                made[name]["slope_of_truth"] = line(true + error, true)
                if way != "model":  # the same trials: luck of the draw cancels, and what is left is what was put in
                    made[name]["slope_of_model"] = line(
                        true + error, true + np.array([one["model"][name][0] for one in trials[: len(own)]])
                    )
        made["seconds"] = round(float(np.median([one["seconds"] for one in own])), 1)
        made["with_problems"] = sum(bool(one["problems"]) for one in own)
        found[way] = made
    return found


def summary_of_flares(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Coverage and mean error of course and effect at the last visit, with the hazard in the model and without."""
    found: dict[str, Any] = {
        "trials": len(trials),
        "truth": FLARES,
        "flared": round(float(np.mean([one["flared"] for one in trials])), 3),
    }
    for how in HOW:
        made = {}
        for name in trials[0][how]:
            error, sd, rank = np.array([one[how][name] for one in trials]).T
            made[name] = {"mean_error": round(float(error.mean()), 4), "mean_sd": round(float(sd.mean()), 4),
                          "standard_error": round(float(error.std(ddof=1) / np.sqrt(len(error))), 4),
                          "coverage": {f"{level:g}": round(float(np.mean(np.abs(rank - 0.5) < level / 2)), 3) for level in LEVELS}}  # fmt: skip
        found[how] = made
    return found


def works(indices: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Trials one by one; numbers from `TRIALS` on are those with flares."""
    done = []
    for index in indices:
        path = folder / f"{index:03d}.json"
        if not path.exists():
            begin = time.perf_counter()
            made = one(index) if index < TRIALS else flaring(index - TRIALS)
            write_atomically(path, json.dumps({**made, "took": round(time.perf_counter() - begin, 1)}).encode())
        done.append(json.loads(path.read_text()))
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done; write the result if nothing is missing."""
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(prog="python -m tests.evidence.activity", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("evidence-runs/activity"), help="folder for one file a trial")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=TRIALS, help="only so many of each kind: nothing is written")
    given = parser.parse_args(arguments)
    folder = given.work / sources.code_hash(sources.page("sle_activity"))  # nothing old is taken for new
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [*range(given.trials), *range(TRIALS, TRIALS + min(FLARING, given.trials))]
    done = Parallel(n_jobs=given.workers)(
        delayed(works)(wanted[i :: given.workers], folder) for i in range(given.workers)
    )
    every = [done[i % given.workers][i // given.workers] for i in range(len(wanted))]
    found = {**summary(every[: given.trials]), "flares": summary_of_flares(every[given.trials :])}
    print(json.dumps(found, indent=1))
    if given.trials == TRIALS:
        facts = {"made": datetime.now(UTC).strftime("%Y-%m-%d"), "by": "python -m tests.evidence.activity", "page": folder.name,
                 "versions": sources.versions(), "truth": FIXED, "limit": LIMIT, "patients": 120, "months": MONTHS,
                 "core_hours": core_hours(every)}  # fmt: skip
        write_atomically(RESULT, (json.dumps({**facts, **found}, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
