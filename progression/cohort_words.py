"""A cohort described: the table of its arms, and a few lines for the screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from progression.door.events import is_death
from progression.outcomes import Outcome

__all__ = ["PROVENANCE", "arm_table", "few_lines"]

PROVENANCE = {
    "observed": "observed",
    "reconstructed": "RECONSTRUCTED from published summaries",
    "simulated": "SIMULATED",
}


def arm_table(
    visits: pd.DataFrame, subjects: pd.DataFrame, *, arms: Sequence[str], outcomes: Sequence[Outcome],
    covariates: Sequence[str], provenance: str, baseline_within: float,
) -> pd.DataFrame:  # fmt: skip
    """Summarise each arm: patients, visits, follow-up, baseline and covariates."""
    last = visits.groupby("subject")["month"].max().reindex(subjects.index)
    if "end_of_follow_up" in subjects:
        last = subjects["end_of_follow_up"].fillna(last)
    arm_of_row = visits["subject"].map(subjects["arm"])
    rows = []
    for arm in arms:
        members = subjects[subjects["arm"] == arm]
        row: dict[str, object] = {
            "patients": len(members),
            "visits": int((arm_of_row == arm).sum()),
            "median follow-up (months)": round(float(last[members.index].median()), 2),
        }
        for outcome in outcomes:
            unit = f", {outcome.unit}" if outcome.unit else ""
            row[f"{outcome.name} at baseline{unit}"] = _baseline(
                visits[arm_of_row == arm], outcome.name, baseline_within
            )
        row |= {name: _described(members[name]) for name in covariates}
        rows.append(row)
    table = pd.DataFrame(rows, index=pd.Index(arms, name="arm"))
    table["provenance"] = PROVENANCE[provenance]
    return table


def few_lines(
    visits: pd.DataFrame, subjects: pd.DataFrame, *, name: str, arms: Sequence[str],
    outcomes: Sequence[Outcome], covariates: Sequence[str], allocation: str, provenance: str, source: str,
    n_events: int, warnings: Sequence[str],
) -> str:  # fmt: skip
    """Describe a cohort in a few lines."""
    counts = subjects["arm"].value_counts()
    sizes = ", ".join(f"{arm} {counts.get(arm, 0)}" for arm in arms)
    span = f"months {visits['month'].min():.3g} to {visits['month'].max():.3g}" if len(visits) else "no visits"
    lines = [
        f"Cohort{' ' + repr(name) if name else ''}: {PROVENANCE[provenance]}",
        f"  {len(subjects)} subjects, {len(visits)} visits, {span}",
        f"  arms: {sizes} ({allocation})",
        f"  outcomes: {', '.join(o.name + (f' ({o.unit})' if o.unit else '') for o in outcomes)}",
    ]
    censored = [f"{o.name} {int(visits[c].sum())}" for o in outcomes if (c := f"{o.name}_censored") in visits]
    lines += [f"  below the detection limit: {', '.join(censored)}"] if censored else []
    lines += [f"  covariates: {', '.join(covariates)}"] if covariates else []
    if "event" in subjects and subjects["event"].notna().any():
        ends = subjects["event"].dropna().astype(str).value_counts()
        said = ", ".join(
            f"{word} {count}{'' if is_death(word) else ' (a death only to what says so)'}"
            for word, count in ends.items()
        )
        lines.append(f"  ended by: {said}")
    lines += [f"  intercurrent events: {n_events}"] if n_events else []
    lines += [f"  source: {source}"] if source else []
    return "\n".join(lines + [f"  note: {warning}" for warning in warnings])


def _baseline(visits: pd.DataFrame, name: str, within: float) -> str:
    """Mean (SD) of each subject's last value up to time 0, or its first soon after."""
    seen = visits[visits[name].notna() & (visits["month"] <= within)]
    before = seen[seen["month"] <= 0].groupby("subject").tail(1)
    after = seen[~seen["subject"].isin(before["subject"])].groupby("subject").head(1)
    rows = pd.concat([before, after])
    flag = f"{name}_censored"
    if flag in rows and rows[flag].any():
        # a mean would put the limit in the place of what is not known
        return f"median {rows[name].median():.3g}, {int(rows[flag].sum())} of {len(rows)} below the limit"
    return _described(rows[name])


def _described(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return "none"
    if not pd.api.types.is_numeric_dtype(known):
        return ", ".join(f"{label}: {count}" for label, count in known.value_counts().sort_index().items())
    spread = f"{known.std():.3g}" if len(known) > 1 else "-"
    mean = float(np.mean(known))
    return f"{mean:.4g} ({spread})" + (f", {len(values) - len(known)} missing" if len(known) < len(values) else "")
