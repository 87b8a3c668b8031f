"""What is a proof and what is not: functions that a trace would bake wrongly are told apart, and nothing is changed."""

from __future__ import annotations

import pytest
import torch

from jacstrat import detect_structure
from tests.structure.truth import assert_superset, points

X = points(4)
W = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
COUNTS = torch.zeros(4, dtype=torch.float64)


class Straight(torch.autograd.Function):
    """Rounds, and passes the gradient on in reverse order: what its forward says of its derivative is wrong."""

    @staticmethod
    def forward(x):
        return x.round()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g.flip(-1)


OWN = "it has a derivative of its own making, an autograd.Function"


def counts(x):
    COUNTS.add_(1)
    return x * COUNTS


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: x if x.sum() > 0 else x.roll(1, -1), "it depends on a value: aten._local_scalar_dense"),
        (lambda x: x * x.sum().item(), "it depends on a value: aten._local_scalar_dense"),
        (lambda x: x * float(x[0, 0]), "it depends on a value: aten._local_scalar_dense"),
        (lambda x: x[:, : int(x.abs().sum())].sum() * x, "it depends on a value: aten._local_scalar_dense"),
        (lambda x: x * (x > 0).nonzero().shape[0], "it depends on a value: aten.nonzero"),
        (lambda x: x + x[x > 0].sum(), "it depends on a value: aten.nonzero"),
        (lambda x: x * len(x.unique()), "it depends on a value: aten._unique2"),
        (lambda x: x if torch.allclose(x, x.roll(1, -1)) else -x, "it depends on a value: aten.allclose"),
        (lambda x: x if torch.equal(x, x.roll(1, -1)) else -x, "it depends on a value: aten.equal"),
        (
            lambda x: x * float(x.detach().numpy().sum()),
            "it cannot be traced: RuntimeError: Cannot access data pointer",
        ),
        (lambda x: x * sum(x[0].tolist()), "it cannot be traced: RuntimeError: tolist()"),
        (lambda x: x if W.sum() > 0 else x.roll(1, -1), "it depends on a value: aten._local_scalar_dense"),
        (lambda x: x * torch.rand_like(x), "it draws random numbers: aten.rand"),
        (lambda x: torch.nn.functional.dropout(x), "it draws random numbers: aten.bernoulli"),
        (lambda x: x[:, torch.randperm(4)], "it draws random numbers: aten.randperm"),
        (lambda x: x + torch.zeros_like(x).normal_(), "it draws random numbers: aten.normal"),
        (Straight.apply, OWN),
        (
            lambda x: x * Straight.apply(x.sin()),
            OWN,
        ),
        (counts, "it cannot be traced: RuntimeError: "),
        (
            lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False),
            "it cannot be traced: RuntimeError: torch.func",
        ),
    ],
)
def test_what_is_only_sampled_and_why(f, reason: str) -> None:
    found = detect_structure(f, X)
    assert found.source == "sampled"
    assert found.reason.startswith(reason)
    assert "\n" not in found.reason


def test_a_trace_changes_nothing_that_f_holds() -> None:
    COUNTS.zero_()
    norm = torch.nn.BatchNorm1d(4).double()
    for f in (counts, norm):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("jacstrat.structure.sample.MAX_N", 0)
            assert detect_structure(f, X).source == "sampled"
    assert COUNTS.tolist() == [0, 0, 0, 0]
    assert norm.num_batches_tracked == 0
    assert norm.running_mean.tolist() == [0, 0, 0, 0]
    assert detect_structure(norm.eval(), X).kind == "diagonal"


def test_f_sees_an_x_that_requires_grad_as_when_it_is_differentiated() -> None:
    found = detect_structure(lambda x: x if x.requires_grad else x.roll(1, -1), X)
    assert (found.kind, found.source) == ("diagonal", "traced")


def test_a_branch_on_a_shape_or_on_a_number_of_its_own_is_no_branch_on_a_value() -> None:
    scale = torch.tensor(2.0)

    def f(x):
        y = x * 2 if x.shape[-1] > 3 else x.roll(1, -1)
        return y * torch.tensor(3.0).item() * scale

    assert detect_structure(f, X).source == "traced"


def test_an_operation_of_unknown_kind_couples_everything() -> None:
    def inverse(x):
        return torch.linalg.inv(x.unflatten(-1, (2, 2))).flatten(-2)

    found = assert_superset(inverse, X)
    assert (found.kind, found.source) == ("dense", "traced")
    left = assert_superset(lambda x: torch.cat([inverse(x[..., :4]), x[..., 4:].sin()], -1), points(6))
    assert left.blocks == (4, 1, 1)


def test_on_the_meta_device() -> None:
    x = torch.empty(2, 4, device="meta")
    order = torch.tensor([1, 0, 3, 2])
    assert detect_structure(lambda x: x[..., order.to(x.device)], x).blocks == (2, 2)
    assert detect_structure(lambda x: x.roll(1, -1) * x, x).colors == 2
    held = detect_structure(lambda x: x[..., torch.empty(4, dtype=torch.int64, device="meta")], x)
    assert held.source == "traced"
    index = order.to("meta")
    unknown = detect_structure(lambda x: x[..., index], x)
    assert (unknown.kind, unknown.source) == ("dense", "sampled")
    assert unknown.reason == (
        "an index that it holds has no values on the meta device; nothing was sampled, since x has no values"
    )
