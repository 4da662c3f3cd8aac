"""Checking a store against its manifest: at a level that the caller chooses, as a whole or in shares."""

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
from skelstore.format.schema import MANIFEST_KEY, POSITION_COLUMN, ROOT_KEY, VIDEOS_KEY
from skelstore.read.location import locate
from skelstore.read.reader import Reader
from skelstore.read.table import numeric_column
from skelstore.read.videos import source_positions
from skelstore.wording import closest, counted

Subset: TypeAlias = tuple[int, int]
"""(n, m): the n-th of m shares, where n counts from 1. Together the m shares cover everything once."""

WHOLE: Subset = (1, 1)

_LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\.nfs.*", re.IGNORECASE | re.DOTALL)
"""Names of files that macOS, Windows and NFS leave in folders. No file of a store has such a name."""


def share(subset: Subset, count: int) -> range:
    """The items of a share, out of ``count``: every m-th from the n-th on. Raises StoreError unless 1 <= n <= m."""
    n, m = subset
    if not 1 <= n <= m:
        raise StoreError(f"there is no share {n} of {m}; shares are counted from 1")
    return range(n - 1, count, m)


def verify(
    path: str | os.PathLike[str],
    *,
    level: Level = "structure",
    subset: Subset = WHOLE,
    advance: Callable[[int], None] | None = None,
) -> list[str]:
    """All problems of a store, each a sentence that names the file; an empty list if there are none.

    A store at a URL is read through its cache. What else is beside its files is not looked at.

    The level ``structure`` checks the tables and the metadata against their checksums, the name and size of every file
    against the manifest, the index and identity of every shard, and that every video's rows are within its array.
    ``checksums`` also checks every byte against the manifest's checksums, and names the chunk in a shard that fails.
    ``decode`` also decodes every chunk and reads every video. With a ``subset`` (n, m), only every m-th shard is opened
    and every m-th video read, starting with the n-th; the rest of the structure is always checked as a whole, which
    takes no time. Files that ``find_litter`` reports are not problems.

    ``advance`` is called with the size in bytes of each shard that is done. Raises StoreError for an unknown level, and
    unless 1 <= n <= m.
    """
    if level not in LEVELS:
        raise StoreError(f"level {level!r}; expected one of {', '.join(LEVELS)}{closest(level, LEVELS)}")
    share(subset, 0)
    try:
        reader = Reader(locate(path), "always", in_parts=False)
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
    """Read the tables, which checks them; the table of the videos was read when the store was opened."""
    for read in (lambda: reader.splits, lambda: reader.rows_named("")):
        try:
            read()
        except SkelstoreError as error:
            yield str(error)
    yield from _check_positions(reader)
    for name in reader.arrays:
        yield from _check_rows(reader, name)


def _check_positions(reader: Reader) -> Iterator[str]:
    """Check that no two videos have the same position in the source."""
    try:
        positions = source_positions(reader)
    except SkelstoreError as error:
        yield str(error)
        return
    if positions is not None and len(np.unique(positions)) < len(positions):
        yield f"{reader.path / VIDEOS_KEY}: two videos have the same {POSITION_COLUMN}: convert the source again"


def _check_shards(reader: Reader, level: Level, subset: Subset, advance: Callable[[int], None] | None) -> Iterator[str]:
    shards: list[tuple[str, int]] = []
    for name, array in reader.arrays.items():
        count, listed = array.metadata.shards, len(reader.manifest.shards)
        if count <= listed:  # the count comes from a file, and may be of any size
            shards += [(name, shard) for shard in range(count)]
        else:
            of_array = counted(count, "shard")
            yield f"{reader.path / name / ROOT_KEY} has {of_array}; the manifest lists only {listed:,} for all arrays"
    taken = share(subset, len(shards))
    for i, (name, shard) in enumerate(shards):
        array = reader.arrays[name]
        key = f"{name}/{array.metadata.shard_key(shard)}"
        entry = reader.manifest.shards.get(key)
        if i in taken:
            try:
                array.shard(shard)
                changed = []
                if level != "structure" and entry is not None and not reader.is_remote:
                    changed = _compare_bytes(reader.folder / key, FileEntry(entry.size, entry.crc32c))
                    yield from changed
                if changed or level == "decode" or (level == "checksums" and reader.is_remote):
                    array.check_shard(shard)
            except SkelstoreError as error:
                yield str(error)
        if advance and entry is not None:
            advance(entry.size)
    if level != "structure":
        for key, file in reader.manifest.files.items():
            try:
                copy = reader.files.copy(key, file.size, file.crc32c)
            except SkelstoreError as error:
                yield str(error)
            else:
                yield from _compare_bytes(copy, file)


