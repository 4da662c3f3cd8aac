"""A large array, read a row of its first axis at a time: a .npy file, or a member of a .npz, read in place.

Only the rows that are asked for are in memory, so an array of 43 GB is read in constant memory. Compressed members are
decompressed in order; asking for an earlier row begins again. The checksum of a member is compared if it is
compressed and read to its end; a stored member is read in any order, so its checksum is not.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.inputs import archive
from converters.inputs.archive import Member
from converters.inputs.array_file import CHANGED, MAX_HEADER, MAX_RATIO, parse_header
from skelstore.errors import SourceError
from skelstore.format.files import open_regular, pread
from skelstore.wording import counted

_BLOCK_BYTES = 16 << 20
"""Bytes of rows that are read together: all rows in turn, or where a row is not contiguous (Fortran order)."""
_MOST_ROW_BYTES = 1 << 30
"""Bytes of a row, which is held in memory."""
_MOST_REPEATED_BYTES = 1 << 30
"""Bytes of a compressed array in Fortran order, which is decompressed once per block."""
_SEARCHED_BYTES = 64 << 20
"""Bytes of an array in which rows are found in any order, though all that is before them is decompressed, or they are
not contiguous."""
_PACKED_BYTES = 64 << 10
"""Compressed bytes that are read at a time."""
_SKIPPED_BYTES = 1 << 20
"""Bytes that are decompressed at a time to be skipped."""


class ArrayRows:
    """The rows of an array; row i is ``array[i]``. It can be pickled, and read from any process.

    ``header`` is the array's header and ``head`` its bytes. Raises SourceError if the file is not an array of numbers
    with at least one axis, does not have the length that it declares, or has rows of more than 1 GiB.
    """

    def __init__(self, path: Path, member: Member | None = None) -> None:
        self.path = path
        self.where = str(path) if member is None else f"{path}: {member.path}"
        with open(path, "rb", opener=open_regular) as file:
            status = os.fstat(file.fileno())
            self._status = status.st_size, status.st_mtime_ns
        self._member = member
        self._begins = 0
        self._inflating: _Inflating | None = None
        self._block: tuple[int, NDArray[Any]] | None = None
        size = status.st_size
        if member is not None:
            self._begins = self._find(member)
            size = member.size
        with self._opened() as descriptor:
            beginning = self._read(descriptor, 0, min(size, MAX_HEADER))
        self.header = parse_header(beginning, size, self.where)
        self.head = beginning[: self.header.offset]
        if not self.header.shape:
            raise SourceError(f"{self.where} is a single number; expected an array with a row per clip")
        self.row_shape = self.header.shape[1:]
        self.row_bytes = self.header.size // max(len(self), 1) * self.header.dtype.itemsize
        self._refuse_large(size)

    def __len__(self) -> int:
        return self.header.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_inflating": None, "_block": None}

    def row(self, index: int) -> NDArray[Any]:
        """One row, an array of shape ``row_shape`` in the dtype of the file; it is read-only.

        Raises SourceError if the file has changed, is damaged or ends early.
        """
        if not self.header.fortran_order:
            return self.rows(index, index + 1).reshape(self.row_shape)
        first, block = self._block or (0, np.empty((0, 0)))
        if not first <= index < first + block.shape[1]:
            first = index
            stop = min(index + max(_BLOCK_BYTES // max(self.row_bytes, 1), 1), len(self))
            block = self._columns(first, stop)
            self._block = first, block
        row: NDArray[Any] = block[:, index - first].reshape(self.row_shape, order="F")
        return row

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Some neighbouring rows, an array of shape (stop - start, *row_shape). Raises as ``row`` does."""
        shape = (stop - start, *self.row_shape)
        if self.header.fortran_order:
            return self._columns(start, stop).T.reshape(shape, order="F")
        with self._opened() as descriptor:
            offset = self.header.offset + start * self.row_bytes
            data = self._read(descriptor, offset, (stop - start) * self.row_bytes)
        return np.frombuffer(data, self.header.dtype).reshape(shape)

    def in_order(self) -> str | None:
        """Why reading the rows in another order would take much longer, and what to do; None if it would not."""
        is_packed = self._member is not None and self._member.method
        if len(self) * self.row_bytes <= _SEARCHED_BYTES or not (is_packed or self.header.fortran_order):
            return None
        how = "compressed" if is_packed else "in Fortran order"
        return (
            f"{self.where} is {how}, so its clips can be read only in their order: convert without --shuffle, export "
            "the store, and convert the exported file with it, or save the array with numpy.savez and "
            "numpy.ascontiguousarray"
        )

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """All rows, in order, in blocks of at most 16 MiB or one row: the index of the first row, and the rows."""
        step = max(_BLOCK_BYTES // max(self.row_bytes, 1), 1)
        for start in range(0, len(self), step):
            yield start, self.rows(start, min(start + step, len(self)))

    def _columns(self, start: int, stop: int) -> NDArray[Any]:
        """The values of some rows of an array in Fortran order, [values of a row, rows].

        In that order the first axis varies fastest: the file holds, value by value of a row, that of every row.
        """
        count, itemsize = len(self), self.header.dtype.itemsize
        block = np.empty((self.row_bytes // itemsize, stop - start), self.header.dtype)
        with self._opened() as descriptor:
            for value, column in enumerate(block):
                offset = self.header.offset + (value * count + start) * itemsize
                data = self._read(descriptor, offset, (stop - start) * itemsize)
                column[:] = np.frombuffer(data, self.header.dtype)
        return block

    def _find(self, member: Member) -> int:
        """The byte at which the member begins. Raises SourceError if its sizes are impossible."""
        if member.method and member.size > MAX_RATIO * (member.packed + 1):
            raise SourceError(
                f"{self.where} declares {counted(member.size, 'byte')}, compressed to {member.packed:,}, which is "
                "impossible"
            )
        if not member.method and member.size != member.packed:
            raise SourceError(f"{self.where} is stored in {member.packed:,} bytes; expected {member.size:,}")
        try:
            return archive.content_begins(self.path, member)
        except SourceError as error:
            raise SourceError(f"{self.where}: {error}") from None

    def _refuse_large(self, size: int) -> None:
        if self.row_bytes > _MOST_ROW_BYTES:
            raise SourceError(
                f"{self.where} has rows of {counted(self.row_bytes, 'byte')}, {self.header.dtype} {self.row_shape}; "
                f"expected at most {_MOST_ROW_BYTES:,} for a clip"
            )
        is_packed = self._member is not None and self._member.method
        if is_packed and self.header.fortran_order and size > _MOST_REPEATED_BYTES:
            raise SourceError(
                f"{self.where} is compressed and in Fortran order, so no clip can be read without decompressing all of "
                "it: save it with numpy.savez and numpy.ascontiguousarray"
            )

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the file; yields its descriptor. Raises SourceError if it is not the file that was opened first."""
        with open(self.path, "rb", opener=open_regular, buffering=0) as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != self._status:
                raise SourceError(f"{self.path} {CHANGED}")
            yield file.fileno()

    def _read(self, descriptor: int, offset: int, length: int) -> bytes:
        """Bytes of the array file, of which the header is the beginning."""
        if self._member is None or not self._member.method:
            data = _pread(descriptor, self._begins + offset, length)
        else:
            if self._inflating is None or self._inflating.position > offset:
                self._inflating = _Inflating(self._member, self._begins)
            try:
                data = self._inflating.read(descriptor, offset, length)
            except BaseException as error:
                self._inflating = None
                if isinstance(error, zlib.error):
                    raise SourceError(f"{self.where} is damaged ({error}): get the file again") from None
                raise
        if len(data) != length:
            raise SourceError(f"{self.where} ends at byte {offset + len(data):,} or is damaged: get the file again")
        return data


class _Inflating:
    """The content of a compressed member, decompressed in order up to ``position``."""

    def __init__(self, member: Member, begins: int) -> None:
        self.position = 0
        self._member = member
        self._at = begins
        self._stop = begins + member.packed
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = b""
        self._crc = 0

    def read(self, descriptor: int, offset: int, length: int) -> bytes:
        """Bytes at an offset that is not before ``position``; fewer if the content ends early.

        Raises zlib.error for damaged content, and if its checksum is wrong.
        """
        while self.position < offset:
            if not self._inflate(descriptor, min(offset - self.position, _SKIPPED_BYTES)):
                return b""
        parts = []
        wanted = offset + length
        while self.position < wanted:
            part = self._inflate(descriptor, wanted - self.position)
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def _inflate(self, descriptor: int, most: int) -> bytes:
        """The next bytes, at least one and at most ``most``; none at the end."""
        data = b""
        while not data and not self._stream.eof:
            if not self._packed:
                self._packed = _pread(descriptor, self._at, min(_PACKED_BYTES, self._stop - self._at))
                self._at += len(self._packed)
            before = len(self._packed)
            data = self._stream.decompress(self._packed, most)
            self._packed = self._stream.unconsumed_tail
            if not data and not before:
                break
        self.position += len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self.position == self._member.size and self._crc != self._member.crc:
            raise zlib.error("its checksum is wrong")
        return data


def _pread(descriptor: int, offset: int, length: int) -> bytes:
    """Bytes of a file; fewer if it ends early. The system may return fewer than asked for, so this asks again."""
    data = pread(descriptor, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    done = len(data)
    while done < length and (more := pread(descriptor, length - done, offset + done)):
        parts.append(more)
        done += len(more)
    return b"".join(parts)
