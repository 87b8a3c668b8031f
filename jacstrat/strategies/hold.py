"""Claims of every plain operator held against the witness, which knows one output, and first and second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS, Operator
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.copies import Copies, output
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.look import Claim
from jacstrat.strategies.probes import unit_diagonal
from jacstrat.strategies.products import reverse, reverse_gradient
from jacstrat.strategies.reduction import outputs_of
from jacstrat.strategies.witness import Witness
from jacstrat.trace.arguments import Args, Function


class Hold:
    """What a claim of an operator of f is held against, the same for all candidates.

    Of several outputs each is a row of its own, as in `copies`; the bilaplacian is the Laplacian of a Laplacian that
    plain autograd gives.

    Args:
        operator: Plain.
        f: Reduced.
        x, args: Where it is looked at.
    """

    def __init__(self, operator: Operator, f: Function, x: Tensor, args: Args) -> None:
        self._copies: Copies | None = None
        self._pick = output if operator.is_trace else _diagonal
        outputs, terms = outputs_of(f), None
        if operator.order == 4:
            terms = _second_derivatives(f, outputs)
            operator, f = OPERATORS["laplacian"], _sum(terms)
        if outputs:
            self._copies = Copies.of(outputs, x)
            f = self._copies.function(f, output)
            terms = None if terms is None else self._copies.function(terms, _diagonal)
            x, args = self._copies.points(x, args)
        self._witness = Witness(operator, f, x, args, terms)

    def fault(self, claim: Claim, stochastic: bool = False, transforms: frozenset[Transform] = frozenset()) -> str:
        """What is wrong with a claim, as `Witness.fault` says it."""
        claim = claim if self._copies is None else self._of_rows(claim)
        return self._witness.fault(claim, stochastic, transforms=transforms)

    def _of_rows(self, claim: Claim) -> Claim:
        assert self._copies is not None
        one_of, pick, along = self._copies.function, self._pick, claim.along

        def along_rows(V: Tensor, x: Tensor, *args: Any) -> Tensor:
            assert along is not None
            return one_of(lambda x, *args: along(V, x, *args), output)(x, *args)

        return Contraction(one_of(claim.evaluate, pick), along=along_rows if along else None, is_traced=claim.is_traced)


def _diagonal(y: Tensor, which: Tensor) -> Tensor:
    """The diagonal of one of the outputs of each row, (rows, m, n) -> (rows, n)."""
    return (y * which.unsqueeze(-1)).sum(-2)


def _sum(terms: Function) -> Function:
    return lambda x, *args: terms(x, *args).sum(-1)


def _second_derivatives(f: Function, outputs: int | None) -> Function:
    """The diagonal of the Hessian of f by reverse mode over reverse mode, itself to be differentiated so."""

    def one(f: Function) -> Callable[..., Tensor]:
        field = reverse_gradient(f)
        return lambda x, *args: unit_diagonal(reverse(field, x, *args), x, 1)

    def function(x: Tensor, *args: Any) -> Tensor:
        with torch.enable_grad():
            if outputs is None:
                columns = one(f)(x, *args)
            else:
                parts = [one(lambda x, *args, k=k: f(x, *args)[..., k])(x, *args) for k in range(outputs)]
                columns = torch.stack(parts, -2)
        return columns if torch.is_grad_enabled() else columns.detach()

    return function
