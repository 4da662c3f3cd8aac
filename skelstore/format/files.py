"""Byte ranges of the files of a store.

The rest of the reader asks for byte ranges of a key (``keypoint/c.0.0.0``) and does not depend on where they come from;
``LocalFiles`` reads them from a folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelstore.errors import DamageError, SkelstoreError, StoreError, StoreNotFoundError, StoreReplacedError

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

MAX_OPEN = 2048
"""Maximum number of files that all stores together keep open; lower if half of the process's limit is lower."""

_OPENED: deque[weakref.ref[LocalFile]] = deque()
"""The files of all stores in the order in which they were opened; some are closed again, or no longer exist."""


def flat_bytes(array: np.ndarray[Any, Any]) -> memoryview:
    """The memory of a C-contiguous array as a flat view of bytes."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type,unused-ignore]  # a Buffer since 3.12


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path, which stays valid when the working directory changes.

    Neither links nor ``..`` are resolved: after a link to a folder, ``..`` is not the folder that holds the link.
    Raises StoreNotFoundError if the working directory was removed.
    """
    try:
        return Path(path).absolute()
    except FileNotFoundError as error:
        raise StoreNotFoundError(
            f"{os.fspath(path)} does not exist: the working directory was removed, so give the whole path"
        ) from error


_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_SECRETS = re.compile(r"(?<=//)[^/?#]*@|\?.*", re.DOTALL)
"""What a message leaves out of a URL: name, password, and query."""

_SCHEMES = frozenset(
    {
        *("http", "https", "ftp", "sftp", "ssh", "file", "memory"),
        *("s3", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "hf"),
    }
)
"""Schemes that are recognised in a Path made of a URL, which has lost one slash."""


def local_path(path: str | os.PathLike[str], error: type[SkelstoreError] = StoreError) -> Path:
    """The path of a local file or folder.

    Raises ``error`` for a URL, and for a Path made of one: Path turns a URL into a local path with one slash less.
    """
    text = os.fspath(path)
    match = _URL.match(text)
    if match is None or os.path.lexists(f"{match[1]}:"):
        return Path(path)
    scheme, rest = match.groups()
    if not text.startswith(f"{scheme}://") and scheme.lower() not in _SCHEMES:
        return Path(path)
    url = text if text.startswith(f"{scheme}://") else f"{scheme}://{rest}"
    remedy = "download it first, or give a local path; `skelstore pull` and `skelstore push` copy stores"
    remedy = "leave out file://" if scheme.lower() == "file" else remedy
    raise error(f"{_SECRETS.sub('', url)} is a URL; expected the path of a local file or folder: {remedy}")


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write bytes at a place of a file, all of them; its own place in the file does not move."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY) -> int:
    """Open a regular file, or a link to one, without blocking; return its descriptor.

    An ``opener`` for the built-in ``open``. Raises OSError for a named pipe, a socket or a device, which could block
    forever or return endless bytes; its ``strerror`` names the kind of file. Raises IsADirectoryError for a folder.
    """
    try:
        mode = os.stat(path).st_mode  # before the open: opening a device may have effects
    except ValueError as error:  # a NUL in the path
        raise FileNotFoundError(errno.ENOENT, str(error), os.fspath(path)) from None
    _refuse_special(mode, path)
    fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        _refuse_special(os.fstat(fd).st_mode, path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _refuse_special(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))


