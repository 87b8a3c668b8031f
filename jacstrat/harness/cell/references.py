"""The reference of an instance, found once: in a closed form, by a dense matrix, or else by an exact strategy."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import OPERATORS, Operator, parse_operator
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import float32_products
from jacstrat.problems import PROBLEMS
from jacstrat.problems.base import Instance
from jacstrat.problems.reference import Reference, dtype_name, wide
from jacstrat.strategies import parse_strategy

# Exact, and without reverse mode where that has failed: one for a field, one for a scalar.
STRATEGIES = ("jvp", "forward_over_forward")
# A closed form in longdouble of a network whose J, or H, has so many entries at all points takes a CPU two seconds.
WIDE_ENTRIES = 2**20
# How often x is moved, each coordinate up or down, to see what the reference is worth.
MOVES = 3


def find_reference(
    instance: Instance, cell: Cell, cache: Path | None = None, attend: Callable[[], object] = lambda: None
) -> Reference:
    """The reference of a cell's instance, from the cache where an equal one was found before.

    The problem's closed form, see `on_device`; without one a dense matrix by autograd, row by row; where reverse mode
    cannot differentiate f, the first of STRATEGIES that can, but for a weight or an order beyond the second. The latter
    two in float64, or where f refuses that in the dtype of x, never in TF32. `source` says which it was. They, and a
    closed form in float64, are evaluated again at x moved by one unit in the last place, see `Reference.change`.

    Args:
        instance: What it is the reference of.
        cell: Its problem and operator.
        cache: A directory of references, which must not outlive the code of f; None to find it anew.
        attend: Told before each further evaluation, as a sign of life.

    Raises:
        RuntimeError: f cannot be differentiated by any of them; as autograd raised it.

    Cost: without a closed form n products in float64, 1 + MOVES times. All kinds are kept: the closed form of a
    network, in numpy.longdouble, takes longer than any strategy.
    """
    operator = instance.operator(cell.operator)
    with float32_products(tf32=False):
        if cache is None:
            return _reference(instance, operator, attend)
        file = cache / f"{_key(instance, cell)}.npz"
        with suppress(FileNotFoundError), np.load(file, allow_pickle=False) as archive:
            dtype = getattr(torch, str(archive["dtype"])) if "dtype" in archive else None
            stored = archive["diagonal"], str(archive["source"]), dtype, archive.get("change"), archive.get("size")
            return Reference(*stored, closed=bool(archive["closed"]))
        reference = _reference(instance, operator, attend)
    # Without room for it the next one computes it again.
    with suppress(OSError):
        _keep(reference, file)
    return reference


def on_device(instance: Instance) -> bool:
    """Whether a closed form is evaluated in float64 on the device of the points, and not on the CPU in longdouble.

    Never where they are on the CPU. On an accelerator for every dtype that float64 is wide for: its own rounding is
    far below a unit in the last place of the result. For float64 itself only where longdouble would take the CPU long:
    errors of a few units in the last place are then as much those of the reference, which `source` tells.
    """
    x = instance.x
    if x.device.type == "cpu":
        return False
    return x.dtype != torch.float64 or x.numel() * x.shape[-1] > WIDE_ENTRIES


def _reference(instance: Instance, operator: Operator, attend: Callable[[], object]) -> Reference:
    there = on_device(instance)
    reference = _at(instance, operator, there)
    if reference.dtype is None:
        return reference
    return replace(reference, change=_change(reference, instance, operator, there, attend))


def _change(
    reference: Reference, instance: Instance, operator: Operator, there: bool, attend: Callable[[], object]
) -> np.ndarray:
    """How much the reference moves with x: see `Reference.change`.

    What does as the reference does has no error, whatever both are worth, and what does otherwise has. The result of
    an evaluation in floating point is about that of an exact one at an x that is off by some rounding; where the last
    place of x matters, no two ways can agree to more. Rounding within f that no rounding of x stands for, as in
    matrices that f holds, is seen only as far as it changes with x.

    A moved point at which f or its derivative is no number, as at the edge of the domain, says nothing of x.
    """
    largest = np.full(reference.diagonal.shape, np.nan, np.longdouble)
    x = instance.x.detach().to(reference.dtype)
    generator = torch.Generator().manual_seed(0)
    for _ in range(MOVES):
        attend()
        towards = (torch.randint(0, 2, x.shape, generator=generator, device="cpu") * 2.0 - 1).to(x) * torch.inf
        # Whatever f raises beside x.
        with suppress(Exception):
            moved = _at(replace(instance, x=torch.nextafter(x, towards)), operator, there)
            if moved.source == reference.source:
                change = np.abs(moved.diagonal - reference.diagonal)
                change[~np.isfinite(change).all(-1)] = np.nan
                largest = np.fmax(largest, change)
    return largest


def _at(instance: Instance, operator: Operator, there: bool) -> Reference:
    """The reference by the first way that there is, at the x of the instance."""
    try:
        return instance.reference(operator, there)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or not (by_strategy := _by_strategy(instance, operator)):
            raise
        return by_strategy


def _by_strategy(instance: Instance, operator: Operator) -> Reference | None:
    """What the first of STRATEGIES gives that can, in float64 where any of them can.

    A strategy is no judge of itself, and torch drops terms of some nested derivatives without a word, as of a forward
    rule within another: what difference quotients contradict is none.
    """
    if operator.weight is not None or operator.order > 2:
        return None
    for double in (True, False):
        for spec in STRATEGIES:
            with suppress(RuntimeError, TypeError, UnsupportedError), torch.no_grad():
                one = _in_float64(instance) if double else instance
                diagonal = _diagonal(spec, one, operator)
                if _agrees(diagonal, one.f, one.x, operator, one.args):
                    source = f"strategy {spec} in {dtype_name(diagonal.dtype.to_real())}"
                    return Reference(wide(diagonal), source, diagonal.dtype.to_real())
    return None


def _in_float64(instance: Instance) -> Instance:
    """x, the arguments, and f with its parameters in float64, as rounded to their dtype."""
    f = instance.f
    if isinstance(f, torch.nn.Module):
        f = copy.deepcopy(f).double()
    elif isinstance(f, partial):
        f = partial(f.func, **{name: value.double() for name, value in f.keywords.items()})
    args = tuple(a.double() if isinstance(a, Tensor) and a.is_floating_point() else a for a in instance.args)
    return replace(instance, x=instance.x.double(), f=f, args=args)


def _diagonal(spec: str, instance: Instance, operator: Operator) -> Tensor:
    """J_ii, or H_ii as the Laplacian along one coordinate, the others held."""
    strategy, f, x, args = parse_strategy(spec), instance.f, instance.x, instance.args
    if operator.kind == "field":
        of_field = replace(OPERATORS["jacobian_diagonal"], coordinates=operator.coordinates)
        return strategy.prepare(of_field, f, x, args=args)(x, *args)
    along = (replace(OPERATORS["laplacian"], coordinates=(i,)) for i in operator.coordinates or range(x.shape[-1]))
    return torch.stack([strategy.prepare(one, f, x, args=args)(x, *args) for one in along], -1)


def _agrees(
    diagonal: Tensor, f: Callable[..., Tensor], x: Tensor, operator: str | Operator, args: tuple[Any, ...] = ()
) -> bool:
    """Whether central difference quotients give the same diagonal, to a hundredth of its largest entry.

    Of a first derivative (f(x + h) - f(x - h)) / 2h, h = eps^(1/3); of a second (f(x + h) - 2 f(x) + f(x - h)) / h^2,
    h = eps^(1/4): where the rounding of f, eps/h or eps/h^2 times its size, is about the error of the quotient.
    """
    operator = parse_operator(operator)
    eps = torch.finfo(x.dtype).eps
    h = eps ** (1 / (operator.order + 2))
    unit = h * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    for k, i in enumerate(operator.coordinates or range(x.shape[-1])):
        up, middle, down = f(x + unit[i], *args), f(x, *args), f(x - unit[i], *args)
        if operator.is_second:
            quotient = (up - 2 * middle + down) / h**2
        else:
            column = k if middle.shape[-1] == diagonal.shape[-1] < x.shape[-1] else i
            quotient, middle = (up[..., column] - down[..., column]) / (2 * h), middle[..., column]
        slack = 0.01 * diagonal.abs().amax(-1) + 16 * eps / h**operator.order * middle.abs()
        if not bool(((quotient - diagonal[..., k]).abs() <= slack).all()):
            return False
    return True


def _key(instance: Instance, cell: Cell) -> str:
    """A hash of all that the reference follows from: cells that differ in workload or threads share it, and in device,
    but for a closed form that is evaluated there.

    A function from outside the library may hold weights that are none of its parameters, drawn anew in each process:
    its values at x tell them apart.
    """
    tensors = {"x": instance.x, **instance.parameters}
    tensors |= {f"argument {k}": torch.as_tensor(one, device="cpu") for k, one in enumerate(instance.args)}
    weight = instance.weight
    if PROBLEMS.get(cell.problem) is not instance.problem:
        tensors["f(x)"] = instance.value()
        if callable(weight):
            weight = weight(instance.x, *instance.args)
    if isinstance(weight, Tensor):
        tensors["A"] = weight
    device = instance.x.device.type if on_device(instance) else ""
    key = hashlib.sha256(f"{cell.problem} {cell.operator} {device}".encode())
    for name, tensor in tensors.items():
        key.update(f" {name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        key.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return key.hexdigest()


def _keep(reference: Reference, file: Path) -> None:
    """Write the file whole or not at all: another process may look for it, and this one may be killed."""
    content: dict[str, Any] = {
        "diagonal": reference.diagonal,
        "source": np.array(reference.source),
        "closed": np.array(reference.closed),
    }
    if reference.dtype is not None:
        content["dtype"] = np.array(dtype_name(reference.dtype))
    if reference.change is not None:
        content["change"] = reference.change
    if reference.size is not None:
        content["size"] = reference.size
    descriptor, name = tempfile.mkstemp(suffix=".part", dir=file.parent)
    with os.fdopen(descriptor, "wb") as part:
        np.savez(part, **content)
    os.replace(name, file)
