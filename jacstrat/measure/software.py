"""Which software computes: torch and how it is built and set, the packages, and the state of the sources."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent.parent

PACKAGES = (
    "jacstrat",
    "torch",
    "numpy",
    "pandas",
    "matplotlib",
    "psutil",
    "nvidia-ml-py",
    "triton",
)

# Only variables that set threads or allocators are kept: others can hold names and secrets.
VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_THREAD_LIMIT",
    "OMP_DYNAMIC",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "OMP_WAIT_POLICY",
    "GOMP_CPU_AFFINITY",
    "GOMP_SPINCOUNT",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
    "MKL_DYNAMIC",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "MALLOC_CONF",
    "MALLOC_ARENA_MAX",
    "LD_PRELOAD",
)


@dataclass(frozen=True, kw_only=True)
class Torch:
    """How torch is built and set; None where it does not say.

    Fields:
        version: Of torch.
        commit: That torch is built from.
        blas: Library of its matrix products: "mkl", "open", "accelerate", ...
        mkl, onednn, openmp: Whether it is built with them.
        cpu_capability: Vector instructions in use: "DEFAULT", "AVX2", "AVX512", ...
        parallel_backend: What runs its threads: "OpenMP", "native thread pool".
        cuda, hip: Versions that it is built for.
        threads: Threads of one operation.
        interop_threads: Threads across operations.
        matmul_precision: Of float32 products: "highest", "high", "medium".
        flushes_denormals: Whether this thread takes subnormal numbers for 0.
    """

    version: str
    commit: str | None
    blas: str | None
    mkl: bool
    onednn: bool
    openmp: bool
    cpu_capability: str | None
    parallel_backend: str | None
    cuda: str | None
    hip: str | None
    threads: int
    interop_threads: int
    matmul_precision: str
    flushes_denormals: bool


@dataclass(frozen=True)
class Checkout:
    """A git checkout.

    Fields:
        commit: The full hash of its head.
        dirty: Whether files of the package differ from it, new files included; None where git does not say.
    """

    commit: str
    dirty: bool | None


def read_torch() -> Torch:
    """Torch as it stands in this process and thread; computes one element."""
    import torch

    build, parallel = torch.__config__.show(), torch.__config__.parallel_info()
    return Torch(
        version=torch.__version__,
        commit=torch.version.git_version or None,
        blas=_first(r"\bBLAS_INFO=(\w+)", build),
        mkl=torch.backends.mkl.is_available(),
        onednn=torch.backends.mkldnn.is_available(),
        openmp=torch.backends.openmp.is_available(),
        cpu_capability=torch.backends.cpu.get_cpu_capability() or None,
        parallel_backend=_first(r"ATen parallel backend: (.+)", parallel),
        cuda=torch.version.cuda,
        hip=torch.version.hip,
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        matmul_precision=torch.get_float32_matmul_precision(),
        flushes_denormals=_flushes_denormals(),
    )


def _flushes_denormals() -> bool:
    """Whether half the smallest normal float32 is 0; torch has no getter for torch.set_flush_denormal."""
    import torch

    smallest = torch.full((1,), torch.finfo(torch.float32).tiny, device="cpu", dtype=torch.float32)
    return (smallest * 0.5).item() == 0.0


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1].strip() if match else None


def read_python() -> str:
    """Implementation and version: "CPython 3.11.2"."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def read_packages() -> dict[str, str | None]:
    """Installed version by package, None where it is not installed."""

    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    return {package: version(package) for package in PACKAGES}


def read_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables that set threads and allocators; of preloaded libraries the file names alone."""
    variables = {name: environ[name] for name in VARIABLES if name in environ}
    if "LD_PRELOAD" in variables:
        variables["LD_PRELOAD"] = " ".join(re.split(r"[/\\]", path)[-1] for path in variables["LD_PRELOAD"].split())
    return variables


def read_checkout(directory: Path = PACKAGE) -> Checkout | None:
    """The commit of the sources in a directory, or None where git does not keep them.

    An installed package may lie inside somebody else's repository (a virtual environment in a project), so the
    directory counts only where git tracks a file of it.
    """
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    if not commit or not _git(directory, "ls-files", "--", "."):
        return None
    changes = _git(directory, "status", "--porcelain", "--", ".")
    return Checkout(commit, None if changes is None else bool(changes))


def _git(directory: Path, *arguments: str) -> str | None:
    """What git prints, stripped; None where there is no git, no repository, or git refuses."""
    # A hook of git's runs its children with GIT_DIR and others set, which would override the directory.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=environ)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read_command(
    argv: Sequence[str] | None = None, home: str | None = None, host: str | None = None
) -> tuple[str, ...]:
    """The command line without the names of its user and machine.

    The program loses its folder; in the other arguments that are paths the home folder becomes "~", and a folder
    named as the user or the machine becomes "<user>" or "<host>".

    Args:
        argv: By default that of this process.
        home: The user's home folder, by default that of this process.
        host: Name of the machine, by default this one's.
    """
    program, *arguments = argv or sys.argv or [""]
    home = os.path.expanduser("~") if home is None else home
    host = platform.node() if host is None else host
    user = re.split(r"[/\\]", home)[-1]
    names = {home: "~", user: "<user>", host: "<host>", host.partition(".")[0]: "<host>"}

    def anonymous(argument: str) -> str:
        for name, stand_in in names.items() if re.search(r"[/\\]", argument) else ():
            if name.strip("/\\~"):  # no home, or a home of "/", names nobody
                argument = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", stand_in, argument)
        return argument

    return (re.split(r"[/\\]", program)[-1], *map(anonymous, arguments))
