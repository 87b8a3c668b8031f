"""What tensors without data stand for."""

from __future__ import annotations

from types import SimpleNamespace

from jacstrat.core.modelled import ModelledDevice, kind_of, modelled, modelling

DEVICES = [SimpleNamespace(type=kind) for kind in ("cpu", "cuda", "meta")]


def test_the_meta_device_stands_for_a_cpu_where_nothing_is_said() -> None:
    assert [kind_of(device) for device in DEVICES] == ["cpu", "cuda", "cpu"]
    assert modelled() == ModelledDevice("cpu", None)


def test_it_stands_for_what_is_said_and_what_was_before_comes_back() -> None:
    with modelling(ModelledDevice("cuda", 2**30)):
        assert [kind_of(device) for device in DEVICES] == ["cpu", "cuda", "cuda"]
        with modelling(ModelledDevice("xpu")):
            assert modelled() == ModelledDevice("xpu", None)
        assert modelled().free_bytes == 2**30
    assert modelled() == ModelledDevice()
