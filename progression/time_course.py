"""A time course that all subjects share and that may bend: a natural cubic spline, as distance from its own chord."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline

from progression.faults import CohortError, Fault, SettingError, is_number, setting_fault, suggest

STRAIGHT, SPLINE = "straight", "spline"
_MOST = 3  # bends that are placed unasked
_APART = 0.25  # months: visits that close are one visit with jitter


def course(months: np.ndarray, knots: Sequence[float] | np.ndarray, end: float) -> np.ndarray:
    """How far the course lies above its chord, for a bend of one unit at each knot.

    Column k is the natural cubic spline that is 1 at knot k and 0 at month 0, at the other knots and at `end`; outside
    of these months it goes on as a straight line. A coefficient is thus the distance, in units of the outcome, of
    the course from the straight line between baseline and `end` at that knot, and the slope of that line is the mean
    change per month, whatever the course does in between.

    Parameters
    ----------
    months : array of float
    knots : sequence of float
        Months, ascending, between 0 and `end`.
    end : float

    Returns
    -------
    array of float, shape (*months.shape, knots)

    Notes
    -----
    Natural cubic splines in clinical time courses: Harrell (2015), Regression Modeling Strategies, section 2.4.5; the
    basis of values at the knots: de Boor (2001), A Practical Guide to Splines, chapter IV.
    """
    months = np.asarray(months, float)
    if not len(knots):
        return np.zeros((*months.shape, 0))
    at = np.array([0.0, *knots, end])
    spline = CubicSpline(at, np.eye(len(at))[:, 1:-1], bc_type="natural")
    found = spline(np.clip(months, 0.0, end))
    before, after = np.minimum(months, 0.0), np.maximum(months - end, 0.0)
    found += before[..., None] * spline(0.0, 1) + after[..., None] * spline(end, 1)
    return np.asarray(found)


def place_knots(option: object, months: np.ndarray) -> tuple[list[float], list[float]]:
    """Where the course may bend and where its window ends, as months.

    Parameters
    ----------
    option : {"straight", "spline"} or sequence of float
        "spline" places up to three knots at equal shares of the values after baseline and ends the window at the month
        by which 95 % of them lie; a sequence gives the knots and, as its last, the end.
    months : array of float
        Of every value seen.

    Returns
    -------
    knots, end
        Lists; both empty for a straight line, else `end` has one member.

    Raises
    ------
    SettingError
        For an unknown word, or months that are not positive, finite and ascending or lie after the last visit.
    CohortError
        Where there are too few different visits for a course to bend.
    """
    if isinstance(option, str) and option == STRAIGHT:
        return [], []
    seen = _visits(months)
    if isinstance(option, str):
        if option != SPLINE:
            known = suggest(option, (STRAIGHT, SPLINE))
            raise SettingError([setting_fault("time_course", option, f"is unknown{known}", _REMEDY)])
        return _placed(months, seen)
    if not isinstance(option, Sequence | np.ndarray) or not all(is_number(one) for one in option) or len(option) < 2:
        raise SettingError([setting_fault("time_course", option, "is not a list of two or more months", _REMEDY)])
    chosen = [float(one) for one in option]
    faults = [setting_fault("time_course", one, "is not after time 0", _REMEDY) for one in chosen if one <= 0]
    faults += [setting_fault("time_course", b, f"does not come after {a:g}", "give months in ascending order")
               for a, b in pairwise(chosen) if b <= a]  # fmt: skip
    faults += [setting_fault("time_course", b, f"lies within {_APART:g} months of {a:g}", "leave one of them out")
               for a, b in pairwise([0.0, *chosen]) if 0 < b - a <= _APART]  # fmt: skip
    if chosen[-1] > seen[-1] + 0.5:
        faults.append(setting_fault("time_course", chosen[-1], f"is later than the last visit, month {seen[-1]:.3g}",
                                    "end the window within the months seen"))  # fmt: skip
    if faults:
        raise SettingError(faults)
    _refuse_too_few(seen[seen <= chosen[-1] + _APART], len(chosen) - 1)
    return chosen[:-1], chosen[-1:]


_REMEDY = (
    'use "straight", "spline", or months such as (3, 6, 12): the course may bend at 3 and 6, the window ends at 12'
)


def _visits(months: np.ndarray) -> np.ndarray:
    """Different times from baseline on, those within jitter of each other taken as one."""
    found = [0.0]
    for time in np.unique(months[months > 0]):
        if time > found[-1] + _APART:
            found.append(float(time))
    return np.array(found)


def _placed(months: np.ndarray, seen: np.ndarray) -> tuple[list[float], list[float]]:
    after = months[months > 0]
    end = float(np.quantile(after, 0.95)) if len(after) else 0.0
    within = seen[seen <= end + 1e-9]
    _refuse_too_few(within, 1)
    inner = after[(after > _APART) & (after < end - _APART)]
    number = min(_MOST, len(within) - 2)
    least = max(_APART, 0.05 * end)  # knots that all but meet would let the course swing between them
    places: list[float] = []
    for one in np.quantile(inner, np.arange(1, number + 1) / (number + 1)).round(2) if len(inner) else ():
        if one - (places[-1] if places else 0.0) >= least and end - one >= least:
            places.append(float(one))
    if not places:
        _refuse_too_few(within[:2], 1)
    return places, [round(end, 4)]


def _refuse_too_few(seen: np.ndarray, bends: int) -> None:
    if len(seen) < bends + 2:
        times = ", ".join(f"{one:.3g}" for one in seen)
        raise CohortError([
            Fault(what=f"values at {len(seen)} different times (months {times}) cannot show {bends} bend(s) of a course",
                  column="time", table="visits", remedy=f'at most {max(len(seen) - 2, 0)} can be told; use time_course="straight"')
        ])  # fmt: skip
