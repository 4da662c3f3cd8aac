"""Stores to the files that they were converted from."""

from converters.exporting.stores import export

__all__ = ["export"]
