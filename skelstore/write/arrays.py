"""Writing the rows of one array into shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skelstore.format.codecs import ChunkCodec
from skelstore.format.metadata import ArrayMetadata
from skelstore.format.shards import ShardFile, ShardWriter


class ArrayWriter:
    """Writes rows, in order, into the shards 0, 1, … of an array; memory holds one chunk."""

    def __init__(self, folder: Path, metadata: ArrayMetadata) -> None:
        self.rows = 0
        self.shards: list[ShardFile] = []
        self._folder = folder
        self._metadata = metadata
        self._codec = ChunkCodec(metadata.codecs, metadata.chunk_shape, metadata.dtype)
        self._pending = np.zeros(metadata.chunk_shape, metadata.dtype)
        self._filled = 0
        self._shard: ShardWriter | None = None

    def append(self, rows: np.ndarray[Any, Any]) -> int:
        """Append rows [n, *trailing]; return the row of the array at which they start."""
        first = self.rows
        height = self._metadata.chunk_rows
        start = 0
        while start < len(rows):
            if not self._filled and len(rows) - start >= height:
                self._put(rows[start : start + height])
                start += height
                continue
            piece = rows[start : start + height - self._filled]
            self._pending[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            start += len(piece)
            if self._filled == height:
                self._flush()
        self.rows += len(rows)
        return first

    def close(self) -> None:
        """Write the pending rows, padded with zeros to a whole chunk, and close the last shard."""
        if self._filled:
            self._pending[self._filled :] = 0
            self._flush()
        self._close_shard()

    def abort(self) -> None:
        """Close the open file."""
        if self._shard is not None:
            self._shard.abort()
            self._shard = None

    def _flush(self) -> None:
        self._put(self._pending)
        self._filled = 0

    def _put(self, chunk: np.ndarray[Any, Any]) -> None:
        if self._shard is None:
            path = self._folder / self._metadata.shard_key(len(self.shards))
            self._shard = ShardWriter(path, self._codec, self._metadata.chunks_per_shard)
        self._shard.add(chunk)
        if self._shard.full:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._shard is not None:
            self.shards.append(self._shard.close())
            self._shard = None
