"""The marginal engine's answer held against the program itself, at points of the posterior.

The engine reads a program's structure by trial: straight lines, effects that do not meet, data that matter only by
kind of subject. Whatever it misread, Candidate's identity finds: the program's own log density of everything, less the
conditional normals the engine drew from, must be the engine's log density of the rest, whatever was drawn.

Source: Besag (1989), Biometrika 76:183; Chib (1995), JASA 90:1313 (the identity and its name).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pytensor.graph.replace import graph_replace

from progression.engines.cells import Cells
from progression.engines.closed import ClosedForm
from progression.engines.elimination import LOG_2PI, by_parameter
from progression.engines.points import batched
from progression.engines.quadrature import Integrated
from progression.engines.split import Split

_POINTS = 8
_TOLERANCE = 1e-5  # of the log density, plus rounding of its size


def joint_density(split: Split, flats: list[Any]) -> Any:
    """Compile the program's own log density of everything: ``run(*flat vectors, *effects) -> (points,)``."""
    values = [split.value(rv) for rv in split.effects]
    swaps = {value: piece for flat in flats for value, piece in flat.swaps.items()}
    (total,) = graph_replace([split.model.logp(jacobian=True)], swaps, strict=False)
    run = batched([*(flat.vector for flat in flats), *values], [total])
    return lambda *arrays: run(*arrays)[0]


def closed_form_holds(
    inner: ClosedForm, joint: Any, arrays: dict[str, np.ndarray], own: Cells, x: np.ndarray, log_density: np.ndarray,
    factor: np.ndarray, linear: np.ndarray, rng: np.random.Generator,
) -> bool:  # fmt: skip
    """Whether the closed form is the program's, at some draws of one data set.

    Parameters
    ----------
    joint : callable
        Of `joint_density`.
    arrays : mapping
        All data of the data set.
    own : Cells
        The data set with a cell for each subject.
    x, log_density, factor, linear : arrays, first axis the draws
        Draws of what remains, its log density and factor, and draws of the linear parameters.
    """
    some = slice(None, None, max(1, len(x) // _POINTS))
    x, log_density, factor, linear = x[some], log_density[some], factor[some], linear[some]
    effects, log_effects = inner.draw_effects(own, x, linear, rng, with_density=True)
    inner.split.with_data(arrays, own.count.shape[1])
    pieces, at = [], 0
    for shape in inner.shapes:
        size = int(np.prod(shape))
        pieces.append(np.ascontiguousarray(effects[:, :, at : at + size].reshape(*effects.shape[:2], *shape)))
        at += size
    total = joint(np.ascontiguousarray(x), np.ascontiguousarray(linear), *pieces)
    gap = total - log_effects - linear_density(factor, linear) - log_density
    return _constant(gap, total)


def linear_density(factor: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Log density of draws of the linear parameters under their conditional normal, (draws,)."""
    found = np.zeros(len(linear))
    for j, (sd, regression) in enumerate(by_parameter(factor, linear.shape[1])):
        off = linear[:, j] + regression[-1] + (regression[:-1].T * linear[:, j + 1 :]).sum(axis=1)
        found -= np.log(sd) + 0.5 * LOG_2PI + 0.5 * (off / sd) ** 2
    return found


def effects_stand_alone(
    inner: Integrated, x: np.ndarray, one: np.ndarray, other: np.ndarray, rng: np.random.Generator
) -> bool:
    """Whether each unit's density depends on its own effects only, tried by exchanging those of some units between draws.

    Parameters
    ----------
    x : array, shape (points, size)
    one, other : arrays, shape (points, subjects, effects)
        Two draws of the effects at each point.
    """
    swap = rng.random((len(x), inner.n, len(inner.groups))) < 0.5
    mixed = np.where(inner.by_effect(swap), other, one)
    expected = np.where(swap, inner.units(x, other), inner.units(x, one))
    gap = inner.units(x, mixed) - expected
    return bool(np.all(np.abs(gap) <= 1e-7 * (1 + np.abs(expected))))


def _constant(gap: np.ndarray, total: np.ndarray) -> bool:
    allowed = _TOLERANCE + 1e-10 * float(np.abs(total).max(initial=0))
    return bool(np.all(np.isfinite(gap)) and np.ptp(gap) <= allowed)
