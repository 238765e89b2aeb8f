"""The marginal engine where some subjects count in part: each marginal likelihood raised to a power of its own.

With theta the population parameters and L_i the likelihood of subject i, its effects integrated out, the posterior is
p(theta) times the product of L_i(theta) ** weight_i. Weights below 1 on historical controls are a power prior; NUTS on
the joint density cannot do this, since a power of an integral is not the integral of a power.

Source: Ibrahim and Chen (2000), Statistical Science 15:46, section 3.2 (random effects: the power is on the marginal
likelihood); Ibrahim, Chen, Gwon and Chen (2015), Statistics in Medicine 34:3724.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from scipy import special, stats

from progression.encoding import Encoded
from progression.engines import importance, marginal
from progression.engines.closed import ClosedForm
from progression.engines.elimination import draw_linear
from progression.engines.identity import closed_form_holds
from progression.engines.integration import Untrusted, integrate, refuse, resample
from progression.engines.nuts import label
from progression.engines.prepared import Program, prepare
from progression.engines.program import build
from progression.engines.proposal import normal_points
from progression.engines.quadrature import Integrated
from progression.engines.weighted_cells import weighted_cells
from progression.modeling import Model, SupportsPyMC

_EVIDENCE_POINTS, _EVIDENCE_DEGREES = 4096, 7.0


class Powered(Integrated):
    """The marginal density with a weight on each subject's log likelihood."""

    weights: np.ndarray

    def by_subject(self, x: np.ndarray, *, order: int) -> np.ndarray:
        """Each subject's log likelihood times its weight, (points, subjects)."""
        return super().by_subject(x, order=order) * self.weights

    def gradient(self, x: np.ndarray, *, order: int) -> tuple[np.ndarray, np.ndarray]:
        """Log density (points,) and its gradient (points, size), by central differences."""
        points, size = x.shape
        step = 1e-4
        shifts = step * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
        around = (x[:, None] + shifts[None]).reshape(-1, size)
        value = self.log_density(around, order=order).reshape(points, 2 * size + 1)
        return value[:, 0], (value[:, 1 : size + 1] - value[:, size + 1 :]) / (2 * step)


def powered_integral(program: Program, *, fast: bool, weights: np.ndarray) -> Powered:
    """The weighted integral of a program, interpreted or compiled."""
    made = _integral(program, fast)
    made.weights = weights
    return made


@lru_cache(maxsize=4)
def _integral(program: Program, fast: bool) -> Powered:
    program.split.with_data(program.arrays(program.encoded), program.encoded.n_subjects)
    if not fast:
        return Powered(program.split)
    from progression.engines.vector_math import COMPILED  # numba: not loaded for a single fit

    return Powered(program.split, mode=COMPILED)


def sample(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], *, weights: np.ndarray, draws: int, chains: int,
    random_seed: int,
) -> tuple[xr.Dataset, xr.Dataset]:  # fmt: skip
    """Draw from the posterior in which subjects count by their weights: see `marginal.sample`.

    Parameters
    ----------
    weights : array, shape (subjects,)
        Not negative.

    Notes
    -----
    Effects of a subject are drawn from its own data whatever its weight: they are what its rows say of it.
    """
    encoded = encoded.unpadded()
    built = build(model, encoded, priors)
    program = prepare(model, encoded, priors, built)
    rngs = [np.random.default_rng(seed) for seed in np.random.SeedSequence(random_seed).spawn(chains + 2)]
    if isinstance(program.inner, ClosedForm):
        found = _closed(program, program.inner, encoded, weights, draws, chains, rngs)
    else:
        inner = powered_integral(program, fast=False, weights=weights)
        points = chains * marginal._power_of_two(draws)
        x, weighted, error = integrate(program, inner, encoded, draws=draws, points=points, rngs=rngs, chains=chains)
        found = (x,), inner.draw_effects(x, rngs[-1]), weighted, error
    flat, effects, weighted, error = found
    program.split.with_data(program.arrays(encoded), encoded.n_subjects)
    values = program.population(*flat) | program.subjects(effects, *flat)
    raw = {name: np.asarray(array).reshape(chains, draws, *array.shape[1:]) for name, array in values.items()}
    return label(raw, built), marginal._stats(weighted, chains, draws, error)


