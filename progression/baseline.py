"""A treated cohort and historical controls: brought together, and how alike they are at baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from progression.cohort import Cohort, check_cohort
from progression.faults import CohortError, Fault, SettingError, setting_fault
from progression.subsets import with_baseline

LARGE = 0.25  # standardised difference beyond which adjustment by a linear model is not trusted (Rubin 2001)
_CHOSEN = ("selected", "drew", "matched")  # how `Cohort.select`, `Cohort.sample` and `matched` begin what they note
_ORDER = {"observed": 0, "reconstructed": 1, "simulated": 2}


def with_historical_controls(
    current: Cohort, controls: Cohort, *, control: str = "historical control", name: str = ""
) -> Cohort:
    """One cohort of the current patients and of controls from elsewhere, who become an arm: its control where it has none of its own.

    Parameters
    ----------
    current, controls : Cohort
        With at least one outcome of the same name, unit and bounds; `controls` with one arm only. Outcomes and covariates that both have are kept.
    control : str
        Label of the controls.
    name : str
        Of the new cohort.

    Returns
    -------
    Cohort
        Allocation "historical"; the provenance of the less certain of the two. Subjects whose ids stand in both get
        "historical" before them.

    Raises
    ------
    CohortError
        Where they share no outcome, an outcome has other facts, an arm is called like the controls, or a patient stands in
        both: the same id and the same visits.
    """
    check_cohort("current", current)
    check_cohort("controls", controls)
    mine, theirs = ({one.name: one for one in cohort.outcomes} for cohort in (current, controls))
    common = [key for key in mine if key in theirs]
    faults = [] if common else [
        Fault(what=f"the cohorts share no outcome ({', '.join(mine)} and {', '.join(theirs)})", remedy="name alike what is alike", table="visits")
    ]  # fmt: skip
    for key in common:
        a, b = mine[key], theirs[key]
        if (a.unit, a.lower, a.upper) != (b.unit, b.lower, b.upper):
            faults.append(Fault(what=f"{key} has another unit or other bounds in the two cohorts: {a.unit} {a.lower} to {a.upper}, and "
                                     f"{b.unit} {b.lower} to {b.upper}", column=key, remedy="bring them to one scale", table="visits"))  # fmt: skip
    if len(controls.arms) > 1:
        faults.append(Fault(what=f"the controls come from {len(controls.arms)} arms ({', '.join(controls.arms)}), treated patients among them perhaps",
                            column="arm", remedy="select theirs first: controls.select(\"arm == 'placebo'\")", table="subjects"))  # fmt: skip
    if control in current.arms:
        faults.append(Fault(what="an arm of the current cohort has the label of the controls", value=control, column="arm",
                            remedy="give another one: control=", table="subjects"))  # fmt: skip
    if common and (twice := _in_both(current, controls, common)):
        shown = ", ".join(twice[:5]) + (", ..." if len(twice) > 5 else "")
        faults.append(Fault(what=f"{len(twice)} of the controls are patients of the current cohort (the same id and the same visits): nobody "
                                 "can be their own control", column="subject", value=shown, table="subjects",
                            remedy="leave them out of one: controls.select(lambda table: ~table.index.isin(current.subjects.index)); if they are "
                                   "other people, give them other ids"))  # fmt: skip
    if faults:
        raise CohortError(faults)
    covariates = [key for key in current.covariates if key in controls.covariates]
    events = ["event", "event_month", "end_of_follow_up"]
    tables = []
    taken = set(map(str, current.subjects.index))
    for cohort, label in ((current, None), (controls, control)):
        ids = {one: _free(str(one), taken) if label else str(one) for one in cohort.subjects.index}
        subjects = cohort.subjects.reindex(columns=["arm", *covariates, *events, "onset_lower", "onset_upper"])
        subjects = subjects.assign(arm=label) if label else subjects
        visits = cohort.visits
        flags = [f"{key}_censored" for key in common if f"{key}_censored" in visits]
        visits = visits[["subject", "month", *common, *flags]]
        tables.append((visits.assign(subject=visits["subject"].map(ids)), subjects.rename(index=ids)))
    visits = pd.concat([one for one, _ in tables], ignore_index=True).rename(columns={"month": "time"})
    subjects = pd.concat([one for _, one in tables]).rename(columns={"event_month": "event_time"})
    subjects = subjects.dropna(axis=1, how="all").rename_axis("subject").reset_index()
    # The controls of a trial that has its own stay its controls.
    arms = [*current.arms, control] if len(current.arms) > 1 else [control, *current.arms]
    provenance = max((current.provenance, controls.provenance), key=_ORDER.__getitem__)
    made = Cohort.from_table(
        visits, subjects, time_unit="months", outcomes=[mine[key] for key in common], arms=arms, covariates=covariates,
        allocation="historical", provenance=provenance, name=name or current.name,
        source="; ".join(dict.fromkeys(filter(None, (current.source, controls.source)))),
        averaged=sorted({*current.averaged, *controls.averaged} & set(common)),
    )  # fmt: skip
    notes = [f"{words}: {text}" for words, cohort in (("current", current), ("controls", controls)) for text in cohort.warnings
             if text.startswith(_CHOSEN)]  # fmt: skip
    return replace(made, warnings=(*made.warnings, *notes), brought_in=(*current.brought_in, control))


def _free(name: str, taken: set[str]) -> str:
    """An id that nobody has: "historical P1", and where a source before this one had that too, one "historical" more."""
    while name in taken:
        name = f"historical {name}"
    return name


def _in_both(current: Cohort, controls: Cohort, outcomes: Sequence[str]) -> list[str]:
    """Ids that stand in both cohorts with the same months and scores: the ids alone may merely collide."""
    shared = current.subjects.index[current.subjects.index.isin(controls.subjects.index)]
    columns = ["month", *outcomes]
    one, other = (
        {str(key): own[columns] for key, own in cohort.visits.groupby("subject") if key in shared}
        for cohort in (current, controls)
    )
    return [key for key in map(str, shared) if key in one and key in other and one[key].shape == other[key].shape
            and np.allclose(one[key], other[key], rtol=0, atol=1e-6, equal_nan=True)]  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Comparability:
    """How alike the arms of a cohort are at baseline.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a fact (a covariate, a baseline score, months followed; of words a row a label): mean and SD, or share, by
        arm, the number of subjects of whom it is known, and `difference`, standardised, of each arm against the control.
    selection : tuple of str
        What makes the arms differ by the way they were chosen, as far as the cohort shows it.
    """

    table: pd.DataFrame
    selection: tuple[str, ...]

    @property
    def far_apart(self) -> tuple[str, ...]:
        """Facts whose standardised difference exceeds a quarter."""
        columns = [column for column in self.table if str(column).startswith("difference")]
        apart = self.table[columns].abs().max(axis=1) > LARGE
        return tuple(self.table.index[apart])

    def __repr__(self) -> str:
        lines = [self.table.to_string(float_format=lambda value: f"{value:.3g}", na_rep="")]
        lines += [f"apart by more than {LARGE:g} SD: {', '.join(self.far_apart)}"] if self.far_apart else []
        return "\n".join([*lines, *(f"SELECTION  {text}" for text in self.selection)])


def comparability(cohort: Cohort, *, covariates: Sequence[str] | None = None) -> Comparability:
    """Compare arms at baseline, by standardised differences, not by tests: a p-value speaks of the sample size.

    Parameters
    ----------
    cohort : Cohort
        With two arms or more.
    covariates : sequence of str, optional
        Which; all where omitted. Baseline scores are always there.

    Returns
    -------
    Comparability

    Raises
    ------
    SettingError
        With one arm only, or for an unknown covariate.

    Notes
    -----
    Difference of means over the root of the mean of the two variances (Cohen 1988; Austin 2009, Statistics in Medicine
    28:3083); a quarter as what matters: Rubin (2001), Health Services and Outcomes Research Methodology 2:169.
    """
    arms = _with_patients(cohort)
    if len(arms) < 2:
        raise SettingError([setting_fault("cohort", arms[0], "is its only arm: there is nothing to compare",
                                          "bring controls in: pg.with_historical_controls")])  # fmt: skip
    names = list(cohort.covariates if covariates is None else covariates)
    lost = [one for one in names if one not in cohort.covariates]
    if lost:
        raise SettingError(
            [
                setting_fault("covariates", one, "is no covariate of the cohort", "name one of its covariates")
                for one in lost
            ]
        )
    table = with_baseline(cohort.visits, cohort.subjects, cohort.outcomes)
    facts = [*names, *(f"{one.name}_baseline" for one in cohort.outcomes), "followed", "n_visits"]
    rows = {}
    for fact in facts:
        column = table[fact]
        if pd.api.types.is_numeric_dtype(column):
            rows[fact] = _row(column.astype(float), table["arm"], arms)
        else:
            labels = sorted(column.dropna().astype(str).unique())
            for label in labels[1:] if len(labels) == 2 else labels:
                rows[f"{fact}: {label}"] = _row(
                    (column == label).astype(float).where(column.notna()), table["arm"], arms
                )
    return Comparability(pd.DataFrame(rows).T.rename_axis("fact"), _selection(cohort, table))


def _with_patients(cohort: Cohort) -> list[str]:
    """Arms in order. A fit that borrows for a single arm has a concurrent control without patients: then historical ones come first."""
    there = set(cohort.subjects["arm"])
    arms = [arm for arm in cohort.arms if arm in there]
    return arms if cohort.arms[0] in there else sorted(arms, key=lambda arm: arm not in cohort.historical_arms)


def _row(values: pd.Series, arm: pd.Series, arms: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    moments = {}
    for label in arms:
        own = values[(arm == label) & values.notna()]
        moments[label] = float(own.mean()) if len(own) else np.nan, float(own.std(ddof=1)) if len(own) > 1 else np.nan
        found |= {
            f"{label}: mean": moments[label][0],
            f"{label}: SD": moments[label][1],
            f"{label}: n": float(len(own)),
        }
    mean, sd = moments[arms[0]]
    for label in arms[1:]:
        spread, gap = np.sqrt((moments[label][1] ** 2 + sd**2) / 2), moments[label][0] - mean
        # Means of equal numbers differ by so little, and their SDs are no spread.
        rounding = 1e-9 * max(abs(mean), abs(moments[label][0]))
        spread, gap = (0.0 if abs(one) <= rounding else one for one in (spread, gap))
        if np.isnan(gap):
            found[f"difference: {label}"] = np.nan  # not known of one of the arms
        else:
            found[f"difference: {label}"] = gap / spread if spread > 0 else float(np.sign(gap)) * np.inf if gap else 0.0
    return found


def _selection(cohort: Cohort, table: pd.DataFrame) -> tuple[str, ...]:
    said = [
        text
        for text in cohort.warnings
        if text.removeprefix("current: ").removeprefix("controls: ").startswith(_CHOSEN)
    ]
    for arm in _with_patients(cohort):
        own = table[table["arm"] == arm]
        shortest, longest = own["followed"].min(), own["followed"].max()
        died = int(own["event"].notna().sum()) if "event" in own else 0
        if len(own) >= 5 and shortest >= 6 and shortest >= 0.6 * longest and not died:
            said.append(f"everybody in {arm} was followed for {shortest:.1f} months or more, and nobody died: chosen, it seems, for having been "
                        "followed so long. No hazard can be learned here, and slopes are those of survivors")  # fmt: skip
    if cohort.allocation == "historical":
        said.append(
            "the controls come from elsewhere: what differs between the sources and is not in this table stays with the treatment"
        )
    return tuple(dict.fromkeys(said))
