"""Parts: runs of consecutive videos that are written independently and joined afterwards.

A part is a folder: ``<field number>/c.<shard>.0…`` for the arrays and ``videos.arrow`` for the table. Columns and
fields are numbered inside a part; they get their names when the parts are joined.
"""

from __future__ import annotations

import math
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.format import chunking
from skelstore.format.columns import ARROW_TYPES, ORIGIN_TYPES
from skelstore.format.layouts import FieldIdentity, Shredder
from skelstore.format.metadata import ColumnMetadata
from skelstore.format.schema import (
    ORIGIN_COLUMNS,
    POSITION_COLUMN,
    VIDEOS_KEY,
    Annotation,
    Origin,
    name_hash,
    video_name,
)
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
        """The table of the part's videos; the file is mapped until the table and its columns are dropped.

        Its columns are ``layout``, ``name`` (crc32c), ``column <i>``, ``field <i>.row``, ``field <i>.dim<j>`` and, if
        videos have an origin, ``ORIGIN_COLUMNS``; if they were added with their positions, ``POSITION_COLUMN``.
        """
        with pa.memory_map(os.fsencode(self.folder / VIDEOS_KEY)) as source:
            return pa.ipc.open_file(source).read_all()


class _ArrayLeaf(NamedTuple):
    """A leaf of a layout that is an array: its place among the leaves, its writer, and its axes."""

    at: int
    writer: ArrayWriter
    ragged: int
    trailing: tuple[int, ...]


class _LayoutRows:
    """Rows of the table for the videos of one layout since the last flush.

    ``arrays`` are its leaves that are arrays. A row is a list: the leaves of a video, in which the array's first row
    stands for an array, and then the lengths of the ragged axes of its arrays. ``columns`` are their names and types.
    """

    def __init__(self, arrays: list[_ArrayLeaf], columns: list[tuple[str, pa.DataType]]) -> None:
        self.arrays = arrays
        self.columns = columns
        self.videos = array("q")
        self.rows: list[list[Any]] = []


class PartWriter:
    """Writes the videos of one part; memory holds a buffer per field and the part's table."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.videos = 0
        self._array_bytes = 0
        self._plan = plan
        self._shredder = Shredder()
        self._arrays: list[ArrayWriter] = []
        self._table: dict[str, Column] = {}
        self._pending = 0
        self._rows: dict[int, _LayoutRows] = {}  # by layout
        self._hashes: list[int | None] = []
        self._origins: list[Origin | None] = []
        self._positions: list[int | None] = []
        folder.mkdir()

    @property
    def full(self) -> bool:
        """Whether the next video should start another part."""
        return self._array_bytes >= chunking.PART_BYTES or self.videos >= PART_VIDEOS

    def add(self, annotation: Annotation, origin: Origin | None = None, position: int | None = None) -> None:
        """Append a video; ``position`` is that in the source, if videos are added in another order.

        Raises UnsupportedValueError, and adds nothing, for a value that no store can hold.
        """
        layout, targets, row = self._shredder.shred(annotation)
        rows = self._rows.get(layout) or self._begin_layout(layout, targets)
        for at, writer, ragged, trailing in rows.arrays:
            value = row[at]
            dims = value.shape[:ragged]
            row[at] = writer.append(value if ragged == 1 else value.reshape(math.prod(dims), *trailing))
            row.extend(dims)
            self._array_bytes += value.nbytes
        rows.rows.append(row)
        rows.videos.append(self._pending)
        self._origins.append(origin)
        self._positions.append(position)
        name = video_name(annotation)
        self._hashes.append(None if name is None else name_hash(name))
        self.videos += 1
        self._pending += 1
        if self._pending == _FLUSH_ROWS:
            self._flush()

    def close(self) -> Part:
        """Finish the part: write the pending rows, close the shards, and write the table."""
        self._flush()
        for writer in self._arrays:
            writer.close()
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
            [writer.rows for writer in self._arrays],
            [writer.shards for writer in self._arrays],
        )

    def abort(self) -> None:
        """Close all open files; the folder remains."""
        for writer in self._arrays:
            writer.abort()

    def _begin_layout(self, layout: int, targets: list[int]) -> _LayoutRows:
        """The rows of a layout, whose first video is added; also begins its arrays."""
        fields = self._shredder.fields
        for field in fields[len(self._arrays) :]:
            folder = self.folder / str(len(self._arrays))
            folder.mkdir()
            self._arrays.append(ArrayWriter(folder, self._plan.metadata(field)))
        arrays: list[_ArrayLeaf] = []
        columns: list[tuple[str, pa.DataType]] = []
        dims: list[tuple[str, pa.DataType]] = []
        for at, target in enumerate(targets):
            if target >= 0:
                columns.append((f"column {target}", ARROW_TYPES[self._shredder.columns[target].type]))
                continue
            field = fields[~target]
            arrays.append(_ArrayLeaf(at, self._arrays[~target], field.ragged, field.trailing))
            columns.append((f"field {~target}.row", pa.int64()))
            dims += [(f"field {~target}.dim{axis}", pa.int64()) for axis in range(field.ragged)]
        self._rows[layout] = _LayoutRows(arrays, columns + dims)
        return self._rows[layout]

    def _flush(self) -> None:
        for layout, rows in self._rows.items():
            if rows.rows:
                at = np.array(rows.videos, np.int64)
                self._set("layout", pa.int32(), at, [layout] * len(at))
                for i, (name, kind) in enumerate(rows.columns):
                    self._set(name, kind, at, [row[i] for row in rows.rows])
                rows.videos, rows.rows = array("q"), []
        self._set_known("name", pa.uint32(), self._hashes)
        for i, (name, kind) in enumerate(zip(ORIGIN_COLUMNS, ORIGIN_TYPES, strict=True)):
            self._set_known(name, kind, [None if origin is None else origin[i] for origin in self._origins])
        self._set_known(POSITION_COLUMN, pa.int64(), self._positions)
        self._hashes, self._origins, self._positions = [], [], []
        for column in self._table.values():
            column.flush(self._pending)
        self._pending = 0

    def _set_known(self, name: str, kind: pa.DataType, values: list[Any]) -> None:
        """Set a column of all videos since the last flush, in which None is no value."""
        at = [i for i, value in enumerate(values) if value is not None]
        if at:
            self._set(name, kind, np.array(at, np.int64), [values[i] for i in at])

    def _set(self, name: str, kind: pa.DataType, at: NDArray[np.int64], values: list[Any]) -> None:
        if name not in self._table:
            self._table[name] = Column(kind, self.videos - self._pending)
        self._table[name].set(at, values)
