"""What is sorted, gathered and scattered."""

from __future__ import annotations

import torch
from torch import nn

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, constant

SOURCE, TARGET = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1, 2, 0, 2, 0])


@case(LAPLACIAN, "scatter_reduce by prod is wrong in forward mode", "pytorch#196702")
def scatter_prod(x, c):
    index = torch.tensor([0, 0, 2, 3]).expand(x.shape)
    return torch.scatter_reduce(c * x + 1, -1, index, x.sin() + 2, "prod", include_self=True).square().sum(-1)


@case(LAPLACIAN, "scatter_reduce by mean and by amax", "pytorch#196702")
def scatter_mean(x, c):
    index = torch.tensor([0, 0, 2, 3]).expand(x.shape)
    mean = torch.scatter_reduce(c * x + 1, -1, index, x.sin() + 2, "mean", include_self=True)
    largest = torch.scatter_reduce(c * x + 1, -1, index, x.sin() + 2, "amax", include_self=False)
    return (mean * largest).sum(-1)


@case(DIVERGENCE, "index_reduce by prod and by mean", "pytorch#169263")
def index_reduce(x, c):
    index = torch.tensor([0, 0, 2, 3])
    prod = torch.index_reduce(c * x + 1, -1, index, x.sin() + 2, "prod")
    return prod + torch.index_reduce(x, -1, index, x.cos(), "mean")


@case(LAPLACIAN, "scatter of what depends on x, each place once", "pytorch#69855")
def scattered(x, c):
    index = torch.tensor([1, 3]).expand(*x.shape[:-1], 2)
    return (c * x).scatter(-1, index, (x[..., :2] * c[:2]).sin()).pow(2).mul(1 + x).sum(-1)


@case(
    LAPLACIAN,
    "scatter to a place twice: the last one stays, and reverse mode gives to both",
    "torch.Tensor.scatter_, Notes",
    "differences",
)
def scattered_twice(x, c):
    index = torch.tensor([1, 1]).expand(*x.shape[:-1], 2)
    return (c * x).scatter(-1, index, (x[..., :2] * c[:2]).sin()).pow(2).mul(1 + x).sum(-1)


@case(LAPLACIAN, "index_put of what depends on x", "pytorch#69855")
def put(x, c):
    places = (torch.arange(x.shape[0])[:, None], torch.tensor([0, 2]))
    return (c * x).index_put(places, (x[..., :2] * c[:2]) ** 2).pow(2).mul(1 + x).sum(-1)


@case(DIVERGENCE, "index_put that adds up, and where", "pytorch#69855")
def put_and_added(x, c):
    places = (torch.arange(x.shape[0]).unsqueeze(-1), torch.tensor([0, 0, 1, 3]))
    y = torch.zeros_like(x).index_put(places, torch.sin(c * x), accumulate=True)
    return torch.where(x > 0, y * 2, y) * x


@case(
    LAPLACIAN, "masked_scatter, whose source is read as it comes, through the batch", mask=constant([True, False] * 2)
)
def masked_scatter(x, c, mask):
    # As many numbers as a point has places for, so that points stay apart.
    return (c * x).masked_scatter(mask, (x[..., :2] * c[2:]).sin()).pow(2).mul(1 + x).sum(-1)


def messages(x, c):
    """Particles, and what they send along edges."""
    p = (c * x).unflatten(-1, (3, 2))
    return p, torch.tanh(p[..., SOURCE, :] - p[..., TARGET, :])


@case(DIVERGENCE, "messages that are added up at their targets", "pytorch#69855", n=6)
def graph_field(x, c):
    p, m = messages(x, c)
    added = torch.zeros_like(p).index_add(-2, TARGET, m)
    squares = torch.zeros_like(p).scatter_add(-2, TARGET.unsqueeze(-1).expand(*m.shape), m**2)
    return (added + squares * p).flatten(-2)


@case(LAPLACIAN, "messages that are added up in place", "pytorch#69855", n=6)
def graph_energy(x, c):
    p, m = messages(x, c)
    energy = torch.zeros_like(p)
    energy.index_add_(-2, TARGET, m)
    energy.scatter_add_(-2, TARGET.unsqueeze(-1).expand(*m.shape), m**2)
    return energy.square().sum((-1, -2))


@case(LAPLACIAN, "order statistics, whose indices depend on x", "mlx#4114")
def order_statistics(x, c):
    ranks = torch.arange(1.0, 5.0, dtype=x.dtype)
    several = (torch.sort(torch.sin(c * x), -1).values * ranks).square().sum(-1)
    several = several + torch.topk(x**2, 3, -1).values.prod(-1) + torch.cummax(x, -1).values.pow(2).sum(-1)
    single = torch.median(x**3, -1).values + torch.kthvalue(x, 2, -1).values ** 2 + torch.quantile(x, 0.3, -1) ** 2
    return several + single + torch.logcumsumexp(x, -1).sum(-1)


@case(DIVERGENCE, "sorted, summed, and scattered back", "mlx#4114")
def sorted_and_back(x, c):
    values, order = torch.sort(c * x, -1)
    back = torch.zeros_like(x).scatter(-1, order, torch.cumsum(values**2, -1))
    return back + torch.gather(x, -1, order.argsort(-1)) * torch.cummin(x, -1).values


@case(DIVERGENCE, "a step of a monotone spline: the interval is looked up")
def spline(x, c):
    knots = torch.cumsum(torch.softmax(c, -1), -1)[:-1].detach() * 4 - 2
    interval = torch.bucketize(x.detach(), knots)
    slopes = nn.functional.softplus(c)[interval]
    return slopes * x**2 + torch.gather(nn.functional.pad(torch.cumsum(x, -1), (1, 0)), -1, interval)


@case(DIVERGENCE, "a sparse matrix, which takes a matrix and not its batch", n=6)
def sparse_product(x, c):
    one = torch.eye(6, dtype=x.dtype)
    A = (2 * one.roll(1, 0) - one).to_sparse()
    columns = (c * x).T if x.dim() == 2 else (c * x).unsqueeze(-1)
    return torch.tanh(torch.sparse.mm(A, columns).T.reshape(x.shape)) * x
