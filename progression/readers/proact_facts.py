"""The other forms: what is known of each subject, vital capacity by day, and death."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from progression.readers.proact_ledger import Ledger
from progression.readers.proact_scores import days
from progression.units import DAYS_PER_MONTH

COVARIATES = (
    "age",
    "sex",
    "onset_site",
    "months_since_onset",
    "rate_before_baseline",
    "riluzole",
    "vital_capacity_baseline",
)
EVENTS = ("event", "event_time", "end_of_follow_up")
_YEAR = 365.25
_FRACTION = 2.0  # a form of percents whose largest is no more than this holds fractions
_NEAR_START = 31  # days: a first score or vital capacity within them counts as baseline

Forms = Mapping[str, pd.DataFrame]


def facts(forms: Forms, scores: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """One row a subject with a score: arm, covariates, death. Times in days."""
    subjects = pd.Index(scores["subject"].unique(), name="subject")
    known = pd.DataFrame(index=subjects)
    for name, form in forms.items():
        if len(form) and not form["subject_id"].isin(subjects).any():
            ledger.strange(name, next(iter(form["subject_id"].dropna()), None), str(subjects[0]))
    if "TREATMENT" in forms:
        arm = _fact(forms, "TREATMENT", "Study_Arm", ledger, _word({"active": "active", "placebo": "placebo"}))
        known["arm"] = arm.reindex(subjects)
        lost = known.index[known["arm"].isna()]
        rows = scores[scores["subject"].isin(lost)].drop_duplicates("subject").rename(columns={"subject": "subject_id"})
        ledger.found("no_arm", "TREATMENT", rows, "Study_Arm", "a subject with scores has no arm")
        known = known[known["arm"].notna()]
    else:
        known["arm"] = "registry"
    wanted: dict[str, pd.Series] = {
        "age": _fact(forms, "DEMOGRAPHICS", "Age", ledger, _number),
        "sex": _fact(
            forms,
            "DEMOGRAPHICS",
            "Sex",
            ledger,
            _word({"male": "male", "female": "female", "m": "male", "f": "female"}),
        ),
        "onset_site": _site(forms, ledger),
        "riluzole": _fact(forms, "RILUZOLE", "Subject_used_Riluzole", ledger, _word({"yes": "yes", "no": "no"})),
    }
    birth = -_fact(forms, "DEMOGRAPHICS", "Date_of_Birth", ledger, _number) / _YEAR
    wanted["age"] = birth if wanted["age"].empty else wanted["age"].combine_first(birth)
    onset = _fact(forms, "ALSHISTORY", "Onset_Delta", ledger, _number)
    late = onset[onset > 0]
    if len(late):
        own = forms["ALSHISTORY"].drop_duplicates("subject_id").set_index("subject_id", drop=False).loc[late.index]
        ledger.found(
            "onset_after_baseline", "ALSHISTORY", own, "Onset_Delta", "the onset lies after the start of the trial"
        )
    wanted["months_since_onset"] = -onset[onset <= 0] / DAYS_PER_MONTH
    for name, series in wanted.items():
        known[name] = series.reindex(known.index)
    first = (
        scores[scores["time"].between(0, _NEAR_START)]
        .sort_values("time")
        .drop_duplicates("subject")
        .set_index("subject")["alsfrsr"]
    )
    since = known["months_since_onset"].where(known["months_since_onset"] > 0)
    known["rate_before_baseline"] = (48 - first.reindex(known.index)) / since
    return _with_death(known, forms, ledger)


def _with_death(known: pd.DataFrame, forms: Forms, ledger: Ledger) -> pd.DataFrame:
    known["event"], known["event_time"] = pd.Series(None, known.index, dtype=object), np.nan
    if "DEATHDATA" not in forms:
        return known
    died = _fact(forms, "DEATHDATA", "Subject_Died", ledger, _word({"yes": True, "no": False}))
    day = _fact(forms, "DEATHDATA", "Death_Days", ledger, _number)
    table = forms["DEATHDATA"].drop_duplicates("subject_id").set_index("subject_id", drop=False)
    unsaid = day.index.difference(died[died.astype(bool)].index)
    if ledger.found(
        "death_unstated", "DEATHDATA", table.loc[unsaid], "Death_Days", "a day of death, and Subject_Died is not Yes"
    ):
        died = pd.concat([died.drop(unsaid, errors="ignore"), pd.Series(True, unsaid)])
    dead = died[died.astype(bool)].index
    without = dead[day.reindex(dead).isna()]
    if len(without):
        ledger.found(
            "death_without_day", "DEATHDATA", table.loc[without], "Death_Days", "the subject died, and no day is given"
        )
    dead = dead.difference(without).intersection(known.index)
    known.loc[dead, "event"], known.loc[dead, "event_time"] = "death", day.loc[dead]
    return known


def with_vital_capacity(scores: pd.DataFrame, forms: Forms, ledger: Ledger) -> pd.DataFrame:
    """The scores with vital capacity, percent of predicted, on the same or further days: the best of a day's trials."""
    found = []
    for form, column in (("FVC", "Forced_Vital_Capacity_Delta"), ("SVC", "Slow_vital_Capacity_Delta")):
        trials = [f"pct_of_Normal_Trial_{i}" for i in (1, 2, 3)]
        table = forms.get(form)
        there = [] if table is None else [one for one in trials if one in table]
        if table is None or not there:
            continue
        if column not in table:
            ledger.lacking(form, column)
            continue
        table = days(table[table["subject_id"].notna() & table[there].notna().any(axis=1)], column, form, ledger)
        early = table["time"] < 0
        ledger.found("negative_days", form, table[early], column, "a vital capacity from before the start of the trial")
        table = table[~early]
        numbers = table[there].apply(pd.to_numeric, errors="coerce")
        if numbers.max(axis=None) <= _FRACTION:
            ledger.fractions(form, there[0], float(numbers.max(axis=None)))
        for one in there:
            bad = table[one].notna() & ~numbers[one].between(0, 200, inclusive="right")
            ledger.found("impossible_vital_capacity", form, table[bad], one, "no vital capacity from above 0 to 200 %")
            numbers[one] = numbers[one].where(~bad)
        best = pd.DataFrame(
            {"subject": table["subject_id"], "time": table["time"], "vital_capacity": numbers.max(axis=1)}
        )
        found.append(best.groupby(["subject", "time"], as_index=False)["vital_capacity"].max())
    if not found:
        return scores.assign(vital_capacity=np.nan)
    # Forced before slow: where a subject has both on one day the first is kept.
    every = pd.concat(found).dropna(subset=["vital_capacity"])
    every = every[every["subject"].isin(scores["subject"])].drop_duplicates(["subject", "time"])
    return scores.merge(every, on=["subject", "time"], how="outer")


