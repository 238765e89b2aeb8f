"""How far a density reaches on either side of its mode, along each of some axes, with the other axes giving way.

A reach is measured where the log density has fallen by 8, as that of a normal has at four standard deviations: from
nearer by, neither the wide part of a mixture is seen nor the tail of an SD that the data hardly bound from below.

First along straight lines through the mode, and then along the profile: from the end of each line the other axes take
one Newton step, and the line bent to there is followed further. Where two SDs share a variance, the weaker one may
fall to nothing if the other grows by two of its own SDs: along the line the density is gone there, and a posterior
would lose that tail.

Sources: the profile of a density, as of a likelihood (Cox and Hinkley 1974, Theoretical Statistics, section 9.2); the
distances along axes, Rue, Martino and Chopin (2009), JRSS B 71:319, section 6.5. The bent line is our own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Target = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # as `importance.Target`

DROP, SDS = 8.0, 4.0  # how far the log density of a normal falls, and at how many SDs
_LINE = np.geomspace(0.8, 16, 10)  # looked at along a line, times as far as a normal reaches
_BENT = np.array([1.0, 1.4, 2.0, 2.8])  # and along a bent one, times as far as the line
_FRACTIONS = np.array([0.6, 1.6])  # of the Newton step, whose curvature is that at the mode
_NEAR, _MOST = 0.5, 3.0  # SDs: of a difference; the longest step
_SAME = 1.05  # a bent line that gets no further than this is as good as straight


def reach(target: Target, at: np.ndarray, root: np.ndarray) -> np.ndarray:
    """How much further than a normal each density reaches.

    Parameters
    ----------
    target : callable
        See `importance.Target`.
    at : array, shape (sets, size)
        The modes.
    root : array, shape (sets, size, size)
        Columns are the axes, as long as a standard deviation.

    Returns
    -------
    array, shape (sets, 2, size)
        Below and above along each axis: 1 of a normal.
    """
    straight = _along_lines(target, at, root)
    return straight if at.shape[1] < 2 else _along_profiles(target, at, root, straight)


def drop(target: Target, at: np.ndarray, axes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How far each log density falls from its mode to points below and above it on some axes, (sets, 2, axes, lengths).

    Parameters
    ----------
    target : callable
    at : array, shape (sets, size)
    axes : array, shape (sets, size, axes)
    lengths : array, shape (lengths,)
        Times each axis's own.
    """
    move = np.array([-1.0, 1.0])[:, None, None, None] * lengths[:, None] * axes.transpose(0, 2, 1)[:, None, :, None, :]
    return _drop_to(target, at, move)


def _along_lines(target: Target, at: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The last length before which the density has not fallen, so that a second hump behind a dip is reached as well.

    What lies behind a dip counts if two neighbouring lengths see it: at one alone, farther down than where an SD is as
    good as 0, arithmetic gives out and a density may seem to rise again.
    """
    fall = np.sqrt(drop(target, at, root, SDS * _LINE))  # of a normal a straight line in the distance
    near = fall < DROP**0.5
    seen = near & np.concatenate([np.ones_like(near[..., :1]), near[..., :-1]], axis=-1)
    last = np.where(seen.any(axis=-1), len(_LINE) - 1 - seen[..., ::-1].argmax(axis=-1), -1)
    return _between(fall, _LINE, last)


def _along_profiles(target: Target, at: np.ndarray, root: np.ndarray, straight: np.ndarray) -> np.ndarray:
    """The straight reach lengthened to that of the profile; the axes that gave way reach as far as they had to."""
    d = at.shape[1]
    others = np.array([[k for k in range(d) if k != j] for j in range(d)])
    end = np.array([-1.0, 1.0])[:, None, None] * (SDS * straight)[..., None] * np.eye(d)  # sets, 2, axis, coordinate
    beside = _NEAR * np.eye(d)[others]
    beside = np.concatenate([np.zeros((d, 1, d)), beside, -beside], axis=1)
    fall = _drop_to(target, at, (end[..., None, :] + beside) @ _across(root))
    there, up, down = fall[..., :1], fall[..., 1:d], fall[..., d:]
    with np.errstate(invalid="ignore"):
        gradient = (there - up) / _NEAR + _NEAR / 2  # the curvature, 1, is taken out
    gradient = np.where(np.minimum(up, down) < there, np.nan_to_num(gradient), 0)  # where neither side is better, none
    step = np.einsum("sbjk,jkl->sbjl", np.clip(gradient, -_MOST, _MOST), np.eye(d)[others])

    bent = end[..., None, :] + _FRACTIONS[:, None] * step[..., None, :]
    bent = _BENT[:, None, None] * bent[..., None, :, :]  # sets, 2, axis, length, fraction, coordinate
    shape = bent.shape[:-1]
    fall = _drop_to(target, at, bent.reshape(*shape[:3], -1, d) @ _across(root)).reshape(shape).min(axis=-1)
    out = fall >= DROP
    gain = _between(np.sqrt(fall), _BENT, np.where(out.any(axis=-1), out.argmax(axis=-1), len(_BENT)) - 1)
    led = np.where(gain[..., None] > _SAME, step, 0) / 2  # an SD of half the step: two SDs out there are points enough
    side = np.stack([np.maximum(-led, 0).max(axis=(1, 2)), np.maximum(led, 0).max(axis=(1, 2))], axis=1)
    return np.asarray(np.clip(np.maximum(straight * gain, side), _LINE[0], _LINE[-1]))


def _between(fall: np.ndarray, lengths: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Where the root of the drop, (..., lengths), is that of a normal's: behind the length numbered `last`, -1 before all."""
    after = np.clip(last + 1, 0, len(lengths) - 1)
    before = np.maximum(last, 0)
    here, there = (np.take_along_axis(fall, i[..., None], axis=-1)[..., 0] for i in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        way = np.where(there > here, (DROP**0.5 - here) / (there - here), 0.0)
    return np.asarray(lengths[before] + np.clip(way, 0, 1) * (lengths[after] - lengths[before]))


def _across(root: np.ndarray) -> np.ndarray:
    """Takes coordinates on the axes, (sets, 2, axis, n, size), to moves of the parameters by `@`."""
    return root.transpose(0, 2, 1)[:, None, None]


def _drop_to(target: Target, at: np.ndarray, move: np.ndarray) -> np.ndarray:
    """The drop from each mode to where a move, (sets, 2, axes, n, size), leads: not below 0, infinite beyond support."""
    sets, d = at.shape
    points = at[:, None] + np.concatenate(
        [np.zeros((sets, 1, d)), move.reshape(sets, int(np.prod(move.shape[1:-1])), d)], axis=1
    )
    value = target(points, np.arange(sets))[0]
    with np.errstate(invalid="ignore"):
        fall = np.where(np.isfinite(value[:, 1:]), value[:, :1] - value[:, 1:], np.inf)
    return np.maximum(np.nan_to_num(fall, nan=0, posinf=np.inf), 0).reshape(move.shape[:-1])
