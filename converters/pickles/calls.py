"""Globals of a pickle and what is called in it: data of known names, and :class:`Foreign` for all else.

Nothing is imported and nothing is called but the functions of :mod:`converters.pickles.arrays`, which build arrays.
"""

from __future__ import annotations

from converters.pickles.arrays import NAMES, Foreign, Named, Parts
from converters.pickles.containers import kind_of
from converters.pickles.opcodes import Refusal

_RECONSTRUCTORS = frozenset(
    ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__")
)


def named(name: str, offset: int) -> Named | Foreign:
    """What a global stands for."""
    return Named(name, offset) if name in NAMES else Foreign(name, offset)


def reduced(function: object, args: object, offset: int) -> object:
    """What REDUCE makes of a function and its arguments. Raises Refusal."""
    if type(args) is not tuple and type(args) is not Parts:
        raise Refusal(offset, f"a call with a {kind_of(args)} was found, expected a tuple of arguments")
    if type(function) is Named:
        return function.make(args, offset)
    if type(function) is Foreign and function.name in _RECONSTRUCTORS and args:
        return called(args[0], offset)
    return called(function, offset)


def called(function: object, offset: int) -> Foreign:
    """What a call of anything but a known name makes. Raises Refusal if it is no function."""
    if isinstance(function, (Foreign, Named)):
        return Foreign(function.name, offset)
    raise Refusal(offset, f"a call of a {kind_of(function)} was found, expected a function; the file is damaged")
