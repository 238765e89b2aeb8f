"""The marginal engine on many data sets of one design: population parameters only, the same code for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from progression.encoding import Encoded, statistics_by_subject
from progression.engines import importance
from progression.engines.cells import Cells
from progression.engines.closed import ClosedForm
from progression.engines.elimination import draw_linear
from progression.engines.marginal import ORDERS, Untrusted, alike, integrate
from progression.engines.prepared import Program

# Data sets handled together: fixed, so that a result does not depend on how many there are or who computes them.
GROUP = 256
POINTS = {"closed": 128, "integrated": 512}


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


def run(program: Program, encoded: Encoded, values: Mapping[str, np.ndarray], *, draws: int,
        seeds: Sequence[np.random.SeedSequence]) -> Iterator[Batch]:  # fmt: skip
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
    """
    for start in range(0, len(seeds), GROUP):
        part = {block: value[start : start + GROUP] for block, value in values.items()}
        own = [np.random.default_rng(seed) for seed in seeds[start : start + GROUP]]
        if isinstance(program.inner, ClosedForm):
            yield _closed(program, program.inner, encoded, part, draws, own)
        else:
            yield _integrated(program, encoded, part, draws, own)


def _closed(program: Program, inner: ClosedForm, encoded: Encoded, values: Mapping[str, np.ndarray], draws: int,
            rngs: list[np.random.Generator]) -> Batch:  # fmt: skip
    arrays, n = program.arrays(encoded), encoded.n_subjects
    names = [block.name for block in inner.form.blocks]
    subject = [encoded.arrays[f"{name}_subject"][1] for name in names]
    rows = inner.rows(arrays, n, subject, [values[name] for name in names])
    plain = program.coordinates(arrays)
    if not program.free_of_coordinates:
        one = [replace(each, values=each.values[:1]) for each in rows]
        if not alike(inner, inner.cells(_first(program, encoded, values), n, one), inner.cells(plain, n, one)):
            return _one_by_one(program, inner, encoded, values, draws, rngs)
        program.free_of_coordinates = True
    inner.specialise()
    return _from_cells(program, inner, inner.cells(plain, n, rows), draws, rngs)


