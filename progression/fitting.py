"""Model x Cohort -> Fit."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from progression.arranging import Arranged, arranged
from progression.borrowing import NOBODY, Borrowing, PowerPrior
from progression.cohort import Cohort
from progression.encoding import Encoded, encode
from progression.engines import marginal, normalised, nuts, powered
from progression.faults import SettingError, setting_fault, suggest
from progression.fitted import Fit
from progression.gate import diagnose
from progression.modeling import Model, SupportsPyMC
from progression.registry import resolve

ENGINES = ("nuts", "marginal")
SAMPLERS = ("nutpie", "pymc")
KEYWORDS = ("target_accept", "cores", "maxdepth")  # what both samplers understand


class FitWarning(UserWarning):
    """A fit did not pass the gate."""


class FitError(RuntimeError):
    """A fit did not pass the gate and ``strict=True`` was asked for; `fit` holds it."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        super().__init__("the fit did not pass the gate: " + "; ".join(fit.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.fit,)


def fit(
    model: str | Model, cohort: Cohort, *, priors: str | Mapping[str, SupportsPyMC] | None = None,
    outcomes: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None,
    engine: str | None = None, random_seed: int | None = None, draws: int = 1000, tune: int = 1000, chains: int = 4,
    sampler: str | None = None, posterior_predictive: bool = False, log_likelihood: bool = False,
    progressbar: bool = True, strict: bool = False, borrowing: Borrowing | None = None, **sample_kwargs: Any,
) -> Fit:  # fmt: skip
    """Fit a model to a cohort.

    Parameters
    ----------
    model : str or Model
        A name from `models`, or the model itself.
    cohort : Cohort
    priors : mapping of str to Prior, or str
        Replacements of default priors, or the name of a preset.
    outcomes : str or sequence of str, optional
        Which of the cohort's outcomes the model sees; needed only where names differ from the model's.
    options : mapping, optional
        The model's options, such as ``{"covariates": ["age"]}``.
    engine : {"nuts", "marginal"}, optional
        How the posterior is computed; the model's own choice where omitted, and NUTS where a setting of NUTS is given.
        "marginal" integrates subject effects out: draws are independent and `tune` has no meaning. Where it cannot
        vouch for its answer, NUTS is run instead and the fit says so.
    random_seed : int, optional
        Same seed, same draws, on any number of cores. Drawn and recorded where omitted.
    draws, tune, chains : int
    sampler : {"nutpie", "pymc"}, optional
        Which implementation of NUTS; nutpie where omitted.
    posterior_predictive, log_likelihood : bool
        Whether to add these groups.
    progressbar : bool
    strict : bool
        Whether a fit with problems raises instead of warning.
    borrowing : Borrowing, optional
        How far historical patients are trusted: `Pooled`, `Separate`, `Commensurate`, `RobustMAP`, `Sources`,
        `PowerPrior` (by the marginal engine only) or `CalendarDrift`.
    **sample_kwargs
        For NUTS: ``target_accept``, ``maxdepth``; ``cores``, which the marginal engine has no use for.

    Returns
    -------
    Fit

    Raises
    ------
    CohortError
        The cohort does not suit the model; nothing was sampled.
    SettingError
        An unknown name or an impossible setting; nothing was sampled.
    FitError
        The fit has problems and `strict` was asked for.
    """
    chosen = resolve(model)
    engine = choose_engine(chosen, engine, sampler, sample_kwargs, borrowing)
    misplaced = [name for name in sample_kwargs if name in chosen.options]
    if misplaced:
        raise SettingError([
            setting_fault(name, sample_kwargs[name], "is an option of the model", f"write options={{{name!r}: ...}}")
            for name in misplaced
        ])  # fmt: skip
    check_settings(cohort, draws, tune, chains, sampler or "nutpie", random_seed, sample_kwargs)
    used_priors, used_options = chosen.with_priors(priors), chosen.with_options(options)
    way = Arranged(cohort, used_priors)
    if borrowing is not None:
        way = arranged(chosen, cohort, used_priors, borrowing, options=used_options, outcomes=outcomes)
        cohort, used_priors = way.cohort, dict(way.priors)
    encoded = encode(chosen, cohort, options=used_options, outcomes=outcomes)
    seed = secrets.randbelow(2**31) if random_seed is None else int(random_seed)
    settings: dict[str, Any] = {"engine": engine, "draws": draws, "chains": chains, "random_seed": seed}
    if borrowing is not None:
        alone = (
            "; without concurrent controls only the difference of effect and drift is known, and their priors split it"
            if cohort.arms[0] == NOBODY
            else ""
        )
        settings["borrowing"] = f"{borrowing}{alone}"
        if way.weights is not None:
            in_part = way.weights < 1 if way.historical is None else way.historical
            settings["patients_in_part"] = int(in_part.sum())
    if engine == "marginal":
        try:
            posterior, stats = _by_marginal(chosen, encoded, way, draws=draws, chains=chains, random_seed=seed)
        except marginal.Untrusted as reason:
            if way.weights is not None:  # no other engine has the marginal likelihoods that are raised to a power
                raise SettingError([setting_fault("borrowing", str(borrowing), f"cannot be computed on these data: {reason}",
                                                  "use pg.Commensurate, which any engine can fit")]) from reason  # fmt: skip
            engine, settings["fell_back"] = "nuts", str(reason)
            warnings.warn(
                f"{chosen.name}: NUTS was run instead of the marginal engine: {reason}", FitWarning, stacklevel=2
            )
    if engine == "nuts":
        settings |= {"engine": engine, "sampler": sampler or "nutpie", "tune": tune, **chosen.sampling, **sample_kwargs}
        posterior, stats = nuts.sample(
            chosen, encoded, used_priors, draws=draws, tune=tune, chains=chains, random_seed=seed,
            sampler=sampler or "nutpie", progressbar=progressbar, **{**chosen.sampling, **sample_kwargs},
        )  # fmt: skip
    made = Fit(
        model=chosen, cohort=cohort, priors=used_priors, options=used_options,
        idata=xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats, **encoded.groups()}),
        outcomes=tuple(o.name for block in encoded.blocks.values() for o in block),
        diagnostics=diagnose(posterior, stats, expected_draws=draws),
        settings=settings,
        versions={name: version(name) for name in ("progression-bayes", "pymc", "nutpie", "arviz", "numpy")},
    )  # fmt: skip
    if posterior_predictive:
        made = made.with_posterior_predictive()
    if log_likelihood:
        made = made.with_log_likelihood()
    if made.problems:
        if strict:
            raise FitError(made)
        warnings.warn(f"{chosen.name}: {'; '.join(made.problems)}", FitWarning, stacklevel=2)
    return made


