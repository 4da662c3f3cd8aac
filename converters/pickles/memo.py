"""A cache of the values that evaluations have put into memo slots, for other parts of the pickle that read them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from converters.pickles.arrays import Buffer, Foreign, Named, PendingArray, PendingDtype
from converters.pickles.containers import is_fixed, payload

CACHE_BYTES = 64 << 20
"""Size of the cache in bytes of the file. Numbers and short texts are always kept and not counted."""
CACHE_ENTRY = 256
"""Cost of each entry of the cache, counted in addition to its bytes."""

MISSING = object()
"""Returned if a slot is not in the cache."""
_SMALL = (bool, int, float, type(None), Named, PendingDtype, Foreign, np.generic)
_TINY_BYTES = 64
"""Values of at most this many bytes are not counted, however often they are shared."""
_SMALL_BYTES = 1024
"""Text and bytes of at most this length are small."""


class Memo:
    """Values by memo slot: all small ones, and the most recently used of the others.

    ``kept`` has the smallest ones, which are not counted.
    """

    __slots__ = ("_cache", "_cached", "_costs", "_small", "kept")

    def __init__(self) -> None:
        self.kept: dict[int, object] = {}
        self._small: dict[int, object] = {}
        self._cache: dict[int, object] = {}
        self._costs: dict[int, int] = {}
        self._cached = 0

    def find(self, slot: int) -> object:
        """The value of a slot that is not in ``kept``, with its containers copied; MISSING if it is not cached."""
        value = self.look(slot)
        if slot in self._cache:
            self.use((slot,))
            value = copy_value(value)
        return value

    def look(self, slot: int) -> object:
        """The value of a slot that is not in ``kept``, itself and without counting as a use; MISSING if not cached."""
        value = self._small.get(slot, MISSING)
        return self._cache.get(slot, MISSING) if value is MISSING else value

    def use(self, slots: Iterable[int]) -> None:
        """Count that these slots are used, in this order."""
        cache = self._cache
        for slot in slots:
            if slot in cache:
                cache[slot] = cache.pop(slot)

    def keep(self, memo: dict[int, object], size: int, own: bool) -> None:
        """Cache the values of memo slots, which an evaluation of ``size`` bytes has set.

        Values that can be changed are cached only if no caller has them (``own``).
        """
        for slot, value in memo.items():
            if len(value) <= _SMALL_BYTES if isinstance(value, (str, bytes)) else isinstance(value, _SMALL):
                (self.kept if payload(value) <= _TINY_BYTES else self._small)[slot] = value
            elif slot not in self._cache:
                value = _completed(value)
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
        """Keep only the small values."""
        self._cache.clear()
        self._costs.clear()
        self._cached = 0


def copy_value(value: object) -> object:
    """A value of the memo for use in an evaluation: complete arrays, and copies of all containers that can change."""
    return _copy(_completed(value), {})


def _completed(value: object) -> object:
    """The value; the array if it was incomplete when it was memoized. An array of objects loses its elements."""
    value = value.array if type(value) is PendingArray else value
    return Foreign(value.name, value.offset) if type(value) is Foreign and value.elements is not None else value


def _weight(value: object, size: int) -> int:
    """The approximate cost of a value; for containers, the ``size`` of the part of the file that they come from."""
    if type(value) is tuple and len(value) <= 16 and all(isinstance(item, _SMALL) for item in value):
        return 64
    if isinstance(value, (str, bytes)):
        return len(value)
    return len(value.data) if type(value) is Buffer else size


def _copy(value: object, copies: dict[int, object]) -> object:
    """Copy the containers of a value; shared ones are shared in the copy, too. The reader limits their depth."""
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
