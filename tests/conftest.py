"""Fixtures for more than one file."""

import pytest
from helpers.submissions import box

__all__ = ["box"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--all-live``: every situation of a notebook in a real kernel, not a sample."""
    parser.addoption("--all-live", action="store_true", help="try every situation in a real kernel (minutes)")
