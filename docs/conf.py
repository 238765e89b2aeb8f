"""Sphinx settings: MyST-NB pages, the furo theme, and the notebooks of the repository as pages."""

import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent

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
]

exclude_patterns = ["_build", "**.ipynb_checkpoints"]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

# Notebooks are executed by the tests, with few draws; a build of the pages shows the outputs stored in them.
nb_execution_mode = "off"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"progression {release}"
html_static_path = ["_static"]


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
