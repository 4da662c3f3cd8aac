"""The videos of a split: those whose identifiers are among the ids of the split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skelstore.errors import AmbiguousVideoError, SplitNotFoundError
from skelstore.format import values
from skelstore.read.identifiers import identifier
from skelstore.read.reader import Reader
from skelstore.splits import hashed
from skelstore.wording import closest, counted, kind_of, shown


def in_split(reader: Reader, name: Any) -> NDArray[np.bool_]:
    """For each row of the table, whether the video is in a split, bool [videos].

    It is, if its identifier is in the set of the ids: see ``identifier``. Raises SplitNotFoundError if there is no such
    split, or it is not a list of ids.
    """
    return _matches(reader, _ids_of_split(reader, name))


def _ids_of_split(reader: Reader, name: Any) -> Any:
    """The ids of a split: an Arrow array of str, or another collection. Raises SplitNotFoundError if it is neither."""
    if name not in reader.split_ids:
        there = ", ".join(map(repr, reader.split_ids)) or "no splits at all"
        close = closest(name, reader.split_ids)
        raise SplitNotFoundError(f"{reader.path} has no split {name!r}; there are {there}{close}")
    ids = reader.split_ids[name]
    if not isinstance(ids, (pa.Array, list, tuple, dict, np.ndarray)) or (isinstance(ids, np.ndarray) and not ids.ndim):
        raise SplitNotFoundError(f"{reader.path}: the split {name!r} is {kind_of(ids)}, not a list of ids")
    return ids


def _matches(reader: Reader, ids: Any) -> NDArray[np.bool_]:
    """For each row of the table, whether its identifier is among the ids; these may be an Arrow array of str."""
    texts = ids
    if not isinstance(ids, pa.Array):
        texts = pa.array([i for i in ids if isinstance(i, str) and values.is_utf8(i)], pa.large_utf8())
    key = identifier(reader)
    metadata = reader.metadata.columns.items()
    columns = [reader.table[name] for name, column in metadata if column.path == (key,) and column.type == "str"]
    keep = np.zeros(reader.metadata.videos, bool)
    for column in columns:  # a str is equal to no id that is not one
        keep |= pc.is_in(column, texts).to_numpy()
    pa.default_memory_pool().release_unused()  # it keeps the hash table of the ids: 65 MB for a million
    if all(column.null_count for column in columns):
        rest = np.ones(len(keep), bool)  # rows whose identifier is in none of the columns
        for column in columns:
            rest &= column.is_null().to_numpy()
        wanted: set[Any] = set().union(*map(hashed, ids.to_pylist() if isinstance(ids, pa.Array) else ids))
        reader.provide(np.flatnonzero(rest).tolist())
        for row in np.flatnonzero(rest).tolist():
            entries = reader.entries(row)
            keep[row] = key in entries and not wanted.isdisjoint(hashed(entries[key](row)))
    return keep


def split_positions(reader: Reader, rows: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
    """The positions of the videos of a split, in the order of the split's own list, int64 [n].

    Ids without a video are left out. An id that is listed several times is as many positions: those of the same video,
    or of one video after the other if as many videos have the id.

    Raises SplitNotFoundError as ``in_split`` does, AmbiguousVideoError if several videos have an id that is not listed
    as often.
    """
    codes, wanted = _coded(reader, _ids_of_split(reader, name))
    codes = codes[rows]
    wanted = wanted[np.isin(wanted, codes)]
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    first = ranked.searchsorted(wanted, "left")
    videos = ranked.searchsorted(wanted, "right") - first
    if not (videos > 1).any():
        return order[first]
    number, mentions = _counted_so_far(wanted)
    unclear = np.flatnonzero((videos > 1) & (videos != mentions))
    if len(unclear):
        alike = order[first[unclear[0]] :][: videos[unclear[0]]]
        key, row = identifier(reader), int(rows[alike[0]])
        raise AmbiguousVideoError(
            f"{reader.path}: the split {shown(name)} lists {counted(int(mentions[unclear[0]]), 'time')} the {key} "
            f"{shown(reader.entries(row)[key](row))}, which {len(alike):,} videos have, at positions "
            f"{', '.join(map(str, alike[:5]))}: give them different names"
        )
    return order[first + np.where(videos > 1, number, 0)]


def _counted_so_far(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each code [n], how many of the codes before it are equal, and how many of all are."""
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    begins = ranked.searchsorted(codes, "left")
    before = np.empty(len(codes), np.int64)
    before[order] = np.arange(len(codes)) - begins[order]
    return before, ranked.searchsorted(codes, "right") - begins


def _coded(reader: Reader, ids: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers that stand for identifiers: those of the rows [videos], -1 without one, and those of the ids [n].

    Ids without a video are left out.
    """
    key = identifier(reader)
    metadata = reader.metadata.columns.items()
    columns = [reader.table[name] for name, column in metadata if column.path == (key,) and column.type == "str"]
    if isinstance(ids, pa.Array) and len(columns) == 1 and not columns[0].null_count and len(columns[0]):
        # In Arrow: neither the names nor the ids become Python objects.
        encoded = pc.dictionary_encode(columns[0]).combine_chunks()
        places = pc.index_in(ids, encoded.dictionary).drop_null()
        codes = encoded.indices.to_numpy().astype(np.int64), places.to_numpy().astype(np.int64)
        pa.default_memory_pool().release_unused()  # it keeps the hash tables
        return codes
    numbers: dict[Any, int] = {}
    rows = np.full(reader.metadata.videos, -1, np.int64)
    reader.provide(range(len(rows)))
    for row in range(len(rows)):
        entries = reader.entries(row)
        for value in hashed(entries[key](row)) if key in entries else ():
            rows[row] = numbers.setdefault(value, len(numbers))
    listed = [value for one in (ids.to_pylist() if isinstance(ids, pa.Array) else ids) for value in hashed(one)]
    return rows, np.array([numbers[value] for value in listed if value in numbers], np.int64)
