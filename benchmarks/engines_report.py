"""benchmarks/engines.json to what docs/benchmarks.md shows: a Markdown fragment, and two figures drawn by engines_figures."""

import math
import statistics
from pathlib import Path

import engines_figures
import numpy as np

STATIC = Path(__file__).parent.parent / "docs" / "_static"
NAMES = {
    "nuts": "progression, `nuts`", "marginal": "progression, `marginal`", "pm_sample": "plain `pm.sample`",
    "bambi": "Bambi", "brms": "brms", "rstanarm": "rstanarm",
}  # fmt: skip


def number(value: float) -> str:
    """Two figures, three from 100 on, thousands parted."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 2 if abs(value) < 100 else 3
    rounded = round(value, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def scatter(pairs_a: list, pairs_b: list) -> float:
    """Monte Carlo error of a mean, in posterior SD, from two answers to the same questions."""
    a, b = np.array(pairs_a), np.array(pairs_b)
    return float(np.sqrt((((a[:, 0] - b[:, 0]) / a[:, 1]) ** 2).mean() / 2))


def difference(one: list, other: list) -> tuple[float, float]:
    """Root mean square difference of the means in posterior SD, and median ratio of the SDs, on the trials both fitted."""
    n = min(len(one), len(other))
    a, b = np.array(one[:n]), np.array(other[:n])
    return float(np.sqrt((((a[:, 0] - b[:, 0]) / b[:, 1]) ** 2).mean())), float(np.median(a[:, 1] / b[:, 1]))


def machine(facts: dict) -> str:
    """One line on where and when."""
    packages = ", ".join(f"{name} {text}" for name, text in facts["versions"].items())
    return (f"*Measured {facts['date']} on {facts['cores_used']} of {facts['cores_of_machine']} cores ({facts['processor']}, "
            f"{facts['system']}; load of other work as it began: {facts['load_before']:.1f}), Python {facts['python']}; {packages}.*")  # fmt: skip


def one_fit(part: dict) -> str:
    """The table of one fit, and what is behind it."""
    tools, rows = part["tools"], []
    best = tools["marginal"].get("warm_s")
    for tool, name in NAMES.items():
        one = tools.get(tool, {})
        if not one.get("installed"):
            rows.append([name, *["not installed here"] * 2, *[""] * 4])
            continue
        versions = ", ".join(f"{key} {text}" for key, text in one.get("versions", {}).items() if key in (tool, "rstan"))
        cut = "" if one["effective"] > 0.9 * 10_000 else " (reckoned)"
        times = [number(one[f"{kind}_s"]) + " s" for kind in ("cold", "again", "warm")]
        ratio = f"{number(one['warm_s'] / best)} ×" if best else ""
        rows.append([f"{name}{f' ({versions})' if versions else ''}", *times, ratio, f"4 × {one['draws']:,}",
                     f"{round(one['effective'], -2):,.0f}{cut}"])  # fmt: skip
    text = table(["", "new process, nothing cached", "new process, caches filled", "next data set, same process",
                  "against `marginal`", "draws run", "effective draws of them"], rows)  # fmt: skip
    lines = [machine(part["facts"]), "", text, "", "Effect and posterior SD of the same trial, each tool: " + "; ".join(
        f"{NAMES[tool]} {one['effect_mean']:.3f} ({one['effect_sd']:.3f})" for tool, one in tools.items() if one.get("installed")
    ) + "."]  # fmt: skip
    found = part.get("accuracy", {})
    if {"nuts", "marginal"} <= set(found):
        sd = statistics.mean(found["nuts"]["sd"])
        shift = (statistics.mean(found["marginal"]["mean"]) - statistics.mean(found["nuts"]["mean"])) / sd
        scattered = {name: statistics.stdev(found[name]["mean"]) / sd for name in ("nuts", "marginal")}
        noise = math.sqrt(sum(scattered[n] ** 2 / len(found[n]["mean"]) for n in scattered))
        lines += ["", f"Fitted {len(found['nuts']['mean'])} times with new seeds at these draws, the posterior mean of the effect "
                  f"scatters by {scattered['nuts']:.4f} posterior SD with `nuts` and {scattered['marginal']:.4f} with `marginal` "
                  f"(0.01 is what was aimed at); the averages of the two differ by {shift:+.4f} ± {noise:.4f} posterior SD."]  # fmt: skip
    return "\n".join(lines)


def many_fits(part: dict) -> str:
    """Trials a second."""
    rows, marks = [], {"als_slope": "64 patients × 7 visits, drop-out", "sle_joints": "120 patients × 4 visits, two counts",
                       "sle_crp": "120 patients × 4 visits, detection limit"}  # fmt: skip
    for model, engines in part["found"].items():
        base = engines["pm_sample"]["per_s"]
        precise = {}
        for engine, one in engines.items():
            error = scatter(one["effects"][: len(one["again"])], one["again"]) if "again" in one else 0.0
            precise[engine] = 1 / error**2 if engine == "marginal" else one["effective"]
        for engine, one in engines.items():
            agrees = ""
            if engine != "nuts":
                off, spread = difference(one["effects"], engines["nuts"]["effects"])
                chance = math.sqrt(1 / precise[engine] + 1 / precise["nuts"])
                agrees = f"{off:.3f} ({chance:.3f}), {spread:.2f}"
            rows.append([f"{model}: {marks[model]}" if engine == "pm_sample" else "", NAMES[engine], f"{one['trials']:,}",
                         f"{number(one['first_s'])} s", number(one["per_s"]), f"{number(one['per_s'] / base)} ×",
                         f"{number(precise[engine])} of {one['draws']:,}", agrees])  # fmt: skip
    text = table(["design", "", "trials", "first, nothing cached", "trials a second", "against `pm.sample`", "effective draws of the effect",
                  "means off `nuts` (by chance), ratio of SDs"], rows)  # fmt: skip
    cohorts = ", ".join(
        f"{model} {number(1000 * engines['nuts']['cohort_s'])} ms" for model, engines in part["found"].items()
    )
    return f"{machine(part['facts'])}\n\n{text}\n\nMaking a cohort of a table, not counted above: {cohorts} each."


def scaling(part: dict) -> str:
    """Seconds and memory by size."""
    sizes = sorted({row["patients"] for rows in part["found"].values() for row in rows})
    rows = []
    for size in sizes:
        cells = [f"{size:,}"]
        for engine in ("marginal", "nuts"):
            one = next((row for row in part["found"][engine] if row["patients"] == size), None)
            if one is None:
                cells += ["longer than the limit", ""]
            elif "fell_back" in one:
                cells += ["gave up: " + one["fell_back"], ""]
            else:
                few = " (one chain, scaled)" if one["chains"] == 1 else ""
                cells += [f"{number(one['fit_s'])} s{few}", f"{number(max(one['memory_mb'], 1))} MB"]
        rows.append(cells)
    return machine(part["facts"]) + "\n\n" + table(
        ["patients × 7 visits", "`marginal`", "memory", "`nuts`, 4 × (1,000 + 1,000)", "memory"], rows
    )  # fmt: skip


def write(found: dict) -> None:
    """Write docs/_static/benchmarks_engines.md with all parts there are, and the figures."""
    made = {"one": one_fit, "many": many_fits, "scale": scaling}
    heads = {"one": "One fit", "many": "Many fits", "scale": "Large trials"}
    for part, make in made.items():
        if part in found:
            text = f"<!-- made by benchmarks/engines.py from benchmarks/engines.json: do not edit -->\n\n{make(found[part])}\n"
            (STATIC / f"benchmarks_{part}.md").write_text(text)
            print(f"\n{heads[part]}\n\n{make(found[part])}")
    engines_figures.draw(found, STATIC)
