"""A program split into population parameters and subject effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.transforms import Interval
from pymc.logprob.transforms import LogTransform
from pytensor.compile.ops import ViewOp
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors
from pytensor.scalar.basic import Cast
from pytensor.tensor.elemwise import Elemwise

from progression.encoding import Encoded
from progression.engines.grids import Grid, find_grid
from progression.engines.points import batched
from progression.engines.program import Built, build
from progression.faults import Fault, SettingError
from progression.modeling import Model, SupportsPyMC


@dataclass(frozen=True, eq=False)
class Flat:
    """Some unknowns of a program as one flat vector.

    Attributes
    ----------
    vector : tensor variable, shape (size,)
        On the scale where every value is allowed.
    swaps : mapping
        Each unknown's value variable to its piece of the vector.
    names, shapes : tuple
    """

    vector: Any
    swaps: Mapping[Any, Any]
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of scalars."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def pieces(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of shape (..., *shape) from one of shape (..., size), by name."""
        found, start = {}, 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + int(np.prod(shape))
            found[name] = flat[..., start:stop].reshape(flat.shape[:-1] + shape)
            start = stop
        return found


@dataclass(frozen=True, eq=False)
class Split:
    """A built program whose unknowns are divided by the dim `subject`.

    Attributes
    ----------
    built : Built
    population, effects : tuple of random variables
        Those without and with the dim `subject`.
    grid : Grid, optional
        A further unknown with the dim `subject`, integrated on a grid.
    """

    built: Built
    population: tuple[Any, ...]
    effects: tuple[Any, ...]
    grid: Grid | None = None

    @property
    def by_subject(self) -> tuple[Any, ...]:
        """All unknowns with the dim `subject`."""
        return self.effects if self.grid is None else (*self.effects, self.grid.rv)

    @property
    def model(self) -> pm.Model:
        """The PyMC model."""
        return self.built.model

    def value(self, rv: Any) -> Any:
        """The value variable of an unknown."""
        return self.model.rvs_to_values[rv]

    def shape(self, rv: Any) -> tuple[int, ...]:
        """Shape of the value variable of an unknown."""
        dims = self.model.named_vars_to_dims.get(rv.name) or ()
        transform = self.model.rvs_to_transforms.get(rv)
        if len(dims) == rv.type.ndim and None not in dims and isinstance(transform, LogTransform | Interval | None):
            return tuple(len(self.model.coords[dim]) for dim in dims)
        return tuple(int(n) for n in np.shape(self.model.initial_point()[self.value(rv).name]))  # compiles: slower

    def flat(self, rvs: Sequence[Any], name: str) -> Flat:
        """Some population parameters as one vector on the unconstrained scale."""
        vector = pt.vector(name, dtype="float64")
        swaps, shapes, at = {}, [], 0
        for rv in rvs:
            value = self.value(rv)
            shape = self.shape(rv)
            size = int(np.prod(shape))
            swaps[value] = vector[at : at + size].reshape(shape) if shape else vector[at]
            shapes.append(shape)
            at += size
        return Flat(vector, swaps, tuple(rv.name for rv in rvs), tuple(shapes))

    def natural(self, rvs: Sequence[Any]) -> list[Any]:
        """Graphs of variables in terms of the value variables of the unknowns."""
        return list(self.model.replace_rvs_by_values(list(rvs)))

    def touches(self, graph: Any, rvs: Sequence[Any]) -> bool:
        """Whether a graph in terms of values depends on any of these unknowns."""
        values = {self.value(rv) for rv in rvs}
        return any(node in values for node in ancestors([graph]))

    def unconstrained(self, natural: Mapping[str, np.ndarray]) -> np.ndarray:
        """Population parameters in their own units, (points, ...) by name, as flat vectors: the way back of `flat`."""
        given = {rv: pt.tensor(rv.name, dtype=rv.type.dtype, shape=rv.type.shape) for rv in self.population}
        graphs = []
        for rv, own in given.items():
            transform = self.model.rvs_to_transforms.get(rv)
            graphs.append(own if transform is None else transform.forward(own, *rv.owner.inputs))
        run = batched(list(given.values()), graph_replace(graphs, given, strict=False))
        found = run(*(np.asarray(natural[rv.name], rv.type.dtype) for rv in self.population))
        return np.concatenate([one.reshape(len(one), -1) for one in found], axis=1)

    def with_data(self, arrays: Mapping[str, np.ndarray], n_subjects: int) -> None:
        """Put other data into the program, for as many subjects as they have."""
        for name, array in arrays.items():
            self.model[name].set_value(np.asarray(array, self.model[name].type.dtype))
        self.model.dim_lengths["subject"].set_value(np.asarray(n_subjects, "int64"))


