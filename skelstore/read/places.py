"""Where the table of the videos says that each video is: its rows in the arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.errors import StoreError
from skelstore.format.metadata import FieldMetadata
from skelstore.format.schema import ROOT_KEY, VIDEOS_KEY
from skelstore.read.arrays import ArrayReader
from skelstore.read.location import Location
from skelstore.read.partial_table import PartialTable
from skelstore.read.table import numeric_column

_LARGE = 1 << 30
"""A video of more than this number of bytes may not fit in memory."""

_MANY_AXES = 32
"""Number of axes that an array can have in every version of NumPy; NumPy 2 allows 64."""


class Place(NamedTuple):
    """The first row of each video in an array, [videos], and the lengths of its ragged axes, [videos] each."""

    first: NDArray[np.int64]
    lengths: list[NDArray[np.int64]]

    def shape(self, row: int) -> list[int]:
        """The lengths of the ragged axes of a video."""
        return [int(length[row]) for length in self.lengths]


Places: TypeAlias = Mapping[str, Place]
"""The place of each array, by its name."""


def place_columns(name: str, field: FieldMetadata) -> list[str]:
    """The columns of the table that say where the videos are in an array."""
    return [f"{name}.row", *(f"{name}.dim{axis}" for axis in range(field.ragged))]


def read_place(table: pa.Table, name: str, field: FieldMetadata) -> Place:
    """The place of an array. Raises StoreError if the table lacks a column of it."""
    first, *lengths = (numeric_column(table, column, pa.int64()) for column in place_columns(name, field))
    return Place(first, lengths)


def check_places(
    layouts: NDArray[np.int32],
    layout_count: int,
    places: Places,
    arrays: Mapping[str, ArrayReader],
    store: Location,
    begin: int,
    end: int,
) -> dict[str, int]:
    """Check what the table says about the videos from ``begin`` to ``end``: their layouts, and their rows in arrays.

    Raises StoreError if the store has no such layout, or an array no such rows. Returns the bytes of the longest video
    of each array, or more: those of the largest lengths of its axes.
    """
    some = layouts[begin:end]
    if len(some) and not 0 <= some.min() <= some.max() < layout_count:
        raise StoreError(f"{store / VIDEOS_KEY} names layouts that {ROOT_KEY} does not have")
    bounds = {}
    for name, (whole, axes) in places.items():
        metadata = arrays[name].metadata
        first, dims = whole[begin:end], [dim[begin:end] for dim in axes]
        rows = np.ones(len(first))
        for dim in dims:
            rows *= dim
        if any((column < 0).any() for column in (first, *dims)) or (first + rows > metadata.rows).any():
            raise StoreError(f"{store / VIDEOS_KEY} names rows of {name} that the array does not have")
        # An array without rows may still have axes of any length, but NumPy cannot make one of 2^63 bytes or more.
        row_bytes = metadata.row_bytes
        bounds[name] = row_bytes * math.prod(max(1, int(dim.max(initial=0))) for dim in dims)
        if bounds[name] >= 2**63 and (row_bytes * np.prod(np.maximum(dims, 1.0), axis=0) >= 2.0**63).any():
            raise StoreError(f"{store / VIDEOS_KEY} has lengths of {name} that no array can have")
    return bounds


def used_rows(table: pa.Table | PartialTable, arrays: Mapping[str, ArrayReader], places: Places, name: str) -> int:
    """The number of rows of an array that belong to videos; the others only fill up shards.

    Of a table in parts, whose columns are not all here, it is the number of all rows.
    """
    if isinstance(table, PartialTable):
        return arrays[name].metadata.rows
    there = np.asarray(table[f"{name}.row"].is_valid())
    return int(np.prod([length[there] for length in places[name].lengths], axis=0).sum())


def field_reader(
    array: ArrayReader, name: str, place: Place, longest: int | None, store: Location
) -> Callable[[int], np.ndarray[Any, Any]]:
    """A function from a video's row in the table to its array.

    ``longest`` are the bytes of the longest video, or more; None if they are not known. Raises StoreError if no array
    can have so many axes; the function raises it if a video does not fit in memory.
    """
    first, lengths = place
    read = array.read
    if len(lengths) + len(array.metadata.trailing) > _MANY_AXES:
        try:
            read(0, *[0] * len(lengths))
        except ValueError as error:
            raise StoreError(f"{store / name / ROOT_KEY}: {error}") from error
    if longest is None or longest > _LARGE:
        read = _within_memory(read, f"{store / VIDEOS_KEY}: a video of many rows of {name}")
    row_of = first.item
    if len(lengths) == 1:
        length = lengths[0].item
        return lambda row: read(row_of(row), length(row))
    if len(lengths) == 2:
        outer, inner = lengths[0].item, lengths[1].item
        return lambda row: read(row_of(row), outer(row), inner(row))
    return lambda row: read(row_of(row), *[length.item(row) for length in lengths])


def _within_memory(read: Callable[..., Any], what: str) -> Callable[..., Any]:
    """Make a function raise StoreError instead of MemoryError: a damaged table may request any amount of memory."""

    def within(*arguments: Any) -> Any:
        try:
            return read(*arguments)
        except MemoryError as error:
            raise StoreError(f"{what} does not fit in memory ({error})") from error

    return within
