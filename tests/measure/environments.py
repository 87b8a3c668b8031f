"""A whole environment with a fake card, and its variations."""

from dataclasses import replace

from jacstrat.measure.card import Card, DeviceState
from jacstrat.measure.environment import (
    Accelerator,
    Environment,
    Moment,
)
from jacstrat.measure.hardware import Hardware, Load
from jacstrat.measure.software import Checkout, Torch

HARDWARE = Hardware(
    cpu_model="AMD EPYC 9354 32-Core Processor",
    architecture="x86_64",
    physical_cores=4,
    logical_cores=8,
    affinity=(0, 1, 2, 3),
    cpu_quota_cores=None,
    memory_bytes=16 * 2**30,
    memory_limit_bytes=None,
    governor="performance",
    system="Debian GNU/Linux 12 (bookworm)",
    kernel="6.1.0",
)

TORCH = Torch(
    version="2.13.0",
    commit="cf30153c",
    blas="mkl",
    mkl=True,
    onednn=True,
    openmp=True,
    cpu_capability="AVX512",
    parallel_backend="OpenMP",
    cuda=None,
    hip=None,
    threads=4,
    interop_threads=4,
    matmul_precision="highest",
    flushes_denormals=False,
)

LOAD = Load(
    load_1min=1.0,
    load_5min=3.0,
    load_15min=3.0,
    memory_available_bytes=2**33,
    frequency_mhz=3000.0,
    temperature_c=50.0,
)

CARD = Card(
    name="NVIDIA H200",
    driver="570.86.15",
    sm_clock_max_mhz=1980,
    memory_clock_max_mhz=3201,
    power_limit_w=700.0,
    slowdown_c=90,
    memory_bytes=150_754_820_096,
)

STATE = DeviceState(sm_clock_mhz=1980, temperature_c=84, reasons=("application_clocks",), energy_j=5.0)

MOMENT = Moment(utc="2030-01-02T03:04:05+00:00", load=LOAD, devices=(STATE,), unreadable={})

QUIET = Environment(
    machine="00000000",
    host="11111111",
    hardware=HARDWARE,
    cards=(CARD,),
    accelerator=Accelerator(kind="cuda", count=1, names=None),
    python="CPython 3.11.2",
    torch=TORCH,
    packages={"torch": "2.13.0", "triton": None},
    variables={"OMP_NUM_THREADS": "4"},
    checkout=Checkout("0123456789abcdef0123456789abcdef01234567", dirty=False),
    command=("jacstrat", "run", "quick"),
    start=MOMENT,
)


def with_hardware(**changes):
    return replace(QUIET, hardware=replace(HARDWARE, **changes))


def with_torch(**changes):
    return replace(QUIET, torch=replace(TORCH, **changes))


def with_load(**changes):
    return replace(QUIET, start=replace(MOMENT, load=replace(LOAD, **changes)))


def on(threads, **changes):
    """Other cores, with no load and with threads that fit."""
    torch, load = replace(TORCH, threads=threads), replace(LOAD, load_1min=0.1)
    return replace(with_hardware(**changes), torch=torch, start=replace(MOMENT, load=load))


def with_state(**changes):
    return replace(QUIET, start=replace(MOMENT, devices=(replace(STATE, **changes),)))
