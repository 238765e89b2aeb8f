"""Closed forms set beside a simulation: how far the truth of a cell lies inside the statement of a rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from progression.components import component
from progression.decisions import Statement
from progression.modeling import Model
from progression.registry import screens, shelved
from progression.trials import Trials

__all__ = ["screened"]

_NOUGHT = 1e-6  # standard errors: rounding at the limit of a statement
_NEAR = 0.5  # months: how far a visit may lie from the one that is named


def screened(trials: Trials, model: Model, statement: Statement) -> np.ndarray | None:
    """Standard errors by which the truth lies inside a statement, (trials,); None where no closed form exists.

    Parameters
    ----------
    trials : Trials
        Simulated from the very model that analyses them.
    model : Model
        Of the shelf: `progression.registry.screens` has its closed form, if there is one.
    statement : Statement

    Notes
    -----
    Drop-out, deaths, missed visits, looks and the prior are left out, as are historical controls: a design that has them has no closed form.
    """
    design = trials.design
    if not shelved(model) or model.name not in screens() or trials.origin is None or trials.origin.model is not model:
        return None
    if design.historical is not None or len(design.arms) < 2:
        return None
    labels = dict(statement.labels)
    control, *active = design.arms
    treated = labels.get("arm", labels.get("active_arm", active[0]))
    if len(active) > 1 and treated == active[0] and not {"arm", "active_arm"} & set(labels):
        return None
    parameters: dict[str, np.ndarray] = {}
    for name, array in trials.origin.truth.data_vars.items():
        parameters |= _by_name(str(name), array, control, treated, labels)
    try:
        above = screens()[model.name](statement.estimand, statement.value, design.visit_months, (design.arms[control], design.arms[treated]),
                                      parameters)  # fmt: skip
    except KeyError:  # a parameter that has several entries here, such as one for each visit
        return None
    if above is None:
        return None
    inside: np.ndarray = above if statement.comparison[0] == ">" else -above
    return None if _contradicted(inside, trials, statement) else inside


def _contradicted(inside: np.ndarray, trials: Trials, statement: Statement) -> bool:
    """Whether a form says of some truth the reverse of what is so: one of a ratio of declines, say, where scores rise."""
    true = component(trials.true_value(statement.estimand), dict(statement.labels), name=statement.estimand).to_numpy()
    wrong = np.where(statement.is_true(true), inside < -_NOUGHT, inside > _NOUGHT)
    return bool(wrong.any())


def _by_name(
    name: str, array: xr.DataArray, control: str, treated: str, labels: dict[str, Any]
) -> dict[str, np.ndarray]:
    """A parameter under its name, or that of each arm under ``name[control]`` and ``name[treated]``."""
    if "active_arm" in array.dims:
        array = array.sel(active_arm=treated)
    if "followup_visit" in array.dims:
        visit = labels.get("visit", labels.get("followup_visit"))
        if visit is None and array.sizes["followup_visit"] > 1:
            return {}
        array = (
            array.isel(followup_visit=0)
            if visit is None
            else array.sel(followup_visit=visit, method="nearest", tolerance=_NEAR)
        )
    if "arm" in array.dims:
        return {
            f"{name}[{word}]": array.sel(arm=arm).to_numpy()
            for word, arm in (("control", control), ("treated", treated))
        }
    return {name: array.to_numpy()} if array.ndim == 1 else {}
