"""Reading what a user says of the truth: parameters, estimands, drift, priors or a fit, and every fault in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm

from progression.estimands import Estimand
from progression.faults import Fault, SettingError, is_number, setting_fault, suggest
from progression.fitted import Fit
from progression.modeling import Model
from progression.parameter_layout import Layout
from progression.posterior_truths import posterior_draws
from progression.priors import SupportsPyMC
from progression.truths import Drawn, Truth, drawing, inverted, marked, numbers_in

__all__ = ["truth_of_trials"]

DRIFT = "drift"


def truth_of_trials(
    model: Model, layout: Layout, truth: Mapping[str, Any] | Fit, fixed: Mapping[str, Any] | None
) -> Truth:
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
        given = {name: marked(value, priors) for name, value in given.items()}
        through = [(one, marked(value, priors)) for one, value in through]
        drift = marked(said.get(DRIFT, 0.0), priors)
        own = {name: float(said[name]) for name in settings if name in said}
        made = Truth(layout, given, through, own, drift, draws, drawing(priors))
        faults = _faults(made, model)
    if faults:
        raise SettingError(faults)
    return made


def _faults(truth: Truth, model: Model) -> list[Fault]:
    """Faults that show only when all is put together: what is missing, set twice, of another shape, or impossible."""
    layout = truth.layout
    plain = {name: numbers_in(value, None) for name, value in truth.given.items()}
    faults = [fault for name, value in plain.items() for fault in layout.faults(name, value)]
    found = {} if faults else _set_through(truth, plain, faults)
    if faults:
        return faults
    missing = [name for name in layout.needed() if name not in plain and name not in found]
    if truth.draws is not None:
        faults = [truth.draws.lost[name] for name in missing if name in truth.draws.lost]
    else:
        what = f"is a parameter of {model.name!r} under this design and is not given"
        faults = [setting_fault(f"truth[{name!r}]", None, what + _of(layout, name), "give it") for name in missing]
    return faults or _support_faults(truth, model)


def _set_through(truth: Truth, plain: Mapping[str, Any], faults: list[Fault]) -> dict[str, str]:
    """Which parameters estimands set; what is wrong with that is added to the faults."""
    layout, made = truth.layout, dict[str, str]()
    base: dict[str, Any] = dict(truth.draws.one(0)) if truth.draws is not None else {}
    base |= {name: layout.fill(name, value, 0.0) for name, value in plain.items()}
    known = {name: float(array) if np.ndim(array) == 0 else array for name, array in base.items()}
    for estimand, value in truth.through:
        where = f"truth[{estimand.name!r}]"
        try:
            found = inverted(estimand, numbers_in(value, None), known, truth.settings)
        except KeyError as error:
            faults.append(
                setting_fault(where, str(value), f"rests on {error.args[0]!r}, which is not given", "give it")
            )
            continue
        for name, one in found.items():
            if name in plain or name in made:
                what = f"sets {name!r}, which is set already"
                faults.append(setting_fault(where, str(value), what, "give one of the two"))
            else:
                faults += layout.faults(name, one)
            made[name] = estimand.name
    return made


def _support_faults(truth: Truth, model: Model) -> list[Fault]:
    """Parameters that were given as numbers and that their prior says cannot be."""
    one, faults = truth.trial(), []
    random = truth.draws is not None or truth.from_priors is not None
    sure = [
        name
        for name in one
        if not random or (name in truth.given and not isinstance(truth.given[name], Mapping | Drawn))
    ]
    with pm.Model():
        terms = {
            name: pm.logp(model.priors[name].to_pymc(name, shape=one[name].shape), one[name])
            for name in sure
            if one[name].size
        }
    for name, value in zip(terms, pm.compile([], list(terms.values()), mode="FAST_COMPILE")(), strict=True):
        if not np.isfinite(value).all():
            faults.append(setting_fault(f"truth[{name!r}]", str(one[name]), f"cannot be: its prior, {model.priors[name]!r}, has no density there",
                                        "give a possible value"))  # fmt: skip
    return faults


def _value_faults(name: str, value: Any) -> list[Fault]:
    parts = list(value.values()) if isinstance(value, Mapping) else [value]
    wrong = [one for one in parts if not (isinstance(one, SupportsPyMC) or is_number(one) or _numeric(one))]
    return [
        setting_fault(
            f"truth[{name!r}]",
            str(one),
            "is neither a finite number nor a prior",
            "give a number, an array or a pg.Prior",
        )
        for one in wrong
    ]


def _numeric(value: Any) -> bool:
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        return False
    return array.ndim > 0 and array.size > 0 and bool(np.isfinite(array).all())


def _of(layout: Layout, name: str) -> str:
    dims = [f"{dim}: {', '.join(map(str, layout.coords[dim]))}" for dim in layout.dims[name]]
    return f" ({'; '.join(dims)})" if dims else ""
