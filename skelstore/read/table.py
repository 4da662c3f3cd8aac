"""The Arrow tables of a store, and their columns as functions from a video's position to a Python value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skelstore.errors import DamageError, StoreError
from skelstore.format import checksums, values
from skelstore.format.arrow_file import load_table
from skelstore.format.checksums import FileEntry, crc32c
from skelstore.format.columns import ARROW_TYPES, numpy_dtype
from skelstore.format.files import flat_bytes, open_regular
from skelstore.format.schema import SPLITS_KEY
from skelstore.format.store_files import StoreFiles
from skelstore.wording import counted

COPIED_BYTES = 4 << 20
"""A smaller table is copied into memory, which takes a millisecond or two; later changes to the file do no harm.
A larger table is memory-mapped: truncating the file or writing into it, instead of replacing it, affects readers."""

WHOLE_BYTES = 16 << 20
WHOLE_NAMES_BYTES = 2 << 20
"""At a URL, a table of videos or names of up to this size is fetched as a whole when the store is opened.

Those of 100,000 videos are smaller. At 100 Mbit/s they take at most 1.3 and 0.2 seconds, once. In parts, each first row
of 512 takes one more round trip, and each first name of a part one more.
"""

_SPLITS_TYPES = {"name": pa.large_utf8(), "ids": pa.large_list(pa.large_utf8()), "value": pa.large_utf8()}
NAMES_TYPES = {"bucket": pa.int64(), "video": pa.int64()}
"""The columns of ``splits.arrow`` and ``names.arrow`` that the format requires."""


def read_table(files: StoreFiles, key: str, expected: FileEntry | None, mmap: bool = True) -> pa.Table:
    """Read an Arrow IPC file of a store.

    With ``mmap``, a large file is memory-mapped: processes share its pages without a copy.
    The bytes are checked against the manifest before they are interpreted, and the structure is checked, too.
    Raises DamageError, StoreError or StoreReplacedError naming the file.
    """
    path = files.path(key)
    if expected is None:
        raise StoreError(f"{path} is not in the manifest")
    try:
        buffer = _verified_bytes(path, files.copy(key, expected.size, expected.crc32c), expected, mmap)
    except DamageError:
        if files.drop_copy(key):
            return read_table(files, key, expected, mmap)
        files.refuse_replaced()
        raise
    return _load(buffer, str(path))


def _load(buffer: pa.Buffer, place: str) -> pa.Table:
    """The table in the bytes of an Arrow file that match the manifest. Raises StoreError naming ``place``."""
    try:
        return load_table(buffer)
    except StoreError as error:
        raise StoreError(
            f"{place} is not an Arrow file that the format allows ({error}): convert the source again"
        ) from error


def check_types(table: pa.Table, place: str, types: Mapping[str, pa.DataType]) -> None:
    """Raise StoreError naming ``place`` unless a table has each of these columns once, with its type."""
    for name, kind in types.items():
        if not _has_column(table, name, kind):
            raise StoreError(f"{place} has no column {name!r} of type {kind}, which the format requires")


def _has_column(table: pa.Table, name: str, kind: pa.DataType) -> bool:
    indices = table.schema.get_all_field_indices(name)
    return len(indices) == 1 and table.schema.field(indices[0]).type == kind


def _verified_bytes(path: object, place: Path, expected: FileEntry, mmap: bool) -> pa.Buffer:
    """The bytes of the file of a table. Raises DamageError, which names ``path``, if they do not match the manifest.

    All of them come from one file, even if it is replaced meanwhile. Its size is compared before its content is read: a
    file of a terabyte may be sparse.
    """
    try:
        with open(place, "rb", opener=open_regular) as file:
            size = os.fstat(file.fileno()).st_size
            if size != expected.size:
                raise DamageError(
                    f"{path} has {counted(size, 'byte')}; the manifest says {expected.size:,}: it is damaged or from "
                    "another version of the store, so fetch or convert the store again"
                )
            if size < COPIED_BYTES or not mmap:
                data = file.read()
                actual, buffer = FileEntry(len(data), crc32c(data)), pa.py_buffer(data)
            else:
                # Measured by reading the file: pages of the map would count as this process's own memory.
                actual = checksums.measure_open(file)
                mapped = pa.memory_map(os.fsencode(place))
                if not os.path.samestat(os.fstat(mapped.fileno()), os.fstat(file.fileno())):
                    raise DamageError(f"{path} was replaced while it was opened: open the store again")
                buffer = mapped.read_buffer()
    except FileNotFoundError as error:
        raise DamageError(f"{path} is missing: the store is damaged, so fetch or convert it again") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise DamageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if actual != expected or buffer.size != expected.size:
        raise DamageError(
            f"{path} is damaged or from another version of the store (its checksum does not match the manifest), so "
            "fetch or convert the store again"
        )
    return buffer


def read_splits(files: StoreFiles, expected: FileEntry | None, mmap: bool) -> dict[Any, Any]:
    """The ids of each split, by its name: an Arrow array large_utf8 [n], or the value that the source had instead.

    Raises as ``read_table`` does, and StoreError if the table does not follow the format.
    """
    place = files.path(SPLITS_KEY)
    table = read_table(files, SPLITS_KEY, expected, mmap)
    check_types(table, str(place), _SPLITS_TYPES)
    splits: dict[Any, Any] = {}
    try:
        names, exacts = (table[column].to_pylist() for column in ("name", "value"))
        for name, exact, listed in zip(names, exacts, table["ids"], strict=True):
            ids = listed.values
            key, value = (name, ids) if exact is None else map(values.decode, values.loads(exact))
            if exact is None and (name is None or ids is None or ids.null_count):
                raise StoreError(f"{place} has an empty cell, which the format does not allow")
            splits[key] = value
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{place} does not follow the format ({error})") from error
    return splits


def numeric_column(table: pa.Table, name: str, kind: pa.DataType) -> np.ndarray[Any, Any]:
    """A column as a NumPy array, without a copy except for booleans; the values of null cells are undefined.

    Raises StoreError if the table has no column with this name and type.
    """
    chunk = _chunk(table, name, kind)
    if chunk is None:
        return np.zeros(0, numpy_dtype(kind))
    buffer = chunk.buffers()[1]
    if buffer is None:
        raise StoreError(f"the column {name!r} of the table of the videos has rows without values")
    if pa.types.is_boolean(kind):
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
        return bits[chunk.offset : chunk.offset + len(chunk)].astype(bool)
    dtype = np.dtype(numpy_dtype(kind))
    # The buffer may be larger, even by a fraction of a value: then it is damaged, but only after these values.
    return np.frombuffer(buffer, dtype, len(chunk), chunk.offset * dtype.itemsize)


def column_reader(table: pa.Table, name: str, kind: str, *, partial: bool = False) -> Callable[[int], Any]:
    """A function from a video's position to the Python value of a column; ``kind`` is the type named in the format.

    ``partial``: nothing may be looked at before the function is called for it.
    Raises StoreError if the table has no such column, or the type is unknown.
    """
    arrow = ARROW_TYPES.get(kind)
    if arrow is None:
        raise StoreError(f"column {name!r} has type {kind!r}, which the format does not define")
    if pa.types.is_large_string(arrow) or pa.types.is_large_binary(arrow):
        return _text_reader(table, name, kind, arrow, partial)
    if partial and pa.types.is_boolean(arrow):
        return _bit_reader(table, name, numpy_scalar=kind.startswith("numpy."))
    column = numeric_column(table, name, arrow)
    return column.__getitem__ if kind.startswith("numpy.") else column.item


def _bit_reader(table: pa.Table, name: str, *, numpy_scalar: bool) -> Callable[[int], Any]:
    """Like a reader of the column as an array of bool, which it does not make."""
    chunk = _chunk(table, name, pa.bool_())
    bits = memoryview(chunk.buffers()[1]) if chunk is not None else memoryview(b"")
    kind: Callable[[int], Any] = np.bool_ if numpy_scalar else bool
    return lambda row: kind(bits[row >> 3] >> (row & 7) & 1)


def text_column(table: pa.Table, name: str, *, partial: bool = False) -> Callable[[int], bytes]:
    """A function from a video's position to the UTF-8 form of its cell; empty for a null cell."""
    starts, content = text_buffers(table, name, pa.large_utf8(), partial=partial)
    offset, data = starts.item, flat_bytes(content)
    return lambda row: bytes(data[offset(row) : offset(row + 1)])


