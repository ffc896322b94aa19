"""Fixtures for more than one file."""

from handed_in import box

__all__ = ["box"]
