"""als_slope with its default priors, and with historical controls under each way to borrow, by NumPy and SciPy alone.

    python -m tests.evidence.references.slopes_importance

Each patient's scores are multivariate normal; of those who are seen equally often in one arm only number, mean and scatter count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import special, stats

from tests.evidence.references import importance, simulated
from tests.evidence.references.results import write_reference

PAST = "historical control"
# Components of the prior of the drift: weight and SD.
WAYS = {"slopes_commensurate": [(1.0, 0.2)], "slopes_robust": [(0.8, 0.1), (0.2, 1.0)]}


def density(
    table: pd.DataFrame, *, drift: list[tuple[float, float]] | None, power: float
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Log posterior density; historical controls pooled and raised to a power where no drift is allowed for."""
    month = np.sort(table["time"].unique())
    scores = table.pivot(index="subject", columns="time", values="alsfrsr")
    arm = table.groupby("subject")["arm"].first().reindex(scores.index)
    seen = scores.notna().sum(axis=1)
    assert all(
        scores.iloc[i, : seen.iloc[i]].notna().all() for i in range(len(scores))
    )  # who leaves does not come back

    def log_density(p: Mapping[str, np.ndarray]) -> np.ndarray:
        total = importance.of_lines(p) + stats.norm.logpdf(p["slope_effect"], 0, 0.5)
        if drift:
            total = total + stats.norm.logpdf(p["level_difference"], 0, 5)
            total += special.logsumexp([np.log(w) + stats.norm.logpdf(p["drift"], 0, sd) for w, sd in drift], axis=0)
        v = importance.lines(p, month)
        for m in np.unique(seen):
            inverse, log_determinant = np.linalg.inv(v[:, :m, :m]), np.linalg.slogdet(v[:, :m, :m])[1]
            for one in arm.unique():
                y = scores[(arm == one) & (seen == m)].to_numpy()[:, :m]
                if not len(y):
                    continue
                past, on = one == PAST and drift is not None, one == "treated"
                level = p["mean_level"] + (p["level_difference"] if past else 0.0)
                slope = p["mean_slope"] + (p["slope_effect"] if on else 0.0) + (p["drift"] if past else 0.0)
                off = y.mean(axis=0) - level[:, None] - slope[:, None] * month[:m]
                apart = y - y.mean(axis=0)
                square = np.einsum("pjk,jk->p", inverse, apart.T @ apart) + len(y) * np.einsum(
                    "pj,pjk,pk->p", off, inverse, off
                )
                total = total - 0.5 * (power if one == PAST else 1.0) * (len(y) * log_determinant + square)
        return total

    return log_density


def main() -> None:
    """The trial alone, and with historical controls pooled in part, drifting, or let go where they conflict."""
    whole = simulated.read("slopes")
    cases = {"slopes_alone": (whole[whole["arm"] != PAST], None, 1.0), "slopes_power": (whole, None, 0.5)}
    cases |= {name: (whole, drift, 1.0) for name, drift in WAYS.items()}
    for name, (table, drift, power) in cases.items():
        names = (
            importance.LINES
            | {"slope_effect": "real"}
            | ({"drift": "real", "level_difference": "real"} if drift else {})
        )
        start = [*importance.LINES_START, 0.2, *((0.0, -1.5) if drift else ())]
        spread = [*importance.LINES_SPREAD, 0.12, *((0.15, 1.0) if drift else ())]
        found = importance.quantities(density(table, drift=drift, power=power), names, start, spread)
        write_reference(name, "same priors", "importance sampling, NumPy", found)


if __name__ == "__main__":
    main()
