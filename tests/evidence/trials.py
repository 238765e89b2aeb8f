"""The simulated trials that engines are compared on: what varies between them follows from a seed for each.

The data come from `tests/simulators.py`, hence from nothing in the package under test. Values are rounded to six
decimals before anything reads them, so that the last digits of another machine's exponential change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import progression as pg
from tests import simulators

SETS = {"als_slope": 200, "sle_crp": 200, "sle_joints": 50, "als_shared": 50, "als_bounded": 50, "als_antibody": 50}
ARMS = ["control", "treated"]
MONTHS = [0, 1, 3, 6]  # of the lupus trials
_SEED = 20250
_NULL = 0.25  # share of trials in which treatment does nothing

Generator = np.random.Generator


@dataclass(frozen=True, eq=False)
class Trial:
    """A simulated table with what is needed to fit it.

    Attributes
    ----------
    model : str
    index : int
    table : pandas.DataFrame
        Columns subject, arm, time (months), outcomes, covariates.
    outcomes : list
        As `Cohort.from_table` takes them.
    truth : mapping
        What the simulator was given.
    options : mapping
        Options of the model.
    covariates : list of str
    subjects : pandas.DataFrame, optional
        What is known by subject, where it is not in `table`.
    """

    model: str
    index: int
    table: pd.DataFrame
    outcomes: list[Any]
    truth: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    covariates: list[str] = field(default_factory=list)
    subjects: pd.DataFrame | None = None

    @property
    def name(self) -> str:
        """Such as ``als_slope-007``."""
        return f"{self.model}-{self.index:03d}"

    @property
    def hash(self) -> str:
        """SHA-256 (16 digits) of the table as CSV, the detection limits and the model's options."""
        tables = [self.table] if self.subjects is None else [self.table, self.subjects]
        text = "".join(one.to_csv(index=False, lineterminator="\n") for one in tables)
        limits = [getattr(outcome, "detection_limit", None) for outcome in self.outcomes]
        return hashlib.sha256(f"{text}{limits}{dict(self.options)}".encode()).hexdigest()[:16]

    def cohort(self) -> pg.Cohort:
        """The table as a cohort."""
        return pg.Cohort.from_table(
            self.table, self.subjects, time_unit="months", outcomes=self.outcomes, covariates=self.covariates, arms=ARMS,
            allocation="randomised", provenance="simulated", name=self.name,
        )  # fmt: skip


@cache
def trial(model: str, index: int) -> Trial:
    """The trial of a model under a number: always the same one."""
    rng = np.random.default_rng([_SEED, list(SETS).index(model), index])
    made = _MAKERS[model](rng)
    tables = {name: made[name].round(6) for name in ("table", "subjects") if name in made}
    return Trial(model, index, **(made | tables))


def _als_slope(rng: Generator) -> dict[str, Any]:
    """About 64 patients, 7 visits; one in five with a screening visit, a covariate, or a baseline for each arm."""
    total, share = int(rng.integers(56, 73)), rng.choice([1 / 2, 2 / 3])
    n_treated = round(total * share)
    last = rng.choice([6.0, 9.0, 12.0])
    months = np.round(np.linspace(0, last, 7), 2)
    screened, free, covariate = rng.random(3) < 0.2
    if screened:
        months = np.r_[-1.0, months[:-1]]
    truth = {
        "mean_level": rng.uniform(34, 42), "sd_level": rng.uniform(3, 7), "mean_slope": rng.uniform(-1.5, -0.5),
        "sd_slope": rng.uniform(0.2, 1.0), "correlation": rng.uniform(-0.3, 0.6), "sd_residual": rng.uniform(1.0, 2.5),
        "dropout_per_month": float(rng.choice([0.0, rng.uniform(0, 0.06)], p=[0.25, 0.75])),
    }  # fmt: skip
    effect = 0.0 if rng.random() < _NULL else rng.uniform(-0.3, 0.7)
    more = {"level_difference": {"treated": rng.normal(0, 2)}} if free else {}
    more |= {"level_coefficient": [rng.normal(0, 2)], "slope_coefficient": [rng.normal(0, 0.3)]} if covariate else {}
    table = simulators.als_slope(rng, n_per_arm=dict(zip(ARMS, (total - n_treated, n_treated), strict=True)),
                                 months=months.tolist(), slope_effect={"treated": effect}, **truth, **more)  # fmt: skip
    before = (table["time"] < 0) & (table["arm"] == "treated")
    table.loc[before, "alsfrsr"] -= effect * table.loc[before, "time"]  # nothing works before time 0
    options = {"baseline": "free" if free else "common", "covariates": ["x0"] if covariate else []}
    return {"table": table, "outcomes": ["alsfrsr"], "truth": truth | more | {"slope_effect": effect},
            "options": options, "covariates": options["covariates"]}  # fmt: skip