def _closed(program: Program, inner: ClosedForm, encoded: Encoded, weights: np.ndarray, draws: int, chains: int,
            rngs: list[np.random.Generator]) -> Any:  # fmt: skip
    arrays, cells = reduced(program, inner, encoded, weights)

    def target(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inner.log_density(cells, x)

    mode = importance.find_modes(target, np.zeros((1, inner.form.rest.size)))
    marginal._one_mode(inner, cells, mode)
    points = chains * marginal._power_of_two(2 * draws)
    weighted = importance.sample(target, mode, points=points, seeds=rngs[:1], chains=chains)
    refuse(weighted)
    where = resample(weighted, draws, chains, rngs)
    x = weighted.x[0, where]
    normal = normal_points(inner.n_linear, draws, rngs[1 : 1 + chains]).reshape(len(x), inner.n_linear)
    linear = draw_linear(weighted.kept[0, where], normal)
    own = inner.cells(arrays, encoded.n_subjects, inner.rows(arrays, encoded), every=True)
    if not whole_form_holds(program, inner, own, arrays, x[:: max(1, len(x) // 8)]):
        raise Untrusted("the closed form is not the program's density at its own draws")
    return (x, linear), inner.draw_effects(own, x, linear, rngs[-1]), weighted, 0.0


def reduced(program: Program, inner: ClosedForm, encoded: Encoded, weights: np.ndarray) -> tuple[dict[str, np.ndarray], Any]:  # fmt: skip
    """The data of a program and their weighted cells, subjects taken together where that loses nothing."""
    arrays = program.arrays(encoded)
    plain = program.coordinates(arrays)
    own = weighted_cells(inner, arrays, encoded, weights, every=True)
    cells = weighted_cells(inner, arrays, encoded, weights, plain=plain)
    return arrays, cells if marginal.alike(inner, own, cells) else weighted_cells(inner, arrays, encoded, weights)


def whole_form_holds(
    program: Program, inner: ClosedForm, own: Any, arrays: dict[str, np.ndarray], x: np.ndarray
) -> bool:
    """Whether the closed form with every subject counted whole is the program's, at some draws: weights enter sums only."""
    log_density, factor = inner.log_density(own, x[None])
    rng = np.random.default_rng(1)
    linear = draw_linear(factor[0], rng.standard_normal((len(x), inner.n_linear)))
    return closed_form_holds(inner, program.joint, arrays, own, x, log_density[0], factor[0], linear, rng)


def log_evidence(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], *, weights: np.ndarray, random_seed: int
) -> tuple[float, float]:
    """Log of the integral of the weighted likelihood over the prior, and its standard error.

    By importance sampling from a multivariate t with the posterior's own mean and covariance, quasi-random.

    Raises
    ------
    Untrusted
        Where the posterior that the proposal is fitted to cannot be trusted.
    """
    encoded = encoded.unpadded()
    program = prepare(model, encoded, priors)
    rng = np.random.default_rng(random_seed)
    if isinstance(program.inner, ClosedForm):
        inner = program.inner
        _, cells = reduced(program, inner, encoded, weights)
        size = inner.form.rest.size

        def density(x: np.ndarray) -> np.ndarray:
            return np.asarray(inner.log_density(cells, x[None])[0][0])

        def target(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return inner.log_density(cells, x)

        mode = importance.find_modes(target, np.zeros((1, size)))
        weighted = importance.sample(target, mode, points=512, seeds=[rng])
        refuse(weighted)
    else:
        whole = powered_integral(program, fast=False, weights=weights)
        _, weighted, _ = integrate(program, whole, encoded, draws=256, points=256, rngs=[rng, rng], chains=1)

        def density(x: np.ndarray) -> np.ndarray:
            return whole.log_density(x, order=whole.order)

    share = np.exp(weighted.log_weight[0])
    centre = share @ weighted.x[0]
    off = weighted.x[0] - centre
    root = np.linalg.cholesky(1.2 * (off.T * share) @ off + 1e-10 * np.eye(len(centre)))
    return _integral_of(density, centre, root, rng)


def _integral_of(density: Any, centre: np.ndarray, root: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    d, n, degrees = len(centre), _EVIDENCE_POINTS, _EVIDENCE_DEGREES
    u = np.clip(stats.qmc.Sobol(d + 1, rng=rng).random(n), 1e-12, 1 - 1e-12)
    scale = np.sqrt(degrees / stats.chi2.ppf(u[:, -1], degrees))
    z = special.ndtri(u[:, :-1]) * scale[:, None]
    proposal = stats.multivariate_t(np.zeros(d), np.eye(d), df=degrees).logpdf(z) - np.log(np.diag(root)).sum()
    ratio = density(centre + z @ root.T) - proposal
    ratio = np.where(np.isfinite(ratio), ratio, -np.inf)
    total = float(special.logsumexp(ratio) - np.log(n))
    return total, float(np.std(np.exp(ratio - total)) / np.sqrt(n))
