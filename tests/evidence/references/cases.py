"""Each reference beside the fit of this package that should give its numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm

import progression as pg
from progression.effective_size import effective_size
from tests.evidence.references import results
from tests.evidence.references.compare import Row, Share, rows
from tests.evidence.references.fits import draws, fitted, plain, shared, slopes, with_limit
from tests.simulators import ITEMS

DATA = Path(__file__).parents[3].parent / "shared" / "data"  # data of others, which are no part of this repository
COUNTS = ["tender_joints", "swollen_joints"]
ALSFRSR = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)
WIDE, WIDER = pg.Prior("Normal", mu=0, sigma=100), pg.Prior("HalfNormal", sigma=100)


@dataclass(frozen=True)
class Case:
    """A reference and our side of it.

    Attributes
    ----------
    reference : str
        Its JSON file.
    model : str
        Whose number it is: a model, or a function of the package.
    ours : callable
        To draws or numbers by quantity, and how many independent draws they are worth at most.
    long : bool
        Whether it takes half a minute and more: NUTS compiles for it, or thousands of trials are simulated.
    needs : str
        A file of `DATA` without which it cannot be made.
    """

    reference: str
    model: str
    ours: Callable[[Sequence[str]], tuple[Mapping[str, Any], float]]
    long: bool = False
    needs: str = ""

    @property
    def available(self) -> bool:
        """Whether its data are here."""
        return not self.needs or (DATA / self.needs).exists()

    def rows(self) -> list[Row]:
        """Every number of the reference beside ours."""
        known = results.read(self.reference)
        ours, most = self.ours(list(known["quantities"]))
        return rows(known["kind"], known["quantities"], ours, most=most)


PAST = "historical control"
_WIDE_SLOPES = {"mean_level": pg.Prior("Normal", mu=0, sigma=1000), "level_difference": WIDE, "sd_level": WIDER, "mean_slope": WIDE,
                "slope_effect": WIDE, "sd_slope": WIDER, "sd_residual": WIDER}  # fmt: skip


def sleepstudy(wanted: Sequence[str]) -> Any:
    """Reaction times: a "month" is a day of the study."""
    table = pd.read_csv(DATA / "lme4_sleepstudy.csv", dtype={"Subject": str}).rename(
        columns={"Subject": "subject", "Days": "time"}
    )
    made = pg.Cohort.from_table(table, time_unit="months", outcomes=["Reaction"])
    priors = _WIDE_SLOPES | {name: pg.Prior("HalfNormal", sigma=200) for name in ("sd_level", "sd_residual")}
    return draws(fitted("als_slope", made, priors=priors), wanted)


class BugsPrecision:
    """The prior of the BUGS examples: the precision 1/sd^2 is Gamma(0.001, 0.001)."""

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Make the SD in the PyMC model in context."""
        return pm.Deterministic(name, pm.Gamma(f"{name}_precision", alpha=0.001, beta=0.001) ** -0.5, **kwargs)


def rats(wanted: Sequence[str]) -> Any:
    """Weights of 30 rats, level and slope independent, time centred at day 22."""
    raw = json.loads((DATA / "posteriordb_data_rats_data.json").read_text())
    table = pd.DataFrame({"subject": [f"rat {i}" for i in raw["rat"]], "time": np.array(raw["x"]) - 22.0,
                          "weight": np.array(raw["y"], float)})  # fmt: skip
    flat = pg.Prior("Normal", mu=0, sigma=1000)
    priors = {"mean_level": flat, "mean_slope": flat, "sd_level": BugsPrecision(), "sd_slope": BugsPrecision(),
              "sd_residual": BugsPrecision(), "correlation": pg.Prior("Uniform", lower=-0.001, upper=0.001)}  # fmt: skip
    fit = fitted("als_slope", pg.Cohort.from_table(table, time_unit="months", outcomes=["weight"]), priors=priors)
    return draws(fit, wanted, alpha0=fit.posterior["mean_level"] - 22 * fit.posterior["mean_slope"])


def schools() -> Any:
    """Eight schools as studies of one quantity, each of two patients with the SD that gives its standard error."""
    effect, error = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    table = {"study": [str(i + 1) for i in range(8)], "n": [2] * 8, "mean": effect, "sd": error * 2**0.5}
    return pg.map_prior(
        table, "normal", mean=pg.Prior("Normal", mu=0, sigma=5), between=pg.Prior("HalfCauchy", beta=5)
    ).summary()


