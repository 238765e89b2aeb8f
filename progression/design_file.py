"""A design from a TOML file and back: types and keys are pydantic's to check, meaning is the design's."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from progression.borrowing import Borrowing, Commensurate, Pooled, PowerPrior, RobustMAP, Separate, Sources
from progression.faults import Fault, SettingError, setting_fault, suggest
from progression.looks import Look
from progression.priors import Prior
from progression.rules import Rule

__all__ = ["read_design", "write_design"]

_WAYS = {"Pooled": Pooled, "Separate": Separate, "Commensurate": Commensurate, "RobustMAP": RobustMAP, "Sources": Sources,
         "PowerPrior": PowerPrior}  # fmt: skip


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is a truth value, not a number")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(_number)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Rule(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # more keys are labels: {arm = "high"}

    estimand: str
    comparison: Literal["<", "<=", ">", ">="]
    value: Number
    probability: Number


class _Look(_Strict):
    month: Number | None = None
    information: Number | None = None
    success: _Rule | Number | None = None
    futility: _Rule | Number | None = None


class _Prior(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # more keys are its parameters

    distribution: str


class _Borrowing(_Strict):
    kind: Literal["Pooled", "Separate", "Commensurate", "RobustMAP", "Sources", "PowerPrior"]
    arms: list[str] | None = None
    level: Number | None = None
    scale: Number | None = None
    weight: Number | None = None
    wide: Number | None = None
    a0: _Prior | Number | None = None
    weights: dict[str, Number] | None = None


class _File(_Strict):
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


def read_design(path: str | Path) -> dict[str, Any]:
    """The arguments of `Design` that a TOML file holds.

    Raises
    ------
    SettingError
        With every unknown key and every value of a wrong type.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError([setting_fault("path", str(path), f"cannot be read as a TOML file: {error}",
                                          "correct the file or its name")]) from error  # fmt: skip
    own = content.get("design", content)
    try:
        read = _File.model_validate(own)
    except ValidationError as error:
        raise SettingError(_faults(error.errors())) from error
    given = {key: getattr(read, key) for key in read.model_fields_set}
    faults: list[Fault] = []
    if read.borrowing is not None:
        given["borrowing"] = _borrowing(read.borrowing, faults)
    given["looks"] = [_look(look, f"looks[{i}]", faults) for i, look in enumerate(read.looks)]
    if faults:
        raise SettingError(faults)
    return given


def _faults(errors: Sequence[Any]) -> list[Fault]:
    """Pydantic's errors in the words of this package: the key as it stands in the file, what is wrong, what to do."""
    made = []
    for error in errors:
        where = [one for one in error["loc"] if one not in ("_Rule", "_Prior") and not str(one).startswith("function-")]
        key = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in where).lstrip(".")
        if error["type"] == "extra_forbidden":
            table = str(where[0]) if len(where) > 1 else ""
            kinds: dict[str, type[BaseModel]] = {"looks": _Look, "borrowing": _Borrowing}
            known = kinds.get(table, _File).model_fields
            what = f"is no key here{suggest(where[-1], known)}"
            made.append(setting_fault(key, error["input"], what, "rename or remove it"))
        elif error["type"] == "missing":
            made.append(setting_fault(key, None, "is missing", "give it"))
        elif not (isinstance(error["input"], Mapping) and where[-1] in ("success", "futility")):  # a rule is no number
            what = str(error["msg"]).removeprefix("Value error, ")
            made.append(setting_fault(key, error["input"], what[:1].lower() + what[1:], "correct it"))
    return made


def _borrowing(read: _Borrowing, faults: list[Fault]) -> Borrowing | None:
    given = {key: getattr(read, key) for key in read.model_fields_set - {"kind"}}
    if "arms" in given:
        given["arms"] = tuple(given["arms"])
    try:
        if isinstance(read.a0, _Prior):
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
        try:
            made[side] = Rule(**value.model_dump()) if isinstance(value, _Rule) else value
        except SettingError as error:
            faults.extend(setting_fault(f"{where}.{side}", one.value, one.what, one.remedy) for one in error.faults)
    return Look(**made)


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
