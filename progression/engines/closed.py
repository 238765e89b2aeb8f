"""Closed form: subject effects and all Gaussian population parameters integrated out exactly, for many points at once.

Given the few parameters that remain (SDs, a correlation), everything is normal: each subject contributes a quadratic
form in its effects u and the shared z, its data enter through the sums N = sum of feature x value, and eliminating u
and then z is Gaussian elimination on small symmetric matrices. Subjects with the same covariates and the same visits
share a cell, of which only the count and the first two moments of N are kept.

Source: Lindley and Smith (1972), JRSS B 34:1 (the normal hierarchical model integrated in closed form); Laird and Ware
(1982), Biometrics 38:963.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from progression.engines.linear import NotLinear, Structure
from progression.engines.split import INTERPRETED, batched

_LOG_2PI = float(np.log(2 * np.pi))
_SMALL, _LARGE = 60_000, 2_000_000  # numbers in working arrays: those that should stay in cache, those that must fit


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one observed variable, for one or many data sets of the same rows.

    Attributes
    ----------
    subject : array, shape (rows,)
    features : array, shape (rows, features)
    values : array, shape (sets, rows)
        NaN where a data set lacks the row.
    """

    subject: np.ndarray
    features: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Cells:
    """Data sets reduced to what the closed form reads: sums over the subjects of each cell.

    A kind of subject is a pattern of covariates, a cell a pattern of visits within a kind. `features` runs over the
    features of all blocks.
    """

    kinds: dict[str, np.ndarray]  # subject-level data of each kind
    count: np.ndarray  # (set, kind, cell)
    grams: tuple[np.ndarray, ...]  # of each block, (kind, cell, features, features): alike in all data sets
    first: np.ndarray  # (set, kind, cell, features)
    second: np.ndarray  # (set, kind, cell, features, features)
    squares: np.ndarray  # (block, set)
    rows: np.ndarray  # (block, set)
    cell_of: np.ndarray  # (set, subject): kind * cells + cell
    active: tuple[tuple[int, ...], ...]  # of each block, the features that are not zero in every row


