"""The shapes and labels of a program's parameters under a design, and how a value is laid out in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from progression.faults import Fault, setting_fault, suggest
from progression.priors import Prior, SupportsPyMC

__all__ = ["ARM_DIMS", "Layout"]

ARM_DIMS = ("arm", "active_arm", "baseline_arm", "shared_arm", "separate_arm")


@dataclass(frozen=True, eq=False)
class Layout:
    """Dims and labels of every population parameter.

    Attributes
    ----------
    dims : mapping of str to tuple of str
        By parameter.
    coords : mapping of str to list
        Labels of each dim.
    arms : tuple of str
        Arms of the trial itself, the control first.
    historical : tuple of str
        Arms of simulated historical controls: their effect is the drift, on the log scale where an effect is a ratio.
    priors : mapping of str to Prior
        The model's, which tell ratios from differences.
    """

    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, list[Any]]
    arms: tuple[str, ...]
    historical: tuple[str, ...]
    priors: Mapping[str, SupportsPyMC]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a parameter in one trial."""
        return tuple(len(self.coords[dim]) for dim in self.dims[name])

    def needed(self) -> list[str]:
        """Parameters that must be given: those with an entry that is not of historical controls alone."""
        blank = {name: self.fill(name, None, 0.0) for name in self.dims}
        return [name for name, array in blank.items() if np.isnan(array).any()]

    def fill(self, name: str, value: Any, drift: float) -> np.ndarray:
        """A value in the shape of a parameter; NaN where none was given.

        Parameters
        ----------
        value : number, array, mapping of label to either, or None
            One value stands for all entries; an array for the last dims; a mapping for the labels of one dim.
        drift : float
            Effect of historical controls, where the mapping has none for them.
        """
        dims, out = self.dims[name], np.full(self.shape(name), np.nan)
        axis = next((i for i, dim in enumerate(dims) if dim in ARM_DIMS), None)
        own, by_arm = np.ones(1, bool), out[None]  # where no dim is of arms, as if there were one
        if axis is not None:
            own = np.array([label in self.arms for label in self.coords[dims[axis]]], bool)
            by_arm = np.moveaxis(out, axis, 0)
            if dims[axis] != "arm":
                by_arm[~own] = self._neutral(name, drift if dims[axis] == "active_arm" else 0.0)
        if isinstance(value, Mapping):
            along = self.along(name, value) or 0
            for label, one in value.items():
                np.moveaxis(out, along, 0)[self.coords[dims[along]].index(label)] = one
        elif value is not None:
            by_arm[own] = np.broadcast_to(np.asarray(value, float), by_arm[own].shape)
        if "arm" in dims:  # an arm that nobody is in, and historical controls, are like the control
            first = self.coords["arm"].index(self.arms[0])
            by_arm[~own] = np.where(np.isnan(by_arm[~own]), by_arm[first], by_arm[~own])
        return out

    def along(self, name: str, value: Mapping[Any, Any]) -> int | None:
        """Which dim of a parameter has the labels of a mapping; None if no one does."""
        return next((i for i, dim in enumerate(self.dims[name]) if set(value) <= set(self.coords[dim])), None)

    def faults(self, name: str, value: Any) -> Iterator[Fault]:
        """What is wrong with a value given for a parameter; priors have been replaced by numbers."""
        shape = self.shape(name)
        if not np.prod(shape):
            empty = [dim for dim in self.dims[name] if not self.coords[dim]]
            yield setting_fault(
                f"truth[{name!r}]",
                value,
                f"has no entry under this design: there is no {' or '.join(empty)}",
                "leave it out",
            )
        elif isinstance(value, Mapping) and self.along(name, value) is None:
            known = [str(label) for dim in self.dims[name] for label in self.coords[dim]]
            lost = [key for key in value if str(key) not in known] or list(value)
            yield setting_fault(
                f"truth[{name!r}]", lost[0], f"is no label of this parameter{suggest(lost[0], known)}", "rename it"
            )
        else:
            try:
                filled = self.fill(name, value, 0.0)
            except (TypeError, ValueError):
                yield setting_fault(f"truth[{name!r}]", str(value), f"does not fit the dims {self.dims[name]} of shape {shape}",
                                    "give one number, an array of that shape, or a mapping by label")  # fmt: skip
                return
            if not np.isfinite(filled).all():
                labels = [str(label) for dim in self.dims[name] for label in self.coords[dim]]
                yield setting_fault(f"truth[{name!r}]", str(value), f"leaves entries without a finite value; its labels are {', '.join(labels)}",
                                    "give a finite number for each")  # fmt: skip

    def _neutral(self, name: str, size: float) -> float:
        prior = self.priors[name]
        return float(np.exp(size)) if isinstance(prior, Prior) and prior.distribution == "LogNormal" else size
