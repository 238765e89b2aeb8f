"""The JSON files of numbers that others made, and how near ours must come: SCIENCE.md, section 6, in one place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def read(name: str, folder: Path = HERE) -> dict[str, Any]:
    """What another program found."""
    return dict(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def write_reference(name: str, kind: str, by: str, quantities: Mapping[str, Mapping[str, float]]) -> None:
    """Write what a script in Python found, in the form that common.R gives those in R."""
    to = Path(os.environ.get("REFERENCES_OUT", HERE))
    facts = {
        "reference": name, "kind": kind, "by": f"{by} {version('numpy')}", "made": datetime.now(UTC).date().isoformat(),
        "versions": {one: version(one) for one in ("numpy", "scipy")}, "notes": "", "quantities": quantities,
    }  # fmt: skip
    (to / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
