"""What do joints and CRP gain from one activity? sle_activity beside sle_joints and sle_crp, with 4, 40 and 400 patients.

    python -m tests.evidence.sharing             # ten minutes on two cores; goes on where it was cut off

Simulated trials, half of the patients treated, at months 0, 1 and 3 (`tests.simulators.sle_activity`), effects and time course drawn
from the priors of sle_activity and the rest fixed, in two worlds: treatment moves the three signs through one activity, as
sle_activity says; or it lowers CRP by itself, as an antibody against IL-6 does, and leaves the joints alone. Each trial is fitted by
each model. Recorded for the ratio of tender counts, of swollen counts and of CRP at the last visit, as logarithms: posterior SD, error
of the posterior mean, and whether the 95 % interval holds the truth.

Writes tests/evidence/sharing.json; one small file a trial is kept in a work folder (``--work``).
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
from tests.evidence.activity import COUNTS, FIXED, MONTHS, asked
from tests.evidence.effort import core_hours

RESULT = Path(__file__).parent / "sharing.json"
MODELS = ("sle_activity", "sle_joints", "sle_crp")
TRIALS = {4: 40, 40: 24, 400: 4}  # by number of patients
BY_ITSELF = 8  # of those with 40 patients: once more, in the world where CRP falls by itself
OWN_FALL = -1.5  # of log CRP, there
SIGNS = (*COUNTS, "crp")


def code() -> str:
    """Hash of the three pages that are compared."""
    return sources.code_hash({path for name in MODELS for path in sources.page(name)})


def truth(patients: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Time course and effect, each (2,), from the priors of sle_activity."""
    drawn = np.random.default_rng([8, 1, patients, index]).normal(size=(2, 2))
    return drawn[0], drawn[1]


def table(patients: int, index: int, by_itself: bool) -> tuple[pd.DataFrame, dict[str, float]]:
    """One trial and its true log ratios at the last visit."""
    course, effect = truth(patients, index)
    effect = np.zeros(2) if by_itself else effect
    each = {"control": patients // 2, "treated": patients // 2}
    visits = simulators.sle_activity(np.random.default_rng([8, 2, patients, index]), n_per_arm=each, months=MONTHS,
                                     time_course=list(course), effect={"treated": list(effect)}, **FIXED)  # fmt: skip
    true = asked(course, effect)
    wanted = {**{name: true[name] for name in COUNTS}, "crp": true["crp_ratio"]}
    if by_itself:
        later = (visits["arm"] == "treated") & (visits["time"] > 0)
        visits["crp_mg_dl"] *= np.where(later, np.exp(OWN_FALL), 1.0)
        wanted["crp"] += OWN_FALL
    return visits, wanted


def ratios(model: str, visits: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
    """Draws of the log ratios at the last visit that a model gives."""
    cohort = pg.Cohort.from_table(visits, time_unit="months", outcomes=[*COUNTS, "crp_mg_dl"], provenance="simulated",
                                  allocation="randomised", arms=["control", "treated"])  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pg.contrast(pg.fit(model, cohort, random_seed=seed, draws=1000, tune=800, chains=2, cores=1, progressbar=False))  # fmt: skip
    made = {} if model == "sle_crp" else {name: found.select("count_ratio", visit=3, outcome=name) for name in COUNTS}
    if model != "sle_joints":
        made["crp"] = found.select("crp_ratio", visit=3)
    return {name: np.log(np.asarray(one).ravel()) for name, one in made.items()}


def one(patients: int, index: int, by_itself: bool) -> dict[str, Any]:
    """For each sign and way: error of the posterior mean, posterior SD, rank of the truth."""
    visits, wanted = table(patients, index, by_itself)
    shared, joints, crp = (ratios(model, visits, index) for model in MODELS)
    ways = {"as one": shared, "alone": joints | crp}
    return {
        way: {name: [float(x.mean() - wanted[name]), float(x.std()), float(np.mean(x < wanted[name]))] for name, x in own.items()}
        for way, own in ways.items()
    }  # fmt: skip


def jobs() -> list[tuple[int, int, bool]]:
    """The long ones first."""
    plain = [(n, k, False) for n in sorted(TRIALS, reverse=True) for k in range(TRIALS[n])]
    return plain + [(40, k, True) for k in range(BY_ITSELF)]


def work(job: tuple[int, int, bool], folder: Path) -> dict[str, Any]:
    patients, index, by_itself = job
    path = folder / f"{patients:03d}-{index:02d}{'-itself' if by_itself else ''}.json"
    if not path.exists():
        begin = time.perf_counter()
        made = one(*job)
        write_atomically(path, json.dumps({**made, "took": round(time.perf_counter() - begin, 1)}).encode())
    return json.loads(path.read_text())


def summary(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By sign: mean SD, root mean square error and coverage either way; by how much variance is less, and patients it is worth."""
    found = {}
    for name in SIGNS:
        error, sd, rank = (
            np.array([[one[way][name][k] for way in ("as one", "alone")] for one in done]) for k in range(3)
        )
        ratio = np.log(sd[:, 1] / sd[:, 0])
        found[name] = {
            way: {"mean_sd": round(float(sd[:, k].mean()), 4), "rmse": round(float(np.sqrt((error[:, k] ** 2).mean())), 4),
                  "mean_error": round(float(error[:, k].mean()), 4), "covered_95": int((np.abs(rank[:, k] - 0.5) < 0.475).sum())}
            for k, way in enumerate(("as one", "alone"))
        }  # fmt: skip
        found[name]["sd_ratio"] = round(float(np.exp(ratio.mean())), 4)
        found[name]["sd_ratio_error"] = round(float(np.exp(ratio.mean()) * ratio.std(ddof=1) / np.sqrt(len(done))), 4)
        found[name]["worth"] = round(float(np.exp(2 * ratio.mean())), 3)
    return {"trials": len(done), **found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done; write the result."""
    from joblib import Parallel, delayed

    parser = argparse.ArgumentParser(prog="python -m tests.evidence.sharing", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("evidence-runs/sharing"), help="folder for one file a trial")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    folder = given.work / code()  # nothing old is taken for new
    folder.mkdir(parents=True, exist_ok=True)
    done = Parallel(n_jobs=given.workers, batch_size=1)(delayed(work)(job, folder) for job in jobs())
    by = dict(zip(jobs(), done, strict=True))
    found = {str(n): summary([by[n, k, False] for k in range(TRIALS[n])]) for n in TRIALS}
    found["40, CRP lowered by itself"] = summary([by[40, k, True] for k in range(BY_ITSELF)])
    print(json.dumps(found, indent=1))
    facts = {"made": datetime.now(UTC).strftime("%Y-%m-%d"), "by": "python -m tests.evidence.sharing", "code": code(),
             "versions": sources.versions(), "truth": FIXED, "months": MONTHS, "own_fall": OWN_FALL, "core_hours": core_hours(done)}  # fmt: skip
    write_atomically(RESULT, (json.dumps({**facts, "patients": found}, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
