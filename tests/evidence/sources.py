"""A hash of the code that a published result rests on: words and layout may change without making it stale."""

from __future__ import annotations

import ast
import hashlib
import tokenize
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / "progression" / "engines"
SHELF = ROOT / "models" / "progression_models"

# Models whose integrals take a minute interpreted and a second compiled: compared as `fit_many` fits them.
COMPILED = ("als_bounded", "als_antibody")

_CLOSED = ("als_slope", "als_shared")
# The code that stands here, the code that records were made by, and the models this holds for (all where none is named): where lines were moved
# or added and nothing is computed otherwise. How that is known is said beside it; an entry goes when its records are made again.
AS_RECORDED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # Calibration by `fit`: what a contrast says in words left contrasts.py for contrast_words.py. `python -m tests.evidence.calibration.again`:
    # the first sets of every record have the very ranks that it holds, by NUTS too.
    ("649d6ff26585e4b3", "0bac2a50f78190f6", ()),
    # Integrals over patients' effects are placed anew where they are off (integration.py, quadrature.py, roots.py): a closed form has none. Of
    # als_slope and als_shared the first sets of all eight parts have the very ranks that were recorded, by `fit` and `fit_many` (`again`), and
    # operating characteristics the same first 64 trials (tests/test_operating_evidence.py).
    ("40c6211c2a8bb932", "a46c8e582bb2dd4e", _CLOSED),  # calibration by `fit`
    ("32cde2482f3fb2dc", "3b44999920ee3215", _CLOSED),  # and by `fit_many`
    ("250ff76038fc4f40", "76034ac0092aacd3", ()),  # agreement of als_slope
    ("dcb01dd04e71ce3f", "4b03bee3d736885b", ()),  # of als_shared, and its known truths
    ("c46c605a55569c2b", "191b795f531f12e7", ()),  # operating characteristics
    ("2675dedf316ba6c2", "6a4ca1714c95d05f", ()),  # faults, which are of als_slope
    # What overflows in a finer sum counts as impossible, curvatures of several effects are judged each in its own scale, and the order of a sum
    # reaches effects on a grid and `loo`: nothing that these sets met, whose effects stand alone. The first have the very ranks (`again`).
    ("32cde2482f3fb2dc", "065eca179cda6537", ("sle_crp", "sle_joints")),
)

_SPACE = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_WORDS = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}


def code_hash(paths: Iterable[Path]) -> str:
    """SHA-256 (16 digits) over names and code of files, without comments, docstrings and blank lines.

    Tokens rather than syntax trees: the text of a dumped tree differs between versions of Python.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        with path.open("rb") as file:
            tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in _WORDS]
        docstring = False
        for i, token in enumerate(tokens):
            starts = i == 0 or tokens[i - 1].type in _SPACE
            if docstring:  # the end of its line goes with it
                docstring = False
            elif token.type == tokenize.STRING and starts and tokens[i + 1].type == tokenize.NEWLINE:
                docstring = True
            else:
                text = "" if token.type in _SPACE else token.string
                digest.update(f"{tokenize.tok_name[token.type]} {text}\n".encode())
    return digest.hexdigest()[:16]


def same(held: str, now: str, model: str = "") -> bool:
    """Whether a record of code `held` is one of the code `now`: the same, or what computes the same. Records are made with their own hash."""
    return held == now or any((now, held) == (new, old) and (not of or model in of) for new, old, of in AS_RECORDED)


def page(model: str) -> list[Path]:
    """The page of a model and the clauses it shares with others."""
    return [SHELF / f"{model}.py", SHELF / "parts.py"]


def engine(name: str) -> list[Path]:
    """The files of an engine, by the beginning of their names, and those of `progression.engines` that they import."""
    queue = [file for path in ENGINES.glob(f"{name}*") for file in ([path] if path.suffix == ".py" else path.rglob("*.py"))]  # fmt: skip
    found: set[Path] = set()
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _imported(path)
    if not found:
        raise FileNotFoundError(f"progression/engines/ has no file whose name begins with {name!r}")
    return sorted(found)


def _imported(path: Path) -> list[Path]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = [ROOT.joinpath(*name.split(".")) for name in names if name.startswith("progression.engines.")]
    return [one for file in files for one in (file.with_suffix(".py"), file / "__init__.py") if one.is_file()]


def sources(model: str, engine_name: str) -> str:
    """Hash of what the agreement of an engine on one model rests on."""
    batches = engine("batches") if model in COMPILED and engine_name == "marginal" else []
    return code_hash({*page(model), *engine(engine_name), *batches})


def versions() -> dict[str, str]:
    """Versions of the packages that made a result."""
    return {name: version(name) for name in ("progression-bayes", "pymc", "nutpie", "arviz-stats", "numpy")}