def _sle_crp(rng: Generator) -> dict[str, Any]:
    """2 x 20 to 2 x 60 patients, 4 visits; at baseline 5 to 45 % lie below the detection limit."""
    n = int(rng.integers(20, 61))
    truth = {
        "mean_level": rng.uniform(-0.5, 1.2), "time_course": rng.uniform(-0.6, 0.3, 3).round(3).tolist(),
        "sd_patient": rng.uniform(0.5, 1.5), "sd_residual": rng.uniform(0.3, 0.9),
    }  # fmt: skip
    spread = np.hypot(truth["sd_patient"], truth["sd_residual"])
    # A detection limit by the share below it, through a sample: no need of the normal quantile function.
    below = np.quantile(truth["mean_level"] + spread * rng.normal(size=1000), rng.uniform(0.05, 0.45))
    limit = round(float(np.exp(below)), 2)
    effect = np.zeros(3) if rng.random() < _NULL else rng.uniform(-1.0, 0.3) * np.array([0.5, 0.8, 1.0])
    free, leave = rng.random() < 0.2, rng.uniform(0, 0.05)
    table = simulators.sle_crp(rng, n_per_arm=dict.fromkeys(ARMS, n), months=MONTHS, effect={"treated": effect},
                               detection_limit=limit, **truth)  # fmt: skip
    outcome = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=limit)
    return {"table": _drop_out(rng, table, leave), "outcomes": [outcome],
            "truth": truth | {"effect": effect.tolist(), "dropout_per_month": leave},
            "options": {"baseline": "free" if free else "common"}}  # fmt: skip


def _sle_joints(rng: Generator) -> dict[str, Any]:
    """2 x 60 patients, 4 visits, tender and swollen joints, from nearly binomial counts to strongly varying ones."""
    tender = rng.uniform(-1.2, 0.2)
    truth = {
        "mean_level": [tender, tender - rng.uniform(0, 1)], "time_course": rng.uniform(-0.6, 0.1, (3, 2)),
        "sd_patient": rng.uniform(0.5, 1.2, 2).tolist(), "overdispersion": rng.uniform(0.02, 0.2, 2).tolist(),
    }  # fmt: skip
    ramp = np.array([0.5, 0.8, 1.0])[:, None]
    effect = np.zeros((3, 2)) if rng.random() < _NULL else rng.uniform(-1.0, 0.2, 2) * ramp
    free, leave = rng.random() < 0.2, rng.uniform(0, 0.05)
    table = simulators.sle_joints(rng, n_per_arm=dict.fromkeys(ARMS, 60), months=MONTHS, effect={"treated": effect},
                                  **truth)  # fmt: skip
    return {"table": _drop_out(rng, table, leave), "outcomes": ["tender_joints", "swollen_joints"],
            "truth": truth | {"effect": effect, "dropout_per_month": leave},
            "options": {"baseline": "free" if free else "common"}}  # fmt: skip


