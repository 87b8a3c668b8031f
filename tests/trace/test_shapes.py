"""What is known of results without torch is what torch's own kernels give; anything unusual is left to them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from jacstrat.trace.fake import _VIEWS, fake_mode
from jacstrat.trace.shapes import _SHAPES, known_result
from jacstrat.zeros import tensors_in

aten = torch.ops.aten
SHAPES = ((), (1,), (3,), (0,), (1, 3), (4, 1), (4, 3), (2, 1, 3), (2, 4, 3), (1, 1, 1))
LAYOUTS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda v: v,
    lambda v: v.mT.contiguous().mT if v.dim() > 1 else v,
    lambda v: v[..., ::2] if v.dim() else v,
    lambda v: v.double(),
    lambda v: v.long(),
    lambda v: v.to(torch.complex64),
)
NUMBERS = (2, 0.5, True, 1j)
MATRICES = tuple(
    torch.rand(shape) for shape in ((4, 3), (3, 5), (1, 3), (3, 1), (2, 4, 3), (2, 3, 5), (1, 3, 5), (0, 3))
)


def calls(op: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments of an operation, those among them that it refuses."""
    vs = [layout(torch.rand(shape)) for shape, layout in product(SHAPES, LAYOUTS)]
    names = [argument.name for argument in op._schema.arguments]
    if op in (aten.mm.default, aten.bmm.default):
        return [((a, b), {}) for a, b in product((*MATRICES, *(m.mT for m in MATRICES)), repeat=2)]
    if op is aten.addmm.default:
        bs = [torch.rand(shape) for shape in ((), (5,), (4,), (1, 5), (4, 5), (4, 1), (2, 4, 5))]
        triples = product(bs, MATRICES, MATRICES)
        return [(triple, kwargs) for triple in triples for kwargs in ({}, {"alpha": 2, "beta": 0.5})]
    if "dim" in names:
        axes = ([-1], [0], [0, 1], [-1, -3], [], None, [1, -2], [5])
        calls = [((v, axis, *kept), {}) for v in vs for axis in axes for kept in ((), (True,), (False,))]
        return [*calls, *(((v, [0]), {"dtype": torch.float64}) for v in vs)]
    if op.overloadpacket._qualified_op_name.endswith("threshold_backward"):
        return [((v, w, 0), {}) for v, w in product(vs, repeat=2)]
    if (names[1:2] == ["other"] and op._overloadname == "Tensor") or names[0] == "grad_output":
        others = vs if names[0] == "grad_output" else [*vs, *NUMBERS]
        calls = [((v, w), {}) for v, w in product(vs, others)]
        return [*calls, *(((v, v), {"alpha": 2}) for v in vs if "alpha" in names)]
    if op._overloadname in ("Scalar", "Tensor_Scalar"):
        return list(product(product(vs, NUMBERS), ({},)))
    return [((v,), {}) for v in vs]