def _by_marginal(model: Model, encoded: Encoded, way: Arranged, **how: Any) -> tuple[xr.Dataset, xr.Dataset]:
    """The marginal engine, patients counted whole or in part."""
    if way.weights is None:
        return marginal.sample(model, encoded, way.priors, **how)
    if way.power is None or way.historical is None:
        return powered.sample(model, encoded, way.priors, weights=way.weights, **how)
    alpha, beta = way.power
    return normalised.sample(
        model, encoded, way.priors, weights=way.weights, historical=way.historical, alpha=alpha, beta=beta, **how
    )


def choose_engine(
    model: Model, engine: object, sampler: str | None, sample_kwargs: Mapping[str, Any], borrowing: Borrowing | None = None
) -> str:  # fmt: skip
    """The engine asked for, or the model's own; a setting of NUTS asks for NUTS, a power prior for the marginal engine."""
    if isinstance(borrowing, PowerPrior):
        if engine is None and sampler is None and not set(sample_kwargs) - {"cores"}:
            engine = "marginal"
        elif engine != "marginal":
            raise SettingError([setting_fault("engine", engine or "nuts", "cannot fit a power prior: NUTS has no likelihood of a patient with the "
                                              "patient's own effects integrated out", 'leave it and settings of NUTS out, or use engine="marginal"')])  # fmt: skip
    if engine is None:
        of_nuts = sampler is not None or set(sample_kwargs) - {"cores"}
        return "nuts" if of_nuts else model.engine
    if not isinstance(engine, str) or engine not in ENGINES:
        raise SettingError(
            [setting_fault("engine", engine, f"is unknown{suggest(str(engine), ENGINES)}", "use one of them")]
        )
    if engine == "marginal":
        misplaced = {
            **({"sampler": sampler} if sampler is not None else {}),
            **{k: v for k, v in sample_kwargs.items() if k in KEYWORDS and k != "cores"},
        }
        if misplaced:
            raise SettingError([setting_fault(name, value, "is a setting of NUTS, not of the marginal engine", "leave it out, or use engine=\"nuts\"")
                                for name, value in misplaced.items()])  # fmt: skip
    return engine


def check_settings(
    cohort: object,
    draws: int,
    tune: int,
    chains: int,
    sampler: str,
    random_seed: int | None,
    more: Mapping[str, Any],
) -> None:
    """Raise SettingError listing every setting that cannot be."""
    faults = []
    if not isinstance(cohort, Cohort):
        faults.append(
            setting_fault("cohort", type(cohort).__name__, "is not a Cohort", "make one with Cohort.from_table(...)")
        )
    for name, value, least in (("draws", draws, 4), ("tune", tune, 1), ("chains", chains, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            faults.append(
                setting_fault(name, value, f"is not a whole number of at least {least}", f"give {least} or more")
            )
    if sampler not in SAMPLERS:
        faults.append(setting_fault("sampler", sampler, f"is unknown{suggest(sampler, SAMPLERS)}", "use one of them"))
    if random_seed is not None and (
        isinstance(random_seed, bool) or not isinstance(random_seed, int | np.integer) or not 0 <= random_seed < 2**32
    ):
        faults.append(
            setting_fault("random_seed", random_seed, "is not a whole number from 0 to 2**32 - 1", "give one such as 1")
        )
    for name, value in more.items():
        if name not in KEYWORDS:
            faults.append(
                setting_fault(
                    name,
                    value,
                    f"is not a keyword of the sampler{suggest(name, (*KEYWORDS, 'random_seed'))}",
                    "rename it",
                )
            )
        elif isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            faults.append(setting_fault(name, value, "is not a number", "give a number"))
        elif name == "target_accept" and not 0 < value < 1:
            faults.append(setting_fault(name, value, "is not a probability", "give a number such as 0.9"))
        elif name != "target_accept" and (value < 1 or value != int(value)):
            faults.append(setting_fault(name, value, "is not a whole number of at least 1", "give 1 or more"))
    if faults:
        raise SettingError(faults)
