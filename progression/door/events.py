"""What happened to a subject, and when: onset of antibodies, death and other events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from progression.door.arms import CONTROL_WORDS
from progression.door.cells import Spot
from progression.door.subjects import Gathered
from progression.faults import Fault

__all__ = ["event_faults", "is_death", "onset_faults"]

_NOT_AN_EVENT = {"yes", "no", "true", "false", "0", "1", "none", "alive", "censored", "no event"}


def is_death(event: object) -> bool:
    """Tell whether an event ends the life, and with it the visits."""
    word = str(event).casefold()
    return word in {"died", "dead", "deceased"} or word.startswith("death")


def onset_faults(frame: pd.DataFrame, gathered: Gathered, arm: np.ndarray, arms: Sequence[str]) -> list[Fault]:
    """Check the intervals in which antibodies appeared."""
    have = [column for column in ("onset_lower", "onset_upper") if column in frame]
    if not have:
        return []
    if len(have) == 1:
        other = "onset_upper" if have == ["onset_lower"] else "onset_lower"
        what = f"{have[0]} is there without {other}: onset is known to lie between two visits"
        return [gathered.tables[have[0]].fault(have[0], None, what, f"Give {other} too ('inf' where never seen)")]
    lower, upper = frame["onset_lower"].to_numpy(), frame["onset_upper"].to_numpy()
    faults: list[Fault] = []

    def add(column: str, wrong: np.ndarray, what: str, remedy: str) -> None:
        faults.extend(gathered.faults(column, [(int(at), what, remedy) for at in np.flatnonzero(wrong)]))

    add(
        "onset_lower",
        lower > upper,
        "the interval of onset ends before it begins",
        "Exchange or correct the two",
    )
    add(
        "onset_lower",
        (lower < 0) & ~(lower > upper),
        "onset before treatment start",
        "Onset cannot be negative: write 0 or correct it",
    )
    add(
        "onset_upper",
        (upper < 0) & (lower <= upper),
        "onset before treatment start",
        "Onset cannot be negative: correct it",
    )
    add(
        "onset_upper",
        ~np.isnan(lower) & np.isnan(upper),
        "the interval of onset has no end",
        "Write 'inf' if it was not seen by the end",
    )
    add(
        "onset_lower",
        np.isnan(lower) & ~np.isnan(upper),
        "the interval of onset has no beginning",
        "Write the last negative test, or 0",
    )
    control = arms[0] if len(arms) > 1 or (arms and arms[0].casefold() in CONTROL_WORDS) else None
    in_control = np.array([each is not None and each == control for each in arm], dtype=bool)
    what = f"onset of antibodies against the treatment in the control arm ({control!r})"
    add("onset_upper", in_control & np.isfinite(upper), what, "Correct the arm, or empty the two cells")
    return faults


def event_faults(frame: pd.DataFrame, gathered: Gathered) -> list[Fault]:
    """Check that events are named, dated and not before the start."""
    faults: list[Fault] = []
    if "event_month" in frame and "event" not in frame:
        table = gathered.tables["event_time"]
        faults.append(
            table.fault(
                "event_time",
                None,
                "times of events are there, but not which",
                "Give a column event ('death')",
            )
        )
    if "event" not in frame:
        return faults
    event = frame["event"]
    if "event_month" not in frame:
        table = gathered.tables["event"]
        return [
            *faults,
            table.fault("event", None, "events are there, but not when", "Give a column event_time"),
        ]
    month = frame["event_month"].to_numpy()
    spots: list[Spot] = []
    for at in range(len(frame)):
        name = event.iloc[at]
        if pd.isna(name):
            if not np.isnan(month[at]):
                spots.append(
                    (
                        at,
                        "an event's time without the event",
                        "Name it ('death'), or move the time to end_of_follow_up",
                    )
                )
        elif str(name).casefold() in _NOT_AN_EVENT:
            remedy = "Write what happened ('death'), or leave it empty; last contact goes into end_of_follow_up"
            spots.append((at, "this does not say which event", remedy))
        elif np.isnan(month[at]):
            spots.append((at, "an event without its time", "Give event_time"))
        elif month[at] < 0:
            spots.append((at, "an event before the start", "Correct event_time: follow-up starts at 0"))
    return faults + gathered.faults("event", spots)
