"""What the self-check compared: a reference beside our numbers, and ranks of truths."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from progression.plots.style import ARM_COLOURS, FAILED, FAINT, INK, MEDIUM, SMALL, framed, message, plain, tidy
from progression.selfcheck import NEAR, SelfCheck
from progression.truth_ranks import RANKED

__all__ = ["self_check"]

_LEVEL = 0.99


def self_check(found: SelfCheck) -> Figure:
    """Draw distances from the reference, and the ECDF of the ranks less that of uniform ones.

    Parameters
    ----------
    found : SelfCheck

    Returns
    -------
    matplotlib.figure.Figure
        On the right a band that 99 % of single ranks stay within: pointwise, where the test that decides is one for all ranks.
    """
    problems = [f"FAILED: {one.name}: {one.found}" for one in found.findings if not one.passed]
    figure = framed(2.9, "Self-check of this installation", source="SIMULATED data", problems=problems)
    left, right = figure.subplots(1, 2)
    _distances(tidy(left, grid="x"), found)
    _ranks(tidy(right), found)
    return figure


def _distances(axes: Axes, found: SelfCheck) -> None:
    if not found.distances:
        return message(axes, "The reference has not been compared with.")
    names, values = list(found.distances), np.array(list(found.distances.values()))
    axes.axvspan(-NEAR[0], NEAR[0], color=FAINT, linewidth=0)
    axes.axvline(0, color="#9AA0A6", linewidth=0.8)
    colours = [FAILED if abs(value) > NEAR[0] else ARM_COLOURS[1] for value in values]
    axes.scatter(values, np.arange(len(names)), color=colours, s=28, zorder=3)
    axes.set_yticks(np.arange(len(names)), [plain(name) for name in names])
    axes.invert_yaxis()
    most = max(1.5 * NEAR[0], 1.15 * float(np.abs(values).max()))
    axes.set_xlim(-most, most)
    axes.set_xlabel("posterior mean less the reference, posterior SDs", size=SMALL)
    axes.set_title("als_slope against NumPy alone", size=MEDIUM, loc="left", color=INK)
    return None


def _ranks(axes: Axes, found: SelfCheck) -> None:
    if not found.ranks:
        return message(axes, "No truths have been ranked.")
    n = len(next(iter(found.ranks.values())))
    share = np.arange(1, RANKED + 1) / (RANKED + 1)
    low, high = (stats.binom.ppf(p, n, share) / n - share for p in ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    axes.fill_between(share, low, high, color=FAINT, linewidth=0)
    axes.axhline(0, color="#9AA0A6", linewidth=0.8)
    for number, own in enumerate(found.ranks.values()):
        below = (own[:, None] < np.arange(1, RANKED + 1)).mean(axis=0)
        axes.plot(
            share, below - share, color=INK if number == 0 else ARM_COLOURS[1], linewidth=1.8 if number == 0 else 0.9
        )
    first = next(iter(found.ranks))
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"rank / {RANKED + 1}; black: {first}", size=SMALL)
    axes.set_title(f"ECDF of {n} ranks less the uniform one", size=MEDIUM, loc="left", color=INK)
    return None
