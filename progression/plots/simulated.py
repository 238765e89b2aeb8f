"""What all figures of operating characteristics share: their frame, and what is said of trials that failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from progression.characteristics import OperatingCharacteristics
from progression.faults import SettingError, setting_fault
from progression.plots.style import ARM_COLOURS, framed, shortened

SERIES = (*ARM_COLOURS[1:], ARM_COLOURS[0])


def simulated_by(oc: OperatingCharacteristics) -> str:
    """Where the numbers come from, as it stands below every figure."""
    return f"{oc.records.n:,} SIMULATED trials for each design and truth, analysed by {oc.settings['model']}"


def doubts(oc: OperatingCharacteristics) -> tuple[str, ...]:
    """What failed or was flagged, and between what success would lie under both extreme treatments of it."""
    table = oc.table
    found = []
    for (design, truth), own in table[(table["failed"] > 0) | (table["flagged"] > 0)].groupby(
        level=["design", "truth"], sort=False
    ):
        row = own.iloc[int(own["flagged"].argmax())]
        found.append(f"{f'{design}, ' if len(oc.designs) > 1 else ''}{truth}: of {oc.records.n:,} trials {row['failed']:.0f} failed and {row['flagged']:.0f} were "
                     f"flagged; success lies between {row['if_flagged_fail']:.1%} and {row['if_flagged_succeed']:.1%} however they are counted")  # fmt: skip
    return tuple(found)


def figure_of(
    oc: OperatingCharacteristics, height: float, title: str, legend: Sequence[Artist], *, left_out: int = 0
) -> Figure:
    """An empty figure that says how many trials were simulated, what failed, and what is left out."""
    told = [f"WARNING: {text}" for text in doubts(oc)]
    told = (
        told if len(told) <= 3 else [*told[:2], f"WARNING: so in {len(told)} of {len(oc.cells)} cells: see the table"]
    )
    told += [f"{left_out} more designs and truths are not drawn: see the table"] * (left_out > 0)
    return framed(height, title, source=simulated_by(oc), problems=told, legend=legend)


def cell_label(oc: OperatingCharacteristics, cell: tuple[str, str], width: int) -> str:
    """A truth, with its design where there are several."""
    return shortened(f"{cell[0]}: {cell[1]}" if len(oc.designs) > 1 else cell[1], width)


def check_rule(oc: OperatingCharacteristics, rule: int) -> None:
    """Raise SettingError unless there is a rule of that number."""
    if isinstance(rule, bool) or not isinstance(rule, int | np.integer) or not 0 <= rule < len(oc.rules):
        raise SettingError([setting_fault("rule", rule, "is not the place of a rule", f"give 0 to {len(oc.rules) - 1}")])  # fmt: skip
