"""Foreign dialects of skeleton data, to and from skelstore, and the command line."""

from __future__ import annotations

from importlib import import_module
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
    from converters.dialects import pyskl as pyskl
    from converters.dialects import single as single
    from converters.dialects.registry import convert as convert
    from converters.dialects.registry import open_source as open_source
    from converters.exporting.stores import export

__all__ = ["convert", "export", "open_source"]

_MODULES = {
    "convert": "converters.dialects.registry",
    "export": "converters.exporting.stores",
    "open_source": "converters.dialects.registry",
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the command line, and workers, say in a sentence what cannot be imported.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if not name.startswith("_") and find_spec(f"converters.dialects.{name}"):
        module = import_module(f"converters.dialects.{name}")
        if hasattr(module, "DIALECT"):
            return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
