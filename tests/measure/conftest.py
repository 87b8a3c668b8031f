"""A stub of the driver's library, compiled once."""

import shutil
import subprocess
import sys

import pytest

from tests.measure.nvml_child import STUB


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Compiles the stub with some macros; gives the folder it lies in."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("the stub of libnvidia-ml.so.1 needs Linux and a C compiler (cc or gcc)")
    built = {}

    def build(*macros):
        if macros not in built:
            folder = tmp_path_factory.mktemp("nvml")
            target = folder / "libnvidia-ml.so.1"
            options = ["-shared", "-fPIC", *(f"-D{macro}" for macro in macros)]
            subprocess.run([compiler, *options, "-o", target, STUB], check=True)
            built[macros] = folder
        return built[macros]

    return build
