"""Writing the rows of one array into shards."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from skelstore.format.codecs import ChunkCodec
from skelstore.format.metadata import ArrayMetadata
from skelstore.format.shards import ShardFile, ShardWriter

_BUFFER_BYTES = 1 << 18
"""Rows are copied into a buffer of about this size, or of one chunk if that is larger, and encoded together: it stays
in the cache of a core."""


class ArrayWriter:
    """Writes rows, in order, into the shards 0, 1, … of an array; memory holds ``_BUFFER_BYTES``, or one chunk."""

    def __init__(self, folder: Path, metadata: ArrayMetadata) -> None:
        self.rows = 0
        self.shards: list[ShardFile] = []
        self._folder = folder
        self._metadata = metadata
        self._codec = ChunkCodec(metadata.codecs, metadata.chunk_shape, metadata.dtype)
        chunks = max(1, _BUFFER_BYTES // self._codec.nbytes)
        self._buffer = np.empty((chunks * metadata.chunk_rows, *metadata.trailing), metadata.dtype)
        self._filled = 0
        self._shard: ShardWriter | None = None

    def append(self, rows: np.ndarray[Any, Any]) -> int:
        """Append rows [n, *trailing]; return the row of the array at which they start."""
        first = self.rows
        self.rows += len(rows)
        while len(rows) >= (free := len(self._buffer) - self._filled):
            self._buffer[self._filled :] = rows[:free]
            self._filled += free
            self._flush()
            _forget(rows[:free])
            rows = rows[free:]
        end = self._filled + len(rows)
        self._buffer[self._filled : end] = rows
        self._filled = end
        return first

    def close(self) -> None:
        """Write the pending rows, padded with zeros to a whole chunk, and close the last shard."""
        padding = -self._filled % self._metadata.chunk_rows
        self._buffer[self._filled : self._filled + padding] = 0
        self._filled += padding
        self._flush()
        self._close_shard()

    def abort(self) -> None:
        """Close the open file."""
        if self._shard is not None:
            self._shard.abort()
            self._shard = None

    def _flush(self) -> None:
        """Write the pending rows, which are whole chunks."""
        height = self._metadata.chunk_rows
        start = 0
        while start < self._filled:
            if self._shard is None:
                path = self._folder / self._metadata.shard_key(len(self.shards))
                self._shard = ShardWriter(path, self._codec, self._metadata.chunks_per_shard)
            stop = min(self._filled, start + self._shard.free * height)
            self._shard.add(self._buffer[start:stop])
            start = stop
            if not self._shard.free:
                self._close_shard()
        self._filled = 0

    def _close_shard(self) -> None:
        if self._shard is not None:
            self.shards.append(self._shard.close())
            self._shard = None


def _forget(rows: np.ndarray[Any, Any]) -> None:
    """If the rows are those of a file that is mapped to be read, release the pages of memory with them and before.

    An array of one video may be larger than the memory. The pages stay in the cache of the system. A map that can be
    written to may be private, and would lose what was written to it.
    """
    base: Any = rows if rows.flags.c_contiguous else None
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED") or not memoryview(base).readonly:
        return
    first = rows.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
    start, stop = (place // mmap.PAGESIZE * mmap.PAGESIZE for place in (first, first + rows.nbytes))
    if start < stop:
        base.madvise(mmap.MADV_DONTNEED, start, stop - start)
