"""Fixtures for more than one file."""

from helpers.submissions import box

__all__ = ["box"]
