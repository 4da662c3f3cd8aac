"""Writing a large .npy array row by row, in constant memory, with the header that it had or one as NumPy writes it."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.inputs.array_file import Header, parse_header
from skelstore.errors import SourceError, StoreError
from skelstore.format.files import write_at

_BLOCK_BYTES = 32 << 20
"""Bytes of rows that are written together where a row is not contiguous (Fortran order)."""


class NewArray(NamedTuple):
    """An array to write: its shape (the first axis are the rows), dtype and order, and the bytes of its header."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    head: bytes

    @property
    def size(self) -> int:
        """Bytes of the .npy file."""
        return len(self.head) + math.prod(self.shape) * self.dtype.itemsize


def recorded_header(text: str, where: str) -> tuple[Header, bytes]:
    """The header that a store records as text, and its bytes. Raises StoreError if it is not a header of numbers."""
    try:
        head = text.encode("latin-1")
        header = parse_header(head, None, where)
        if header.offset != len(head):
            raise ValueError("it has another length")
    except (SourceError, ValueError) as error:
        raise StoreError(f"{where}: the header of an array that the store records is not one ({error})") from None
    return header, head


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any], like: tuple[Header, bytes] | None = None) -> NewArray:
    """An array of a shape and dtype; in the order of ``like``, and with its header if shape and dtype are the same."""
    fortran = like is not None and like[0].fortran_order
    if like is not None and (like[0].shape, like[0].dtype) == (shape, dtype):
        return NewArray(shape, dtype, fortran, like[1])
    file = io.BytesIO()
    stated = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(file, stated)
    return NewArray(shape, dtype, fortran, file.getvalue())


def write_array(file: BinaryIO, array: NewArray, rows: Iterable[NDArray[Any]]) -> None:
    """Write an array to a new file. Each row has the shape ``array.shape[1:]`` and the dtype of the array.

    In Fortran order, the file has to be one of the operating system, since the values of a row are scattered over it.
    """
    file.write(array.head)
    if not array.fortran_order:
        for row in rows:
            file.write(np.ascontiguousarray(row).tobytes())
        return
    file.flush()
    _write_fortran(file.fileno(), array, rows)
    file.seek(0, os.SEEK_END)


def _write_fortran(descriptor: int, array: NewArray, rows: Iterable[NDArray[Any]]) -> None:
    """Write the rows where the first axis varies fastest: value by value of a row, that of every row."""
    count, itemsize = array.shape[0], array.dtype.itemsize
    row_bytes = max(math.prod(array.shape[1:]) * itemsize, 1)
    start = 0
    remaining = iter(rows)
    while batch := list(islice(remaining, max(_BLOCK_BYTES // row_bytes, 1))):
        block = np.empty((row_bytes // itemsize, len(batch)), array.dtype)
        for row, column in zip(batch, block.T, strict=True):
            column[:] = row.ravel(order="F")
        for value, column in enumerate(block):
            write_at(descriptor, column.tobytes(), len(array.head) + (value * count + start) * itemsize)
        start += len(batch)
