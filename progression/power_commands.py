"""The commands that simulate trials: power and assurance, from one TOML file."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

import progression as pg
from progression.terminal import console, loaded

__all__ = ["assurance", "power"]

File = Annotated[Path, typer.Argument(help="TOML file: a design, and what is to be simulated.")]
Trials = Annotated[int | None, typer.Option(help="Trials for each truth, in the place of the file's.")]
Seed = Annotated[int | None, typer.Option(help="Random seed, in the place of the file's; drawn if neither is given.")]
Cores = Annotated[int | None, typer.Option(help="Workers; -1 for all. Results do not depend on it.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run, report.html, table.csv and synopsis.txt; given again it resumes or grows."),
]
Report = Annotated[Path | None, typer.Option(help="Where to write the report, if not into the folder of --out.")]
Title = Annotated[str | None, typer.Option(help="Title of the report.")]


def power(
    file: File, out: Out = None, trials: Trials = None, seed: Seed = None, cores: Cores = None, report: Report = None,
    title: Title = None,
) -> None:  # fmt: skip
    """Simulate trials of a design and say how often its rule is met, as the file's table `power` says."""
    loaded()
    from progression.power_file import read_power  # here, so that --help does not load it

    read = read_power(file)
    _run("power", read.design, {**read.given}, out=out, trials=trials, seed=seed, cores=cores, report=report, title=title)  # fmt: skip


def assurance(
    file: File, pilot: Annotated[Path | None, typer.Option(help="A saved fit to draw truths from, in the place of the file's prior.")] = None,
    out: Out = None, trials: Trials = None, seed: Seed = None, cores: Cores = None, report: Report = None, title: Title = None,
) -> None:  # fmt: skip
    """The same where the truth is believed, not known: the file's table `assurance`, or a pilot's fit."""
    loaded()
    from progression.power_file import read_assurance

    read = read_assurance(file)
    given, saved = {**read.given}, pilot or read.pilot
    if saved is not None:
        given["prior"] = pg.load(saved)
    if given.get("prior") is None:
        raise typer.BadParameter(f"{file} holds no table [assurance.prior] and names no pilot: give one", param_hint="--pilot")  # fmt: skip
    _run("assurance", read.design, given, out=out, trials=trials, seed=seed, cores=cores, report=report, title=title)


def _run(
    what: str, design: Any, given: dict[str, Any], *, out: Path | None, trials: int | None, seed: int | None, cores: int | None,
    report: Path | None, title: str | None,
) -> None:  # fmt: skip
    if report is not None and not report.absolute().parent.is_dir():  # before an hour of simulations
        raise typer.BadParameter(f"the folder of {report} does not exist: make it first", param_hint="--report")
    from progression.store import refuse_foreign

    for page in (report, None if out is None else out / "report.html"):
        if page is not None:
            refuse_foreign(page, "report")
    if trials is not None:
        given["n_trials"] = trials
    if seed is not None:
        given["random_seed"] = seed
    console.print(repr(design), markup=False, highlight=False, emoji=False, soft_wrap=True)
    begin = time.monotonic()
    simulate = pg.power if what == "power" else pg.assurance
    found = simulate(design, given.pop("model"), given.pop("rule"), cores=cores, path=out, **given)
    taken = timedelta(seconds=round(time.monotonic() - begin))
    written = _written(found, design, out, report, title)  # before printing, which a closed pipe may end
    _show(found)
    resumed = f", {found.records.resumed:,} of them there already" if found.records.resumed else ""
    console.print(f"{found.records.n:,} trials for each truth{resumed}, random seed {found.settings['random_seed']}, took {taken}", markup=False,
                  highlight=False, emoji=False)  # fmt: skip
    for path in written:
        console.print(f"written: {path}", markup=False, highlight=False, emoji=False, soft_wrap=True)


def _written(found: Any, design: Any, out: Path | None, report: Path | None, title: str | None) -> list[Path]:
    from progression.store import write_atomically

    made = []
    if out is not None:
        made.append(write_atomically(out / "table.csv", found.table.to_csv().encode()))
        made.append(write_atomically(out / "synopsis.txt", f"{design!r}\n\n{found!r}\n".encode()))
    page = report if report is not None else out / "report.html" if out is not None else None
    return made if page is None else [*made, pg.report(found, page, title=title)]


def _show(found: Any) -> None:
    from progression.reporting.operating import interval, percent

    several = len(found.rules) > 1
    title = escape(f"{found.records.n:,} SIMULATED trials for each truth, analysed by {found.settings['model']}"
                   + ("" if several else f"; {found.rules[0]}"))  # fmt: skip
    # Within 80 columns, as terminals and logs have: no name may be cut, so that what a share is of stands below its truth.
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("truth", min_width=14, overflow="fold")
    if several:
        table.add_column("rule", min_width=12, overflow="fold")
    for heading in (
        "rule met\n(95 %)",
        "closed\nform",
        "early:\nsuccess\n/ futility",
        "mean\npatients",
        "mean\nmonths",
    ):
        table.add_column(heading, no_wrap=True)
    for (_, truth, rule), row in found.table.iterrows():
        closed = percent(row["closed_form"]) if math.isfinite(row["closed_form"]) else "–"
        share, _, between = interval(row).partition("(")
        cells = [f"{truth}\n({row['what']})", *([rule] if several else []), f"{share.rstrip()}\n({between}", closed, f"{100 * row['stop_success']:.1f} / {percent(row['stop_futility'])}",
                 f"{row['patients']:.0f}", f"{row['months']:.1f}"]  # fmt: skip
        table.add_row(*(escape(str(cell)) for cell in cells))
    console.print(table)
    from progression.plots.simulated import doubts

    for text in doubts(found):
        console.print(f"WARNING: {text}", markup=False, highlight=False, emoji=False, style="red")
    for text in found.notes:
        console.print(f"note: {text}", markup=False, highlight=False, emoji=False)
