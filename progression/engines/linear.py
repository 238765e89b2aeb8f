"""Is a program Gaussian given a few parameters? If so, its straight-line structure, read from its own graph.

A program is Gaussian in some of its unknowns z (subject effects, and population parameters with normal priors) when
every density that z enters is normal, with a mean that is a straight line in z and an SD free of z. The mean of an
observed row is then written as a sum of features of the row (1, month, ...) times terms of its subject, so that rows
enter through sums over each subject: sufficient statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.basic import LogNormalRV, NormalRV

from progression.engines.affine import NotLinear, Walk
from progression.engines.points import batched
from progression.engines.split import Flat, Split, swapped

_ONE = pt.constant(1.0, dtype="float64")


@dataclass(frozen=True, eq=False)
class Block:
    """One observed variable: value = sum over features of feature x term, plus normal noise.

    Attributes
    ----------
    name : str
    log : bool
        Whether the logarithm of the value is normal.
    features : tuple of tensor variables
        Of the rows' data only, shape (rows,) or scalar.
    terms : tuple of tensor variables
        Of subjects and parameters, shape (subjects,) or scalar.
    sd : tensor variable
        Scalar.
    """

    name: str
    log: bool
    features: tuple[Any, ...]
    terms: tuple[Any, ...]
    sd: Any


@dataclass(frozen=True, eq=False)
class Line:
    """One Gaussian unknown: mean (a straight line in the others) and SD."""

    name: str
    mean: Any
    sd: Any


@dataclass(frozen=True, eq=False)
class Structure:
    """The straight-line form of a program.

    Attributes
    ----------
    rest, linear : Flat
        Population parameters that stay, on the unconstrained scale, and those integrated out.
    effects : tuple of random variables
    blocks : tuple of Block
    effect_lines, linear_lines : tuple of Line
        Priors of the effects and of `linear`, in the order of their flat columns.
    log_density : tensor variable
        Log prior of `rest` with its Jacobian, and whatever else depends on it alone.
    subject_data : tuple of str
        Data by subject that the terms read.
    times : mapping of str to tensor variable
        Log density, by row, of observed variables on which no effect bears.
    """

    split: Split
    rest: Flat
    linear: Flat
    effects: tuple[Any, ...]
    blocks: tuple[Block, ...]
    effect_lines: tuple[Line, ...]
    linear_lines: tuple[Line, ...]
    log_density: Any
    subject_data: tuple[str, ...]
    times: Mapping[str, Any]


def structure(split: Split, *, careful: bool = False) -> Structure:
    """Find the straight-line form of a program.

    Parameters
    ----------
    split : Split
    careful : bool
        Whether to find by trial which normal parameters enter as straight lines together, instead of taking them all
        and leaving the check to `ClosedForm`.

    Raises
    ------
    NotLinear
        With the first reason why it has none.
    """
    model = split.model
    if split.grid is not None:
        raise NotLinear(f"{split.grid.rv.name} is integrated on a grid")
    gaussian = [rv for rv in model.observed_RVs if isinstance(rv.owner.op, NormalRV | LogNormalRV)]
    observed = [rv for rv in model.observed_RVs if rv not in gaussian]
    for rv in observed:
        if set(ancestors([rv])) & set(split.effects):
            raise NotLinear(f"{rv.name} depends on subject effects and is not normal")
    for rv in split.effects:
        if not isinstance(rv.owner.op, NormalRV) or model.rvs_to_transforms.get(rv) is not None:
            raise NotLinear(f"the subject effect {rv.name} is not normal")
    others = set(ancestors([*observed, *model.potentials]))
    normal = [rv for rv in split.population
              if isinstance(rv.owner.op, NormalRV) and model.rvs_to_transforms.get(rv) is None]  # fmt: skip
    means = {rv: split.natural(rv.owner.op.dist_params(rv.owner)) for rv in (*gaussian, *split.effects, *normal)}
    candidates = []
    for rv in normal:
        in_sd = any(split.touches(sd, [rv]) for _, sd in means.values())
        above_other = any(rv in ancestors([one]) for one in split.population if one not in normal)
        if not in_sd and not above_other and rv not in others:
            candidates.append(rv)
    for rv in (*gaussian, *split.effects):
        if split.touches(means[rv][1], split.effects):
            raise NotLinear(f"the SD of {rv.name} depends on subject effects")
    linear = _affine_subset(split, candidates, means, gaussian) if careful else candidates
    while True:  # what stands above a parameter that stays must stay too
        rest = [rv for rv in split.population if rv not in linear]
        above = set(ancestors(rest))
        if not any(rv in above for rv in linear):
            break
        linear = [rv for rv in linear if rv not in above]
    return _assemble(split, rest, linear, gaussian, observed, means)


def _affine_subset(split: Split, candidates: list[Any], means: dict[Any, list[Any]], gaussian: list[Any]) -> list[Any]:
    """The candidates in which, together with the effects, every mean is a straight line: tried at random points."""
    kept = list(candidates)
    while True:
        graphs = [means[rv][0] for rv in (*gaussian, *split.effects, *kept)]
        bent = _bent(split, kept, graphs)
        if not bent:
            return kept
        if not kept:
            raise NotLinear("a mean is not a straight line in the subject effects")
        # Leave out the one whose absence mends most; with none that helps, all of them.
        single = [rv for rv in kept if not _bent(split, [one for one in kept if one is not rv],
                                                 [means[one][0] for one in (*gaussian, *split.effects)])]  # fmt: skip
        kept = [one for one in kept if one is not single[0]] if single else []


def _bent(split: Split, linear: Sequence[Any], graphs: Sequence[Any]) -> bool:
    """Whether some mean has curvature in (effects, linear), judged at random points to rounding error."""
    rng = np.random.default_rng(20261122)
    rest = split.flat([rv for rv in split.population if rv not in linear], "rest")
    line = split.flat(linear, "linear")
    effects = [split.value(rv) for rv in split.effects]
    n = int(split.model.dim_lengths["subject"].eval())
    shapes = [(n, *split.shape(rv)[1:]) for rv in split.effects]
    run = batched([rest.vector, line.vector, *effects], swapped(graphs, rest, line))
    x = rng.normal(0, 0.5, rest.size)
    z = [[rng.normal(0, 1, line.size), *(rng.normal(0, 1, shape) for shape in shapes)] for _ in range(2)]
    points = [[np.zeros_like(one) for one in z[0]], z[0], z[1], [a + b for a, b in zip(*z, strict=True)]]
    found = run(np.repeat(x[None], 4, axis=0), *(np.stack(column) for column in zip(*points, strict=True)))
    for one in found:
        gap = one[3] - one[2] - one[1] + one[0]
        if not np.all(np.abs(gap) <= 1e-8 * (1 + np.abs(one).max())):  # a NaN is a bend too
            return True
    return False


def _assemble(split: Split, rest: list[Any], linear: list[Any], gaussian: list[Any], observed: list[Any],
              means: dict[Any, list[Any]]) -> Structure:  # fmt: skip
    flats = split.flat(rest, "rest"), split.flat(linear, "linear")
    encoded, model = split.built.encoded, split.model
    blocks, unknown = [], {split.value(rv) for rv in model.free_RVs}
    for rv in gaussian:
        rows = {
            v for v in model.data_vars if (model.named_vars_to_dims.get(v.name) or ("",))[0] == encoded.row_dim(rv.name)
        }
        mean, sd = means[rv]
        if any(v in rows or _by_subject(split, v) for v in ancestors([sd])):
            raise NotLinear(f"the SD of {rv.name} differs between rows or subjects")
        index = model[f"{rv.name}_subject"] if f"{rv.name}_subject" in {v.name for v in model.data_vars} else None
        walk = Walk(rows, index, unknown)
        pairs: dict[Any, list[Any]] = {}
        for feature, term in walk.terms(mean):
            pairs.setdefault(feature, []).append(term)
        features = tuple(_ONE if feature is None else feature for feature in pairs)
        terms = tuple(sum(group[1:], group[0]) for group in pairs.values())
        blocks.append(Block(rv.name, isinstance(rv.owner.op, LogNormalRV), features, tuple(swapped(terms, *flats)),
                            swapped([sd], *flats)[0].flatten()[0]))  # fmt: skip
    lines = [tuple(Line(rv.name, *swapped(means[rv], *flats)) for rv in group) for group in (split.effects, linear)]
    plain = [rv for rv in observed if rv.name not in encoded.events]
    prior = model.logp(vars=rest + plain, jacobian=True) if rest or plain else pt.constant(0.0, dtype="float64")
    events = [rv for rv in observed if rv.name in encoded.events]
    rows = model.logp(vars=events, sum=False) if events else []
    times = dict(zip((rv.name for rv in events), swapped(rows, *flats), strict=True))
    total = sum(split.natural(model.potentials), prior) if model.potentials else prior
    if any(_by_subject(split, v) or _by_row(split, v) for v in ancestors([total, *(b.sd for b in blocks)])):
        raise NotLinear("what remains after the effects depends on data by subject or by row")
    graphs = [t for b in blocks for t in b.terms] + [
        g for group in lines for line in group for g in (line.mean, line.sd)
    ]
    used = tuple(str(v.name) for v in ancestors(graphs) if _by_subject(split, v))
    return Structure(split, flats[0], flats[1], split.effects, tuple(blocks), lines[0], lines[1],
                     swapped([total], *flats)[0], used, times)  # fmt: skip


def _by_subject(split: Split, variable: Any) -> bool:
    name = getattr(variable, "name", None)
    return variable in split.model.data_vars and (split.model.named_vars_to_dims.get(name) or ("",))[0] == "subject"


def _by_row(split: Split, variable: Any) -> bool:
    first = (split.model.named_vars_to_dims.get(getattr(variable, "name", None)) or ("",))[0]
    return variable in split.model.data_vars and first in {
        split.built.encoded.row_dim(b) for b in split.built.encoded.blocks
    }
