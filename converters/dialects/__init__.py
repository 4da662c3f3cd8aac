"""The kinds of files that people keep skeletons in: one module each, and the registry that tells them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.dialects.registry import DIALECTS, open_source

__all__ = ["DIALECTS", "open_source"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the registry imports all dialects, and a dialect imports none of the others.
    if name in __all__:
        from converters.dialects import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
