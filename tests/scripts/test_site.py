"""What scripts/docs adds to the pages: the curves of strategies, and the list of versions."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from jacstrat import STRATEGIES, read_records
from jacstrat.record import Record
from jacstrat.report.analysis.setting import to_records
from tests.pages import ROOT


def script(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


curves, versions = script("curves"), script("versions")


@pytest.fixture(scope="module")
def runs() -> dict[str, list[Record]]:
    return {run: to_records(read_records(ROOT / "results" / run)) for run in curves.RUNS}


def test_a_strategy_has_a_curve_where_a_run_has_its_time_at_two_sizes(runs) -> None:
    for records in runs.values():
        sizes: dict[tuple[str, ...], set[int]] = {}
        for one in records:
            if one.median_s is not None and one.status in ("ok", "wrong"):
                place = (one.problem, one.operator, one.dtype, one.workload, str(one.batch), one.strategy)
                sizes.setdefault(place, set()).add(one.n)
        measured = {re.split("[:(]", place[-1])[0] for place, found in sizes.items() if len(found) > 1}
        assert {name for name in STRATEGIES if curves.pictures_of(name, records)} == measured
        assert measured


def test_the_points_of_a_curve_are_those_of_the_records(runs) -> None:
    pictures = curves.pictures_of("taylor", runs["reference"])
    assert len(pictures) == curves.MOST
    assert pictures[0].setting.problem == "tanh_scalar"
    (line,) = (line for line in pictures[0].series if line.strategy == "taylor")
    setting = pictures[0].setting
    assert (setting.dtype, setting.workload) == ("float64", "evaluate")
    expected = {
        one.n: one.median_s
        for one in runs["reference"]
        if (one.problem, one.strategy, one.dtype, one.workload) == ("tanh_scalar", "taylor", "float64", "evaluate")
    }
    assert {point.n: point.value for point in line.points} == expected


def test_the_section_of_a_page_has_a_picture_that_is_the_same_each_time(runs, tmp_path: Path) -> None:
    (tmp_path / "docs" / "strategies").mkdir(parents=True)
    first = {run: runs[run] if run == "h100" else [] for run in runs}
    text = curves.section("taylor", first, tmp_path)
    (file,) = (tmp_path / "docs" / "strategies" / "curves").iterdir()
    assert f"![Time of taylor against n in an NVIDIA H100: Laplacian of tanh_scalar](curves/{file.name})" in text
    drawn = file.read_bytes()
    root = ElementTree.fromstring(drawn)
    words = "".join(root.itertext())
    assert "taylor" in words
    assert "Laplacian of tanh_scalar" in words
    curves.section("taylor", first, tmp_path)
    assert file.read_bytes() == drawn
    assert curves.section("hutchinson", first, tmp_path) == ""


@pytest.mark.parametrize(
    ("folders", "listed"),
    [
        (["dev"], ["dev"]),
        (["0.2", "dev", "0.10", "0.9.1", "assets", "1.0rc1"], ["0.10", "0.9.1", "0.2", "dev"]),
    ],
)
def test_versions_are_listed_newest_first_and_the_first_page_leads_to_the_newest(folders, listed, tmp_path) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir()
    versions.write(tmp_path)
    found = json.loads((tmp_path / "versions.json").read_text(encoding="utf-8"))
    assert [one["version"] for one in found] == listed
    assert f'url={listed[0]}/"' in (tmp_path / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["v0.2", "../elsewhere", "latest", "0.2/"])
def test_what_is_no_version_is_refused_before_anything_is_built(version: str) -> None:
    done = subprocess.run(["bash", ROOT / "scripts" / "docs", version], capture_output=True, text=True)
    message = f"scripts/docs: a version is numbers with dots between, or dev, got '{version}'\n"
    assert (done.returncode, done.stderr) == (2, message)
