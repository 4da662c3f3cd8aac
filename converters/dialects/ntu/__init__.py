"""Raw NTU RGB+D: ``.skeleton`` files as a source, and recipes that make annotations from them."""

from converters.dialects.ntu.source import DIALECT, NAME, SUFFIX, NtuFiles, convert

__all__ = ["DIALECT", "NAME", "SUFFIX", "NtuFiles", "convert"]
