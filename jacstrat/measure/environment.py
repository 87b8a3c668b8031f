"""Where a run took place: the machine, the software, what moved meanwhile, and what of it spoils numbers."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jacstrat.available import ROOT
from jacstrat.measure.card import Card, DeviceState, falls_when_idle, throttled
from jacstrat.measure.hardware import Hardware, Load, read_hardware, read_load
from jacstrat.measure.nvml import TelemetryError
from jacstrat.measure.software import (
    Checkout,
    Torch,
    read_checkout,
    read_command,
    read_packages,
    read_python,
    read_torch,
    read_variables,
)
from jacstrat.measure.telemetry import every_card

# Names the machine in place of its host name: where a container has a new one each time, or for a part of a machine.
MACHINE_VARIABLE = "JACSTRAT_MACHINE"

# A one-minute load above this share of the usable cores is somebody else's work.
LOADED = 0.25

# This near to the temperature at which a card slows down, the next minutes of work take it there.
HOT_MARGIN_C = 5


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """What torch computes on besides the CPU.

    Fields:
        kind: "cuda", "xpu", "mps", ...
        count: Devices that torch sees.
        names: Of the devices; None where torch does not tell, and for CUDA, whose names are in Environment.cards.
    """

    kind: str
    count: int
    names: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What moves, read at the start and at the end of a run.

    Fields:
        utc: When, ISO 8601 in UTC, to the second.
        load: Of the processor and memory.
        devices: Of the cards, in the order of Environment.cards.
        unreadable: Why a reading of the cards is None, by "device 0 energy_j"; "NVML" where there are none at all.
    """

    utc: str
    load: Load
    devices: tuple[DeviceState, ...]
    unreadable: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A machine and its software as a run found them. Names no user and no host.

    Fields:
        machine: Short hash of what stays of the machine: equal ones are machines of one kind.
        host: Short hash of the machine's name: tells machines of one kind apart.
        hardware: Processor and memory.
        cards: NVIDIA cards of the machine, in NVML's order.
        accelerator: What torch computes on besides the CPU, or None.
        python: Implementation and version.
        torch: How torch is built and set.
        packages: Versions by package, None for one that is not installed.
        variables: Environment variables that set threads and allocators.
        checkout: Commit of jacstrat's sources, or None where they are not a git checkout.
        command: The command line.
        start: What moves, before the run.
        end: What moves, after the run, or None before `at_end`.
    """

    machine: str
    host: str
    hardware: Hardware
    cards: tuple[Card, ...]
    accelerator: Accelerator | None
    python: str
    torch: Torch
    packages: Mapping[str, str | None]
    variables: Mapping[str, str]
    checkout: Checkout | None
    command: tuple[str, ...]
    start: Moment
    end: Moment | None = None

    @property
    def id(self) -> str:
        """The column `machine` of a record: equal where rows come from one machine."""
        return f"{self.machine}-{self.host}"

    def at_end(self, root: Path = ROOT) -> Environment:
        """This environment with what has moved since; call it when the run is over."""
        _, end = _moment(root)
        return replace(self, end=end)

    def to_json(self) -> dict[str, Any]:
        """As plain dicts, lists and scalars, for json.dump."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def snapshot(root: Path = ROOT) -> Environment:
    """The environment now, before a run.

    Args:
        root: Where /proc, /sys and /etc lie.
    """
    cards, start = _moment(root)
    hardware = read_hardware(root)
    return Environment(
        machine=machine_id(hardware, cards),
        host=host_id(),
        hardware=hardware,
        cards=cards,
        accelerator=_accelerator(),
        python=read_python(),
        torch=read_torch(),
        packages=read_packages(),
        variables=read_variables(),
        checkout=read_checkout(),
        command=read_command(),
        start=start,
    )


