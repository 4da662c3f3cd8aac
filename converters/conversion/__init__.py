"""A source becomes a store: cut into parts, written by several processes, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions, convert_source

__all__ = ["ConvertOptions", "convert_source"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: a dialect needs the other modules only.
    if name in __all__:
        from converters.conversion import convert

        return getattr(convert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
