"""The published run of a thousand fits is of this code and flat; what grows is seen."""

from __future__ import annotations

import json

import numpy as np

from tests.evidence import faults, sources


def test_the_published_run_is_of_this_code_and_nothing_grew() -> None:
    facts = json.loads(faults.RESULT.read_text(encoding="utf-8"))
    assert sources.same(facts["code"], faults.code()), "stale: run `python -m tests.evidence.faults` again"
    assert faults.verdict(facts) == []
    for engine, n in faults.FITS.items():
        one = facts["fits"][engine]
        seen = [one[name] for name in ("fits", "memory_mb", "handles", "threads")]
        assert one["fits"][-1] == n and faults.flat(*seen) == {key: one[key] for key in ("grown_mb", "more_handles", "more_threads", "flat")}  # fmt: skip
    assert facts["cold_cache"]["processes"] == faults.COLD


def test_what_grows_is_seen() -> None:
    """40 KB a fit, or one handle in a hundred fits."""
    fits = list(range(50, 1050, 50))
    memory = (500 + 5 * np.random.default_rng(1).normal(size=20)).tolist()
    still = [60] * 20
    assert faults.flat(fits, memory, still, still)["flat"]
    assert not faults.flat(fits, [m + 0.04 * k for m, k in zip(memory, fits, strict=True)], still, still)["flat"]
    assert not faults.flat(fits, memory, [60 + k // 100 for k in fits], still)["flat"]
