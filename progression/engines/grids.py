"""A subject's latent on a fixed grid: one that is bounded, or enters with kinks, such as an onset between two visits.

The integral over a latent t of density p(t | theta) and distribution function F is one over the unit interval,

    int f(t) p(t | theta) dt = int_0^1 f(F^-1(s | theta)) ds,

and is taken by Gauss-Legendre quadrature in s: exact wherever f is smooth within the latent's support, whatever happens
at its ends. Every subject is repeated once a node, the latent known in each copy; what is left of the subject's effects
is integrated as ever, and the copies are added up.

Source: Davis and Rabinowitz (1984), Methods of Numerical Integration, 2.7 (Gauss-Legendre).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from pymc.logprob.basic import icdf
from pytensor.graph.traversal import ancestors

from progression.encoding import Encoded


@dataclass(frozen=True, eq=False)
class Grid:
    """The latent of a program that is integrated on a grid.

    Attributes
    ----------
    rv : random variable
        Dim `subject`.
    points : int
        Nodes of the coarsest grid.
    node : shared variable, shape (subjects,)
        In the unit interval: where each (copy of a) subject stands.
    """

    rv: Any
    points: int
    node: Any

    def value(self, model: pm.Model, node: Any) -> Any:
        """Graph of the latent's value variable at a quantile, in terms of the value variables of what it depends on."""
        at = icdf(self.rv, node)
        transform = model.rvs_to_transforms.get(self.rv)
        (made,) = model.replace_rvs_by_values(
            [at if transform is None else transform.forward(at, *self.rv.owner.inputs)]
        )
        return made


def find_grid(model: pm.Model, wanted: dict[str, int], effects: tuple[Any, ...]) -> tuple[Grid | None, list[str]]:
    """The latent that a model declares for a grid, and what speaks against it.

    Parameters
    ----------
    wanted : mapping of str to int
        Name of the latent and number of nodes: `Model.grid`.
    effects : tuple of random variables
        All unknowns with the dim `subject`.
    """
    if not wanted:
        return None, []
    if len(wanted) > 1:
        return None, [f"it declares {len(wanted)} latents for a grid, and one is handled"]
    ((name, points),) = wanted.items()
    found = [rv for rv in effects if rv.name == name]
    if not found:
        return None, [f"{name!r} is declared for a grid, and no unknown of that name has the dim 'subject'"]
    (rv,) = found
    if len(effects) == 1:
        return None, [f"{name} is the only subject effect, and is to be on a grid"]
    if (model.named_vars_to_dims.get(name) or ()) != ("subject",):
        return None, [f"{name} is to be on a grid, and has other dims than 'subject'"]
    if any(node in effects for node in ancestors([rv]) if node is not rv):
        return None, [f"{name} is to be on a grid, and its distribution depends on other subject effects"]
    made = Grid(rv, points, pytensor.shared(np.full(1, 0.5), name=f"{name}_node", shape=(None,)))
    try:
        made.value(model, made.node)
    except NotImplementedError:
        return None, [f"{name} is to be on a grid, and its distribution has no inverse distribution function in PyMC"]
    return made, []


@lru_cache(maxsize=32)
def nodes(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes of the unit interval, and the logarithms of their weights."""
    x, weight = np.polynomial.legendre.leggauss(points)
    return (x + 1) / 2, np.log(weight / 2)


def repeated(encoded: Encoded, times: int, blocks: Collection[str]) -> Encoded:
    """The same data with every subject `times` times, copies side by side.

    Each has rows of its own of the observed variables `blocks`; rows of others, on which no effect bears, stand once.
    """
    arrays, coords = {}, dict(encoded.coords)
    for name, (dims, array) in encoded.arrays.items():
        if dims[0] == "subject":
            array = np.repeat(array, times, axis=0)
        elif dims[0] in {encoded.row_dim(block) for block in blocks}:
            array = np.repeat(array, times, axis=0)
            if name.endswith("_subject"):
                array = array * times + np.tile(np.arange(times), len(array) // times)
        elif name in {f"{name}_subject" for name in encoded.observed}:
            array = array * times  # the first of its copies
        arrays[name] = (dims, array)
    for dim in ("subject", *(encoded.row_dim(block) for block in blocks)):
        coords[dim] = list(range(len(encoded.coords[dim]) * times))
    return replace(encoded, arrays=arrays, coords=coords, n_padded=encoded.n_padded * times)
