"""One array of a store: writing its rows into shards, and reading rows back.

Reading never enters zarr-python. It knows the shard format, keeps the index of each shard that it has met, brings
all chunks of a run of rows by one read, and decodes them into the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from skelstore.codecs import CRC_BYTES, ChunkCodec, crc32c
from skelstore.errors import DamageError, StoreError
from skelstore.files import LocalFiles
from skelstore.layout import shard_runs
from skelstore.metadata import ArrayMetadata
from skelstore.shards import ShardFile, ShardIndex, ShardWriter

Check: TypeAlias = Literal["first", "always", "never"]


class ArrayWriter:
    """Writes rows, in order, as the shards 0, 1, … of an array; memory holds one chunk."""

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
        """Append rows [n, *trailing]; return the row of the array at which they begin."""
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
        """Write what is pending, padded with zeros to a whole chunk, and close the last shard."""
        if self._filled:
            self._pending[self._filled :] = 0
            self._flush()
        self._close_shard()

    def abort(self) -> None:
        """Let go of the file that is open."""
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


class ArrayReader:
    """Reads runs of rows of one array.

    ``check`` says when a chunk's crc32c is held against its bytes: on its ``first`` read in this process,
    ``always`` or ``never``.
    """

    def __init__(
        self, files: LocalFiles, name: str, metadata: ArrayMetadata, shards: Mapping[str, ShardFile], check: Check
    ) -> None:
        self.metadata = metadata
        self._files = files
        self._name = name
        self._shards = shards
        self._check = check
        self._codec = ChunkCodec(metadata.codecs, metadata.chunk_shape, metadata.dtype)
        self._indexes: dict[int, ShardIndex] = {}
        self._row_bytes = metadata.row_bytes
        self._chunk_rows = metadata.chunk_rows
        self._shard_rows = metadata.shard_rows

    def __reduce__(self) -> Any:
        return ArrayReader, (self._files, self._name, self.metadata, self._shards, self._check)

    def read(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Rows ``start`` to ``stop`` as a new array [stop - start, *trailing].

        Raises DamageError if a chunk is missing or its bytes are not those that were written.
        """
        out = np.empty((stop - start, *self.metadata.trailing), self.metadata.dtype)
        self.read_into(start, out)
        return out

    def read_into(self, start: int, out: np.ndarray[Any, Any]) -> None:
        """Fill ``out`` [n, *trailing], C-contiguous, with the rows from ``start``."""
        count = len(out)
        if not count:
            return
        shard, offset = divmod(start, self._shard_rows)
        if start < 0 or start + count > self.metadata.rows:
            raise StoreError(f"{self._name}: rows {start} to {start + count} of an array of {self.metadata.rows} rows")
        if offset + count <= self._shard_rows:
            self._read_run(shard, offset, out)
            return
        for run in shard_runs(start, start + count, self._shard_rows):
            self._read_run(run.shard, run.start, out[run.into : run.into + run.stop - run.start])

    def check_shard(self, shard: int) -> int:
        """Decode every chunk of a shard; return their number. Raises DamageError at the first that fails."""
        index = self.index(shard)
        scratch = np.empty(self.metadata.chunk_shape, self.metadata.dtype)
        used = -(-(min(self.metadata.rows - shard * self._shard_rows, self._shard_rows)) // self._chunk_rows)
        there = 0
        for chunk in range(used):
            if index.starts[chunk] < 0:
                continue  # padding at a part's end; a chunk that a video needs is missed when it is read
            body = memoryview(self._files.read(self._key(shard), index.starts[chunk], self._length(index, chunk)))
            self._check_chunk(shard, chunk, body)
            self._decode(shard, chunk, body[:-CRC_BYTES], scratch)
            there += 1
        return there

    def _key(self, shard: int) -> str:
        return f"{self._name}/{self.metadata.shard_key(shard)}"

    def index(self, shard: int) -> ShardIndex:
        """Index of a shard, read when it is first met. Raises DamageError if it is not as the manifest says."""
        index = self._indexes.get(shard)
        if index is None:
            key = self._key(shard)
            expected = self._shards.get(key)
            if expected is None:
                raise DamageError(f"{self._files.path(key)} is not in the manifest, but a video has rows in it")
            index = ShardIndex.read(self._files, key, self.metadata.chunks_per_shard, expected)
            self._indexes[shard] = index
        return index

    @staticmethod
    def _length(index: ShardIndex, chunk: int) -> int:
        return index.ends[chunk] - index.starts[chunk]

    def _read_run(self, shard: int, start: int, out: np.ndarray[Any, Any]) -> None:
        """Fill ``out`` with the rows from ``start`` of a shard."""
        index = self._indexes.get(shard) or self.index(shard)
        first = start // self._chunk_rows
        last = (start + len(out) - 1) // self._chunk_rows
        begin = index.starts[first]
        length = index.ends[last] - begin
        if begin < 0 or length < 0 or (last > first and not self._adjoin(shard, index, first, last)):
            raise DamageError(
                f"{self._files.path(self._key(shard))}: chunk {first} or one up to {last} is missing, but a video has "
                "rows in it"
            )
        unchecked = self._check == "always" or (self._check == "first" and index.checked.find(0, first, last + 1) >= 0)
        if not (self._codec.compressed or unchecked):
            self._read_plain(shard, start, begin, out)
            return
        data = memoryview(self._files.read(self._key(shard), begin, length))
        height = self._chunk_rows
        into = 0
        for chunk in range(first, last + 1):
            body = data[index.starts[chunk] - begin : index.ends[chunk] - begin]
            if unchecked:
                self._check_chunk(shard, chunk, body)
                index.checked[chunk] = 1
            skip = start + into - chunk * height
            take = min(height - skip, len(out) - into)
            if take == height:
                self._decode(shard, chunk, body[:-CRC_BYTES], out[into : into + take])
            else:
                scratch = np.empty(self.metadata.chunk_shape, self.metadata.dtype)
                self._decode(shard, chunk, body[:-CRC_BYTES], scratch)
                out[into : into + take] = scratch[skip : skip + take]
            into += take

    def _adjoin(self, shard: int, index: ShardIndex, first: int, last: int) -> bool:
        """Whether the chunks lie one behind the other, as every writer of ours lays them."""
        return all(index.ends[chunk] == index.starts[chunk + 1] >= 0 for chunk in range(first, last))

    def _read_plain(self, shard: int, start: int, begin: int, out: np.ndarray[Any, Any]) -> None:
        """Fill ``out`` from chunks stored as they are: one read, which drops the checksums between chunks."""
        height = self._chunk_rows
        skip = start % height
        flat = out.reshape(-1).view(np.uint8)
        if skip + len(out) <= height:
            buffers: list[Any] = [flat]
        else:
            buffers = []
            dropped = bytearray(CRC_BYTES)
            at = (height - skip) * self._row_bytes
            buffers.append(flat[:at])
            while at < len(flat):
                buffers.append(memoryview(dropped))
                buffers.append(flat[at : at + height * self._row_bytes])
                at += height * self._row_bytes
        self._files.read_into(self._key(shard), begin + skip * self._row_bytes, buffers)

    def _check_chunk(self, shard: int, chunk: int, body: memoryview) -> None:
        if len(body) < CRC_BYTES or crc32c(body[:-CRC_BYTES]) != int.from_bytes(body[-CRC_BYTES:], "little"):
            raise DamageError(
                f"{self._files.path(self._key(shard))}: chunk {chunk} is damaged (its crc32c is not that of its bytes), so "
                "fetch or convert the store again"
            )

    def _decode(self, shard: int, chunk: int, body: memoryview, out: np.ndarray[Any, Any]) -> None:
        try:
            self._codec.decode(body, out)
        except (DamageError, RuntimeError) as error:
            path = self._files.path(self._key(shard))
            raise DamageError(f"{path}: chunk {chunk} cannot be decoded: {error}") from error
