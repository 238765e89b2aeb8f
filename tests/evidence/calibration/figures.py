"""ECDF of the ranks less that of uniform ones, one panel a regime and road, with the band that all of it should stay within."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from progression.plots.style import ARM_COLOURS, FAILED, FAINT, INK, MEDIUM, SMALL, framed, tidy
from tests.evidence.calibration import ranks

_ALPHA = 0.05


def ecdf_differences(model: str, groups: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A line a quantity; the log-likelihood thick, those outside the band of 1e-4 red and named."""
    rows = -(-len(groups) // 2)
    n_quantities = sum(len(own["quantities"]) for own in groups.values())
    expected = int(np.ceil(_ALPHA * n_quantities))
    legend = [Line2D([], [], color=ARM_COLOURS[1], linewidth=0.8, alpha=0.6, label="a parameter, estimand or patient's effect"),
              Line2D([], [], color=INK, linewidth=2, label="log-likelihood"),
              Line2D([], [], color=FAILED, linewidth=1.6, label=f"p below {ranks.FEWEST:g}"),
              Patch(facecolor=FAINT, label=f"95 % band of one line; {expected} of {n_quantities} leave it by chance")]  # fmt: skip
    title = f"{model}: ranks of simulated truths among {ranks.DRAWS} posterior draws, ECDF less the uniform one"
    figure = framed(2.5 * rows, title, source="SIMULATED data, parameters drawn from the model's priors", legend=legend)
    panels = np.atleast_1d(figure.subplots(rows, 2, squeeze=False)).ravel()
    for axes, (name, own) in zip(panels, groups.items(), strict=False):
        _panel(tidy(axes), name, own)
    for axes in panels[len(groups) :]:
        axes.set_visible(False)
    return figure


def _panel(axes: Axes, name: str, own: Mapping[str, Any]) -> None:
    n, at = own["sets"], np.arange(1, ranks.DRAWS + 1) / (ranks.DRAWS + 1)
    low, high = ranks.band(n, _ALPHA)
    axes.fill_between(at, low - at, high - at, color=FAINT, step="mid", linewidth=0)
    axes.axhline(0, color="#9AA0A6", linewidth=0.8)
    failed = []
    for quantity, one in own["quantities"].items():
        share = np.cumsum(np.array(one["counts"].split(), int))[:-1] / n
        joint, bad = quantity == "log-likelihood", min(one["ecdf"], one["chi_square"]) < ranks.FEWEST
        colour = FAILED if bad else INK if joint else ARM_COLOURS[1]
        axes.plot(at, share - at, color=colour, linewidth=2 if joint else 1.6 if bad else 0.8, alpha=1 if joint or bad else 0.5,
                  zorder=3 if joint or bad else 2)  # fmt: skip
        failed += [quantity] if bad else []
    axes.set_title(f"{name}: {n} sets, {len(own['quantities'])} quantities", size=MEDIUM, loc="left")
    if failed:
        axes.text(0.02, 0.03, ", ".join(failed[:4]), color=FAILED, size=SMALL, transform=axes.transAxes)
    axes.set_xlim(0, 1)
    axes.set_xlabel("rank / 100", size=SMALL)
    axes.set_ylabel("ECDF difference", size=SMALL)


def png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, format="png", dpi=130, metadata={"Software": None})
    return held.getvalue()
