"""What is compared of two fits of one trial: mean, SD and P(effect > 0) of each component, with Monte Carlo errors.

Effects are on the scale they are estimated on: the difference of slopes of `als_slope`, the log ratio of `sle_crp` and
of `sle_joints`. Summaries are lists of numbers in the order of `COLUMNS`, to keep the files that hold them small.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import arviz_stats as azs
import numpy as np
import xarray as xr

import progression as pg
from progression.engines import batches
from tests.evidence.sources import COMPILED, code_hash, page
from tests.evidence.trials import Trial, trial

COLUMNS = ("mean", "mean_error", "sd", "sd_error", "p", "p_error", "ess_bulk", "ess_tail")
MIN_BULK, MIN_TAIL = 10_000, 4_000
# Draws a chain of a first run, by what most trials need; a run that is not enough is doubled by further chains.
_DRAWS = {
    "als_slope": 3_500,
    "sle_crp": 5_000,
    "sle_joints": 6_000,
    "als_shared": 3_500,
    "als_bounded": 3_500,
    "als_antibody": 3_500,
}
# Priors of clauses that came after the references and that no trial uses: their variables have length zero.
_SINCE = {"als_slope": {"bend"}}
_MOST_RUNS = 16
_COMPILED_DRAWS = 32_000  # through `fit_many`: 16,384 weighted points a round, as four rounds of `fit` take
_MORE_CAREFUL = 0.99

Summaries = dict[str, list[float]]


def component_draws(fit: pg.Fit) -> dict[str, xr.DataArray]:
    """Draws of each component of the primary estimand, dims (chain, draw): ratios as logs."""
    estimand = fit.model.estimands[0]
    found = pg.contrast(fit, estimand.name).components()
    plain = {name: draws.reset_coords(drop=True) for name, draws in found.items()}
    if estimand.scale == "ratio":
        return {f"log {name}": np.log(draws) for name, draws in plain.items()}
    return plain


def summarise(draws: xr.DataArray) -> list[float]:
    """One component's summary, in the order of `COLUMNS`, to six significant digits."""
    bulk, tail = (float(azs.ess(draws, method=kind)) for kind in ("bulk", "tail"))
    above = (draws > 0).astype(float)
    p = float(above.mean())
    error = float(azs.mcse(above, method="mean")) if 0 < p < 1 else np.nan
    if not error > 0:  # all draws agree, or nearly: the rule of three bounds the error that cannot be estimated
        error = 1.5 / bulk
    values = (float(draws.mean()), float(azs.mcse(draws, method="mean")), float(draws.std(ddof=1)),
              float(azs.mcse(draws, method="sd")), p, error, bulk, tail)  # fmt: skip
    return [float(f"{value:.6g}") for value in values]


def fitted(of: Trial, engine: str, random_seed: int, **how: Any) -> pg.Fit:
    """Fit a trial without a word: what the gate found is in the fit."""
    if engine == "nuts":
        how["cores"] = 1  # the trials themselves run side by side
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pg.fit(
            of.model, of.cohort(), options=of.options, engine=engine, random_seed=random_seed, progressbar=False, **how
        )  # fmt: skip


