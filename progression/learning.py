"""What the data said: the posterior of each estimand beside its prior, and a warning where the prior counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from pymc.distributions.custom import CustomSymbolicDistRV
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import change_dist_size
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable

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
    columns = _drawn_at_once(built.model, wanted, draws, random_seed)
    if columns is None:
        run = pm.compile([], wanted, random_seed=random_seed, mode="FAST_COMPILE")
        columns = [np.stack(column) for column in zip(*(run() for _ in range(draws)), strict=True)]
    return label({rv.name: column[None] for rv, column in zip(wanted, columns, strict=True)}, built)


def _drawn_at_once(model: pm.Model, wanted: Sequence[Any], draws: int, random_seed: int) -> list[np.ndarray] | None:
    """So many draws of some variables in one pass; None where PyTensor cannot do that, as of sizes that are drawn themselves."""
    try:
        wide = _at_once(model, draws)
        if wide is None:
            return None
        made = pm.compile([], [wide[rv] for rv in wanted], random_seed=random_seed, mode="FAST_COMPILE")()
    except Exception:  # whatever it is, draws one by one are right, or say what is wrong
        return None
    return list(made) if all(one.shape[:1] == (draws,) for one in made) else None


def _at_once(model: pm.Model, draws: int) -> dict[Any, Any] | None:
    """All unknowns of a program with a leading dim of so many draws; None where they would not be independent of each other.

    One pass in place of one a draw, which took longer than the fit of a pilot. What has no parent is drawn so often; what has,
    once for each draw of its parents.
    """
    made: dict[Any, Any] = {}
    for rv in (*model.free_RVs, *model.deterministics):  # those of patients too: something may be computed of them
        before = set(ancestors([rv], blockers=set(made)))
        own = {one: made[one] for one in before if one in made}
        unknown = rv in model.free_RVs
        plain = unknown and isinstance(rv.owner.op, RandomVariable)
        if own and unknown and not plain:  # a mixture, a truncation: its draws would not be independent
            return None
        if any(_is_random(one) for one in before - set(made) - {rv}) and (own or plain or not unknown):
            return None  # a draw that has no name would be the same for all
        if unknown and not plain and isinstance(rv.owner.op, CustomSymbolicDistRV):
            return None  # a draw within may not grow with it
        if not own:
            made[rv] = (
                change_dist_size(rv, (draws,), expand=True) if unknown else pt.broadcast_to(rv, (draws, *rv.shape))
            )
            continue
        if unknown:
            # Every parameter gets the new dim: told of one alone, PyTensor takes the size from the first.
            parameters: list[Any] = list(rv.owner.op.dist_params(rv.owner))
            wide = vectorize_graph(parameters, own)
            own = {
                one: pt.broadcast_to(one, (draws, *one.shape)) if new.type.ndim == one.type.ndim else new
                for one, new in zip(parameters, wide, strict=True)
            }
        made[rv] = vectorize_graph(rv, own)
    return made


def _is_random(one: Any) -> bool:
    return one.owner is not None and isinstance(one.owner.op, RandomVariable | SymbolicRandomVariable)


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
