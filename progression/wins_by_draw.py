"""Win probability of every draw of scores and times of death, by the rule of CAFS, from arrays alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from progression.faults import SettingError, setting_fault, suggest
from progression.pairs import Courses, share_won


def win_probability(
    scores: xr.DataArray, arm: Sequence[str] | xr.DataArray, *, control: str, death: xr.DataArray | None = None,
    followed: xr.DataArray | None = None, higher_is_better: bool = True,
) -> xr.DataArray:  # fmt: skip
    """Probability that a patient of each arm does better than a control, by the rule of CAFS, draw by draw.

    Parameters
    ----------
    scores : xarray.DataArray, dims (sample, subject, month)
        Scores at planned visits, the first of which is the baseline; NaN where none was taken. The last month is the
        horizon. Scores after a patient's death are ignored.
    arm : sequence of str, one a subject
    control : str
        The arm that the others are compared with.
    death : xarray.DataArray, dims (sample, subject), optional
        Months of death; NaN, infinity or beyond the horizon where the patient is alive at it. None dies if omitted.
    followed : xarray.DataArray, dims (sample, subject) or (subject), optional
        Last month each patient was watched; the horizon where omitted. Deaths and scores after it are not known.
    higher_is_better : bool

    Returns
    -------
    xarray.DataArray, dims (sample, arm)
        P(win) + P(tie)/2 over the pairs of that draw. Arms in the order in which they first appear.

    Raises
    ------
    SettingError
        For other dims, an unknown control or a single arm.

    Notes
    -----
    The pairs are compared as in `progression.cafs`. Where every patient who is alive at the horizon has a score there, the
    patients stand in one order (deaths by time, then change), and draws take time in proportion to n log n.
    """
    labels = np.asarray(arm).astype(str)
    _check_arrays(scores, labels, control, death, followed)
    value = scores.transpose("sample", "subject", "month").to_numpy().astype(float)
    months = scores["month"].to_numpy().astype(float)
    n_samples, n = value.shape[:2]
    horizon = months[-1]
    watched = _spread(followed, n_samples, n, horizon)
    dead = _spread(death, n_samples, n, np.inf)
    dead = np.where(dead <= np.minimum(horizon, watched), dead, np.inf)  # NaN: alive
    gone = months > np.minimum(dead, watched)[:, :, None]
    sign = 1.0 if higher_is_better else -1.0
    change = sign * (np.where(gone, np.nan, value)[:, :, 1:] - value[:, :, :1])
    treated = [label for label in dict.fromkeys(labels) if label != control]
    found = np.empty((n_samples, len(treated)))
    ordered = _in_one_order(change, dead, watched >= horizon)
    for column, label in enumerate(treated):
        own, other = labels == label, labels == control
        found[ordered, column] = _by_rank(dead[ordered], change[ordered, :, -1], own, other)
        for at in np.flatnonzero(~ordered):
            courses = Courses.of(change[at], dead[at], np.minimum(watched[at], horizon))
            found[at, column] = share_won(courses.part(own), courses.part(other))
    coords: dict[str, Any] = {"arm": treated}
    if "sample" in scores.coords:
        coords["sample"] = scores["sample"]
    what = f"P(does better than {control}) + P(tie)/2, survival first, then change by month {horizon:g}"
    return xr.DataArray(found, dims=("sample", "arm"), coords=coords, name="win_probability", attrs={"long_name": what})


def _in_one_order(change: np.ndarray, dead: np.ndarray, watched: np.ndarray) -> np.ndarray:
    """Draws whose patients stand in one order: the living all seen at the horizon, no two deaths at once."""
    alive = np.isinf(dead)
    seen = (np.isfinite(change[:, :, -1]) & watched) | ~alive
    times = np.sort(dead, axis=1)
    apart = (times[:, 1:] > times[:, :-1]) | np.isinf(times[:, 1:])
    return seen.all(axis=1) & apart.all(axis=1)


def _by_rank(dead: np.ndarray, change: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of pairs won from midranks (Mann and Whitney 1947): the dead by time, then the living by change."""
    both = own | other
    alive = np.isinf(dead[:, both])
    # Differences below a billionth are rounding, here as in `Courses.of`.
    living = stats.rankdata(np.where(alive, np.round(change[:, both], 9), -np.inf), axis=1)
    rank = np.where(alive, living, stats.rankdata(dead[:, both], axis=1))
    m, n = int(own.sum()), int(other.sum())
    return np.asarray((rank[:, own[both]].sum(axis=1) - m * (m + 1) / 2) / (m * n))


def _spread(given: xr.DataArray | None, n_samples: int, n: int, default: float) -> np.ndarray:
    if given is None:
        return np.full((n_samples, n), default)
    dims = ("sample", "subject") if "sample" in given.dims else ("subject",)
    return np.broadcast_to(given.transpose(*dims).to_numpy().astype(float), (n_samples, n))


def _check_arrays(
    scores: xr.DataArray, labels: np.ndarray, control: str, death: xr.DataArray | None, followed: xr.DataArray | None
) -> None:
    faults = []
    if set(scores.dims) != {"sample", "subject", "month"}:
        faults.append(setting_fault("scores", tuple(scores.dims), "has other dims", "give sample, subject, month"))
        raise SettingError(faults)
    months = np.asarray(scores["month"].to_numpy(), float) if "month" in scores.coords else np.zeros(0)
    if len(months) < 2 or not (np.diff(months) > 0).all():
        faults.append(setting_fault("scores", months.tolist(), "has no increasing months from baseline on",
                                    "give the coordinate month, the baseline first"))  # fmt: skip
    if labels.shape != (scores.sizes["subject"],):
        faults.append(setting_fault("arm", labels.shape, "is not one label a subject", "give one for each"))
    elif control not in labels:
        faults.append(
            setting_fault(
                "control", control, f"is the arm of no subject{suggest(control, np.unique(labels))}", "name one"
            )
        )
    elif len(np.unique(labels)) < 2:
        faults.append(setting_fault("arm", control, "is the only arm", "give two arms or more"))
    for name, given, allowed in (
        ("death", death, [{"sample", "subject"}]),
        ("followed", followed, [{"sample", "subject"}, {"subject"}]),
    ):
        if given is None:
            continue
        if set(given.dims) not in allowed:
            faults.append(setting_fault(name, tuple(given.dims), "has other dims", "give sample, subject"))
        elif any(given.sizes[dim] != scores.sizes[dim] for dim in given.dims):
            faults.append(
                setting_fault(
                    name, dict(given.sizes), "has other sizes than scores", "give the same draws and subjects"
                )
            )
    if faults:
        raise SettingError(faults)
