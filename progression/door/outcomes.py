"""The outcomes of a table: which columns they are, and their values against their facts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from progression.door.cells import numbers, numeric_looking, texts, truths
from progression.door.ledger import Ledger, Wanted
from progression.door.names import RESERVED, SUBJECT, VISIT, Opened
from progression.door.values import item_spots, outcome_spots
from progression.outcomes import Outcome

__all__ = ["choose_outcomes", "outcome_values"]


def choose_outcomes(opened: Opened, wanted: Wanted, ledger: Ledger) -> tuple[Outcome, ...]:
    """Take the outcomes that were named, or every column of visits that looks like one."""
    if wanted.outcomes is not None:
        return tuple(outcome for outcome in wanted.outcomes if outcome.name in opened)
    aside: list[str] = []
    chosen: list[Outcome] = []
    # a column already refused, as a look-alike of a standard one, is not to be refused again as an outcome
    taken = {*VISIT, *SUBJECT, *wanted.covariates, *(fault.column for fault in ledger.faults)}
    for column in opened.frame.columns:
        flag = column.endswith("_censored") and column.removesuffix("_censored") in opened
        if column in taken or flag or not column.strip():
            continue
        if column in RESERVED or column.startswith("Unnamed:"):  # a note, a second time; the index that pandas writes
            aside.append(column)
            continue
        fixed = column not in wanted.columns and _fixed(opened, column)
        if fixed or not numeric_looking(opened.frame[column]):
            aside.append(column)
        elif column != column.strip():
            ledger.faults.append(opened.fault(column, None, "the column's name has spaces around it", "Rename it"))
        else:
            chosen.append(Outcome(column))
    # A flag of censoring goes the way of what it flags.
    aside += [
        c
        for c in opened.frame.columns
        if c.endswith("_censored") and c.removesuffix("_censored") in aside and c not in taken
    ]
    if aside:
        ledger.warnings.append(f"columns of the visits that are no outcome were left aside: {', '.join(aside)}")
    if not chosen:
        what = "no column of the visits looks like an outcome"
        ledger.faults.append(opened.fault(None, None, what, "Name them with outcomes=[...]"))
    return tuple(chosen)


def _fixed(opened: Opened, column: str) -> bool:
    """Tell whether a column never changes within subjects but differs between them, as an age does."""
    frame = pd.DataFrame({"id": opened.ids, "cell": texts(opened.frame[column])}).dropna()
    each = frame.groupby("id")["cell"].agg(["nunique", "size"])
    return bool((each["nunique"] <= 1).all() and (each["size"] >= 2).sum() >= 2 and frame["cell"].nunique() > 1)


def outcome_values(opened: Opened, outcomes: Sequence[Outcome], wanted: Wanted, ledger: Ledger) -> pd.DataFrame:
    """Read the outcomes as numbers, with their flags of censoring, and check their facts."""
    columns: dict[str, np.ndarray] = {}
    how = {"decimal": wanted.decimal, "missing": wanted.missing}
    for outcome in outcomes:
        name = outcome.name
        read = numbers(opened.frame[name], censored=True, **how)  # type: ignore[arg-type]
        ledger.take(opened, name, read.spots)
        censored = read.censored
        if (flag := f"{name}_censored") in opened:
            flags = truths(opened.frame[flag])
            ledger.take(opened, flag, flags.spots)
            empty = np.flatnonzero(flags.censored & np.isnan(read.value))
            refused = {row for row, *_ in read.spots}
            what = "said to be below the detection limit, but the limit is not there"
            ledger.take(
                opened,
                name,
                [(int(r), what, "Write the limit as the value") for r in empty if int(r) not in refused],
            )
            censored = censored | flags.censored
        averaged = name in wanted.averaged
        facts = outcome_spots(read.value, censored, outcome, simulated=wanted.simulated, averaged=averaged)
        ledger.take(opened, name, facts)
        _items(opened, outcome, read.value, wanted, ledger)
        columns[name] = read.value
        if censored.any():
            columns[f"{name}_censored"] = censored
    return pd.DataFrame(columns, index=pd.RangeIndex(len(opened.frame)))


def _items(opened: Opened, outcome: Outcome, total: np.ndarray, wanted: Wanted, ledger: Ledger) -> None:
    present = [item for item in outcome.items if item in opened]
    if not present:
        return
    if lacking := [item for item in outcome.items if item not in opened]:
        ledger.warnings.append(f"the sum of {outcome.name} was not checked: the table has no {', '.join(lacking)}")
    items = {}
    for item in present:
        read = numbers(opened.frame[item], decimal=wanted.decimal, missing=wanted.missing)
        ledger.take(opened, item, read.spots)
        items[item] = read.value
    averaged = outcome.name in wanted.averaged
    found = item_spots(total, pd.DataFrame(items), outcome, simulated=wanted.simulated, averaged=averaged)
    for column, spots in found.items():
        ledger.take(opened, column, spots)
