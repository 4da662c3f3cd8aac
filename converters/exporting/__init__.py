"""Exporting stores to the files from which they were converted."""

from converters.exporting.stores import export

__all__ = ["export"]
