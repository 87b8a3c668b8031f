"""A whole environment with fake cards, and every warning in its words."""

import hashlib
import json
import platform
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure import environment as subject
from jacstrat.measure.environment import (
    MACHINE_VARIABLE,
    Accelerator,
    host_id,
    machine_id,
    snapshot,
    warnings,
)
from jacstrat.measure.nvml import DeviceLostError
from tests.measure.environments import (
    CARD,
    HARDWARE,
    LOAD,
    MOMENT,
    QUIET,
    STATE,
    TORCH,
    on,
    with_hardware,
    with_load,
    with_state,
    with_torch,
)


def test_nothing_doubtful_warns_of_nothing():
    assert warnings(QUIET) == ()


QUOTA = (
    "the CPU quota is 2.5 of 4 cores: the kernel stops every thread once it is used up; raise it "
    "(docker --cpus, cpu.max), or use fewer threads"
)


def unlocked(mhz):
    return (
        "GPU 0 (NVIDIA H200) has no locked clock: it falls between runs and moves within them, and times move with it; "
        f"lock it with `sudo nvidia-smi -i 0 -lgc {mhz},{mhz}` (-rgc gives it back), lower where it throttles there"
    )


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            with_load(load_1min=1.01),
            "the machine is loaded: 1.01 in the last minute, usable cores 4; end the other work, or trust ratios only",
        ),
        (
            on(threads=1, affinity=(5,)),
            "usable cores 1: whatever else runs interrupts the measurement; give the process 2 or more "
            "(taskset, --cpus)",
        ),
        (on(threads=2, cpu_quota_cores=2.5), QUOTA),
        (
            with_hardware(governor="performance+powersave"),
            "the frequency governor is performance+powersave: clocks follow the load late; set it with "
            "`cpupower frequency-set -g performance`",
        ),
        (
            with_torch(threads=5),
            "torch has 5 threads, usable cores 4: they wait for each other; set OMP_NUM_THREADS=4",
        ),
        (
            with_torch(flushes_denormals=True),
            "denormals are flushed to 0: results below 1e-38 in float32 are lost; leave out "
            "torch.set_flush_denormal(True)",
        ),
        (
            with_torch(mkl=False, blas="open"),
            "torch 2.13.0 is built without MKL (BLAS: open): its matrix products are slow; install the build "
            "from pytorch.org",
        ),
        (
            with_torch(onednn=False, blas=None),
            "torch 2.13.0 is built without oneDNN (BLAS: unknown): its matrix products are slow; install the "
            "build from pytorch.org",
        ),
        (
            replace(QUIET, checkout=replace(QUIET.checkout, dirty=True)),
            "jacstrat has uncommitted changes on 0123456789ab: nobody can repeat this run; commit them",
        ),
        (
            with_state(reasons=("application_clocks", "sw_power_cap", "hw_thermal_slowdown")),
            "GPU 0 (NVIDIA H200) is throttled at the start: sw_power_cap, hw_thermal_slowdown; let it cool, or "
            "raise its power limit",
        ),
        (with_state(reasons=("idle",)), unlocked(1980)),
        (
            replace(with_state(reasons=("idle",)), cards=(replace(CARD, sm_clock_default_mhz=1755),)),
            unlocked(1755),
        ),
        (
            with_state(temperature_c=85),
            "GPU 0 (NVIDIA H200) has 85 °C at the start and slows down at 90 °C; let it cool",
        ),
        (
            replace(QUIET, start=replace(MOMENT, devices=(), unreadable={"NVML": "NVML does not serve"})),
            "no telemetry of the GPU at the start: NVML does not serve",
        ),
    ],
)
def test_each_doubt_is_one_line_with_its_remedy(environment, expected):
    assert warnings(environment) == (expected,)


def test_several_doubts_are_all_told():
    environment = replace(QUIET, hardware=replace(HARDWARE, cpu_quota_cores=0.5), torch=replace(TORCH, threads=8))
    assert [line.split(":")[0] for line in warnings(environment)] == [
        "the machine is loaded",
        "usable cores 0.5",
        "the CPU quota is 0.5 of 4 cores",
        "torch has 8 threads, usable cores 0.5",
    ]
    assert warnings(environment)[-1].endswith("set OMP_NUM_THREADS=1")


