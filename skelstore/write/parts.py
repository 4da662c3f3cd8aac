"""Parts: runs of consecutive videos that are written independently and joined afterwards.

A part is a folder: ``<field number>/c.<shard>.0…`` for the arrays and ``videos.arrow`` for the table. Columns and
fields are numbered inside a part; they get their names when the parts are joined.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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


class _Rows:
    """Cells of the videos since the last flush that have values in the same columns."""

    def __init__(self, columns: list[tuple[str, pa.DataType]]) -> None:
        self._columns = columns
        self._videos = array("q")
        self._cells: list[Sequence[Any]] = []

    def add(self, video: int, cells: Sequence[Any]) -> None:
        """Add the cells of a video; videos are counted from the last flush."""
        self._videos.append(video)
        self._cells.append(cells)

    def take(self) -> Iterator[tuple[str, pa.DataType, NDArray[np.int64], Sequence[Any]]]:
        """Remove all cells; yield name and type of each column, the videos, and the value of each."""
        at = np.array(self._videos, np.int64)
        # Not zip(*cells), whose arguments and iterators would take more memory than the cells.
        for i, (name, kind) in enumerate(self._columns if self._cells else ()):
            yield name, kind, at, [cells[i] for cells in self._cells]
        self._videos = array("q")
        self._cells = []


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
        self._origins = _Rows(list(zip(ORIGIN_COLUMNS, ORIGIN_TYPES, strict=True)))
        self._names = _Rows([("name", pa.uint32())])
        self._rows: dict[int, _Rows] = {}  # by layout
        folder.mkdir()

    @property
    def full(self) -> bool:
        """Whether the next video should start another part."""
        return self._array_bytes >= chunking.PART_BYTES or self.videos >= PART_VIDEOS

    def add(self, annotation: Annotation, origin: Origin | None = None) -> None:
        """Append a video. Raises UnsupportedValueError, and adds nothing, for a value that no store can hold."""
        layout, targets, leaves = self._shredder.shred(annotation)
        if origin is not None:
            self._origins.add(self._pending, origin)
        name = video_name(annotation)
        if name is not None:
            self._names.add(self._pending, (name_hash(name),))
        rows = self._rows.get(layout) or self._begin_layout(layout, targets)
        cells: list[Any] = [layout]
        for target, leaf in zip(targets, leaves, strict=True):
            if target >= 0:
                cells.append(leaf)
            else:
                self._add_array(~target, leaf, cells)
        rows.add(self._pending, cells)
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

    def _begin_layout(self, layout: int, targets: list[int]) -> _Rows:
        """The rows of a layout, whose first video is added; also begins its arrays."""
        columns: list[tuple[str, pa.DataType]] = [("layout", pa.int32())]
        for target in targets:
            if target >= 0:
                columns.append((f"column {target}", ARROW_TYPES[self._shredder.columns[target].type]))
            else:
                columns.append((f"field {~target}.row", pa.int64()))
                ragged = self._shredder.fields[~target].ragged
                columns += [(f"field {~target}.dim{axis}", pa.int64()) for axis in range(ragged)]
        for field in self._shredder.fields[len(self._arrays) :]:
            folder = self.folder / str(len(self._arrays))
            folder.mkdir()
            self._arrays.append(ArrayWriter(folder, self._plan.metadata(field)))
        self._rows[layout] = _Rows(columns)
        return self._rows[layout]

    def _add_array(self, number: int, value: np.ndarray[Any, Any], cells: list[Any]) -> None:
        """Append a video's array to those of its field, and what the table says about it to ``cells``."""
        field = self._shredder.fields[number]
        dims = value.shape[: field.ragged]
        rows = value if len(dims) == 1 else value.reshape(math.prod(dims), *field.trailing)
        cells.append(self._arrays[number].append(rows))
        cells.extend(dims)
        self._array_bytes += value.nbytes

    def _flush(self) -> None:
        for rows in (self._origins, self._names, *self._rows.values()):
            for name, kind, at, values in rows.take():
                if name not in self._table:
                    self._table[name] = Column(kind, self.videos - self._pending)
                self._table[name].set(at, values)
        for column in self._table.values():
            column.flush(self._pending)
        self._pending = 0
