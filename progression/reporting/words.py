"""What a report says in words: results in sentences, the attributes of an estimand, tables ready to be read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from progression.cohort import Cohort
from progression.components import outcome_dims
from progression.contrast_words import allocated, window
from progression.contrasts import Contrast
from progression.fitted import Fit
from progression.modeling import Estimand
from progression.plots.words import Component, rounded, share

NO_BREAK = "\N{NO-BREAK SPACE}"
PROVENANCE = {
    "observed": "observed: the values were measured in patients",
    "reconstructed": "RECONSTRUCTED from published summaries: the patients' own values were never published",
    "simulated": "SIMULATED: the values were drawn from a model, no patient stands behind them",
}
# Strategies of ICH E9(R1) for intercurrent events, looked for in what an estimand says it rests on.
_STRATEGIES = ("treatment policy", "hypothetical", "composite", "while on treatment", "principal stratum")


@dataclass(frozen=True)
class Table:
    """A table as text: a row each, some of them marked as failed."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    failed: tuple[bool, ...] = field(default=())

    def marked(self) -> list[tuple[tuple[str, ...], bool]]:
        """Each row with whether it failed."""
        return list(zip(self.rows, self.failed or (False,) * len(self.rows), strict=True))


def allocation(fit: Fit) -> str:
    """How the arms came about, and how far historical controls are trusted where a way to borrow was given."""
    stated = fit.cohort.allocation
    if "borrowing" not in fit.settings:
        return allocated(fit.cohort)
    arms = "controls from elsewhere are among the arms" if stated == "historical" else allocated(fit.cohort)
    return f"{arms}: {fit.settings['borrowing']}"


def drifting(fit: Fit) -> frozenset[str]:
    """Labels whose effects are no treatment's: historical arms and earlier periods, which drift."""
    cohort = fit.cohort
    # Beside a control of the trial's own, whether or not a way to borrow was chosen.
    beside = {*cohort.brought_in} & {*cohort.arms[1:]}
    return frozenset(map(str, (*cohort.historical_arms, *beside, *fit.encoded().coords["earlier"])))


def to(low: float, high: float, spread: float | None) -> str:
    """An interval in words, its digits after the spread."""
    # No line break within an interval.
    return f"{rounded(low, spread)} to {rounded(high, spread)}".replace(" ", NO_BREAK)


def effective(line: Mapping[Hashable, Any]) -> str:
    """Effective draws, bulk and tail, from a row of a summary."""
    return f"{line['ess_bulk']:.0f} / {line['ess_tail']:.0f}".replace(" ", NO_BREAK)


def sentence(one: Component, cohort: Cohort, *, at: Mapping[str, float] | None = None, ci_prob: float = 0.95) -> str:
    """One result as a sentence: what, mean with unit, interval, and how probable a benefit is; `at` are the settings of its contrast."""
    low, high = (rounded(end, one.spread) for end in one.interval(ci_prob))
    unit = f" {one.estimand.unit}" if one.estimand.unit else ""
    mean = rounded(float(one.draws.mean()), one.spread)
    what = one.what[:1].upper() + one.what[1:]
    last = _last_seen(cohort, one.arm)
    if "month" in one.estimand.at and (at or {}).get("month", 0.0) > last + 0.5:
        what += f" (EXTRAPOLATED: nobody was followed beyond month {last:.3g})"
    text = f"{what}: {mean}{unit} ({100 * ci_prob:g} % interval {low} to {high})"
    # A probability of benefit is a direction, which a reconstruction cannot give.
    if one.probability is not None and cohort.provenance != "reconstructed":
        chance = share(one.probability.value, one.probability.mcse).replace("> ", "above ").replace("< ", "below ")
        text += f"; probability of {one.benefit} {chance}"
    return text + "."


