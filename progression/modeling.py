"""Model, Prior and Estimand: the facts around one PyMC program."""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import xarray as xr

from progression.cohort import Cohort
from progression.faults import Fault, SettingError, suggest
from progression.outcomes import Outcome

Program = Callable[[Any, Any], Any]

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
        faults = []
        for key, value in parameters.items():
            if key not in _PARAMETERS.get(distribution, {key}):
                what = f"is not a parameter of {distribution}{suggest(key, sorted(_PARAMETERS[distribution]))}"
                faults.append(_setting(f"{distribution}({key}=...)", value, what, "rename it"))
            elif isinstance(value, bool) or not isinstance(value, numbers.Real) or math.isnan(value):
                faults.append(_setting(f"{distribution}({key}=...)", value, "is not a number", "give a number"))
            elif math.isinf(value) and key not in {"lower", "upper"}:
                faults.append(_setting(f"{distribution}({key}=...)", value, "is infinite", "give a finite number"))
            elif key in _POSITIVE.get(distribution, set()) and value <= 0:
                faults.append(
                    _setting(f"{distribution}({key}=...)", value, "must be above zero", "give a positive number")
                )
        if {"lower", "upper"} <= set(parameters) and not faults and parameters["lower"] >= parameters["upper"]:
            text = f"{parameters['lower']}, {parameters['upper']}"
            faults.append(_setting(f"{distribution}(lower=, upper=)", text, "are out of order", "give lower < upper"))
        if faults:
            raise SettingError(faults)
        object.__setattr__(self, "distribution", distribution)
        plain = {key: value if isinstance(value, int) else float(value) for key, value in parameters.items()}
        object.__setattr__(self, "parameters", MappingProxyType(plain))

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the variable `name` in the PyMC model in context and return it."""
        import pymc as pm  # heavy: only where a model is really built

        family = getattr(pm, self.distribution, None)
        if family is None:
            fault = _setting(name, self.distribution, "is not a distribution of PyMC", "see the list of pymc's names")
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
            raise SettingError([_setting(name, repr(self), f"is refused by PyMC: {error}", "mend it")]) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return _prior, (self.distribution, dict(self.parameters))

    def __hash__(self) -> int:
        return hash((self.distribution, tuple(sorted(self.parameters.items()))))

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value:g}" for key, value in self.parameters.items())
        return f"{self.distribution}({inside})"


def _prior(distribution: str, parameters: Mapping[str, float]) -> Prior:
    return Prior(distribution, **parameters)


def _setting(name: str, value: object, what: str, remedy: str) -> Fault:
    return Fault(what=f"{name} {what}", remedy=remedy, value=value, table="setting")


@dataclass(frozen=True)
class Facts:
    """What an estimand may know beside the posterior draws: the cohort, its coding and the options of the fit."""

    cohort: Cohort
    data: xr.Dataset
    options: Mapping[str, Any]

    @property
    def control(self) -> str:
        """Label of the control arm."""
        return self.cohort.arms[0]


@dataclass(frozen=True)
class Estimand:
    """A named quantity of interest with a unit, a direction and the assumption it rests on.

    Parameters
    ----------
    name : str
        Short name, a valid Python identifier.
    compute : callable
        ``compute(posterior, facts, **at) -> xarray.DataArray``: from population parameters with dims
        (chain, draw, ...) to the estimand with dims (chain, draw, then those of `over`), draw by draw.
    label : str
        One line in words, sign and unit included: "treated minus control, points/month, positive = slower decline".
    unit : str
        Unit; empty for a ratio.
    scale : {"difference", "ratio", "direct"}
        What kind of quantity it is; "direct" is a quantity of one arm, not a contrast.
    reference : str
        What it is measured against: "control arm", "baseline", "none".
    null : float or None
        The value of no effect; None for a direct quantity.
    benefit : {"higher", "lower"} or None
        Which direction is good for the patient.
    population : {"conditional", "population-averaged", "new patient"}
        Whom it speaks about.
    over : tuple of str
        Dims along which it has several components, such as ("active_arm",).
    requires : {"control", "no control", "any"}
        Whether the cohort must have a control arm, must not, or either.
    at : mapping
        Settings of the estimand with defaults, such as ``{"month": 6.0}``.
    assumption : str
        What a causal or comparative reading rests on.
    inverse : callable or None
        ``inverse(value, parameters) -> parameters`` giving population parameters under which the estimand is `value`.
    """

    name: str
    compute: Callable[..., xr.DataArray] = field(compare=False)
    label: str = field(kw_only=True)
    unit: str = field(kw_only=True)
    scale: Literal["difference", "ratio", "direct"] = field(kw_only=True)
    reference: str = field(kw_only=True)
    null: float | None = field(kw_only=True)
    benefit: Literal["higher", "lower"] | None = field(kw_only=True)
    population: Literal["conditional", "population-averaged", "new patient"] = field(kw_only=True)
    over: tuple[str, ...] = field(default=(), kw_only=True)
    requires: Literal["control", "no control", "any"] = field(default="any", kw_only=True)
    at: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    assumption: str = field(default="", kw_only=True)
    inverse: Callable[..., Mapping[str, float]] | None = field(default=None, kw_only=True, compare=False)

    def refusal(self, cohort: Cohort) -> str | None:
        """Why this cohort cannot answer the question, or None if it can."""
        if self.requires == "control" and len(cohort.arms) < 2:
            return f"{self.name!r} contrasts arms, and the cohort has one arm only ({cohort.arms[0]!r})"
        if self.requires == "no control" and len(cohort.arms) > 1:
            return f"{self.name!r} is for a cohort without controls; this one has the arms {', '.join(cohort.arms)}"
        return None


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """One PyMC program and the facts around it. Made by the `model` decorator.

    Attributes
    ----------
    name : str
    program : callable
        ``program(data, prior)``, run inside a ``pymc.Model``: `data.<block>.month`, `data.on_arm` and so on are
        ``pm.Data``; ``prior("sd_slope")`` makes the variable of that name.
    observes : mapping of str to tuple of Outcome
        Name of each observed variable of the program and the outcomes stacked in it.
    priors : mapping of str to Prior
        Defaults, one for every name the program asks for.
    presets : mapping of str to mapping of str to Prior
        Named sets that replace some defaults, such as a published trial's.
    estimands : tuple of Estimand
        The first is the primary one.
    reference : str
        Where the model comes from.
    needs : tuple of {"baseline", "follow_up", "visits"}
        What a cohort must have.
    options : mapping
        Choices and their defaults.
    padded : bool
        Whether subject effects go through ``parts.subject_effect``, so that subjects may be padded to a size bucket.
    sampling : mapping
        Keywords for the sampler that suit this model, such as ``{"target_accept": 0.95}``.
    """

    name: str
    program: Program
    observes: Mapping[str, tuple[Outcome, ...]]
    priors: Mapping[str, SupportsPyMC]
    estimands: tuple[Estimand, ...]
    reference: str
    title: str = ""
    presets: Mapping[str, Mapping[str, SupportsPyMC]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    padded: bool = False
    sampling: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Every outcome of every block."""
        return tuple(outcome for block in self.observes.values() for outcome in block)

    def estimand(self, name: str) -> Estimand:
        """The estimand of that name; an unknown name is answered with the nearest."""
        for estimand in self.estimands:
            if estimand.name == name:
                return estimand
        known = [estimand.name for estimand in self.estimands]
        fault = Fault(what=f"model {self.name!r} has no such estimand{suggest(name, known)}",
                      remedy="name one of its estimands", value=name, table="setting")  # fmt: skip
        raise SettingError([fault])

    def with_priors(self, priors: str | Mapping[str, SupportsPyMC] | None) -> Mapping[str, SupportsPyMC]:
        """The defaults with a preset's or the user's replacements; every wrong name or value is listed."""
        if priors is None:
            return self.priors
        if isinstance(priors, str):
            if priors not in self.presets:
                fault = Fault(what=f"model {self.name!r} has no such preset of priors{suggest(priors, self.presets)}",
                              remedy="name a preset, or give a mapping of names to Prior", value=priors,
                              table="setting")  # fmt: skip
                raise SettingError([fault])
            priors = self.presets[priors]
        faults = [
            Fault(what=f"model {self.name!r} has no prior of that name{suggest(name, self.priors)}",
                  remedy="rename it", value=name, table="setting")
            for name in priors if name not in self.priors
        ] + [
            Fault(what=f"the prior of {name!r} is not a Prior", table="setting", value=value,
                  remedy='give pg.Prior("Normal", mu=0, sigma=1) or an object with to_pymc')
            for name, value in priors.items() if not isinstance(value, SupportsPyMC)
        ]  # fmt: skip
        if faults:
            raise SettingError(faults)
        return {**self.priors, **priors}

    def with_options(self, options: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The default options with the user's; unknown names are listed with the nearest."""
        faults = [
            Fault(what=f"model {self.name!r} has no option of that name{suggest(name, self.options)}",
                  remedy="rename it", value=name, table="setting")
            for name in options or {} if name not in self.options
        ]  # fmt: skip
        if faults:
            raise SettingError(faults)
        return {**self.options, **(options or {})}

    def __repr__(self) -> str:
        lines = [
            f"Model {self.name}: {self.title}",
            f"  observes   {', '.join(o.name for o in self.outcomes)}",
        ]
        lines += [f"  prior      {name} ~ {prior!r}" for name, prior in self.priors.items()]
        lines += [f"  estimand   {e.name}: {e.label}" for e in self.estimands]
        lines += [f"  option     {name} = {value!r}" for name, value in self.options.items()]
        return "\n".join([*lines, f"  reference  {self.reference}"])


def model(
    *,
    observes: Mapping[str, Sequence[Outcome] | Outcome],
    priors: Mapping[str, SupportsPyMC],
    estimands: Sequence[Estimand],
    reference: str,
    name: str | None = None,
    title: str = "",
    presets: Mapping[str, Mapping[str, SupportsPyMC]] | None = None,
    needs: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    padded: bool = False,
    sampling: Mapping[str, Any] | None = None,
) -> Callable[[Program], Model]:
    """Turn a PyMC program into a `Model`: a decorator.

    The parameters are those of `Model`; `name` is the function's name and `title` the first line of its docstring
    unless given.

    Raises
    ------
    SettingError
        Where the names the program asks `prior` for differ from the declared ones, a preset names an unknown
        prior, two estimands share a name, or nothing is observed.
    """

    def decorate(program: Program) -> Model:
        document = inspect.getdoc(program) or ""
        made = Model(
            name=name or program.__name__,
            program=program,
            observes={key: (value,) if isinstance(value, Outcome) else tuple(value) for key, value in observes.items()},
            priors=dict(priors),
            estimands=tuple(estimands),
            reference=reference,
            title=title or document.partition("\n")[0],
            presets={key: dict(value) for key, value in (presets or {}).items()},
            needs=tuple(needs),
            options=dict(options or {}),
            padded=padded,
            sampling=dict(sampling or {}),
        )
        _check_definition(made)
        return made

    return decorate


def prior_names(program: Program) -> set[str] | None:
    """Names a program asks its second argument for, read from its source; None where there is no source to read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(program)))
    except (OSError, TypeError, SyntaxError):
        return None  # typed at a bare prompt: building the model checks the names instead
    found = tree.body[0] if tree.body else None
    if not isinstance(found, ast.FunctionDef) or found.name != program.__name__:
        return None  # the text of something else, as for programs made by exec
    asked_for = list(inspect.signature(program).parameters)[1]
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == asked_for
        and call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }  # fmt: skip


def _check_definition(made: Model) -> None:
    faults = []
    asked = prior_names(made.program)
    if asked is not None:
        for name in sorted(asked - set(made.priors)):
            faults.append(_setting(f"model {made.name!r}: prior({name!r})", name, "is asked for but not declared",
                                   "add it to priors="))  # fmt: skip
        for name in sorted(set(made.priors) - asked):
            faults.append(_setting(f"model {made.name!r}: the prior of {name!r}", name,
                                   "is declared but never asked for", "remove it or use it"))  # fmt: skip
    for preset, names in made.presets.items():
        for name in sorted(set(names) - set(made.priors)):
            faults.append(_setting(f"model {made.name!r}: preset {preset!r}", name, "names a prior that is not declared",
                                   "rename it"))  # fmt: skip
    titles = [estimand.name for estimand in made.estimands]
    for name in sorted({name for name in titles if titles.count(name) > 1}):
        faults.append(_setting(f"model {made.name!r}: estimand", name, "is declared twice", "rename one"))
    if not made.observes:
        faults.append(_setting(f"model {made.name!r}", made.observes, "observes nothing", "declare observes="))
    for need in set(made.needs) - {"baseline", "follow_up", "visits"}:
        faults.append(_setting(f"model {made.name!r}: needs", need, "is unknown",
                               "use baseline, follow_up or visits"))  # fmt: skip
    if faults:
        raise SettingError(faults)
