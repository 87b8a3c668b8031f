"""Sweeps: read, overridden, checked, expanded, and written back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat import PROBLEMS, STRATEGIES, UsageError, parse_strategy
from jacstrat.harness.plan.devices import check_devices
from jacstrat.harness.plan.sweep import Grid, Sweep, load_sweep, shipped_sweeps
from tests.harness.conftest import mine

SMALL = Sweep((Grid(problems=("sin",), n=(4, 2), strategies=("vmap", "identity")),))


def test_cells_are_the_product_with_n_ascending_and_all_operators_of_the_problem() -> None:
    cells = SMALL.cells()
    assert [(c.operator, c.n) for c in cells] == [
        ("divergence", 2),
        ("divergence", 4),
        ("jacobian_diagonal", 2),
        ("jacobian_diagonal", 4),
    ]
    assert all(c.strategies == ("vmap", "identity") for c in cells)
    assert cells[0].threads == torch.get_num_threads()
    assert cells[0].cases[0].key == "sin/divergence/vmap/n=2/batch=1/float64/cpu/evaluate/threads=1/seed=0"


def test_overlapping_grids_hold_each_case_once() -> None:
    grid = SMALL.grids[0]
    twice = Sweep((grid, Grid(problems=("sin",), n=(4,), strategies=("identity", "ones"))))
    keys = [case.key for cell in twice.cells() for case in cell.cases]
    assert len(keys) == len(set(keys)) == 8 + 2


def test_options_override_every_grid() -> None:
    sweep = load_sweep("default").override(problems=("linear",), operators=("divergence",), n=(3,), batch=(7,), seed=5)
    assert {(c.problem, c.n, c.batch, c.seed) for c in sweep.cells()} == {("linear", 3, 7, 5)}
    assert sweep.override(n=None) == sweep


@pytest.mark.parametrize("name", shipped_sweeps())
def test_shipped_sweeps_are_valid_and_round_trip(name: str, tmp_path) -> None:
    sweep = load_sweep(name)
    assert sweep.cells()
    (tmp_path / "sweep.toml").write_text(sweep.to_toml())
    assert load_sweep(str(tmp_path / "sweep.toml")) == sweep


def test_the_full_sweep_has_every_problem_and_strategy_and_that_of_a_gpu_what_a_cpu_cannot() -> None:
    cells = load_sweep("full").cells()
    assert {c.problem for c in cells} == set(PROBLEMS)
    there = {name for name, kind in STRATEGIES.items() if kind.captures} | {"fused"}
    assert {parse_strategy(s).name for c in cells for s in c.strategies} == set(STRATEGIES) - there
    assert {parse_strategy(s).name for c in load_sweep("gpu").cells() for s in c.strategies} >= there


def test_networks_of_the_sweep_of_a_gpu_have_each_its_own_batch() -> None:
    batches = {(c.problem.partition(":")[2], c.batch) for c in load_sweep("gpu").cells() if c.problem.count(":")}
    assert batches == {
        ("tanh_3_32x4", 65536),
        ("tanh_10_64x3", 4096),
        ("tanh_50_256x4", 2048),
        ("tanh_200_64x4", 2048),
        ("tanh_1000_128x3", 512),
        ("tanh_50_768_768_512_512", 512),
        ("residual_64_128x3", 2048),
        ("attention_16x4_32", 2048),
    }


def test_a_grid_without_n_takes_the_sizes_of_each_problem() -> None:
    grid = Grid(problems=("seed_coupled", "bilinear"), strategies=("ones",), n=())
    found = [(cell.problem, cell.n) for cell in Sweep((grid,)).cells() if cell.operator != "jacobian_diagonal"]
    assert found == [("seed_coupled", 3), *[("bilinear", n) for n in (2, 4, 8, 16, 32, 64)]]


names = st.lists(st.sampled_from(sorted(PROBLEMS)), min_size=1, max_size=3, unique=True).map(tuple)
numbers = st.lists(st.integers(1, 100), min_size=1, max_size=3).map(tuple)


@given(
    st.lists(
        st.builds(Grid, problems=names, n=numbers, batch=numbers, dtype=st.just(("float32",))), min_size=1, max_size=3
    ),
    st.integers(0, 2**63 - 1),
    st.floats(1e-3, 1e3),
    st.none() | st.integers(1, 2**40),
    st.booleans(),
    st.sampled_from([("warm",), ("cold",), ("cold", "warm")]),
)
def test_toml_round_trips(tmp_path_factory, grids, seed, timeout_s, memory, timed, cache) -> None:
    sweep = Sweep(tuple(grids), seed=seed, timeout_s=timeout_s, max_memory_bytes=memory, timed=timed, cache=cache)
    file = tmp_path_factory.mktemp("sweep") / "s.toml"
    file.write_text(sweep.to_toml())
    assert load_sweep(str(file)) == sweep


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problems": ("sine",)}, "unknown problem 'sine'; did you mean sin"),
        ({"strategies": ("vmapp",)}, "unknown strategy 'vmapp'; did you mean vmap"),
        ({"operators": ("divergance",)}, "unknown operator 'divergance'; did you mean divergence?"),
        ({"operators": ("laplacian",)}, "sin is a field and has no laplacian; it has divergence, jacobian_diagonal"),
        ({"dtype": ("float65",)}, "unknown dtype 'float65'; did you mean float64"),
        ({"device": ("cuda0",)}, "unknown device 'cuda0'; did you mean cuda?"),
        ({"workload": ("training",)}, "unknown workload 'training'; did you mean train?"),
        ({"n": (-1,)}, "n must be a positive integer, got -1"),
        ({"n": (0,)}, "n must be a positive integer, got 0"),
        ({"batch": (0,)}, "batch must be a positive integer, got 0"),
        ({"threads": (-2,)}, "threads must be a positive integer, got -2"),
        ({"problems": ()}, "the sweep is empty: name at least one problem, strategy and batch"),
        ({"strategies": ()}, "the sweep is empty"),
        ({"seed": -1}, "seed must be from 0"),
        ({"cache": ("warm", "hot")}, "unknown cache 'hot'"),
        ({"cache": ()}, "cache must be warm, cold, or both, got none"),
        ({"sample_s": 0.0}, "sample_s must be more than 0 seconds and finite, got 0.0"),
        ({"timeout_s": float("nan")}, "timeout_s must be more than 0 seconds and finite, got nan"),
        ({"timeout_s": float("inf")}, "timeout_s must be more than 0 seconds and finite, got inf"),
        ({"device": ("cuda:x",)}, "unknown device 'cuda:x'; did you mean cuda"),
        ({"threads": (10**11,)}, "threads must be at most 4096, got 100000000000"),
        ({"max_memory_bytes": -5}, "max_memory_bytes must be more than 0, got -5"),
        ({"max_memory_bytes": 2**63}, "max_memory_bytes must be at most 2^63 - 1, got 9223372036854775808"),
        ({"n": (2**63,)}, "n must be at most 2^63 - 1, got 9223372036854775808"),
        ({"problems": ("\udcff.py:f",)}, r"'\udcff.py:f' is not UTF-8, which records are written in; rename the file"),
        ({"problems": ("nowhere.py:f",)}, "nowhere.py does not exist"),
        ({"problems": ("no.such.module:f",)}, "module no.such.module cannot be imported: ModuleNotFoundError"),
        ({"problems": (mine("sin"),)}, "unknown attribute 'sin'; did you mean sine"),
        ({"problems": (mine("number"),)}, "is a int, neither a Problem nor a function of x"),
        ({"problems": (mine("sine"),)}, "is a plain function: say -o divergence"),
    ],
)
def test_a_wrong_value_is_named_before_anything_runs(change, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        SMALL.override(**change).cells()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n = [1, 2", "cannot be read: "),
        ("m = [1]", "unknown key 'm'"),
        ("strategy = ['vmap']", "unknown key 'strategy'; did you mean strategies?"),
        ("n = ['1']", "n must be a list of whole numbers, got ['1']"),
        ("n = [true]", "n must be a list of whole numbers, got [True]"),
        ("problems = [1]", "problems must be a list of names in quotes, got [1]"),
        ("timeout_s = 'long'", "timeout_s must be a number, got 'long'"),
        ("timed = 1", "timed must be true or false, got 1"),
        ("seed = 1.5", "seed must be a whole number, got 1.5"),
        ("[grid]\nn = [1]", "grid must be a table of its own, [[grid]]"),
        ("[[grid]]\nseed = 1", "seed stands at the top of the file, not in [[grid]]"),
        ('[[grid]]\nseed = "a"', "seed stands at the top of the file, not in [[grid]]"),
    ],
)
def test_a_malformed_file_is_named_with_the_reason(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_sweep(str(file))
    assert str(raised.value).startswith(f"sweep file {file}")
    assert message in str(raised.value)


def test_unknown_sweeps() -> None:
    with pytest.raises(UsageError, match="unknown sweep 'quik'; did you mean quick"):
        load_sweep("quik")
    with pytest.raises(UsageError, match=r"sweep file none\.toml does not exist"):
        load_sweep("none.toml")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_a_missing_device_names_what_is_there() -> None:
    check_devices(("cpu",))
    with pytest.raises(UsageError, match="device cuda is not available; here: cpu"):
        check_devices(("cpu", "cuda"))
