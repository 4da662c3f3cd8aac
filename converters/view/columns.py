"""What the table of a store says about each video, as NumPy and Arrow arrays: no object is made per video."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skelstore import Store
from skelstore.errors import SkelstoreError, StoreError, StoreReplacedError
from skelstore.format import values
from skelstore.read.reader import Reader
from skelstore.read.store import table_rows
from skelstore.read.videos import numbers_at

NONE = -1
"""Stands for a number that a video does not have."""

RAW = "position"
"""The key of the skeletons [N, 25, 3] of raw NTU RGB+D, which have ``frame_inds`` and no scores."""

_MOST = 1 << 53
_MOST_DETECTIONS = 1_000_000
"""Detections of a video beyond which its persons are not counted."""


class Labels(NamedTuple):
    """The labels of all videos: ``values`` has each label once, ``codes`` int32 [videos] are positions in it.

    A label is an int, a str, or a tuple of these for a video with several labels. The code of a video without a label
    that is one of these is ``NONE``.
    """

    values: list[Any]
    codes: NDArray[np.int32]


def read_labels(store: Store) -> Labels:
    """The labels of the videos of a whole store."""
    reader, _ = table_rows(store)
    codes = np.full(len(store), NONE, np.int32)
    numbers: dict[Any, int] = {}
    for name, column in reader.metadata.columns.items():
        if column.path != ("label",) or not len(store):
            continue
        decode = _decoder(column.type)
        if decode is None:
            continue
        cells = reader.table[name]
        if pa.types.is_float16(cells.type):  # Arrow has no dictionaries of these, and its older versions no casts
            cells = _widen(cells)
        encoded = pc.dictionary_encode(cells).combine_chunks()
        labels = [decode(cell) for cell in encoded.dictionary.to_pylist()]
        places = np.array([NONE if one is None else numbers.setdefault(one, len(numbers)) for one in labels], np.int32)
        there = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
        codes[there] = places[encoded.indices.drop_null().to_numpy()]
        pa.default_memory_pool().release_unused()
    return Labels(list(numbers), codes)


def _widen(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as float64."""
    there = cells.is_valid().to_numpy()
    numbers = np.zeros(len(cells))
    numbers[there] = cells.drop_null().to_numpy()
    return pa.chunked_array([pa.array(numbers, mask=~there)])


def _decoder(kind: str) -> Callable[[Any], Any] | None:
    """A function from a cell of a column of this type to the label, or None; None if the type has no labels."""
    if kind == "json":
        return _decode_json
    if "str" in kind:
        return lambda cell: cell
    return _whole if kind.rpartition(".")[2].startswith(("int", "uint", "float")) else None


def _whole(cell: Any) -> int | None:
    if isinstance(cell, float) and not (math.isfinite(cell) and cell == int(cell)):
        return None
    return int(cell)


