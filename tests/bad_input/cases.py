"""A case of bad input: what is tried, the error's class, what it says, where it points, and what it tells to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

import progression as pg
from progression.faults import CohortError, Fault, InputError, SettingError

FRS = pg.Outcome("frs", unit="points", lower=0, upper=48, integer=True)
JOINTS = pg.Outcome("joints", unit="joints", lower=0, upper=28, integer=True)
CRP = pg.Outcome("crp", unit="mg/dl", positive=True)
ASSAY = pg.Outcome("crp", unit="mg/dl", positive=True, detection_limit=0.5)
SUM = pg.Outcome("frs", lower=0, upper=48, integer=True, items=("Q1", "Q2", "Q5a", "Q5b"), item_upper=4,
                 exclusive_items=(("Q5a", "Q5b"),))  # fmt: skip


@dataclass(frozen=True)
class Bad:
    """A fault of `error` is expected whose words hold `what` and `remedy` and whose place is `where`."""

    name: str
    attempt: Callable[[], Any]
    what: str
    remedy: str
    where: dict[str, Any] = field(default_factory=dict)
    count: int | None = 1
    error: type[InputError] = CohortError

    def expects(self, fault: Fault) -> bool:
        where = all(getattr(fault, name) == expected for name, expected in self.where.items())
        return where and self.what in fault.what and self.remedy in f"{fault.remedy[:1].upper()}{fault.remedy[1:]}"


def bad(name: str, attempt: Callable[[], Any], what: str, remedy: str, *, count: int | None = 1, **where: Any) -> Bad:
    """A table that is refused."""
    return Bad(name, attempt, what, remedy, where, count)


def bad_file(name: str, content: str | bytes, what: str, remedy: str, *, how: dict[str, Any] | None = None, count: int | None = 1, **where: Any) -> Bad:  # fmt: skip
    """A file that is refused."""
    return Bad(name, lambda: read_file(content, **(how or {})), what, remedy, where, count)


def bad_setting(name: str, attempt: Callable[[], Any], argument: str | None, value: Any, what: str, remedy: str) -> Bad:
    """An argument that is refused."""
    return Bad(
        name, attempt, what, remedy, {"column": argument, "value": value, "table": "setting"}, None, SettingError
    )


def table(**columns: Any) -> pd.DataFrame:
    """Two subjects, A and B, seen twice, with columns replaced, added, or taken away by None."""
    base: dict[str, Any] = {"subject": ["A", "A", "B", "B"], "time": [0, 4, 0, 4], "frs": [40, 38, 44, 43]}
    base |= columns
    return pd.DataFrame({name: cells for name, cells in base.items() if cells is not None})


def people(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {"subject": ["A", "B"], "arm": ["control", "treated"]}
    base |= columns
    return pd.DataFrame({name: cells for name, cells in base.items() if cells is not None})


def items(**columns: Any) -> pd.DataFrame:
    base: dict[str, Any] = {
        "Q1": [4, 4, 4, 4],
        "Q2": [3, 3, 3, 3],
        "Q5a": [2, 2, None, None],
        "Q5b": [None, None, 1, 1],
    }
    return table(**({"frs": [9, 9, 8, 8]} | base | columns))


def read(visits: Any, subjects: Any = None, **how: Any) -> pg.Cohort:
    return pg.Cohort.from_table(visits, subjects, **({"time_unit": "weeks"} | how))


def read_file(content: str | bytes, subjects: str | None = None, **how: Any) -> pg.Cohort:
    """The cohort of a file of visits with this content."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "visits.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if subjects is not None:
            Path(folder, "subjects.csv").write_text(subjects, encoding="utf-8")
        return pg.read_csv(
            path, None if subjects is None else Path(folder, "subjects.csv"), **({"time_unit": "weeks"} | how)
        )
