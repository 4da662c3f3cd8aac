"""Holding a store against its manifest: structure and sizes, or every byte and chunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from skelstore import disk
from skelstore.errors import SkelstoreError
from skelstore.metadata import MANIFEST_KEY, ROOT_KEY, FileEntry
from skelstore.reader import Reader
from skelstore.table import numeric_column


def verify(
    path: str | os.PathLike[str], *, data: bool = False, advance: Callable[[int], None] | None = None
) -> list[str]:
    """All problems of a store, each a sentence that names the file; an empty list if there is none.

    Structure always: the tables and metadata against their checksums, every file against the manifest by name and
    size, every shard's index and identity, every video's rows within its array. With ``data`` every byte against the
    manifest's checksums too, and every chunk decoded. ``advance`` is called with the bytes of each file done.
    """
    try:
        reader = Reader(Path(path), "always")
        reader.splits  # noqa: B018 - reading is the check
        reader.rows_named("")
    except SkelstoreError as error:
        return [str(error)]
    problems = list(_compare_files(reader))
    for name, array in reader.arrays.items():
        problems += _check_rows(reader, name)
        for shard in range(array.metadata.shards):
            key = f"{name}/{array.metadata.shard_key(shard)}"
            entry = reader.manifest.shards.get(key)
            try:
                array.shard(shard)
                if data and entry is not None:
                    problems += _compare_bytes(reader.path / key, FileEntry(entry.size, entry.crc32c))
                    array.check_shard(shard)
            except SkelstoreError as error:
                problems.append(str(error))
            if advance and entry is not None:
                advance(entry.size)
    if data:
        for key, file in reader.manifest.files.items():
            problems += _compare_bytes(reader.path / key, file)
    reader.files.close()
    return list(dict.fromkeys(problems))


def _compare_files(reader: Reader) -> Iterator[str]:
    sizes = {key: entry.size for key, entry in reader.manifest.files.items()}
    sizes |= {key: entry.size for key, entry in reader.manifest.shards.items()}
    there = set(disk.walk_files(reader.path)) - {ROOT_KEY, MANIFEST_KEY}
    for key, size in sizes.items():
        file = reader.path / key
        if key not in there:
            yield f"{file} is missing; the manifest says {size} bytes"
        elif file.stat().st_size != size:
            yield f"{file} has {file.stat().st_size} bytes; the manifest says {size}"
    for key in sorted(there - set(sizes)):
        yield f"{reader.path / key} is no file of the store (the manifest does not name it)"


def _compare_bytes(file: Path, expected: FileEntry) -> list[str]:
    try:
        found = disk.measure_file(file)
    except OSError as error:
        return [f"{file} cannot be read: {error.strerror}"]
    return [] if found == expected else [f"{file} is damaged (its checksum is not that of the manifest)"]


def _check_rows(reader: Reader, name: str) -> list[str]:
    """Videos whose rows do not lie within the array, or are the rows of another video too."""
    field = reader.metadata.fields[name]
    column = reader.table[f"{name}.row"]
    has = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)) if len(column) else np.zeros(0, np.int64)
    first = numeric_column(reader.table, f"{name}.row", pa.int64())[has]
    count = np.ones(len(has), np.float64)
    for axis in range(field.ragged):
        count *= numeric_column(reader.table, f"{name}.dim{axis}", pa.int64())[has]
    rows = reader.arrays[name].metadata.rows
    outside = np.flatnonzero((first < 0) | (count < 0) | (first + count > rows))
    problems = [
        f"{reader.path / 'videos.arrow'}: video {has[i]}: {name} is rows {first[i]} to {first[i] + count[i]:.0f} of an "
        f"array of {rows}"
        for i in outside[:10]
    ]
    order = np.argsort(first, kind="stable")
    filled = order[count[order] > 0]
    overlap = np.flatnonzero(first[filled][1:] < (first + count)[filled][:-1])
    problems += [
        f"{reader.path / 'videos.arrow'}: videos {has[filled[i]]} and {has[filled[i + 1]]} share rows of {name}"
        for i in overlap[:10]
    ]
    return problems
