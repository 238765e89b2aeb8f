"""What the data said: the posterior of each estimand beside its prior, and a warning where the prior counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from progression.engines.nuts import label
from progression.engines.program import build
from progression.fitted import Fit, ForeignPrior
from progression.modeling import Estimand, Facts
from progression.tables import components

__all__ = ["PRIOR_COUNTS", "against_prior", "computed", "learned", "population_prior", "prior_warnings"]

# The share (posterior SD / prior SD)^2 is, of a normal prior and likelihood, the weight of the prior in the posterior
# mean. At a third the prior counts for half as much as all the data, and takes an estimate a third of the way to its
# own mean: another reader's prior would give another answer.
PRIOR_COUNTS = 1 / 3
DRAWS = 4000
# With fewer, every estimand is set beside its prior: whatever the model, such data may hardly bear on it.
FEW_PATIENTS = 8


def computed(fit: Fit, parameters: xr.Dataset, wanted: Sequence[Estimand], at: Mapping[str, float]) -> xr.Dataset:
    """Estimands of a fit draw by draw, from draws of its parameters: of the posterior, or of the prior."""
    facts = Facts(cohort=fit.cohort, data=fit.idata["constant_data"].to_dataset(), options=fit.options)
    return xr.Dataset({one.name: one.draws(parameters, facts, **{key: at[key] for key in one.at}) for one in wanted})


def against_prior(fit: Fit, posterior: xr.Dataset, at: Mapping[str, float], *, random_seed: int) -> pd.DataFrame:
    """Posterior draws of estimands, by name, beside what the priors of the fit imply for them: see `learned`.

    Empty where a prior is known by its description only, as in a fit read from a file.
    """
    if any(isinstance(prior, ForeignPrior) for prior in fit.priors.values()):
        return pd.DataFrame()
    prior = population_prior(fit, random_seed=random_seed)
    return learned(posterior, computed(fit, prior, [fit.model.estimand(str(name)) for name in posterior], at))


def population_prior(fit: Fit, *, draws: int = DRAWS, random_seed: int) -> xr.Dataset:
    """Population parameters drawn from the priors of a fit, dims (chain, draw, ...), one chain.

    From the program itself, for a design of one patient an arm: population parameters do not depend on how many there
    are.
    """
    encoded = fit.encoded().on_schedule([0.0], dict.fromkeys(fit.cohort.arms, 1))
    built = build(fit.model, encoded, fit.priors)
    dims = built.model.named_vars_to_dims
    wanted = [rv for rv in (*built.model.free_RVs, *built.model.deterministics)
              if "subject" not in (dims.get(rv.name) or ())]  # fmt: skip
    run = pm.compile([], wanted, random_seed=random_seed, mode="FAST_COMPILE")
    drawn = [run() for _ in range(draws)]
    return label({rv.name: np.stack([one[i] for one in drawn])[None] for i, rv in enumerate(wanted)}, built)


def learned(posterior: xr.Dataset, prior: xr.Dataset) -> pd.DataFrame:
    """How far the data moved each component of some estimands from its prior.

    Parameters
    ----------
    posterior, prior : xarray.Dataset
        Draws of the same estimands, dims (chain, draw, ...).

    Returns
    -------
    pandas.DataFrame
        One row a component: prior and posterior (medians), prior_sd and posterior_sd, ratio of these SDs, prior_share
        (the ratio squared: for normals the weight of the prior in the posterior mean, 1 where nothing was learnt), and
        shift (posterior less prior median, in prior SDs).

    Notes
    -----
    SDs are half the distance between the 16th and the 84th percentile: of a normal its SD, and of a ratio, which may
    have none, still a number. One less prior_share is the posterior contraction of Schad, Betancourt and Vasishth
    (2021), Psychological Methods 26:103.
    """
    before, after, rows = components(prior), components(posterior), {}
    for index, own in after.items():
        (centre, sd_before), (middle, sd_after) = _centre_and_spread(before[index]), _centre_and_spread(own)
        if sd_before == sd_after == 0:  # fixed by how it is defined: nothing to learn
            continue
        ratio, shift = (sd_after / sd_before, (middle - centre) / sd_before) if sd_before > 0 else (np.nan, np.nan)
        rows[index] = {"prior": centre, "prior_sd": sd_before, "posterior": middle, "posterior_sd": sd_after, "ratio": ratio,
                       "prior_share": min(ratio**2, 1.0), "shift": shift}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("estimand")


def prior_warnings(table: pd.DataFrame) -> tuple[str, ...]:
    """A sentence for each component that rests much on its prior: the data hardly moved it."""
    return tuple(
        f"{index} rests much on its prior: SD {row['prior_sd']:.2g} before the data, {row['posterior_sd']:.2g} after. The prior "
        f"makes up {row['prior_share']:.0%} of the answer, and another prior would give another answer"
        for index, row in table.to_dict("index").items() if row["prior_share"] > PRIOR_COUNTS
    )  # fmt: skip


def _centre_and_spread(one: xr.DataArray) -> tuple[float, float]:
    low, mid, high = np.quantile(one, [0.1587, 0.5, 0.8413])
    return float(mid), float(high - low) / 2
