"""Simulation-based calibration of every model on the shelf.

    python -m tests.evidence.calibration                       # all of it: days on two cores; goes on where it was cut off
    python -m tests.evidence.calibration als_slope --sets 32   # a look: nothing is written

Parameters are drawn from each model's own priors, data simulated by NumPy, the posterior asked for the rank of every truth: uniform, if
priors, program and engine are what they are said to be. Two regimes each: sparse, the size of the pilots, and dense. Writes
docs/evidence/calibration_<model>.json and .png, with a regime and road as soon as all its sets are done; one small file a set is kept in a
work folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from progression.store import write_atomically
from tests.evidence.calibration import figures, records, stamps
from tests.evidence.calibration.many_sets import several
from tests.evidence.calibration.plan import BLOCK, SETS, Part
from tests.evidence.calibration.sets import one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done; 0 if every model looked at is calibrated, but for what is known not to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.calibration", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(SETS)}; all where omitted")
    parser.add_argument("--sets", type=int, help="at most so many of each regime and road")
    parser.add_argument(
        "--work", type=Path, default=Path("evidence-runs/calibration"), help="folder for one file a set"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="PART", help='such as "sparse-marginal"')
    given = parser.parse_args(arguments)
    unknown = [name for name in given.models if name not in SETS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}; known are {', '.join(SETS)}")
    parts = {"-".join(part) for model in given.models or SETS for part in SETS[model]}
    if wrong := sorted(set(given.only or ()) - parts):
        parser.error(f"--only: no such part: {', '.join(wrong)}; there are {', '.join(sorted(parts))}")
    if given.sets is not None and given.sets < BLOCK:
        parser.error(f"--sets: at least {BLOCK}, fewer say nothing of ranks")
    good = [calibrate(model, given) for model in given.models or SETS]
    return 0 if all(good) else 1


def calibrate(model: str, given: argparse.Namespace) -> bool:
    """One model, a regime and road at a time: run, judge, write. What a record of this very code holds is not run again."""
    known = records.groups_so_far(model)
    for part, n in SETS[model].items():
        name = ", ".join(part)
        if (given.only and "-".join(part) not in given.only) or (name in known and not given.sets):
            continue
        made_by = stamps.stamp(model, part)
        found = _run(model, part, made_by, min(given.sets or n, n), given)
        stamps.check(model, part, made_by)
        known[name] = records.made_now(made_by, found)
        if not given.sets:
            held = {key: known[key] for key in records.names(model) if key in known}
            path = records.write(model, records.record(model, held))
            write_atomically(path.with_suffix(".png"), figures.png(figures.ecdf_differences(model, held)))
            sys.stdout.write(f"{name} put into {path}\n")
    if not known:  # none of what was asked for is of this model
        return True
    sys.stdout.write(records.in_words(model, known) + "\n")
    return not records.unexpected(model, known)


def _run(model: str, part: Part, made_by: Mapping[str, Any], n: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    folder = given.work / stamps.folder(model, part, made_by)
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [range(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
    run = Parallel(n_jobs=given.workers, return_as="generator")(delayed(done)(model, part, block, folder, made_by) for block in blocks)  # fmt: skip
    watched = track(
        run, f"{model}, {', '.join(part)}: blocks of {BLOCK}", total=len(blocks), console=Console(stderr=True)
    )
    return [one for block in watched for one in block]


def done(
    model: str, part: Part, indices: Sequence[int], folder: Path, made_by: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Some sets of one model, regime and road; those that a file holds are read."""
    paths = {index: folder / f"{index:04d}.json" for index in indices}
    lacking = [index for index, path in paths.items() if not path.exists()]
    regime, road = part
    if lacking:
        stamps.check(model, part, made_by)
    if lacking and road == "many":  # all of them: draws depend on the place in a group
        for index, made in zip(indices, several(model, regime, list(indices)), strict=True):
            write_atomically(paths[index], json.dumps(made).encode())
    else:
        for index in lacking:
            write_atomically(paths[index], json.dumps(one(model, regime, road, index)).encode())
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths.values()]


if __name__ == "__main__":
    sys.exit(main())
