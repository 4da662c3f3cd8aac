"""Checking a store against its manifest: how thoroughly, and whole or in shares, is up to the caller."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from skelstore.choices import LEVELS as LEVELS
from skelstore.choices import Level as Level
from skelstore.errors import SkelstoreError, StoreError
from skelstore.format import checksums
from skelstore.format.checksums import FileEntry
from skelstore.format.files import local_path
from skelstore.format.schema import MANIFEST_KEY, ROOT_KEY
from skelstore.read.reader import Reader
from skelstore.read.table import numeric_column
from skelstore.wording import closest, counted

Subset: TypeAlias = tuple[int, int]
"""(n, m): the n-th of m shares, n from 1 on. The m shares together are everything, and none is in two."""

WHOLE: Subset = (1, 1)

_LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\.nfs.*", re.IGNORECASE | re.DOTALL)
"""Names of files that macOS, Windows and NFS leave in folders. A store has no file of such a name."""


def share(subset: Subset, count: int) -> range:
    """Which of ``count`` items are in a share: every m-th, from the n-th on. Raises StoreError unless 1 <= n <= m."""
    n, m = subset
    if not 1 <= n <= m:
        raise StoreError(f"share {n} of {m} was asked for; the shares are counted from 1 on")
    return range(n - 1, count, m)


def verify(
    path: str | os.PathLike[str],
    *,
    level: Level = "structure",
    subset: Subset = WHOLE,
    advance: Callable[[int], None] | None = None,
) -> list[str]:
    """All problems of a store, each a sentence that names the file; an empty list if there is none.

    ``structure``: the tables and metadata against their checksums, every file against the manifest by name and size,
    every shard's index and identity, every video's rows within its array. ``checksums``: every byte against the
    manifest's checksums, too; of a shard that fails, the chunk. ``decode``: every chunk is decoded and every video
    read, too. Of a ``subset`` (n, m), every m-th shard is opened and every m-th video read, beginning with the n-th;
    the rest of the structure takes no time and is checked whole. What ``find_litter`` finds is no problem.

    ``advance`` is called with the bytes of each shard done. Raises StoreError for an unknown level, and unless
    1 <= n <= m.
    """
    if level not in LEVELS:
        raise StoreError(f"level {level!r}; expected one of {', '.join(LEVELS)}{closest(level, LEVELS)}")
    share(subset, 0)
    try:
        reader = Reader(local_path(path), "always")
    except SkelstoreError as error:
        return [str(error)]
    try:
        problems = [
            *_compare_files(reader),
            *_check_tables(reader),
            *_check_shards(reader, level, subset, advance),
            *(_check_videos(reader, subset) if level == "decode" else ()),
        ]
    finally:
        reader.files.close()
    return list(dict.fromkeys(problems))


def _check_tables(reader: Reader) -> Iterator[str]:
    """The tables are checked when they are read; this one has been, and the others are read here."""
    for read in (lambda: reader.splits, lambda: reader.rows_named("")):
        try:
            read()
        except SkelstoreError as error:
            yield str(error)
    for name in reader.arrays:
        yield from _check_rows(reader, name)


def _check_shards(reader: Reader, level: Level, subset: Subset, advance: Callable[[int], None] | None) -> Iterator[str]:
    shards: list[tuple[str, int]] = []
    for name, array in reader.arrays.items():
        count, there = array.metadata.shards, len(reader.manifest.shards)
        if count <= there:  # a number out of a file, of any size
            shards += [(name, shard) for shard in range(count)]
        else:
            shards_there = counted(count, "shard")
            yield f"{reader.path / name / ROOT_KEY} names {shards_there}; the manifest names {there:,} of all arrays"
    taken = share(subset, len(shards))
    for i, (name, shard) in enumerate(shards):
        array = reader.arrays[name]
        key = f"{name}/{array.metadata.shard_key(shard)}"
        entry = reader.manifest.shards.get(key)
        if i in taken:
            try:
                array.shard(shard)
                changed = []
                if level != "structure" and entry is not None:
                    changed = _compare_bytes(reader.path / key, FileEntry(entry.size, entry.crc32c))
                    yield from changed
                if changed or level == "decode":
                    array.check_shard(shard)
            except SkelstoreError as error:
                yield str(error)
        if advance and entry is not None:
            advance(entry.size)
    if level != "structure":
        for key, file in reader.manifest.files.items():
            yield from _compare_bytes(reader.path / key, file)


def _check_videos(reader: Reader, subset: Subset) -> Iterator[str]:
    for row in share(subset, reader.metadata.videos):
        try:
            reader.annotation(row)
        except SkelstoreError as error:
            yield str(error)


def _compare_files(reader: Reader) -> Iterator[str]:
    sizes = {key: entry.size for key, entry in reader.manifest.files.items()}
    sizes |= {key: entry.size for key, entry in reader.manifest.shards.items()}
    for key, size in sizes.items():
        file = reader.path / key
        try:
            status = file.stat()
        except OSError:  # a link may lead nowhere
            yield f"{file} is missing; the manifest says {counted(size, 'byte')}"
            continue
        if not stat.S_ISREG(status.st_mode):
            yield f"{file} is not a regular file; the manifest says {counted(size, 'byte')}"
        elif status.st_size != size:
            yield f"{file} has {counted(status.st_size, 'byte')}; the manifest says {size:,}"
    yield from sorted(_find_strangers(reader.path, {ROOT_KEY, MANIFEST_KEY, *sizes}))


def _find_strangers(store: Path, keys: set[str]) -> Iterator[str]:
    """What else is in the folder of a store; a folder that does not belong to the store is reported, not searched."""
    folders = {str(folder) for key in keys for folder in PurePosixPath(key).parents}
    for folder, subfolders, names in os.walk(store):
        for name in names:
            file = Path(folder, name)
            if file.relative_to(store).as_posix() not in keys and not _LITTER.fullmatch(name):
                yield f"{file} is no file of the store (the manifest does not name it)"
        for name in list(subfolders):
            inner = Path(folder, name)
            if inner.is_symlink():
                yield f"{inner} is a link to a folder, which a store does not have: put the folder itself there"
            elif inner.relative_to(store).as_posix() not in folders:
                subfolders.remove(name)
                yield f"{inner} is no folder of the store (the manifest names no file in it)"


def find_litter(path: str | os.PathLike[str]) -> list[str]:
    """Files in a store that an operating system or a file system has left there, a sentence each; they do no harm."""
    return [
        f"{Path(folder, name)} is no file of the store; the system left it there, and it may be removed"
        for folder, _, names in os.walk(path)
        for name in sorted(names)
        if _LITTER.fullmatch(name)
    ]


def _compare_bytes(file: Path, expected: FileEntry) -> list[str]:
    """What is wrong with the bytes of a file. A file of another size is reported where sizes are compared."""
    try:
        if file.stat().st_size != expected.size or checksums.has_content(file, expected):
            return []
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{file} cannot be read: {error.strerror}"]
    return [f"{file} is damaged (its checksum is not that of the manifest)"]


def _check_rows(reader: Reader, name: str) -> list[str]:
    """Videos whose rows are the rows of another video too; that they are within the array is checked on opening."""
    field = reader.metadata.fields[name]
    column = reader.table[f"{name}.row"]
    has = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)) if len(column) else np.zeros(0, np.int64)
    first = numeric_column(reader.table, f"{name}.row", pa.int64())[has]
    count = np.ones(len(has), np.float64)
    for axis in range(field.ragged):
        count *= numeric_column(reader.table, f"{name}.dim{axis}", pa.int64())[has]
    order = np.argsort(first, kind="stable")
    filled = order[count[order] > 0]
    overlap = np.flatnonzero(first[filled][1:] < (first + count)[filled][:-1])
    return [
        f"{reader.path / 'videos.arrow'}: videos {has[filled[i]]} and {has[filled[i + 1]]} share rows of {name}"
        for i in overlap[:10]
    ]
