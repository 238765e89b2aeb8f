"""A program made ready for the marginal engine: its split, its integral, its outputs; kept for further data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Constant
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors

from progression.encoding import Encoded
from progression.engines.affine import NotLinear
from progression.engines.closed import ClosedForm
from progression.engines.identity import joint_density
from progression.engines.linear import structure
from progression.engines.points import batched
from progression.engines.program import Built, build
from progression.engines.quadrature import MOST_EFFECTS, Integrated
from progression.engines.split import Split, split, swapped
from progression.faults import Fault, SettingError
from progression.modeling import Model, Prior, SupportsPyMC

_KEPT, _LARGE = 16, 2_000_000  # programs kept; numbers in a working array


@dataclass(eq=False)
class Program:
    """One program made ready for any number of data sets: its split, its integral, its outputs."""

    model: Model
    priors: Mapping[str, SupportsPyMC]
    encoded: Encoded
    split: Split = field(init=False)
    inner: ClosedForm | Integrated = field(init=False)
    names: tuple[str, ...] = field(init=False)
    _fast: Integrated | None = field(default=None, init=False)
    _integral: Integrated | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.split = split(self.model, self.encoded, self.priors)
        for careful in (False, True):
            try:
                self.inner = ClosedForm(structure(self.split, careful=careful))
                break
            except NotLinear:
                continue
        else:
            self.inner = _checked(self.model, Integrated(self.split))
        model, values = self.split.model, [self.split.value(rv) for rv in self.split.effects]
        flats = [self.inner.form.rest, self.inner.form.linear] if isinstance(self.inner, ClosedForm) else [self.inner.x]
        fixed = [
            rv
            for rv in model.deterministics
            if not self.split.touches(self.split.natural([rv])[0], self.split.by_subject)
        ]
        varying = [rv for rv in model.deterministics if rv not in fixed]
        self.names = tuple(rv.name for rv in (*self.split.population, *fixed))
        self.subject_names = tuple(rv.name for rv in (*self.split.by_subject, *varying))
        vectors = [flat.vector for flat in flats]
        self.flats = flats
        self._joint: Any = None
        self._population = batched(vectors, swapped(self.split.natural([*self.split.population, *fixed]), *flats))
        by_subject = self.split.natural([*self.split.by_subject, *varying])
        if self.split.grid is not None:  # of the latent on a grid the draws hold the quantile
            node = pt.vector("node", dtype="float64")
            by_subject = graph_replace(
                by_subject, {self.split.value(self.split.grid.rv): self.split.grid.value(model, node)}
            )
            values.append(node)
        self._subjects = batched([*vectors, *values], swapped(by_subject, *flats))
        self.shapes = [self.split.shape(rv)[1:] for rv in self.split.by_subject]

    def compiled(self) -> Integrated:
        """The integral compiled to machine code: half a minute of work that pays where many data sets follow."""
        if self._fast is None:
            from progression.engines.vector_math import COMPILED  # numba: not loaded for a single fit

            self._own_data()
            self._fast = Integrated(self.split, mode=COMPILED)
        return self._fast

    def _own_data(self) -> None:
        """Put the data it was prepared with back: what is read from the program shall not depend on what came last."""
        self.split.with_data(self.arrays(self.encoded), self.encoded.n_subjects)

    def integral(self) -> Integrated:
        """The integral over subject effects alone, also where the closed form goes further.

        Raises
        ------
        SettingError
            Where too many effects of a subject depend on each other.
        """
        if isinstance(self.inner, Integrated):
            return self.inner
        if self._integral is None:
            self._own_data()
            self._integral = _checked(self.model, Integrated(self.split))
        return self._integral

    @property
    def joint(self) -> Any:
        """The program's own log density of everything, compiled when first asked for."""
        if self._joint is None:
            self._joint = joint_density(self.split, self.flats)
        return self._joint

    def arrays(self, encoded: Encoded) -> dict[str, np.ndarray]:
        """The data the program reads."""
        return {name: encoded.arrays[name][1] for name in self.split.built.used}

    def coordinates(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same data with what only chooses coordinates to sample in set to zero, if that is what it does.

        Statistics of a subject's own rows may serve a program as coordinates (`parts.subject_effect`): with the
        effects integrated out they then cancel, and subjects with the same visits become alike.
        """
        assert isinstance(self.inner, ClosedForm)
        by_rows = {
            name
            for name in self.inner.form.subject_data
            for block in self.encoded.blocks
            if name.startswith(f"{block}_")
        }
        return {name: np.zeros_like(array) if name in by_rows else array for name, array in arrays.items()}

    def population(self, *flat: np.ndarray) -> dict[str, np.ndarray]:
        """Population parameters in their own units, (points, ...), from their flat vectors."""
        return dict(zip(self.names, self._population(*(np.ascontiguousarray(one) for one in flat)), strict=True))

    def subjects(self, effects: np.ndarray, *flat: np.ndarray) -> dict[str, np.ndarray]:
        """Subject effects and what is computed from them, (points, subjects, ...)."""
        made: dict[str, np.ndarray] = {}
        step = max(1, _LARGE // max(effects[0].size, 1))
        for start in range(0, len(effects), step):
            some = slice(start, start + step)
            pieces, at = [], 0
            for shape in self.shapes:
                size = int(np.prod(shape))
                piece = effects[some, :, at : at + size]
                pieces.append(np.ascontiguousarray(piece.reshape(*piece.shape[:2], *shape)))
                at += size
            found = self._subjects(*(np.ascontiguousarray(one[some]) for one in flat), *pieces)
            for name, array in zip(self.subject_names, found, strict=True):
                made.setdefault(name, np.empty((len(effects), *array.shape[1:])))[some] = array
        return made


def _checked(model: Model, made: Integrated) -> Integrated:
    most = max(len(group) for group in made.groups)
    if most > MOST_EFFECTS:
        raise SettingError([
            Fault(what=f"the marginal engine cannot fit {model.name!r}: {most} effects of a subject depend on each other, and "
                       f"it integrates {MOST_EFFECTS} at most numerically", value=model.name, table="setting",
                  remedy='use engine="nuts"')
        ])  # fmt: skip
    return made


class _Key:
    """What a prepared program is kept under: the program, its priors, and the sizes of its population parameters."""

    def __init__(self, model: Model, priors: Mapping[str, SupportsPyMC], encoded: Encoded, built: Built) -> None:
        self.made = model, priors, encoded
        facts = [(name, prior if isinstance(prior, Prior) else id(prior)) for name, prior in sorted(priors.items())]
        sizes = {dim: n for dim, n in encoded.sizes().items() if dim != "subject"}
        self.key = (
            id(model.program),
            tuple(facts),
            tuple(sorted(sizes.items())),
            encoded.observed,
            tuple(sorted(model.grid.items())),
            constants(built),
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key


@lru_cache(maxsize=_KEPT)
def _prepared(key: _Key) -> Program:
    return Program(*key.made)


def constants(built: Built) -> str:
    """Hash of the numbers a program has taken out of its data as constants, which tie it to them."""
    digest = hashlib.sha256()
    model = built.model
    for node in ancestors([*model.basic_RVs, *model.deterministics, *model.potentials]):
        if isinstance(node, Constant) and isinstance(node.data, np.ndarray):
            digest.update(np.ascontiguousarray(node.data).tobytes())
    return digest.hexdigest()


def prepare(model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], built: Built | None = None) -> Program:
    """A program made ready, kept for further data sets.

    Parameters
    ----------
    built : Built, optional
        The program run on these data, where it was run already.

    Raises
    ------
    SettingError
        Where the engine cannot handle the program, with the reason.
    """
    return _prepared(_Key(model, priors, encoded, built or build(model, encoded, priors)))
