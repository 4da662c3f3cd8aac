"""Which chunks some videos are in, and fetching them at once from a remote store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import RemoteError, StoreError
from skelstore.format.chunking import ChunkSpan, chunk_spans
from skelstore.format.store_files import StoreFiles
from skelstore.read.arrays import ArrayReader
from skelstore.read.places import Places

SHORT_BYTES = 256 << 10
"""If only some frames of videos are needed, they are fetched as a whole up to this size: that takes less time than a
request for each, when its frames are known (see ``GAP_BYTES`` of ``remote/ranges.py``)."""

_FIRST_RUN_BYTES, _RUN_BYTES = 128 << 10, 8 << 20
"""About how much is fetched at once of a remote store that is read in order: at first, and later on."""

_RUN_VIDEOS = 1024
"""Maximum number of videos that are fetched at once of a remote store that is read in order."""


class Gatherer:
    """Plans what is read for videos, and fetches it; of a local store, nothing has to be fetched.

    ``layouts`` [videos] has the layout of each video, ``fields_of`` returns the names of the arrays of a layout by key,
    ``used_rows`` the number of rows of an array that belong to videos. ``provide`` fetches what is missing of some rows
    of the table, if that is fetched in parts.
    """

    def __init__(
        self,
        files: StoreFiles,
        arrays: Mapping[str, ArrayReader],
        places: Places,
        layouts: NDArray[np.int32],
        fields_of: Callable[[int], Mapping[Any, str]],
        used_rows: Callable[[str], int],
        provide: Callable[[Iterable[int]], None] | None = None,
    ) -> None:
        self._files = files
        self._arrays = arrays
        self._places = places
        self._layouts = layouts
        self._fields_of = fields_of
        self._provide = provide
        self._used_rows = used_rows
        self._row_bytes: dict[str, float] = {}

    def spans(self, rows: Iterable[int]) -> Iterator[tuple[str, ChunkSpan]]:
        """The chunks that hold the arrays of some videos: the array and the span; some may be named twice."""
        return self._spans((name, *_joined(starts, counts)) for name, _, starts, counts in self._runs(rows))

    def sizes(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """About how many bytes the arrays of some videos take in their shards, float64 [n]."""
        sizes = np.zeros(len(rows))
        for name, places, _, counts in self._runs(rows):
            if name not in self._row_bytes:
                self._row_bytes[name] = self._arrays[name].stored_bytes / max(self._used_rows(name), 1)
            sizes[places] += self._row_bytes[name] * counts
        return sizes

    def fetch(self, rows: Iterable[int]) -> None:
        """Fetch at once what a remote store lacks of some videos: first the indexes of shards, then all chunks.

        Raises DamageError, StoreReplacedError and RemoteError, whose messages have URL and key.
        """
        self._fetch(self.spans(rows))

    def fetch_runs(self, runs: Iterable[tuple[str, int, int]]) -> None:
        """Like ``fetch``, for runs of rows of arrays: name, first row, number of rows."""
        self._fetch(self._spans((name, [start], [count]) for name, start, count in runs))

    def fetch_fields(self, row: int, keys: Iterable[Any]) -> None:
        """Like ``fetch``, for the arrays at some keys of a video."""
        if self._files.has_copies:
            if self._provide is not None:
                self._provide([row])
            fields = self._fields_of(int(self._layouts[row]))
            runs = self._runs([row], {fields[key] for key in keys if key in fields})
            self._fetch(self._spans((name, starts.tolist(), counts.tolist()) for name, _, starts, counts in runs))

    def fetch_short(self, rows: Sequence[int]) -> None:
        """Like ``fetch``, for those of some videos that are short: of longer ones only some frames may be needed."""
        self.fetch([row for row, size in zip(rows, self.sizes(rows), strict=True) if size <= SHORT_BYTES])

    def fetched(self, rows: Iterable[int]) -> Iterator[int]:
        """The rows, of which runs are fetched at once before they are yielded: short ones first, then longer ones.

        An error of a later video is left to whoever reads that video.
        """
        rows = iter(rows)
        coming: list[int] = []
        most = _FIRST_RUN_BYTES
        while coming := coming + list(islice(rows, max(_RUN_VIDEOS - len(coming), 0))):
            count = max(int(np.cumsum(self.sizes(coming)).searchsorted(most, "right")), 1)
            with suppress(StoreError, RemoteError):
                self.fetch(coming[:count])
            yield from coming[:count]
            coming = coming[count:]
            most = min(2 * most, _RUN_BYTES)

    def lacking(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which videos are not wholly in the copies of a remote store, as far as this process knows, bool [n]."""
        found = np.zeros(len(rows), bool)
        for name, places, starts, counts in self._runs(rows):
            found[places] |= self._arrays[name].lacks(starts, counts)
        return found

    def unopened(self, rows: Sequence[int]) -> set[tuple[ArrayReader, int]]:
        """The shards in which the arrays of some videos begin, as far as this process has not opened them."""
        found = set()
        for name, _, starts, counts in self._runs(rows):
            array = self._arrays[name]
            for number in set((starts[counts > 0] // array.metadata.shard_rows).tolist()):
                if not array.is_open(number):
                    found.add((array, number))
        return found

    def fetch_ahead(self, rows: Sequence[int], before: Sequence[int], goes_on: Callable[[], bool]) -> None:
        """Like ``fetch``, for videos that are needed later: by one request after another, while ``goes_on()``.

        A chunk in which those ``before`` end is left to whoever fetches these, and need not be waited for.
        """
        ends = {(name, number, stop - 1) for name, (number, _, stop) in self.spans(before)}
        wanted = []
        for name, (number, first, stop) in self.spans(rows):
            first += (name, number, first) in ends
            if first < stop:
                wanted.append((self._arrays[name].shard(number), first, stop))
        self._files.fetch_ahead(wanted, goes_on)

    def _runs(
        self, rows: Iterable[int], only: set[str] | None = None
    ) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """The rows of some videos in each array: its name, which of the videos, first rows and numbers of rows [n]."""
        taken = np.fromiter(rows, np.int64)
        if self._provide is not None:
            self._provide(taken)
        layouts = self._layouts[taken]
        order = np.argsort(layouts, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(layouts[order])) + 1) if len(order) else ():
            alike = taken[places]
            for name in set(self._fields_of(int(layouts[places[0]])).values()):
                if only is None or name in only:
                    first, lengths = self._places[name]
                    counts = np.ones(len(alike), np.int64)
                    for length in lengths:
                        counts *= length[alike]
                    yield name, places, first[alike], counts

    def _spans(self, runs: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> Iterator[tuple[str, ChunkSpan]]:
        """The chunks that hold some runs of rows of arrays: name, first rows, numbers of rows."""
        for name, starts, counts in runs:
            metadata = self._arrays[name].metadata
            for start, count in zip(starts, counts, strict=True):
                for span in chunk_spans(int(start), int(count), metadata.chunk_rows, metadata.shard_rows):
                    yield name, span

    def _fetch(self, wanted: Iterable[tuple[str, ChunkSpan]]) -> None:
        if not self._files.has_copies:
            return
        spans = [(self._arrays[name], *span) for name, span in wanted]
        unopened = {(array, number) for array, number, *_ in spans if not array.is_open(number)}
        entries = [array.shard_entry(number) for array, number in unopened]
        self._files.fetch_indexes([entry for entry in entries if entry is not None])
        self._files.fetch_chunks([(array.shard(number), first, stop) for array, number, first, stop in spans])


def _joined(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Runs of rows [n], ascending, with those that touch or overlap as one: first rows, and numbers of rows."""
    if len(starts) == 1:
        return starts.tolist(), counts.tolist()
    order = np.argsort(starts, kind="stable")
    starts, stops = starts[order], np.maximum.accumulate((starts + counts)[order])
    begins = np.flatnonzero(np.append(True, starts[1:] > stops[:-1]))
    ends = np.append(begins[1:], len(starts)) - 1
    return starts[begins].tolist(), (stops[ends] - starts[begins]).tolist()
