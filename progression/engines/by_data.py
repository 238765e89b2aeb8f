"""Observed variables on which no subject effect bears, such as times to death: their log density on many data sets.

Where the log density of a row is a straight line in its value, as of an exponential time, rows of subjects that are
alike are taken together: their number and their mean say all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors

from progression.encoding import Encoded
from progression.engines.points import batched
from progression.engines.split import Flat, Split
from progression.event_times import signed, unsigned

_AT_ONCE = 100_000  # rows times points in one call: arrays that stay in a processor's cache
_VARYING = ("value", "upper", "censored")  # what differs between data sets of a design


@dataclass(frozen=True, eq=False)
class Times:
    """Times to one event in many data sets, rows of a kind taken together where that loses nothing.

    Attributes
    ----------
    fixed : mapping of str to array
        What the program reads beside the times: data by subject, of each kind of subject, and the kind of each row.
    kinds : int
    value, upper, weight : array, shape (sets, rows)
        Weight 0 where a data set lacks the row.
    censored : array of bool, shape (sets, rows)
    """

    fixed: Mapping[str, np.ndarray]
    kinds: int
    value: np.ndarray
    upper: np.ndarray
    censored: np.ndarray
    weight: np.ndarray

    def take(self, which: np.ndarray) -> Times:
        """Some of the data sets."""
        return replace(self, value=self.value[which], upper=self.upper[which], censored=self.censored[which],
                       weight=self.weight[which])  # fmt: skip


class ByData:
    """Log density of the times to one event, at many points of the remaining parameters and on many data sets."""

    def __init__(self, split: Split, name: str, rows: Any, rest: Flat) -> None:
        self.split, self.name = split, name
        model = split.model
        read = {str(v.name): v for v in ancestors([rows]) if v in model.data_vars}
        dims = {key: (model.named_vars_to_dims.get(key) or ("",))[0] for key in read}
        self.by_subject = [key for key, dim in dims.items() if dim == "subject"]
        self.varying = [key for key in (f"{name}_{one}" for one in _VARYING) if key in read]
        known = {*self.by_subject, *self.varying, f"{name}_subject"}
        self.by_row = [key for key, dim in dims.items() if dim == f"{name}_row" and key not in known]
        inputs: dict[Any, Any] = {read[key]: pt.vector(key, dtype=read[key].type.dtype) for key in self.varying}
        (made,) = graph_replace([rows], inputs, strict=False)
        self._run = batched([rest.vector, *inputs.values()], [made])
        self._size = rest.size
        self._straight: bool | None = None

    def summarise(self, arrays: Mapping[str, np.ndarray], times: np.ndarray, subject: np.ndarray) -> Times:
        """Reduce data sets of a design.

        Parameters
        ----------
        arrays : mapping
            All data of the program, of the design.
        times : array, shape (sets, rows)
            As `event_times.signed` has them, NaN where a data set lacks the row.
        subject : array of int, shape (rows,)
        """
        n = int(subject.max(initial=0)) + 1  # at least one kind, also where nothing was followed
        columns = [np.asarray(arrays[key], float)[:n].reshape(n, -1) for key in self.by_subject]
        table = np.concatenate(columns, axis=1) if columns else np.zeros((n, 0))
        _, first, kind = np.unique(table, axis=0, return_index=True, return_inverse=True)
        kind = kind.reshape(-1)[subject]
        fixed = {key: np.asarray(arrays[key])[first] for key in self.by_subject}
        planned = float(np.asarray(arrays.get(f"{self.name}_upper", np.zeros(0)), float).max(initial=0.0))
        seen = np.isfinite(times)
        rows = unsigned(np.where(seen, times, -1.0).ravel(), np.zeros(times.size, int), planned)
        value, upper, censored = (rows[key].reshape(times.shape) for key in ("value", "upper", "censored"))
        fixed |= {key: np.asarray(arrays[key]) for key in self.by_row} | {f"{self.name}_subject": kind}
        made = Times(fixed, len(first), value, upper, censored, seen.astype(float))
        if not len(subject) or self.by_row or not self._is_straight(made):
            return made
        pieces: list[tuple[np.ndarray, np.ndarray]] = []
        for one in range(len(first)):
            for state in (False, True):
                weight = made.weight * ((kind == one) & (censored == state))
                total = weight.sum(axis=1)
                pieces.append((total, np.where(total > 0, (weight * value).sum(axis=1) / np.maximum(total, 1), 1.0)))
        weight, value = (np.stack(column, axis=1) for column in zip(*pieces, strict=True))
        censored = np.broadcast_to(np.tile([False, True], len(first)), value.shape)
        fixed |= {f"{self.name}_subject": np.repeat(np.arange(len(first)), 2)}
        most = max(planned, float(upper.max()))
        return Times(fixed, len(first), value, np.where(censored, value, most), censored, weight)

    def __call__(self, times: Times, x: np.ndarray) -> np.ndarray:
        """Log density (sets, points) at x, (sets, points, size of rest)."""
        sets, points, _ = x.shape
        found = np.empty((sets, points))
        step = max(1, _AT_ONCE // max(points * times.value.shape[1], 1))
        for start in range(0, sets, step):
            some = slice(start, start + step)
            rows = self._rows(times.take(np.arange(sets)[some]), x[some])
            weight = times.weight[some, None]
            found[some] = (np.where(weight > 0, rows, 0.0) * weight).sum(axis=2)
        return found

    def _rows(self, times: Times, x: np.ndarray) -> np.ndarray:
        """Log density of each row, (sets, points, rows)."""
        sets, points, size = x.shape
        self.split.with_data(times.fixed, times.kinds)
        of = {"value": times.value, "upper": times.upper, "censored": times.censored}
        inputs = []
        for key in self.varying:
            array = of[key.removeprefix(f"{self.name}_")].astype(self.split.model[key].type.dtype)
            inputs.append(np.ascontiguousarray(np.repeat(array, points, axis=0)))
        (rows,) = self._run(np.ascontiguousarray(x.reshape(-1, size)), *inputs)
        return np.asarray(rows).reshape(sets, points, -1)

    def _is_straight(self, times: Times) -> bool:
        """Whether the log density of a row is a straight line in its value, of events and of times without: tried."""
        if self._straight is None:
            rng = np.random.default_rng(20261122)
            rows = times.value.shape[1]
            x = np.repeat(rng.normal(0, 0.5, (1, 4, self._size)), 2, axis=0)
            low, high = rng.uniform(0.5, 3, (2, 2, rows))
            censored = np.repeat([[False], [True]], rows, axis=1)
            found = []
            for value in (low, high, (low + high) / 2):
                upper = np.where(censored, value, 10.0)
                found.append(self._rows(replace(times, value=value, upper=upper, censored=censored), x))
            one, other, middle = found
            gap = np.abs((one + other) / 2 - middle)
            self._straight = bool(np.all(gap <= 1e-9 * (1 + np.abs(middle))))  # a NaN is a bend
        return self._straight


def own_times(encoded: Encoded, name: str) -> np.ndarray:
    """The times to one event of a data set, as `event_times.signed` has them."""
    arrays = encoded.arrays
    return signed(arrays[f"{name}_value"][1], ~arrays[f"{name}_censored"][1])
