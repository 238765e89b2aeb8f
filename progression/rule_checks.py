"""What `power` is asked: designs and rules read, and every fault in them said before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from progression.decisions import Statement
from progression.design import Design
from progression.faults import Fault, SettingError, collected, setting_fault, suggest
from progression.fitters import Recipe
from progression.looks import estimand_faults
from progression.modeling import Model
from progression.rules import Rule
from progression.trial_job import chosen

__all__ = ["check_components", "check_rules", "designs_of", "rules_of"]


def designs_of(design: Any) -> dict[str, Design]:
    """Designs by label; SettingError for what is none."""
    if isinstance(design, Design):
        return {design.name or "design": design}
    if not isinstance(design, Mapping) or not design or not all(isinstance(one, Design) for one in design.values()):
        raise SettingError([setting_fault("design", type(design).__name__, "is neither a Design nor a mapping of labels to designs",
                                          "make one: pg.Design(arms=..., visits_weeks=...)")])  # fmt: skip
    return {str(label): one for label, one in design.items()}


def rules_of(rule: Any) -> tuple[Rule, ...]:
    """One rule or several; SettingError for what is none."""
    rules = (
        (rule,)
        if isinstance(rule, Rule)
        else tuple(rule)
        if isinstance(rule, Sequence) and not isinstance(rule, str)
        else ()
    )
    if not rules or not all(isinstance(one, Rule) for one in rules):
        raise SettingError([setting_fault("rule", type(rule).__name__, "is neither a Rule nor a sequence of rules",
                                          'make one: pg.Rule("slope_difference", ">", 0, probability=0.975)')])  # fmt: skip
    return rules


def check_rules(rules: Sequence[Rule], designs: Mapping[str, Design], model: Model) -> None:
    """Raise SettingError with every rule, at the end or at a look, on what is no estimand of the model that analyses."""
    names = [one.name for one in model.estimands]
    faults: list[Fault] = [setting_fault("rule", one.estimand, f"is no estimand of {model.name!r}{suggest(one.estimand, names)}", "rename it")
                           for one in rules if one.estimand not in names]  # fmt: skip
    for label, design in designs.items():
        for one in estimand_faults(design.looks, model.name, names):
            faults.append(replace(one, column=f"{label}.{one.column}" if len(designs) > 1 else one.column))
    if faults:
        raise SettingError(faults)


def check_components(made: Recipe, wanted: Sequence[Statement]) -> None:
    """Every statement names one component: said before anything is run."""
    faults: list[Fault] = []
    for one in wanted:
        dims = [dim for dim in made.model.estimand(one.estimand).over if dim in made.encoded.coords]
        labels = {dim: list(made.encoded.coords[dim]) for dim in dims}
        blank = xr.DataArray(
            np.zeros([1, 1, *map(len, labels.values())]), dims=["data_set", "draw", *dims], coords=labels
        )
        with collected(faults):
            chosen(xr.Dataset({one.estimand: blank}), one.estimand, one.labels, made)
    if faults:
        raise SettingError(faults)
