"""als_slope on the simulated trial that comes with the package, by NumPy and SciPy alone: what `progression selfcheck` compares with.

python -m tests.evidence.references.selfcheck_importance
"""

from __future__ import annotations

import progression as pg
from tests.evidence.references import importance
from tests.evidence.references.results import write_reference
from tests.evidence.references.slopes_importance import density


def main() -> None:
    """The trial of `datasets.simulated_als`, default priors."""
    visits = pg.datasets.simulated_als().visits
    table = visits.rename(columns={"month": "time"})[["subject", "time", "alsfrsr"]]
    table["arm"] = table["subject"].map(pg.datasets.simulated_als().subjects["arm"]).astype(str)
    names = importance.LINES | {"slope_effect": "real"}
    found = importance.quantities(density(table, drift=None, power=1.0), names,
                                  [*importance.LINES_START, 0.2], [*importance.LINES_SPREAD, 0.12])  # fmt: skip
    write_reference("selfcheck_slopes", "same priors", "importance sampling, NumPy", found)


if __name__ == "__main__":
    main()
