"""Reading rows of one array from its shards.

zarr-python is not used. The reader knows the shard format and keeps the index of each shard that it has opened. It
fetches all chunks of a run of rows with one read, and decodes them into the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import DamageError
from skelstore.format.checksums import crc32c
from skelstore.format.chunking import shard_runs
from skelstore.format.codecs import CRC_BYTES, ChunkCodec
from skelstore.format.files import flat_bytes
from skelstore.format.local_file import LocalFile
from skelstore.format.metadata import ArrayMetadata
from skelstore.format.partial_files import EvictedError
from skelstore.format.shards import Shard, ShardFile
from skelstore.format.store_files import StoreFiles

Check: TypeAlias = Literal["first", "always", "never"]

_BUFFERS_PER_READ = 1000
"""Buffers per vectored read; Linux accepts up to 1024."""

_COPY_TRIES = 6
"""How often a read begins again if its copy in the cache is evicted before it is read."""

_CHUNKS_PER_CHECK = 1024
"""Chunks of a copy that are fetched at once to be checked."""

_CHECKSUM = memoryview(bytearray(CRC_BYTES))
"""Receives the checksums between uncompressed chunks, which are read but not compared."""


class ArrayReader:
    """Reads runs of rows of one array.

    ``check`` says when a chunk's crc32c is compared with its bytes: on its ``first`` read in this process,
    ``always`` or ``never``.
    """

    def __init__(
        self, store: StoreFiles, name: str, metadata: ArrayMetadata, shards: Mapping[str, ShardFile], check: Check
    ) -> None:
        self.metadata = metadata
        self._store = store
        self._name = name
        self._manifest = shards
        self.check = check
        self.codec = ChunkCodec(metadata.codecs, metadata.chunk_shape, metadata.dtype)
        self._shards: dict[int, Shard] = {}
        self._dtype = metadata.dtype
        self._trailing = metadata.trailing
        self._row_bytes = metadata.row_bytes
        self._chunk_rows = metadata.chunk_rows
        self._chunk_bytes = metadata.row_bytes * metadata.chunk_rows
        self._shard_rows = metadata.shard_rows
        self._last: tuple[Shard | None, int, bytes | memoryview] = None, 0, b""
        self._read_here = self._read_coded if self.codec.compressed else self._read_plain
        self._read_run = self._read_copy if store.has_copies else self._read_here
        # A cast is faster, but supports only the byte order of the machine.
        self._bytes_of = _cast_bytes if metadata.dtype.isnative else flat_bytes

    def read(self, start: int, *dims: int) -> np.ndarray[Any, Any]:
        """Read the rows from ``start`` on, as many as the product of ``dims``, into a new array [*dims, *trailing].

        Raises DamageError if a chunk is missing or its bytes are not those that were written; StoreReplacedError
        instead if the reason is that another store is now at the path.
        """
        try:
            count = math.prod(dims)
            number, offset = divmod(start, self._shard_rows)
            if count and offset + count <= self._shard_rows:
                return self._read_run(self._shards.get(number) or self._open_shard(number), offset, count, dims)
            return self._read_shards(start, count, dims)
        except DamageError:
            self._store.refuse_replaced()
            raise

    def _read_shards(self, start: int, count: int, dims: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Read rows of several shards, or no rows."""
        out = np.empty((count, *self._trailing), self._dtype)
        for run in shard_runs(start, start + count, self._shard_rows):
            taken = run.stop - run.start
            out[run.into : run.into + taken] = self._read_run(self._open_shard(run.shard), run.start, taken, (taken,))
        return out.reshape(dims + self._trailing)

    def shard(self, number: int) -> Shard:
        """A shard; its index is read on first use.

        Raises DamageError if it does not match the manifest, StoreReplacedError if it belongs to another store.
        """
        try:
            return self._open_shard(number)
        except DamageError:
            self._store.refuse_replaced()
            raise

    def is_open(self, number: int) -> bool:
        """Whether the index of a shard has been read."""
        return number in self._shards

    def lacks(self, starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which runs of rows, first rows and numbers of rows [n], have chunks that the copies of shards lack, bool [n].

        Of a shard that this process has not opened, all are; what other processes have fetched may be among them.
        """
        missing = np.zeros(len(starts), bool)
        some = np.flatnonzero(counts)
        if len(some):
            firsts, stops = starts[some] // self._chunk_rows, -(-(starts + counts)[some] // self._chunk_rows)
            chunks = self.metadata.chunks_per_shard
            low, high = int(firsts.min()) // chunks, -(-int(stops.max()) // chunks)
            there = np.zeros((high - low, chunks), np.uint8)
            for number in range(low, high):
                shard = self._shards.get(number)
                if shard is not None and shard.present is not None:
                    there[number - low, : len(shard.present)] = np.frombuffer(shard.present, np.uint8)
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(there)])  # chunks that are there before each
            missing[some] = before[stops - low * chunks] - before[firsts - low * chunks] < stops - firsts
        return missing

    @property
    def stored_bytes(self) -> int:
        """The size of all shards of the array, by the manifest."""
        return sum(entry.size for key, entry in self._manifest.items() if key.startswith(f"{self._name}/"))

    def shard_entry(self, number: int) -> tuple[str, ShardFile, int] | None:
        """The key of a shard, its entry in the manifest, and the number of its chunks; None if there is no entry."""
        key = f"{self._name}/{self.metadata.shard_key(number)}"
        expected = self._manifest.get(key)
        return None if expected is None else (key, expected, self.metadata.chunks_per_shard)

    def open_file(self, number: int) -> tuple[LocalFile, NDArray[Any], NDArray[Any], int, NDArray[Any] | None]:
        """A shard for the compiled reader: its file, bounds int64, checked chunks uint8, size, present chunks uint8.

        The last is None unless the file is a partial copy. The arrays share the memory of the ``Shard``. Raises as
        ``shard`` does.
        """
        shard = self.shard(number)
        present = None if shard.present is None else np.frombuffer(shard.present, np.uint8)
        bounds, checked = np.frombuffer(shard.bounds, np.int64), np.frombuffer(shard.checked, np.uint8)
        return shard.file, bounds, checked, shard.size, present

    def _open_shard(self, number: int) -> Shard:
        shard = self._shards.get(number)
        if shard is None:
            entry = self.shard_entry(number)
            if entry is None:
                path = self._store.path(f"{self._name}/{self.metadata.shard_key(number)}")
                raise DamageError(f"{path} is not in the manifest, but a video has rows in it")
            key, expected, chunks = entry
            file = self._store.shard_file(key, *expected, chunks)
            shard = Shard(file, chunks, expected)
            if not self.codec.compressed and (np.diff(shard.bounds) != self._chunk_bytes + CRC_BYTES).any():
                raise DamageError(f"{file.path}: an uncompressed chunk does not have {self._chunk_bytes} bytes")
            if self.check == "never" and shard.present is None:  # of a copy, nobody has seen all bytes
                shard.checked[:] = b"\1" * len(shard.checked)
            return self._shards.setdefault(number, shard)  # another thread may have been faster
        return shard

    def check_shard(self, number: int) -> None:
        """Check and decode every chunk of a shard. Raises as ``shard`` does, for the first chunk that fails."""
        try:
            self._check_shard(self._open_shard(number))
        except DamageError:
            self._store.refuse_replaced()
            raise

    def _check_shard(self, shard: Shard) -> None:
        for first in range(0, len(shard.checked), _CHUNKS_PER_CHECK):
            chunks = range(first, min(first + _CHUNKS_PER_CHECK, len(shard.checked)))
            for tries_left in reversed(range(_COPY_TRIES)):
                self._store.fetch_chunks([(shard, chunks.start, chunks.stop)])
                try:
                    for chunk in chunks:
                        self._check_one(shard, chunk)
                    break
                except EvictedError:
                    if not tries_left:
                        raise
                    shard.renew()

    def _check_one(self, shard: Shard, chunk: int) -> None:
        coded = self._read_chunks(shard, chunk, chunk + 1)
        self._check_chunk(shard, chunk, coded)
        try:
            self.codec.decode(coded[:-CRC_BYTES])
        except RuntimeError as error:
            raise DamageError(f"{shard.file.path}: chunk {chunk} cannot be decoded: {error}") from error

    def _read_copy(self, shard: Shard, start: int, count: int, dims: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Read rows of a shard from its copy in the cache, into which missing chunks are fetched first.

        A chunk that is damaged in the copy is fetched once more.
        """
        first, stop = start // self._chunk_rows, (start + count - 1) // self._chunk_rows + 1
        damaged = False
        for _ in range(_COPY_TRIES):
            self._store.fetch_chunks([(shard, first, stop)])
            try:
                return self._read_here(shard, start, count, dims)
            except EvictedError:
                shard.renew()
            except DamageError:
                if damaged or stop > len(shard.checked):
                    raise
                damaged = True
                shard.forget(first, stop)
        return self._read_here(shard, start, count, dims)

    def _read_plain(self, shard: Shard, start: int, count: int, dims: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Read rows of a shard whose chunks are not compressed: one read from the file into the result."""
        chunk = start // self._chunk_rows
        stop = (start + count - 1) // self._chunk_rows + 1
        if shard.checked.find(0, chunk, stop) >= 0 or stop > len(shard.checked):
            # In one read: the system reads ahead of reads that follow one another, far beyond this video.
            coded = self._read_chunks(shard, chunk, stop)
            first = shard.bounds[chunk]
            for unchecked in range(chunk, stop):
                bounds = shard.bounds[unchecked] - first, shard.bounds[unchecked + 1] - first
                self._check_chunk(shard, unchecked, coded[slice(*bounds)])
        length = count * self._row_bytes
        offset = start * self._row_bytes + chunk * CRC_BYTES
        end = offset + length + (stop - chunk - 1) * CRC_BYTES
        out = np.empty(dims + self._trailing, self._dtype)
        if stop == chunk + 1:
            shard.file.read_into(offset, length, (out,))
            return out
        target, size = self._bytes_of(out), self._chunk_bytes
        at = (chunk + 1) * size - start * self._row_bytes
        # The checksum between two chunks is read into a separate buffer.
        buffers = [_CHECKSUM] * (2 * (stop - chunk) - 1)
        buffers[::2] = [target[:at], *[target[i : i + size] for i in range(at, length, size)]]
        if len(buffers) <= _BUFFERS_PER_READ:
            shard.file.read_into(offset, end - offset, buffers)
            return out
        for first in range(0, len(buffers), _BUFFERS_PER_READ):
            part = buffers[first : first + _BUFFERS_PER_READ]
            part_bytes = sum(map(len, part))
            shard.file.read_into(offset, part_bytes, part)
            offset += part_bytes
        return out

    def _read_coded(self, shard: Shard, start: int, count: int, dims: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Read rows of a shard whose chunks are compressed: one read of the chunks, each decoded into the result.

        The last decoded chunk is kept, so reading videos in the order of the store decodes each chunk once.
        """
        chunk, skip = divmod(start, self._chunk_rows)
        stop = (start + count - 1) // self._chunk_rows + 1
        out = np.empty(dims + self._trailing, self._dtype)
        target = self._bytes_of(out)
        length = len(target)
        skip *= self._row_bytes
        into = 0
        last_shard, last_chunk, decoded = self._last  # one tuple, so that no thread sees parts of two chunks
        if last_chunk == chunk and last_shard is shard and self.check != "always":
            into = min(self._chunk_bytes - skip, length)
            target[:into] = decoded[skip : skip + into]
            if into == length:
                return out
            chunk += 1
            skip = 0
        data = self._read_chunks(shard, chunk, stop)
        bounds = shard.bounds
        begin = bounds[chunk]
        unchecked = shard.checked.find(0, chunk, stop) >= 0
        end = 0
        decode = self.codec.decode
        try:
            while chunk < stop:
                at, end = end, bounds[chunk + 1] - begin
                if unchecked:
                    self._check_chunk(shard, chunk, data[at:end])
                decoded = decode(data[at : end - CRC_BYTES])
                taken = min(self._chunk_bytes - skip, length - into)
                target[into : into + taken] = decoded[skip : skip + taken]
                into += taken
                skip = 0
                chunk += 1
        except RuntimeError as error:
            raise DamageError(f"{shard.file.path}: chunk {chunk} cannot be decoded: {error}") from error
        self._last = shard, chunk - 1, decoded
        return out

    def _read_chunks(self, shard: Shard, first: int, stop: int) -> memoryview:
        """Read chunks as they are in the file, each followed by its checksum."""
        if stop > len(shard.checked):
            raise DamageError(f"{shard.file.path}: chunk {stop - 1} is missing, but a video has rows in it")
        begin = shard.bounds[first]
        return memoryview(shard.file.read(begin, shard.bounds[stop] - begin))

    def _check_chunk(self, shard: Shard, chunk: int, coded: memoryview) -> None:
        if crc32c(coded[:-CRC_BYTES]) != int.from_bytes(coded[-CRC_BYTES:], "little"):
            raise DamageError(
                f"{shard.file.path}: chunk {chunk} is damaged (its crc32c does not match its bytes), so fetch or "
                "convert the store again"
            )
        shard.checked[chunk] = self.check != "always"


def _cast_bytes(array: np.ndarray[Any, Any]) -> memoryview:
    """``flat_bytes`` for an array that has the machine's byte order and is not empty."""
    return memoryview(array).cast("B")  # type: ignore[arg-type,unused-ignore]  # a Buffer since 3.12
