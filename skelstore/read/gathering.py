"""Which chunks some videos are in, and fetching them at once from a remote store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from skelstore.format.chunking import ChunkSpan, chunk_spans
from skelstore.format.files import StoreFiles
from skelstore.read.arrays import ArrayReader
from skelstore.read.compiled import Places


class Gatherer:
    """Plans what is read for videos, and fetches it.

    ``layout`` returns the layout of the video at a row, ``fields_of`` the names of the arrays of a layout. ``provide``
    fetches what is missing of some rows of the table, if that is fetched in parts.
    """

    def __init__(
        self,
        files: StoreFiles,
        arrays: Mapping[str, ArrayReader],
        places: Places,
        layout: Callable[[int], int],
        fields_of: Callable[[int], Iterable[str]],
        provide: Callable[[Iterable[int]], None] | None = None,
    ) -> None:
        self._files = files
        self._arrays = arrays
        self._places = places
        self._layout = layout
        self._fields_of = fields_of
        self._provide = provide

    def spans(self, rows: Iterable[int]) -> Iterator[tuple[str, ChunkSpan]]:
        """The chunks that hold the arrays of some videos: the array and the span; some may be named twice."""
        by_layout: dict[int, list[int]] = {}
        if self._provide is not None:
            rows = list(rows)
            self._provide(rows)
        for row in rows:
            by_layout.setdefault(self._layout(row), []).append(row)
        for layout, alike in by_layout.items():
            for name in set(self._fields_of(layout)):
                metadata = self._arrays[name].metadata
                starts, counts = self._runs(name, alike)
                for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
                    for span in chunk_spans(start, count, metadata.chunk_rows, metadata.shard_rows):
                        yield name, span

    def _runs(self, name: str, rows: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first row of videos in an array, and the number of rows, int64 [n] each."""
        first, dims = self._places[name]
        counts = np.ones(len(rows), np.int64)
        for dim in dims:
            counts *= dim[rows]
        return first[rows], counts

    def fetch(self, rows: Iterable[int]) -> None:
        """Fetch at once what a remote store lacks of some videos: first the indexes of shards, then all chunks.

        Raises DamageError, StoreReplacedError and RemoteError, whose messages have URL and key.
        """
        spans = [(self._arrays[name], *span) for name, span in self.spans(rows)]
        unopened = {(array, number) for array, number, *_ in spans if not array.is_open(number)}
        entries = [array.shard_entry(number) for array, number in unopened]
        self._files.fetch_indexes([entry for entry in entries if entry is not None])
        self._files.fetch_chunks([(array.shard(number), first, stop) for array, number, first, stop in spans])
