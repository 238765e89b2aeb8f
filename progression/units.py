"""The length of a month, in the one place that says it."""

from __future__ import annotations

__all__ = ["DAYS_PER_MONTH", "months_per"]

DAYS_PER_MONTH = 365.25 / 12

months_per: dict[str, float] = {
    "days": 1 / DAYS_PER_MONTH,
    "weeks": 7 / DAYS_PER_MONTH,
    "months": 1.0,
    "years": 12.0,
}
