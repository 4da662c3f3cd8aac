"""Raw NTU RGB+D: ``.skeleton`` files as a source, recipes that make annotations of them."""

from converters.dialects.ntu.source import DIALECT, NAME, SUFFIX, NtuFiles, convert, is_of_dialect, options_of

__all__ = ["DIALECT", "NAME", "SUFFIX", "NtuFiles", "convert", "is_of_dialect", "options_of"]
