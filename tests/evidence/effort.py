"""How long the evidence takes to make, as its records say: hours of one core, by step of `make evidence`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def core_hours(done: Sequence[Mapping[str, Any]]) -> float | None:
    """Hours of jobs that one worker each did, from what their files say they took; None where one does not."""
    took = [one.get("took") for one in done]
    return None if None in took else round(sum(took) / 3600, 2)


def seconds(found: Any) -> Iterator[float]:
    """Every number called `seconds` within a record."""
    if isinstance(found, Mapping):
        for name, one in found.items():
            if name == "seconds":
                yield float(sum(one) if isinstance(one, list) else one)
            else:
                yield from seconds(one)
    elif isinstance(found, list):
        for one in found:
            yield from seconds(one)


def spent(step: str, record: Mapping[str, Any] | None) -> float | None:
    """Core hours of one step; None where its record does not say, from before it did.

    Parameters
    ----------
    step : str
        The name of the record. Those of many short jobs hold the seconds of each.
    record : mapping or None
    """
    if record is None:
        return None
    if step == "references":
        each = [one.get("core_hours") for one in record["references"]]
        return None if None in each else float(sum(each))
    if record.get("core_hours") is not None:
        return float(record["core_hours"])
    by_job = ("calibration", "agreement", "agreement references", "mutations", "faults", "bad_input")
    return sum(seconds(record)) / 3600 if step in by_job else None
