"""Estimands: named quantities of interest, each with a unit, a direction and the assumption it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import xarray as xr

from progression.cohort import Cohort
from progression.faults import SettingError, setting_fault, suggest

__all__ = ["Estimand", "Facts"]


_WORDS: Mapping[str, tuple[str | None, ...]] = {
    "scale": ("difference", "ratio", "direct"),
    "benefit": ("higher", "lower", None),
    "population": ("conditional", "population-averaged", "new patient"),
    "requires": ("control", "no control", "any"),
}


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

    def __post_init__(self) -> None:
        """Refuse words that are none of those there are: figures and reports go by them."""
        faults = [
            setting_fault(key, getattr(self, key), f"is not known of estimand {self.name!r}{suggest(str(getattr(self, key)), [one for one in known if one])}",
                          f"use one of {', '.join(map(str, known))}")
            for key, known in _WORDS.items() if getattr(self, key) not in known
        ]  # fmt: skip
        if isinstance(self.over, str):
            faults.append(
                setting_fault("over", self.over, f"of estimand {self.name!r} is one word", f'give ("{self.over}",)')
            )
        if faults:
            raise SettingError(faults)

    def draws(self, posterior: xr.Dataset, facts: Facts, **at: float) -> xr.DataArray:
        """Computed draw by draw, dims (chain, draw, then those of `over` that the cohort has).

        Raises
        ------
        SettingError
            Where the function fails, or gives other dims than it is said to: named, with the way out.
        """
        try:
            found = self.compute(posterior, facts, **at)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            what = f"of {self.name!r} fails: {type(error).__name__}: {error}"
            parameters = ", ".join(str(name) for name in posterior)
            raise SettingError(
                [setting_fault("compute", self.name, what, f"mend it; the posterior holds {parameters}")]
            ) from error
        if not isinstance(found, xr.DataArray) or not {"chain", "draw"} <= set(found.dims):
            given = list(found.dims) if isinstance(found, xr.DataArray) else type(found).__name__
            raise SettingError([setting_fault("compute", self.name, f"of {self.name!r} gives {given}, not a value for each chain and draw",
                                              "compute with xarray, and leave chain and draw as they are")])  # fmt: skip
        if others := [str(dim) for dim in found.dims if dim not in ("chain", "draw", *self.over)]:
            arms = ', and requires="control" for a contrast of arms' if "active_arm" in others else ""
            raise SettingError([setting_fault("over", self.name, f"of {self.name!r} does not name {', '.join(others)}, over which it has several components",
                                              f"declare over={(*self.over, *others)!r}{arms}")])  # fmt: skip
        return found.transpose("chain", "draw", *(dim for dim in self.over if dim in found.dims))

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
