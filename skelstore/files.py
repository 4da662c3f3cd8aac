"""Byte ranges of the files of a store.

The rest of the reader asks for byte ranges of a key (``keypoint/c.0.0.0``) and does not care who brings them;
``LocalFiles`` brings them from a directory.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from skelstore.errors import DamageError, StoreError, StoreNotFoundError

try:
    import resource
except ImportError:  # Windows has no limits to ask for
    resource = None  # type: ignore[assignment]

MAX_OPEN = 256
"""Files kept open at once, at most; fewer where the process may open fewer."""


class _OpenFile:
    """A descriptor that is closed when nobody holds this object any more.

    A thread that is reading keeps the object, so a descriptor that another thread drops from the cache is not
    closed, or given to another file, under the read.
    """

    def __init__(self, path: Path) -> None:
        self.fd = -1
        self.fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class LocalFiles:
    """Files below a directory, opened when first read and kept open within the process's limit.

    Nothing is shared but descriptors, and reads name their offset, so a forked child may go on with those of
    its parent. There is no lock.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._open: OrderedDict[str, _OpenFile] = OrderedDict()
        self._limit = _open_limit()

    def path(self, key: str) -> Path:
        return self.root / key

    def read_all(self, key: str, limit: int) -> bytes:
        """A whole small file. Raises StoreNotFoundError if there is none, StoreError beyond ``limit`` bytes."""
        try:
            with open(self.path(key), "rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreNotFoundError(f"{self.path(key)} is missing") from error
        except OSError as error:
            raise StoreError(f"{self.path(key)} cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise StoreError(f"{self.path(key)} has more than {limit} bytes, which no such file of a store has")
        return data

    def size(self, key: str) -> int:
        """Bytes of a file. Raises DamageError if it is missing."""
        return os.fstat(self._descriptor(key).fd).st_size

    def read(self, key: str, offset: int, length: int) -> bytes:
        """The bytes from ``offset``. Raises DamageError if the file is missing or ends before."""
        file = self._descriptor(key)
        try:
            data = _pread(file.fd, length, offset)
            while len(data) < length:
                more = _pread(file.fd, length - len(data), offset + len(data))
                if not more:
                    raise self._short(key, offset + len(data), offset + length)
                data += more
        except OSError as error:
            raise DamageError(f"{self.path(key)}: byte {offset} cannot be read: {error.strerror}") from error
        return data

    def read_into(self, key: str, offset: int, buffers: Sequence[Any]) -> None:
        """Fill the buffers, memoryviews or arrays, with the bytes from ``offset``. Raises DamageError like ``read``."""
        file = self._descriptor(key)
        wanted = sum(buffer.nbytes for buffer in buffers)
        try:
            found = _preadv(file.fd, buffers, offset)
        except OSError as error:
            raise DamageError(f"{self.path(key)}: byte {offset} cannot be read: {error.strerror}") from error
        if found == wanted:
            return
        # A read may stop early for no fault of the file: bring the whole by the patient way.
        data = memoryview(self.read(key, offset, wanted))
        start = 0
        for buffer in buffers:
            memoryview(buffer).cast("B")[:] = data[start : start + buffer.nbytes]
            start += buffer.nbytes

    def close(self) -> None:
        """Let go of all descriptors; a later read opens again."""
        self._open.clear()

    def _descriptor(self, key: str) -> _OpenFile:
        file = self._open.get(key)
        if file is not None:
            return file
        try:
            file = _OpenFile(self.path(key))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DamageError(f"{self.path(key)} is missing, so fetch or convert the store again") from error
        except OSError as error:
            raise StoreError(f"{self.path(key)} cannot be opened: {error.strerror}") from error
        self._open[key] = file
        while len(self._open) > self._limit:
            try:
                self._open.popitem(last=False)
            except KeyError:  # another thread was quicker
                break
        return file

    def _short(self, key: str, end: int, wanted: int) -> DamageError:
        return DamageError(
            f"{self.path(key)} ends at byte {end}, expected at least {wanted}: it was cut short, so fetch or "
            "convert the store again"
        )


def _open_limit() -> int:
    if resource is None:
        return MAX_OPEN
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_OPEN if soft == resource.RLIM_INFINITY else max(4, min(MAX_OPEN, soft // 4))


def _pread_by_seeking(fd: int, length: int, offset: int, /) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


def _preadv_by_seeking(fd: int, buffers: Sequence[Any], offset: int, /) -> int:
    return 0  # nothing is filled yet, so that the caller brings the whole by ``read``


_pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _pread_by_seeking)
_preadv: Callable[[int, Sequence[Any], int], int] = getattr(os, "preadv", _preadv_by_seeking)
