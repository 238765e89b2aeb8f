"""The door: a user's tables become the parts of a cohort, or every fault in them is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from progression.door.arms import settle_arms
from progression.door.cells import numbers, texts
from progression.door.events import event_faults, onset_faults
from progression.door.ids import read_ids, unknown_ids
from progression.door.ledger import Ledger, Wanted
from progression.door.names import EVENT, SUBJECT, VISIT, Opened, missing_column, open_table
from progression.door.outcomes import choose_outcomes, outcome_values
from progression.door.scales import scale_warnings
from progression.door.subjects import gather, subject_values
from progression.door.times import end_faults, far_spots, label_faults, time_faults, unit_fault, unit_warnings
from progression.faults import CohortError, Fault
from progression.outcomes import Outcome
from progression.units import months_per

__all__ = ["NO_EVENTS", "Admitted", "admit"]

NO_EVENTS = pd.DataFrame(
    {"subject": pd.array([], dtype="str"), "month": np.array([], float),
     "kind": pd.array([], dtype="str"), "note": pd.array([], dtype="str")}
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The checked parts of a cohort."""

    visits: pd.DataFrame
    subjects: pd.DataFrame
    events: pd.DataFrame
    arms: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    dropped_rows: int
    warnings: tuple[str, ...]


def admit(visits: Any, subjects: Any, events: Any, wanted: Wanted) -> Admitted:
    """Check the tables and build the parts of a cohort.

    Raises
    ------
    CohortError
        With every fault found.
    """
    ledger = Ledger()
    named = tuple(outcome.name for outcome in wanted.outcomes or ())
    has_subjects = subjects is not None
    opened = _open(visits, "visits", ("subject", "time", *named), (*VISIT, *SUBJECT), wanted, ledger)
    home = _open(subjects, "subjects", ("subject",), SUBJECT, wanted, ledger) if has_subjects else None
    happened = (
        _open(events, "events", ("subject", "time", "kind"), EVENT, wanted, ledger) if events is not None else None
    )
    tables = [each for each in (opened, home, happened) if each is not None]
    _unmapped(tables, wanted, ledger)
    if (
        opened is None
        or (has_subjects and home is None)
        or "subject" not in opened
        or (home is not None and "subject" not in home)
    ):
        raise CohortError(ledger.faults)
    opened, home, happened = (_identified(each, ledger) for each in (opened, home, happened))
    assert opened is not None
    for each in (opened, happened):
        if each is not None and each.ids is not None and home is not None:
            ledger.faults += unknown_ids(each, home)

    outcomes = choose_outcomes(opened, wanted, ledger)
    values = outcome_values(opened, outcomes, wanted, ledger)
    per = months_per[wanted.time_unit]
    month = np.full(len(opened.frame), np.nan)
    if "time" in opened:
        read = numbers(opened.frame["time"], decimal=wanted.decimal, missing=wanted.missing)
        month = read.value * per
        ledger.take(opened, "time", read.spots)
        ledger.faults += time_faults(opened, read.value, month, values[[o.name for o in outcomes]], wanted.time_unit)
        ledger.faults += unit_fault(opened, "time", wanted.time_unit)
    if "visit" in opened:
        values["visit"] = pd.array(texts(opened.frame["visit"], missing=wanted.missing).tolist(), dtype="str")
        ledger.faults += label_faults(opened, month, texts(opened.frame["visit"]), wanted.time_unit)

    frame, arms = _subjects(opened, home, wanted, ledger)
    past = _events(happened, per, wanted, ledger, frame.index if home is None else None)
    ledger.faults += end_faults(opened, month, frame, past)
    if outcomes and not ledger.faults and values[[o.name for o in outcomes]].isna().all(axis=None):
        what, remedy = "no row has a value of any outcome", "Check that the outcomes' columns were exported"
        ledger.faults.append(opened.fault(", ".join(o.name for o in outcomes), None, what, remedy))
    if ledger.faults:
        raise CohortError(_in_order(ledger.faults))

    values.insert(0, "month", month)
    values.insert(0, "subject", pd.array(opened.ids.tolist(), dtype="str"))  # type: ignore[union-attr]
    assert opened.ids is not None
    ledger.warnings += unit_warnings(opened.ids, month)
    if not wanted.simulated:
        for outcome in outcomes:
            ledger.warnings += scale_warnings(opened, frame["arm"], values[outcome.name].to_numpy(), outcome)
    return _assembled(values, frame, past, arms, outcomes, ledger)


def _open(
    data: Any, table: Any, required: Sequence[str], optional: Sequence[str], wanted: Wanted, ledger: Ledger
) -> Opened | None:
    opened, faults, warnings = open_table(
        data, table=table, columns=wanted.columns, required=required, optional=optional
    )  # fmt: skip
    ledger.faults += faults
    ledger.warnings += warnings
    return opened


def _unmapped(tables: Sequence[Opened], wanted: Wanted, ledger: Ledger) -> None:
    """Find what `columns` and `covariates` name and no table has."""
    present = [each.user_name(c) for each in tables for c in each.frame.columns]
    reported = {fault.column for fault in ledger.faults}
    for std, user in wanted.columns.items():
        asked_for = std in ("subject", "time", *(outcome.name for outcome in wanted.outcomes or ()))
        if user not in present and user not in reported and tables and not asked_for:
            ledger.faults.append(missing_column(user, present, "visits", std=std))
    for name in wanted.covariates:
        if tables and not any(name in each for each in tables[:2]) and wanted.columns.get(name, name) not in reported:
            table = tables[min(1, len(tables) - 1)].table
            if name not in wanted.columns:
                ledger.faults.append(missing_column(name, present, table))


