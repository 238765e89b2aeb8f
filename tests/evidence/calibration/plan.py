"""How many data sets of each model, through which road, and how each is fitted. No part of what a record's hash is of: records say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Roads: `pg.fit` by either engine, of which each patient's effects are ranked too, and the marginal engine on many sets at once, `pg.fit_many`.
ROADS: Mapping[str, str] = {"marginal": "marginal", "many": "marginal", "nuts": "nuts"}
Part = tuple[str, str]  # a regime and a road
BLOCK = 32  # sets a task, as many as `fit_many` does together: a worker keeps what it has compiled, and none waits long for the last one
LONGER = 4  # times as many draws, once, where a NUTS run has fewer effective draws than are ranked among


def _both(**by_road: int) -> dict[Part, int]:
    return {(regime, road): n for road, n in by_road.items() for regime in ("sparse", "dense")}


# By what a fit costs. Where one integral takes `fit` seconds, and `fit_many` a tenth of one, it goes through `fit_many` alone. A dense set
# of lupus takes that seconds too, and some are handed to NUTS after many: fewer of them.
SETS: Mapping[str, Mapping[Part, int]] = {
    "als_slope": _both(marginal=2000, many=2000, nuts=200),
    "als_shared": _both(marginal=300, many=2000, nuts=200),
    "als_bounded": _both(many=300, nuts=300),
    "als_items": _both(nuts=300),
    "als_antibody": _both(many=300, nuts=300),
    "sle_crp": {**_both(many=2000, nuts=200), ("dense", "many"): 320},
    "sle_joints": {**_both(many=2000, nuts=200), ("sparse", "nuts"): 1000, ("dense", "many"): 320},
    "sle_activity": _both(nuts=300),
}

_FULL = {"draws": 500, "tune": 1000, "chains": 4, "cores": 1}
# Half as much learning of the sampler's steps as `fit` does unless told: what is calibrated so is calibrated with more.
_SHORT = {"draws": 500, "tune": 500, "chains": 2, "cores": 1}
_NUTS = {"als_slope": _FULL, "als_shared": _FULL}


# What failed and is not mended yet, by model and part, in words: the page says it, and a test that it is still so.
KNOWN_FAULTS: Mapping[str, Mapping[str, str]] = {}

# What the evidence found and was mended, in words, for the page.
MENDED = (
    "**`fit_many`, lower tails of SDs between patients** (found 2026-11-30 on `als_shared`, sparse, 2,000 sets: ECDF p = 6e-9 for `sd_rate[1]`; the true SD lay below all "
    "of 99 draws in 2.5 % of sets, not in 1 %). Below the 1 % quantile of a posterior of 4,096 points the 128 of `fit_many` put 0.73 to 0.90 % of the weight. Their axes were turned against "
    "those of the parameters, and as many lay above the mode as below, however far the density reached on either side. Now 0.9 to 1.05 % lie there, with 512 points. "
    "No estimand, mean or diagnostic had shown it.",
    "**`RobustMAP` without concurrent controls** (found 2026-11-30, when the pilot's operating characteristics moved in its rows alone): P(benefit) was 0.999 by `fit` and `fit_many` where exact "
    "integration gives 0.982. The wide component of the drift lies far out along a ridge of drift and effect, which no axis followed, and the reach of a density was measured from near by. "
    "Pareto's k was 0.1. Now `fit` and eight sets of 1,000 draws agree with the integral to 0.006, which a test holds (`tests/test_borrowing.py`).",
    "**Few points** (found 2026-11-30 with 1,000 trials of `als_shared` at a fixed truth, where 200 had been run): of intervals of 95 % under the HEALEY plan's priors 92.7 % held it, by 256 points a trial. "
    "By 16,384 points 94.0 % do. `fit_many` in closed form now takes 512.",
    "**Tails along straight lines** (found 2026-11-30 by a review with made-up densities, and then seen on `als_slope`): how far a density reaches was measured with the other parameters held. Where two "
    "SDs share a variance, the lowest hundredth of the weaker one had 0.6 to 0.7 of its weight, with a Pareto k of 0.35; that of `als_slope`'s correlation had 0.8 in `fit_many`. 2,000 sets had "
    "not shown it. The reach is now that of the profile: 0.99 to 1.01 and 0.95 to 0.97 (`tests/test_importance.py`).",
    "**Tails that no draw reached, `sle_crp`** (found 2026-12-01, sparse, by `fit_many`, 2,000 sets: of intervals of 90 % 87.3 % held the second ratio; p = 1e-5 for `sd_residual`). Where values lie below "
    "the limit, patients' integrals were placed along a line from one reference and came out too small far from it; what was too small was never drawn, and the error was measured at draws alone. In one cohort of four "
    "`fit` had 0.19 for the mean of `sd_residual`, with no warning, where importance sampling from the equations has 0.28. Now the error is looked at all over the proposal, and integrals are placed "
    "anew at every point where it is too large (`tests/test_marginal_quadrature.py`): of the same sets 88.2 % and, of intervals of 95 %, 94.2 %. A review with made-up densities found that a place could "
    "still be missed where a step towards it went down, or both sums lay at the same wrong place: such steps are shortened and the finer sum looks for its own place (`tests/test_marginal_placing.py`).",
)


def how(model: str, road: str) -> dict[str, Any]:
    """What the fit of a set is told."""
    if road == "many":
        return {"draws": 1000}
    return dict(_NUTS.get(model, _SHORT) if road == "nuts" else {"draws": 500, "chains": 4})


def longer(model: str) -> dict[str, Any]:
    """What a fit by NUTS is told that is run again because it was too short."""
    return {**how(model, "nuts"), "draws": LONGER * how(model, "nuts")["draws"]}


def told(model: str, road: str) -> dict[str, Any]:
    """Both, as a record has them; sets of `fit_many` fall back within it."""
    return (
        {"together": BLOCK, **how(model, road)}
        if road == "many"
        else {**how(model, road), "if too short": longer(model)}
    )
