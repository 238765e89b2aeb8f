"""The notebooks run from start to end, and each .ipynb is the script beside it without outputs."""

import os
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def test_the_notebooks_are_found():
    assert {
        "als_anakinra",
        "historical_controls",
        "sle_anakinra",
        "predictive_checks",
        "trial_design",
        "your_own_model",
    } <= set(NAMES)
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pair_is_in_step(name):
    script, notebook = jupytext.read(FOLDER / f"{name}.py"), jupytext.read(FOLDER / f"{name}.ipynb")
    cells = [[(cell.cell_type, cell.source) for cell in one.cells] for one in (script, notebook)]
    assert cells[0] == cells[1], f"run: jupytext --sync notebooks/{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stripped(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs(name, tmp_path, monkeypatch):
    """With few draws: that it runs, and that its figures and tables can be shown, not what they say."""
    monkeypatch.setenv("PROGRESSION_DRAWS", "100")
    monkeypatch.setenv("PROGRESSION_TRIALS", "128")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*map(str, (FOLDER.parent, FOLDER.parent / "models"))]))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    shown = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    assert not [out for out in shown if out.output_type == "error"]
    assert any("image/png" in out.get("data", {}) for out in shown)
