"""What a contrast says in words: what each component is, and what the comparisons rest on. Nothing here is computed from draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from progression.cohort import Cohort
from progression.components import outcome_dims
from progression.fitted import Fit
from progression.units import months_per

if TYPE_CHECKING:
    from progression.contrasts import Contrast

__all__ = ["allocated", "assumptions", "labels", "window"]


def labels(contrast: Contrast) -> dict[str, str]:
    """In words what each component is: sign, unit and direction."""
    words = {}
    cohort = contrast.fit.cohort
    for index, one in contrast.components().items():
        estimand = contrast.estimands[index.partition("[")[0]]
        known: dict[str, Any] = {str(dim): one.coords[dim].item() for dim in one.coords}
        fields = {
            "control": cohort.arms[0],
            "arm": known.get("active_arm", known.get("arm", _unsaid(cohort, estimand.reference))),
            "visit": _visit(cohort, known.get("followup_visit", 0.0)),
            "window": window(contrast.fit),
            "outcome": "".join(str(known[dim]) for dim in outcome_dims(known)),
        }
        fields |= {name: value for name, value in {**known, **contrast.at}.items() if name not in ("chain", "draw")}
        words[index] = estimand.label.format_map(fields)
    return words


def _unsaid(cohort: Cohort, reference: str) -> str:
    """The arm of a component that has no arm among its labels: an estimand of one's own that dropped or averaged them."""
    treated = [arm for arm in cohort.arms[1:] if arm not in {*cohort.historical_arms, *cohort.brought_in}]
    if "control" not in reference or not treated:
        return cohort.arms[0]
    return (
        treated[0]
        if len(treated) == 1
        else f"arms {', '.join(treated)} (which of them, or their mean, the estimand does not say)"
    )


def _visit(cohort: Cohort, month: float) -> str:
    """A visit in the unit the user's table had: "week 4"."""
    unit = cohort.time_unit
    return f"{unit.removesuffix('s')} {month / months_per[unit]:.3g}"


def window(fit: Fit) -> str:
    """Over which months a slope is an average, where the course may bend in them."""
    end = fit.encoded().coords.get("window")
    return f", average of months 0 to {end[0]:.3g}" if end else ""


def allocated(cohort: Cohort) -> str:
    """How the arms came about, where no way to borrow was given."""
    if cohort.allocation != "historical":
        return {
            "randomised": "randomised arms",
            "single arm": "a single arm, no controls",
            "unstated": "it is not stated whether the arms were randomised: read differences as associations",
        }[cohort.allocation]
    control, brought = cohort.arms[0], [arm for arm in cohort.brought_in if arm in cohort.arms]
    if cohort.brought_in and not brought:
        return "historical controls were left out again, and whether the arms that are left were randomised was not kept: read differences as associations"
    beside = [arm for arm in brought if arm != control]
    extra = (
        f"{', '.join(beside)} came from elsewhere: one more arm, whose distance from {control} has the prior of a treatment's effect; how far it is "
        "trusted was not chosen (borrowing=)"
    )
    if beside and control not in brought:
        treated = len(cohort.arms) > 1 + len(beside)
        return f"treatment is compared with the trial's own control, {control}. {extra}" if treated else extra
    pooled = (
        "the controls are historical: taken as if they were the trial's own, no drift between the cohorts allowed for"
    )
    return f"{pooled}. {extra}" if beside else pooled


def assumptions(contrast: Contrast) -> tuple[str, ...]:
    """What the comparisons rest on, each named once."""
    fit, cohort = contrast.fit, contrast.fit.cohort
    found = [e.assumption for e in contrast.estimands.values() if e.assumption]
    if "borrowing" in fit.settings:
        found.append(str(fit.settings["borrowing"]))
    elif len(cohort.arms) > 1 and cohort.allocation in ("historical", "unstated"):
        found.append(allocated(cohort))
    last = float(cohort.visits["month"].max())
    if contrast.at.get("month", 0.0) > last + 0.5:
        found.append(f"extrapolation: the last visit is at month {last:.3g}, before month {contrast.at['month']:g}")
    # By the posterior, not by the coding: a program may have no use for a baseline of each arm.
    if any("baseline_arm" in one.dims and one.sizes["baseline_arm"] for one in fit.posterior.data_vars.values()):
        found.append("each arm has a baseline of its own: comparisons are adjusted for the difference at baseline")
    return tuple(text for text in dict.fromkeys(found) if not any(other.startswith(text + ";") for other in found))
