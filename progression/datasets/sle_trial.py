"""A simulated lupus trial with two randomised arms: CRP and joint counts, with a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.datasets.truth import ARMS, number_faults, refuse, series_faults, sizes_faults, stated
from progression.outcomes import Outcome

__all__ = ["simulated_sle"]

WEEKS = (0, 4, 12)
COUNTS = ("tender_joints", "swollen_joints")


def simulated_sle(
    *,
    n: tuple[int, int] = (30, 30),
    crp_level: float = 0.4,
    crp_time_course: tuple[float, float] = (-0.1, -0.1),
    crp_effect: tuple[float, float] = (-0.5, -0.6),
    crp_sd_patient: float = 0.9,
    crp_sd_residual: float = 0.6,
    detection_limit: float | None = None,
    joints_level: tuple[float, float] = (-0.5, -1.2),
    joints_time_course: tuple[float, float] = (-0.2, -0.3),
    joints_effect: tuple[float, float] = (-0.4, -0.6),
    joints_sd_patient: tuple[float, float] = (0.9, 0.9),
    joints_overdispersion: tuple[float, float] = (0.05, 0.05),
    joints: int = 28,
    activity: float = 0.5,
    random_seed: int = 1,
) -> Cohort:
    """Simulate a lupus trial, treated against control, with NumPy alone: visits at weeks 0, 4 and 12.

    Parameters
    ----------
    n : (int, int)
        Patients in control and in treated.
    crp_level : float
        Mean of the logarithm of CRP (mg/dl) at the start.
    crp_time_course, crp_effect : (float, float)
        At weeks 4 and 12, on the log scale: change in the controls since the start; treated minus control.
    crp_sd_patient, crp_sd_residual : float
        Spread of the logarithm of CRP between patients, and of single values about the patient's own course.
    detection_limit : float, optional
        The assay's lower limit (mg/dl): lower values are known only to lie below it.
    joints_level : (float, float)
        Log odds of a tender and of a swollen joint at the start, in a patient of average activity.
    joints_time_course, joints_effect : (float, float)
        At weeks 4 and 12, on the log odds, the same for tender and swollen: change in the controls; treated
        minus control.
    joints_sd_patient : (float, float)
        Spread of the log odds between patients, tender and swollen.
    joints_overdispersion : (float, float)
        Tender and swollen: the correlation of two joints of one patient at one visit, from 0 (binomial counts) to
        below 1.
    joints : int
        Joints assessed.
    activity : float
        Correlation of a patient's levels of CRP, tender and swollen joints: one disease activity drives all
        three.
    random_seed : int

    Returns
    -------
    Cohort
        Simulated, arms "control" and "treated", randomised. Outcomes crp_mg_dl (mg/dl), tender_joints and
        swollen_joints (0 to `joints`). `truth_of` returns the truth.

    Raises
    ------
    SettingError
        With every argument that cannot be meant.

    Notes
    -----
    The default baselines resemble published trials in lupus: 11.2 (SD 7.3) tender and 7.2 (5.3) swollen of 28
    joints.
    """
    faults = [*sizes_faults(n), *number_faults(crp_level=crp_level)]
    by_visit: dict[str, Any] = {"crp_time_course": crp_time_course, "crp_effect": crp_effect,
                "joints_time_course": joints_time_course, "joints_effect": joints_effect}  # fmt: skip
    by_count = {"joints_level": joints_level, "joints_sd_patient": joints_sd_patient,
                "joints_overdispersion": joints_overdispersion}  # fmt: skip
    faults += series_faults(2, meaning="later visit (weeks 4 and 12)", **by_visit)
    either = "count (tender, swollen)"
    faults += series_faults(2, meaning=either, joints_level=joints_level)
    faults += series_faults(
        2,
        meaning=either,
        at_least=0,
        joints_sd_patient=joints_sd_patient,
        joints_overdispersion=joints_overdispersion,
    )
    faults += number_faults(at_least=0, crp_sd_patient=crp_sd_patient, crp_sd_residual=crp_sd_residual)
    faults += number_faults(at_least=0, at_most=1, activity=activity)
    faults += number_faults(at_least=1, whole=True, joints=joints)
    faults += number_faults(at_least=0, whole=True, random_seed=random_seed)
    if detection_limit is not None:
        faults += number_faults(above=0, detection_limit=detection_limit)
    refuse(faults)
    rng = np.random.default_rng(int(random_seed))
    total = sum(n)
    treated = np.repeat([0.0, 1.0], n)[:, None]
    shared, own = rng.standard_normal((1, total)), rng.standard_normal((3, total))
    patient = (np.sqrt(activity) * shared + np.sqrt(1 - activity) * own)[:, :, None]

    def course(time_course: tuple[float, float], effect: tuple[float, float]) -> np.ndarray:
        return np.array([0.0, *time_course]) + treated * np.array([0.0, *effect])

    noise = crp_sd_residual * rng.standard_normal((total, len(WEEKS)))
    crp = np.exp(crp_level + crp_sd_patient * patient[0] + course(crp_time_course, crp_effect) + noise)
    values = {"crp_mg_dl": crp}
    if detection_limit is not None:
        below = crp < detection_limit
        values = {"crp_mg_dl": np.where(below, detection_limit, crp), "crp_mg_dl_censored": below}
    shift = course(joints_time_course, joints_effect)
    for index, name in enumerate(COUNTS):
        odds = joints_level[index] + joints_sd_patient[index] * patient[1 + index] + shift
        share = 1 / (1 + np.exp(-odds))
        spread = joints_overdispersion[index]
        if spread > 0:
            concentration = 1 / spread - 1
            share = rng.beta(share * concentration, (1 - share) * concentration)
        values[name] = rng.binomial(joints, share)

    subject = np.array([f"{arm[0].upper()}{i + 1}" for arm, size in zip(ARMS, n, strict=True) for i in range(size)])
    visits = pd.DataFrame({"subject": np.repeat(subject, len(WEEKS)), "time": np.tile(WEEKS, total)})
    visits = visits.assign(**{name: each.ravel() for name, each in values.items()})
    truth = {
        "n": [int(size) for size in n], "crp_level": crp_level, "crp_sd_patient": crp_sd_patient,
        "crp_sd_residual": crp_sd_residual, "detection_limit": detection_limit, "joints": int(joints),
        "activity": activity, "random_seed": random_seed,
    } | {name: [float(each) for each in value] for name, value in (by_visit | by_count).items()}  # fmt: skip
    crp_facts = Outcome(
        "crp_mg_dl", unit="mg/dl", label="CRP", positive=True, detection_limit=detection_limit, higher_is_better=False
    )
    counts = [
        Outcome(name, unit="joints", label=name.replace("_", " "), lower=0, upper=joints, integer=True,
                higher_is_better=False)
        for name in COUNTS
    ]  # fmt: skip
    return Cohort.from_table(
        visits,
        pd.DataFrame({"subject": subject, "arm": np.repeat(ARMS, n)}),
        time_unit="weeks",
        outcomes=[crp_facts, *counts],
        arms=list(ARMS),
        allocation="randomised",
        provenance="simulated",
        name="simulated lupus trial",
        source=stated("simulated_sle", truth),
    )