def _decode_json(cell: str) -> Any:
    try:
        value = values.decode(values.loads(cell.encode("utf-8")))
    except (StoreError, ValueError, TypeError, LookupError, RecursionError):
        return None
    if isinstance(value, (list, tuple)) and all(isinstance(item, (int, str, np.integer)) for item in value):
        return tuple(int(item) if isinstance(item, np.integer) else item for item in value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


class Shapes(NamedTuple):
    """The axes of ``keypoint`` (of ``RAW`` in raw NTU RGB+D) of all videos, as the table states them.

    ``axes`` int64 [videos, 4] are M, T, V, C of a dense keypoint, or N, V, C of a compressed one and ``NONE``; all are
    ``NONE`` for a video without such an array. ``sizes`` int64 [videos] are the bytes of all arrays of the video.
    """

    axes: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def of(self, row: int) -> tuple[int, ...] | None:
        """The shape of the keypoint of a video; None if it has none in an array of the store."""
        shape = tuple(int(axis) for axis in self.axes[row] if axis != NONE)
        return shape or None


def read_shapes(store: Store) -> Shapes:
    """The shapes of the keypoints of the videos of a whole store."""
    reader, _ = table_rows(store)
    axes = np.full((len(store), 4), NONE, np.int64)
    sizes = np.zeros(len(store), np.int64)
    for name, field in reader.metadata.fields.items():
        metadata = reader.arrays[name].metadata
        there = reader.table[f"{name}.row"].is_valid().to_numpy()
        dims = [reader.table[f"{name}.dim{axis}"].drop_null().to_numpy() for axis in range(field.ragged)]
        size = np.full(int(there.sum()), float(metadata.row_bytes))
        for dim in dims:
            size *= dim
        sizes[there] += np.minimum(size, _MOST).astype(np.int64)
        if field.path in (("keypoint",), (RAW,)) and field.ragged + len(metadata.trailing) in (3, 4):
            for axis, length in enumerate([*dims, *metadata.trailing]):
                axes[there, axis] = length
    return Shapes(axes, sizes)


def read_frames(store: Store, shapes: Shapes) -> NDArray[np.int64]:
    """The number of frames of each video, int64 [videos]: ``total_frames``, else T of a dense keypoint."""
    reader, _ = table_rows(store)
    frames = _bounded(reader, "total_frames")
    dense = shapes.axes[:, 3] != NONE
    missing = (frames == NONE) & dense
    frames[missing] = shapes.axes[missing, 1]
    return frames


def read_persons(store: Store, shapes: Shapes) -> NDArray[np.int64]:
    """The number of persons of each video, int64 [videos]: see ``persons_of``. Reads all ``frame_inds``."""
    persons = np.where(shapes.axes[:, 3] != NONE, shapes.axes[:, 0], NONE)
    for row in np.flatnonzero((shapes.axes[:, 0] != NONE) & (shapes.axes[:, 3] == NONE)).tolist():
        persons[row] = persons_of(store, shapes, row)
    return persons


def persons_of(store: Store, shapes: Shapes, row: int) -> int:
    """The number of persons of a video: M of a dense keypoint, else the most detections in a frame, or ``NONE``.

    It is ``NONE`` for videos with more than ``_MOST_DETECTIONS``, and for those that cannot be read.
    """
    first, *_, last = shapes.axes[row].tolist()
    if last != NONE or not 0 <= first <= _MOST_DETECTIONS:
        return first if last != NONE else NONE
    try:
        numbers = store.lazy(row)["frame_inds"]
    except StoreReplacedError:
        raise
    except SkelstoreError:  # reported when the video is viewed
        return NONE
    if not isinstance(numbers, np.ndarray) or numbers.shape != (first,) or numbers.dtype.kind not in "iu":
        return NONE
    return int(np.unique(numbers, return_counts=True)[1].max(initial=0))


def _bounded(reader: Reader, key: str) -> NDArray[np.int64]:
    numbers = numbers_at(reader, key)
    usable = (numbers >= 0) & (numbers <= _MOST)
    result = np.full(len(numbers), NONE, np.int64)
    result[usable] = numbers[usable].astype(np.int64)
    return result


def read_names(store: Store) -> Any:
    """The names of all videos, an Arrow array large_utf8 [videos]; null for a video without a name.

    What is not UTF-8 in a name is replaced. Names that are not in a column of their own are read one by one.
    """
    reader, _ = table_rows(store)
    columns = [n for n, c in reader.metadata.columns.items() if c.path == ("frame_dir",) and c.type == "str"]
    found = reader.table[columns[0]] if columns else pa.nulls(len(store), pa.large_utf8())
    if not found.null_count:
        return found
    texts = {row: store.name(row) for row in np.flatnonzero(np.asarray(found.is_null())).tolist()}
    filled = [None if text is None else text.encode("utf-8", "replace").decode() for text in texts.values()]
    replaced = pa.nulls(len(store), pa.large_utf8()) if not len(texts) else _scatter(texts, filled, len(store))
    return pc.coalesce(found, replaced)


def _scatter(rows: dict[int, Any], texts: list[str | None], count: int) -> Any:
    places = np.full(count, len(texts), np.int64)
    places[list(rows)] = np.arange(len(texts))
    return pa.array([*texts, None], pa.large_utf8()).take(pa.array(places))