def _from_cells(program: Program, inner: ClosedForm, cells: Cells, draws: int, rngs: list[np.random.Generator]) -> Batch:
    def target(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return inner.log_density(cells.take(which), x)

    # The other modes of a group are looked for from where the first was found: a design's data sets are alike.
    first = importance.find_modes(lambda x, _: target(x, np.zeros(1, int)), np.zeros((1, inner.form.rest.size)))
    mode = importance.find_modes(target, np.repeat(first.at, len(rngs), axis=0), root=first.root)
    weighted = importance.sample(target, mode, points=POINTS["closed"], seeds=rngs)
    where = np.stack([importance.resample(w, draws, rng) for w, rng in zip(weighted.log_weight, rngs, strict=True)])
    sets = np.arange(len(rngs))[:, None]
    x = weighted.x[sets, where].reshape(len(rngs) * draws, -1)
    factor = weighted.kept[sets, where].reshape(len(x), -1)
    found = program.population(x, draw_linear(factor, importance.normal_points(inner.n_linear, draws, rngs).reshape(len(x), -1)))
    return _batch(found, weighted, draws)


def _one_by_one(program: Program, inner: ClosedForm, encoded: Encoded, values: Mapping[str, np.ndarray], draws: int,
                rngs: list[np.random.Generator]) -> Batch:  # fmt: skip
    """For a program whose data by subject depend on the values in ways that matter: each data set by itself."""
    made = []
    for s, rng in enumerate(rngs):
        own = data_set(encoded, {block: value[s] for block, value in values.items()})
        arrays, n = program.arrays(own), own.n_subjects
        names = [block.name for block in inner.form.blocks]
        rows = inner.rows(arrays, n, [own.arrays[f"{name}_subject"][1] for name in names],
                          [own.arrays[f"{name}_value"][1][None].astype(float) for name in names])  # fmt: skip
        made.append(_from_cells(program, inner, inner.cells(arrays, n, rows), draws, [rng]))
    return Batch(
        {name: np.concatenate([one.draws[name] for one in made]) for name in made[0].draws},
        np.concatenate([one.pareto_k for one in made]), np.concatenate([one.share for one in made]),
        np.concatenate([one.quadrature_error for one in made]), tuple(reason for one in made for reason in one.reasons),
    )  # fmt: skip


def _integrated(program: Program, encoded: Encoded, values: Mapping[str, np.ndarray], draws: int,
                rngs: list[np.random.Generator]) -> Batch:  # fmt: skip
    inner, near = program.compiled(), None
    made: list[dict[str, np.ndarray] | None] = []
    accuracy, reasons = np.tile([np.inf, 0.0, np.inf], (len(rngs), 1)), []
    for s, rng in enumerate(rngs):
        own = data_set(encoded, {block: value[s] for block, value in values.items()})
        try:
            x, weighted, error, mode = integrate(program, inner, own, draws=draws, points=POINTS["integrated"],
                                                 rngs=[rng, rng], chains=1, orders=(4, *ORDERS[1:]), near=near)  # fmt: skip
            near = near or mode
            made.append(program.population(x))
            accuracy[s] = float(weighted.pareto_k[0]), float(weighted.share[0]), error
            reasons.append("")
        except Untrusted as reason:
            made.append(None)
            reasons.append(str(reason))
    shapes = program.population(np.zeros((draws, inner.x.size)))
    blank = {name: np.full(array.shape, np.nan) for name, array in shapes.items()}
    stacked = {name: np.stack([(blank if one is None else one)[name] for one in made]) for name in shapes}
    return Batch(stacked, accuracy[:, 0], accuracy[:, 1], accuracy[:, 2], tuple(reasons))


def _batch(found: Mapping[str, np.ndarray], weighted: importance.Weighted, draws: int) -> Batch:
    sets = len(weighted.x)
    shaped = {name: array.reshape(sets, draws, *array.shape[1:]) for name, array in found.items()}
    k = weighted.pareto_k
    reasons = tuple("" if one <= importance.MAX_PARETO_K else f"importance weights have Pareto k {one:.2f}" for one in k)
    return Batch(shaped, k, weighted.share, np.zeros(sets), reasons)


def data_set(encoded: Encoded, values: Mapping[str, np.ndarray]) -> Encoded:
    """The coding of one data set: the rows it has, with its values and what is computed from them."""
    arrays, coords = dict(encoded.arrays), dict(encoded.coords)
    for block, value in values.items():
        seen = np.isfinite(value)
        rows = {name.removeprefix(f"{block}_"): array[seen] for name, (dims, array) in encoded.arrays.items()
                if dims[0] == encoded.row_dim(block)}  # fmt: skip
        rows["value"] = value[seen]
        members = encoded.blocks[block]
        limit = np.array([outcome.detection_limit or 0.0 for outcome in members])[rows["outcome"]]
        rows["censored"] = (rows["value"] <= limit) & (limit > 0)
        rows["value"], rows["lower"] = np.maximum(rows["value"], limit), limit
        coords[encoded.row_dim(block)] = list(range(int(seen.sum())))
        arrays |= {f"{block}_{name}": ((encoded.row_dim(block),), array) for name, array in rows.items()}
        own = statistics_by_subject(rows, encoded.n_subjects, len(members))
        for name, table in own.items():
            dims, old = encoded.arrays[f"{block}_{name}"]
            arrays[f"{block}_{name}"] = (dims, table.reshape(old.shape))
    return replace(encoded, arrays=arrays, coords=coords)


def _first(program: Program, encoded: Encoded, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return program.arrays(data_set(encoded, {block: value[0] for block, value in values.items()}))
