"""Definitions of response in lupus, as plain rules: give them to ``progression.responders``.

Each takes what was seen at baseline and what is seen now. Events that end a patient's chance of response (flare, rescue, stopping the
drug) are no part of a rule: they are intercurrent events, and `responders` asks how each counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["bicla_style", "fewer_joints", "sri_style"]

Rule = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


def fewer_joints(share: float = 0.5) -> Rule:
    """At least `share` fewer active joints, tender and swollen together; without active joints at baseline nobody responds."""

    def rule(start: Mapping[str, Any], now: Mapping[str, Any]) -> Any:
        before = start["tender_joints"] + start["swollen_joints"]
        return (before > 0) & (now["tender_joints"] + now["swollen_joints"] <= (1 - share) * before)

    return rule


def sri_style(share: float = 0.5, worse_vas: float = 10.0) -> Rule:
    """After the SLE Responder Index: joints improved by `share`, and the global VAS (mm) no more than `worse_vas` higher.

    The index asks for four points of SELENA-SLEDAI (arthritis is four), no new BILAG A or two B, and a global assessment less than 0.3
    points (10 mm) worse. Of these, joints and VAS are in this cohort: Furie et al. (2009), Arthritis Rheum 61:1143.
    """
    improved = fewer_joints(share)
    return lambda start, now: improved(start, now) & (now["vas"] <= start["vas"] + worse_vas)


def bicla_style(share: float = 0.5, raised_crp: float = 1.5) -> Rule:
    """After BICLA: every count that was raised is lower by `share`, nothing that was quiet has become active, CRP not `raised_crp`-fold.

    BICLA asks for improvement in all BILAG systems active at entry, none worse, no worse SLEDAI and global assessment, and no
    treatment failure: Wallace et al. (2014), Ann Rheum Dis 73:183. What stands here is its shape, on the outcomes of this cohort.
    """

    def rule(start: Mapping[str, Any], now: Mapping[str, Any]) -> Any:
        better = [
            np.where(start[name] > 0, now[name] <= (1 - share) * start[name], now[name] <= 0)
            for name in ("tender_joints", "swollen_joints")
        ]
        active = start["tender_joints"] + start["swollen_joints"] > 0
        return active & better[0] & better[1] & (now["crp_mg_dl"] <= raised_crp * start["crp_mg_dl"])

    return rule
