"""The main job on the published cohorts: six fits, each saved as it finishes, and one report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from progression import datasets
from progression.cohort import Cohort
from progression.fitted import Fit, load
from progression.fitting import fit
from progression.reporting import report
from progression.store import StoreError

SEED = 20150101


@dataclass(frozen=True)
class Job:
    """One fit of the demonstration."""

    name: str
    model: str
    cohort: Callable[[], Cohort]


JOBS = (
    Job("als_pilot", "als_slope", datasets.als_anakinra),
    Job("als_trial", "als_slope", datasets.simulated_als),
    Job("sle_pilot_joints", "sle_joints", datasets.sle_anakinra),
    Job("sle_pilot_crp", "sle_crp", datasets.sle_anakinra),
    Job("sle_trial_joints", "sle_joints", datasets.simulated_sle),
    Job("sle_trial_crp", "sle_crp", datasets.simulated_sle),
)


def fits(folder: Path, *, draws: int = 1000) -> Iterator[tuple[Job, Fit]]:
    """Yield each fit as it is done: read from `folder` where an earlier, interrupted run left the same one there."""
    folder.mkdir(parents=True, exist_ok=True)
    for job in JOBS:
        cohort, path = job.cohort(), folder / f"{job.name}.nc"
        done = _earlier(path, cohort, draws)
        if done is None:
            done = fit(job.model, cohort, random_seed=SEED, draws=draws, tune=draws, progressbar=False)
            done.save(path)
        yield job, done


def _earlier(path: Path, cohort: Cohort, draws: int) -> Fit | None:
    if not path.exists():
        return None
    try:
        done = load(path)
    except (StoreError, ValueError, KeyError):
        return None  # of another version, or damaged: fit again
    same = done.cohort.fingerprint == cohort.fingerprint and done.settings["draws"] == draws
    return done if same and done.settings["random_seed"] == SEED else None


def write_report(done: list[Fit], path: Path) -> Path:
    """Write the report of all fits."""
    return report(done, path, title="Anakinra in ALS and lupus: two published pilots, and two simulated trials")
