"""The command that checks an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from progression.terminal import console, loaded, steps

__all__ = ["selfcheck"]


def selfcheck(
    out: Annotated[Path, typer.Option(help="Where to write the report (.html).")] = Path("selfcheck.html"),
    cores: Annotated[int, typer.Option(help="Workers for the calibration.")] = 1,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 1,
) -> None:
    """Check that engines, seeds and files work on this machine as published; exit status 1 if not. A minute or two."""
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"the folder of {out} does not exist: make it first", param_hint="--out")
    loaded()
    from progression import selfcheck as checks  # here, so that --help does not load the models
    from progression.reporting.selfcheck import write

    done = None
    with steps(transient=True) as progress:
        task = progress.add_task("checking", total=checks.count())
        for done in checks.check_this_machine(cores=cores, random_seed=seed):
            one = done.findings[-1]
            progress.console.print(f"{'passed' if one.passed else 'FAILED'}  {one.name}: {one.found}", markup=False, highlight=False, soft_wrap=True,
                                   style=None if one.passed else "bold red")  # fmt: skip
            progress.advance(task)
    assert done is not None
    written = write(done, out)
    console.print(f"{'all passed' if done.passed else 'SOME FAILED'}; report written to {written}", markup=False, highlight=False)  # fmt: skip
    raise typer.Exit(0 if done.passed else 1)
