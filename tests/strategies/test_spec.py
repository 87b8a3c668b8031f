"""Specs and strategies are two forms of one value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat import STRATEGIES, UsageError, parse_strategy
from jacstrat.strategies import ALIASES
from jacstrat.strategies.probing import Jvp, Vmap


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_name_alone_names_the_defaults_and_is_their_spec(name: str) -> None:
    strategy = STRATEGIES[name]()
    # What works by another strategy names that, too.
    assert strategy.spec == str(strategy) == {"compiled": "compiled(vmap)", "graphed": "graphed(vmap)"}.get(name, name)
    assert parse_strategy(name) == strategy
    assert strategy.cost
    assert strategy.exact_when


@given(st.sampled_from(["vmap", "jvp", "forward_over_forward"]), st.integers(1, 10**6) | st.just("all"))
def test_parameters_round_trip(name: str, chunk_size: int | str) -> None:
    strategy = STRATEGIES[name](chunk_size=chunk_size)
    assert parse_strategy(strategy.spec) == strategy
    assert hash(parse_strategy(strategy.spec)) == hash(strategy)


def test_equal_fields_mean_equal_strategies() -> None:
    assert parse_strategy("vmap:chunk_size=64") == Vmap(64) != Vmap(32)
    assert parse_strategy(" vmap : chunk_size = 64 ") == Vmap(64)
    assert parse_strategy("vmap:chunk_size=all").spec == "vmap"
    assert parse_strategy(Vmap(3)) == Vmap(3)


def test_nestings_of_the_laplacian_are_reachable_by_name() -> None:
    assert parse_strategy("reverse_over_reverse") == Vmap()
    assert parse_strategy("forward_over_reverse") == Jvp("all")
    assert parse_strategy("forward_over_reverse:chunk_size=2") == Jvp(2)
    assert parse_strategy("forward_over_forward").name == "forward_over_forward"
    assert not ALIASES.keys() & STRATEGIES.keys()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vmpa", "unknown strategy 'vmpa'; did you mean vmap"),
        ("zzz", "unknown strategy 'zzz'; known: "),
        ("vmap:chunksize=2", "unknown parameter of vmap 'chunksize'; did you mean chunk_size?"),
        ("identity:chunk_size=2", "unknown parameter of identity 'chunk_size'; known: none"),
        ("vmap:chunk_size", "'vmap:chunk_size': expected key=value after the colon, got 'chunk_size'"),
        ("vmap:", "expected key=value after the colon, got ''"),
        ("vmap:chunk_size=1,chunk_size=2", "chunk_size is given twice"),
        ("vmap:chunk_size=0", "chunk_size must be a positive integer or all, got 0; leave it out for the default"),
        ("vmap:chunk_size=-3", "got -3"),
        ("vmap:chunk_size=2.5", "got 2.5"),
        ("vmap:chunk_size=true", "got True"),
        ("jvp:chunk_size=some", "got 'some'"),
    ],
)
def test_a_bad_spec_says_what_and_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_strategy(spec)
    assert message in str(raised.value)


def test_the_table_is_read_only() -> None:
    with pytest.raises(TypeError):
        STRATEGIES["mine"] = Vmap
