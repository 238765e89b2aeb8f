"""The No-U-Turn sampler: nutpie on cached machine code, or PyMC's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from rich.console import Console

from progression.encoding import Encoded
from progression.engines.light import nutpie
from progression.engines.native import Native, compile_native
from progression.engines.program import Built, build, values
from progression.modeling import Model, Prior, SupportsPyMC

_KEPT = 32  # compiled programs kept in a process; each holds about 12 MB


class _Program:
    """A model with its priors, and the sizes that its machine code is tied to: what a compiled program is kept under."""

    def __init__(self, model: Model, priors: Mapping[str, SupportsPyMC], encoded: Encoded) -> None:
        self.model, self.priors, self.encoded = model, priors, encoded
        facts = [(name, prior if isinstance(prior, Prior) else id(prior)) for name, prior in sorted(priors.items())]
        self.key = (
            id(model.program),
            tuple(facts),
            tuple(sorted(encoded.sizes().items())),
            encoded.observed,
        )

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Program) and self.key == other.key


@lru_cache(maxsize=_KEPT)
def _compiled(program: _Program) -> tuple[Native, tuple[str, ...]]:
    built = build(program.model, program.encoded, program.priors)
    _refuse_discrete(built)
    return compile_native(built.model, values(program.encoded, built.used)), built.used


def sample(
    model: Model, encoded: Encoded, priors: Mapping[str, SupportsPyMC], *, draws: int, tune: int, chains: int,
    random_seed: int, sampler: str = "nutpie", progressbar: bool = True, **kwargs: Any,
) -> tuple[xr.Dataset, xr.Dataset]:  # fmt: skip
    """Draw from the posterior.

    Returns
    -------
    posterior, sample_stats : xarray.Dataset
        Dims (chain, draw, ...), the padding of `subject` cut off, statistics under the sampler's own names.
    """
    built = build(model, encoded, priors)  # first: it says in words what data the program lacks
    console = Console(stderr=True, quiet=not progressbar)
    if sampler == "nutpie":
        with console.status(f"compiling {model.name}: once for cohorts of this size", spinner="line"):
            native, used = _compiled(_Program(model, priors, encoded))
        trace = nutpie.sample(
            native.with_values(values(encoded, used)), draws=draws, tune=tune, chains=chains, seed=random_seed,
            save_warmup=False, progress_bar=progressbar, **kwargs,
        )  # fmt: skip
        raw = {name: variable.to_numpy() for name, variable in trace.posterior.data_vars.items()}
        stats = trace.sample_stats.to_dataset().drop_vars("divergence_message", errors="ignore")
    else:
        _refuse_discrete(built)
        if "maxdepth" in kwargs:
            kwargs["nuts"] = {"max_treedepth": kwargs.pop("maxdepth")}
        with built.model:
            trace = pm.sample(
                draws, tune=tune, chains=chains, random_seed=random_seed, nuts_sampler="pymc",
                progressbar=progressbar, compute_convergence_checks=False, **kwargs,
            )  # fmt: skip
        raw = {name: variable.to_numpy() for name, variable in trace.posterior.data_vars.items()}
        stats = trace.sample_stats.to_dataset()
    return label(raw, built), xr.Dataset({name: (v.dims[:2], v.to_numpy()) for name, v in stats.items() if v.ndim == 2})


def label(raw: Mapping[str, np.ndarray], built: Built) -> xr.Dataset:
    """Give draws of shape (chain, draw, ...) their dims and labels, and cut off the padding."""
    coords, dims_of = built.encoded.coords, built.model.named_vars_to_dims
    variables = {}
    for name, array in raw.items():
        dims = dims_of.get(name) or tuple(f"{name}_dim_{i}" for i in range(array.ndim - 2))
        if "subject" in dims and array.shape[2 + dims.index("subject")] != built.encoded.n_subjects:
            array = array.take(range(built.encoded.n_subjects), axis=2 + dims.index("subject"))
        variables[name] = (("chain", "draw", *dims), array)
    used = {dim for dims, _ in variables.values() for dim in dims} & set(coords)
    return xr.Dataset(variables, coords={dim: list(coords[dim]) for dim in sorted(used)})


def _refuse_discrete(built: Built) -> None:
    names = [rv.name for rv in built.model.discrete_value_vars]
    if names:
        raise TypeError(
            f"the program has discrete unknowns ({', '.join(names)}); NUTS needs continuous ones: sum them out"
        )
