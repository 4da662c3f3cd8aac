"""What evaluations of parts of a pickle have put into memo slots, kept for the parts that read them."""

from __future__ import annotations

import numpy as np

from converters.pickles.arrays import Buffer, Foreign, Named, PendingArray, PendingDtype
from converters.pickles.containers import is_fixed, payload

CACHE_BYTES = 64 << 20
"""Values that other values share are kept up to this many bytes (of the file), besides numbers and short text."""
CACHE_ENTRY = 256
"""What keeping any value costs, in the same reckoning."""

MISSING = object()
_SMALL = (bool, int, float, type(None), Named, PendingDtype, Foreign, np.generic)
_TINY_BYTES = 64
"""Values of at most this many bytes are not worth counting, however often they are shared."""
_SMALL_BYTES = 1024
"""Text of at most this many bytes is small."""


class Memo:
    """Values by memo slot: the small ones, for good, and of the others those that were used last.

    ``kept`` are the smallest, which need no counting.
    """

    __slots__ = ("_cache", "_cached", "_costs", "_small", "kept")

    def __init__(self) -> None:
        self.kept: dict[int, object] = {}
        self._small: dict[int, object] = {}
        self._cache: dict[int, object] = {}
        self._costs: dict[int, int] = {}
        self._cached = 0

    def find(self, slot: int) -> object:
        """The value of a slot that is not in ``kept``, in containers of its own; MISSING if it is not here."""
        value = self._small.get(slot, MISSING)
        if value is not MISSING:
            return value
        value = self._cache.get(slot, MISSING)
        if value is MISSING:
            return MISSING
        self._cache[slot] = self._cache.pop(slot)
        return copied(value)

    def keep(self, memo: dict[int, object], size: int, own: bool) -> None:
        """Keep what was put into the memo slots for whoever else reads them."""
        for slot, value in memo.items():
            if len(value) <= _SMALL_BYTES if isinstance(value, (str, bytes)) else isinstance(value, _SMALL):
                (self.kept if payload(value) <= _TINY_BYTES else self._small)[slot] = value
            elif slot not in self._cache:
                value = _settled(value)
                if value is not None and (own or is_fixed(value)):
                    cost = CACHE_ENTRY + (value.nbytes if isinstance(value, np.ndarray) else _weight(value, size))
                    self._cache[slot] = value
                    self._costs[slot] = cost
                    self._cached += cost
        while self._cached > CACHE_BYTES and len(self._cache) > 1:
            slot = next(iter(self._cache))
            del self._cache[slot]
            self._cached -= self._costs.pop(slot)

    def forget(self) -> None:
        """Keep the small values only."""
        self._cache.clear()
        self._costs.clear()
        self._cached = 0


def copied(value: object) -> object:
    """A value of the memo as an evaluation may use it: finished, in containers of its own."""
    return _copy(_settled(value), {})


def _settled(value: object) -> object:
    return value.array if type(value) is PendingArray else value


def _weight(value: object, size: int) -> int:
    """What a container costs, roughly: it is no larger than the part of the file it comes from makes it."""
    if type(value) is tuple and len(value) <= 16 and all(isinstance(item, _SMALL) for item in value):
        return 64
    if isinstance(value, (str, bytes)):
        return len(value)
    return len(value.data) if type(value) is Buffer else size


def _copy(value: object, copies: dict[int, object]) -> object:
    """The value in containers of its own, shared ones shared again. It is no deeper than the reader lets it be."""
    if is_fixed(value):
        return value
    known = copies.get(id(value))
    if known is None:
        if type(value) is list:
            known = [_copy(item, copies) for item in value]
        elif type(value) is dict:
            known = {key: _copy(item, copies) for key, item in value.items()}
        else:
            known = type(value)(_copy(item, copies) for item in value)  # type: ignore[call-arg, attr-defined]
        copies[id(value)] = known
    return known
