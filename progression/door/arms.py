"""Codes of arms become labels, control first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from progression.door.cells import Spot, is_absent
from progression.door.ids import natural
from progression.faults import suggest

__all__ = ["CONTROL_WORDS", "settle_arms"]

CONTROL_WORDS = {"control", "placebo", "historical control", "historical controls"}


def settle_arms(
    cells: Sequence[object], arms: Sequence[str] | Mapping[object, str] | None
) -> tuple[np.ndarray, tuple[str, ...], list[Spot], list[tuple[str, str, object]]]:
    """Give every subject the label of its arm.

    Parameters
    ----------
    cells : sequence
        What the table says, one a subject.
    arms : sequence, mapping or None
        Labels, control first; or codes and their labels.

    Returns
    -------
    labels : array of str or None
    arms : tuple of str
        Control first.
    spots : list of Spot
        Faults of single subjects.
    whole : list of (what, remedy, value)
        Faults of the column as a whole.
    """
    codes = [_code(cell) for cell in cells]
    distinct = sorted({code for code in codes if code is not None}, key=natural)
    mapping = (
        {_code(code) or "": str(label).strip() for code, label in arms.items()} if isinstance(arms, Mapping) else None
    )
    declared = tuple(dict.fromkeys(mapping.values())) if mapping else tuple(str(a).strip() for a in arms or ())
    whole: list[tuple[str, str, object]] = []
    label_of: dict[str, str]
    unknown: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for code in distinct:
        groups.setdefault(" ".join(code.split()).casefold(), []).append(code)
    alike = [code for group in groups.values() if len(group) > 1 for code in group]
    coded = bool(distinct) and all(
        re.fullmatch(r"[+-]?\d+(\.\d+)?|true|false", code.strip().casefold()) for code in distinct
    )
    if mapping is None and coded:
        whole.append(
            (
                "arms are coded, and a code does not say which is the control",
                _mapping(groups, coded=True),
                ", ".join(distinct),
            )
        )
        label_of = {code: code.strip() for code in distinct}
    elif mapping is None and alike:
        what = "labels of arms differ only by case or space: one arm, or several?"
        whole.append((what, _mapping(groups, coded=False), ", ".join(map(repr, alike))))
        label_of = {code: groups[" ".join(code.split()).casefold()][0].strip() for code in distinct}
    else:
        label_of = {code: code.strip() for code in distinct}
        if mapping is not None:
            stripped = {code.strip(): label for code, label in mapping.items()}
            label_of = {c: mapping.get(c, stripped.get(c.strip(), "")) for c in distinct}
            unknown = {c: suggest(c, mapping) for c, label in label_of.items() if not label}
        elif declared:
            unknown = {c: suggest(c, declared) for c in distinct if c.strip() not in declared}
        whole += _empty_arms(declared, label_of)
    spots: list[Spot] = []
    for at, own in enumerate(codes):
        if own is None:
            spots.append((at, "the subject has no arm", "Fill it in"))
        elif own in unknown:
            spots.append((at, f"the arm is not among arms={unknown[own]}", "Add it to arms=, or correct the cell"))
    labels = np.array([None if code is None else label_of[code] for code in codes], dtype=object)
    if declared:
        return labels, declared, spots, whole
    found = sorted(set(label_of.values()), key=natural)
    control = [label for label in found if label.casefold() in CONTROL_WORDS]
    if len(found) > 1 and len(control) != 1 and not whole:
        what = "there are several arms, and which is the control is not said"
        listed = ", ".join(repr(label) for label in found)
        whole.append((what, f"Give arms=[...] with the control first; the labels are {listed}", ", ".join(found)))
    return labels, tuple(control[:1] + [label for label in found if label not in control[:1]]), spots, whole


def _empty_arms(declared: Sequence[str], label_of: Mapping[str, str]) -> list[tuple[str, str, object]]:
    there = list(dict.fromkeys(label for label in label_of.values() if label))
    return [
        ("no patient is in this arm", f"Take it out of arms=, or correct it{suggest(arm, there)}", arm)
        for arm in declared if arm not in label_of.values()
    ]  # fmt: skip


def _mapping(groups: Mapping[str, Sequence[str]], *, coded: bool) -> str:
    """Write the mapping the user may copy."""
    if coded:
        names = ["control"] + (["treated"] if len(groups) == 2 else [f"treated {i}" for i in range(1, len(groups))])
        pairs = [f"{code!r}: {name!r}" for name, group in zip(names, groups.values(), strict=False) for code in group]
        return f"Say which is which, control first, for instance arms={{{', '.join(pairs)}}}"
    ordered = sorted(groups.values(), key=lambda group: group[0].strip().casefold() not in CONTROL_WORDS | {"no"})
    pairs = [f"{code!r}: {group[0].strip()!r}" for group in ordered for code in group]
    return f"If they are one, write arms={{{', '.join(pairs)}}}, the control first"


def _code(cell: Any) -> str | None:
    if is_absent(cell):
        return None
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        cell = int(cell)
    return None if str(cell).strip().casefold() in {"", "na", "nan", "<na>"} else str(cell)
