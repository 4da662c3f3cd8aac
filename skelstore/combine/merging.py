"""Merging stores: they are joined like parts. Shard files are linked or copied, and no large array is decoded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from skelstore import splits
from skelstore.combine.conflicts import CONFLICTS, Conflict, Input, find_casts, refuse_conflicts
from skelstore.combine.provenance import join_sources
from skelstore.errors import DamageError, MergeError
from skelstore.format import chunking, values
from skelstore.format.checksums import FileEntry
from skelstore.format.codecs import PROFILES
from skelstore.format.files import local_path
from skelstore.format.layouts import FieldIdentity
from skelstore.format.metadata import ArrayMetadata
from skelstore.format.schema import LAYOUT_COLUMN, ORIGIN_COLUMNS, POSITION_COLUMN, name_hash
from skelstore.format.shards import ShardFile
from skelstore.read import identifiers
from skelstore.read.arrays import ArrayReader
from skelstore.read.reader import Reader
from skelstore.read.table import numeric_column
from skelstore.read.videos import ranks_of, source_positions
from skelstore.wording import counted
from skelstore.write import disk
from skelstore.write.arrays import ArrayWriter
from skelstore.write.joining import join, name_layout
from skelstore.write.parts import Part
from skelstore.write.planning import Plan
from skelstore.write.workspace import Workspace

RECODED_BYTES = chunking.PART_BYTES
"""An array of at most this decoded size is encoded again if its chunks differ from those of its field's largest."""

_BLOCK_BYTES = 8 << 20


