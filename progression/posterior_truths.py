"""Posterior draws of a fit as truths of trials to come: arms of the pilot put in the place of those of the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from progression.borrowing import NOBODY
from progression.engines.forward import stack
from progression.faults import Fault, SettingError, setting_fault
from progression.fitted import Fit
from progression.parameter_layout import ARM_DIMS, Layout

__all__ = ["Draws", "posterior_draws"]


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of every parameter in the shape that a design gives it, (draws, ...), and why there are none of some."""

    values: Mapping[str, np.ndarray]
    lost: Mapping[str, Fault]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def one(self, index: int) -> dict[str, np.ndarray]:
        """The parameters of one draw."""
        return {name: array[index] for name, array in self.values.items()}


def posterior_draws(fit: Fit, layout: Layout) -> Draws:
    """Bring the draws of a fit into a design's shapes.

    Arms are matched by label. Where the labels differ, the fit's control stands for the design's, and its only treated arm for every
    treated arm of the design. Historical controls of the design are not the fit's: their drift is part of the truth. Where the fit has no
    concurrent controls, what an arm has to itself (a spread of its own) is for controls that of the fit's historical ones.

    Raises
    ------
    SettingError
        Where the fit has a control arm and the design nothing that stands for it.
    """
    if layout.coords["arm"][0] != NOBODY and len(layout.coords["arm"]) == 1 and len(fit.cohort.arms) > 1:
        raise SettingError([setting_fault("truth", fit.cohort.arms[0], "is the control arm of the fit, and the design has none: its slope is not that "
                                          "of the treated", "simulate a control arm, or historical controls")])  # fmt: skip
    samples: xr.Dataset = stack(fit.posterior)
    lost: dict[str, Fault] = {}
    values: dict[str, np.ndarray] = {}
    for name in layout.dims:
        found = _picked(fit, samples, name, layout)
        if isinstance(found, Fault):
            lost[name] = found
        else:
            values[name] = found
    if not values:
        raise SettingError(list(lost.values()))
    return Draws(values, lost)


def _picked(fit: Fit, samples: xr.Dataset, name: str, layout: Layout) -> np.ndarray | Fault:
    """Draws of one parameter, or why there are none."""
    if name not in samples:
        return setting_fault(
            "truth", fit.model.name, f"has no draws of {name!r}", "fit the model that trials are simulated from"
        )
    array, dims = samples[name], layout.dims[name]
    more = [
        dim
        for dim in array.dims
        if dim != "sample" and dim not in ARM_DIMS and array.sizes[dim] and not layout.coords.get(str(dim))
    ]
    if more:
        return setting_fault("truth", name, f"is a parameter of {more[0]!r}, which the design has none of: trials would lack what it explains",
                             "fit the pilot without that option")  # fmt: skip
    picked = array.transpose("sample", *dims)
    for dim in dims:
        where = (
            _places(fit, dim, [str(one) for one in picked[dim].values], layout)
            if dim in ARM_DIMS
            else _alike(name, dim, picked, layout)
        )
        if isinstance(where, Fault):
            return where
        picked = picked.isel({dim: where})
    made = picked.to_numpy().astype(float)
    if layout.historical:
        neutral = layout.fill(name, None, 0.0)
        made = np.where(np.isnan(neutral), made, neutral)
    return made


def _places(fit: Fit, dim: str, have: list[str], layout: Layout) -> list[int] | Fault:
    """Which of a fit's arms stands for each arm of the design; any for the historical ones, which are filled in afterwards."""
    wanted = [str(label) for label in layout.coords[dim]]
    if not wanted:
        return []
    historical = set(fit.cohort.historical_arms)
    treated = [
        i for i, label in enumerate(have) if label not in historical and label not in (fit.cohort.arms[0], NOBODY)
    ]
    first = fit.cohort.arms[0]
    if first == NOBODY and dim == "arm":
        first = fit.cohort.historical_arms[0]  # what is of an arm that nobody is in has no posterior but its prior
    control = have.index(first) if first in have else None
    found = []
    for label in wanted:
        is_control = label in (layout.arms[0], NOBODY) and dim == "arm" and (len(layout.arms) > 1 or label == NOBODY)
        if label in layout.historical and have:
            found.append(control or 0)
        elif label in have and label != NOBODY:
            found.append(have.index(label))
        elif is_control and control is not None:
            found.append(control)
        elif not is_control and len(treated) == 1:
            found.append(treated[0])
        else:
            return setting_fault("truth", label, f"is an arm that the fit has no draws for (it has {', '.join(have) or 'none'})",
                                     "give the arms of the design the labels of the fit's")  # fmt: skip
    return found


def _alike(name: str, dim: str, array: xr.DataArray, layout: Layout) -> slice | Fault:
    mine, theirs = list(layout.coords[dim]), list(array[dim].values)
    close = len(mine) == len(theirs) and all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
    if close:
        return slice(None)
    return setting_fault("truth", name, f"has the labels {', '.join(map(str, theirs))} of {dim!r} in the fit and "
                             f"{', '.join(map(str, mine))} in the design", "plan the visits of the fit, or give the parameters")  # fmt: skip


def _same(a: Any, b: Any) -> bool:
    try:
        return abs(float(a) - float(b)) < 0.05
    except (TypeError, ValueError):
        return str(a) == str(b)
