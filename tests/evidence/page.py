"""docs/evidence.md, written from the records: every number of the page is read from a file that a command made.

python -m tests.evidence.page      # writes docs/evidence.md and docs/evidence/*.png of the page's own figures
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from progression.plots.style import ARM_COLOURS, FAILED, FAINT, INK, MEDIUM, SMALL, framed, plain, tidy
from progression.store import write_atomically
from tests.evidence import sources
from tests.evidence.agreement import EARLIER
from tests.evidence.calibration import figures, ranks, records
from tests.evidence.calibration.plan import KNOWN_FAULTS, MENDED, SETS
from tests.evidence.effort import spent

PAGE = sources.ROOT / "docs" / "evidence.md"
OWN = Path("docs") / "evidence"
TESTED = Path("tests") / "evidence"


def read(path: Path) -> Any:
    """A record; None where there is none."""
    whole = sources.ROOT / path
    return json.loads(whole.read_text(encoding="utf-8")) if whole.exists() else None


def calibrations() -> dict[str, Any]:
    """Records of calibration by model, those that exist."""
    found = {model: read(OWN / f"calibration_{model}.json") for model in SETS}
    return {model: one for model, one in found.items() if one is not None}


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in lines)


def written() -> str:
    """The page."""
    parts = [HEAD, *calibration(), *coverage(), *references(), *engines(), *recoveries(), *mutations(), *inputs(), *faults(), *effort(), *missing()]  # fmt: skip
    return "\n\n".join(parts) + "\n"


HEAD = """# Evidence

What was done to find out whether the numbers of this package are right, what was found, and what has not been looked at. Every number below is
read by `python -m tests.evidence.page` from a record that a command made; each record holds its date, versions, and a hash of the code that it is of. A
record of other code than this fails `make test`. All data here are SIMULATED unless a line says otherwise.

