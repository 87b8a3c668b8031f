"""Dtypes of a sweep, TF32 among them: named, set, put back, asked of the device, and judged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jacstrat import PROBLEMS, UnsupportedError
from jacstrat.harness.cell.failures import failure
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.prepared_case import prepare_case
from jacstrat.harness.cell.setup import reason_to_skip, set_up
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.cell.verdicts import verdict
from jacstrat.harness.plan.precision import DTYPES, float32_products, missing_tf32
from jacstrat.harness.plan.predict import forecasts
from jacstrat.measure.accuracy import TOLERANCES
from jacstrat.report.figures.picture import EPSILON
from tests.harness.conftest import QUICK
from tests.share import shared

pytestmark = pytest.mark.long(but_one_in=3)

BACKENDS = torch.backends
OPERATIONS = {
    "matmul": BACKENDS.cuda.matmul,
    "conv": BACKENDS.cudnn.conv,
    "rnn": BACKENDS.cudnn.rnn,
    "cpu matmul": BACKENDS.mkldnn.matmul,
    "cpu conv": BACKENDS.mkldnn.conv,
}


def precisions() -> dict[str, str]:
    return {name: operation.fp32_precision for name, operation in OPERATIONS.items()}


def switches() -> tuple[bool, bool, str]:
    """The older switches; torch raises where they contradict the newer ones."""
    return (
        BACKENDS.cuda.matmul.allow_tf32,
        BACKENDS.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
    )


@pytest.fixture
def _defaults():
    yield
    BACKENDS.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    BACKENDS.cudnn.allow_tf32 = True


def test_each_dtype_has_a_tolerance_and_an_epsilon() -> None:
    assert set(DTYPES) == set(TOLERANCES) == set(EPSILON)
    assert {name: tolerance.epsilon for name, tolerance in TOLERANCES.items()} == EPSILON
    assert {name: str(dtype) for name, dtype in DTYPES.items()} == {
        name: f"torch.{'float32' if name == 'tf32' else name}" for name in DTYPES
    }


MEDDLING: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "an old switch": lambda: setattr(BACKENDS.cudnn, "allow_tf32", False),
    "a new one": lambda: setattr(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
    "all at once": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
}


@pytest.mark.usefixtures("_defaults")
@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("meddling", MEDDLING)
def test_products_are_in_the_precision_asked_for_whatever_was_before(tf32: bool, meddling: str) -> None:
    MEDDLING[meddling]()
    before = precisions()
    with float32_products(tf32):
        inside = precisions()
        assert {inside[name] for name in ("matmul", "conv", "rnn")} == {"tf32" if tf32 else "ieee"}
        assert inside["cpu matmul"] == inside["cpu conv"] == "ieee"
        assert switches() == ((True, True, "high") if tf32 else (False, False, "highest"))
    assert precisions() == before
    if meddling in ("nothing", "high", "medium", "an old switch"):
        MEDDLING[meddling]()
        expected = switches()
        with pytest.raises(ZeroDivisionError), float32_products(tf32):
            raise ZeroDivisionError
        assert switches() == expected


def test_a_cell_is_surrounded_by_its_precision(cell) -> None:
    found = {}
    for dtype in DTYPES:
        with surroundings(cell("sin", dtype=dtype)):
            found[dtype] = BACKENDS.cudnn.conv.fp32_precision, BACKENDS.cuda.matmul.fp32_precision
    assert found.pop("tf32") == ("tf32", "tf32")
    assert set(found.values()) == {("ieee", "ieee")}


def test_on_a_device_without_tf32_cases_are_skipped_with_what_they_need(cell) -> None:
    rows = [outcome.record for outcome in measure(cell("sin", dtype="tf32"), QUICK)]
    reason = "tf32 needs a cuda device with TF32, an NVIDIA one of compute capability 8.0 or more; cpu has none"
    assert [(r.strategy, r.status, r.reason) for r in rows] == [(s, "skipped", reason) for s in ("identity", "vmap")]


@pytest.mark.parametrize(("supported", "device"), [(True, "cuda:1"), (False, "cuda:1"), (True, "cuda"), (False, "xpu")])
def test_a_device_is_asked_for_tf32(cell, monkeypatch, supported: bool, device: str) -> None:
    asked = []
    monkeypatch.setattr("jacstrat.harness.cell.setup.missing_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device", lambda index: asked.append(index) or nullcontext())
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: supported)
    reason = reason_to_skip(cell("sin", dtype="tf32", device=device))
    assert reason == (None if supported else missing_tf32("cpu").replace("cpu", device))
    assert asked == {"cuda:1": [1], "cuda": [3], "xpu": []}[device]


def test_a_plan_without_the_device_takes_it_to_have_tf32(cell) -> None:
    for device, skipped in (("cuda", False), ("cpu", True)):
        float32, tf32 = (
            next(forecasts(cell("linear", "vmap", dtype=dtype, device=device), memory_bytes=2**30))
            for dtype in ("float32", "tf32")
        )
        assert not float32.skip
        assert tf32.skip == (missing_tf32("cpu") if skipped else "")
        assert skipped or tf32.prediction == float32.prediction


class Rounded(TorchDispatchMode):
    """TF32 as a card has it: the factors of a matrix product lose all but ten bits after the point."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "addmv", "mv", "baddbmm"):
            first = {"addmm": 1, "addmv": 1, "baddbmm": 1}.get(name, 0)
            args = tuple(a if i < first or i > first + 1 else _eleven_bits(a) for i, a in enumerate(args))
        return func(*args, **(kwargs or {}))


