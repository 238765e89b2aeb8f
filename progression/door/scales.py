"""Values that look as if in another unit than the rest, such as CRP in mg/l among mg/dl: noticed, not refused, for they may be true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from progression.door.names import Opened
from progression.outcomes import Outcome

__all__ = ["scale_warnings"]

_FACTOR = 10.0  # between a decilitre and a litre, and of a decimal point that slipped
_NEAR = np.log10(2.0)  # a ratio of 5 to 20 is near it
_FAR = 3.5  # robust standard deviations at least
_RARE = 0.05  # how often any of as many normal values may be as far by chance
_LEAST = 0.05  # of their size, in powers of ten: values that agree to the digit are no scale to judge by
_OTHERS, _SUBJECTS = 2, 5  # the fewest with which one value, one subject is compared


def scale_warnings(opened: Opened, arms: pd.Series, value: np.ndarray, outcome: Outcome) -> tuple[str, ...]:
    """Notice an arm, a subject or a value some ten times as high or as low as the rest, where the rest do not scatter as far.

    Parameters
    ----------
    opened : Opened
        The visits, with ids read.
    arms : Series
        Arm of each subject, by id.
    value : array, shape (rows,)
    outcome : Outcome
        Only what is positive is looked at.

    Returns
    -------
    tuple of str
        Each with column, row where there is one, subject, value and remedy. An arm that is odd is named in place of its subjects, a
        subject in place of its values.

    Notes
    -----
    On log10. One value is compared with the median of its subject's others, a subject's median with the median of the others', and a
    later arm's with the first's. An oddity is within a factor of 2 of 10 or 1/10, and more robust standard deviations off than 3.5
    (Iglewicz and Hoaglin, 1993, How to Detect and Handle Outliers) and than any of as many normal values is but once in 20 tables, by
    Student's t, for the spread is an estimate too: a median absolute deviation is worth 0.37 as many values.
    """
    if not outcome.positive:
        return ()
    rows = pd.DataFrame({"id": opened.ids, "value": value})
    rows = rows[(rows["value"] > 0) & rows["id"].notna()].assign(log=lambda t: np.log10(t["value"]))
    if rows.empty:
        return ()
    typical = rows.groupby("id", sort=False)["log"].median()
    column, unit = opened.user_name(outcome.name), f" {outcome.unit}" if outcome.unit else ""
    remedy = f"give all of {column} in one unit{_how(outcome.unit)}; if they are true, leave them"
    found, explained = [], set()
    of_arm = arms.reindex(typical.index)
    for arm, off in _odd_arms(typical, of_arm).items():
        explained |= set(typical.index[of_arm == arm])
        found.append(f"{column}: arm {arm!r} is {_times(off)} the other's (medians {10 ** typical[of_arm == arm].median():.3g} and "
                     f"{10 ** typical[of_arm != arm].median():.3g}{unit}), as if in another unit: {remedy}")  # fmt: skip
    for subject, off in _odd_subjects(typical).items():
        if subject not in explained:
            found.append(f"{column}, subject {subject!r}: values are {_times(off)} those of others (median {10 ** typical[subject]:.3g}{unit}), "
                         f"as if in another unit: {remedy}")  # fmt: skip
            explained.add(subject)
    for row, off in _odd_values(rows).items():
        subject = rows.loc[row, "id"]
        if subject not in explained:
            found.append(f"{column}, row {int(row) + 1}, subject {subject!r}: {rows.loc[row, 'value']:g}{unit} is {_times(off)} the subject's "
                         f"other values, as if in another unit: {remedy}")  # fmt: skip
    return tuple(found)


def _odd_arms(typical: pd.Series, arm: pd.Series) -> dict[Any, float]:
    """Arms whose subjects are, in the median, ten times those of the others, by the error of a difference of medians."""
    found: dict[Any, float] = {}
    labels = list(dict.fromkeys(arm.dropna()))
    for label in labels[1:]:
        own, others = typical[arm == label], typical[(arm != label) & ~arm.isin(list(found))]
        if min(len(own), len(others)) < _SUBJECTS:
            continue
        off = own.median() - others.median()
        error = 1.2533 * np.hypot(*(_spread(one - one.median()) / np.sqrt(len(one)) for one in (own, others)))
        if abs(abs(off) - np.log10(_FACTOR)) < _NEAR and abs(off) > _FAR * error:
            found[label] = float(off)
    return found


def _odd_values(rows: pd.DataFrame) -> dict[Any, float]:
    """Values ten times their subject's others, by the scatter of all subjects' values about their own others."""
    off = pd.Series(np.nan, index=rows.index)
    for _, own in rows.groupby("id", sort=False)["log"]:
        if len(own) > _OTHERS:
            off[own.index] = _from_others(own.to_numpy())
    off = off.dropna()
    return {} if off.empty else _far(off, _spread(off))


def _odd_subjects(typical: pd.Series) -> dict[Any, float]:
    """Subjects ten times the others, by the spread between subjects."""
    if len(typical) <= _SUBJECTS:
        return {}
    off = pd.Series(_from_others(typical.to_numpy()), typical.index)
    return _far(off, _spread(off))


def _from_others(values: np.ndarray) -> list[float]:
    """How far each is from the median of the others."""
    return [float(one - np.median(np.delete(values, k))) for k, one in enumerate(values)]


def _far(off: pd.Series, spread: float) -> dict[Any, float]:
    far = max(_FAR, stdtrit(0.37 * len(off), 1 - _RARE / (2 * len(off))))
    odd = off[((off.abs() - np.log10(_FACTOR)).abs() < _NEAR) & (off.abs() > far * spread)]
    return {key: float(one) for key, one in odd.items()}


def _spread(off: pd.Series) -> float:
    """Robust standard deviation about zero: of a median absolute deviation, as of a normal distribution."""
    return max(1.4826 * float(np.median(np.abs(off))), _LEAST)


def _times(off: float) -> str:
    return f"{10**off:.3g} times" if off > 0 else f"1/{10**-off:.3g} of"


def _how(unit: str) -> str:
    """The conversion that is likely meant, where the unit is per volume."""
    if unit.endswith("/dl"):
        return f" (1 {unit} = 10 {unit[:-3]}/l)"
    return f" (1 {unit[:-2]}/dl = 10 {unit})" if unit.endswith("/l") and not unit.endswith("/ml") else ""