def _last_seen(cohort: Cohort, arm: str) -> float:
    """The last month of which anything is known in an arm, by a visit or by follow-up for events; of all where it is no arm's."""
    subjects = cohort.subjects
    subjects = subjects[subjects["arm"] == arm] if (subjects["arm"] == arm).any() else subjects
    visits = cohort.visits
    months = [visits.loc[visits["subject"].isin(subjects.index), "month"]]
    months += [subjects[name].astype(float) for name in ("end_of_follow_up", "event_month") if name in subjects]
    return max((float(own.max()) for own in months if own.notna().any()), default=0.0)


def results(found: Sequence[Component], contrast: Contrast, *, ci_prob: float = 0.95) -> Table:
    """Every component with its interval, its probability of benefit, and how well both are computed."""
    summary = contrast.summary(ci_prob=ci_prob)
    columns = (
        "Quantity",
        "Unit",
        "Mean",
        "SD",
        f"{100 * ci_prob:g} % interval",
        "Probability of benefit (Monte Carlo error)",
        "Effective draws (bulk / tail)",
        "R-hat",
        "Monte Carlo error of the mean",
    )
    rows = []
    for one in found:
        line = summary.loc[one.index].to_dict()
        low, high = one.interval(ci_prob)
        probability = "–"
        if one.probability is not None and contrast.fit.cohort.provenance == "reconstructed":
            probability = "not read off reconstructed data"
        elif one.probability is not None:
            error = f"{one.probability.mcse:.3f}" if one.probability.mcse >= 0.0005 else "< 0.001"
            probability = f"{share(one.probability.value, one.probability.mcse)} ({error})"
        what = one.what + (f" ({one.direction})" if one.direction else "")
        rows.append(
            (
                what,
                one.estimand.unit or ("ratio" if one.estimand.scale == "ratio" else "–"),
                rounded(float(line["mean"]), one.spread),
                rounded(float(line["sd"]), float(line["sd"])),
                to(low, high, one.spread),
                probability,
                effective(line),
                f"{line['r_hat']:.3f}",
                rounded(float(line["mcse_mean"])),
            )
        )
    return Table(columns, tuple(rows))


def attributes(contrast: Contrast) -> Table:
    """The five attributes of ICH E9(R1) for every estimand, "not stated" where nothing is known."""
    cohort = contrast.fit.cohort
    treated = [arm for arm in cohort.arms[1:] if arm not in drifting(contrast.fit)]
    variable = "; ".join(o.title for block in contrast.fit.encoded().blocks.values() for o in block)
    count = f"{cohort.n_subjects} patients of {cohort.name or 'the cohort'}"
    patients = set(cohort.subjects["arm"])
    elsewhere = drifting(contrast.fit) & patients and cohort.arms[0] in patients - {*cohort.brought_in}
    came = "" if elsewhere else f" ({cohort.allocation})"
    rows = []
    for estimand in contrast.estimands.values():
        arms = ", ".join(cohort.arms)
        if "control" in estimand.reference:
            treatment = f"{', '.join(treated)} against {cohort.arms[0]}{came}"
        elif estimand.reference == "baseline":
            treatment = f"{arms}: against its own baseline"
        else:
            treatment = f"{arms}: each arm by itself"
        settings = ", ".join(f"{key} {value:g}" for key, value in contrast.at.items() if key in estimand.at)
        measure = f"posterior mean and interval of the {_measure(estimand.scale)}, {estimand.population}"
        rows.append(
            (
                _spaced(estimand.name),
                f"patients such as the {count}; criteria of entry: not stated here",
                treatment,
                variable + (f"; at {settings}" if settings else ""),
                intercurrent(cohort, estimand.assumption),
                measure,
            )
        )
    return Table(
        ("Estimand", "Population", "Treatment", "Variable", "Intercurrent events", "Summary measure"), tuple(rows)
    )


def _measure(scale: str) -> str:
    return {"difference": "difference", "ratio": "ratio"}.get(scale, "quantity in the arm")


