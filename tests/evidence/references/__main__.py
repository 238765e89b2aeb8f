"""Numbers that other programs find, run again; and the table of ours beside theirs.

    python -m tests.evidence.references             # runs every script again and compares with the committed JSON
    python -m tests.evidence.references crp_stan    # one of them
    python -m tests.evidence.references table       # fits every reference and writes docs/evidence/references.json
    python -m tests.evidence.references simulate    # writes the SIMULATED tables again: then all of the above

The first needs R with Debian's packages: apt-get install r-base-core r-cran-lme4 r-cran-nlme r-cran-glmmtmb r-cran-survival
r-cran-rstan r-cran-posterior r-cran-jsonlite. Stan compiles its programs: minutes of one core each.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import progression as pg
from progression.store import write_atomically
from tests.evidence import sources
from tests.evidence.references import cases, results, simulated

TABLE = sources.ROOT / "docs" / "evidence" / "references.json"
COLUMNS = ("quantity", "theirs", "ours", "tolerance", "units")
# Which script makes which file, where it makes several.
MANY = {
    "slopes_importance": ("slopes_alone", "slopes_power", "slopes_commensurate", "slopes_robust"),
}


def scripts() -> dict[str, Path]:
    """Every script by name."""
    own = ("eight_schools", "map_quadrature", "slopes_importance")
    return {path.stem: path for path in sorted(results.HERE.iterdir())
            if (path.suffix == ".R" and path.stem != "common") or (path.stem in own and path.suffix == ".py")}  # fmt: skip


def again(name: str, path: Path, folder: Path) -> list[str]:
    """Run one script, and say where its numbers are not those that are committed."""
    command = (
        ["Rscript", str(path)] if path.suffix == ".R" else [sys.executable, "-m", f"tests.evidence.references.{name}"]
    )
    subprocess.run(command, check=True, cwd=sources.ROOT, env=os.environ | {"REFERENCES_OUT": str(folder)})
    return [
        text for one in MANY.get(name, (name,)) for text in differences(results.read(one), results.read(one, folder))
    ]


def differences(known: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Numbers that differ: draws by more than four combined Monte Carlo errors, others in the sixth digit."""
    lost = set(known["quantities"]) ^ set(found["quantities"])
    said = [f"{known['reference']}: {name} stands in one of the two only" for name in sorted(lost)]
    for name in sorted(set(known["quantities"]) - lost):
        a, b = known["quantities"][name], found["quantities"][name]
        for key in (key for key in a if not key.endswith("error")):
            allowed = 4 * math.hypot(a.get(f"{key}_error", 0.0), b.get(f"{key}_error", 0.0)) or 1e-6 * max(
                abs(a[key]), 1.0
            )
            if not abs(a[key] - b[key]) <= allowed:
                said.append(f"{known['reference']}: {name}, {key} was {a[key]:.6g} and is {b[key]:.6g} now")
    return said


def table(only: Sequence[str] = ()) -> bool:
    """Fit every reference and write the table; False where something lies outside its tolerance or could not be made."""
    whole = True
    for case in cases.CASES:
        if only and case.reference not in only:
            continue
        if not case.available:
            print(f"{case.reference}: left as it was, {case.needs} is not here")
            whole = False
            continue
        known = results.read(case.reference)
        begin = time.perf_counter()
        rows = [
            [row.quantity, *(float(f"{x:.6g}") for x in (row.theirs, row.ours, row.tolerance, row.units))]
            for row in case.rows()
        ]
        worst = max(rows, key=lambda row: row[-1])
        whole &= worst[-1] <= 1
        print(
            f"{case.reference}: {len(rows)} numbers, farthest {worst[0]} at {worst[-1]:.2f} of its tolerance",
            flush=True,
        )
        kept = {one["reference"]: one for one in read_table().get("references", [])}
        kept[case.reference] = {
            "reference": case.reference, "model": case.model, "by": known["by"], "their_versions": known["versions"], "their_date": known["made"],
            "kind": known["kind"], "made": datetime.now(UTC).date().isoformat(), "sources": code(case), "core_hours": round((time.perf_counter() - begin) / 3600, 4), "rows": rows,
        }  # fmt: skip
        write_table([kept[one.reference] for one in cases.CASES if one.reference in kept])
    return whole


def code(case: cases.Case) -> str:
    """Hash of what our numbers rest on: the page of the model and the engine, or the files that a function is in."""
    name, _, how = case.model.partition(",")
    files = {"map_prior": ["historical", "study_level", "mixtures", "effective_size"],
             "cafs": ["ranking", "pairs", "win_statistics", "follow_up"]}.get(name)  # fmt: skip
    if files:
        return sources.code_hash(sources.ROOT / "progression" / f"{one}.py" for one in files)
    model = "als_slope" if name == "power" else name
    engines = {"power": ["batches"], "als_slope": ["powered"]}.get(name, []) if how or name == "power" else []
    engine = pg.models()[model].engine or "nuts"
    own = [
        sources.ROOT / "progression" / f"{one}.py"
        for one in (("arranging", "borrowing", "drift") if "(" in how else ())
    ]
    return sources.code_hash(
        {*sources.page(model), *own, *(path for one in (engine, *engines) for path in sources.engine(one))}
    )


def write_table(made: Sequence[Mapping[str, Any]]) -> None:
    """One reference a line, so that changes of one are seen as such."""
    facts = {
        "by": "python -m tests.evidence.references table",
        "columns": list(COLUMNS),
        "versions": sources.versions(),
    }
    head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()]
    lines = [json.dumps(one) for one in made]
    TABLE.parent.mkdir(exist_ok=True)
    write_atomically(
        TABLE, ("{\n" + ",\n".join(head) + ',\n"references": [\n' + ",\n".join(lines) + "\n]\n}\n").encode()
    )


def read_table() -> dict[str, Any]:
    """The committed table; empty where there is none."""
    return dict(json.loads(TABLE.read_text(encoding="utf-8"))) if TABLE.exists() else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every number is where it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.evidence.references",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", help="table, simulate, or names of scripts; all scripts where omitted")
    parser.add_argument(
        "--data", type=Path, help="folder with the data of sleepstudy and rats, which are no part of this repository"
    )
    given = parser.parse_args(arguments)
    if given.data:
        cases.DATA = given.data
    if given.what[:1] == ["simulate"]:
        simulated.write()
        return 0
    if given.what[:1] == ["table"]:
        return 0 if table(given.what[1:]) else 1
    known = scripts()
    if wrong := sorted(set(given.what) - set(known)):
        parser.error(f"{', '.join(wrong)}: not among {', '.join(known)}")
    said: list[str] = []
    for name in given.what or known:
        with tempfile.TemporaryDirectory() as folder:
            said += again(name, known[name], Path(folder))
            print(f"{name}: run again", flush=True)
    print("\n".join(said) or "every number is the one that is committed")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
