"""What is known of an outcome before any number is seen: its unit, its bounds, its items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Self

from progression.faults import Fault, SettingError, is_number, setting_fault

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """The facts about one outcome; tables are checked against them.

    Parameters
    ----------
    name : str
        Name of the outcome, which is its column in a `Cohort`, e.g. "alsfrsr".
    unit : str
        "points", "mg/dl", "joints".
    label : str
        For figures; the name is used where it is empty.
    lower, upper : float, optional
        Smallest and largest value there can be, both included.
    integer : bool
        Whole numbers only (totals, counts).
    positive : bool
        Strictly above zero.
    detection_limit : float, optional
        Lower limit of the assay, where it has one. Not the limit of the normal range.
    items : tuple of str
        Columns that hold the items the outcome is the sum of, where a table has them.
    item_upper : float, optional
        Largest value of one item; the smallest is 0.
    exclusive_items : tuple of pairs of str
        Items of which exactly one of each pair is filled.
    higher_is_better : bool, optional
        Which direction is benefit; None where it is not stated.

    Raises
    ------
    SettingError
        If the facts contradict one another.
    """

    name: str
    _: KW_ONLY
    unit: str = ""
    label: str = ""
    lower: float | None = None
    upper: float | None = None
    integer: bool = False
    positive: bool = False
    detection_limit: float | None = None
    items: tuple[str, ...] = ()
    item_upper: float | None = None
    exclusive_items: tuple[tuple[str, str], ...] = ()
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        for name in ("items", "exclusive_items"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Iterable):
                what = f"Outcome {self.name!r}: {name} is no list"
                raise SettingError([setting_fault(name, getattr(self, name), what, "give a list of columns")])
        object.__setattr__(self, "items", tuple(self.items))
        pairs = (tuple(pair) if isinstance(pair, list) else pair for pair in self.exclusive_items)
        object.__setattr__(self, "exclusive_items", tuple(pairs))
        faults = list(self._contradictions())
        if faults:
            raise SettingError(faults)

    @property
    def title(self) -> str:
        """The label, or the name where there is none, with the unit behind it."""
        return (self.label or self.name) + (f" ({self.unit})" if self.unit else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain values that JSON can hold; `Outcome.from_dict` turns them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Make an outcome from what `to_dict` returned, after JSON too."""
        return cls(**facts)

    def _contradictions(self) -> Iterator[Fault]:
        def fault(what: str, remedy: str, value: object) -> Fault:
            who = f"Outcome {self.name!r}: {what}"
            return Fault(what=who, remedy=remedy, column="outcomes", value=value, table="setting")

        if not isinstance(self.name, str) or not self.name or self.name != self.name.strip():
            yield fault("a name must be text without spaces around it", "Give a name such as 'alsfrsr'.", self.name)
        limits = (self.lower, self.upper, self.detection_limit, self.item_upper)
        if any(limit is not None and not is_number(limit) for limit in limits):
            yield fault("a bound must be a finite number", "Leave out a bound that does not exist.", limits)
            return
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            yield fault("lower must lie below upper", "Exchange or correct the two.", (self.lower, self.upper))
        if self.positive and self.upper is not None and self.upper <= 0:
            yield fault("positive, yet the upper bound is not", "Correct one of the two.", self.upper)
        if self.detection_limit is not None:
            if self.lower is not None and self.detection_limit <= self.lower:
                yield fault(
                    "the detection limit must lie above the lower bound",
                    "Correct one of the two.",
                    self.lower,
                )
            if self.upper is not None and self.detection_limit >= self.upper:
                yield fault(
                    "the detection limit must lie below the upper bound",
                    "Correct one of the two.",
                    self.upper,
                )
        if self.item_upper is not None and self.item_upper <= 0:
            yield fault("item_upper must be above 0", "Give the largest value of one item.", self.item_upper)
        if len(set(self.items)) != len(self.items):
            yield fault("an item is named twice", "Name each item once.", self.items)
        for pair in self.exclusive_items:
            if not isinstance(pair, tuple) or len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(self.items):
                yield fault("exclusive items must be two of the items", "List both in items too.", pair)
