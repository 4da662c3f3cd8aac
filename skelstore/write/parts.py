"""Parts: runs of consecutive videos that are written independently and joined afterwards.

A part is a folder: ``<field number>/c.<shard>.0…`` for the arrays and ``videos.arrow`` for the table. Columns and
fields are numbered inside a part; they get their names when the parts are joined.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skelstore.format import chunking
from skelstore.format.columns import ARROW_TYPES, ORIGIN_TYPES
from skelstore.format.layouts import FieldIdentity, Shredder
from skelstore.format.metadata import ColumnMetadata
from skelstore.format.schema import ORIGIN_COLUMNS, VIDEOS_KEY, Annotation, Origin, name_hash, video_name
from skelstore.format.shards import ShardFile, shard_key
from skelstore.format.values import Json
from skelstore.write.arrays import ArrayWriter
from skelstore.write.column import Column
from skelstore.write.planning import Plan

PART_VIDEOS = 1 << 16
"""Maximum number of videos of a part: the table's rows for all of them are collected before they are written."""

_FLUSH_ROWS = 4096


@dataclass(frozen=True)
class Part:
    """A finished part."""

    folder: Path
    videos: int
    columns: list[ColumnMetadata]
    fields: list[FieldIdentity]
    layouts: list[Json]
    rows: list[int]
    shards: list[list[ShardFile]]

    def shard_key(self, number: int, shard: int) -> str:
        """The path of a shard of the array ``number``, relative to the part's folder."""
        return f"{number}/{shard_key(shard, len(self.fields[number].trailing))}"

    def table(self) -> pa.Table:
        """The table of the part's videos.

        Its columns are ``layout``, ``name`` (crc32c), ``column <i>``, ``field <i>.row``, ``field <i>.dim<j>`` and, if
        videos have an origin, ``ORIGIN_COLUMNS``.
        """
        with pa.memory_map(os.fsencode(self.folder / VIDEOS_KEY)) as source:
            return pa.ipc.open_file(source).read_all()


class PartWriter:
    """Writes the videos of one part; memory holds one chunk per field and the part's table."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.videos = 0
        self._array_bytes = 0
        self._plan = plan
        self._shredder = Shredder()
        self._arrays: list[ArrayWriter] = []
        self._table: dict[str, Column] = {}
        self._pending = 0
        folder.mkdir()

    @property
    def full(self) -> bool:
        """Whether the next video should start another part."""
        return self._array_bytes >= chunking.PART_BYTES or self.videos >= PART_VIDEOS

    def add(self, annotation: Annotation, origin: Origin | None = None) -> None:
        """Append a video. Raises UnsupportedValueError, and adds nothing, for a value that no store can hold."""
        shredded = self._shredder.shred(annotation)
        if origin is not None:
            for what, kind, value in zip(ORIGIN_COLUMNS, ORIGIN_TYPES, origin, strict=True):
                self._set(what, kind, value)
        self._set("layout", pa.int32(), shredded.layout)
        name = video_name(annotation)
        if name is not None:
            self._set("name", pa.uint32(), name_hash(name))
        columns = self._shredder.columns
        for target, leaf in zip(shredded.targets, shredded.leaves, strict=True):
            if target >= 0:
                self._set(f"column {target}", ARROW_TYPES[columns[target].type], leaf)
            else:
                self._add_array(~target, leaf)
        self.videos += 1
        self._pending += 1
        if self._pending == _FLUSH_ROWS:
            self._flush()

    def close(self) -> Part:
        """Finish the part: write the pending rows, close the shards, and write the table."""
        self._flush()
        for array in self._arrays:
            array.close()
        names = sorted(self._table)
        table = pa.table([self._table[name].array() for name in names], names=names)
        # Arrow encodes a str path as UTF-8, but the names of folders may have other bytes.
        path = os.fsencode(self.folder / VIDEOS_KEY)
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, table.schema) as sink:
            sink.write_table(table)
        return Part(
            self.folder,
            self.videos,
            self._shredder.columns,
            self._shredder.fields,
            self._shredder.layouts,
            [array.rows for array in self._arrays],
            [array.shards for array in self._arrays],
        )

    def abort(self) -> None:
        """Close all open files; the folder remains."""
        for array in self._arrays:
            array.abort()

    def _set(self, name: str, kind: pa.DataType, value: Any) -> None:
        column = self._table.get(name)
        if column is None:
            column = self._table[name] = Column(kind, self.videos - self._pending)
        column.append(self._pending, value)

    def _add_array(self, number: int, array: np.ndarray[Any, Any]) -> None:
        field = self._shredder.fields[number]
        while number >= len(self._arrays):
            folder = self.folder / str(len(self._arrays))
            folder.mkdir()
            metadata = self._plan.metadata(self._shredder.fields[len(self._arrays)])
            self._arrays.append(ArrayWriter(folder, metadata))
        self._array_bytes += array.nbytes
        dims = array.shape[: field.ragged]
        rows = array.reshape(math.prod(dims), *field.trailing)
        self._set(f"field {number}.row", pa.int64(), self._arrays[number].append(rows))
        for axis, n in enumerate(dims):
            self._set(f"field {number}.dim{axis}", pa.int64(), n)

    def _flush(self) -> None:
        for column in self._table.values():
            column.flush(self._pending)
        self._pending = 0
