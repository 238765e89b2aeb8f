"""The density that points are drawn from: a multivariate t of two pieces along each axis, quasi-random.

On either side of the mode the t is stretched as far as the density asked for reaches, and has as many points as it is
wide, so that it is continuous (John 1982; Villani and Larsson 2006). With as many points on both sides, as in the split
t of Geweke (1989), the weights would jump at the mode by the ratio of the widths, in as many factors as there are axes.

The axes are those of the parameters, as nearly as the curvature allows: of all square roots of a covariance matrix
D C D, with D the SDs and C the correlations, D C^(1/2) lies nearest to them (Kessy, Lewin and Strimmer 2018, "ZCA-cor").
An SD that the data hardly bound from below has its long tail along its own axis: a root turned against it finds neither
the tail nor the points to fill it. Where a density reaches far along a ridge instead, the ridge is an axis.

Sources: John (1982), Comm. Statist. A 11:879; Geweke (1989), Econometrica 57:1317; Villani and Larsson (2006), Comm.
Statist. Theory Methods 35:1123; Kessy, Lewin and Strimmer (2018), Am. Statist. 72:309; Owen (1998), J. Complexity 14:466,
on scrambled nets. How far a density reaches: `reach`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special, stats

from progression.engines.reach import DROP, SDS, Target, drop, reach

# Where a density reaches farther down than up, points go farther down still, by so much at most: what is thinnest there
# weighs most. Where two SDs share a variance, the lowest hundredth of the weaker one has 0.7 to 0.9 of its weight
# without it, 0.99 to 1.01 with it. On axes that are as long on both sides it would cost points as e to their number.
_LOWER = 1.3
_FAR = 2.0  # times as far as a normal: no longer a matter of the curvature at the mode


@dataclass(frozen=True, eq=False)
class Proposal:
    """What points of several densities are drawn from.

    Attributes
    ----------
    at : array, shape (sets, size)
    root : array, shape (sets, size, size)
        Columns are the axes, as long as a standard deviation.
    stretch : array, shape (sets, 2, size)
        How much further than that it reaches, below and above along each axis.
    """

    at: np.ndarray
    root: np.ndarray
    stretch: np.ndarray

    def take(self, which: np.ndarray) -> Proposal:
        """Some of the sets."""
        return Proposal(self.at[which], self.root[which], self.stretch[which])

    def put(self, which: np.ndarray, other: Proposal) -> Proposal:
        """The same with other sets in the places `which`."""
        made = Proposal(self.at.copy(), self.root.copy(), self.stretch.copy())
        made.at[which], made.root[which], made.stretch[which] = other.at, other.root, other.stretch
        return made

    def points(self, cube: np.ndarray) -> np.ndarray:
        """Points, (sets, points, size), from evenly filled unit cubes of a dimension more, (sets, points, size + 1)."""
        below, above = self.stretch[:, None, 0], self.stretch[:, None, 1]
        share = below / (below + above)
        u, degrees = cube[..., :-1], _degrees(self.at.shape[1])
        z = np.where(
            u < share,
            below * special.ndtri(np.minimum(0.5 * u / share, 0.5)),
            above * special.ndtri(np.maximum(0.5 + 0.5 * (u - share) / (1 - share), 0.5)),
        )
        z *= np.sqrt(degrees / (2 * special.gammaincinv(degrees / 2, cube[..., -1:])))
        return self.at[:, None] + z @ self.root.transpose(0, 2, 1)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Up to a constant that all proposals of a size share, (sets, points) at x, (sets, points, size)."""
        d = x.shape[2]
        degrees = _degrees(d)
        z = (x - self.at[:, None]) @ np.linalg.inv(self.root).transpose(0, 2, 1)
        z /= np.where(z > 0, self.stretch[:, None, 1], self.stretch[:, None, 0])
        determinant = np.linalg.slogdet(self.root)[1] + np.log(self.stretch.mean(axis=1)).sum(axis=1)
        return -0.5 * (degrees + d) * np.log1p((z**2).sum(axis=2) / degrees) - determinant[:, None]