class Descriptor:
    """A descriptor that is closed when the last reference to this object is gone.

    A thread that reads holds a reference. So when another thread drops the descriptor during the read, it is neither
    closed nor reused for another file.
    """

    def __init__(self, path: Path) -> None:
        self.fd = -1
        self.fd = open_regular(path)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class LocalFile:
    """Byte ranges of one file, which is opened on the first read. ``opened`` are the open files of its store.

    ``path`` is what messages call the file; it is at ``location``, if that is another place.
    """

    def __init__(self, path: Any, opened: set[LocalFile], location: Path | None = None) -> None:
        self.path = path
        self._location: Path = location or path
        self._opened = opened
        self.descriptor: Descriptor | None = None
        self._pinned: tuple[int, int, bytes] | None = None

    def pin(self, size: int, offset: int, data: bytes) -> None:
        """Require this size, and these bytes at ``offset``, whenever the file is opened again."""
        self._pinned = size, offset, data

    def size(self) -> int:
        """Size of the file in bytes. Raises DamageError if it is missing, StoreError if it cannot be opened."""
        descriptor = self.hold()  # a reference, as for every descriptor in use
        return os.fstat(descriptor.fd).st_size

    def hold(self) -> Descriptor:
        """The open file, as an object that keeps it open. Raises as ``size`` does."""
        return self.descriptor or self._open()

    def read(self, offset: int, length: int) -> bytes:
        """Read ``length`` bytes from ``offset``.

        Raises DamageError if the file is missing, too short or unreadable, StoreError if it cannot be opened.
        """
        descriptor = self.descriptor or self._open()
        try:
            data = pread(descriptor.fd, length, offset)
            while len(data) < length:
                more = pread(descriptor.fd, length - len(data), offset + len(data))
                if not more:
                    raise DamageError(
                        f"{self.path} ends at byte {offset + len(data)}, expected at least {offset + length}: it was "
                        "cut short, so fetch or convert the store again"
                    )
                data += more
        except OSError as error:
            raise DamageError(f"{self.path}: byte {offset} cannot be read: {error.strerror}") from error
        return data

    def read_into(self, offset: int, length: int, buffers: Sequence[Any]) -> None:
        """Fill the buffers, ``length`` bytes in total, with the bytes from ``offset``. Raises as ``read`` does.

        A buffer is any object with writable, C-contiguous memory.
        """
        descriptor = self.descriptor or self._open()
        try:
            if preadv(descriptor.fd, buffers, offset) == length:
                return
        except OSError as error:
            raise DamageError(f"{self.path}: byte {offset} cannot be read: {error.strerror}") from error
        # A short read is not an error: read everything again with ``read``, which continues after one.
        data = memoryview(self.read(offset, length))
        for buffer in buffers:
            target = flat_bytes(np.asarray(buffer))
            target[:] = data[: len(target)]
            data = data[len(target) :]

    def close(self) -> None:
        self._opened.discard(self)
        self.descriptor = None

    def _open(self) -> Descriptor:
        try:
            descriptor = Descriptor(self._location)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DamageError(f"{self.path} is missing, so fetch or convert the store again") from error
        except OSError as error:
            raise StoreError(f"{self.path} cannot be opened: {error.strerror}") from error
        if self._pinned is not None:
            size, offset, data = self._pinned
            if os.fstat(descriptor.fd).st_size != size or pread(descriptor.fd, len(data), offset) != data:
                raise DamageError(
                    f"{self.path} is not the file that was read before, so fetch or convert the store again"
                )
        self.descriptor = descriptor
        self._opened.add(self)
        _OPENED.append(weakref.ref(self))
        limit = _open_limit()
        while len(_OPENED) > limit:
            try:
                oldest = _OPENED.popleft()()
            except IndexError:  # another thread was faster
                break
            if oldest is not None:
                oldest.close()
        return descriptor


class EvictedError(DamageError):
    """The copy that a reader had is no longer in the cache, so it needs a new one; never raised to users."""


class PartialFile(LocalFile, ABC):
    """A copy of a shard that is elsewhere, with some of its chunks; ``present`` has a byte for each, 1 if it is there.

    Reading raises EvictedError if the copy is gone.
    """

    present: bytearray

    @abstractmethod
    def again(self) -> PartialFile:
        """A new copy of the same shard, to continue with after this one is gone."""

    @abstractmethod
    def forget(self, first: int, stop: int) -> None:
        """Let chunks be fetched again, since they are damaged in the copy."""


class FileParts(ABC):
    """A large file that is elsewhere, of which parts are fetched when they are needed.

    ``buffer`` is the whole file as an Arrow buffer; only what ``provide`` was called for may be looked at.
    """

    buffer: Any

    @abstractmethod
    def provide(self, spans: Sequence[tuple[int, int]]) -> None:
        """Fetch the bytes (start, stop) that are missing, all at once, and verify what this process has not verified.

        Raises DamageError, StoreReplacedError and RemoteError, whose messages have URL and key.
        """


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


def _open_limit() -> int:
    if resource is None:
        return MAX_OPEN
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_OPEN if soft == resource.RLIM_INFINITY else max(4, min(MAX_OPEN, soft // 2 - 8))


def _pread_by_seeking(fd: int, length: int, offset: int, /) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


def _preadv_by_seeking(fd: int, buffers: Sequence[Any], offset: int, /) -> int:
    return 0  # nothing is filled, so the caller reads everything with ``read``


pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _pread_by_seeking)
preadv: Callable[[int, Sequence[Any], int], int] = getattr(os, "preadv", _preadv_by_seeking)
