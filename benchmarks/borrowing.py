"""Type I error, power and bias of each way of borrowing, against the drift between historical and concurrent controls.

    python benchmarks/borrowing.py [--trials 2000] [--cores 2]     # minutes; writes docs/_static/borrowing.md and .png

Trials of 2 x 60 patients, seen at months 0, 1, ..., 6, with 200 historical controls seen alike, by `als_slope`. The drift is
how much slower (positive) or faster historical controls decline, points/month. Success: P(slope difference > 0) > 0.975. Every
way analyses the same trials. All data are SIMULATED, by NumPy alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import progression as pg
from progression.plots import style

STATIC = Path(__file__).resolve().parents[1] / "docs" / "_static"
HISTORICAL = "historical control"
ARMS = {"control": 60, "treated": 60, HISTORICAL: 200}
MONTHS = np.arange(7.0)
TRUTH = {"mean_level": 38.0, "sd_level": 5.0, "mean_slope": -1.03, "sd_slope": 0.76, "sd_residual": 1.77}
DRIFTS = np.round(np.arange(-0.4, 0.41, 0.2), 1)
EFFECTS = (0.0, 0.4)
WAYS: Mapping[str, Any] = {
    "pooled": pg.Pooled(), "separate": pg.Separate(), "drift ~ Normal(0, 0.1)": pg.Commensurate(0.1),
    "drift ~ Normal(0, 0.2)": pg.Commensurate(0.2), "robust: 0.1, or 1 with probability 0.2": pg.RobustMAP(0.1, weight=0.2, wide=1.0),
}  # fmt: skip
CONTROL_RULE = 0.975


def design() -> pg.Cohort:
    """Every patient and visit."""
    arm = np.repeat(list(ARMS), list(ARMS.values()))
    ids = [f"p{i}" for i in range(len(arm))]
    table = {"subject": np.repeat(ids, len(MONTHS)), "arm": np.repeat(arm, len(MONTHS)), "time": np.tile(MONTHS, len(arm)),
             "alsfrsr": np.full(len(arm) * len(MONTHS), 38.0)}  # fmt: skip
    return pg.Cohort.from_table(pd.DataFrame(table), time_unit="months", outcomes=["alsfrsr"], arms=list(ARMS), allocation="historical",
                                provenance="simulated")  # fmt: skip


def trials(cohort: pg.Cohort, n: int, drift: float, effect: float, seed: list[int]) -> pg.Replicates:
    """Scores of `n` trials."""
    rng = np.random.default_rng(seed)
    arm = cohort.subjects["arm"].to_numpy()
    own = TRUTH["mean_slope"] + effect * (arm == "treated") + drift * (arm == HISTORICAL)
    slope = own + TRUTH["sd_slope"] * rng.normal(size=(n, len(arm)))
    level = TRUTH["mean_level"] + TRUTH["sd_level"] * rng.normal(size=(n, len(arm)))
    subject = cohort.visits["subject"].map({one: i for i, one in enumerate(cohort.subjects.index)}).to_numpy()
    month = cohort.visits["month"].to_numpy()
    score = level[:, subject] + slope[:, subject] * month + TRUTH["sd_residual"] * rng.normal(size=(n, len(month)))
    return pg.Replicates(cohort, {"alsfrsr": score})


def analyse(data: pg.Replicates, way: Any, effect: float, cores: int) -> dict[str, float]:
    """Share of successes, bias and its error, mean posterior SD, coverage of the 95 % interval, of one way."""
    found = pg.fit_many("als_slope", data, borrowing=way, options={"baseline": "common"}, estimands="slope_difference", random_seed=1,
                        draws=500, cores=cores, progressbar=False)  # fmt: skip
    draws = found.draws["slope_difference"].sel(active_arm="treated").to_numpy()
    success = (draws > 0).mean(axis=1) > CONTROL_RULE
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    n = len(draws)
    return {"success": success.mean(), "error": float(np.sqrt(success.mean() * (1 - success.mean()) / n)), "bias": float(draws.mean(axis=1).mean() - effect),
            "sd": float(draws.std(axis=1).mean()), "coverage": float(np.mean((low < effect) & (effect < high))), "problems": len(found.problems)}  # fmt: skip


def picture(table: pd.DataFrame, n: int, path: Path) -> None:
    """Type I error, power and bias against drift, a line a way with its Monte Carlo band."""
    figure = Figure(figsize=(style.WIDTH, 4.2), facecolor="white", layout="constrained")
    panels = [
        ("success", 0.0, "type I error, one-sided"),
        ("success", EFFECTS[1], f"power for {EFFECTS[1]:g} points/month"),
        ("bias", 0.0, "bias, points/month"),
    ]
    for axes, (key, effect, title) in zip(figure.subplots(1, 3), panels, strict=True):
        style.tidy(axes, grid="both")
        for number, name in enumerate(WAYS):
            own = table[(table["way"] == name) & (table["effect"] == effect)]
            colour = style.ARM_COLOURS[number % len(style.ARM_COLOURS)]
            axes.plot(own["drift"], own[key], "o-", color=colour, markersize=3.5, linewidth=1.6, label=name)
            if key == "success":
                axes.fill_between(
                    own["drift"],
                    own[key] - 2 * own["error"],
                    own[key] + 2 * own["error"],
                    color=colour,
                    alpha=0.18,
                    linewidth=0,
                )
        if title.startswith("type I"):
            axes.axhline(1 - CONTROL_RULE, color=style.FAILED, linewidth=1, linestyle=":")
            axes.annotate("0.025", (DRIFTS[-1], 0.03), ha="right", size=style.SMALL, color=style.FAILED)
        axes.set_xlabel("drift of historical controls,\npoints/month, positive = slower decline", size=style.SMALL)
        axes.set_title(title, size=style.MEDIUM, loc="left")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=style.SMALL)
    figure.suptitle(
        f"2 x 60 patients and 200 historical controls, {n:,} SIMULATED trials a point",
        size=style.MEDIUM,
        x=0.01,
        ha="left",
    )
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> int:
    """Run the grid and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--cores", type=int, default=2)
    given = parser.parse_args()
    start, cohort, rows = time.perf_counter(), design(), []
    for i, drift in enumerate(DRIFTS):
        for j, effect in enumerate(EFFECTS):
            data = trials(cohort, given.trials, float(drift), effect, [20261125, i, j])
            for name, way in WAYS.items():
                rows.append({"drift": drift, "effect": effect, "way": name, **analyse(data, way, effect, given.cores)})
        print(f"drift {drift:+.1f} done, {time.perf_counter() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows)
    lines = ["| way | effect | " + " | ".join(f"{drift:+.1f}" for drift in DRIFTS) + " | bias at +0.2 | SD | coverage at 0, at +0.2 |",
             "|---|---:|" + "---:|" * (len(DRIFTS) + 3)]  # fmt: skip
    for name in WAYS:
        for effect in EFFECTS:
            own = table[(table["way"] == name) & (table["effect"] == effect)].set_index("drift")
            cells = " | ".join(f"{own.loc[drift, 'success']:.3f}" for drift in DRIFTS)
            lines.append(f"| {name} | {effect:g} | {cells} | {own.loc[0.2, 'bias']:+.3f} | {own.loc[0.0, 'sd']:.3f} | {own.loc[0.0, 'coverage']:.3f}, {own.loc[0.2, 'coverage']:.3f} |")  # fmt: skip
    error = float(np.sqrt(0.025 * 0.975 / given.trials))
    lines.append(f"\nShare of {given.trials:,} simulated trials with P(slope difference > 0) > {CONTROL_RULE}, by drift; Monte Carlo error {error:.4f} at 0.025. "
                 f"{int(table['problems'].sum())} of {len(table) * given.trials:,} fits had problems. Made {datetime.now(UTC):%Y-%m-%d} in "
                 f"{(time.perf_counter() - start) / 60:.1f} minutes on {given.cores} cores by `python benchmarks/borrowing.py`.")  # fmt: skip
    (STATIC / "borrowing.md").write_text("\n".join(lines) + "\n")
    picture(table, given.trials, STATIC / "borrowing.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