def eight_schools(wanted: Sequence[str]) -> Any:
    """Means and SDs of the summary."""
    table = schools().rename(index={"study[1]": "theta[1]"})
    return {name: table.loc[name.split(", ")[0], name.split(", ")[1].lower()] for name in wanted}, np.inf


# The eight historical trials of the RBesT package's example in ankylosing spondylitis: patients and responders.
AS = {
    "study": [f"Study {i}" for i in range(1, 9)],
    "n": [107, 44, 51, 39, 139, 20, 78, 35],
    "events": [23, 12, 19, 9, 39, 6, 9, 10],
}
_COLUMN = {"mean": "mean", "SD": "sd", "2.5%": "lower", "50.0%": "median", "97.5%": "upper"}


def map_prior(wanted: Sequence[str]) -> Any:
    """Both priors of the SD between trials."""
    tables = {
        scale: pg.map_prior(AS, "binomial", between=pg.Prior("HalfNormal", sigma=float(scale))).summary()
        for scale in ("1", "0.5")
    }
    found = {}
    for name in wanted:
        scale, row, column = re.fullmatch(r"tau ~ HalfNormal\((.+)\): (.+), (.+)", name).groups()  # type: ignore[union-attr]
        found[name] = tables[scale].loc[row, _COLUMN[column]]
    return found, np.inf


def worth(wanted: Sequence[str]) -> Any:
    """What the MAP prior is worth in patients."""
    found = pg.map_prior(AS, "binomial")
    known = {
        "ELIR": found.ess("elir"),
        "moment": found.ess("moment"),
        "ELIR, 20 % robust": effective_size(found.robust(0.2), "elir"),
    }
    return {name: known[name] for name in wanted}, np.inf


def wins(wanted: Sequence[str]) -> Any:
    """CAFS of the treated against the controls."""
    one = pg.cafs(shared()).statistics["treated"]
    known = {"win_probability": one.probability, "win_ratio": one.ratio}
    return {name: known[name] if name in known else getattr(one, name) for name in wanted}, np.inf


def power(wanted: Sequence[str], trials: int = 2048) -> Any:
    """Simulated and analysed trials, wide priors and a baseline for each arm, as a t test of slopes has it."""
    found = {}
    truth = {
        "mean_level": 38.0,
        "sd_level": 5.0,
        "mean_slope": -1.0,
        "sd_slope": 0.5,
        "sd_residual": 1.0,
        "correlation": 0.0,
    }
    for name in wanted:
        n = int(re.sub(r"\D", "", name))
        design = pg.Design(arms={"control": n, "treated": n}, visits_months=[0, 2, 4, 6])
        at = truth | {"slope_difference": 0.4 if name.startswith("power") else 0.0}
        oc = pg.power(design, "als_slope", pg.Rule("slope_difference", ">", 0, probability=0.975), truths=[at], n_trials=trials, priors=_WIDE_SLOPES,
                      options={"baseline": "free"}, draws=4000, random_seed=1, cores=1, progressbar=False)  # fmt: skip
        found[name] = Share(float(oc.table["success"].iloc[0]), trials)
    return found, np.inf


def deaths(wanted: Sequence[str]) -> Any:
    """Flat priors of log hazards."""
    flat = pg.Prior("LogNormal", mu=-3, sigma=100)
    fit = fitted(
        "als_shared", shared(), options={"mortality": "separate"}, priors={"hazard": flat, "hazard_ratio": flat}
    )
    return draws(
        fit, wanted, log_hazard=np.log(fit.posterior["hazard"]), log_hazard_ratio=np.log(fit.posterior["hazard_ratio"])
    )


def borrowed(way: Any) -> Callable[[Sequence[str]], Any]:
    """Historical controls under a way to borrow: their effect is the drift."""

    def ours(wanted: Sequence[str]) -> Any:
        fit = fitted("als_slope", slopes("control", "treated", PAST), borrowing=way)
        effect = fit.posterior["slope_effect"]
        own = {"slope_effect": effect.sel(active_arm="treated")}
        if effect.sizes["active_arm"] > 1:
            own["drift"] = effect.sel(active_arm=PAST)
        return draws(fit, wanted, **own)

    return ours