def _als_shared(rng: Generator) -> dict[str, Any]:
    """2 x 15 to 2 x 30 patients, 7 visits in 6 months, deaths and drop-out; one in five with nothing known of deaths."""
    n, covariate, known = int(rng.integers(15, 31)), rng.random() < 0.2, rng.random() > 0.2
    truth = {
        "mean_level": rng.uniform(34, 42), "sd_level": rng.uniform(3, 7), "mean_rate": rng.uniform(0.6, 1.4),
        "sd_rate": rng.uniform(0.3, 0.9), "sd_residual": rng.uniform(1.0, 2.5), "hazard": rng.uniform(0.005, 0.05),
        "dropout_per_month": rng.uniform(0.0, 0.04),
    }  # fmt: skip
    ratio = 1.0 if rng.random() < _NULL else rng.uniform(0.4, 1.3)
    more = {"rate_coefficient": rng.normal(0, 0.3)} if covariate else {}
    visits, subjects = simulators.als_shared(rng, n_per_arm=dict.fromkeys(ARMS, n), months=[*range(7)],
                                             rate_ratio={"treated": ratio}, **truth, **more)  # fmt: skip
    keep = ["subject", "arm"] + ["x"] * covariate + ["event", "event_time", "end_of_follow_up"] * known
    return {"table": visits, "subjects": subjects[keep], "outcomes": ["alsfrsr"], "covariates": ["x"] * covariate,
            "truth": truth | more | {"rate_ratio": ratio}, "options": {"covariates": ["x"] * covariate}}  # fmt: skip


def _als_bounded(rng: Generator) -> dict[str, Any]:
    """2 x 10 to 2 x 20 patients, 5 visits in a year, from scores that stay off the ends to many at the floor."""
    n = int(rng.integers(10, 21))
    truth = {
        "mean_level": rng.uniform(-0.5, 1.5), "sd_level": rng.uniform(0.5, 1.2), "mean_slope": rng.uniform(-0.25, -0.05),
        "sd_slope": rng.uniform(0.05, 0.2), "correlation": rng.uniform(-0.3, 0.6), "overdispersion": rng.uniform(0.005, 0.05),
        "dropout_per_month": rng.uniform(0, 0.04),
    }  # fmt: skip
    effect = 0.0 if rng.random() < _NULL else rng.uniform(-0.05, 0.15)
    table = simulators.als_bounded(rng, n_per_arm=dict.fromkeys(ARMS, n), months=[0, 3, 6, 9, 12],
                                   slope_effect={"treated": effect}, **truth)  # fmt: skip
    return {"table": table.drop(columns="x0"), "outcomes": ["alsfrsr"], "truth": truth | {"slope_effect": effect}}


def _als_antibody(rng: Generator) -> dict[str, Any]:
    """2 x 10 to 2 x 20 patients, 7 visits in a year, tests for antibodies at every visit or every other."""
    n, every = int(rng.integers(10, 21)), int(rng.choice([2, 4]))
    truth = {
        "mean_level": rng.uniform(34, 42), "sd_level": rng.uniform(3, 7), "mean_slope": rng.uniform(-1.5, -0.5),
        "sd_slope": rng.uniform(0.2, 1.0), "correlation": rng.uniform(-0.3, 0.6), "sd_residual": rng.uniform(1.0, 2.5),
        "effect_before": rng.uniform(-0.2, 0.8), "effect_after": rng.uniform(-0.4, 0.6), "share_converting": rng.uniform(0.4, 0.95),
        "median_onset": rng.uniform(1.5, 5), "onset_shape": rng.uniform(0.8, 2),
    }  # fmt: skip
    table = simulators.als_antibody(rng, n_per_arm=dict.fromkeys(ARMS, n), months=[*range(0, 13, 2)],
                                    tests=[*range(0, 13, every)], **truth)  # fmt: skip
    return {"table": table.drop(columns="onset"), "outcomes": ["alsfrsr"], "truth": truth}


def _drop_out(rng: Generator, table: pd.DataFrame, per_month: float) -> pd.DataFrame:
    """Patients leave for good at a constant rate, never before their first visit."""
    subjects = table["subject"].unique()
    leaves = pd.Series(rng.standard_exponential(len(subjects)) / max(per_month, 1e-9), index=subjects)
    stays = (table["time"] <= 0) | (table["time"].to_numpy() < leaves[table["subject"]].to_numpy())
    return table[stays].reset_index(drop=True)


_MAKERS: Mapping[str, Callable[[Generator], dict[str, Any]]] = {
    "als_slope": _als_slope,
    "sle_crp": _sle_crp,
    "sle_joints": _sle_joints,
    "als_shared": _als_shared,
    "als_bounded": _als_bounded,
    "als_antibody": _als_antibody,
}
