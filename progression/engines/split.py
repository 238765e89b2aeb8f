"""A program split into population parameters and subject effects, and what an engine needs to run each on batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.distributions.transforms import Interval
from pymc.logprob.transforms import LogTransform
from pymc.logprob.utils import CheckParameterValue
from pytensor.compile.ops import ViewOp
from pytensor.graph.replace import graph_replace, vectorize_graph
from pytensor.graph.traversal import ancestors, toposort
from pytensor.scalar.basic import Cast
from pytensor.scalar.math import Log1mexp, Softplus, TriGamma
from pytensor.tensor.basic import Join, MakeVector, ScalarFromTensor, TensorFromScalar
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import All

from progression.encoding import Encoded
from progression.engines.grids import Grid, find_grid
from progression.engines.program import Built, build
from progression.faults import Fault, SettingError
from progression.modeling import Model, SupportsPyMC

# Interpreted: on batches of many points NumPy is as fast as compiled code, and there is nothing to wait for.
INTERPRETED = pytensor.compile.mode.Mode(linker="py", optimizer="fast_run").excluding(
    "fusion",
    "inplace",
    "BlasOpt",
    "local_log1p_plusminus_exp",
    "logsigm_to_softplus",
    "log1msigm_to_softplus",
    "local_pow_to_nested_squaring",
)


def _trigamma(x: Any) -> Any:
    """Second derivative of log gamma for x > 0, to twelve digits: six steps up, then the asymptotic series."""
    y = x + 6
    z = 1 / y**2
    series = (
        1 / y + z / 2 + z / y * (1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * (5 / 66 - z * 691 / 2730)))))
    )
    return series + sum(1 / (x + i) ** 2 for i in range(6))


# Functions PyTensor has no NumPy form of, or a slow one.
_IN_NUMPY = {
    Softplus: lambda x: pt.maximum(x, 0) + pt.log1p(pt.exp(-pt.abs(x))),
    Log1mexp: lambda x: pt.where(x > -0.6931, pt.log(-pt.expm1(x)), pt.log1p(-pt.exp(x))),
    TriGamma: _trigamma,
}


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
    for rv in built.model.discrete_value_vars:
        reasons.append(f"{rv.name} is a discrete unknown")
    for rv in effects:
        if dims[rv.name][0] != "subject":
            reasons.append(f"the first dim of {rv.name} is not 'subject'")
        elif rv.owner.op.ndim_supp:
            reasons.append(f"{rv.name} has one density for several effects")
    for rv in built.model.observed_RVs:
        own = dims.get(rv.name) or ()
        if rv.name not in encoded.blocks or own[:1] != (encoded.row_dim(rv.name),):
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


def batched(inputs: Sequence[Any], outputs: Sequence[Any], *, mode: Any = INTERPRETED) -> Any:
    """Compile graphs to run on many points at once: every input and output gets a leading dim for the points.

    Parameters
    ----------
    inputs, outputs : sequence of tensor variables
        For a single point.

    Returns
    -------
    callable
        ``run(*arrays) -> list of arrays``; outputs that do not depend on the inputs are repeated without copying.
    """
    wide = [pt.tensor(one.name, dtype=one.type.dtype, shape=(None, *one.type.shape)) for one in inputs]
    made = vectorize_graph(_for_numpy(outputs), dict(zip(inputs, wide, strict=True)))
    run = pytensor.function(wide, made, mode=mode, on_unused_input="ignore", trust_input=True)
    ndims = [out.type.ndim + 1 for out in outputs]

    def call(*arrays: np.ndarray) -> list[np.ndarray]:
        found = run(*arrays)
        n = len(arrays[0])
        return [np.broadcast_to(one, (n, *np.shape(one))) if np.ndim(one) < ndim else one
                for one, ndim in zip(found, ndims, strict=True)]  # fmt: skip

    return call


def _for_numpy(graphs: Sequence[Any]) -> list[Any]:
    """The same graphs without the nodes that PyTensor would run point by point in Python."""

    def better(node: Any, inputs: list[Any]) -> Any:
        if isinstance(node.op, CheckParameterValue):
            return _where_allowed(node.op, *inputs)
        if isinstance(node.op, ViewOp):
            return inputs[0]
        if isinstance(node.op, Elemwise) and type(node.op.scalar_op) in _IN_NUMPY:
            return _IN_NUMPY[type(node.op.scalar_op)](*inputs)
        return None

    return replaced(graphs, {}, better)


def _where_allowed(op: CheckParameterValue, value: Any, *checks: Any) -> Any:
    """A density that is zero where its parameters are not allowed, in place of one that refuses to be computed.

    Row by row, so that the effects of one subject do not decide on another's rows.
    """
    conditions = [one for check in checks for one in _conditions(check)]
    if any(one.type.ndim > value.type.ndim for one in conditions):
        conditions = list(checks)
    allowed = conditions[0]
    for one in conditions[1:]:
        allowed = pt.and_(allowed, one)
    return pt.switch(allowed, value, -np.inf if op.can_be_replaced_by_ninf else np.nan)


def _conditions(check: Any) -> list[Any]:
    """The conditions whose conjunction a check is: PyMC takes each over all entries, and then all of them together."""
    node = check.owner
    if node is not None and isinstance(
        node.op, All | MakeVector | DimShuffle | Join | ScalarFromTensor | TensorFromScalar
    ):
        return [one for own in node.inputs if own.type.dtype == "bool" for one in _conditions(own)]
    return [check]


def replaced(
    graphs: Sequence[Any], swaps: Mapping[Any, Any], better: Callable[[Any, list[Any]], Any] | None = None
) -> list[Any]:
    """Graphs built anew with some variables replaced, possibly by ones of another static shape.

    Parameters
    ----------
    graphs : sequence of tensor variables
    swaps : mapping
    better : callable, optional
        ``better(node, inputs)`` gives something to take in place of a node's output, or None.
    """
    done = dict(swaps)
    for node in toposort(list(graphs)):
        if all(out in done for out in node.outputs):
            continue
        inputs = [done.get(one, one) for one in node.inputs]
        found = better(node, inputs) if better is not None else None
        if found is not None:
            done[node.outputs[0]] = found
        elif any(one is not other for one, other in zip(inputs, node.inputs, strict=True)):
            done |= dict(zip(node.outputs, node.op.make_node(*inputs).outputs, strict=True))
    return [done.get(graph, graph) for graph in graphs]


def swapped(graphs: Sequence[Any], *flats: Flat) -> list[Any]:
    """Graphs in terms of flat vectors instead of value variables."""
    swaps = {value: piece for flat in flats for value, piece in flat.swaps.items()}
    return list(graph_replace(list(graphs), swaps, strict=False))
