"""Model: one PyMC program and the facts around it."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from progression.estimands import Estimand, Facts
from progression.event_times import DEATH
from progression.faults import Fault, SettingError, setting_fault, suggest
from progression.outcomes import Outcome
from progression.priors import Prior, SupportsPyMC
from progression.time_course import course

__all__ = ["DEATH", "Estimand", "Facts", "Model", "Outcome", "Prior", "SupportsPyMC", "course", "model", "prior_names"]

Program = Callable[[Any, Any], Any]

_ABOVE_ZERO = re.compile(r"^(sd|sigma|variance)(_|$)|hazard")


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
    events : mapping of str to tuple of str
        Name of each observed variable that is a time to an event, known by subject, and the words for that event in a
        cohort: ``{"death": ("death", "tracheostomy")}``. A cohort that says nothing of events has no rows of it. In a model that
        needs "visits" it has a row an interval between planned visits. An option of the event's name, "at random" or "shared", leaves
        it out or in.
    priors : mapping of str to Prior
        Defaults, one for every name the program asks for.
    presets : mapping of str to mapping of str to Prior
        Named sets that replace some defaults, such as a published trial's.
    estimands : tuple of Estimand
        The first is the primary one.
    reference : str
        Where the model comes from.
    needs : tuple of {"baseline", "follow_up", "visits", "bounded"}
        What a cohort must have. "bounded": whole scores on the scale the model declares, in simulated cohorts too.
    options : mapping
        Choices and their defaults.
    padded : bool
        Whether subject effects go through ``parts.subject_effect``, so that subjects may be padded to a size bucket.
    sampling : mapping
        Keywords for the sampler that suit this model, such as ``{"target_accept": 0.95}``.
    generic : bool
        Whether it takes outcomes of other names than those it declares, as a slope model does.
    engine : {"nuts", "marginal"}
        How its posterior is computed unless a fit says otherwise.
    grid : mapping of str to int
        A latent of each subject that the marginal engine is to integrate on a fixed grid over its own distribution, and
        the number of points to start from. For one that is bounded or enters with kinks, such as the time of an onset
        between two visits, ``{"onset": 12}``.
    unless_named : tuple of str
        Outcomes that are left out unless `outcomes=` names them, though the cohort has them.
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
    generic: bool = False
    engine: str = "nuts"
    grid: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unless_named: tuple[str, ...] = ()

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Every outcome of every block."""
        return tuple(outcome for block in self.observes.values() for outcome in block)

    @property
    def usual_outcomes(self) -> tuple[Outcome, ...]:
        """Those that are there unless a call names others."""
        return tuple(outcome for outcome in self.outcomes if outcome.name not in self.unless_named)

    def estimand(self, name: str) -> Estimand:
        """The estimand of that name; an unknown name is answered with the nearest."""
        for estimand in self.estimands:
            if estimand.name == name:
                return estimand
        known = [estimand.name for estimand in self.estimands]
        fault = Fault(what=f"model {self.name!r} has no such estimand{suggest(name, known)}",
                      remedy="name one of its estimands", value=name, column="estimand", table="setting")  # fmt: skip
        raise SettingError([fault])

    def with_priors(self, priors: str | Mapping[str, SupportsPyMC] | None) -> Mapping[str, SupportsPyMC]:
        """The defaults with a preset's or the user's replacements; every wrong name or value is listed."""
        if priors is None:
            return self.priors
        if isinstance(priors, str):
            if priors not in self.presets:
                fault = Fault(what=f"model {self.name!r} has no such preset of priors{suggest(priors, self.presets)}",
                              remedy="name a preset, or give a mapping of names to Prior", value=priors,
                              column="priors", table="setting")  # fmt: skip
                raise SettingError([fault])
            priors = self.presets[priors]
        if not isinstance(priors, Mapping):
            raise SettingError([setting_fault("priors", priors, "is not a mapping", "give {name: pg.Prior(...)}")])
        faults = [
            Fault(what=f"model {self.name!r} has no prior of that name{suggest(name, self.priors)}",
                  remedy="rename it", value=name, column="priors", table="setting")
            for name in priors if name not in self.priors
        ] + [
            Fault(what=f"the prior of {name!r} is not a Prior", column="priors", table="setting", value=value,
                  remedy='give pg.Prior("Normal", mu=0, sigma=1) or an object with to_pymc')
            for name, value in priors.items() if not isinstance(value, SupportsPyMC)
        ] + [
            wrong for name, value in priors.items() if isinstance(value, Prior) and (wrong := self._outside(name, value))
        ]  # fmt: skip
        if faults:
            raise SettingError(faults)
        return {**self.priors, **priors}

    def _outside(self, name: str, prior: Prior) -> Fault | None:
        """An SD, a variance, a hazard, or what has a Beta prior: no number below zero, or above one, can be meant by these."""
        default = self.priors.get(name)
        share = isinstance(default, Prior) and default.distribution == "Beta"
        if prior.support is None or not (share or _ABOVE_ZERO.search(name)):
            return None
        low, high = prior.support
        if low >= 0 and (high <= 1 or not share):
            return None
        room = "between 0 and 1" if share else "above zero"
        ends = "lower=0, upper=1" if share else "lower=0"
        return Fault(what=f"{name!r} of model {self.name!r} lies {room}, and this prior does not", value=repr(prior), column="priors", table="setting",
                     remedy=f'give one that does, such as {default!r} or pg.Prior("TruncatedNormal", mu=..., sigma=..., {ends})')  # fmt: skip

    def with_options(self, options: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The default options with the user's; unknown names are listed with the nearest."""
        if options is not None and not isinstance(options, Mapping):
            raise SettingError([setting_fault("options", options, "is not a mapping", "give {name: value}")])
        faults = [
            Fault(what=f"model {self.name!r} has no option of that name{suggest(name, self.options)}",
                  remedy="rename it", value=name, column="options", table="setting")
            for name in options or {} if name not in self.options
        ]  # fmt: skip
        if faults:
            raise SettingError(faults)
        return {**self.options, **(options or {})}

    def __repr__(self) -> str:
        seen = [*(o.name for o in self.outcomes), *(f"time to {name}" for name in self.events)]
        lines = [f"Model {self.name}: {self.title}", f"  observes   {', '.join(seen)}"]
        lines += [f"  prior      {name} ~ {prior!r}" for name, prior in self.priors.items()]
        lines += [f"  estimand   {e.name}: {e.label.replace('{window}', '')}" for e in self.estimands]
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
    generic: bool = False,
    engine: str = "nuts",
    grid: Mapping[str, int] | None = None,
    events: Mapping[str, Sequence[str]] | None = None,
    unless_named: Sequence[str] = (),
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
            generic=generic,
            engine=engine,
            grid=dict(grid or {}),
            events={key: tuple(words) for key, words in (events or {}).items()},
            unless_named=tuple(unless_named),
        )
        _check_definition(made)
        return made

    return decorate


