"""Checksums of bytes and of files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np

from skelstore.format.files import open_regular

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and crc32c of a file, as the manifest records them."""

    size: int
    crc32c: int


def crc32c(data: bytes | memoryview, value: int = 0) -> int:
    """CRC-32C (RFC 3720) of the data, continued from ``value``."""
    # google_crc32c does not accept a memoryview, but it accepts an array over the same bytes.
    taken: Any = data
    if isinstance(data, memoryview):
        taken = np.frombuffer(data, np.uint8) if data.nbytes else b""
    return int(google_crc32c.extend(value, taken))


def measure_file(path: Path) -> FileEntry:
    """Size and crc32c of a file, read in blocks."""
    with open(path, "rb", opener=open_regular) as file:
        return measure_open(file)


def measure_open(file: BinaryIO) -> FileEntry:
    """Size and crc32c of an open file from its current position to its end, read in blocks."""
    size = crc = 0
    while block := file.read(_BLOCK_BYTES):
        crc = crc32c(block, crc)
        size += len(block)
    return FileEntry(size, crc)


def has_content(path: Path, expected: FileEntry) -> bool:
    """Whether a file has this size and checksum. A file of another size is not read."""
    with open(path, "rb", opener=open_regular) as file:
        return os.fstat(file.fileno()).st_size == expected.size and measure_open(file) == expected