def _of(model: str, made: Callable[[], pg.Cohort], **how: Any) -> Callable[[Sequence[str]], Any]:
    return lambda wanted: draws(fitted(model, made(), **how), wanted)


def joints(wanted: Sequence[str]) -> Any:
    """Wide priors."""
    priors = {name: pg.Prior("Normal", mu=0, sigma=10) for name in ("mean_level", "time_course", "effect")}
    priors |= {"sd_patient": pg.Prior("HalfNormal", sigma=10), "overdispersion": pg.Prior("Uniform", lower=0, upper=1)}
    fit = fitted("sle_joints", plain("joints", COUNTS), priors=priors)
    return draws(fit, wanted, sd_share=fit.posterior["overdispersion"] ** 0.5)


def bounded(wanted: Sequence[str]) -> Any:
    """Wide priors."""
    priors = {name: pg.Prior("Normal", mu=0, sigma=10) for name in ("mean_level", "mean_slope", "slope_effect")}
    priors |= {name: pg.Prior("HalfNormal", sigma=10) for name in ("sd_level", "sd_slope")}
    priors |= {"overdispersion": pg.Prior("Uniform", lower=0, upper=1)}
    fit = fitted("als_bounded", plain("bounded", [ALSFRSR]), priors=priors)
    return draws(fit, wanted, sd_share=fit.posterior["overdispersion"] ** 0.5)


def crp_alike(wanted: Sequence[str]) -> Any:
    """Wide priors, and patients who differ by next to nothing."""
    priors = {name: pg.Prior("Normal", mu=0, sigma=10) for name in ("mean_level", "time_course", "effect")}
    priors |= {
        "sd_patient": pg.Prior("Uniform", lower=0.0009, upper=0.001),
        "sd_residual": pg.Prior("HalfNormal", sigma=10),
    }
    return draws(fitted("sle_crp", with_limit("crp", 0.7), priors=priors), wanted)


HALF, COMMENSURATE = pg.PowerPrior(0.5), pg.Commensurate(0.2)
ROBUST = pg.RobustMAP(0.1, weight=0.2, wide=1.0)

CASES = [
    Case("sleepstudy", "als_slope", sleepstudy, needs="lme4_sleepstudy.csv"),
    Case("rats_openbugs", "als_slope", rats, needs="posteriordb_data_rats_data.json"),
    Case("slopes_lme4", "als_slope", _of("als_slope", lambda: slopes("control", "treated"), priors=_WIDE_SLOPES)),
    Case(
        "slopes_nlme",
        "als_slope",
        _of("als_slope", lambda: slopes("control", "treated", PAST), priors=_WIDE_SLOPES, options={"baseline": "free"}),
    ),
    Case("slopes_alone", "als_slope", _of("als_slope", lambda: slopes("control", "treated"))),
    Case("slopes_power", "als_slope, PowerPrior(0.5)", borrowed(HALF)),
    Case("slopes_commensurate", "als_slope, Commensurate(0.2)", borrowed(COMMENSURATE)),
    Case("slopes_robust", "als_slope, RobustMAP(0.1, 0.2, 1)", borrowed(ROBUST)),
    Case("shared_stan", "als_shared", _of("als_shared", shared)),
    Case("deaths_survreg", "als_shared, mortality separate", deaths),
    Case("bounded_glmmtmb", "als_bounded", bounded, long=True),
    Case("items_stan", "als_items", _of("als_items", lambda: plain("items", ITEMS)), long=True),
    Case("antibody_stan", "als_antibody", _of("als_antibody", lambda: plain("antibody", ["alsfrsr"])), long=True),
    Case("joints_glmmtmb", "sle_joints", joints, long=True),
    Case("crp_stan", "sle_crp", _of("sle_crp", lambda: with_limit("crp", 0.7)), long=True),
    Case("crp_survreg", "sle_crp", crp_alike, long=True),
    Case("eight_schools", "map_prior", eight_schools),
    Case("eight_schools_gold", "map_prior", eight_schools),
    Case("map_quadrature", "map_prior", map_prior),
    Case("map_published", "map_prior", worth),
    Case("wins", "cafs", wins),
    Case("power", "power", power, long=True),
]
