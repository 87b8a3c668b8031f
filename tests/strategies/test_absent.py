"""A peer whose package is not installed is known by name: a row says what installs it, and the rest runs."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jacstrat import STRATEGIES, UsageError, parse_strategy
from jacstrat.core.errors import MissingError
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.plan.cases import Cell
from jacstrat.strategies.absent import PEERS
from tests.pages import ROOT

# Whoever has a peer's package installed has it in the table.
ABSENT = [name for name in PEERS if name not in STRATEGIES]
CELL = Cell("sin", "divergence", 2, 2, "float64", "cpu", "evaluate", 1, 0, ())
PACKAGES = sorted((ROOT / "peers").glob("*/pyproject.toml"))


@pytest.mark.parametrize("name", ABSENT)
def test_it_is_a_strategy_that_is_missing_under_the_spec_that_was_asked_for(name: str) -> None:
    message = f"{name} is not installed; run `pip install ./peers/{PEERS[name]}` in a checkout of jacstrat"
    spec = f"{name}:tile=16"
    strategy = parse_strategy(spec)
    assert (strategy.spec, strategy.missing) == (spec, message)
    assert parse_strategy(strategy.spec) == strategy != parse_strategy(name)
    within = parse_strategy(f"compiled({name})")
    assert (within.spec, within.missing) == (f"compiled({name})", message)
    with pytest.raises(MissingError, match="is not installed"):
        strategy.prepare("divergence", torch.sin, torch.zeros(2))


def test_its_row_is_skipped_and_the_others_are_measured() -> None:
    specs = (*ABSENT[:1], "identity")
    rows = [one.record for one in measure(replace(CELL, strategies=specs), None) if one.record]
    assert [(one.strategy, one.status) for one in rows] == [
        *((name, "skipped") for name in ABSENT[:1]),
        ("identity", "ok"),
    ]


def test_other_names_are_still_unknown() -> None:
    with pytest.raises(UsageError, match="unknown strategy 'jett'"):
        parse_strategy("jett")


@pytest.mark.parametrize("file", PACKAGES, ids=lambda file: file.parent.name)
def test_the_packages_register_the_peers_that_are_known(file: Path) -> None:
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    registered = project["entry-points"]["jacstrat.strategies"]
    assert set(registered) == {name for name, package in PEERS.items() if package == project["name"]}
    for value in registered.values():
        module, _, kind = value.partition(":")
        source = file.parent / (module.replace(".", "/") + ".py")
        source = source if source.exists() else file.parent / module / "__init__.py"
        assert f"class {kind}(" in source.read_text(encoding="utf-8")


def test_every_peer_has_a_package() -> None:
    assert {file.parent.name for file in PACKAGES} == set(PEERS.values())
