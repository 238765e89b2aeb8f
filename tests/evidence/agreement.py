"""Does the marginal engine say what long NUTS runs say? Two steps, each of which goes on where it was cut off.

    python -m tests.evidence.agreement references    # NUTS on every trial: hours
    python -m tests.evidence.agreement compare       # the marginal engine on the same trials: minutes

The first writes tests/evidence/references.json, the second tests/evidence/agreement.json and a table. Of models that are not
asked for (``--models``) a record keeps what it has. Both keep one
small file a trial in a work folder (``--work``, by default evidence-runs/ in the current folder) and skip what is done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from progression.store import write_atomically
from tests.evidence import criterion, measuring, sources
from tests.evidence.trials import SETS, trial

HERE = Path(__file__).parent
REFERENCES, AGREEMENT = HERE / "references.json", HERE / "agreement.json"
console = Console()

# Models whose comparison is with an earlier state of the engine, and what has changed since.
_PLACED = "before 2026-12-01, when integrals over patients' effects began to be looked at all over the proposal and placed anew where they are off"
_HELD = "of early 2026-12-01, which placed integrals anew by steps that could get stuck, and held them against others at the same places"
EARLIER = {"als_antibody": _PLACED, "sle_joints": _PLACED, "als_bounded": _HELD, "sle_crp": _HELD}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a step; 0 if everything asked for was done (and, for `compare` of all trials, agrees)."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.agreement", description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    for name, does in (("references", "NUTS runs of at least 10,000 effective draws"), ("compare", "another engine")):
        step = steps.add_parser(name, help=does)
        step.add_argument("--work", type=Path, default=Path("evidence-runs"), help="folder for one file a trial")
        step.add_argument("--models", nargs="+", choices=SETS, default=list(SETS))
        step.add_argument("--sets", type=int, metavar="N", help="only the first N trials of each model")
        step.add_argument("--workers", type=int, default=2)
    step.add_argument("--engine", default="marginal")
    step.add_argument("--draws", type=int, help="draws a chain; the engine's own default where omitted")
    step.add_argument("--out", type=Path, default=AGREEMENT, help="where the result of a complete comparison goes")
    given = parser.parse_args(arguments)
    wanted = [(m, k) for m in given.models for k in range(min(given.sets or SETS[m], SETS[m]))]
    try:
        return references(given, wanted) if given.step == "references" else compare(given, wanted)
    except KeyboardInterrupt:
        console.print("stopped; what is done is kept: the same command goes on from here")
        return 130


def references(given: argparse.Namespace, wanted: list[tuple[str, int]]) -> int:
    """Make the reference of every trial that has none, and gather them all in one file."""
    known = read_references()
    todo = [job for job in wanted if not current(known.get(trial(*job).name), *job)]
    done, failed = run(todo, measuring.reference, {}, given.work / "references", given.workers)
    known |= done
    facts = {
        "made": today(), "by": "python -m tests.evidence.agreement references", "columns": list(measuring.COLUMNS),
        "versions": sources.versions(),
    }  # fmt: skip
    write_lines(REFERENCES, facts, known)
    have = [known[name] for name in sorted(known)]
    short = sum(not measuring.enough(one["components"]) for one in have)
    console.print(f"{len(have)} of {sum(SETS.values())} references; {sum(bool(one['problems']) for one in have)} with problems, "
                  f"{short} short of effective draws, {failed} failed")  # fmt: skip
    return 1 if failed else 0


def compare(given: argparse.Namespace, wanted: list[tuple[str, int]]) -> int:
    """Fit every trial that has a reference with another engine; write the result if no trial is missing."""
    known = read_references()
    lacking = [job for job in wanted if not current(known.get(trial(*job).name), *job)]
    if lacking:
        console.print(f"{len(lacking)} trials have no reference that fits them: run the step `references`")
    pages = {model: sources.code_hash(sources.page(model))[:8] for model in SETS}
    older = sum(one.get("page") != pages[name.rpartition("-")[0]] for name, one in known.items())
    if older:  # a page may be rewritten without changing what it says; that it still says it is for the author to judge
        console.print(f"{older} references were made with another state of the model's page, but with the same priors")
    used = {model: sources.sources(model, given.engine) for model in SETS}
    how = {"engine": given.engine} | ({"draws": given.draws} if given.draws else {})
    found: dict[str, Any] = {}
    failed = 0
    for model in given.models:  # a folder for each state of the sources: nothing old is taken for new
        folder = given.work / "compare" / f"{given.engine}-{given.draws or 'default'}-{model}-{used[model]}"
        jobs = [job for job in wanted if job[0] == model and job not in lacking]
        done, lost = run(jobs, measuring.refit, how, folder, given.workers)
        found, failed = found | done, failed + lost
    sets = {name: {"flagged": one["flagged"], "seconds": one["seconds"],
                   "components": differences(known[name], one)} for name, one in found.items()}  # fmt: skip
    verdicts = {model: criterion.judge(own) for model in given.models if (own := of_model(sets, model))}
    if verdicts:
        console.print(as_table(verdicts))
    out = given.out if given.engine == "marginal" or given.out != AGREEMENT else given.work / "agreement.json"
    facts = {"by": "python -m tests.evidence.agreement compare", "engine": given.engine, "draws": given.draws, "references": digest(REFERENCES),
             "versions": sources.versions(), "columns": list(criterion.DIFFERENCES)}  # fmt: skip
    parts = with_those_held(read(out), facts, {
        model: {"made": today(), "sources": used[model], "verdicts": verdicts[model], "sets": of_model(sets, model)}
        for model in verdicts if verdicts[model]["sets"] == SETS[model]
    })  # fmt: skip
    if set(parts) == set(SETS):
        by_model = {key: {model: parts[model][key] for model in SETS} for key in ("made", "sources", "verdicts")}
        every = {name: one for part in parts.values() for name, one in part["sets"].items()}
        console.print(f"written to {write_lines(out, {**facts, **by_model}, every)}")
    met = all(one["met"] for one in verdicts.values())
    return 0 if met and not failed and not lacking else 1


def with_those_held(record: Any, facts: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Models compared now, and beside them what a record of the same engine and references holds of others, each with the code it was made by."""
    parts = dict(fresh)
    if record and fresh and all(record[key] == facts[key] for key in ("engine", "draws", "references", "versions")):
        for model in set(SETS) & set(record["verdicts"]) - set(fresh):
            parts[model] = {key: record[key][model] for key in ("made", "sources", "verdicts")} | {"sets": of_model(record["sets"], model)}  # fmt: skip
    return parts


