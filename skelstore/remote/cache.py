"""The cache folder: where copies are, how much they take, and which go when there is too much.

``shards/ORIGIN/`` has a sparse file per shard, named after the shard's digest; ``tables/URL/ROOT/`` the tables of a
store whose root has a digest; ``sources/URL/VERSION/`` a file that was downloaded as a whole. A shard's digest is
stated by the author of a store, so stores share shards only if they come from one folder: another author cannot put
bytes into the place of theirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from skelstore.errors import RemoteError, StoreError
from skelstore.remote.locks import try_lock
from skelstore.wording import shown

FOLDER = "v1"
"""Below the cache folder, for this form of it; other versions of skelstore leave it alone."""

PRIVATE_BYTES = 256 << 20
"""The limit of a cache of one process (``cache=None``)."""

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}

_SCANS_PER_LIMIT = 64
_MOST_BETWEEN_SCANS = 64 << 20
"""A process looks at the size of the cache when it has written this much, or a 64th of the limit."""

_KEPT = 0.9
"""Evicting stops at this share of the limit, so that it is not needed again at once."""

KEPT_SECONDS = 10.0
"""What was used this recently is not evicted: a reader that has just fetched bytes is about to read them."""

_TOUCH_SECONDS = 60.0
"""``touch`` renews the time of a copy if it is older than this: not at each use."""

LOCK = ".lock"
"""The file in a folder of ``sources`` that is locked by those who use what is in the folder. It is not evicted."""

RECORD = ".record"
"""The file in a folder of ``sources`` that says what was downloaded. Its time is that of the last use of the folder,
since the times of the file itself must stay what they are: a conversion compares them."""


class Usage(NamedTuple):
    """What is in a cache: number of files, their bytes on disk, and the limit in bytes."""

    path: Path
    shards: int
    tables: int
    sources: int
    size: int
    limit: int


class CachedFile(os.PathLike[str]):
    """A file at a URL, in the cache. It stays there while this object exists in the process that made it.

    ``url`` has neither credentials nor query. ``downloaded`` is False if the cache had it; ``lock`` is the descriptor
    that keeps others from evicting it. It can be pickled; the copy of it does not hold the file.
    """

    def __init__(self, url: str, path: Path, size: int, sha256: str, downloaded: bool, lock: int) -> None:
        self.url = url
        self.path = path
        self.size = size
        self.sha256 = sha256
        self.downloaded = downloaded
        weakref.finalize(self, os.close, lock)

    def __fspath__(self) -> str:
        return str(self.path)


class Cache:
    """A cache folder, shared by processes. Files are only added, filled and removed, never cut or renamed over.

    A file that is removed stays readable for those who have it open, so evicting does no harm to readers.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.path = path
        self._limit = limit
        self._written = 0

    def shard_path(self, origin: str, digest: str, size: int, chunks: int) -> Path:
        """The file for a shard; its name has all that its form depends on."""
        return self.path / FOLDER / "shards" / _digest(origin.encode()) / f"{digest}-{size}-{chunks}"

    def tables_path(self, url: str) -> Path:
        """The folder for the tables of all stores that have been at a URL."""
        return self.path / FOLDER / "tables" / _digest(url.encode())

    def table_path(self, url: str, root: bytes, key: str) -> Path:
        """The file for a table of the store at a URL whose ``zarr.json`` has these bytes."""
        return self.tables_path(url) / _digest(root) / quote(key, safe="")[:200]

    def sources_path(self, url: str) -> Path:
        """The folder for all versions of a file at a URL, each in a folder of its own."""
        return self.path / FOLDER / "sources" / _digest(url.encode())

    def make_folder(self, path: Path) -> None:
        """Make a folder in the cache. Raises RemoteError if that fails."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.broken(error) from error

    def broken(self, error: OSError) -> RemoteError:
        """The error for a cache that cannot be written."""
        return RemoteError(
            f"the cache {self.path} cannot be used: {error.strerror}; set SKELSTORE_CACHE to another folder, or run "
            "`skelstore cache clear`"
        )

    def limit(self, used: int) -> int:
        """The most bytes that the cache may take: as stated, else half of what is free if the cache were empty."""
        if self._limit is not None:
            return self._limit
        stated = stated_limit()
        if stated is not None:
            return stated
        try:
            folder = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
            return (shutil.disk_usage(folder).free + used) // 2
        except OSError:
            return 1 << 62

    def touch(self, path: Path) -> None:
        """Note that a copy is in use."""
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(path)

    def count_written(self, size: int) -> None:
        """Note that bytes were added; from time to time, evict what was used least recently if there are too many."""
        self._written += size
        step = _MOST_BETWEEN_SCANS
        limit = self._limit if self._limit is not None else stated_limit()
        if limit is not None:
            step = min(step, limit // _SCANS_PER_LIMIT)
        if self._written > step:
            self._written = 0
            self.evict()

    def evict(self) -> None:
        """Remove the copies that were used least recently until the rest fits the limit."""
        files = sorted(self._files(), key=lambda file: (file[0], -file[1]))  # a source goes before its record
        total = sum(size for _, size, _ in files)
        limit = self.limit(total)
        if total <= limit:
            return
        now = time.time()
        for used, size, path in files:
            if total <= limit * _KEPT or used > now - KEPT_SECONDS:
                break
            with contextlib.suppress(OSError), _unused(path.with_name(LOCK)) as unused:
                if unused:
                    path.unlink()
                    total -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """The time of the last use, the bytes on disk and the path of each file."""
        for folder, _, names in os.walk(self.path / FOLDER):
            used = 0.0
            if RECORD in names:
                with contextlib.suppress(OSError):
                    used = os.lstat(os.path.join(folder, RECORD)).st_mtime
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):  # another process has removed it
                    status = path.lstat()
                    if name != LOCK:
                        yield max(status.st_mtime, used), status.st_blocks * 512, path

    def usage(self) -> Usage:
        """What is in the cache."""
        files = list(self._files())
        total = sum(size for _, size, _ in files)
        files = [file for file in files if not file[2].name.startswith(".")]
        kinds = [path.relative_to(self.path).parts[1] for _, _, path in files]
        shards, sources = kinds.count("shards"), kinds.count("sources")
        return Usage(self.path, shards, len(files) - shards - sources, sources, total, self.limit(total))

    def clear(self) -> None:
        """Remove everything in the cache. Readers keep what they have open. Raises RemoteError if that fails."""
        folder = self.path / FOLDER
        try:
            for _ in range(3):  # a process that fills the cache may add a file meanwhile
                shutil.rmtree(folder, ignore_errors=True)
            if folder.is_dir() and any(self._files()):
                shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self.broken(error) from error


@contextlib.contextmanager
def _unused(lock: Path) -> Iterator[bool]:
    """Whether nobody uses the files beside a lock; nobody begins to in the block. Without a lock, True."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        yield try_lock(fd, 0, 1)
    finally:
        os.close(fd)


def default_folder() -> Path:
    """The cache folder of this account: ``SKELSTORE_CACHE``, else ``skelstore`` in ``XDG_CACHE_HOME`` or ~/.cache."""
    stated = os.environ.get("SKELSTORE_CACHE")
    if stated:
        return Path(stated).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "skelstore").absolute()


def stated_limit() -> int | None:
    """The bytes of ``SKELSTORE_CACHE_SIZE``, such as 200G; None if not set. Raises StoreError if it is no size."""
    text = os.environ.get("SKELSTORE_CACHE_SIZE")
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([KMGT]?)B?", text.strip().upper())
    if match is None:
        raise StoreError(f"SKELSTORE_CACHE_SIZE is {shown(text)}; expected a number of bytes such as 200G")
    return int(float(f"{match[1]}.{match[2] or 0}") * _UNITS[match[3]])


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
