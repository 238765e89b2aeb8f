"""Many trials of one design, one engine; called by engines.py in a process of its own.

    python many_fits.py pm_sample|nuts|marginal als_slope|sle_joints|sle_crp TRIALS CORES OUT.json

Cohorts are made beforehand and timed apart. So is the first fit (of many at once: what the first call took longer than
the second), which pays for compilation and start-up. Means and SDs of the effects are kept, so that engines can be held against
each other trial by trial.
"""

import inspect
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import trials


def make(model: str, seed: int):
    """Trial number `seed` of a model's design."""
    return trials.als(seed) if model == "als_slope" else trials.sle(seed)


def moments(draws: np.ndarray) -> list[list[float]]:
    """Mean and SD of each effect; draws in front."""
    draws = draws.reshape(len(draws), -1)
    return [draws.mean(axis=0).tolist(), draws.std(axis=0).tolist()]


def loop(engine: str, model: str, cohorts: list, cores: int) -> dict:
    """One fit after another."""
    import arviz as az
    import plain_models

    if engine == "pm_sample":
        import pymc as pm

        def answer(cohort, seed):
            with plain_models.MODELS[model](trials.flat(cohort)):
                trace = pm.sample(1000, tune=1000, chains=4, cores=cores, random_seed=seed, progressbar=False)
            return plain_models.estimand(model, trace.posterior)
    else:
        import progression as pg

        def answer(cohort, seed):
            fit = pg.fit(model, cohort, engine="nuts", cores=cores, random_seed=seed, progressbar=False)
            return pg.contrast(fit).draws[plain_models.ESTIMAND[model]].to_numpy()

    seconds, found, effective = [], [], []
    for seed, cohort in enumerate(cohorts):
        started = time.perf_counter()
        effect = answer(cohort, seed)
        seconds.append(time.perf_counter() - started)
        effect = effect.reshape(*effect.shape[:2], -1)
        found.append(moments(effect.reshape(-1, effect.shape[2])))
        effective.append(min(float(az.ess(effect[:, :, i], method="mean")) for i in range(effect.shape[2])))
    rest = seconds[1:]
    return {"first_s": seconds[0], "rest_s": sum(rest), "rest": len(rest), "effects": found, "draws": 4000,
            "effective": float(np.median(effective))}  # fmt: skip


def together(model: str, cohorts: list, cores: int) -> dict:
    """All fits in one call."""
    import plain_models

    import progression as pg

    known = inspect.signature(pg.fit_many).parameters
    settings = {name: value for name, value in (("cores", cores), ("progressbar", False)) if name in known}
    data = pg.Replicates.from_cohorts(cohorts)  # as simulation makes them: not counted, like the making of cohorts
    started = time.perf_counter()
    pg.fit_many(model, data, engine="marginal", random_seed=1, **settings)  # so many that every worker compiles
    first = time.perf_counter() - started
    started = time.perf_counter()
    fits = pg.fit_many(model, data, engine="marginal", random_seed=1, **settings)
    rest = time.perf_counter() - started
    first -= rest
    again = pg.fit_many(model, cohorts[:100], engine="marginal", random_seed=2, **settings)
    effect, other = (made.draws[plain_models.ESTIMAND[model]].to_numpy() for made in (fits, again))
    diagnostics = fits.diagnostics
    counts = {name: diagnostics[name].value_counts().to_dict() for name in diagnostics.columns
              if diagnostics[name].dtype == bool or diagnostics[name].nunique() <= 5}  # fmt: skip
    numbers = diagnostics.select_dtypes("number").quantile([0, 0.5, 1]).to_dict()
    return {"first_s": first, "rest_s": rest, "rest": len(cohorts), "effects": [moments(one) for one in effect],
            "again": [moments(one) for one in other], "draws": int(effect.shape[1]), "diagnostics": {str(k): {str(a): b for a, b in v.items()} for k, v in
                                                           (counts | numbers).items()}}  # fmt: skip


def main() -> None:
    """Make the trials, fit them, write what was found."""
    warnings.simplefilter("ignore")
    engine, model, number, cores, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    started = time.perf_counter()
    cohorts = [make(model, seed) for seed in range(1, number + 1)]
    cohort_s = (time.perf_counter() - started) / number
    found = together(model, cohorts, cores) if engine == "marginal" else loop(engine, model, cohorts, cores)
    found |= {"cohort_s": cohort_s, "per_s": found["rest"] / found["rest_s"], "trials": number}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
