"""What a program says of each subject: the log density of its rows and effects, and its curvature, for many points at once.

The Hessian of the log density in the subject effects is block diagonal, so each subject (or, where the effects of a
subject do not meet, each of its effects) is a unit that stands alone. With a latent on a grid every subject has a copy a
node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace
from scipy import sparse

from progression.engines.grids import nodes
from progression.engines.points import INTERPRETED, batched
from progression.engines.split import Split, swapped

_AT_ONCE = 40_000  # rows times points in one call: arrays that stay in a processor's cache


class ByUnit:
    """The log density of one program, unit by unit, for one data set at a time.

    Attributes
    ----------
    x : Flat
        Population parameters on the unconstrained scale.
    groups : list of list of int
        Effects of a subject that depend on each other: a unit each.
    n : int
        Subjects, copies counted.
    quadratic : bool
        Whether the log density is quadratic in the effects, on these data.
    """

    def __init__(self, split: Split, *, mode: Any = INTERPRETED) -> None:
        self.split = split
        model, self._mode = split.model, mode
        self.x = split.flat(split.population, "population")
        values = [split.value(rv) for rv in split.effects]
        self.shapes = [split.shape(rv)[1:] for rv in split.effects]
        self.n_effects = sum(int(np.prod(shape)) for shape in self.shapes)
        self._u = pt.matrix("effects", dtype="float64")
        swaps, at = dict(self.x.swaps), 0
        self.grid = split.grid
        if self.grid is not None:
            swaps[split.value(self.grid.rv)] = swapped([self.grid.value(model, self.grid.node)], self.x)[0]
            self.grid.node.set_value(np.full(int(model.dim_lengths["subject"].eval()), 0.5))
        for value, shape in zip(values, self.shapes, strict=True):
            size = int(np.prod(shape))
            swaps[value] = self._u[:, at : at + size].reshape((self._u.shape[0], *shape))
            at += size
        # Rows of a subject count as its own, also where no effect bears on them: leaving it out leaves them out.
        encoded = split.built.encoded
        self.blocks = [rv for rv in model.observed_RVs if f"{rv.name}_subject" in encoded.arrays]
        plain = [rv for rv in model.observed_RVs if rv not in self.blocks]
        rows = model.logp(vars=self.blocks, sum=False)
        own = [
            one.reshape((self._u.shape[0], -1))
            for one in model.logp(vars=list(split.effects), sum=False, jacobian=True)
        ]
        prior = model.logp(vars=[*split.population, *plain], jacobian=True)
        prior = sum(split.natural(model.potentials), prior) if model.potentials else prior
        made: list[Any] = list(graph_replace([*rows, pt.concatenate(own, axis=1), prior], swaps, strict=False))
        *self._rows, self._own, self._prior = made
        self._run_terms = batched([self.x.vector, self._u], [*self._rows, self._own], mode=mode)
        self._run_prior = batched([self.x.vector], [self._prior, pt.grad(self._prior, self.x.vector)], mode=mode)
        self._compiled: dict[str, Any] = {}
        self.groups = self._find_groups()

    def _find_groups(self) -> list[list[int]]:
        """Effects of a subject that meet in some row or prior, found by moving each of them alone."""
        rng = np.random.default_rng(20261122)
        n, e = int(self.split.model.dim_lengths["subject"].eval()), self.n_effects
        x = rng.normal(0, 0.3, self.x.size)
        u = rng.normal(0, 0.5, (n, e))
        moved = np.repeat(u[None], e + 1, axis=0)
        for j in range(e):
            moved[j + 1, :, j] += 0.37
        *rows, own = self._run_terms(np.repeat(x[None], e + 1, axis=0), moved)
        touched = [np.abs(one[1:] - one[:1]) > 0 for one in rows]  # (effect, row)
        meets = np.eye(e, dtype=bool) | (np.abs(own[1:] - own[:1]) > 0).any(axis=1)
        for one in touched:
            flat = one.reshape(e, -1).astype(float)
            meets |= (flat @ flat.T) > 0
        meets |= meets.T
        for _ in range(e):
            meets = (meets.astype(int) @ meets.astype(int)) > 0
        groups, left = [], list(range(e))
        while left:
            groups.append([j for j in left if meets[left[0], j]])
            left = [j for j in left if j not in groups[-1]]
        return groups

    def _is_quadratic(self) -> bool:
        """Whether the log density is quadratic in the effects, tried at random points: to be held against the answer."""
        rng = np.random.default_rng(20261122)
        x = np.repeat(rng.normal(0, 0.3, (2, self.x.size)), 2, axis=0)
        _, hessian = self.curvature(x, rng.normal(0, 1, (4, self.n, self.n_effects)))
        gap = np.abs(hessian[0::2] - hessian[1::2])
        return bool(np.all(gap <= 1e-8 * (1 + np.abs(hessian).max())))  # a NaN is none

    def prepare(
        self, arrays: Mapping[str, np.ndarray], n_subjects: int, subject: Mapping[str, np.ndarray], *, copies: int = 1
    ) -> None:
        """Put a data set into the program.

        Parameters
        ----------
        arrays : mapping
            The program's data.
        subject : mapping of str to array
            For each observed variable, the subject of each row.
        copies : int
            How often each subject stands in the data, side by side: once for each node of the grid.
        """
        self.split.with_data(arrays, n_subjects)
        self.n, self.copies = n_subjects, copies
        if self.grid is not None:
            self.node, self.log_copy = nodes(copies)
            self.grid.node.set_value(np.tile(self.node, n_subjects // copies))
        g = len(self.groups)
        self._sums, self._unit = [], []
        if g > 1:
            probe = self._probe_rows()
        for number, rv in enumerate(self.blocks):
            of = np.asarray(subject[rv.name])
            group = probe[number] if g > 1 else np.zeros(len(of), int)
            unit = of * g + group
            self._unit.append(unit)
            ones = np.ones(len(unit))
            self._sums.append(sparse.csr_array((ones, (unit, np.arange(len(unit)))), shape=(n_subjects * g, len(unit))))
        total = sum(len(unit) for unit in self._unit) + n_subjects * self.n_effects
        self.step = max(1, _AT_ONCE // max(total, 1))
        self.quadratic = self._is_quadratic()

    def _probe_rows(self) -> list[np.ndarray]:
        """The group of effects that each row of each observed variable depends on."""
        rng = np.random.default_rng(1)
        u = rng.normal(0, 0.5, (self.n, self.n_effects))
        moved = np.repeat(u[None], len(self.groups) + 1, axis=0)
        for j, group in enumerate(self.groups):
            moved[j + 1][:, group] += 0.37
        x = np.repeat(rng.normal(0, 0.3, (1, self.x.size)), len(moved), axis=0)
        *rows, _ = self._run_terms(x, moved)
        return [np.argmax(np.abs(one[1:] - one[:1]), axis=0) for one in rows]

    def units(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Log density of each unit's rows and effects: (points, subjects, groups)."""
        *rows, own = self._run_terms(x, u)
        total = np.stack([own[:, :, group].sum(axis=2) for group in self.groups], axis=2)
        for one, sums in zip(rows, self._sums, strict=True):
            total += (sums @ one.T).T.reshape(len(x), self.n, len(self.groups))
        return total

    def curvature(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (points, subjects, effects) and Hessian (points, subjects, effects, effects) in the effects."""
        if "curvature" not in self._compiled:
            total: Any = sum((row.sum() for row in self._rows), self._own.sum())
            gradient: Any = pt.grad(total, self._u)
            by_effect: list[Any] = [gradient[:, j] for j in range(self.n_effects)]
            columns = []
            for place in range(max(len(group) for group in self.groups)):
                members = [group[place] for group in self.groups if len(group) > place]
                picked: Any = pt.stack([by_effect[j].sum() for j in members]).sum()
                columns.append(pt.grad(picked, self._u, disconnected_inputs="ignore"))
            self._compiled["curvature"] = batched([self.x.vector, self._u], [gradient, *columns], mode=self._mode)
        gradient, *columns = self._compiled["curvature"](x, u)
        hessian = np.zeros((*gradient.shape, self.n_effects))
        for place, column in enumerate(columns):
            for group in self.groups:
                if len(group) > place:
                    hessian[:, :, group, group[place]] = column[:, :, group]
        return gradient, hessian

    def by_effect(self, by_group: np.ndarray) -> np.ndarray:
        """What is known by group, (..., groups), for each effect, (..., effects)."""
        made = np.empty((*by_group.shape[:-1], self.n_effects), by_group.dtype)
        for g, group in enumerate(self.groups):
            made[..., group] = by_group[..., [g]]
        return made

    def with_copies(self, own: np.ndarray) -> np.ndarray:
        """(points, subjects, copies): log likelihood of each copy with its weight."""
        return own.reshape(len(own), -1, self.copies) + (self.log_copy if self.grid is not None else 0.0)

    def together(self, own: np.ndarray) -> np.ndarray:
        """Copies of a subject added up: (points, copies of subjects) to (points, subjects)."""
        return own if self.grid is None else log_sum(np.moveaxis(self.with_copies(own), 2, 0))


def log_sum(terms: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials over the first axis."""
    top = terms.max(axis=0)
    top = np.where(np.isneginf(top), 0.0, top)  # nothing but zeros
    with np.errstate(invalid="ignore", divide="ignore"):
        return top + np.log(np.exp(terms - top).sum(axis=0))
