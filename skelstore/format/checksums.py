"""Checksums of bytes and of files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from skelstore.format.files import open_regular

_BLOCK_BYTES = 1 << 20

TABLE_BLOCKS_FROM = 1 << 20
"""Tables of at least this number of bytes get a checksum per block, so that a reader can fetch a part of one."""

LEAST_TABLE_BLOCK = 4 << 10
MOST_TABLE_BLOCKS = 1 << 17
"""A reader fetches all checksums to open a store, and a few blocks of each column to read a video. So blocks are small,
unless there were so many that their checksums (4 bytes each) took longer to fetch than some videos do."""


@dataclass(frozen=True)
class Blocks:
    """The crc32c of each block of a file, 4 bytes little-endian each. A block has ``size`` bytes, the last the rest."""

    size: int
    checksums: bytes


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and crc32c of a file, as the manifest records them; of a large table also the checksums of blocks.

    Entries with the same size and crc32c are equal.
    """

    size: int
    crc32c: int
    blocks: Blocks | None = field(default=None, compare=False, repr=False)


def crc32c(data: bytes | memoryview | NDArray[np.uint8], value: int = 0) -> int:
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


def table_block_bytes(size: int) -> int:
    """The size of the blocks of a table of ``size`` bytes."""
    block_bytes = LEAST_TABLE_BLOCK
    while size > block_bytes * MOST_TABLE_BLOCKS:
        block_bytes *= 2
    return block_bytes


def measure_blocks(path: Path, block_bytes: int) -> Blocks:
    """The checksums of the blocks of a file."""
    checksums = bytearray()
    with open(path, "rb", opener=open_regular) as file:
        while block := file.read(block_bytes):
            checksums += crc32c(block).to_bytes(4, "little")
    return Blocks(block_bytes, bytes(checksums))


def has_content(path: Path, expected: FileEntry) -> bool:
    """Whether a file has this size and checksum. A file of another size is not read."""
    with open(path, "rb", opener=open_regular) as file:
        return os.fstat(file.fileno()).st_size == expected.size and measure_open(file) == expected
