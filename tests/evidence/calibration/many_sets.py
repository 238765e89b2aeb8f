"""Simulated data sets through `pg.fit_many`: ranks of parameters, estimands and the likelihood with patients' effects summed out.

Parameters are asked for as if they were estimands, so that nothing but the public road is walked.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import progression as pg
from tests.evidence.calibration import plan, ranks
from tests.evidence.calibration.estimands import Values
from tests.evidence.calibration.sets import share_below
from tests.evidence.calibration.summed import marginal_log_likelihood
from tests.evidence.calibration.truths import Simulated, simulated

OWN_SETS = 250_000  # number of the first data set: no road sees the sets of another
ALONE = (
    "als_antibody",
)  # what is known of the onsets is of the design: sets with other onsets are fitted one at a time
_PARAMETER = "parameter_"


def several(model: str, regime: str, indices: Sequence[int]) -> list[dict[str, Any]]:
    """Simulate data sets, fit them together, and rank the truths of each; as `sets.one`."""
    if model in ALONE and len(indices) > 1:
        return [one for k in indices for one in several(model, regime, [k])]
    sets, start = [simulated(model, regime, OWN_SETS + k) for k in indices], time.perf_counter()
    shelf = pg.models()[model]
    asking = replace(shelf, estimands=(*shelf.estimands, *map(_as_estimand, sets[0].population)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = pg.fit_many(asking, [of.cohort() for of in sets], options=sets[0].options, random_seed=indices[0], progressbar=False,
                           **plan.how(model, "many"))  # fmt: skip
    seconds = round((time.perf_counter() - start) / len(sets), 2)
    return [{**_ranked(k, of, fits.draws.isel(data_set=place), fits.diagnostics.iloc[place]), "seconds": seconds}
            for place, (k, of) in enumerate(zip(indices, sets, strict=True))]  # fmt: skip


def _ranked(index: int, of: Simulated, draws: xr.Dataset, row: pd.Series) -> dict[str, Any]:
    """One data set of those."""
    found = {str(name): one.transpose("draw", ...).to_numpy() for name, one in draws.items()}
    population = {name: found.pop(_PARAMETER + name).reshape(-1, *truth.shape) for name, truth in of.population.items()}
    assert set(found) == set(of.asked), sorted(set(found) ^ set(of.asked))
    estimands = {name: one.reshape(-1, *np.shape(of.asked[name])) for name, one in found.items()}
    rng, n = np.random.default_rng([31, index]), draws.sizes["draw"]
    chosen = rng.permutation(n)[: ranks.DRAWS]
    if row["engine"] == "nuts":
        chosen = np.linspace(0, n - 1, ranks.DRAWS).astype(int)
    thinned = {name: one[chosen] for name, one in population.items()}
    truth = marginal_log_likelihood(of, {name: one[None] for name, one in of.population.items()})[0]
    pairs = [*_scalars(population, of.population, chosen), *_scalars(estimands, of.asked, chosen),
             ("log-likelihood", marginal_log_likelihood(of, thinned), float(truth))]  # fmt: skip
    primary = next(iter(found))
    below = {label: share_below(drawn, truth)
             for label, drawn, truth in _scalars({primary: estimands[primary]}, of.asked, slice(None))}  # fmt: skip
    merit = {
        "engine": row["engine"],
        "fell_back": row["fell_back"],
        "problems": [row["problem"]] if row["problem"] else [],
        "longer": False,
    }
    if row["engine"] == "marginal":
        merit |= {"pareto_k": round(float(row["pareto_k"]), 3), "quadrature_error": float(row["quadrature_error"])}
    return {"ranks": {label: ranks.rank(drawn, truth, rng) for label, drawn, truth in pairs}, "below": below, **merit}


def _as_estimand(name: str) -> pg.Estimand:
    """A population parameter, all its entries along one dim."""
    dim = f"entry_of_{name}"

    def compute(posterior: xr.Dataset, facts: Any) -> xr.DataArray:
        own = [d for d in posterior[name].dims if d not in ("chain", "draw", "data_set")]
        return posterior[name].stack({dim: own}, create_index=False) if own else posterior[name].expand_dims({dim: 1})

    return pg.Estimand(_PARAMETER + name, compute, label=name, unit="", scale="direct", reference="none", null=None, benefit=None,
                       population="conditional", over=(dim,))  # fmt: skip


def _scalars(drawn: Values, truths: Mapping[str, Any], chosen: Any) -> Iterator[tuple[str, np.ndarray, float]]:
    """Each scalar of quantities by name and position, at some of the draws."""
    for name, draws in drawn.items():
        for place in np.ndindex(np.shape(truths[name])):
            label = f"{name}[{', '.join(map(str, place))}]" if place else name
            yield label, draws[(chosen, *place)], float(np.asarray(truths[name])[place])
