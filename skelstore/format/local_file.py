"""One file of a store on this machine: opened on the first read, closed when all stores have too many files open."""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelstore.errors import DamageError, StoreError
from skelstore.format.files import flat_bytes, open_regular, pread, preadv

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

MAX_OPEN = 2048
"""Maximum number of files that all stores together keep open; lower if half of the process's limit is lower."""

_OPENED: deque[weakref.ref[LocalFile]] = deque()
"""The files of all stores in the order in which they were opened; some are closed again, or no longer exist."""


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


def _open_limit() -> int:
    if resource is None:
        return MAX_OPEN
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_OPEN if soft == resource.RLIM_INFINITY else max(4, min(MAX_OPEN, soft // 2 - 8))
