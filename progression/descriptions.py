"""Values as JSON can hold them: alike where a thing was made twice, different where results may differ."""

from __future__ import annotations

import dis
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from progression.cohort import Cohort
from progression.fitted import Fit
from progression.modeling import Model
from progression.registry import shelved
from progression.resampling import Patients

__all__ = ["described"]

_SHORT = 16


def described(value: Any) -> Any:
    """A value as JSON can hold it: all of it that determines results, at full precision, and no address in memory.

    Parameters
    ----------
    value : object
        Numbers, texts, arrays, mappings, sequences; priors, models, fits, patients; functions and records of these.

    Returns
    -------
    object
        Numbers, texts, lists and mappings. Equal numbers are one, whether whole or not: 1 and 1.0.

    Notes
    -----
    A model of an installed shelf is known by its name, since the version of its package stands beside it in a run. Any other is
    known by what it is made of, its functions by their compiled code: that is what runs, whatever its file says by now. Functions
    of its own package that it calls by name are part of it; what it reaches through a module is not.
    """
    return _described(value, ())


def _described(value: Any, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float | np.generic):
        return _number(value.item() if isinstance(value, np.generic) else value)
    if id(value) in above:
        return "the same again"
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return {str(key): _described(one, above) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_described(one, above) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((_described(one, above) for one in value), key=_text)
    if isinstance(value, Fit):
        return _fit(value, above)
    if isinstance(value, Cohort):
        return f"cohort {value.fingerprint}"
    if isinstance(value, Patients):
        return {"patients of": value.cohort.fingerprint, **_described(value.settings(), above)}
    if isinstance(value, Model) and shelved(value):
        return value.name
    if isinstance(value, Model):
        return {"model": value.name, "made of": _digest(_fields(value, above))}
    if hasattr(value, "__array__"):
        return _described(np.asarray(value).tolist(), above)
    return _other(value, above)


def _other(value: Any, above: tuple[int, ...]) -> Any:
    """Functions, records and what else there may be: a prior of another library, say."""
    if isinstance(value, MethodType):
        return [_described(value.__func__, above), _described(value.__self__, above)]
    if isinstance(value, FunctionType):
        return _digest(_function(value, above))
    if isinstance(value, CodeType):
        return _code(value, above)
    if isinstance(value, type | ModuleType | BuiltinFunctionType):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
    kind = {"kind": f"{type(value).__module__}.{type(value).__qualname__}"}
    if is_dataclass(value):
        return kind | _fields(value, above)
    if hasattr(value, "__dict__"):
        own = {"to_pymc": _described(type(value).to_pymc, above)} if hasattr(type(value), "to_pymc") else {}
        return kind | own | _described(vars(value), above)
    text = repr(value)
    return kind if " at 0x" in text else kind | {"text": text}


def _fields(value: Any, above: tuple[int, ...]) -> dict[str, Any]:
    return {one.name: _described(getattr(value, one.name), above) for one in fields(value)}


def _fit(fit: Fit, above: tuple[int, ...]) -> dict[str, Any]:
    draws, bits = fit.posterior, hashlib.sha256()
    for name in sorted(map(str, draws.variables)):  # labels of the dims among them
        one = draws[name]
        bits.update(f"{name} {one.dims} {one.shape}".encode())
        bits.update(
            repr(one.to_numpy().tolist()).encode()
            if one.dtype.kind in "OUT"
            else np.ascontiguousarray(one.to_numpy()).tobytes()
        )
    return {"posterior of": _described(fit.model, above), "cohort": fit.cohort.fingerprint, "arms": list(fit.cohort.arms),
            "historical": list(fit.cohort.historical_arms), "draws": bits.hexdigest()[:_SHORT]}  # fmt: skip


def _function(function: FunctionType, above: tuple[int, ...]) -> list[Any]:
    """Its code, its defaults, what it closes over, and what it calls by name of its own package."""
    named = {}
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            one = function.__globals__[name]
            near = _package(one) == _package(function) or not isinstance(one, FunctionType)
            named[name] = _described(one, above) if near else f"{one.__module__}.{one.__qualname__}"
    cells = [_described(cell.cell_contents, above) for cell in function.__closure__ or ()]
    defaults = [function.__defaults__, function.__kwdefaults__]
    return [_code(function.__code__, above), _described(defaults, above), cells, named]


def _code(code: CodeType, above: tuple[int, ...]) -> list[Any]:
    constants = [_described(one, above) if not isinstance(one, complex | bytes) else repr(one) for one in code.co_consts
                 if one is not Ellipsis]  # fmt: skip
    return [code.co_code.hex(), list(code.co_names), constants]


def _names(code: CodeType) -> set[str]:
    """Names that a function and those written inside it look up among the globals."""
    own = {str(one.argval) for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
    return own.union(*(_names(one) for one in code.co_consts if isinstance(one, CodeType)))


def _package(value: Any) -> str:
    return str(getattr(value, "__module__", "")).partition(".")[0]


def _number(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _digest(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:_SHORT]
