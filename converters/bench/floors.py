"""Lower bounds for any reader: the codec alone, the system call alone, and memcpy alone, for the bytes of each video.

All use offsets that are computed in advance, by a parser of the shard format that is independent of skelstore's. They
find no name, build no dict and check no checksum. Their names begin with "bare".
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from converters.bench.array_peers import Run, common_fields, runs
from converters.bench.data import Annotation, DataSet
from converters.bench.peers import Peer
from converters.bench.timing import Spent
from skelstore.format.codecs import Profile

CRC_BYTES = 4
BLOSC_FUNCTION = "blosc_decompress_ctx"
MIN_HEADER_BYTES = 16
"""Bytes of the header of a chunk of blosc."""

REFUSED_BATCHES, REFUSED_CALLS = 20, 50
"""How many calls are timed to find out what a call costs that decodes nothing."""


class Shards:
    """The shards of one array of a store, and the offsets of their chunks (Zarr v3, ``sharding_indexed``)."""

    def __init__(self, store: Path, field: str) -> None:
        metadata = json.loads((store / field / "zarr.json").read_bytes())
        self.shard_rows: int = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        (sharding,) = metadata["codecs"]
        self.chunk_shape: list[int] = sharding["configuration"]["chunk_shape"]
        self.compressed = any(codec["name"] == "blosc" for codec in sharding["configuration"]["codecs"])
        self.dtype = np.dtype(metadata["data_type"])
        self._zeros = ".0" * (len(metadata["shape"]) - 1)
        self._folder = store / field
        self._indexes: dict[int, Any] = {}

    def path(self, shard: int) -> Path:
        return self._folder / f"c.{shard}{self._zeros}"

    def index(self, shard: int) -> Any:
        """The offset and length of each chunk of a shard."""
        if shard not in self._indexes:
            size = 16 * (self.shard_rows // self.chunk_shape[0])
            with open(self.path(shard), "rb") as file:
                file.seek(-size - CRC_BYTES, os.SEEK_END)
                self._indexes[shard] = np.frombuffer(file.read(size), "<u8").reshape(-1, 2).tolist()
        return self._indexes[shard]

    def chunks(self, run: Run) -> list[tuple[int, int, int]]:
        """The shard, offset and length of each chunk that a run of rows touches."""
        touched = []
        rows = self.chunk_shape[0]
        for chunk in range(run.start // rows, -(-run.stop // rows)):
            shard, place = divmod(chunk, self.shard_rows // rows)
            touched.append((shard, *self.index(shard)[place]))
        return touched


class _Floor(Peer):
    """The common part: the runs of rows of every video in a store with one profile."""

    whole = False
    profile: Profile = "default"

    def build(self, data: DataSet, folder: Path) -> None:
        store = data.store(self.profile)
        fields = common_fields(data)
        self.shards = {field: Shards(store, field) for field in fields}
        self.runs = dict(zip(data.names, runs(store, fields), strict=True))


class _Codec(_Floor):
    """Decodes each chunk that the video touches, from memory into an existing array."""

    def open(self) -> None:
        scratch = {field: np.empty(shards.chunk_shape, shards.dtype) for field, shards in self.shards.items()}
        content: dict[Path, memoryview] = {}
        self._calls: dict[str, list[Callable[[], object]]] = {}
        for name, places in self.runs.items():
            calls = self._calls[name] = []
            for run in places:
                shards = self.shards[run.field]
                for shard, offset, length in shards.chunks(run) if shards.compressed else ():
                    path = shards.path(shard)
                    if path not in content:
                        content[path] = memoryview(path.read_bytes())
                    calls.append(self.call(content[path][offset : offset + length - CRC_BYTES], scratch[run.field]))

    @abstractmethod
    def call(self, encoded: memoryview, out: NDArray[Any]) -> Callable[[], object]:
        """What decodes a chunk into an array."""

    def get(self, name: str) -> Annotation:
        for call in self._calls[name]:
            call()
        return {}

    def close(self) -> None:
        self._calls = {}


class BareNumcodecs(_Codec):
    """blosc through numcodecs: its ``decompress`` with an output array, once per chunk."""

    name = "bare numcodecs"

    def call(self, encoded: memoryview, out: NDArray[Any]) -> Callable[[], object]:
        return partial(blosc.decompress, encoded, out)


class BareBlosc(_Codec):
    """blosc alone: direct calls of ``blosc_decompress_ctx`` on the chunks of the video.

    The function is the one in numcodecs' own extension, called with ctypes. A compiled reader calls it without ctypes,
    so what ctypes costs, about a quarter of a microsecond per chunk, is not part of the floor: each round first times
    calls that blosc refuses at the header of the chunk, in batches, and the median of these is subtracted for each
    chunk of a video.
    Skipped if the extension does not export the function; then `BareNumcodecs` is the only floor of the codec.
    """

    name = "bare blosc"

    def missing(self) -> str | None:
        if _decompress() is None:
            return f"{blosc.__file__} does not export {BLOSC_FUNCTION}: bare numcodecs is the floor"
        return None

    def call(self, encoded: memoryview, out: NDArray[Any]) -> Callable[[], object]:
        function = _decompress()
        assert function is not None
        # An array on the buffer, because ctypes gives no address of read-only memory. It keeps the memory, too.
        source = np.frombuffer(encoded, np.uint8)
        call = partial(
            function,
            ctypes.c_void_p(source.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_size_t(out.nbytes),
            ctypes.c_int(1),
        )
        self._kept += [source, out]
        return call

    def open(self) -> None:
        self._kept: list[NDArray[Any]] = []
        super().open()
        out = np.empty(MIN_HEADER_BYTES, np.uint8)
        self._refused = self.call(memoryview(bytes(MIN_HEADER_BYTES)), out)
        decoded = {call() for calls in self._calls.values() for call in calls}
        wanted = {math.prod(shards.chunk_shape) * shards.dtype.itemsize for shards in self.shards.values()}
        if not decoded <= wanted:
            raise RuntimeError(f"{BLOSC_FUNCTION} decoded {decoded - wanted} bytes of chunks of {wanted}")

    def timed(self, names: Sequence[str]) -> Spent:
        chunks = np.array([len(self._calls[name]) for name in names])
        batches = np.zeros(REFUSED_BATCHES)
        for batch in range(REFUSED_BATCHES):
            start = time.perf_counter_ns()
            for _ in range(REFUSED_CALLS):
                self._refused()
            batches[batch] = (time.perf_counter_ns() - start) / REFUSED_CALLS
        return super().timed(names) - np.round(np.median(batches) * chunks).astype(np.int64)

    def close(self) -> None:
        super().close()
        self._kept = []


def _decompress() -> Any:
    """``blosc_decompress_ctx`` of numcodecs' extension, or None if the extension does not export it.

    PyDLL keeps the interpreter lock, which saves some of the cost of a call.
    """
    try:
        function = getattr(ctypes.PyDLL(blosc.__file__), BLOSC_FUNCTION)
    except (AttributeError, OSError):
        return None
    function.restype = ctypes.c_int
    return function


class Piece(NamedTuple):
    """Consecutive bytes of a shard that hold rows of a video, including the checksums between chunks."""

    path: Path
    offset: int
    length: int


class _Bytes(_Floor):
    """The bytes of each video in an uncompressed store."""

    profile = "fast"

    def pieces(self, name: str) -> Iterator[Piece]:
        """One piece per field, more if a video continues in another shard."""
        for run in self.runs[name]:
            shards = self.shards[run.field]
            rows = shards.chunk_shape[0]
            first = run.start // rows
            for shard, numbered in groupby(enumerate(shards.chunks(run), first), lambda item: item[1][0]):
                chunks = list(numbered)
                first, (_, begin, length) = chunks[0]
                row_bytes = (length - CRC_BYTES) // rows
                start, stop = max(run.start, first * rows), min(run.stop, (first + len(chunks)) * rows)
                wanted = (stop - start) * row_bytes + CRC_BYTES * (len(chunks) - 1)
                yield Piece(shards.path(shard), begin + (start - first * rows) * row_bytes, wanted)


class BareRead(_Bytes):
    """One ``preadv`` per piece into a new buffer."""

    name = "bare preadv"

    def open(self) -> None:
        self._files: dict[Path, int] = {}
        self._places: dict[str, list[tuple[int, int, int]]] = {}
        for name in self.runs:
            self._places[name] = [(self._file(path), offset, length) for path, offset, length in self.pieces(name)]

    def _file(self, path: Path) -> int:
        if path not in self._files:
            self._files[path] = os.open(path, os.O_RDONLY)
        return self._files[path]

    def get(self, name: str) -> Annotation:
        for file, offset, length in self._places[name]:
            os.preadv(file, [np.empty(length, np.uint8)], offset)  # type: ignore[list-item,unused-ignore]
        return {}

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}


class BareCopy(_Bytes):
    """memcpy of each piece from a memory map of the shard into a new array: what any reader of arrays does at least."""

    name = "bare memcpy"

    def open(self) -> None:
        maps: dict[Path, NDArray[np.uint8]] = {}
        self._copies: dict[str, list[Callable[[], object]]] = {}
        for name in self.runs:
            copies = self._copies[name] = []
            for path, offset, length in self.pieces(name):
                if path not in maps:
                    # An array of plain type: slicing and copying np.memmap costs microseconds of Python.
                    maps[path] = np.asarray(np.memmap(path, np.uint8, "r")).view(np.ndarray)
                copies.append(maps[path][offset : offset + length].copy)

    def warm(self, names: list[str]) -> None:
        """Touch every page of the maps."""
        for name in names:
            self.get(name)

    def get(self, name: str) -> Annotation:
        for copy in self._copies[name]:
            copy()
        return {}

    def close(self) -> None:
        self._copies = {}
