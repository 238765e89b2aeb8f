"""Response: what counts as one, as a plain rule over outcomes; and what may be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from progression.cohort import Cohort
from progression.faults import Fault, SettingError, is_number, setting_fault, suggest

__all__ = ["Response", "Signs", "Strategy", "check_responders"]

STRATEGIES = ("composite", "treatment policy", "hypothetical")
Strategy = Literal["composite", "treatment policy", "hypothetical"]


class Signs(Mapping[str, np.ndarray]):
    """Values of all outcomes at one visit, by name: arrays of one shape, (sample, subject) where they are predicted.

    ``read`` holds the names that were asked for: what a rule rests on.
    """

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        self._values = dict(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._values:
            raise SettingError([setting_fault("response", name, f"is not an outcome of this fit{suggest(name, self._values)}",
                                              f"use {', '.join(self._values)}, or fit with outcomes= that name it")])  # fmt: skip
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Response:
    """What counts as a response.

    Parameters
    ----------
    name : str
        In words: "at least 50 % fewer active joints".
    rule : callable
        ``rule(start, now) -> array of bool``: both are `Signs`, at baseline and at the visit. Plain arithmetic on arrays.
    """

    name: str
    rule: Callable[[Signs, Signs], Any] = field(repr=False)

    def of(self, start: Signs, now: Signs) -> np.ndarray:
        """Who responds; a value that is missing makes no responder."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.rule(start, now), bool)


def check_responders(
    cohort: Cohort, response: object, month: object, strategies: Mapping[str, str], new_patients: object
) -> None:
    """Raise SettingError with every fault of what `responders` was asked."""
    faults: list[Fault] = []
    if not isinstance(response, Response):
        faults.append(
            setting_fault(
                "response", response, "is not a Response", 'give pg.Response("in words", lambda start, now: ...)'
            )
        )
    if not is_number(month) or float(month) <= 0:  # type: ignore[arg-type]
        faults.append(
            setting_fault("month", month, "is not a time after baseline", "give months, such as 2.76 for week 12")
        )
    if isinstance(new_patients, bool) or not isinstance(new_patients, int | np.integer) or new_patients < 1:
        faults.append(setting_fault("new_patients", new_patients, "is not a number of patients", "give at least 1"))
    events = cohort.events
    kinds = sorted(set(events["kind"]))
    for kind, how in strategies.items():
        if kind not in kinds:
            faults.append(
                setting_fault(
                    "strategies",
                    kind,
                    f"is no kind of event in this cohort{suggest(kind, kinds)}",
                    "name one that is there",
                )
            )
        if how not in STRATEGIES:
            faults.append(
                setting_fault("strategies", how, f"is no strategy{suggest(str(how), STRATEGIES)}", "use one of them")
            )
    for kind in kinds:
        if kind not in strategies:
            faults.append(setting_fault("strategies", kind, "happened in this cohort, and how it counts is not stated",
                                        f'add strategies={{"{kind}": "composite"}}, or "treatment policy", or "hypothetical"'))  # fmt: skip
    visits = cohort.visits
    for kind, how in strategies.items():
        for event in events[(events["kind"] == kind) & (how == "hypothetical")].itertuples():
            after = visits[(visits["subject"] == event.subject) & (visits["month"] > event.month)]
            if len(after):
                faults.append(Fault(what=f"was seen after {kind!r} at month {event.month:.3g}, and the fit knows it: nothing hypothetical is left",
                                    remedy="fit a cohort without those visits", subject=str(event.subject), table="visits",
                                    value=", ".join(f"month {one:.3g}" for one in after["month"])))  # fmt: skip
    if faults:
        raise SettingError(faults)
