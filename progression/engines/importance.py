"""A low-dimensional density explored without Markov chains: its mode, then weighted points; many densities at once.

Points come from a `Proposal` around the mode and carry importance weights smoothed by a generalised Pareto
distribution, whose shape k says whether the weights can be trusted. Where they cannot, the proposal is fitted
again to what was found, and the points of all rounds are weighted as one mixture.

Sources: Vehtari, Simpson, Gelman, Yao and Gabry (2024), JMLR 25:72 (Pareto-smoothed importance sampling); Cornuet,
Marin, Mira and Robert (2012), Scand. J. Statist. 39:798 (adaptive multiple importance sampling).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from progression.engines.pareto import smooth
from progression.engines.proposal import Proposal, around, cube

# target(x, which): log density (len(which), points) of the data sets `which` at x, (len(which), points, size), and
# whatever else it wants kept of each point, (len(which), points, width)
Target = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

# What a posterior may not exceed to be trusted. Vehtari et al. (2024) for k. The error is the SD, between draws, of the
# error of the log density: at 0.05 it moves no posterior mean by more than 0.05 posterior SD (Cauchy and Schwarz).
MAX_PARETO_K, MAX_QUADRATURE_ERROR, MIN_SHARE = 0.7, 0.05, 0.1

# Far out a density may overflow or be no number: such points count as impossible, and nobody needs to be told.
QUIET = np.errstate(divide="ignore", over="ignore", invalid="ignore")

GOOD_K, GOOD_SHARE, ROUNDS, WIDER, FURTHER = 0.1, 0.25, 9, 6.0, 1.3


@dataclass(frozen=True, eq=False)
class Mode:
    """Modes and curvatures of several densities.

    Attributes
    ----------
    at : array, shape (sets, size)
    root : array, shape (sets, size, size)
        A matrix square root of the inverse of minus the Hessian.
    found : array of bool, shape (sets,)
    """

    at: np.ndarray
    root: np.ndarray
    found: np.ndarray


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weighted points of several densities.

    Attributes
    ----------
    x : array, shape (sets, points, size)
    log_weight : array, shape (sets, points)
        Smoothed, and normalised to sum to one in each set.
    kept : array, shape (sets, points, width)
        What the target kept of each point.
    pareto_k, share : array, shape (sets,)
        Shape of the tail of the weights; effective sample size over number of points.
    log_proposal : array, shape (sets, points)
        Log density of the proposals the points are of, but for a constant.
    """

    x: np.ndarray
    log_weight: np.ndarray
    kept: np.ndarray
    pareto_k: np.ndarray
    share: np.ndarray
    log_proposal: np.ndarray


@QUIET
def find_modes(target: Target, start: np.ndarray, *, root: np.ndarray | None = None, steps: int = 40) -> Mode:
    """Newton's method with differences, in coordinates that the last curvature makes round; all sets at once.

    Parameters
    ----------
    target : callable
    start : array, shape (sets, size)
    root : array, shape (1, size, size), optional
        A guess of the square root of the inverse curvature.
    """
    sets, d = start.shape
    at, root = start.copy(), np.tile(0.3 * np.eye(d)[None] if root is None else root, (sets, 1, 1))
    open_, scale = np.arange(sets), np.full(sets, 0.5)
    pairs = [(i, j) for i in range(d) for j in range(i)]
    eye = np.eye(d)
    stencil = np.concatenate([np.zeros((1, d)), eye, -eye, *((eye[i] + eye[j])[None] for i, j in pairs)])
    for _ in range(steps):
        if not len(open_):
            break
        step = scale[open_, None, None]
        z = stencil[None] * step
        f = target(at[open_, None] + z @ root[open_].transpose(0, 2, 1), open_)[0]
        f = np.where(np.isfinite(f), f, -1e300)
        centre, up, down = f[:, 0], f[:, 1 : d + 1], f[:, d + 1 : 2 * d + 1]
        h = scale[open_]
        gradient = (up - down) / (2 * h[:, None])
        hessian = np.zeros((len(open_), d, d))
        hessian[:, np.arange(d), np.arange(d)] = (up - 2 * centre[:, None] + down) / h[:, None] ** 2
        for column, (i, j) in enumerate(pairs):
            mixed = (f[:, 2 * d + 1 + column] - up[:, i] - up[:, j] + centre) / h**2
            hessian[:, i, j] = hessian[:, j, i] = mixed
        hessian = np.nan_to_num(np.clip(hessian, -1e12, 1e12))
        value, vector = np.linalg.eigh(-hessian)
        value = np.maximum(np.abs(value), 1e-3)
        inner = vector * (1 / np.sqrt(value))[:, None, :]
        move = np.einsum("sij,skj,sk->si", inner, inner, gradient)
        length = np.sqrt((move**2).sum(axis=1))
        bound = np.minimum(1, 6 / np.maximum(length, 1e-12))
        # Far out in a tail that falls like exp(exp(x)) the right step is hundreds of local SDs long: tried too.
        fractions = np.where(
            bound[:, None] < 1, bound[:, None] * [0, 1, 0.2, 0.05] + [1, 0, 0, 0], [1.0, 0.5, 0.2, 0.05]
        )
        tried = at[open_, None] + (fractions[:, :, None] * move[:, None]) @ root[open_].transpose(0, 2, 1)
        reached = target(tried, open_)[0]
        reached = np.where(np.isfinite(reached), reached, -np.inf)
        best = reached.argmax(axis=1)
        better = reached[np.arange(len(open_)), best] > centre
        decrement = np.sqrt(np.maximum((gradient * move).sum(axis=1), 0) * bound)
        at[open_] = np.where(better[:, None], tried[np.arange(len(open_)), best], at[open_])
        root[open_] = root[open_] @ inner
        scale[open_] = 0.3
        open_ = open_[~((decrement < 0.05) & (length < 0.1))]
    found = np.ones(sets, bool)
    found[open_] = False
    return Mode(at, root, found)


