"""Raw NTU RGB+D: ``.skeleton`` files as a source, recipes that make annotations of them."""

from converters.dialects.ntu.source import DIALECT, NAME, SUFFIX, NtuFiles, convert

__all__ = ["DIALECT", "NAME", "SUFFIX", "NtuFiles", "convert"]
