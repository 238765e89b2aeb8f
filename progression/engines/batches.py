"""The marginal engine on many data sets of one design: population parameters only, the same code for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from progression.encoding import Encoded
from progression.engines import importance
from progression.engines.cells import Cells
from progression.engines.closed import ClosedForm
from progression.engines.data_sets import data_set
from progression.engines.elimination import draw_linear
from progression.engines.identity import closed_form_holds
from progression.engines.integration import Untrusted, explore, integrate, put
from progression.engines.marginal import alike
from progression.engines.powered import powered_integral, whole_form_holds
from progression.engines.prepared import Program
from progression.engines.proposal import normal_points
from progression.engines.quadrature import Integrated
from progression.engines.weighted_cells import weighted_cells

# Data sets handled together: fixed, so that a result does not depend on how many there are or who computes them.
GROUP = {"closed": 256, "integrated": 32}
POINTS = 512  # a round, for each 1,000 draws
GOOD_K = 0.45


@dataclass(frozen=True, eq=False)
class Batch:
    """Draws for a group of data sets.

    Attributes
    ----------
    draws : mapping of str to array, shape (sets, draws, ...)
        Population parameters.
    pareto_k, share, quadrature_error : array, shape (sets,)
        Accuracy, by the engine's own account.
    reasons : tuple of str
        Why a data set's draws cannot be trusted; empty where they can.
    """

    draws: Mapping[str, np.ndarray]
    pareto_k: np.ndarray
    share: np.ndarray
    quadrature_error: np.ndarray
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Start:
    """What one data set of a design says about all others, so that no result depends on who computes which.

    Attributes
    ----------
    mode : importance.Mode
        Where to look for the other modes.
    plain : bool
        Whether data computed from a subject's own values only choose coordinates.
    """

    mode: importance.Mode
    plain: bool = False


def start(program: Program, encoded: Encoded, values: Mapping[str, np.ndarray]) -> Start:
    """Look at one data set of a design, (rows,) for each observed variable."""
    one = data_set(encoded, values)
    if not isinstance(program.inner, ClosedForm):
        integral = program.compiled()
        put(integral, program, one)
        try:
            return Start(explore(integral))
        except Untrusted:  # then each data set looks for itself
            size = integral.x.size
            return Start(importance.Mode(np.zeros((1, size)), np.eye(size)[None], np.array([False])))
    inner = program.inner
    inner.specialise()  # before anything is computed, so that no bit depends on what this process did before
    arrays, n = program.arrays(one), one.n_subjects
    rows = inner.rows(arrays, one)
    cells = inner.cells(arrays, n, rows)
    plain = alike(inner, cells, inner.cells(program.coordinates(arrays), n, rows))
    mode = importance.find_modes(lambda x, _: inner.log_density(cells, x), np.zeros((1, inner.form.rest.size)))
    return Start(mode, plain)


def run(program: Program, encoded: Encoded, values: Mapping[str, np.ndarray], *, draws: int,
        seeds: Sequence[np.random.SeedSequence], begin: Start, weights: np.ndarray | None = None) -> Iterator[Batch]:  # fmt: skip
    """Posterior draws for every data set, group by group.

    Parameters
    ----------
    program : Program
    encoded : Encoded
        The design: every row a data set may have, unpadded.
    values : mapping of str to array, shape (sets, rows)
        Values of each observed variable, NaN where a data set lacks the row.
    draws : int
        Draws for each data set.
    seeds : sequence of numpy.random.SeedSequence
        One a data set.
    begin : Start
        Of some data set of the design, the same for all groups.
    weights : array, shape (subjects,), optional
        Power of each subject's marginal likelihood: see `powered`.
    """
    size = group_size(program)
    for at in range(0, len(seeds), size):
        part = {block: value[at : at + size] for block, value in values.items()}
        own = [np.random.default_rng(seed) for seed in seeds[at : at + size]]
        if not isinstance(program.inner, ClosedForm):
            yield _integrated(program, encoded, part, draws, own, begin.mode, weights)
        else:
            way = _closed if begin.plain else _one_by_one
            yield way(program, program.inner, encoded, part, draws, own, begin.mode, weights)


def group_size(program: Program) -> int:
    """How many data sets are handled together."""
    return GROUP["closed" if isinstance(program.inner, ClosedForm) else "integrated"]


def _points(draws: int) -> int:
    """Weighted points a round: more where more draws are asked for, which would repeat them otherwise."""
    return POINTS * max(1, draws // 1000)


def _closed(program: Program, inner: ClosedForm, encoded: Encoded, values: Mapping[str, np.ndarray], draws: int,
            rngs: list[np.random.Generator], near: importance.Mode, weights: np.ndarray | None) -> Batch:  # fmt: skip
    arrays, n = program.arrays(encoded), encoded.n_subjects
    plain = program.coordinates(arrays)
    if weights is None:
        cells = inner.cells(plain, n, inner.rows(arrays, encoded, values))
    else:
        cells = weighted_cells(inner, arrays, encoded, weights, values=values, plain=plain)
    batch, x, linear, weighted, where = _from_cells(program, inner, cells, arrays, draws, rngs, near)
    for s in {0, len(rngs) - 1}:  # the first and the last against the program itself
        if not _holds(program, inner, encoded, values, s, x, linear, weighted, where, cells, weights):
            return _one_by_one(program, inner, encoded, values, draws, rngs, near, weights)
    return batch


def _holds(program: Program, inner: ClosedForm, encoded: Encoded, values: Mapping[str, np.ndarray], s: int, x: np.ndarray,
           linear: np.ndarray, weighted: importance.Weighted, where: np.ndarray, cells: Cells, weights: np.ndarray | None) -> bool:  # fmt: skip
    own = data_set(encoded, {block: value[s] for block, value in values.items()})
    arrays, n = program.arrays(own), own.n_subjects
    rows = inner.rows(arrays, own)
    few = slice(None, None, max(1, x.shape[1] // 8))
    if weights is not None:
        return whole_form_holds(program, inner, inner.cells(arrays, n, rows, every=True), arrays, x[s, few])
    log_density = inner.log_density(cells.take(np.array([s])), x[[s]][:, few])[0][0]
    return closed_form_holds(inner, program.joint, arrays, inner.cells(arrays, n, rows, every=True), x[s, few], log_density,
                             weighted.kept[s, where[s, few]], linear[s, few], np.random.default_rng(1))  # fmt: skip


def _from_cells(program: Program, inner: ClosedForm, cells: Cells, arrays: Mapping[str, np.ndarray], draws: int, rngs: list[np.random.Generator],
                near: importance.Mode) -> tuple[Batch, np.ndarray, np.ndarray, importance.Weighted, np.ndarray]:  # fmt: skip
    def target(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inner.log_density(cells.take(which), x)

    mode = importance.find_modes(target, np.repeat(near.at, len(rngs), axis=0), root=near.root)
    weighted = importance.sample(target, mode, points=_points(draws), seeds=rngs, good_k=GOOD_K)
    where = np.stack([importance.resample(w, draws, rng) for w, rng in zip(weighted.log_weight, rngs, strict=True)])
    sets = np.arange(len(rngs))[:, None]
    x = weighted.x[sets, where].reshape(len(rngs) * draws, -1)
    factor = weighted.kept[sets, where].reshape(len(x), -1)
    normal = normal_points(inner.n_linear, draws, rngs).reshape(len(x), inner.n_linear)
    linear = draw_linear(factor, normal)
    program.split.with_data(arrays, cells.cell_of.shape[1])  # all subjects again, not one of each kind
    found = program.population(x, linear)
    shape = (len(rngs), draws, -1)
    return _batch(found, weighted, draws), x.reshape(shape), linear.reshape(*shape[:2], inner.n_linear), weighted, where


def _one_by_one(program: Program, inner: ClosedForm, encoded: Encoded, values: Mapping[str, np.ndarray], draws: int,
                rngs: list[np.random.Generator], near: importance.Mode, weights: np.ndarray | None) -> Batch:  # fmt: skip
    """For a program whose data by subject depend on the values in ways that matter: each data set by itself."""
    made, checked = [], []
    for s, rng in enumerate(rngs):
        own = data_set(encoded, {block: value[s] for block, value in values.items()})
        arrays, n = program.arrays(own), own.n_subjects
        cells = whole = inner.cells(arrays, n, inner.rows(arrays, own), every=True)
        if weights is not None:
            cells = weighted_cells(inner, arrays, own, weights, every=True)
        batch, x, linear, weighted, where = _from_cells(program, inner, cells, arrays, draws, [rng], near)
        few = slice(None, None, max(1, draws // 8))
        holds = whole_form_holds(program, inner, whole, arrays, x[0, few]) if weights is not None else closed_form_holds(inner, program.joint, arrays, cells, x[0, few], inner.log_density(cells, x[:, few])[0][0],
                                  weighted.kept[0, where[0, few]], linear[0, few], np.random.default_rng(1))  # fmt: skip
        made.append(batch)
        checked.append(batch.reasons[0] if holds else "the closed form is not the program's density at its own draws")
    return Batch(
        {name: np.concatenate([one.draws[name] for one in made]) for name in made[0].draws},
        np.concatenate([one.pareto_k for one in made]), np.concatenate([one.share for one in made]),
        np.concatenate([one.quadrature_error for one in made]), tuple(checked),
    )  # fmt: skip


def _integrated(program: Program, encoded: Encoded, values: Mapping[str, np.ndarray], draws: int,
                rngs: list[np.random.Generator], near: importance.Mode, weights: np.ndarray | None) -> Batch:  # fmt: skip
    inner: Integrated = program.compiled()
    if weights is not None:
        inner = powered_integral(program, fast=True, weights=weights)
    made: list[dict[str, np.ndarray] | None] = []
    accuracy, reasons = np.tile([np.inf, 0.0, np.inf], (len(rngs), 1)), []
    for s, rng in enumerate(rngs):
        own = data_set(encoded, {block: value[s] for block, value in values.items()})
        try:
            x, weighted, error = _integral(program, inner, own, draws, rng, near)
        except Untrusted as reason:
            made.append(None)
            reasons.append(str(reason))
            continue
        program.split.with_data(program.arrays(own), own.n_subjects)  # without the copies of a grid
        made.append(program.population(x))
        accuracy[s] = float(weighted.pareto_k[0]), float(weighted.share[0]), error
        reasons.append("")
    program.split.with_data(program.arrays(encoded), encoded.n_subjects)
    shapes = program.population(np.zeros((draws, inner.x.size)))
    blank = {name: np.full(array.shape, np.nan) for name, array in shapes.items()}
    stacked = {name: np.stack([(blank if one is None else one)[name] for one in made]) for name in shapes}
    return Batch(stacked, accuracy[:, 0], accuracy[:, 1], accuracy[:, 2], tuple(reasons))


def _integral(program: Program, inner: Integrated, own: Encoded, draws: int, rng: np.random.Generator,
              near: importance.Mode) -> tuple[np.ndarray, importance.Weighted, float]:  # fmt: skip
    """Draws of one data set, begun from the mode of another; from its own if that was no good: it may be of another shape."""

    def begun(mode: importance.Mode | None) -> tuple[np.ndarray, importance.Weighted, float]:
        return integrate(program, inner, own, draws=draws, points=_points(draws), good_k=GOOD_K, rngs=[rng, rng],
                         chains=1, order=4, near=mode)  # fmt: skip

    try:
        return begun(near if near.found.all() else None)
    except Untrusted as reason:
        if not reason.approached:
            raise
    return begun(None)


def _batch(found: Mapping[str, np.ndarray], weighted: importance.Weighted, draws: int) -> Batch:
    sets = len(weighted.x)
    shaped = {name: array.reshape(sets, draws, *array.shape[1:]) for name, array in found.items()}
    return Batch(shaped, weighted.pareto_k, weighted.share, np.zeros(sets), importance.reasons(weighted))
