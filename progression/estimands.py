"""Estimands: named quantities of interest, each with a unit, a direction and the assumption it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import xarray as xr

from progression.cohort import Cohort

__all__ = ["Estimand", "Facts"]


@dataclass(frozen=True)
class Facts:
    """What an estimand may know beside the posterior draws: the cohort, its coding and the options of the fit."""

    cohort: Cohort
    data: xr.Dataset
    options: Mapping[str, Any]

    @property
    def control(self) -> str:
        """Label of the control arm."""
        return self.cohort.arms[0]


@dataclass(frozen=True)
class Estimand:
    """A named quantity of interest with a unit, a direction and the assumption it rests on.

    Parameters
    ----------
    name : str
        Short name, a valid Python identifier.
    compute : callable
        ``compute(posterior, facts, **at) -> xarray.DataArray``: from population parameters with dims
        (chain, draw, ...) to the estimand with dims (chain, draw, then those of `over`), draw by draw.
    label : str
        One line in words, sign and unit included: "treated minus control, points/month, positive = slower decline".
    unit : str
        Unit; empty for a ratio.
    scale : {"difference", "ratio", "direct"}
        What kind of quantity it is; "direct" is a quantity of one arm, not a contrast.
    reference : str
        What it is measured against: "control arm", "baseline", "none".
    null : float or None
        The value of no effect; None for a direct quantity.
    benefit : {"higher", "lower"} or None
        Which direction is good for the patient.
    population : {"conditional", "population-averaged", "new patient"}
        Whom it speaks about.
    over : tuple of str
        Dims along which it has several components, such as ("active_arm",).
    requires : {"control", "no control", "any"}
        Whether the cohort must have a control arm, must not, or either.
    at : mapping
        Settings of the estimand with defaults, such as ``{"month": 6.0}``.
    assumption : str
        What a causal or comparative reading rests on.
    inverse : callable or None
        ``inverse(value, parameters) -> parameters`` giving population parameters under which the estimand is `value`.
    weak : bool
        Whether the data may hardly bear on it, by design: a contrast then sets its prior beside its posterior, and warns
        where the prior makes up much of the answer.
    """

    name: str
    compute: Callable[..., xr.DataArray] = field(compare=False)
    label: str = field(kw_only=True)
    unit: str = field(kw_only=True)
    scale: Literal["difference", "ratio", "direct"] = field(kw_only=True)
    reference: str = field(kw_only=True)
    null: float | None = field(kw_only=True)
    benefit: Literal["higher", "lower"] | None = field(kw_only=True)
    population: Literal["conditional", "population-averaged", "new patient"] = field(kw_only=True)
    over: tuple[str, ...] = field(default=(), kw_only=True)
    requires: Literal["control", "no control", "any"] = field(default="any", kw_only=True)
    at: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    assumption: str = field(default="", kw_only=True)
    inverse: Callable[..., Mapping[str, float]] | None = field(default=None, kw_only=True, compare=False)
    weak: bool = field(default=False, kw_only=True)

    def refusal(self, cohort: Cohort) -> str | None:
        """Why this cohort cannot answer the question, or None if it can."""
        if self.requires == "control" and len(cohort.arms) < 2:
            return f"{self.name!r} contrasts arms, and the cohort has one arm only ({cohort.arms[0]!r})"
        if self.requires == "no control" and len(cohort.arms) > 1:
            return f"{self.name!r} is for a cohort without controls; this one has the arms {', '.join(cohort.arms)}"
        return None

    def in_unit(self, unit: str) -> Self:
        """The same with the unit of the outcome that was analysed in the place of ``{unit}``."""
        return replace(self, unit=self.unit.replace("{unit}", unit), label=self.label.replace("{unit}", unit))
