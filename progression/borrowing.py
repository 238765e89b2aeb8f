"""How far historical controls are trusted, as values: what may differ between them and the concurrent controls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from progression.drift import DriftPrior, SourcesPrior
from progression.faults import SettingError, is_number, setting_fault
from progression.priors import Prior

NOBODY = "concurrent control"  # the arm without a patient that a single-arm trial is compared with


@dataclass(frozen=True, kw_only=True)
class Borrowing(ABC):
    """Base of the ways to borrow: the arms that are historical, and what their differences are like.

    Historical controls stand in the program as an arm of their own. Its treatment effect is the *drift*: how much slower
    or faster they decline than concurrent controls would (in the units of the model's effect, on the log scale where
    the effect is a ratio). A way to borrow is a prior of this drift; `PowerPrior` gives patients a weight instead.

    Parameters
    ----------
    arms : tuple of str
        Labels of the historical arms; one label may be given as it stands.
    level : float, optional
        SD of the difference at baseline; that of the model's own prior where omitted.
    """

    arms: tuple[str, ...] = ("historical control",)
    level: float | None = None

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        arms = (self.arms,) if isinstance(self.arms, str) else tuple(self.arms)
        object.__setattr__(self, "arms", arms)
        faults = []
        if self.level is not None and (not is_number(self.level) or self.level <= 0):
            faults.append(setting_fault("level", self.level, "is not a positive number", "give an SD, or leave it out"))
        twice = sorted({arm for arm in arms if arms.count(arm) > 1})
        faults += [setting_fault("arms", arm, "stands twice: the same patients cannot be borrowed twice", "name each arm once")
                   for arm in twice]  # fmt: skip
        if faults:
            raise SettingError(faults)

    @abstractmethod
    def components(self) -> tuple[tuple[float, float], ...]:
        """Weights and SDs of the normals that the prior of the drift is made of; empty where no drift is allowed for."""

    def drift(self, base: Prior, dim: str, arms: tuple[str, ...]) -> DriftPrior | SourcesPrior:
        """The prior of an effect over `dim` of which the labels `arms` are drifts, and the rest effects under `base`."""
        return DriftPrior(base, dim, arms, self.components())

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


@dataclass(frozen=True)
class Sources(Borrowing):
    """Several historical sources and the concurrent controls are draws from one population of studies.

    The controls of each study, the concurrent ones among them, have a slope that is normal around a common mean with SD
    tau, and tau ~ HalfNormal(scale) is learned: sources that disagree with each other are trusted less. A drift is the
    difference of two such draws, so that the drifts of all sources share that of the concurrent controls.

    Parameters
    ----------
    scale : float
        Of the half-normal prior of tau, in the units of the effect. With fewer than four sources it matters.

    Notes
    -----
    The meta-analytic-combined model of Schmidli et al. (2014), Biometrics 70:1023, section 2, on patient data, with the prior of
    the common mean put on the concurrent controls instead, independent of the drifts; half-normal scales: Gelman (2006),
    Bayesian Analysis 1:515. With one source its drift is Normal(0, 2 tau²) given tau.
    """

    scale: float

    def components(self) -> tuple[tuple[float, float], ...]:
        """One normal, of the size that tau has a priori."""
        return ((1.0, _positive("scale", self.scale)),)

    def drift(self, base: Prior, dim: str, arms: tuple[str, ...]) -> SourcesPrior:
        """Drifts that share the concurrent controls' own deviation, their SD unknown."""
        return SourcesPrior(base, dim, arms, self.scale)

    def __str__(self) -> str:
        return (f"historical sources and concurrent controls are taken as alike in kind: studies differ with an SD ~ "
                f"HalfNormal({self.scale:g})")  # fmt: skip


