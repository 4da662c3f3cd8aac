"""The splits of a store, by the titles under which the page shows them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.view.answers import shorten, well_formed
from converters.view.columns import NONE, Labels
from converters.view.requests import RequestError
from skelstore import Store
from skelstore.errors import SkelstoreError, SplitNotFoundError, StoreReplacedError
from skelstore.read.split_members import in_split
from skelstore.read.store import table_rows
from skelstore.wording import closest, shown, shown_title

MOST_SPLITS = 200
"""Splits beyond this number are not offered."""

_MOST_SETS = 5_000
"""More sets of splits are not told apart, so that they are counted in bounded time and memory."""


class Splits:
    """The splits of a whole store. They are read on first use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reader, _ = table_rows(store)
        self._masks: dict[str, NDArray[np.uint8]] = {}  # one bit per video

    @cached_property
    def damage(self) -> str | None:
        """A sentence if the splits cannot be read, so that the videos are shown without them."""
        try:
            _ = self._reader.split_ids
        except StoreReplacedError:
            raise
        except SkelstoreError as error:
            return str(error)
        return None

    @property
    def titles(self) -> list[str]:
        """The titles, in the order of the store; none if the splits are damaged."""
        return list(self._names)

    @cached_property
    def _names(self) -> dict[str, Any]:
        """The titles -> the names in the store."""
        names: dict[str, Any] = {}
        for name in () if self.damage else self._reader.split_ids:
            names.setdefault(well_formed(shorten(shown_title(name))), name)
            if len(names) == MOST_SPLITS:
                break
        return names

    def mask(self, title: str) -> NDArray[np.bool_]:
        """For each video whether it is in a split, bool [videos]. Raises RequestError if there is no such split."""
        if title not in self._names:
            raise RequestError(
                f"{self._store.path} has no split {shown(title)}{closest(title, self._names)}", status=404
            )
        bits = self._masks.get(title)
        if bits is None:
            bits = self._masks[title] = np.packbits(self._read(title))
        return np.unpackbits(bits, count=len(self._store)).astype(bool)

    def _read(self, title: str) -> NDArray[np.bool_]:
        try:
            return in_split(self._reader, self._names[title])
        except SplitNotFoundError:  # it is not a list of ids
            return np.zeros(len(self._store), bool)

    @cached_property
    def sets(self) -> Labels:
        """The sets of splits that videos are in, as tuples of titles: like labels, and in order.

        If there are more than ``_MOST_SETS`` sets, the last splits do not count.
        """
        codes, sets = np.zeros(len(self._store), np.int64), list[tuple[int, ...]]([()])
        titles = self.titles
        for number, title in enumerate(titles):
            pairs, refined = np.unique(2 * codes + self.mask(title), return_inverse=True)
            if len(pairs) > _MOST_SETS:
                break
            codes = refined
            sets = [(*sets[pair // 2], number) if pair % 2 else sets[pair // 2] for pair in pairs.tolist()]
        order = sorted((code for code, numbers in enumerate(sets) if numbers), key=sets.__getitem__)
        ranks = np.full(len(sets), NONE, np.int32)
        ranks[np.array(order, np.int64)] = np.arange(len(order))
        return Labels([tuple(titles[number] for number in sets[code]) for code in order], ranks[codes])
