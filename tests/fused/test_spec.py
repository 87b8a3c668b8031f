"""What a kernel is generated for is a value: equal specs are one kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jacstrat.core.operator import OPERATORS
from jacstrat.fused.network import InputVector, LinearVector, Network, PointwiseVector, Term
from jacstrat.fused.pointwise import Formula
from jacstrat.fused.spec import Spec, padded

TANH = Formula("curved", ())


def spec() -> Spec:
    vectors = (InputVector(4), LinearVector(8, (Term(0, operand=0),)), PointwiseVector(8, 1, TANH))
    network = Network((*vectors, LinearVector(1, (Term(2, operand=1),))))
    return Spec(network, OPERATORS["laplacian"], False, False, ((1, 1), (1, 1)), "float32", "tf32x3")


@pytest.mark.parametrize(("width", "columns"), [(1, 1), (2, 16), (16, 16), (17, 32), (64, 64), (65, 128)])
def test_a_tile_has_one_column_or_a_power_of_two_that_a_product_takes(width: int, columns: int) -> None:
    assert padded(width) == columns


def test_specs_are_equal_by_what_they_say() -> None:
    assert spec() == spec()
    assert hash(spec()) == hash(spec())
    assert spec() != replace(spec(), with_value=True)


@pytest.mark.parametrize(
    ("dtype", "accumulates"), [("float64", "float64"), ("float32", "float32"), ("bfloat16", "float32")]
)
def test_half_precision_is_computed_in_float32(dtype: str, accumulates: str) -> None:
    assert replace(spec(), dtype=dtype).accumulates == accumulates


def test_seeds_are_of_what_is_asked_for_and_the_same_at_every_point() -> None:
    assert spec().asked == {1}
    assert spec().seeded == (1,)
    divergence = replace(spec(), operator=OPERATORS["divergence"])
    assert divergence.asked == divergence.network.picked
