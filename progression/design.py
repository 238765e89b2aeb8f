"""Design: a trial as a protocol states it. It knows no disease, no model and no truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pandas as pd

from progression.borrowing import Borrowing
from progression.cohort import Cohort
from progression.design_checks import design_faults
from progression.design_file import read_design, read_toml, write_design
from progression.design_words import synopsis
from progression.faults import SettingError, is_number, setting_fault
from progression.looks import Look
from progression.priors import Prior
from progression.units import months_per

__all__ = ["Design", "Look"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Design:
    """A trial as its protocol states it: who, when, what may go wrong, when it is looked at.

    Parameters
    ----------
    arms : mapping of str to int
        Label and number of patients of each arm, the control first. One arm only: a single-arm trial.
    visits_weeks, visits_months : sequence of float
        Planned visits from each patient's own entry; the first at 0. Exactly one of the two.
    visit_jitter_days : float
        SD of the days by which visits after the first are early or late. The days are drawn once for a seed and stand in all its
        trials: one coding of the visits serves all of them.
    missed_visits : float
        Probability that a visit after the first is missed.
    accrual_per_month, accrual_months : float, optional
        Patients entering a month, or months until the last enters; not both. Neither: all enter on one day.
    entry : {"uniform", "poisson"}
        Entry at independent uniform times over the months of accrual, or with independent exponential gaps between patients.
    dropout_per_month : float
        Probability that a patient leaves within a month, a constant hazard of -log(1 - p). Who left is not followed further.
    dropout_by_slope : float
        Change of the log hazard of leaving for each SD of a patient's own slope within the trial: with -0.5 those who decline faster
        leave sooner. The slope is what the program calls so: with its treatment in `als_slope`, `als_bounded` and `als_items`, so that
        a treatment that slows decline keeps patients; without it in `als_shared` (the own rate), `als_antibody` and `resample`, where
        treatment leaves drop-out alone.
    death_per_month : float, optional
        Probability of dying within a month, unrelated to anything; only for models that have no event outcome of their own.
    antibody_tests_weeks : sequence of float, optional
        When the treated are tested for antibodies: the onset that a model draws is then known to lie between two tests.
    historical : Cohort, or mapping of str to int, optional
        Real controls of one arm, the same in every trial; or label and number of controls to be simulated with every trial, whose
        *drift* is part of the truth.
    historical_arm : str
        Label that real controls get.
    borrowing : Borrowing, optional
        How far they are trusted in the analysis.
    looks : sequence of Look
        Interim analyses, in order of time.
    rounding, clipping : bool
        Whether scores are rounded where their outcome counts in whole numbers, and kept within its bounds: a stress for a model that
        takes them as continuous.
    name : str

    Raises
    ------
    SettingError
        With every fault found.
    """

    arms: Mapping[str, int]
    visits_weeks: Sequence[float] | None = None
    visits_months: Sequence[float] | None = None
    visit_jitter_days: float = 0.0
    missed_visits: float = 0.0
    accrual_per_month: float | None = None
    accrual_months: float | None = None
    entry: str = "uniform"
    dropout_per_month: float = 0.0
    dropout_by_slope: float = 0.0
    death_per_month: float | None = None
    antibody_tests_weeks: Sequence[float] | None = None
    historical: Cohort | Mapping[str, int] | None = None
    historical_arm: str = "historical control"
    borrowing: Borrowing | None = None
    looks: Sequence[Look] = ()
    rounding: bool = False
    clipping: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        faults = design_faults(self)
        if faults:
            raise SettingError(faults)
        for key in ("visits_weeks", "visits_months", "antibody_tests_weeks"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, tuple(float(one) for one in getattr(self, key)))
        for field in fields(self):  # one form of each number, so that 3 and 3.0 have one fingerprint
            value = getattr(self, field.name)
            if is_number(value):
                object.__setattr__(self, field.name, float(value))
        object.__setattr__(self, "looks", tuple(self.looks))
        for key in ("arms", "historical"):
            value = getattr(self, key)
            if isinstance(value, Mapping):
                object.__setattr__(self, key, MappingProxyType({str(arm): int(n) for arm, n in value.items()}))

    @property
    def time_unit(self) -> str:
        """The unit in which visits are planned: "weeks" or "months"."""
        return "weeks" if self.visits_weeks is not None else "months"

    @property
    def visits(self) -> tuple[float, ...]:
        """Planned visits, in `time_unit`."""
        return tuple(self.visits_weeks if self.visits_weeks is not None else self.visits_months or ())

    @property
    def visit_months(self) -> np.ndarray:
        """Planned visits, in months."""
        return np.asarray(self.visits) * months_per[self.time_unit]

    @property
    def n_patients(self) -> int:
        """Patients of all arms, historical controls not counted."""
        return sum(self.arms.values())

    @property
    def months_of_accrual(self) -> float:
        """Months until the last patient enters: planned, and on average where entries are random."""
        if self.accrual_per_month is not None:
            return self.n_patients / self.accrual_per_month
        return self.accrual_months or 0.0

    @property
    def duration(self) -> float:
        """Calendar months until the last visit of the last patient, as planned."""
        return self.months_of_accrual + float(self.visit_months[-1])

    @property
    def historical_sizes(self) -> Mapping[str, int]:
        """Label and number of the historical controls, real or simulated; empty where there are none."""
        if self.historical is None:
            return {}
        if isinstance(self.historical, Cohort):
            return {self.historical_arm: self.historical.n_subjects}
        return self.historical

    def to_dict(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain values; real controls by the fingerprint of their cohort."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "arms" and (
                value is None or value == field.default or (field.name == "looks" and not value)
            ):
                continue
            if isinstance(value, Cohort):
                value = f"cohort {value.fingerprint}"
            elif isinstance(value, Borrowing):
                value = {"kind": type(value).__name__, **{one.name: getattr(value, one.name) for one in fields(value)}}
                value = {key: _plain(one) for key, one in value.items() if one is not None}
            elif isinstance(value, Mapping):
                value = dict(value)
            elif isinstance(value, tuple):
                value = [one.to_dict() if isinstance(one, Look) else one for one in value]
            found[field.name] = value
        return found

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that determines the trials and their looks; not of the name."""
        content = {key: value for key, value in self.to_dict().items() if key != "name"}
        # Arms by their order, which says who is the control.
        content["arms"] = list(self.arms.items())
        if isinstance(self.historical, Mapping) and len(self.historical) > 1:
            content["historical"] = list(self.historical.items())  # simulated in this order
        return hashlib.sha256(
            json.dumps(content, sort_keys=True, ensure_ascii=False, default=float).encode()
        ).hexdigest()

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a design from a TOML file: its table ``[design]`` where it has one, else the whole file.

        Keys are the parameters of `Design`. ``[design.borrowing]`` has the key ``kind`` ("Commensurate") beside its parameters;
        ``[[design.looks]]`` the parameters of `Look`, a rule as ``{estimand = "drr", comparison = "<", value = 1, probability = 0.979}``.
        What such a file says of simulations, in ``[power]`` and ``[assurance]``, is left aside.

        Raises
        ------
        SettingError
            With every fault and its key.
        """
        return cls(**read_design(read_toml(path)))

    def to_toml(self) -> str:
        """The design as text that `from_toml` reads.

        Raises
        ------
        SettingError
            Where the historical controls are a cohort: a text file holds no patients.
        """
        if isinstance(self.historical, Cohort):
            raise SettingError([setting_fault("historical", self.historical.name, "is a cohort, and a text file holds no patients",
                                              "write the design without it, and add it when it is read again")])  # fmt: skip
        return write_design(self.to_dict())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Design) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> tuple[Any, ...]:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return _design, (
            {key: dict(value) if isinstance(value, MappingProxyType) else value for key, value in given.items()},
        )

    def __repr__(self) -> str:
        return synopsis(self)


def _plain(value: Any) -> Any:
    """A setting of a way to borrow as TOML and JSON can hold it."""
    if isinstance(value, Prior):
        return {"distribution": value.distribution, **value.parameters}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping | pd.Series):  # weights by subject
        return {str(key): float(one) for key, one in value.items()}
    return value


def _design(given: Mapping[str, Any]) -> Design:
    return Design(**given)
