"""Foreign dialects of skeleton data, to and from skelstore, and the command line."""

from converters.dialects import open_source
from converters.exporting import export

__all__ = ["export", "open_source"]
