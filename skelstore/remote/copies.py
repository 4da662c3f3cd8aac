"""A partial copy of a shard in the cache: a sparse file with the bytes of the shard at their own places.

So the reader reads a copy as it reads a shard. After the bytes of the shard, the file states which of them are there::

    size       nonce: 16 random bytes, by which a file is known again
    size + 16  version of the remote file: its length, and up to 240 bytes of UTF-8
    size + 257 whether the index is there (1 byte), then whether each chunk is (1 byte each)

A byte that says so is written after the bytes that it speaks of, and these are checked when they are read first, so
a process may be killed at any time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from skelstore.errors import DamageError
from skelstore.format.codecs import CRC_BYTES
from skelstore.format.files import write_at
from skelstore.format.local_file import Descriptor, LocalFile
from skelstore.format.partial_files import EvictedError, PartialFile
from skelstore.format.shards import DIGEST_BYTES, ShardFile
from skelstore.remote.cache import Cache
from skelstore.remote.locks import unlock
from skelstore.remote.sparse_files import open_sparse
from skelstore.remote.url import Url

_NONCE_BYTES = 16
_VERSION_BYTES = 241
_HEAD_BYTES = _NONCE_BYTES + _VERSION_BYTES


class ShardCopy(PartialFile):
    """The copy of a shard. ``path`` is the URL of the shard, ``location`` the file in the cache."""

    def __init__(
        self, url: Url, key: str, cache: Cache, origin: str, expected: ShardFile, chunks: int, opened: set[LocalFile]
    ) -> None:
        location = cache.shard_path(origin, expected.digest, expected.size, chunks)
        super().__init__(url, opened, location)
        self.key = key
        self.cache = cache
        self.location = location
        self.origin = origin
        self.expected = expected
        self.shard_size = expected.size
        self.chunks = chunks
        self.tail = DIGEST_BYTES + 16 * chunks + CRC_BYTES
        self.present = bytearray(chunks)
        self.indexed = False
        self.version = ""
        self._nonce = b""
        self._make()

    def again(self) -> ShardCopy:
        """A new copy of the same shard, since this one was evicted."""
        return ShardCopy(self.path, self.key, self.cache, self.origin, self.expected, self.chunks, self._opened)

    def size(self) -> int:
        return self.shard_size

    @property
    def _file_size(self) -> int:
        return self.shard_size + _HEAD_BYTES + 1 + self.chunks

    def _make(self) -> None:
        """Find the file in the cache, or make it. Raises RemoteError if neither is possible."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        fd = open_sparse(self.cache, self.location, self.shard_size, nonce + bytes(_VERSION_BYTES + 1 + self.chunks))
        try:
            self._nonce = os.pread(fd, _NONCE_BYTES, self.shard_size)
            self.refresh(fd)
        finally:
            os.close(fd)
        self.cache.touch(self.location)

    def _open(self) -> Descriptor:
        try:
            descriptor = super()._open()
        except DamageError as error:
            raise EvictedError(str(error)) from error
        if os.pread(descriptor.fd, _NONCE_BYTES, self.shard_size) != self._nonce:
            self.close()
            raise EvictedError(f"{self.path} has a new copy in the cache")
        return descriptor

    def pin(self, size: int, offset: int, data: bytes) -> None:
        """The nonce is compared whenever the file is opened, which does more."""

    @contextlib.contextmanager
    def writable(self) -> Iterator[int]:
        """The file, open for writing, on a descriptor of its own. Raises EvictedError if it is gone."""
        try:
            fd = os.open(self.location, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise EvictedError(str(self.path)) from error
        except OSError as error:
            raise self.cache.broken(error) from error
        try:
            if os.pread(fd, _NONCE_BYTES, self.shard_size) != self._nonce:
                raise EvictedError(str(self.path))
            yield fd
        finally:
            unlock(fd, 0, self._file_size)  # a child that was forked meanwhile still has the descriptor
            os.close(fd)

    def refresh(self, fd: int) -> None:
        """Learn which bytes are there by now; other processes may have added some."""
        data = os.pread(fd, _VERSION_BYTES + 1 + self.chunks, self.shard_size + _NONCE_BYTES)
        self.version = data[1 : 1 + data[0]].decode("utf-8", "replace")
        self.indexed = bool(data[_VERSION_BYTES])
        self.present[:] = data[_VERSION_BYTES + 1 :]

    def write(self, fd: int, offset: int, data: bytes | memoryview) -> None:
        """Write bytes of the shard. Raises RemoteError if there is no space."""
        try:
            write_at(fd, data, offset)
        except OSError as error:
            raise self.cache.broken(error) from error

    def set_version(self, fd: int, version: str) -> None:
        data = version.encode("utf-8", "replace")[: _VERSION_BYTES - 1]
        os.pwrite(fd, bytes([len(data)]) + data, self.shard_size + _NONCE_BYTES)
        self.version = version

    def mark_index(self, fd: int, there: bool = True) -> None:
        os.pwrite(fd, bytes([there]), self.shard_size + _HEAD_BYTES)
        self.indexed = there

    def mark(self, fd: int, first: int, stop: int, there: bool = True) -> None:
        """State that chunks are there, after they have been written, or that they are not."""
        state = bytes([there]) * (stop - first)
        os.pwrite(fd, state, self.shard_size + _HEAD_BYTES + 1 + first)
        self.present[first:stop] = state

    def forget(self, first: int, stop: int) -> None:
        """Let chunks be fetched again: their bytes on the disk are not those that were written."""
        with contextlib.suppress(EvictedError), self.writable() as fd:
            self.mark(fd, first, stop, False)
