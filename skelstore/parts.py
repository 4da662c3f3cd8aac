"""Parts: runs of videos that are written independently of each other and joined afterwards.

A part is a folder: ``<field number>/c.<shard>.0…`` for the arrays and ``videos.arrow`` for the table. Columns and
fields are numbered inside a part; they get their names when parts are joined.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from skelstore import layout
from skelstore.arrays import ArrayWriter
from skelstore.codecs import Profile, crc32c
from skelstore.layouts import Annotation, FieldIdentity, Shredder
from skelstore.metadata import VIDEOS_KEY, ArrayMetadata, ColumnMetadata
from skelstore.shards import ShardFile, shard_key
from skelstore.values import Json

SAMPLE_VIDEOS = 256
SAMPLE_BYTES = 32 << 20
"""The chunks are planned on so many of the first videos, or so many bytes of them."""

PART_VIDEOS = 1 << 16
"""Videos of a part, at most: so many rows of the table are gathered before they are written."""

_FLUSH_ROWS = 4096

ARROW_TYPES: dict[str, pa.DataType] = {
    "str": pa.large_utf8(),
    "bytes": pa.large_binary(),
    "json": pa.large_utf8(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "numpy.str": pa.large_utf8(),
    "numpy.bool": pa.bool_(),
    **{f"numpy.{s}int{n}": getattr(pa, f"{s}int{n}")() for s in ("", "u") for n in (8, 16, 32, 64)},
    **{f"numpy.float{n}": getattr(pa, f"float{n}")() for n in (16, 32, 64)},
}
"""Type of a column, as ``attributes.skelstore.columns`` names it -> its Arrow type."""


def numpy_dtype(kind: pa.DataType) -> np.dtype[Any]:
    """The NumPy type of an Arrow type; ``to_pandas_dtype`` of older pyarrow fails where pandas is not installed."""
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return np.dtype(names.get(str(kind), str(kind)))


def video_name(annotation: Annotation) -> str | None:
    """The name under which a video is found: its ``frame_dir``, or where that is no text its ``filename``."""
    for key in ("frame_dir", "filename"):
        name = annotation.get(key)
        if isinstance(name, str):
            return name
    return None


def name_hash(name: str) -> int:
    """crc32c of a name's UTF-8 form (lone surrogates encoded as they are)."""
    return crc32c(name.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Plan:
    """How the arrays of a store are cut into chunks and coded: the same in every part of it."""

    profile: Profile
    grids: dict[FieldIdentity, layout.Grid]
    codings: dict[FieldIdentity, Profile]
    """How each field's chunks are coded: as the profile says, but for the few that are better left as they are."""
    given: dict[FieldIdentity, ArrayMetadata] = dataclasses.field(default_factory=dict)
    """Fields whose shards are files of other stores too, which are never written to."""

    def to_json(self) -> Json:
        """The plan as a receipt states it: parts of two plans cannot be joined."""
        arrays = [
            [field.path, field.dtype, field.ragged, list(field.trailing), *grid, self.codings[field]]
            for field, grid in self.grids.items()
        ]
        return {"profile": self.profile, "arrays": arrays}

    def metadata(self, field: FieldIdentity) -> ArrayMetadata:
        """Metadata of the array of a field, still without rows."""
        if field in self.given:
            return self.given[field]
        grid = self.grids.get(field) or _grid(self.profile, field, layout.RARE_VIDEO_BYTES, None)
        coding = self.codings.get(field, self.profile)
        return ArrayMetadata.plan(np.dtype(field.dtype), field.trailing, grid, coding)


def _row_bytes(field: FieldIdentity) -> int:
    return math.prod(field.trailing) * np.dtype(field.dtype).itemsize


def _grid(profile: Profile, field: FieldIdentity, video_bytes: float, part_rows: float | None) -> layout.Grid:
    """Grid of the array of a field, of which a video has so many bytes on average, and a part so many rows."""
    row_bytes = _row_bytes(field)
    chunk_bytes = layout.chunk_bytes(profile, video_bytes)
    return layout.Grid.of_bytes(
        row_bytes, chunk_bytes, layout.RARE_SHARD_BYTES / row_bytes if part_rows is None else part_rows
    )


class Planner:
    """Looks at the first videos of a data set until ``full``, then plans on what it saw."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._shredder = Shredder()
        self._rows: dict[FieldIdentity, list[int]] = {}
        self._videos = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        return self._videos >= SAMPLE_VIDEOS or self._bytes >= SAMPLE_BYTES

    def add(self, annotation: Annotation) -> None:
        """Look at a video. Raises UnsupportedValueError for a value that no store can hold."""
        shredded = self._shredder.shred(annotation)
        for target, leaf in zip(shredded.targets, shredded.leaves, strict=True):
            if target < 0:
                field = self._shredder.fields[~target]
                self._rows.setdefault(field, []).append(math.prod(leaf.shape[: field.ragged]))
                self._bytes += leaf.nbytes
        self._videos += 1

    def plan(self) -> Plan:
        parts = max(self._bytes, 1) / layout.PART_BYTES
        grids: dict[FieldIdentity, layout.Grid] = {}
        codings: dict[FieldIdentity, Profile] = {}
        for field, rows in self._rows.items():
            video_bytes = float(np.mean(rows)) * _row_bytes(field)
            numbers = not field.trailing and video_bytes < layout.PLAIN_VIDEO_BYTES
            codings[field] = "fast" if numbers and self._profile == "default" else self._profile
            grid = _grid(codings[field], field, video_bytes, sum(rows) / parts)
            grids[field] = self._limited(grid, sum(rows))
        return Plan(self._profile, grids, codings)

    def _limited(self, grid: layout.Grid, rows: int) -> layout.Grid:
        """The grid, with no chunk larger than all there is where the whole data set has been seen."""
        if self.full or not 0 < rows < grid.chunk_rows:
            return grid
        return layout.Grid(rows, rows)


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
        """Where a shard of the array ``number`` is, below the part's folder."""
        return f"{number}/{shard_key(shard, len(self.fields[number].trailing))}"

    def table(self) -> pa.Table:
        """The part's videos: ``layout``, ``name`` (crc32c), ``column <i>``, ``field <i>.row``, ``field <i>.dim<j>``."""
        with pa.memory_map(os.fsencode(self.folder / VIDEOS_KEY)) as source:
            return pa.ipc.open_file(source).read_all()


ORIGIN_COLUMNS = ("skelstore.origin.file", "skelstore.origin.position", "skelstore.origin.keys")
ORIGIN_TYPES = (pa.large_utf8(), pa.int64(), pa.int64())


class Origin(NamedTuple):
    """Where a source has many files: the one that a video is from.

    ``file`` is its name relative to the source, ``position`` the video's place in it, ``keys`` how many of the
    annotation's keys, the last ones, are from it.
    """

    file: str
    position: int
    keys: int


class Column:
    """Values of one column of the table, gathered as Arrow arrays; rows without a value are null."""

    def __init__(self, kind: pa.DataType, rows_before: int) -> None:
        self._kind = kind
        self._chunks: list[pa.Array] = [pa.nulls(rows_before, kind)] if rows_before else []
        self._values: list[Any] = []

    def append(self, row: int, value: Any) -> None:
        """Set the value of a row, counted from the last flush."""
        if row > len(self._values):
            self._values.extend([None] * (row - len(self._values)))
        self._values.append(value)

    def flush(self, rows: int) -> None:
        found = self._values
        found.extend([None] * (rows - len(found)))
        if pa.types.is_large_string(self._kind) or pa.types.is_large_binary(self._kind):
            chunk = pa.array(found, self._kind)
        else:
            # Through NumPy, which keeps the bits of every NaN and of NumPy's own scalars.
            mask = np.fromiter((value is None for value in found), bool, len(found))
            filled = np.array([0 if value is None else value for value in found], numpy_dtype(self._kind))
            chunk = pa.array(filled, self._kind, mask=mask)
        self._chunks.append(chunk)
        self._values = []

    def array(self) -> pa.ChunkedArray:
        return pa.chunked_array(self._chunks, self._kind)


class PartWriter:
    """Writes the videos of one part; memory holds a chunk a field and a few thousand rows of the table."""

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
        """Whether the next video should begin another part."""
        return self._array_bytes >= layout.PART_BYTES or self.videos >= PART_VIDEOS

    def add(self, annotation: Annotation, origin: Origin | None = None) -> None:
        """Append a video. Raises UnsupportedValueError, and keeps nothing of it, for a value no store can hold."""
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
        """Finish the part and bring it to the disk."""
        self._flush()
        for array in self._arrays:
            array.close()
        names = sorted(self._table)
        table = pa.table([self._table[name].array() for name in names], names=names)
        # Arrow takes a path that is text as UTF-8, which the names of folders need not be.
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
        """Let go of all open files; the folder remains."""
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
