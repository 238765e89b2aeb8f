"""Data sets reduced to what the closed form reads: sums over the subjects that are alike.

Subjects with the same covariates and the same visits share a cell, of which only the count and the first two moments of
the subjects' sums N = sum of feature x value are kept: sufficient statistics, whatever the number of patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from progression.engines.by_data import Times


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
    gram: np.ndarray  # (kind, cell, features, features): alike in all data sets
    first: np.ndarray  # (set, kind, cell, features)
    moments: np.ndarray  # (set, kind, cell, all the products of the above that are summed over cells)
    squares: np.ndarray  # (block, set)
    rows: np.ndarray  # (block, set)
    cell_of: np.ndarray  # (set, subject): kind * cells + cell
    active: tuple[tuple[int, ...], ...]  # of each block, the features that are not zero in every row
    times: tuple[Times, ...] = ()  # to events on which no effect bears

    def take(self, which: np.ndarray) -> Cells:
        """Some of the data sets."""
        if len(which) == len(self.count):
            return self
        return replace(self, count=self.count[which], first=self.first[which], moments=self.moments[which],
                       squares=self.squares[:, which], rows=self.rows[:, which], cell_of=self.cell_of[which],
                       times=tuple(one.take(which) for one in self.times))  # fmt: skip

    def of_kinds(self, some: slice) -> Cells:
        """Some of the kinds of subjects, for what is computed kind by kind."""
        kinds = {name: array[some] for name, array in self.kinds.items()}
        return replace(self, kinds=kinds, count=self.count[:, some], gram=self.gram[some], first=self.first[:, some],
                       moments=self.moments[:, some])  # fmt: skip


def make_cells(
    arrays: Mapping[str, np.ndarray],
    names: Sequence[str],
    n_subjects: int,
    rows: Sequence[Rows],
    *,
    times: Sequence[Times] = (),
    every: bool = False,
) -> Cells:
    """Reduce data to cells of subjects alike in covariates and visits.

    Parameters
    ----------
    arrays : mapping
        Subject-level data by name.
    names : sequence of str
        Those of them that matter.
    n_subjects : int
    rows : sequence of Rows
        One for each observed variable.
    times : sequence of Times
        Carried along.
    every : bool
        Whether each subject gets a cell of its own.
    """
    active = tuple(tuple(int(i) for i in np.flatnonzero(one.features.any(axis=0))) or (0,) for one in rows)
    rows = [Rows(one.subject, one.features[:, keep], one.values) for one, keep in zip(rows, active, strict=True)]
    columns = [np.asarray(arrays[name], float)[:n_subjects].reshape(n_subjects, -1) for name in names]
    table = np.concatenate(columns, axis=1) if columns else np.zeros((n_subjects, 0))
    if every:
        table = np.column_stack([table, np.arange(n_subjects)])
    _, first, kind = np.unique(table, axis=0, return_index=True, return_inverse=True)
    kind = kind.reshape(-1)
    kinds = {name: np.asarray(arrays[name])[first] for name in names}
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

    size = sum(n.shape[-1] for _, n, _, _ in per)
    shared = np.zeros((n_kinds, width, size, size))
    column, at = 1, 0
    for _, n, _, _ in per:
        q = n.shape[-1]
        shared[kind_of, order, at : at + q, at : at + q] = seen[:, column : column + q * q].reshape(-1, q, q)
        column, at = column + q * q, at + q
    sums = np.concatenate([n for _, n, _, _ in per], axis=2)
    count, first = total(np.ones((sets, n_subjects, 1)))[..., 0], total(sums)
    second = total(sums[..., :, None] * sums[..., None, :])
    lead = (sets, n_kinds, width, -1)
    pairs = (shared[..., :, :, None, None] * shared[..., None, None, :, :]).reshape(n_kinds, width, -1)
    moments = np.concatenate([
        count[..., None], (count[..., None, None] * shared).reshape(lead), count[..., None] * pairs, first,
        (shared[..., None] * first[..., None, None, :]).reshape(lead), second.reshape(lead),
    ], axis=3)  # fmt: skip
    return Cells(
        kinds, count, shared, first, moments, np.stack([squares for _, _, squares, _ in per]),
        np.stack([rows for *_, rows in per]), cell_of, active, tuple(times),
    )  # fmt: skip


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
