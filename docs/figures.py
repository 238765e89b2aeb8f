"""Draw the pictures of the model pages into docs/_static: `python docs/figures.py`. Simulated trials, fixed seeds."""

from pathlib import Path

import progression as pg
from progression import plots

STATIC = Path(__file__).parent / "_static"

COHORTS = {
    "als_slope": lambda: pg.datasets.simulated_als(random_seed=1),
    "sle_joints": lambda: pg.datasets.simulated_sle(random_seed=1),
    "sle_crp": lambda: pg.datasets.simulated_sle(detection_limit=0.5, random_seed=1),
}


def main() -> None:
    for name, cohort in COHORTS.items():
        fit = pg.fit(name, cohort(), random_seed=1, progressbar=False, strict=True)
        for figure, ending in ((plots.trajectories(fit), ""), (plots.forest(pg.contrast(fit)), "_forest")):
            figure.savefig(STATIC / f"{name}{ending}.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
