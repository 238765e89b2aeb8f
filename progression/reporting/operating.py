"""What a report says of simulated trials: the design, the rules, how often they are met, and under what settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from progression import plots
from progression.characteristics import OperatingCharacteristics, wilson
from progression.design_words import parts
from progression.plots.simulated import doubts, simulated_by
from progression.plots.words import asked, rounded
from progression.reporting.pictures import Picture, embedded
from progression.reporting.words import NO_BREAK, Table
from progression.run_identity import versions

_DRAWN = 3  # rules and designs that get a picture of their own


@dataclass(frozen=True)
class SimulatedTrials:
    """All that the report says of one `OperatingCharacteristics`."""

    key: str
    title: str
    data: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    sentences: tuple[str, ...]
    designs: tuple[tuple[str, Table], ...]
    tables: Mapping[str, Table]
    pictures: Mapping[str, Picture]
    stopping: tuple[Picture, ...]
    estimates: tuple[Picture, ...]
    trials: tuple[Picture, ...]


def simulated_trials(oc: OperatingCharacteristics, key: str) -> SimulatedTrials:
    """Sentences, tables and pictures of one `OperatingCharacteristics`."""
    source = f" {simulated_by(oc)}."
    rules = range(min(len(oc.rules), _DRAWN))
    named = {index: f" {oc.rules[index]}." if len(oc.rules) > 1 else "" for index in rules}
    kinds = list(dict.fromkeys(oc.table["what"]))
    truths = {truth for _, truth in oc.cells}
    return SimulatedTrials(
        key=key,
        title=f"{', '.join(oc.designs)}: {' and '.join(kinds)} by {oc.settings['model']}",
        data=f"{oc.records.n:,} simulated trials for each of {_count(len(oc.designs), 'design')} under {_count(len(truths), 'truth')}, analysed by {oc.settings['model']}",
        problems=doubts(oc),
        notes=oc.notes,
        sentences=tuple(_sentences(oc)),
        designs=tuple((label, Table(("", ""), tuple(parts(design)))) for label, design in oc.designs.items()),
        tables={"rules": _rules(oc), "truths": _truths(oc), "success": _success(oc), "varying": _varying(oc), "ends": _ends(oc),
                "estimates": _estimates(oc), "settings": _settings(oc)},
        pictures={"power": Picture(embedded(plots.power(oc)), "How often each rule is met." + source)},
        stopping=tuple(Picture(embedded(plots.stopping(oc, rule=i)), f"Shares of trials stopped by each analysis, cumulative.{named[i]}{source}") for i in rules),
        estimates=tuple(Picture(embedded(plots.estimates(oc, rule=i)), f"Posterior means of the trials, at the analysis that decided.{named[i]}{source}") for i in rules),
        trials=tuple(
            Picture(embedded(plots.trial(design, random_seed=oc.settings["random_seed"])),
                    f"Accrual and follow-up of one SIMULATED trial of {label}, as far as the design says by itself: without deaths of a model.")
            for label, design in list(oc.designs.items())[:_DRAWN]
        ),
    )  # fmt: skip


def percent(share: float) -> str:
    """A share as a percentage; finer near the ends."""
    places = 2 if min(share, 1 - share) < 0.005 and 0 < share < 1 else 1
    return f"{100 * share:.{places}f}{NO_BREAK}%" if math.isfinite(share) else "not known"


def interval(row: Mapping[str, Any]) -> str:
    """Success with its Monte Carlo interval: "1.6 % (0.3 to 8.3 %)"."""
    return _between(row["success"], row["lower"], row["upper"])


def _between(share: float, low: float, high: float) -> str:
    return f"{percent(share)} ({100 * low:.1f} to {100 * high:.1f} %)".replace(" ", NO_BREAK)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n != 1 else ''}"


def _lines(oc: OperatingCharacteristics) -> Iterator[tuple[int, tuple[str, ...], dict[str, Any]]]:
    """Number of the rule, what names the row, and its values."""
    for place, ((design, truth, rule), row) in enumerate(oc.table.iterrows()):
        names = [design] * (len(oc.designs) > 1) + [truth] + [rule] * (len(oc.rules) > 1)
        yield place % len(oc.rules), tuple(map(str, names)), dict(row)


def _columns(oc: OperatingCharacteristics, *others: str) -> tuple[str, ...]:
    names = ["Design"] * (len(oc.designs) > 1) + ["Truth"] + ["Rule"] * (len(oc.rules) > 1)
    return (*names, *others)


def _sentences(oc: OperatingCharacteristics) -> Iterator[str]:
    for number, names, row in _lines(oc):
        where = ", ".join(names[: len(names) - (len(oc.rules) > 1)])
        yield (f"{where}: {row['what']} {interval(row)}, the share of trials that meet {oc.rules[number]}; on average {row['patients']:.0f} patients "
               f"and {row['months']:.1f} months.")  # fmt: skip


def _rules(oc: OperatingCharacteristics) -> Table:
    rows = []
    for one in oc.rules:
        words = asked(oc, one)
        rows.append(
            (
                repr(one),
                words.what,
                words.unit or "none (ratio)",
                words.direction or "not stated",
                f"{one.comparison} {one.value:g}",
                f"{one.probability:g}",
            )
        )
    return Table(
        ("Rule", "Of what", "Unit", "Direction", "Statement", "Met where its probability exceeds"), tuple(rows)
    )


def _truths(oc: OperatingCharacteristics) -> Table:
    seen: dict[str, str] = {}
    for cell in oc.records.identity["job"]["cells"]:
        fixed = f"; in their place {_text(cell['fixed'])}" if cell["fixed"] else ""
        seen.setdefault(cell["truth"], f"{_text(cell['drawn from'])}{fixed}")
    return Table(("Truth", "Trials are drawn from"), tuple(seen.items()))


def _success(oc: OperatingCharacteristics) -> Table:
    rows, doubtful = [], []
    for _, names, row in _lines(oc):
        closed = percent(row["closed_form"]) if math.isfinite(row["closed_form"]) else "–"
        lost = f"{row['failed']:.0f} / {row['flagged']:.0f}"
        doubt = row["failed"] + row["flagged"] > 0
        ends = f"{percent(row['if_flagged_fail'])} to {percent(row['if_flagged_succeed'])}" if doubt else "–"
        rows.append((*names, row["what"], interval(row), closed, lost, ends))
        doubtful.append(bool(doubt))
    columns = _columns(
        oc, "What it is", "Rule met (95 % Monte Carlo interval)", "Closed form", "Failed / flagged", "At the extremes"
    )
    return Table(columns, tuple(rows), tuple(doubtful))


def _varying(oc: OperatingCharacteristics) -> Table:
    rows = tuple((*names, percent(row["true_share"]), percent(row["success_if_true"]), percent(row["success_if_false"]))
                 for _, names, row in _lines(oc) if row["what"] == "assurance")  # fmt: skip
    return Table(_columns(oc, "Statement true of", "Met where true", "Met where false"), rows)


def _ends(oc: OperatingCharacteristics) -> Table:
    rows = tuple((*names, percent(row["stop_success"]), percent(row["stop_futility"]), _with_error(row, "patients"), _with_error(row, "months"))
                 for _, names, row in _lines(oc))  # fmt: skip
    return Table(
        _columns(oc, "Stopped early for success", "Stopped for futility", "Patients, mean", "Months, mean"), rows
    )


def _estimates(oc: OperatingCharacteristics) -> Table:
    rows = []
    for number, names, row in _lines(oc):
        unit, spread, trials = asked(oc, oc.rules[number]).unit, float(row["posterior_sd"]), int(row["trials"])
        true = bias = cover = "not known"
        if math.isfinite(row["true"]):
            true = f"{rounded(row['true'], spread)} {unit}".strip()
            bias = f"{rounded(row['bias'], row['bias_se'])} ± {rounded(row['bias_se'], row['bias_se'])}".replace(
                " ", NO_BREAK
            )
            cover = _between(row["coverage"], *wilson(round(row["coverage"] * trials), trials))
        error = row["estimate_sd"] / math.sqrt(trials)
        rows.append((*names, true, rounded(row["estimate"], error), bias, cover, rounded(row["width"], spread), rounded(spread, spread),
                     rounded(row["estimate_sd"], spread)))  # fmt: skip
    prob = 100 * float(oc.settings["interval"])
    return Table(_columns(oc, "True value, mean", "Estimate, mean", "Bias", f"Coverage of the {prob:g} % interval", "Its width, mean", "Posterior SD, mean",
                          "SD of estimates between trials"), tuple(rows))  # fmt: skip


def _with_error(row: Mapping[str, Any], name: str) -> str:
    error = row[f"{name}_se"]
    return f"{row[name]:.1f} ± {error:.1f}".replace(" ", NO_BREAK) if math.isfinite(error) and error > 0 else f"{row[name]:.1f}"  # fmt: skip


def _settings(oc: OperatingCharacteristics) -> Table:
    identity = oc.records.identity
    job = identity["job"]
    shown = {
        key: value for key, value in oc.settings.items() if key not in ("model", "n_trials", "random_seed", "interval")
    }
    rows = [("Data", "SIMULATED: the values were drawn from a model or from patients of other studies, no trial stands behind them"),
            ("Model of the analysis", str(oc.settings["model"])), ("Trials simulated by", _text(job["simulated by"])),
            ("Options of the simulation", _text(job["simulation options"])),
            ("Trials for each design and truth", f"{oc.records.n:,}"), ("Random seed", str(identity["random_seed"])), ("Trials in a chunk", str(identity["chunk"])),
            ("Settings of the analysis", "; ".join(f"{key} = {_text(value)}" for key, value in shown.items())),
            *((f"Fingerprint of {label} (SHA-256)", design.fingerprint) for label, design in oc.designs.items()),
            ("Versions", ", ".join(f"{name} {number}" for name, number in versions().items()))]  # fmt: skip
    return Table(("", ""), tuple(rows))


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {
        "kind",
        "distribution",
        "parameters",
    }:  # a prior as a run is known by
        return (
            f"{value['distribution']}({', '.join(f'{key}={_text(one)}' for key, one in value['parameters'].items())})"
        )
    if isinstance(value, Mapping):
        value = {key: one for key, one in value.items() if key != "kind"}
        return (
            ", ".join(
                f"{key} ({_text(one)})"
                if isinstance(one, Mapping) and "distribution" not in one
                else f"{key} {_text(one)}"
                for key, one in value.items()
            )
            or "none"
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
