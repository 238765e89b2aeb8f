"""The truth behind a simulated cohort: stated in its source, read back from there; and the checks simulators share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from progression.cohort import Cohort
from progression.faults import Fault, SettingError

__all__ = ["ARMS", "series_faults", "number_faults", "refuse", "sizes_faults", "stated", "truth_of"]

ARMS = ("control", "treated")
_OPENING = "; truth: "


def stated(simulator: str, truth: Mapping[str, Any]) -> str:
    """Say in one line of text which simulator made a cohort, and from which truth."""
    return f"progression.datasets.{simulator}{_OPENING}{json.dumps(truth, default=float)}"


def truth_of(cohort: Cohort) -> dict[str, Any]:
    """Return the truth that a simulated cohort was made from.

    Parameters
    ----------
    cohort : Cohort
        From `simulated_als` or `simulated_sle`; saving and loading it changes nothing.

    Returns
    -------
    dict
        The simulator's arguments by name.

    Raises
    ------
    SettingError
        If the cohort is not from one of the two simulators: nobody knows its truth.

    Examples
    --------
    >>> import progression as pg
    >>> pg.datasets.truth_of(pg.datasets.simulated_als(slope_effect=0.3))["slope_effect"]
    0.3
    """
    _, opening, text = cohort.source.partition(_OPENING)
    if cohort.provenance != "simulated" or not opening:
        raise SettingError.single(
            "the truth behind this cohort is not known", "Give a cohort from a simulator of this package",
            column="cohort", value=cohort.name or cohort.provenance, table="setting",
        )  # fmt: skip
    found: dict[str, Any] = json.loads(text)
    return found


def refuse(faults: list[Fault]) -> None:
    """Raise one error with every fault found, if there is any."""
    if faults:
        raise SettingError(faults)


def sizes_faults(n: Any) -> Iterator[Fault]:
    """Two arms, a whole number of patients in each, at least one."""
    try:
        sizes = list(n)
    except TypeError:
        sizes = []
    whole = all(isinstance(size, int | np.integer) and not isinstance(size, bool) for size in sizes)
    if len(sizes) != 2 or not whole or min(sizes) < 1:
        yield _fault("n", n, "this is not a number of patients for each of two arms",
                     "Give (control, treated), at least one patient each")  # fmt: skip


def number_faults(
    *, at_least: float = -np.inf, at_most: float = np.inf, below: float = np.inf, above: float = -np.inf,
    whole: bool = False, **values: Any,
) -> Iterator[Fault]:  # fmt: skip
    """Finite numbers, whole if asked, within bounds: at_least <= value <= at_most and above < value < below."""
    bounds = {"at least": at_least, "at most": at_most, "below": below, "above": above}
    said = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if np.isfinite(bound))
    remedy = f"Give a {'whole' if whole else 'finite'} number{', ' if said else ''}{said}"
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            yield _fault(name, value, "this is not a number", remedy)
        elif not np.isfinite(value) or (whole and value != int(value)):
            yield _fault(name, value, f"this is not a {'whole' if whole else 'finite'} number", remedy)
        elif not (at_least <= value <= at_most and above < value < below):
            yield _fault(name, value, "the value is out of bounds", remedy)


def series_faults(length: int, *, meaning: str, at_least: float = -np.inf, **values: Any) -> Iterator[Fault]:
    """Sequences of finite numbers of a given length, none below a bound."""
    for name, value in values.items():
        try:
            numbers = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            numbers = np.array([])
        if numbers.shape != (length,) or not np.isfinite(numbers).all():
            yield _fault(name, value, f"these are not {length} finite numbers", f"Give one for each {meaning}")
        elif numbers.min() < at_least:
            yield _fault(name, value, "a value is out of bounds", f"Give numbers of at least {at_least:g}")


def _fault(name: str, value: object, what: str, remedy: str) -> Fault:
    return Fault(what=what, remedy=remedy, column=name, value=value, table="setting")
