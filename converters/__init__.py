"""Foreign dialects of skeleton data, to and from skelstore, and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.dialects import open_source
    from converters.exporting import export

__all__ = ["export", "open_source"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: the command line, and workers, say in a sentence what cannot be imported.
    if name == "open_source":
        from converters.dialects import open_source

        return open_source
    if name == "export":
        from converters.exporting import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
