"""What commands are tried on: results as `tests/compare` writes them, repositories as `tests/revisions` makes them."""

from tests.compare.conftest import written
from tests.revisions.conftest import change, repository

__all__ = ["change", "repository", "written"]
