"""What a part of a record rests on: hashes of code and data, how sets are fitted, versions. Taken before the first set is made."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import progression as pg
from progression.encoding import Encoded, encode
from progression.engines.data_sets import data_set
from tests.evidence import sources
from tests.evidence.calibration import many_sets, plan
from tests.evidence.calibration.truths import simulated

FINGERPRINTED = 5  # data sets of each regime
_checked: dict[str, float] = {}
# Of the package, beside program and engine: what makes a fit of a cohort, and what says that it must be longer.
_ROAD = {"fit": ("fitting", "gate", "contrasts"), "many": ("many", "fitters", "replicates", "gate")}


def code(model: str, part: plan.Part) -> dict[str, str]:
    """Hashes of the program with its priors, the engine, what makes, fits and ranks a set, and the first sets.

    Data sets stand for the simulators and, as the program sees them, for cohort and encoding: their words and names may change, what
    comes of them may not.
    """
    regime, road = part
    shared = [sources.SHELF / "standardised.py"] if model in ("als_bounded", "als_items") else []
    flares = [sources.SHELF / "flares.py"] if model == "sle_activity" else []
    here, package, many = Path(__file__).parent, sources.ROOT / "progression", road == "many"
    own = ["sets", "truths", "likelihoods", "estimands", "ranks", *(["many_sets", "summed"] if many else [])]
    way = [package / f"{name}.py" for name in _ROAD["many" if many else "fit"]]
    # What a data set of `fit_many` is coded as is looked at, not the code of it: it bears on a few models' sets alone.
    engines = {*sources.engine(plan.ROADS[road]), *(sources.engine("batches") if many else ())}
    engines -= {sources.ENGINES / "data_sets.py"}
    return {
        "program": sources.code_hash([*sources.page(model), *shared, *flares]),
        "engine": sources.code_hash(engines),
        "sets": sources.code_hash([*(here / f"{name}.py" for name in own), *way]),
        "data": _data(model, regime) + (_together(model, regime) if many else ""),
    }


def same(held: Mapping[str, str], now: Mapping[str, str], model: str) -> bool:
    """Whether sets of a model from one state of the code are those of another."""
    return set(held) == set(now) and all(sources.same(held[name], one, model) for name, one in now.items())


@lru_cache(maxsize=32)
def _data(model: str, regime: str) -> str:
    """The first data sets, truths, and arrays that the program is given, to nine digits."""
    digest = hashlib.sha256()
    for k in range(FINGERPRINTED):
        of = simulated(model, regime, k)
        program = pg.models()[model]
        encoded = encode(program, of.cohort(), options=program.with_options(of.options))
        digest.update(of.fingerprint().encode())
        _add(digest, encoded)
        for name, own in sorted(of.patients.items()):
            digest.update(name.encode() + _rounded(own))
    return digest.hexdigest()[:16]


@lru_cache(maxsize=32)
def _together(model: str, regime: str) -> str:
    """The same sets as `fit_many` gives them to the program: data sets of one design."""
    digest = hashlib.sha256()
    sets = [simulated(model, regime, k) for k in range(FINGERPRINTED)]
    program = pg.models()[model]
    for group in [[one] for one in sets] if model in many_sets.ALONE else [sets]:
        laid = pg.Replicates.from_cohorts([one.cohort() for one in group])
        encoded = encode(program, laid.cohort, options=program.with_options(group[0].options)).unpadded()
        values = laid.rows(encoded, strict=False)
        for s in range(len(group)):
            _add(digest, data_set(encoded, {name: value[s] for name, value in values.items()}))
    return digest.hexdigest()[:16]


def _add(digest: Any, encoded: Encoded) -> None:
    for name, (dims, array) in sorted(encoded.arrays.items()):
        digest.update(f"{name}{dims}{np.asarray(array).shape}".encode())
        digest.update(_rounded(np.asarray(array, float)))


def _rounded(array: np.ndarray) -> bytes:
    """Without the last digits, in which processors differ."""
    return "".join(f"{value:.9g} " for value in (np.ravel(array) + 0.0)).encode()


def stamp(model: str, part: plan.Part) -> dict[str, Any]:
    """All of it."""
    return {"code": code(model, part), "fitted": plan.told(model, part[1]), "versions": sources.versions()}


def folder(model: str, part: plan.Part, made_by: Mapping[str, Any]) -> str:
    """Nothing old is taken for new: sets of another program, engine, simulator, way of fitting or version lie elsewhere."""
    told = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
    return f"{model}-{'-'.join(part)}/{told[:16]}"


def check(model: str, part: plan.Part, made_by: Mapping[str, Any]) -> None:
    """Stop if a file was changed since the run began: its sets would be of two kinds of code. Looks at most once a minute."""
    own = json.dumps([model, part, made_by], sort_keys=True)
    if time.monotonic() - _checked.get(own, -np.inf) < 60:
        return
    _checked[own] = time.monotonic()
    if stamp(model, part) != made_by:
        raise RuntimeError(f"{model}, {', '.join(part)}: the code has changed since this run began; begin again, from a checkout that nobody edits")  # fmt: skip
