"""Shard files: contiguous chunks followed by their index, as Zarr v3's ``sharding_indexed`` defines them.

Our shards have 16 more bytes between the last chunk and the index, which Zarr ignores: a digest of the chunks'
checksums. The manifest holds the same digest, so a shard that was swapped with another is detected when it is opened;
checksums of chunks cannot detect that.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelstore.errors import DamageError
from skelstore.format.checksums import crc32c
from skelstore.format.codecs import CRC_BYTES, ChunkCodec
from skelstore.format.local_file import LocalFile
from skelstore.format.partial_files import PartialFile
from skelstore.wording import counted

DIGEST_BYTES = 16
MISSING = 2**64 - 1
"""Offset and length, in a shard's index, of a chunk that is absent (Zarr v3 sharding)."""


class ShardFile(NamedTuple):
    """What the manifest records of a shard file: size in bytes, crc32c of all bytes, and the digest in hexadecimal."""

    size: int
    crc32c: int
    digest: str


def shard_digest(checksums: array[int]) -> bytes:
    """16 bytes that identify a shard: BLAKE2b of its chunks' crc32c, little-endian, in order."""
    return hashlib.blake2b(np.asarray(checksums, "<u4").tobytes(), digest_size=DIGEST_BYTES).digest()


class ShardWriter:
    """Writes one shard, in order, to a new file; memory holds the chunks of one call."""

    def __init__(self, path: Path, codec: ChunkCodec, chunks: int) -> None:
        self._codec = codec
        self._chunks = chunks
        self._lengths = array("Q")
        self._checksums = array("I")
        self._size = 0
        self._crc = 0
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close() or abort()

    @property
    def free(self) -> int:
        """The number of chunks that the shard has room for."""
        return self._chunks - len(self._checksums)

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        """Append whole chunks, given as their rows [n * chunk_rows, *trailing]."""
        pieces = []
        for encoded in self._codec.encode(rows):
            checksum = crc32c(encoded)
            self._lengths.append(len(encoded) + CRC_BYTES)
            self._checksums.append(checksum)
            pieces.append(encoded)
            pieces.append(checksum.to_bytes(CRC_BYTES, "little"))
        self._write(b"".join(pieces))

    def close(self) -> ShardFile:
        """Write the digest and the index, and sync the file to disk."""
        table = np.full((self._chunks, 2), MISSING, "<u8")
        lengths = np.asarray(self._lengths, "<u8")
        table[: len(lengths), 0] = np.cumsum(lengths) - lengths
        table[: len(lengths), 1] = lengths
        digest = shard_digest(self._checksums)
        index = table.tobytes()
        self._write(digest)
        self._write(index)
        self._write(crc32c(index).to_bytes(CRC_BYTES, "little"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return ShardFile(self._size, self._crc, digest.hex())

    def abort(self) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = crc32c(data, self._crc)
        self._size += len(data)


def shard_key(shard: int, trailing: int) -> str:
    """File name of a shard of an array with ``trailing`` trailing axes (key encoding ``default``, separator ``.``)."""
    return ".".join(["c", str(shard), *("0" for _ in range(trailing))])


def trim_shard(source: Path, target: Path, chunks: int, used: int) -> ShardFile:
    """Copy a shard and cut its index from ``chunks`` to ``used`` entries; the chunks beyond are absent anyway.

    So the index of a small array's only shard is no longer than it needs to be.
    """
    data = memoryview(source.read_bytes())
    end = len(data) - (16 * chunks + CRC_BYTES)
    kept = data[: end + 16 * used]
    checksum = crc32c(kept[end:]).to_bytes(CRC_BYTES, "little")
    with open(target, "xb") as file:
        file.write(kept)
        file.write(checksum)
        file.flush()
        os.fsync(file.fileno())
    return ShardFile(len(kept) + CRC_BYTES, crc32c(checksum, crc32c(kept)), bytes(kept[end - DIGEST_BYTES : end]).hex())


class Shard:
    """A shard file to read from: the offsets of its chunks, and which chunks this process has checked.

    Chunk c, with its crc32c, is the bytes ``bounds[c]`` to ``bounds[c + 1]``: our writers store chunks contiguously
    from the first byte, so a run of chunks is one read. Chunks from ``len(checked)`` on are absent.
    ``present`` is None, or says which chunks the file has if it is a partial copy of a shard elsewhere.
    """

    __slots__ = ("bounds", "checked", "file", "present", "size")

    def __init__(self, file: LocalFile, chunks: int, expected: ShardFile) -> None:
        """Read the index.

        Raises DamageError if the file is missing, its size or digest differs from the manifest, or its index is
        damaged.
        """
        self.file = file
        self.size = expected.size
        tail = DIGEST_BYTES + 16 * chunks + CRC_BYTES
        size = file.size()
        if size != expected.size:
            raise DamageError(
                f"{file.path} has {counted(size, 'byte')}; the manifest says {expected.size:,}: it was cut short or "
                "replaced, so fetch or convert the store again"
            )
        if size < tail:
            raise DamageError(
                f"{file.path} has {size} bytes, fewer than the {tail} that the index of its {chunks} chunks needs, so "
                "fetch or convert the store again"
            )
        data = file.read(size - tail, tail)
        index = data[DIGEST_BYTES:-CRC_BYTES]
        if crc32c(index) != int.from_bytes(data[-CRC_BYTES:], "little"):
            raise DamageError(f"{file.path}: the index of the shard is damaged, so fetch or convert the store again")
        if data[:DIGEST_BYTES].hex() != expected.digest:
            raise DamageError(
                f"{file.path} is not the shard that the manifest names: files were swapped or are from another "
                "version of the store, so fetch or convert the store again"
            )
        table = np.frombuffer(index, "<u8").reshape(chunks, 2)
        used = int(np.count_nonzero(table[:, 0] != MISSING))
        starts, lengths = table[:used].astype(np.int64).T
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        if (
            (lengths <= CRC_BYTES).any()
            or (lengths > size).any()
            or bounds[-1] != size - tail
            or (starts != bounds[:-1]).any()
        ):
            raise DamageError(
                f"{file.path}: the index of the shard does not list contiguous chunks, so fetch or convert the store "
                "again"
            )
        file.pin(size, size - tail, data[:DIGEST_BYTES])
        self.bounds = array("q", bounds.tobytes())
        self.checked = bytearray(used)
        self.present = file.present if isinstance(file, PartialFile) else None

    def renew(self) -> None:
        """Continue with a new copy of the same shard, of which no chunk has been checked."""
        if isinstance(self.file, PartialFile):
            self.file.close()
            self.file = file = self.file.again()
            self.checked = bytearray(len(self.checked))
            self.present = file.present

    def forget(self, first: int, stop: int) -> None:
        """Let chunks be fetched again that are damaged in the copy."""
        if isinstance(self.file, PartialFile):
            self.file.forget(first, stop)
