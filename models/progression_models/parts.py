"""Clauses that several models share. Each is a few lines of PyMC; none of them asks for a prior by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from progression.modeling import Facts, course

COMPARABLE = "the arms differ in nothing but treatment, and drop-out is at random given what was seen"
BEFORE_AFTER = (
    "before against after without controls: any change since baseline is put down to treatment; regression to the mean "
    "and other treatment are not told apart from it"
)

# Nodes and weights for expectations under a standard normal: 15 points are exact for polynomials to degree 29.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
NODES = xr.DataArray(_NODES, dims="node")
WEIGHTS = xr.DataArray(_WEIGHTS / _WEIGHTS.sum(), dims="node")


def subject_effect(
    name: str, mean: Any, sd: Any, *, estimate: Any, precision: Any, dims: str | tuple[str, ...] = "subject"
) -> Any:
    """Normal(mean, sd) for each subject, sampled as its distance from where its own rows and the population put it.

    `estimate` is what a subject's own rows say of its effect and `precision` how precisely; both may be rough, and
    with precision 0 nothing is known. They choose the coordinates only, never the distribution: with many rows the
    form is centred, with none it is non-centred, and in either case the sampled deviation is close to a standard
    normal of its own, so that it mixes whatever the number of visits. A padded subject has precision 0, hence a
    standard normal that touches no other parameter: this is the one place where padding is made harmless.

    Source: the conditional posterior of a normal mean; Papaspiliopoulos, Roberts and Skoeld (2007), Statistical
    Science 22:59, on why it decouples effects from their hyperparameters.
    """
    weight = sd**2 * precision / (1 + sd**2 * precision)
    anchor, scale = mean + weight * (estimate - mean), sd / pm.math.sqrt(1 + sd**2 * precision)
    raw = pm.Normal(f"{name}_raw", (mean - anchor) / scale, sd / scale, dims=dims)
    return anchor + scale * raw


def exp(x: xr.DataArray) -> xr.DataArray:
    """Exponential, labels kept."""
    return xr.apply_ufunc(np.exp, x)


def population_mean(inverse_link: Any, location: xr.DataArray, sd: xr.DataArray) -> xr.DataArray:
    """Mean over patients of ``inverse_link(location + sd * z)``, z standard normal, by Gauss-Hermite quadrature."""
    return (inverse_link(location + sd * NODES) * WEIGHTS).sum("node")


def has_columns(columns: Any) -> bool:
    """Whether a clause is in use: its dim is not of length zero."""
    return bool(columns.get_value(borrow=True).shape[1])


def linear(columns: Any, coefficients: Any) -> Any:
    """Each subject's sum of columns times coefficients, (subject, ...): zero where there are no columns.

    A plain sum of products: a matrix product would make numba compile a minute of linear algebra for a few columns.
    """
    if not has_columns(columns):
        return 0.0  # an unused clause: nothing to add, and nothing to compile
    if coefficients.ndim == 1:
        return (columns * coefficients).sum(axis=1)
    widened = columns.reshape((columns.shape[0], columns.shape[1], *(1,) * (coefficients.ndim - 1)))
    return (widened * coefficients).sum(axis=1)


def by_row(columns: Any, coefficients: Any) -> Any:
    """Each row's sum of columns times coefficients, written out term by term: the marginal engine reads it as features."""
    return sum(columns[:, k] * coefficients[k] for k in range(columns.get_value(borrow=True).shape[1]))


def bend_at(posterior: xr.Dataset, facts: Facts, month: float) -> xr.DataArray:
    """How far the common course lies above its chord at a month, by draw; zero where it is straight."""
    knots, end = posterior["knot"].to_numpy(), float(facts.data["course_end"].sum())
    weights = xr.DataArray(course(np.asarray(month), knots, end), dims="knot")
    return (posterior["bend"] * weights.assign_coords(knot=knots)).sum("knot")


def from_first_visit(time_course: Any) -> Any:
    """A time course over all visits: zero at the first, the given values after it."""
    return pt.concatenate([pt.zeros_like(time_course[:1]), time_course])


def effect_by_visit(effect: Any, on_arm: Any) -> Any:
    """Each subject's treatment effect at each visit, (subject, visit, ...): zero at the first visit and in controls."""
    after_first = linear(on_arm, effect)
    if isinstance(after_first, float):
        return pt.zeros((on_arm.shape[0], effect.shape[1] + 1, *effect.shape[2:]))
    return pt.concatenate([pt.zeros_like(after_first[:, :1]), after_first], axis=1)
