"""Closed form: subject effects and all Gaussian population parameters integrated out exactly, for many points at once.

Given the few parameters that remain (SDs, a correlation), everything is normal. The straight lines of a program are
evaluated on its own graph, and `elimination` does the algebra on the sums over subjects that `cells` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from progression.encoding import Encoded
from progression.engines.by_data import ByData, Times, own_times
from progression.engines.cells import Cells, Rows, make_cells
from progression.engines.elimination import LOG_2PI, Lines, eliminate, finish
from progression.engines.linear import NotLinear, Structure
from progression.engines.points import INTERPRETED, batched, replaced

_SMALL, _LARGE = 150_000, 2_000_000  # numbers in working arrays: those that should stay in cache, those that must fit
_SUBJECTS = 1000  # whose effects are drawn together


@dataclass(frozen=True, eq=False)
class Data:
    """Data sets of one design as the closed form reads them: rows with effects, and times to events without."""

    rows: tuple[Rows, ...]
    times: tuple[Times, ...]


class ClosedForm:
    """Evaluates the density of the remaining parameters of one program, on any number of data sets of a design."""

    def __init__(self, form: Structure) -> None:
        self.form, self.split = form, form.split
        effects = [self.split.value(rv) for rv in form.effects]
        self.shapes = [self.split.shape(rv)[1:] for rv in form.effects]
        self.n_effects, self.n_linear = sum(int(np.prod(shape)) for shape in self.shapes), form.linear.size
        by_subject = pt.zeros_like(effects[0].reshape((effects[0].shape[0], -1))[:, 0])
        self._effects, self._special = effects, None
        graphs = [term + by_subject for block in form.blocks for term in block.terms]
        for line, value in zip(form.effect_lines, effects, strict=True):
            graphs += [line.mean + pt.zeros_like(value), line.sd + pt.zeros_like(value)]
        for line, value in zip(form.linear_lines, form.linear.swaps.values(), strict=True):
            graphs += [line.mean + pt.zeros_like(value), line.sd + pt.zeros_like(value)]
        self._graphs = graphs
        self._run = batched([form.rest.vector, form.linear.vector, *effects], graphs)
        self._plain = batched([form.rest.vector], [form.log_density, *(block.sd for block in form.blocks)])
        if self._bent():
            raise NotLinear("a mean is not a straight line in the effects and the normal parameters together")
        self._times = [ByData(self.split, name, rows, form.rest) for name, rows in form.times.items()]
        self._features = pytensor.function([], [f for block in form.blocks for f in block.features], mode=INTERPRETED)

    def _bent(self) -> bool:
        """Whether something taken for a straight line has curvature: tried at random points, to rounding error."""
        rng = np.random.default_rng(20261122)
        n = int(self.split.model.dim_lengths["subject"].eval())
        x = np.repeat(rng.normal(0, 0.5, (1, self.form.rest.size)), 4, axis=0)

        def corners(*shape: int) -> np.ndarray:
            one, other = rng.normal(size=(2, *shape))
            return np.stack([np.zeros(shape), one, other, one + other])

        found = self._run(x, corners(self.n_linear), *(corners(n, *shape) for shape in self.shapes))
        gaps = [(np.abs(one[3] - one[2] - one[1] + one[0]), 1e-8 * (1 + np.abs(one).max(initial=0))) for one in found]
        return not all(np.all(gap <= most) for gap, most in gaps)  # a NaN is a bend too

    def specialise(self) -> None:
        """Compile each coefficient of each line by itself: a second of work that pays where many data sets follow."""
        if self._special is not None:
            return
        m = self.n_effects + self.n_linear + 1
        graphs = []
        for column in np.eye(m)[:, : m - 1]:
            swaps: dict[Any, Any] = {self.form.linear.vector: pt.constant(column[self.n_effects :])}
            at = 0
            for value, shape in zip(self._effects, self.shapes, strict=True):
                width = int(np.prod(shape))
                swaps[value] = pt.constant(column[at : at + width].reshape(1, *shape))
                at += width
            graphs += [pt.as_tensor(one) for one in replaced(self._graphs, swaps)]
        self._special = batched([self.form.rest.vector], graphs)

    def _at_units(self, flat: np.ndarray, kinds: int, given: np.ndarray | None) -> list[Sequence[np.ndarray]]:
        """Every line at w = each unit vector and at zero: for each graph m arrays, (points or 1, kinds or 1, ...)."""
        b, e, k = len(flat), self.n_effects, self.n_linear if given is None else 0
        m = e + k + 1
        if self._special is not None and given is None:
            found = self._special(flat)
            n = len(self._graphs)
            return [found[i::n] for i in range(n)]
        z = np.repeat(np.eye(m)[:, : m - 1], b, axis=0)
        linear = z[:, e:] if given is None else np.tile(given.reshape(b, -1), (m, 1))
        u, at = [], 0
        for shape in self.shapes:
            width = int(np.prod(shape))
            piece = z[:, at : at + width].reshape(m * b, 1, *shape)
            u.append(np.ascontiguousarray(np.broadcast_to(piece, (m * b, kinds, *shape))))
            at += width
        found = self._run(np.tile(flat, (m, 1)), np.ascontiguousarray(linear), *u)
        return [list(one.reshape(m, b, *one.shape[1:])) for one in found]

    def rows(
        self, arrays: Mapping[str, np.ndarray], encoded: Encoded, values: Mapping[str, np.ndarray] | None = None
    ) -> Data:
        """The rows of each observed variable.

        Parameters
        ----------
        arrays : mapping
            The program's data.
        encoded : Encoded
            Where they come from.
        values : mapping of str to array, shape (sets, rows), optional
            Values of many data sets, NaN where a row is absent; times to events as `event_times.signed` has them. By
            default those of `encoded`, as one set.
        """
        if values is None:
            values = {name: encoded.arrays[f"{name}_value"][1][None].astype(float) for name in encoded.blocks}
            values |= {name: own_times(encoded, name)[None] for name in encoded.events}
        self.split.with_data(arrays, encoded.n_subjects)
        features = iter(self._features())
        made = []
        for block in self.form.blocks:
            of, value = encoded.arrays[f"{block.name}_subject"][1], values[block.name]
            columns = [np.broadcast_to(next(features), of.shape) for _ in block.features]
            with np.errstate(invalid="ignore"):
                made.append(Rows(of, np.stack(columns, axis=1).astype(float), np.log(value) if block.log else value))
        times = [
            one.summarise(arrays, values[one.name], encoded.arrays[f"{one.name}_subject"][1]) for one in self._times
        ]
        return Data(tuple(made), tuple(times))

    def cells(self, arrays: Mapping[str, np.ndarray], n_subjects: int, data: Data, *, every: bool = False) -> Cells:
        """Reduce data to cells of subjects alike in covariates and visits; with `every`, one cell a subject."""
        return make_cells(arrays, self.form.subject_data, n_subjects, data.rows, times=data.times, every=every)

    def _lines(self, cells: Cells, x: np.ndarray, given: np.ndarray | None = None) -> Lines:
        """Every straight line in w = (effects, linear, 1), found by setting each of them to 1 in turn.

        Parameters
        ----------
        cells : Cells
        x : array, shape (sets, points, size of rest)
        given : array, shape (sets, points, size of linear), optional
            Values of the linear parameters: lines are then in w = (effects, 1).
        """
        sets, points, size = x.shape
        kinds, b = cells.count.shape[1], sets * points
        self.split.with_data(cells.kinds, kinds)
        flat = np.ascontiguousarray(x.reshape(b, size))
        e, k = self.n_effects, self.n_linear if given is None else 0
        m = e + k + 1
        found = iter(self._at_units(flat, kinds, given))

        def next_line(over: int) -> np.ndarray:
            """(width, m, kinds, points): the value at 1 less the constant, which comes last."""
            columns = [
                one.reshape(len(one), one.shape[1] if over > 1 else 1, -1).transpose(2, 1, 0) for one in next(found)
            ]
            made = np.empty((len(columns[-1]), m, over, b))
            made[:, -1] = columns[-1]
            for j, column in enumerate(columns[:-1]):
                np.subtract(column, made[:, -1], out=made[:, j])
            return made

        terms = [[next_line(kinds)[0] for _ in block.terms] for block in self.form.blocks]
        kept = [(i, own[j]) for i, (own, active) in enumerate(zip(terms, cells.active, strict=True)) for j in active]
        groups, logs = [], []
        own_lines = self.form.linear_lines if given is None else ()
        for lines, over, offset in ((self.form.effect_lines, kinds, 0), (own_lines, 1, e)):
            group: list[np.ndarray] = []
            log = np.zeros((over, b))
            for _ in lines:
                mean, sd = next_line(over), next_line(over)[:, -1]
                for own, scale in zip(-mean, sd, strict=True):
                    own[offset + len(group)] += 1
                    group.append(own / scale)
                    log += np.log(scale)
            groups.append(np.stack(group) if group else np.zeros((0, m, over, b)))
            logs.append(log)
        log_prior, *sds = self._plain(flat)

        def shaped(array: np.ndarray) -> np.ndarray:
            return array.reshape(*array.shape[:-1], sets, points)

        return Lines(
            shaped(log_prior - logs[1][0]), shaped(np.stack(sds)), shaped(np.stack([one for _, one in kept])),
            np.array([i for i, _ in kept]), shaped(groups[0]), shaped(logs[0]), shaped(groups[1][:, :, 0]),
        )  # fmt: skip

    def log_density(self, cells: Cells, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the remaining parameters, everything else integrated out.

        Parameters
        ----------
        cells : Cells
        x : array, shape (sets, points, size of rest)

        Returns
        -------
        log_density : array, shape (sets, points)
        factor : array, shape (sets, points, k (k + 3) / 2)
            What `draw_linear` needs.
        """
        sets, points, _ = x.shape
        kinds, width = cells.count.shape[1:]
        e, k, q = self.n_effects, self.n_linear, cells.first.shape[-1]
        constant, matrix = np.empty((sets, points)), np.empty((k + 1, k + 1, sets, points))
        most = max(1, _LARGE // ((e + k + 1) * (e + k + 5) * kinds))
        least = max(1, _SMALL // (kinds * e * e * max(width, q**4)))
        for some, piece in _tiles(sets, points, most):
            own = cells.take(np.arange(sets)[some])
            lines = self._lines(own, x[some, piece])
            n, p = lines.constant.shape
            for inner, inner_piece in _tiles(n, p, least):
                to = (slice(some.start + inner.start, some.start + inner.stop),
                      slice(piece.start + inner_piece.start, piece.start + inner_piece.stop))  # fmt: skip
                constant[to], matrix[:, :, *to] = eliminate(
                    own.take(np.arange(n)[inner]), lines.take(inner, inner_piece)
                )
        for one, times in zip(self._times, cells.times, strict=True):
            constant += one(times, x)
        return finish(constant, matrix)

    def draw_effects(
        self, cells: Cells, x: np.ndarray, linear: np.ndarray, rng: np.random.Generator, *, with_density: bool = False
    ) -> Any:
        """One draw of every subject's effects for each point, from their conditional normal.

        Parameters
        ----------
        cells : Cells
            One data set with a cell for each subject (``every=True``).
        x, linear : arrays, shape (points, size of rest), (points, size of linear)

        Returns
        -------
        effects : array, shape (points, subjects, effects)
        log_density : array, shape (points,)
            Of the draws, under that normal; only `with_density`.
        """
        n, e = cells.count.shape[1], self.n_effects
        made, density = np.empty((len(x), n, e)), np.zeros(len(x))
        subject_of = np.argsort(cells.cell_of[0])
        # Tiles of some subjects and some points: loops over a handful of points only would take three times as long.
        most = max(1, _LARGE // ((e + 1) * (e + 5) * min(n, _SUBJECTS)))
        tiles = [
            (slice(s, s + _SUBJECTS), piece) for _, piece in _tiles(1, len(x), most) for s in range(0, n, _SUBJECTS)
        ]
        for some, piece in tiles:
            own_cells = cells.of_kinds(some)
            lines = self._lines(own_cells, x[None, piece], linear[None, piece])
            g, own, sd = lines.terms[..., 0, :], lines.effects[..., 0, :], lines.sd[lines.block_of, 0]
            g = g / sd[:, None, None]
            h = np.einsum("jatp,jbtp->abtp", own[:, :e], own)
            h += np.einsum("iatp,ibtp->abtp", g[:, :e], np.einsum("tij,jbtp->ibtp", own_cells.gram[:, 0], g))
            h[:, e] -= np.einsum("iatp,itp->atp", g[:, :e], own_cells.first[0, :, 0].T[:, :, None] / sd[:, None])
            for j in range(e):
                h[j + 1 :, j + 1 :] -= h[j + 1 :, j][:, None] * (h[j, j + 1 :] / h[j, j])[None]
            given = h[:, e]
            u = np.empty((e, *given.shape[1:]))
            for j in reversed(range(e)):
                pivot = h[j, j]
                later = (h[j, j + 1 : e] * u[j + 1 :]).sum(axis=0)
                normal = rng.standard_normal(pivot.shape)
                u[j] = normal / np.sqrt(pivot) - (given[j] + later) / pivot
                if with_density:
                    density[piece] += (0.5 * (np.log(pivot) - LOG_2PI) - 0.5 * normal**2).sum(axis=0)
            made[piece, subject_of[some]] = u.transpose(2, 1, 0)
        return (made, density) if with_density else made


def _tiles(sets: int, points: int, most: int) -> list[tuple[slice, slice]]:
    """Cut (sets, points) into pieces of about `most`: whole sets where they fit, else parts of one set."""
    if points >= most:
        return [(slice(s, s + 1), slice(p, min(p + most, points))) for s in range(sets) for p in range(0, points, most)]
    step = max(1, most // max(points, 1))
    return [(slice(s, min(s + step, sets)), slice(0, points)) for s in range(0, sets, step)]