def merge(
    stores: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    allow: Sequence[Conflict] = (),
    as_splits: Sequence[str] = (),
    cast: bool = False,
    copy: bool = False,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Merge stores, in the given order, into a new store at ``path``, which appears only when it is complete.

    The videos of a shuffled store stay in their order; exported, all are in that of the sources, store by store.

    Splits with the same name are joined in that order. With ``as_splits``, one name per store, the videos of each store
    also become a split with that name. So bare lists of annotations, one per split, become one data set.

    Shard files are hard-linked, so they take no additional space. A merged store may be deleted afterwards, but damage
    to a linked file affects both stores. Files are copied if links are not available, and with ``copy``. Neither
    decodes anything. Arrays of one field become one array if their chunks and codecs agree. Otherwise a small array is
    encoded again, and a large one stays a separate array. ``advance`` is called with the bytes of each shard file that
    is done.

    With ``cast``, float16 arrays are rewritten as float32 if another array of their field and shape is float32. No
    value changes, and all other arrays keep their dtype.

    All conflicts between the stores are reported together, except those whose kind is in ``allow``: ``ids`` (two stores
    have a video with the same name, or their splits name videos by different keys), ``joints`` (``keypoint`` has no
    [V, C] in common, or the joint layouts differ), ``fields`` (an array has no dtype or, except for ``keypoint`` and
    ``keypoint_score``, no fixed shape in common), ``labels`` (one store has integers, another has texts, or the class
    names differ), ``document`` (a value at the top of the sources differs; the first is kept), ``raw`` (one store has
    raw NTU RGB+D data, another has skeletons for a pipeline).

    Raises MergeError for conflicts, StoreExistsError if ``path`` is taken (``force`` replaces a store there, even one
    of the merged stores), and everything that ``open`` raises.
    """
    if unknown := set(allow) - set(CONFLICTS):
        raise MergeError(f"allow={sorted(unknown)}: expected some of {', '.join(CONFLICTS)}")
    if as_splits and len(as_splits) != len(stores):
        raise MergeError(
            f"{counted(len(as_splits), 'name')} of splits for {counted(len(stores), 'store')}; expected one for each"
        )
    if not stores:
        raise MergeError("no stores to merge were given, expected at least one")
    readers = [Reader(local_path(store), "first") for store in stores]
    try:
        casts = find_casts(readers) if cast else [{} for _ in readers]
        inputs = [
            Input(reader, identifiers.names(reader), of_one) for reader, of_one in zip(readers, casts, strict=True)
        ]
        refuse_conflicts(inputs, allow)
        whole = splits.join_splits([reader.splits for reader in readers] + _videos_as_splits(readers, as_splits))
        source = join_sources(readers, bool(whole))
        places = _places(inputs)
        positions = _positions(readers)
        given = {place.field: place.metadata for of_store in places for place in of_store.values()}
        plan = Plan(_profile(readers), {}, {}, given)
        with Workspace(path, force=force) as workspace:
            parts = [
                _part(one, of_store, at, workspace.parts / f"{i:05}", copy, advance)
                for i, (one, of_store, at) in enumerate(zip(inputs, places, positions, strict=True))
                if one.names
            ]
            join(parts, plan, whole, source, workspace.store)
            workspace.commit()
    finally:
        for reader in readers:
            reader.files.close()


class _Place(NamedTuple):
    """The target of a store's array: its field, its array metadata without rows, and whether shards are linked."""

    field: FieldIdentity
    metadata: ArrayMetadata
    linked: bool


def _places(inputs: Sequence[Input]) -> list[dict[str, _Place]]:
    """For each store, the target in the merged store of each of its arrays.

    The first variant of a field has the chunks and codecs of the field's largest array. An array with the same chunks
    and codecs joins it. Of the others, a small array is encoded again for it, and a large one becomes another variant.
    Arrays to be cast come last, so they are encoded like an array that already has their new dtype.
    """
    arrays = [(number, name, array) for number, one in enumerate(inputs) for name, array in one.reader.arrays.items()]
    arrays.sort(key=lambda entry: (entry[1] in inputs[entry[0]].casts, -entry[2].metadata.rows))
    variants: dict[FieldIdentity, list[ArrayMetadata]] = {}
    taken: set[tuple[int, FieldIdentity]] = set()  # arrays of one store always stay separate
    places: list[dict[str, _Place]] = [{} for _ in inputs]
    for number, name, array in arrays:
        identity = _identity(inputs[number], name)
        known = variants.setdefault(identity, [])
        cast = name in inputs[number].casts
        metadata = known[0] if cast else dataclasses.replace(array.metadata, rows=0)
        free = [i for i in range(len(known)) if (number, identity._replace(variant=i)) not in taken]
        same = [i for i in free if known[i] == metadata]
        small = array.metadata.rows * metadata.row_bytes <= RECODED_BYTES
        if not same and not (small and free):
            same = [len(known)]
            known.append(metadata)
        variant = (same or free)[0]
        field = identity._replace(variant=variant)
        taken.add((number, field))
        places[number][name] = _Place(field, known[variant], bool(same) and not cast)
    return places


def _identity(one: Input, name: str) -> FieldIdentity:
    array, field = one.reader.arrays[name].metadata, one.reader.metadata.fields[name]
    return FieldIdentity(values.dumps(field.path), one.casts.get(name, array.dtype).str, field.ragged, array.trailing)


def _positions(readers: Sequence[Reader]) -> list[pa.Array | None]:
    """For each store, the positions of its videos in all sources, one after the other; None if none is shuffled."""
    found = [source_positions(reader) for reader in readers]
    if all(positions is None for positions in found):
        return [None] * len(readers)
    counts = [reader.metadata.videos for reader in readers]
    ranks = [np.arange(n) if own is None else ranks_of(own) for own, n in zip(found, counts, strict=True)]
    return [pa.array(first + own, pa.int64()) for first, own in zip(accumulate(counts, initial=0), ranks, strict=False)]


def _part(
    one: Input,
    places: dict[str, _Place],
    positions: pa.Array | None,
    folder: Path,
    copy: bool,
    advance: Callable[[int], None] | None,
) -> Part:
    """Make a part of a store: its shards under the numbers of its fields, its table with the column names of parts."""
    reader, names = one.reader, one.names
    folder.mkdir()
    table: dict[str, Any] = {"layout": reader.table[LAYOUT_COLUMN]}
    hashes = (None if name is None else name_hash(name) for name in names)
    table["name"] = pa.array(hashes, pa.uint32())
    table |= {name: reader.table[name] for name in ORIGIN_COLUMNS if name in reader.table.column_names}
    table |= {} if positions is None else {POSITION_COLUMN: positions}
    columns = {name: number for number, name in enumerate(reader.metadata.columns)}
    table |= {f"column {number}": reader.table[name] for name, number in columns.items()}
    fields = {name: number for number, name in enumerate(reader.metadata.fields)}
    rows: list[int] = []
    shards: list[list[ShardFile]] = []
    for name, number in fields.items():
        target = folder / str(number)
        target.mkdir()
        first = reader.table[f"{name}.row"]
        if places[name].linked:
            shards.append(_take_shards(reader, name, target, copy, advance))
            rows.append(reader.arrays[name].metadata.rows)
        else:
            writer = ArrayWriter(target, places[name].metadata)
            try:
                first = _rewrite(reader, name, writer, places[name].metadata.dtype)
                writer.close()
            finally:
                writer.abort()
            shards.append(writer.shards)
            rows.append(writer.rows)
        table[f"field {number}.row"] = first
        for axis in range(reader.metadata.fields[name].ragged):
            table[f"field {number}.dim{axis}"] = reader.table[f"{name}.dim{axis}"]
    return _StorePart(
        folder,
        len(names),
        list(reader.metadata.columns.values()),
        [places[name].field for name in fields],
        [name_layout(node, columns, fields) for node in reader.metadata.layouts],
        rows,
        shards,
        pa.table(table),
    )


@dataclasses.dataclass(frozen=True)
class _StorePart(Part):
    """A part whose table is that of a store."""

    videos_table: pa.Table

    def table(self) -> pa.Table:
        return self.videos_table


def _take_shards(
    reader: Reader, name: str, folder: Path, copy: bool, advance: Callable[[int], None] | None
) -> list[ShardFile]:
    """Link or copy the shards of an array into a folder. Raises DamageError if one does not match the manifest."""
    array = reader.arrays[name]
    taken = []
    for number in range(array.metadata.shards):
        file = array.metadata.shard_key(number)
        source = reader.folder / name / file
        array.shard(number)  # checks size, index and identity against the manifest
        entry = reader.manifest.shards[f"{name}/{file}"]
        if copy or not disk.link_file(source, folder / file):
            copied = disk.copy_file(source, folder / file)
            if copied != FileEntry(entry.size, entry.crc32c):
                raise DamageError(
                    f"{source} is damaged (its checksum does not match the manifest), so fetch or convert the store "
                    "again"
                )
        taken.append(entry)
        if advance:
            advance(entry.size)
    return taken


def _rewrite(reader: Reader, name: str, writer: ArrayWriter, dtype: np.dtype[Any]) -> pa.Array:
    """Write all rows that belong to videos, as ``dtype``; return the first row of each video in the new array."""
    column = reader.table[f"{name}.row"]
    there = column.is_valid().to_numpy(zero_copy_only=False)
    first = numeric_column(reader.table, f"{name}.row", pa.int64())[there]
    count = np.ones(len(first), np.int64)
    for axis in range(reader.metadata.fields[name].ragged):
        count *= numeric_column(reader.table, f"{name}.dim{axis}", pa.int64())[there]
    starts, stops = _runs(first, count)
    array = reader.arrays[name]
    written = [_write_run(array, start, stop, writer, dtype) for start, stop in zip(starts, stops, strict=True)]
    run = np.searchsorted(starts, first, side="right") - 1
    moved = np.zeros(len(there), np.int64)
    moved[there] = first + (np.asarray(written, np.int64) - starts)[run]
    return pa.array(moved, pa.int64(), mask=~there)


def _write_run(array: ArrayReader, start: int, stop: int, writer: ArrayWriter, dtype: np.dtype[Any]) -> int:
    """Write the rows ``start`` to ``stop`` of an array; return the row at which they start in the new array."""
    first = writer.rows
    block = max(1, _BLOCK_BYTES // array.metadata.row_bytes)
    for at in range(start, stop, block):
        writer.append(array.read(at, min(block, stop - at)).astype(dtype, copy=False))
    return first


def _runs(first: np.ndarray[Any, Any], count: np.ndarray[Any, Any]) -> tuple[list[int], list[int]]:
    """Starts and stops of the contiguous runs of rows; each video has ``count`` rows from ``first`` on."""
    if not len(first):
        return [], []
    order = np.argsort(first, kind="stable")
    begin = first[order]
    reach = np.maximum.accumulate(begin + count[order])
    cuts = np.flatnonzero(begin[1:] > reach[:-1]) + 1
    return begin[np.r_[0, cuts]].tolist(), reach[np.r_[cuts - 1, -1]].tolist()


def _videos_as_splits(readers: Sequence[Reader], names: Sequence[str]) -> list[dict[Any, Any]]:
    """For each store, a split with the ids of its videos, by the key that identifies videos in the merged store."""
    key = identifiers.identifier(next((reader for reader in readers if reader.metadata.videos), readers[0]))
    for name, reader in zip(names, readers, strict=False):
        if name in reader.splits:
            raise MergeError(f"{reader.path} already has a split {name!r}: give the split of its videos another name")
    return [{name: identifiers.ids(reader, key)} for name, reader in zip(names, readers, strict=False)]


def _profile(readers: Sequence[Reader]) -> Any:
    """The profile of the store with the most rows; only informative, since readers use the codecs of each array."""
    profile = max(readers, key=lambda reader: sum(array.metadata.rows for array in reader.arrays.values()))
    return profile.metadata.profile if profile.metadata.profile in PROFILES else "default"