def run(jobs: Sequence[tuple[str, int]], task: Any, how: Mapping[str, Any], folder: Path, workers: int) -> tuple[dict[str, Any], int]:  # fmt: skip
    """Do what is not yet done, a file each; return all that is done by name, and how many failed."""
    from joblib import Parallel, delayed

    folder.mkdir(parents=True, exist_ok=True)
    done = {}
    for job in jobs:
        name = trial(*job).name
        kept = read(folder / f"{name}.json")
        if current(kept, *job):
            done[name] = kept
    todo = [job for job in jobs if trial(*job).name not in done]
    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not todo) as bar:
        line = bar.add_task(folder.name, total=len(jobs), completed=len(done))
        calls = (delayed(attempt)(task, model, index, dict(how), folder) for model, index in todo)
        for name, result, error in Parallel(n_jobs=workers, return_as="generator_unordered")(calls):
            bar.advance(line)
            failed += bool(error)
            if error:
                bar.console.print(f"{name} failed\n{error}", markup=False)
            else:
                done[name] = result
                if not console.is_terminal:  # in a log the bar shows at the end only
                    bar.console.print(f"{name}  {result['seconds']} s  {len(done)} done", highlight=False)
    return done, failed


def attempt(task: Any, model: str, index: int, how: Mapping[str, Any], folder: Path) -> tuple[str, Any, str]:
    """One trial in a process of its own: its file is whole or absent, and its failure is not that of the others."""
    name = trial(model, index).name
    try:
        kept = read(folder / f"{name}.json")
        if current(kept, model, index):  # done meanwhile by another process with the same work folder
            return name, kept, ""
        result = task(model, index, **how)
        write_atomically(folder / f"{name}.json", json.dumps(result).encode())
        return name, result, ""
    except Exception:
        return name, None, traceback.format_exc()


def current(kept: Mapping[str, Any] | None, model: str, index: int) -> bool:
    """Whether a result is of this very trial and, for a reference, of the priors that the model has now."""
    if kept is None or kept.get("table") != trial(model, index).hash:
        return False
    return kept.get("priors", measuring.priors_hash(model)) == measuring.priors_hash(model)


def differences(reference: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, list[float]]:
    """By component; one that either side lacks is infinitely far off."""
    a, b = reference["components"], found["components"]
    nothing = [float("inf")] * len(criterion.DIFFERENCES)
    return {name: criterion.difference(a[name], b[name]) if name in a and name in b else nothing for name in {**a, **b}}


def of_model(sets: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The data sets of one model."""
    return {name: one for name, one in sorted(sets.items()) if name.rpartition("-")[0] == model}


def as_table(verdicts: Mapping[str, Any]) -> Table:
    """Return a row a model: shares of data sets within each criterion, flags, the worst that was not flagged."""
    table = Table("model", "sets", "mean", "SD", "P", "all", "all, errors of both", "flagged", "silent", "worst", "met")
    for model, one in verdicts.items():
        shares = [f"{one[key]:.1%}" for key in ("mean", "sd", "p", "agree", "agree_with_both_errors")]
        name, beyond = one["worst_unflagged"] or ("none", 0.0)
        table.add_row(model, str(one["sets"]), *shares, str(one["flagged"]), str(len(one["disagree_unflagged"])),
                      f"{name}: {beyond:.2f} of what is allowed", "yes" if one["met"] else "NO")  # fmt: skip
    return table


def read(path: Path) -> Any:
    """A JSON file; None where there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_references() -> dict[str, Any]:
    """The committed references, by name of the trial."""
    return dict((read(REFERENCES) or {}).get("sets", {}))


def write_lines(path: Path, facts: Mapping[str, Any], sets: Mapping[str, Any]) -> Path:
    """Write facts and data sets as JSON, a data set a line, so that changes of one are seen as such."""
    head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()]
    lines = [f"  {json.dumps(name)}: {json.dumps(sets[name], separators=(',', ':'))}" for name in sorted(sets)]
    text = "{\n" + ",\n".join(head) + ',\n"sets": {\n' + ",\n".join(lines) + "\n}\n}\n"
    return write_atomically(path, text.encode())


def digest(path: Path) -> str:
    """SHA-256 (16 digits) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def today() -> str:
    """Date of today in UTC."""
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(main())
