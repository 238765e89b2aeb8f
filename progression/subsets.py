"""Which subjects of a cohort meet a rule, or are drawn at random."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from progression.faults import SettingError, is_number, setting_fault, suggest
from progression.outcomes import Outcome

BASELINE_WITHIN = 1.0  # months after time 0 that still count as the start


def with_baseline(visits: pd.DataFrame, subjects: pd.DataFrame, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The subjects' table with ``<outcome>_baseline`` (the value nearest to the start, up to a month after it), `followed` and `n_visits`.

    Returns
    -------
    DataFrame
        `followed` is the month of the last visit.
    """
    table = subjects.copy()
    for one in outcomes:
        seen = visits[visits[one.name].notna() & (visits["month"] <= BASELINE_WITHIN)]
        # The visit nearest to the start, the earlier of two.
        nearest = seen.assign(off=seen["month"].abs()).sort_values(["off", "month"]).drop_duplicates("subject")
        table[f"{one.name}_baseline"] = nearest.set_index("subject")[one.name].reindex(table.index)
    table["followed"] = visits.groupby("subject")["month"].max().reindex(table.index)
    table["n_visits"] = visits.groupby("subject").size().reindex(table.index, fill_value=0)
    return table


def chosen(
    table: pd.DataFrame,
    rule: str | Callable[[pd.DataFrame], Any] | Sequence[str] | None,
    *,
    followed: float | None,
    visits: int | None,
) -> pd.Index:
    """Subjects of `with_baseline` that meet a rule; one whose fact is missing does not meet a rule about it.

    Raises
    ------
    SettingError
        For a rule that cannot be read, names an unknown column or subject, or leaves nobody.
    """
    keep = pd.Series(True, table.index)
    faults = [
        setting_fault(name, value, "is not a number of at least 0", "give one, or leave it out")
        for name, value in (("followed", followed), ("visits", visits))
        if value is not None and (not is_number(value) or value < 0)
    ]
    if rule is not None and not isinstance(rule, str | Collection) and not callable(rule):
        what = "is neither a rule, nor a function, nor a list of ids"
        faults.append(setting_fault("rule", rule, what, 'give "age < 75"'))
    if faults:
        raise SettingError(faults)
    if isinstance(rule, str):
        try:
            keep &= table.eval(rule).astype(bool)
            named = [column for column in table.columns if re.search(rf"(?<!\w){re.escape(str(column))}(?!\w)", rule)]
            keep &= table[named].notna().all(axis=1)  # "!=" and "not" hold of what is not known
        except Exception as error:  # whatever pandas says of a text that is no rule
            known = ", ".join(map(str, table.columns))
            raise SettingError(
                [setting_fault("rule", rule, f"cannot be read ({error})", f"use the columns {known}")]
            ) from None
    elif callable(rule):
        keep &= pd.Series(np.asarray(rule(table.copy()), bool), table.index)
    elif rule is not None:
        ids = [str(one) for one in rule]
        lost = [one for one in ids if one not in table.index]
        if lost:
            raise SettingError([setting_fault("rule", one, f"is no subject{suggest(one, table.index[:200])}", "name subjects of the cohort")
                                for one in lost[:5]])  # fmt: skip
        keep &= table.index.isin(ids)
    if followed is not None:
        keep &= table["followed"] >= followed
    if visits is not None:
        keep &= table["n_visits"] >= visits
    if not keep.any():
        raise SettingError([setting_fault("rule", rule, "leaves nobody", "loosen it, or look at cohort.subjects")])
    return table.index[keep]


def drawn(subjects: pd.DataFrame, n: int, *, arm: str | None, random_seed: int) -> pd.Index:
    """Subjects drawn at random without replacement, in one arm or from all; those of other arms are all kept.

    Raises
    ------
    SettingError
        For an unknown arm, or more subjects than there are.
    """
    arms = list(dict.fromkeys(subjects["arm"]))
    if arm is not None and arm not in arms:
        raise SettingError([setting_fault("arm", arm, f"is not an arm{suggest(arm, arms)}", "name one")])
    own = subjects.index if arm is None else subjects.index[subjects["arm"] == arm]
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= len(own):
        raise SettingError([setting_fault("n", n, f"is not a number of subjects from 1 to {len(own)}", "give one")])
    if isinstance(random_seed, bool) or not isinstance(random_seed, int | np.integer) or random_seed < 0:
        what = "is not a whole number of at least 0"
        raise SettingError([setting_fault("random_seed", random_seed, what, "give one such as 1")])
    taken = np.random.default_rng(random_seed).choice(len(own), size=n, replace=False)
    keep = subjects.index.isin(own[taken]) | (
        np.zeros(len(subjects), bool) if arm is None else (subjects["arm"] != arm).to_numpy()
    )
    return subjects.index[keep]
