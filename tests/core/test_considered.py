"""A weighed strategy goes between processes as data, and what is none is refused."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from jacstrat.core.considered import Considered

ONE = Considered("vmap", 4, 20, 1000, 4096, 8192, 0.0, 1e-3, None, "", "RuntimeError: no")


def test_it_is_data_and_back() -> None:
    assert Considered.parse(json.loads(json.dumps(asdict(ONE)))) == ONE


@pytest.mark.parametrize(("name", "value"), [("strategy", 3), ("probes", "4"), ("predicted_s", None), ("flops", True)])
def test_what_is_of_another_kind_is_named(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{name} is of another kind"):
        Considered.parse(asdict(ONE) | {name: value})
