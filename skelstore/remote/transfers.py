"""Contents that are sent in requests, and transfers that run at once, are counted, and can be stopped."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple

from skelstore.errors import DamageError
from skelstore.format.checksums import crc32c
from skelstore.format.files import open_regular
from skelstore.remote.connections import start
from skelstore.remote.stopping import Group

AT_ONCE = 8
"""Files that are sent or fetched at the same time. What a killed command has to repeat grows with it."""

_BLOCK_BYTES = 1 << 20


class Transfer:
    """The transfers of one command. ``advance`` is called with the number of bytes since the last call.

    The number is negative if bytes have to be sent again.
    """

    def __init__(self, advance: Callable[[int], None] | None = None) -> None:
        self._advance = advance
        self._lock = threading.Lock()
        self._group = Group()

    def count(self, size: int) -> None:
        """Count bytes. Raises StoppedError if ``run`` has stopped this transfer."""
        with self._lock:
            self._group.refuse_stopped()
            if self._advance is not None:
                self._advance(size)

    def run(self, calls: Iterable[Callable[[], None]], at_once: int = AT_ONCE) -> None:
        """Call functions in threads, ``at_once`` of them at the same time.

        Raises the first error, after all others have been stopped.
        """
        pending: set[Future[None]] = set()
        try:
            for call in calls:
                pending.add(start(call, group=self._group))
                if len(pending) == at_once:
                    pending = _wait_for_one(pending)
            while pending:
                pending = _wait_for_one(pending)
        except BaseException:
            self._group.stop(pending)
            raise


def _wait_for_one(pending: set[Future[None]]) -> set[Future[None]]:
    """Wait until one has ended; those that have not. Raises the error of one that has failed."""
    done, pending = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return pending


class Digests(NamedTuple):
    """Checksums of bytes: crc32c as a number, the others as bytes."""

    crc32c: int
    md5: bytes
    sha256: bytes


class Content:
    """The bytes of a file that is sent: those at a path, or ``data``. A file is read when it is sent, in blocks.

    ``size`` and ``crc32c`` are what is expected. Reading raises DamageError if the file has fewer bytes or cannot be
    read.
    """

    def __init__(self, path: Path | None, size: int, crc32c: int | None, data: bytes = b"") -> None:
        self.path = path
        self.size = size
        self.crc32c = crc32c
        self._data = data
        self._measured: tuple[tuple[str, ...], Digests] | None = None

    @classmethod
    def of_bytes(cls, data: bytes) -> Content:
        return cls(None, len(data), crc32c(data), data)

    def measure(self, *names: str) -> Digests:
        """The digests of all bytes, which are read once. Raises DamageError if they are not those that are expected."""
        if self._measured is not None and {*names} <= {*self._measured[0]}:
            return self._measured[1]
        found = self.digests(0, self.size, *names)
        if self.path is not None and os.stat(self.path).st_size != self.size:
            raise DamageError(
                f"{self.path} has another size than expected ({self.size:,} bytes): fetch or convert the store again"
            )
        if self.crc32c not in (None, found.crc32c):
            raise DamageError(
                f"{self.path} is damaged (its checksum does not match the manifest): fetch or convert the store again"
            )
        self._measured = names, found
        return found

    def body(self, start: int = 0, stop: int | None = None, transfer: Transfer | None = None) -> Body:
        """Some of the bytes as the body of a request."""
        return Body(self, start, self.size if stop is None else stop, transfer)

    def digests(self, start: int, stop: int, *names: str) -> Digests:
        """crc32c of some of the bytes, and of ``md5`` and ``sha256`` those that are named."""
        body = self.body(start, stop)
        checksum = 0
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        for block in iter(partial(body.read, _BLOCK_BYTES), b""):
            checksum = crc32c(block, checksum)
            for one in hashes.values():
                one.update(block)
        found = {name: one.digest() for name, one in hashes.items()}
        return Digests(checksum, found.get("md5", b""), found.get("sha256", b""))

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from an offset; at least one, unless ``size`` is 0."""
        if self.path is None:
            return self._data[offset : offset + size]
        try:
            fd = open_regular(self.path)
            try:
                data = os.pread(fd, size, offset)
            finally:
                os.close(fd)
        except OSError as error:
            raise DamageError(f"{self.path} cannot be read: {error.strerror}") from error
        if size and not data:
            raise DamageError(
                f"{self.path} ends at byte {offset}, expected {self.size} bytes: it was cut short, so fetch or convert "
                "the store again"
            )
        return data


class Body:
    """The body of a request: bytes of a content. A request that is repeated reads them from the beginning."""

    def __init__(self, content: Content, start: int, stop: int, transfer: Transfer | None) -> None:
        self._content = content
        self._start = start
        self._size = stop - start
        self._transfer = transfer
        self._done = 0
        self._buffer = b""
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def uncounted(self) -> Body:
        """The same bytes, to be read for a checksum."""
        return Body(self._content, self._start, self._start + self._size, None)

    def read(self, size: int) -> bytes:
        """At most ``size`` of the next bytes; none at the end."""
        size = min(size, self._size - self._done)
        if size <= 0:
            return b""
        begin = self._done - self._at
        if not 0 <= begin < len(self._buffer):
            self._at, begin = self._done, 0
            self._buffer = self._content.read(self._start + self._done, min(_BLOCK_BYTES, self._size - self._done))
        data = self._buffer[begin : begin + size]
        if self._transfer is not None:
            self._transfer.count(len(data))
        self._done += len(data)
        return data

    def tell(self) -> int:
        return self._done

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._done, os.SEEK_END: self._size}[whence]
        place = min(max(base + offset, 0), self._size)
        if self._transfer is not None:  # by 0 in a first attempt, which ends a transfer that was stopped
            self._transfer.count(place - self._done)
        self._done = place
        return place
