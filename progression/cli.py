"""The command line: the same words as the package."""

from __future__ import annotations

import gc
import math
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

import progression as pg
from progression import power_commands, selfcheck_command
from progression.terminal import console, errors, loaded, steps

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Bayesian models of disease progression: from a table of visits to a posterior contrast.")  # fmt: skip

Visits = Annotated[Path, typer.Argument(help="CSV file: one row a subject and visit.")]
Missing = Annotated[
    list[str] | None, typer.Option(help="Text that stands for a missing value, such as n.d.; may be repeated.")
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of the files, such as cp1252; UTF-8 if omitted.")]
Saved = Annotated[Path, typer.Argument(help="A fit that `progression fit --out` wrote.")]


@app.command()
def models(name: Annotated[str | None, typer.Argument(help="One model, in full.")] = None) -> None:
    """List the models, or show one with its priors, estimands and reference."""
    known = pg.models()
    if name is not None:
        console.print(repr(known[name]), markup=False, highlight=False)
        return
    table = Table("model", "outcomes", "primary estimand", "what it is")
    for row in known.rows():
        table.add_row(*map(escape, row))
    console.print(table)


@app.command()
def fit(
    model: Annotated[str, typer.Argument(help="A model's name; see `progression models`.")],
    visits: Visits,
    time_unit: Annotated[str, typer.Option(help="Unit of the time column: days, weeks, months or years.")],
    subjects: Annotated[Path | None, typer.Option(help="CSV file: one row a subject (arm, covariates).")] = None,
    column: Annotated[list[str] | None, typer.Option(help="standard=own, such as time=week; may be repeated.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Arms, the control first; may be repeated.")] = None,
    outcome: Annotated[list[str] | None, typer.Option(help="Outcome to use; may be repeated.")] = None,
    covariate: Annotated[list[str] | None, typer.Option(help="Covariate of the model; may be repeated.")] = None,
    allocation: Annotated[str | None, typer.Option(help="randomised, historical, unstated, or single arm.")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal mark of the files.")] = ".",
    delimiter: Annotated[str | None, typer.Option(help="Delimiter of the files; found out if omitted.")] = None,
    prior: Annotated[list[str] | None, typer.Option(help="name=Family:key=value,key=value; may be repeated.")] = None,
    preset: Annotated[str | None, typer.Option(help="A named set of priors.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed; drawn and shown if omitted.")] = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    engine: Annotated[str | None, typer.Option(help="nuts or marginal; the model's own choice if omitted.")] = None,
    sampler: Annotated[str | None, typer.Option(help="nutpie or pymc: which NUTS.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save the fit (.nc).")] = None,
    provenance: Annotated[str, typer.Option(help="observed, reconstructed or simulated.")] = "observed",
    missing: Missing = None,
    encoding: Encoding = None,
    month: Annotated[float | None, typer.Option(help="Month of estimands that have one.")] = None,
    strict: Annotated[bool, typer.Option(help="Fail if the fit does not pass the gate.")] = False,
) -> None:
    """Fit a model to a table of visits and print the contrast."""
    chosen = pg.models()[model]
    loaded()
    if out is not None and not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder of {out} does not exist: make it first", param_hint="--out")
    if out is not None:  # before sampling; the tables too may be given by a slip of the hand
        from progression.store import refuse_foreign  # here, so that --help does not load it

        refuse_foreign(out, "fit")
    if month is not None and (month <= 0 or not any("month" in one.at for one in chosen.estimands)):
        raise typer.BadParameter("give a month after 0, of a model whose estimands have one", param_hint="--month")
    warnings.simplefilter("ignore", pg.FitWarning)  # the table says it
    columns = _pairs(column, "--column")
    wanted = set(outcome) if outcome else {one.name for one in chosen.outcomes}
    facts: list[Any] = [one for one in chosen.outcomes if one.name in wanted]
    facts += [name for name in sorted(wanted) if name not in {one.name for one in facts}]
    if not outcome and len(facts) > 1:
        facts = _present(facts, visits, columns, encoding)
    cohort = pg.read_csv(
        visits, subjects, time_unit=time_unit, columns=columns or None, outcomes=facts, arms=arm or None,
        covariates=covariate or None, allocation=allocation, provenance=provenance, decimal=decimal, delimiter=delimiter, name=visits.stem,
        missing=missing or (), encoding=encoding,
    )  # fmt: skip
    done = pg.fit(
        chosen, cohort, priors=preset or _priors(prior), outcomes=outcome or None,
        options={"covariates": covariate} if covariate else None, random_seed=seed, draws=draws, tune=tune,
        chains=chains, engine=engine, sampler=sampler, progressbar=sys.stderr.isatty(), strict=strict,
    )  # fmt: skip
    if out is not None:  # before printing, which a closed pipe may end
        done.save(out)
    console.print(repr(cohort), markup=False, highlight=False)
    _show(done, {} if month is None else {"month": month})
    if out is not None:
        console.print(f"saved to {out}", markup=False, highlight=False)


@app.command()
def contrast(
    saved: Saved,
    estimand: Annotated[list[str] | None, typer.Option(help="Which; all that can be answered if omitted.")] = None,
    month: Annotated[float | None, typer.Option(help="Month of estimands that have one.")] = None,
) -> None:
    """Print the estimands of a saved fit."""
    loaded()
    _show(pg.load(saved), {} if month is None else {"month": month}, estimand)


@app.command()
def check(saved: Saved, draws: int = 1000) -> None:
    """Check a saved fit against its data: the gate, predictive statistics, LOO-PIT. Exit status 1 if it fails."""
    loaded()
    verdict = pg.check(pg.load(saved), draws=draws)
    table = Table("outcome", "arm", "statistic", "month", "observed", "predicted", "95 %", "p", title=None)
    for row in verdict.table.itertuples():
        month = "" if math.isnan(float(str(row.month))) else f"{float(str(row.month)):g}"
        cells = [row.outcome, row.arm, row.statistic, month, f"{row.observed:.3g}", f"{row.predicted:.3g}",
                 f"{row.lower:.3g} to {row.upper:.3g}", f"{row.p:.3f}"]  # fmt: skip
        table.add_row(*(escape(str(cell)) for cell in cells), style=None if row.ok else "bold red")
    console.print(table)
    console.print(repr(verdict), markup=False, highlight=False)
    raise typer.Exit(0 if verdict.passed else 1)


@app.command()
def cafs(
    visits: Visits,
    time_unit: Annotated[str, typer.Option(help="Unit of the time columns: days, weeks, months or years.")],
    subjects: Annotated[Path | None, typer.Option(help="CSV file: one row a subject (arm, event, event_time).")] = None,
    column: Annotated[list[str] | None, typer.Option(help="standard=own, such as time=week; may be repeated.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Arms, the control first; may be repeated.")] = None,
    outcome: Annotated[str, typer.Option(help="The score; higher must be better.")] = "alsfrsr",
    month: Annotated[float | None, typer.Option(help="Horizon, months; all follow-up if omitted.")] = None,
    visit: Annotated[list[float] | None, typer.Option(help="Month of a planned visit; may be repeated.")] = None,
    terminal: Annotated[list[str] | None, typer.Option(help="Event that counts as death; may be repeated.")] = None,
    allocation: Annotated[str | None, typer.Option(help="randomised, historical, unstated, or single arm.")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal mark of the files.")] = ".",
    delimiter: Annotated[str | None, typer.Option(help="Delimiter of the files; found out if omitted.")] = None,
    provenance: Annotated[str, typer.Option(help="observed, reconstructed or simulated.")] = "observed",
    missing: Missing = None,
    encoding: Encoding = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write each patient's wins, losses and rank (.csv).")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Where to draw the ranks (.png, .svg or .pdf).")] = None,
) -> None:
    """Rank patients by survival and function together, and compare the arms: no model, no fit."""
    gc.enable()
    cohort = pg.read_csv(
        visits, subjects, time_unit=time_unit, columns=_pairs(column, "--column") or None, arms=arm or None,
        outcomes=[pg.Outcome(outcome, higher_is_better=True)], allocation=allocation, provenance=provenance, decimal=decimal,
        delimiter=delimiter, name=visits.stem, missing=missing or (), encoding=encoding,
    )  # fmt: skip
    found = pg.cafs(cohort, outcome, month, visits=visit or None, terminal=terminal or ())
    for path in (out, figure):
        if (
            path is not None
            and path.exists()
            and any(path.samefile(one) for one in (visits, subjects) if one is not None)
        ):
            raise typer.BadParameter(
                f"{path} is one of the tables that were read: choose another name", param_hint="--out"
            )
    if out is not None:
        found.scores.to_csv(out)
    if figure is not None:
        pg.plots.ranks(found).savefig(figure)
    console.print(repr(found), markup=False, highlight=False, soft_wrap=True)


@app.command()
def report(
    saved: Annotated[list[Path], typer.Argument(help="One or more saved fits.")],
    out: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("report.html"),
    title: str | None = None,
    month: Annotated[float | None, typer.Option(help="Month of estimands that have one.")] = None,
) -> None:
    """Write one self-contained HTML report of saved fits; that of simulated trials is written by `power --out`."""
    loaded()
    at: dict[str, Any] = {} if month is None else {"month": month}
    written = pg.report([pg.load(path) for path in saved], out, title=title, **at)
    console.print(f"report written to {written}", markup=False, highlight=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the fits and the report.")] = Path("report"),
    draws: int = 1000,
) -> None:
    """Fit the published and the simulated cohorts and write the report: the main job, start to finish."""
    loaded()
    from progression import demo as road  # here, so that --help does not load the models

    done = []
    with steps() as progress:
        task = progress.add_task("compiling and fitting", total=len(road.JOBS) + 1)
        for job, one in road.fits(out / "fits", draws=draws):
            done.append(one)
            state = "; ".join(one.problems) or "passed the gate"
            progress.console.print(
                f"{job.name}: {one.model.name} on {one.cohort.n_subjects} patients, {state}", markup=False
            )
            progress.advance(task)
        progress.update(task, description="checking and writing the report")
        written = road.write_report(done, out / "report.html")
        progress.advance(task)
    for one in done:
        _show(one, {})
    console.print(f"\nThe report: {written}", markup=False, highlight=False)


app.command()(power_commands.power)
app.command()(power_commands.assurance)
app.command()(selfcheck_command.selfcheck)


def main() -> None:
    """Run the command line; what the user can mend is told in words, never as a traceback."""
    gc.disable()  # a quarter of a second of start-up is spent looking for garbage among modules just loaded
    try:
        app()
    except KeyboardInterrupt:
        errors.print("stopped; what was finished is saved")
        raise SystemExit(130) from None
    except Exception as error:  # the package's own errors are looked up only now: loading them takes a second
        from progression.chunks import RunError

        if not isinstance(error, pg.InputError | pg.StoreError | pg.FitError | RunError):
            raise
        errors.print(str(error), markup=False, highlight=False, style="red")
        raise SystemExit(2) from None


def _show(done: Any, at: dict[str, Any], estimands: list[str] | None = None) -> None:
    found = pg.contrast(done, estimands, **at)
    table = Table("estimand", "mean", "95 % interval", "MC error", title=escape(done.header()), title_justify="left",
                  box=box.SIMPLE_HEAD, show_lines=False)  # fmt: skip
    words = found.labels()
    for index, row in found.summary().iterrows():
        interval = f"{row['eti95_lb']:.3g} to {row['eti95_ub']:.3g}"
        name = f"{escape(words[str(index)])}\n[dim]{escape(str(index))}[/dim]"
        table.add_row(name, f"{row['mean']:.3g}", interval, f"{row['mcse_mean']:.1g}")
    console.print(table)
    for warning in found.warnings:
        console.print(f"WARNING: {warning}", markup=False, highlight=False, style="red")
    for assumption in found.assumptions():
        console.print(f"rests on: {assumption}", markup=False, highlight=False)


def _pairs(given: list[str] | None, option: str, form: str = "standard=own") -> dict[str, str]:
    wrong = [text for text in given or [] if "=" not in text]
    if wrong:
        raise typer.BadParameter(f"{wrong} must be written {form}", param_hint=option)
    return dict(text.split("=", 1) for text in given or [])


def _priors(given: list[str] | None) -> dict[str, Any] | None:
    if not given:
        return None
    made = {}
    form = "name=Family:key=value,key=value, such as sd_slope=HalfNormal:sigma=1"
    for name, text in _pairs(given, "--prior", form).items():
        family, _, rest = text.partition(":")
        if not rest or not family.isidentifier():
            raise typer.BadParameter(f"{name}={text!r} must be written {form}", param_hint="--prior")
        try:
            made[name] = pg.Prior(
                family, **{key: float(value) for key, value in _pairs(rest.split(","), "--prior", form).items()}
            )
        except ValueError as error:
            if isinstance(error, pg.InputError):
                raise
            raise typer.BadParameter(f"{text!r}: {error}", param_hint="--prior") from error
    return made


def _present(facts: list[Any], visits: Path, columns: dict[str, str], encoding: str | None) -> list[Any]:
    """Those outcomes of a model that the file has a column for; all of them if none, so that the reader names them."""
    try:
        with open(visits, encoding=encoding or "utf-8-sig", errors="replace") as file:
            header = file.readline()
    except (LookupError, OSError):  # the reader says it
        return facts
    return [one for one in facts if columns.get(one.name, one.name) in header] or facts
