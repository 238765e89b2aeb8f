"""The SIMULATED tables that other programs and this package fit alike, by `tests.simulators` with fixed seeds.

python -m tests.evidence.references simulate      # writes tests/evidence/references/SIMULATED_*.csv
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests import simulators

HERE = Path(__file__).parent


def _rng(number: int) -> np.random.Generator:
    return np.random.default_rng([20261129, number])


def slopes() -> pd.DataFrame:
    """A trial of two arms of 60, and 40 historical controls who decline more slowly; drop-out at random."""
    return simulators.als_slope(
        _rng(1), n_per_arm={"control": 60, "treated": 60, "historical control": 40}, months=[0, 1.5, 3, 6, 9, 12],
        mean_level=38, sd_level=5, mean_slope=-1.05, sd_slope=0.6, correlation=0.25, sd_residual=1.8,
        slope_effect={"treated": 0.3, "historical control": 0.25}, level_difference={"historical control": -1.5},
        dropout_per_month=0.02,
    ).round({"alsfrsr": 2})  # fmt: skip


def shared() -> pd.DataFrame:
    """Two arms of 50 with deaths whose hazard follows the patient's own rate; a row a visit, survival repeated."""
    visits, subjects = simulators.als_shared(
        _rng(2), n_per_arm={"control": 50, "treated": 50}, months=np.arange(0, 13.0, 2), hazard=0.04, hazard_by_rate=0.9,
        rate_ratio={"treated": 0.75}, dropout_per_month=0.02,
    )  # fmt: skip
    return visits.round(2).merge(subjects.drop(columns="x").round(3), on="subject")


def joints() -> pd.DataFrame:
    """Two arms of 100 at three visits: tender and swollen joints of 28."""
    return simulators.sle_joints(
        _rng(6), n_per_arm={"control": 100, "treated": 100}, months=[0, 1, 3], mean_level=[-0.5, -1.1], sd_patient=[0.8, 0.9],
        time_course=np.array([[-0.2, -0.3], [-0.4, -0.3]]), overdispersion=[0.08, 0.05],
        effect={"treated": np.array([[-0.4, -0.3], [-0.2, -0.5]])},
    )  # fmt: skip


def crp() -> pd.DataFrame:
    """Two arms of 40 at three visits, a third or so below the limit of detection."""
    return simulators.sle_crp(
        _rng(7), n_per_arm={"control": 40, "treated": 40}, months=[0, 1, 3], mean_level=0.3, time_course=[-0.2, -0.3], sd_patient=0.8,
        sd_residual=0.6, effect={"treated": [-0.5, -0.3]}, detection_limit=0.7,
    ).round({"crp_mg_dl": 4})  # fmt: skip


def bounded() -> pd.DataFrame:
    """Two arms of 100 at five visits: whole scores of 0 to 48."""
    return simulators.als_bounded(
        _rng(8), n_per_arm={"control": 100, "treated": 100}, months=[0, 3, 6, 9, 12], mean_level=1.1, sd_level=0.8, mean_slope=-0.13,
        sd_slope=0.1, correlation=0.3, overdispersion=0.03, slope_effect={"treated": 0.05},
    ).drop(columns="x0")  # fmt: skip


def antibody() -> pd.DataFrame:
    """Two arms of 40 at seven visits, tests for antibodies at four of them."""
    return simulators.als_antibody(
        _rng(9), n_per_arm={"control": 40, "treated": 40}, months=[0, 2, 4, 6, 8, 10, 12], tests=[0, 4, 8, 12], mean_level=38, sd_level=5,
        mean_slope=-1.05, sd_slope=0.6, correlation=0.2, sd_residual=1.5, effect_before=0.6, effect_after=-0.1, share_converting=0.8,
        median_onset=4.5, onset_shape=1.5,
    ).drop(columns="onset").round({"alsfrsr": 2})  # fmt: skip


def items() -> pd.DataFrame:
    """Two arms of 25 at three visits: twelve items of 0 to 4."""
    third = np.linspace(-2.2, 0.4, 12)
    return simulators.als_items(
        _rng(10), n_per_arm={"control": 25, "treated": 25}, months=[0, 6, 12], cutpoints=third[:, None] + np.array([-2.2, -1.0, 0.0, 1.3]),
        sd_level=1.2, mean_slope=-0.16, sd_slope=0.12, correlation=0.2, slope_effect={"treated": 0.06},
    )  # fmt: skip


TABLES = {one.__name__: one for one in (slopes, shared, joints, crp, bounded, antibody, items)}


def path(name: str) -> Path:
    """The file of a table."""
    return HERE / f"SIMULATED_{name}.csv"


def read(name: str) -> pd.DataFrame:
    """A table as the other programs read it."""
    return pd.read_csv(path(name), dtype={"subject": str}, keep_default_na=True)


def write() -> None:
    """Make every table again."""
    for name, make in TABLES.items():
        make().to_csv(path(name), index=False)
