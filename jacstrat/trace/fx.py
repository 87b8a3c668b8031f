"""A function as a graph of torch.fx, traced at tensors without numbers: the one call of torch's `make_fx`.

It sees what runs inside transforms of torch.func, products and their batching, which a tape does not: of these `graph`
has patterns proved, and `capture` programs compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.fx import GraphModule

from jacstrat.trace.fills import FilledByTensors
from jacstrat.trace.operations import is_random
from jacstrat.trace.quiet import quiet


def fx_graph(
    function: Callable[..., Tensor],
    tensors: tuple[Tensor, ...],
    decompositions: dict[Any, Callable[..., Any]] | None = None,
) -> GraphModule:
    """The operations of function(*tensors); tensors that it closes over are attributes of the graph.

    Args:
        function: Of tensors alone, and no bound method, whose arguments make_fx counts wrongly.
        tensors: Their numbers have no influence.
        decompositions: Operations that are taken apart into others.

    Raises:
        Whatever torch raises where the function looks at numbers.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    with quiet(), FilledByTensors():
        return make_fx(function, decompositions, tracing_mode="fake", _allow_non_fake_inputs=True)(*tensors)


def random_operation(graph: GraphModule) -> Any | None:
    """The first operation that draws random numbers; None where there is none."""
    return next((node.target for node in graph.graph.nodes if is_random(node.target)), None)
