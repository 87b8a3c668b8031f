from datetime import datetime
from pathlib import Path

import pytest

from jacstrat.cli.run import dated

MOMENT = datetime(2026, 11, 28, 3, 34, 29, 999_999)


def test_runs_that_begin_within_a_second_have_a_directory_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directories = []
    for _ in range(3):
        directories.append(dated(MOMENT))
        directories[-1].mkdir(parents=True)
    assert directories == [Path("results") / f"2026-11-28T03-34-29{end}" for end in ("", "-2", "-3")]
