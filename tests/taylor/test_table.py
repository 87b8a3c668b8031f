"""Every rule of the table against the one for any operation, and that one against dense derivatives."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.taylor.fallback import ANY, FORWARD, REVERSE
from jacstrat.taylor.jet import Jet
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.taylor.table import TAYLOR_RULES
from jacstrat.trace.record import revalued
from tests.taylor.samples import SAMPLES, V, draw

pytestmark = pytest.mark.long(but_one_in=3)

K = 3
REVALUED = draw(3, 4)
aten = torch.ops.aten
# What autograd has no derivative of, or one of its own, in other words.
DECOMPOSED = {
    aten.detach.default: aten.alias.default,
    aten.copy.default: lambda v, source, _: 0 * v + source,
    # The value of its sample is known.
    revalued: lambda v, numbers: v + (numbers - REVALUED),
}
CASES = [
    pytest.param(op, args, kwargs, id=f"{getattr(op, '__name__', op)}-{number}")
    for op, samples in SAMPLES.items()
    for number, (args, kwargs) in enumerate(samples)
]


def marked(args: Any) -> list[V]:
    """The tensors that may depend on x, in order."""
    if isinstance(args, V):
        return [args]
    return [leaf for branch in args for leaf in marked(branch)] if isinstance(args, (tuple, list)) else []


def replaced(args: Any, news: list[Any]) -> Any:
    """The arguments with the next of `news` in place of each V."""
    if isinstance(args, V):
        return news.pop(0)
    return type(args)(replaced(branch, news) for branch in args) if isinstance(args, (tuple, list)) else args


def jet(value: Tensor, shared: bool, bent: bool, number: int) -> Jet:
    """A jet with tangents of its own, the same along the first axis where `shared`, and perhaps a Laplacian."""
    shape = (1, *value.shape[1:]) if shared and value.dim() else value.shape
    tangents = draw(K, *shape, seed=10 + number) - 0.7
    return Jet(value, tangents, draw(*value.shape, seed=20 + number) - 0.7 if bent else None)


def results(op: Any, apply: Any, args: Any, kwargs: Any, jets: list[Any], **more: Any) -> list[Any]:
    """What a rule makes of the arguments: value, tangents and Laplacian of each output, at full size."""
    first_only = op is aten.native_layer_norm.default
    used = (True, False, False) if first_only else (True,) * 9
    out = apply(TaylorCall(op, replaced(args, list(jets)), kwargs, used=used, **more))
    outs = out if isinstance(out, (tuple, list)) else (out,)
    found: list[Any] = []
    for y in outs[:1] if first_only else outs:
        assert isinstance(y, Jet)
        laplacian = torch.zeros_like(y.value) if y.laplacian is None else y.laplacian
        found += [y.value, y.full() if more.get("wants_tangents", True) else None, laplacian]
    return found


def test_every_rule_has_samples() -> None:
    assert set(SAMPLES) == set(TAYLOR_RULES)


@pytest.mark.parametrize(("op", "args", "kwargs"), CASES)
def test_a_rule_agrees_with_the_one_for_any_operation(op: Any, args: Any, kwargs: Any) -> None:
    tensors = [leaf.value for leaf in marked(args)]
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if kwargs.get("dtype") == torch.float32 else {"rtol": 1e-11, "atol": 1e-12}
    covered = 0
    for varies in product((True, False), repeat=len(tensors)):
        for shared, bent in product((False, True), repeat=2):

            def jets(varies=varies, shared=shared, bent=bent) -> list[Any]:
                return [
                    jet(t, shared, bent, number) if yes else t
                    for number, (t, yes) in enumerate(zip(tensors, varies, strict=True))
                ]

            if not any(varies):
                continue
            given = jets()
            try:
                found = results(op, TAYLOR_RULES[op].apply, args, kwargs, given)
            except NotCovered:
                continue
            covered += 1
            expected = results(DECOMPOSED.get(op, op), ANY.apply, args, kwargs, jets())
            torch.testing.assert_close(found, expected, **tolerance)
            for made, was in zip(given, jets(), strict=True):
                if isinstance(made, Jet):
                    torch.testing.assert_close(made.tangents, was.tangents, rtol=0, atol=0)

            spent = jets()
            for tangents in spent:
                if isinstance(tangents, Jet):
                    tangents.owned = True
            torch.testing.assert_close(
                results(op, TAYLOR_RULES[op].apply, args, kwargs, spent, may_overwrite=True), expected, **tolerance
            )
            unwanted = results(op, TAYLOR_RULES[op].apply, args, kwargs, jets(), wants_tangents=False)
            torch.testing.assert_close(unwanted[2], expected[2], **tolerance)
    is_left_out = (op is aten.linalg_vector_norm.default and args[1] == 3) or (op is aten.index_put.default and args[3])
    assert bool(covered) is not is_left_out


@pytest.mark.parametrize(("op", "args", "kwargs"), CASES)
def test_what_a_rule_calls_linear_has_no_second_derivative(op: Any, args: Any, kwargs: Any) -> None:
    tensors = [leaf.value for leaf in marked(args)]
    for varies in product((True, False), repeat=len(tensors)):
        given = [
            jet(t, False, False, number) if yes else t
            for number, (t, yes) in enumerate(zip(tensors, varies, strict=True))
        ]
        arguments = [any(isinstance(leaf, Jet) for leaf in _flat(a)) for a in replaced(args, list(given))]
        if any(varies) and TAYLOR_RULES[op].is_linear(arguments):
            found = results(DECOMPOSED.get(op, op), ANY.apply, args, kwargs, given)
            assert all(not laplacian.any() for laplacian in found[2::3])


def _flat(tree: Any) -> list[Any]:
    return [leaf for branch in tree for leaf in _flat(branch)] if isinstance(tree, (tuple, list)) else [tree]


@pytest.mark.parametrize("mode", [FORWARD, REVERSE], ids=["forward", "reverse"])
def test_both_modes_agree_with_dense_derivatives(mode: Any) -> None:
    def function(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return torch.atan2(a, b), torch.linalg.inv(a.outer(b) + torch.eye(3, dtype=a.dtype))

    values, t = (draw(3), draw(3, seed=1)), (draw(3, seed=2), draw(3, seed=3))

    def along(s: Tensor) -> tuple[Tensor, ...]:
        return function(*(value + s * direction for value, direction in zip(values, t, strict=True)))

    zero = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(mode.first(function, values, t), torch.func.jacrev(along)(zero))
    torch.testing.assert_close(mode.second(function, values, t), torch.func.jacrev(torch.func.jacrev(along))(zero))


def test_an_operation_that_hands_intermediate_results_to_its_derivative() -> None:
    # logdet A by an LU decomposition: D[T] = tr(A^-1 T), D2[T, T] = -tr((A^-1 T)^2).
    A, T = draw(3, 3) + 3 * torch.eye(3, dtype=torch.float64), draw(2, 3, 3, seed=1)
    call = TaylorCall(aten._linalg_slogdet.default, (Jet(A, T),), {}, used=(False, True, False, False))
    found = ANY.apply(call)[1]
    S = torch.linalg.solve(A, T)
    torch.testing.assert_close(found.tangents, S.diagonal(dim1=1, dim2=2).sum(1))
    torch.testing.assert_close(found.laplacian, -(S @ S).diagonal(dim1=1, dim2=2).sum())
