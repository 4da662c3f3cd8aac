"""The dialects of skeleton data: one module per dialect, and the registry that recognises them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.dialects.registry import DIALECTS, open_source

__all__ = ["DIALECTS", "open_source"]


def __getattr__(name: str) -> Any:
    # Imported on first use: the registry imports all dialects, and no dialect imports another.
    if name in __all__:
        from converters.dialects import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
