"""A store, or a view of some of its videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skelstore.arrays import Check
from skelstore.errors import (
    AmbiguousVideoError,
    FieldNotFoundError,
    SplitNotFoundError,
    StoreError,
    VideoIndexError,
    VideoNotFoundError,
)
from skelstore.joining import INTERNAL_COLUMNS
from skelstore.layouts import Annotation
from skelstore.parts import ORIGIN_COLUMNS, Origin
from skelstore.reader import Reader


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

    Raises StoreNotFoundError if no store stands at ``path``, StoreError if it is none that this version reads,
    DamageError if its tables are not those that were written.
    """
    if check not in get_args(Check):
        raise StoreError(f"check={check!r}; expected one of {', '.join(get_args(Check))}")
    return Store(Reader(Path(path), check), None)


class Store:
    """Videos of a store, in order: all of them, or a view that ``split`` and ``select`` give.

    ``store[name]`` and ``store[position]`` are annotations: the very dicts that were written. Safe to use in
    forked and spawned workers and in threads; pickling sends the path and the view, not the data.
    """

    def __init__(self, reader: Reader, rows: np.ndarray[Any, Any] | None) -> None:
        self._reader = reader
        self._rows = rows
        self._length = reader.metadata.videos if rows is None else len(rows)

    def __reduce__(self) -> Any:
        return _reopen, (os.path.abspath(self._reader.path), self._reader.check, self._rows)

    def __repr__(self) -> str:
        whole = "" if self._rows is None else f" of {self._reader.metadata.videos}"
        return f"<skelstore.Store {str(self._reader.path)!r}: {self._length}{whole} videos>"

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
    def splits(self) -> dict[Any, Any]:
        """Name of each split -> its list of ids, exactly as given: order, repetitions, ids without a video."""
        return self._reader.splits

    @property
    def videos(self) -> pa.Table:
        """The table of the videos: one row each, one column for each value that is no array."""
        hidden = [name for name in self._reader.table.column_names if name in INTERNAL_COLUMNS]
        table = self._reader.table.drop_columns(hidden)
        return table if self._rows is None else table.take(pa.array(self._rows))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Annotation]:
        return (self._reader.annotation(self._row(i)) for i in range(self._length))

    def __contains__(self, name: object) -> bool:
        """Whether a video has that ``frame_dir`` (or, without one, ``filename``)."""
        return isinstance(name, str) and len(self._positions(name)) > 0

    def __getitem__(self, key: str | SupportsIndex) -> Annotation:
        """The annotation of a video, by name or by position (negative counts from the end).

        Raises VideoNotFoundError, AmbiguousVideoError (several videos have the name) or VideoIndexError;
        DamageError if its bytes are not those that were written.
        """
        return self._reader.annotation(self._locate(key))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Annotation]:
        """``read``, under the name by which PyTorch's fetcher asks for a batch."""
        return self.read(indices)

    def read(self, indices: Iterable[str | SupportsIndex]) -> list[Annotation]:
        """Several annotations, in the order asked for; a key may come twice. Raises like ``store[key]``."""
        return [self._reader.annotation(self._locate(key)) for key in indices]

    def lazy(self, key: str | SupportsIndex) -> LazyAnnotation:
        """The annotation of a video as a Mapping that reads a value when it is asked for; ``dict(…)`` reads all."""
        row = self._locate(key)
        return LazyAnnotation(self._reader.entries(row), row)

    def index(self, name: str) -> int:
        """Position of the video of that name. Raises VideoNotFoundError or AmbiguousVideoError."""
        positions = self._positions(name)
        if len(positions) == 1:
            return positions[0]
        if not positions:
            raise VideoNotFoundError(f"{self._reader.path} has no video named {name!r} among its {self._length} videos")
        shown = ", ".join(map(str, positions[:5]))
        raise AmbiguousVideoError(
            f"{self._reader.path} has {len(positions)} videos named {name!r}, at {shown}: read them by position"
        )

    def name(self, position: int) -> str | None:
        """The name of a video: its ``frame_dir``, or where that is no text its ``filename``; None without either."""
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
        keep = self._matches(ids)
        return self._view(keep)

    def select(self, expression: pc.Expression) -> Store:
        """The videos for which an Arrow expression over ``videos`` is true, e.g. ``pc.field("label") < 10``.

        Raises FieldNotFoundError if it names a column that the table does not have.
        """
        table = self.videos.append_column("", pa.array(np.arange(self._length)))
        try:
            found = table.filter(expression)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError) as error:
            columns = ", ".join(self.videos.column_names)
            raise FieldNotFoundError(f"{self._reader.path}: {error}; the table has the columns {columns}") from error
        return Store(self._reader, self._table_rows()[found[""].to_numpy()])

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
            raise TypeError(
                f"a video is asked for by name (str) or position (int), not by {type(key).__name__}"
            ) from None
        if position < 0:
            position += self._length
        if not 0 <= position < self._length:
            raise VideoIndexError(f"{self._reader.path} has {self._length} videos, none at position {key}")
        return self._row(position)

    def _positions(self, name: str) -> list[int]:
        rows = self._reader.rows_named(name)
        if self._rows is None or not rows:
            return rows
        return np.flatnonzero(np.isin(self._rows, rows)).tolist()

    def _table_rows(self) -> np.ndarray[Any, Any]:
        return np.arange(self._length) if self._rows is None else self._rows

    def _view(self, keep: np.ndarray[Any, Any]) -> Store:
        rows = self._table_rows()
        return Store(self._reader, rows[keep[rows]])

    def _matches(self, ids: Any) -> np.ndarray[Any, Any]:
        """For each row of the table, whether its identifier is among the ids."""
        reader = self._reader
        keep = np.zeros(reader.metadata.videos, bool)
        identifier = "filename" if len(keep) and "filename" in reader.entries(0) else "frame_dir"
        columns = [(n, c) for n, c in reader.metadata.columns.items() if c.path in ((identifier,), ())]
        texts = [i for i in ids if isinstance(i, str)]
        for name, column in columns:
            if column.type in ("str", "numpy.str") and len(texts) == len(ids):
                keep |= pc.is_in(reader.table[name], pa.array(texts, pa.large_utf8())).to_numpy(zero_copy_only=False)
            else:
                keep |= self._matches_slowly(name, identifier, ids)
        return keep

    def _matches_slowly(self, column: str, identifier: str, ids: Any) -> np.ndarray[Any, Any]:
        """``_matches`` for ids or identifiers that are not plain texts, by the rows that have a value in a column."""
        reader = self._reader
        wanted = set(ids)
        keep = np.zeros(reader.metadata.videos, bool)
        for row in np.flatnonzero(reader.table[column].is_valid().to_numpy(zero_copy_only=False)).tolist():
            entries = reader.entries(row)
            keep[row] = identifier in entries and entries[identifier](row) in wanted
        return keep


def _reopen(path: str, check: Check, rows: np.ndarray[Any, Any] | None) -> Store:
    return Store(Reader(Path(path), check), rows)


class LazyAnnotation(Mapping[Any, Any]):
    """One video whose values are read when they are asked for, and kept."""

    def __init__(self, entries: dict[Any, Callable[[int], Any]], row: int) -> None:
        self._entries = entries
        self._row = row
        self._read: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        if key not in self._read:
            if key not in self._entries:
                raise FieldNotFoundError(f"the video has no {key!r}; it has {', '.join(map(str, self._entries))}")
            self._read[key] = self._entries[key](self._row)
        return self._read[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __repr__(self) -> str:
        return f"<LazyAnnotation of {', '.join(map(str, self._entries))}>"