class ClosedForm:
    """Evaluates the density of the remaining parameters of one program, on any number of data sets of a design."""

    def __init__(self, form: Structure) -> None:
        self.form, self.split = form, form.split
        effects = [self.split.value(rv) for rv in form.effects]
        self._shapes = [self.split.shape(rv)[1:] for rv in form.effects]
        self.n_effects, self.n_linear = sum(int(np.prod(shape)) for shape in self._shapes), form.linear.size
        by_subject = pt.zeros_like(effects[0].reshape((effects[0].shape[0], -1))[:, 0])
        graphs = [term + by_subject for block in form.blocks for term in block.terms]
        for line, value in zip(form.effect_lines, effects, strict=True):
            graphs += [line.mean + pt.zeros_like(value), line.sd + pt.zeros_like(value)]
        for line, value in zip(form.linear_lines, form.linear.swaps.values(), strict=True):
            graphs += [line.mean + pt.zeros_like(value), line.sd + pt.zeros_like(value)]
        self._lines = batched([form.rest.vector, form.linear.vector, *effects], graphs)
        self._plain = batched([form.rest.vector], [form.log_density, *(block.sd for block in form.blocks)])
        if self._bent():
            raise NotLinear("a mean is not a straight line in the effects and the normal parameters together")
        self._features = pytensor.function([], [f for block in form.blocks for f in block.features], mode=INTERPRETED)

    def _bent(self) -> bool:
        """Whether something taken for a straight line has curvature: tried at random points, to rounding error."""
        rng = np.random.default_rng(20261122)
        n = self.split.built.encoded.n_padded
        x = np.repeat(rng.normal(0, 0.5, (1, self.form.rest.size)), 4, axis=0)

        def corners(*shape: int) -> np.ndarray:
            one, other = rng.normal(size=(2, *shape))
            return np.stack([np.zeros(shape), one, other, one + other])

        found = self._lines(x, corners(self.n_linear), *(corners(n, *shape) for shape in self._shapes))
        gaps = [(np.abs(one[3] - one[2] - one[1] + one[0]), 1e-8 * (1 + np.abs(one).max(initial=0))) for one in found]
        return not all(np.all(gap <= most) for gap, most in gaps)  # a NaN is a bend too

    def rows(self, arrays: Mapping[str, np.ndarray], n_subjects: int, subject: Sequence[np.ndarray],
             values: Sequence[np.ndarray]) -> list[Rows]:  # fmt: skip
        """The rows of each observed variable, from the program's data; `values` (sets, rows), NaN where a row is absent."""
        self.split.with_data(arrays, n_subjects)
        features = iter(self._features())
        made = []
        for block, of, value in zip(self.form.blocks, subject, values, strict=True):
            columns = [np.broadcast_to(next(features), of.shape) for _ in block.features]
            with np.errstate(invalid="ignore"):
                made.append(Rows(of, np.stack(columns, axis=1).astype(float), np.log(value) if block.log else value))
        return made

    def cells(self, arrays: Mapping[str, np.ndarray], n_subjects: int, rows: Sequence[Rows], *, every: bool = False) -> Cells:
        """Reduce data to cells of subjects alike in covariates and visits; with `every`, one cell a subject."""
        active = tuple(tuple(int(i) for i in np.flatnonzero(one.features.any(axis=0))) for one in rows)
        rows = [Rows(one.subject, one.features[:, keep], one.values) for one, keep in zip(rows, active, strict=True)]
        columns = [np.asarray(arrays[name], float)[:n_subjects].reshape(n_subjects, -1) for name in self.form.subject_data]
        table = np.concatenate(columns, axis=1) if columns else np.zeros((n_subjects, 0))
        if every:
            table = np.column_stack([table, np.arange(n_subjects)])
        _, first, kind = np.unique(table, axis=0, return_index=True, return_inverse=True)
        kind = kind.reshape(-1)
        kinds = {name: np.asarray(arrays[name])[first] for name in self.form.subject_data}
        sets = len(rows[0].values) if rows else 1
        per = [_per_subject(one, n_subjects) for one in rows]
        gram = np.concatenate([g.reshape(sets, n_subjects, -1) for g, *_ in per], axis=2)
        key = np.concatenate([np.broadcast_to(kind[None, :, None], (sets, n_subjects, 1)), gram], axis=2)
        seen, where = _unique_rows(key.reshape(sets * n_subjects, -1))
        kind_of = seen[:, 0].astype(int)
        order = np.zeros(len(seen), int)
        for k in range(len(first)):
            order[kind_of == k] = np.arange(int((kind_of == k).sum()))
        width, n_kinds = int(order.max(initial=0)) + 1, len(first)
        cell_of = (kind_of * width + order)[where].reshape(sets, n_subjects)
        flat = (np.arange(sets)[:, None] * (n_kinds * width) + cell_of).ravel()

        def total(values: np.ndarray) -> np.ndarray:
            """Sums over the subjects of each cell: (set, kind, cell, ...)."""
            tail = values.shape[2:]
            wide = values.reshape(sets * n_subjects, -1)
            made = np.stack([np.bincount(flat, wide[:, i], sets * n_kinds * width) for i in range(wide.shape[1])], axis=1)
            return made.reshape(sets, n_kinds, width, *tail)

        grams, at = [], 1
        for _, n, _, _ in per:
            q = n.shape[-1]
            grams.append(np.zeros((n_kinds, width, q, q)))
            grams[-1][kind_of, order] = seen[:, at : at + q * q].reshape(-1, q, q)
            at += q * q
        sums = np.concatenate([n for _, n, _, _ in per], axis=2)
        return Cells(
            kinds, total(np.ones((sets, n_subjects, 1)))[..., 0], tuple(grams), total(sums),
            total(sums[..., :, None] * sums[..., None, :]), np.stack([squares for _, _, squares, _ in per]),
            np.stack([count for *_, count in per]), cell_of, active,
        )  # fmt: skip

    def _coefficients(self, x: np.ndarray, n_kinds: int, given: np.ndarray | None = None) -> tuple[Any, ...]:
        """Every straight line in w = (effects, linear, 1), found by setting each of them to 1 in turn.

        Parameters
        ----------
        given : array, shape (points, size of linear), optional
            Values of the linear parameters: lines are then in w = (effects, 1).

        Returns
        -------
        terms, effects, linear : lists of arrays, shape (m, kinds, points)
            The terms by block. Of `linear` the axis of kinds has length 1. Effects and linear are (own - mean) / SD, as rows in w.
        log_sd : array, shape (kinds, points)
            Sum of the log SDs of the effects.
        log_scale : array, shape (points,)
            Sum of the log SDs of the linear parameters.
        """
        e, k, points = self.n_effects, self.n_linear if given is None else 0, len(x)
        m = e + k + 1
        z = np.repeat(np.eye(m)[:, : m - 1], points, axis=0)
        linear = z[:, e:] if given is None else np.tile(given, (m, 1))
        u, at = [], 0
        for shape in self._shapes:
            size = int(np.prod(shape))
            piece = z[:, at : at + size].reshape(m * points, 1, *shape)
            u.append(np.ascontiguousarray(np.broadcast_to(piece, (m * points, n_kinds, *shape))))
            at += size
        out = iter(self._lines(np.tile(x, (m, 1)), np.ascontiguousarray(linear), *u))

        def next_line(kinds: int) -> np.ndarray:
            """(width, m, kinds, points): the value at 1 less the constant, which comes last."""
            made = next(out).reshape(m, points, kinds, -1).transpose(3, 0, 2, 1).copy()
            made[:, :-1] -= made[:, -1:]
            return made

        terms = [[next_line(n_kinds)[0] for _ in block.terms] for block in self.form.blocks]
        groups, logs = [], []
        own_lines = self.form.linear_lines if given is None else ()
        for lines, kinds, offset in ((self.form.effect_lines, n_kinds, 0), (own_lines, 1, e)):
            group: list[np.ndarray] = []
            log = np.zeros((kinds, points))
            for _ in lines:
                mean, sd = next_line(kinds), next_line(kinds)[:, -1]
                for own, scale in zip(-mean, sd, strict=True):
                    own[offset + len(group)] += 1
                    group.append(own / scale)
                    log += np.log(scale)
            groups.append(group)
            logs.append(log)
        return terms, *groups, logs[0], logs[1][0]

    def reduced(self, cells: Cells, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density up to the linear parameters, as a quadratic form in them.

        Parameters
        ----------
        x : array, shape (sets, points, size of rest)

        Returns
        -------
        constant : array, shape (sets, points)
        matrix : array, shape (k + 1, k + 1, sets, points)
            Log density = constant - r' matrix r / 2 with r = (linear, 1).
        """
        sets, points, size = x.shape
        n_kinds, width = cells.count.shape[1:]
        self.split.with_data(cells.kinds, n_kinds)
        m = self.n_effects + self.n_linear + 1
        pieces = []
        each = m * (m + 4) * n_kinds * sets
        for piece in _slices(points, max(1, _LARGE // each)):
            own = x[:, piece]
            flat = np.ascontiguousarray(own.reshape(-1, size))
            known = self._plain(flat), self._coefficients(flat, n_kinds)
            shape = (sets, own.shape[1])
            inner = max(1, _SMALL // ((m + cells.first.shape[-1]) ** 2 * n_kinds * width * sets))
            pieces += [self._eliminate(cells, known, shape, one) for one in _slices(own.shape[1], inner)]
        return np.concatenate([one for one, _ in pieces], axis=1), np.concatenate([one for _, one in pieces], axis=3)

    def _assemble(self, cells: Cells, known: Any, shape: tuple[int, int], which: slice, lead: int) -> np.ndarray:
        """Each cell's quadratic form in (effects, linear, 1, N), its first `lead` rows: (lead, full, kind, point, cell)."""
        (_, *sds), (terms, effects, *_) = known
        n_kinds, width = cells.count.shape[1:]
        m = len(effects[0])
        b = shape[0] * len(range(*which.indices(shape[1])))
        top = min(lead, m)
        h = np.zeros((lead, m + cells.first.shape[-1], n_kinds, b, width))
        at = 0
        for gram, sd, active, own_terms in zip(cells.grams, sds, cells.active, terms, strict=True):
            q = len(active)
            sd = _chosen(sd, shape, which).reshape(b)
            g = np.stack([_chosen(one, shape, which).reshape(m, n_kinds, b) for one in (own_terms[i] for i in active)]) / sd
            products = np.einsum("imtb,jntb->mntbij", g[:, :top], g).reshape(top, m, n_kinds, b, q * q)
            h[:top, :m] += products @ gram.reshape(n_kinds, width, q * q).transpose(0, 2, 1)
            cross = -g / sd
            h[:top, m + at : m + at + q] = cross[:, :top].transpose(1, 0, 2, 3)[..., None]
            if lead > m:
                h[m + at : m + at + q, :m] = cross[..., None]
            at += q
        for line in effects:
            own = _chosen(line, shape, which).reshape(m, n_kinds, b)
            h[:top, :m] += (own[:top, None] * own[None, :])[..., None]
        return h

    def _eliminate(self, cells: Cells, known: Any, shape: tuple[int, int], which: slice) -> tuple[np.ndarray, np.ndarray]:
        """Take the effects out of each cell's form, and add the cells up."""
        (log_prior, *sds), (_, _, linear, log_sd, log_scale) = known
        n_kinds, width = cells.count.shape[1:]
        sets, e, k = shape[0], self.n_effects, self.n_linear
        full, r = e + k + 1 + cells.first.shape[-1], k + 1
        h = self._assemble(cells, known, shape, which, full)
        b = h.shape[3]
        log_term = np.repeat(-_chosen(log_sd, shape, which).reshape(n_kinds, b, 1), width, axis=2)
        for j in range(e):
            log_term -= 0.5 * np.log(h[j, j])
            h[j + 1 :, j + 1 :] -= h[j + 1 :, j][:, None] * (h[j, j + 1 :] / h[j, j])[None]
        left = h[e:, e:].reshape(full - e, full - e, n_kinds, sets, b // sets, width)
        constant = _chosen(log_prior, shape, which) - _chosen(log_scale, shape, which) - 0.5 * k * _LOG_2PI
        for squares, rows, sd in zip(cells.squares, cells.rows, sds, strict=True):
            own = _chosen(sd, shape, which)
            constant -= 0.5 * squares[:, None] / own**2 + rows[:, None] * (np.log(own) + 0.5 * _LOG_2PI)
        constant += np.einsum("tspc,stc->sp", log_term.reshape(n_kinds, sets, b // sets, width), cells.count)
        matrix = np.einsum("abtspc,stc->absp", left[:r, :r], cells.count)
        first = np.einsum("aitspc,stci->asp", left[:r, r:], cells.first)
        matrix[:, -1] += first
        matrix[-1, :] += first
        matrix[-1, -1] += np.einsum("ijtspc,stcij->sp", left[r:, r:], cells.second)
        for line in linear:
            row = _chosen(line, shape, which)[e:, 0]
            matrix += row[:, None] * row[None, :]
        return constant, matrix

    def draw_effects(self, cells: Cells, x: np.ndarray, linear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw of every subject's effects for each point, from their conditional normal.

        Parameters
        ----------
        cells : Cells
            One data set with a cell for each subject (``every=True``).
        x, linear : arrays, shape (points, size of rest), (points, size of linear)

        Returns
        -------
        array, shape (points, subjects, effects)
        """
        n, e = cells.count.shape[1], self.n_effects
        self.split.with_data(cells.kinds, n)
        made = np.empty((len(x), n, e))
        for piece in _slices(len(x), max(1, _LARGE // ((e + 1) * (e + 5) * n))):
            flat = np.ascontiguousarray(x[piece])
            known = self._plain(flat), self._coefficients(flat, n, linear[piece])
            h = self._assemble(cells, known, (1, len(flat)), slice(None), e)[..., 0]
            for j in range(e):
                h[j + 1 :, j + 1 :] -= h[j + 1 :, j][:, None] * (h[j, j + 1 :] / h[j, j])[None]
            given = h[:, e] + np.einsum("jitp,ti->jtp", h[:, e + 1 :], cells.first[0, :, 0])
            u = np.empty((e, n, len(flat)))
            for j in reversed(range(e)):
                pivot = h[j, j]
                later = (h[j, j + 1 : e] * u[j + 1 :]).sum(axis=0)
                u[j] = rng.standard_normal(pivot.shape) / np.sqrt(pivot) - (given[j] + later) / pivot
            made[piece] = u.transpose(2, 1, 0)
        return made[:, cells.cell_of[0]]

    def log_density(self, cells: Cells, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the remaining parameters, everything else integrated out.

        Returns
        -------
        log_density : array, shape (sets, points)
        factor : array, shape (k + 1, k + 1, sets, points)
            What `draw_linear` needs: the quadratic form after elimination, row by row.
        """
        constant, matrix = self.reduced(cells, x)
        for j in range(self.n_linear):
            constant += 0.5 * (_LOG_2PI - np.log(matrix[j, j]))
            matrix[j + 1 :, j + 1 :] -= matrix[j + 1 :, j][:, None] * (matrix[j, j + 1 :] / matrix[j, j])[None]
        return constant - 0.5 * matrix[-1, -1], matrix


def draw_linear(factor: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Draws of the linear parameters from their conditional normal.

    Parameters
    ----------
    factor : array, shape (k + 1, k + 1, ...)
        Of `ClosedForm.log_density`, one entry a draw.
    normal : array, shape (k, ...)
        Standard normal.

    Returns
    -------
    array, shape (..., k)
    """
    k = len(factor) - 1
    made = np.empty(normal.shape)
    for j in reversed(range(k)):
        later = (factor[j, j + 1 : k] * made[j + 1 :]).sum(axis=0)
        made[j] = normal[j] / np.sqrt(factor[j, j]) - (later + factor[j, k]) / factor[j, j]
    return np.moveaxis(made, 0, -1)


def _chosen(array: np.ndarray, shape: tuple[int, int], which: slice) -> np.ndarray:
    """(..., points of all sets) -> (..., sets, chosen points)."""
    return array.reshape(*array.shape[:-1], *shape)[..., which]


def _slices(n: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def _per_subject(rows: Rows, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gram matrix (set, n, q, q) and sums N (set, n, q) of each subject; squares and rows of each set."""
    sets, q = len(rows.values), rows.features.shape[1]
    seen = np.isfinite(rows.values)
    values = np.where(seen, rows.values, 0.0)
    flat = (np.arange(sets)[:, None] * n + rows.subject[None, :]).ravel()

    def total(columns: np.ndarray) -> np.ndarray:
        return np.bincount(flat, columns.ravel(), sets * n).reshape(sets, n)

    gram = np.empty((sets, n, q, q))
    first = np.empty((sets, n, q))
    for i in range(q):
        first[..., i] = total(values * rows.features[:, i])
        for j in range(i + 1):
            gram[..., i, j] = gram[..., j, i] = total(seen * (rows.features[:, i] * rows.features[:, j]))
    return gram, first, (values**2).sum(axis=1), seen.sum(axis=1)


def _unique_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows, and which of them each row is; equal to ten digits counts as equal."""
    rounded = np.round(table, 10)
    as_bytes = np.ascontiguousarray(rounded + 0.0).view(np.dtype((np.void, rounded.dtype.itemsize * rounded.shape[1])))
    _, first, where = np.unique(as_bytes.ravel(), return_index=True, return_inverse=True)
    return table[first], where.reshape(-1)