def _setting(where: str, value: object, what: str, remedy: str) -> Fault:
    return setting_fault(None, value, f"{where} {what}", remedy)


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
    for name in sorted(set(made.events) & set(made.observes)):
        faults.append(_setting(f"model {made.name!r}: event", name, "is observed at visits too", "rename one"))
    for name in sorted(set(made.unless_named) - {outcome.name for outcome in made.outcomes}):
        faults.append(
            _setting(f"model {made.name!r}: unless_named", name, "is not an outcome it observes", "rename it")
        )
    if not made.observes:
        faults.append(_setting(f"model {made.name!r}", made.observes, "observes nothing", "declare observes="))
    if made.engine not in ("nuts", "marginal"):
        faults.append(_setting(f"model {made.name!r}: engine", made.engine, "is unknown", "use nuts or marginal"))
    for name, points in made.grid.items():
        if isinstance(points, bool) or not isinstance(points, int) or points < 2:
            faults.append(_setting(f"model {made.name!r}: grid of {name!r}", points, "is not a number of points",
                                   "give a whole number of at least 2"))  # fmt: skip
    for need in set(made.needs) - {"baseline", "follow_up", "visits", "bounded"}:
        faults.append(_setting(f"model {made.name!r}: needs", need, "is unknown",
                               "use baseline, follow_up, visits or bounded"))  # fmt: skip
    if faults:
        raise SettingError(faults)
