"""The import is light, and imports run one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import progression as pg
from progression.registry import screens

ROOT = Path(pg.__file__).parent
MODELS = ROOT.parent / "models" / "progression_models"
FOREIGN = {"pymc", "arviz", "pandas", "nutpie", "pytensor", "xarray", "matplotlib", "numba", "scipy", "arviz_stats"}


def imported(path):
    """Absolute names of what a file imports when it runs: imports for type checking only are left out."""
    tree = ast.parse(path.read_text())
    quiet = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
             for inner in ast.walk(node)}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in quiet:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path.name}"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if is_module(one) else node.module for one in below)


def is_module(name):
    """Whether ``from package import x`` imports a module of ours rather than a word out of it."""
    package, *rest = name.split(".")
    root = {"progression": ROOT, "progression_models": MODELS}.get(package, ROOT / "nowhere").joinpath(*rest)
    return root.with_suffix(".py").exists() or (root / "__init__.py").exists()


def modules(root, package):
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


ENGINE = modules(ROOT, "progression")
GRAPH = {name: {one for one in imported(path) if one in ENGINE and one != name} for name, path in ENGINE.items()}


def test_import_is_light():
    code = f"import sys; import progression as pg; dir(pg); print(' '.join(sorted(set(sys.modules) & {FOREIGN})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_every_public_word_is_there():
    assert {"Cohort", "fit", "load", "contrast", "Rule", "check", "prior_check", "loo", "models", "register", "Prior",
            "model", "Estimand", "Outcome", "read_csv", "datasets"} <= set(pg.__all__)  # fmt: skip
    for name in set(pg.__all__) - {"report"}:
        assert getattr(pg, name) is not None
    assert callable(pg.fit) and not isinstance(pg.fit, type(sys))


def test_no_module_has_the_name_of_a_public_function():
    taken = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert taken & set(pg.__all__) <= {"datasets", "plots"}  # public as modules


def test_no_circles():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for other in sorted(GRAPH[name] - {"progression"}):
                visit(other)
            done.add(path.pop())

    for name in GRAPH:
        visit(name)
    assert (
        "progression.encoding" in GRAPH["progression.fitting"] | GRAPH["progression.fitted"]
    )  # the graph is not empty


def reaches(name):
    seen, queue = set(), [name]
    while queue:
        new = GRAPH[queue.pop()] - seen - {"progression"}
        seen |= new
        queue += new
    return {one.removeprefix("progression.") for one in seen}


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("cohort", {"modeling", "encoding", "engines", "fitting", "fitted", "registry"}),
        ("modeling", {"registry", "encoding", "engines", "fitting", "fitted", "contrasts", "checking"}),
        ("registry", {"engines", "engines.nuts", "fitting", "fitted", "contrasts"}),
        ("engines.nuts", {"registry", "fitting", "fitted", "contrasts", "checking"}),
        ("engines.native", {"cohort", "modeling", "fitting", "fitted"}),
        ("engines.forward", {"registry", "fitting", "fitted", "contrasts", "checking"}),
        ("fitting", {"contrasts", "checking", "leaving_out", "plots"}),
        ("learning", {"fitting", "contrasts", "checking", "plots"}),
        ("onsets", {"cohort", "modeling", "encoding", "engines", "fitted"}),
        ("contrasts", {"fitting", "checking", "plots", "leaving_out"}),
        ("checking", {"plots", "reporting"}),
        ("runs", {"cohort", "modeling", "engines", "fitting", "many"}),
        (
            "design",
            {"modeling.registry", "registry", "fitted", "fitting", "replicates", "generator", "trials", "plots"},
        ),
        ("trial_course", {"registry", "fitted", "fitting", "replicates", "trials", "plots"}),
        ("components", {"fitted", "fitting", "contrasts", "trials", "operating"}),
        ("decisions", {"registry", "fitted", "fitting", "fitters", "trials", "characteristics", "operating"}),
        ("descriptions", {"fitting", "fitters", "trial_job", "runs", "operating"}),
        ("truth_labels", {"fitting", "fitters", "trial_job", "operating"}),
        ("screening", {"fitting", "fitters", "trial_job", "characteristics", "operating"}),
        ("trial_job", {"runs", "many", "contrasts", "screening", "characteristics", "operating", "plots"}),
        ("rule_checks", {"runs", "contrasts", "characteristics", "operating", "plots"}),
        ("characteristics", {"fitted", "fitting", "fitters", "trial_job", "operating", "plots"}),
        ("operating", {"plots", "checking", "reporting", "many"}),
        ("generator", {"design", "registry", "fitted", "fitting", "plots"}),
        ("simulating", {"fitting", "many", "contrasts", "plots", "resampling"}),
        ("power_file", {"operating", "plots", "reporting", "fitting"}),
        ("sizing", {"plots", "reporting", "power_file"}),
        ("plots.sizes", {"reporting", "power_file", "power_commands", "cli"}),
        ("reporting.operating", {"reporting.page", "power_file", "cli"}),
        ("power_commands", {"cli"}),
        ("faults", set(GRAPH) | {"cohort", "outcomes"}),
    ],
)
def test_imports_run_one_way(room, never):
    assert not reaches(f"progression.{room}") & never


def test_the_engine_knows_no_model():
    for name, path in ENGINE.items():
        assert not any(one.split(".")[0] == "progression_models" for one in imported(path)), name


def test_closed_forms_are_found_on_the_shelf():
    assert not any(one.split(".")[0].startswith("progression") for one in imported(MODELS / "screens.py"))
    found = screens()
    assert set(found) <= set(pg.models()) and all(callable(one) for one in found.values()) and len(found) >= 3


def test_models_import_only_what_they_may():
    allowed = {"progression.modeling", "progression.outcomes"}
    for name, path in modules(MODELS, "progression_models").items():
        for one in imported(path):
            if one.split(".")[0] == "progression":
                assert any(one == word or one.startswith(f"{word}.") for word in allowed), (name, one)
            if one.split(".")[0] == "progression_models" and name != "progression_models":
                assert one.split(".")[1:2] in ([], ["parts"], ["standardised"], ["flares"]), (name, one)
