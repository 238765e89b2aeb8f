"""Rule: the sentence that judges a Contrast."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Protocol

from progression.faults import SettingError, check_probability, is_number, setting_fault

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True)
class Probability:
    """A posterior probability with the Monte Carlo error of its estimate."""

    statement: str
    value: float
    mcse: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"P({self.statement}) = {self.value:.3f} (Monte Carlo error {self.mcse:.3f})"


class SupportsProbability(Protocol):
    """What a rule needs of a contrast."""

    def probability(self, comparison: str, value: float, *, estimand: str | None = None, **labels: Any) -> Probability:
        """Posterior probability of a comparison."""
        ...


@dataclass(frozen=True)
class Decision:
    """What a rule says of a contrast."""

    met: bool
    rule: Rule
    probability: Probability
    close: bool

    def __bool__(self) -> bool:
        return self.met

    def __repr__(self) -> str:
        doubt = "; within two Monte Carlo errors of the threshold: draw more" if self.close else ""
        return f"{self.rule}: {'met' if self.met else 'not met'}, {self.probability!r}{doubt}"


@dataclass(frozen=True, init=False)
class Rule:
    """A decision rule: a posterior probability must exceed a threshold. Prints as the sentence it tests.

    Parameters
    ----------
    estimand : str
    comparison : {"<", "<=", ">", ">="}
    value : float
    probability : float
        The threshold, strictly between 0 and 1.
    **labels
        Which component of the estimand, as in `Contrast.select`.

    Examples
    --------
    >>> Rule("drr", "<", 1, probability=0.979)
    P(drr < 1) > 0.979
    """

    estimand: str
    comparison: str
    value: float
    probability: float
    labels: tuple[tuple[str, Any], ...]

    def __init__(self, estimand: str, comparison: str, value: float, *, probability: float, **labels: Any) -> None:
        if comparison not in OPERATORS:
            raise SettingError(
                [setting_fault(None, comparison, "is not a comparison", f"use one of {', '.join(OPERATORS)}")]
            )
        if not is_number(value):
            raise SettingError([setting_fault(None, value, "is not a finite number", "give a number")])
        check_probability("probability", probability)
        for name, given in (("estimand", estimand), ("comparison", comparison), ("value", float(value)),
                            ("probability", float(probability)), ("labels", tuple(sorted(labels.items())))):  # fmt: skip
            object.__setattr__(self, name, given)

    def judge(self, contrast: SupportsProbability) -> Decision:
        """Whether a contrast meets the rule, and whether Monte Carlo error leaves that in doubt."""
        found = contrast.probability(self.comparison, self.value, estimand=self.estimand, **dict(self.labels))
        close = abs(found.value - self.probability) < 2 * found.mcse
        return Decision(found.value > self.probability, self, found, close)

    def __repr__(self) -> str:
        which = "".join(f", {key} {value}" for key, value in self.labels)
        return f"P({self.estimand}{which} {self.comparison} {self.value:g}) > {self.probability:g}"
