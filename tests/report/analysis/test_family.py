"""The family of a strategy."""

import pytest

from jacstrat.report.analysis.family import family


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("vmap", "vmap"),
        ("vmap:chunk_size=64", "vmap"),
        ("compiled(taylor)", "taylor"),
        ("compiled(vmap:chunk_size=64)", "vmap"),
        ("compiled(checked(hutch++:probes=3))", "hutch++"),
        ("(", "("),
        ("", ""),
    ],
)
def test_family(spec: str, name: str) -> None:
    assert family(spec) == name
