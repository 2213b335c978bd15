"""The notebook of the documentation runs, and holds the outputs of a whole run."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "tour.ipynb"


def outputs(notebook):
    """The outputs of all cells."""
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def reached(notebook):
    """The number of bodies, of 16, that reached their goal."""
    (found,) = re.findall(r"(\d+) of 16 reached", "".join("".join(o.get("text", "")) for o in outputs(notebook)))
    return int(found)


def test_the_outputs_are_of_one_run_of_the_whole_notebook():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells) and "image/png" in outputs(notebook)[-1]["data"]
    assert 1 <= reached(notebook) <= 16


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason='nbclient is not installed: pip install -e ".[docs]"')
    pytest.importorskip("ipykernel", reason='ipykernel is not installed: pip install -e ".[docs]"')
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert reached(notebook) >= 10  # 0.987 of the episodes of the shipped policy do
    assert "image/png" in outputs(notebook)[-1]["data"]
