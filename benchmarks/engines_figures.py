"""The figures of docs/benchmarks.md, in the style of the package's own."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

from progression.plots.style import ARM_COLOURS, FAINT, INK, LARGE, MEDIUM, SMALL, WIDTH, log_ticks, tidy

GREY, BLUE, ORANGE, GREEN = ARM_COLOURS[:4]
NAMES = {"marginal": "progression, marginal", "nuts": "progression, nuts", "pm_sample": "plain pm.sample", "bambi": "Bambi",
         "brms": "brms", "rstanarm": "rstanarm"}  # fmt: skip
COLOURS = {"marginal": BLUE, "nuts": GREEN}
DESIGNS = {"als_slope": "als_slope\n64 patients, 7 visits", "sle_joints": "sle_joints\n120 patients, 4 visits",
           "sle_crp": "sle_crp\n120 patients, 4 visits"}  # fmt: skip
STATES = {"cold": ("s", "new process, nothing cached"), "again": ("D", "new process, caches filled"),
          "warm": ("o", "next data set, same process")}  # fmt: skip


def said(value: float) -> str:
    """A value beside its mark: two figures."""
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"


def draw(found: dict, folder: Path) -> None:
    """All figures there are results for."""
    if "one" in found and "many" in found:
        speed(found["one"], found["many"], folder / "benchmarks_engines.png")
    if "scale" in found:
        scaling(found["scale"], folder / "benchmarks_scale.png")


def speed(one: dict, many: dict, path: Path) -> None:
    """Seconds of one fit, tool by tool; trials a second, design by design."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.3), layout="constrained", width_ratios=(1.15, 1))
    figure.get_layout_engine().set(rect=(0, 0.075, 1, 0.925), wspace=0.06)
    tools = {tool: one["tools"].get(tool, {}) for tool in NAMES}
    for row, (tool, result) in enumerate(tools.items()):
        colour = COLOURS.get(tool, GREY)
        if not result.get("installed"):
            left.text(
                0.03,
                row,
                "not installed here",
                va="center",
                size=SMALL,
                color=GREY,
                transform=left.get_yaxis_transform(),
            )
            continue
        times = [result[f"{state}_s"] for state in STATES]
        left.plot([min(times), max(times)], [row, row], color=FAINT, linewidth=3, zorder=1, solid_capstyle="round")
        for seconds, (state, (marker, _)) in zip(times, STATES.items(), strict=True):
            left.plot(seconds, row, marker, color=colour, markerfacecolor=colour if state == "warm" else "white",
                      markeredgewidth=1.4, markersize=7, zorder=3)  # fmt: skip
        apart = max(times) > 2.5 * min(times)
        text = (
            f"{said(times[2])} s"
            if apart or max(times) < 1.15 * min(times)
            else f"{said(min(times))} to {said(max(times))} s"
        )
        left.annotate(text, (times[2] if apart else (min(times) * max(times)) ** 0.5, row), (0, -9), textcoords="offset points", ha="center", va="top",
                      size=SMALL, color=INK)  # fmt: skip
        if apart:
            left.annotate(f"{said(times[0])} s", (times[0], row), (0, -9), textcoords="offset points", ha="center", va="top",
                          size=SMALL, color=INK)  # fmt: skip
    left.set_yticks(range(len(tools)), [NAMES[tool] for tool in tools])
    left.set_ylim(len(tools) - 0.4, -0.5)
    every = [result[f"{state}_s"] for result in tools.values() if result.get("installed") for state in STATES]
    left.set(xscale="log", xlim=(min(every) / 2, max(every) * 2))
    log_ticks(left, "x")
    tidy(left, grid="x").tick_params(axis="y", length=0, labelsize=MEDIUM)
    left.set_xlabel("seconds to the treatment effect ± 1 % of its posterior SD", size=SMALL)
    left.set_title("One fit", size=LARGE, weight="bold", color=INK, loc="left")
    keys = [Line2D([], [], linestyle="", marker=marker, color=GREY, markerfacecolor=GREY if state == "warm" else "white",
                   markeredgewidth=1.4, label=label) for state, (marker, label) in STATES.items()]  # fmt: skip
    figure.legend(handles=keys, loc="lower left", ncols=3, frameon=False, fontsize=SMALL, bbox_to_anchor=(0.005, 0.0),
                  handletextpad=0.2, columnspacing=1.4)  # fmt: skip

    ticks, labels, rates = [], [], []
    for block, (model, engines) in enumerate(many["found"].items()):
        for inner, engine in enumerate(("marginal", "nuts", "pm_sample")):
            row, rate = 4 * block + inner, engines[engine]["per_s"]
            rates.append(rate)
            right.plot(rate, row, "o", color=COLOURS.get(engine, GREY), markersize=7)
            right.annotate(
                f"{said(rate)}", (rate, row), (8, 0), textcoords="offset points", va="center", size=SMALL, color=INK
            )
            right.annotate(NAMES[engine].removeprefix("progression, "), (rate, row), (-8, 0), textcoords="offset points",
                           ha="right", va="center", size=SMALL, color=COLOURS.get(engine, GREY))  # fmt: skip
        ticks.append(4 * block + 1)
        labels.append(DESIGNS[model])
    right.set(xscale="log", xlim=(min(rates) / 100, max(rates) * 5), ylim=(4 * len(ticks) - 1.2, -0.8))
    log_ticks(right, "x")
    right.set_yticks(ticks, labels)
    tidy(right, grid="x").tick_params(axis="y", length=0)
    right.set_xlabel(f"trials fitted a second, {many['facts']['cores_used']} cores", size=SMALL)
    right.set_title("Many fits", size=LARGE, weight="bold", color=INK, loc="left")
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def scaling(part: dict, path: Path) -> None:
    """Seconds and memory against the number of patients, and what in proportion would look like."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 3.7), layout="constrained")
    for axes, key, label, least in ((panels[0], "fit_s", "seconds for one fit", 0.0),
                                    (panels[1], "memory_mb", "peak memory beyond what stood before, MB", 1.0)):  # fmt: skip
        for engine in ("nuts", "marginal"):
            rows = [row for row in part["found"][engine] if key in row]
            if not rows:
                continue
            x, y = [row["patients"] for row in rows], [max(row[key], least) for row in rows]
            axes.plot(
                x, y, "o-", color=COLOURS[engine], linewidth=1.6, markersize=6, zorder=3, label=f"progression, {engine}"
            )
            if engine == "marginal":
                span = (x[0], x[-1])
                axes.plot(
                    span,
                    [y[-1] * at / x[-1] for at in span],
                    "--",
                    color=GREY,
                    linewidth=1,
                    label="in proportion (slope 1)",
                )
        axes.set(xscale="log", yscale="log")
        low, high = axes.get_ylim()
        axes.set_ylim(low / 1.3, high * 1.3)
        axes.set_xticks([64, 256, 1000, 4000, 20000], ["64", "256", "1,000", "4,000", "20,000"])
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        log_ticks(axes, "y")
        tidy(axes, grid="both")
        axes.set_xlabel("patients, 7 visits each", size=SMALL)
        axes.set_title(label, size=MEDIUM, weight="bold", color=INK, loc="left")
    figure.get_layout_engine().set(rect=(0, 0.075, 1, 0.925), wspace=0.06)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower left", ncols=3, frameon=False, fontsize=SMALL,
                  bbox_to_anchor=(0.005, 0.0))  # fmt: skip
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
