"""How far historical controls are trusted, as values: what may differ between them and the concurrent controls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from progression.cohort import Cohort
from progression.drift import DriftPrior
from progression.encoding import encode
from progression.engines.program import build
from progression.faults import CohortError, Fault, SettingError, is_number, setting_fault, suggest
from progression.modeling import Model, Prior, SupportsPyMC

NOBODY = "concurrent control"  # the arm without a patient that a single-arm trial is compared with


@dataclass(frozen=True, kw_only=True)
class Borrowing(ABC):
    """Base of the ways to borrow: the arms that are historical, and what their differences are like.

    Historical controls stand in the program as an arm of their own. Its treatment effect is the *drift*: how much slower
    or faster they decline than concurrent controls would (in the units of the model's effect, on the log scale where
    the effect is a ratio). A way to borrow is a prior of this drift.

    Parameters
    ----------
    arms : tuple of str
        Labels of the historical arms.
    level : float, optional
        SD of the difference at baseline; that of the model's own prior where omitted.
    """

    arms: tuple[str, ...] = ("historical control",)
    level: float | None = None

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.level is not None and (not is_number(self.level) or self.level <= 0):
            raise SettingError(
                [setting_fault("level", self.level, "is not a positive number", "give an SD, or leave it out")]
            )

    @abstractmethod
    def components(self) -> tuple[tuple[float, float], ...]:
        """Weights and SDs of the normals that the prior of the drift is made of."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Pooled(Borrowing):
    """Historical controls are taken as concurrent ones: no drift, no difference at baseline."""

    name: ClassVar[str] = "historical controls pooled with the concurrent ones: no drift allowed for"

    def components(self) -> tuple[tuple[float, float], ...]:
        """None: the arms are one."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Separate(Borrowing):
    """Historical controls say nothing of the slope of concurrent ones; they still inform what all arms share: SDs, a common bend, a hazard.

    Parameters
    ----------
    wide : float
        SD of the drift, so large that nothing is borrowed.
    """

    wide: float = 10.0
    name: ClassVar[str] = "historical controls have a slope of their own: nothing is borrowed of it"

    def components(self) -> tuple[tuple[float, float], ...]:
        """One wide normal."""
        return ((1.0, _positive("wide", self.wide)),)


@dataclass(frozen=True)
class Commensurate(Borrowing):
    """The drift is Normal(0, scale): small scales pool, large ones borrow nothing.

    Parameters
    ----------
    scale : float
        SD of the drift: points/month for als_slope, of the log ratio for als_shared.

    Notes
    -----
    Hobbs et al. (2011), Biometrics 67:1047, with the commensurability fixed and therefore stated.
    """

    scale: float
    name: ClassVar[str] = "drift"

    def components(self) -> tuple[tuple[float, float], ...]:
        """One normal."""
        return ((1.0, _positive("scale", self.scale)),)

    def __str__(self) -> str:
        return f"the drift between historical and concurrent controls is taken as Normal(0, {self.scale:g})"


@dataclass(frozen=True)
class RobustMAP(Borrowing):
    """The drift is Normal(0, scale), or with a given probability Normal(0, wide): conflicting controls are let go.

    Parameters
    ----------
    scale : float
        SD of the drift between sources that are alike: what a MAP prior of earlier sources would give.
    weight : float
        Prior probability that they are not.
    wide : float
        SD of the drift then. Where an effect has several components (visits, outcomes), each is let go by itself.

    Notes
    -----
    Schmidli et al. (2014), Biometrics 70:1023.
    """

    scale: float
    weight: float = 0.2
    wide: float = 1.0

    def components(self) -> tuple[tuple[float, float], ...]:
        """Two normals."""
        if not is_number(self.weight) or not 0 < self.weight < 1:
            raise SettingError(
                [setting_fault("weight", self.weight, "is not a probability", "give one between 0 and 1")]
            )
        return ((1 - self.weight, _positive("scale", self.scale)), (self.weight, _positive("wide", self.wide)))

    def __str__(self) -> str:
        return (f"the drift between historical and concurrent controls is taken as Normal(0, {self.scale:g}), or with probability "
                f"{self.weight:g} as Normal(0, {self.wide:g})")  # fmt: skip


def arranged(
    model: Model,
    cohort: Cohort,
    priors: Mapping[str, SupportsPyMC],
    borrowing: Borrowing,
    *,
    options: Mapping[str, Any],
    outcomes: Any,
) -> tuple[Cohort, dict[str, SupportsPyMC]]:
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
    historical = [arm for arm in cohort.arms if arm in borrowing.arms]
    lost = [arm for arm in borrowing.arms if arm not in cohort.arms]
    if lost or len(historical) == len(cohort.arms):
        what = (
            f"there is no historical arm of that name{suggest(lost[0], cohort.arms)}"
            if lost
            else "every arm is historical"
        )
        raise CohortError([Fault(what=what, value=lost[0] if lost else historical[0], column="arm", table="subjects",
                                 remedy="bring controls in with pg.with_historical_controls, or name their arm: arms=(...,)")])  # fmt: skip
    others = [arm for arm in cohort.arms if arm not in historical]
    alone = cohort.arms[0] in historical  # no concurrent controls: the control arm is historical
    if alone and len(others) > 1:
        raise CohortError([Fault(what=f"{cohort.arms[0]!r} stands first, so that it is not said which of {', '.join(others)} is the concurrent control",
                                 column="arm", table="subjects", remedy="make the cohort with arms= that begin with the concurrent control")])  # fmt: skip
    if alone and isinstance(borrowing, Separate):
        raise SettingError([setting_fault("borrowing", "Separate", "leaves a single-arm cohort without any contrast: treatment and drift cannot "
                                          "be told apart", "say how large a drift may be: pg.Commensurate(scale=...)")])  # fmt: skip
    if isinstance(borrowing, Pooled):
        return _pooled(cohort, historical, others, alone), dict(priors)
    arms = ([NOBODY] if alone else []) + others + historical
    made = replace(cohort, arms=tuple(arms), historical_arms=tuple(historical))
    return made, _with_drift(model, made, priors, borrowing, options, outcomes)


def _pooled(cohort: Cohort, historical: list[str], others: list[str], alone: bool) -> Cohort:
    control = historical[0] if alone else others[0]
    subjects = cohort.subjects
    subjects["arm"] = subjects["arm"].where(~subjects["arm"].isin(historical), control)
    arms = [control, *(arm for arm in others if arm != control)]
    return replace(cohort, _subjects=subjects, arms=tuple(arms), historical_arms=())


def _with_drift(
    model: Model,
    cohort: Cohort,
    priors: Mapping[str, SupportsPyMC],
    borrowing: Borrowing,
    options: Mapping[str, Any],
    outcomes: Any,
) -> dict[str, SupportsPyMC]:
    encoded = encode(model, cohort, options=options, outcomes=outcomes)
    dims = build(model, encoded, priors).model.named_vars_to_dims
    made, faults = dict(priors), []
    effects = [name for name in priors if "active_arm" in (dims.get(name) or ())]
    if len(effects) > 1:
        raise SettingError([setting_fault("borrowing", str(borrowing), f"cannot be written for {model.name}: {' and '.join(effects)} are effects of "
                                          "a treatment that historical controls never had, and a drift is neither",
                                          "use als_slope or als_shared, or pg.Pooled()")])  # fmt: skip
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
        ):
            faults.append(setting_fault("priors", repr(prior), f"of {name!r} cannot be set beside a drift",
                                        "give it a Normal or LogNormal with mu and sigma"))  # fmt: skip
            continue
        parts = borrowing.components() if is_effect else ((1.0, float(borrowing.level or 1.0)),)
        made[name] = DriftPrior(
            prior, next(dim for dim in own if dim.endswith("_arm")), tuple(cohort.historical_arms), parts
        )
    if faults:
        raise SettingError(faults)
    return made


def _positive(name: str, value: float) -> float:
    if not is_number(value) or value <= 0:
        raise SettingError(
            [setting_fault(name, value, "is not a positive number", "give an SD in the units of the effect")]
        )
    return float(value)
