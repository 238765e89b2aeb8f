"""When antibodies appeared: the intervals of a cohort as arrays, infinity and missing ones as flags."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from progression.units import DAYS_PER_MONTH

__all__ = ["TESTED", "onset_arrays"]

TESTED = "tested"  # the dim of those tested: rows, not subjects, so that no engine repeats or pads them
_HALF_A_DAY = 0.5 / DAYS_PER_MONTH


def onset_arrays(
    subjects: pd.DataFrame, controls: Collection[str]
) -> tuple[list[Any], dict[str, tuple[tuple[str, ...], np.ndarray]]]:
    """Intervals of onset by subject, and once more those that say something of its distribution.

    Parameters
    ----------
    subjects : pandas.DataFrame
        One row a subject: arm, and onset_lower and onset_upper (months) where the cohort has them.
    controls : collection of str
        Labels of the arms without treatment: their subjects have no onset, whatever stands in the columns.

    Returns
    -------
    tested : list
        Ids of the treated whose interval is given.
    arrays : dict of str to (dims, array)
        onset_lower and onset_upper in months, and onset_seen: 1 where the onset lies between them, 0 where it lies
        after onset_lower or never (onset_upper is then 0). Zeros throughout: nothing is known. Dim `subject`.
        tested_lower, tested_upper, tested_seen: the same of the tested alone. Dim `tested`.

    Notes
    -----
    A time that is known (both ends equal) is known to the day, and becomes the interval of that day. So its density
    needs no formula of its own, nor is it infinite at time 0.
    """
    given = {"onset_lower", "onset_upper"} <= set(subjects)
    lower, upper = (
        subjects[name].to_numpy(float, na_value=np.nan) if given else np.full(len(subjects), np.nan)
        for name in ("onset_lower", "onset_upper")
    )
    tested = ~np.isnan(lower) & ~subjects["arm"].isin(list(controls)).to_numpy()
    seen = tested & np.isfinite(upper)
    day = seen & (lower == upper)
    lower = np.where(day, np.maximum(lower - _HALF_A_DAY, 0), lower)
    upper = np.where(day, upper + _HALF_A_DAY, upper)
    columns = {"lower": np.where(tested, lower, 0.0), "upper": np.where(seen, upper, 0.0), "seen": seen.astype(float)}
    by_subject = {f"onset_{name}": (("subject",), column) for name, column in columns.items()}
    rows = {f"{TESTED}_{name}": ((TESTED,), column[tested]) for name, column in columns.items()}
    return list(subjects.index[tested]), {**by_subject, **rows}
