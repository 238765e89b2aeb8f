"""Subject effects integrated out numerically, subject by subject, for a program of any likelihood.

The Hessian of the log density in the subject effects is block diagonal, so each subject's (or, where the effects of a
subject do not meet, each effect's) integral stands alone: adaptive Gauss-Hermite quadrature around its mode. Mode and
spread are found once, at a reference point, and follow the population parameters to first order; exact where the
effects are conditionally normal, and its error is measured where not. Where it is too large they are found anew at
every point (`Integrated.close`).

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

from progression.engines import roots
from progression.engines.by_unit import ByUnit, log_sum
from progression.engines.points import batched

MOST_EFFECTS = 3  # effects of one subject that depend on each other: the grid has a power of them
# Newton's method at every point: steps at most and their length in SDs, how often one that goes down is shortened, and a
# step of so few SDs, or that gains so little in the log density, that it is the last.
_STEPS, _FAR, _SHORTENED, _NEAR, _GAIN = 40, 30.0, 10, 0.3, 0.01


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


class Integrated(ByUnit):
    """The marginal density of the population parameters of one program, for one data set at a time.

    Attributes
    ----------
    close : bool
        Whether each integral is placed anew at every point of the parameters, not by the reference alone.
    order : int
        Points an effect that these data were found to need.
    """

    reference: Reference | None = None
    close, order = False, 5

    def prepare(
        self, arrays: Mapping[str, np.ndarray], n_subjects: int, subject: Mapping[str, np.ndarray], *, copies: int = 1
    ) -> None:
        """Put a data set into the program: see `ByUnit.prepare`."""
        super().prepare(arrays, n_subjects, subject, copies=copies)
        self.reference, self.close, self.order = None, False, 5

    def refer(self, x: np.ndarray, *, derivatives: bool = True) -> None:
        """Find each unit's mode and spread at a point, and how both move with the parameters."""
        mode = np.zeros((1, self.n, self.n_effects)) if self.reference is None else self._centre(x[None])
        at, value = x[None], None
        for _ in range(60):
            gradient, root = self._curved(at, mode)
            move = roots.newton(roots.plain(root), gradient)
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
        root = self._curved(at, mode)[1][0]
        size = len(x)
        by_mode, by_root = np.zeros((size, *mode[0].shape)), np.zeros((size, *root.shape))
        if derivatives and size:
            h = 1e-3
            around = x + h * np.eye(size)
            for piece in range(0, size, self.step):
                points = around[piece : piece + self.step]
                wide = np.repeat(mode, len(points), axis=0)
                gradient, _ = self.curvature(points, wide)
                shift = roots.newton(roots.plain(root), gradient)
                by_mode[piece : piece + self.step] = shift / h
                _, moved = self._curved(points, wide + shift)
                by_root[piece : piece + self.step] = (moved - root) / h
        self.reference = Reference(x.copy(), mode[0], by_mode, root, by_root)

    @property
    def _alone(self) -> bool:
        return self.n_effects == len(self.groups)

    def _curved(self, x: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient at places of the effects, and the root of the inverse curvature there, its diagonal as logarithms."""
        gradient, hessian = self.curvature(x, at)
        return gradient, roots.root_of_inverse(roots.positive(-hessian, alone=self._alone), alone=self._alone)

    def _centre(self, x: np.ndarray) -> np.ndarray:
        assert self.reference is not None
        off = x - self.reference.x
        return self.reference.mode + np.tensordot(off, self.reference.mode_by_x, axes=1)

    def _scale(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower triangular root (points, subjects, effects, effects), and its log diagonal."""
        assert self.reference is not None
        off = x - self.reference.x
        root = self.reference.root + np.clip(np.tensordot(off, self.reference.root_by_x, axes=1), -2, 2)
        return roots.plain(root), np.diagonal(root, axis1=-2, axis2=-1)

    def _place(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each integral lies: its centre, root and log diagonal; exactly where the log density is quadratic."""
        if not self.quadratic and not self.close:
            return (self._centre(x), *self._scale(x))
        centre = np.zeros((len(x), self.n, self.n_effects)) if self.quadratic else self._climbed(x)
        gradient, logged = self._curved(x, centre)
        root = roots.plain(logged)
        move = roots.newton(root, gradient)
        if not self.quadratic:  # what has not arrived is left where it got to
            move = move * self.by_effect(np.minimum(1, _NEAR / np.maximum(self._length(move, gradient), 1e-9)))
        return centre + move, root, np.diagonal(logged, axis1=-2, axis2=-1)

    def _length(self, move: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Length in SDs of a step of Newton's method, unit by unit."""
        gain = np.nan_to_num(move * gradient)
        return np.sqrt(np.stack([gain[..., group].sum(axis=-1) for group in self.groups], axis=-1).clip(0))

    def _climbed(self, x: np.ndarray) -> np.ndarray:
        """Close to the mode of each integral at each point, by Newton's method.

        It begins where the reference has the mode, moved along or not, whichever is higher.
        """
        assert self.reference is not None
        made = self._centre(x)
        stays = np.broadcast_to(self.reference.mode, made.shape)
        value, other = self._height(x, made), self._height(x, stays)
        made, value = np.where(self.by_effect(other > value), stays, made), np.maximum(value, other)
        open_ = np.arange(len(x))
        for _ in range(_STEPS):
            at, centre, height = x[open_], made[open_], value[open_]
            gradient, root = self._curved(at, centre)
            move = roots.newton(roots.plain(root), gradient)
            length = self._length(move, gradient)
            share = np.minimum(1, _FAR / np.maximum(length, 1e-9))
            for _ in range(_SHORTENED):
                tried = centre + move * self.by_effect(share)
                reached = self._height(at, tried)
                down = ~(reached > height) & (length > _NEAR)
                if not down.any():
                    break
                share = np.where(down, 0.4 * share, share)
            up = reached > height
            made[open_] = np.where(self.by_effect(up), tried, centre)
            value[open_] = np.where(up, reached, height)
            open_ = open_[((reached - height > _GAIN) & (length > _NEAR)).any(axis=(1, 2))]
            if not len(open_):
                break
        return made

    def _height(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """As `units`, what is no number the lowest."""
        value = self.units(x, u)
        return np.where(np.isnan(value), -np.inf, value)

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
            u = centre + (root @ moved if not self._alone else np.exp(log_diagonal) * moved)
            terms.append(self.units(x, u) + w)
            places.append(u)
        volume = np.stack([log_diagonal[..., group].sum(axis=-1) for group in self.groups], axis=-1)
        return np.stack(terms) + volume, places

    def by_subject(self, x: np.ndarray, *, order: int) -> np.ndarray:
        """Each subject's log likelihood with its effects integrated out, (points, subjects)."""
        found = [self.together(log_sum(self._sweep(x[i : i + self.step], order)[0]).sum(axis=2))
                 for i in range(0, len(x), self.step)]  # fmt: skip
        return np.concatenate(found)

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
        for i in range(0, len(x), self.step):
            piece = np.ascontiguousarray(x[i : i + self.step])
            terms, places = self._sweep(piece, order)
            total = log_sum(terms)
            prior, slope = self._run_prior(piece)
            slope = np.array(slope)
            by_subject = self.together(total.sum(axis=2))
            share = np.exp(self.with_copies(total.sum(axis=2)) - by_subject[:, :, None]).reshape(len(piece), self.n, 1)
            for term, u in zip(terms, places, strict=True):
                mass = np.exp(term - total) * share
                flat = mass.reshape(len(piece), -1)
                own = self.by_effect(mass)
                slope += self._compiled["gradient"](piece, u, *(flat[:, unit] for unit in self._unit), own)[0]
            values.append(prior + by_subject.sum(axis=1))
            gradients.append(slope)
        return np.concatenate(values), np.concatenate(gradients)

    def draw_effects(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw of all effects for each point, (points, subjects, effects); last the quantile of a latent on a grid."""
        if self.grid is None:
            return self.draw_units(x, rng)
        made = np.empty((len(x), self.n // self.copies, self.n_effects + 1))
        for i in range(0, len(x), self.step):
            piece = x[i : i + self.step]
            by_copy = self.with_copies(log_sum(self._sweep(piece, self.order)[0]).sum(axis=2))
            which = (by_copy + rng.gumbel(size=by_copy.shape)).argmax(axis=2)  # the greatest is a draw by weight
            drawn = self.draw_units(piece, rng).reshape(*by_copy.shape, self.n_effects)
            made[i : i + self.step, :, :-1] = np.take_along_axis(drawn, which[:, :, None, None], axis=2)[:, :, 0]
            made[i : i + self.step, :, -1] = self.node[which]
        return made

    def draw_units(self, x: np.ndarray, rng: np.random.Generator, *, candidates: int = 6) -> np.ndarray:
        """One draw of the effects of every (copy of a) subject for each point, by resampling from a t around the mode."""
        degrees = 8.0
        made = np.empty((len(x), self.n, self.n_effects))
        for i in range(0, len(x), self.step):
            piece = x[i : i + self.step]
            centre, root, _ = self._place(piece)
            if self.quadratic:
                z = rng.standard_normal((len(piece), self.n, self.n_effects))
                made[i : i + self.step] = centre + (root @ z[..., None])[..., 0]
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
            made[i : i + self.step] = best
        return made


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