@QUIET
def sample(target: Target, mode: Mode, *, points: int, seeds: list[np.random.Generator], chains: int = 1,
           rounds: int = ROUNDS, good_k: float = GOOD_K) -> Weighted:  # fmt: skip
    """Weighted points around the modes, in further rounds where the weights of the first cannot be trusted.

    Parameters
    ----------
    target : callable
    mode : Mode
    points : int
        Points a round and set: a multiple of `chains`.
    seeds : list of numpy.random.Generator
        One a set, so that a set's result does not depend on the others.
    chains : int
        Independent randomisations; point i belongs to chain i % chains of its round, rounds one after the other.
    rounds : int
    good_k : float
        Pareto k at which no further round is wanted. Weights have a variance below 0.5.
    """
    sets, d = mode.at.shape
    proposals = [around(target, mode.at, mode.root)]
    made: list[Weighted | None] = [None] * sets
    open_ = np.arange(sets)
    seen: list[np.ndarray] = []
    for round_ in range(rounds):
        fresh = proposals[-1].take(open_).points(cube(d + 1, points, [seeds[s] for s in open_], chains))
        new = [fresh, *target(fresh, open_)]
        seen = [np.concatenate(both, axis=1) for both in zip(seen, new, strict=True)] if seen else new
        x, value, kept = seen
        proposal = special.logsumexp([one.take(open_).log_density(x) for one in proposals], axis=0)
        log_weight, k = smooth(np.where(np.isfinite(value), value, -np.inf) - proposal)
        share = 1 / np.exp(special.logsumexp(2 * log_weight, axis=1)) / log_weight.shape[1]
        for i, s in enumerate(open_):
            before = made[s]
            if before is None or k[i] <= MAX_PARETO_K or k[i] < before.pareto_k:  # more points may be worse ones
                made[s] = Weighted(x[i], log_weight[i], kept[i], k[i], share[i], proposal[i])
        still = ~((k <= good_k) & (share >= GOOD_SHARE))
        if not still.any():
            break
        weight = np.exp(log_weight)
        centre = np.einsum("sp,spi->si", weight, x)
        off = x - centre[:, None]
        spread = np.einsum("sp,spi,spj->sij", weight, off, off)
        old = proposals[-1].root[open_]
        trust = np.clip(share * log_weight.shape[1] / (20.0 * d), 0.05, 1)[
            :, None, None
        ]  # few effective points say little
        spread = 1.2 * trust * spread + (1 - trust) * old @ old.transpose(0, 2, 1)
        spread *= WIDER if round_ % 2 else 1.0  # every other round reaches further: for tails the bulk says nothing of
        root = np.linalg.cholesky(spread + 1e-12 * np.eye(d))
        fitted = proposals[-1].put(open_, Proposal(centre, root, np.ones((len(open_), 2, d))))
        tails = open_[share >= GOOD_SHARE]  # the bulk is met, and tails are not: the first proposal, stretched further
        first = proposals[0].take(tails)
        further = replace(first, stretch=first.stretch * FURTHER ** (1 + round_ // 2))
        proposals.append(fitted.put(tails, further))
        open_, seen = open_[still], [one[still] for one in seen]
    return _together([one for one in made if one is not None])


def _together(made: list[Weighted]) -> Weighted:
    """Sets of possibly different numbers of points as one record: the missing points have weight zero."""
    n = max(len(one.x) for one in made)

    def filled(array: np.ndarray, value: float | None = None) -> np.ndarray:
        rest = np.repeat(array[:1], n - len(array), axis=0)
        return np.concatenate([array, rest if value is None else np.full_like(rest, value)])

    return Weighted(
        np.stack([filled(one.x) for one in made]), np.stack([filled(one.log_weight, -np.inf) for one in made]),
        np.stack([filled(one.kept) for one in made]), np.array([float(one.pareto_k) for one in made]),
        np.array([float(one.share) for one in made]), np.stack([filled(one.log_proposal) for one in made]),
    )  # fmt: skip


def reasons(weighted: Weighted) -> tuple[str, ...]:
    """Why each set's weights cannot be trusted; empty where they can.

    With few points even k below 0.7 is too much: Vehtari et al. (2024), equation 11.
    """
    points = np.isfinite(weighted.log_weight).sum(axis=1)
    most = np.minimum(1 - 1 / np.log10(np.maximum(points, 11)), MAX_PARETO_K)
    found = []
    for k, limit, share, n in zip(weighted.pareto_k, most, weighted.share, points, strict=True):
        text = "" if k <= limit else f"importance weights have Pareto k {k:.2f}; at most {limit:.2f} is wanted"
        if not text and not share >= MIN_SHARE:
            text = f"only {share:.0%} of {n} points are effective; at least {MIN_SHARE:.0%} are wanted"
        found.append(text)
    return tuple(found)


def resample(log_weight: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `draws` points in proportion to their weights: systematic, in random order."""
    total = np.cumsum(np.exp(log_weight - log_weight.max()))
    where = np.searchsorted(total, (np.arange(draws) + rng.random()) / draws * total[-1])
    return rng.permutation(np.minimum(where, len(log_weight) - 1))
