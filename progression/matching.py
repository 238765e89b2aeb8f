"""Does this cohort suit this model? Outcomes, visits, covariates and options, before anything is coded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.faults import CohortError, Fault, SettingError, setting_fault, suggest
from progression.modeling import Model
from progression.outcomes import Outcome


def choose_outcomes(
    model: Model, cohort: Cohort, outcomes: str | Sequence[str] | None = None, *, most: float | None = None
) -> dict[str, tuple[Outcome, ...]]:
    """Which of the cohort's outcomes fill each observed variable of the model; `most` is the bound of counts without one."""
    have = {outcome.name: outcome for outcome in cohort.outcomes}
    if outcomes is not None and not isinstance(outcomes, str | Sequence):
        raise SettingError([setting_fault("outcomes", outcomes, "is not a name or a list of names", "give a name")])
    wanted = [outcomes] if isinstance(outcomes, str) else list(outcomes or [])
    unknown = [name for name in wanted if name not in have]
    if unknown:
        raise SettingError([
            Fault(what=f"the cohort has no such outcome{suggest(name, have)}", remedy="name one of its outcomes",
                  value=name, table="setting") for name in unknown
        ])  # fmt: skip
    chosen: dict[str, tuple[Outcome, ...]] = {}
    for block, members in model.observes.items():
        own = [outcome.name for outcome in members]
        names = wanted if len(model.observes) == 1 else [name for name in wanted if name in own]
        if set(names) <= set(model.unless_named):  # what is only on request comes on top
            names = [name for name in own if name in have and (name in names or name not in model.unless_named)]
        if not model.generic:
            names = [name for name in names if name in own]  # a label that says CRP must be about CRP
        elif not names and len(have) == 1 and len(members) == 1 and len(model.observes) == 1:
            names = list(have)  # "ALSFRS-R or any continuous outcome": the only one there is
        if not names or (len(members) == 1 and len(names) > 1):
            expected = ", ".join(outcome.name for outcome in members)
            fault = Fault(what=f"model {model.name!r} observes {expected}; the cohort has {', '.join(have) or 'nothing'}",
                          remedy="name the outcome to use with outcomes=, or rename the column with columns=",
                          table="visits")  # fmt: skip
            raise CohortError([fault])
        declared = {outcome.name: outcome for outcome in members}
        chosen[block] = tuple(_merged(have[name], declared.get(name), most) for name in names)
    # Scores may be simulated off their scale; counts of joints may not.
    if most is not None and cohort.provenance == "simulated":
        counts = [one for members in chosen.values() for one in members if one.integer]
        if faults := [fault for one in counts for fault in _off_scale_faults(cohort, one)]:
            raise CohortError(faults)
    return chosen


def _merged(own: Outcome, declared: Outcome | None, most: float | None) -> Outcome:
    """The cohort's facts about an outcome, completed by the model's where the cohort is silent."""
    if declared is None:
        return own
    facts = {name: getattr(own, name) for name in ("unit", "label", "lower", "upper", "detection_limit")}
    if facts["upper"] is None and declared.upper is None and declared.integer:  # a count, of at most so many
        facts["upper"] = most
    filled = {name: value if value not in (None, "") else getattr(declared, name) for name, value in facts.items()}
    return Outcome(own.name, **filled, integer=own.integer or declared.integer,
                   positive=own.positive or declared.positive,
                   higher_is_better=declared.higher_is_better if own.higher_is_better is None else own.higher_is_better)  # fmt: skip


def scale_faults(model: Model, cohort: Cohort, used: Sequence[Outcome]) -> list[Fault]:
    """Faults of scores that a model of bounded whole scores cannot take, simulated and averaged ones not excepted."""
    faults = []
    declared = {outcome.name: outcome for outcome in model.outcomes}
    for name in sorted(set(declared) - {outcome.name for outcome in used}):
        faults.append(Fault(what=f"model {model.name!r} needs all of its {len(declared)} items, and this one is not there",
                            remedy="name it with columns= and outcomes=, or use a model of the total", column=name,
                            table="visits"))  # fmt: skip
    for outcome in used:
        scale = declared.get(outcome.name, outcome)
        if (outcome.lower, outcome.upper) != (scale.lower, scale.upper):
            words = f"the score is declared on {_bound(outcome.lower)} to {_bound(outcome.upper)}"
            faults.append(Fault(what=f"{words}, and model {model.name!r} is for {_bound(scale.lower)} to {_bound(scale.upper)}",
                                remedy="use a model for continuous outcomes, or correct the bounds of the Outcome",
                                column=outcome.name, value=outcome.upper, table="visits"))  # fmt: skip
            continue
        faults += _off_scale_faults(cohort, scale)
    return faults


