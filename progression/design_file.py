"""A design from a TOML file and back: types and keys are pydantic's to check, meaning is the design's."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from progression.borrowing import Borrowing, Commensurate, Pooled, PowerPrior, RobustMAP, Separate, Sources
from progression.faults import Fault, SettingError, setting_fault, suggest
from progression.looks import Look
from progression.priors import Prior
from progression.rules import Rule

__all__ = ["read_design", "read_toml", "write_design"]

_WAYS = {"Pooled": Pooled, "Separate": Separate, "Commensurate": Commensurate, "RobustMAP": RobustMAP, "Sources": Sources,
         "PowerPrior": PowerPrior}  # fmt: skip


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is a truth value, not a number")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(_number)]


BESIDE = ("power", "assurance")  # tables of a file that are not the design's


class Strict(BaseModel):
    """A table of which every key is known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RuleTable(BaseModel):
    """A rule as a table."""

    model_config = ConfigDict(extra="allow", strict=True)  # more keys are labels: {arm = "high"}

    estimand: str
    comparison: Literal["<", "<=", ">", ">="]
    value: Number
    probability: Number


class _Look(Strict):
    month: Number | None = None
    information: Number | None = None
    success: RuleTable | Number | None = None
    futility: RuleTable | Number | None = None


class PriorTable(BaseModel):
    """A prior as a table."""

    model_config = ConfigDict(extra="allow", strict=True)  # more keys are its parameters

    distribution: str


class _Borrowing(Strict):
    kind: Literal["Pooled", "Separate", "Commensurate", "RobustMAP", "Sources", "PowerPrior"]
    arms: list[str] | None = None
    level: Number | None = None
    scale: Number | None = None
    weight: Number | None = None
    wide: Number | None = None
    a0: PriorTable | Number | None = None
    weights: dict[str, Number] | None = None


class _File(Strict):
    arms: dict[str, Count]
    visits_weeks: list[Number] | None = None
    visits_months: list[Number] | None = None
    visit_jitter_days: Number = 0.0
    missed_visits: Number = 0.0
    accrual_per_month: Number | None = None
    accrual_months: Number | None = None
    entry: str = "uniform"
    dropout_per_month: Number = 0.0
    dropout_by_slope: Number = 0.0
    death_per_month: Number | None = None
    antibody_tests_weeks: list[Number] | None = None
    historical: dict[str, Count] | None = None
    historical_arm: str = "historical control"
    borrowing: _Borrowing | None = None
    looks: list[_Look] = []
    rounding: bool = False
    clipping: bool = False
    name: str = ""


def read_toml(path: str | Path) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises
    ------
    SettingError
        Where it cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError([setting_fault("path", str(path), f"cannot be read as a TOML file: {error}",
                                          "correct the file or its name")]) from error  # fmt: skip


def read_design(content: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Design` that the contents of a TOML file hold, what is to be simulated (`power_file`) left aside.

    Raises
    ------
    SettingError
        With every unknown key and every value of a wrong type.
    """
    own = content.get("design", {key: value for key, value in content.items() if key not in BESIDE})
    kinds: dict[str, type[BaseModel]] = {"looks": _Look, "borrowing": _Borrowing}
    try:
        read = _File.model_validate(own)
    except ValidationError as error:
        raise SettingError(
            told(error, lambda where: kinds.get(where[0], _File) if len(where) > 1 else _File)
        ) from error
    given = {key: getattr(read, key) for key in read.model_fields_set}
    faults: list[Fault] = []
    if read.borrowing is not None:
        given["borrowing"] = _borrowing(read.borrowing, faults)
    given["looks"] = [_look(look, f"looks[{i}]", faults) for i, look in enumerate(read.looks)]
    if faults:
        raise SettingError(faults)
    return given


def told(error: ValidationError, table_of: Callable[[Sequence[Any]], type[BaseModel]], prefix: str = "") -> list[Fault]:
    """Pydantic's errors in the words of this package: the key as it stands in the file, what is wrong, what to do.

    Parameters
    ----------
    error : ValidationError
    table_of : callable
        The kind of table that the key at a place is in: an unknown key is answered with its keys.
    prefix : str
        Put before each key.
    """
    made = []
    for one in error.errors():
        where = [
            part
            for part in one["loc"]
            if part not in ("RuleTable", "PriorTable") and not str(part).startswith("function-")
        ]
        key = prefix + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        if one["type"] == "extra_forbidden":
            what = f"is no key here{suggest(where[-1], table_of(where).model_fields)}"
            made.append(setting_fault(key, one["input"], what, "rename or remove it"))
        elif one["type"] == "missing":
            made.append(setting_fault(key, None, "is missing", "give it"))
        elif not (isinstance(one["input"], Mapping) and where[-1] in ("success", "futility")):  # a rule is no number
            what = str(one["msg"]).removeprefix("Value error, ")
            made.append(setting_fault(key, one["input"], what[:1].lower() + what[1:], "correct it"))
    return made


def _borrowing(read: _Borrowing, faults: list[Fault]) -> Borrowing | None:
    given = {key: getattr(read, key) for key in read.model_fields_set - {"kind"}}
    if "arms" in given:
        given["arms"] = tuple(given["arms"])
    try:
        if isinstance(read.a0, PriorTable):
            given["a0"] = Prior(read.a0.distribution, **(read.a0.model_extra or {}))
        return _WAYS[read.kind](**given)
    except SettingError as error:
        faults.extend(error.faults)
    except TypeError:
        faults.append(setting_fault("borrowing", ", ".join(given), f"are not the settings of {read.kind}",
                                    f"see the parameters of pg.{read.kind}"))  # fmt: skip
    return None


def _look(read: _Look, where: str, faults: list[Fault]) -> Look:
    made: dict[str, Any] = {"month": read.month, "information": read.information}
    for side in ("success", "futility"):
        value = getattr(read, side)
        made[side] = rule_of(value, f"{where}.{side}", faults) if isinstance(value, RuleTable) else value
    return Look(**made)


def rule_of(read: RuleTable, where: str, faults: list[Fault]) -> Rule | None:
    """The rule that a table holds; what is wrong with it is added to the faults."""
    try:
        return Rule(**read.model_dump())
    except SettingError as error:
        faults.extend(setting_fault(where, one.value, one.what, one.remedy) for one in error.faults)
    return None


def prior_of(read: PriorTable, where: str, faults: list[Fault]) -> Prior | None:
    """The prior that a table holds; what is wrong with it is added to the faults."""
    try:
        return Prior(read.distribution, **(read.model_extra or {}))
    except SettingError as error:
        faults.extend(setting_fault(where, one.value, one.what, one.remedy) for one in error.faults)
    return None


def write_design(content: Mapping[str, Any]) -> str:
    """Plain values of a design as TOML; `read_design` is the way back."""
    plain = {key: value for key, value in content.items() if not isinstance(value, Mapping) and key != "looks"}
    lines = ["[design]", *(f"{key} = {_toml(value)}" for key, value in plain.items())]
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += [
                "",
                f"[design.{key}]",
                *(f"{json.dumps(str(name), ensure_ascii=False)} = {_toml(one)}" for name, one in value.items()),
            ]
    for look in content.get("looks", []):
        lines += ["", "[[design.looks]]", *(f"{name} = {_toml(one)}" for name, one in look.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{json.dumps(str(key), ensure_ascii=False)} = {_toml(one)}" for key, one in value.items())
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # text, numbers and truth values are written as in JSON
