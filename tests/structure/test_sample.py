"""Patterns from numbers: the union over points, where f is finite, in chunks, and not at a large n."""

from __future__ import annotations

import pytest
import torch

from jacstrat import detect_structure
from jacstrat.structure import sample
from tests.structure.truth import points


class TestSampled:
    @staticmethod
    def branch(x):
        return x.roll(1, -1) if bool((x > 0).all()) else x * x

    def test_the_pattern_is_the_union_over_points(self) -> None:
        found = detect_structure(lambda x: x * x.sum().item(), points(4))
        assert (found.kind, found.source) == ("diagonal", "sampled")
        # x itself takes the one branch, its perturbed copies the other.
        found = detect_structure(self.branch, points(4).abs() + 0.1)
        assert found.pattern.toarray().sum() == 8

    def test_the_hessian(self) -> None:
        def f(x):
            return (x[..., 1:] * x[..., :-1]).sum(-1) * (1 if x.sum() > 9 else 2)

        found = detect_structure(f, points(5), "laplacian")
        assert (found.source, found.colors, found.bandwidth) == ("sampled", 2, 1)

    def test_points_outside_the_domain_are_left_out(self) -> None:
        found = detect_structure(lambda x: x.sqrt() * x.sum().item(), points(4).abs())
        assert found.kind == "diagonal"
        nowhere = detect_structure(lambda x: (x * 0 - 1).sqrt() * x.sum().item(), points(4))
        assert nowhere.kind == "dense"
        assert nowhere.reason.endswith("; f is not finite near x")

    def test_a_large_n_is_dense_without_a_product(self, monkeypatch) -> None:
        monkeypatch.setattr(sample, "MAX_N", 3)
        monkeypatch.setattr(sample, "sampled", None)
        found = detect_structure(self.branch, points(4))
        assert (found.kind, found.source) == ("dense", "sampled")
        assert found.reason == (
            "it depends on a value: aten._local_scalar_dense.default; nothing was sampled, since n is above 3"
        )

    def test_many_products_go_in_chunks(self, monkeypatch) -> None:
        whole = detect_structure(lambda x: x.roll(1, -1) * x.sum().item(), points(9)).pattern.toarray()
        monkeypatch.setattr(sample, "CHUNK", 2)
        chunked = detect_structure(lambda x: x.roll(1, -1) * x.sum().item(), points(9)).pattern.toarray()
        assert (whole == chunked).all()
        assert whole.sum() == 9

    def test_no_points_and_no_dependence(self) -> None:
        assert detect_structure(lambda x: x * len(x.nonzero()), points(4, 0)).source == "sampled"
        assert detect_structure(lambda x: torch.ones_like(x) * len(x.nonzero()), points(4)).pattern.nnz == 0

    def test_an_error_of_f_is_its_own(self) -> None:
        def broken(x):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            detect_structure(broken, points(3))
