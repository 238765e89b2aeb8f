"""A simulated ALS trial with two randomised arms: independent of the package's models, with a known truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.datasets.truth import ARMS, number_faults, refuse, sizes_faults, stated
from progression.faults import Fault
from progression.outcomes import Outcome
from progression.units import months_per

__all__ = ["simulated_als"]


def simulated_als(
    *,
    n: tuple[int, int] = (60, 60),
    visits_weeks: Sequence[float] = (0, 4, 8, 12, 16, 20, 24),
    mean_level: float = 38.0,
    sd_level: float = 5.0,
    mean_slope: float = -1.03,
    sd_slope: float = 0.76,
    correlation: float = 0.1,
    slope_effect: float = 0.3,
    sd_residual: float = 1.77,
    dropout_per_month: float = 0.0,
    deaths_per_month: float = 0.0,
    hazard_ratio: float = 1.0,
    random_seed: int = 1,
) -> Cohort:
    """Simulate an ALS trial, treated against control, with NumPy alone.

    Parameters
    ----------
    n : (int, int)
        Patients in control and in treated.
    visits_weeks : sequence of float
        Planned visits, weeks from the start; the first at 0.
    mean_level, sd_level : float
        ALSFRS-R at the start, the same in both arms (points).
    mean_slope, sd_slope : float
        Slope in the controls, and its spread between patients of either arm (points/month). The defaults are
        those of the HEALEY platform trial's own simulations.
    correlation : float
        Between a patient's level and slope.
    slope_effect : float
        Slope in treated minus slope in control (points/month); positive is slower decline.
    sd_residual : float
        Spread of single scores about the patient's line (points).
    dropout_per_month : float
        Probability of leaving within a month, unrelated to the score; a patient is seen at least at the
        start.
    deaths_per_month : float
        Probability of dying within a month in the controls, unrelated to the score. Above 0 the cohort says who died when
        (event, event_month), and until when all others are known to have lived (end_of_follow_up).
    hazard_ratio : float
        Hazard of death in treated over that in control.
    random_seed : int

    Returns
    -------
    Cohort
        Simulated, arms "control" and "treated", randomised. Outcome alsfrsr, neither rounded nor kept within
        0 to 48, so that the truth is exactly the one given. `truth_of` returns it.

    Raises
    ------
    SettingError
        With every argument that cannot be meant.
    """
    weeks = _weeks(visits_weeks)
    faults = [*sizes_faults(n)]
    if weeks is None:
        faults.append(_visits_fault(visits_weeks))
    faults += number_faults(mean_level=mean_level, mean_slope=mean_slope, slope_effect=slope_effect)
    faults += number_faults(at_least=0, sd_level=sd_level, sd_slope=sd_slope, sd_residual=sd_residual)
    faults += number_faults(at_least=-1, at_most=1, correlation=correlation)
    faults += number_faults(at_least=0, below=1, dropout_per_month=dropout_per_month)
    faults += number_faults(at_least=0, below=1, deaths_per_month=deaths_per_month)
    faults += number_faults(at_least=0, hazard_ratio=hazard_ratio)
    faults += number_faults(at_least=0, whole=True, random_seed=random_seed)
    refuse(faults)
    assert weeks is not None
    rng = np.random.default_rng(int(random_seed))
    total = sum(n)
    treated = np.repeat([0.0, 1.0], n)
    first, second = rng.standard_normal((2, total))
    level = mean_level + sd_level * first
    slope = (
        mean_slope
        + slope_effect * treated
        + sd_slope * (correlation * first + np.sqrt(max(0.0, 1 - correlation**2)) * second)
    )
    months = weeks * months_per["weeks"]
    score = level[:, None] + slope[:, None] * months + sd_residual * rng.standard_normal((total, len(weeks)))
    # A constant risk: -log(1 - p) a month leaves 1 - p of the patients after one.
    leaves = rng.standard_exponential(total)
    seen = (months <= 0) | (-np.log1p(-dropout_per_month) * months < leaves[:, None])
    subject = np.array([f"{arm[0].upper()}{i + 1}" for arm, size in zip(ARMS, n, strict=True) for i in range(size)])
    row, visit = np.nonzero(seen)
    visits = pd.DataFrame({"subject": subject[row], "time": weeks[visit], "alsfrsr": score[seen]})
    subjects = pd.DataFrame({"subject": subject, "arm": np.repeat(ARMS, n)})
    if deaths_per_month:
        hazard = -np.log1p(-deaths_per_month) * np.where(treated == 1, hazard_ratio, 1.0)
        dies = rng.standard_exponential(total) / np.where(hazard > 0, hazard, np.nan)
        risk = -np.log1p(-dropout_per_month)
        ends = np.minimum(leaves / risk if risk else np.inf, months[-1])
        died = dies < ends
        visits = visits[months[visit] <= np.where(died, dies, np.inf)[row]]
        in_weeks = 1 / months_per["weeks"]
        subjects["event"] = ["death" if one else None for one in died]
        subjects["event_time"] = np.where(died, dies * in_weeks, np.nan)
        subjects["end_of_follow_up"] = np.where(died, np.nan, np.maximum(ends, 0) * in_weeks)
    truth = {
        "n": [int(size) for size in n],
        "mean_level": mean_level,
        "sd_level": sd_level,
        "mean_slope": mean_slope,
        "sd_slope": sd_slope,
        "correlation": correlation,
        "slope_effect": slope_effect,
        "sd_residual": sd_residual,
        "dropout_per_month": dropout_per_month,
        "random_seed": random_seed,
    }
    if deaths_per_month:
        truth |= {"deaths_per_month": deaths_per_month, "hazard_ratio": hazard_ratio}
    outcome = Outcome("alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True,
                      higher_is_better=True)  # fmt: skip
    return Cohort.from_table(
        visits,
        subjects,
        time_unit="weeks",
        outcomes=[outcome],
        arms=list(ARMS),
        allocation="randomised",
        provenance="simulated",
        name="simulated ALS trial",
        source=stated("simulated_als", truth),
    )


def _weeks(visits_weeks: Sequence[float]) -> np.ndarray | None:
    """Return the schedule as an array; None where it is none."""
    try:
        weeks = np.asarray(visits_weeks, dtype=float)
    except (TypeError, ValueError):
        return None
    good = weeks.ndim == 1 and len(weeks) > 1 and np.isfinite(weeks).all() and weeks[0] == 0
    return weeks if good and (np.diff(weeks) > 0).all() else None


def _visits_fault(value: object) -> Fault:
    return Fault(
        what="this is no schedule of visits",
        remedy="Give at least two weeks, increasing, the first 0",
        column="visits_weeks", value=value, table="setting",
    )  # fmt: skip
