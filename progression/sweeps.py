"""An answer under one size of drift after another: how much trust in historical controls it takes, and what would undo it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from progression.borrowing import Commensurate
from progression.cohort import Cohort
from progression.contrasts import contrast
from progression.faults import SettingError, setting_fault
from progression.fitting import fit
from progression.modeling import Estimand, Model

SCALES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """An estimand under a row of drift priors.

    Attributes
    ----------
    cohort : Cohort
    estimand : Estimand
    label : str
        In words, sign and unit included.
    table : pandas.DataFrame
        A row a scale: scale (SD of the drift), mean, lower, upper (95 %), drift_mean, drift_sd (posterior of the drift; of a
        single arm by the priors of drift and effect), probability (of benefit).
    problems : tuple of str
    single_arm : bool
        Whether there are no concurrent controls, so that the data tell drift and effect not apart.
    """

    cohort: Cohort
    estimand: Estimand
    label: str
    table: pd.DataFrame
    problems: tuple[str, ...]
    single_arm: bool

    def __repr__(self) -> str:
        what = (
            "; no concurrent controls: the priors of drift and effect split what is known of both"
            if self.single_arm
            else ""
        )
        return f"Sweep of the drift, {self.label}{what}\n{self.table.to_string(index=False, float_format=lambda v: f'{v:.3g}')}"


def drift_sweep(
    model: str | Model, cohort: Cohort, *, scales: Sequence[float] = SCALES, arms: Sequence[str] = ("historical control",),
    random_seed: int | None = None, **fit_keywords: Any,
) -> Sweep:  # fmt: skip
    """The model's primary estimand under `Commensurate` borrowing of one scale after another.

    Parameters
    ----------
    model : str or Model
    cohort : Cohort
        With a historical arm.
    scales : sequence of float
        SDs of the drift, in the units of the effect (on the log scale for ratios).
    arms : sequence of str
        The historical arms.
    random_seed : int, optional
    **fit_keywords
        For `fit`.

    Returns
    -------
    Sweep
        Of the first treated arm.

    Raises
    ------
    SettingError, CohortError
        As `fit`; for no scales.
    """
    if not len(scales):
        raise SettingError([setting_fault("scales", list(scales), "is empty", "give SDs of the drift")])
    rows, problems = [], []
    for scale in scales:
        one = fit(
            model,
            cohort,
            borrowing=Commensurate(scale, arms=tuple(arms)),
            random_seed=random_seed,
            progressbar=False,
            **fit_keywords,
        )
        estimand = one.model.estimands[0]
        found = contrast(one, estimand.name)
        labels = [label for label in one.cohort.arms[1:] if label not in arms]
        draws, drift = (found.draws[estimand.name].sel(active_arm=label) for label in (labels[0], arms[0]))
        if set(draws.dims) - {"chain", "draw"}:  # by visit or outcome: the last of them
            last = {dim: -1 for dim in draws.dims if dim not in ("chain", "draw")}
            draws, drift = draws.isel(last), drift.isel(last)
        low, high = np.quantile(draws, [0.025, 0.975])
        null = estimand.null or 0.0
        better = draws > null if estimand.benefit == "higher" else draws < null
        away = np.log(drift) if estimand.scale == "ratio" else drift
        rows.append({"scale": scale, "mean": float(draws.mean()), "lower": low, "upper": high, "drift_mean": float(away.mean()),
                     "drift_sd": float(away.std()), "probability": float(better.mean())})  # fmt: skip
        problems += [f"scale {scale:g}: {text}" for text in one.problems]
    label = [text for key, text in found.labels().items() if labels[0] in key][-1]
    return Sweep(
        one.cohort, found.estimands[estimand.name], label, pd.DataFrame(rows), tuple(problems), cohort.arms[0] in arms
    )
