"""Functions that divide by a sum over an axis: softmax, logsumexp, norms and layer normalisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, sum_of_squares
from jacstrat.taylor.rule import NotCovered, Rule, TaylorCall, others_than_first


def _centred(y: Tensor, t: Tensor, axis: Any) -> tuple[Tensor, Tensor]:
    """The mean m of t with weights y, and t - m."""
    mean = (y * t).sum(axis, keepdim=True)
    return mean, t - mean


def _softmax(call: TaylorCall) -> Jet:
    # y = exp(v - lse v): with c_k = t_k - sum y t_k, Dy[t_k] = y c_k and D2y[t_k, t_k] = y (c_k^2 - sum y c_k^2).
    v, (axis, *rest) = call.args[0], others_than_first(call)
    y = call.op(v.value, axis, *rest, **call.kwargs)
    axis = axis - y.dim() if axis >= 0 else axis
    _, c = _centred(y, v.full(axis), axis)
    curvature = sum_of_squares(c)
    if v.laplacian is not None:
        curvature = curvature + v.laplacian
    _, bend = _centred(y, curvature, axis)
    return Jet(y, y * c if call.wants_tangents else None, y * bend, owned=True)


def _log_softmax(call: TaylorCall) -> Jet:
    # log y = v - lse v: Dy[t_k] = c_k, D2y[t_k, t_k] = -sum y c_k^2.
    v, (axis, *rest) = call.args[0], others_than_first(call)
    y = call.op(v.value, axis, *rest, **call.kwargs)
    axis = axis - y.dim() if axis >= 0 else axis
    p = y.exp()
    _, c = _centred(p, v.full(axis), axis)
    laplacian = -(p * sum_of_squares(c)).sum(axis, keepdim=True).expand(y.shape)
    if v.laplacian is not None:
        laplacian = laplacian + _centred(p, v.laplacian, axis)[1]
    return Jet(y, c if call.wants_tangents else None, laplacian, owned=True)


def _logsumexp(call: TaylorCall) -> Jet:
    # Dy[t_k] = sum p t_k, D2y[t_k, t_k] = sum p c_k^2, p the softmax.
    v, (axes, keepdim) = call.args[0], others_than_first(call)
    y = call.op(v.value, axes, keepdim)
    rank = v.value.dim()
    axes = [axis - rank if axis >= 0 else axis for axis in axes]
    p = (v.value - torch.logsumexp(v.value, axes, keepdim=True)).exp()
    mean, c = _centred(p, v.full(*axes), axes)
    curvature = sum_of_squares(c)
    if v.laplacian is not None:
        curvature = curvature + v.laplacian
    tangents = (mean if keepdim else mean.squeeze(axes)) if call.wants_tangents else None
    return Jet(y, tangents, (p * curvature).sum(axes, keepdim=keepdim), owned=True)


def _norm(call: TaylorCall) -> Jet:
    # y^2 = sum v^2: y y' = sum v t, y y'' = sum t^2 - y'^2 + sum v l; at 0, a cone's tip, both 0 as torch has them.
    v, (order, axes, keepdim) = call.args[0], others_than_first(call)
    if order != 2:
        raise NotCovered
    y = call.op(v.value, order, axes, keepdim, **call.kwargs)
    rank = v.value.dim()
    axes = [axis - rank if axis >= 0 else axis for axis in axes] if axes else list(range(-rank, 0))
    inverse = (1 / y).masked_fill(y == 0, 0)
    t = v.full(*axes)
    tangents = (v.value * t).sum(axes, keepdim=keepdim) * inverse
    curvature = sum_of_squares(t)
    if v.laplacian is not None:
        curvature = curvature + v.value * v.laplacian
    laplacian = (curvature.sum(axes, keepdim=keepdim) - sum_of_squares(tangents)) * inverse
    return Jet(y, tangents if call.wants_tangents else None, laplacian, owned=True)


def _layer_norm(call: TaylorCall) -> Any:
    # y = r c, c = v - mean v, r = (mean c^2 + eps)^(-1/2). With c_k = t_k - mean t_k and s_k = mean y c_k:
    # Dy[t_k] = r (c_k - y s_k) and D2y[t_k, t_k] = r^2 (y (3 s_k^2 - mean c_k^2) - 2 s_k c_k).
    v, (shape, weight, bias, eps) = call.args[0], others_than_first(call)
    if any(call.used[1:]):
        raise NotCovered
    out = call.op(v.value, shape, weight, bias, eps)[0]
    axes = list(range(-len(shape), 0))
    # Not the mean and r that the operation gives: these are constants to autograd.
    y = v.value - v.value.mean(axes, keepdim=True)
    r = torch.rsqrt((y * y).mean(axes, keepdim=True) + eps)
    y = y * r
    t = v.full(*axes)
    c = t - t.mean(axes, keepdim=True)
    s = (y * c).mean(axes, keepdim=True)
    bend = y * (3 * sum_of_squares(s) - sum_of_squares(c).mean(axes, keepdim=True)) - 2 * (s * c).sum(0)
    scale = r if weight is None else r * weight
    slope = r * bend
    if v.laplacian is not None:
        centred = v.laplacian - v.laplacian.mean(axes, keepdim=True)
        slope = slope + centred - y * (y * centred).mean(axes, keepdim=True)
    tangents = torch.addcmul(c, y, s, value=-1) * scale if call.wants_tangents else None
    laplacian = slope * scale
    return Jet(out, tangents, laplacian, owned=True), None, None


aten = torch.ops.aten

NORMALISED: dict[Any, Rule] = {
    **dict.fromkeys((aten._softmax.default, aten._safe_softmax.default), Rule(_softmax)),
    aten._log_softmax.default: Rule(_log_softmax),
    aten.logsumexp.default: Rule(_logsumexp),
    aten.linalg_vector_norm.default: Rule(_norm),
    aten.native_layer_norm.default: Rule(_layer_norm),
}
