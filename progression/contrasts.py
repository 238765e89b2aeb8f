"""Fit -> Contrast on its estimands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from progression import contrast_words
from progression.components import component
from progression.faults import Fault, SettingError, check_probability, is_number, setting_fault, suggest
from progression.fitted import Fit, provenance
from progression.historical import MapPrior
from progression.learning import FEW_PATIENTS, against_prior, computed, prior_warnings
from progression.modeling import Estimand
from progression.rules import OPERATORS, Probability
from progression.summary_arm import SummaryArm, asked, subtracted
from progression.tables import Summary, components, summarise


@dataclass(frozen=True, eq=False, repr=False)
class Contrast:
    """Posterior draws of the estimands of a fit.

    Attributes
    ----------
    draws : xarray.Dataset
        One variable an estimand, dims (chain, draw, then those the estimand runs over).
    estimands : mapping of str to Estimand
    at : mapping of str to float
        The settings used, such as ``{"month": 12.0}``.
    fit : Fit
        Where they come from.
    learned : pandas.DataFrame
        Prior beside posterior of those the data may hardly bear on (`Estimand.weak`), of all where there are fewer than eight patients;
        `against_prior` gives it of all.
    against : SummaryArm or MapPrior or None
        The published control that each arm is set against, if any.
    """

    draws: xr.Dataset
    estimands: Mapping[str, Estimand]
    at: Mapping[str, float]
    fit: Fit
    learned: pd.DataFrame
    against: SummaryArm | MapPrior | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each component that rests much on its prior; empty if none does, or none was looked at: see `learned`."""
        return prior_warnings(self.learned)

    def against_prior(self, *, random_seed: int | None = None) -> pd.DataFrame:
        """How far the data moved each component from its prior: see `progression.learning.learned`.

        Against a published control: each arm itself, on which alone the data bear.

        Parameters
        ----------
        random_seed : int, optional
            Of the draws from the prior; the fit's own unless given.
        """
        seed = self.fit.settings["random_seed"] if random_seed is None else random_seed
        draws = self.draws
        if self.against is not None:
            arms = [self.fit.model.estimand(str(name).rpartition("_")[0]) for name in draws]
            draws = computed(self.fit, self.fit.posterior, arms, self.at)
        return against_prior(self.fit, draws, self.at, random_seed=seed)

    def components(self) -> dict[str, xr.DataArray]:
        """Each scalar component by its index in the summary, such as ``slope_difference[treated]``."""
        return components(self.draws)

    def labels(self) -> dict[str, str]:
        """In words what each component is: sign, unit and direction."""
        return contrast_words.labels(self)

    def assumptions(self) -> tuple[str, ...]:
        """What the comparisons rest on, each named once."""
        return contrast_words.assumptions(self)

    def summary(self, *, ci_prob: float = 0.95) -> pd.DataFrame:
        """Posterior summary in ArviZ's columns, one row a component.

        Parameters
        ----------
        ci_prob : float
            Probability of the equal-tailed interval.
        """
        check_probability("ci_prob", ci_prob)
        table = summarise(self.components(), ci_prob=ci_prob).rename_axis("estimand")
        return Summary(table).with_header(
            "\n".join([self.fit.header(), *(f"WARNING: {text}" for text in self.warnings)])
        )

    def select(self, estimand: str | None = None, **labels: Any) -> xr.DataArray:
        """Draws of one component, dims (chain, draw).

        Parameters
        ----------
        estimand : str, optional
            The primary one unless given.
        **labels
            Which component, such as ``arm="high dose"`` or ``visit=0.92`` (the nearest visit is taken).
        """
        name = next(iter(self.estimands)) if estimand is None else estimand
        if name not in self.estimands:
            raise SettingError([setting_fault("estimand", name, f"is not an estimand of this contrast{suggest(name, self.estimands)}",
                                       "name one of them")])  # fmt: skip
        drifts = {*self.fit.cohort.historical_arms, *self.fit.encoded().coords["earlier"]}
        return component(self.draws[name], labels, name=name, drifts=drifts)

    def probability(self, comparison: str, value: float, *, estimand: str | None = None, **labels: Any) -> Probability:
        """Posterior probability that a component lies below or above a value.

        Parameters
        ----------
        comparison : {"<", "<=", ">", ">="}
        value : float
        estimand, **labels
            As in `select`.

        Returns
        -------
        Probability
            With its Monte Carlo error, the effective sample size taken from the indicator itself.
        """
        one = self.select(estimand, **labels)
        if comparison not in OPERATORS:
            raise SettingError(
                [setting_fault("comparison", comparison, "is not a comparison", f"use one of {', '.join(OPERATORS)}")]
            )
        if not is_number(value):
            raise SettingError([setting_fault("value", value, "is not a finite number", "give a number")])
        holds = OPERATORS[comparison](one, value).astype(float)
        share = float(holds.mean())
        if 0 < share < 1:
            mcse = float(azs.mcse(holds.transpose("chain", "draw")))
        else:  # all draws agree: no error can be estimated from them; the rule of three bounds it
            mcse = 1.5 / float(azs.ess(one.reset_coords(drop=True).transpose("chain", "draw")))
        return Probability(f"{estimand or next(iter(self.estimands))} {comparison} {value:g}", share, mcse)

    def __repr__(self) -> str:
        lines = [f"Contrast from {self.fit.header()}"]
        for (index, one), words in zip(self.components().items(), self.labels().values(), strict=True):
            low, high = np.quantile(one, [0.025, 0.975])
            lines.append(f"  {index} = {float(one.mean()):.3g} (95 % interval {low:.3g} to {high:.3g}): {words}")
            if index in self.learned.index:
                known = self.learned.loc[index]
                lines.append(f"    its prior SD {known['prior_sd']:.2g} became {known['posterior_sd']:.2g}: the prior makes up "
                             f"{known['prior_share']:.0%} of it")  # fmt: skip
        lines += [f"  WARNING  {text}" for text in self.warnings]
        return "\n".join(lines + [f"  rests on: {text}" for text in self.assumptions()])


