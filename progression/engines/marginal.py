"""Subject effects integrated out: the posterior of what remains by weighted points, without Markov chains.

From the same PyMC program as NUTS. Where the program is normal given a few parameters, everything else is integrated in
closed form; elsewhere each subject's effects are integrated by adaptive quadrature. The result states its own accuracy,
and an engine that cannot be trusted on a data set says so (`Untrusted`) instead of answering.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy import optimize

from progression.encoding import Encoded
from progression.engines import importance
from progression.engines.cells import Cells
from progression.engines.closed import ClosedForm
from progression.engines.elimination import draw_linear
from progression.engines.grids import repeated
from progression.engines.identity import closed_form_holds, effects_stand_alone
from progression.engines.nuts import label
from progression.engines.prepared import Program, prepare
from progression.engines.program import build
from progression.engines.quadrature import Integrated
from progression.modeling import Model, SupportsPyMC

ORDERS = (5, 9, 15)
_FINER = 3  # grids tried for a latent that is on one, each with twice the nodes of the one before


class Untrusted(RuntimeError):
    """The engine cannot vouch for its answer on this data set; the message says why."""


def sample(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], *, draws: int, chains: int, random_seed: int,
) -> tuple[xr.Dataset, xr.Dataset]:  # fmt: skip
    """Draw from the posterior: independent draws, subject effects included.

    Returns
    -------
    posterior, stats : xarray.Dataset
        Dims (chain, draw, ...); chains are independent randomisations. `stats` has pareto_k, importance_share and
        importance_ess by chain, and quadrature_error.

    Raises
    ------
    SettingError
        The engine cannot handle the program.
    Untrusted
        It cannot vouch for the answer on these data.
    """
    encoded = encoded.unpadded()
    built = build(model, encoded, priors)  # first: it says in words what data the program lacks
    program = prepare(model, encoded, priors, built)
    seeds = np.random.SeedSequence(random_seed).spawn(chains + 2)
    rngs = [np.random.default_rng(seed) for seed in seeds]
    if isinstance(program.inner, ClosedForm):
        found = _closed(program, program.inner, encoded, draws, chains, rngs)
    else:
        found = _integrated(program, encoded, draws, chains, rngs)
    flat, effects, weighted, error = found
    program.split.with_data(program.arrays(encoded), encoded.n_subjects)
    values = program.population(*flat) | program.subjects(effects, *flat)
    raw = {name: np.asarray(array).reshape(chains, draws, *array.shape[1:]) for name, array in values.items()}
    return label(raw, built), _stats(weighted, chains, draws, error)


def _closed(program: Program, inner: ClosedForm, encoded: Encoded, draws: int, chains: int,
            rngs: list[np.random.Generator]) -> Any:  # fmt: skip
    arrays, n = program.arrays(encoded), encoded.n_subjects
    names = [block.name for block in inner.form.blocks]
    subject = [encoded.arrays[f"{name}_subject"][1] for name in names]
    rows = inner.rows(arrays, n, subject, [encoded.arrays[f"{name}_value"][1][None].astype(float) for name in names])
    plain = program.coordinates(arrays)
    own, cells = inner.cells(arrays, n, rows, every=True), inner.cells(plain, n, rows)
    if not alike(inner, own, cells):
        plain, cells = arrays, inner.cells(arrays, n, rows)

    def target(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inner.log_density(cells, x)

    mode = importance.find_modes(target, np.zeros((1, inner.form.rest.size)))
    _one_mode(inner, cells, mode)
    points = chains * _power_of_two(2 * draws)
    weighted = importance.sample(target, mode, points=points, seeds=rngs[:1], chains=chains)
    _refuse(weighted)
    where = _resample(weighted, draws, chains, rngs)
    x = weighted.x[0, where]
    normal = importance.normal_points(inner.n_linear, draws, rngs[1 : 1 + chains]).reshape(len(x), inner.n_linear)
    linear = draw_linear(weighted.kept[0, where], normal)
    log_density = inner.log_density(cells, x[None, :: max(1, len(x) // 8)])[0]
    hold = slice(None, None, max(1, len(x) // 8))
    if not closed_form_holds(inner, program.joint, arrays, own, x[hold], log_density[0], weighted.kept[0, where[hold]],
                             linear[hold], np.random.default_rng(1)):  # fmt: skip
        raise Untrusted("the closed form is not the program's density at its own draws")
    effects = inner.draw_effects(own, x, linear, rngs[-1])
    return (x, linear), effects, weighted, 0.0


def subject_log_likelihood(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], samples: xr.Dataset, *, order: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Each subject's log likelihood given the population parameters, its own effects integrated out.

    Parameters
    ----------
    samples : xarray.Dataset
        Draws of the population parameters, one dim `sample`.
    order : int
        Quadrature points an effect.

    Returns
    -------
    log_likelihood : array, shape (samples, subjects)
    error : array, shape (subjects,)
        Root mean square difference to a finer quadrature on some of the draws.

    Raises
    ------
    SettingError
        The effects of this program cannot be integrated out.
    """
    encoded = encoded.unpadded()
    program = prepare(model, encoded, priors)
    inner = program.integral()
    put(inner, program, encoded)
    drawn = {rv.name: samples[rv.name].transpose("sample", ...).to_numpy() for rv in program.split.population}
    x = program.split.unconstrained(drawn)
    inner.refer(x.mean(axis=0))
    some = x[:: max(1, len(x) // 16)]
    gap = inner.by_subject(some, order=order) - inner.by_subject(some, order=order + 4)
    return inner.by_subject(x, order=order), np.sqrt(np.mean(gap**2, axis=0))


def alike(inner: ClosedForm, a: Cells, b: Cells) -> bool:
    """Whether two codings of the same data give the same density, tried at random points."""
    x = np.random.default_rng(20261122).normal(0, 0.5, (1, 4, inner.form.rest.size))
    one, other = inner.log_density(a, x)[0], inner.log_density(b, x)[0]
    return bool(np.all(np.abs(one - other) <= 1e-7 * (1 + np.abs(one))))


def _integrated(program: Program, encoded: Encoded, draws: int, chains: int, rngs: list[np.random.Generator]) -> Any:
    points = chains * _power_of_two(draws)
    assert isinstance(program.inner, Integrated)
    x, weighted, error = integrate(program, program.inner, encoded, draws=draws, points=points, rngs=rngs, chains=chains)
    return (x,), program.inner.draw_effects(x, rngs[-1]), weighted, error


def integrate(
    program: Program, inner: Integrated, encoded: Encoded, *, draws: int, points: int, rngs: list[np.random.Generator],
    chains: int, orders: tuple[int, ...] = ORDERS, near: importance.Mode | None = None, good_k: float = importance.GOOD_K,
) -> tuple[np.ndarray, importance.Weighted, float]:  # fmt: skip
    """Draws of the population parameters of one data set, effects integrated numerically.

    Parameters
    ----------
    orders : tuple of int
        Points of the quadrature, tried in turn until its error is small.
    near : importance.Mode, optional
        The mode of a data set of the same design, to start from.
    good_k : float
        As for `importance.sample`.

    Returns
    -------
    x : array, shape (chains * draws, size)
    weighted : importance.Weighted
    error : float
        SD between draws of the error of the log density.
    """
    copies = 1 if program.split.grid is None else program.split.grid.points
    for _ in range(_FINER):
        put(inner, program, encoded, copies)
        mode = explore(inner) if near is None else approach(inner, near)
        where, weighted, error, order = _weigh(inner, mode, draws, points, rngs, chains,
                                               (1,) if inner.quadratic else orders, good_k)  # fmt: skip
        if copies == 1:
            break
        some = weighted.x[0, where[:: max(1, len(where) // 12)]]
        coarse = inner.log_density(some, order=order)
        copies *= 2
        put(inner, program, encoded, copies)
        inner.refer(mode.at[0])
        error = float(np.hypot(error, np.std(coarse - inner.log_density(some, order=order))))
        if error <= importance.MAX_QUADRATURE_ERROR:
            break
    if not error <= importance.MAX_QUADRATURE_ERROR:
        raise Untrusted(f"the integral over subject effects is off by {error:.2g} in the log density between draws")
    _refuse(weighted)
    check = np.random.default_rng(1)
    few = weighted.x[0, where[:4]]
    if not effects_stand_alone(inner, few, inner.draw_units(few, check, candidates=2),
                               inner.draw_units(few, check, candidates=2), check):  # fmt: skip
        raise Untrusted("a subject's rows depend on effects that were taken not to meet")
    return weighted.x[0, where], weighted, error


def _weigh(
    inner: Integrated, mode: importance.Mode, draws: int, points: int, rngs: list[np.random.Generator], chains: int,
    orders: tuple[int, ...], good_k: float,
) -> tuple[np.ndarray, importance.Weighted, float, int]:  # fmt: skip
    """Weighted points with as many quadrature points an effect as it takes: draws, points, the error left, the order."""
    for order in orders:

        def target(x: np.ndarray, which: np.ndarray, order: int = order) -> tuple[np.ndarray, np.ndarray]:
            return inner.log_density(x[0], order=order)[None], np.empty((*x.shape[:2], 0))

        weighted = importance.sample(target, mode, points=points, seeds=rngs[:1], chains=chains, good_k=good_k)
        where = _resample(weighted, draws, chains, rngs)
        some = weighted.x[0, where[:: max(1, len(where) // 12)]]
        gap = inner.log_density(some, order=order) - inner.log_density(some, order=order + 4)
        error = float(np.std(gap))
        if error <= importance.MAX_QUADRATURE_ERROR:
            break
    return where, weighted, error, order


def put(inner: Integrated, program: Program, encoded: Encoded, copies: int | None = None) -> None:
    """Put one data set into an integral, each subject as often as a grid has nodes."""
    grid = program.split.grid
    copies = 1 if grid is None else copies or grid.points
    wide = encoded if copies == 1 else repeated(encoded, copies)
    inner.prepare(program.arrays(wide), wide.n_subjects,
                  {rv.name: wide.arrays[f"{rv.name}_subject"][1] for rv in inner.blocks}, copies=copies)  # fmt: skip


def explore(inner: Integrated) -> importance.Mode:
    """Mode and curvature of the marginal density, the reference of the quadrature moved along."""
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
    value, vector = np.linalg.eigh(hessian)
    root = vector / np.sqrt(np.maximum(np.abs(value), 1e-4))
    return importance.Mode(x[None], root[None], np.array([found]))


def approach(inner: Integrated, near: importance.Mode) -> importance.Mode:
    """The mode of one more data set of a design, from that of another and with its curvature: a few steps."""
    x, inverse = near.at[0].copy(), near.root[0] @ near.root[0].T
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
        if np.sqrt((x - start) @ np.linalg.solve(inverse, x - start)) < 1.0:  # the reference is near enough
            break
    return importance.Mode(x[None], near.root, np.array([True]))


def _resample(weighted: importance.Weighted, draws: int, chains: int, rngs: list[np.random.Generator]) -> np.ndarray:
    """Indices of points, chain after chain: each chain from its own points."""
    log_weight = weighted.log_weight[0]
    made = []
    for chain in range(chains):
        own = np.arange(chain, len(log_weight), chains)
        made.append(own[importance.resample(log_weight[own], draws, rngs[1 + chain])])
    return np.concatenate(made)


def _refuse(weighted: importance.Weighted) -> None:
    (reason,) = importance.reasons(weighted)
    if reason:
        raise Untrusted(reason)


def _one_mode(inner: ClosedForm, cells: Cells, mode: importance.Mode) -> None:
    """Refuse a density with several modes that matter, looked for from scattered starts."""
    if not mode.found[0]:
        raise Untrusted("the mode was not found")
    d = mode.at.shape[1]
    if not d:
        return
    starts = mode.at + np.random.default_rng(20261122).normal(0, 2, (4, d))

    def target(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, kept = inner.log_density(cells, x.reshape(1, -1, d))
        return found.reshape(x.shape[:2]), kept.reshape(*x.shape[:2], -1)

    others = importance.find_modes(target, starts, steps=15)
    height = target(np.concatenate([mode.at, others.at])[:, None], np.arange(5))[0][:, 0]
    away = np.linalg.norm((others.at - mode.at) @ np.linalg.inv(mode.root[0]).T, axis=1)
    if np.any((away > 4) & (height[1:] > height[0] - 3) & others.found):
        raise Untrusted("the density of the parameters that remain has several modes")


def _stats(weighted: importance.Weighted, chains: int, draws: int, error: float) -> xr.Dataset:
    share = float(weighted.share[0])
    ess = share * weighted.x.shape[1] / chains
    names = {
        "pareto_k": float(weighted.pareto_k[0]),
        "importance_share": share,
        "importance_ess": ess,
        "quadrature_error": error,
    }
    return xr.Dataset({name: (("chain", "draw"), np.full((chains, draws), value)) for name, value in names.items()})


def _power_of_two(n: int) -> int:
    return int(2 ** np.ceil(np.log2(max(n, 256))))