def _identified(opened: Opened | None, ledger: Ledger) -> Opened | None:
    if opened is None or "subject" not in opened:
        return None
    opened, faults, warnings = read_ids(opened)
    ledger.faults += faults
    ledger.warnings += warnings
    return opened


def _subjects(
    opened: Opened, home: Opened | None, wanted: Wanted, ledger: Ledger
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    gathered, faults = gather(opened, home, wanted.covariates)
    ledger.faults += faults
    how = {"decimal": wanted.decimal, "missing": wanted.missing}
    frame, faults = subject_values(gathered, wanted.covariates, per=months_per[wanted.time_unit], **how)  # type: ignore[arg-type]
    ledger.faults += faults
    for column in ("onset_lower", "onset_upper", "end_of_follow_up", "event_time"):
        if column in gathered.tables:
            ledger.faults += unit_fault(gathered.tables[column], column, wanted.time_unit)
            month = frame["event_month" if column == "event_time" else column].to_numpy()
            ledger.faults += gathered.faults(column, far_spots(month, wanted.time_unit))
    if "arm" in gathered.raw:
        labels, arms, spots, whole = settle_arms(list(gathered.raw["arm"]), wanted.arms)
        ledger.faults += gathered.faults("arm", spots)
        table = gathered.tables["arm"]
        ledger.faults += [table.fault("arm", None, what, remedy, value) for what, remedy, value in whole]
    else:
        declared = list(wanted.arms.values()) if isinstance(wanted.arms, Mapping) else list(wanted.arms or ["all"])
        if len(declared) != 1:
            what = "arms= names several arms, but no table has a column of arms"
            ledger.faults.append((home or opened).fault("arm", None, what, "Say which it is with columns={'arm': ...}"))
        arms = (str(declared[0]).strip(),)
        labels = np.full(len(frame), arms[0], dtype=object)
    ledger.faults += onset_faults(frame, gathered, labels, arms) + event_faults(frame, gathered)
    frame.insert(0, "arm", pd.array(labels.tolist(), dtype="str"))
    return frame, arms


def _events(
    happened: Opened | None, per: float, wanted: Wanted, ledger: Ledger, known: pd.Index | None
) -> pd.DataFrame:
    if happened is None or not {"subject", "time", "kind"} <= set(happened.frame.columns):
        return NO_EVENTS
    read = numbers(happened.frame["time"], decimal=wanted.decimal, missing=wanted.missing)
    ledger.take(happened, "time", read.spots)
    refused = {row for row, *_ in read.spots}
    absent = [int(row) for row in np.flatnonzero(np.isnan(read.value)) if int(row) not in refused]
    ledger.faults += happened.faults("time", absent, "the time of the event is missing", "Fill it in")
    ledger.faults += unit_fault(happened, "time", wanted.time_unit)
    ledger.take(happened, "time", far_spots(read.value * per, wanted.time_unit))
    early = np.flatnonzero(read.value < 0)
    what, remedy = "an intercurrent event before the start", "Correct the time: the start is 0; or delete the row"
    ledger.faults += happened.faults("time", early, what, remedy)
    kind = texts(happened.frame["kind"], missing=wanted.missing)
    absent = [row for row, each in enumerate(kind) if each is None]
    ledger.faults += happened.faults(
        "kind", absent, "the kind of event is missing", "Say what happened, such as 'treatment stopped'"
    )
    assert happened.ids is not None
    if known is not None:
        strange = [row for row, each in enumerate(happened.ids) if each is not None and each not in known]
        ledger.faults += happened.faults(
            "subject", strange, "the subject has no visits", "Correct the id, or delete the row"
        )
    note = texts(happened.frame["note"]) if "note" in happened else np.full(len(kind), None)
    return pd.DataFrame(
        {"subject": pd.array(happened.ids.tolist(), dtype="str"), "month": read.value * per,
         "kind": pd.array(kind.tolist(), dtype="str"), "note": pd.array(note.tolist(), dtype="str")}
    )  # fmt: skip


def _assembled(
    values: pd.DataFrame, subjects: pd.DataFrame, events: pd.DataFrame,
    arms: tuple[str, ...], outcomes: tuple[Outcome, ...], ledger: Ledger,
) -> Admitted:  # fmt: skip
    empty = values[[o.name for o in outcomes]].isna().all(axis=1)
    kept = values[~empty]
    position = pd.Series(np.arange(len(subjects)), index=subjects.index)
    kept = kept.assign(_at=kept["subject"].map(position)).sort_values(["_at", "month"]).drop(columns="_at")
    order = ["subject", "month", *(["visit"] if "visit" in kept else [])]
    order += [c for o in outcomes for c in (o.name, f"{o.name}_censored") if c in kept]
    warnings = list(ledger.warnings)
    if empty.any():
        warnings.append(f"{int(empty.sum())} row(s) without any outcome were dropped")
    unseen = subjects.index.difference(pd.Index(kept["subject"]), sort=False)
    if len(unseen):
        listed = ", ".join(map(repr, unseen[:5])) + (", ..." if len(unseen) > 5 else "")
        warnings.append(f"{len(unseen)} subject(s) have no visit with an outcome: {listed}")
    past = events.assign(_at=events["subject"].map(position)).sort_values(["_at", "month", "kind", "note"])
    return Admitted(
        visits=kept[order].reset_index(drop=True), subjects=subjects,
        events=past.drop(columns="_at").reset_index(drop=True),
        arms=arms, outcomes=outcomes, dropped_rows=int(empty.sum()), warnings=tuple(warnings),
    )  # fmt: skip


def _in_order(faults: Sequence[Fault]) -> list[Fault]:
    """Sort whole columns first and rows as they stand, and say each thing once."""
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.table, fault.row or 0))
