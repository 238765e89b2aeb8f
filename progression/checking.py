"""Does the fit look like the data? Predictive checks before and after fitting."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from progression.cohort import Cohort, check_cohort
from progression.contrasts import contrast
from progression.curvature import CURVATURE, advice, bends
from progression.encoding import Encoded, encode
from progression.engines import forward
from progression.event_statistics import EventSlice, event_slices
from progression.faults import SettingError, check_count, setting_fault
from progression.fitted import Fit, provenance
from progression.gate import Diagnostics
from progression.modeling import Model, SupportsPyMC
from progression.registry import resolve
from progression.statistics import Slice, slices

# A family of statistics fails if one lies further out than chance would put any of them in five of a hundred fits.
FAMILY_ALPHA = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """The verdict on a fit.

    Attributes
    ----------
    passed : bool
    problems : tuple of str
        Why not, if not.
    table : pandas.DataFrame
        One row a statistic: outcome, arm, statistic, month, observed, predicted (mean), lower and upper (95 %),
        p (two-sided tail probability of the observed among the predicted), ok.
    loo_pit : dict of str to array
        Leave-one-row-out probability integral transforms by observed variable; uniform for a model that fits.
    fit : Fit
        With the replicates in its group posterior_predictive.
    """

    passed: bool
    problems: tuple[str, ...]
    table: pd.DataFrame
    loo_pit: Mapping[str, np.ndarray]
    fit: Fit

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        lines = [f"Check of {self.fit.model.name} on {self.fit.cohort.name or 'a cohort'} "
                 f"({provenance(self.fit.cohort)}): {verdict}, {len(self.table)} statistics"]  # fmt: skip
        return "\n".join(lines + [f"  {problem}" for problem in self.problems])


def check(fit: Fit, *, draws: int = 1000, random_seed: int | None = None) -> Check:
    """The gate, posterior predictive statistics that matter for the outcome, and LOO-PIT.

    Parameters
    ----------
    fit : Fit
    draws : int
        Number of replicated data sets.
    random_seed : int, optional
        The fit's own unless given.

    Returns
    -------
    Check
        Failed if the fit has problems, if a statistic lies outside what the replicates show (two-sided tail
        probability below 0.05 divided by the number of statistics; where there is curvature, half of the 0.05 is shared
        by its statistics and half by the others), or if the LOO-PIT values are not uniform
        (Kolmogorov-Smirnov, p < 0.001; Gelman et al. 2013, Bayesian Data Analysis, ch. 6; Saeilynoja et al. 2022, Statistics and Computing 32:32).
    """
    if not isinstance(fit, Fit):
        raise SettingError([setting_fault("fit", type(fit).__name__, "is not a Fit", "give what pg.fit returned")])
    check_count("draws", draws)
    seed = fit.settings["random_seed"] if random_seed is None else random_seed
    encoded = fit.encoded()
    chosen = forward.thin(fit.posterior, draws)
    replicates = forward.replicate(fit.model, encoded, fit.priors, chosen, random_seed=seed)
    arm_of = dict(fit.cohort.subjects["arm"])
    table = compare(encoded, arm_of, replicates)
    pit = _loo_pit(fit, encoded, chosen, replicates, seed)
    problems = [*fit.problems]
    for row in table[~table["ok"]].to_dict("records"):
        when = "" if np.isnan(row["month"]) else f" at month {row['month']:g}"
        problems.append(
            f"{row['statistic']} of {row['outcome']}{when} in {row['arm']}: observed {row['observed']:.3g}, "
            f"predicted {row['predicted']:.3g} ({row['lower']:.3g} to {row['upper']:.3g})"
        )
    problems += advice(encoded, arm_of, table, fit.model.name)
    if not pit:
        problems.append("LOO-PIT cannot be computed: too few different draws")
    for block, values in pit.items():
        p = float(stats.kstest(values, "uniform").pvalue)
        if p < 0.001:
            problems.append(
                f"LOO-PIT of {block} is not uniform (p = {p:.1g}): the spread or shape of single values is off"
            )
    groups = {key: node.to_dataset() for key, node in fit.idata.children.items()}
    kept = replace(fit, idata=xr.DataTree.from_dict({**groups, "posterior_predictive": replicates}))
    return Check(passed=not problems, problems=tuple(problems), table=table, loo_pit=pit, fit=kept)


def compare(encoded: Encoded, arm_of: dict[str, str], replicates: xr.Dataset) -> pd.DataFrame:
    """Each statistic as observed and among replicates with dims (sample, row)."""
    records = []
    parts: list[Slice | EventSlice] = [*slices(encoded, arm_of), *event_slices(encoded, arm_of)]
    for part in parts:
        observed = part.statistics(encoded.arrays[f"{part.block}_value"][1][part.rows].astype(float))
        predicted = part.statistics(replicates[part.block].to_numpy()[:, part.rows])
        for key, value in observed.items():
            if (predicted[key] == value).all():
                continue  # nothing at the floor, nor in any replicate: it says nothing and would dilute the rest
            where = {"outcome": part.outcome.name, "arm": part.arm, "statistic": key[0], "month": key[1]}
            records.append(where | _placed(float(value), predicted[key]))
    for bend in bends(encoded, arm_of):
        where = {"outcome": bend.outcome.name, "arm": bend.arm, "statistic": CURVATURE, "month": np.nan}
        bent = float(bend.statistic(encoded.arrays[f"{bend.block}_value"][1]))
        records.append(where | _placed(bent, bend.statistic(replicates[bend.block].to_numpy()), normal=True))
    table = pd.DataFrame(records)
    return (
        table.assign(ok=table["p"] >= _limits(table["statistic"] == CURVATURE)) if len(table) else table.assign(ok=[])
    )


def _placed(value: float, drawn: np.ndarray, *, normal: bool = False) -> dict[str, float]:
    """Where an observed value lies among the replicated ones.

    A `normal` statistic, a sum over many rows, is placed by the replicates' mean and SD: the count beyond it, of which
    a thousand replicates leave four at the limit of curvature, would add noise to the verdict.
    """
    close = np.isclose(drawn, value)
    tail = np.mean((drawn > value) & ~close) + 0.5 * np.mean(close)
    p = 2 * min(tail, 1 - tail)
    if normal and drawn.std() > 0:
        p = 2 * stats.norm.sf(abs(value - drawn.mean()) / drawn.std())
    elif p == 0:  # outside all replicates: how far, in their own standard deviations
        with np.errstate(divide="ignore"):  # all replicates alike, and this one not
            p = min(1 / len(drawn), 2 * stats.norm.sf(abs(value - drawn.mean()) / drawn.std()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"observed": value, "predicted": float(drawn.mean()), "lower": low, "upper": high, "p": float(p)}


def _limits(bent: pd.Series) -> np.ndarray:
    """The tail probability below which each statistic fails.

    Curvature gets half of the family's chance for its few rows: among thirty statistics that the fitted lines meet
    almost by themselves it would otherwise need three times the evidence.
    """
    share = FAMILY_ALPHA / 2 if 0 < bent.sum() < len(bent) else FAMILY_ALPHA
    return np.where(bent, share / max(bent.sum(), 1), share / max((~bent).sum(), 1))


def _loo_pit(
    fit: Fit, encoded: Encoded, chosen: xr.Dataset, replicates: xr.Dataset, seed: int
) -> dict[str, np.ndarray]:
    """Leave-one-row-out probability integral transforms, by ArviZ; ties of discrete values broken at random."""
    draws = chosen.expand_dims("chain").rename(sample="draw")
    # Of its own stream: data simulated from the fit's seed would otherwise be compared with the very same numbers.
    ties = int(np.random.SeedSequence([seed, 20222]).generate_state(1)[0])
    tree = xr.DataTree.from_dict({
        "posterior": draws,
        "posterior_predictive": replicates[list(encoded.blocks)].expand_dims("chain").rename(sample="draw"),
        "log_likelihood": forward.log_likelihood(fit.model, encoded, fit.priors, draws)[list(encoded.blocks)],
        "observed_data": fit.idata["observed_data"].to_dataset()[list(encoded.blocks)],
    })  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # single rows with a high Pareto k do not change the picture
        try:
            found = azs.loo_pit(tree, random_state=ties)
        except ValueError:  # stuck chains: there is no tail of the weights to smooth
            return {}
    return {block: np.clip(found[block].to_numpy().ravel(), 0, 1) for block in encoded.blocks}


@dataclass(frozen=True, eq=False, repr=False)
class PriorCheck:
    """What the priors alone imply for such a cohort.

    Attributes
    ----------
    fit : Fit
        Holds prior draws where a fit holds posterior ones, so that whatever reads a fit reads these too.
    table : pandas.DataFrame
        Quantiles of the implied outcome by arm and month, and the share of implied values off the scale.
    estimands : pandas.DataFrame
        Quantiles of each estimand under the prior.
    predictive : xarray.Dataset
        Implied data, dims (sample, row).
    """

    fit: Fit
    table: pd.DataFrame
    estimands: pd.DataFrame
    predictive: xr.Dataset

    def __repr__(self) -> str:
        head = f"Prior check of {self.fit.model.name}: what its priors imply before any data"
        return f"{head}\n{self.table.to_string(index=False)}\n{self.estimands.to_string()}"


def prior_check(
    model: str | Model, cohort: Cohort, *, priors: str | Mapping[str, SupportsPyMC] | None = None,
    outcomes: str | Sequence[str] | None = None, options: Mapping[str, Any] | None = None, draws: int = 1000,
    random_seed: int = 0,
) -> PriorCheck:  # fmt: skip
    """Draw parameters and data from the priors, for a cohort with this one's patients and visits; no fitting.

    Parameters
    ----------
    model, cohort, priors, outcomes, options
        As in `fit`.
    draws : int
        Number of draws from the prior.
    random_seed : int

    Returns
    -------
    PriorCheck
    """
    check_count("draws", draws)
    chosen = resolve(model)
    check_cohort("cohort", cohort)
    used, settings = chosen.with_priors(priors), chosen.with_options(options)
    encoded = encode(chosen, cohort, options=settings, outcomes=outcomes)
    prior, predictive = forward.prior_draws(chosen, encoded, used, draws=draws, random_seed=random_seed)
    flat = predictive.isel(chain=0).rename(draw="sample")
    empty = Diagnostics(pd.DataFrame(), 0, 0, (), ())
    pretended = Fit(
        model=chosen, cohort=cohort, priors=used, options=settings, diagnostics=empty, versions={},
        idata=xr.DataTree.from_dict({"posterior": prior, **encoded.groups()}),
        outcomes=tuple(o.name for block in encoded.blocks.values() for o in block),
        settings={"sampler": "prior", "draws": draws, "chains": 1, "random_seed": random_seed},
    )  # fmt: skip
    records = []
    for part in slices(encoded, dict(cohort.subjects["arm"])):
        values = flat[part.block].to_numpy()[:, part.rows]
        low = -np.inf if part.outcome.lower is None else part.outcome.lower
        high = np.inf if part.outcome.upper is None else part.outcome.upper
        for month in np.unique(part.month):
            here = values[:, part.month == month].ravel()
            q = np.quantile(here, [0.025, 0.25, 0.5, 0.75, 0.975])
            records.append({"outcome": part.outcome.name, "arm": part.arm, "month": month,
                            **dict(zip(("2.5%", "25%", "50%", "75%", "97.5%"), q, strict=True)),
                            "share off the scale": float(np.mean((here < low) | (here > high)))})  # fmt: skip
    found = contrast(pretended)
    rows = {index: np.quantile(one, [0.025, 0.25, 0.5, 0.75, 0.975]) for index, one in found.components().items()}
    estimands = pd.DataFrame.from_dict(rows, orient="index", columns=["2.5%", "25%", "50%", "75%", "97.5%"])
    return PriorCheck(fit=pretended, table=pd.DataFrame(records), estimands=estimands, predictive=flat)