def priors_hash(model: str) -> str:
    """Hash of the model's default priors: another posterior if it differs."""
    own = {name: prior for name, prior in pg.models()[model].priors.items() if name not in _SINCE.get(model, ())}
    text = repr(sorted((name, repr(prior)) for name, prior in own.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def enough(summaries: Mapping[str, Sequence[float]]) -> bool:
    """Whether every component has the effective draws that a reference needs."""
    bulk, tail = COLUMNS.index("ess_bulk"), COLUMNS.index("ess_tail")
    return all(one[bulk] >= MIN_BULK and one[tail] >= MIN_TAIL for one in summaries.values())


def reference(model: str, index: int) -> dict[str, Any]:
    """NUTS on one trial, by as many independent chains as it takes.

    A run that does not pass the gate is made again with smaller steps, once; what is still wrong then is recorded.
    """
    of, start = trial(model, index), time.perf_counter()
    runs: list[dict[str, xr.DataArray]] = []
    problems: list[str] = []
    again, wanted = 0, 1
    while True:
        while len(runs) < wanted:
            seed, draws = 1000 * index + len(runs), _DRAWS[model]
            fit = fitted(of, "nuts", seed, draws=draws, tune=1000)
            if fit.problems:
                again += 1
                fit = fitted(of, "nuts", 500_000 + seed, draws=draws, tune=2000, target_accept=_MORE_CAREFUL)
            problems += fit.problems
            runs.append(component_draws(fit))
        pooled = {name: xr.concat([run[name] for run in runs], dim="chain") for name in runs[0]}
        summaries = {name: summarise(draws) for name, draws in pooled.items()}
        if enough(summaries) or wanted >= _MOST_RUNS:
            break
        wanted *= 2
    worst = max(float(azs.rhat(draws)) for draws in pooled.values())
    return {
        "table": of.hash, "priors": priors_hash(model), "page": code_hash(page(model))[:8],
        "chains": 4 * wanted, "draws": _DRAWS[model], "again": again, "r_hat": round(worst, 4),
        "seconds": round(time.perf_counter() - start, 1), "problems": problems, "components": summaries,
    }  # fmt: skip


def refit(model: str, index: int, engine: str = "marginal", **how: Any) -> dict[str, Any]:
    """The same trial by another engine, with its own settings unless others are given."""
    of, start = trial(model, index), time.perf_counter()
    if model in COMPILED and engine == "marginal":
        return _compiled(of, start)
    fit = fitted(of, engine, random_seed=index, **how)
    seconds = round(time.perf_counter() - start, 2)
    summaries = {name: summarise(draws) for name, draws in component_draws(fit).items()}
    return {"table": of.hash, "seconds": seconds, "flagged": flags(fit, engine), "components": summaries}


def _compiled(of: Trial, start: float) -> dict[str, Any]:
    """The marginal engine as `fit_many` runs it."""
    estimand = pg.models()[of.model].estimands[0]
    found = pg.fit_many(of.model, [of.cohort()], options=of.options, estimands=estimand.name, draws=_COMPILED_DRAWS,
                        random_seed=of.index, progressbar=False)  # fmt: skip
    seconds = round(time.perf_counter() - start, 2)
    draws = found.draws[estimand.name].isel(data_set=0, drop=True)
    by_chain = xr.DataArray(draws.to_numpy().reshape(4, -1, draws.sizes["active_arm"]), dims=("chain", "draw", "active_arm"),
                            coords={"active_arm": draws["active_arm"].to_numpy()})  # fmt: skip
    parts = {
        f"{estimand.name}[{arm}]": by_chain.sel(active_arm=arm, drop=True) for arm in by_chain["active_arm"].to_numpy()
    }
    known = found.diagnostics.iloc[0]
    # Draws repeat points: what they are worth is the points' effective number, of one round where there were several.
    worth = known["share"] * batches.POINTS * _COMPILED_DRAWS / 1000 if known["engine"] == "marginal" else float("inf")
    summaries = {name: _worth(summarise(one), worth) for name, one in parts.items()}
    flagged = [text for text in (*found.diagnostics["problem"], *found.diagnostics["fell_back"]) if text]
    return {"table": of.hash, "seconds": seconds, "flagged": flagged, "components": summaries}


def _worth(summary: list[float], most: float) -> list[float]:
    """A summary whose draws are worth `most` independent ones at most: errors and effective sizes say so."""
    wider = max(1.0, summary[COLUMNS.index("ess_bulk")] / most) ** 0.5
    scaled = {name: value * wider if name.endswith("_error") else min(value, most) if name.startswith("ess") else value
              for name, value in zip(COLUMNS, summary, strict=True)}  # fmt: skip
    return [float(f"{value:.6g}") for value in scaled.values()]


def flags(fit: pg.Fit, engine: str) -> list[str]:
    """What the engine itself says against its answer: problems of the gate, or that another engine had to step in."""
    found = list(fit.problems)
    if fit.settings["engine"] != engine:
        found.append(f"{fit.settings['engine']} instead: {fit.settings.get('fell_back', 'no reason given')}")
    return found
