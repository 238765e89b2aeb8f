"""als_bounded on simulated cohorts whose truths come from its priors: effects in points/month by integrals of their own."""

from __future__ import annotations

import numpy as np
import pytest

import progression as pg
from tests import simulators
from tests.recovery.yardsticks import assert_calibrated, draw

pytestmark = [pytest.mark.recovery, pytest.mark.slow]

MONTHS = [0, 2, 4, 6]
PRIORS = {
    "mean_level": pg.Prior("Normal", mu=1, sigma=1.5), "sd_level": pg.Prior("HalfNormal", sigma=1),
    "mean_slope": pg.Prior("Normal", mu=-0.12, sigma=0.15), "sd_slope": pg.Prior("HalfNormal", sigma=0.15),
    "correlation": pg.Prior("Uniform", lower=-1, upper=1), "overdispersion": pg.Prior("Beta", alpha=1, beta=50),
}  # fmt: skip
EFFECT = pg.Prior("Normal", mu=0, sigma=0.1)


@pytest.mark.slow
def test_calibrated() -> None:
    """40 cohorts of 2 x 16: the defaults of the model are these priors, and floors and ceilings come with them."""
    model = pg.models()["als_bounded"]
    assert {name: model.priors[name] for name in PRIORS} == PRIORS and model.priors["slope_effect"] == EFFECT
    cohorts, truths, ends = [], [], []
    for k in range(40):
        rng = np.random.default_rng([3, k])
        p = {name: float(draw(rng, prior)) for name, prior in PRIORS.items()}
        effect = float(draw(rng, EFFECT))
        table = simulators.als_bounded(rng, n_per_arm={"control": 16, "treated": 16}, months=MONTHS,
                                       slope_effect={"treated": effect}, **p).drop(columns="x0")  # fmt: skip
        ends.append(np.isin(table["alsfrsr"], [0, 48]).mean())
        cohorts.append(pg.Cohort.from_table(table, time_unit="months", outcomes=["alsfrsr"], allocation="randomised",
                                            arms=["control", "treated"], provenance="simulated"))  # fmt: skip
        own = {name: value for name, value in p.items() if name != "overdispersion"}
        start, end, treated = (simulators.mean_bounded_score(month, **(own | {"mean_slope": p["mean_slope"] + shift}))
                               for month, shift in ((0, 0.0), (6, 0.0), (6, effect)))  # fmt: skip
        truths.append(
            {"slope_difference": (treated - end) / 6, "slope": (end - start) / 6, "latent_slope_difference": effect}
        )
    assert np.sum(np.array(ends) > 0.1) > 5 and max(ends) > 0.5  # some with many scores at an end
    fits = pg.fit_many("als_bounded", cohorts, random_seed=1, cores=2, month=6, progressbar=False)
    # Some of these cohorts say next to nothing of a correlation; NUTS is flagged on 3 of the 40 with each seed tried, and
    # as often at a target_accept of 0.95. Their ranks count like all others.
    assert len(fits.problems) <= 4
    ranks: dict[str, list[float]] = {}
    for name in truths[0]:
        one = (
            fits.draws[name]
            .isel({"arm" if name == "slope" else "active_arm": 0})
            .transpose("data_set", "draw")
            .to_numpy()
        )
        ranks[name] = [
            (np.sum(own < truth[name]) + 0.5) / (own.size + 1) for own, truth in zip(one, truths, strict=True)
        ]
    assert_calibrated(ranks)
