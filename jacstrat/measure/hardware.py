"""What the machine is made of, how much of it this process may use, and what of it moves."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from jacstrat.available import ROOT, cgroups, memory_limit_bytes, read_number, read_text

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The processor and memory, and the share of them that this process may use; None where it is not readable.

    Fields:
        cpu_model: As the processor calls itself.
        architecture: "x86_64", "arm64", ...
        physical_cores: Cores of the machine.
        logical_cores: Hardware threads of the machine.
        affinity: Hardware threads that the scheduler may give this process.
        cpu_quota_cores: The tightest cgroup quota, in cores; None also where there is no quota.
        memory_bytes: Memory of the machine.
        memory_limit_bytes: The tightest cgroup limit; None also where there is no limit.
        governor: Frequency governor; several, joined by "+", where cores differ.
        system: Operating system and its version.
        kernel: Release of the kernel.
    """

    cpu_model: str | None
    architecture: str | None
    physical_cores: int | None
    logical_cores: int | None
    affinity: tuple[int, ...] | None
    cpu_quota_cores: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    governor: str | None
    system: str | None
    kernel: str | None

    @property
    def allowed_cores(self) -> int | None:
        """Hardware threads that this process may run on, its quota left aside."""
        return self.logical_cores if self.affinity is None else len(self.affinity)

    @property
    def usable_cores(self) -> float | None:
        """Cores' worth of time that this process can get at once: the affinity, or the quota where it is lower."""
        limits = [limit for limit in (self.allowed_cores, self.cpu_quota_cores) if limit is not None]
        return min(limits, default=None)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What of the processor and memory moves; None where it is not readable.

    Fields:
        load_1min, load_5min, load_15min: Processes running or waiting to, averaged.
        memory_available_bytes: Memory that can be had without swapping.
        frequency_mhz: Mean current frequency of the cores.
        temperature_c: Hottest sensor of the processor, degrees Celsius.
    """

    load_1min: float | None
    load_5min: float | None
    load_15min: float | None
    memory_available_bytes: int | None
    frequency_mhz: float | None
    temperature_c: float | None


def read_hardware(root: Path = ROOT) -> Hardware:
    """The hardware as the operating system tells it.

    Args:
        root: Where /proc, /sys and /etc lie.
    """
    quotas = [quota for group in cgroups(root) for quota in _quotas(group)]
    return Hardware(
        cpu_model=_cpu_model(root),
        architecture=platform.machine() or None,
        physical_cores=psutil.cpu_count(logical=False) or None,
        logical_cores=psutil.cpu_count(logical=True) or None,
        affinity=_affinity(),
        cpu_quota_cores=min(quotas, default=None),
        memory_bytes=psutil.virtual_memory().total or None,
        memory_limit_bytes=memory_limit_bytes(root),
        governor=_governor(root),
        system=_system(root),
        kernel=platform.release() or None,
    )


def read_load(root: Path = ROOT) -> Load:
    """Load, frequency and temperature now.

    Args:
        root: Where /proc and /sys lie.
    """
    # psutil has a load average on Windows too, but it is 0 until its own thread has sampled for a while.
    one, five, fifteen = os.getloadavg() if hasattr(os, "getloadavg") else (None, None, None)
    return Load(
        load_1min=one,
        load_5min=five,
        load_15min=fifteen,
        memory_available_bytes=psutil.virtual_memory().available or None,
        frequency_mhz=_frequency_mhz(root),
        temperature_c=_temperature_c(root),
    )


def _cpuinfo(root: Path, key: str) -> list[str]:
    """The values of one key of /proc/cpuinfo, one a hardware thread."""
    return re.findall(rf"^{key}[ \t]*:[ \t]*(.+)$", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)


def _cpu_model(root: Path) -> str | None:
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    if sys.platform == "win32":
        return platform.processor() or None
    if models := _cpuinfo(root, "model name"):
        return models[0].strip()
    # An Arm core has no name of its own, only the codes of its maker and its design.
    codes = _cpuinfo(root, "CPU implementer")[:1] + _cpuinfo(root, "CPU part")[:1]
    return f"Arm implementer {codes[0]} part {codes[1]}" if len(codes) == 2 else None


def _output(*command: str) -> str | None:
    """What a command prints, or None where it does not exist or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _affinity() -> tuple[int, ...] | None:
    process = psutil.Process()
    # macOS has no affinity, and there psutil has no such method.
    return tuple(sorted(process.cpu_affinity())) if hasattr(process, "cpu_affinity") else None


def _governor(root: Path) -> str | None:
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    return "+".join(sorted({governor for file in files if (governor := read_text(file))})) or None


def _system(root: Path) -> str | None:
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    if release:
        return release[1].strip()
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}".strip()
    return f"{platform.system()} {platform.release()}".strip() or None


def _frequency_mhz(root: Path) -> float | None:
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    mhz = [khz / 1000 for file in files if (khz := read_number(file))]
    mhz = mhz or [float(value) for value in _cpuinfo(root, "cpu MHz") if re.fullmatch(r"[\d.]+", value)]
    return sum(mhz) / len(mhz) if mhz else None


def _temperature_c(root: Path) -> float | None:
    sensors = [
        file
        for chip in root.glob("sys/class/hwmon/hwmon*")
        if read_text(chip / "name") in _CPU_SENSORS
        for file in chip.glob("temp*_input")
    ]
    return max((milli / 1000 for file in sensors if (milli := read_number(file)) is not None), default=None)


def _quotas(group: Path) -> Iterator[float]:
    """CPU quotas of one cgroup in cores, versions 1 and 2."""
    quota, _, period = (read_text(group / "cpu.max") or "").partition(" ")
    if quota.isdigit() and period.isdigit():  # "max 100000" is no quota
        yield int(quota) / int(period)
    microseconds, every = read_number(group / "cpu.cfs_quota_us"), read_number(group / "cpu.cfs_period_us")
    if microseconds and every and microseconds > 0:  # -1 is no quota
        yield microseconds / every
