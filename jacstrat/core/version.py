"""The version of the package, by its metadata: the tag that it was built from."""

from importlib.metadata import PackageNotFoundError, version

UNKNOWN = "0.0"
"""Of a checkout that is on the path and not installed; below every release."""


def read_version() -> str:
    """The installed version, "0.1.0", or UNKNOWN where the package is not installed."""
    try:
        return version("jacstrat")
    except PackageNotFoundError:
        return UNKNOWN
