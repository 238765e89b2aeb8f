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
