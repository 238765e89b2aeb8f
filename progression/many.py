"""Model x many data sets -> the estimands of each: what power and calibration are made of."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from progression.borrowing import Borrowing
from progression.cohort import Cohort
from progression.faults import SettingError, check_count, is_number, setting_fault, suggest
from progression.fitted import provenance
from progression.fitters import Fitter, recipe
from progression.modeling import Estimand, Model, SupportsPyMC
from progression.replicates import Replicates, other_onsets
from progression.rules import OPERATORS


@dataclass(frozen=True, eq=False, repr=False)
class Fits:
    """A model fitted to many data sets of one design.

    Attributes
    ----------
    model : Model
    replicates : Replicates
    draws : xarray.Dataset
        One variable an estimand, dims (data_set, draw, then those the estimand runs over).
    diagnostics : pandas.DataFrame
        One row a data set: engine, pareto_k, share (effective points over points), quadrature_error, fell_back (why NUTS
        was run instead), problem (empty where the draws can be trusted).
    estimands : mapping of str to Estimand
    settings : mapping
    """

    model: Model
    replicates: Replicates
    draws: xr.Dataset
    diagnostics: pd.DataFrame
    estimands: Mapping[str, Estimand]
    settings: Mapping[str, Any]

    @property
    def problems(self) -> pd.Series:
        """What is wrong, for each data set whose draws cannot be trusted."""
        found = self.diagnostics["problem"]
        return found[found != ""]

    def summary(self, *, ci_prob: float = 0.95) -> xr.Dataset:
        """Posterior mean, SD and equal-tailed interval of every estimand: dims (statistic, data_set, ...)."""
        low, high = (1 - ci_prob) / 2, (1 + ci_prob) / 2
        parts = [self.draws.mean("draw"), self.draws.std("draw"), self.draws.quantile(low, "draw").drop_vars("quantile"),
                 self.draws.quantile(high, "draw").drop_vars("quantile")]  # fmt: skip
        return xr.concat(parts, dim=pd.Index(["mean", "sd", "lower", "upper"], name="statistic"))

    def probability(self, comparison: str, value: float, *, estimand: str | None = None) -> xr.DataArray:
        """Posterior probability, for each data set, that an estimand lies below or above a value.

        Parameters
        ----------
        comparison : {"<", "<=", ">", ">="}
        value : float
        estimand : str, optional
            The primary one unless given.
        """
        name = next(iter(self.estimands)) if estimand is None else estimand
        if name not in self.draws:
            raise SettingError(
                [setting_fault(None, name, f"is not an estimand here{suggest(name, self.estimands)}", "name one")]
            )
        if comparison not in OPERATORS or not is_number(value):
            raise SettingError([setting_fault(None, f"{comparison} {value}", "is not a comparison with a number",
                                              f"use one of {', '.join(OPERATORS)} and a finite number")])  # fmt: skip
        return OPERATORS[comparison](self.draws[name], value).mean("draw")

    def __repr__(self) -> str:
        bad = len(self.problems)
        state = f"{bad} with problems" if bad else "none with problems"
        return (f"Fits of {self.model.name} to {len(self.replicates)} data sets of {self.replicates.cohort.n_subjects} "
                f"subjects, {provenance(self.replicates.cohort)} ({state}); estimands {', '.join(self.estimands)}")  # fmt: skip


def fit_many(
    model: str | Model, data: Replicates | Sequence[Cohort], *, priors: str | Mapping[str, SupportsPyMC] | None = None,
    outcomes: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None, engine: str | None = None,
    estimands: str | Sequence[str] | None = None, random_seed: int | None = None, draws: int = 1000, cores: int = 1,
    fallback: bool = True, progressbar: bool = True, borrowing: Borrowing | None = None, **at: float,
) -> Fits:  # fmt: skip
    """Fit one model to many data sets of one design.

    The program is prepared once, and data sets are worked through in groups of fixed size: the same seed gives the same
    draws whatever `cores` is.

    Parameters
    ----------
    model : str or Model
    data : Replicates or sequence of Cohort
        Data sets of one design. Replicates are faster to prepare.
    priors, outcomes, options
        As in `fit`.
    engine : {"marginal", "nuts"}, optional
        "marginal" where omitted; a program it cannot handle is refused, with the reason.
    estimands : str or sequence of str, optional
        Which; all that the design can answer where omitted, the primary one first.
    random_seed : int, optional
    draws : int
        For each data set. With NUTS they are taken from four chains of at least 1,000. By the marginal engine they repeat
        weighted points, 512 a round for each 1,000: in one trial of `sle_crp` and two of `als_antibody`, the SD of a
        probability between eight seeds was 0.013, 0.016 and 0.021. More draws are more points.
    cores : int
        Worker processes, through joblib: its ``parallel_config`` chooses another backend, such as a cluster.
    fallback : bool
        Whether data sets that the marginal engine cannot vouch for are fitted by NUTS.
    progressbar : bool
    borrowing : Borrowing, optional
        As in `fit`.
    **at : float
        Settings of estimands, such as ``month=6``.

    Returns
    -------
    Fits

    Raises
    ------
    CohortError
        The design or some values do not suit the model.
    SettingError
        An unknown name, or a program the chosen engine cannot handle.
    """
    cohorts: Sequence[Cohort] = ()
    if not isinstance(data, Replicates):
        if not isinstance(data, Sequence) or not data or not all(isinstance(one, Cohort) for one in data):
            raise SettingError([setting_fault("data", type(data).__name__, "is neither Replicates nor a sequence of cohorts",
                                              "give pg.Replicates(cohort, {outcome: array}) or a list of cohorts")])  # fmt: skip
        cohorts, data = data, Replicates.from_cohorts(data)
    check_count("cores", cores)
    made = recipe(model, data.cohort, priors=priors, outcomes=outcomes, options=options, engine=engine, estimands=estimands, draws=draws,
                  fallback=fallback, borrowing=borrowing, at=at, random_seed=random_seed)  # fmt: skip
    data = replace(data, cohort=made.cohort)
    if made.reads_onsets():
        other_onsets(cohorts, data.cohort)
    values = made.values(data)
    seed = secrets.randbelow(2**31) if random_seed is None else int(random_seed)
    seeds, size = np.random.SeedSequence(seed).spawn(len(data)), made.group
    known_rows = sum(np.isfinite(value).sum(axis=1) for value in values.values())
    first = {block: value[int(np.argmax(known_rows > 0))] for block, value in values.items()}
    job = cloudpickle.dumps((made, first))
    tasks = [({block: value[i : i + size] for block, value in values.items()}, seeds[i : i + size])
             for i in range(0, len(data), size)]  # fmt: skip
    run = joblib.Parallel(n_jobs=cores, return_as="generator")(joblib.delayed(_work)(job, *task) for task in tasks)
    found = list(_watched(run, len(tasks), size, len(data), progressbar))
    table = pd.concat([frame for _, frame in found], ignore_index=True).rename_axis("data_set")
    drawn = xr.concat([one for one, _ in found], dim="data_set").assign_coords(data_set=np.arange(len(data)))
    drawn.attrs["provenance"] = provenance(data.cohort)
    settings = {"engine": made.engine, "draws": draws, "random_seed": seed, **at}
    return Fits(made.model, data, drawn, table, made.estimands, settings)


def _watched(run: Any, tasks: int, size: int, total: int, progressbar: bool) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=not progressbar), transient=True) as progress:
        task = progress.add_task("data sets", total=total)
        for one in run:
            progress.advance(task, min(size, total))
            yield one


@lru_cache(maxsize=1)
def _loaded(job: bytes) -> Fitter:
    """What all groups share: unpickled once in a worker, so that its program is prepared once."""
    made, first = cloudpickle.loads(job)
    ready: Fitter = made.ready(first)
    return ready


def _work(
    job: bytes, values: Mapping[str, np.ndarray], seeds: Sequence[np.random.SeedSequence]
) -> tuple[xr.Dataset, pd.DataFrame]:
    """One group of data sets: the draws of the estimands, and a row of diagnostics for each."""
    return _loaded(job).fit(values, seeds)
