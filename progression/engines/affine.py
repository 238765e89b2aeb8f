"""The mean of rows, read from its graph as a sum of (feature of the row) x (term of its subject)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytensor.tensor as pt
from pytensor.compile.ops import ViewOp
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors
from pytensor.scalar.basic import Add, Mul, Neg, Sub, TrueDiv
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.subtensor import AdvancedSubtensor

_ONE = pt.constant(1.0, dtype="float64")


class NotLinear(Exception):
    """Why a program is not of this form."""


@dataclass(frozen=True, eq=False)
class Walk:
    """Writes the mean of rows as a sum of (feature of the row) x (term of its subject)."""

    rows: set[Any]
    index: Any
    unknown: set[Any]

    def terms(self, graph: Any) -> list[tuple[Any, Any]]:
        """(feature, term) pairs; a feature of None is 1."""
        above = set(ancestors([graph]))
        if (not above & self.rows and graph.type.ndim == 0) or (not above & self.unknown and above & self.rows):
            return [(None, graph)] if graph.type.ndim == 0 and not above & self.rows else [(graph, _ONE)]
        node = graph.owner
        if node is None:
            raise NotLinear(f"{graph} is not by row")
        inputs = node.inputs
        if isinstance(node.op, ViewOp):
            return self.terms(inputs[0])
        if isinstance(node.op, DimShuffle) and (inputs[0].type.ndim == 0 or not above & self.rows):
            if inputs[0].type.ndim:
                raise NotLinear("a mean mixes rows with something of another shape")
            return [(None, inputs[0])]
        if isinstance(node.op, AdvancedSubtensor):
            return self._gathered(node)
        if isinstance(node.op, Elemwise):
            return self._arithmetic(node)
        if isinstance(graph, Constant) and graph.data.size == 1:
            return [(None, pt.constant(float(graph.data.ravel()[0]), dtype="float64"))]
        raise NotLinear(f"a mean uses {node.op} across rows")

    def _arithmetic(self, node: Any) -> list[tuple[Any, Any]]:
        kind = node.op.scalar_op
        parts = [self.terms(one) for one in node.inputs]
        if isinstance(kind, Add):
            return [pair for part in parts for pair in part]
        if isinstance(kind, Sub):
            return [*parts[0], *((feature, -term) for feature, term in parts[1])]
        if isinstance(kind, Neg):
            return [(feature, -term) for feature, term in parts[0]]
        if isinstance(kind, Mul):
            found = parts[0]
            for part in parts[1:]:
                found = [(_times(f, g), s * t) for f, s in found for g, t in part]
            return found
        if isinstance(kind, TrueDiv) and len(parts[1]) == 1:
            ((under, below),) = parts[1]
            return [(f if under is None else (1.0 if f is None else f) / under, t / below) for f, t in parts[0]]
        raise NotLinear(f"a mean uses {kind} of unknowns across rows")

    def _gathered(self, node: Any) -> list[tuple[Any, Any]]:
        """`x[subject]`, `x[visit]` or `x[subject, visit]`: an index other than the subject becomes indicator features."""
        array, *indices = node.inputs
        if (
            any(kind == slice(None) or isinstance(kind, slice) for kind in node.op.idx_list)
            or set(ancestors([array])) & self.rows
        ):
            raise NotLinear("a mean picks from an array in an unknown way")
        pairs: list[tuple[Any, Any, int]] = [(None, array, 0)]
        for index in indices:
            if index is self.index:
                pairs = [(feature, one, axis + 1) for feature, one, axis in pairs]
                continue
            if set(ancestors([index])) & self.unknown:
                raise NotLinear("a mean picks by an unknown index")
            length = array.type.shape[len(array.type.shape) - pairs[0][1].type.ndim + pairs[0][2]]
            if length is None:
                raise NotLinear("a mean picks from an array whose length is not known")
            pairs = [(_times(feature, pt.eq(index, level).astype("float64")), pt.take(one, level, axis=axis), axis)
                     for feature, one, axis in pairs for level in range(length)]  # fmt: skip
        if any(one.type.ndim > 1 for _, one, _ in pairs):
            raise NotLinear("a mean picks part of an array only")
        return [(feature, one) for feature, one, _ in pairs]


def _times(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a * b
