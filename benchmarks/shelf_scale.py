"""Time and memory against the number of patients: als_slope and als_shared, 10 visits, to their first contrast.

    python benchmarks/shelf_scale.py [--cores 2]      # writes docs/_static/shelf_scale.md and shelf_scale.png

Each fit in a process of its own: reading the table, the checks at the door, the fit and the contrast count, the import of
the package does not. Memory is the most that the process ever held. Data are SIMULATED, with deaths.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

SIZES, MODELS = (250, 500, 1000, 2500, 5000), ("als_slope", "als_shared")
STATIC = Path(__file__).resolve().parents[1] / "docs" / "_static"


def one(model: str, patients: int) -> dict[str, float]:
    """One fit in this process: seconds and the peak of its memory in GiB."""
    import progression as pg

    weeks = [4 * i for i in range(10)]
    seen = pg.datasets.simulated_als(n=(patients // 2, patients // 2), visits_weeks=weeks, deaths_per_month=0.01, hazard_ratio=0.7,
                                     random_seed=1)  # fmt: skip
    visits = seen.visits.assign(time=seen.visits["month"]).drop(columns="month")
    subjects = seen.subjects.reset_index().rename(columns={"event_month": "event_time"})
    start = time.perf_counter()
    cohort = pg.Cohort.from_table(visits[["subject", "time", "alsfrsr"]], subjects, time_unit="months", outcomes=["alsfrsr"],
                                  arms=list(seen.arms), allocation="randomised", provenance="simulated")  # fmt: skip
    fit = pg.fit(model, cohort, random_seed=1, progressbar=False)
    contrast = pg.contrast(fit)
    seconds = time.perf_counter() - start
    first = contrast.summary().iloc[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"model": model, "patients": patients, "seconds": seconds, "gib": peak, "mean": float(first["mean"]), "sd": float(first["sd"]),
            "engine": fit.settings["engine"], "problems": len(fit.problems)}  # fmt: skip


def picture(found: list[dict], path: Path) -> None:
    """Seconds and memory against patients, both axes logarithmic, with a line of slope one to compare with."""
    from matplotlib.figure import Figure

    from progression.plots import style

    figure = Figure(figsize=(style.WIDTH, 3.4), facecolor="white", layout="constrained")
    for axes, key, title, (most, words, ticks) in zip(figure.subplots(1, 2), ("seconds", "gib"), ("seconds to the first contrast", "memory at its peak, GiB"),
                                      ((300, "5 minutes", (10, 30, 100, 300)), (4, "4 GiB", (0.5, 1, 2, 4))), strict=True):  # fmt: skip
        style.tidy(axes, grid="both")
        for number, model in enumerate(MODELS):
            own = [one for one in found if one["model"] == model]
            axes.plot(
                [one["patients"] for one in own],
                [one[key] for one in own],
                "o-",
                color=style.ARM_COLOURS[number + 1],
                label=model,
            )
        first = min(one[key] for one in found if one["patients"] == SIZES[0])
        if key == "seconds":
            axes.plot(
                SIZES,
                [first * size / SIZES[0] for size in SIZES],
                color=style.FAINT,
                linestyle="--",
                label="in proportion to patients",
            )
        axes.axhline(most, color=style.FAILED, linewidth=1, linestyle=":", label=words)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="patients, 10 visits each",
            xticks=SIZES,
            xticklabels=[f"{size:,}" for size in SIZES],
        )
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_title(title, size=style.MEDIUM, loc="left")
        axes.legend(frameon=False, fontsize=style.SMALL, loc="best")
    figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> int:
    """Run every size in a process of its own, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "PATIENTS"), help="one fit in this process, as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], int(given.one[1]))))
        return 0
    found = []
    for model in MODELS:
        for size in SIZES:
            run = subprocess.run(
                [sys.executable, __file__, "--one", model, str(size)], capture_output=True, text=True, check=True
            )
            found.append(json.loads(run.stdout.splitlines()[-1]))
            print(f"{model} {size}: {found[-1]['seconds']:.1f} s, {found[-1]['gib']:.2f} GiB", flush=True)
    lines = ["| patients | " + " | ".join(f"`{model}`" for model in MODELS) + " |", "|---:|" + "---:|" * len(MODELS)]
    for size in SIZES:
        cells = [f"{o['seconds']:.1f} s, {o['gib']:.2f} GiB" + (f" (by {o['engine']})" if o["engine"] != "marginal" else "")
                 for model in MODELS for o in found if o["model"] == model and o["patients"] == size]  # fmt: skip
        lines.append(f"| {size:,} | " + " | ".join(cells) + " |")
    lines.append(f"\nMade {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, by `python benchmarks/shelf_scale.py`; the import of the package "
                 "(1 to 2 s) not counted.")  # fmt: skip
    (STATIC / "shelf_scale.md").write_text("\n".join(lines) + "\n")
    picture(found, STATIC / "shelf_scale.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
