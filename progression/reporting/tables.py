"""Tables and verdicts of a report: events, checks, priors, parameters, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from progression.checking import Check, PriorCheck
from progression.cohort import Cohort
from progression.fitted import Fit
from progression.modeling import Prior
from progression.plots.words import Component, rounded
from progression.reporting.words import PROVENANCE, Table, allocation, effective, outcome_titles, to


def events_table(cohort: Cohort) -> Table:
    """Intercurrent events, a row each."""
    rows = tuple(
        (str(row["subject"]), f"{row['month']:.1f}", str(row["kind"]), _text(row.get("note")))
        for row in cohort.events.to_dict("records")
    )
    return Table(("Patient", "Month", "Event", "Note"), rows)


def checks_table(check: Check) -> Table:
    """The statistics of a check, failures first."""
    titles = outcome_titles(check.fit)
    rows, failed = [], []
    ordered = check.table.sort_values("ok", kind="stable") if len(check.table) else check.table
    for row in ordered.to_dict("records"):
        width = float(row["upper"] - row["lower"]) / 4
        when = "all visits" if np.isnan(row["month"]) else f"{row['month']:.3g}"
        tail = f"{row['p']:.3f}" if row["p"] >= 0.001 else "< 0.001"
        rows.append(
            (
                titles.get(row["outcome"], row["outcome"]),
                str(row["arm"]),
                row["statistic"],
                when,
                rounded(row["observed"], width or 0.01),
                rounded(row["predicted"], width or 0.01),
                to(row["lower"], row["upper"], width or 0.01),
                tail,
                "as predicted" if row["ok"] else "NOT as predicted",
            )
        )
        failed.append(not row["ok"])
    columns = (
        "Outcome",
        "Arm",
        "Statistic",
        "Month",
        "Observed",
        "Predicted",
        "95 % of replicates",
        "Tail probability",
        "Verdict",
    )
    return Table(columns, tuple(rows), tuple(failed))


def verdict(check: Check) -> str:
    """What the predictive checks found, in a sentence."""
    total = len(check.table)
    wrong = int((~check.table["ok"].astype(bool)).sum()) if total else 0
    if not total:
        return "Too few patients and visits for any predictive statistic: whether the model fits cannot be judged."
    if check.passed:
        return (
            f"Passed: the sampler converged, all {total} statistics of the data lie where data replicated from the fit "
            "put them, and single values are spread as predicted (LOO-PIT)."
        )
    found = f"all {total} statistics lie where replicated data put them, but see the problems listed"
    if wrong:
        found = f"{wrong} of {total} statistics lie where replicated data hardly ever do"
    return f"FAILED: {found}."


def priors_table(fit: Fit) -> Table:
    """The prior of each parameter, and whether it is the model's default."""
    rows = []
    for name, prior in fit.priors.items():
        default = fit.model.priors.get(name)
        same = isinstance(prior, Prior) and isinstance(default, Prior) and repr(prior) == repr(default)
        used = name not in fit.posterior or fit.posterior[name].size > 0
        state = "default" if same else f"replaces {default!r}"
        rows.append((name, repr(prior), state if used else f"{state}; not in use here"))
    return Table(("Parameter", "Prior", "Default?"), tuple(rows))


def prior_estimands(prior: PriorCheck, found: Sequence[Component]) -> Table:
    """What the priors say of each estimand before any data, beside what the data made of it."""
    rows = []
    for one in found:
        if one.index not in prior.estimands.index:
            continue
        before, (low, high) = prior.estimands.loc[one.index].to_dict(), one.interval(0.95)
        width = float(before["97.5%"] - before["2.5%"]) / 4
        narrower = (high - low) / (before["97.5%"] - before["2.5%"]) if width else float("nan")
        rows.append(
            (
                one.what,
                one.estimand.unit or "–",
                rounded(before["50%"], width),
                to(before["2.5%"], before["97.5%"], width),
                to(low, high, one.spread),
                f"{100 * narrower:.0f} %",
            )
        )
    columns = (
        "Quantity",
        "Unit",
        "Prior median",
        "Prior 95 % interval",
        "Posterior 95 % interval",
        "Posterior width / prior width",
    )
    return Table(columns, tuple(rows))


def parameters_table(fit: Fit) -> Table:
    """Posterior summary of the population parameters."""
    rows = []
    for name, line in fit.summary().to_dict("index").items():
        spread = float(line["sd"])
        interval = to(line["eti95_lb"], line["eti95_ub"], spread)
        rows.append(
            (
                str(name),
                rounded(line["mean"], spread),
                rounded(spread),
                interval,
                effective(line),
                f"{line['r_hat']:.3f}",
                rounded(line["mcse_mean"]),
            )
        )
    columns = (
        "Parameter",
        "Mean",
        "SD",
        "95 % interval",
        "Effective draws (bulk / tail)",
        "R-hat",
        "Monte Carlo error of the mean",
    )
    return Table(columns, tuple(rows))


def gate_sentence(fit: Fit) -> str:
    """What the gate read, in a sentence."""
    d, sizes = fit.diagnostics, fit.posterior.sizes
    if d.table.empty:
        return "No convergence statistics are known."
    low = min(d.table["ess_bulk"].min(), d.table["ess_tail"].min())
    state = "The gate was NOT passed" if fit.problems else "The gate was passed"
    stats: Any = fit.idata["sample_stats"] if "sample_stats" in fit.idata.children else {}
    if "pareto_k" in stats:
        k, share = float(stats["pareto_k"].max()), float(stats["importance_share"].min())
        return (
            f"{state}: {sizes['chain']} x {sizes['draw']} independent draws by the marginal engine, at least {low:.0f} of them "
            f"effective, R-hat at most {d.table['r_hat'].max():.3f}, Pareto k of the weights {k:.2f}, {share:.0%} of the "
            f"weighted points effective, error of the integral over patients {float(stats['quadrature_error'].max()):.2g}."
        )
    bfmi = f"{min(d.bfmi):.2f}" if d.bfmi else "not reported"
    return (
        f"{state}: {sizes['chain']} chains of {sizes['draw']} draws, R-hat at most {d.table['r_hat'].max():.3f}, "
        f"at least {low:.0f} effective draws, {d.divergences} divergences, {d.deep_trees} draws at the greatest tree "
        f"depth, E-BFMI from {bfmi}."
    )


def provenance_table(fit: Fit, seed: int) -> Table:
    """Where everything comes from: data, model, settings, versions."""
    cohort = fit.cohort
    settings = ", ".join(f"{key} = {value}" for key, value in fit.settings.items())
    options = ", ".join(f"{key} = {_text(value)}" for key, value in fit.options.items()) or "none"
    rows: list[tuple[str, str]] = [
        ("Data", PROVENANCE[cohort.provenance]),
        ("Source", cohort.source or "not stated"),
        ("Fingerprint of the cohort (SHA-256)", cohort.fingerprint),
        ("Arms", f"{', '.join(cohort.arms)}: {allocation(fit)}"),
        ("Model", f"{fit.model.name}: {fit.model.title}"),
        ("Reference of the model", fit.model.reference),
        ("Outcomes", ", ".join(fit.outcomes)),
        ("Options", options),
        ("Settings of the sampler", settings),
        ("Seed of the checks in this report", str(seed)),
        ("Versions", ", ".join(f"{name} {number}" for name, number in fit.versions.items()) or "not recorded"),
    ]
    return Table(("", ""), tuple(rows))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
