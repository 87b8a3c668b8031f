"""Operators as values: specs that parse back, what is equal, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat import OPERATORS, Operator, ShapeError, UsageError, parse_operator

coordinates = st.none() | st.lists(st.integers(0, 99), min_size=1, unique=True).map(tuple)
weights = st.none() | st.just("own") | st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1).map(tuple)


@given(st.sampled_from(sorted(OPERATORS)), coordinates, weights)
def test_a_spec_parses_back(name: str, coordinates: tuple[int, ...] | None, weight: object) -> None:
    plain = OPERATORS[name]
    if weight is not None and (plain.reduce == "diagonal" or plain.order == 4):
        weight = None
    operator = Operator(name, plain.kind, plain.order, plain.reduce, coordinates, weight)
    assert parse_operator(operator.spec) == operator
    assert hash(parse_operator(operator.spec)) == hash(operator)
    assert operator.plain == plain
    assert operator.is_plain is (coordinates is None and weight is None)


def test_specs() -> None:
    assert parse_operator("laplacian:coordinates=0+1").coordinates == (0, 1)
    assert parse_operator("laplacian: weight=1+0.5 , coordinates=1+0").spec == "laplacian:coordinates=1+0,weight=1+0.5"
    assert parse_operator(OPERATORS["divergence"]) is OPERATORS["divergence"]


def test_weights_are_told_apart_by_identity() -> None:
    A = np.eye(2)
    same, other = (Operator("laplacian", "scalar", 2, "trace", weight=one) for one in (A, A.copy()))
    assert same == Operator("laplacian", "scalar", 2, "trace", weight=A)
    assert same != other
    assert same.spec == "laplacian:weight=given"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("laplacain", "unknown operator 'laplacain'; did you mean laplacian or"),
        ("laplacian:coordinate=0", "unknown field of laplacian 'coordinate'; did you mean coordinates?"),
        ("laplacian:coordinates", "expected key=value after the colon, got 'coordinates'"),
        ("laplacian:coordinates=a", "coordinates must be numbers joined by +, as coordinates=0+1, got 'a'"),
        ("laplacian:coordinates=0+0", "coordinates: 0 is given twice; name each once"),
        ("laplacian:coordinates=-1", "coordinates must be whole numbers from 0, got -1"),
        ("laplacian:coordinates=0,coordinates=1", "coordinates is given twice"),
        ("laplacian:weight=x", "weight must be numbers joined by +"),
        ("jacobian_diagonal:weight=1+2", "jacobian_diagonal takes no weight: multiply what it gives, or take a trace"),
        ("bilaplacian:weight=own", "bilaplacian takes no weight: apply laplacian with a weight twice"),
    ],
)
def test_a_bad_spec_is_told_in_a_line(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_operator(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spec_has_all_digits_of_a_weight() -> None:
    operator = parse_operator("laplacian:weight=1e+06+0.123456789+-2.5E-7+1")
    assert operator.weight == (1e6, 0.123456789, -2.5e-7, 1.0)
    assert operator.spec == "laplacian:weight=1000000+0.123456789+-2.5e-07+1"
    assert parse_operator(replace(operator, weight=(1e20,)).spec).weight == (1e20,)


@pytest.mark.parametrize(("field", "value"), [("kind", "sclar"), ("order", 3), ("reduce", "trce")])
def test_an_operator_of_no_known_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{field} of an operator is one of .*, got {value!r}"):
        replace(OPERATORS["divergence"], **{field: value})


def test_coordinates_are_whole_numbers_of_any_type() -> None:
    assert replace(OPERATORS["laplacian"], coordinates=np.array([2, 0])).coordinates == (2, 0)
    for coordinates in (0.5, [0.5], [True], "ab"):
        with pytest.raises(UsageError, match="coordinates must be whole numbers from 0, got"):
            replace(OPERATORS["laplacian"], coordinates=coordinates)


@pytest.mark.parametrize("weight", [3, "heat", [], [True], [[1.0]]])
def test_a_weight_that_is_none_is_named(weight: object) -> None:
    with pytest.raises(UsageError, match="weight"):
        Operator("laplacian", "scalar", 2, "trace", weight=weight)


def test_coordinates_out_of_range_are_named() -> None:
    with pytest.raises(UsageError, match="coordinates: 3 is out of range for n = 3; the last one is 2"):
        parse_operator("divergence:coordinates=0+3").check_coordinates(3)
    with pytest.raises(UsageError, match="coordinates must name at least one; leave them out for all"):
        Operator("divergence", "field", 1, "trace", ())


def test_shapes_of_results() -> None:
    laplacian, divergence = OPERATORS["laplacian"], OPERATORS["divergence"]
    for y in (torch.ones(2), torch.ones((2, 1)), torch.ones((2, 5))):
        laplacian.check_result(y, (2, 3))
    divergence.check_result(torch.ones((2, 3)), (2, 3))
    some = parse_operator("divergence:coordinates=0+1")
    for outputs in (2, 3, 4):
        some.check_result(torch.ones((2, outputs)), (2, 3))
    for operator, shape, message in (
        (laplacian, (2, 3, 1), r"the scalar must map \(2, 3\) to \(2,\), got \(2, 3, 1\)"),
        (laplacian, (), r"got \(\); if f takes one point and not a batch, give torch.func.vmap\(f\)"),
        (divergence, (2,), r"the field must map \(2, 3\) to \(2, 3\), got \(2,\)"),
        (some, (2, 1), r"got \(2, 1\); it needs an output for each of the coordinates 0\+1"),
    ):
        with pytest.raises(ShapeError, match=message):
            operator.check_result(torch.ones(shape), (2, 3))
    for y, message in (
        ((1, 2), "got tuple; return its one output"),
        (None, "got NoneType; does it end with return"),
        (np.ones(2), "got ndarray; write it with torch's functions"),
        (1.0, "got float; return a tensor, without .item"),
    ):
        with pytest.raises(ShapeError, match=f"the scalar must return one tensor, {message}"):
            laplacian.check_result(y, (2, 3))
    for dtype in ("bool", "int64"):
        with pytest.raises(UsageError, match=f"x. is {dtype}, which has no derivative; return floating-point numbers"):
            laplacian.check_result(torch.ones(2, dtype=getattr(torch, dtype)), (2, 3))
