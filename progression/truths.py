"""The truth behind simulated trials: every parameter of a program, for every trial, from what a user says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm

from progression.estimands import Estimand
from progression.generator import BLOCK, seeded, stream
from progression.parameter_layout import Layout
from progression.posterior_truths import Draws
from progression.priors import SupportsPyMC

__all__ = ["Drawn", "Truth", "drawing", "inverted", "marked", "numbers_in"]

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
        drift = numbers_in(self.drift, numbers)
        made = dict(self.draws.one(draw)) if self.draws is not None else {}
        if self.draws is not None and drift:
            made |= {name: self._drifting(name, array, drift) for name, array in made.items()}
        made |= {name: self.layout.fill(name, numbers_in(value, numbers), drift) for name, value in self.given.items()}
        known = {name: float(array) if array.ndim == 0 else array for name, array in made.items()}
        for estimand, value in self.through:
            for name, one in inverted(estimand, numbers_in(value, numbers), known, self.settings).items():
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


def marked(value: Any, priors: list[SupportsPyMC]) -> Any:
    """A value with a mark in the place of each prior, which is added to the list: equal priors draw numbers of their own."""
    if isinstance(value, Mapping):
        return {label: marked(one, priors) for label, one in value.items()}
    if not isinstance(value, SupportsPyMC):
        return value
    priors.append(value)
    return Drawn(len(priors) - 1)


def numbers_in(value: Any, numbers: np.ndarray | None) -> Any:
    """A value with the numbers that priors drew in place of the marks."""
    if isinstance(value, Mapping):
        return {label: numbers_in(one, numbers) for label, one in value.items()}
    if not isinstance(value, Drawn):
        return value
    return _TRY if numbers is None else float(numbers[value.index])


def drawing(priors: Sequence[SupportsPyMC]) -> Callable[..., list[np.ndarray]] | None:
    """A function of a seed that draws BLOCK numbers from each prior."""
    if not priors:
        return None
    with pm.Model():
        return seeded([], [one.to_pymc(f"prior_{i}", shape=BLOCK) for i, one in enumerate(priors)])