def contrast(
    fit: Fit, estimands: str | Sequence[str] | None = None, *, against: SummaryArm | MapPrior | None = None, **at: float
) -> Contrast:
    """The estimands of a fit, computed draw by draw.

    Parameters
    ----------
    fit : Fit
    estimands : str or sequence of str, optional
        Which; all that the cohort can answer where omitted, the model's primary one first.
    against : SummaryArm or MapPrior, optional
        A published control: each arm of one estimand of single arms, such as "slope", minus the control's mean, which is
        drawn independently of the fit. The estimand is then called "slope_difference" (or "slope_ratio").
    **at : float
        Settings of estimands, such as ``month=6``.

    Raises
    ------
    SettingError
        For an unknown estimand or setting, a question the cohort cannot answer (an arm contrast with one arm), or a
        published control of something else than is asked for.
    """
    if not isinstance(fit, Fit):
        raise SettingError([setting_fault("fit", type(fit).__name__, "is not a Fit", "give what pg.fit returned")])
    names = [estimands] if isinstance(estimands, str) else estimands
    faults: list[Fault] = []
    if against is not None:
        names, faults = asked(fit, names, against)
    wanted = list(fit.model.estimands) if names is None else [fit.model.estimand(name) for name in names]
    for estimand in wanted if names is not None else []:
        reason = estimand.refusal(fit.cohort)
        if reason:
            possible = [e.name for e in fit.model.estimands if e.refusal(fit.cohort) is None]
            faults.append(
                setting_fault("estimands", estimand.name, reason, f"ask for one of {', '.join(possible) or 'none'}")
            )
    wanted = [estimand for estimand in wanted if estimand.refusal(fit.cohort) is None]
    known = sorted({key for estimand in wanted for key in estimand.at})
    faults += [setting_fault(None, key, f"is not a setting of these estimands{suggest(key, known)}", "rename it")
               for key in at if key not in known]  # fmt: skip
    faults += [setting_fault(key, value, "is not a finite number", "give a number") for key, value in at.items()
               if not is_number(value)]  # fmt: skip
    faults += [setting_fault(key, value, "is not after time 0", "give a positive number") for key, value in at.items()
               if key == "month" and is_number(value) and value <= 0]  # fmt: skip
    if not wanted and not faults:
        faults.append(
            setting_fault(None, fit.model.name, "has no estimand that this cohort can answer", "see its estimands")
        )
    if faults:
        raise SettingError(faults)
    used = {key: float(at.get(key, default)) for estimand in wanted for key, default in estimand.at.items()}
    draws = computed(fit, fit.posterior, wanted, used)
    few = fit.cohort.n_subjects < FEW_PATIENTS
    weak = [estimand.name for estimand in wanted if estimand.weak or few]
    known = pd.DataFrame()
    if weak and fit.settings.get("sampler") != "prior":  # draws from the prior have nothing to be set beside
        known = against_prior(fit, draws[weak], used, random_seed=fit.settings["random_seed"])
    unit = outcome_unit(fit)
    wanted = [estimand.in_unit(unit) for estimand in wanted]
    if against is not None:
        old = wanted[0].name
        draws, made = subtracted(draws, wanted[0], against, random_seed=fit.settings["random_seed"])
        wanted, known = [made], known.rename(index=lambda row: row.replace(old, made.name, 1))
    attrs = {"provenance": provenance(fit.cohort), "problems": "; ".join(fit.problems)}
    return Contrast(draws.assign_attrs(attrs), estimands={e.name: e for e in wanted}, at=used, fit=fit, learned=known,
                    against=against)  # fmt: skip


def outcome_unit(fit: Fit) -> str:
    """Unit of the outcome that the model saw; "units" where none is stated."""
    blocks = fit.encoded().blocks
    return next(iter(blocks.values()))[0].unit or "units"
