"""How long CAFS takes, and how much memory: a simulated trial with deaths and drop-out, arms of equal size.

    python benchmarks/cafs.py [--visits 10] [--draws 200] [PATIENTS ...]
    python benchmarks/cafs.py --coverage [--trials 2000]

Each size in a process of its own, timed apart: the cohort made from its tables, CAFS of it, and the win probability of as many
predicted draws of complete follow-up as --draws says. With --coverage: how often the 95 % interval of the win probability holds
the truth, normal scores of two arms, beside the plain estimate and 1.96 standard errors.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import xarray as xr


def tables(rng: np.random.Generator, n: int, visits: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Monthly visits, whole scores, one in ten missed; about a fifth die and a fifth leave in a year."""
    arm = np.repeat(["control", "treated"], [n - n // 2, n // 2])
    months = np.arange(visits, dtype=float)
    slope = -1.03 + 0.3 * (arm == "treated") + 0.76 * rng.normal(size=n)
    score = 38 + 5 * rng.normal(size=n)[:, None] + slope[:, None] * months + 1.77 * rng.normal(size=(n, visits))
    death, left = rng.exponential(50 * np.exp(0.6 * (slope + 1))), rng.exponential(50, n)
    end = np.minimum(np.minimum(death, left), visits - 1)
    seen = (months <= end[:, None]) & ((rng.random((n, visits)) < 0.9) | (months == 0))
    who, when = np.nonzero(seen)
    dead = death <= np.minimum(left, visits - 1)
    names = np.array([f"P{i}" for i in range(n)])
    table = pd.DataFrame(
        {"subject": names[who], "time": months[when], "alsfrsr": np.clip(np.round(score[seen]), 0, 48)}
    )
    subjects = pd.DataFrame({"subject": names, "arm": arm, "event": np.where(dead, "death", None),
                             "event_time": np.where(dead, death, np.nan), "end_of_follow_up": np.where(dead, np.nan, end)})  # fmt: skip
    return table, subjects


def memory_mb() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "linux" else 1024) / 1024


def measure(n: int, visits: int, draws: int) -> dict[str, float]:
    """One size, in this process."""
    import progression as pg

    rng = np.random.default_rng(1)
    outcome = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)

    def cohort_of(size: int) -> pg.Cohort:
        return pg.Cohort.from_table(
            *tables(rng, size, visits), time_unit="months", outcomes=[outcome], provenance="simulated"
        )

    def predicted(size: int, arms: list[str]) -> None:
        scores = rng.normal(size=(draws, size, 2))
        death = xr.DataArray(rng.exponential(50, (draws, size)), dims=("sample", "subject"))
        made = xr.DataArray(scores, dims=("sample", "subject", "month"), coords={"month": [0.0, 12.0]})
        pg.win_probability(made, arms, control="control", death=death)

    few = cohort_of(40)  # imports and first calls are not timed
    pg.cafs(few)
    predicted(40, few.subjects["arm"].tolist())
    marks = [time.perf_counter()]
    cohort = cohort_of(n)
    marks.append(time.perf_counter())
    before = memory_mb()
    found = pg.cafs(cohort)
    marks.append(time.perf_counter())
    after = memory_mb()
    predicted(n, cohort.subjects["arm"].tolist())
    marks.append(time.perf_counter())
    seconds = np.diff(marks).tolist()
    return {**dict(zip(("cohort_s", "cafs_s", "draws_s"), seconds, strict=True)), "mb": after - before,
            "deaths": int(found.table["deaths"].sum())}  # fmt: skip


def coverage(trials: int) -> None:
    """Print a line for each size and truth."""
    from scipy import stats

    from progression.pairs import Courses, count
    from progression.win_statistics import win_statistics

    rng = np.random.default_rng(2)
    print(f"{'arms':>9} {'truth':>6} {'covers':>7} {'width':>6} {'plain':>6}")
    for m, n in ((10, 10), (8, 40), (30, 30), (60, 60)):
        group = np.repeat([1, 0], [m, n])
        for truth in (0.5, 0.7, 0.9):
            shift, held, width, plain = stats.norm.ppf(truth) * np.sqrt(2), 0, 0.0, 0
            for _ in range(trials):
                score = rng.normal(size=(m + n, 1)) + shift * group[:, None]
                one = win_statistics(
                    count(Courses.of(score, np.full(m + n, np.inf), np.zeros(m + n)), group, 2),
                    group,
                    1,
                    0,
                    ci_prob=0.95,
                )
                held += one.lower <= truth <= one.upper
                width += one.upper - one.lower
                plain += abs(one.probability - truth) <= 1.96 * one.se
            print(f"{f'{m}, {n}':>9} {truth:>6} {held / trials:>7.3f} {width / trials:>6.3f} {plain / trials:>6.3f}")


def main() -> None:
    """Print a line for each size."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("patients", nargs="*", type=int, default=[])
    reader.add_argument("--visits", type=int, default=10)
    reader.add_argument("--draws", type=int, default=200)
    reader.add_argument("--coverage", action="store_true")
    reader.add_argument("--trials", type=int, default=2000)
    reader.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = reader.parse_args()
    if given.coverage:
        coverage(given.trials)
        return
    if given.one:
        print(json.dumps(measure(given.one, given.visits, given.draws)))
        return
    print(
        f"{'patients':>8} {'deaths':>7} {'cohort, s':>10} {'CAFS, s':>8} {'memory, MB':>11} {f'{given.draws} draws, s':>13}"
    )
    for n in given.patients or [120, 1000, 5000, 20000]:
        command = [
            sys.executable,
            __file__,
            "--one",
            str(n),
            "--visits",
            str(given.visits),
            "--draws",
            str(given.draws),
        ]
        one = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"{n:>8} {one['deaths']:>7} {one['cohort_s']:>10.2f} {one['cafs_s']:>8.2f} {one['mb']:>11.0f} {one['draws_s']:>13.2f}"
        )


if __name__ == "__main__":
    main()