def around(target: Target, at: np.ndarray, root: np.ndarray) -> Proposal:  # fmt: skip
    """Proposals around the modes of several densities.

    Parameters
    ----------
    target : callable
        See `importance.Target`.
    at : array, shape (sets, size)
        The modes.
    root : array, shape (sets, size, size)
        Any square root of the inverse of minus the Hessian there.
    """
    straight = _along_ridges(target, at, root)
    stretch = reach(target, at, straight)
    stretch[:, 0] *= np.clip(stretch[:, 0] / stretch[:, 1], 1.0, _LOWER)
    return Proposal(at, 1.1 * straight, stretch)


def upright(root: np.ndarray) -> np.ndarray:
    """Of all roots of the same covariances, (sets, size, size), those whose columns lie nearest to the axes."""
    largest = np.abs(root).max(axis=2, initial=0, keepdims=True)  # a mode that is lost has roots whose squares are 0
    row = root / np.where(largest > 0, largest, 1)
    norm = np.linalg.norm(row, axis=2, keepdims=True)
    vector, value, _ = np.linalg.svd(np.nan_to_num(row / np.where(norm > 0, norm, 1)))
    return np.asarray(largest * norm * ((vector * value[:, None, :]) @ vector.transpose(0, 2, 1)))


def _along_ridges(target: Target, at: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Upright roots, but where a density reaches far along a ridge: there an axis is the ridge.

    A prior that is a mixture, of a drift that is small or anything at all, makes a density wide far out along a ridge on
    which other parameters move with the drift. By the curvature they do so along its own column of the covariance: the
    axis of a parameter that comes first in a Cholesky root. An SD that is hardly bounded from below reaches farther along
    its upright axis than along that column, and keeps it.
    """
    found, covariance = upright(root), root @ root.transpose(0, 2, 1)
    along = covariance / np.sqrt(np.einsum("sii->si", covariance))[:, None, :]
    both = drop(target, at, np.concatenate([along, found], axis=2), np.array([SDS * _FAR]))[..., 0].min(axis=1)
    fall, upright_fall = np.split(both, 2, axis=1)
    far = fall < np.minimum(upright_fall, DROP)
    for s in np.flatnonzero(far.any(axis=1)):
        order = np.argsort(np.where(far[s], fall[s], np.inf), kind="stable")  # the farthest first, others as they come
        lower = np.linalg.qr(root[s, order].T)[1].T  # the Cholesky root, without the digits that squaring loses
        lower *= np.where(np.diag(lower) < 0, -1, 1)
        rest = slice(int(far[s].sum()), None)
        lower[rest, rest] = upright(lower[None, rest, rest])[0]
        found[s][np.ix_(order, order)] = lower
    return found


def cube(d: int, points: int, rngs: list[np.random.Generator], chains: int = 1) -> np.ndarray:
    """Points that fill the unit cube evenly, (sets, points, d): a scrambled net, shifted at random for each set and chain.

    Point i belongs to chain i % chains, and each chain's points fill the cube by themselves.
    """
    each = points // chains
    net = _net(d, 2 ** int(np.ceil(np.log2(max(each, 2)))), 20261122)[:each]
    shift = np.stack([rng.random((chains, d)) for rng in rngs])
    made = net[None, :, None] + shift[:, None]
    made -= made >= 1
    return np.clip(made, 1e-12, 1 - 1e-12, out=made).reshape(len(rngs), points, d)


def normal_points(d: int, points: int, rngs: list[np.random.Generator]) -> np.ndarray:
    """Standard normal points that fill their space evenly, (sets, points, d), one generator a set."""
    return special.ndtri(cube(d, points, rngs)) if d else np.zeros((len(rngs), points, 0))


@lru_cache(maxsize=32)
def _net(d: int, points: int, seed: int) -> np.ndarray:
    return np.asarray(stats.qmc.Sobol(d, seed=seed).random(points))


def _degrees(d: int) -> float:
    """Degrees of freedom: tails heavier than any posterior met here, without spreading the bulk where d is large."""
    return max(7.0, 1.5 * d)
