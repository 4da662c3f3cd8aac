"""The content of one store, by position in the table: metadata, columns, arrays, names.

``Store`` and its views share one ``Reader``. It opens each file when it is first needed.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.errors import (
    DamageError,
    FieldNotFoundError,
    FrameIndexError,
    RemoteError,
    SkelstoreError,
    StoreError,
    StoreNotFoundError,
)
from skelstore.format import schema, values
from skelstore.format.checksums import FileEntry, crc32c
from skelstore.format.files import absolute
from skelstore.format.layouts import Assembler
from skelstore.format.metadata import MAX_JSON_BYTES, ArrayMetadata, FieldMetadata, Manifest, StoreMetadata, from_bytes
from skelstore.format.schema import (
    LAYOUT_COLUMN,
    MANIFEST_KEY,
    NAMES_KEY,
    PARTIAL_SUFFIX,
    REPLACING,
    ROOT_KEY,
    SPLITS_KEY,
    VIDEOS_KEY,
    Annotation,
    video_name,
)
from skelstore.format.store_files import read_file
from skelstore.joints import KnownJoints, keypoint_shapes, known_joints
from skelstore.read import compiled, frames
from skelstore.read.arrays import ArrayReader, Check
from skelstore.read.compiled import Parts
from skelstore.read.frames import FrameNumbers, Frames
from skelstore.read.gathering import Gatherer
from skelstore.read.location import Cache, Location, open_files
from skelstore.read.names import NameIndex
from skelstore.read.partial_table import PartialTable, RowGroups
from skelstore.read.table import (
    COPIED_BYTES,
    SPLITS_TYPES,
    WHOLE_BYTES,
    WHOLE_NAMES_BYTES,
    check_types,
    check_values,
    column_reader,
    numeric_column,
    read_table,
)
from skelstore.wording import counted

if TYPE_CHECKING:
    from skelstore.read.core import Core

_LARGE = 1 << 30
"""A video of more than this number of bytes may not fit in memory."""

E = TypeVar("E", bound=SkelstoreError)

_FIRST_RUN_BYTES, _RUN_BYTES = 128 << 10, 8 << 20
"""About how much is fetched at once of a remote store that is read in order: at first, and later on."""

_RUN_VIDEOS = 1024
"""Maximum number of videos that are fetched at once of a remote store that is read in order."""

_OPENINGS = 20
"""Maximum number of attempts to open a store that is being replaced."""

_PAUSE = 0.01
"""Seconds to wait for a store that is briefly missing from its path while it is being replaced."""

_MANY_AXES = 32
"""Number of axes that an array can have in every version of NumPy; NumPy 2 allows 64."""


def _within_memory(read: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Make a function raise StoreError instead of MemoryError: a damaged table may request any amount of memory."""

    def within(*arguments: Any) -> Any:
        try:
            return read(*arguments)
        except MemoryError as error:
            raise StoreError(f"{what} does not fit in memory ({error})") from error

    return within


def _placed(error: E, path: object, place: object) -> E:
    """The error; if its message names no file of the store, with the place in front of it."""
    return error if str(path) in str(error.args[0]) else type(error)(f"{place}: {error}")


def _placed_at_video(error: E, path: Location, row: int) -> E:
    return _placed(error, path, f"{path / VIDEOS_KEY}: video {row}")