def split(model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC]) -> Split:
    """Run a program and divide its unknowns.

    Raises
    ------
    SettingError
        With every reason why subject effects cannot be integrated out of this program; NUTS is named as the way.
    """
    built = build(model, encoded, priors)
    dims = built.model.named_vars_to_dims
    effects = tuple(rv for rv in built.model.free_RVs if "subject" in (dims.get(rv.name) or ()))
    population = tuple(rv for rv in built.model.free_RVs if rv not in effects)
    grid, reasons = find_grid(built.model, dict(model.grid), effects)
    if not effects:
        reasons.append("no unknown has the dim 'subject', so there are no subject effects to integrate out")
    if not population:
        reasons.append(
            "every unknown has the dim 'subject', so nothing is left when subject effects are integrated out"
        )
    for rv in built.model.discrete_value_vars:
        reasons.append(f"{rv.name} is a discrete unknown")
    for rv in effects:
        if dims[rv.name][0] != "subject":
            reasons.append(f"the first dim of {rv.name} is not 'subject'")
        elif rv.owner.op.ndim_supp:
            reasons.append(f"{rv.name} has one density for several effects")
    for rv in built.model.observed_RVs:
        own = dims.get(rv.name) or ()
        if rv.name not in encoded.observed or own[:1] != (encoded.row_dim(rv.name),):
            reasons.append(f"the observed variable {rv.name} has not the dim '{rv.name}_row'")
        elif not _as_given(built.model, rv):
            reasons.append(f"{rv.name} observes something else than data.{rv.name}.value as it stands")
    made = Split(built, population, tuple(rv for rv in effects if grid is None or rv is not grid.rv), grid)
    for rv in population:
        if any(node in effects for node in ancestors([rv]) if node is not rv):
            reasons.append(f"the prior of {rv.name} depends on subject effects")
    for potential, graph in zip(built.model.potentials, made.natural(built.model.potentials), strict=True):
        if made.touches(graph, effects):
            reasons.append(f"the potential {potential.name} depends on subject effects, and says not on whose")
    if reasons:
        raise SettingError([
            Fault(what=f"the marginal engine cannot fit {model.name!r}: {reason}", value=model.name, table="setting",
                  remedy='use engine="nuts"') for reason in reasons
        ])  # fmt: skip
    return made


def _as_given(model: pm.Model, rv: Any) -> bool:
    """Whether an observed variable observes the values themselves, perhaps in another type."""
    value = model.rvs_to_values[rv]
    while value.owner is not None and (isinstance(value.owner.op, ViewOp) or _is_cast(value.owner)):
        value = value.owner.inputs[0]
    return value in model.data_vars and value.name == f"{rv.name}_value"


def _is_cast(node: Any) -> bool:
    return isinstance(node.op, Elemwise) and isinstance(node.op.scalar_op, Cast)


def swapped(graphs: Sequence[Any], *flats: Flat) -> list[Any]:
    """Graphs in terms of flat vectors instead of value variables."""
    swaps = {value: piece for flat in flats for value, piece in flat.swaps.items()}
    return list(graph_replace(list(graphs), swaps, strict=False))
