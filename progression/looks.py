"""Look: one analysis before the end of a trial, and what may stop it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from progression.faults import Fault, is_number, setting_fault, suggest
from progression.rules import Rule

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """An interim look at a trial: when, and what stops it. What is wrong with it is said by the `Design` that has it.

    Parameters
    ----------
    month : float, optional
        Calendar month of the look, counted from the opening of the trial.
    information : float, optional
        Or: the share, between 0 and 1, of all the scores a trial will have that have been seen by then.
    success : Rule or float, optional
        The trial stops for success where the rule is met. A number is the threshold of the final rule at this look: stop
        where the probability of its statement is *above* it.
    futility : Rule or float, optional
        The trial stops for futility where the rule is met: ``Rule("drr", ">=", 0.9, probability=0.95)`` is P(DRR < 0.9) < 0.05. A
        number: stop where the probability of the final rule's statement is *below* it.

    Examples
    --------
    >>> Look(6, futility=0.05)
    month 6: futility below 0.05
    """

    month: float | None = None
    information: float | None = None
    success: Rule | float | None = None
    futility: Rule | float | None = None

    def faults(self, where: str) -> Iterator[Fault]:
        """Everything wrong with this look by itself; `where` is its place, such as ``looks[0]``."""
        given = [one for one in (self.month, self.information) if one is not None]
        if len(given) != 1:
            yield setting_fault(where, given or None, "must say when: a month or a share of the information",
                                "give exactly one of month= and information=")  # fmt: skip
        if self.month is not None and (not is_number(self.month) or self.month <= 0):
            yield setting_fault(
                f"{where}.month", self.month, "is not a month after the opening", "give a number above 0"
            )
        if self.information is not None:
            yield from probability_faults(f"{where}.information", self.information, "a share between 0 and 1")
        if self.success is None and self.futility is None:
            yield setting_fault(where, None, "can stop nothing", "give success=, futility= or both")
        for name, value in (("success", self.success), ("futility", self.futility)):
            if value is not None and not isinstance(value, Rule):
                yield from probability_faults(f"{where}.{name}", value, "a rule or a probability")
        if is_number(self.success) and is_number(self.futility) and self.success <= self.futility:  # type: ignore[operator]
            yield setting_fault(f"{where}.success", self.success, "lies not above the limit of futility: both would be met",
                                "exchange or correct the two")  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values that TOML and JSON can hold."""
        given = {key: getattr(self, key) for key in ("month", "information", "success", "futility")}
        return {key: _rule_to_dict(value) if isinstance(value, Rule) else float(value)
                for key, value in given.items() if value is not None}  # fmt: skip

    def __repr__(self) -> str:
        when = (
            f"month {self.month:g}"
            if self.month is not None
            else f"{100 * (self.information or 0):g} % of the information"
        )
        words = []
        for name, side in (("success", "above"), ("futility", "below")):
            value = getattr(self, name)
            if value is not None:
                words.append(f"{name} {'if ' if isinstance(value, Rule) else side + ' '}{value}")
        return f"{when}: {', '.join(words)}"


def _rule_to_dict(rule: Rule) -> dict[str, Any]:
    """A rule as plain values."""
    return {"estimand": rule.estimand, "comparison": rule.comparison, "value": rule.value, "probability": rule.probability,
            **dict(rule.labels)}  # fmt: skip


def estimand_faults(looks: Sequence[Look], model: str, names: Sequence[str]) -> Iterator[Fault]:
    """Rules of looks on estimands that a model, given by its name and theirs, does not have."""
    for i, look in enumerate(looks):
        for side in ("success", "futility"):
            rule = getattr(look, side)
            if isinstance(rule, Rule) and rule.estimand not in names:
                yield setting_fault(f"looks[{i}].{side}", rule.estimand, f"is no estimand of {model!r}{suggest(rule.estimand, names)}",
                                    "rename it")  # fmt: skip


def probability_faults(name: str, value: object, what: str) -> Iterator[Fault]:
    """A fault unless `value` lies strictly between 0 and 1; 95 for 0.95 is answered as such."""
    if not is_number(value) or not 0 < float(value) < 1:  # type: ignore[arg-type]
        percent = is_number(value) and 1 < float(value) < 100  # type: ignore[arg-type]
        remedy = f"did you mean {float(value) / 100:g}?" if percent else "give a number between 0 and 1"  # type: ignore[arg-type]
        yield setting_fault(name, value, f"is not {what}", remedy)


def order_faults(looks: Sequence[Look], end: float) -> Iterator[Fault]:
    """Looks that are not one after the other, or not before the end of the trial (calendar month)."""
    by_month = [look for look in looks if look.month is not None]
    if by_month and len(by_month) < len(looks):
        yield setting_fault("looks", len(looks), "are placed by month and by information: their order is not known",
                            "place all of them the same way")  # fmt: skip
        return
    times = [look.month if by_month else look.information for look in looks]
    for i, (first, second) in enumerate(pairwise(times), start=1):
        if is_number(first) and is_number(second) and second <= first:  # type: ignore[operator]
            yield setting_fault(
                f"looks[{i}]", second, "does not come after the look before it", "put looks in order of time"
            )
    for i, time in enumerate(times):
        if by_month and is_number(time) and time >= end:  # type: ignore[operator]
            yield setting_fault(f"looks[{i}].month", time, f"is not before the last visit of the last patient, month {end:.3g}",
                                "the final analysis is no look: leave it out, or place it earlier")  # fmt: skip
