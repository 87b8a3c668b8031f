"""What is said of a network before any kernel: what varies, what bends, and which derivatives are carried."""

from __future__ import annotations

from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, Network, PointwiseVector, Product, Term
from jacstrat.fused.pointwise import Formula

TANH = Formula("curved", ())
RELU = Formula("piecewise", (), is_piecewise=True)


def layers(*formulas) -> Network:
    """x of 4 -> 8 -> ... -> 1: a matrix and a pointwise function for each, and a sum behind."""
    vectors: list = [InputVector(4)]
    for formula in formulas:
        vectors.append(LinearVector(8, (Term(len(vectors) - 1, operand=len(vectors)),)))
        vectors.append(PointwiseVector(8, len(vectors) - 1, formula))
    return Network((*vectors, LinearVector(1, (Term(len(vectors) - 1, operand=99),))))


def test_derivatives_behind_the_first_matrix_are_the_same_at_every_point() -> None:
    network = layers(TANH, TANH)
    assert (network.n, network.output) == (4, 5)
    assert network.varies == (True,) * 6
    assert network.fixed == (True, True, False, False, False, False)


def test_a_laplacian_asks_for_what_stands_in_front_of_a_bend() -> None:
    network = layers(TANH, TANH)
    assert network.bends == (2, 4)
    assert network.bent == {1, 3}
    # The second matrix needs those of the first tanh, and they those of what is seeded.
    assert network.carrying(network.bent) == (1, 2, 3)
    assert [network.is_seeded(number) for number in (1, 2, 3)] == [True, False, False]


def test_what_is_piecewise_linear_does_not_bend() -> None:
    assert layers(RELU, RELU).bends == ()
    assert layers(RELU, TANH).bends == (4,)


def test_what_does_not_depend_on_x_neither_varies_nor_bends() -> None:
    given = ConstantVector(4, 0, of_points=True)
    network = Network((InputVector(4), given, PointwiseVector(4, 1, TANH), Product(4, 0, 2), Product(4, 0, 3)))
    assert network.varies == (True, False, False, True, True)
    assert network.bends == (4,), "a product bends where both factors vary"


def test_the_diagonal_of_a_field_is_read_off_in_front_of_its_last_matrix() -> None:
    network = Network((*layers(TANH).vectors[:3], LinearVector(4, (Term(2, operand=1), Term(0)))))
    # The skip is the point itself, whose derivative along k is known at entry k.
    assert network.picked == {2}


def test_each_formula_is_there_once() -> None:
    assert [formula.name for formula in layers(TANH, RELU, TANH).formulas()] == ["curved", "piecewise"]
