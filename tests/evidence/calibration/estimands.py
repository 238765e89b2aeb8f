"""The value of every estimand at given parameters, by formulas, plain sums and integrals of this file's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy import integrate, special

from tests import simulators

Values = Mapping[str, np.ndarray]


def cutpoints(p: Values) -> np.ndarray:
    """(..., items, 4), ascending."""
    third = p["third_cutpoint"]
    second = third - p["second_gap"]
    return np.stack([second - p["first_gap"], second, third, third + p["third_gap"]], axis=-1)


def _of_slope(p: Values) -> dict[str, Any]:
    control, effect = p["mean_slope"], p["slope_effect"]
    slopes = np.r_[control, control + effect]
    return {"slope_difference": effect, "slope_ratio": 1 + effect / control, "change_difference": 12 * effect, "slope": slopes,
            "change": 12 * slopes}  # fmt: skip


def _of_shared(p: Values) -> dict[str, Any]:
    ratio, rate = p["rate_ratio"], p["mean_rate"]
    alive = np.exp(-6 * p["hazard"] * np.r_[1, ratio])
    return {"drr": ratio, "hazard_ratio": ratio, "slope_difference": rate * (1 - ratio), "slope": -rate * np.r_[1, ratio],
            "change_difference": 6 * rate * (1 - ratio), "survival": alive, "survival_difference": alive[1:] - alive[0]}  # fmt: skip


def _standardised(p: Values, mean: Callable[..., float], typical: Callable[[float], float], *spreads: str) -> dict[str, Any]:  # fmt: skip
    """Scores averaged over patients (`mean`, by plain sums over a grid) and of the typical one, at months 0 and 6."""
    own = {name: float(p[name]) for name in (*spreads, "sd_level", "sd_slope", "correlation")}
    slopes = float(p["mean_slope"]) + np.array([0.0, p["slope_effect"][0]])
    start = mean(0, mean_slope=0.0, **own)
    end = np.array([mean(6, mean_slope=slope, **own) for slope in slopes])
    at_mean = [typical(6 * slope) for slope in slopes]
    return {"change_difference": end[1:] - end[0], "slope_difference": (end[1:] - end[0]) / 6, "change": end - start, "slope": (end - start) / 6,
            "latent_slope_difference": p["slope_effect"], "typical_slope_difference": np.array([at_mean[1] - at_mean[0]]) / 6}  # fmt: skip


def _of_bounded(p: Values) -> dict[str, Any]:
    typical = lambda latent: float(48 * special.expit(p["mean_level"] + latent))  # noqa: E731
    return _standardised(p, simulators.mean_bounded_score, typical, "mean_level")


def _of_items(p: Values) -> dict[str, Any]:
    steps = cutpoints(p)
    typical = lambda latent: float(special.expit(latent - steps).sum())  # noqa: E731
    return _standardised(p, partial(simulators.mean_items_score, cutpoints=steps), typical)


def converted(month: Any, share: Any, median: Any, shape: Any) -> Any:
    """Probability of antibodies by a month."""
    return share * -np.expm1(-np.log(2) * (month / median) ** shape)


def _of_antibody(p: Values) -> dict[str, Any]:
    before, after = p["effect_before"], p["effect_after"]
    onset = [float(p[name]) for name in ("share_converting", "median_onset", "onset_shape")]
    without = integrate.quad(lambda t: 1 - converted(t, *onset), 0, 12, limit=400, points=[min(onset[1], 6.0)])[0]
    difference = before * without + after * (12 - without)
    return {"slope_difference_before": before, "slope_difference_after": after, "loss_of_effect": after - before, "change_difference": difference,
            "change": 12 * p["mean_slope"] + np.r_[0, difference], "share_converted": converted(12, *onset)}  # fmt: skip


def _of_crp(p: Values) -> dict[str, Any]:
    return {"crp_ratio": np.exp(p["effect"])} if "effect" in p else {"crp_ratio_to_baseline": np.exp(p["time_course"])}


_mean_share = np.vectorize(simulators.mean_share)


def _of_joints(p: Values) -> dict[str, Any]:
    later = _mean_share(p["mean_level"] + p["time_course"], p["sd_patient"])
    if "effect" in p:
        return {"count_ratio": _mean_share(p["mean_level"] + p["time_course"] + p["effect"], p["sd_patient"]) / later}
    return {"count_ratio_to_baseline": later / _mean_share(p["mean_level"], p["sd_patient"])}


def _of_activity(p: Values) -> dict[str, Any]:
    course, loading = p["time_course"], p["count_loading"]
    spread = np.sqrt(loading**2 * (1 + p["sd_visit"] ** 2) + p["sd_count"] ** 2)
    share = lambda moved: _mean_share(p["count_level"] + loading * np.asarray(moved)[..., None], spread)  # noqa: E731
    if "effect" in p:
        effect = p["effect"]
        return {"activity_effect": effect, "later_effect": effect[:, -1] - effect[:, 0], "crp_ratio": np.exp(effect[..., None] * p["marker_loading"]),
                "count_ratio": share(course + effect) / share(course)}  # fmt: skip
    return {"activity_change": course, "later_change": course[-1] - course[0], "crp_ratio_to_baseline": np.exp(course[:, None] * p["marker_loading"]),
            "count_ratio_to_baseline": share(course) / share(0.0)}  # fmt: skip


ESTIMANDS: Mapping[str, Callable[[Values], dict[str, Any]]] = {
    "als_slope": _of_slope, "als_shared": _of_shared, "als_bounded": _of_bounded, "als_items": _of_items, "als_antibody": _of_antibody,
    "sle_crp": _of_crp, "sle_joints": _of_joints, "sle_activity": _of_activity,
}  # fmt: skip
