"""Raw NTU RGB+D: ``.skeleton`` files as a source, recipes that make annotations of them."""

from converters.dialects.ntu.source import NAME, SUFFIX, NtuFiles, convert, is_of_dialect, options_of

__all__ = ["NAME", "SUFFIX", "NtuFiles", "convert", "is_of_dialect", "options_of"]
