"""Building the containers of a pickle within limits, and evaluating its calls.

A few bytes can expand to very much: containers that share containers that share containers, a thousand nested
containers, keys that all have the same hash. Containers are checked for all of this while they are built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from converters.pickles.arrays import NAMES, Buffer, Foreign, Named, PendingArray, PendingDtype, PendingTuple
from converters.pickles.limits import NODE_BYTES, Limits
from converters.pickles.opcodes import CONTAINER_WEIGHT, MAX_DEPTH, MAX_NUMBER_KEYS, MAX_SAME_HASH, PickleError
from skelstore.wording import kind_of

_RECONSTRUCTORS = frozenset(
    ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__")
)

CONTAINERS = frozenset((list, dict, tuple, PendingTuple))
_PENDING = frozenset((Named, Buffer, PendingDtype, PendingArray, PendingTuple))
all_plain = (CONTAINERS | _PENDING).isdisjoint
"""Whether values of these types need no further checks when they are added to a container."""
_NUMBERS = frozenset((int, float, bool))
_KEYS = frozenset((str, bytes, int, float, bool, type(None)))
_all_keys = _KEYS.issuperset

_SCALAR_BYTES = CONTAINER_WEIGHT * NODE_BYTES
"""Cost of a NumPy scalar each time that it is written, in bytes."""
_FEW = 1 << 64
"""The bytes of integers below this are not counted."""
_CHARACTER_BYTES = 6
r"""Maximum number of bytes per character: JSON writes some as "\u0000"."""


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() and text.isprintable() else _CHARACTER_BYTES * len(text)


_SIZES: dict[type, Callable[[Any], int]] = {
    str: _text_bytes,
    bytes: len,
    np.str_: _text_bytes,
    int: lambda value: value.bit_length() >> 3,
    np.ndarray: lambda value: value.nbytes,
    Buffer: lambda value: len(value.data),
    **dict.fromkeys((float, bool, type(None)), lambda value: 0),
    **dict.fromkeys((Named, Foreign, PendingDtype, PendingArray), lambda value: 0),
}


def payload(value: object) -> int:
    """The bytes, in addition to NODE_BYTES, of a value that is not a container, each time that it is written."""
    size = _SIZES.get(type(value))
    return size(value) if size is not None else _SCALAR_BYTES


class NumberKeys:
    """The numbers among the keys of one dict."""

    __slots__ = ("_count", "_hashes")

    def __init__(self) -> None:
        self._count = 0
        self._hashes: dict[int, int] = {}

    def add(self, keys: Iterable[object], offset: int) -> None:
        """Count the numeric keys. Raises PickleError if there are too many, or too many with the same hash."""
        hashes = self._hashes
        for key in keys:
            if type(key) in _NUMBERS:
                self._count += 1
                same = hashes[hash(key)] = hashes.get(hash(key), 0) + 1
                if self._count > MAX_NUMBER_KEYS or same > MAX_SAME_HASH:
                    what = "numbers" if self._count > MAX_NUMBER_KEYS else "numbers with the same hash"
                    most = MAX_NUMBER_KEYS if self._count > MAX_NUMBER_KEYS else MAX_SAME_HASH
                    raise PickleError(offset, f"more than {most} {what} as keys of one dict were found")


def is_fixed(value: object) -> bool:
    """Whether a value of the memo cannot be changed, so that it can be returned several times."""
    return type(value) not in CONTAINERS or (type(value) is tuple and CONTAINERS.isdisjoint(map(type, value)))


class Containers:
    """Builds the containers of one evaluation and checks them against the limits.

    ``nodes`` is the number of values, with shared ones counted at each use. ``shared`` is the number of bytes to which
    the shared ones expand.
    """

    __slots__ = ("_counts", "_depths", "_frozen", "_limits", "_most_nodes", "_numbers", "_tuples", "nodes", "shared")

    def __init__(self, limits: Limits) -> None:
        self.nodes = 0
        self.shared = 0
        self._limits = limits
        self._most_nodes = limits.nodes
        self._depths: dict[int, int] = {}  # by id, for containers that contain containers
        self._counts: dict[int, tuple[int, int, int]] = {}  # nodes, bytes, depth of containers in the memo
        self._frozen: set[int] = set()  # ids of containers that were read from the memo
        self._tuples: dict[
            int, tuple[object, object]
        ] = {}  # by id of the PendingTuple, which is kept so that its id stays unique
        self._numbers: dict[int, NumberKeys] = {}  # by the id of the dict

    def share(self, value: object, offset: int) -> None:
        """Count a container that is read from the memo once more, and forbid changes to it from now on."""
        count, size, depth = self._measure(value)
        self.nodes += count
        self.shared += count * NODE_BYTES + size
        if self.nodes > self._most_nodes or self.shared > self._limits.shared:
            self._limits.check(self.nodes, self.shared, offset)
        if depth > 1:
            self._depths[id(value)] = depth
        self._frozen.add(id(value))

    def repeat(self, value: object, offset: int) -> None:
        """Count the bytes of any other value that is read from the memo once more."""
        self.shared += payload(value)
        if self.nodes > self._most_nodes or self.shared > self._limits.shared:
            self._limits.check(self.nodes, self.shared, offset)

    def drop(self, value: object) -> None:
        """Forget a container that is no longer used: another one may get its id."""
        if self._depths:
            self._depths.pop(id(value), None)

    def fold(self, items: list[object], offset: int) -> object:
        """The tuple of these items, some of which are not plain."""
        depth = self._depth(items, offset)
        value = tuple(items) if _PENDING.isdisjoint(map(type, items)) else PendingTuple(items)
        if depth > 1:
            self._depths[id(value)] = depth
        return value

    def append(self, target: object, items: list[object], offset: int) -> None:
        """Append items to a list. Raises PickleError if the target is not one; a Foreign ignores them."""
        if type(target) is not list:
            if type(target) is Foreign:
                return
            raise PickleError(offset, f"items are appended to {kind_of(target)}, expected a list; the file is damaged")
        self._grow(target, items, offset)
        if not _PENDING.isdisjoint(map(type, items)):
            items = [self.complete(item, offset) for item in items]
        target.extend(items)

    def set_items(self, target: object, keys: list[object], values: list[object], offset: int) -> None:
        """Set items of a dict. Raises PickleError if the target is not one; a Foreign ignores them."""
        if type(target) is not dict:
            if type(target) is Foreign:
                return
            raise PickleError(offset, f"items are set in {kind_of(target)}, expected a dict; the file is damaged")
        if len(keys) != len(values):
            raise PickleError(offset, "a key without a value was found; the file is damaged")
        self._grow(target, values, offset)
        if not _PENDING.isdisjoint(map(type, values)):
            values = [self.complete(value, offset) for value in values]
        self._check_keys(keys, target, offset)
        before = len(target)
        target.update(zip(keys, values, strict=True))
        if len(target) != before + len(keys):
            raise PickleError(offset, "a key was found twice in one dict; the file is damaged")

    def _check_keys(self, keys: list[object], target: dict[object, object], offset: int) -> None:
        kinds = set(map(type, keys))
        if not _all_keys(kinds):
            kind = next(kind_of(key) for key in keys if type(key) not in _KEYS)
            raise PickleError(offset, f"{kind} as the key of a dict was found, expected text or a number")
        if not _NUMBERS.isdisjoint(kinds):
            if not target:  # a dict that no longer exists may have had its id
                self._numbers[id(target)] = NumberKeys()
            self._numbers.setdefault(id(target), NumberKeys()).add(keys, offset)

    def _grow(self, target: object, items: Sequence[object], offset: int) -> None:
        """Check the limits before the items are added to the list or dict."""
        if self._frozen and id(target) in self._frozen:
            raise PickleError(offset, "a list or dict that contains itself was found, which is not data")
        self.nodes += len(items)
        if self.nodes > self._most_nodes:
            self._limits.check(self.nodes, self.shared, offset)
        if not all_plain(map(type, items)):
            depth = self._depth(items, offset)
            if depth > self._depths.get(id(target), 1):
                self._depths[id(target)] = depth

    def complete(self, value: object, offset: int) -> object:
        """The value as callers may see it: parts of arrays that were never used to build one become Foreign."""
        kind = type(value)
        if kind is Named:
            return Foreign(value.name, value.offset)  # type: ignore[attr-defined]
        if kind is Buffer:
            return Foreign("builtins.bytearray", value.offset)  # type: ignore[attr-defined]
        if kind is PendingDtype:
            return Foreign("numpy.dtype", value.offset)  # type: ignore[attr-defined]
        if kind is PendingArray:
            raise PickleError(offset, "an array without its data was found; the file is damaged")
        if kind is PendingTuple:
            # Each one only once, since sharing can make very many of a few.
            if id(value) not in self._tuples:
                self._tuples[id(value)] = value, tuple(self.complete(item, offset) for item in value)  # type: ignore[attr-defined]
            return self._tuples[id(value)][1]
        return value

    def _measure(self, value: object) -> tuple[int, int, int]:
        """The number of values that a container expands to, their bytes, and its depth.

        Containers from the memo no longer change, so each is scanned only once. Their depth is at most MAX_DEPTH, which
        is checked when any container is built.
        """
        known = self._counts.get(id(value))
        if known is not None:
            return known
        count, size, depth = CONTAINER_WEIGHT, 0, 1
        items: Iterable[object] = value  # type: ignore[assignment]
        if type(value) is dict:
            items = value.values()
            size = sum(map(payload, value))
        for item in items:
            if type(item) is int and -_FEW < item < _FEW:
                count += 1
            elif type(item) in CONTAINERS:
                inner, inner_size, inner_depth = self._measure(item)
                count += inner
                size += inner_size
                depth = max(depth, inner_depth + 1)
            else:
                count += 1
                size += payload(item)
        self._counts[id(value)] = count, size, depth
        return count, size, depth

    def _depth(self, items: Iterable[object], offset: int) -> int:
        """The depth of a container of these items."""
        depths = self._depths
        depth = 1
        for item in items:
            if type(item) in CONTAINERS:
                depth = max(depth, depths.get(id(item), 1) + 1)
        if depth > MAX_DEPTH:
            raise PickleError(offset, f"containers nested more than {MAX_DEPTH} deep were found")
        return depth


def resolve_global(name: str, offset: int) -> Named | Foreign:
    """The entry of ``NAMES`` with this name; a Foreign for any other name."""
    return Named(name, offset) if name in NAMES else Foreign(name, offset)


def reduce(function: object, args: object, offset: int) -> object:
    """The result of REDUCE. Only functions of ``NAMES`` are called. Raises PickleError."""
    if type(args) is not tuple and type(args) is not PendingTuple:
        raise PickleError(offset, f"a call with {kind_of(args)} was found, expected a tuple of arguments")
    if type(function) is Named:
        return function.make(args, offset)
    if type(function) is Foreign and function.name in _RECONSTRUCTORS and args:
        return call(args[0], offset)
    return call(function, offset)


def call(function: object, offset: int) -> Foreign:
    """The result of any other call, a Foreign. Raises PickleError if what is called cannot be a function."""
    if isinstance(function, (Foreign, Named)):
        return Foreign(function.name, offset)
    raise PickleError(offset, f"a call of {kind_of(function)} was found, expected a function; the file is damaged")
