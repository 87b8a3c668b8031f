"""The site of the documentation builds, and every link in it leads somewhere."""

import json
import subprocess

import nbformat
import pytest

import jacstrat
from tests.pages import ROOT


@pytest.mark.timeout(400)
@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="no .venv here; scripts/setup test makes it")
def test_the_site_builds_with_the_reference_run_the_api_the_curves_and_the_notebook_in_it() -> None:
    done = subprocess.run(["bash", "scripts/docs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "build/site/dev/index.html"
    site = ROOT / "build" / "site" / "dev"
    assert "dev" in {one["version"] for one in json.loads((site.parent / "versions.json").read_text(encoding="utf-8"))}
    assert (site / "results" / "reference" / "records.csv").is_file()
    assert (site / "results" / "h100" / "records.csv").is_file()

    def page(name: str) -> str:
        return (site / "docs" / f"{name}.html").read_text(encoding="utf-8")

    accuracy = page("accuracy")
    assert 'id="where-torch-itself-is-wrong"' in accuracy
    assert "fonts.googleapis.com" not in accuracy
    # Every public name has its place, and its docstring is read: its sections are tables.
    reference = "".join(page(f"api/{file.stem}") for file in (ROOT / "docs" / "api").glob("*.md"))
    for name in set(jacstrat.__all__) - {"__version__"}:
        assert f'id="jacstrat.{name}"' in reference, name
    assert ":::" not in page("api/operators")
    assert "Returns:" in page("api/operators")
    for run in ("reference", "h100"):
        assert f'src="curves/taylor-{run}.svg"' in page("strategies/taylor")
        assert (site / "docs" / "strategies" / "curves" / f"taylor-{run}.svg").is_file()
    assert 'id="time-against-n"' not in page("strategies/hutchinson")
    notebook = nbformat.read(site / "docs" / "notebook.ipynb", as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    shown = page("notebook")
    assert 'href="notebook.ipynb"' in shown
    assert shown.count('<div class="output">') == 3
    assert "data:image/png;base64," in shown
