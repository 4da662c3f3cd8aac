"""A store, or a view of some of its videos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skelstore.errors import (
    AmbiguousVideoError,
    FieldNotFoundError,
    SplitNotFoundError,
    StoreError,
    VideoIndexError,
    VideoNotFoundError,
)
from skelstore.format import values
from skelstore.format.files import local_path
from skelstore.format.schema import INTERNAL_COLUMNS, LAYOUT_COLUMN, ORIGIN_COLUMNS, Annotation, Origin
from skelstore.joints import KnownJoints
from skelstore.read import identifiers
from skelstore.read.arrays import Check
from skelstore.read.decompressed import Decompressed
from skelstore.read.frames import Frames
from skelstore.read.lazy import LazyAnnotation, no_keys
from skelstore.read.reader import Reader, reopen
from skelstore.splits import hashed
from skelstore.wording import counted, kind_of


class Field(NamedTuple):
    """An array of a store: its dtype, the number of ragged leading axes, the fixed trailing axes, and all rows."""

    dtype: np.dtype[Any]
    ragged: int
    trailing: tuple[int, ...]
    rows: int


def open(path: str | os.PathLike[str], *, check: Check = "first") -> Store:
    """Open a store for reading.

    ``check`` says when the checksum of a chunk is held against its bytes: on its ``first`` read in this process,
    ``always`` or ``never``.

    Raises StoreNotFoundError if no store stands at ``path``, StoreError if it is none that this version reads or there
    is no such ``check``, DamageError if its tables are not those that were written.
    """
    if check not in get_args(Check):
        raise StoreError(f"check={check!r}; expected one of {', '.join(get_args(Check))}")
    return Store(Reader(local_path(path), check), None)


class Store:
    """Videos of a store, in order: all of them, or a view that ``split`` and ``select`` give.

    ``store[name]`` and ``store[position]`` are annotations: the very dicts that were written. Safe to use in
    forked and spawned workers and in threads; pickling sends the path, the view and which store it is, not the data.

    A store that was replaced after it was opened goes on with what is open of it. What is opened later, here or in a
    worker, raises StoreReplacedError, a StoreError, when it is used: nothing of the new store is given for the old one.
    """

    def __init__(self, reader: Reader, rows: np.ndarray[Any, Any] | None) -> None:
        self._reader = reader
        self._rows = rows
        self._length = reader.metadata.videos if rows is None else len(rows)

    def __reduce__(self) -> Any:
        reader = self._reader
        return _reopen, (str(reader.path), reader.check, reader.identity, self._rows, self._length)

    def __repr__(self) -> str:
        part = "" if self._rows is None else f"{self._length:,} of "
        return f"<skelstore.Store {str(self._reader.path)!r}: {part}{counted(self._reader.metadata.videos, 'video')}>"

    @property
    def path(self) -> Path:
        return self._reader.path

    @property
    def source(self) -> dict[str, Any]:
        """What is known of where the data came from: the dialect, the file's name and size, what was left out."""
        return self._reader.metadata.source

    @property
    def profile(self) -> str:
        """Codec profile: ``fast``, ``default`` or ``small``."""
        return self._reader.metadata.profile

    @property
    def fields(self) -> dict[str, Field]:
        """The arrays of the store by name."""
        fields = self._reader.metadata.fields
        arrays = {name: array.metadata for name, array in self._reader.arrays.items()}
        return {name: Field(a.dtype, fields[name].ragged, a.trailing, a.rows) for name, a in arrays.items()}

    @property
    def joints(self) -> KnownJoints:
        """The layout of the joints: as it was stated, or else as ``keypoint`` looks, which is a guess."""
        return self._reader.joints

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes, by label, or None if the store has none."""
        names = self.source.get("class_names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        return list(names)

    @property
    def splits(self) -> dict[Any, Any]:
        """Name of each split -> its list of ids, exactly as given: order, repetitions, ids without a video.

        Raises DamageError if their table is not what was written, StoreError if it is not as the format says.
        """
        return self._reader.splits

    @property
    def videos(self) -> pa.Table:
        """The table of the videos: one row each, one column for each value that is no array.

        ``<field>.row`` and ``<field>.dim<i>`` say where a video's array begins and how long its ragged axes are.
        """
        names = self._reader.table.column_names
        # A table without columns would have no rows either, so the layouts show where there is nothing else.
        table = self._reader.table.select([n for n in names if n not in INTERNAL_COLUMNS] or [LAYOUT_COLUMN])
        return table if self._rows is None else table.take(pa.array(self._rows))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Annotation]:
        return (self._reader.annotation(self._row(i)) for i in range(self._length))

    def __contains__(self, name: object) -> bool:
        """Whether a video has that ``frame_dir`` (or, without one, ``filename``). Raises like ``index``."""
        return isinstance(name, str) and len(self._positions(name)) > 0

    def __getitem__(self, key: str | SupportsIndex) -> Annotation:
        """The annotation of a video, by name or by position (negative counts from the end).

        Raises VideoNotFoundError, AmbiguousVideoError (several videos have the name) or VideoIndexError;
        DamageError if its bytes are not those that were written.
        """
        if type(key) is str:
            row = self._reader.find(key)
            if row is not None and (self._rows is None or (self._ascending and len(self._places([row])))):
                return self._reader.annotation(row)
        return self._reader.annotation(self._locate(key))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Annotation]:
        """``read``, under the name by which PyTorch's fetcher asks for a batch."""
        return self.read(indices)

    def read(self, indices: Iterable[str | SupportsIndex]) -> list[Annotation]:
        """Several annotations, in the order asked for; what is asked for twice comes twice. Raises like ``[]``."""
        rows = [self._locate(key) for key in indices]
        found: dict[int, Annotation] = {}
        annotations: list[Any] = [None] * len(rows)
        # In the order of the store, in which a chunk that two videos share is decoded once.
        for place in sorted(range(len(rows)), key=rows.__getitem__):
            row = rows[place]
            annotations[place] = values.copy_value(found[row]) if row in found else self._reader.annotation(row)
            found = {row: annotations[place]}
        return annotations

    def read_one(
        self, key: str | SupportsIndex, *, fields: Iterable[Any] | None = None, frames: Frames | None = None
    ) -> Annotation:
        """Parts of one annotation, from only the chunks that hold them.

        ``fields``: the keys to read (default: all), in the order of the annotation. ``frames``: the frames to read, a
        slice, a range, integers, or a function that is given T and returns one of these: ``keypoint`` [M, T, V, C]
        becomes ``keypoint[:, frames]``, and so does every array with that T. Of a compressed video (``keypoint``
        [N, V, C]) they are the numbers that ``frame_inds`` holds, and the rows with such a number are read. Other
        values, ``total_frames`` included, stay as they are.

        A function is given, of a compressed video, the highest frame number plus 1.

        Raises FieldNotFoundError for a key that the video does not have, FrameIndexError for a frame that it does not
        have, TypeError for frames that are no integers in one row and for ``fields`` that are one text, and as
        ``store[key]``.
        """
        if isinstance(fields, str):
            raise TypeError(f"fields={fields!r} is one text; expected keys, as in fields=[{fields!r}]")
        row = self._locate(key)
        entries = self._reader.entries(row)
        wanted = set(entries if fields is None else fields)
        if missing := wanted - set(entries):
            raise no_keys(self._reader, row, missing)
        keys = [name for name in entries if name in wanted]
        if frames is not None:
            return self._reader.some_frames(row, keys, frames)
        try:
            return {name: entries[name](row) for name in keys}
        except StoreError as error:
            raise self._reader.placed(error, row) from error

    def decompressed(
        self,
        *,
        box_thr: float | None = None,
        squeeze: bool = True,
        max_person: int = 10,
        valid_ratio: float | None = None,
    ) -> Decompressed:
        """The videos as PYSKL's PoseDataset and DecompressPose give them, computed when they are read.

        As upstream, boxes are filtered by ``box_thr``, and videos by ``valid_ratio``, only if ``valid_ratio`` is a
        float above 0. Raises FieldNotFoundError if that is so and the table lacks what it needs, ValueError if
        ``max_person`` is negative.
        """
        return Decompressed(self, box_thr=box_thr, squeeze=squeeze, max_person=max_person, valid_ratio=valid_ratio)

    def lazy(self, key: str | SupportsIndex) -> LazyAnnotation:
        """The annotation of a video as a Mapping that reads a value when it is asked for; ``dict(…)`` reads all.

        Raises as ``store[key]``; what is wrong with a value shows when it is read.
        """
        return LazyAnnotation(self._reader, self._locate(key))

    def index(self, name: str) -> int:
        """Position of the video of that name.

        Raises VideoNotFoundError or AmbiguousVideoError; DamageError if the index of names is not what was written,
        StoreError if it is not as the format says.
        """
        positions = self._positions(name)
        if len(positions) == 1:
            return positions[0]
        if not positions:
            raise VideoNotFoundError(
                f"{self._reader.path} has no video named {name!r} among {counted(self._length, 'video')}"
            )
        shown = ", ".join(map(str, positions[:5]))
        raise AmbiguousVideoError(
            f"{self._reader.path} has {len(positions)} videos named {name!r}, at {shown}: read them by position"
        )

    def name(self, position: int) -> str | None:
        """The name of a video: its ``frame_dir``, or where that is no text its ``filename``; None without either.

        Raises VideoIndexError.
        """
        return self._reader.name(self._locate(position))

    def split(self, name: str) -> Store:
        """The videos of a split, in the order of the store.

        As PYSKL and MMAction2 do, ids are matched with ``filename`` if the first video has one, else with
        ``frame_dir``. Raises SplitNotFoundError, which lists the splits there are.
        """
        if name not in self.splits:
            there = ", ".join(map(repr, self.splits)) or "no splits at all"
            raise SplitNotFoundError(f"{self._reader.path} has no split {name!r}; there are {there}")
        ids = self.splits[name]
        if not isinstance(ids, (list, tuple, dict, np.ndarray)) or (isinstance(ids, np.ndarray) and not ids.ndim):
            raise SplitNotFoundError(f"{self._reader.path}: the split {name!r} is {kind_of(ids)}, not a list of ids")
        rows = self._table_rows()
        return Store(self._reader, rows[self._matches(ids)[rows]])

    def select(self, expression: pc.Expression) -> Store:
        """The videos for which an Arrow expression over ``videos`` is true, e.g. ``pc.field("label") < 10``.

        Raises FieldNotFoundError if it names a column that the table does not have, TypeError if it is no expression
        that is true or false of the columns' types.
        """
        table = self.videos.append_column("", pa.array(np.arange(self._length)))
        try:
            found = table.filter(expression)
        except pa.ArrowException as error:
            if "No match for FieldRef" not in str(error):
                raise TypeError(
                    f"{self._reader.path}: {expression} selects no videos ({error}); expected an expression that is "
                    'true or false, as pc.field("label") < 10'
                ) from error
            columns = ", ".join(self.videos.column_names)
            raise FieldNotFoundError(f"{self._reader.path}: {error}; the table has the columns {columns}") from error
        return self.at(found[""].to_numpy())

    def at(self, positions: Sequence[int] | np.ndarray[Any, Any]) -> Store:
        """The videos at some positions [n], in that order; negative ones count from the end.

        Raises VideoIndexError if there are none such, TypeError if they are no integers in one row (a mask is none:
        give ``np.flatnonzero(mask)``).
        """
        chosen = np.asarray(positions)
        if chosen.ndim != 1 or (len(chosen) and chosen.dtype.kind not in "iu"):
            raise TypeError(f"positions are integers in one row, not {chosen.dtype} of shape {chosen.shape}")
        if len(chosen) and not -self._length <= int(chosen.min()) <= int(chosen.max()) < self._length:
            raise VideoIndexError(
                f"{self._reader.path} has {counted(self._length, 'video')}, not all that were asked for"
            )
        return Store(self._reader, self._table_rows()[chosen.astype(np.int64)])

    def files(self) -> dict[str, int]:
        """Every file of the store -> its bytes, by the manifest (the root and the manifest itself apart)."""
        manifest = self._reader.manifest
        return {key: entry.size for key, entry in (manifest.files | manifest.shards).items()}

    def origins(self) -> list[Origin | None]:
        """For each video the file that it was converted from, where the source had many; else None."""
        table = self._reader.table
        if ORIGIN_COLUMNS[0] not in table.column_names:
            return [None] * self._length
        found = table.select(ORIGIN_COLUMNS).take(pa.array(self._table_rows()))
        rows = zip(*(found[column].to_pylist() for column in ORIGIN_COLUMNS), strict=True)
        return [None if file is None else Origin(file, position, keys) for file, position, keys in rows]

    def close(self) -> None:
        """Let go of open files; the next read opens them again."""
        self._reader.files.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _row(self, position: int) -> int:
        return position if self._rows is None else int(self._rows[position])

    def _locate(self, key: str | SupportsIndex) -> int:
        if isinstance(key, str):
            return self._row(self.index(key))
        try:
            position = key.__index__()
        except AttributeError:
            raise TypeError(f"a video is asked for by name (str) or position (int), not by {kind_of(key)}") from None
        if position < 0:
            position += self._length
        if not 0 <= position < self._length:
            raise VideoIndexError(f"{self._reader.path} has {counted(self._length, 'video')}, none at position {key}")
        return self._row(position)

    def _positions(self, name: str) -> list[int]:
        rows = self._reader.rows_named(name)
        return rows if self._rows is None else self._places(rows).tolist()

    def _places(self, rows: list[int]) -> np.ndarray[Any, Any]:
        """Positions in this view of rows of the table, ascending."""
        assert self._rows is not None
        if not self._ascending:
            return np.flatnonzero(np.isin(self._rows, rows))
        places = self._rows.searchsorted(rows)
        return places[self._rows.take(places, mode="clip") == rows] if len(self._rows) else places[:0]

    @cached_property
    def _ascending(self) -> bool:
        """Whether the rows of this view are in the order of the table, each once, as ``split`` and ``select`` give."""
        return self._rows is not None and bool((np.diff(self._rows) > 0).all())

    def _table_rows(self) -> np.ndarray[Any, Any]:
        return np.arange(self._length) if self._rows is None else self._rows

    def _matches(self, ids: Any) -> np.ndarray[Any, Any]:
        """For each row of the table, whether its identifier is among the ids."""
        reader = self._reader
        keep = np.zeros(reader.metadata.videos, bool)
        identifier = identifiers.identifier(reader)
        texts = [i for i in ids if isinstance(i, str) and values.is_utf8(i)]
        quick = np.zeros(len(keep), bool)  # rows whose identifier is a text in a column of its own
        for name, column in reader.metadata.columns.items():
            if column.path == (identifier,) and column.type == "str" and len(texts) == len(ids):
                found = pc.is_in(reader.table[name], pa.array(texts, pa.large_utf8()))
                keep |= found.to_numpy(zero_copy_only=False)
                quick |= reader.table[name].is_valid().to_numpy(zero_copy_only=False)
        wanted: set[Any] = set().union(*map(hashed, ids))
        for row in np.flatnonzero(~quick).tolist():
            entries = reader.entries(row)
            keep[row] = identifier in entries and not wanted.isdisjoint(hashed(entries[identifier](row)))
        return keep


def _reopen(path: str, check: Check, identity: bytes, rows: np.ndarray[Any, Any] | None, length: int) -> Store:
    store = object.__new__(Store)  # not Store(…), which looks into the reader: its first use may raise an error
    store._reader, store._rows, store._length = reopen(Path(path), check, identity), rows, length
    return store
