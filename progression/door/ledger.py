"""What the caller says about the tables, and what is found wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from progression.door.cells import Spot
from progression.door.names import Opened
from progression.faults import Fault
from progression.outcomes import Outcome

__all__ = ["Ledger", "Wanted"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the caller says about the tables, with the settings already checked."""

    time_unit: str
    columns: Mapping[str, str]
    outcomes: tuple[Outcome, ...] | None
    arms: Sequence[str] | Mapping[object, str] | None
    covariates: tuple[str, ...]
    simulated: bool
    averaged: Collection[str]
    decimal: str
    missing: Collection[str]


@dataclass
class Ledger:
    """What was found so far: faults refuse the cohort, warnings travel with it."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, opened: Opened, column: str, spots: Sequence[Spot]) -> None:
        """Place faults at positions of a column."""
        self.faults += [opened.fault(column, row, what, remedy) for row, what, remedy in spots]
