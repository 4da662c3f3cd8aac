"""A store, or a view of some of its videos; and the same videos decompressed, as training sees them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar, get_args, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skelstore.choices import Heatmap
from skelstore.errors import AmbiguousVideoError, MissingPackageError, StoreError, VideoIndexError, VideoNotFoundError
from skelstore.format.schema import Annotation, Origin
from skelstore.joints import KnownJoints
from skelstore.read import describing, videos
from skelstore.read.arrays import Check
from skelstore.read.decompressed import decompressed_frames
from skelstore.read.decompression import check_max_person, decompress_pose, with_box_filter
from skelstore.read.frames import Frames
from skelstore.read.identifiers import names_like
from skelstore.read.lazy import LazyAnnotation, no_keys
from skelstore.read.location import Cache, Location, locate, placed_at_video
from skelstore.read.reader import Reader
from skelstore.read.reopening import reopen
from skelstore.read.rows import Rows, Run
from skelstore.read.split_members import in_split
from skelstore.remote.url import Url
from skelstore.wording import closest, counted, kind_of

if TYPE_CHECKING:
    from skelstore.drawing.picture import Animation

T = TypeVar("T")


class Field(NamedTuple):
    """An array of a store: its dtype, number of ragged leading axes, fixed trailing axes, and total number of rows."""

    dtype: np.dtype[Any]
    ragged: int
    trailing: tuple[int, ...]
    rows: int


def open(
    path: str | os.PathLike[str] | Url, *, check: Check = "first", mmap: bool = True, cache: Cache = "auto"
) -> Store:
    """Open a store for reading: a folder, or a URL (``s3://``, ``gs://``, ``az://``, ``https://``, ``hf://datasets/``).

    ``check`` says when the checksum of a chunk is compared with its bytes: on its ``first`` read in this process,
    ``always`` or ``never``.

    ``mmap``: the compiled reader maps files of local file systems into memory, and large tables are mapped. Reading a
    map ends the process with SIGBUS if the file was cut short meanwhile, so give False for a store whose files are
    rewritten in place. skelstore itself never does that: it replaces files.

    ``cache`` is for stores at a URL: the folder in which copies of what was read are kept, for all processes. ``auto``
    is ``SKELSTORE_CACHE``, else a folder of this account; with None, copies are removed with the store.

    Raises StoreNotFoundError if there is no store at ``path``, StoreError if this version cannot read it or ``check``
    is unknown, DamageError if its tables are not those that were written; for a URL also RemoteError,
    RemoteAccessError, RemoteBusyError, and MissingPackageError without ``skelstore[remote]``.
    """
    if check not in get_args(Check):
        raise StoreError(
            f"check={check!r}; expected one of {', '.join(get_args(Check))}{closest(check, get_args(Check))}"
        )
    return Store(Reader(locate(path), check, mmap, cache), None)


class Store:
    """Videos of a store, in order: all of them, or a view that a slice, ``split``, ``select`` or ``at`` returns.

    ``store[name]`` and ``store[position]`` are annotations, exactly the dicts that were written. A store can be used in
    forked and spawned workers and in threads. Pickling includes the path, the view and the identity of the store, not
    the data.

    If a store is replaced after it was opened, its open files can still be read. Opening another file, here or in a
    worker, raises StoreReplacedError, a StoreError, on first use: data of the new store is never returned for the old
    one.
    """

    def __init__(self, reader: Reader, rows: Rows | None) -> None:
        self._reader = reader
        self._rows = rows
        self._length = reader.metadata.videos if rows is None else len(rows)

    def __getstate__(self) -> Any:
        reader = self._reader
        options = reader.check, reader.mmap, reader.cache
        return reader.path, options, reader.identity, self._rows, self._length

    def __setstate__(self, state: Any) -> None:
        # Not __init__, which looks into the reader: its first use may raise an error.
        path, (check, mmap, cache), identity, self._rows, self._length = state
        self._reader = reopen(path, check, mmap, cache, identity)

    def __repr__(self) -> str:
        """Path, number of videos, ids per split (of a whole store), dtype and axes per field; never raises an error."""
        return describing.as_text(self._reader, self._length, self._rows is None)

    def _repr_html_(self) -> str:
        """The same as a table for a notebook, with the middle frames of the first videos; never raises an error."""
        from skelstore.read.drawn import thumbnails

        table = describing.as_html(self._reader, self._length, self._rows is None)
        return table + thumbnails(self._reader, map(self._row, range(self._length)))

    @property
    def path(self) -> Location:
        """The folder of the store, or its URL, which is shown without credentials and query."""
        return self._reader.path

    @property
    def source(self) -> dict[str, Any]:
        """What is known about the origin of the data: the dialect, the file's name and size, the videos left out."""
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
        """The joint layout: as it was stated, or else guessed from the shape of ``keypoint``."""
        return self._reader.joints

    @property
    def labels(self) -> NDArray[np.int64]:
        """The ``label`` of each video, int64 [videos], in the order of the view; no annotation is read.

        ``np.bincount(store.labels)`` counts the videos per class. Raises FieldNotFoundError, with the position and
        what was found, if a video has no label, or one that is not an integer.
        """
        return videos.integer_labels(self._reader, self._table_rows())

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes, by label, or None if the store has none."""
        return self._reader.class_names

    @property
    def splits(self) -> dict[Any, Any]:
        """The list of ids of each split, by its name, exactly as written: order, repetitions, ids without a video.

        Raises DamageError if the table of splits is not what was written, StoreError if it does not follow the format.
        """
        return self._reader.splits

    @property
    def videos(self) -> pa.Table:
        """The table of the videos: one row per video, one column per value that is not an array.

        ``<field>.row`` and ``<field>.dim<i>`` say where a video's array begins and how long its ragged axes are.
        """
        table = videos.whole_table(self._reader)
        return table if self._rows is None else table.take(pa.array(self._rows.array()))

    @property
    def zarr(self) -> Any:
        """The store as a ``zarr.Group`` of zarr-python, read-only: ``store.zarr["keypoint"]`` is the array of all rows.

        It is that of the whole store, even for a view. Raises MissingPackageError if zarr-python cannot be imported,
        StoreReplacedError if the store was replaced or removed after it was opened.
        """
        try:
            import zarr
        except ImportError as error:
            raise MissingPackageError(
                f"Store.zarr needs zarr-python, which cannot be imported ({error}): pip install zarr"
            ) from error
        if not isinstance(self._reader.path, Path):
            raise StoreError(
                f"{self._reader.path} is a URL; Store.zarr opens local stores only: download the store first"
            )
        self._reader.refuse_replaced()
        return zarr.open_group(str(self._reader.path), mode="r")

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Annotation]:
        rows = (self._row(i) for i in range(self._length))
        return map(self._reader.annotation, self._reader.gatherer.fetched(rows) if self._reader.is_remote else rows)

    def __contains__(self, name: object) -> bool:
        """Whether a video has this name. Raises DamageError and StoreError as ``index`` does."""
        return isinstance(name, str) and len(self._positions(name)) > 0

    @overload
    def __getitem__(self, key: slice) -> Store: ...

    @overload
    def __getitem__(self, key: str | SupportsIndex) -> Annotation: ...

    def __getitem__(self, key: str | SupportsIndex | slice) -> Annotation | Store:
        """The annotation of a video, by name or by position (negative ones count from the end); for a slice, a view.

        ``store["S001C001P001R001A001"]``, ``store[-1]``, ``store[:100]``, ``store[::-1]``.

        Raises VideoNotFoundError, which suggests similar names, AmbiguousVideoError if several videos have the name, or
        VideoIndexError; TypeError for any other key; DamageError if the video's bytes are not those that were written.
        """
        if type(key) is str:
            core = self._reader.core
            if core is not None and self._rows is None:
                annotation = core.named(key)
                if annotation is not None:
                    return annotation
            row = self._reader.find(key)
            if row is not None and (self._rows is None or self._rows.count(row) == 1):
                return self._reader.annotation(row)
        if isinstance(key, slice):
            return Store(self._reader, self._view_rows().slice(key))
        return self._reader.annotation(self._locate(key))

    @overload
    def get(self, name: str) -> Annotation | None: ...

    @overload
    def get(self, name: str, default: T) -> Annotation | T: ...

    def get(self, name: str, default: Any = None) -> Any:
        """The annotation of the video with this name, or ``default`` if there is none.

        Raises AmbiguousVideoError if several videos have the name, TypeError for a name that is not a str, and
        DamageError as ``store[name]`` does.
        """
        if not isinstance(name, str):
            raise TypeError(f"get accepts the name of a video (str), not {kind_of(name)}")
        return self[name] if self._positions(name) else default

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Annotation]:
        """``read``, under the name that PyTorch's fetcher calls to read a batch."""
        return self.read(indices)

    def read(self, indices: Iterable[str | SupportsIndex]) -> list[Annotation]:
        """Several annotations, in the requested order; one requested twice is returned twice. Raises like ``[]``."""
        keys = list(indices)
        core = self._reader.core
        read = None if core is None or self._rows is not None else core.read(keys)
        if read is not None:
            return read
        return self._reader.read([self._locate(key) for key in keys])

    def read_one(
        self, key: str | SupportsIndex, *, fields: Iterable[Any] | None = None, frames: Frames | None = None
    ) -> Annotation:
        """Parts of one annotation; only the chunks that hold them are read.

        ``fields``: the keys to read (default: all); the result is in the order of the annotation. ``frames``: the
        frames to read: a slice, a range, integers, or a function that is called with T and returns one of these.
        ``keypoint`` [M, T, V, C] becomes ``keypoint[:, frames]``, and so does every array with that T. Other values,
        ``total_frames`` included, are unchanged.

        In a compressed video (``keypoint`` [N, V, C]), ``frames`` are numbers in ``frame_inds``, and the rows with
        these numbers are read. A function is called with the highest frame number plus 1.

        Raises FieldNotFoundError for a key that the video does not have, FrameIndexError for a frame that it does not
        have, TypeError for frames that are not one-dimensional integers and for ``fields`` that is a str, and what
        ``store[key]`` raises.
        """
        if isinstance(fields, str):
            raise TypeError(f"fields={fields!r} is a str; expected a list of keys, such as fields=[{fields!r}]")
        row = self._locate(key)
        entries = self._reader.entries(row)
        wanted = set(entries if fields is None else fields)
        if missing := wanted - set(entries):
            raise no_keys(self._reader, row, missing)
        keys = [name for name in entries if name in wanted]
        if frames is not None:
            return self._reader.excerpts.frames(row, keys, frames)
        try:
            self._reader.gatherer.fetch_fields(row, keys)
            return {name: entries[name](row) for name in keys}
        except StoreError as error:
            raise placed_at_video(error, self._reader.path, row) from error

    def decompressed(
        self,
        *,
        box_thr: float | None = None,
        squeeze: bool = True,
        max_person: int = 10,
        valid_ratio: float | None = None,
    ) -> Decompressed:
        """The videos as PYSKL's PoseDataset and DecompressPose return them, computed when they are read.

        ``box_thr``: only boxes with a ``box_score`` of at least this value become persons. ``valid_ratio``, a float
        above 0: only videos are kept in which at least this share of the frames has such a box; as upstream, other
        values keep all videos.
        Upstream ignores ``box_thr`` unless ``valid_ratio`` is a float above 0, and so do ``skelstore.torch``,
        ``skelstore.mmaction2`` and ``skelstore.pyskl``; here ``box_thr`` filters boxes in any case.
        ``squeeze`` and ``max_person`` are those of ``decompress_pose``.

        Raises FieldNotFoundError if videos lack ``box_score`` and ``box_thr`` is given, or ``valid[box_thr]`` or
        ``total_frames`` and ``valid_ratio`` filters; ValueError if ``max_person`` is negative. A video in which no box
        is left raises EmptyVideoError when it is read.
        """
        view = self
        if videos.filters_videos(valid_ratio):
            view = self.at(videos.valid_positions(self._reader, self._table_rows(), box_thr, valid_ratio))
        elif box_thr is not None:
            videos.require_box_scores(self._reader, self._table_rows(), f"box_thr={box_thr}")
        return Decompressed(view, box_thr=box_thr, squeeze=squeeze, max_person=max_person)

    def show(
        self,
        key: str | SupportsIndex,
        *,
        frames: slice | None = None,
        persons: Sequence[int] | None = None,
        scale: float | None = None,
        fps: float | None = None,
        heatmap: Heatmap | None = None,
        video: str | os.PathLike[str] | None = None,
    ) -> Animation:
        """Draw a video; in a notebook the result plays, and its ``gif`` has the bytes of a file.

        ``frames`` selects frames, ``persons`` rows of ``keypoint``. ``scale`` is the width of the drawing divided by
        that of the image, ``fps`` the number of frames per second. ``heatmap`` draws the heatmaps of joints or limbs,
        and ``video`` draws over the frames of a file. docs/drawing.md describes all of it.

        Raises DrawingError if the video cannot be drawn in this way, MissingPackageError without ``skelstore[draw]``,
        FrameIndexError if no frame is selected, and what ``store[key]`` raises.
        """
        from skelstore.read.drawn import animated

        row = self._locate(key)
        return animated(self._reader, row, frames, persons, scale=scale, rate=fps, heatmap=heatmap, video=video)

    def lazy(self, key: str | SupportsIndex) -> LazyAnnotation:
        """The annotation of a video as a Mapping that reads each value on access; ``dict(…)`` reads all.

        Raises as ``store[key]`` does; an error in a value is raised when the value is read.
        """
        return LazyAnnotation(self._reader, self._locate(key))

    def index(self, name: str) -> int:
        """Position of the video with this name.

        Raises VideoNotFoundError or AmbiguousVideoError; DamageError if the index of names is not what was written,
        StoreError if it does not follow the format.
        """
        positions = self._positions(name)
        if len(positions) == 1:
            return positions[0]
        if not positions:
            close = closest(name, names_like(self._reader, None if self._rows is None else self._rows.array(), name))
            raise VideoNotFoundError(
                f"{self._reader.path} has no video named {name!r} among {counted(self._length, 'video')}{close}"
            )
        shown = ", ".join(map(str, positions[:5]))
        raise AmbiguousVideoError(
            f"{self._reader.path} has {len(positions)} videos named {name!r}, at positions {shown}: read them by "
            "position"
        )

    def name(self, position: int) -> str | None:
        """The name of a video: its ``frame_dir``, or its ``filename`` if that is not a str; None if neither is a str.

        Raises VideoIndexError if the position is out of range.
        """
        return self._reader.name(self._locate(position))

    def split(self, name: str) -> Store:
        """The videos of a split, in the order of the store.

        As in PYSKL and MMAction2, ids are matched with ``filename`` if the first video has one, else with
        ``frame_dir``. Raises SplitNotFoundError, which lists the existing splits and suggests similar names.
        """
        return Store(self._reader, self._view_rows().where(in_split(self._reader, name)))

    def select(self, expression: pc.Expression) -> Store:
        """The videos for which an Arrow expression over ``videos`` is true, e.g. ``pc.field("label") < 10``.

        Raises FieldNotFoundError if it names a column that the table does not have, TypeError if it is not an
        expression that is true or false for columns of these types.
        """
        try:
            # Of all videos: the table of a view would be a copy.
            chosen = videos.matching(self._reader, videos.table_for(self._reader, expression), expression)
        except TypeError:
            if self._rows is None:
                raise
        else:
            return Store(self._reader, self._view_rows().where(chosen))
        # The expression may fail only for videos that are not in the view, such as a division by zero.
        return self.at(np.flatnonzero(videos.matching(self._reader, self.videos, expression)))

    def at(self, positions: Sequence[int] | np.ndarray[Any, Any]) -> Store:
        """The videos at some positions [n], in that order; negative positions count from the end.

        Raises VideoIndexError if a position is out of range, TypeError if they are not one-dimensional integers (for a
        mask, pass ``np.flatnonzero(mask)``).
        """
        chosen = np.asarray(positions)
        if chosen.ndim != 1 or (len(chosen) and chosen.dtype.kind not in "iu"):
            raise TypeError(f"positions must be one-dimensional integers, not {chosen.dtype} of shape {chosen.shape}")
        if len(chosen) and not -self._length <= int(chosen.min()) <= int(chosen.max()) < self._length:
            raise VideoIndexError(
                f"{self._reader.path} has {counted(self._length, 'video')}, none at some of the requested positions"
            )
        chosen = chosen.astype(np.int64)
        return Store(self._reader, self._view_rows().take(np.where(chosen < 0, chosen + self._length, chosen)))

    def files(self) -> dict[str, int]:
        """The size in bytes of every file of the store except the root and the manifest, as the manifest states it."""
        manifest = self._reader.manifest
        return {key: entry.size for key, entry in (manifest.files | manifest.shards).items()}

    def origins(self) -> list[Origin | None]:
        """For each video, the file that it was converted from if the source had many files, else None."""
        return videos.origins(self._reader, self._table_rows())

    def close(self) -> None:
        """Close open files; the next read opens them again."""
        self._reader.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _row(self, position: int) -> int:
        return position if self._rows is None else self._rows[position]

    def _locate(self, key: str | SupportsIndex) -> int:
        if isinstance(key, str):
            return self._row(self.index(key))
        try:
            position = key.__index__()
        except AttributeError:
            raise TypeError(f"a video is read by name (str) or position (int), not by {kind_of(key)}") from None
        if position < 0:
            position += self._length
        if not 0 <= position < self._length:
            raise VideoIndexError(f"{self._reader.path} has {counted(self._length, 'video')}, none at position {key}")
        return self._row(position)

    def _positions(self, name: str) -> list[int]:
        rows = self._reader.rows_named(name)
        return rows if self._rows is None else self._rows.positions(rows)

    def _view_rows(self) -> Rows:
        return Run(range(self._length), self._length) if self._rows is None else self._rows

    def _table_rows(self) -> NDArray[np.int64]:
        return self._view_rows().array()


class Decompressed:
    """What ``Store.decompressed`` returns: the annotations that training sees, by position or by name.

    The definition is PYSKL's: ``PoseDataset`` with ``box_thr`` (pyskl/datasets/pose_dataset.py), then
    ``DecompressPose`` (pyskl/datasets/pipelines/pose_related.py).
    """

    def __init__(self, store: Store, *, box_thr: float | None, squeeze: bool, max_person: int) -> None:
        check_max_person(max_person)
        self._store = store
        self._box_thr = box_thr
        self._squeeze = squeeze
        self._max_person = max_person

    @property
    def store(self) -> Store:
        """The compressed videos that remain after filtering."""
        return self._store

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[Annotation]:
        return map(self._decompress, self._store)

    def __contains__(self, name: object) -> bool:
        return name in self._store

    def __getitem__(self, key: str | SupportsIndex) -> Annotation:
        """One video, decompressed. Raises what ``store[key]`` and ``decompress_pose`` raise."""
        return self._decompress(self._store[key])

    def read(self, indices: Iterable[str | SupportsIndex]) -> list[Annotation]:
        """Several videos, decompressed, in the requested order. Raises like ``[]``."""
        return [self._decompress(annotation) for annotation in self._store.read(indices)]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Annotation]:
        """``read``, under the name that PyTorch's fetcher calls to read a batch."""
        return self.read(indices)

    def read_one(self, key: str | SupportsIndex, *, frames: Frames) -> Annotation:
        """One video with some of its frames; of a long video, only the rows of these frames are read.

        ``keypoint`` is ``keypoint[:, frames]`` of ``self[key]``, and so is ``keypoint_score``; everything else,
        ``total_frames`` included, is the same. ``frames`` is a slice, a range, integers, or a function that is called
        with the number of frames of the decompressed video and returns one of these.

        Raises FrameIndexError for a frame that the video does not have, and what ``self[key]`` raises.
        """
        reader, row = table_row(self._store, key)
        options: dict[str, Any] = {"squeeze": self._squeeze, "max_person": self._max_person}
        return decompressed_frames(reader, row, frames, box_thr=self._box_thr, **options)

    def _decompress(self, annotation: Annotation) -> Annotation:
        filtered = with_box_filter(annotation, self._box_thr)
        return decompress_pose(filtered, squeeze=self._squeeze, max_person=self._max_person)


