"""How near our numbers must come to those of others: SCIENCE.md, section 6, in one place.

- `same priors`: mean and SD of a posterior within four combined Monte Carlo errors (and half a unit of the last digit printed).
- `likelihood`: REML or maximum likelihood against wide priors: means within 0.1 standard errors, medians of SDs within 12 %.
- `gold draws`: the same, of means whose Monte Carlo error is published; ours has none.
- `quadrature`: no side has Monte Carlo error; within a hundredth of the posterior SD.
- `exact`: the same number, to the digits that the JSON holds.
- `share`: a share of simulated trials within four binomial standard errors.
- `printed`: of mixtures that others fitted to draws, to whole patients: half of one and 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import arviz_stats as azs
import numpy as np
import xarray as xr

ERRORS, OF_SE, OF_SD, OF_POSTERIOR, DIGITS, OF_MIXTURE = 4.0, 0.1, 0.12, 0.01, 2e-8, 0.05


@dataclass(frozen=True)
class Row:
    """One number of theirs beside ours; `units` is their distance in tolerances: above 1 they disagree."""

    quantity: str
    theirs: float
    ours: float
    tolerance: float

    @property
    def units(self) -> float:
        """The difference divided by the tolerance."""
        gap = abs(self.ours - self.theirs)
        return gap / self.tolerance if np.isfinite(gap) else float("inf")


@dataclass(frozen=True)
class Share:
    """Successes among simulated trials."""

    share: float
    trials: int


def rows(
    kind: str, quantities: Mapping[str, Mapping[str, float]], ours: Mapping[str, Any], *, most: float = np.inf
) -> list[Row]:
    """Every number of theirs beside ours.

    Parameters
    ----------
    kind : str
    quantities : mapping
        Theirs, as the JSON has them.
    ours : mapping of str to draws (chain, draw), `Share` or float
    most : float
        How many independent draws ours are worth at most: weighted draws repeat.
    """
    if lost := sorted(set(quantities) - set(ours)):
        raise KeyError(f"nothing of ours for {', '.join(lost)}")
    found: list[Row] = []
    for name, theirs in quantities.items():
        found += _OF[kind](name, theirs, ours[name], most)
    return found


def _same_priors(name: str, theirs: Mapping[str, float], ours: xr.DataArray, most: float) -> list[Row]:
    draws = ours.transpose("chain", "draw")
    own = draws.to_numpy().ravel()
    square = (own - own.mean()) ** 2
    least = own.std() / most**0.5, square.std() / (2 * own.std()) / most**0.5
    made = []
    for key, value, floor, rounding in (
        ("mean", own.mean(), least[0], "rounding"),
        ("sd", own.std(ddof=1), least[1], "sd_rounding"),
    ):
        error = max(float(azs.mcse(draws, method=key)), floor)
        tolerance = ERRORS * float(np.hypot(error, theirs[f"{key}_error"])) + theirs.get(rounding, 0.0)
        made.append(Row(f"{name}, {'SD' if key == 'sd' else key}", theirs[key], float(value), tolerance))
    return made


def _likelihood(name: str, theirs: Mapping[str, float], ours: xr.DataArray, most: float) -> list[Row]:
    if "se" in theirs:
        return [Row(name, theirs["estimate"], float(ours.mean()), OF_SE * theirs["se"])]
    return [Row(name, theirs["estimate"], float(ours.median()), OF_SD * theirs["estimate"])]


def _quadrature(name: str, theirs: Mapping[str, float], ours: float, most: float) -> list[Row]:
    return [Row(name, theirs["value"], float(ours), OF_POSTERIOR * theirs["scale"])]


def _gold(name: str, theirs: Mapping[str, float], ours: float, most: float) -> list[Row]:
    return [Row(name, theirs["value"], float(ours), ERRORS * theirs["error"])]


def _printed(name: str, theirs: Mapping[str, float], ours: float, most: float) -> list[Row]:
    return [Row(name, theirs["value"], float(ours), 0.5 + OF_MIXTURE * theirs["value"])]


def _exact(name: str, theirs: Mapping[str, float], ours: float, most: float) -> list[Row]:
    return [Row(name, theirs["value"], float(ours), DIGITS * max(abs(theirs["value"]), 1.0))]


def _share(name: str, theirs: Mapping[str, float], ours: Share, most: float) -> list[Row]:
    p = theirs["value"]
    return [Row(name, p, ours.share, ERRORS * (p * (1 - p) / ours.trials) ** 0.5)]


_OF: Mapping[str, Any] = {"same priors": _same_priors, "likelihood": _likelihood, "gold draws": _gold, "quadrature": _quadrature,
                          "exact": _exact, "share": _share, "printed": _printed}  # fmt: skip
