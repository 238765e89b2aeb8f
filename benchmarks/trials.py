"""The trials that the benchmarks fit: simulated with NumPy, each from its own seed."""

from pathlib import Path

import numpy as np
import pandas as pd

WEEKS = (0, 8, 16, 24, 32, 42, 52)
SLE_WEEKS = (0, 4, 12, 24)
LIMIT = 0.5  # mg/dl: below it a CRP is only known to be below


def write_csv(path: Path, seed: int = 1) -> None:
    """64 patients x 7 visits over a year, two arms: a CSV as a user has it."""
    rng = np.random.default_rng(seed)
    treated = np.repeat([0, 1], 32)
    level, slope = rng.normal(40, 4.5, 64), rng.normal(-1.0 + 0.3 * treated, 0.7)
    weeks = np.array(WEEKS)
    month = weeks * 7 / (365.25 / 12)
    score = level[:, None] + slope[:, None] * month + rng.normal(0, 1.77, (64, 7))
    frame = pd.DataFrame({
        "subject": np.repeat([f"P{i + 1}" for i in range(64)], 7), "week": np.tile(weeks, 64),
        "arm": np.repeat(np.where(treated, "treated", "control"), 7),
        "alsfrsr": score.round().clip(0, 48).astype(int).ravel(),
    })  # fmt: skip
    frame.to_csv(path, index=False)


def als(seed: int, patients: int = 64, dropout: float = 0.03):
    """A cohort of `patients` in two arms, 7 visits over a year; a share `dropout` leaves each month."""
    import progression as pg

    return pg.datasets.simulated_als(
        n=(patients // 2, patients - patients // 2), visits_weeks=WEEKS, dropout_per_month=dropout, random_seed=seed
    )


def sle(seed: int):
    """A cohort of 2 x 60 patients, 4 visits: joint counts, and CRP with a detection limit."""
    import progression as pg
    from progression.outcomes import Outcome

    rng = np.random.default_rng(seed)
    n, visits = 120, len(SLE_WEEKS)
    treated = np.repeat([0.0, 1.0], n // 2)[:, None]
    after = (np.arange(visits) > 0).astype(float)
    activity = np.sqrt(0.5) * rng.standard_normal((1, n)) + np.sqrt(0.5) * rng.standard_normal((3, n))
    patient = 0.9 * activity[:, :, None]
    crp = np.exp(0.4 + patient[0] - after * (0.1 + 0.55 * treated) + 0.6 * rng.standard_normal((n, visits)))
    columns = {"crp_mg_dl": np.maximum(crp, LIMIT), "crp_mg_dl_censored": crp < LIMIT}
    for index, (name, level) in enumerate((("tender_joints", -0.5), ("swollen_joints", -1.2))):
        share = 1 / (1 + np.exp(-(level + patient[1 + index] - after * (0.25 + 0.5 * treated))))
        columns[name] = rng.binomial(28, rng.beta(share * 19, (1 - share) * 19))
    subject = np.array([f"S{i + 1}" for i in range(n)])
    table = pd.DataFrame({"subject": np.repeat(subject, visits), "time": np.tile(SLE_WEEKS, n)})
    outcomes = [Outcome("crp_mg_dl", unit="mg/dl", label="CRP", positive=True, detection_limit=LIMIT,
                        higher_is_better=False)]  # fmt: skip
    outcomes += [
        Outcome(name, unit="joints", lower=0, upper=28, integer=True, higher_is_better=False)
        for name in ("tender_joints", "swollen_joints")
    ]
    return pg.Cohort.from_table(
        table.assign(**{name: values.ravel() for name, values in columns.items()}),
        pd.DataFrame({"subject": subject, "arm": np.repeat(["control", "treated"], n // 2)}),
        time_unit="weeks", outcomes=outcomes, arms=["control", "treated"], allocation="randomised",
        provenance="simulated", name="simulated lupus trial",
    )  # fmt: skip


def flat(cohort) -> pd.DataFrame:
    """A cohort's visits with the arm in each row, as plain PyMC reads them."""
    return cohort.visits.join(cohort.subjects["arm"], on="subject")
