"""What rules say of many trials: the probabilities they rest on, when each trial stops, and for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from progression.design import Design
from progression.looks import Look
from progression.rules import OPERATORS, Rule

__all__ = ["Statement", "Stopped", "statements", "stopped"]

_SAME = 1e-7


@dataclass(frozen=True)
class Statement:
    """What a rule takes the probability of: an estimand's component below or above a value."""

    estimand: str
    comparison: str
    value: float
    labels: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, rule: Rule) -> Statement:
        """The statement of a rule, whatever its threshold."""
        return cls(rule.estimand, rule.comparison, rule.value, rule.labels)

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Whether it is true of each value."""
        found: np.ndarray = OPERATORS[self.comparison](values, self.value)
        return found

    def is_true(self, truth: np.ndarray) -> np.ndarray:
        """Whether it is true of each true value; one that lies at the limit but for rounding, or for the error of an inverse, is at it."""
        return self.holds(np.where(np.isclose(truth, self.value, rtol=_SAME, atol=_SAME), self.value, truth))

    def __repr__(self) -> str:
        which = "".join(f", {key} {value}" for key, value in self.labels)
        return f"P({self.estimand}{which} {self.comparison} {self.value:g})"


def statements(rules: Sequence[Rule], designs: Sequence[Design]) -> tuple[Statement, ...]:
    """Those of the final rules, in their order, then those of the rules at looks."""
    found = dict.fromkeys(Statement.of(rule) for rule in rules)
    for design in designs:
        found |= dict.fromkeys(Statement.of(rule) for look in design.looks for rule in _rules(look))
    return tuple(found)


def _rules(look: Look) -> Iterator[Rule]:
    yield from (one for one in (look.success, look.futility) if isinstance(one, Rule))


@dataclass(frozen=True, eq=False)
class Stopped:
    """How each trial ended.

    Attributes
    ----------
    at : array of int, shape (trials,)
        The analysis that decided: the number of the look, or how many looks there are, for the end.
    success : array of bool, shape (trials,)
    early : array of str, shape (trials,)
        "success" or "futility" where a look stopped it, else empty.
    """

    at: np.ndarray
    success: np.ndarray
    early: np.ndarray


def stopped(rule: Rule, looks: Sequence[Look], probability: Mapping[Statement, np.ndarray]) -> Stopped:
    """Apply a rule and the looks before it.

    Parameters
    ----------
    rule : Rule
        Of the final analysis.
    looks : sequence of Look
        A number given for success or futility is a threshold of the rule's own statement.
    probability : mapping of Statement to array, shape (trials, looks + 1)
        Its posterior probability at each look and at the end.

    Notes
    -----
    A trial stops at the first look where one of its rules is met; where both are, for success.
    """
    own = probability[Statement.of(rule)]
    n, end = len(own), len(looks)
    at, early = np.full(n, end), np.full(n, "", dtype="<U8")
    success = own[:, end] > rule.probability
    for number in reversed(range(end)):  # an earlier look overrules what would have come after it
        look = looks[number]
        for name in ("futility", "success"):
            met = _met(getattr(look, name), name, own[:, number], probability, number)
            at, early = np.where(met, number, at), np.where(met, name, early)
            success = np.where(met, name == "success", success)
    return Stopped(at, success, early)


def _met(
    limit: Rule | float | None, name: str, own: np.ndarray, probability: Mapping[Statement, np.ndarray], number: int
) -> np.ndarray:
    if limit is None:
        return np.zeros(len(own), bool)
    if isinstance(limit, Rule):
        found: np.ndarray = probability[Statement.of(limit)][:, number] > limit.probability
    else:
        found = own > limit if name == "success" else own < limit
    return found
