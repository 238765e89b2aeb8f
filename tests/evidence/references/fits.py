"""Cohorts of the SIMULATED tables, fits of them, and draws by the names that the references use."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import progression as pg
from tests.evidence.references import simulated


def fitted(model: str, cohort: pg.Cohort, **how: Any) -> pg.Fit:
    """A fit that passed the gate, by the model's own engine."""
    marginal = pg.models()[model].engine == "marginal"
    settings = {"draws": 5000} if marginal else {"draws": 2500, "tune": 1000, "cores": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pg.FitWarning)
        fit = pg.fit(model, cohort, random_seed=1, progressbar=False, **(settings | how))
    assert not fit.problems, f"{model}: {fit.problems}"
    return fit


def draws(fit: pg.Fit, wanted: Sequence[str], **own: xr.DataArray) -> tuple[Mapping[str, Any], float]:
    """Draws of quantities such as ``effect[2,1]``, counted from 1 as Stan does; dims of one label are left out."""
    posterior = fit.posterior
    found: dict[str, Any] = {}
    for name in wanted:
        base, places = re.fullmatch(r"(\w+)(?:\[([\d,]+)\])?", name).groups()  # type: ignore[union-attr]
        at = (own[base] if base in own else posterior[base]).drop_vars(["active_arm", "baseline_arm"], errors="ignore")
        at = at.squeeze([dim for dim in at.dims if dim not in ("chain", "draw") and at.sizes[dim] == 1], drop=True)
        rest = [dim for dim in at.dims if dim not in ("chain", "draw")]
        chosen = dict(zip(rest, (int(i) - 1 for i in places.split(",")) if places else (), strict=True))
        found[name] = at.isel(chosen).reset_coords(drop=True)
    stats = fit.idata["sample_stats"]
    most = np.inf
    if "importance_ess" in stats:
        most = float(stats["importance_ess"].mean()) * posterior.sizes["chain"]
    return found, most


def cohort(
    table: pd.DataFrame, outcomes: Sequence[Any] = ("alsfrsr",), subjects: pd.DataFrame | None = None
) -> pg.Cohort:
    """A randomised cohort whose arms are in the order they come in."""
    arms = (table if subjects is None else subjects)["arm"]
    return pg.Cohort.from_table(table, subjects, time_unit="months", outcomes=list(outcomes), arms=list(dict.fromkeys(arms)),
                                allocation="randomised", provenance="simulated")  # fmt: skip


def slopes(*arms: str) -> pg.Cohort:
    """The trial of slopes: these arms of it."""
    table = simulated.read("slopes")
    return cohort(table[table["arm"].isin(arms)])


def shared() -> pg.Cohort:
    """The trial with deaths."""
    table = simulated.read("shared")
    people = table.drop_duplicates("subject")[["subject", "arm", "event", "event_time", "end_of_follow_up"]]
    return cohort(table[["subject", "time", "alsfrsr"]], subjects=people)


def with_limit(name: str, limit: float, counts: Sequence[str] = ()) -> pg.Cohort:
    """A trial with CRP below a limit of detection in part."""
    crp = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True, detection_limit=limit)
    return cohort(simulated.read(name), [*counts, crp])


def plain(name: str, outcomes: Sequence[Any]) -> pg.Cohort:
    """A trial as it stands."""
    return cohort(simulated.read(name), outcomes)
