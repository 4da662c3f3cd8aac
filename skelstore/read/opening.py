"""Opening a store: its root, its manifest, the table of its videos, and what its arrays are.

Each file is checked against what was read before it: the root has the checksum of the manifest, and the manifest those
of all other files.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from skelstore.errors import DamageError, RemoteError, StoreError, StoreNotFoundError
from skelstore.format.checksums import FileEntry, crc32c
from skelstore.format.metadata import MAX_JSON_BYTES, ArrayMetadata, Manifest, StoreMetadata, from_bytes
from skelstore.format.schema import (
    MANIFEST_KEY,
    NAMES_KEY,
    PARTIAL_SUFFIX,
    REPLACING,
    ROOT_KEY,
    SPLITS_KEY,
    VIDEOS_KEY,
    aside_of,
)
from skelstore.format.store_files import StoreFiles, read_file
from skelstore.read.arrays import ArrayReader, Check
from skelstore.read.location import Cache, Location, open_files, placed
from skelstore.read.partial_table import PartialTable
from skelstore.read.table import COPIED_BYTES, WHOLE_BYTES, WHOLE_NAMES_BYTES, read_table
from skelstore.wording import counted

_OPENINGS = 20
"""Maximum number of attempts to open a store that is being replaced."""

_PAUSE = 0.01
"""Seconds to wait for a store that is briefly missing from its path while it is being replaced."""


def open_consistent(location: Location, cache: Cache, use: Callable[[StoreFiles], None]) -> None:
    """Call ``use`` with the files of a store; if the store is replaced meanwhile, again with those of the new one.

    So what ``use`` has read when it returns belongs to one store. Raises what it raises otherwise; a StoreError whose
    message names no file names the root.
    """
    for attempt in range(1, _OPENINGS + 1):
        files = open_files(location, cache)
        try:
            return use(files)
        except StoreNotFoundError:
            if attempt == _OPENINGS or not _is_being_replaced(location):
                raise
            time.sleep(_PAUSE)
        except StoreError as error:
            if attempt == _OPENINGS or not files.was_replaced():
                raise placed(error, location, location / ROOT_KEY) from error


def _is_being_replaced(location: Location) -> bool:
    """Whether a store is being renamed to this path, or has been meanwhile: see ``Workspace.commit``."""
    if not isinstance(location, Path):
        return False
    workspace = Path(os.path.realpath(location) + PARTIAL_SUFFIX)
    between = (aside_of(workspace / "store"), workspace / REPLACING)
    return any(map(os.path.exists, (*between, location / ROOT_KEY)))


def open_root(files: StoreFiles) -> tuple[StoreMetadata, Manifest]:
    """The content of the root and of the manifest, by which ``files`` remembers the store.

    Raises StoreNotFoundError if there is no root, StoreError if this version cannot read it, DamageError if the
    manifest is not the one that the root names.
    """
    root = _read_root(files)
    metadata = StoreMetadata.from_bytes(root, str(files.path(ROOT_KEY)))
    files.remember(ROOT_KEY, root)
    data = _read_json(files, MANIFEST_KEY, metadata.manifest)
    files.remember(MANIFEST_KEY, data)
    return metadata, Manifest.from_bytes(data, str(files.path(MANIFEST_KEY)))


def _read_root(files: StoreFiles) -> bytes:
    try:
        return files.read_all(ROOT_KEY, MAX_JSON_BYTES)
    except StoreNotFoundError as error:
        path = files.root
        if not isinstance(path, Path):
            raise StoreNotFoundError(
                f"{error}; expected the {ROOT_KEY} of a store: check the URL, or publish the store first"
            ) from None
        partial = os.path.realpath(path) + PARTIAL_SUFFIX
        if os.path.isdir(partial):
            raise StoreNotFoundError(
                f"{path} does not exist, but a conversion to it was started in {partial}: run it again"
            ) from None
        if path.is_dir():
            raise StoreNotFoundError(
                f"{path} has no {ROOT_KEY}, so it is not a store, or was never completed: convert the source again"
            ) from None
        if path.exists():
            raise StoreNotFoundError(
                f"{path} is a file, not the folder of a store: convert it, if it is a source"
            ) from None
        raise StoreNotFoundError(f"{path} does not exist; expected the folder of a store") from None


def _read_json(files: StoreFiles, key: str, expected: FileEntry | None) -> bytes:
    path = files.path(key)
    if expected is None:
        raise StoreError(f"{path} is not in the manifest, so fetch or convert the store again")
    try:
        copy = files.copy(key, expected.size, expected.crc32c)
        status = copy.stat()
        if status.st_size == expected.size or not stat.S_ISREG(status.st_mode):
            data = read_file(copy, path, MAX_JSON_BYTES)
            if len(data) == expected.size and crc32c(data) == expected.crc32c:
                return data
        if files.drop_copy(key):
            return _read_json(files, key, expected)
    except RemoteError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise DamageError(f"{path} is missing: the store is damaged, so fetch or convert it again") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    raise DamageError(f"{path} is damaged or from another version of the store, so fetch or convert the store again")


def fetch_tables(files: StoreFiles, metadata: StoreMetadata, manifest: Manifest, *, in_parts: bool) -> None:
    """Let a remote store fetch at once what is needed to open it, and to find videos by name if that is small.

    With ``in_parts``, large tables are prepared to be fetched in parts when they are needed.
    """
    listed = manifest.files
    keys = [VIDEOS_KEY, *(f"{name}/{ROOT_KEY}" for name in metadata.fields)]
    keys += [key for key in (NAMES_KEY, SPLITS_KEY) if key in listed and listed[key].size <= COPIED_BYTES]
    parts = {}
    for key, most in ((VIDEOS_KEY, WHOLE_BYTES), (NAMES_KEY, WHOLE_NAMES_BYTES)) if in_parts else ():
        if key in listed and listed[key].blocks is not None and listed[key].size > most:
            parts[key] = listed[key]
    copies = {key: (listed[key].size, listed[key].crc32c) for key in keys if key in listed and key not in parts}
    files.fetch_copies(copies, parts)


def open_videos(files: StoreFiles, metadata: StoreMetadata, manifest: Manifest, mmap: bool) -> pa.Table | PartialTable:
    """The table of the videos. Raises as ``read_table`` does, and StoreError if it has another number of videos."""
    place = files.path(VIDEOS_KEY)
    parts = files.open_parts(VIDEOS_KEY, mmap)
    if parts is None:
        table = read_table(files, VIDEOS_KEY, manifest.files.get(VIDEOS_KEY), mmap)
    else:
        table = PartialTable(parts, str(place))
    if len(table) != metadata.videos:
        raise StoreError(f"{place} has {counted(len(table), 'video')}; {ROOT_KEY} says {metadata.videos:,}")
    return table


def open_array(files: StoreFiles, name: str, manifest: Manifest, check: Check) -> ArrayReader:
    """The reader of an array. Raises DamageError if its metadata is not what was written, StoreError if unreadable."""
    key = f"{name}/{ROOT_KEY}"
    place = str(files.path(key))
    data = _read_json(files, key, manifest.files.get(key))
    metadata = ArrayMetadata.from_json(from_bytes(data, place), place)
    try:
        return ArrayReader(files, name, metadata, manifest.shards, check)
    except StoreError as error:
        raise placed(error, files.root, place) from error
