"""Sphinx settings: MyST-NB pages, the furo theme, and the notebooks of the repository as pages."""

import os
import shutil
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "progression"
author = "The progression developers"
project_copyright = f"2026, {author}"
release = installed_version("progression-bayes")
version = release

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "model_pages",
]

exclude_patterns = ["_build", "_ext", "**.ipynb_checkpoints"]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

# The notebooks are kept without outputs, so a build executes them: once, until their cells change. After a change of the
# package, `make clean` makes the next build execute them anew. PROGRESSION_DOCS_EXECUTE=off builds without outputs.
nb_execution_mode = os.environ.get("PROGRESSION_DOCS_EXECUTE", "cache")
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ.setdefault("MPLBACKEND", "Agg")

autodoc_typehints = "none"  # the numpydoc sections state the types
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes that are also properties would otherwise be described twice

html_theme = "furo"
html_title = f"progression {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]


def copy_notebooks(source: Path, target: Path) -> None:
    """Mirror the notebooks into the tree that Sphinx reads, since it sees nothing outside its own folder.

    The folder is made anew by each build and ignored by git. Its index page lists whatever is there, so a new
    notebook needs no edit here; docs/index.md includes it as `notebooks/index`.
    """
    notebooks = sorted(source.glob("*.ipynb"))
    target.mkdir(exist_ok=True)
    for stale in set(target.glob("*.ipynb")) - {target / notebook.name for notebook in notebooks}:
        stale.unlink()
    for notebook in notebooks:
        shutil.copy2(notebook, target / notebook.name)
    lines = ["---", "orphan: true", "---", "# Notebooks", ""]
    if notebooks:
        lines += ["```{toctree}", ":maxdepth: 1", "", *[notebook.stem for notebook in notebooks], "```", ""]
    page = target / "index.md"
    text = "\n".join(lines)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


copy_notebooks(HERE.parent / "notebooks", HERE / "notebooks")