def machine_id(hardware: Hardware, cards: tuple[Card, ...]) -> str:
    """Eight hexadecimal digits from processor, cores, memory and cards, with the slices that these are cut into.

    Memory counts in GiB, since what a kernel keeps for itself differs from release to release.
    """
    memory = None if hardware.memory_bytes is None else round(hardware.memory_bytes / 2**30)
    facts = (
        hardware.cpu_model,
        hardware.architecture,
        hardware.physical_cores,
        hardware.logical_cores,
        memory,
        [[card.name, *card.slices] if card.slices else card.name for card in cards],
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def host_id() -> str:
    """Eight hexadecimal digits from the name of the machine: JACSTRAT_MACHINE, or else its host name."""
    name = os.environ.get(MACHINE_VARIABLE) or platform.node()
    return hashlib.sha256(f"host {name}".encode()).hexdigest()[:8]


def _moment(root: Path) -> tuple[tuple[Card, ...], Moment]:
    utc, load = datetime.now(UTC).isoformat(timespec="seconds"), read_load(root)
    try:
        with every_card() as opened:
            cards = tuple(telemetry.card for telemetry in opened)
            devices = tuple(telemetry.state() for telemetry in opened)
            unreadable = {
                f"device {index} {reading}": reason
                for index, telemetry in enumerate(opened)
                for reading, reason in telemetry.missing.items()
            }
    except TelemetryError as error:
        # A broken driver does not keep the CPU from being measured; `warnings` tells of it.
        cards, devices, unreadable = (), (), {"NVML": str(error)}
    return cards, Moment(utc=utc, load=load, devices=devices, unreadable=unreadable)


def _accelerator() -> Accelerator | None:
    import torch

    # Neither question starts CUDA, so that this process can still fork; asking CUDA for names would.
    device, count = torch.accelerator.current_accelerator(), torch.accelerator.device_count()
    if device is None or count == 0:
        return None
    name = getattr(torch.get_device_module(device), "get_device_name", None)
    if name is None or torch.version.cuda is not None:
        return Accelerator(kind=device.type, count=count, names=None)
    return Accelerator(kind=device.type, count=count, names=tuple(str(name(index)) for index in range(count)))


def warnings(environment: Environment) -> tuple[str, ...]:
    """What makes the numbers of a run doubtful, each in one line with its remedy; empty where nothing does."""
    return (
        *_processor_warnings(environment),
        *_torch_warnings(environment),
        *_checkout_warnings(environment.checkout),
        *_device_warnings(environment),
    )


def _processor_warnings(environment: Environment) -> Iterator[str]:
    hardware, usable = environment.hardware, environment.hardware.usable_cores
    # At the end the load is that of the run itself.
    load = environment.start.load.load_1min
    if usable is not None and load is not None and load > LOADED * usable:
        yield (
            f"the machine is loaded: {load:.2f} in the last minute, usable cores {usable:g}; end the other work, "
            "or trust ratios only"
        )
    if usable is not None and usable < 2:
        yield (
            f"usable cores {usable:g}: whatever else runs interrupts the measurement; give the process 2 or more "
            "(taskset, --cpus)"
        )
    quota, cores = hardware.cpu_quota_cores, hardware.allowed_cores
    if quota is not None and cores is not None and quota < cores:
        yield (
            f"the CPU quota is {quota:g} of {cores} cores: the kernel stops every thread once it is used up; raise "
            "it (docker --cpus, cpu.max), or use fewer threads"
        )
    if hardware.governor is not None and "powersave" in hardware.governor.split("+"):
        yield (
            f"the frequency governor is {hardware.governor}: clocks follow the load late; set it with "
            "`cpupower frequency-set -g performance`"
        )


def _torch_warnings(environment: Environment) -> Iterator[str]:
    torch, hardware = environment.torch, environment.hardware
    usable = hardware.usable_cores
    if usable is not None and torch.threads > usable:
        fitting = max(1, math.floor(usable))
        yield (
            f"torch has {torch.threads} threads, usable cores {usable:g}: they wait for each other; set "
            f"OMP_NUM_THREADS={fitting}"
        )
    if torch.flushes_denormals:
        yield (
            "denormals are flushed to 0: results below 1e-38 in float32 are lost; leave out "
            "torch.set_flush_denormal(True)"
        )
    # Elsewhere other libraries have their place: Accelerate on Apple silicon, OpenBLAS or ArmPL on Arm.
    if hardware.architecture in ("x86_64", "AMD64"):
        for name, present in (("MKL", torch.mkl), ("oneDNN", torch.onednn)):
            if not present:
                yield (
                    f"torch {torch.version} is built without {name} (BLAS: {torch.blas or 'unknown'}): its matrix "
                    "products are slow; install the build from pytorch.org"
                )


def _checkout_warnings(checkout: Checkout | None) -> Iterator[str]:
    if checkout is not None and checkout.dirty:
        yield (f"jacstrat has uncommitted changes on {checkout.commit[:12]}: nobody can repeat this run; commit them")


def _device_warnings(environment: Environment) -> Iterator[str]:
    moments = [("start", environment.start)]
    if environment.end is not None:
        moments.append(("end", environment.end))
    for when, moment in moments:
        if reason := moment.unreadable.get("NVML"):
            yield f"no telemetry of the GPU at the {when}: {reason}"
        for index, (card, state) in enumerate(zip(environment.cards, moment.devices, strict=False)):
            label = f"GPU {index} ({card.name or 'no name'})"
            if when == "start" and falls_when_idle(state):
                mhz = card.sm_clock_default_mhz or card.sm_clock_max_mhz or "MHZ"
                yield (
                    f"{label} has no locked clock: it falls between runs and moves within them, and times move with "
                    f"it; lock it with `sudo nvidia-smi -i {index} -lgc {mhz},{mhz}` (-rgc gives it back), lower where "
                    "it throttles there"
                )
            if card.slices and when == "start":
                yield (
                    f"{label} is cut into slices (MIG), here {', '.join(card.slices)}: clocks, power and energy are "
                    "those of the whole card, and what runs on another slice takes of them"
                )
            if reasons := throttled(state):
                yield f"{label} is throttled at the {when}: {', '.join(reasons)}; let it cool, or raise its power limit"
            if (
                state.temperature_c is not None
                and card.slowdown_c is not None
                and state.temperature_c >= card.slowdown_c - HOT_MARGIN_C
            ):
                yield (
                    f"{label} has {state.temperature_c} °C at the {when} and slows down at {card.slowdown_c} °C; "
                    "let it cool"
                )
