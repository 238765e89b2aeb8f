"""What a report says of historical controls: who they are, how far they are trusted, what is known of the drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from progression.baseline import LARGE, Comparability, comparability
from progression.checking import PriorCheck
from progression.fitted import Fit
from progression.plots.words import Component, rounded
from progression.reporting import tables, words
from progression.reporting.words import Table
from progression.sweeps import Sweep


@dataclass(frozen=True)
class Controls:
    """The section on historical controls of one fit; tables without rows are left out of the page."""

    way: str
    sentences: tuple[str, ...]
    selection: tuple[str, ...]
    comparability: Table
    drift: Table
    sweep: Table


def controls(fit: Fit, found: Sequence[Component], prior: PriorCheck, sweep: Sweep | None) -> Controls | None:
    """What is to be said, or nothing where no controls are historical.

    Parameters
    ----------
    fit : Fit
    found : sequence of Component
        Of all estimands.
    prior : PriorCheck
        Of the same priors and cohort.
    sweep : Sweep, optional
        Of the same patients.
    """
    cohort = fit.cohort
    if "borrowing" not in fit.settings and (cohort.allocation != "historical" or len(cohort.arms) < 2):
        return None
    seen = cohort.subjects["arm"].nunique() > 1
    compared = comparability(cohort) if seen else None
    # Of the primary estimand: the prior is one of its drift, and a quotient of slopes may be narrowed by its denominator alone.
    drifts = [one for one in found if one.arm in words.drifting(fit) and one.estimand.name == found[0].estimand.name]
    return Controls(
        way=words.allocation(fit),
        sentences=(*_no_drift(drifts), *_power(fit)),
        selection=compared.selection if compared else (),
        comparability=_compared(compared, fit) if compared else Table((), ()),
        drift=tables.prior_estimands(prior, drifts),
        sweep=_swept(sweep) if sweep else Table((), ()),
    )


def belongs(sweep: Sweep, fit: Fit) -> bool:
    """Whether a sweep is of the patients of this fit, and of a question that its model answers."""
    same = sweep.cohort.visits.equals(fit.cohort.visits)
    return same and sweep.estimand.name in [one.name for one in fit.model.estimands]


def _no_drift(drifts: Sequence[Component]) -> tuple[str, ...]:
    if drifts:
        return ()
    return ("That historical and concurrent controls go alike is assumed here. No data bear on it, and the intervals do not hold it.",)  # fmt: skip


def _power(fit: Fit) -> tuple[str, ...]:
    if "a0" not in fit.posterior:
        return ()
    mean, (low, high) = float(fit.posterior["a0"].mean()), np.quantile(fit.posterior["a0"], [0.025, 0.975])
    return (f"The share of a patient that each historical control counts for: posterior mean {mean:.2f} (95 % interval "
            f"{low:.2f} to {high:.2f}).",)  # fmt: skip


def _compared(found: Comparability, fit: Fit) -> Table:
    titles = words.outcome_titles(fit)
    arms = [str(name).removesuffix(": n") for name in found.table if str(name).endswith(": n")]
    against = [str(name) for name in found.table if str(name).startswith("difference: ")]
    rows, far = [], []
    for fact, row in found.table.iterrows():
        gaps = row[against]
        cells = [_moments(str(fact), row, arm) for arm in arms]
        rows.append(
            (_named(str(fact), titles), *cells, *("not known" if np.isnan(gap) else rounded(gap, 0.1) for gap in gaps))
        )
        far.append(bool((gaps.abs() > LARGE).any()))
    columns = ("", *(f"{arm}: mean (SD) or share, n" for arm in arms),
               *(f"Standardised difference, {name.removeprefix('difference: ')} minus {arms[0]}" for name in against))  # fmt: skip
    return Table(columns, tuple(rows), tuple(far))


def _moments(fact: str, row: pd.Series, arm: str) -> str:
    mean, sd, n = (float(row[f"{arm}: {which}"]) for which in ("mean", "SD", "n"))
    if not n:
        return "not known"
    if ": " in fact:
        return f"{100 * mean:.0f} %, n = {n:.0f}"
    return f"{rounded(mean, sd or None)} ({rounded(sd, sd or None)}), n = {n:.0f}"


def _named(fact: str, titles: dict[str, str]) -> str:
    known = {"followed": "months followed", "n_visits": "visits"}
    known |= {f"{name}_baseline": f"{title} at baseline" for name, title in titles.items()}
    return known.get(fact, fact.replace("_", " "))


def _swept(sweep: Sweep) -> Table:
    widths = sweep.table["upper"] - sweep.table["lower"]
    unit = "log scale" if sweep.estimand.scale == "ratio" else sweep.estimand.unit
    rows = tuple(
        (f"{row['scale']:g}", words.to(row["lower"], row["upper"], width / 4), rounded(width, width / 4), f"{width / widths.iloc[0]:.2f}")
        for (_, row), width in zip(sweep.table.iterrows(), widths, strict=True)
    )  # fmt: skip
    return Table((f"Prior SD of the drift ({unit})", "95 % interval", "Width", "Width / that of the first row"), rows)