`progression selfcheck` does a short form of it on your own machine and writes a page; `make evidence` does all of it again and goes on where it
was cut off."""


def calibration() -> Iterator[str]:
    """Simulation-based calibration: the verdicts, then the figures."""
    known = calibrations()
    yield "## Calibration"
    yield (
        "Parameters are drawn from each model's own priors, data simulated by an independent program in NumPy, the posterior computed, and the rank of every "
        f"truth among {ranks.DRAWS} posterior draws noted: uniform, if priors, program and engine are what they are said to be (Talts et al. 2018; with the joint "
        "log-likelihood among the quantities, Modrák et al. 2023, which alone sees a likelihood that is left out). *Sparse* is the size of the pilots, *dense* a trial of 2 x 60. "
        "Of calibrated quantities one in twenty has p < 0.05; `of` is how many there are, `at most` the upper end of the 95 % band of independent counts. Quantities of the same sets depend on "
        "each other, so that a calibrated model exceeds it more often than one time in forty. The verdict: not more small p-values than that, none below 1e-4. "
        "Three roads, each with data sets of its own: *marginal* and *nuts* are `pg.fit` by either engine, with three patients' effects among what is ranked; *many* is `pg.fit_many`, which draws no patient's effect, so that "
        "the log-likelihood has the patients summed out. NUTS runs are short, 4 x (1,000 + 500) draws of `als_slope` and `als_shared` and 2 x (500 + 500) of the others, "
        "so that many do not pass the gate (*fit has problems*); one with fewer than 99 effective draws is run again, four times as long."
    )
    header = [
        "model",
        "sets (regime, road)",
        "test",
        "p < 0.05",
        "of",
        "at most",
        "smallest p",
        "fit has problems",
        "by NUTS instead",
        "diverged",
        "hours",
        "made",
    ]
    rows = []
    for model, one in known.items():
        said = one["verdict"]
        sets = ", ".join(f"{own['sets']:,} ({name.replace(', ', ' ')})" for name, own in one["groups"].items())
        n = sum(own["sets"] for own in one["groups"].values())
        seen = [own["diagnostics"] for own in one["groups"].values()]
        bad, instead, diverged = (
            sum(own.get(name, 0) for own in seen) for name in ("with_problems", "fell_back_to_nuts", "with_divergences")
        )
        hours = f"{sum(own.get('seconds', 0) for own in seen) / 3600:.1f}"
        for test in ("chi_square", "ecdf"):
            high = ranks.most(said[test]["quantities"])
            first = test == "chi_square"
            rows.append([f"`{model}`" if first else "", sets if first else "", "chi-square" if first else "ECDF", said[test]["below_0.05"],
                         said[test]["quantities"], high, f"{said[test]['smallest']:.2g}",
                         *([f"{bad} of {n}", instead, diverged, hours, max(own["made"] for own in one["groups"].values())] if first else [""] * 5)])  # fmt: skip
    if known:
        small, of = (sum(one["verdict"]["chi_square"][name] for one in known.values()) for name in ("below_0.05", "quantities"))  # fmt: skip
        high = ranks.most(of)
        yield table(header, rows)
        yield f"Over all models: {small} of {of} chi-square p-values below 0.05, at most {high} wanted."
        for model, one in known.items():
            faults = [f"- **`{model}`, {fault}**" for fault in one["verdict"]["faults"]]
            faults += [f"- **`{model}`, {part}**: {words}" for part, words in KNOWN_FAULTS.get(model, {}).items()]
            if faults:
                yield "**What failed, and is not mended:**\n\n" + "\n".join(faults)
        yield "**What failed, and was mended:**\n\n" + "\n".join(f"- {words}" for words in MENDED)
        yield "What so many sets can find with a chance of 80 %: at a p-value of 1 % of one quantity named beforehand, and at the 1e-4 that the verdict asks of each."
        yield table(["sets", "p below", "a posterior mean off by, SD", "an SD too small by a factor of", "too large by"], [
            [n if alpha == ranks.ALPHA else "", f"{alpha:g}", *(_or_none(can[name]) for name in ("shift", "sd_too_small", "sd_too_large"))]
            for n, both in sorted(_detectable(known).items()) for alpha, can in both.items()
        ])  # fmt: skip
        for model in known:
            yield f"![Calibration of {model}](evidence/calibration_{model}.png)"
    lacking = {
        model: [name for name in records.names(model) if name not in known.get(model, {"groups": {}})["groups"]]
        for model in SETS
    }
    listed = [f"`{model}` ({'; '.join(names)})" for model, names in lacking.items() if names]
    if listed:
        yield f"**Not run yet**: {', '.join(listed)}. The command, simulators and densities are there: `python -m tests.evidence.calibration MODEL`."


def _detectable(known: Mapping[str, Any]) -> dict[int, Mapping[float, Mapping[str, Any]]]:
    return {own["sets"]: {ranks.ALPHA: own["detectable"], ranks.FEWEST: own["detectable_by_verdict"]}
            for one in known.values() for own in one["groups"].values()}  # fmt: skip


def _or_none(value: float | None) -> str:
    return "no such fault" if value is None else f"{value:g}"


def coverage() -> Iterator[str]:
    """Coverage of the primary estimand of each model, over the sets of the calibration."""
    rows = list(_covered())
    if not rows:
        return
    yield "## Coverage"
    yield (f"Equal-tailed intervals of each primary estimand over the same sets: truths drawn from the priors, so that promised and found agree but for Monte Carlo error. "
           f"`within`: {ranks.COVERAGE_ERRORS} standard errors, beyond which about one interval in a hundred lies by chance; a fault is a p-value below 0.01 over "
           "the number of the model's intervals.")  # fmt: skip
    yield "![Coverage of intervals](evidence/coverage.png)"
    yield table(["model", "sets", "quantity", "50 %", "90 %", "95 %", "within"], [
        [f"`{model}`", f"{n:,} ({name})", f"`{component}`", *(f"{100 * hits / n:.1f}" for hits in own.values()),
         "yes" if all(ranks.covers(hits, n, float(level)) for level, hits in own.items()) else "**no**"]
        for model, name, n, component, own in rows
    ])  # fmt: skip


def _covered() -> Iterator[tuple[str, str, int, str, Mapping[str, int]]]:
    for model, one in calibrations().items():
        for name, own in one["groups"].items():
            for component, hits in own["covered"].items():
                yield model, name, own["sets"], component, hits


def references() -> Iterator[str]:
    """Numbers that other programs found."""
    record = read(OWN / "references.json")
    yield "## Numbers of other programs"
    yield (
        "The script that made each number is in `tests/evidence/references`, ours is the fit of this package that should give it. A tolerance was set before anything was compared: Monte Carlo errors of both sides where priors are "
        "the same, a share of the posterior SD where a likelihood is maximised instead. `python -m tests.evidence.references table`."
    )
    yield "![Distances from other programs](evidence/references.png)"
    yield table(["whose", "by", "quantities", "largest distance, tolerances"], [
        [f"{one['model']}: `{one['reference']}`", one["by"], len(one["rows"]), f"{max(row[4] for row in one['rows']):.2f}"] for one in record["references"]
    ])  # fmt: skip


def engines() -> Iterator[str]:
    """Both engines on the same trials."""
    record = read(TESTED / "agreement.json")
    yield "## The marginal engine against long NUTS runs"
    yield f"Trials of {len(record['verdicts'])} models, each fitted by NUTS with at least 10,000 effective draws and by the marginal engine (`{record['by']}`). Shares of trials whose mean is within 0.05 SD, SD within 5 %, and probability of the primary estimand within what the Monte Carlo error of NUTS alone, or those of both engines, allow."
    yield table(["model", "trials", "mean", "SD", "probability, error of NUTS alone", "probability, errors of both", "flagged by itself", "made"], [
        [f"`{model}`", one["sets"], f"{100 * one['mean']:.0f} %", f"{100 * one['sd']:.0f} %", f"{100 * one['p']:.1f} %", f"{100 * one['agree_with_both_errors']:.1f} %", one["flagged"], record["made"][model]]
        for model, one in record["verdicts"].items()
    ])  # fmt: skip
    for words in dict.fromkeys(EARLIER.values()):
        yield (
            f"To be made again, since they are of the engine {words}: "
            + ", ".join(f"`{model}`" for model, own in EARLIER.items() if own == words)
            + "."
        )


def recoveries() -> Iterator[str]:
    """Fixed truths of the size of a trial."""
    activity, antibody, bounded, shared = (read(TESTED / f"{name}.json") for name in ("activity", "antibody", "bounded", "shared"))  # fmt: skip
    rows: list[list[Any]] = []
    for name, record, part in (("sle_activity", activity, activity["model"]), ("als_antibody", antibody, antibody["coverage"]["model"])):  # fmt: skip
        rows += [[f"`{name}`", f"`{which}`", record["model"]["trials"] if name == "sle_activity" else record["coverage"]["trials"],
                  f"{one['mean_error']:+.3f} ({one['standard_error']:.3f})", _three(one["coverage"]), record["made"]]
                 for which, one in part.items() if isinstance(one, dict) and "coverage" in one]  # fmt: skip
    for name, record in (("als_bounded", bounded), ("als_slope", bounded)):
        one = record[name]
        rows.append([f"`{name}`" + (f", {100 * bounded['share_at_floor']:.0f} % of scores at the floor" if name == "als_bounded" else ", the same trials: the wrong model"), "difference over 12 months", record["trials"],
                     f"{one['bias']:+.3f} ({one['bias_error']:.3f})", _three(one["coverage"]), record["made"]])  # fmt: skip
    for name, one in shared["results"].items():
        rows.append([f"`als_shared`, priors {name}", "`drr`", one["trials"], f"{one['bias']:+.4f} ({one['bias_error']:.4f})",
                     _three({key: hit / one["trials"] for key, hit in one["covered"].items()}), shared["made"]])  # fmt: skip
    yield "## Known truths"
    yield "Truths fixed at the size of published trials, not drawn from priors: intervals then need not cover exactly as promised, but nearly so."
    yield table(["model", "quantity", "trials", "mean error (its SE)", "50/90/95 % intervals cover", "made"], rows)
    yield "Of `als_bounded`, `als_antibody` and `sle_activity` these records hold the hash of the model's page, not that of the engine: a change of the engine does not make them stale, and the date says which they are of. Those of the first two are from before integrals were placed anew (2026-12-01)."
    yield "Beside these: [operating characteristics](power.md) of 10,000 simulated trials a cell, [borrowing](historical.md) against drift, [engines](engines.md)."


def _three(one: Mapping[str, float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in one.values())


def mutations() -> Iterator[str]:
    """Planted bugs."""
    record = read(OWN / "mutations.json")
    kinds = Counter(one["kind"] for one in record["mutations"].values())
    caught = Counter(one["kind"] for one in record["mutations"].values() if one["caught"])
    yield "## Would the tests notice?"
    yield f"Bugs planted one at a time into a copy of the code: {record['caught']} of {record['of']} caught ({record['made']}, `{record['by']}`)."
    yield table(["kind of bug", "planted", "caught"], [[kind, n, caught[kind]] for kind, n in kinds.items()])


def inputs() -> Iterator[str]:
    """Bad input."""
    record = read(OWN / "bad_input.json")
    yield "## Bad input"
    yield (
        "Every case of a long table of faults is refused before sampling with column, row, value and remedy, or read as documented (`tests/test_bad_input.py`). Fuzzing spoils files at random; "
        "each is refused, or read as a parser that shares no line with the package reads it."
    )
    yield table(["reader", "inputs", "accepted", "refused", "failures", "kinds of refusal", "seconds", "made"], [
        [name, f"{one['inputs']:,}", f"{one['accepted']:,}", f"{one['refused']:,}", one["failures"], one["kinds_of_refusal"], one["seconds"], one["made"]]
        for name, one in record.items()
    ])  # fmt: skip


def faults() -> Iterator[str]:
    """Machines that fail."""
    record = read(OWN / "faults.json")
    yield "## Faults of the machine"
    yield "Killed while a fit is saved, a full disk, folders that cannot be written, a home that cannot, two processes at one file: `tests/test_faults.py`. What takes longer:"
    if record is None:
        yield "**Not run yet**: a thousand fits in one process, four processes on an empty cache (`python -m tests.evidence.faults`)."
        return
    cold = record["cold_cache"]
    yield table(["fits in one process", "by", "memory at the end; last third less first, once all is loaded", "more handles", "more threads", "flat"], [
        [f"{one['fits'][-1]:,}", name, f"{np.mean(one['memory_mb'][-5:]):.0f} MB, {one['grown_mb']:+.1f} MB", one["more_handles"], one["more_threads"], "yes" if one["flat"] else "**no**"]
        for name, one in record["fits"].items()
    ])  # fmt: skip
    yield (f"{cold['processes']} processes at once on an empty cache of compiled code took {min(cold['seconds']):.0f} to {max(cold['seconds']):.0f} s, the next one "
           f"{cold['seconds_once_cached']:.0f} s ({record['made']}). Their draws are the same to {cold['largest_difference']:.0e} points/month"
           + ("." if cold["same_bits_once_cached"] else ": **not to the last bit**, since code that was just compiled rounds otherwise than the same code read from the disk."))  # fmt: skip


def effort() -> Iterator[str]:
    """How long it takes to make all of it."""
    own = {
        "calibration": {str(number): one for number, one in enumerate(calibrations().values())},
        **{name: read(TESTED / f"{name}.json") for name in ("shared", "laplace", "bounded", "activity", "sharing", "antibody", "agreement")},
        "agreement references": read(TESTED / "references.json"),
        **{name: read(OWN / f"{name}.json") for name in ("references", "mutations", "faults", "bad_input")},
    }  # fmt: skip
    hours = {step: spent(step, record) for step, record in own.items()}
    known = {step: one for step, one in hours.items() if one is not None}
    yield "## What it takes"
    yield (
        f"`make evidence` does all of this again, step by step, and goes on where it was cut off. Of what is made, {sum(known.values()):.1f} hours of one core of a machine with two, "
        "often with another run beside it, as the records say:"
    )
    yield table(["step", "core hours"], [[f"`{step}`", f"{one:.1f}"] for step, one in known.items()])
    if unsaid := sorted(set(hours) - set(known)):
        yield f"Records from before they said how long they took, minutes to an hour each: {', '.join(f'`{step}`' for step in unsaid)}."


def missing() -> Iterator[str]:
    """What nobody has looked at."""
    yield "## What this does not cover"
    yield """- **Whether a model is right for your patients.** Calibration says that the posterior is that of the model and its priors, nothing of the world. `pg.check` asks the data.
