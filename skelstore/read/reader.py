"""The content of one store, by position in the table: metadata, columns, arrays, names.

``Store`` and its views share one ``Reader``. It opens each file when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skelstore.errors import StoreError
from skelstore.format import values
from skelstore.format.files import absolute
from skelstore.format.layouts import Assembler
from skelstore.format.schema import LAYOUT_COLUMN, NAMES_KEY, SPLITS_KEY, VIDEOS_KEY, Annotation, video_name
from skelstore.format.store_files import StoreFiles
from skelstore.joints import KnownJoints, keypoint_shapes, known_joints
from skelstore.read import compiled
from skelstore.read.arrays import Check
from skelstore.read.compiled import Parts
from skelstore.read.excerpts import Excerpts
from skelstore.read.gathering import Gatherer
from skelstore.read.location import Cache, Location, placed_at_video
from skelstore.read.names import NameIndex
from skelstore.read.opening import fetch_tables, open_array, open_consistent, open_root, open_videos
from skelstore.read.partial_table import PartialTable, RowGroups
from skelstore.read.places import check_places, field_reader, place_columns, read_place, used_rows
from skelstore.read.table import column_reader, numeric_column, read_splits

if TYPE_CHECKING:
    from skelstore.read.core import Core


class Reader:
    """Reads one store; shards, splits and the index of names are opened when they are needed.

    Raises StoreNotFoundError, StoreError or DamageError on construction, as ``open`` does. If the store is replaced
    meanwhile, so that some files belong to the old store and some to the new one, it is opened again.

    ``gatherer`` fetches what a store at a URL lacks, ``excerpts`` reads parts of a video.

    ``in_parts``: large tables at a URL are fetched in parts when they are needed, not as a whole when they are opened.
    Then ``table`` is a ``PartialTable``, which has the methods of a pyarrow.Table that are used for it.
    """

    def __init__(
        self, path: Location, check: Check, mmap: bool = True, cache: Cache = "auto", *, in_parts: bool = True
    ) -> None:
        self.path = absolute(path) if isinstance(path, Path) else path
        self.check = check
        self.mmap = mmap
        self.cache = cache
        open_consistent(self.path, cache, partial(self._open, in_parts))

    @property
    def identity(self) -> bytes:
        """Distinguishes this store from all others that have been at its path, or will be."""
        return self.files.identity

    def refuse_replaced(self) -> None:
        """Raise StoreReplacedError if this store has been replaced or removed since it was opened."""
        self.files.refuse_replaced()

    def _open(self, in_parts: bool, files: StoreFiles) -> None:
        self.files = files
        self.metadata, self.manifest = open_root(files)
        fetch_tables(files, self.metadata, self.manifest, in_parts=in_parts)
        self.table: Any = open_videos(files, self.metadata, self.manifest, self.mmap)
        self.arrays = {name: open_array(files, name, self.manifest, self.check) for name in self.metadata.fields}
        self._partial = isinstance(self.table, PartialTable)
        self._raw: pa.Table = self.table.raw if self._partial else self.table
        self._assemble()

    def _assemble(self) -> None:
        """Make what reads annotations from the table and the arrays; the content of the table is checked first."""
        metadata, raw, arrays = self.metadata, self._raw, self.arrays
        self._layouts = numeric_column(raw, LAYOUT_COLUMN, pa.int32())
        self._columns = {
            name: column_reader(raw, name, column.type, partial=self._partial)
            for name, column in metadata.columns.items()
        }
        self._places = places = {name: read_place(raw, name, field) for name, field in metadata.fields.items()}
        check = partial(check_places, self._layouts, len(metadata.layouts), places, arrays, self.path)
        self._groups = self._group_rows(check) if self._partial else None
        longest = check(0, metadata.videos) if self._groups is None else {}
        self._fields = {
            name: field_reader(arrays[name], name, place, longest.get(name), self.path)
            for name, place in places.items()
        }
        self._assembler = Assembler(metadata.layouts, self._columns, self._fields)
        self._layout = self._layouts.item if self._groups is None else self._groups.reader(self._layouts)
        self.gatherer = Gatherer(
            *(self.files, arrays, places, self._layouts, self._assembler.fields),
            partial(used_rows, self.table, arrays, places),
            provide=None if self._groups is None else self._groups.provide,
        )
        self.excerpts = Excerpts(self.path, self._assembler, self._layout, arrays, places, self.gatherer)
        self._names = NameIndex(
            *(self.files, self.manifest.files.get(NAMES_KEY), raw, metadata, self.mmap), self._groups
        )

    def _group_rows(self, check: Callable[[int, int], Any]) -> RowGroups:
        """The rows of a table that is fetched in parts, of the columns that annotations need."""
        fields = self.metadata.fields.items()
        places = [column for name, field in fields for column in place_columns(name, field)]
        columns = [*self.metadata.columns, LAYOUT_COLUMN, *places]
        return RowGroups(self.table, columns, check, str(self.path / VIDEOS_KEY))

    @cached_property
    def annotation(self) -> Callable[[int], Annotation]:
        """A function from a position of the table to the annotation of the video."""
        return self._read_by_python if self.core is None else self.core.annotation

    def read(self, rows: list[int]) -> list[Annotation]:
        """The annotations of several videos, in the requested order; one requested twice is returned twice."""
        read = None if self.core is None else self.core.read(rows)
        if read is not None:
            return read
        self.gatherer.fetch(rows)
        last: dict[int, Annotation] = {}
        annotations: list[Any] = [None] * len(rows)
        # In the order of the store, so that a chunk that two videos share is decoded once.
        for place in sorted(range(len(rows)), key=rows.__getitem__):
            row = rows[place]
            annotations[place] = values.copy_value(last[row]) if row in last else self.annotation(row)
            last = {row: annotations[place]}
        return annotations

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
                raise placed_at_video(error, path, row) from error

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

    def close(self) -> None:
        """Close open files and maps; the next read opens them again."""
        self.files.close()
        if vars(self).get("core"):  # it is not made to be closed
            vars(self)["core"].close()

    def entries(self, row: int) -> dict[Any, Callable[[int], Any]]:
        """The keys of a video's annotation, in order, each with a function from the position to the value."""
        try:
            return self._assembler.entries(self._layout(row), row)
        except StoreError as error:
            raise placed_at_video(error, self.path, row) from error

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
        return read_splits(self.files, self.manifest.files.get(SPLITS_KEY), self.mmap)
