"""The notebook of the tutorial runs completely and is committed without outputs."""

import re
from pathlib import Path

import nbformat
from sitegen.notebook import notebook_page, run_notebook

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial" / "compare_two_films.ipynb"


def test_the_committed_notebook_has_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_the_notebook_runs_and_becomes_a_page(tmp_path):
    (tmp_path / "run").mkdir()
    page = notebook_page(run_notebook(NOTEBOOK, tmp_path / "run"), tmp_path / "figures")
    assert "80 films" in page and "Research use only" in page
    (figure,) = re.findall(r"!\[[^]]*\]\(figures/([^)]+)\)", page)
    assert (tmp_path / "figures" / figure).read_bytes().startswith(b"\x89PNG")
    model, baseline = (float(value) for value in re.findall(r"change F1 +([\d.]+) \[", page))
    assert model > 0.4 and baseline == 0.0
    assert "Warning" not in page
