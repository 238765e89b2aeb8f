"""The prior of effects by arm where some arms are historical: their effect is the drift between sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from progression.priors import Prior


@dataclass(frozen=True)
class DriftPrior:
    """One prior for treated arms, another for historical ones, in one variable.

    Attributes
    ----------
    base : Prior
        Of treated arms: Normal or LogNormal with mu and sigma.
    dim : str
        The dim that runs over arms.
    arms : tuple of str
        The historical ones among its labels.
    components : tuple of (weight, SD)
        The normals around no drift, on the log scale for a LogNormal, that the drift is a mixture of.
    """

    base: Prior
    dim: str
    arms: tuple[str, ...]
    components: tuple[tuple[float, float], ...]

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name` in the PyMC model in context."""
        import pymc as pm  # heavy: only where a model is really built

        dims: str | Sequence[str] = kwargs.pop("dims")
        own = (dims,) if isinstance(dims, str) else tuple(dims)
        coords = pm.modelcontext(None).coords
        shape = tuple(len(coords[dim] or ()) for dim in own)
        historical = np.isin([str(label) for label in coords[self.dim] or ()], self.arms)
        along = historical.reshape([-1 if dim == self.dim else 1 for dim in own])
        mu = np.broadcast_to(np.where(along, 0.0, self.base.parameters.get("mu", 0.0)), shape)
        sds = [
            np.broadcast_to(np.where(along, sd, self.base.parameters.get("sigma", 1.0)), shape)
            for _, sd in self.components
        ]
        family = getattr(pm, self.base.distribution)
        if len(sds) == 1 or not historical.any():
            return family(name, mu, sds[0], dims=dims, **kwargs)
        parts = [family.dist(mu, sd) for sd in sds]
        return pm.Mixture(
            name, w=np.array([weight for weight, _ in self.components]), comp_dists=parts, dims=dims, **kwargs
        )

    def __repr__(self) -> str:
        centre = "log drift" if self.base.distribution == "LogNormal" else "drift"
        parts = " + ".join(
            f"{weight:g} Normal(0, {sd:g})" if len(self.components) > 1 else f"Normal(0, {sd:g})"
            for weight, sd in self.components
        )
        return f"{self.base!r}; {centre} of {', '.join(self.arms)} ~ {parts}"


@dataclass(frozen=True)
class SourcesPrior:
    """One prior for treated arms; historical arms and the concurrent controls are draws from one population of studies.

    Attributes
    ----------
    base : Prior
        Of treated arms: Normal or LogNormal with mu and sigma.
    dim : str
    arms : tuple of str
        The historical ones among its labels.
    scale : float
        Of the half-normal prior of the SD between studies.
    """

    base: Prior
    dim: str
    arms: tuple[str, ...]
    scale: float

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name`, and the SD between studies as ``sd_between_<name>``, in the PyMC model in context.

        With e_h and e_c the deviations of a source and of the concurrent controls from the common mean, the drift is
        e_h - e_c. Not centred: a handful of sources says little of their SD.
        """
        import pymc as pm

        own, historical, shape = _layout(self.dim, self.arms, kwargs.pop("dims"))
        between = pm.HalfNormal(f"sd_between_{name}", self.scale)
        others = tuple(dim for dim in own if dim != self.dim)
        concurrent = pm.Normal(f"{name}_concurrent_raw", 0, 1, dims=others or None)
        raw = pm.Normal(f"{name}_raw", 0, 1, dims=own)
        axis = own.index(self.dim)
        shared = pm.math.stack([concurrent] * shape[axis], axis=axis)
        apart = between * (raw - shared)
        treated = self.base.parameters.get("mu", 0.0) + self.base.parameters.get("sigma", 1.0) * raw
        value = historical * apart + (1 - historical) * treated
        return pm.Deterministic(name, pm.math.exp(value) if self.base.distribution == "LogNormal" else value, dims=own)

    def __repr__(self) -> str:
        return f"{self.base!r}; {', '.join(self.arms)} and concurrent controls ~ studies with SD ~ HalfNormal({self.scale:g})"


@dataclass(frozen=True)
class Following:
    """An effect that historical arms have no data of: theirs is that of another effect, the drift.

    Attributes
    ----------
    base : Prior
        Of treated arms: Normal with mu and sigma.
    dim : str
    arms : tuple of str
        The historical ones among its labels.
    leader : str
        The effect whose value they have.
    """

    base: Prior
    dim: str
    arms: tuple[str, ...]
    leader: str

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name` in the PyMC model in context, in which the leader stands already."""
        import pymc as pm

        own, historical, _ = _layout(self.dim, self.arms, kwargs.pop("dims"))
        raw = pm.Normal(f"{name}_raw", 0, 1, dims=own)
        treated = self.base.parameters.get("mu", 0.0) + self.base.parameters.get("sigma", 1.0) * raw
        value = historical * pm.modelcontext(None)[self.leader] + (1 - historical) * treated
        return pm.Deterministic(name, value, dims=own)

    def __repr__(self) -> str:
        return f"{self.base!r}; {', '.join(self.arms)} as {self.leader}"


def _layout(
    dim: str, arms: tuple[str, ...], dims: str | Sequence[str]
) -> tuple[tuple[str, ...], np.ndarray, tuple[int, ...]]:
    """Dims of a variable, which of its places are historical (1 or 0, in its shape's rank), and its shape."""
    import pymc as pm

    own = (dims,) if isinstance(dims, str) else tuple(dims)
    coords = pm.modelcontext(None).coords
    shape = tuple(len(coords[one] or ()) for one in own)
    historical = np.isin([str(label) for label in coords[dim] or ()], arms).astype(float)
    return own, historical.reshape([-1 if one == dim else 1 for one in own]), shape