def _check_videos(reader: Reader, subset: Subset) -> Iterator[str]:
    for row in share(subset, reader.metadata.videos):
        try:
            reader.annotation(row)
        except SkelstoreError as error:
            yield str(error)


def _compare_files(reader: Reader) -> Iterator[str]:
    sizes = {key: entry.size for key, entry in reader.manifest.files.items()}
    sizes |= {key: entry.size for key, entry in reader.manifest.shards.items()}
    if reader.is_remote:
        yield from reader.files.compare_sizes(sizes)
        return
    for key, size in sizes.items():
        file = reader.folder / key
        try:
            status = file.stat()
        except OSError:  # missing, or a broken link
            yield f"{file} is missing; the manifest says {counted(size, 'byte')}"
            continue
        if not stat.S_ISREG(status.st_mode):
            yield f"{file} is not a regular file; the manifest says {counted(size, 'byte')}"
        elif status.st_size != size:
            yield f"{file} has {counted(status.st_size, 'byte')}; the manifest says {size:,}"
    yield from sorted(_find_strangers(reader.folder, {ROOT_KEY, MANIFEST_KEY, *sizes}))


def _find_strangers(store: Path, keys: set[str]) -> Iterator[str]:
    """Report what else is in the folder of a store. A folder that does not belong to the store is not searched."""
    folders = {str(folder) for key in keys for folder in PurePosixPath(key).parents}
    for folder, subfolders, names in os.walk(store):
        for name in names:
            file = Path(folder, name)
            if file.relative_to(store).as_posix() not in keys and not _LITTER.fullmatch(name):
                yield f"{file} is not a file of the store (the manifest does not list it)"
        for name in list(subfolders):
            inner = Path(folder, name)
            if inner.is_symlink():
                yield f"{inner} is a link to a folder, which a store does not have: replace it with the folder itself"
            elif inner.relative_to(store).as_posix() not in folders:
                subfolders.remove(name)
                yield f"{inner} is not a folder of the store (the manifest lists no file in it)"


def find_litter(path: str | os.PathLike[str]) -> list[str]:
    """A sentence for each file that an operating system or a file system has left in a store; they do no harm.

    Of a store at a URL, nothing is known about other files.
    """
    if not isinstance(locate(path), Path):
        return []
    return [
        f"{Path(folder, name)} is not a file of the store: the system left it there, and you can remove it"
        for folder, _, names in os.walk(path)
        for name in sorted(names)
        if _LITTER.fullmatch(name)
    ]


def _compare_bytes(file: Path, expected: FileEntry) -> list[str]:
    """The problems of a file's bytes. A file of another size is skipped: `_compare_files` reports it."""
    try:
        if file.stat().st_size != expected.size:
            return []
        if checksums.has_content(file, expected):
            blocks = expected.blocks
            if blocks is None or checksums.measure_blocks(file, blocks.size) == blocks:
                return []
            return [f"{file} is not what the manifest says (the checksums of its blocks are those of other bytes)"]
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{file} cannot be read: {error.strerror}"]
    return [f"{file} is damaged (its checksum does not match the manifest)"]


def _check_rows(reader: Reader, name: str) -> list[str]:
    """Problems with videos that share rows. That rows are within the array is checked when the store is opened."""
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