@pytest.mark.parametrize(
    "environment",
    [
        with_load(load_1min=None),
        with_hardware(affinity=None, logical_cores=None, governor=None),
        with_hardware(cpu_quota_cores=4.0),
        replace(with_torch(mkl=False, onednn=False), hardware=replace(HARDWARE, architecture="arm64")),
        replace(QUIET, checkout=None),
        replace(QUIET, checkout=replace(QUIET.checkout, dirty=None)),
        with_state(reasons=None, temperature_c=None),
        replace(with_state(temperature_c=99), cards=(replace(CARD, slowdown_c=None),)),
    ],
)
def test_what_is_unknown_or_of_another_platform_warns_of_nothing(environment):
    assert warnings(environment) == ()


def test_the_end_tells_of_the_cards_and_not_of_the_load():
    # The load at the end is that of the run itself.
    busy = replace(LOAD, load_1min=4.0)
    hot = replace(STATE, temperature_c=91, reasons=("hw_slowdown",))
    environment = replace(QUIET, end=replace(MOMENT, load=busy, devices=(hot,)))
    assert warnings(environment) == (
        "GPU 0 (NVIDIA H200) is throttled at the end: hw_slowdown; let it cool, or raise its power limit",
        "GPU 0 (NVIDIA H200) has 91 °C at the end and slows down at 90 °C; let it cool",
    )
    lost = replace(QUIET, end=replace(MOMENT, devices=(), unreadable={"NVML": "it is lost"}))
    assert warnings(lost) == ("no telemetry of the GPU at the end: it is lost",)


def test_an_environment_survives_json():
    plain = replace(QUIET, end=MOMENT).to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["hardware"]["affinity"] == [0, 1, 2, 3]
    assert plain["command"] == ["jacstrat", "run", "quick"]
    assert plain["packages"] == {"torch": "2.13.0", "triton": None}
    assert plain["start"]["devices"][0]["reasons"] == ["application_clocks"]
    assert plain["start"] == plain["end"]
    assert plain["cards"][0]["slowdown_c"] == 90
    assert QUIET.to_json()["end"] is None


def fake_cards(monkeypatch, *devices):
    """Has the driver show these (card, state, missing) in place of the machine's; an error is raised."""

    @contextmanager
    def every_card():
        for device in devices:
            if isinstance(device, Exception):
                raise device
        yield tuple(
            SimpleNamespace(card=card, state=lambda state=state: state, missing=missing)
            for card, state, missing in devices
        )

    monkeypatch.setattr(subject, "every_card", every_card)


def test_a_snapshot_holds_the_cards_and_the_end_what_has_moved(monkeypatch, tmp_path):
    fake_cards(monkeypatch, (CARD, STATE, {}), (CARD, STATE, {"energy_j": "Not Supported (function)"}))
    before = snapshot(tmp_path)
    assert before.cards == (CARD, CARD)
    assert before.start.devices == (STATE, STATE)
    assert before.start.unreadable == {"device 1 energy_j": "Not Supported (function)"}
    assert before.end is None
    assert before.torch.version == torch.__version__
    assert before.machine == machine_id(before.hardware, (CARD, CARD))
    assert before.host == host_id()
    assert before.id == f"{before.machine}-{before.host}"

    hot = replace(STATE, temperature_c=89)
    fake_cards(monkeypatch, (CARD, hot, {}))
    after = before.at_end(tmp_path)
    assert after.end.devices == (hot,)
    assert after.end.unreadable == {}
    assert replace(after, end=None) == before
    start, end = (datetime.fromisoformat(moment.utc) for moment in (after.start, after.end))
    assert start.utcoffset() == timedelta(0)
    assert timedelta(0) <= end - start < timedelta(minutes=1)


def test_a_snapshot_reads_files_below_its_root(monkeypatch, tmp_path):
    fake_cards(monkeypatch)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("model name : Abacus 3000\ncpu MHz : 0.5\n")
    environment = snapshot(tmp_path).at_end(tmp_path)
    assert environment.hardware.governor is None
    assert environment.start.load.frequency_mhz == environment.end.load.frequency_mhz == 0.5


