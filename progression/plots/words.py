"""The components of a contrast, and what rules are about, in words and rounded numbers, for figures and reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from progression.characteristics import OperatingCharacteristics
from progression.components import outcome_dims
from progression.contrasts import Contrast
from progression.modeling import Estimand
from progression.rules import Probability, Rule

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, eq=False)
class Component:
    """One number that a contrast is about.

    Attributes
    ----------
    index : str
        Its row in the summary, such as ``slope_difference[treated]``.
    estimand : Estimand
    draws : xarray.DataArray
        Dims (chain, draw).
    what : str
        What it is, without unit and direction: "slope, treated minus control".
    direction : str
        How its sign reads: "positive = slower decline"; may be empty.
    benefit : str
        What its good direction means: "slower decline"; "benefit" where the label does not say.
    arm : str
        The arm it speaks of, or empty.
    spread : float
        How finely its numbers are worth writing: a quarter of the 95 % interval, the median over those of one unit.
    probability : Probability or None
        That it lies on the good side of its null value; None where it has no null or no good side.
    """

    index: str
    estimand: Estimand
    draws: xr.DataArray
    what: str
    direction: str
    benefit: str
    arm: str
    spread: float
    probability: Probability | None

    def interval(self, ci_prob: float) -> tuple[float, float]:
        """Equal-tailed interval."""
        low, high = np.quantile(self.draws, [(1 - ci_prob) / 2, (1 + ci_prob) / 2])
        return float(low), float(high)


def components(contrast: Contrast) -> list[Component]:
    """Every component of a contrast, in the order of its summary."""
    labels, found = contrast.labels(), []
    spreads = _spreads(contrast)
    titles = {outcome.name: outcome.label or outcome.name.replace("_", " ")
              for block in contrast.fit.encoded().blocks.values() for outcome in block}  # fmt: skip
    for index, draws in contrast.components().items():
        estimand = contrast.estimands[index.partition("[")[0]]
        # The tail of the template has no fields, so it ends the filled label letter by letter.
        tail = estimand.label.rpartition(", ")[2]
        direction = tail if " = " in tail and "{" not in tail else ""
        what = labels[index].removesuffix(f", {direction}") if direction else labels[index]
        if estimand.unit:
            what = what.removesuffix(f", {estimand.unit}")
        known = {str(dim): draws.coords[dim].item() for dim in draws.coords if dim not in ("chain", "draw")}
        for one in outcome_dims(known) if "{outcome}" in estimand.label else []:
            what = what.replace(str(known[one]), titles.get(known[one], str(known[one])))
        probability = None
        if estimand.null is not None and estimand.benefit is not None:
            better = ">" if estimand.benefit == "higher" else "<"
            labelled = {key: value for key, value in known.items() if key in contrast.draws[estimand.name].dims}
            probability = contrast.probability(better, estimand.null, estimand=estimand.name, **labelled)
        arm, meaning = str(known.get("active_arm", known.get("arm", ""))), _benefit(estimand, direction)
        spread = spreads[estimand.scale, estimand.unit]
        found.append(Component(index, estimand, draws, what, direction, meaning, arm, spread, probability))
    return found


def _spreads(contrast: Contrast) -> dict[tuple[str, str], float]:
    # From the interval: the standard deviation of a ratio may be huge where its denominator comes near zero.
    found: dict[tuple[str, str], list[float]] = {}
    for index, draws in contrast.components().items():
        estimand = contrast.estimands[index.partition("[")[0]]
        low, high = np.quantile(draws, [0.025, 0.975])
        found.setdefault((estimand.scale, estimand.unit), []).append(float(high - low) / 4)
    return {key: float(np.median(widths)) for key, widths in found.items()}


def _benefit(estimand: Estimand, direction: str) -> str:
    side, _, meaning = direction.partition(" = ")
    sides = {"positive": "higher", "above": "higher", "negative": "lower", "below": "lower"}
    said = sides.get(side.partition(" ")[0])
    return meaning if meaning and said == estimand.benefit else "benefit"


def rounded(value: float, spread: float | None = None) -> str:
    """A number with the digits that its spread (a standard deviation) leaves any meaning, two digits of the spread.

    >>> rounded(0.03124, 0.17)
    '0.03'
    """
    if not math.isfinite(value):
        return "not computable" if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    size = abs(value) if spread is None or not math.isfinite(spread) or spread <= 0 else spread
    if spread is None and value and (size >= 1e6 or size < 1e-4):
        return f"{value:.2e}".replace("-", MINUS)
    places = 2 if size == 0 else min(max(1 - math.floor(math.log10(size)) + (spread is None), 0), 6)
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def share(value: float, mcse: float = 0.0) -> str:
    """A probability with the digits that its Monte Carlo error leaves; never a bare 0 or 1."""
    # A third digit only near the ends, where it matters, and where it is known.
    places = 3 if mcse <= 0.002 and min(value, 1 - value) < 0.01 else 2
    edge = 10.0**-places
    if value > 1 - edge / 2:
        return f"> {1 - edge:.{places}f}"
    return f"< {edge:.{places}f}" if value < edge / 2 else f"{value:.{places}f}"


@dataclass(frozen=True)
class Asked:
    """What a rule is about: "slope, treated minus control", "points/month", "positive = slower decline"."""

    what: str
    unit: str
    direction: str

    def axis(self, beginning: str = "") -> str:
        """Label of an axis of its values."""
        return f"{beginning}{self.what}" + (f" ({self.unit})" if self.unit else "") + (f"\n{self.direction}" if self.direction else "")  # fmt: skip


def asked(oc: OperatingCharacteristics, rule: Rule) -> Asked:
    """The estimand of a rule in words, arms as in the first design; its bare name where nothing more is known."""
    labels = dict(rule.labels)
    if rule.estimand not in oc.wording:
        return Asked(f"{rule.estimand}{''.join(f', {key} {value}' for key, value in labels.items())}", "", "")
    label, unit = oc.wording[rule.estimand]
    arms = list(next(iter(oc.designs.values())).arms)
    treated = arms[1] if len(arms) == 2 else "treated" if len(arms) > 2 else arms[0]
    fields = {"arm": labels.get("active_arm", labels.get("arm", treated)), "window": ""}
    if "followup_visit" in labels:
        fields["visit"] = f"month {labels['followup_visit']:.3g}"
    text = label.format_map(_Fields({**fields, **labels}))
    tail = text.rpartition(", ")[2]
    direction = tail if " = " in tail else ""
    what = text.removesuffix(f", {direction}") if direction else text
    return Asked(what.removesuffix(f", {unit}") if unit else what, unit, direction)


class _Fields(dict[str, Any]):
    """Fields of a label; one that a rule says nothing of stands by its name."""

    def __missing__(self, key: str) -> _Word:
        return _Word(key)


class _Word(str):
    """A text where the label expects a number."""

    def __format__(self, spec: str) -> str:
        return str(self)
