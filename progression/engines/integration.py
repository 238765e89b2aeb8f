"""The posterior of one data set whose subject effects are integrated numerically: its mode, then weighted points.

The quadrature is refined until its error is small, measured at draws of the posterior and, since an integral that comes
out too small hides a place from the draws, at points all over the proposal; a data set of which it stays large is given
back (`Untrusted`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from progression.encoding import Encoded
from progression.engines import importance
from progression.engines.grids import repeated
from progression.engines.identity import effects_stand_alone
from progression.engines.prepared import Program
from progression.engines.quadrature import Integrated

ORDERS = (5, 9, 15)
_FINER = 3  # grids tried for a latent that is on one, each with twice the nodes of the one before
_EXACT = 1e-6  # error of the log density that is no more than rounding
_LOOKED_AT, _ONE_IN = 64, 16  # points of a proposal at which a finer quadrature is compared: so many or one in so many


class Untrusted(RuntimeError):
    """The engine cannot vouch for its answer on this data set; the message says why.

    Attributes
    ----------
    approached : bool
        It began from the mode of another data set: from its own it may do better.
    """

    approached = False


def integrate(
    program: Program, inner: Integrated, encoded: Encoded, *, draws: int, points: int, rngs: list[np.random.Generator],
    chains: int, order: int = ORDERS[0], near: importance.Mode | None = None, good_k: float = importance.GOOD_K,
) -> tuple[np.ndarray, importance.Weighted, float]:  # fmt: skip
    """Draws of the population parameters of one data set, effects integrated numerically.

    Parameters
    ----------
    order : int
        Points an effect of the first quadrature that is tried.
    near : importance.Mode, optional
        The mode of a data set of the same design, to start from.
    good_k : float
        As for `importance.sample`.

    Returns
    -------
    x : array, shape (chains * draws, size)
    weighted : importance.Weighted
    error : float
        SD of the error of the log density, between draws and all over the proposal: see `_apart`.

    Raises
    ------
    Untrusted
    """
    copies = 1 if program.split.grid is None else program.split.grid.points
    for _ in range(_FINER):
        put(inner, program, encoded, copies)
        mode = explore(inner) if near is None else approach(inner, near)
        stages = ((order, False), *((finer, True) for finer in ORDERS))
        where, weighted, error, used = _weigh(inner, mode, draws, points, rngs, chains,
                                              ((1, False),) if inner.quadratic else stages, good_k)  # fmt: skip
        if inner.quadratic and not error <= _EXACT:  # it was not, where it matters
            inner.quadratic = False
            where, weighted, error, used = _weigh(inner, mode, draws, points, rngs, chains, stages, good_k)
        if program.split.grid is None or any(importance.reasons(weighted)):
            break
        quadratic, close = inner.quadratic, inner.close
        copies *= 2
        put(inner, program, encoded, copies)
        inner.quadratic &= quadratic
        inner.refer(mode.at[0])
        inner.close, inner.order = close, used
        error = float(np.hypot(error, _apart(weighted, where, lambda x: inner.log_density(x, order=inner.order))))
        if error <= importance.MAX_QUADRATURE_ERROR:
            break
    try:
        refuse(weighted)
        if not error <= importance.MAX_QUADRATURE_ERROR:
            raise Untrusted(f"the integral over subject effects is off by {error:.2g} in the log density between draws")
        check_units(inner, weighted.x[0, where[:4]])
    except Untrusted as untrusted:
        untrusted.approached = near is not None and mode.root is near.root
        raise
    return weighted.x[0, where], weighted, error


def check_units(inner: Integrated, x: np.ndarray) -> None:
    """Refuse a program of which effects were taken not to meet that do, on these data, at some points."""
    rng = np.random.default_rng(1)
    one, other = inner.draw_units(x, rng, candidates=2), inner.draw_units(x, rng, candidates=2)
    if not effects_stand_alone(inner, x, one, other, rng):
        raise Untrusted("a subject's rows depend on effects that were taken not to meet")


def _weigh(
    inner: Integrated, mode: importance.Mode, draws: int, points: int, rngs: list[np.random.Generator], chains: int,
    stages: tuple[tuple[int, bool], ...], good_k: float,
) -> tuple[np.ndarray, importance.Weighted, float, int]:  # fmt: skip
    """Weighted points by as fine a quadrature as it takes: draws, points, the error left, the order.

    A stage is a number of points an effect, and whether each integral is placed anew at every point of the parameters.
    """
    for order, inner.close in stages:

        def target(x: np.ndarray, which: np.ndarray, order: int = order) -> tuple[np.ndarray, np.ndarray]:
            value = inner.log_density(x[0], order=order)[None]
            return value, value[..., None]

        weighted = importance.sample(target, mode, points=points, seeds=rngs[:1], chains=chains, good_k=good_k)
        where = resample(weighted, draws, chains, rngs)
        error, inner.order = _error(inner, weighted, where, order), order
        hopeless = inner.close and any(
            importance.reasons(weighted)
        )  # points are few where they count: no finer sum mends it
        if error <= importance.MAX_QUADRATURE_ERROR or hopeless:
            break
    return where, weighted, error, order


def _error(inner: Integrated, weighted: importance.Weighted, where: np.ndarray, order: int) -> float:
    """How far the log density is from that with four more points an effect, each integral placed anew: see `_apart`."""
    close, inner.close = inner.close, True
    try:
        return _apart(weighted, where, lambda x: inner.log_density(x, order=order + 4))
    finally:
        inner.close = close


@importance.QUIET
def _apart(weighted: importance.Weighted, where: np.ndarray, finer: Callable[[np.ndarray], np.ndarray]) -> float:
    """How far a finer log density is from the one that the points were weighted by: SD at draws, or distance of weights if that is larger.

    The distance is sqrt(sum((a - b)**2 / ((a + b) / 2))) of the weights a and b of points all over the proposal by either
    density: where both agree but for a little it is that SD too, and a place that the coarser one missed makes it large. It
    bounds what a mean over these points changes by, in SDs; of what both miss it says nothing.
    """
    some = where[:: max(1, len(where) // 12)]
    x, log_weight, held, proposal = (
        one[0] for one in (weighted.x, weighted.log_weight, weighted.kept[..., 0], weighted.log_proposal)
    )
    spread = np.linspace(0, len(x) - 1, max(_LOOKED_AT, len(x) // _ONE_IN)).astype(int)
    value = finer(x[np.concatenate([some, spread])])
    drawn, value = value[: len(some)] - held[some], value[len(some) :]
    known = np.isfinite(log_weight)
    scale = np.median((log_weight - held + proposal)[known])  # weights are smoothed and normalised
    coarse = log_weight[spread]
    fine = np.where(known[spread], coarse + (value - held[spread]), value - proposal[spread] + scale)
    fine = np.where(fine < np.inf, fine, -np.inf)  # what overflows or is no number is impossible, as in sampling
    if not (np.isfinite(drawn).all() and np.isfinite(coarse).any() and np.isfinite(fine).any()):
        return np.inf
    a, b = special.softmax(coarse), special.softmax(fine)
    distance = np.sqrt(np.sum(np.divide(2 * (a - b) ** 2, a + b, out=np.zeros_like(a), where=a + b > 0)))
    return float(np.maximum(np.std(drawn), distance))


def put(inner: Integrated, program: Program, encoded: Encoded, copies: int | None = None) -> None:
    """Put one data set into an integral, each subject as often as a grid has nodes."""
    grid = program.split.grid
    copies = 1 if grid is None else copies or grid.points
    wide = encoded if copies == 1 else repeated(encoded, copies, {rv.name for rv in inner.blocks})
    inner.prepare(program.arrays(wide), wide.n_subjects,
                  {rv.name: wide.arrays[f"{rv.name}_subject"][1] for rv in inner.blocks}, copies=copies)  # fmt: skip


def explore(inner: Integrated) -> importance.Mode:
    """Mode and curvature of the marginal density, the reference of the quadrature moved along.

    Raises
    ------
    Untrusted
        Where the search ended at a point around which the density cannot be computed.
    """
    size = inner.x.size
    x, inverse = np.zeros(size), np.eye(size)
    found = False
    inner.refer(x)
    for _ in range(12):

        def negative(at: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = inner.gradient(at[None], order=3)
            if not np.isfinite(value[0]):
                return 1e300, np.zeros(size)
            return -float(value[0]), -gradient[0]

        with np.errstate(all="ignore"):
            result = optimize.minimize(negative, x, jac=True, method="BFGS",
                                       options={"gtol": 1e-2, "maxiter": 15, "hess_inv0": inverse})  # fmt: skip
        inverse = (result.hess_inv + result.hess_inv.T) / 2
        moved = np.sqrt(max(float((result.x - x) @ np.linalg.solve(inverse, result.x - x)), 0.0)) if size else 0.0
        x = result.x
        inner.refer(x)
        if moved < 0.1:
            found = True
            break
    step = 0.1 * np.sqrt(np.maximum(np.diag(inverse), 1e-8))
    around = np.concatenate([x + np.diag(step), x - np.diag(step)])
    _, gradient = inner.gradient(around, order=3)
    hessian = -(gradient[:size] - gradient[size:]) / (2 * step[:, None])
    hessian = (hessian + hessian.T) / 2
    if not np.isfinite(hessian).all():  # the search ran to where a density next to it has no value
        raise Untrusted("the marginal density has no curvature where its mode was looked for")
    value, vector = np.linalg.eigh(hessian)
    root = vector / np.sqrt(np.maximum(np.abs(value), 1e-4))
    return importance.Mode(x[None], root[None], np.array([found]))


def approach(inner: Integrated, near: importance.Mode) -> importance.Mode:
    """The mode of one more data set of a design, from that of another and with its curvature: a few steps."""
    x, inverse, found = near.at[0].copy(), near.root[0] @ near.root[0].T, False
    for _ in range(3):
        inner.refer(x)
        value, gradient = (one[0] for one in inner.gradient(x[None], order=3))
        start = x
        for _ in range(8):
            step = inverse @ gradient
            if gradient @ step < 0.05:
                break
            step *= min(1.0, 3.0 / np.sqrt(gradient @ step))
            tried = x + step
            new_value, new_gradient = (one[0] for one in inner.gradient(tried[None], order=3))
            if not new_value > value - 0.5:
                return explore(inner)
            change, bend = tried - x, gradient - new_gradient
            if change @ bend > 1e-8:  # BFGS update of the inverse curvature
                rho = 1 / (change @ bend)
                left = np.eye(len(x)) - rho * np.outer(change, bend)
                inverse = left @ inverse @ left.T + rho * np.outer(change, change)
            x, value, gradient = tried, new_value, new_gradient
        found = bool(np.sqrt((x - start) @ np.linalg.solve(inverse, x - start)) < 1.0)  # the reference is near enough
        if found:
            break
    return importance.Mode(x[None], near.root, np.array([found]))  # where it is not, the weights will say so


def resample(weighted: importance.Weighted, draws: int, chains: int, rngs: list[np.random.Generator]) -> np.ndarray:
    """Indices of points, chain after chain: each chain from its own points."""
    log_weight = weighted.log_weight[0]
    made = []
    for chain in range(chains):
        own = np.arange(chain, len(log_weight), chains)
        made.append(own[importance.resample(log_weight[own], draws, rngs[1 + chain])])
    return np.concatenate(made)


def refuse(weighted: importance.Weighted) -> None:
    """Give a data set back whose weights cannot be trusted."""
    (reason,) = importance.reasons(weighted)
    if reason:
        raise Untrusted(reason)
