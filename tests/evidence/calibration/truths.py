"""What is simulated: for each model and regime parameters from the priors it declares, patients, a table and every estimand's value.

All by NumPy and SciPy: parameters by `tests.recovery.yardsticks.draw`, tables by `tests.simulators`, estimands by
`estimands`. Of the package only the declared priors are read, since it is they that a calibrated posterior must hold for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import progression as pg
from tests import simulators
from tests.evidence.calibration.estimands import ESTIMANDS, Values, cutpoints
from tests.recovery.yardsticks import draw

SEED = 20261129
LIMIT = 0.7  # mg/dl: under the prior of sle_crp from none to nearly all of a cohort lie below
NEVER = 1200.0  # months; what als_antibody calls an onset that never comes
FLOOR = 1e-4  # what the beta-binomial programs add to the correlation in the denominator of the concentration
PILOT_WEEKS = (0.0, 0.92, 2.76)  # weeks 0, 4 and 12 of the lupus pilot, in months


@dataclass(frozen=True)
class Design:
    """Patients by arm, months of visits, and what else a simulator is told."""

    arms: Mapping[str, int]
    months: Sequence[float]
    how: Mapping[str, Any] = field(default_factory=dict)
    free: bool = False  # each arm a baseline of its own


PILOT, TRIAL, FOUR = {"control": 47, "treated": 17}, {"control": 60, "treated": 60}, {"treated": 4}
LEAVE = {"dropout_per_month": 0.03}
YEAR = [0, 2, 4, 6, 8, 10, 12]
DESIGNS: Mapping[str, Mapping[str, Design]] = {
    "als_slope": {"sparse": Design(PILOT, [0, 3, 6], LEAVE, free=True), "dense": Design(TRIAL, YEAR, LEAVE)},
    "als_shared": {"sparse": Design(PILOT, [0, 3, 6], LEAVE), "dense": Design(TRIAL, YEAR, LEAVE)},
    "als_bounded": {"sparse": Design(PILOT, [0, 3, 6]), "dense": Design(TRIAL, [0, 3, 6, 9, 12])},
    "als_items": {"sparse": Design(PILOT, [0, 6]), "dense": Design(TRIAL, [0, 4, 8, 12])},
    "als_antibody": {
        "sparse": Design(PILOT, [0, 2, 6], {"tests": [0, 2, 6]}),
        "dense": Design(TRIAL, YEAR, {"tests": YEAR}),
    },
    "sle_activity": {"sparse": Design(FOUR, PILOT_WEEKS), "dense": Design(TRIAL, [0, 1, 3])},
    "sle_crp": {"sparse": Design(FOUR, PILOT_WEEKS), "dense": Design(TRIAL, [0, 1, 3, 6])},
    "sle_joints": {"sparse": Design(FOUR, PILOT_WEEKS), "dense": Design(TRIAL, [0, 1, 3, 6])},
}
REGIMES = ("sparse", "dense")

# Dims of parameters that are no scalars, by letter: active arms, arms, later visits, counts (or outcomes), markers, items.
_DIMS = {
    "als_slope": {"level_difference": "a", "slope_effect": "a"},
    "als_shared": {"sd_rate": "A", "rate_ratio": "a"},
    "als_bounded": {"slope_effect": "a"},
    "als_items": {
        "slope_effect": "a",
        **dict.fromkeys(("third_cutpoint", "first_gap", "second_gap", "third_gap"), "i"),
    },
    "als_antibody": {"effect_before": "a", "effect_after": "a"},
    "sle_crp": {"time_course": "v", "effect": "av"},
    "sle_joints": {"time_course": "vc", "effect": "avc"} | dict.fromkeys(("mean_level", "sd_patient", "overdispersion"), "c"),
    "sle_activity": {"time_course": "v", "effect": "av"}
    | dict.fromkeys(("count_level", "count_loading", "sd_count", "overdispersion"), "c")
    | dict.fromkeys(("marker_level", "marker_loading", "sd_marker", "sd_residual"), "m"),
}  # fmt: skip
# Parameters of clauses that no design here uses: their variables have length zero.
_UNUSED = {
    "level_difference", "level_coefficient", "slope_coefficient", "bend", "level_regimen", "rate_coefficient", "regimen_raw",
    "variance_regimen", "period_raw", "sd_period", "hazard_ratio", "hazard_by_rate", "flare_hazard", "flare_loading",
}  # fmt: skip
COUNTS = ("tender_joints", "swollen_joints")
ALSFRSR = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)
CRP = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=LIMIT)


@dataclass(frozen=True, eq=False)
class Simulated:
    """One data set with all that is known of it: parameters, what each patient has, and the value of each estimand."""

    model: str
    design: Design
    visits: pd.DataFrame
    subjects: pd.DataFrame | None
    population: Values
    patients: Values
    asked: Values

    def cohort(self) -> pg.Cohort:
        """The data as the package takes them."""
        names = {
            "als_items": list(simulators.ITEMS),
            "sle_crp": [CRP],
            "sle_joints": list(COUNTS),
            "sle_activity": [*COUNTS, CRP],
        }
        return pg.Cohort.from_table(
            self.visits, self.subjects, time_unit="months", outcomes=names.get(self.model, [ALSFRSR]), provenance="simulated",
            arms=list(self.design.arms), allocation="randomised" if len(self.design.arms) > 1 else "single arm",
        )  # fmt: skip

    @property
    def options(self) -> dict[str, Any]:
        return {"baseline": "free"} if self.design.free else {}

    def fingerprint(self) -> str:
        """SHA-256 (16 digits) of tables, parameters and estimands to six digits."""
        tables = [self.visits] if self.subjects is None else [self.visits, self.subjects]
        text = "".join(one.round(6).to_csv(index=False, lineterminator="\n") for one in tables)
        text += "".join(
            f"{name}{np.round(one, 6).tolist()}" for name, one in [*self.population.items(), *self.asked.items()]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]  # fmt: skip


def population(model: str, design: Design, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every parameter that the design uses, drawn from the prior that the model declares for it."""
    sizes = {"a": len(design.arms) - 1, "A": len(design.arms), "v": len(design.months) - 1, "c": 2, "m": 1, "i": 12}
    found = {}
    for name, prior in pg.models()[model].priors.items():
        if name not in _UNUSED or (name == "level_difference" and design.free):
            found[name] = np.asarray(draw(rng, prior, tuple(sizes[d] for d in _DIMS[model].get(name, ""))), float)
    return {name: one for name, one in found.items() if one.size}


