"""A way to borrow, applied to a cohort and a model: arms in order, priors of the drift, weights of patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from progression.borrowing import NOBODY, Borrowing, CalendarDrift, Pooled, PowerPrior, Separate
from progression.cohort import Cohort
from progression.drift import DriftPrior, Following
from progression.encoding import Encoded, encode
from progression.engines.points import INTERPRETED
from progression.engines.program import Built, build
from progression.faults import CohortError, Fault, SettingError, setting_fault, suggest
from progression.modeling import Model, Prior, SupportsPyMC


@dataclass(frozen=True, eq=False)
class Arranged:
    """What a fit needs of a way to borrow.

    Attributes
    ----------
    cohort : Cohort
    priors : mapping of str to prior
    weights : array, shape (subjects,), or None
        Share of a patient that each counts for, where not all count alike; where the power has a prior, at a power of 1.
    historical : array of bool, shape (subjects,), or None
        Whose weights a power that has a prior multiplies.
    power : tuple of float, or None
        Of the Beta prior of the power.
    """

    cohort: Cohort
    priors: Mapping[str, SupportsPyMC]
    weights: np.ndarray | None = None
    historical: np.ndarray | None = None
    power: tuple[float, float] | None = None


def arranged(
    model: Model, cohort: Cohort, priors: Mapping[str, SupportsPyMC], borrowing: Borrowing, *, options: Mapping[str, Any],
    outcomes: Any,
) -> Arranged:  # fmt: skip
    """The cohort with its arms in the order that a way to borrow needs, and the priors with those of the drift.

    Raises
    ------
    CohortError
        Where there is no historical arm, or nobody but them.
    SettingError
        For `Separate` without concurrent controls: there is no contrast; or where an effect has a prior that the drift
        cannot share.
    """
    if not isinstance(borrowing, Borrowing):
        raise SettingError(
            [setting_fault("borrowing", borrowing, "is no way to borrow", "give pg.Commensurate(scale=0.2) or another")]
        )
    borrowing.components()
    if isinstance(borrowing, CalendarDrift):
        if options.get("period") is not None:
            raise SettingError([setting_fault("period", options["period"], "is an option by which the model lets the course drift already",
                                              "leave the option or the borrowing out")])  # fmt: skip
        made = _by_period(cohort, borrowing)
        return Arranged(made, _with_drift(model, made, priors, borrowing, options, outcomes))
    historical = [arm for arm in cohort.arms if arm in borrowing.arms]
    lost = [arm for arm in borrowing.arms if arm not in cohort.arms]
    if lost or not historical or len(historical) == len(cohort.arms):
        what = (
            f"there is no historical arm of that name{suggest(lost[0], cohort.arms)}"
            if lost
            else "every arm is historical"
            if historical
            else "no arm is named as historical"
        )
        raise CohortError([Fault(what=what, value=(lost or historical or [""])[0], column="arm", table="subjects",
                                 remedy="bring controls in with pg.with_historical_controls, or name their arm: arms=(...,)")])  # fmt: skip
    others = [arm for arm in cohort.arms if arm not in historical]
    alone = cohort.arms[0] in historical  # no concurrent controls: the control arm is historical
    if alone and len(others) > 1:
        raise CohortError([Fault(what=f"{cohort.arms[0]!r} stands first, so that it is not said which of {', '.join(others)} is the concurrent control",
                                 column="arm", table="subjects", remedy="make the cohort with arms= that begin with the concurrent control")])  # fmt: skip
    if alone and isinstance(borrowing, Separate):
        raise SettingError([setting_fault("borrowing", "Separate", "leaves a single-arm cohort without any contrast: treatment and drift cannot "
                                          "be told apart", "say how large a drift may be: pg.Commensurate(scale=...)")])  # fmt: skip
    if isinstance(borrowing, PowerPrior):
        return _powered(cohort, priors, borrowing, historical, others, alone)
    if isinstance(borrowing, Pooled):
        return Arranged(_pooled(cohort, historical, others, alone), dict(priors))
    arms = ([NOBODY] if alone else []) + others + historical
    made = replace(cohort, arms=tuple(arms), historical_arms=tuple(historical))
    return Arranged(made, _with_drift(model, made, priors, borrowing, options, outcomes))


def _pooled(cohort: Cohort, historical: list[str], others: list[str], alone: bool) -> Cohort:
    control = historical[0] if alone else others[0]
    subjects = cohort.subjects
    subjects["arm"] = subjects["arm"].where(~subjects["arm"].isin(historical), control)
    arms = [control, *(arm for arm in others if arm != control)]
    return replace(cohort, _subjects=subjects, arms=tuple(arms), historical_arms=())


def _powered(cohort: Cohort, priors: Mapping[str, SupportsPyMC], borrowing: PowerPrior, historical: list[str],
             others: list[str], alone: bool) -> Arranged:  # fmt: skip
    subjects = cohort.subjects
    source = subjects["arm"].isin(historical)
    own = np.ones(len(subjects))
    if borrowing.weights is not None:
        given = dict(borrowing.weights)
        faults = [Fault(what="has a weight, and is no historical control of this cohort", value=str(key), column="subject", table="subjects",
                        remedy="give weights of historical controls only") for key in given
                  if key not in subjects.index or (not source[key] and given[key] != 1)]  # fmt: skip
        faults += [Fault(what="historical control without a weight", value=str(key), column="subject", table="subjects",
                         remedy="give every one a weight; 0 leaves it out") for key in subjects.index[source] if key not in given]  # fmt: skip
        if faults:
            raise CohortError(faults)
        own = np.array([float(given.get(key, 1.0)) for key in subjects.index])
    pooled = _pooled(cohort, historical, others, alone)
    if borrowing.beta is not None:
        if not (own[source] > 0).any():
            raise SettingError(
                [setting_fault("weights", 0, "leaves no historical control", "give some a weight above 0")]
            )
        return Arranged(pooled, dict(priors), own, source.to_numpy(), borrowing.beta)
    return Arranged(pooled, dict(priors), np.where(source, float(borrowing.a0) * own, 1.0))  # type: ignore[arg-type]


def _by_period(cohort: Cohort, borrowing: CalendarDrift) -> Cohort:
    column = borrowing.column
    if column not in cohort.covariates:
        raise SettingError([setting_fault("column", column, f"is no covariate of the cohort{suggest(str(column), cohort.covariates)}",
                                          "keep it with covariates= when making the cohort")])  # fmt: skip
    periods = cohort.subjects[column]
    if periods.isna().any():
        lost = list(periods.index[periods.isna()])
        raise CohortError([Fault(what="nothing is known of the period in which the subject entered", subject=str(one), column=column,
                                 table="subjects", remedy="fill it in") for one in lost])  # fmt: skip
    if periods.nunique() < 2:
        raise CohortError([Fault(what="everybody entered in the same period: there is no drift to allow for", value=periods.iloc[0], column=column,
                                 table="subjects", remedy="leave borrowing out")])  # fmt: skip
    return replace(cohort, calendar=column)


def _with_drift(
    model: Model,
    cohort: Cohort,
    priors: Mapping[str, SupportsPyMC],
    borrowing: Borrowing,
    options: Mapping[str, Any],
    outcomes: Any,
) -> dict[str, SupportsPyMC]:
    encoded = encode(model, cohort, options=options, outcomes=outcomes)
    drifting = (*cohort.historical_arms, *encoded.coords["earlier"])
    built = build(model, encoded, priors)
    dims = built.model.named_vars_to_dims
    made, faults = dict(priors), []
    leader, idle = _leading(model, built, encoded, drifting, borrowing)
    for name, prior in priors.items():
        own = dims.get(name) or ()
        is_effect = "active_arm" in own or "separate_arm" in own  # of a hazard too, where it has a ratio of its own
        is_level = "baseline_arm" in own and borrowing.level is not None
        if not (is_effect or is_level):
            continue
        if (
            not isinstance(prior, Prior)
            or prior.distribution not in ("Normal", "LogNormal")
            or not {"mu", "sigma"} >= set(prior.parameters)
            or (name in idle and prior.distribution != "Normal")
        ):
            faults.append(setting_fault("priors", repr(prior), f"of {name!r} cannot be set beside a drift",
                                        "give it a Normal or LogNormal with mu and sigma"))  # fmt: skip
            continue
        dim = next(dim for dim in own if dim.endswith("_arm"))
        if name in idle:
            made[name] = Following(prior, dim, drifting, leader)
        elif is_effect:
            made[name] = borrowing.drift(prior, dim, drifting)
        else:
            made[name] = DriftPrior(prior, dim, drifting, ((1.0, float(borrowing.level or 1.0)),))
    if faults:
        raise SettingError(faults)
    return made


def _leading(
    model: Model, built: Built, encoded: Encoded, drifting: tuple[str, ...], borrowing: Borrowing
) -> tuple[str, set[str]]:
    """The effect that is the drift, and those of which historical arms have no data, such as one after an antibody.

    Raises
    ------
    SettingError
        Where two effects of one treatment both bear on historical patients: a drift is neither.
    """
    dims = built.model.named_vars_to_dims
    effects = [rv.name for rv in built.model.free_RVs if "active_arm" in (dims.get(rv.name) or ())]
    if len(effects) < 2:
        return "", set()
    bearing = [name for name in effects if _bears(built, encoded, name, drifting)]
    if len(bearing) != 1 or any(dims[name] != dims[bearing[0]] for name in effects):
        raise SettingError([setting_fault("borrowing", str(borrowing), f"cannot be written for {model.name}: {' and '.join(effects)} are effects of "
                                          "a treatment that historical controls never had, and a drift is neither",
                                          "use als_slope or als_shared, or pg.Pooled()")])  # fmt: skip
    return bearing[0], set(effects) - set(bearing)


def _bears(built: Built, encoded: Encoded, name: str, drifting: tuple[str, ...]) -> bool:
    """Whether the data say anything of an effect in these arms: the log likelihood with it moved there."""
    model = built.model
    rows = [*model.logp(vars=model.observed_RVs, sum=False), *model.replace_rvs_by_values(model.potentials)]
    total = pt.add(*(one.sum() for one in rows), 0.0)
    run = pytensor.function(model.value_vars, total, mode=INTERPRETED, on_unused_input="ignore")
    point = model.initial_point()
    rv = model[name]
    value = model.rvs_to_values[rv]
    dims = model.named_vars_to_dims[name]
    moved = dict(point)
    at = np.isin([str(label) for label in encoded.coords["active_arm"]], drifting)
    shift = at.reshape([-1 if dim == "active_arm" else 1 for dim in dims]) * 0.37
    moved[value.name] = point[value.name] + shift
    one, other = (float(run(*(where[v.name] for v in model.value_vars))) for where in (point, moved))
    return abs(one - other) > 1e-9 * (1 + abs(one))