def _eleven_bits(x: torch.Tensor) -> torch.Tensor:
    # Half of the thirteen bits to be lost is added to the magnitude, then they are cut off.
    return ((x.detach().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize(("problem", "operator"), [("tanh_field", "divergence"), ("tanh_scalar", "laplacian")])
def test_tf32_is_right_by_its_own_tolerance_and_wrong_by_that_of_float32(cell, problem: str, operator: str) -> None:
    assert _eleven_bits(torch.tensor([1 + 2**-10, 1 + 2**-11, -3.0])).tolist() == [1 + 2**-10, 1 + 2**-10, -3.0]
    found = {}
    for dtype in ("float32", "tf32"):
        asked = cell(problem, "vmap", operator=operator, dtype=dtype, n=16, batch=4)
        with surroundings(asked):
            setup = set_up(asked)
            with Rounded():
                prepared = prepare_case(asked.cases[0], setup, lambda name: None)
            found[dtype] = verdict(prepared.errors, setup)
    assert found["tf32"] == ("ok", "")
    assert found["float32"][0] == "wrong"
    assert "is beyond the tolerance 0.00012 of float32" in found["float32"][1]


def small_sizes(name: str) -> list[int]:
    sizes = [n for n in PROBLEMS[name].sizes if n <= 16]
    return [*sizes[:2], *sizes[2:][-1:]]


def outcome(cell, strategy: str) -> tuple[str, str]:
    """How one case ends, without its time."""
    with surroundings(cell):
        try:
            setup = set_up(cell)
            prepared = prepare_case(next(c for c in cell.cases if c.strategy == strategy), setup, lambda name: None)
        except (RuntimeError, ValueError, UnsupportedError) as error:
            return failure(error)
        return verdict(prepared.errors, setup)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_half_precision_is_right_or_says_why_not(cell, problem: str, dtype: str) -> None:
    for operator in PROBLEMS[problem].operators:
        for place, n in enumerate(small_sizes(problem)):
            if not shared(place, [*PROBLEMS].index(problem), len(dtype)):
                continue
            for strategy in ("identity", "vmap"):
                asked = cell(problem, strategy, operator=operator, n=n, batch=8, dtype=dtype)
                status, reason = outcome(asked, strategy)
                beyond_range = status == "wrong" and "ends at" in reason
                assert status in ("ok", "unsupported") or beyond_range, (asked.key, strategy, status, reason)


def test_what_is_beyond_the_range_of_float16_says_so(cell) -> None:
    # 1200 x_i^2 - 400 x_{i+1} + 202 is about 1800 on average: the sum of 63 of them is beyond 65504.
    status, reason = outcome(cell("rosenbrock", "vmap", operator="laplacian", n=64, dtype="float16"), "vmap")
    assert (status, reason) == ("wrong", "the answer is beyond the range of float16, which ends at 6.55e+04")
    assert outcome(cell("rosenbrock", "vmap", operator="laplacian", n=64, dtype="bfloat16"), "vmap")[0] == "ok"