class Reader:
    """Reads one store; shards, splits and the index of names are opened when they are needed.

    Raises StoreNotFoundError, StoreError or DamageError on construction, as ``open`` does. If the store is replaced
    meanwhile, so that some files belong to the old store and some to the new one, it is opened again.

    ``in_parts``: large tables at a URL are fetched in parts when they are needed, not as a whole when they are opened.
    Then ``table`` is a ``PartialTable``, which has the methods of a pyarrow.Table that are used for it.
    """

    def __init__(
        self, path: Location, check: Check, mmap: bool = True, cache: Cache = "auto", *, in_parts: bool = True
    ) -> None:
        self._in_parts = in_parts
        self.path = absolute(path) if isinstance(path, Path) else path
        self.check = check
        self.mmap = mmap
        self.cache = cache
        for attempt in range(1, _OPENINGS + 1):
            self.files = open_files(self.path, cache)
            try:
                return self._open()
            except StoreNotFoundError:
                if attempt == _OPENINGS or not _is_being_replaced(self.path):
                    raise
                time.sleep(_PAUSE)
            except StoreError as error:
                if attempt == _OPENINGS or not self.files.was_replaced():
                    raise _placed(error, self.path, self.path / ROOT_KEY) from error

    @property
    def identity(self) -> bytes:
        """Distinguishes this store from all others that have been at its path, or will be."""
        return self.files.identity

    def refuse_replaced(self) -> None:
        """Raise StoreReplacedError if this store has been replaced or removed since it was opened."""
        self.files.refuse_replaced()

    def _open(self) -> None:
        path = self.path
        root = self._read_root()
        self.metadata = StoreMetadata.from_bytes(root, str(path / ROOT_KEY))
        self.files.remember(ROOT_KEY, root)
        data = self._read_json(MANIFEST_KEY, self.metadata.manifest)
        self.files.remember(MANIFEST_KEY, data)
        self.manifest = Manifest.from_bytes(data, str(path / MANIFEST_KEY))
        self._fetch_tables()
        parts = self.files.open_parts(VIDEOS_KEY, self.mmap)
        if parts is None:
            self.table: Any = read_table(self.files, VIDEOS_KEY, self.manifest.files.get(VIDEOS_KEY), self.mmap)
        else:
            self.table = PartialTable(parts, str(path / VIDEOS_KEY))
        self._partial = parts is not None
        self._raw: pa.Table = self.table.raw if self._partial else self.table
        if len(self.table) != self.metadata.videos:
            raise StoreError(
                f"{path / VIDEOS_KEY} has {counted(len(self.table), 'video')}; {ROOT_KEY} says {self.metadata.videos:,}"
            )
        self._layouts = numeric_column(self._raw, LAYOUT_COLUMN, pa.int32())
        self.arrays = {name: self._open_array(name) for name in self.metadata.fields}
        self._columns = {
            name: column_reader(self._raw, name, c.type, partial=self._partial)
            for name, c in self.metadata.columns.items()
        }
        self._places: dict[str, tuple[NDArray[Any], list[NDArray[Any]]]] = {}
        for name, field in self.metadata.fields.items():
            first = numeric_column(self._raw, f"{name}.row", pa.int64())
            dims = [numeric_column(self._raw, f"{name}.dim{axis}", pa.int64()) for axis in range(field.ragged)]
            self._places[name] = first, dims
        metadata = {name: array.metadata for name, array in self.arrays.items()}
        check = partial(check_values, self._layouts, len(self.metadata.layouts), self._places, metadata, path)
        self._groups = self._group_rows(check) if self._partial else None
        self._longest = check(0, self.metadata.videos) if self._groups is None else {}
        self._fields = {name: self._field_reader(name, field) for name, field in self.metadata.fields.items()}
        self._assembler = Assembler(self.metadata.layouts, self._columns, self._fields)
        self._layout = self._layouts.item if self._groups is None else self._groups.reader(self._layouts)
        assembler = self._assembler
        self.gatherer = Gatherer(
            *(self.files, self.arrays, self._places, self._layout, lambda layout: assembler.fields(layout).values()),
            partial(_count_rows, self.arrays, self.table, self._places),
            provide=None if self._groups is None else self._groups.provide,
        )
        self._frame_numbers: dict[str, FrameNumbers] = {}
        self._names = NameIndex(
            *(self.files, self.manifest.files.get(NAMES_KEY), self._raw, self.metadata, self.mmap), self._groups
        )

    @cached_property
    def annotation(self) -> Callable[[int], Annotation]:
        """A function from a position of the table to the annotation of the video."""
        return self._read_by_python if self.core is None else self.core.annotation

    @cached_property
    def core(self) -> Core | None:
        """The compiled reader, or None.

        It does not refer to this object, so that files are closed with the last reference to it.
        """
        if not compiled.COMPILED:
            return None
        parts = Parts(
            *(self.metadata, self._raw, self.arrays, self._places, self._columns, self._fields), partial=self._partial
        )
        # From disk, one read of a video takes half the time of the faults of its pages.
        in_memory = sum(shard.size for shard in self.manifest.shards.values()) <= compiled.memory_bytes()
        mmap = self.mmap and in_memory
        fetch = self.gatherer.fetch if self.is_remote else None
        ready = None if self._groups is None else (self._groups.ready, self._groups.group_rows)
        return compiled.compile_layouts(
            parts, self._layouts, mmap, self._read_by_python, self._names.columns, fetch, ready
        )

    @cached_property
    def _read_by_python(self) -> Callable[[int], Annotation]:
        """What ``annotation`` is without the compiled reader."""
        assembler, layout, path = self._assembler, self._layout, self.path
        fetch = self.gatherer.fetch if self.is_remote else None

        def read(row: int) -> Annotation:
            try:
                if fetch is not None:
                    fetch([row])
                return assembler.annotation(layout(row), row)
            except StoreError as error:
                raise _placed_at_video(error, path, row) from error

        return read

    @property
    def folder(self) -> Path:
        """The folder of a local store. Raises StoreError if the store is at a URL."""
        if isinstance(self.path, Path):
            return self.path
        raise StoreError(f"{self.path} is a URL; expected the folder of a local store: download the store first")

    @property
    def is_remote(self) -> bool:
        """Whether the store is at a URL, so that what is read has to be fetched first."""
        return not isinstance(self.path, Path)

    def provide(self, rows: Iterable[int]) -> None:
        """Fetch at once what is missing of some rows of the table, so that a loop over them waits for nothing."""
        if self._groups is not None:
            self._groups.provide(rows)

    def has_column(self, name: str) -> bool:
        """Whether a column of the table is here, so that it can be looked at for no more than a suggestion."""
        return self._groups is None or self.table.has(name)

    def fetch(self, rows: Iterable[int]) -> None:
        """Fetch at once what a remote store lacks of some videos; see ``Gatherer.fetch``. A local one lacks nothing."""
        if self.is_remote:
            self.gatherer.fetch(rows)

    def fetch_fields(self, row: int, keys: Iterable[Any]) -> None:
        """Fetch at once what a remote store lacks of the arrays at some keys of a video."""
        if self.is_remote:
            names = self._assembler.fields(self._layout(row))
            self.gatherer.fetch_fields(row, [names[key] for key in keys if key in names])

    def fetched(self, rows: Iterable[int]) -> Iterator[int]:
        """The rows, of which runs are fetched at once before they are yielded: short ones first, then longer ones.

        An error of a later video is left to whoever reads that video.
        """
        rows = iter(rows)
        coming: list[int] = []
        most = _FIRST_RUN_BYTES
        while coming := coming + list(islice(rows, max(_RUN_VIDEOS - len(coming), 0))):
            count = max(int(np.cumsum(self.gatherer.sizes(coming)).searchsorted(most, "right")), 1)
            with contextlib.suppress(StoreError, RemoteError):
                self.gatherer.fetch(coming[:count])
            yield from coming[:count]
            coming = coming[count:]
            most = min(2 * most, _RUN_BYTES)

    def close(self) -> None:
        """Close open files and maps; the next read opens them again."""
        self.files.close()
        if vars(self).get("core"):  # it is not made to be closed
            vars(self)["core"].close()

    def placed(self, error: E, row: int) -> E:
        """An error from reading a video; if its message names no file of the store, with the place in front of it."""
        return _placed_at_video(error, self.path, row)

    def entries(self, row: int) -> dict[Any, Callable[[int], Any]]:
        """The keys of a video's annotation, in order, each with a function from the position to the value."""
        try:
            return self._assembler.entries(self._layout(row), row)
        except StoreError as error:
            raise self.placed(error, row) from error

    def some_frames(self, row: int, keys: Iterable[Any], wanted: Frames) -> Annotation:
        """Like ``_some_frames``, but raise StoreError if the frames do not fit in memory."""
        try:
            return self._some_frames(row, keys, wanted)
        except (FrameIndexError, StoreError) as error:
            raise self.placed(error, row) from error
        except MemoryError as error:
            raise StoreError(f"{self.path}: the requested frames of video {row} do not fit in memory") from error

    def _some_frames(self, row: int, keys: Iterable[Any], wanted: Frames) -> Annotation:
        """The values of some keys of a video; arrays with one entry per frame are reduced to some frames.

        In a dense video ([M, T, …]), these are the arrays whose second axis is as long as that of ``keypoint``; in a
        compressed video ([N, …] with ``frame_inds``), the arrays that are as long as ``frame_inds``. Other values are
        returned whole. An array whose rows in the store are not frames is read whole and reduced afterwards.

        Raises FrameIndexError if a frame does not exist, FieldNotFoundError if the video has neither form.
        """
        entries = self.entries(row)
        names = self._assembler.fields(self._layout(row))
        dims = {key: [int(dim[row]) for dim in self._places[name][1]] for key, name in names.items()}
        starts = {key: int(self._places[name][0][row]) for key, name in names.items()}
        # If keypoint has many shapes in a store, the last of them have ragged axes only: [M, T, V, C] and [N, V, 3].
        ragged = len(dims.get("keypoint", []))
        if ragged in (2, 4):
            axis, total = 1, dims["keypoint"][1]
            per_frame = {key: dim for key, dim in dims.items() if len(dim) == 2 and dim[1] == total}
            chosen = frames.positions(wanted, total)
        elif ragged in (1, 3) and len(dims.get("frame_inds", [])) == 1:
            axis, total = 0, dims["frame_inds"][0]
            per_frame = {key: [1, *dim] for key, dim in dims.items() if dim == [total]}
            numbers = self._frame_numbers.setdefault(
                names["frame_inds"], FrameNumbers(self.arrays[names["frame_inds"]])
            )
            self.fetch_fields(row, ["frame_inds"])
            chosen = numbers.rows(wanted, starts["frame_inds"], total)
        else:
            raise FieldNotFoundError(
                f"{self.path}: the video at position {row} has neither keypoint [M, T, V, C] nor keypoint [N, V, C] "
                "with frame_inds, so its frames cannot be selected"
            )
        keys = list(keys)
        if self.is_remote:
            runs = [(names[key], starts[key], math.prod(dims[key])) for key in keys if key in names.keys() - per_frame]
            for key in per_frame.keys() & keys:
                persons, length = per_frame[key]
                planned = frames.plan_runs(self.arrays[names[key]], starts[key], persons, length, chosen)
                runs += [(names[key], *run) for run in planned]
            self.gatherer.fetch_runs(runs)
        annotation: Annotation = {}
        for key in keys:
            if key not in per_frame:
                value = entries[key](row)
                whole = not isinstance(value, np.ndarray) or value.ndim <= axis or value.shape[axis] != total
                annotation[key] = value if whole else value.take(chosen, axis)
                continue
            persons, length = per_frame[key]
            rows = frames.read_rows(self.arrays[names[key]], starts[key], persons, length, chosen)
            shape = (persons, len(chosen)) if len(dims[key]) == 2 else (len(chosen),)
            annotation[key] = rows.reshape(*shape, *rows.shape[1:])
        return annotation

    def rows_of(self, row: int, key: Any) -> int | None:
        """N of a video's array [N, …]; None if the video has no such array with one ragged axis."""
        dims = self._places.get(self._assembler.fields(self._layout(row)).get(key, ""), (None, []))[1]
        return int(dims[0][row]) if len(dims) == 1 else None

    def some_rows(self, row: int, key: Any, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Rows of a video's array [N, …] at some positions, in that order; only the chunks that hold them are read.

        None if the video has no such array with one ragged axis, or if a position is out of range.
        """
        count = self.rows_of(row, key)
        if count is None or (len(rows) and not 0 <= rows.min() <= rows.max() < count):
            return None
        name = self._assembler.fields(self._layout(row))[key]
        array, first = self.arrays[name], int(self._places[name][0][row])
        if self.is_remote:
            self.gatherer.fetch_runs((name, *run) for run in frames.plan_runs(array, first, 1, count, rows))
        return frames.read_rows(array, first, 1, count, rows)

    def numbers(self, *path: Any) -> np.ndarray[Any, Any]:
        """The number at a path of keys in each annotation, float64 [videos]; NaN if there is no number."""
        numbers = np.full(self.metadata.videos, np.nan)
        for name, column in self.metadata.columns.items():
            if column.path != path:
                continue
            arrow = self.table[name]
            if pa.types.is_integer(arrow.type) or pa.types.is_floating(arrow.type):
                there = arrow.is_valid().to_numpy()
                numbers[there] = arrow.drop_null().to_numpy()
        return numbers

    def shard_numbers(self) -> np.ndarray[Any, Any]:
        """For each video, the number of the shard file of the store's largest array in which its rows start.

        The numbers continue through the variants of that array (with another dtype, for example). A video that is in
        none of them has 0.
        """
        numbers = np.zeros(self.metadata.videos, np.int64)
        sizes = {name: array.metadata.rows * array.metadata.row_bytes for name, array in self.arrays.items()}
        fields = self.metadata.fields
        largest = fields[max(sizes, key=sizes.__getitem__)].path if sizes else ()
        before = 0
        for name in (name for name, field in fields.items() if field.path == largest):
            array = self.arrays[name].metadata
            first = self.table[f"{name}.row"]
            numbers[np.asarray(first.is_valid())] = before + first.drop_null().to_numpy() // array.shard_rows
            before += array.shards
        return numbers

    def find(self, name: str) -> int | None:
        """Position of the only video with this name, if one look-up finds it; None does not mean that there is none."""
        if self.core is not None:
            return self.core.find(name)
        rows = self.rows_named(name)
        return rows[0] if len(rows) == 1 else None

    def rows_named(self, name: str) -> list[int]:
        """Positions of the videos with this name, ascending."""
        return self._names.rows(name, self.name)

    def name(self, row: int) -> str | None:
        """The name of a video: its ``frame_dir``, or its ``filename`` if that is not a str; None without either."""
        entries = self.entries(row)
        return video_name({key: entries[key](row) for key in ("frame_dir", "filename") if key in entries})

    @property
    def joints(self) -> KnownJoints:
        """The joint layout: as it was stated, or else guessed from the shape of ``keypoint``."""
        fields = self.metadata.fields.items()
        keypoints = [(f.ragged, self.arrays[name].metadata.trailing) for name, f in fields if f.path == ("keypoint",)]
        return known_joints(self.metadata.source.get("joints"), keypoint_shapes(keypoints))

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes, by label, or None if the store has none."""
        names = self.metadata.source.get("class_names")
        if not isinstance(names, list):
            return None
        known = [name for name in names if isinstance(name, str)]
        return known if len(known) == len(names) else None

    @cached_property
    def splits(self) -> dict[Any, Any]:
        """The ids of each split, by its name, with the types that they had in the source."""
        return {n: ids.to_pylist() if isinstance(ids, pa.Array) else ids for n, ids in self.split_ids.items()}

    @cached_property
    def split_ids(self) -> dict[Any, Any]:
        """Like ``splits``, but a list of str is an Arrow array large_utf8 [n], which is not copied from the file."""
        table = read_table(self.files, SPLITS_KEY, self.manifest.files.get(SPLITS_KEY), self.mmap)
        check_types(table, str(self.path / SPLITS_KEY), SPLITS_TYPES)
        splits: dict[Any, Any] = {}
        try:
            names, exacts = (table[column].to_pylist() for column in ("name", "value"))
            for name, exact, listed in zip(names, exacts, table["ids"], strict=True):
                ids = listed.values
                key, value = (name, ids) if exact is None else map(values.decode, values.loads(exact))
                if exact is None and (name is None or ids is None or ids.null_count):
                    raise StoreError(f"{self.path / SPLITS_KEY} has an empty cell, which the format does not allow")
                splits[key] = value
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(f"{self.path / SPLITS_KEY} does not follow the format ({error})") from error
        return splits

    def _read_root(self) -> bytes:
        try:
            return self.files.read_all(ROOT_KEY, MAX_JSON_BYTES)
        except StoreNotFoundError as error:
            if not isinstance(self.path, Path):
                raise StoreNotFoundError(
                    f"{error}; expected the {ROOT_KEY} of a store: check the URL, or publish the store first"
                ) from None
            partial = os.path.realpath(self.path) + PARTIAL_SUFFIX
            if os.path.isdir(partial):
                raise StoreNotFoundError(
                    f"{self.path} does not exist, but a conversion to it was started in {partial}: run it again"
                ) from None
            if self.path.is_dir():
                raise StoreNotFoundError(
                    f"{self.path} has no {ROOT_KEY}, so it is not a store, or was never completed: convert the "
                    "source again"
                ) from None
            if self.path.exists():
                raise StoreNotFoundError(
                    f"{self.path} is a file, not the folder of a store: convert it, if it is a source"
                ) from None
            raise StoreNotFoundError(f"{self.path} does not exist; expected the folder of a store") from None

    def _fetch_tables(self) -> None:
        """Let a remote store fetch at once what is needed to open it, and to find videos by name if that is small."""
        listed = self.manifest.files
        keys = [VIDEOS_KEY, *(f"{name}/{ROOT_KEY}" for name in self.metadata.fields)]
        keys += [key for key in (NAMES_KEY, SPLITS_KEY) if key in listed and listed[key].size <= COPIED_BYTES]
        parts = {}
        for key, most in ((VIDEOS_KEY, WHOLE_BYTES), (NAMES_KEY, WHOLE_NAMES_BYTES)) if self._in_parts else ():
            if key in listed and listed[key].blocks is not None and listed[key].size > most:
                parts[key] = listed[key]
        copies = {key: (listed[key].size, listed[key].crc32c) for key in keys if key in listed and key not in parts}
        self.files.fetch_copies(copies, parts)

    def _read_json(self, key: str, expected: FileEntry | None) -> bytes:
        path = self.path / key
        if expected is None:
            raise StoreError(f"{path} is not in the manifest, so fetch or convert the store again")
        try:
            copy = self.files.copy(key, expected.size, expected.crc32c)
            status = copy.stat()
            if status.st_size == expected.size or not stat.S_ISREG(status.st_mode):
                data = read_file(copy, path, MAX_JSON_BYTES)
                if len(data) == expected.size and crc32c(data) == expected.crc32c:
                    return data
            if self.files.drop_copy(key):
                return self._read_json(key, expected)
        except RemoteError:
            raise
        except (FileNotFoundError, NotADirectoryError):
            raise DamageError(f"{path} is missing: the store is damaged, so fetch or convert it again") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        raise DamageError(
            f"{path} is damaged or from another version of the store, so fetch or convert the store again"
        )

    def _open_array(self, name: str) -> ArrayReader:
        key = f"{name}/{ROOT_KEY}"
        place = str(self.path / key)
        data = self._read_json(key, self.manifest.files.get(key))
        metadata = ArrayMetadata.from_json(from_bytes(data, place), place)
        try:
            return ArrayReader(self.files, name, metadata, self.manifest.shards, self.check)
        except StoreError as error:
            raise _placed(error, self.path, place) from error

    def _group_rows(self, check: Callable[[int, int], Any]) -> RowGroups:
        """The rows of a table that is fetched in parts."""
        names = [*self.metadata.columns, LAYOUT_COLUMN]
        for name, field in self.metadata.fields.items():
            names += [f"{name}.row", *(f"{name}.dim{axis}" for axis in range(field.ragged))]
        return RowGroups(self.table, names, check, str(self.path / VIDEOS_KEY))

    def _field_reader(self, name: str, field: FieldMetadata) -> Callable[[int], np.ndarray[Any, Any]]:
        """A function from a video's position to its array."""
        first, dims = self._places[name]
        array = self.arrays[name]
        read = array.read
        if field.ragged + len(array.metadata.trailing) > _MANY_AXES:
            try:
                read(0, *[0] * field.ragged)
            except ValueError as error:
                raise StoreError(f"{self.path / name / ROOT_KEY}: {error}") from error
        if self._longest.get(name, _LARGE + 1) > _LARGE:
            read = _within_memory(read, f"{self.path / VIDEOS_KEY}: a video of many rows of {name}")
        row_of = first.item
        if len(dims) == 1:
            length = dims[0].item
            return lambda row: read(row_of(row), length(row))
        if len(dims) == 2:
            outer, inner = dims[0].item, dims[1].item
            return lambda row: read(row_of(row), outer(row), inner(row))
        return lambda row: read(row_of(row), *[dim.item(row) for dim in dims])


def _count_rows(
    arrays: Mapping[str, ArrayReader], table: pa.Table | PartialTable, places: compiled.Places, name: str
) -> int:
    """The number of rows of an array that belong to videos; the others only fill up shards.

    Of a table in parts, whose columns are not all here, it is the number of all rows.
    """
    if isinstance(table, PartialTable):
        return arrays[name].metadata.rows
    there = np.asarray(table[f"{name}.row"].is_valid())
    _, dims = places[name]
    return int(np.prod([dim[there] for dim in dims], axis=0).sum())


def _is_being_replaced(path: Location) -> bool:
    """Whether a store is being renamed to this path, or has been meanwhile: see ``Workspace.commit``."""
    if not isinstance(path, Path):
        return False
    workspace = Path(os.path.realpath(path) + PARTIAL_SUFFIX)
    between = (schema.aside_of(workspace / "store"), workspace / REPLACING)
    return any(map(os.path.exists, (*between, path / ROOT_KEY)))
