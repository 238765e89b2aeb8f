"""Tables of any size for any model, and posteriors that nobody sampled: what properties of all models are tried on."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import xarray as xr

import progression as pg
from progression.encoding import encode
from progression.engines.nuts import label
from progression.engines.program import build
from progression.fitted import Fit
from progression.gate import Diagnostics
from progression.units import months_per

ARMS = ("control", "low dose", "high dose")
MONTHS = (0.0, 1.0, 3.0, 4.5)

# Every model as it comes, and those whose options bring other parameters.
CASES = [
    *((name, ()) for name in sorted(pg.models()) if pg.models()[name].estimands),
    ("als_shared", (("mortality", "separate"),)), ("als_shared", (("mortality", "linked"),)),
    ("als_slope", (("time_course", (2.0, 4.5)),)), ("sle_activity", (("flare", "shared"),)),
]  # fmt: skip
IDS = ["-".join([name, *(f"{key}={value}" for key, value in options)]) for name, options in CASES]

_DRAWN = {
    "Normal": lambda rng, n, mu, sigma: rng.normal(mu, sigma, n),
    "HalfNormal": lambda rng, n, sigma: abs(rng.normal(0, sigma, n)),
    "LogNormal": lambda rng, n, mu, sigma: rng.lognormal(mu, sigma, n),
    "Uniform": lambda rng, n, lower, upper: rng.uniform(lower, upper, n),
    "Beta": lambda rng, n, alpha, beta: rng.beta(alpha, beta, n),
}


def tables(model, arms, rng, *, n=6, months=MONTHS):
    """Visits, subjects and events in months, `n` subjects in turn on each arm; some die, flare or miss a visit."""
    visits, people, events, gone = [], [], [], months[-1] - 0.3
    kind = next(iter(model.events.values()))[0] if model.events else None
    for i in range(n):
        one = {"subject": f"S{i + 1}", "arm": arms[i % len(arms)], "age": 40 + 30 * rng.uniform()}
        struck = kind is not None and (i == 1 or rng.uniform() < 0.4)
        if kind == "death":
            one |= {"event": kind if struck else None, "event_time": gone if struck else np.nan,
                    "end_of_follow_up": np.nan if struck else months[-1] + 1}  # fmt: skip
        elif struck:
            events.append({"subject": one["subject"], "time": gone, "kind": kind})
        people.append(one)
        for month in months:
            if (struck and month > gone) or (i and 0 < month < gone and rng.uniform() < 0.2):
                continue
            scores = {"subject": one["subject"], "time": month}
            for outcome in model.outcomes:
                value = rng.uniform(0.3, 0.9) * (20 if outcome.upper is None else outcome.upper)
                scores[outcome.name] = float(round(value)) if outcome.integer else value
            visits.append(scores)
    return pd.DataFrame(visits), pd.DataFrame(people), pd.DataFrame(events) if events else None


def cohort(model, made, arms, *, unit="months"):
    """A cohort of such tables, their times told in another unit."""
    visits, people, events = (
        table if table is None else table.assign(**{
            key: table[key] * months_per["months"] / months_per[unit]
            for key in ("time", "event_time", "end_of_follow_up") if key in table
        })
        for table in made
    )  # fmt: skip
    return pg.Cohort.from_table(
        visits, people, events=events, time_unit=unit, outcomes=list(model.outcomes), covariates=["age"], arms=list(arms),
        allocation="randomised" if len(arms) > 1 else "single arm", provenance="simulated",
    )  # fmt: skip


@cache
def _posed(name, options, arms):
    model = pg.models()[name]
    made = tables(model, arms, np.random.default_rng(23))
    one = cohort(model, made, arms)
    encoded = encode(model, one, options=model.with_options(dict(options)))
    return model, one, encoded, build(model, encoded, model.priors)


def posed(name, options=(), arms=ARMS, *, rng, chains=2, draws=30):
    """A fit whose population parameters are independent draws from their priors: no program is compiled or sampled."""
    model, one, encoded, built = _posed(name, options, arms)
    raw = {}
    for key, prior in model.priors.items():
        dims = built.model.named_vars_to_dims.get(key, ())
        size = (chains, draws, *(encoded.n_padded if d == "subject" else len(encoded.coords[d]) for d in dims))
        raw[key] = _DRAWN[prior.distribution](rng, size, **prior.parameters)
    return with_posterior(
        Fit(model=model, cohort=one, idata=xr.DataTree.from_dict(encoded.groups()), priors=model.priors,
            options=model.with_options(dict(options)), outcomes=tuple(o.name for b in encoded.blocks.values() for o in b),
            diagnostics=Diagnostics(pd.DataFrame(), 0, 0, (), ()), versions={},
            settings={"engine": "nuts", "sampler": "prior", "draws": draws, "chains": chains, "random_seed": 1}),
        label(raw, built),
    )  # fmt: skip


def with_posterior(fit, posterior):
    """The same fit with other draws."""
    return fit._with_group("posterior", posterior)


def recast(one, arms):
    """The same cohort told with its arms in another order: the first is the control."""
    known = (one.visits, one.subjects.reset_index(), one.events)
    made = [table.rename(columns={"month": "time", "event_month": "event_time"}) for table in known]
    return pg.Cohort.from_table(
        *made[:2], events=made[2] if len(made[2]) else None, time_unit="months", outcomes=list(one.outcomes),
        covariates=list(one.covariates), arms=list(arms), allocation=one.allocation, provenance=one.provenance,
    )  # fmt: skip
