"""Lower bounds for any reader: the codec alone, and the system call alone, for exactly the bytes of each video.

Both use offsets that are computed in advance, by a parser of the shard format that is independent of skelstore's.
"""

from __future__ import annotations

import json
import os
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import blosc

from converters.bench.array_peers import Run, common_fields, runs
from converters.bench.data import Annotation, DataSet
from converters.bench.peers import Peer
from skelstore.format.codecs import Profile

CRC_BYTES = 4
MISSING = 2**64 - 1


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


class BareCodec(_Floor):
    """blosc alone: decodes each chunk that the video touches, from memory into an existing array."""

    name = "bare codec"

    def open(self) -> None:
        scratch = {field: np.empty(shards.chunk_shape, shards.dtype) for field, shards in self.shards.items()}
        content: dict[Path, memoryview] = {}
        self._chunks: dict[str, list[tuple[memoryview, Any]]] = {}
        for name, places in self.runs.items():
            chunks = self._chunks[name] = []
            for run in places:
                shards = self.shards[run.field]
                for shard, offset, length in shards.chunks(run) if shards.compressed else ():
                    path = shards.path(shard)
                    if path not in content:
                        content[path] = memoryview(path.read_bytes())
                    chunks.append((content[path][offset : offset + length - CRC_BYTES], scratch[run.field]))

    def get(self, name: str) -> Annotation:
        decompress = blosc.decompress
        for encoded, out in self._chunks[name]:
            decompress(encoded, out)
        return {}

    def close(self) -> None:
        self._chunks = {}


class BareRead(_Floor):
    """One ``preadv`` per field, including the checksums between chunks, into a new buffer."""

    name = "bare preadv"
    profile = "fast"

    def open(self) -> None:
        self._files: dict[Path, int] = {}
        self._places: dict[str, list[tuple[int, int, int]]] = {}
        for name, places in self.runs.items():
            reads = self._places[name] = []
            for run in places:
                shards = self.shards[run.field]
                rows = shards.chunk_shape[0]
                first = run.start // rows
                for shard, numbered in groupby(enumerate(shards.chunks(run), first), lambda item: item[1][0]):
                    chunks = list(numbered)
                    first, (_, begin, length) = chunks[0]
                    row_bytes = (length - CRC_BYTES) // rows
                    start, stop = max(run.start, first * rows), min(run.stop, (first + len(chunks)) * rows)
                    path = shards.path(shard)
                    if path not in self._files:
                        self._files[path] = os.open(path, os.O_RDONLY)
                    wanted = (stop - start) * row_bytes + CRC_BYTES * (len(chunks) - 1)
                    reads.append((self._files[path], begin + (start - first * rows) * row_bytes, wanted))

    def get(self, name: str) -> Annotation:
        for file, offset, length in self._places[name]:
            os.preadv(file, [np.empty(length, np.uint8)], offset)  # type: ignore[list-item,unused-ignore]
        return {}

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files = {}
