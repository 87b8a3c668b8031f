"""What is done to a graph last before TorchInductor lowers it, forward or backward."""

from __future__ import annotations

from typing import Any

from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph

from jacstrat.strategies import stored, unfused


class LastPasses(CustomGraphPass):
    """A pass of all passes, of which it takes one, and the key by which programs are found again."""

    def __call__(self, graph: Graph) -> None:
        unfused.add_behind_products(graph)
        stored.store_before_broadcast(graph)

    def uuid(self) -> Any:
        return get_hash_for_files((__file__, unfused.__file__, stored.__file__))
