"""A published mean in place of a control arm: what is known of it, and an estimand set against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from progression.faults import Fault, SettingError, is_number, setting_fault, suggest
from progression.fitted import Fit
from progression.historical import MapPrior
from progression.modeling import Estimand

_OWN_STREAM = 0x5A  # beside the fit's seed: the same stream would tie the control to the fit's draws
_FAR = 3.0  # SDs from zero at which a mean may be divided by
_FLIPPED: dict[Any, Any] = {"higher": "lower", "lower": "higher", None: None}


@dataclass(frozen=True, kw_only=True)
class SummaryArm:
    """A published mean and SD of patients who stand in for a control arm.

    Parameters
    ----------
    mean : float
        In the unit of the estimand.
    sd : float
        Between patients, not the standard error of the mean.
    n : int
        Patients, at least 2. Without it nothing says how much the mean is worth.
    estimand : str
        Which it is a mean of: one of a model's estimands of single arms, such as "slope". A change must be to the month
        asked for.
    label : str
        What the patients are called.
    drift : float
        SD of the difference between these patients' mean and that of concurrent controls, in the unit of the estimand; 0
        where none is allowed for.
    source : str
        Where it was published.
    scale : {"difference", "ratio"}
        Whether it is subtracted or divided by.

    Raises
    ------
    SettingError
        With everything that cannot be meant.

    Notes
    -----
    Given mean and SD, the true mean is taken as Normal(mean, sd^2 / n + drift^2), the SD as known, as `map_prior` takes it. A t
    with n - 1 degrees of freedom (Gelman et al. 2013, Bayesian Data Analysis, section 3.2) is not used: its 95 % interval
    would be 15 % wider for 10 patients, 4 % for 30, and it would have no SD for 3. The variance of the drift adds up as in
    Pocock (1976), Journal of Chronic Diseases 29:175.
    """

    mean: float
    sd: float
    n: int | None = None
    estimand: str = "slope"
    label: str = "published controls"
    drift: float = 0.0
    source: str = ""
    scale: Literal["difference", "ratio"] = "difference"

    def __post_init__(self) -> None:
        faults = []
        if not is_number(self.mean):
            faults.append(setting_fault("mean", self.mean, "is not a finite number", "give the published mean"))
        if not is_number(self.sd) or self.sd <= 0:
            faults.append(setting_fault("sd", self.sd, "is not a positive number", "give the SD between patients: that of the mean times the root of n"))  # fmt: skip
        if self.n is None:
            faults.append(setting_fault("n", None, "is missing: a mean without its n does not say how much it is worth", "give the number of patients"))  # fmt: skip
        elif not is_number(self.n) or self.n != int(self.n) or self.n < 2:
            faults.append(setting_fault("n", self.n, "is not a whole number of at least 2", "give the number of patients"))  # fmt: skip
        if not is_number(self.drift) or self.drift < 0:
            faults.append(setting_fault("drift", self.drift, "is not an SD", "give a positive number, or 0 for no drift"))  # fmt: skip
        for name, value in (("label", self.label), ("estimand", self.estimand)):
            if not isinstance(value, str) or not value.strip():
                faults.append(setting_fault(name, value, "is not a name", "give a text"))
        if self.scale not in ("difference", "ratio"):
            faults.append(setting_fault("scale", self.scale, "is unknown", "use difference or ratio"))
        if not faults and self.scale == "ratio" and abs(self.mean) < _FAR * self.error:
            faults.append(setting_fault("mean", self.mean, f"is within {_FAR:g} SDs ({self.error:.2g}) of 0: nothing can be divided by it", 'use scale="difference"'))  # fmt: skip
        if faults:
            raise SettingError(faults)

    @property
    def error(self) -> float:
        """SD of the true mean: of sampling n patients, and of drift."""
        assert self.n is not None
        return float(np.sqrt(self.sd**2 / self.n + self.drift**2))

    def draws(self, n: int, *, random_seed: int) -> np.ndarray:
        """Independent draws of the true mean, shape (n,)."""
        return np.random.default_rng(random_seed).normal(self.mean, self.error, n)


def named(against: SummaryArm | MapPrior) -> str:
    """What the control is called in a label."""
    return (
        against.label if isinstance(against, SummaryArm) else f"a new study after {len(against.studies)} published ones"
    )


def asked(fit: Fit, names: Sequence[str] | None, against: Any) -> tuple[list[str], list[Fault]]:
    """Names of the estimands that are set against a published control, and what stands in the way.

    Raises
    ------
    SettingError
        Where no estimand is left to check: `against` of another type, or an unknown estimand.
    """
    direct = [one.name for one in fit.model.estimands if one.scale == "direct"]
    if not isinstance(against, SummaryArm | MapPrior):
        raise SettingError([setting_fault("against", type(against).__name__, "is no published control",
                                          "give pg.SummaryArm(mean=, sd=, n=) or what pg.map_prior returned")])  # fmt: skip
    faults = []
    if isinstance(against, MapPrior) and against.kind != "normal":
        faults.append(setting_fault("against", against.kind, "is a kind of studies whose value is no mean",
                                    'give pg.map_prior(studies, "normal")'))  # fmt: skip
    if named(against) in fit.cohort.arms:
        faults.append(
            setting_fault("against", named(against), "is an arm of the cohort already", "give another label=")
        )
    found = [against.estimand] if names is None and isinstance(against, SummaryArm) else list(names or ())
    if len(found) != 1:
        faults.append(setting_fault("estimands", found or None, "is not one estimand: a published mean is of one",
                                    f"name one of {', '.join(direct) or 'none'}"))  # fmt: skip
    known = {one.name: one for one in fit.model.estimands}
    for name in found:
        if name not in known:
            faults.append(setting_fault("estimands", name, f"is not an estimand of {fit.model.name}{suggest(name, direct)}", "name one of them"))  # fmt: skip
        elif known[name].scale != "direct":
            faults.append(setting_fault("estimands", name, "is a contrast already, not a quantity of one arm",
                                        f"ask for one of {', '.join(direct) or 'none'}"))  # fmt: skip
        elif set(known[name].over) - {"arm"}:
            faults.append(setting_fault("estimands", name, f"has a value for each {', '.join(set(known[name].over) - {'arm'})}: "
                                        "one mean cannot stand against all", f"ask for one of {', '.join(direct)}"))  # fmt: skip
        if isinstance(against, SummaryArm) and against.estimand != name:
            faults.append(setting_fault("against", against.estimand, f"is what the summary is a mean of, and {name!r} is asked for",
                                        f"give SummaryArm(estimand={name!r}) if it is one of that"))  # fmt: skip
    if not set(found) <= set(known):
        raise SettingError(faults)
    return found, faults


def subtracted(
    draws: xr.Dataset, estimand: Estimand, against: SummaryArm | MapPrior, *, random_seed: int
) -> tuple[xr.Dataset, Estimand]:
    """Each arm minus the published control (or divided by it) draw by draw, and the estimand that this is.

    Parameters
    ----------
    draws : xarray.Dataset
        Of one estimand of single arms, dims (chain, draw[, arm]).
    estimand : Estimand
        With its unit filled in.
    random_seed : int
        Of the fit: the same control whichever engine made the draws, and independent of them.
    """
    one = draws[estimand.name]
    seed = int(np.random.SeedSequence([random_seed, _OWN_STREAM]).generate_state(1)[0])
    n = one.sizes["chain"] * one.sizes["draw"]
    control = against.draws(n, random_seed=seed).reshape(one.sizes["chain"], one.sizes["draw"])
    published = xr.DataArray(control, dims=("chain", "draw"))
    ratio = isinstance(against, SummaryArm) and against.scale == "ratio"
    name = f"{estimand.name}_{'ratio' if ratio else 'difference'}"
    # A greater share of a loss is worse, where a greater value was better.
    flipped = isinstance(against, SummaryArm) and ratio and against.mean < 0
    benefit = _FLIPPED[estimand.benefit] if flipped else estimand.benefit
    head = estimand.label.partition(f", {estimand.unit}")[0] if estimand.unit else estimand.label
    whom = named(against).replace("{", "{{").replace("}", "}}")
    sides = {"higher": "above 1" if ratio else "positive", "lower": "below 1" if ratio else "negative"}
    direction = f"{sides[benefit]} = benefit" if benefit else f"{sides['higher']} = more than there"
    unit = "" if ratio else estimand.unit
    label = ", ".join(filter(None, [f"{head}, {'divided by that of' if ratio else 'minus'} {whom}", unit, direction]))
    made = replace(estimand, name=name, label=label, unit=unit, scale="ratio" if ratio else "difference", null=1.0 if ratio else 0.0,
                   benefit=benefit, reference="a published summary", assumption=assumption(against), inverse=None)  # fmt: skip
    return xr.Dataset(
        {name: (one / published if ratio else one - published).transpose(*one.dims)}, attrs=draws.attrs
    ), made


def assumption(against: SummaryArm | MapPrior) -> str:
    """What a comparison with a published control rests on, in words."""
    if isinstance(against, MapPrior):
        return (f"the control is a published summary of {len(against.studies)} historical studies: its mean is that of a new study, "
                "drift between studies allowed for as they differ among themselves (MAP prior)")  # fmt: skip
    drift = f"a drift of SD {against.drift:g} is allowed for" if against.drift else "no drift is allowed for"
    where = f"n = {against.n}" + (f"; {against.source}" if against.source else "; source not stated")
    return (f"the control is a published summary, historical: {against.label} ({where}), mean {against.mean:g}, SD {against.sd:g}; between "
            f"these patients and concurrent controls {drift}")  # fmt: skip
