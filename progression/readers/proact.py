"""The forms of the PRO-ACT registry, in any of their three spellings, read into a cohort."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from progression.cohort import Cohort
from progression.faults import CohortError
from progression.outcomes import Outcome
from progression.readers import proact_facts, proact_forms, proact_scores
from progression.readers.proact_ledger import Ledger

__all__ = ["read_proact"]

_SOURCE = "PRO-ACT (Pooled Resource Open-Access ALS Clinical Trials)"


def read_proact(
    folder: Any, *, repair: str | Collection[str] = (), items: bool = False, name: str = "PRO-ACT"
) -> Cohort:
    """Read a folder of PRO-ACT forms into a cohort.

    Parameters
    ----------
    folder : path-like
        With the forms as CSV files, in any of their spellings (``alsfrs.csv``, ``PROACT_ALSFRS.csv``,
        ``F_PROACT_ALSFRS.csv``). ALSFRS is needed; ALSHISTORY, DEATHDATA, DEMOGRAPHICS, FVC, SVC, RILUZOLE and TREATMENT are
        read where they are there, others are left alone.
    repair : "all" or collection of str
        Names of the faults to repair, as the refusal lists them. Without it nothing is changed.
    items : bool
        Whether the 12 items become outcomes too, under the names of the model `als_items`.
    name : str
        Of the cohort, for titles.

    Returns
    -------
    Cohort
        Outcomes alsfrsr (0 to 48), vital_capacity (percent of predicted, forced, else slow) and, if asked for, the items.
        Arms "placebo" and "active" where the form TREATMENT is there, else one arm "registry". Covariates where known: age,
        sex, onset_site, months_since_onset, rate_before_baseline ((48 - first score) / months since onset), riluzole,
        vital_capacity_baseline. Deaths with their day; the last day with a score or a vital capacity is the end of follow-up of the others. Its
        `warnings` say how many rows each repair touched.

    Raises
    ------
    CohortError
        With every fault of every form: how many rows, the first of them, and the repair that exists for it.
    SettingError
        For an unknown name of a repair.

    Notes
    -----
    All times in the forms are whole days from the start of the trial. The data themselves come with an agreement and
    are not part of this package.
    """
    forms = proact_forms.read_forms(Path(folder))
    ledger = Ledger(repair)
    scores = proact_scores.scores(forms["ALSFRS"], ledger)
    if scores.empty:
        ledger.close()
        raise CohortError.single(
            "ALSFRS: no row has a score", "Export the form again", column="ALSFRS_R_Total", table="file"
        )
    known = proact_facts.facts(forms, scores, ledger)
    visits = proact_facts.with_vital_capacity(scores, forms, ledger)
    visits, known = proact_facts.until_death(visits, known, ledger)
    ledger.close()
    arms = [arm for arm in ("placebo", "active", "registry") if (known["arm"] == arm).any()]
    if not arms:
        raise CohortError.single("TREATMENT: no subject has an arm", "Export the form again, with Study_Arm filled in", column="Study_Arm",
                                 table="file")  # fmt: skip
    visits = visits[visits["subject"].isin(known.index)]
    covariates = [column for column in proact_facts.COVARIATES if column in known and known[column].notna().any()]
    outcomes = [
        Outcome(
            "alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True, higher_is_better=True
        )
    ]
    if visits["vital_capacity"].notna().any():
        outcomes.append(Outcome("vital_capacity", unit="%", label="vital capacity", lower=0, higher_is_better=True))
    if items:
        outcomes += [Outcome(one, unit="points", label=one.replace("_", " "), lower=0, upper=4, integer=True, higher_is_better=True)
                     for one in proact_scores.ITEMS]  # fmt: skip
    try:
        made = Cohort.from_table(
            visits[["subject", "time", *(one.name for one in outcomes)]],
            known[["arm", *covariates, *(c for c in proact_facts.EVENTS if c in known)]].rename_axis("subject").reset_index(),
            time_unit="days", outcomes=outcomes, arms=arms, covariates=covariates, allocation=None, name=name, source=_SOURCE,
        )  # fmt: skip
    except CohortError as error:
        raise CohortError([*ledger.faults, *error.faults]) from None
    return replace(made, warnings=(*made.warnings, *ledger.said()))
