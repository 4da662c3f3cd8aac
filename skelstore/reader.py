"""The content of one store, by position in the table: metadata, columns, arrays, names.

``Store`` and its views share one ``Reader``. It opens what is needed when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skelstore import values
from skelstore.arrays import ArrayReader, Check
from skelstore.codecs import crc32c
from skelstore.errors import DamageError, StoreError, StoreNotFoundError
from skelstore.files import LocalFiles
from skelstore.joining import LAYOUT_COLUMN
from skelstore.layouts import Annotation, Assembler
from skelstore.metadata import (
    MANIFEST_KEY,
    MAX_JSON_BYTES,
    NAMES_KEY,
    ROOT_KEY,
    SPLITS_KEY,
    VIDEOS_KEY,
    ArrayMetadata,
    FieldMetadata,
    Manifest,
    StoreMetadata,
    from_bytes,
)
from skelstore.parts import name_hash, video_name
from skelstore.table import column_reader, numeric_column, read_table
from skelstore.workspace import SUFFIX


class Reader:
    """Reads one store. Raises StoreNotFoundError, StoreError or DamageError on construction, as ``open`` says."""

    def __init__(self, path: Path, check: Check) -> None:
        self.path = path
        self.check = check
        self.files = LocalFiles(path)
        self.metadata = StoreMetadata.from_bytes(self._read_root(), str(path / ROOT_KEY))
        data = self._read_json(MANIFEST_KEY)
        expected = self.metadata.manifest
        if len(data) != expected.size or crc32c(data) != expected.crc32c:
            place = path / MANIFEST_KEY
            raise DamageError(f"{place} is damaged or of another version, so fetch or convert the store again")
        self.manifest = Manifest.from_bytes(data, str(path / MANIFEST_KEY))
        self.table: pa.Table = read_table(self.files, VIDEOS_KEY, self.manifest.files.get(VIDEOS_KEY))
        if len(self.table) != self.metadata.videos:
            raise StoreError(
                f"{path / VIDEOS_KEY} has {len(self.table)} videos; {ROOT_KEY} says {self.metadata.videos}"
            )
        self._layouts = numeric_column(self.table, LAYOUT_COLUMN, pa.int32())
        if len(self._layouts) and not 0 <= self._layouts.min() <= self._layouts.max() < len(self.metadata.layouts):
            raise StoreError(f"{path / VIDEOS_KEY} names layouts that {ROOT_KEY} does not have")
        self.arrays = {name: self._open_array(name) for name in self.metadata.fields}
        self._columns = {name: column_reader(self.table, name, c.type) for name, c in self.metadata.columns.items()}
        self._assembler = Assembler(
            self.metadata.layouts,
            self._columns,
            {name: self._field_reader(name, field) for name, field in self.metadata.fields.items()},
        )
        self._layout = self._layouts.item

    def annotation(self, row: int) -> Annotation:
        """The annotation of the video at a position of the table."""
        return self._assembler.annotation(self._layout(row), row)

    def entries(self, row: int) -> dict[Any, Callable[[int], Any]]:
        """The keys of a video's annotation, in order, each with a function from the position to the value."""
        return self._assembler.entries(self._layout(row), row)

    def rows_named(self, name: str) -> list[int]:
        """Positions of the videos of that name, ascending."""
        starts, videos = self._names
        if not len(videos):
            return []
        bucket = name_hash(name) % len(videos)
        end = starts.item(bucket + 1) if bucket + 1 < len(starts) else len(videos)
        found = [videos.item(i) for i in range(starts.item(bucket), end)]
        return [row for row in found if self.name(row) == name]

    def name(self, row: int) -> str | None:
        """The name of a video: its ``frame_dir``, or else ``filename``, if that is a text."""
        entries = self.entries(row)
        return video_name({key: entries[key](row) for key in ("frame_dir", "filename") if key in entries})

    @cached_property
    def splits(self) -> dict[Any, Any]:
        """Name of each split -> its ids, with the types that the source had."""
        table = read_table(self.files, SPLITS_KEY, self.manifest.files.get(SPLITS_KEY))
        splits: dict[Any, Any] = {}
        try:
            for name, ids, exact in zip(*(table[c].to_pylist() for c in ("name", "ids", "value")), strict=True):
                key, value = (name, ids) if exact is None else map(values.decode, values.loads(exact))
                splits[key] = value
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(f"{self.path / SPLITS_KEY} is not as the format says ({error})") from error
        return splits

    @cached_property
    def _names(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        table = read_table(self.files, NAMES_KEY, self.manifest.files.get(NAMES_KEY))
        starts = numeric_column(table, "bucket", pa.int64())
        videos = numeric_column(table, "video", pa.int64())
        if len(videos) and not (0 <= videos.min() <= videos.max() < self.metadata.videos and starts.min() >= 0):
            raise StoreError(f"{self.path / NAMES_KEY} names videos that the store does not have")
        return starts, videos

    def _read_root(self) -> bytes:
        try:
            return self.files.read_all(ROOT_KEY, MAX_JSON_BYTES)
        except StoreNotFoundError:
            partial = self.path.with_name(self.path.name + SUFFIX)
            if partial.is_dir():
                raise StoreNotFoundError(
                    f"{self.path} is not there, but a conversion to it was begun in {partial}: run it again"
                ) from None
            if self.path.is_dir():
                raise StoreNotFoundError(
                    f"{self.path} has no {ROOT_KEY}, so it is no store, or one that was never completed: convert the "
                    "source again"
                ) from None
            raise StoreNotFoundError(f"{self.path} is not there; expected the folder of a store") from None

    def _read_json(self, key: str) -> bytes:
        try:
            return self.files.read_all(key, MAX_JSON_BYTES)
        except StoreNotFoundError as error:
            raise DamageError(f"{error}: the store is damaged, so fetch or convert it again") from None

    def _open_array(self, name: str) -> ArrayReader:
        key = f"{name}/{ROOT_KEY}"
        place = str(self.path / key)
        entry = self.manifest.files.get(key)
        data = self._read_json(key)
        if entry is None or len(data) != entry.size or crc32c(data) != entry.crc32c:
            raise DamageError(f"{place} is damaged or of another version, so fetch or convert the store again")
        metadata = ArrayMetadata.from_json(from_bytes(data, place), place)
        return ArrayReader(self.files, name, metadata, self.manifest.shards, self.check)

    def _field_reader(self, name: str, field: FieldMetadata) -> Callable[[int], np.ndarray[Any, Any]]:
        """A function from a video's position to its array."""
        first = numeric_column(self.table, f"{name}.row", pa.int64()).item
        dims = [numeric_column(self.table, f"{name}.dim{axis}", pa.int64()).item for axis in range(field.ragged)]
        array = self.arrays[name]
        trailing = array.metadata.trailing
        dtype = array.metadata.dtype
        read_into = array.read_into
        if len(dims) == 2:
            outer, inner = dims

            def read_two(row: int) -> np.ndarray[Any, Any]:
                shape = outer(row), inner(row)
                out = np.empty((shape[0] * shape[1], *trailing), dtype)
                read_into(first(row), out)
                return out.reshape(*shape, *trailing)

            return read_two
        if len(dims) == 1:
            (length,) = dims

            def read_one(row: int) -> np.ndarray[Any, Any]:
                out = np.empty((length(row), *trailing), dtype)
                read_into(first(row), out)
                return out

            return read_one

        def read_any(row: int) -> np.ndarray[Any, Any]:
            shape = [dim(row) for dim in dims]
            out = np.empty((int(np.prod(shape, dtype=np.int64)), *trailing), dtype)
            read_into(first(row), out)
            return out.reshape(*shape, *trailing)

        return read_any
