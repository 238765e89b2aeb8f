"""Truths by label: what a user lists, on top of what all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from progression.faults import Fault, SettingError, setting_fault
from progression.fitted import Fit
from progression.resampling import Patients

__all__ = ["labelled"]


def labelled(truths: Any, base: Any = None) -> dict[str, tuple[Any, dict[str, Any] | None]]:
    """Label -> (truth, fixed), as `simulate` takes them.

    Parameters
    ----------
    truths : sequence, or mapping of label to truth
        Mappings, fits, `Patients`. Listed ones are called by what they differ in.
    base : mapping or Fit, optional
        What a mapping is put on top of.

    Raises
    ------
    SettingError
        With every one that is no truth.
    """
    faults: list[Fault] = []
    if base is not None and not isinstance(base, Mapping | Fit):
        faults.append(
            setting_fault(
                "base",
                type(base).__name__,
                "is neither a mapping of parameters nor a fit",
                "give what all truths share",
            )
        )
    one_truth = False
    if isinstance(truths, Mapping):
        listed, labels = list(truths.values()), [str(label) for label in truths]
        one_truth = bool(listed) and not any(isinstance(one, Mapping | Fit | Patients) for one in listed)
        if one_truth:
            faults.append(
                setting_fault(
                    "truths", ", ".join(labels), "is one truth, not several", "put it into a list: truths=[{...}]"
                )
            )
    elif isinstance(truths, Sequence) and not isinstance(truths, str):
        listed = list(truths)
        labels = _labels(listed)
    else:
        listed, labels = [], []
    if not listed:
        faults.append(
            setting_fault(
                "truths", str(truths), "is no list of truths", 'give [{"slope_ratio": 1}, {"slope_ratio": 0.7}]'
            )
        )
    for label, one in zip(labels, listed, strict=True):
        if not isinstance(one, Mapping | Fit | Patients) and not one_truth:
            faults.append(
                setting_fault(
                    f"truths[{label!r}]",
                    str(one),
                    "is neither parameters, nor a fit, nor patients",
                    "give one of these",
                )
            )
    for label in dict.fromkeys(one for one in labels if labels.count(one) > 1):
        faults.append(
            setting_fault("truths", label, "stands there twice", "leave one out, or give labels: {label: truth}")
        )
    if faults:
        raise SettingError(faults)
    return {label: _on_top(one, base) for label, one in zip(labels, listed, strict=True)}


def _on_top(truth: Any, base: Any) -> tuple[Any, dict[str, Any] | None]:
    if not isinstance(truth, Mapping) or base is None:
        return (dict(truth), None) if isinstance(truth, Mapping) else (truth, None)
    return (base, dict(truth)) if isinstance(base, Fit) else ({**base, **truth}, None)


def _labels(listed: Sequence[Any]) -> list[str]:
    """What each differs in from the others: "drr 0.7"."""
    maps = [one for one in listed if isinstance(one, Mapping)]
    names = list(dict.fromkeys(name for one in maps for name in one))
    if len(maps) > 1:
        names = [name for name in names if len({_word(one.get(name, "not given")) for one in maps}) > 1] or names
    made = []
    for one in listed:
        if isinstance(one, Mapping):
            made.append(", ".join(f"{name} {_word(one[name])}" for name in names if name in one) or "as the base")
        else:
            made.append(f"posterior of {one.model.name}" if isinstance(one, Fit) else repr(one))
    return made


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{label} {_word(one)}" for label, one in value.items())
    if isinstance(value, np.ndarray | list | tuple):
        return str(np.asarray(value).tolist())
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)