def called(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    try:
        result: Tensor = op(*args, **kwargs)
    except (RuntimeError, IndexError, ValueError, NotImplementedError):
        return None
    return result


@pytest.mark.parametrize("op", _SHAPES, ids=str)
def test_a_known_result_is_torchs(op: Any) -> None:
    known = 0
    for args, kwargs in calls(op):
        claim = known_result(op, args, kwargs)
        if claim is None:
            continue
        known += 1
        result = called(op, args, kwargs)
        assert result is not None, [getattr(one, "shape", one) for one in args]
        assert (claim.shape, claim.dtype, claim.device) == (tuple(result.shape), result.dtype, result.device)
        assert result.is_contiguous()
    assert known > 5


def test_what_is_unusual_is_left_to_torch() -> None:
    v, w = torch.rand(4, 3), torch.rand(4, 3)
    for args, kwargs in (
        ((v, w.double()), {}),
        ((v, w.long()), {}),
        ((v, 1j), {}),
        ((v, True), {}),
        ((v.long(), w.long()), {}),
        ((v, w.t().contiguous().t()), {}),
        ((v, w.to_sparse()), {}),
        ((v[:, :1], w[:1]), {}),
        ((v, w), {"out": v}),
    ):
        assert known_result(aten.add.Tensor, args, kwargs) is None
    assert known_result(aten.sum.dim_IntList, (v, [0]), {"dtype": torch.float64}) is None
    assert known_result(aten.sum.dim_IntList, (v, []), {}) is None, "all axes"
    assert known_result(aten.cumsum.default, (v, 0), {}) is None
    with fake_mode():
        assert known_result(aten.tanh.default, (torch.empty(3),), {}) == ((3,), torch.float32, torch.device("cpu"))


def layout(v: Tensor) -> tuple[object, ...]:
    return tuple(v.shape), v.stride(), v.storage_offset(), v.dtype, v.device


VIEWS: tuple[Callable[[Tensor], Any], ...] = (
    lambda v: v.detach(),
    lambda v: v.t(),
    lambda v: v.permute(1, 0),
    lambda v: v.view(-1),
    lambda v: v.view(2, 2, 3),
    lambda v: v.unsqueeze(1),
    lambda v: v[:, :1].expand(4, 5),
    lambda v: v.unsqueeze(0).expand(2, 4, 3),
    lambda v: v.transpose(0, 1),
    lambda v: v[2],
    lambda v: v.unbind(1),
    lambda v: v[1:, ::2],
    lambda v: v[:1].squeeze(0),
    lambda v: v.chunk(2, -1),
    lambda v: v.split([1, 3]),
    lambda v: aten._unsafe_view(v, [12]),
    lambda v: aten.alias(v),
    lambda v: v[:, None, :].transpose(0, 1).view(1, 4, 3),
)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_without_numbers_is_laid_out_as_one_with(view: Callable[[Tensor], Any]) -> None:
    expected = tensors_in(view(torch.rand(4, 3)))
    with fake_mode():
        v = torch.empty(4, 3)
        views = tensors_in(view(v))
        assert all(isinstance(one, FakeTensor) for one in views)
        assert [one.untyped_storage()._cdata for one in views] == [v.untyped_storage()._cdata] * len(views)
    layouts = [
        [(tuple(one.shape), one.stride(), one.storage_offset(), one.device) for one in ones]
        for ones in (views, expected)
    ]
    assert layouts[0] == layouts[1]


def test_every_view_of_the_table_is_one() -> None:
    assert all(op.is_view or op is aten._unsafe_view.default for op in _VIEWS)


def test_what_a_view_cannot_be_is_told_in_torchs_words() -> None:
    with pytest.raises(RuntimeError, match="invalid for input of size 12"), fake_mode():
        torch.empty(4, 3).view(5)


def test_views_of_a_parameter_share_what_they_are_of() -> None:
    W = torch.nn.Parameter(torch.rand(4, 3))
    with torch.no_grad(), fake_mode():
        once, again = W.t(), W[1:].t()
        assert isinstance(once, FakeTensor)
        assert layout(once) == layout(W.detach().t())
        assert once.untyped_storage()._cdata == again.untyped_storage()._cdata
    assert not isinstance(W.data, FakeTensor)


def test_where_a_tensor_is_and_what_is_empty_are_told_at_once() -> None:
    with fake_mode():
        v = torch.empty(2, 3, dtype=torch.float64, device="cpu")
        assert isinstance(v, FakeTensor)
        assert layout(v) == layout(torch.zeros(2, 3, dtype=torch.float64))
        assert torch.empty(2, 3).dtype == torch.float32
        assert torch.zeros_like(v.expand(4, 2, 3)).device == torch.device("cpu")


def test_numbers_that_torch_knows_stay_known() -> None:
    with fake_mode():
        assert float((torch.tensor(2.0) * 3).view(1)) == 6
