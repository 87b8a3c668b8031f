"""The site of the documentation builds, and every link in it leads somewhere."""

import subprocess

import pytest

from tests.pages import ROOT


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="no .venv here; scripts/setup test makes it")
def test_the_site_builds_with_the_reference_run_in_it() -> None:
    done = subprocess.run(["bash", "scripts/docs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "build/site/index.html"
    site = ROOT / "build" / "site"
    assert (site / "results" / "reference" / "records.csv").is_file()
    assert (site / "results" / "h100" / "records.csv").is_file()
    page = (site / "docs" / "accuracy.html").read_text(encoding="utf-8")
    assert 'id="where-torch-itself-is-wrong"' in page
    assert "fonts.googleapis.com" not in page