def _text_reader(table: pa.Table, name: str, kind: str, arrow: pa.DataType, partial: bool) -> Callable[[int], Any]:
    starts, content = text_buffers(table, name, arrow, partial=partial)
    offset, data = starts.item, flat_bytes(content)
    if kind == "str":
        return lambda row: str(data[offset(row) : offset(row + 1)], "utf-8")
    if kind == "bytes":
        return lambda row: bytes(data[offset(row) : offset(row + 1)])
    if kind == "json":
        return lambda row: values.decode(values.loads(bytes(data[offset(row) : offset(row + 1)])))
    return lambda row: np.str_(str(data[offset(row) : offset(row + 1)], "utf-8"))


def text_buffers(
    table: pa.Table, name: str, arrow: pa.DataType, *, partial: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The offsets of the cells of a column of text or bytes, [rows + 1], and the bytes of all cells.

    With ``partial`` they are not looked at.
    Raises StoreError if the table has no column with this name and type, or null cells refer to what is not text.
    """
    chunk = _chunk(table, name, arrow)
    if chunk is None:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, data = chunk.buffers()
    if (
        chunk.null_count and not partial
    ):  # Arrow does not check the bytes of null cells, which a damaged layout may refer to
        try:
            pa.Array.from_buffers(arrow, len(chunk), [None, offsets, data], 0, chunk.offset).validate(full=True)
        except pa.ArrowInvalid as error:
            raise StoreError(
                f"the column {name!r} of the table of the videos has cells that are not text ({error})"
            ) from error
    starts = np.frombuffer(offsets, np.int64, len(chunk) + 1, chunk.offset * 8)
    return starts, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)


def _chunk(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array | None:
    """The only chunk of a column; None if the column has no rows."""
    if not _has_column(table, name, kind):
        raise StoreError(f"the table of the videos has no column {name!r} of type {kind}")
    column = table[name]
    return column.chunk(0) if len(column) else None
