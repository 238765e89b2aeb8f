"""Model x Encoded x priors -> a PyMC model whose data are all named ``pm.Data``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymc as pm

from progression.encoding import Encoded
from progression.faults import CohortError, Fault, SettingError, suggest
from progression.modeling import Model, SupportsPyMC


@dataclass(frozen=True, eq=False)
class Built:
    """A program that has run: its PyMC model and the names of the data it used."""

    model: pm.Model
    used: tuple[str, ...]
    encoded: Encoded


@dataclass(eq=False)
class _Data:
    """What a program sees as `data`: each array becomes ``pm.Data`` when it is first asked for, so unused ones cost nothing."""

    encoded: Encoded
    made: dict[str, Any] = field(default_factory=dict)
    prefix: str = ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self.prefix and name in self.encoded.observed:
            return _Data(self.encoded, self.made, f"{name}_")
        full = self.prefix + name
        if full not in self.encoded.arrays:
            known = [key.removeprefix(self.prefix) for key in self.encoded.arrays if key.startswith(self.prefix)]
            raise SettingError([
                Fault(what=f"data.{full.replace('_', '.', 1) if self.prefix else full} does not exist{suggest(name, known)}",
                      remedy="use one of the names listed", value=name, table="setting")
            ])  # fmt: skip
        if full not in self.made:
            dims, array = self.encoded.arrays[full]
            self.made[full] = pm.Data(full, array, dims=dims)
        return self.made[full]


@dataclass(eq=False)
class _Priors:
    """What a program sees as `prior`: a call makes the variable of that name from its declared prior."""

    priors: Mapping[str, SupportsPyMC]
    asked: set[str] = field(default_factory=set)

    def __call__(self, name: str, **kwargs: Any) -> Any:
        if name not in self.priors:
            fault = Fault(what=f"prior({name!r}) is asked for but not declared{suggest(name, self.priors)}",
                          remedy="declare it in priors=", value=name, table="setting")  # fmt: skip
            raise SettingError([fault])
        self.asked.add(name)
        return self.priors[name].to_pymc(name, **kwargs)


def build(model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC]) -> Built:
    """Run a program.

    Raises
    ------
    SettingError
        Where it asks for data or a prior that is not there, or leaves a declared prior or outcome unused.
    """
    padding = [f"padding {i}" for i in range(encoded.n_padded - encoded.n_subjects)]
    coords = {dim: list(labels) for dim, labels in encoded.coords.items()}
    coords["subject"] = [*coords["subject"], *padding]
    data, prior = _Data(encoded), _Priors(priors)
    with pm.Model(coords=coords) as built:
        model.program(data, prior)
    faults = [
        Fault(what=f"model {model.name!r} declares a prior for {name!r} that its program never asks for",
              remedy="remove it or use it", value=name, table="setting") for name in sorted(set(priors) - prior.asked)
    ] + [
        Fault(what=f"model {model.name!r} has no observed variable named {block!r}", value=block, table="setting",
              remedy=f"write pm.<Distribution>({block!r}, ..., observed=data.{block}.value)")
        for block in encoded.observed if block not in {rv.name for rv in built.observed_RVs}
    ]  # fmt: skip
    if faults:
        raise SettingError(faults)
    blind = [
        Fault(what=f"{int(encoded.arrays[f'{block}_censored'][1].sum())} values are censored (written <x), and model "
                   f"{model.name!r} would take the limit for the value", column=block, table="visits",
              remedy="use a model that knows of censoring, or correct the values")
        for block in encoded.blocks
        if encoded.arrays[f"{block}_censored"][1].any() and not knows_of_censoring(tuple(data.made), block)
    ]  # fmt: skip
    if blind:
        raise CohortError(blind)
    return Built(model=built, used=tuple(data.made), encoded=encoded)


def knows_of_censoring(used: tuple[str, ...], block: str) -> bool:
    """Whether a program that reads these data can tell a censored value of an observed variable from a measured one."""
    return bool({f"{block}_lower", f"{block}_censored"} & set(used))


def values(encoded: Encoded, used: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays a program used, in the types PyMC gives them."""
    return {name: encoded.arrays[name][1] for name in used}
