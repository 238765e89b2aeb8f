"""When two engines agree, as the acceptance criterion has it, and whether a collection of trials meets it.

Mean within 0.05 posterior SD, SD within 5 %, probability within max(0.01, 3 Monte Carlo errors), for 95 % of the
data sets; the rest were flagged by the engine itself. A data set agrees where all components of its estimand do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.evidence.measuring import COLUMNS

MEAN, SD, P, ERRORS, SHARE = 0.05, 0.05, 0.01, 3.0, 0.95
# Difference of means in posterior SDs, SD over SD, difference of probabilities with what is allowed of it, and what
# would be if the errors of both engines counted.
DIFFERENCES = ("mean", "sd_ratio", "p", "p_allowed", "p_allowed_both")


def difference(reference: Sequence[float], found: Sequence[float]) -> list[float]:
    """One component: `found` against `reference` (both in the order of `COLUMNS`), in the order of `DIFFERENCES`.

    Only the reference's Monte Carlo error counts: an engine is not let off for the noise of its own draws.
    """
    a, b = dict(zip(COLUMNS, reference, strict=True)), dict(zip(COLUMNS, found, strict=True))
    both = np.hypot(a["p_error"], b["p_error"])
    values = ((b["mean"] - a["mean"]) / a["sd"], b["sd"] / a["sd"], b["p"] - a["p"],
              max(P, ERRORS * a["p_error"]), max(P, ERRORS * both))  # fmt: skip
    return [float(f"{value:.4g}") for value in values]


def excess(one: Sequence[float], *, both: bool = False) -> dict[str, float]:
    """Each difference over what is allowed of it: 1 or less agrees."""
    mean, ratio, p, allowed, allowed_both = one
    found = {"mean": abs(mean) / MEAN, "sd": abs(ratio - 1) / SD, "p": abs(p) / (allowed_both if both else allowed)}
    return {name: value if np.isfinite(value) else np.inf for name, value in found.items()}


def worst(components: Mapping[str, Sequence[float]], *, both: bool = False) -> dict[str, float]:
    """The greatest excess over all components of a data set, for mean, SD and probability."""
    each = [excess(one, both=both) for one in components.values()]
    return {name: max(one[name] for one in each) for name in each[0]}


def judge(sets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Shares of a model's data sets within each criterion, how many were flagged, and the worst that was not.

    Parameters
    ----------
    sets : mapping of str to mapping
        By name of the data set, each with `flagged` (a list of words) and `components`.
    """
    beyond = {name: worst(one["components"]) for name, one in sets.items()}
    lenient = {name: worst(one["components"], both=True) for name, one in sets.items()}
    agree = {name: max(one.values()) <= 1 for name, one in beyond.items()}
    unflagged = {name: max(one.values()) for name, one in beyond.items() if not sets[name]["flagged"]}
    # By chance alone some differences of two Monte Carlo results exceed what is allowed of one: both errors count here.
    silent = sorted(name for name in unflagged if max(lenient[name].values()) > 1)
    share = float(np.mean(list(agree.values())))
    shares = {
        kind: round(float(np.mean([one[kind] <= 1 for one in beyond.values()])), 4) for kind in ("mean", "sd", "p")
    }
    name = max(unflagged, key=lambda one: unflagged[one], default=None)
    return {
        "sets": len(sets), **shares, "agree": round(share, 4),
        "agree_with_both_errors": round(float(np.mean([max(one.values()) <= 1 for one in lenient.values()])), 4),
        "flagged": sum(bool(one["flagged"]) for one in sets.values()), "disagree_unflagged": silent,
        "worst_unflagged": [name, round(unflagged[name], 3)] if name else None,
        "met": bool(share >= SHARE and not silent),
    }  # fmt: skip
