"""Are the first sets of each record what this code makes of them? Within seconds a set, where all of them take hours.

python -m tests.evidence.calibration.again              # every part of every record
python -m tests.evidence.calibration.again als_slope    # of one model

A record keeps the ranks of its first sets. Made again by the same code on the same machine they are the same to the last one, by NUTS too;
another processor moves a rank or two of the marginal engine, and those of NUTS altogether.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tests.evidence.calibration import many_sets, plan, ranks, records, sets


def made(model: str, part: plan.Part) -> list[dict[str, int]]:
    """Ranks of the first sets, made now."""
    regime, road = part
    if road == "many":
        return [one["ranks"] for one in many_sets.several(model, regime, range(plan.BLOCK))[: records.FIRST]]
    return [sets.one(model, regime, road, k)["ranks"] for k in range(records.FIRST)]


def farthest(model: str, part: plan.Part) -> int:
    """The largest difference between a rank of the record and the same made now; as many as there are where a quantity is missing."""
    kept = json.loads(records.record_path(model).read_text(encoding="utf-8"))["groups"][", ".join(part)]["first"]
    found = made(model, part)
    if any(set(a) != set(b) for a, b in zip(kept, found, strict=True)):
        return ranks.BINS
    return max(abs(b[name] - a[name]) for a, b in zip(kept, found, strict=True) for name in a)


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at every part that is recorded, of this code or of another; 0 if all its ranks are what they were."""
    off = []
    for model in (sys.argv[1:] if arguments is None else arguments) or plan.SETS:
        path = records.record_path(model)
        held = json.loads(path.read_text(encoding="utf-8"))["groups"] if path.exists() else {}
        for part in (one for one in plan.SETS[model] if ", ".join(one) in held):
            off.append(farthest(model, part))
            stale = "" if ", ".join(part) in records.groups_so_far(model) else ", of other code than this"
            print(
                f"{model}, {', '.join(part)}{stale}: {records.FIRST} sets, largest difference of a rank {off[-1]}",
                flush=True,
            )
    return int(any(off))


if __name__ == "__main__":
    sys.exit(main())
