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
    """Draws of every parameter in the shape that a design gives it, (draws, ...)."""

    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def one(self, index: int) -> dict[str, np.ndarray]:
        """The parameters of one draw."""
        return {name: array[index] for name, array in self.values.items()}


def posterior_draws(fit: Fit, layout: Layout) -> Draws:
    """Bring the draws of a fit into a design's shapes.

    Arms are matched by label. Where the labels differ, the fit's control stands for the design's, and its only treated arm for every
    treated arm of the design. Historical controls of the design are not the fit's: their drift is part of the truth.

    Raises
    ------
    SettingError
        Where a parameter of the design is not in the fit, or has other labels there.
    """
    samples: xr.Dataset = stack(fit.posterior)
    faults: list[Fault] = []
    values: dict[str, np.ndarray] = {}
    for name, dims in layout.dims.items():
        if name not in samples:
            if np.prod(layout.shape(name)):
                faults.append(setting_fault("truth", fit.model.name, f"has no draws of {name!r}", "fit the model that trials are simulated from"))
            continue
        array, size = samples[name], samples.sizes["sample"]
        lost = [dim for dim in array.dims if dim != "sample" and dim not in ARM_DIMS and array.sizes[dim] and not len(layout.coords.get(dim, []))]
        if lost:
            faults.append(setting_fault("truth", name, f"is a parameter of {lost[0]!r}, which the design has none of: trials would lack what it explains",
                                        "fit the pilot without that option"))  # fmt: skip
            continue
        made = np.empty((size, *layout.shape(name)))
        picked = array.transpose("sample", *dims)
        for axis, dim in enumerate(dims):
            where, fault = _places(fit, dim, [str(one) for one in picked[dim].values], layout) if dim in ARM_DIMS else _alike(name, dim, picked, layout)
            if fault is not None:
                faults.append(fault)
                break
            picked = picked.isel({dim: where})
        else:
            made = picked.to_numpy().astype(float)
            axis = next((i for i, dim in enumerate(dims) if dim in ARM_DIMS and dim != "arm"), None)
            if axis is not None and layout.historical:
                neutral = layout.fill(name, None, 0.0)
                made = np.where(np.isnan(neutral), made, neutral)
            values[name] = made
    if faults:
        raise SettingError(faults)
    return Draws(values)


def _places(fit: Fit, dim: str, have: list[str], layout: Layout) -> tuple[list[int], Fault | None]:
    """Which of a fit's arms stands for each arm of the design; any for the historical ones, which are filled in afterwards."""
    wanted = [str(label) for label in layout.coords[dim]]
    if not wanted:
        return [], None
    historical = set(fit.cohort.historical_arms)
    treated = [i for i, label in enumerate(have) if label not in historical and label not in (fit.cohort.arms[0], NOBODY)]
    control = have.index(fit.cohort.arms[0]) if fit.cohort.arms[0] in have else None
    found = []
    for label in wanted:
        is_control = label in (layout.arms[0], NOBODY) and dim == "arm" and (len(layout.arms) > 1 or label == NOBODY)
        if label in layout.historical:
            found.append(control if control is not None else (treated or [0])[0])
        elif label in have:
            found.append(have.index(label))
        elif is_control and control is not None:
            found.append(control)
        elif not is_control and len(treated) == 1:
            found.append(treated[0])
        else:
            return [], setting_fault("truth", label, f"is an arm that the fit has no draws for (it has {', '.join(have) or 'none'})",
                                     "give the arms of the design the labels of the fit's")  # fmt: skip
    return found, None


def _alike(name: str, dim: str, array: xr.DataArray, layout: Layout) -> tuple[Any, Fault | None]:
    mine, theirs = list(layout.coords[dim]), list(array[dim].values)
    close = len(mine) == len(theirs) and all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
    if close:
        return slice(None), None
    return [], setting_fault("truth", name, f"has the labels {', '.join(map(str, theirs))} of {dim!r} in the fit and "
                             f"{', '.join(map(str, mine))} in the design", "plan the visits of the fit, or give the parameters")  # fmt: skip


def _same(a: Any, b: Any) -> bool:
    try:
        return abs(float(a) - float(b)) < 0.05
    except (TypeError, ValueError):
        return str(a) == str(b)
