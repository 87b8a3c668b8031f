"""A function prepared for kernels: read at each shape of x that it meets, and computed by one launch or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.discover import Opaque
from jacstrat.chain.values import Values, values_of
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.fused.gradient import Cotangents, GradientKernels
from jacstrat.fused.kernels import Kernel, fault_of, is_out_of_resources, kernel, on_device_of
from jacstrat.fused.narrow import NO_ROOM, KernelResult, Tiles, launch, misfit, tell_of_tile, tiles
from jacstrat.fused.operands import Operands
from jacstrat.fused.reading import ReadNetwork, read
from jacstrat.fused.source import text
from jacstrat.fused.spec import Products, Spec
from jacstrat.fused.wide import Wide
from jacstrat.trace import Tape, Tapes
from jacstrat.trace.arguments import Args
from jacstrat.trace.operations import is_random

# Types that kernels compute with, as Triton calls them.
TYPES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


class Kernels:
    """What computes an operator at one shape of x.

    Args:
        values, read_network: The tape and its network; one that does not fit into a kernel is computed layer by layer.
        operator: A plain one: the Laplacian, the divergence or the Jacobian diagonal.
        products: How products of float32 are made.
        points: Of a tile; by rule where not given.
    """

    def __init__(
        self, values: Values, read_network: ReadNetwork, operator: Operator, products: Products, points: int | None
    ) -> None:
        self.network, self.operator, self.products, self.points = read_network.network, operator, products, points
        self.dtype = TYPES[values.sample[0].dtype]
        blank = self._spec(False, False, ())
        self.operands = Operands(values, read_network, blank.seeded, may_compress=operator.order == 2)
        self._kernels: dict[Any, tuple[Spec, Kernel]] = {}
        self._tiles: dict[int, Tiles] = {}
        self.misfit = misfit(read_network.network, values.sample[0].element_size())
        self._wide = Wide(read_network.network, operator, self.dtype, products) if self.misfit else None
        self._back = GradientKernels(self._spec, self.operands, points)

    def at(self, x: Tensor, args: Args, V: Tensor | None = None, together: bool = False) -> KernelResult:
        """The operator at x, (B, n), along directions V or all of them; together with value and gradient."""
        ready = self.operands.at(x, args, V)
        if self._wide is not None:
            return self._wide(x, ready, together)
        key = (together, ready.strides)
        if key not in self._kernels:
            spec = self._spec(together, together and self.operator.order == 2, ready.strides)
            self._kernels[key] = spec, kernel(text(spec))
        spec, one = self._kernels[key]
        if (tiling := self._tiles.get(ready.directions)) is None:
            tiling = self._tiles[ready.directions] = tiles(self.network, len(x), ready.directions, x, self.points)
        try:
            return launch(one, spec, x, ready, tiling)
        except Exception as error:
            if not is_out_of_resources(error):
                raise
        # The estimate in `misfit` was too low for this card.
        tell_of_tile(self.points, "results", NO_ROOM)
        self._wide = Wide(self.network, self.operator, self.dtype, self.products)
        return self._wide(x, ready, together)

    def gradients(
        self, x: Tensor, args: Args, V: Tensor | None, at: Cotangents, wants_x: bool, tensors: Sequence[Tensor]
    ) -> tuple[Tensor | None, ...]:
        """The gradient in x, and those in tensors that operands are made of."""
        return self._back(x, args, V, at, wants_x, tensors)

    def _spec(self, with_value: bool, with_gradient: bool, strides: tuple[tuple[int, int], ...]) -> Spec:
        return Spec(self.network, self.operator, with_value, with_gradient, strides, self.dtype, self.products)


class Lowered:
    """A row-wise function and its kernels, by shape of x.

    Args:
        f: Row-wise scalar or field; called as f(x, *args).
        operator: A plain one: the Laplacian, the divergence or the Jacobian diagonal.
        products: From a device to how products of float32 are made there.
        points: Of a tile; by rule where not given.
    """

    def __init__(
        self,
        f: Callable[..., Tensor],
        operator: Operator,
        products: Callable[[torch.device], Products],
        points: int | None = None,
    ) -> None:
        self.f, self.operator, self.products, self.points = f, operator, products, points
        self._tapes: Tapes[Kernels | str] = Tapes(f, self._kernels_of)

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Tensors that the tapes recorded so far have as they are."""
        return tuple(self._tapes.constants.values())

    def prepared(self, x: Tensor, args: Args = ()) -> Kernels:
        """What serves points like x.

        Raises:
            UnsupportedError: Nothing does; says why.
        """
        kernels = self._tapes.at(x, args)
        if isinstance(kernels, Kernels):
            return kernels
        raise UnsupportedError(f"fused cannot serve this function: {kernels}; use {self._other}")

    @property
    def _other(self) -> str:
        return "taylor" if self.operator.order == 2 else "chain"

    def result(self, x: Tensor, *args: Any) -> Tensor:
        """The operator, (B,) or (B, n); less B for a point."""
        return self._at(x, args).result.squeeze(0) if x.dim() == 1 else self._at(x, args).result

    def along(self, V: Tensor, x: Tensor, *args: Any) -> Tensor:
        """The second derivatives along directions (K, n), added up."""
        result = self._at(x, args, V).result
        return result.squeeze(0) if x.dim() == 1 else result

    def together(self, x: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """The operator, the value of f, and of a scalar its gradient."""
        results = self._at(x, args, together=True)
        value, gradient = results.value, results.gradient
        assert value is not None
        value = value.squeeze(-1) if self.operator.order == 2 else value
        if x.dim() == 1:
            return results.result.squeeze(0), value.squeeze(0), None if gradient is None else gradient.squeeze(0)
        return results.result, value, gradient

    def gradients(
        self, x: Tensor, args: Args, V: Tensor | None, at: Cotangents, wants_x: bool, tensors: Sequence[Tensor]
    ) -> tuple[Tensor | None, ...]:
        """Gradients of what the operator gives, summed up with cotangents.

        Args:
            x: Points.
            args: Of f; tensors among them whose gradients are wanted require them.
            V: Directions, None for all.
            at: Cotangents, in the shapes that results have.
            wants_x: Whether the gradient in x is wanted.
            tensors: What gradients are wanted of beside x: some of `args`, and of what f holds.

        Returns:
            Of x and of each tensor, None where one is not wanted or zero.

        Cost: the products of the result three times; nothing is kept from there.
        """
        kernels = self.prepared(x, args)
        points = x.detach().reshape(-1, x.shape[-1]).contiguous()
        with on_device_of(x):
            in_x, *others = kernels.gradients(points, args, V, at.rows(x.dim() == 1), wants_x, tensors)
        return (None if in_x is None else in_x.reshape(x.shape), *others)

    def _at(self, x: Tensor, args: Args, V: Tensor | None = None, together: bool = False) -> KernelResult:
        kernels = self.prepared(x, args)
        # A kernel reads numbers: of points that lie row by row it is given the tensor as it is.
        points = x if x.dim() == 2 and x.is_contiguous() else x.reshape(-1, x.shape[-1]).contiguous()
        with torch.no_grad() if torch.is_grad_enabled() else nullcontext(), on_device_of(x):
            return kernels.at(points.detach() if points.requires_grad else points, args, V, together)

    def _kernels_of(self, tape: Tape, x: Tensor, args: Args) -> Kernels | str:
        if x.dtype not in TYPES:
            return f"no kernel computes in {x.dtype}"
        if fault := fault_of(x.device):
            return fault
        if random := [node.op for node in tape.nodes if is_random(node.op)]:
            return f"{random[0]} draws random numbers"
        values = values_of(tape, x, args)
        if values.output < 0:
            return "it does not depend on x"
        try:
            with torch.no_grad():
                read_network = read(values)
        except Opaque as reason:
            return str(reason)
        return Kernels(values, read_network, self.operator, self.products(x.device), self.points)
