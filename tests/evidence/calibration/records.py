"""What the sets of one model say together: p-values by quantity, coverage, diagnostics, and a verdict; one JSON file a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import progression as pg
from progression.store import write_atomically
from tests.evidence.calibration import plan, ranks, stamps
from tests.evidence.calibration.plan import SETS
from tests.evidence.calibration.truths import DESIGNS, SEED

FIRST = 2  # sets that are kept whole
FOLDER = Path(__file__).parents[3] / "docs" / "evidence"


def record_path(model: str) -> Path:
    return FOLDER / f"calibration_{model}.json"


def made_now(made_by: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sets of a regime and road, with what made them, and the first ones whole: whoever has the code can make them again."""
    first = [one["ranks"] for one in found[:FIRST]]
    return {"made": datetime.now(UTC).date().isoformat(), **made_by, **group(found), "first": first}


def group(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sets of one regime and road."""
    n = len(found)
    count = {name: ranks.counts([one["ranks"][name] for one in found]) for name in found[0]["ranks"]}
    by_rank: dict[tuple[int, ...], str] = {}
    same: dict[str, str] = {}
    # An effect, its exponential and its negative have the same ranks in every set, up to direction: they count once.
    for name in count:
        own = tuple(one["ranks"][name] for one in found)
        first = by_rank.setdefault(min(own, tuple(ranks.DRAWS - rank for rank in own)), name)
        if first != name:
            same[name] = first
    quantities = {
        name: {"chi_square": _p(ranks.chi_square(own)), "ecdf": _p(ranks.ecdf(own)), "counts": " ".join(map(str, own))}
        for name, own in count.items() if name not in same
    }  # fmt: skip
    coverage = {}
    for name in found[0]["below"]:
        below = np.array([one["below"][name] for one in found])
        coverage[name] = {f"{level:g}": int(np.sum(np.abs(below - 0.5) < level / 2)) for level in ranks.LEVELS}
    return {
        "sets": n, "quantities": quantities, "same_ranks": same, "covered": coverage,
        "diagnostics": diagnostics(found), "detectable": ranks.detectable(n),
        "detectable_by_verdict": ranks.detectable(n, ranks.FEWEST),
        "power": {fault: [round(one, 3) for one in ranks.power(n, probability)] for fault, probability in _FAULTS.items()},
    }  # fmt: skip


_FAULTS = {
    "SD 20 % too small": ranks.departing(scale=0.8),
    "SD 10 % too small": ranks.departing(scale=0.9),
    "shift of 0.2 SD": ranks.departing(shift=0.2),
}


def diagnostics(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the engines said of themselves: a calibrated sampler may still diverge."""
    by_nuts = [one for one in found if "divergences" in one]
    own = [one for one in found if one["engine"] == "marginal"]
    made: dict[str, Any] = {
        "with_problems": sum(bool(one["problems"]) for one in found),
        "fell_back_to_nuts": sum(bool(one["fell_back"]) for one in found), "run_longer": sum(one["longer"] for one in found),
        "median_seconds": _of(found, "seconds", 50), "seconds": round(sum(one["seconds"] for one in found)),
    }  # fmt: skip
    chains = [one for one in found if "ess" in one]
    if chains:
        made |= {"r_hat_99_percentile": _of(chains, "r_hat", 99), "ess_1_percentile": _of(chains, "ess", 1), "fewest_ess": _of(chains, "ess", 0),
                 "fewer_draws_than_ranks": sum(one["ess"] < ranks.DRAWS for one in chains)}  # fmt: skip
    if by_nuts:
        made["with_divergences"] = sum(one["divergences"] > 0 for one in by_nuts)
    if own:
        made |= {"pareto_k_99_percentile": _of(own, "pareto_k", 99), "largest_quadrature_error": _of(own, "quadrature_error", 100)}  # fmt: skip
    return made


def verdict(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Whether the number of small p-values and the coverage are what a calibrated posterior gives; what fails, in words."""
    faults, made = [], {}
    for test in ("chi_square", "ecdf"):
        p = {
            f"{name}, {quantity}": one[test]
            for name, own in groups.items()
            for quantity, one in own["quantities"].items()
        }
        small = sum(value < 0.05 for value in p.values())
        made[test] = {
            "quantities": len(p),
            "below_0.05": small,
            "smallest": min(p.values()),
            "of": min(p, key=lambda name: p[name]),
        }
        if not ranks.few_enough(list(p.values())):
            faults.append(
                f"{test}: {small} of {len(p)} p-values below 0.05, the smallest {min(p.values()):.1g} ({made[test]['of']})"
            )
    intervals = [(name, own["sets"], component, level, hit) for name, own in groups.items()
                 for component, hits in own["covered"].items() for level, hit in hits.items()]  # fmt: skip
    beyond = [not ranks.covers(hit, n, float(level)) for _, n, _, level, hit in intervals]
    made["coverage"] = {"intervals": len(intervals), "beyond_2.6_errors": sum(beyond)}
    # Of so many intervals some lie beyond 2.6 errors by chance: a fault is what the number of intervals does not explain.
    faults += [f"{name}: {hit} of {n} intervals of {level} hold {component}" for name, n, component, level, hit in intervals
               if ranks.coverage_p(hit, n, float(level)) < 0.01 / len(intervals)]  # fmt: skip
    return {**made, "calibrated": not faults, "faults": faults}


def unexpected(model: str, groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What fails beside what is known to."""
    others = {name: own for name, own in groups.items() if name not in plan.KNOWN_FAULTS.get(model, {})}
    return list(verdict(others)["faults"]) if others else []


def record(model: str, groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All of it, with what made it."""
    return {
        "by": f"python -m tests.evidence.calibration {model}", "seed": SEED, "draws_ranked_among": ranks.DRAWS, "bins": ranks.BINS,
        "designs": {name: {"patients": dict(one.arms), "months": list(map(float, one.months))} for name, one in DESIGNS[model].items()},
        "priors": {name: repr(prior) for name, prior in pg.models()[model].priors.items()}, "data": "SIMULATED",
        "verdict": verdict(groups), "groups": dict(groups),
    }  # fmt: skip


def write(model: str, made: Mapping[str, Any]) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    return write_atomically(record_path(model), (json.dumps(made, indent=1) + "\n").encode())


def names(model: str) -> list[str]:
    """What the groups of a complete record are called, in their order."""
    return [", ".join(part) for part in SETS[model]]


def groups_so_far(model: str) -> dict[str, Any]:
    """What the record holds of the sets that are planned, those that are of this very code and fitted as planned."""
    if not record_path(model).exists():
        return {}
    made = json.loads(record_path(model).read_text(encoding="utf-8"))["groups"]
    return {", ".join(part): made[", ".join(part)] for part, n in SETS[model].items()
            if (own := made.get(", ".join(part))) and own["sets"] == n and stamps.same(own["code"], stamps.code(model, part), model)
            and own["fitted"] == plan.told(model, part[1])}  # fmt: skip


def in_words(model: str, groups: Mapping[str, Mapping[str, Any]]) -> str:
    """For the terminal: what was found, and what these numbers of sets can find."""
    lines = []
    for name, own in groups.items():
        can, seen = own["detectable"], own["diagnostics"]
        small = [
            f"{quantity} ({test} {one[test]:.2g})"
            for quantity, one in own["quantities"].items()
            for test in ("chi_square", "ecdf")
            if one[test] < 0.01
        ]
        lines += [f"{model}, {name}: {own['sets']} sets, {len(own['quantities'])} quantities, {seen['median_seconds']:g} s a fit; below 0.01: {', '.join(small) or 'none'}",
                  f"  found with a chance of 80 % at 1 %: a shift of {_at(can['shift'])} SD, an SD {_at(can['sd_too_small'])} or {_at(can['sd_too_large'])} times the true one",
                  f"  coverage {json.dumps(own['covered'])}; {seen['with_problems']} with problems, {seen['fell_back_to_nuts']} by NUTS instead, {seen.get('with_divergences', 0)} with divergences"]  # fmt: skip
    said = verdict(groups)
    so_far = f"{len(groups)} of {len(SETS[model])} parts, {sum(own['sets'] for own in groups.values()):,} sets"
    return "\n".join(
        [*lines, f"{model} ({so_far}): " + ("calibrated" if said["calibrated"] else "; ".join(said["faults"]))]
    )


def _at(value: float | None) -> str:
    return "(none)" if value is None else f"{value:g}"


def _p(value: float) -> float:
    return float(f"{value:.4g}")


def _of(found: Sequence[Mapping[str, Any]], name: str, percentile: float) -> float:
    return float(f"{np.percentile([one[name] for one in found], percentile):.4g}")
