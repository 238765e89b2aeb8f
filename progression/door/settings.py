"""Arguments of `Cohort.from_table`, checked before any table is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from progression.door.names import RESERVED
from progression.faults import Fault, SettingError, suggest
from progression.outcomes import Outcome
from progression.units import months_per

__all__ = ["ALLOCATIONS", "PROVENANCES", "check_settings", "known_outcomes"]

ALLOCATIONS = ("randomised", "historical", "single arm", "unstated")
PROVENANCES = ("observed", "reconstructed", "simulated")


def check_settings(
    *, time_unit: str, allocation: str | None, provenance: str, decimal: str, columns: object, arms: object,
    missing: object = (),
) -> None:  # fmt: skip
    """Refuse arguments that cannot be meant, all at once.

    Raises
    ------
    SettingError
    """
    faults: list[Fault] = []
    choices: dict[str, tuple[object, Collection[str]]] = {
        "time_unit": (time_unit, months_per),
        "provenance": (provenance, PROVENANCES),
        "decimal": (decimal, (".", ",")),
    }
    if allocation is not None:
        choices["allocation"] = (allocation, ALLOCATIONS)
    for name, (value, known) in choices.items():
        if not isinstance(value, str) or value not in known:
            faults.append(
                _fault(name, value, f"this is not one of the choices{suggest(value, known)}", "Give one of them")
            )
    if columns is not None and not (
        isinstance(columns, Mapping) and all(isinstance(each, str) for pair in columns.items() for each in pair)
    ):
        what = "columns is not a mapping of text to text"
        faults.append(_fault("columns", columns, what, "Write columns={'subject': 'patient', 'time': 'week'}"))
    elif columns is not None:
        users = list(columns.values())
        for user in sorted({user for user in users if users.count(user) > 1}):
            meant = ", ".join(repr(std) for std, other in columns.items() if other == user)
            what = f"one column is said to be several things ({meant})"
            faults.append(_fault("columns", user, what, "Give each its own column"))
    if isinstance(missing, str) or not _listed(missing):
        faults.append(_fault("missing", missing, "missing is no list of marks", "Write missing=['n.d.', '-99']"))
    if arms is not None:
        faults += _arms(arms)
    if faults:
        raise SettingError(faults)


def known_outcomes(
    outcomes: str | Outcome | Sequence[str | Outcome] | None, covariates: Any, averaged: Collection[str]
) -> tuple[Outcome, ...] | None:
    """Turn names into outcomes without facts, and refuse names that cannot stand in a cohort.

    Raises
    ------
    SettingError
    """
    faults: list[Fault] = []
    for name, value in (("covariates", covariates), ("averaged", averaged)):
        if isinstance(value, str):
            faults.append(_fault(name, value, f"{name} is one text, not a list", f"Write {name}=[{value!r}]"))
        elif value is not None and not _listed(value):
            faults.append(_fault(name, value, f"{name} is no list of names", f"Write {name}=['age']"))
    if outcomes is not None and not isinstance(outcomes, str | Outcome) and not _listed(outcomes):
        faults.append(_fault("outcomes", outcomes, "outcomes is no list of names", "Write outcomes=['alsfrsr']"))
    if faults:
        raise SettingError(faults)
    if outcomes is None:
        listed = None
    else:
        given = [outcomes] if isinstance(outcomes, str | Outcome) else list(outcomes)
        listed = tuple(each if isinstance(each, Outcome) else Outcome(str(each)) for each in given)
        names = [each.name for each in listed]
        if not names:
            faults.append(_fault("outcomes", [], "there is no outcome", "Name one, or leave outcomes out"))
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                faults.append(_fault("outcomes", name, "the outcome is named twice", "Name it once"))
        for name in averaged or ():
            if name not in names:
                what = f"averaged names something that is no outcome{suggest(name, names)}"
                faults.append(_fault("averaged", name, what, "Correct it"))
    own = [("outcomes", each.name) for each in listed or ()]
    own += [("covariates", str(each)) for each in covariates or ()]
    for argument, name in own:
        if name in RESERVED:
            what = "the name has a meaning of its own in a cohort"
            faults.append(_fault(argument, name, what, "Give it another name through columns={...}"))
    if faults:
        raise SettingError(faults)
    return listed


def _listed(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, bytes)


def _arms(arms: object) -> list[Fault]:
    given = list(arms.values() if isinstance(arms, Mapping) else arms) if isinstance(arms, Collection) else []
    if nameless := [label for label in given if not isinstance(label, str | int) or isinstance(label, bool)]:
        return [_fault("arms", nameless[0], "this is no label of an arm", "Write text, such as 'control'")]
    if isinstance(arms, Mapping):
        labels = list(dict.fromkeys(str(label).strip() for label in arms.values()))
    elif isinstance(arms, Sequence) and not isinstance(arms, str):
        labels = [str(label).strip() for label in arms]
    else:
        return [_fault("arms", arms, "arms is not a list of labels", "Write arms=['control', 'treated']")]
    if not labels:
        return [_fault("arms", arms, "arms is empty", "List the labels, the control first, or leave arms out")]
    faults = []
    for label in dict.fromkeys(labels):
        if not label:
            faults.append(_fault("arms", label, "an arm has no label", "Give it one"))
        elif labels.count(label) > 1:
            faults.append(_fault("arms", label, "the arm is named twice", "Name it once"))
    return faults


def _fault(name: str, value: object, what: str, remedy: str) -> Fault:
    shown = value if isinstance(value, str | int | float) else repr(value)
    return Fault(what=what, remedy=remedy, column=name, value=shown, table="setting")
