"""A cohort's frames as one xarray Dataset and back, and the fingerprint of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from progression.faults import CohortError

__all__ = ["fingerprint", "pack", "unpack"]

_FORMAT = "progression cohort 1"
_DIMS = {"visits": "visit_row", "subjects": "subject", "events": "event_row"}


def fingerprint(frames: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> str:
    """Hash the content of tables and facts; neither the order of columns nor the kind of NaN matters."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode())
    for table in sorted(frames):
        frame = frames[table].reset_index() if table == "subjects" else frames[table]
        for column in sorted(frame.columns):
            digest.update(f"\x00{table}.{column}\x00{len(frame)}\x00".encode())
            cells = frame[column]
            if _kind(cells) == "text":
                digest.update(
                    json.dumps([None if pd.isna(cell) else cell for cell in cells], ensure_ascii=False).encode()
                )
            elif _kind(cells) == "flag":
                digest.update(cells.to_numpy(bool).tobytes())
            else:
                # adding zero turns -0.0 into 0.0
                numbers = cells.to_numpy(float) + 0.0
                digest.update(np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes())
    return digest.hexdigest()


def pack(frames: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> xr.Dataset:
    """Put the tables into one Dataset; all attributes are text, as netCDF wants them."""
    subjects = frames["subjects"].index.to_numpy(dtype=object).astype(str)
    position = pd.Series(np.arange(len(subjects)), index=frames["subjects"].index)
    variables: dict[str, Any] = {}
    kinds: dict[str, dict[str, str]] = {}
    for table, frame in frames.items():
        kinds[table] = {column: _kind(frame[column]) for column in frame.columns}
        if frame.empty:
            continue  # a dimension of length zero would become an unlimited one in a file
        for column in frame.columns:
            cells = frame[column]
            if column == "subject":
                cells, kinds[table][column] = cells.map(position), "position"
                data: np.ndarray = cells.to_numpy(np.int64)
            elif kinds[table][column] == "text":
                data = cells.fillna("").to_numpy(dtype=object).astype(str)
            elif kinds[table][column] == "flag":
                data = cells.to_numpy(np.int8)
            else:
                data = cells.to_numpy(float)
            variables[f"{table}.{column}"] = (_DIMS[table], data)
    return xr.Dataset(
        variables,
        coords={"subject": ("subject", subjects)},
        attrs={
            "format": _FORMAT,
            "facts": json.dumps(facts, ensure_ascii=False),
            "columns": json.dumps(kinds, ensure_ascii=False),
            "fingerprint": "",
        },
    )


def unpack(dataset: xr.Dataset) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Take the tables and facts out of what `pack` made.

    Raises
    ------
    CohortError
        If the Dataset does not hold a cohort, or not a whole one.
    """
    if dataset.attrs.get("format") != _FORMAT:
        raise CohortError.single("this Dataset holds no cohort", "Give what Cohort.to_xarray made", table="file")
    facts, kinds = json.loads(dataset.attrs["facts"]), json.loads(dataset.attrs["columns"])
    subjects = dataset["subject"].to_numpy().astype(str).tolist()
    frames: dict[str, pd.DataFrame] = {}
    for table, columns in kinds.items():
        series: dict[str, Any] = {}
        for column, kind in columns.items():
            name = f"{table}.{column}"
            data = dataset[name].to_numpy() if name in dataset else np.array([])
            if name not in dataset and table != "events":
                what = f"the Dataset lacks the variable {name!r}"
                raise CohortError.single(what, "The file is damaged: take a whole one", table="file")
            if kind == "position":
                series[column] = pd.array([subjects[int(at)] for at in data], dtype="str")
            elif kind == "text":
                series[column] = pd.array([str(cell) if str(cell) else None for cell in data], dtype="str")
            else:
                series[column] = data.astype(bool if kind == "flag" else float)
        index = pd.Index(subjects, name="subject", dtype="str") if table == "subjects" else None
        frames[table] = pd.DataFrame(series, index=index)
    return frames, facts


def _kind(cells: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(cells):
        return "flag"
    return "number" if pd.api.types.is_numeric_dtype(cells) else "text"
