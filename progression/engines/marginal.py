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

from progression.encoding import Encoded
from progression.engines import importance
from progression.engines.cells import Cells
from progression.engines.closed import ClosedForm
from progression.engines.elimination import draw_linear
from progression.engines.identity import closed_form_holds
from progression.engines.integration import ORDERS, Untrusted, check_units, integrate, put, refuse, resample
from progression.engines.nuts import label
from progression.engines.prepared import Program, prepare
from progression.engines.program import build
from progression.engines.proposal import normal_points
from progression.engines.quadrature import Integrated
from progression.modeling import Model, SupportsPyMC

_OFF = 0.01  # error of a patient's log likelihood above which the quadrature is made finer


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
    rows = inner.rows(arrays, encoded)
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
    refuse(weighted)
    where = resample(weighted, draws, chains, rngs)
    x = weighted.x[0, where]
    normal = normal_points(inner.n_linear, draws, rngs[1 : 1 + chains]).reshape(len(x), inner.n_linear)
    linear = draw_linear(weighted.kept[0, where], normal)
    log_density = inner.log_density(cells, x[None, :: max(1, len(x) // 8)])[0]
    hold = slice(None, None, max(1, len(x) // 8))
    if not closed_form_holds(inner, program.joint, arrays, own, x[hold], log_density[0], weighted.kept[0, where[hold]],
                             linear[hold], np.random.default_rng(1)):  # fmt: skip
        raise Untrusted("the closed form is not the program's density at its own draws")
    effects = inner.draw_effects(own, x, linear, rngs[-1])
    return (x, linear), effects, weighted, 0.0


def subject_log_likelihood(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], samples: xr.Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Each subject's log likelihood given the population parameters, its own effects integrated out.

    Parameters
    ----------
    samples : xarray.Dataset
        Draws of the population parameters, one dim `sample`.

    Returns
    -------
    log_likelihood : array, shape (samples, subjects)
    error : array, shape (subjects,)
        Root mean square difference to a finer quadrature on some of the draws; where that is large the quadrature itself
        is made finer, as far as it goes.

    Raises
    ------
    SettingError
        The effects of this program cannot be integrated out.
    Untrusted
        They can, but not as the program was read.
    """
    encoded = encoded.unpadded()
    program = prepare(model, encoded, priors)
    inner = program.integral()
    put(inner, program, encoded)
    drawn = {rv.name: samples[rv.name].transpose("sample", ...).to_numpy() for rv in program.split.population}
    x = program.split.unconstrained(drawn)
    inner.refer(x.mean(axis=0))
    some = x[:: max(1, len(x) // 16)]
    quadratic = inner.quadratic
    for stage in ((ORDERS[0], False), *((finer, True) for finer in ORDERS)):
        inner.order, inner.close = stage
        inner.quadratic = quadratic and not inner.close  # placed by the first curvature, until that is seen not to do
        likelihood = inner.by_subject(some, order=inner.order)
        inner.close = True
        square = (likelihood - inner.by_subject(some, order=inner.order + 4)) ** 2
        inner.close = stage[1]
        if np.mean(square, axis=0).max(initial=0) <= _OFF**2:
            break
    check_units(inner, some[:4])
    if program.split.grid is not None:
        put(inner, program, encoded, 2 * program.split.grid.points)
        inner.refer(x.mean(axis=0))
        inner.order, inner.close = stage
        inner.quadratic &= not inner.close
        square = square + (likelihood - inner.by_subject(some, order=inner.order)) ** 2
    return inner.by_subject(x, order=inner.order), np.sqrt(np.mean(square, axis=0))


def alike(inner: ClosedForm, a: Cells, b: Cells) -> bool:
    """Whether two codings of the same data give the same density, tried at random points."""
    x = np.random.default_rng(20261122).normal(0, 0.5, (1, 4, inner.form.rest.size))
    one, other = inner.log_density(a, x)[0], inner.log_density(b, x)[0]
    return bool(np.all(np.abs(one - other) <= 1e-7 * (1 + np.abs(one))))


def _integrated(program: Program, encoded: Encoded, draws: int, chains: int, rngs: list[np.random.Generator]) -> Any:
    points = chains * _power_of_two(draws)
    assert isinstance(program.inner, Integrated)
    x, weighted, error = integrate(
        program, program.inner, encoded, draws=draws, points=points, rngs=rngs, chains=chains
    )
    return (x,), program.inner.draw_effects(x, rngs[-1]), weighted, error


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
