"""Subject effects integrated out numerically, subject by subject, for a program of any likelihood.

The Hessian of the log density in the subject effects is block diagonal, so each subject's (or, where the effects of a
subject do not meet, each effect's) integral stands alone: adaptive Gauss-Hermite quadrature around its mode. Mode and
spread are found once, at a reference point, and follow the population parameters to first order; exact where the
effects are conditionally normal, and its error is measured where not.

Source: Liu and Pierce (1994), Biometrika 81:624; Pinheiro and Bates (1995), JCGS 4:12 (adaptive Gauss-Hermite
quadrature); the gradient by Fisher's identity, Louis (1982), JRSS B 44:226.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors
from scipy import sparse

from progression.engines.grids import nodes
from progression.engines.split import INTERPRETED, Split, batched, swapped

_AT_ONCE = 40_000  # rows times points in one call: arrays that stay in a processor's cache
MOST_EFFECTS = 3  # effects of one subject that depend on each other: the grid has a power of them


@dataclass(frozen=True, eq=False)
class Reference:
    """Where each integral lies at a reference point, and how that moves with the parameters.

    Attributes
    ----------
    x : array, shape (size,)
    mode : array, shape (subjects, effects)
    mode_by_x : array, shape (size, subjects, effects)
    root : array, shape (subjects, effects, effects)
        Block lower triangular square root of the inverse curvature, its diagonal as logarithms.
    root_by_x : array, shape (size, subjects, effects, effects)
    """

    x: np.ndarray
    mode: np.ndarray
    mode_by_x: np.ndarray
    root: np.ndarray
    root_by_x: np.ndarray


class Integrated:
    """The marginal density of the population parameters of one program, for one data set at a time."""

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
        self.blocks = [rv for rv in model.observed_RVs if _depends(rv, split.by_subject)]
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
        self.quadratic = self._is_quadratic()

    def _find_groups(self) -> list[list[int]]:
        """Effects of a subject that meet in some row or prior, found by moving each of them alone."""
        self._row_group: list[np.ndarray] = []
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
        self._touched = touched
        return groups

    def _is_quadratic(self) -> bool:
        """Whether the log density is quadratic in the effects, hence their integral exact: tried at random points."""
        rng = np.random.default_rng(20261122)
        n = int(self.split.model.dim_lengths["subject"].eval())
        x = np.repeat(rng.normal(0, 0.3, (2, self.x.size)), 2, axis=0)
        _, hessian = self._curvature(x, rng.normal(0, 1, (4, n, self.n_effects)))
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
            self.node, self._log_copy = nodes(copies)
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
        self._step = max(1, _AT_ONCE // max(total, 1))
        self.reference: Reference | None = None

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

    def _curvature(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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

    def refer(self, x: np.ndarray, *, derivatives: bool = True) -> None:
        """Find each unit's mode and spread at a point, and how both move with the parameters."""
        mode = np.zeros((1, self.n, self.n_effects)) if self.reference is None else self._centre(x[None])
        at, value = x[None], None
        for _ in range(60):
            gradient, hessian = self._curvature(at, mode)
            precision = self._positive(-hessian)
            move = np.linalg.solve(precision, gradient[..., None])[..., 0]
            value = self.units(at, mode) if value is None else value
            step = np.ones(value.shape)
            for _ in range(12):  # halve where it would go down
                tried = mode + move * self.by_effect(step)
                reached = self.units(at, tried)
                worse = ~(reached >= value - 1e-9)
                if not worse.any():
                    break
                step[worse] *= 0.4
            mode, value = np.where(self.by_effect(worse), mode, tried), np.where(worse, value, reached)
            if np.abs(move).max(initial=0) < 1e-5:
                break
        root = self._root(self._positive(-self._curvature(at, mode)[1]))[0]
        size = len(x)
        by_mode, by_root = np.zeros((size, *mode[0].shape)), np.zeros((size, *root.shape))
        if derivatives and size:
            h = 1e-3
            around = x + h * np.eye(size)
            for piece in range(0, size, self._step):
                points = around[piece : piece + self._step]
                wide = np.repeat(mode, len(points), axis=0)
                gradient, _ = self._curvature(points, wide)
                shift = (root_square(root) @ gradient[..., None])[..., 0]
                by_mode[piece : piece + self._step] = shift / h
                moved = self._root(self._positive(-self._curvature(points, wide + shift)[1]))
                by_root[piece : piece + self._step] = (moved - root) / h
        self.reference = Reference(x.copy(), mode[0], by_mode, root, by_root)

    def by_effect(self, by_group: np.ndarray) -> np.ndarray:
        """What is known by group, (..., groups), for each effect, (..., effects)."""
        made = np.empty((*by_group.shape[:-1], self.n_effects), by_group.dtype)
        for g, group in enumerate(self.groups):
            made[..., group] = by_group[..., [g]]
        return made

    def _positive(self, precision: np.ndarray) -> np.ndarray:
        if self.n_effects == len(self.groups):  # each effect alone
            diagonal = np.maximum(np.abs(np.diagonal(precision, axis1=-2, axis2=-1)), 1e-6)
            return diagonal[..., None] * np.eye(self.n_effects)
        value, vector = np.linalg.eigh(np.nan_to_num(precision))
        return (vector * np.maximum(np.abs(value), 1e-6)[..., None, :]) @ vector.swapaxes(-1, -2)

    def _root(self, precision: np.ndarray) -> np.ndarray:
        """Lower triangular root of the inverse, its diagonal as logarithms, so that it may be moved linearly."""
        if self.n_effects == len(self.groups):
            return -0.5 * np.log(np.diagonal(precision, axis1=-2, axis2=-1))[..., None] * np.eye(self.n_effects)
        root = np.linalg.cholesky(np.linalg.inv(precision))
        index = np.arange(self.n_effects)
        root[..., index, index] = np.log(root[..., index, index])
        return root

    def _centre(self, x: np.ndarray) -> np.ndarray:
        assert self.reference is not None
        off = x - self.reference.x
        return self.reference.mode + np.tensordot(off, self.reference.mode_by_x, axes=1)

    def _scale(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower triangular root (points, subjects, effects, effects), and its log diagonal."""
        assert self.reference is not None
        off = x - self.reference.x
        root = self.reference.root + np.clip(np.tensordot(off, self.reference.root_by_x, axes=1), -2, 2)
        log_diagonal = np.diagonal(root, axis1=-2, axis2=-1).copy()
        index = np.arange(self.n_effects)
        root[..., index, index] = np.exp(log_diagonal)
        return root, log_diagonal

    def _place(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each integral lies: its centre, root and log diagonal; exactly where the log density is quadratic."""
        if not self.quadratic:
            return (self._centre(x), *self._scale(x))
        centre = np.zeros((len(x), self.n, self.n_effects))
        gradient, hessian = self._curvature(x, centre)
        root = self._root(self._positive(-hessian))
        square = root_square(root)
        log_diagonal = np.diagonal(root, axis1=-2, axis2=-1).copy()
        index = np.arange(self.n_effects)
        root[..., index, index] = np.exp(log_diagonal)
        return centre + (square @ gradient[..., None])[..., 0], root, log_diagonal

    def _sweep(self, x: np.ndarray, order: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Log terms of the quadrature sum (nodes, points, subjects, groups), and the effects at each node."""
        centre, root, log_diagonal = self._place(x)
        grid, log_weight = _grid(tuple(len(group) for group in self.groups), order)
        terms, places = [], []
        for z, w in zip(grid, log_weight, strict=True):  # z (effects in group order), w (groups)
            moved = np.empty(self.n_effects)
            at = 0
            for group in self.groups:
                moved[group] = z[at : at + len(group)]
                at += len(group)
            u = centre + (root @ moved if self.n_effects > len(self.groups) else np.exp(log_diagonal) * moved)
            terms.append(self.units(x, u) + w)
            places.append(u)
        volume = np.stack([log_diagonal[..., group].sum(axis=-1) for group in self.groups], axis=-1)
        return np.stack(terms) + volume, places

    def by_subject(self, x: np.ndarray, *, order: int) -> np.ndarray:
        """Each subject's log likelihood with its effects integrated out, (points, subjects)."""
        found = [self._together(_log_sum(self._sweep(x[i : i + self._step], order)[0]).sum(axis=2))
                 for i in range(0, len(x), self._step)]  # fmt: skip
        return np.concatenate(found)

    def _copies(self, by_copy: np.ndarray) -> np.ndarray:
        """(points, subjects, copies): log likelihood of each copy with its weight."""
        return by_copy.reshape(len(by_copy), -1, self.copies) + (self._log_copy if self.grid is not None else 0.0)

    def _together(self, by_copy: np.ndarray) -> np.ndarray:
        """Copies of a subject added up: (points, copies of subjects) to (points, subjects)."""
        return by_copy if self.grid is None else _log_sum(np.moveaxis(self._copies(by_copy), 2, 0))

    def log_density(self, x: np.ndarray, *, order: int) -> np.ndarray:
        """Log density of the population parameters on the unconstrained scale, (points,)."""
        return self._run_prior(np.ascontiguousarray(x))[0] + self.by_subject(x, order=order).sum(axis=1)

    def gradient(self, x: np.ndarray, *, order: int) -> tuple[np.ndarray, np.ndarray]:
        """Log density (points,) and its gradient (points, size): the mean of the complete-data gradient."""
        if "gradient" not in self._compiled:
            weights = [pt.vector(f"weight_{i}", dtype="float64") for i in range(len(self._rows))]
            own_weight = pt.matrix("weight_own", dtype="float64")
            weighted: Any = (
                sum((w * row).sum() for w, row in zip(weights, self._rows, strict=True))
                + (own_weight * self._own).sum()
            )
            graph = pt.grad(weighted, self.x.vector, disconnected_inputs="ignore")
            self._compiled["gradient"] = batched(
                [self.x.vector, self._u, *weights, own_weight], [graph], mode=self._mode
            )
        values, gradients = [], []
        for i in range(0, len(x), self._step):
            piece = np.ascontiguousarray(x[i : i + self._step])
            terms, places = self._sweep(piece, order)
            total = _log_sum(terms)
            prior, slope = self._run_prior(piece)
            slope = np.array(slope)
            by_subject = self._together(total.sum(axis=2))
            share = np.exp(self._copies(total.sum(axis=2)) - by_subject[:, :, None]).reshape(len(piece), self.n, 1)
            for term, u in zip(terms, places, strict=True):
                mass = np.exp(term - total) * share
                flat = mass.reshape(len(piece), -1)
                own = self.by_effect(mass)
                slope += self._compiled["gradient"](piece, u, *(flat[:, unit] for unit in self._unit), own)[0]
            values.append(prior + by_subject.sum(axis=1))
            gradients.append(slope)
        return np.concatenate(values), np.concatenate(gradients)

    def draw_effects(self, x: np.ndarray, rng: np.random.Generator, *, order: int = 5) -> np.ndarray:
        """One draw of all effects for each point, (points, subjects, effects); last the quantile of a latent on a grid."""
        if self.grid is None:
            return self.draw_units(x, rng)
        made = np.empty((len(x), self.n // self.copies, self.n_effects + 1))
        for i in range(0, len(x), self._step):
            piece = x[i : i + self._step]
            by_copy = self._copies(_log_sum(self._sweep(piece, order)[0]).sum(axis=2))
            which = (by_copy + rng.gumbel(size=by_copy.shape)).argmax(axis=2)  # the greatest is a draw by weight
            drawn = self.draw_units(piece, rng).reshape(*by_copy.shape, self.n_effects)
            made[i : i + self._step, :, :-1] = np.take_along_axis(drawn, which[:, :, None, None], axis=2)[:, :, 0]
            made[i : i + self._step, :, -1] = self.node[which]
        return made

    def draw_units(self, x: np.ndarray, rng: np.random.Generator, *, candidates: int = 6) -> np.ndarray:
        """One draw of the effects of every (copy of a) subject for each point, by resampling from a t around the mode."""
        degrees = 8.0
        made = np.empty((len(x), self.n, self.n_effects))
        for i in range(0, len(x), self._step):
            piece = x[i : i + self._step]
            centre, root, _ = self._place(piece)
            if self.quadratic:
                z = rng.standard_normal((len(piece), self.n, self.n_effects))
                made[i : i + self._step] = centre + (root @ z[..., None])[..., 0]
                continue
            best, top = None, None
            for _ in range(candidates):
                z = rng.standard_normal((len(piece), self.n, self.n_effects))
                chi = rng.chisquare(degrees, (len(piece), self.n, len(self.groups)))
                z /= np.sqrt(self.by_effect(chi) / degrees)
                u = centre + (root @ z[..., None])[..., 0]
                square = np.stack([(z[..., group] ** 2).sum(axis=-1) for group in self.groups], axis=-1)
                width = np.array([len(group) for group in self.groups])
                log_t = -0.5 * (degrees + width) * np.log1p(square / degrees)
                key = self.units(piece, u) - log_t + rng.gumbel(size=log_t.shape)  # the greatest is a draw by weight
                if best is None or top is None:
                    best, top = u, key
                else:
                    win = key > top
                    best, top = np.where(self.by_effect(win), u, best), np.where(win, key, top)
            made[i : i + self._step] = best
        return made


def root_square(root: np.ndarray) -> np.ndarray:
    """The matrix whose root (diagonal as logarithms) is given."""
    plain = root.copy()
    index = np.arange(root.shape[-1])
    plain[..., index, index] = np.exp(plain[..., index, index])
    return plain @ plain.swapaxes(-1, -2)


def _log_sum(terms: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials over the first axis."""
    top = terms.max(axis=0)
    with np.errstate(invalid="ignore"):
        return top + np.log(np.exp(terms - top).sum(axis=0))


@lru_cache(maxsize=32)
def _grid(sizes: tuple[int, ...], order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (nodes, effects) of all groups side by side, and log weights (nodes, groups) with the density taken out."""
    node, weight = np.polynomial.hermite_e.hermegauss(order)
    log_weight = np.log(weight) + 0.5 * node**2
    most = order ** max(sizes)
    columns, logs = [], []
    for size in sizes:
        grid = np.array(list(product(node, repeat=size)))
        log = np.array(list(product(log_weight, repeat=size))).sum(axis=1)
        short = most - len(grid)
        columns.append(np.vstack([grid, np.zeros((short, size))]))
        logs.append(np.concatenate([log, np.full(short, -np.inf)]))
    return np.hstack(columns), np.stack(logs, axis=1)


def _depends(rv: Any, effects: tuple[Any, ...]) -> bool:
    return bool(set(ancestors([rv])) & set(effects))