def table_row(store: Store, key: str | SupportsIndex) -> tuple[Reader, int]:
    """The reader of a store, and the row of a video in its table. Raises what ``store[key]`` raises."""
    return store._reader, store._locate(key)


def fetches_ahead(store: Store) -> bool:
    """Whether what is fetched ahead of a store's readers is found by them: it is at a URL, and its cache is shared."""
    return store._reader.is_remote and store._reader.cache is not None


def fetch_short(store: Store, positions: Sequence[int]) -> None:
    """Fetch at once what a remote store lacks of those of some videos that are short."""
    if positions and store._reader.is_remote:
        store._reader.gatherer.fetch_short([store._row(position) for position in positions])


def table_rows(store: Store) -> tuple[Reader, NDArray[np.int64]]:
    """The reader of a store, and the rows in its table of the videos of a view [videos], in the view's order."""
    return store._reader, store._table_rows()


def reading_in_turn(store: Store) -> Callable[[int], Annotation]:
    """A function from a position of a view to the annotation, for positions that mostly follow one another.

    Of a store at a URL, it fetches runs of videos at once, as iterating over the store does. Raises as ``store[…]``.
    """
    reader, rows = table_rows(store)
    fetched: Iterator[int] = iter(())
    following = -1

    def read(position: int) -> Annotation:
        nonlocal fetched, following
        if position != following:
            fetched = reader.gatherer.fetched(map(int, rows[position:]))
        following = -1  # after an error, a run begins anew
        row = next(fetched)
        following = position + 1
        return reader.annotation(row)

    return read if reader.is_remote else store.__getitem__
