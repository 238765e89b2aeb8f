"""Simulation-based calibration of every model on the shelf.

    python -m tests.evidence.calibration                       # all of it: days on two cores; goes on where it was cut off
    python -m tests.evidence.calibration als_slope --sets 20   # a look: nothing is written

Parameters are drawn from each model's own priors, data simulated by NumPy, the posterior asked for the rank of every truth: uniform, if
priors, program and engine are what they are said to be. Two regimes each: sparse, the size of the pilots, and dense. Writes
docs/evidence/calibration_<model>.json and .png of each model all of whose sets are done; one small file a set is kept in a work folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from joblib import Parallel, delayed

from progression.store import write_atomically
from tests.evidence.calibration import figures, records
from tests.evidence.calibration.sets import SETS, done

BLOCK = 32  # sets a task, as many as `fit_many` does together: a worker keeps what it has compiled, and none waits long for the last one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done; 0 if every model looked at is calibrated."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.calibration", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(SETS)}; all where omitted")
    parser.add_argument("--sets", type=int, help="at most so many of each regime and engine")
    parser.add_argument(
        "--work", type=Path, default=Path("evidence-runs/calibration"), help="folder for one file a set"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="PART", help='such as "sparse-marginal": nothing is written')
    given = parser.parse_args(arguments)
    unknown = [name for name in given.models if name not in SETS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}; known are {', '.join(SETS)}")
    good = [calibrate(model, given) for model in given.models or SETS]
    return 0 if all(good) else 1


def calibrate(model: str, given: argparse.Namespace) -> bool:
    """One model: run, judge, write."""
    folder = given.work / records.folder_name(model)
    wanted = {(regime, engine): min(given.sets or n, n) for (regime, engine), n in SETS[model].items()
              if not given.only or f"{regime}-{engine}" in given.only}  # fmt: skip
    tasks = [(part, range(start, min(start + BLOCK, n))) for part, n in wanted.items() for start in range(0, n, BLOCK)]
    run = Parallel(n_jobs=given.workers)
    blocks = run(delayed(done)([(model, *part, k) for k in block], folder) for part, block in tasks)
    groups = {}
    for part in wanted:
        found = [one for (own, _), block in zip(tasks, blocks, strict=True) if own == part for one in block]
        groups[", ".join(part)] = records.group(found)
    sys.stdout.write(records.in_words(model, groups) + "\n")
    if records.complete(model, groups):
        path = records.write(model, records.record(model, groups))
        write_atomically(path.with_suffix(".png"), figures.png(figures.ecdf_differences(model, groups)))
        sys.stdout.write(f"{path} and .png written\n")
    return bool(records.verdict(groups)["calibrated"])


if __name__ == "__main__":
    sys.exit(main())
