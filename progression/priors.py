"""Priors as values."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from progression.faults import Fault, SettingError, setting_fault, suggest

__all__ = ["Prior", "SupportsPyMC"]

# Parameters that must be above zero, by family: PyMC finds these out only while sampling, as an initial point that fails.
_POSITIVE = {
    "Normal": {"sigma", "tau"}, "HalfNormal": {"sigma", "tau"}, "LogNormal": {"sigma", "tau"},
    "StudentT": {"sigma", "nu", "lam"}, "HalfStudentT": {"sigma", "nu", "lam"},
    "Cauchy": {"beta"}, "HalfCauchy": {"beta"}, "Exponential": {"lam", "scale"}, "Laplace": {"b"},
    "Gamma": {"alpha", "beta", "mu", "sigma"}, "InverseGamma": {"alpha", "beta", "mu", "sigma"},
    "Beta": {"alpha", "beta", "sigma", "nu"}, "Weibull": {"alpha", "beta"}, "TruncatedNormal": {"sigma", "tau"},
}  # fmt: skip

# All the parameters of the same families: PyMC drops a misspelt one without a word and uses its default.
_PARAMETERS = {
    "Normal": {"mu", "sigma", "tau"}, "HalfNormal": {"sigma", "tau"}, "LogNormal": {"mu", "sigma", "tau"},
    "StudentT": {"nu", "mu", "sigma", "lam"}, "HalfStudentT": {"nu", "sigma", "lam"}, "Cauchy": {"alpha", "beta"},
    "HalfCauchy": {"beta"}, "Exponential": {"lam", "scale"}, "Laplace": {"mu", "b"},
    "Gamma": {"alpha", "beta", "mu", "sigma"}, "InverseGamma": {"alpha", "beta", "mu", "sigma"},
    "Beta": {"alpha", "beta", "mu", "sigma", "nu"}, "Weibull": {"alpha", "beta"}, "Uniform": {"lower", "upper"},
    "TruncatedNormal": {"mu", "sigma", "tau", "lower", "upper"},
}  # fmt: skip

_WHOLE_LINE = {"Normal", "StudentT", "Cauchy", "Laplace"}


@runtime_checkable
class SupportsPyMC(Protocol):
    """Anything that can make itself a variable of the PyMC model in context (a `Prior`, a PreliZ distribution)."""

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name` in the model in context."""
        ...


@dataclass(frozen=True, init=False, repr=False)
class Prior:
    """A prior as a value: the name of a PyMC distribution and its parameters.

    Parameters
    ----------
    distribution : str
        Name of a distribution in PyMC, such as ``"HalfNormal"``.
    **parameters : float
        Its parameters by keyword, in PyMC's names.

    Raises
    ------
    SettingError
        For a parameter that is not a finite number, or not positive where it must be.

    Examples
    --------
    >>> Prior("HalfNormal", sigma=1)
    HalfNormal(sigma=1)
    """

    distribution: str
    parameters: Mapping[str, float]

    def __init__(self, distribution: str, /, **parameters: float) -> None:
        if not isinstance(distribution, str):
            raise SettingError(
                [_setting("the distribution", distribution, "is no name", 'give "Normal"', "distribution")]
            )
        faults = []
        for key, value in parameters.items():
            if key not in _PARAMETERS.get(distribution, {key}):
                what = f"is not a parameter of {distribution}{suggest(key, sorted(_PARAMETERS[distribution]))}"
                faults.append(_setting(f"{distribution}({key}=...)", value, what, "rename it", key))
            elif isinstance(value, bool) or not isinstance(value, numbers.Real) or math.isnan(value):
                faults.append(_setting(f"{distribution}({key}=...)", value, "is not a number", "give a number", key))
            elif math.isinf(value) and key not in {"lower", "upper"}:
                faults.append(_setting(f"{distribution}({key}=...)", value, "is infinite", "give a finite number", key))
            elif key in _POSITIVE.get(distribution, set()) and value <= 0:
                faults.append(
                    _setting(f"{distribution}({key}=...)", value, "must be above zero", "give a positive number", key)
                )
        if {"lower", "upper"} <= set(parameters) and not faults and parameters["lower"] >= parameters["upper"]:
            text = f"{parameters['lower']}, {parameters['upper']}"
            faults.append(
                _setting(f"{distribution}(lower=, upper=)", text, "are out of order", "give lower < upper", "lower")
            )
        if faults:
            raise SettingError(faults)
        object.__setattr__(self, "distribution", distribution)
        plain = {key: value if isinstance(value, int) else float(value) for key, value in parameters.items()}
        object.__setattr__(self, "parameters", MappingProxyType(plain))

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name` in the PyMC model in context and return it."""
        import pymc as pm  # heavy: only where a model is really built

        family: Any = getattr(pm, self.distribution, None)
        known_family = isinstance(family, type) and issubclass(family, pm.Distribution)
        if not known_family:
            fault = _setting(
                name,
                self.distribution,
                f"is not a distribution of PyMC{suggest(self.distribution, _PARAMETERS)}",
                "use one of them, or another of PyMC's",
            )
            raise SettingError([fault])
        known = [key for key in inspect.signature(family.dist).parameters if key not in ("args", "kwargs")]
        wrong = [
            _setting(f"{name} ~ {self!r}", key, f"is not a parameter of {self.distribution}{suggest(key, known)}", "rename it")
            for key in self.parameters if key not in known
        ]  # fmt: skip
        if wrong:
            raise SettingError(wrong)
        try:
            return family(name, **self.parameters, **kwargs)
        except (TypeError, ValueError) as error:
            raise SettingError([_setting(name, repr(self), f"is refused by PyMC: {error}", "mend it")]) from None

    @property
    def support(self) -> tuple[float, float] | None:
        """Between which numbers it has any probability; None for a family that is not known here."""
        if self.distribution in _WHOLE_LINE:
            return -math.inf, math.inf
        if self.distribution in ("Uniform", "TruncatedNormal"):
            ends = {"Uniform": (0.0, 1.0)}.get(self.distribution, (-math.inf, math.inf))
            return float(self.parameters.get("lower", ends[0])), float(self.parameters.get("upper", ends[1]))
        if self.distribution == "Beta":
            return 0.0, 1.0
        return (0.0, math.inf) if self.distribution in _PARAMETERS else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _prior, (self.distribution, dict(self.parameters))

    def __hash__(self) -> int:
        return hash((self.distribution, tuple(sorted(self.parameters.items()))))

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value:g}" for key, value in self.parameters.items())
        return f"{self.distribution}({inside})"


def _prior(distribution: str, parameters: Mapping[str, float]) -> Prior:
    return Prior(distribution, **parameters)


def _setting(where: str, value: object, what: str, remedy: str, column: str = "priors") -> Fault:
    return setting_fault(column, value, f"{where} {what}", remedy)