- **Truths far from the priors.** Ranks are uniform on average over the prior; where priors are wide, few sets fall near your truth. The tables of known truths fill in a part.
- **Faults smaller than what the sets can find** (table above), and faults in clauses that no calibrated design uses: covariates, splines, calendar steps, hazards that follow the own rate, flares, regimens. They have tests of equations, limits and recovery, not thousands of sets.
- **Integrals that two quadratures get wrong alike.** The marginal engine compares a quadrature with a finer one placed about the highest point that Newton's method finds, at one point of the proposal in sixteen and 64 at least: where a patient's integral has a second place far from the first, or a region is smaller than a hundredth of the proposal, nothing may be seen. No calibrated model has shown it.
- **Borrowing** is calibrated as a prior of an effect only in so far as the model is; its operating characteristics are in [the page on historical controls](historical.md), by simulation at fixed drifts.
- **Real patients.** Two published pilots, one of them reconstructed; no registry data are in the repository, and PRO-ACT forms are tested with made ones.
- **Macs, Windows, other processors.** Records were made on Linux, x86-64. NUTS draws differ between processors in the last digits and then altogether; summaries agree within Monte Carlo error. `progression selfcheck` is for that."""


def coverage_figure() -> Figure:
    """Found less promised coverage, in Monte Carlo standard errors."""
    rows = list(_covered())
    labels = [f"{model}, {name}: {component}" for model, name, _, component, _ in rows]
    figure = framed(0.21 * len(rows) + 0.9, "Coverage of intervals of the primary estimand, found less promised", source="SIMULATED data, parameters drawn from the model's priors")  # fmt: skip
    axes = tidy(figure.subplots(), grid="x")
    axes.axvspan(-ranks.COVERAGE_ERRORS, ranks.COVERAGE_ERRORS, color=FAINT, linewidth=0)
    axes.axvline(0, color="#9AA0A6", linewidth=0.8)
    for k, level in enumerate(ranks.LEVELS):
        off = [(own[f"{level:g}"] / n - level) / np.sqrt(level * (1 - level) / n) for _, _, n, _, own in rows]
        colours = [FAILED if abs(one) > ranks.COVERAGE_ERRORS else ARM_COLOURS[k + 1] for one in off]
        axes.scatter(off, np.arange(len(rows)) + 0.2 * (k - 1), s=16, c=colours, zorder=3)
        axes.scatter([], [], s=16, color=ARM_COLOURS[k + 1], label=f"{100 * level:g} % intervals")
    axes.set_yticks(np.arange(len(rows)), [plain(label) for label in labels], size=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"Monte Carlo standard errors; grey: within {ranks.COVERAGE_ERRORS}", size=SMALL)
    axes.legend(frameon=False, fontsize=SMALL, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def reference_figure() -> Figure:
    """Every number of another program beside ours, in tolerances."""
    known = read(OWN / "references.json")["references"]
    figure = framed(
        0.24 * len(known) + 0.5,
        "Numbers of other programs: how far ours are from them",
        source="data of others, and SIMULATED data",
    )
    axes = tidy(figure.subplots(), grid="x")
    axes.axvspan(0, 1, color=FAINT, linewidth=0)
    for i, one in enumerate(known):
        units = [row[4] for row in one["rows"]]
        axes.scatter(
            units,
            [i] * len(units),
            s=16,
            color=[FAILED if unit > 1 else ARM_COLOURS[1] for unit in units],
            alpha=0.7,
            zorder=3,
        )
    axes.set_yticks(range(len(known)), [plain(f"{one['reference']} ({one['by']})") for one in known], size=7, color=INK)
    axes.invert_yaxis()
    axes.set_xlabel("tolerances; grey: met", size=SMALL)
    axes.set_title("one dot a quantity", size=MEDIUM, loc="left")
    axes.set_xlim(left=0)
    return figure


def main() -> int:
    """Write page and figures."""
    folder = records.FOLDER
    if list(_covered()):
        write_atomically(folder / "coverage.png", figures.png(coverage_figure()))
    write_atomically(folder / "references.png", figures.png(reference_figure()))
    write_atomically(PAGE, written().encode())
    sys.stdout.write(f"{PAGE} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
