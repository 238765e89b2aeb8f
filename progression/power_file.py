"""What is to be simulated, from a TOML file: a design, a model, rules and truths. Types and keys are pydantic's to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from progression.design import Design
from progression.design_file import (
    Count,
    Number,
    PriorTable,
    RuleTable,
    Strict,
    prior_of,
    read_design,
    read_toml,
    rule_of,
    told,
)
from progression.faults import Fault, SettingError, is_number, setting_fault, suggest
from progression.registry import resolve

__all__ = ["Simulation", "read_assurance", "read_power"]


@dataclass(frozen=True, eq=False)
class Simulation:
    """A design, and the other arguments of `power` or `assurance`.

    Attributes
    ----------
    design : Design
    given : mapping
        Arguments by name, but for the design.
    pilot : pathlib.Path or None
        A saved fit, where the file names one in the place of a prior.
    """

    design: Design
    given: Mapping[str, Any]
    pilot: Path | None = None


class _Analysis(Strict):
    model: str
    rule: RuleTable | None = None
    rules: list[RuleTable] | None = None
    n_trials: Count = 1000
    random_seed: Count | None = None
    simulated_by: str | None = None
    simulation_options: dict[str, Any] | None = None
    preset: str | None = None
    priors: dict[str, PriorTable] | None = None
    outcomes: list[str] | None = None
    options: dict[str, Any] | None = None
    engine: Literal["nuts", "marginal"] | None = None
    draws: Count = 1000
    fallback: bool = False
    interval: Number = 0.95
    chunk: Count | None = None
    at: dict[str, Number] | None = None


class _Power(_Analysis):
    truths: list[dict[str, Any]]
    base: dict[str, Any] | None = None


class _Assurance(_Analysis):
    prior: dict[str, Any] | None = None
    pilot: str | None = None
    fixed: dict[str, Any] | None = None


# What is made into something else before `power` gets it.
_OWN = {"model", "rule", "rules", "preset", "priors", "at", "truths", "base", "prior", "pilot", "fixed"}


def read_power(path: str | Path) -> Simulation:
    """Read a design and its table ``[power]``, whose keys are the arguments of `power`.

    Parameters
    ----------
    path : str or path
        ``rule`` is a table as in a look, ``[[power.rules]]`` several; each of ``[[power.truths]]`` holds parameters and estimands and may have a
        ``label``; ``[power.base]`` what truths share; ``preset`` names priors of the model, ``[power.priors]`` replaces some:
        ``hazard = {distribution = "LogNormal", mu = -4, sigma = 1}``; ``[power.at]`` holds settings of estimands.

    Returns
    -------
    Simulation

    Raises
    ------
    SettingError
        With every fault of the design and of the table, each by its key: first of keys and types, then of what they mean.
    """
    design, read, faults = _read(path, "power", _Power)
    given: dict[str, Any] = {}
    if read is not None:
        given = _analysis(read, "power", faults)
        given["truths"] = _truths(read.truths, faults)
        given["base"] = None if read.base is None else _values(read.base, "power.base", faults)
    return _made(design, given, faults)


def read_assurance(path: str | Path) -> Simulation:
    """Read a design and its table ``[assurance]``: as ``[power]``, but for what is believed in the place of truths.

    Parameters
    ----------
    path : str or path
        ``[assurance.prior]`` holds parameters, some of them as priors: ``slope_effect = {distribution = "Normal", mu = 0.3, sigma = 0.15}``;
        or ``pilot`` names the file of a saved fit, from the folder of this file, and ``[assurance.fixed]`` what is not drawn from it.

    Returns
    -------
    Simulation

    Raises
    ------
    SettingError
        With every fault of the design and of the table, each by its key: first of keys and types, then of what they mean.
    """
    design, read, faults = _read(path, "assurance", _Assurance)
    given: dict[str, Any] = {}
    pilot = None
    if read is not None:
        given = _analysis(read, "assurance", faults)
        for key in ("prior", "fixed"):
            if getattr(read, key) is not None:
                given[key] = _values(getattr(read, key), f"assurance.{key}", faults)
        pilot = None if read.pilot is None else Path(path).parent / read.pilot
        if pilot is not None and read.prior is not None:
            faults.append(
                setting_fault(
                    "assurance.pilot", read.pilot, "stands beside a prior: both are what is believed", "leave one out"
                )
            )
    return _made(design, given, faults, pilot)


def _read[Table: _Analysis](
    path: str | Path, name: str, kind: type[Table]
) -> tuple[Design | None, Table | None, list[Fault]]:
    content = read_toml(path)
    design, read = None, None
    faults: list[Fault] = []
    try:
        design = Design(**read_design(content))
    except SettingError as error:
        faults += error.faults
    if name not in content:
        faults.append(setting_fault(name, None, f"is no table of {path}{suggest(name, content)}",
                                    f"write a table [{name}]: model, rule and so on"))  # fmt: skip
        return design, None, faults
    tables: dict[str, type[BaseModel]] = {"rule": RuleTable, "rules": RuleTable, "priors": PriorTable}
    try:
        read = kind.model_validate(content[name])
    except ValidationError as error:
        faults += told(error, lambda where: tables.get(where[0], kind) if len(where) > 1 else kind, f"{name}.")
    return design, read, faults


def _made(
    design: Design | None, given: dict[str, Any], faults: Sequence[Fault], pilot: Path | None = None
) -> Simulation:
    if faults or design is None:
        raise SettingError(faults)
    return Simulation(design, given, pilot)


def _analysis(read: _Analysis, name: str, faults: list[Fault]) -> dict[str, Any]:
    """Arguments that `power` and `assurance` share."""
    given = {key: getattr(read, key) for key in read.model_fields_set - _OWN if getattr(read, key) is not None}
    tables = [] if read.rule is None else [(f"{name}.rule", read.rule)]
    tables += [(f"{name}.rules[{i}]", one) for i, one in enumerate(read.rules or [])]
    if not tables:
        faults.append(setting_fault(f"{name}.rule", None, "is missing",
                                    'give it: rule = {estimand = "slope_difference", comparison = ">", value = 0, probability = 0.975}'))  # fmt: skip
    given["rule"] = [rule_of(one, where, faults) for where, one in tables]
    given["model"] = read.model
    for key, value in (read.at or {}).items():
        if key in type(read).model_fields:
            faults.append(
                setting_fault(f"{name}.at.{key}", value, "is no setting of an estimand", f"write it into [{name}]")
            )
        given.setdefault(key, float(value))
    priors = {key: prior_of(one, f"{name}.priors.{key}", faults) for key, one in (read.priors or {}).items()}
    presets: Mapping[str, Any] = {}
    try:
        presets = resolve(read.model).presets
    except SettingError as error:
        faults.extend(setting_fault(f"{name}.model", one.value, one.what, one.remedy) for one in error.faults)
    else:
        if read.preset is not None and read.preset not in presets:
            faults.append(
                setting_fault(
                    f"{name}.preset",
                    read.preset,
                    f"is no preset of {read.model!r}{suggest(read.preset, presets)}",
                    "name one of its presets",
                )
            )
    if read.preset is not None or priors:
        given["priors"] = {**presets.get(read.preset or "", {}), **priors}
    return given


def _truths(tables: Sequence[Mapping[str, Any]], faults: list[Fault]) -> Any:
    """Truths by their labels, where they have some; in a list, to be called by what they differ in, where none has."""
    made = [
        _values({key: value for key, value in one.items() if key != "label"}, f"power.truths[{i}]", faults)
        for i, one in enumerate(tables)
    ]
    labels = [one.get("label") for one in tables]
    if not any("label" in one for one in tables):
        return made
    for i, label in enumerate(labels):
        if not isinstance(label, str) or not label:
            faults.append(
                setting_fault(
                    f"power.truths[{i}].label", label, "is no label, and others have one", "label all truths, or none"
                )
            )
        elif label in labels[:i]:
            faults.append(setting_fault(f"power.truths[{i}].label", label, "stands there twice", "give another"))
    return dict(zip(map(str, labels), made, strict=True))


def _values(table: Mapping[str, Any], where: str, faults: list[Fault]) -> dict[str, Any]:
    """Parameters: numbers, lists of them, priors, or one of these for each arm."""
    return {key: _value(value, f"{where}.{key}", faults) for key, value in table.items()}


def _value(value: Any, where: str, faults: list[Fault]) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("distribution"), str):
        return prior_of(PriorTable.model_construct(**value), where, faults)
    if isinstance(value, Mapping):
        return _values(value, where, faults)
    if isinstance(value, list):
        return [_value(one, f"{where}[{i}]", faults) for i, one in enumerate(value)]
    if not is_number(value):
        faults.append(setting_fault(where, value, "is neither a number, nor a prior, nor one of these for each arm",
                                    'write 0.3, or {distribution = "Normal", mu = 0.3, sigma = 0.1}, or {control = 0.3, treated = 0.4}'))  # fmt: skip
    return value