def intercurrent(cohort: Cohort, assumption: str) -> str:
    """Which intercurrent events were recorded and how the estimand deals with them."""
    counts: dict[str, int] = dict(cohort.events["kind"].astype(str).value_counts()) if len(cohort.events) else {}
    if "event" in cohort.subjects:
        counts |= dict(cohort.subjects["event"].dropna().astype(str).value_counts())
    recorded = ", ".join(f"{kind} ({count})" for kind, count in counts.items()) or "none recorded"
    stated = [one for one in _STRATEGIES if one in assumption.lower()]
    strategy = ", ".join(stated) if stated else "not stated; every recorded value was used as it stands"
    return f"{recorded}; strategy: {strategy}"


def questions(contrast: Contrast) -> Table:
    """What was asked: unit, direction, reference, population and assumption of each estimand."""
    rows = []
    for estimand in contrast.estimands.values():
        label = _generic(contrast, estimand)
        better = {"higher": "higher is better", "lower": "lower is better"}.get(estimand.benefit or "", "not stated")
        null = "" if estimand.null is None else f"; no effect at {estimand.null:g}"
        rows.append(
            (
                _spaced(estimand.name),
                label,
                estimand.unit or "none (ratio)",
                better + null,
                estimand.reference,
                estimand.population,
                estimand.assumption or "none beyond the model",
            )
        )
    columns = ("Estimand", "In words", "Unit", "Direction", "Measured against", "Population", "Rests on")
    return Table(columns, tuple(rows))


def _generic(contrast: Contrast, estimand: Estimand) -> str:
    """The label of an estimand with all its arms, visits and outcomes at once."""
    coords = contrast.draws[estimand.name].coords
    titles = outcome_titles(contrast.fit)

    def every(*dims: str) -> str:
        labels: list[Any] = next((coords[dim].to_numpy().tolist() for dim in dims if dim in coords), [])
        words = [f"{x:.1f}" if isinstance(x, float) else titles.get(x, str(x)) for x in labels]
        return " or ".join(np.atleast_1d(words))

    text = estimand.label.replace("{visit:.1f}", every("followup_visit", "visit")).replace(
        "{outcome}", every(*outcome_dims(contrast.draws[estimand.name].dims))
    )
    text = text.replace("{window}", window(contrast.fit))
    text = text.replace("{control}", contrast.fit.cohort.arms[0]).replace("{arm}", every("active_arm", "arm"))
    for key in estimand.at:
        text = text.replace(f"{{{key}:g}}", f"{contrast.at[key]:g}")
    return text


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def outcome_titles(fit: Fit) -> dict[str, str]:
    """How each outcome is called in words, by name."""
    seen = [outcome for block in fit.encoded().blocks.values() for outcome in block]
    return {outcome.name: outcome.label or _spaced(outcome.name) for outcome in (*fit.cohort.outcomes, *seen)}


def assumptions(contrast: Contrast) -> tuple[str, ...]:
    """What the comparisons rest on, each clause once."""
    clauses = [clause for text in contrast.assumptions() for clause in text.split("; ")]
    return tuple(dict.fromkeys(clauses))


def cohort_table(fit: Fit) -> Table:
    """One column an arm: what is known of the patients."""
    titles, table = outcome_titles(fit), fit.cohort.table()
    table = table[table.index.isin(fit.cohort.subjects["arm"])]  # a concurrent control in whom there is nobody
    names = [_renamed(str(name), titles) for name in table.columns]
    cells = table.T.to_numpy()
    rows = tuple((name, *(str(cell) for cell in line)) for name, line in zip(names, cells, strict=True))
    return Table(("", *(str(arm) for arm in table.index)), rows)


def _renamed(column: str, titles: Mapping[str, str]) -> str:
    for name, title in titles.items():
        if column == name or column.startswith(f"{name} "):
            return title + column[len(name) :]
    return _spaced(column)