def simulated(model: str, regime: str, index: int) -> Simulated:
    """The data set of that number, always the same one."""
    design = DESIGNS[model][regime]
    rng = np.random.default_rng([SEED, list(DESIGNS).index(model), REGIMES.index(regime), index])
    p = population(model, design, rng)
    made = _SIMULATORS[model](rng, p, design)
    visits, subjects = made if isinstance(made, tuple) else (made, None)
    patients = {name: np.asarray(one, float) for name, one in visits.attrs.pop("patients").items()}
    if "onset" in patients:
        visits = visits.drop(columns="onset")
        patients["onset"] = np.minimum(patients["onset"], NEVER)
    asked = {name: np.asarray(value, float) for name, value in ESTIMANDS[model](p).items()}
    return Simulated(model, design, visits.drop(columns="x0", errors="ignore"), subjects, p, patients, asked)


def _treated(p: Values, name: str) -> dict[str, float]:
    return {"treated": float(p[name][0])}


def _plain(p: Values, *but: str) -> dict[str, Any]:
    return {name: float(one) if one.ndim == 0 else one for name, one in p.items() if name not in but}


def _rho(p: Values) -> np.ndarray:
    """The correlation whose concentration (1 - rho)/rho is the one that the program gives, with its floor."""
    return (p["overdispersion"] + FLOOR) / (1 + FLOOR)


def _slope(rng: np.random.Generator, p: Values, design: Design) -> pd.DataFrame:
    more = {"level_difference": _treated(p, "level_difference")} if design.free else {}
    return simulators.als_slope(rng, n_per_arm=design.arms, months=design.months, slope_effect=_treated(p, "slope_effect"),
                                **_plain(p, "slope_effect", "level_difference"), **more, **design.how)  # fmt: skip


def _shared(rng: np.random.Generator, p: Values, design: Design) -> tuple[pd.DataFrame, pd.DataFrame]:
    visits, subjects = simulators.als_shared(
        rng, n_per_arm=design.arms, months=design.months, rate_ratio=_treated(p, "rate_ratio"), **design.how,
        sd_rate=dict(zip(design.arms, p["sd_rate"], strict=True)), **_plain(p, "rate_ratio", "sd_rate"),
    )  # fmt: skip
    return visits, subjects.drop(columns="x")


def _bounded(rng: np.random.Generator, p: Values, design: Design) -> pd.DataFrame:
    return simulators.als_bounded(rng, n_per_arm=design.arms, months=design.months, slope_effect=_treated(p, "slope_effect"),
                                  **_plain(p, "slope_effect", "overdispersion"), overdispersion=float(_rho(p)))  # fmt: skip


def _items(rng: np.random.Generator, p: Values, design: Design) -> pd.DataFrame:
    own = {name: float(p[name]) for name in ("sd_level", "mean_slope", "sd_slope", "correlation")}
    return simulators.als_items(rng, n_per_arm=design.arms, months=design.months, cutpoints=cutpoints(p),
                                slope_effect=_treated(p, "slope_effect"), **own)  # fmt: skip


def _antibody(rng: np.random.Generator, p: Values, design: Design) -> pd.DataFrame:
    effects = {name: float(p[name][0]) for name in ("effect_before", "effect_after")}
    return simulators.als_antibody(rng, n_per_arm=design.arms, months=design.months, **effects, **_plain(p, *effects), **design.how)  # fmt: skip


def _visits(simulator: Callable[..., pd.DataFrame], rng: np.random.Generator, p: Values, design: Design) -> pd.DataFrame:  # fmt: skip
    """The lupus models: an effect at each visit."""
    more: dict[str, Any] = {} if simulator is simulators.sle_joints else {"detection_limit": LIMIT}
    if "effect" in p:
        more["effect"] = {"treated": p["effect"][0] if simulator is simulators.sle_joints else list(p["effect"][0])}
    if "overdispersion" in p:
        more["overdispersion"] = _rho(p)
    return simulator(rng, n_per_arm=design.arms, months=design.months, **_plain(p, "effect", "overdispersion"), **more)


_SIMULATORS: Mapping[str, Callable[[np.random.Generator, Values, Design], Any]] = {
    "als_slope": _slope, "als_shared": _shared, "als_bounded": _bounded, "als_items": _items, "als_antibody": _antibody,
    "sle_crp": partial(_visits, simulators.sle_crp), "sle_joints": partial(_visits, simulators.sle_joints),
    "sle_activity": partial(_visits, simulators.sle_activity),
}  # fmt: skip
