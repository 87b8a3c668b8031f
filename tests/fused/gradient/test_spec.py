"""What a kernel of gradients is generated for: which adjoints it needs, and what it leaves to torch."""

from __future__ import annotations

from dataclasses import replace

from jacstrat.core.operator import OPERATORS
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, Network, PointwiseVector, Term
from jacstrat.fused.pointwise import Formula
from jacstrat.fused.spec import Spec

TANH = Formula("curved", ())
# tanh(W_0 x + W_1 y + o_2) and a matrix behind it, y (operand 4) an argument of each point.
FIRST = LinearVector(8, (Term(0, operand=0), Term(1, operand=1)), bias=2)
NETWORK = Network(
    (
        *(InputVector(4), ConstantVector(5, 4, of_points=True), FIRST, PointwiseVector(8, 2, TANH)),
        LinearVector(1, (Term(3, operand=3),)),
    )
)


def spec(operands: frozenset[int], with_x: bool) -> GradientSpec:
    forward = Spec(NETWORK, OPERATORS["laplacian"], False, False, ((1, 1),) * 6, "float32", "tf32x3")
    return GradientSpec(forward, operands, frozenset(), with_x)


def test_adjoints_are_needed_as_far_as_they_lead_to_what_is_wanted() -> None:
    assert spec(frozenset({3}), False).needed() == {4}
    assert spec(frozenset({2}), False).needed() == {2, 3, 4}
    assert spec(frozenset({4}), False).needed() == {1, 2, 3, 4}
    assert spec(frozenset(), True).needed() == {0, 2, 3, 4}
    assert spec(frozenset(), False).needed() == frozenset()


def test_what_is_given_for_each_point_meets_its_matrix_in_torch() -> None:
    one = spec(frozenset({0, 1}), True)
    assert one.of_points == {4}
    assert all(one.is_outside(term, 2) for term in FIRST.terms)
    assert not one.is_outside(Term(3, operand=3), 4)
    assert not one.is_outside(Term(0), 2), "a sum, and no product"


def test_specs_are_equal_by_what_they_say() -> None:
    assert spec(frozenset({3}), False) == spec(frozenset({3}), False)
    assert spec(frozenset({3}), False) != replace(spec(frozenset({3}), False), with_x=True)
