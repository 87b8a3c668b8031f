"""What f writes in place: into its result, into views, and past autograd."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.cases.case import DIAGONAL, DIVERGENCE, LAPLACIAN, Sample, case, enter, points


@case(DIVERGENCE, "a result that is filled into torch.zeros(x.shape)", "pytorch#103329", "differences")
def filled_zeros(x, c):
    y = torch.zeros(x.shape, dtype=x.dtype)
    y[..., 0] = c[0] * x[..., 1] ** 2
    y[..., 1] = y[..., 0] * x[..., 0]
    y[..., 2:] += torch.sin(c[2:] * x[..., 2:])
    return y


@case(DIVERGENCE, "a result that is filled into zeros_like, some of it twice", "pytorch#136662", "differences")
def filled_zeros_like(x, c):
    y = torch.zeros_like(x)
    y[..., 0] += c[0] * x[..., 2].abs()
    y[..., 0] += x[..., 0] * x[..., 2].abs()
    y[..., 1:3] = x[..., 1:3] ** 2
    y[..., 3] = y[..., 0] * x[..., 3]
    return y


@case(LAPLACIAN, "features that are filled into zeros_like", "pytorch#136662", "differences")
def filled_features(x, c):
    y = torch.zeros_like(x)
    y[..., 0] += c[0] * x[..., 2] ** 3
    y[..., 0] += x[..., 0] * x[..., 2]
    y[..., 1:3] = x[..., 1:3] ** 2
    y[..., 3] = y[..., 0] * x[..., 3]
    return y.square().sum(-1)


@case(LAPLACIAN, "views that are written through", "functorch#999")
def written_through_views(x, c):
    y = (c * x).clone()
    view = y.unflatten(-1, (2, 2)).transpose(-1, -2)
    view.mul_(2)
    view[..., 0] += x[..., 1:3] ** 3
    y.tanh_()
    return y.square().sum(-1)


@case(LAPLACIAN, "slices that overlap, strides, and a column", "pytorch#103329")
def written_slices(x, c):
    y = (c * x).clone()
    y[..., 1:] += y[..., :-1].clone()
    y[..., ::3].mul_(2)
    y[..., 0].add_(y[..., 3].clone())
    return y.pow(3).sum(-1)


@case(LAPLACIAN, "a hard constraint as PINNs have it: y[..., 0] = value after tanh", "pytorch#103329", "differences")
def hard_constraint(x, c):
    y = torch.tanh(c * x)
    y[..., 0] = x[..., 0] * (1 - x[..., 0])
    return y.pow(2).sum(-1)


@case(DIVERGENCE, "a hard constraint in a field", "pytorch#103329")
def hard_constraint_field(x, c):
    y = torch.tanh(c * x) * x.sum(-1, keepdim=True)
    y[..., 0] = x[..., 0] * (1 - x[..., 0]) * c[0]
    return y


@case(LAPLACIAN, "clamp_ under no_grad changes a value that autograd saves later", "pytorch#78961")
def clamped_under_no_grad(x, c):
    r = (c * x).square().sum(-1) + 1.0
    with torch.no_grad():
        r.clamp_(min=1e-8)
    return r**2 + r.sin()


@case(LAPLACIAN, "clamp_ by .data and by detach()", "pytorch#78961")
def clamped_data(x, c):
    r = (c * x).square().sum(-1) + 1.0
    r.data.clamp_(min=1e-8)
    r.detach().clamp_(max=1e8)
    return r**2 + r.sin()


@enter(DIVERGENCE, "f changes its own weights in place: each call divides them by their norm", truth="autograd alone")
def renormalised_weights() -> Sample:
    x, c = points(4, 4) * 0.5, nn.Parameter(torch.rand(4).double() + 0.5)
    weight = nn.Parameter(points(4, 4))

    def f(x: Tensor) -> Tensor:
        with torch.no_grad():
            weight.div_(weight.norm())
        return torch.tanh(x @ weight) * c

    return Sample(f, x, (c, weight))


@enter(
    (DIVERGENCE, DIAGONAL),
    "no_grad in f stops reverse mode, which is what is meant by it, and does not stop forward mode",
    "pytorch#128600",
    "autograd alone",
)
def scale_under_no_grad() -> Sample:
    x, net = points(5, 4), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)).double()

    def f(x: Tensor) -> Tensor:
        with torch.no_grad():
            scale = 1 / (1 + x.square().sum(-1, keepdim=True))
        return net(x) * scale

    return Sample(f, x, tuple(net.parameters()))


@enter(DIVERGENCE, "x is one number that is expanded: all its coordinates share a place in memory", "functorch#1105")
def expanded_points() -> Sample:
    x, c = torch.rand(4, 1).double().expand(4, 5), nn.Parameter(torch.rand(5).double())
    return Sample(lambda x: torch.cumsum(c * x**2, -1), x, (c,))
