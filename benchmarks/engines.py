"""Every way to fit the same trials, side by side, in one run on this machine: one fit, many fits, large trials.

Each way runs in processes of its own, in turn, so that a slow moment hits all. Writes benchmarks/engines.json after
every part, then the table and figures of docs/benchmarks.md from it.

    python benchmarks/engines.py [--runs 3] [--cores 2] [--only one many scale report]
                                 [--bambi-python PATH] [--rscript PATH]

What is not installed is left out and said to be so.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import engines_report
import one_fits
import trials

HERE = Path(__file__).parent
RESULT = HERE / "engines.json"

# Trials of each model for each engine: as many as its speed allows in a few minutes.
MANY = {
    "als_slope": {"pm_sample": 5, "nuts": 15, "marginal": 1024},
    "sle_joints": {"pm_sample": 4, "nuts": 4, "marginal": 256},
    "sle_crp": {"pm_sample": 4, "nuts": 8, "marginal": 256},
}
SIZES = (64, 256, 1000, 4000, 20000)


def packages(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python packages; empty where one is missing."""
    code = f"import importlib.metadata as m; print(*[m.version(n) for n in {names!r}])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return dict(zip(names, done.stdout.split(), strict=True)) if done.returncode == 0 else {}


def r_packages(rscript: str | None, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those R packages that load."""
    found = {}
    for name in names if rscript else ():
        code = f"suppressPackageStartupMessages(library({name})); cat(as.character(packageVersion('{name}')))"
        done = subprocess.run([str(rscript), "-e", code], capture_output=True, text=True)
        if done.returncode == 0:
            found[name] = done.stdout.strip()
    return found


def facts(options: argparse.Namespace) -> dict[str, object]:
    """The machine and the versions: what a reader needs to judge the seconds."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    named = re.search(r"model name\s*: (.*)", text)
    return {
        "date": datetime.now(UTC).isoformat()[:10], "python": platform.python_version(), "system": platform.system(),
        "processor": named.group(1).strip() if named else platform.machine(), "cores_of_machine": os.cpu_count(),
        "cores_used": options.cores, "load_before": os.getloadavg()[0],
        "versions": {n: version(n) for n in ("progression-bayes", "pymc", "nutpie", "pytensor", "numba", "numpy")},
    }  # fmt: skip


def ways(options: argparse.Namespace) -> dict[str, dict]:
    """How each tool is started, and what is known of it."""
    bambi = options.bambi_python or (sys.executable if importlib.util.find_spec("bambi") else None)
    rscript = options.rscript or shutil.which("Rscript")
    r_found = r_packages(rscript, ("brms", "rstanarm", "rstan"))
    found = {tool: {"command": [sys.executable, "one_fit.py"]} for tool in ("nuts", "marginal", "pm_sample")}
    versions = packages(bambi, ("bambi", "pymc")) if bambi else {}
    found["bambi"] = {"command": [bambi, "one_fit.py"], "versions": versions} if versions else {}
    for tool in ("brms", "rstanarm"):
        usable = {name: r_found[name] for name in (tool, "rstan") if name in r_found}
        found[tool] = {"command": [rscript, "one_fit.R"], "versions": usable} if tool in usable else {}
    return found


def child(script: str, *arguments: object, fresh: bool = False) -> dict:
    """What a worker wrote; `fresh`: with nothing cached before."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        cache = {"PYTENSOR_FLAGS": f"base_compiledir={folder}", "NUMBA_CACHE_DIR": folder} if fresh else {}
        words = [str(out) if word == "OUT" else str(word) for word in arguments]
        done = subprocess.run([sys.executable, str(HERE / script), *words], capture_output=True, text=True,
                              env=os.environ | cache)  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{script} {' '.join(words)} failed:\n{done.stderr[-2000:]}")
        return json.loads(out.read_text())


def accuracy(options: argparse.Namespace, found: dict[str, dict]) -> dict[str, object]:
    """Scatter of the answer between fits of the same trial, for both engines of this package."""
    made: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.csv"
        trials.write_csv(trial, 1)
        for engine, times in (("nuts", options.refits), ("marginal", options.refits)):
            draws = found[engine]["draws"]
            made[engine] = child("refits.py", engine, "OUT", options.cores, 1000, draws, times, trial) | {
                "draws": draws
            }
            print(f"  {times} fits of one trial with {engine}", flush=True)
    return made


def many(options: argparse.Namespace) -> dict[str, dict]:
    """Trials a second."""
    found: dict[str, dict] = {}
    for model, engines in MANY.items():
        found[model] = {}
        for engine, number in engines.items():
            number = max(3, number // 10) if options.quick else number
            found[model][engine] = child("many_fits.py", engine, model, number, options.cores, "OUT", fresh=True)
            print(f"  {model:12} {engine:10} {found[model][engine]['per_s']:.3g} trials/s", flush=True)
    return found


def scale(options: argparse.Namespace) -> dict[str, list]:
    """Seconds and memory by number of patients; NUTS until a fit takes longer than `options.longest`."""
    found: dict[str, list] = {"nuts": [], "marginal": []}
    chains = 4
    for engine, rows in found.items():
        for size in SIZES[:3] if options.quick else SIZES:
            predicted = rows[-1]["fit_s"] * size / rows[-1]["patients"] if rows and engine == "nuts" else 0.0
            # One chain of four says how long four take: what differs is only how many run at a time.
            alone = predicted > options.longest
            if alone and predicted / chains * min(options.cores, chains) > 2 * options.longest:
                break
            made = child("scale_fit.py", engine, size, 1 if alone else chains, options.cores, "OUT")
            if "fell_back" in made:
                rows.append({"patients": size, **made})
                print(f"  {engine:10} {size:6} patients: {made['fell_back']}", flush=True)
                continue
            factor = -(-chains // options.cores) if alone else 1
            rows.append({"patients": size, "fit_s": made["seconds"] * factor, **made})
            print(f"  {engine:10} {size:6} patients {rows[-1]['fit_s']:8.2f} s {made['memory_mb']:8.1f} MB", flush=True)
    return found


def main() -> None:
    """Run the parts asked for, each in turn; keep what earlier runs found of the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="processes for each tool")
    parser.add_argument("--cores", type=int, default=2, help="for every tool alike")
    parser.add_argument("--longest", type=float, default=60, help="seconds after which a fit is cut short and scaled")
    parser.add_argument("--refits", type=int, default=40, help="fits of one trial whose answers are compared")
    parser.add_argument(
        "--only", nargs="+", choices=("one", "many", "scale", "report"), default=("one", "many", "scale")
    )
    parser.add_argument("--bambi-python", help="a Python that has Bambi")
    parser.add_argument("--rscript", help="an Rscript that has brms or rstanarm")
    parser.add_argument("--quick", action="store_true", help="few of everything: to try the benchmark itself")
    parser.add_argument("--tools", nargs="+", default=one_fits.TOOLS, help="of one fit: which tools")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # children inherit it: nobody gets more cores than the others
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for part in (part for part in options.only if part != "report"):
        print(part, flush=True)
        made: dict[str, object] = {"facts": facts(options)}
        if part == "one":
            available = {tool: way for tool, way in ways(options).items() if tool in options.tools}
            made["tools"] = one_fits.measure(available, runs=options.runs, cores=options.cores, longest=options.longest)
            made["accuracy"] = accuracy(options, made["tools"])
        else:
            made["found"] = many(options) if part == "many" else scale(options)
        found[part] = made
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
    engines_report.write(found)


if __name__ == "__main__":
    main()
