"""The truth behind simulated trials: every parameter of a program, for every trial, from what a user says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm

from progression.estimands import Estimand
from progression.faults import Fault, SettingError, is_number, setting_fault, suggest
from progression.fitted import Fit
from progression.generator import BLOCK, seeded, stream
from progression.modeling import Model
from progression.parameter_layout import Layout
from progression.posterior_truths import Draws, posterior_draws
from progression.priors import SupportsPyMC

__all__ = ["Truth", "truth_of_trials"]

DRIFT = "drift"
_DRAWS, _PRIORS = 11, 12  # streams of random numbers
_TRY = 0.5  # stands for a number that a prior will give, where only shapes are checked


@dataclass(frozen=True)
class Drawn:
    """In the place of a prior: which of the numbers that priors draw for each trial."""

    index: int


@dataclass(frozen=True, eq=False)
class Truth:
    """What the parameters of a program are in each trial: draws, then what was given, then what estimands and drift say.

    Attributes
    ----------
    layout : Layout
    given : mapping of str to number, array, Drawn, or mapping of label to these
        By parameter.
    through : sequence of (Estimand, the same)
        Quantities that parameters are set through.
    settings : mapping of str to float
        Of those estimands.
    drift : float or Drawn
        Of simulated historical controls.
    draws : Draws or None
        Of all parameters that are not given.
    from_priors : callable or None
        From a seed to the numbers of every `Drawn`, (BLOCK,) each.
    """

    layout: Layout
    given: Mapping[str, Any]
    through: Sequence[tuple[Estimand, Any]]
    settings: Mapping[str, float]
    drift: float | Drawn
    draws: Draws | None
    from_priors: Callable[..., list[np.ndarray]] | None

    def block(self, random_seed: int, block: int) -> dict[str, np.ndarray]:
        """Parameters of one block of trials, (BLOCK, ...) each."""
        if self.draws is None and self.from_priors is None:
            one = self.trial()
            return {name: np.broadcast_to(array, (BLOCK, *array.shape)).copy() for name, array in one.items()}
        numbers = np.zeros((BLOCK, 0))
        if self.from_priors is not None:
            numbers = np.stack(self.from_priors(stream(random_seed, block, _PRIORS)), axis=1)
        draws = np.random.default_rng(stream(random_seed, block, _DRAWS)).integers(0, len(self.draws or [0]), BLOCK)
        trials = [self.trial(own, int(draw)) for own, draw in zip(numbers, draws, strict=True)]
        return {name: np.stack([one[name] for one in trials]) for name in self.layout.dims}

    def trial(self, numbers: np.ndarray | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        """Parameters of one trial, given the numbers that its priors drew and which posterior draw it has."""
        drift = _numbers(self.drift, numbers)
        made = dict(self.draws.one(draw)) if self.draws is not None else {}
        if self.draws is not None and drift:
            made |= {name: self._drifting(name, array, drift) for name, array in made.items()}
        made |= {name: self.layout.fill(name, _numbers(value, numbers), drift) for name, value in self.given.items()}
        known = {name: float(array) if array.ndim == 0 else array for name, array in made.items()}
        for estimand, value in self.through:
            for name, one in inverted(estimand, _numbers(value, numbers), known, self.settings).items():
                made[name] = self.layout.fill(name, one, drift)
        return {name: made[name] if name in made else self.layout.fill(name, None, drift) for name in self.layout.dims}

    def _drifting(self, name: str, array: np.ndarray, drift: float) -> np.ndarray:
        own = self.layout.fill(name, None, drift)
        return np.where(np.isnan(own), array, own)


def inverted(estimand: Estimand, value: Any, known: Mapping[str, Any], settings: Mapping[str, float]) -> dict[str, Any]:
    """Parameters under which an estimand has a value, or values by label."""
    own = {key: settings.get(key, default) for key, default in estimand.at.items()}
    assert estimand.inverse is not None
    if not isinstance(value, Mapping):
        return dict(estimand.inverse(value, known, **own))
    by_label = {label: estimand.inverse(one, known, **own) for label, one in value.items()}
    names = next(iter(by_label.values()), {})
    return {name: {label: one[name] for label, one in by_label.items()} for name in names}


def truth_of_trials(model: Model, layout: Layout, truth: Mapping[str, Any] | Fit, fixed: Mapping[str, Any] | None) -> Truth:
    """Read what a user says of the truth.

    Raises
    ------
    SettingError
        With every parameter that is missing, unknown, set twice, of the wrong shape or outside its support.
    """
    if not isinstance(truth, Mapping | Fit):
        raise SettingError([setting_fault("truth", type(truth).__name__, "is neither a mapping of parameters nor a fit",
                                          'give {"mean_slope": -1.0, ...}, or pg.fit(...) of a pilot')])  # fmt: skip
    if isinstance(truth, Mapping) and fixed:
        raise SettingError([setting_fault("fixed", ", ".join(map(str, fixed)), "replaces draws of a fit, and the truth is no fit",
                                          "put them into truth=")])  # fmt: skip
    draws = posterior_draws(truth, layout) if isinstance(truth, Fit) else None
    said = dict(truth) if isinstance(truth, Mapping) else dict(fixed or {})
    given: dict[str, Any] = {}
    through: list[tuple[Estimand, Any]] = []
    faults: list[Fault] = []
    estimands = {one.name: one for one in model.estimands}
    settings = {key for name in said if name in estimands for key in estimands[name].at}
    known = [*layout.needed(), *(name for name, one in estimands.items() if one.inverse is not None), DRIFT]
    for name, value in said.items():
        faults += _value_faults(name, value)
        if name in layout.dims:
            given[name] = value
        elif name in estimands and estimands[name].inverse is None:
            faults.append(setting_fault(f"truth[{name!r}]", value, f"is an estimand that {model.name!r} cannot be set through",
                                        f"give the parameters: {', '.join(layout.needed())}"))  # fmt: skip
        elif name in estimands:
            through.append((estimands[name], value))
        elif name == DRIFT and not layout.historical:
            faults.append(setting_fault("truth['drift']", value, "is that of simulated historical controls, and the design has none",
                                        'give the design historical={"historical control": 47}, or leave it out'))  # fmt: skip
        elif name != DRIFT and name not in settings:
            faults.append(setting_fault(f"truth[{name!r}]", value, f"is neither a parameter nor an estimand of {model.name!r}{suggest(name, known)}",
                                        "rename it"))  # fmt: skip
    if not faults:
        priors: list[SupportsPyMC] = []
        given = {name: _marked(value, priors) for name, value in given.items()}
        through = [(one, _marked(value, priors)) for one, value in through]
        drift = _marked(said.get(DRIFT, 0.0), priors)
        own = {name: float(said[name]) for name in settings if name in said}
        made = Truth(layout, given, through, own, drift, draws, _drawing(priors))
        faults = _faults(made, model)
    if faults:
        raise SettingError(faults)
    return made


def _faults(truth: Truth, model: Model) -> list[Fault]:
    """Faults that show only when all is put together: what is missing, set twice, of another shape, or impossible."""
    layout, faults = truth.layout, []
    plain = {name: _numbers(value, None) for name, value in truth.given.items()}
    for name, value in plain.items():
        faults += layout.faults(name, value)
    made: dict[str, str] = {}
    if not faults:
        base = truth.draws.one(0) if truth.draws is not None else {}
        known = {**base, **{name: layout.fill(name, value, 0.0) for name, value in plain.items()}}
        known = {name: float(array) if np.ndim(array) == 0 else array for name, array in known.items()}
        for estimand, value in truth.through:
            try:
                found = inverted(estimand, _numbers(value, None), known, truth.settings)
            except KeyError as error:
                faults.append(setting_fault(f"truth[{estimand.name!r}]", str(value), f"rests on {error.args[0]!r}, which is not given", "give it"))
                continue
            for name, one in found.items():
                if name in plain or name in made:
                    faults.append(setting_fault(f"truth[{estimand.name!r}]", str(value), f"sets {name!r}, which is set already", "give one of the two"))
                elif isinstance(one, Mapping | float | int | np.ndarray | np.number):
                    faults += layout.faults(name, one)
                made[name] = estimand.name
    if faults:
        return faults
    missing = [name for name in layout.needed() if name not in plain and name not in made]
    if truth.draws is not None:
        return [truth.draws.lost[name] for name in missing if name in truth.draws.lost] or _support_faults(truth, model)
    faults = [setting_fault(f"truth[{name!r}]", None, f"is a parameter of {model.name!r} under this design and is not given{_of(layout, name)}",
                            "give it") for name in missing]  # fmt: skip
    return faults or _support_faults(truth, model)


def _support_faults(truth: Truth, model: Model) -> list[Fault]:
    """Parameters that were given as numbers and that their prior says cannot be."""
    one, faults = truth.trial(), []
    random = truth.draws is not None or truth.from_priors is not None
    sure = [name for name in one if not random or (name in truth.given and not isinstance(truth.given[name], Mapping | Drawn))]
    with pm.Model():
        terms = {name: pm.logp(model.priors[name].to_pymc(name, shape=one[name].shape), one[name]) for name in sure if one[name].size}
    for name, value in zip(terms, pm.compile([], list(terms.values()), mode="FAST_COMPILE")(), strict=True):
        if not np.isfinite(value).all():
            faults.append(setting_fault(f"truth[{name!r}]", str(one[name]), f"cannot be: its prior, {model.priors[name]!r}, has no density there",
                                        "give a possible value"))  # fmt: skip
    return faults


def _value_faults(name: str, value: Any) -> list[Fault]:
    parts = list(value.values()) if isinstance(value, Mapping) else [value]
    wrong = [one for one in parts if not (isinstance(one, SupportsPyMC) or is_number(one) or _numeric(one))]
    return [setting_fault(f"truth[{name!r}]", str(one), "is neither a finite number nor a prior", "give a number, an array or a pg.Prior") for one in wrong]


def _numeric(value: Any) -> bool:
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        return False
    return array.ndim > 0 and array.size > 0 and bool(np.isfinite(array).all())


def _marked(value: Any, priors: list[SupportsPyMC]) -> Any:
    """A value with a mark in the place of each prior, which is added to the list: equal priors draw numbers of their own."""
    if isinstance(value, Mapping):
        return {label: _marked(one, priors) for label, one in value.items()}
    if not isinstance(value, SupportsPyMC):
        return value
    priors.append(value)
    return Drawn(len(priors) - 1)


def _numbers(value: Any, numbers: np.ndarray | None) -> Any:
    """A value with the numbers that priors drew in place of the marks."""
    if isinstance(value, Mapping):
        return {label: _numbers(one, numbers) for label, one in value.items()}
    if not isinstance(value, Drawn):
        return value
    return _TRY if numbers is None else float(numbers[value.index])


def _drawing(priors: Sequence[SupportsPyMC]) -> Callable[..., list[np.ndarray]] | None:
    """A function of a seed that draws BLOCK numbers from each prior."""
    if not priors:
        return None
    with pm.Model():
        return seeded([], [one.to_pymc(f"prior_{i}", shape=BLOCK) for i, one in enumerate(priors)])


def _of(layout: Layout, name: str) -> str:
    dims = [f"{dim}: {', '.join(map(str, layout.coords[dim]))}" for dim in layout.dims[name]]
    return f" ({'; '.join(dims)})" if dims else ""
