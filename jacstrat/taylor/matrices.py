"""Matrix products and convolutions: one product for all tangents, and the cross term as one product over k as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned, plus, shaped, value_of
from jacstrat.taylor.rule import NotCovered, Rule, TaylorCall, only_one


def left_tangents(a: Jet, b: Tensor) -> Tensor:
    """(K, ...) of Da[d_k] b, for a of at least two axes."""
    if a.is_point:
        # The unit vectors times b are the rows of b; in the order in which products want them, while they are few.
        return b.contiguous().unsqueeze(1)
    if b.dim() == 3:
        # One product a matrix of the batch, for all k: b is not repeated for each.
        t = a.full(-3, -1)
        K, batch, rows, inner = t.shape
        folded = t.transpose(0, 1).reshape(batch, K * rows, inner) @ b
        return folded.view(batch, K, rows, b.shape[-1]).transpose(0, 1)
    return a.full(-1) @ b


def right_tangents(a: Tensor, b: Jet) -> Tensor:
    """(K, ...) of a Db[d_k]."""
    if a.dim() == 3:
        t = b.full(-3, -2)
        K, batch, inner, columns = t.shape
        folded = a @ t.permute(1, 2, 0, 3).reshape(batch, inner, K * columns)
        return folded.view(batch, a.shape[-2], K, columns).permute(2, 0, 1, 3)
    return a @ b.full(-2)


def of_each_factor(a: Any, b: Any) -> Tensor | None:
    """la b + a lb: what a product makes of the Laplacians of its factors, without the cross term."""
    left = a.laplacian @ value_of(b) if isinstance(a, Jet) and a.laplacian is not None else None
    right = value_of(a) @ b.laplacian if isinstance(b, Jet) and b.laplacian is not None else None
    return plus(left, right)


def _cross(a: Jet, b: Jet) -> Tensor:
    """sum_k Da[d_k] Db[d_k], k beside the axis that is contracted anyway."""
    ta, tb = a.full(), b.full()
    if ta.dim() == 4:
        K, batch, rows, inner = ta.shape
        left = ta.permute(1, 2, 0, 3).reshape(batch, rows, K * inner)
        return left @ tb.transpose(0, 1).reshape(batch, K * inner, tb.shape[-1])
    K, rows, inner = ta.shape
    return ta.transpose(0, 1).reshape(rows, K * inner) @ tb.reshape(K * inner, tb.shape[-1])


def _derivatives(a: Any, b: Any, wants_tangents: bool) -> tuple[Tensor | None, Tensor | None]:
    """Tangents and Laplacian of the matrix product a b."""
    laplacian, tangents = of_each_factor(a, b), None
    if isinstance(a, Jet) and wants_tangents:
        tangents = left_tangents(a, value_of(b))
    if isinstance(b, Jet) and wants_tangents:
        tangents = plus(tangents, right_tangents(value_of(a), b))
    if isinstance(a, Jet) and isinstance(b, Jet):
        laplacian = plus(laplacian, 2 * _cross(a, b))
    return tangents, laplacian


def _product(call: TaylorCall) -> Jet:
    """a b, of matrices or batches of them."""
    a, b = call.args
    y = call.op(value_of(a), value_of(b))
    tangents, laplacian = _derivatives(a, b, call.wants_tangents)
    return Jet(y, tangents, shaped(laplacian, y), owned=not _is_point(a))


def _product_and_sum(call: TaylorCall) -> Jet:
    """beta c + alpha a b."""
    c, a, b = call.args
    y = call.op(value_of(c), value_of(a), value_of(b), **call.kwargs)
    alpha, beta = call.kwargs.get("alpha", 1), call.kwargs.get("beta", 1)
    tangents, laplacian = _derivatives(a, b, call.wants_tangents)
    if alpha != 1:
        tangents = None if tangents is None else alpha * tangents
        laplacian = None if laplacian is None else alpha * laplacian
    if isinstance(c, Jet):
        if call.wants_tangents:
            assert c.tangents is not None
            tangents = plus(tangents, beta * aligned(c.tangents, y.dim()))
        laplacian = plus(laplacian, None if c.laplacian is None else beta * c.laplacian)
    return Jet(y, tangents, shaped(laplacian, y), owned=not _is_point(a) and (isinstance(a, Jet) or isinstance(b, Jet)))


def _one_factor(arguments: Sequence[bool]) -> bool:
    return not (arguments[1] and arguments[2])


def _is_point(argument: Any) -> bool:
    return isinstance(argument, Jet) and argument.is_point


def _matrix(v: Any) -> Any:
    """A vector as a matrix of one column."""
    if not isinstance(v, Jet):
        return v.unsqueeze(-1)
    laplacian = None if v.laplacian is None else v.laplacian.unsqueeze(-1)
    assert v.tangents is not None
    return Jet(v.value.unsqueeze(-1), v.tangents.unsqueeze(-1), laplacian)


def _row(v: Any) -> Any:
    """A vector as a matrix of one row."""
    if not isinstance(v, Jet):
        return v.unsqueeze(0)
    laplacian = None if v.laplacian is None else v.laplacian.unsqueeze(0)
    assert v.tangents is not None
    return Jet(v.value.unsqueeze(0), v.tangents.unsqueeze(1), laplacian)


def _with_vectors(turn: Callable[[Any, Any], tuple[Any, Any]], position: int) -> Callable[[TaylorCall], Jet]:
    """The rule of a product with vectors, by that of matrices, which `turn` makes of them."""

    def apply(call: TaylorCall) -> Jet:
        summand, (a, b) = call.args[:position], call.args[position:]
        y = call.op(*map(value_of, call.args), **call.kwargs)
        if any(isinstance(c, Jet) for c in summand):
            raise NotCovered
        tangents, laplacian = _derivatives(*turn(a, b), call.wants_tangents)
        alpha = call.kwargs.get("alpha", 1)
        if tangents is not None:
            tangents = alpha * (tangents.squeeze(-1) if y.dim() else tangents[:, 0, 0])
        return Jet(y, tangents, None if laplacian is None else alpha * laplacian.reshape(y.shape), owned=True)

    return apply


def _linear_layer(call: TaylorCall) -> Jet:
    """x W^T + b."""
    v, weight, bias = call.args
    if not isinstance(v, Jet) or isinstance(weight, Jet) or isinstance(bias, Jet):
        raise NotCovered
    y = call.op(v.value, weight, bias)
    W = weight.mT
    laplacian = None if v.laplacian is None else v.laplacian @ W
    tangents = None
    if call.wants_tangents:
        tangents = W.contiguous().view(len(W), *(1,) * (y.dim() - 1), -1) if v.is_point else v.full(-1) @ W
    return Jet(y, tangents, laplacian, owned=not v.is_point)


def _convolution(call: TaylorCall) -> Jet:
    """A convolution with a kernel that does not depend on x: the tangents are more images."""
    v, weight, bias, *rest = call.args
    if not isinstance(v, Jet) or isinstance(weight, Jet) or isinstance(bias, Jet):
        raise NotCovered
    y = call.op(v.value, weight, bias, *rest)
    laplacian = None if v.laplacian is None else call.op(v.laplacian, weight, None, *rest)
    tangents = None
    if call.wants_tangents:
        t = v.full(*range(1 - v.value.dim(), 0))
        tangents = call.op(t.flatten(0, 1), weight, None, *rest).unflatten(0, t.shape[:2])
    return Jet(y, tangents, laplacian, owned=True)


aten = torch.ops.aten

MATRICES: dict[Any, Rule] = {
    **dict.fromkeys((aten.mm.default, aten.bmm.default), Rule(_product, only_one)),
    **dict.fromkeys((aten.addmm.default, aten.baddbmm.default), Rule(_product_and_sum, _one_factor)),
    aten.mv.default: Rule(_with_vectors(lambda a, b: (a, _matrix(b)), 0), only_one),
    aten.addmv.default: Rule(_with_vectors(lambda a, b: (a, _matrix(b)), 1), only_one),
    aten.dot.default: Rule(_with_vectors(lambda a, b: (_row(a), _matrix(b)), 0), only_one),
    aten.linear.default: Rule(_linear_layer, only_one),
    aten.convolution.default: Rule(_convolution, only_one),
}
