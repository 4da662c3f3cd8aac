"""Conversion of skeleton data between its dialects and stores, and the command line."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.dialects import array_folder as array_folder
    from converters.dialects import babel as babel
    from converters.dialects import bare_list as bare_list
    from converters.dialects import extraction as extraction
    from converters.dialects import gym as gym
    from converters.dialects import kinetics as kinetics
    from converters.dialects import ntu as ntu
    from converters.dialects import nwucla as nwucla
    from converters.dialects import pyskl as pyskl
    from converters.dialects import single as single
    from converters.dialects.registry import convert as convert
    from converters.dialects.registry import open_source as open_source
    from converters.exporting import export
    from converters.tracking.source import track

__all__ = ["convert", "export", "open_source", "track"]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the command line and workers can report a failed import in one sentence.
    if name == "export":
        from converters.exporting import export

        return export
    if name == "track":
        from converters.tracking.source import track

        return track
    if name in __all__ or (not name.startswith("_") and find_spec(f"converters.dialects.{name}")):
        from converters import dialects
        from converters.dialects import registry  # imports every dialect

        if name in __all__:
            return getattr(registry, name)
        if hasattr(module := getattr(dialects, name, None), "DIALECT"):
            return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
