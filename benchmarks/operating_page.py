"""benchmarks/operating.json to what docs/power.md shows: a Markdown fragment and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from progression.plots import style
from progression.store import write_atomically

STATIC = Path(__file__).resolve().parents[1] / "docs" / "_static"
HELD, SHRINKS = "#0072B2", "#C4571B"
WAYS = {
    "pooled": "#C4571B",
    "pooled, default prior": "#D17F00",
    "commensurate 0.1": "#0072B2",
    "robust MAP 0.1": "#009E73",
}


def write(found: dict[str, Any]) -> None:
    """Both, of the studies that are there."""
    parts = [words(found[name]) + f"\n{_made(name, found[name])}" for name, words in WORDS.items() if name in found]
    write_atomically(STATIC / "operating.md", ("\n\n".join(parts) + "\n").encode())
    if {"healey", "pilot"} <= set(found):
        picture(found)


def picture(found: dict[str, Any]) -> None:
    """HEALEY's cells with and without what goes wrong in a trial; the pilot's power and error against drift."""
    points = [Line2D([], [], marker=mark, linestyle="", color=style.INK, label=label, markersize=5)
              for mark, label in (("o", "simulated, with 95 % interval"), ("x", "closed form"), ("D", "published"))]  # fmt: skip
    lines = [Line2D([], [], color=colour, label=label) for label, colour in (("treated slopes SD 0.76", HELD), ("SD shrinks with the mean", SHRINKS))]  # fmt: skip
    ways = [Line2D([], [], color=colour, marker="s", markersize=4, label=way) for way, colour in WAYS.items()]
    n, few = found["healey"]["trials"], found["pilot"]["trials"] // 5
    figure = style.framed(6.4, "Designs that others have computed, and the pilot's own", legend=[*points, *lines, *ways],
                          source=f"SIMULATED: {n:,} trials a cell above, {few:,} below")  # fmt: skip
    above, below = figure.subplots(2, 2)
    table = pd.DataFrame(found["healey"]["rows"])
    for axes, (name, own) in zip(above, table.groupby("design", sort=False), strict=True):
        _healey(axes, own)
        axes.set_title(f"HEALEY, 2 x 120: {name}", size=style.MEDIUM, loc="left")
    pilots = pd.DataFrame(found["pilot"]["rows"])
    pilots[["slowing", "drift"]] = pilots["truth"].str.extract(r"slowing (\d+ %), drift ([+-][\d.]+)")
    own = pilots[pilots["slopes"] == pilots["slopes"].iloc[0]]
    for axes, slowing, title in zip(
        below, ("0 %", "30 %"), ("17 against 47, no effect", "17 against 47, 30 % slower"), strict=True
    ):
        _pilot(axes, own[own["slowing"] == slowing])
        axes.set_title(title, size=style.MEDIUM, loc="left")
    figure.savefig(STATIC / "operating.png", dpi=150, metadata={"Software": None})


def _healey(axes: Axes, table: pd.DataFrame) -> None:
    style.tidy(axes, grid="both")
    for (_, own), colour in zip(table.groupby("spread", sort=False), (HELD, SHRINKS), strict=True):
        at = own["slowing"].str.rstrip(" %").astype(float)
        axes.errorbar(at, own["success"], yerr=[own["success"] - own["lower"], own["upper"] - own["success"]], color=colour, marker="o",
                      markersize=4, linewidth=1.2, capsize=2)  # fmt: skip
        if own["published"].isna().all():
            axes.plot(at, own["closed_form"], "x", color=colour, markersize=7)
        else:
            axes.plot(at, own["published"], "D", color=style.INK, markersize=5, fillstyle="none")
    axes.set(ylim=(0, 1.02), xlabel="slower decline, %", ylabel="share of trials that succeed")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _pilot(axes: Axes, table: pd.DataFrame) -> None:
    style.tidy(axes, grid="both")
    for way, own in table.groupby("way", sort=False):
        axes.errorbar(own["drift"].astype(float), own["success"], yerr=[own["success"] - own["lower"], own["upper"] - own["success"]],
                      color=WAYS[str(way)], marker="s", markersize=4, linewidth=1.2, capsize=2)  # fmt: skip
    axes.axhline(0.025, color=style.FAILED, linewidth=1, linestyle=":")
    axes.set(ylim=(0, None), xlabel="drift of historical controls, points/month", ylabel="share of trials that succeed")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def healey(found: dict[str, Any]) -> str:
    """Beside the closed form, a z test and the published cells."""
    lines = ["| HEALEY base cells, 2 x 120, P(DRR < 1) > 0.979 | slowing | simulated (95 % interval) | closed form | z test | published | stopped for futility | flagged |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for row in found["rows"]:
        lines.append(f"| {row['design']}; treated spread {row['spread']} | {row['slowing']} | {_share(row)} | {_or(row, 'closed_form')} | {_or(row, 'z_test')} "
                     f"| {_or(row, 'published')} | {row['stop_futility']:.2f} | {row['flagged'] + row['failed']:,} |")  # fmt: skip
    return "\n".join(lines)


def pilot(found: dict[str, Any]) -> str:
    """One row a way, a column a truth."""
    table = pd.DataFrame(found["rows"])
    truths = list(dict.fromkeys(table["truth"]))
    lines = ["| the pilot, 17 against 47 | historical controls | " + " | ".join(truths) + " |", "|---|---|" + "---:|" * len(truths)]  # fmt: skip
    for (slopes, way), own in table.groupby(["slopes", "way"], sort=False):
        cells = own.set_index("truth").loc[truths]
        lines.append(f"| {slopes} | {way} | " + " | ".join(f"{value:.3f}" for value in cells["success"]) + " |")
    return "\n".join(lines)


def intercept(found: dict[str, Any]) -> str:
    """Both tails of a nominal 5 %."""
    lines = ["| no effect, 17 against 47, nominal 5 % two-sided | model | rejects (95 % interval) |", "|---|---|---:|"]
    for row in found["rows"]:
        lines.append(f"| {row['slopes']} | {row['model']} | {row['two_sided']:.3f} ({row['lower']:.3f} to {row['upper']:.3f}) |")  # fmt: skip
    return "\n".join(lines)


def calibration(found: dict[str, Any]) -> str:
    """The nominal threshold and the calibrated one, on either set."""
    lines = ["| 2 x 20, no effect | threshold | set | type I error (95 % interval) |", "|---|---:|---:|---:|"]
    lines += [f"| {row['rule']} | {row['threshold']:.4f} | {row['set']} | {_share(row)} |" for row in found["rows"]]
    return "\n".join(lines)


WORDS = {"healey": healey, "pilot": pilot, "intercept": intercept, "calibration": calibration}


def _share(row: dict[str, Any]) -> str:
    return f"{row['success']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})"


def _or(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.3f}" if row.get(name) is not None else ""


# Studies of an earlier state of the engine, to be made again, and what has changed since.
EARLIER = {
    "healey": "They were made before 2026-11-30, when the points of `fit_many` in closed form were put along the parameters' own axes, and 512 of them in place of 128: that mended the lower tails of SDs "
              "between patients, which no estimand had shown; and when how far a density reaches was measured along straight lines."
}  # fmt: skip


def _made(name: str, found: dict[str, Any]) -> str:
    n = found["trials"] // 5 if name in ("pilot", "intercept") else found["trials"]
    return (f"\n{n:,} **simulated** trials a cell, made {found['made']} in {sum(found['seconds'].values()) / 60:.1f} minutes on {found['cores']} core{'s' * (found['cores'] > 1)} by "
            f"`python benchmarks/operating.py {name}`." + (f" {EARLIER[name]}" if name in EARLIER else ""))  # fmt: skip
