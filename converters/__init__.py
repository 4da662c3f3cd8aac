"""Converting dialects of skeleton data to and from skelstore, and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.dialects import array_folder as array_folder
    from converters.dialects import babel as babel
    from converters.dialects import bare_list as bare_list
    from converters.dialects import extraction as extraction
    from converters.dialects import gym as gym
    from converters.dialects import kinetics as kinetics
    from converters.dialects import ntu as ntu
    from converters.dialects import pyskl as pyskl
    from converters.dialects import single as single
    from converters.dialects.registry import open_source as open_source
    from converters.exporting.stores import export

__all__ = ["export", "open_source"]

_DIALECTS = ("array_folder", "babel", "bare_list", "extraction", "gym", "kinetics", "ntu", "pyskl", "single")


def __getattr__(name: str) -> Any:
    # Imported lazily, so that the command line and workers can report a failed import in a sentence.
    if name == "export":
        from converters.exporting.stores import export

        return export
    if name == "open_source" or name in _DIALECTS:
        from converters import dialects
        from converters.dialects import registry  # imports every dialect

        return registry.open_source if name == "open_source" else vars(dialects)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
