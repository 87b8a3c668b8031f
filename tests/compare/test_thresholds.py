"""Shares of the time, from an option and from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from jacstrat.compare.thresholds import DEFAULT, Thresholds, load_thresholds, parse_share
from jacstrat.core.errors import UsageError

FILE = """
slower = "10%"
[problem]
sin = 0.2
[strategy]
"vmap*" = "30%"
vmap = "25%"
[case]
"sin/divergence/vmap/n=4" = "50%"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("case", "strategy", "problem", "share"),
    [
        ("sin/divergence/vmap/n=4", "vmap", "sin", 0.5),
        ("sin/divergence/vmap/n=8", "vmap", "sin", 0.25),
        ("sin/divergence/vmap:chunk_size=2/n=8", "vmap:chunk_size=2", "sin", 0.3),
        ("sin/divergence/jvp/n=8", "jvp", "sin", 0.2),
        ("cos/divergence/jvp/n=8", "jvp", "cos", 0.1),
    ],
)
def test_the_nearest_threshold_counts(file: Path, case: str, strategy: str, problem: str, share: float) -> None:
    assert load_thresholds(file).of(case, strategy, problem) == share


def test_the_option_stands_over_the_top_of_the_file(file: Path) -> None:
    held = load_thresholds(file, "3%")
    assert (held.slower, held.of("c", "jvp", "cos"), held.of("c", "jvp", "sin")) == (0.03, 0.03, 0.2)
    assert load_thresholds(None) == Thresholds(DEFAULT)


def test_names_that_no_case_has_are_told(file: Path) -> None:
    names = {"case": frozenset(["x"]), "strategy": frozenset(["vmap:chunk_size=2"]), "problem": frozenset(["sin"])}
    unused = list(load_thresholds(file).unused(names))
    assert unused == ["strategy 'vmap'", "case 'sin/divergence/vmap/n=4'"]


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), (0.05, 0.05), (" 250% ", 2.5)])
def test_shares(text: object, share: float) -> None:
    assert parse_share("--slower", text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["much", "0", "-5%", "nan", "inf", "1000%", "", True, [0.1]])
def test_what_is_no_share(text: object) -> None:
    with pytest.raises(UsageError, match=r"--slower must be a share above 0 such as 5% or 0.05, below 10 \(1000%\)"):
        parse_share("--slower", text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("slower = ", "cannot be read: Invalid value"),
        ("slowr = 0.1", "unknown key of"),
        ("[strategies]\nvmap = 0.1", "did you mean strategy"),
        ("strategy = 0.1", "strategy in FILE must be a table of thresholds, [strategy], got 0.1"),
        ('[strategy]\nvmap = "lots"', "strategy 'vmap' in FILE must be a share above 0"),
        ('slower = "none"', "slower in FILE must be a share"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_thresholds(path)
    assert message.replace("FILE", str(path)) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: .*No such file"):
        load_thresholds(tmp_path / "none.toml")
