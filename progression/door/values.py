"""Numbers against the facts of their outcome: bounds, whole numbers, detection limit, items."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from progression.door.cells import INFINITY, Spot
from progression.outcomes import Outcome

__all__ = ["item_spots", "outcome_spots"]


def outcome_spots(
    value: np.ndarray,
    censored: np.ndarray,
    outcome: Outcome,
    *,
    simulated: bool = False,
    averaged: bool = False,
) -> list[Spot]:
    """Check one outcome's numbers against its facts, through pandera so that every fault comes at once.

    Simulated scores may be continuous and unbounded; observed and reconstructed ones may not.
    """
    unit = f" {outcome.unit}" if outcome.unit else ""
    words: dict[str, tuple[str, str]] = {"infinite": INFINITY}
    seen: list[pa.Check] = [pa.Check(np.isfinite, name="infinite", ignore_na=True)]
    limits: list[pa.Check] = []
    if outcome.positive:
        seen.append(_check("positive", operator.gt, 0))
        limits.append(_check("positive", operator.gt, 0))
        words["positive"] = (
            f"{outcome.name} is above zero, always",
            "Below what the assay can measure, write it so ('<0.5'); missing, leave the cell empty",
        )
    if outcome.lower is not None and not simulated:
        seen.append(_check("lower", operator.ge, outcome.lower))
        limits.append(_check("lower", operator.gt, outcome.lower))
        words["lower"] = (
            f"below {outcome.lower:g}{unit}, the smallest value of {outcome.name}",
            "Correct it, or empty the cell",
        )
    if outcome.upper is not None and not simulated:
        seen.append(_check("upper", operator.le, outcome.upper))
        limits.append(_check("upper", operator.le, outcome.upper))
        words["upper"] = (
            f"above {outcome.upper:g}{unit}, the largest value of {outcome.name}",
            "Correct it, or empty the cell; if another scale was used, declare it with Outcome(upper=...)",
        )
    if outcome.integer and not simulated and not averaged:
        seen.append(pa.Check(lambda v: v == np.floor(v), name="whole", ignore_na=True))
        words["whole"] = (
            f"{outcome.name} counts in whole numbers",
            f"Correct it; if the values are averages, say so with averaged=[{outcome.name!r}]",
        )
    if outcome.detection_limit is not None:
        limit = f"{outcome.detection_limit:g}{unit}"
        seen.append(_check("unflagged", operator.ge, outcome.detection_limit))
        limits.append(_check("flagged", operator.le, outcome.detection_limit))
        words["unflagged"] = (
            f"below the detection limit ({limit}), yet given as measured",
            f"Write '<{outcome.detection_limit:g}', or correct Outcome(detection_limit=...)",
        )
        words["flagged"] = (
            f"said to be below the detection limit, yet above it ({limit})",
            "Take the flag (or '<') away, or correct Outcome(detection_limit=...)",
        )
    frame = pd.DataFrame({"seen": np.where(censored, np.nan, value), "limits": np.where(censored, value, np.nan)})
    columns = {
        "seen": pa.Column(float, seen, nullable=True),
        "limits": pa.Column(float, limits, nullable=True),
    }
    return [(row, *words[check]) for row, check in _failures(frame, columns)]


def item_spots(
    total: np.ndarray, items: pd.DataFrame, outcome: Outcome, *, simulated: bool, averaged: bool
) -> dict[str, list[Spot]]:
    """Check an outcome's items: each by itself, the exclusive pairs, and their sum; spots by column."""
    item = Outcome("an item", lower=0, upper=outcome.item_upper, integer=outcome.integer)
    none = np.zeros(len(items), bool)
    spots: dict[str, list[Spot]] = {}
    for name in items.columns:
        found = outcome_spots(items[name].to_numpy(), none, item, simulated=simulated, averaged=averaged)
        spots[name] = [(row, what, do.replace("'an item'", repr(outcome.name))) for row, what, do in found]
    filled = items.notna()
    any_filled = filled.any(axis=1).to_numpy()
    wrong = np.zeros(len(items), bool)
    optional: set[str] = set()
    for first, second in outcome.exclusive_items:
        if first not in items or second not in items:
            optional |= {first, second}
            continue
        optional |= {first, second}
        both = (filled[first] & filled[second]).to_numpy()
        neither = any_filled & ~(filled[first] | filled[second]).to_numpy() & np.isfinite(total)
        wrong |= both | neither
        one = f"exactly one of {first} and {second} is to be filled"
        spots[second] += [
            (int(r), f"{one}, and both are", "Empty the one that does not apply") for r in np.flatnonzero(both)
        ]
        spots[second] += [
            (int(r), f"{one}, and neither is", "Fill the one that applies") for r in np.flatnonzero(neither)
        ]
    needed = [name for name in items.columns if name not in optional]
    lacking = any_filled & np.isfinite(total) & ~filled[needed].all(axis=1).to_numpy()
    spots[outcome.name] = []
    for row in np.flatnonzero(lacking):
        empty = ", ".join(name for name in needed if not filled[name].iloc[row])
        what = f"the total is there, but not the items {empty}"
        remedy = "Fill them or empty the total; a row from a shorter version of the scale cannot be mixed in"
        spots[outcome.name].append((int(row), what, remedy))
    if set(outcome.items) <= set(items.columns) and not averaged:
        off = any_filled & ~wrong & ~lacking & (np.abs(items.sum(axis=1).to_numpy() - total) > 1e-6)
        for row in np.flatnonzero(off):
            what = f"the total is not the sum of its items, which is {items.iloc[row].sum():g}"
            spots[outcome.name].append((int(row), what, "Correct the total or an item"))
    return spots


def _check(name: str, compare: Callable[[Any, float], Any], bound: float) -> pa.Check:
    return pa.Check(lambda values: compare(values, bound), name=name, ignore_na=True)


def _failures(frame: pd.DataFrame, columns: dict[str, pa.Column]) -> list[tuple[int, str]]:
    try:
        pa.DataFrameSchema(columns).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["index", "check"])
        return sorted((int(row), str(check)) for row, check in zip(cases["index"], cases["check"], strict=True))
    return []
