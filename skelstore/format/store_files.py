"""The files of a store, by key (``keypoint/c.0.0.0``).

The rest of the reader asks for byte ranges of a key and does not depend on where they come from; ``LocalFiles`` reads
them from a folder.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skelstore.errors import StoreError, StoreNotFoundError, StoreReplacedError
from skelstore.format.files import absolute, open_regular
from skelstore.format.local_file import LocalFile
from skelstore.format.partial_files import FileParts


class StoreFiles(ABC):
    """The files of a store, by key: where their bytes come from, and whether they are still those of one store."""

    root: Any
    """The path or URL of the store, for messages."""

    has_copies = False
    """Whether shards are partial copies, into which chunks are fetched before they are read."""

    def __init__(self) -> None:
        self._opened: set[LocalFile] = set()
        self._digests: dict[str, tuple[int, bytes]] = {}

    @abstractmethod
    def path(self, key: str) -> Any:
        """What messages call a file."""

    @abstractmethod
    def read_all(self, key: str, limit: int) -> bytes:
        """Read a whole small file. Raises StoreNotFoundError if it is missing, StoreError beyond ``limit`` bytes."""

    @abstractmethod
    def copy(self, key: str, size: int, crc32c: int) -> Path:
        """Where a small file or a table is on this machine; whether its bytes are right is not checked."""

    @abstractmethod
    def fetch_copies(self, entries: Mapping[str, tuple[int, int]], parts: Mapping[str, Any] | None = None) -> None:
        """Prepare ``copy`` of several files (size and crc32c by key), and ``open_parts`` of large tables, at once.

        ``parts`` has the ``FileEntry`` of each of these, with the checksums of its blocks.
        """

    @abstractmethod
    def drop_copy(self, key: str) -> bool:
        """After ``copy`` had wrong bytes: whether it is worth while to call it again."""

    @abstractmethod
    def shard_file(self, key: str, size: int, crc32c: int, digest: str, chunks: int) -> LocalFile:
        """The file of a shard, with what the manifest states about it; its index has ``chunks`` entries."""

    @abstractmethod
    def fetch_indexes(self, shards: Sequence[tuple[str, Any, int]]) -> None:
        """Prepare ``shard_file`` of several shards (key, ``ShardFile``, entries of the index) at once."""

    @abstractmethod
    def fetch_chunks(self, wanted: Sequence[tuple[Any, int, int]]) -> None:
        """Make chunks of shards present (``Shard``, first, last + 1), all at once."""

    def open_parts(self, key: str, mmap: bool) -> FileParts | None:
        """A table that ``fetch_copies`` has prepared to be fetched in parts; None if the table is read as a whole."""
        return None

    def fetch_ahead(self, wanted: Sequence[tuple[Any, int, int]], goes_on: Callable[[], bool]) -> None:
        """For files at a URL: fetch missing chunks, which are needed later, while ``goes_on()``."""
        return

    def ahead_bytes(self) -> int:
        """For files at a URL: how many bytes may be fetched before they are needed."""
        return 0

    def compare_sizes(self, sizes: Mapping[str, int]) -> Iterator[str]:
        """For files at a URL: a sentence for each that is missing or has another size."""
        return iter(())

    @abstractmethod
    def was_replaced(self) -> bool:
        """Whether a remembered file has changed or is missing."""

    def remember(self, key: str, data: bytes) -> None:
        """Remember the size and digest of a small file that identifies the store."""
        self._digests[key] = len(data), digest_of(data)

    @property
    def identity(self) -> bytes:
        """Identifies this store: the digests of the remembered files."""
        return b"".join(digest for _, digest in self._digests.values())

    def refuse_replaced(self) -> None:
        """After an error that looks like damage: raise StoreReplacedError if the store was replaced instead."""
        if self.was_replaced():
            raise replaced(self.root)

    def close(self) -> None:
        """Close all open files; a later read opens them again."""
        while self._opened:
            try:
                self._opened.pop().close()
            except KeyError:  # another thread was faster
                break


class LocalFiles(StoreFiles):
    """The files below a folder. All stores together keep at most ``MAX_OPEN`` files open.

    Only descriptors are shared, and every read names its offset, so a forked child can continue to use those of its
    parent. There is no lock.
    """

    root: Path

    def __init__(self, root: str | os.PathLike[str]) -> None:
        super().__init__()
        self.root = absolute(root)

    def was_replaced(self) -> bool:
        for key, (size, digest) in self._digests.items():
            try:
                if os.stat(self.path(key)).st_size != size or digest_of(self.read_all(key, size)) != digest:
                    return True
            except (FileNotFoundError, NotADirectoryError):
                return True
            except (StoreError, OSError):  # unreadable, which proves nothing
                continue
        return False

    def path(self, key: str) -> Path:
        return self.root / key

    def copy(self, key: str, size: int, crc32c: int) -> Path:
        return self.path(key)

    def fetch_copies(self, entries: Mapping[str, tuple[int, int]], parts: Mapping[str, Any] | None = None) -> None:
        """Nothing to do: the files are here."""

    def drop_copy(self, key: str) -> bool:
        return False

    def fetch_indexes(self, shards: Sequence[tuple[str, Any, int]]) -> None:
        """Nothing to do: the shards are here."""

    def fetch_chunks(self, wanted: Sequence[tuple[Any, int, int]]) -> None:
        """Nothing to do: the shards are here."""

    def file(self, key: str) -> LocalFile:
        """The file of a key. Whether the file exists is only checked when it is read."""
        return LocalFile(self.root / key, self._opened)

    def shard_file(self, key: str, size: int, crc32c: int, digest: str, chunks: int) -> LocalFile:
        return self.file(key)

    def read_all(self, key: str, limit: int) -> bytes:
        return read_file(self.path(key), self.path(key), limit)


def read_file(location: Path, path: object, limit: int) -> bytes:
    """Read a whole small file, which messages call ``path``.

    Raises StoreNotFoundError if it is missing, StoreError beyond ``limit`` bytes.
    """
    try:
        with open(location, "rb", opener=open_regular) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreNotFoundError(f"{path} is missing") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{str(path)!r} cannot be read: {reason}") from error
    if max(size, len(data)) > limit:
        raise StoreError(f"{path} has more than {limit} bytes, which no such file of a store has")
    return data


def replaced(path: object) -> StoreReplacedError:
    """The error for an opened store that is no longer at its path."""
    return StoreReplacedError(
        f"{path} was replaced or removed after it was opened, so the rest of it cannot be read: open it again"
    )


def digest_of(data: bytes) -> bytes:
    """16 bytes that identify data."""
    return hashlib.blake2b(data, digest_size=16).digest()
