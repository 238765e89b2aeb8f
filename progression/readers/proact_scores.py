"""The form ALSFRS: rows to totals and items, every fault of a row found."""

from __future__ import annotations

import numpy as np
import pandas as pd

from progression.readers.proact_ledger import Ledger

# The columns of each item, in the order of the scale; of question 5 the form without and the one with gastrostomy.
_COLUMNS = {
    "speech": "Q1_Speech", "salivation": "Q2_Salivation", "swallowing": "Q3_Swallowing", "handwriting": "Q4_Handwriting",
    "cutting": "Q5a_Cutting_without_Gastrostomy", "dressing": "Q6_Dressing_and_Hygiene", "turning_in_bed": "Q7_Turning_in_Bed",
    "walking": "Q8_Walking", "climbing_stairs": "Q9_Climbing_Stairs", "dyspnea": "R_1_Dyspnea", "orthopnea": "R_2_Orthopnea",
    "respiratory_insufficiency": "R_3_Respiratory_Insufficiency",
}  # fmt: skip
ITEMS = tuple(_COLUMNS)
_Q5B = "Q5b_Cutting_with_Gastrostomy"


def scores(form: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Rows with a score: row, subject, time (days), alsfrsr and the items."""
    lost = form["subject_id"].isna()
    ledger.found("missing_subject", "ALSFRS", form[lost], "subject_id", "a row without a subject_id")
    form = form[~lost]
    again = form.drop(columns="row").duplicated()
    ledger.found(
        "exact_duplicates",
        "ALSFRS",
        form[again],
        "ALSFRS_Delta",
        "the row stands there a second time, alike in every cell",
    )
    form = form[~again]
    form = days(form, "ALSFRS_Delta", "ALSFRS", ledger)
    early = form["time"] < 0
    ledger.found("negative_days", "ALSFRS", form[early], "ALSFRS_Delta", "a score from before the start of the trial")
    form = form[~early]
    items = pd.DataFrame(
        {name: _item(form, name, column, ledger) for name, column in _COLUMNS.items()}, index=form.index
    )
    other = _item(form, "cutting", _Q5B, ledger)
    total = pd.to_numeric(form["ALSFRS_R_Total"], errors="coerce")
    both = items["cutting"].notna() & other.notna()
    ledger.found("both_q5", "ALSFRS", form[both], _Q5B, "both forms of question 5 are answered")
    with_b = items.drop(columns="cutting").sum(axis=1, min_count=11) + other
    use_b = other.notna() & (items["cutting"].isna() | (both & (with_b == total) & (items.sum(axis=1) != total)))
    items["cutting"] = np.where(use_b, other, items["cutting"])

    respiratory = items[["dyspnea", "orthopnea", "respiratory_insufficiency"]].notna().any(axis=1)
    short = total.isna() & ~respiratory & _any(form, ("ALSFRS_Total", "Q10_Respiratory"))
    ledger.found(
        "short_scale",
        "ALSFRS",
        form[short],
        "ALSFRS_Total",
        "scored on the 0 to 40 scale, without the three respiratory items",
    )
    beyond = (total > 48) | (total < 0) | (form["ALSFRS_R_Total"].notna() & total.isna())
    ledger.found("over_48", "ALSFRS", form[beyond], "ALSFRS_R_Total", "the total is no number from 0 to 48")
    complete = items.notna().all(axis=1)
    emptied = _emptied(form)
    added = items.sum(axis=1, min_count=len(ITEMS))
    differs = complete & ~beyond & ~(total == added)
    if ledger.found(
        "total_from_items",
        "ALSFRS",
        form[differs],
        "ALSFRS_R_Total",
        "the total is missing, or not the sum of its 12 items",
    ):
        total = total.where(~differs, added)
    # A total beside an impossible item may have been added up with it.
    total = total.where(~emptied)
    bare = total.isna() & ~short & ~beyond
    ledger.found("no_total", "ALSFRS", form[bare], "ALSFRS_R_Total", "there is no total, and not every item to add up")
    keep = ~short & ~beyond & total.notna()
    made = pd.concat([form[["row", "subject_id", "time"]], items], axis=1).assign(alsfrsr=total)[keep]
    again = made.duplicated(["subject_id", "time"])
    ledger.found(
        "partial_duplicates", "ALSFRS", made[again], "time", "another row of the same subject and day, with other cells"
    )
    return made[~again].rename(columns={"subject_id": "subject"}).reset_index(drop=True)


def days(form: pd.DataFrame, column: str, name: str, ledger: Ledger) -> pd.DataFrame:
    """The form with its days as numbers in the column `time`; rows without a whole day are reported and left out."""
    number = pd.to_numeric(form[column], errors="coerce")
    bad = ~np.isfinite(number) | (number != np.floor(number))
    ledger.found("missing_day", name, form[bad], column, "the day is missing, or no whole number")
    return form.assign(time=number)[~bad]


def _item(form: pd.DataFrame, name: str, column: str, ledger: Ledger) -> pd.Series:
    if column not in form:
        return pd.Series(np.nan, form.index, dtype=float)
    number = pd.to_numeric(form[column], errors="coerce")
    bad = form[column].notna() & ~number.isin([0, 1, 2, 3, 4])
    ledger.found(
        "item_out_of_range",
        "ALSFRS",
        form[bad],
        column,
        f"the item {name.replace('_', ' ')} is no whole number from 0 to 4",
    )
    return number.where(~bad).astype(float)


def _emptied(form: pd.DataFrame) -> pd.Series:
    """Rows with an item that is no whole number from 0 to 4."""
    there = [column for column in (*_COLUMNS.values(), _Q5B) if column in form]
    bad = form[there].apply(lambda cells: cells.notna() & ~pd.to_numeric(cells, errors="coerce").isin([0, 1, 2, 3, 4]))
    return pd.Series(bad.any(axis=1), form.index)


def _any(form: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    there = [column for column in columns if column in form]
    return form[there].notna().any(axis=1) if there else pd.Series(False, form.index)
