"""als_slope against published fits of two classic data sets (skipped where the data are not at hand)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import pymc as pm
import pytest

import progression as pg

DATA = Path(__file__).parents[1].parent / "shared" / "data"
pytestmark = [pytest.mark.recovery, pytest.mark.skipif(not DATA.exists(), reason="the reference data are not here")]
FULL = {"draws": 2000, "tune": 1000, "chains": 4, "cores": 2, "progressbar": False}


def test_sleepstudy_meets_lme4() -> None:
    """Reaction ~ Days + (Days | Subject) by REML in lme4: SCIENCE.md, section 6."""
    table = pd.read_csv(DATA / "lme4_sleepstudy.csv", dtype={"Subject": str})
    table = table.rename(columns={"Subject": "subject", "Days": "time"})
    cohort = pg.Cohort.from_table(table, time_unit="months", outcomes=["Reaction"])  # a "month" is a day of the study
    priors = {
        "mean_level": pg.Prior("Normal", mu=250, sigma=500), "sd_level": pg.Prior("HalfNormal", sigma=200),
        "mean_slope": pg.Prior("Normal", mu=0, sigma=100), "sd_slope": pg.Prior("HalfNormal", sigma=100),
        "sd_residual": pg.Prior("HalfNormal", sigma=200),
    }  # fmt: skip
    fit = pg.fit("als_slope", cohort, priors=priors, random_seed=1, **FULL)
    assert not fit.problems and fit.settings["engine"] == "marginal"
    for name, (reml, se) in {"mean_level": (251.405, 6.825), "mean_slope": (10.467, 1.546)}.items():
        assert abs(float(fit.posterior[name].mean()) - reml) < 0.1 * se, name
    for name, reml in {"sd_level": 24.741, "sd_slope": 5.922, "sd_residual": 25.592}.items():
        assert abs(float(fit.posterior[name].median()) / reml - 1) < 0.12, name


class BugsPrecision:
    """The prior of the BUGS examples: the precision 1/sd^2 is Gamma(0.001, 0.001)."""

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        return pm.Deterministic(name, pm.Gamma(f"{name}_precision", alpha=0.001, beta=0.001) ** -0.5, **kwargs)


def test_rats_meet_openbugs() -> None:
    """Rats, with OpenBUGS's own priors; level and slope independent, time centred at day 22.

    OpenBUGS gives mean and SD of 10,000 draws. Its Monte Carlo errors are taken as those of independent draws,
    SD/sqrt(10,000) for a mean and SD/sqrt(20,000) for an SD, the least they can be, and half a unit of the last digit
    printed is allowed for.
    """
    raw = json.loads((DATA / "posteriordb_data_rats_data.json").read_text())
    table = pd.DataFrame({"subject": [f"rat {i}" for i in raw["rat"]], "time": np.array(raw["x"]) - 22.0,
                          "weight": np.array(raw["y"], float)})  # fmt: skip
    cohort = pg.Cohort.from_table(table, time_unit="months", outcomes=["weight"])
    flat = pg.Prior("Normal", mu=0, sigma=1000)
    priors = {"mean_level": flat, "mean_slope": flat, "sd_level": BugsPrecision(), "sd_slope": BugsPrecision(),
              "sd_residual": BugsPrecision(), "correlation": pg.Prior("Uniform", lower=-0.001, upper=0.001)}  # fmt: skip
    fit = pg.fit("als_slope", cohort, priors=priors, random_seed=1, **FULL)
    assert not fit.problems
    posterior = fit.posterior
    found = {"alpha0": posterior["mean_level"] - 22 * posterior["mean_slope"], "slope": posterior["mean_slope"],
             "sd_residual": posterior["sd_residual"]}  # fmt: skip
    published = {
        "alpha0": (106.6, 0.05, 3.666),
        "slope": (6.186, 0.0005, 0.1088),
        "sd_residual": (6.092, 0.0005, 0.467),
    }
    for name, (mean, rounding, sd) in published.items():
        draws = found[name]
        error = np.hypot(float(azs.mcse(draws, method="mean")), sd / 100)
        assert abs(float(draws.mean()) - mean) < 4 * error + rounding, name
        error = np.hypot(float(azs.mcse(draws, method="sd")), sd / np.sqrt(20_000))
        assert abs(float(draws.std()) - sd) < 4 * error + 0.0005, name
