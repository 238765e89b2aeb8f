"""Draws -> tables: every scalar component labelled, summarised in ArviZ's columns, under a line about the fit's state."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import product
from typing import ClassVar

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr


class Summary(pd.DataFrame):
    """A table that prints the state of its fit above itself."""

    _metadata: ClassVar[list[str]] = ["header"]
    header: str = ""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return Summary

    def with_header(self, header: str) -> Summary:
        """Return the table with a line printed above it."""
        made = Summary(self)
        made.header = header
        return made

    def __repr__(self) -> str:
        return f"{self.header}\n{super().__repr__()}" if self.header else super().__repr__()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.header)}</p>{pd.DataFrame(self).to_html()}"


def components(draws: xr.Dataset) -> dict[str, xr.DataArray]:
    """Each scalar component of each variable, dims (chain, draw), by a label such as ``effect[treated, 0.92]``."""
    found = {}
    for name, variable in draws.data_vars.items():
        dims = [dim for dim in variable.dims if dim not in ("chain", "draw")]
        axes = [variable[dim].to_numpy() for dim in dims]
        for place in product(*(range(len(axis)) for axis in axes)):
            labels = ", ".join(_word(axis[i]) for axis, i in zip(axes, place, strict=True))
            one = variable.isel(dict(zip(dims, place, strict=True))).transpose("chain", "draw")
            found[f"{name}[{labels}]" if dims else str(name)] = one
    return found


def summarise(parts: Mapping[str, xr.DataArray], *, ci_prob: float) -> pd.DataFrame:
    """Summarise scalar components in ArviZ's columns, with an equal-tailed interval.

    Each component goes in as a variable of its own: arviz-stats 1.3 attaches labels to the wrong rows where two
    variables share a dim and one of them has a further one.
    """
    scalars = xr.Dataset({f"v{i}": one.reset_coords(drop=True) for i, one in enumerate(parts.values())})
    table = pd.DataFrame(azs.summary(scalars, ci_prob=ci_prob, ci_kind="eti", round_to="none"))
    table.index = pd.Index(list(parts))
    return table


def _word(label: object) -> str:
    return f"{label:g}" if isinstance(label, float | np.floating) else str(label)
