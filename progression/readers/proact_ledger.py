"""Faults of a registry's forms, counted by kind, each repaired only where the user asks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from progression.faults import CohortError, Fault, SettingError, setting_fault, suggest

# Every repair, and what it does; a fault of the same name is refused without it.
REPAIRS = {
    "exact_duplicates": "keep one of rows that are alike in every cell",
    "partial_duplicates": "of rows of one subject and day that differ, keep the first",
    "missing_day": "drop rows without a day, or whose day is no whole number",
    "missing_subject": "drop rows without a subject_id",
    "negative_days": "drop scores from before the start of the trial",
    "short_scale": "drop rows scored on the 0 to 40 scale only",
    "over_48": "drop rows whose ALSFRS-R total lies above 48 or below 0",
    "item_out_of_range": "empty items that are no whole number from 0 to 4",
    "both_q5": "where both forms of question 5 are answered, keep the one that fits the total, else Q5a",
    "total_from_items": "take the sum of the 12 items where the total differs from it or is missing",
    "no_total": "drop rows that have neither a total nor all 12 items",
    "onset_after_baseline": "forget an onset that lies after the start of the trial",
    "conflicting_facts": "of facts that a form states twice and differently of one subject, keep the first",
    "unreadable_facts": "forget facts that are no number, or no known word",
    "no_arm": "leave out subjects without an arm",
    "after_death": "drop entries from after the death",
    "death_without_day": "treat a death without a day as not known",
    "death_unstated": "take a subject with a day of death for dead, whatever Subject_Died says",
    "impossible_vital_capacity": "forget vital capacities that are no number, or not from above 0 to 200 %",
}

_SHOWN = 5


class Ledger:
    """What was found, and what was done about it."""

    def __init__(self, repair: str | Collection[str]) -> None:
        wanted = list(REPAIRS) if repair == "all" else [repair] if isinstance(repair, str) else list(repair)
        unknown = [one for one in wanted if one not in REPAIRS]
        if unknown:
            raise SettingError([
                setting_fault("repair", one, f"is no repair{suggest(str(one), REPAIRS)}", 'name one, or give "all"') for one in unknown
            ])  # fmt: skip
        self.wanted = set(wanted)
        self.touched: dict[str, int] = {}
        self.faults: list[Fault] = []

    def found(self, kind: str, form: str, rows: pd.DataFrame, column: str, what: str) -> bool:
        """Note the rows that have a fault; whether to repair them.

        Parameters
        ----------
        kind : str
            One of `REPAIRS`.
        form : str
        rows : DataFrame
            With the columns `row` (of the file, counted from 1), `subject_id` and, as a rule, `column`.
        column : str
            Where the offending value stands.
        what : str
            In words.
        """
        if not len(rows):
            return False
        if kind in self.wanted:
            self.touched[kind] = self.touched.get(kind, 0) + len(rows)
            return True
        more = f" ({len(rows):,} rows in all)" if len(rows) > 1 else ""
        for _, one in rows.head(_SHOWN).iterrows():
            value: Any = one.get(column)
            self.faults.append(Fault(
                what=f"{form}: {what}{more}", column=column, row=int(one["row"]), table="file",
                subject=str(one["subject_id"]) if pd.notna(one.get("subject_id")) else None,
                value=None if value is None or pd.isna(value) else str(value),
                remedy=f'correct the file, or repair={[kind]!r} to {REPAIRS[kind]}',
            ))  # fmt: skip
        return False

    def strange(self, form: str, its: str | None, ours: str) -> None:
        """Note a form in which no subject of ALSFRS stands: there is no repair."""
        self.faults.append(Fault(what=f"{form}: none of its subjects stands in ALSFRS, whose ids look like {ours!r}", column="subject_id", table="file",
                                 value=its, remedy="write ids alike in all forms, or take the form out of the folder"))  # fmt: skip

    def lacking(self, form: str, column: str) -> None:
        """Note a column that is not there."""
        self.faults.append(Fault(what=f"{form}: the column is missing", column=column, table="file",
                                 remedy="export the form again, or take it out of the folder"))  # fmt: skip

    def fractions(self, form: str, column: str, largest: float) -> None:
        """Note a form of percents that holds fractions."""
        self.faults.append(Fault(what=f"{form}: the largest value is {largest:g}: fractions, it seems, where percents are wanted", column=column,
                                 table="file", remedy="multiply the form's values by 100"))  # fmt: skip

    def close(self) -> None:
        """Refuse the folder if anything stands unrepaired."""
        if self.faults:
            raise CohortError(self.faults)

    def said(self) -> tuple[str, ...]:
        """A line for each repair that touched something."""
        return tuple(f"{kind}: {n:,} rows touched ({REPAIRS[kind]})" for kind, n in self.touched.items())
