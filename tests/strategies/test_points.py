"""What points are, where a call at them stands, and what of them autograd would refuse."""

from __future__ import annotations

import re

import pytest
import torch

from jacstrat import ShapeError, UsageError, curl, derivatives_along, gradient, laplacian, parse_strategy
from jacstrat.strategies.points import (
    check_points,
    has_overlap,
    outside_inference_mode,
    outside_transforms,
    place_of,
    usable,
)
from jacstrat.trace.fake import fake_mode
from jacstrat.trace.tracers import is_transformed


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], UsageError, "x must be a torch.Tensor, got list"),
        (
            torch.nested.as_nested_tensor([torch.ones(2)]),
            UsageError,
            "x must be dense, got a nested tensor; use torch.n",
        ),
        (torch.ones(3, dtype=torch.int64), UsageError, "x must be real and floating-point, got torch.int64; use x.d"),
        (torch.ones(3, dtype=torch.complex64), UsageError, "x must be real and floating-point, got torch.complex64"),
        (torch.ones(()), ShapeError, "x must be a point (n,) or points (B, n) with n >= 1, got shape ()"),
        (torch.ones(2, 0), ShapeError, "x must be a point (n,) or points (B, n) with n >= 1, got shape (2, 0)"),
        (torch.ones(1, 2, 3), ShapeError, "got shape (1, 2, 3)"),
    ],
)
def test_what_is_no_point_is_refused_in_a_line(x, error, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        check_points(x)


@pytest.mark.parametrize("shape", [(1,), (3,), (0, 3), (2, 1)])
def test_points_are_points(shape: tuple[int, ...]) -> None:
    check_points(torch.ones(shape, dtype=torch.float16))


def test_a_call_is_free_in_a_transform_or_followed() -> None:
    x = torch.ones(2, 3)
    places = []

    def look(x):
        places.append(place_of(x))
        return x.sum()

    look(x)
    torch.func.grad(look)(x)
    with fake_mode() as mode:
        look(mode.from_tensor(x))
    with torch.no_grad():
        look(x)
    assert places == ["free", "transformed", "followed", "free"]


def test_inference_mode_is_left_and_nothing_is_tracked_there() -> None:
    with torch.inference_mode():
        with outside_inference_mode():
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled()
    with outside_inference_mode():
        assert torch.is_grad_enabled()


def test_what_outlives_a_call_is_made_outside_of_transforms_around_it() -> None:
    made = []

    def f(x):
        with outside_transforms():
            made.append((is_transformed(), torch.zeros(2)))
        assert is_transformed()
        return x.sum()

    torch.func.vmap(torch.func.grad(f))(torch.ones(2, 3))
    ((within, kept),) = made
    assert not within
    assert (kept + 1).tolist() == [1.0, 1.0]


def test_points_that_autograd_would_refuse_are_copied_and_no_others() -> None:
    x = torch.ones(2, 3)
    assert usable(x) is x
    assert usable(x[:, ::2]).data_ptr() == x.data_ptr()
    repeated = usable(x[:1].expand(4, 3))
    assert repeated.stride() == (3, 1)
    single = x[:1].as_strided((1, 3), (0, 1))
    assert usable(single) is single, "no two rows of it share memory"
    with torch.inference_mode():
        made = torch.ones(2, 3)
    assert usable(made).requires_grad_().requires_grad


LINE = torch.arange(8.0)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (LINE.unfold(0, 4, 1), True),
        (LINE.unfold(0, 4, 4), False),
        (LINE.expand(2, 8), True),
        (LINE.view(2, 4).mT, False),
        (LINE.view(2, 4)[:, ::2], False),
        (LINE.unsqueeze(0).expand(1, 8), False),
    ],
    ids=["windows", "blocks", "expanded", "transposed", "steps", "one"],
)
def test_entries_that_share_memory_are_found(x, expected: bool) -> None:
    assert has_overlap(x) is expected


@pytest.mark.parametrize("strategy", ["jvp", "jacfwd", "forward_over_forward", "taylor"])
def test_windows_along_a_line_are_points_as_any_others(strategy: str) -> None:
    windows = torch.linspace(0, 1, 8).double().unfold(0, 4, 1)

    def u(x: torch.Tensor) -> torch.Tensor:
        return x.sin().prod(-1)

    torch.testing.assert_close(laplacian(u, windows, strategy), -4 * u(windows))


@pytest.mark.parametrize(
    "call",
    [
        lambda: laplacian("u", LINE),  # type: ignore[arg-type]
        lambda: gradient("u", LINE),  # type: ignore[arg-type]
        lambda: curl("u", LINE),  # type: ignore[arg-type]
        lambda: derivatives_along("u", LINE, LINE, 1),  # type: ignore[arg-type]
        lambda: parse_strategy("vmap").prepare("laplacian", "u", LINE),  # type: ignore[arg-type]
    ],
    ids=["laplacian", "gradient", "curl", "along", "prepare"],
)
def test_what_cannot_be_called_is_refused_in_a_line(call) -> None:
    with pytest.raises(UsageError, match=r"^f must be a function of x, got str$"):
        call()
