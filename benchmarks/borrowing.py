"""Type I error, power and bias of each way of borrowing, against the drift between historical and concurrent controls.

    python benchmarks/borrowing.py [--trials 2000] [--cores 2] [--fresh]     # minutes

Trials of 2 x 60 patients, seen at months 0, 1, ..., 6, with 200 historical controls seen alike, by `als_slope`. The drift is
how much slower (positive) or faster historical controls decline, points/month. Success: P(slope difference > 0) > 0.975. Every
way analyses the same trials. All data are SIMULATED, by NumPy alone.

Writes docs/_static/borrowing.png and .md; each point goes into borrowing.json as it is done, from which a stopped run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from scipy import stats

import progression as pg
from progression.plots import style
from progression.store import write_atomically

ROOT = Path(__file__).resolve().parents[1]
STATIC, KEPT = ROOT / "docs" / "_static", ROOT / "benchmarks" / "borrowing.json"
HISTORICAL = "historical control"
ARMS = {"control": 60, "treated": 60, HISTORICAL: 200}
MONTHS = np.arange(7.0)
TRUTH = {"mean_level": 38.0, "sd_level": 5.0, "mean_slope": -1.03, "sd_slope": 0.76, "sd_residual": 1.77}
DRIFTS = tuple(float(drift) for drift in np.round(np.linspace(-0.4, 0.4, 9), 1))
EFFECTS = (0.0, 0.4)
_FILES = ("many", "arranging", "borrowing", "drift", "encoding", "own_rows", "priors")
CODE = [*sorted(ROOT.glob("progression/engines/*.py")), *(ROOT / "progression" / f"{name}.py" for name in _FILES),
        *(ROOT / "models" / "progression_models" / f"{name}.py" for name in ("als_slope", "parts"))]  # fmt: skip
WAYS: Mapping[str, Any] = {
    "pooled": pg.Pooled(), "power prior 0.5": pg.PowerPrior(0.5), "commensurate 0.2": pg.Commensurate(0.2),
    "robust MAP 0.1, or 1 with probability 0.2": pg.RobustMAP(0.1, weight=0.2, wide=1.0), "separate": pg.Separate(),
}  # fmt: skip
COLOURS = dict(zip(WAYS, ("#C4571B", "#D17F00", "#0072B2", "#009E73", "#5F6368"), strict=True))
MARKERS = dict(zip(WAYS, "svo^D", strict=True))
SEED, DRAWS = 20261125, 500
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
    """Number of successes, bias and its error, mean posterior SD, coverage of the 95 % interval, of one way."""
    found = pg.fit_many("als_slope", data, borrowing=way, options={"baseline": "common"}, estimands="slope_difference", random_seed=1,
                        draws=DRAWS, cores=cores, progressbar=False, fallback=False)  # fmt: skip
    draws = found.draws["slope_difference"].sel(active_arm="treated").to_numpy()
    success = (draws > 0).mean(axis=1) > CONTROL_RULE
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    mean = draws.mean(axis=1)
    return {"successes": int(success.sum()), "bias": float(mean.mean() - effect), "bias_error": float(mean.std(ddof=1) / np.sqrt(len(mean))),
            "sd": float(draws.std(axis=1).mean()), "coverage": float(np.mean((low < effect) & (effect < high))),
            "problems": len(found.problems)}  # fmt: skip


def settings(n: int) -> dict[str, str]:
    """What the results depend on, in words, with a hash of the code that fits."""
    digest = hashlib.sha256()
    for path in CODE:
        digest.update(path.read_bytes())
    facts = (
        ARMS,
        MONTHS.tolist(),
        TRUTH,
        DRIFTS,
        EFFECTS,
        {name: str(way) for name, way in WAYS.items()},
        CONTROL_RULE,
        SEED,
        DRAWS,
    )
    return {"trials": str(n), "design": repr(facts), "code": digest.hexdigest()}


def run(n: int, cores: int, *, fresh: bool) -> pd.DataFrame:
    """One row a way, effect and drift; those that are in the file already are not computed again."""
    said, rows = settings(n), []
    if KEPT.is_file() and not fresh:
        before = json.loads(KEPT.read_text())
        rows = before["points"] if before["settings"] == said else []
    done = {(row["way"], row["effect"], row["drift"]) for row in rows}
    cohort = design()
    points = [(name, j, i) for name in WAYS for j in range(len(EFFECTS)) for i in range(len(DRIFTS))]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("points", total=len(points), completed=len(done))
        for name, j, i in points:  # way by way, so that workers keep what they have prepared
            effect, drift = EFFECTS[j], DRIFTS[i]
            if (name, effect, drift) in done:
                continue
            progress.update(task, description=f"{name}, effect {effect:g}, drift {drift:+.1f}")
            start = time.perf_counter()
            found = analyse(trials(cohort, n, drift, effect, [SEED, i, j]), WAYS[name], effect, cores)
            rows.append(
                {
                    "way": name,
                    "effect": effect,
                    "drift": drift,
                    **found,
                    "seconds": round(time.perf_counter() - start, 1),
                }
            )
            kept = {
                "provenance": "SIMULATED trials",
                "made": f"{datetime.now(UTC):%Y-%m-%d}",
                "cores": cores,
                "settings": said,
                "points": rows,
            }
            write_atomically(KEPT, (json.dumps(kept, indent=1) + "\n").encode())
            progress.advance(task)
    table = pd.DataFrame(rows)
    between = [stats.binomtest(k, n).proportion_ci(0.95, method="wilson") for k in table["successes"]]
    return table.assign(
        success=table["successes"] / n, low=[one.low for one in between], high=[one.high for one in between]
    )


def picture(table: pd.DataFrame, n: int, path: Path) -> None:
    """Type I error, power and bias against drift, a line a way with its Monte Carlo band."""
    figure = Figure(figsize=(style.WIDTH, 4.9), facecolor="white", layout="constrained")
    table = table.assign(
        bias_low=table["bias"] - 1.96 * table["bias_error"], bias_high=table["bias"] + 1.96 * table["bias_error"]
    )
    panels = [
        (
            "success",
            ("low", "high"),
            0.0,
            f"type I error, one-sided\n(no effect; root scale; dotted: {1 - CONTROL_RULE:g})",
        ),
        ("success", ("low", "high"), EFFECTS[1], f"power\n(true effect +{EFFECTS[1]:g} points/month)"),
        ("bias", ("bias_low", "bias_high"), 0.0, "bias, points/month (no effect;\npositive favours the treatment)"),
    ]
    for axes, (key, band, effect, title) in zip(figure.subplots(1, 3), panels, strict=True):
        style.tidy(axes, grid="both")
        for name in WAYS:
            own = table[(table["way"] == name) & (table["effect"] == effect)].sort_values("drift")
            axes.plot(
                own["drift"],
                own[key],
                color=COLOURS[name],
                marker=MARKERS[name],
                markersize=3.8,
                linewidth=1.6,
                label=name,
            )
            axes.fill_between(own["drift"], *(own[end] for end in band), color=COLOURS[name], alpha=0.2, linewidth=0)
        axes.set_title(title, size=style.MEDIUM, loc="left")
        axes.set_xlabel("drift, points/month", size=style.SMALL)
        axes.set_xticks(DRIFTS[::2])
    first, second, third = figure.axes
    first.set_yscale("function", functions=(np.sqrt, np.square))
    first.set_ylim(0, max(0.1, table.loc[table["effect"] == 0, "high"].max()))
    first.yaxis.set_major_locator(FixedLocator([0, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]))
    first.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    first.axhline(1 - CONTROL_RULE, color=style.FAILED, linewidth=1, linestyle=":")
    second.set_ylim(0, 1.02)
    third.axhline(0, color=style.INK, linewidth=0.8)
    handles, labels = first.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(WAYS),
        frameon=False,
        fontsize=style.SMALL,
        columnspacing=1.4,
    )
    figure.suptitle(f"SIMULATED: {n:,} trials a point of 2 x 60 patients over 6 months, with 200 historical controls; bands: 95 % Monte Carlo.\n"
                    "Drift: slope of historical less that of concurrent controls; positive: historical controls decline more slowly.",
                    size=style.MEDIUM, x=0.01, ha="left")  # fmt: skip
    figure.savefig(path, dpi=150, metadata={"Software": None})


def words(table: pd.DataFrame, n: int, cores: int) -> str:
    """The table in markdown: rates by drift, then bias, SD and coverage."""
    lines = ["| way | effect | " + " | ".join(f"{drift:+.1f}" for drift in DRIFTS) + " | bias at -0.2, +0.2 | SD at 0 | coverage at 0, +0.2 |",
             "|---|---:|" + "---:|" * (len(DRIFTS) + 3)]  # fmt: skip
    for name in WAYS:
        for effect in EFFECTS:
            own = table[(table["way"] == name) & (table["effect"] == effect)].set_index("drift")
            cells = " | ".join(f"{own.loc[drift, 'success']:.3f}" for drift in DRIFTS)
            lines.append(f"| {name} | {effect:g} | {cells} | {own.loc[-0.2, 'bias']:+.3f}, {own.loc[0.2, 'bias']:+.3f} | {own.loc[0.0, 'sd']:.3f} "
                         f"| {own.loc[0.0, 'coverage']:.3f}, {own.loc[0.2, 'coverage']:.3f} |")  # fmt: skip
    error, half = np.sqrt(0.025 * 0.975 / n), np.sqrt(0.25 / n)
    made = json.loads(KEPT.read_text())["made"]
    lines.append(f"\nShare of {n:,} **simulated** trials with P(slope difference > 0) > {CONTROL_RULE}, by drift; its Monte Carlo error is {error:.4f} at 0.025 and "
                 f"{half:.3f} at 0.5, that of a bias {table['bias_error'].max():.4f} at most. {int(table['problems'].sum())} of {len(table) * n:,} fits had weights that the engine does not vouch for, and are counted as they are. "
                 f"Made {made} in {table['seconds'].sum() / 60:.1f} minutes with {cores} worker{'s' if cores > 1 else ''} by `python benchmarks/borrowing.py`.")  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the grid and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever was kept")
    given = parser.parse_args()
    table = run(given.trials, given.cores, fresh=given.fresh)
    write_atomically(STATIC / "borrowing.md", words(table, given.trials, given.cores).encode())
    picture(table, given.trials, STATIC / "borrowing.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