def test_a_lost_card_does_not_keep_the_rest_from_being_read(monkeypatch, tmp_path):
    fake_cards(monkeypatch, DeviceLostError("NVIDIA device 0 does not answer"))
    environment = snapshot(tmp_path)
    assert (environment.cards, environment.start.devices) == ((), ())
    assert environment.start.unreadable == {"NVML": "NVIDIA device 0 does not answer"}
    assert "no telemetry of the GPU at the start: NVIDIA device 0 does not answer" in warnings(environment)


def fake_accelerator(monkeypatch, kind, count, **module):
    device = None if kind is None else SimpleNamespace(type=kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: device)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    monkeypatch.setattr(torch, "get_device_module", lambda device: SimpleNamespace(**module))


@pytest.mark.parametrize(
    ("kind", "count", "cuda", "expected"),
    [
        (None, 0, None, None),
        ("cuda", 0, "12.8", None),
        ("cuda", 2, "12.8", Accelerator(kind="cuda", count=2, names=None)),
        ("cuda", 2, None, Accelerator(kind="cuda", count=2, names=("Card 0", "Card 1"))),
    ],
)
def test_accelerators_are_named_where_that_starts_nothing(monkeypatch, kind, count, cuda, expected):
    fake_cards(monkeypatch)
    fake_accelerator(monkeypatch, kind, count, get_device_name=lambda index: f"Card {index}")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert snapshot().accelerator == expected


def test_an_accelerator_without_names_has_none(monkeypatch):
    fake_cards(monkeypatch)
    fake_accelerator(monkeypatch, "mps", 1)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert snapshot().accelerator == Accelerator(kind="mps", count=1, names=None)


@pytest.mark.parametrize(
    "other",
    [
        (replace(HARDWARE, cpu_model="Other"), (CARD,)),
        (replace(HARDWARE, physical_cores=8), (CARD,)),
        (replace(HARDWARE, logical_cores=4), (CARD,)),
        (replace(HARDWARE, memory_bytes=32 * 2**30), (CARD,)),
        (HARDWARE, (CARD, CARD)),
        (HARDWARE, ()),
        (HARDWARE, (replace(CARD, name="NVIDIA H100"),)),
    ],
)
def test_other_hardware_is_another_machine(other):
    assert machine_id(*other) != machine_id(HARDWARE, (CARD,))


@given(kernel=st.text(), affinity=st.none() | st.tuples(st.integers()), kept=st.integers(0, 2**28), limit=st.floats())
def test_settings_do_not_make_another_machine(kernel, affinity, kept, limit):
    hardware = replace(HARDWARE, kernel=kernel, affinity=affinity, memory_bytes=16 * 2**30 - kept, governor="powersave")
    card = replace(CARD, driver=kernel, power_limit_w=limit)
    assert machine_id(hardware, (card,)) == machine_id(HARDWARE, (CARD,))


def test_the_machine_is_eight_hexadecimal_digits_and_stays():
    assert machine_id(HARDWARE, (CARD,)) == "5a2e3052"


def test_the_host_is_a_hash_of_its_name_and_has_another_name_on_request(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "node7")
    monkeypatch.delenv(MACHINE_VARIABLE, raising=False)
    assert host_id() == hashlib.sha256(b"host node7").hexdigest()[:8]
    monkeypatch.setenv(MACHINE_VARIABLE, "node7-socket1")
    assert host_id() == hashlib.sha256(b"host node7-socket1").hexdigest()[:8]


SLICED = replace(CARD, slices=("NVIDIA H200 MIG 1g.18gb", "NVIDIA H200 MIG 1g.18gb"))


def test_a_slice_of_a_card_is_another_machine_than_the_card_and_warned_of() -> None:
    ids = {machine_id(HARDWARE, cards) for cards in ((CARD,), (SLICED,), (replace(CARD, slices=SLICED.slices[:1]),))}
    assert len(ids) == 3
    sliced = replace(QUIET, cards=(SLICED,), end=MOMENT)
    (warning,) = set(warnings(sliced)) - set(warnings(replace(QUIET, end=MOMENT)))
    assert warning == (
        "GPU 0 (NVIDIA H200) is cut into slices (MIG), here NVIDIA H200 MIG 1g.18gb, NVIDIA H200 MIG 1g.18gb: clocks, "
        "power and energy are those of the whole card, and what runs on another slice takes of them"
    )