def _off_scale_faults(cohort: Cohort, scale: Outcome) -> list[Fault]:
    visits, faults = cohort.visits, []
    for row, what, remedy in off_scale(visits[scale.name].to_numpy(float), scale):
        at = visits.iloc[row]
        faults.append(Fault(what=what, remedy=remedy, column=scale.name, subject=str(at["subject"]), table="visits",
                            value=f"{at[scale.name]:g} at month {at['month']:.3g}"))  # fmt: skip
    return faults


def off_scale(value: np.ndarray, scale: Outcome) -> list[tuple[int, str, str]]:
    """Position, fault and remedy of every value that is no whole number within the bounds of a scale; NaN is none."""
    low, high = scale.lower, scale.upper
    within = np.ones(len(value), bool) if low is None else value >= low
    within &= True if high is None else value <= high
    seen = np.isfinite(value)
    name, bounds = scale.name, f"{_bound(low)} to {_bound(high)}"
    way = (f"round if you can answer for it, table[{name!r}] = table[{name!r}].round().clip({_bound(low)}, {_bound(high)}), "
           "or use a model for continuous outcomes")  # fmt: skip
    off = f"outside {bounds}, the scale of {name} that the model counts on"
    broken = f"not a whole number: the model counts the points of {name}"
    found = [
        (int(row), off, f"correct it or empty the cell; of simulated scores {way}")
        for row in np.flatnonzero(seen & ~within)
    ]
    return found + [(int(row), broken, way) for row in np.flatnonzero(seen & within & (value != np.round(value)))]


def _bound(value: float | None) -> str:
    return "no bound" if value is None else f"{value:g}"


def check_options(options: Mapping[str, Any]) -> None:
    """Raise SettingError for values that no model's option of that name can have."""
    faults = []
    if options.get("baseline", "auto") not in ("auto", "common", "free"):
        known = ("auto", "common", "free")
        faults.append(Fault(what=f"the option baseline has no such value{suggest(options['baseline'], known)}",
                            remedy="use one of them", value=options["baseline"], table="setting"))  # fmt: skip
    joints = options.get("joints", 28)
    if isinstance(joints, bool) or not isinstance(joints, int | np.integer) or joints < 1:
        faults.append(Fault(what="the option joints is not a number of joints", remedy="give a whole number such as 28",
                            value=joints, table="setting"))  # fmt: skip
    if faults:
        raise SettingError(faults)


def planned_visits(visits: pd.DataFrame) -> tuple[pd.Series, list[Fault]]:
    """The planned visit, in months, that each row belongs to: the column `visit` where there is one, else the time."""
    if "visit" in visits:
        lost = visits[visits["visit"].isna()]
        if len(lost):
            return visits["month"], [
                Fault(what="the row has no visit", remedy="name its planned visit, or leave the column out",
                      column="visit", subject=str(row.subject), value=f"month {row.month:.2f}", table="visits")
                for row in lost.itertuples()
            ]  # fmt: skip
        planned = visits.groupby("visit")["month"].transform("median")
    else:
        planned = visits["month"]
    if (planned <= 0).any():  # screening visits belong to the baseline: nothing has been given before time 0
        planned = planned.where(planned > 0, planned[planned <= 0].max())
    planned = planned.round(3)
    times = np.sort(planned.unique())
    if len(times) < 2:
        return planned, [Fault(what="all rows are at one visit", remedy="this model needs a baseline and a later visit",
                               column="time", table="visits")]  # fmt: skip
    if len(times) > 24:
        return planned, [Fault(what=f"there are {len(times)} different times: no common schedule of visits",
                               remedy="add a column `visit` that names the planned visit of each row",
                               column="time", table="visits")]  # fmt: skip
    return planned, []


def covariate_names(cohort: Cohort, options: Mapping[str, Any]) -> list[str]:
    """Return the covariates asked for; one the cohort does not have is a SettingError."""
    wanted = options.get("covariates", ())
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    have = cohort.covariates
    faults = [Fault(what=f"the cohort has no such covariate{suggest(name, have)}", table="setting", value=name,
                    remedy="name one of its covariates, or declare it with Cohort.from_table(covariates=...)")
              for name in names if name not in have]  # fmt: skip
    if faults:
        raise SettingError(faults)
    return names
