"""Sums over subjects in which some count in part: each subject's marginal likelihood raised to a power of its own.

What the closed form reads of a cell are sums over its subjects, and its log density is a straight line in them. A
weight on a subject's marginal log likelihood is therefore a weight in these sums, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from progression.encoding import Encoded
from progression.engines.by_data import ByData, Times, own_times
from progression.engines.cells import Cells, Rows, make_cells
from progression.engines.closed import ClosedForm

_WEIGHT = "subject_weight"  # a column by subject, so that subjects of different weights do not share a cell


def weighted_cells(
    inner: ClosedForm, arrays: Mapping[str, np.ndarray], encoded: Encoded, weights: np.ndarray, *,
    values: Mapping[str, np.ndarray] | None = None, plain: Mapping[str, np.ndarray] | None = None, every: bool = False,
) -> Cells:  # fmt: skip
    """Reduce data sets to cells, each subject with its weight.

    Parameters
    ----------
    inner : ClosedForm
    arrays : mapping
        The program's data.
    encoded : Encoded
        Unpadded.
    weights : array, shape (subjects,)
        Not negative; 0 leaves a subject out, 1 counts it whole.
    values : mapping of str to array, shape (sets, rows), optional
        As for `ClosedForm.rows`.
    plain : mapping, optional
        `Program.coordinates` of the data, by which subjects are taken together.
    every : bool
        Whether each subject gets a cell of its own.
    """
    data = inner.rows(arrays, encoded, values)
    names = (*inner.form.subject_data, _WEIGHT)
    made = make_cells(
        {**(arrays if plain is None else plain), _WEIGHT: weights}, names, encoded.n_subjects, data.rows, every=every
    )
    kinds = dict(made.kinds)
    weight = kinds.pop(_WEIGHT)
    per = [_squares_and_rows(rows, weights) for rows in data.rows]
    times = tuple(_weighted_times(one, arrays, encoded, weights, values) for one in inner._times)
    return replace(
        made, kinds=kinds, count=made.count * weight[:, None], first=made.first * weight[:, None, None],
        moments=made.moments * weight[:, None, None], squares=np.stack([one for one, _ in per]),
        rows=np.stack([one for _, one in per]), times=times,
    )  # fmt: skip


def _squares_and_rows(rows: Rows, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sum of squares and number of rows of each data set."""
    seen = np.isfinite(rows.values)
    own = weights[rows.subject]
    return (np.where(seen, rows.values, 0.0) ** 2 * own).sum(axis=1), (seen * own).sum(axis=1)


def _weighted_times(
    by_data: ByData, arrays: Mapping[str, np.ndarray], encoded: Encoded, weights: np.ndarray, values: Mapping[str, np.ndarray] | None
) -> Times:  # fmt: skip
    """Times to an event, summarised for each weight by itself and put side by side."""
    times = own_times(encoded, by_data.name)[None] if values is None else values[by_data.name]
    subject = encoded.arrays[f"{by_data.name}_subject"][1]
    pieces = []
    for weight in np.unique(weights[subject]) if len(subject) else [1.0]:
        own = np.where(weights[subject] == weight, times, np.nan)
        one = by_data.summarise(arrays, own, subject)
        pieces.append(replace(one, weight=one.weight * weight))
    return pieces[0] if len(pieces) == 1 else _side_by_side(by_data, pieces)


def _side_by_side(by_data: ByData, pieces: list[Times]) -> Times:
    of = f"{by_data.name}_subject"
    shift = np.cumsum([0, *(one.kinds for one in pieces)])
    fixed = {key: np.concatenate([one.fixed[key] for one in pieces]) for key in pieces[0].fixed if key != of}
    fixed[of] = np.concatenate([one.fixed[of] + at for one, at in zip(pieces, shift, strict=False)])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in pieces], axis=1)

    return Times(fixed, int(shift[-1]), joined("value"), joined("upper"), joined("censored"), joined("weight"))
