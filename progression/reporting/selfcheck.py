"""The page that `progression selfcheck` writes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from progression.plots.selfchecks import self_check as draw
from progression.reporting.pictures import Picture, embedded, rendered
from progression.reporting.words import Table
from progression.selfcheck import SelfCheck
from progression.store import write_atomically

_CAPTION = (
    "Left: posterior means of als_slope on the simulated trial of the package, less what NumPy alone computed; grey is how far Monte Carlo error goes. "
    "Right: ranks of true values among posterior draws, one line a quantity; grey is where 99 % of single values lie if all is right. SIMULATED data."
)


def write(found: SelfCheck, path: str | Path) -> Path:
    """Write the findings, the figure and what the machine is, as one HTML file that loads nothing.

    Parameters
    ----------
    found : SelfCheck
    path : str or Path
        Written whole or not at all.
    """
    rows = tuple((one.name, "passed" if one.passed else "FAILED", one.found, one.wanted, f"{one.seconds:.1f} s") for one in found.findings)  # fmt: skip
    findings = Table(("Check", "", "Found", "Wanted", "Took"), rows, tuple(not one.passed for one in found.findings))
    html = rendered("selfcheck.html.j2", title="Self-check of this installation", passed=found.passed, findings=findings,
                picture_=Picture(embedded(draw(found)), _CAPTION), machine=Table(("", ""), tuple(found.machine.items())),
                failed=[one.name for one in found.findings if not one.passed], made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))  # fmt: skip
    return write_atomically(Path(path), html.encode())
