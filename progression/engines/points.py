"""A graph written for one point of the parameters, run on many points at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pymc.logprob.utils import CheckParameterValue
from pytensor.compile.ops import ViewOp
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import toposort
from pytensor.scalar.math import Log1mexp, Softplus, TriGamma
from pytensor.tensor.basic import Join, MakeVector, ScalarFromTensor, TensorFromScalar
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import All

# Interpreted: on batches of many points NumPy is as fast as compiled code, and there is nothing to wait for.
INTERPRETED = pytensor.compile.mode.Mode(linker="py", optimizer="fast_run").excluding(
    "fusion",
    "inplace",
    "BlasOpt",
    "local_log1p_plusminus_exp",
    "logmexpm1_to_log1mexp",
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
