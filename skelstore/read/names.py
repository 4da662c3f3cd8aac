"""The index of names: a hash table on disk, from the name of a video to its row."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.errors import StoreError
from skelstore.format.checksums import FileEntry
from skelstore.format.metadata import StoreMetadata
from skelstore.format.schema import NAMES_KEY
from skelstore.format.store_files import StoreFiles
from skelstore.read.partial_table import PartialTable, RowGroups
from skelstore.read.table import NAMES_TYPES, check_types, numeric_column, read_table, text_buffers, text_column

_DEVIATIONS = 3
"""The videos of a bucket that is within this number of standard deviations of its mean place are guessed right."""


class NameIndex:
    """The index of names of a store. It is read when a name is first looked up.

    It holds no text: the names in a bucket are compared with ``frame_dir`` in the table of the videos. ``entry`` is the
    size and checksum of its file. ``groups`` are the rows of ``table`` if that is fetched in parts. Then so is the
    index: a bucket and the videos in it, by one request each at the same time.

    Its methods raise StoreError or DamageError if the file does not follow the format.
    """

    def __init__(
        self,
        files: StoreFiles,
        entry: FileEntry | None,
        table: pa.Table,
        metadata: StoreMetadata,
        mmap: bool,
        groups: RowGroups | None,
    ) -> None:
        self._files = files
        self._entry = entry
        self._table = table
        self._videos = metadata.videos
        self._mmap = mmap
        self._groups = groups
        columns = metadata.columns.items()
        self._column = next((name for name, c in columns if c.path == ("frame_dir",) and c.type == "str"), None)

    def rows(self, name: str, name_of: Callable[[int], str | None]) -> list[int]:
        """Rows of the videos with this name, ascending. ``name_of`` is asked for rows without a ``frame_dir``."""
        start, video, count = self._lookups
        if not count:
            return []
        encoded = name.encode("utf-8", "surrogatepass")
        bucket = google_crc32c.value(encoded) % count
        if self._parts is not None:
            self._fetch_bucket(self._parts, bucket)
        stop = start(bucket + 1) if bucket + 1 < count else count
        candidates = [video(place) for place in range(start(bucket), stop)]
        if self._groups is not None and len(candidates) == 1:
            self._groups.provide(candidates)
        elif self._groups is not None and self._column is not None:
            # Not the rows of all: they would take more requests than are sent at once.
            self._groups.provide_texts(self._column, candidates)
        frame_dir = self._frame_dir
        rows = []
        for row in candidates:
            text = frame_dir(row)  # almost always the name; empty if that is another value, or is empty
            if text == encoded if text else name_of(row) == name:
                rows.append(row)
        return rows

    def columns(self) -> tuple[NDArray[Any], ...] | None:
        """The index as arrays: buckets, videos, offsets and bytes of ``frame_dir``.

        The names of rows without a ``frame_dir`` are empty. None if the table has no such column, or if something has
        to be fetched before it is looked at.
        """
        if self._column is None or self._groups is not None or self._parts is not None:
            return None
        return (*self._arrays, *text_buffers(self._table, self._column, pa.large_utf8()))

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The hash table: the start of each bucket, and the videos."""
        path = self._files.path(NAMES_KEY)
        parts = self._parts
        table = read_table(self._files, NAMES_KEY, self._entry, self._mmap) if parts is None else parts.raw
        check_types(table, str(path), NAMES_TYPES)
        starts = numeric_column(table, "bucket", pa.int64())
        videos = numeric_column(table, "video", pa.int64())
        count = len(videos)
        if (
            count
            and parts is None
            and not (0 <= videos.min() <= videos.max() < self._videos and 0 <= starts.min() <= starts.max() <= count)
        ):
            raise StoreError(f"{path} names videos that the store does not have")
        return starts, videos

    @cached_property
    def _parts(self) -> PartialTable | None:
        """The index, if it is fetched in parts."""
        parts = self._files.open_parts(NAMES_KEY, self._mmap)
        return None if parts is None else PartialTable(parts, str(self._files.path(NAMES_KEY)))

    def _fetch_bucket(self, parts: PartialTable, bucket: int) -> None:
        """Fetch where a bucket begins and ends, and its videos. Raises StoreError if they are not in the table."""
        starts, videos = self._arrays
        count = len(videos)
        bucket_place, video_place = (parts.span(parts.raw[name].chunk(0).buffers()[1])[0] for name in NAMES_TYPES)

        def span(first: int, stop: int) -> tuple[int, int]:
            return video_place + 8 * max(first, 0), video_place + 8 * min(stop, count)

        # A bucket has one video on average, so bucket b begins near the b-th: a binomial distribution.
        near = int(_DEVIATIONS * math.sqrt(count) / 2) + 64
        after = min(bucket + 2, count)
        parts.provide([(bucket_place + 8 * bucket, bucket_place + 8 * after), span(bucket - near, bucket + near)])
        first, stop = int(starts[bucket]), int(starts[bucket + 1]) if bucket + 1 < count else count
        if not 0 <= first <= stop <= count:
            raise StoreError(f"{self._files.path(NAMES_KEY)} has a bucket of names that is outside of it")
        parts.provide([span(first, stop)])
        found = videos[first:stop]
        if len(found) and not 0 <= found.min() <= found.max() < self._videos:
            raise StoreError(f"{self._files.path(NAMES_KEY)} names videos that the store does not have")

    @cached_property
    def _lookups(self) -> tuple[Callable[[int], int], Callable[[int], int], int]:
        """Functions for the start of a bucket and for the video at a place, and the number of places."""
        starts, videos = self._arrays
        return starts.item, videos.item, len(videos)

    @cached_property
    def _frame_dir(self) -> Callable[[int], bytes]:
        """A function from a row to the UTF-8 form of ``frame_dir``; empty if that is missing or not a str."""
        if self._column is None:
            return lambda row: b""
        return text_column(self._table, self._column, partial=self._groups is not None)
