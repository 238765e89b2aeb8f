"""Clauses that an option switches on, as data by subject: regimens and periods of a platform trial, links to mortality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from progression.faults import SettingError, setting_fault, suggest
from progression.modeling import Model

MORTALITY = ("shared", "separate", "linked")
EVENT = ("at random", "shared")

Array = tuple[tuple[str, ...], np.ndarray]
Made = tuple[dict[str, Array], dict[str, list[Any]]]


def encode_groups(subjects: pd.DataFrame, options: Mapping[str, Any]) -> Made:
    """Indicators of regimens and periods, from the columns that the options of these names give.

    Returns
    -------
    arrays, coords
        `on_regimen` (subject, regimen), `on_later_regimen` without the first regimen, `since_period` (subject,
        later_period): 1 for a subject of that period or a later one, so that steps add up. Dims `regimens` and
        `periods` have length one where the clause is in use, zero otherwise, for parameters that belong to it.

    Raises
    ------
    SettingError
        Where a column is not there, or a subject has no label.
    """
    labels: dict[str, list[Any]] = {}
    index: dict[str, np.ndarray] = {}
    faults = []
    for option in ("regimen", "period"):
        column = options.get(option)
        if column is None:
            labels[option], index[option] = [], np.zeros(len(subjects), int)
        elif column not in subjects:
            faults.append(setting_fault(option, column, f"is no column of the subjects{suggest(str(column), subjects.columns)}",
                                        "name one, and keep it with covariates= when making the cohort"))  # fmt: skip
        elif subjects[column].isna().any():
            lost = subjects.index[subjects[column].isna()][0]
            faults.append(
                setting_fault(option, column, f"is empty for subject {lost!r}", "fill it in for every subject")
            )
        else:
            values = subjects[column]
            labels[option] = sorted(values.unique(), key=lambda one: (str(type(one)), one))
            index[option] = values.map({label: i for i, label in enumerate(labels[option])}).to_numpy(int)
    if faults:
        raise SettingError(faults)
    regimens, periods = labels["regimen"], labels["period"]
    on = (index["regimen"][:, None] == np.arange(len(regimens))).astype(float)
    since = (index["period"][:, None] >= np.arange(1, max(len(periods), 1))).astype(float)
    arrays: dict[str, Array] = {
        "on_regimen": (("subject", "regimen"), on), "on_later_regimen": (("subject", "later_regimen"), on[:, 1:]),
        "since_period": (("subject", "later_period"), since),
    }  # fmt: skip
    coords = {"regimen": regimens, "later_regimen": regimens[1:], "regimens": ["all"] * bool(regimens),
              "later_period": periods[1:], "periods": ["all"] * (len(periods) > 1)}  # fmt: skip
    return arrays, coords


def encode_calendar(subjects: pd.DataFrame, column: str) -> tuple[list[str], np.ndarray]:
    """Steps of a drift over calendar time: a column a period but the first, 1 for a subject who entered before it.

    Returns
    -------
    labels : list of str
        Such as ``"before 2021"``; empty where there is no drift.
    entered : array, shape (subjects, steps)
    """
    if not column:
        return [], np.zeros((len(subjects), 0))
    values = subjects[column]
    periods = sorted(values.unique(), key=lambda one: (str(type(one)), one))
    at = values.map({label: i for i, label in enumerate(periods)}).to_numpy(int)
    words = [f"before {label:g}" if isinstance(label, int | float) else f"before {label}" for label in periods[1:]]
    return words, (at[:, None] < np.arange(1, len(periods))).astype(float)


def encode_mortality(options: Mapping[str, Any], active: Sequence[str], on_arm: np.ndarray) -> Made:
    """How treatment reaches the hazard: through the ratio on function, through one of its own, or by the own rate too.

    Raises
    ------
    SettingError
        For an unknown value of the option `mortality`.
    """
    how = options.get("mortality", "shared")
    if how not in MORTALITY:
        raise SettingError([
            setting_fault("mortality", how, f"is unknown{suggest(str(how), MORTALITY)}", f"use one of {', '.join(MORTALITY)}")
        ])  # fmt: skip
    separate = list(active) if how == "separate" else []
    shared = [] if how == "separate" else list(active)
    link = ["rate"] if how == "linked" else []
    n = len(on_arm)
    arrays: dict[str, Array] = {
        "on_shared_arm": (("subject", "shared_arm"), on_arm[:, : len(shared)]),
        "on_separate_arm": (("subject", "separate_arm"), on_arm[:, : len(separate)]),
        "linked": (("subject", "hazard_link"), np.ones((n, len(link)))),
    }  # fmt: skip
    return arrays, {"shared_arm": shared, "separate_arm": separate, "hazard_link": link}


def events_in_use(model: Model, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Events that a fit with these options observes: all but those that an option of their own name leaves out.

    Raises
    ------
    SettingError
        For an unknown value of such an option.
    """
    faults = [setting_fault(name, options[name], f"is unknown{suggest(str(options[name]), EVENT)}", f"use one of {', '.join(EVENT)}")
              for name in model.events if name in options and options[name] not in EVENT]  # fmt: skip
    if faults:
        raise SettingError(faults)
    return tuple(name for name in model.events if options.get(name) != "at random")


def encode_events(model: Model, options: Mapping[str, Any], n: int) -> Made:
    """`on_event` (subject, event): 1 for every event that an option switches on, for parameters that belong to it."""
    events = [name for name in events_in_use(model, options) if name in options]
    if not set(model.events) & set(options):
        return {}, {}
    return {"on_event": (("subject", "event"), np.ones((n, len(events))))}, {"event": events}
