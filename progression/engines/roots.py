"""Curvatures of many units at once and the square roots of their inverses: small matrices, by the hundred thousand.

Two by two, which is what most have, they are written out: a library takes most of its time to begin with each.
"""

from __future__ import annotations

import numpy as np

# Smallest and largest curvature, and the smallest over the largest where each effect is measured in its own scale: below
# it a root is rounding.
_LEAST, _MOST, _CONDITION = 1e-6, 1e100, 1e-10


def positive(precision: np.ndarray, *, alone: bool) -> np.ndarray:
    """Some that have a root, eigenvalues without their signs: away from a mode a curvature may be of either.

    Parameters
    ----------
    precision : array, shape (..., effects, effects)
        Symmetric; what is no number counts as none.
    alone : bool
        Whether no effect meets another, so that all are diagonal.

    Returns
    -------
    array, shape (..., effects, effects)
        Positive definite.
    """
    size = precision.shape[-1]
    if alone:
        diagonal = np.nan_to_num(np.diagonal(precision, axis1=-2, axis2=-1))
        diagonal = np.clip(np.abs(diagonal), _LEAST, _MOST)
        return diagonal[..., None] * np.eye(size)
    made = np.clip(np.nan_to_num(precision), -_MOST, _MOST)
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(made, axis1=-2, axis2=-1)), _LEAST))
    mend = np.ones(made.shape[:-2], bool)
    if size == 2:  # most need no mending, which is soon seen
        a, b, c = made[..., 0, 0], made[..., 1, 0], made[..., 1, 1]
        mend = ~((np.minimum(a, c) >= _LEAST) & (a * c - b * b > _CONDITION * a * c))
    own = scale[mend][..., :, None] * scale[mend][..., None, :]  # effects differ in scale, which is no fault
    value, vector = np.linalg.eigh(made[mend] / own)
    value = np.abs(value)
    value = np.maximum(value, _CONDITION * np.maximum(value.max(axis=-1, keepdims=True, initial=0), 1))
    made[mend] = (vector * value[..., None, :]) @ vector.swapaxes(-1, -2) * own
    return made


def root_of_inverse(precision: np.ndarray, *, alone: bool) -> np.ndarray:
    """Lower triangular root of the inverse, its diagonal as logarithms, so that it may be moved linearly."""
    size = precision.shape[-1]
    if alone:
        return -0.5 * np.log(np.diagonal(precision, axis1=-2, axis2=-1))[..., None] * np.eye(size)
    if size == 2:
        a, b, c = precision[..., 0, 0], precision[..., 1, 0], precision[..., 1, 1]
        log_c, log_det = np.log(c), np.log(a * c - b * b)
        root = np.zeros(precision.shape)
        root[..., 0, 0], root[..., 1, 1] = 0.5 * (log_c - log_det), -0.5 * log_c
        root[..., 1, 0] = -b / c * np.exp(root[..., 0, 0])
        return root
    root = np.linalg.cholesky(np.linalg.inv(precision))
    index = np.arange(size)
    root[..., index, index] = np.log(root[..., index, index])
    return root


def plain(root: np.ndarray) -> np.ndarray:
    """A root whose diagonal is of logarithms as the matrix it is."""
    made = root.copy()
    index = np.arange(root.shape[-1])
    made[..., index, index] = np.exp(made[..., index, index])
    return made


def newton(root: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The step of Newton's method, (..., effects): the square of a plain root times a gradient."""
    return np.einsum("...ij,...j->...i", root, np.einsum("...ji,...j->...i", root, gradient))
