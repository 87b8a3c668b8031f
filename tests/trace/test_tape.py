"""A tape as data: what its nodes read, what they hold, and how slots are filled."""

from __future__ import annotations

import torch

from jacstrat.trace.tape import Node, Slot, Tape, bound, leaves

W = torch.ones(3)


def node(*args, **kwargs) -> Node:
    return Node(torch.cat, args, kwargs, (5,), 3, False)


def test_the_slots_that_are_read_are_found_within_lists_and_keywords() -> None:
    assert list(node([Slot(0), (Slot(3), W)], 1, other=Slot(2)).slots) == [0, 3, 2]


def test_constants_are_the_tensors_that_the_function_had() -> None:
    tape = Tape((node([Slot(0), W], 1), node(W, scale=W, alpha=2)), 6, 5)
    assert len(tape.constants) == 3
    assert all(tensor is W for tensor in tape.constants)


def test_leaves_of_a_tree_come_in_order() -> None:
    assert list(leaves((1, [2, (3, "ab")], []))) == [1, 2, 3, "ab"]


def test_slots_are_filled_and_the_rest_is_as_it_was() -> None:
    tree = (Slot(1), [Slot(0), W], 7)
    filled = bound(tree, ["a", "b"])
    assert filled[0] == "b"
    assert isinstance(filled[1], list)
    assert filled[1][0] == "a"
    assert filled[1][1] is W
    assert filled[2] == 7
    assert tree[0] == Slot(1)
    shape = torch.Size((2, 3))
    assert bound(shape, []) is shape, "a shape is a value, and no tree"
