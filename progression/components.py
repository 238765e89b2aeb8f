"""One component of an estimand, chosen by its labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from progression.faults import SettingError, is_number, setting_fault, suggest

__all__ = ["component", "outcome_dims"]

_ALIASES = {"arm": ("active_arm", "arm"), "visit": ("followup_visit",)}
_SAMPLES = ("chain", "draw", "data_set")
_NEAR = 0.5  # months: how far a visit may lie from the one that is named


def outcome_dims(dims: Iterable[Any]) -> list[Any]:
    """Those that run over outcomes: `outcome`, or `<block>_outcomes` in a model with several observed variables."""
    return [dim for dim in dims if dim == "outcome" or str(dim).endswith("_outcomes")]


def component(
    draws: xr.DataArray, labels: Mapping[str, Any], *, name: str, drifts: Collection[Any] = ()
) -> xr.DataArray:
    """Draws of one component of an estimand.

    Parameters
    ----------
    draws : xarray.DataArray
        Dims of samples (chain, draw, data_set), then those the estimand runs over.
    labels : mapping
        Which component, such as ``{"arm": "high dose"}`` or ``{"visit": 0.92}`` (the nearest visit is taken).
    name : str
        The estimand's.
    drifts : collection of str
        Arms that are no treatment: with one treated arm beside them there is nothing to choose.

    Returns
    -------
    xarray.DataArray
        Dims of samples only.

    Raises
    ------
    SettingError
        For a label that is not there, or where several components are left.
    """
    one = draws
    for key, value in labels.items():
        named = outcome_dims(one.dims) if key == "outcome" else _ALIASES.get(key, ())
        dims = [dim for dim in (*named, key) if dim in one.dims and dim not in _SAMPLES]
        if not dims:
            inner = ", ".join(str(dim) for dim in one.dims if dim not in _SAMPLES) or "one component only"
            raise SettingError([setting_fault(None, key, f"is not something {name!r} runs over", f"it has {inner}")])
        known = one[dims[0]].to_numpy()
        numeric = np.issubdtype(known.dtype, np.number)
        planned = ", ".join(f"{month:.3g}" for month in known) if numeric else ""
        if numeric and not is_number(value):
            raise SettingError([setting_fault(None, value, f"is no month, by which a {key} is named", f"name one of the months {planned}, as a number")])  # fmt: skip
        if numeric and np.abs(known - value).min() > _NEAR:
            raise SettingError([setting_fault(None, value, "is more than half a month from any visit",
                                              f"name one of the months {planned}")])  # fmt: skip
        try:
            one = one.sel({dims[0]: value}, method="nearest" if numeric else None)
        except KeyError:
            raise SettingError([setting_fault(None, value, f"is not a label of {key}{suggest(value, known.tolist())}",
                                              "name one")]) from None  # fmt: skip
    if "active_arm" in one.dims:
        treated = [arm for arm in one["active_arm"].to_numpy().tolist() if arm not in drifts]
        one = one.sel(active_arm=treated) if len(treated) == 1 else one
    left = {dim: one[dim].to_numpy().tolist() for dim in one.dims if dim not in _SAMPLES}
    several = {dim: values for dim, values in left.items() if len(values) != 1}
    if several:
        raise SettingError(
            [setting_fault(None, name, f"has several components: {several}", "choose one, e.g. visit=...")]
        )
    return one.sel({dim: values[0] for dim, values in left.items()})
