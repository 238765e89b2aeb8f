"""Forest plots of contrasts."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from progression.contrasts import Contrast
from progression.faults import check_probability, check_type
from progression.plots.style import (
    INK,
    SMALL,
    arm_colour,
    log_ticks,
    new_figure,
    plain,
    shortened,
    tidy,
)
from progression.plots.words import Component, components, rounded

__all__ = ["forest"]

_KINDS = {"difference": "difference", "ratio": "ratio", "direct": "in each arm"}


def forest(contrast: Contrast, *, ci_prob: float = 0.95) -> Figure:
    """Forest plot of every component of a contrast.

    Parameters
    ----------
    contrast : Contrast
    ci_prob : float
        Probability of the equal-tailed interval drawn thin; the thick one holds 50 %.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each scale and unit: ratios on a log axis, quantities of single arms last and without a null line.
        The direction of benefit stands above each axis, but not of reconstructed data, which show none.

    Raises
    ------
    SettingError
        If `ci_prob` is not a probability.
    """
    check_type("contrast", contrast, Contrast, "give what pg.contrast returned")
    check_probability("ci_prob", ci_prob)
    groups: dict[tuple[str, str], list[Component]] = {}
    for one in components(contrast):
        groups.setdefault((one.estimand.scale, one.estimand.unit), []).append(one)
    panels = sorted(groups.items(), key=lambda item: item[0][0] == "direct")  # stable: the primary one stays first
    heights = [sum(0.24 * _lines(one) + 0.16 for one in members) + 0.72 for _, members in panels]
    title = f"{contrast.fit.model.name}, {contrast.fit.cohort.name or 'cohort'}: mean and {100 * ci_prob:g} % interval"
    figure = new_figure(sum(heights), contrast.fit, title, warnings=contrast.warnings)
    # Tick labels and the numbers at the right are measured in the same way in every panel, so the axes line up.
    all_axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, ((scale, unit), members) in zip(all_axes, panels, strict=True):
        _panel(axes, contrast, members, scale, unit, ci_prob)
    return figure


def _lines(one: Component) -> int:
    return len(textwrap.wrap(one.what, 46))


def _panel(axes: Axes, contrast: Contrast, members: list[Component], scale: str, unit: str, ci_prob: float) -> None:
    cohort = contrast.fit.cohort
    position, positions, ends = 0.0, [], []
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    # A ratio whose draws are not all positive has no logarithm: then the axis stays linear.
    log = scale == "ratio" and all(one.interval(ci_prob)[0] > 0 for one in members)
    for one in members:
        position += _lines(one) / 2
        low, high = one.interval(ci_prob)
        inner = one.interval(0.5)
        colour = arm_colour(cohort, one.arm or cohort.arms[-1])
        axes.plot([low, high], [position, position], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(inner, [position, position], color=colour, linewidth=5, solid_capstyle="butt")
        mean, spread = float(one.draws.mean()), one.spread
        axes.plot(mean, position, "o", color="white", markeredgecolor=colour, markeredgewidth=1.8, markersize=7)
        numbers = f"{rounded(mean, spread)}  ({rounded(low, spread)} to {rounded(high, spread)})"
        axes.text(1.02, position, numbers, transform=beside, va="center", size=SMALL, color=INK)
        positions.append(position)
        ends += [low, high]
        position += _lines(one) / 2 + 0.66
    tidy(axes, grid="x")
    axes.set_ylim(position - 0.2, -0.4)
    texts = [plain(textwrap.fill(one.what, 46)) for one in members]
    axes.set_yticks(positions, texts)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    null = members[0].estimand.null
    if null is not None:
        ends.append(null)
        axes.axvline(null, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    if log:
        axes.set_xscale("log")
        room = (max(ends) / min(ends)) ** 0.06
        axes.set_xlim(min(ends) / room, max(ends) * room)
        log_ticks(axes, "x")
    else:
        room = 0.06 * max(max(ends) - min(ends), 1e-9)
        axes.set_xlim(min(ends) - room, max(ends) + room)
        axes.locator_params(axis="x", nbins=7)
    logged = ", log axis" if log else ""
    axes.set_xlabel(plain(f"{_KINDS[scale]}{', ' + unit if unit else ''}{logged}"), size=SMALL, color=INK)
    left, right = _sides(contrast, members)
    for at, text, side in ((0, left, "left"), (1, right, "right")):
        axes.text(at, 1.01, text, transform=axes.transAxes, ha=side, va="bottom", size=SMALL, color=INK, style="italic")


def _sides(contrast: Contrast, members: list[Component]) -> tuple[str, str]:
    """What lies to the left and to the right of the null, in words; nothing of reconstructed data, which show no direction."""
    first = members[0]
    goods = {one.estimand.benefit for one in members}
    if contrast.fit.cohort.provenance == "reconstructed" or len(goods) > 1 or first.estimand.benefit is None:
        return "", ""
    if first.estimand.null is None:
        good, bad = "better", "worse"
    elif "control" in first.estimand.reference:
        arms = list(dict.fromkeys(one.arm for one in members))
        good = f"favours {shortened(arms[0], 22) if len(arms) == 1 and arms[0] else 'the active arm'}"
        bad = f"favours {shortened(contrast.fit.cohort.arms[0], 22)}"
    else:
        good, bad = (f"better: {first.benefit}" if first.benefit != "benefit" else "better"), "worse"
    left, right = (bad, good) if first.estimand.benefit == "higher" else (good, bad)
    return f"← {left}", f"{right} →"
