"""Converting a source to a store: it is divided into parts, which several processes write, and the parts are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions, convert_source

__all__ = ["ConvertOptions", "convert_source"]


def __getattr__(name: str) -> Any:
    # Imported lazily: a dialect needs only the other modules.
    if name in __all__:
        from converters.conversion import convert

        return getattr(convert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