@dataclass(frozen=True)
class CalendarDrift(Borrowing):
    """Patients who entered earlier differ by steps from period to period: a random walk, treated and controls alike.

    For controls who are not concurrent with a treatment, as in a platform trial. Each step is the difference between those
    who entered before a period and those since; the latest period is the one that slopes are reported for.

    Parameters
    ----------
    column : str
        Covariate that says in which period each patient entered; labels in ascending order are periods in time.
    scale : float
        SD of a step, in the units of the effect (on the log scale for ratios). Large: only concurrent controls count.

    Notes
    -----
    A first-order random walk; Saville et al. (2022), Clinical Trials 19:490 (the Bayesian time machine) smooths one of
    second order.
    """

    column: str
    scale: float
    arms: tuple[str, ...] = field(default=(), kw_only=True)

    def components(self) -> tuple[tuple[float, float], ...]:
        """One normal a step."""
        return ((1.0, _positive("scale", self.scale)),)

    def __str__(self) -> str:
        return f"the course drifts from period to period ({self.column}) by steps taken as Normal(0, {self.scale:g})"


@dataclass(frozen=True)
class PowerPrior(Borrowing):
    """Historical controls are pooled with the concurrent ones, but each counts as the share `a0` of a patient.

    The power is on each patient's likelihood with the patient's own effects integrated out, which only the marginal engine
    has. With 1 this is `Pooled`, with 0 they are left out.

    Parameters
    ----------
    a0 : float or Prior
        The power, from 0 to 1; or its prior, a Beta: then the prior is normalised, and `a0` is in the posterior.
    weights : mapping of str to float, optional
        By subject (of historical controls), from 0 to 1, such as propensity weights: they multiply `a0`.

    Notes
    -----
    Ibrahim and Chen (2000), Statistical Science 15:46; the normalised form: Duan, Ye and Smith (2006), Environmetrics 17:95.
    """

    a0: float | Prior
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        faults = []
        if isinstance(self.a0, Prior):
            if self.beta is None:
                faults.append(
                    setting_fault(
                        "a0", repr(self.a0), "is no prior of a share", 'give pg.Prior("Beta", alpha=1, beta=1)'
                    )
                )
        elif not is_number(self.a0) or not 0 <= self.a0 <= 1:
            faults.append(setting_fault("a0", self.a0, "is not between 0 and 1: a patient counts once at most",
                                        "give a share such as 0.5, or a Beta prior"))  # fmt: skip
        if self.level is not None:
            faults.append(setting_fault("level", self.level, "cannot be set: a power prior pools level and slope alike",
                                        "leave it out, or use pg.Commensurate"))  # fmt: skip
        if self.weights is not None:
            wrong = [
                (key, value) for key, value in dict(self.weights).items() if not is_number(value) or not 0 <= value <= 1
            ]
            faults += [setting_fault("weights", value, f"of subject {key!r} is not between 0 and 1", "scale them to 1 at most")
                       for key, value in wrong[:5]]  # fmt: skip
        if faults:
            raise SettingError(faults)

    @property
    def beta(self) -> tuple[float, float] | None:
        """Both parameters of the prior of the power, where it has one."""
        if not isinstance(self.a0, Prior):
            return None
        known = self.a0.parameters
        if self.a0.distribution == "Beta" and set(known) == {"alpha", "beta"}:
            return known["alpha"], known["beta"]
        return (1.0, 1.0) if self.a0.distribution == "Uniform" and tuple(known.values()) == (0, 1) else None

    def components(self) -> tuple[tuple[float, float], ...]:
        """None: the arms are one."""
        return ()

    def __str__(self) -> str:
        how = ("the share of a patient that each historical control counts for has the prior " + repr(self.a0) if isinstance(self.a0, Prior)
               else f"each historical control counts as {self.a0:g} of a patient")  # fmt: skip
        more = ", times a weight of its own" if self.weights is not None else ""
        return f"historical controls are pooled with the concurrent ones by a power prior: {how}{more}; no drift allowed for"


def _positive(name: str, value: float) -> float:
    if not is_number(value) or value <= 0:
        raise SettingError(
            [setting_fault(name, value, "is not a positive number", "give an SD in the units of the effect")]
        )
    return float(value)
