"""A file that is downloaded into the cache: its beginning, and the record of the complete file.

It is in a folder of its own: ``.partial`` is its beginning, ``.pieces`` the crc32c of each piece of it. When it is
complete, it gets its name, and ``.record`` says what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any, NamedTuple

from skelstore.format.checksums import crc32c
from skelstore.format.files import write_at
from skelstore.remote.cache import RECORD
from skelstore.remote.url import Url

PARTIAL = ".partial"
"""The name of the beginning of a file."""

_PIECES = ".pieces"
_LONGEST_NAME = 200


class Record(NamedTuple):
    """A complete file in the cache."""

    path: Path
    size: int
    version: str
    sha256: str
    used: float


class Incoming:
    """The beginning of a file that is being downloaded, in the order of its bytes. ``done`` is their number."""

    piece_bytes = 4 << 20
    """Size of the pieces that are requested. A download that is killed loses those that are on their way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.done = 0
        self._hash = hashlib.sha256()

    def __enter__(self) -> Incoming:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._folder / PARTIAL, flags, 0o644)
        try:
            self._pieces = os.open(self._folder / _PIECES, flags, 0o644)
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        os.close(self._pieces)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def resume(self, total: int) -> bool:
        """Take what an earlier run has left, up to the first piece that is not what was written. Whether it is any."""
        recorded = os.fstat(self._pieces).st_size // 4
        stated = os.pread(self._pieces, 4 * min(total // self.piece_bytes, recorded), 0)
        for number in range(len(stated) // 4):
            piece = os.pread(self._fd, self.piece_bytes, self.done)
            if len(piece) != self.piece_bytes or _crc(piece) != stated[4 * number : 4 * number + 4]:
                break
            self._hash.update(piece)
            self.done += len(piece)
        os.ftruncate(self._fd, self.done)
        os.ftruncate(self._pieces, 4 * (self.done // self.piece_bytes))
        return self.done > 0

    def restart(self) -> None:
        os.ftruncate(self._fd, 0)
        os.ftruncate(self._pieces, 0)
        self.done = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Write the next bytes; a whole piece also leaves its checksum, by which it is known again."""
        write_at(self._fd, data, self.done)
        if len(data) == self.piece_bytes and self.done % self.piece_bytes == 0:
            write_at(self._pieces, _crc(data), 4 * (self.done // self.piece_bytes))
        self._hash.update(data)
        self.done += len(data)

    def finish(self, name: str, version: str) -> Record:
        """Write the record of the file, then give it its name: a file without a record counts as damaged."""
        os.ftruncate(self._fd, self.done)
        os.fsync(self._fd)
        path = self._folder / name
        found: dict[str, Any] = {"name": name, "size": self.done, "version": version, "sha256": self.sha256}
        found["modified"] = os.fstat(self._fd).st_mtime_ns
        temporary = self._folder / f"{RECORD}.{secrets.token_hex(4)}"
        temporary.write_text(json.dumps(found), "utf-8")
        os.replace(temporary, self._folder / RECORD)
        os.replace(self._folder / PARTIAL, path)
        (self._folder / _PIECES).unlink()
        return Record(path, self.done, version, self.sha256, time.time())


def read_record(folder: Path) -> Record | None:
    """What is complete in a folder; None if nothing is, or if the file was changed since."""
    try:
        with open(folder / RECORD, "rb") as file:
            used = os.fstat(file.fileno()).st_mtime
            found = json.loads(file.read(1 << 16))
        path = folder / found["name"]
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != (found["size"], found["modified"]):
            return None
        return Record(path, status.st_size, str(found["version"]), str(found["sha256"]), used)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_damaged(folder: Path, name: str) -> bool:
    """Whether a folder has a complete file whose record is gone or does not fit it."""
    return (folder / name).exists() and read_record(folder) is None


def safe_name(url: Url) -> str:
    """The name for a file from its URL, as one that any file system takes and that is not hidden."""
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in url.name).lstrip(".")
    short = name.encode()[-_LONGEST_NAME:].decode("utf-8", "ignore")
    return short or "file"


def forget(record: Record) -> None:
    """Let a file be downloaded again: its bytes on the disk are not those that were written."""
    record.path.with_name(RECORD).unlink(missing_ok=True)


def _crc(data: bytes) -> bytes:
    return crc32c(data).to_bytes(4, "little")
