"""How often the check of als_slope fails for curvature: trials of 2 x 60 patients, visits every 4 weeks to week 24.

    python benchmarks/curvature.py [--trials 50] [--seed 1] [COURSE ...]

Courses: straight; decayT, exponential decay to a floor with time constant T months; accelR, a slope that ends R times as steep as it
began, the loss over the trial the same; wanes, a treatment that works in the first half only; dropout, straight, the hazard of leaving
0.05 a month and doubled for each 5 points lost as observed; scale, straight, rounded and kept within 0 to 48.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import progression as pg
from progression.checking import compare
from progression.engines import forward

MONTHS = np.array([0, 4, 8, 12, 16, 20, 24]) * 7 / (365.25 / 12)


def course(kind: str, rng: np.random.Generator, n: int = 60) -> pg.Cohort:
    """One trial; levels, slopes and residuals as in simulated_als."""
    arm = np.repeat(["control", "treated"], n)
    first, second = rng.normal(size=(2, 2 * n))
    level = (38 + 5 * first)[:, None]
    own = (-1.03 + 0.76 * (0.1 * first + np.sqrt(0.99) * second))[:, None]
    treated = (arm == "treated")[:, None]
    slope, end = own + 0.3 * treated, MONTHS[-1]
    mean = level + slope * MONTHS
    if kind.startswith("decay"):
        tau = float(kind[5:])
        mean = level + slope * tau * (1 - np.exp(-MONTHS / tau))
    elif kind.startswith("accel"):
        ratio = float(kind[5:])
        start = 2 / (1 + ratio)
        mean = level + slope * start * (MONTHS + (ratio - 1) / (2 * end) * MONTHS**2)
    elif kind == "wanes":
        mean = level + own * MONTHS + 0.9 * treated * np.minimum(MONTHS, end / 2)
    score = mean + 1.77 * rng.normal(size=mean.shape)
    if kind == "scale":
        score = np.clip(np.round(score), 0, 48)
    seen = np.ones(score.shape, bool)
    if kind == "dropout":
        for visit in range(1, len(MONTHS)):
            hazard = 0.05 * 2 ** ((score[:, 0] - score[:, visit - 1]) / 5)
            seen[:, visit] = seen[:, visit - 1] & (rng.random(2 * n) < np.exp(-hazard * np.diff(MONTHS)[visit - 1]))
    who, when = np.nonzero(seen)
    table = pd.DataFrame(
        {"subject": [f"p{i}" for i in who], "time": MONTHS[when], "alsfrsr": score[seen], "arm": arm[who]}
    )
    return pg.Cohort.from_table(table, time_unit="months", outcomes=pg.models()["als_slope"].outcomes, allocation="randomised",
                                provenance="simulated")  # fmt: skip


def verdicts(kind: str, seed: int) -> dict[str, bool]:
    """Whether curvature fails, whether any other statistic does, and whether any would if there were no curvature."""
    cohort = course(kind, np.random.default_rng(seed))
    fit = pg.fit("als_slope", cohort, random_seed=seed, progressbar=False)
    replicates = forward.replicate(
        fit.model, fit.encoded(), fit.priors, forward.thin(fit.posterior, 1000), random_seed=seed + 1
    )
    table = compare(fit.encoded(), dict(cohort.subjects["arm"]), replicates)
    bent = table["statistic"] == "curvature"
    others = table.loc[~bent, "p"]
    return {"curvature": not table.loc[bent, "ok"].all(), "any statistic": not table["ok"].all(),
            "without curvature": bool((others < 0.05 / len(others)).any())}  # fmt: skip


def main() -> None:
    """Print a line for each course."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("courses", nargs="*", default=[])
    reader.add_argument("--trials", type=int, default=50)
    reader.add_argument("--seed", type=int, default=1)
    given = reader.parse_args()
    warnings.simplefilter("ignore")
    for kind in given.courses or ["straight", "decay6", "decay12", "accel2", "accel3", "wanes", "dropout", "scale"]:
        started = time.perf_counter()
        found = pd.DataFrame([verdicts(kind, 1000 * given.seed + trial) for trial in range(given.trials)]).mean()
        shares = ", ".join(f"{name} {share:.3f}" for name, share in found.items())
        print(f"{kind:>9}: {shares}; {given.trials} trials in {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