def until_death(visits: pd.DataFrame, known: pd.DataFrame, ledger: Ledger) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Entries up to the death; the last of them is the end of follow-up of everybody else; vital capacity at baseline."""
    day = visits["subject"].map(known["event_time"])
    late = visits["time"] > day
    rows = visits[late].rename(columns={"subject": "subject_id"})
    ledger.found(
        "after_death",
        "ALSFRS",
        rows.assign(row=rows["row"].fillna(0)),
        "time",
        "an entry from after the subject's death",
    )
    visits = visits[~late]
    last = visits.groupby("subject")["time"].max()
    known["end_of_follow_up"] = last.reindex(known.index).where(known["event"].isna())
    early = visits[visits["vital_capacity"].notna() & visits["time"].between(0, _NEAR_START)]
    first = early.sort_values("time").drop_duplicates("subject").set_index("subject")["vital_capacity"]
    known["vital_capacity_baseline"] = first.reindex(known.index)
    return visits, known


Read = Callable[[pd.Series], pd.Series]


def _number(cells: pd.Series) -> pd.Series:
    number = pd.to_numeric(cells, errors="coerce")
    return number.where(np.isfinite(number))


def _word(words: Mapping[str, object]) -> Read:
    return lambda cells: cells.str.lower().map(words)


def _fact(forms: Forms, form: str, column: str, ledger: Ledger, read: Read) -> pd.Series:
    """What a form says of each subject: the first statement, with those that cannot be read or that contradict it reported."""
    if form not in forms or column not in forms[form]:
        return pd.Series(dtype=float)
    table = forms[form]
    table = table[table["subject_id"].notna() & table[column].notna()]
    value = read(table[column])
    ledger.found("unreadable_facts", form, table[value.isna()], column, "the fact cannot be read")
    table, value = table[value.notna()], value[value.notna()]
    first = value.groupby(table["subject_id"]).first()
    other = value.to_numpy() != first.reindex(table["subject_id"]).to_numpy()
    ledger.found(
        "conflicting_facts", form, table[other], column, "the form says otherwise of this subject in an earlier row"
    )
    return first


def _site(forms: Forms, ledger: Ledger) -> pd.Series:
    """Where the disease began: "bulbar", "limb", or "other", from one column of words or one column a site."""
    form = forms.get("ALSHISTORY")
    if form is None:
        return pd.Series(dtype=object)
    words = _fact(forms, "ALSHISTORY", "Site_of_Onset", ledger, _place)
    marks = {
        column: column.partition("___")[2].lower() for column in form.columns if column.startswith("Site_of_Onset___")
    }
    said = pd.DataFrame({column: form[column].isin(["1", "1.0", "Yes", "yes"]) for column in marks})
    if marks and said.to_numpy().any():
        text = said.apply(lambda row: " ".join(site for column, site in marks.items() if row[column]), axis=1)
        own = _place(text[said.any(axis=1)]).groupby(form["subject_id"]).first()
        words = own if words.empty else words.combine_first(own)
    return words


def _place(cells: pd.Series) -> pd.Series:
    text = cells.str.lower()
    both = text.str.contains("bulbar") & text.str.contains("limb")
    return pd.Series(
        np.select([both, text.str.contains("bulbar"), text.str.contains("limb")], ["other", "bulbar", "limb"], "other"),
        cells.index,
    )
