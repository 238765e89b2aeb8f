"""One data set of a design of many, coded as a cohort with these rows would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from progression.encoding import Array, Encoded
from progression.event_times import unsigned
from progression.own_rows import statistics_by_subject, statistics_by_visit


def data_set(encoded: Encoded, values: Mapping[str, np.ndarray]) -> Encoded:
    """The coding of one data set: the rows it has, with its values and what is computed from them.

    Parameters
    ----------
    encoded : Encoded
        The design: every row a data set may have.
    values : mapping of str to array, shape (rows,)
        Values of each observed variable, NaN where the data set lacks the row; times to an event are signed.
    """
    arrays, coords = dict(encoded.arrays), dict(encoded.coords)
    for name in encoded.events:
        if not len(encoded.arrays[f"{name}_subject"][1]):
            continue  # nothing is known of it
        planned = float(encoded.arrays[f"{name}_upper"][1].max())
        own_rows = unsigned(values[name], encoded.arrays[f"{name}_subject"][1], planned)
        coords[encoded.row_dim(name)] = list(range(len(own_rows["value"])))
        arrays |= {f"{name}_{key}": ((encoded.row_dim(name),), array) for key, array in own_rows.items()}
    for block in encoded.blocks:
        rows = _seen(encoded, block, values[block])
        coords[encoded.row_dim(block)] = list(range(len(rows["value"])))
        arrays |= {f"{block}_{name}": (encoded.arrays[f"{block}_{name}"][0], array) for name, array in rows.items()}
        arrays |= _statistics(encoded, block, rows)
    return replace(encoded, arrays=arrays, coords=coords)


def _seen(encoded: Encoded, block: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the rows that are there, with these values, below a detection limit or not."""
    seen = np.isfinite(value)
    rows = {name.removeprefix(f"{block}_"): array[seen] for name, (dims, array) in encoded.arrays.items()
            if dims[0] == encoded.row_dim(block)}  # fmt: skip
    value = value[seen]
    limit = np.array([outcome.detection_limit or 0.0 for outcome in encoded.blocks[block]])[rows["outcome"]]
    rows["censored"], rows["lower"] = (value <= limit) & (limit > 0), limit
    rows["value"] = np.where(limit > 0, np.maximum(value, limit), value)
    return rows


def _statistics(encoded: Encoded, block: str, rows: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """What programs of this design know of each subject's own rows."""
    n, outcomes = encoded.n_subjects, len(encoded.blocks[block])
    known = {name: one for name, one in encoded.arrays.items() if name.startswith(f"{block}_") and one[0][0] == "subject"}  # fmt: skip
    found = {f"{block}_{name}": table for name, table in statistics_by_subject(rows, n, outcomes).items()}
    if f"{block}_at_visit" in known:
        shape = (n, known[f"{block}_at_visit"][1].shape[1], outcomes)
        found |= {name: table for name, (_, table) in statistics_by_visit(block, rows, shape, known[f"{block}_n"][0]).items()}  # fmt: skip
    # A statistic that these values do not allow is as if nothing were known.
    return {name: (dims, found.get(name, np.zeros(old.shape)).reshape(old.shape)) for name, (dims, old) in known.items()}  # fmt: skip
