"""Arrow IPC files as the format has them: held to that by their metadata, before any of their columns is read.

Arrow would decompress, expand and share what a file says, whatever memory that takes. Its metadata are flatbuffers
(format/File.fbs, Schema.fbs and Message.fbs of apache/arrow), of which a few fields are read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import skelstore.packages  # noqa: F401 - before pyarrow is imported

# isort: split
import numpy as np
import pyarrow as pa

from skelstore.errors import StoreError

MAX_COLUMNS = 50_000
"""Columns of a table, at most: those of the values, and of the places of arrays."""

_MAGIC = b"ARROW1"
_TAIL = struct.Struct("<i6s")
_BLOCK = struct.Struct("<qi4xq")
_BATCH = 3
_LARGE_LIST = 21
_PLAIN_TYPES = frozenset((2, 3, 6, 19, 20))
"""Of Schema.fbs: integers, floats, bool, large_binary and large_utf8."""


class _Flat:
    """A table of a flatbuffer: its fields by their slot. Raises struct.error for what lies outside of the bytes."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - self._number("i", at)
        self._vtable_bytes = self._number("H", self._vtable)

    @classmethod
    def root(cls, data: memoryview) -> _Flat:
        return cls(data, struct.unpack_from("<I", data)[0])

    def _number(self, form: str, at: int) -> int:
        if at < 0:
            raise struct.error("an offset leads before the first byte")
        number: int = struct.unpack_from("<" + form, self._data, at)[0]
        return number

    def _place(self, slot: int) -> int:
        """Where the field is; 0 if it is left out, which means its default."""
        entry = 4 + 2 * slot
        offset = self._number("H", self._vtable + entry) if entry < self._vtable_bytes else 0
        return self._at + offset if offset else 0

    def has(self, slot: int) -> bool:
        return self._place(slot) != 0

    def number(self, slot: int, form: str) -> int:
        place = self._place(slot)
        return self._number(form, place) if place else 0

    def table(self, slot: int) -> _Flat:
        place = self._place(slot)
        if not place:
            raise StoreError(f"its metadata lack the field {slot} of a table")
        return _Flat(self._data, place + self._number("I", place))

    def vector(self, slot: int, size: int) -> memoryview:
        """The bytes of a vector of elements of so many bytes; none if it is left out."""
        place = self._place(slot)
        if not place:
            return self._data[:0]
        start = place + self._number("I", place)
        found = self._data[start + 4 : start + 4 + size * self._number("I", start)]
        if len(found) != size * self._number("I", start):
            raise struct.error("a vector leads beyond the last byte")
        return found

    def count(self, slot: int) -> int:
        """Elements of a vector."""
        place = self._place(slot)
        return self._number("I", place + self._number("I", place)) if place else 0

    def tables(self, slot: int) -> Iterator[_Flat]:
        place = self._place(slot)
        if place:
            start = place + self._number("I", place) + 4
            for at in range(start, start + 4 * self._number("I", start - 4), 4):
                yield _Flat(self._data, at + self._number("I", at))


def load_table(buffer: pa.Buffer) -> pa.Table:
    """The table of an Arrow file, without a copy. Raises StoreError, without its path, if it is none of the format.

    That is one record batch at most, not compressed, whose columns are integers, floats, bool, large_utf8, large_binary
    or lists of large_utf8, without dictionaries, and do not share their bytes.
    """
    try:
        _check(memoryview(buffer))
        table = pa.ipc.open_file(buffer).read_all()
        table.validate(full=True)
        table.column_names  # noqa: B018 - which pyarrow decodes only now
    except (pa.ArrowException, OSError, UnicodeDecodeError, struct.error) as error:
        raise StoreError(str(error).partition("\n")[0][:300]) from error
    return table


def _check(data: memoryview) -> None:
    footer = _footer(data)
    table = _Flat.root(footer)
    _check_schema(table.table(1), len(footer))
    if table.has(4) and table.count(4):
        raise StoreError("it has metadata of its own")
    if table.count(2):
        raise StoreError("it has dictionaries")
    if table.count(3) > 1:
        raise StoreError(f"it has {table.count(3)} record batches, expected one")
    if table.count(3):
        _check_batch(data, *_BLOCK.unpack(table.vector(3, _BLOCK.size)))


def _footer(data: memoryview) -> memoryview:
    length, magic = _TAIL.unpack(data[-_TAIL.size :])
    if data[: len(_MAGIC)] != _MAGIC or magic != _MAGIC or not 0 < length <= len(data) - _TAIL.size - 8:
        raise StoreError("it does not begin and end as one")
    return data[len(data) - _TAIL.size - length : len(data) - _TAIL.size]


def _check_schema(schema: _Flat, most_bytes: int) -> None:
    """Raise StoreError for columns that take more to read than their bytes."""
    if schema.number(0, "h"):
        raise StoreError("it is not little-endian")
    if schema.count(2):
        raise StoreError("its schema has metadata of its own")
    if schema.count(1) > MAX_COLUMNS:
        raise StoreError(f"it has {schema.count(1)} columns, expected at most {MAX_COLUMNS}")
    names = 0
    for column in schema.tables(1):
        names += _check_column(column, is_list=column.number(2, "B") == _LARGE_LIST)
        if names > most_bytes:
            raise StoreError("its columns share their names")


def _check_column(column: _Flat, *, is_list: bool) -> int:
    """Raise StoreError for a column of a type that the format has not; return the bytes of its names."""
    name = column.vector(0, 1)
    shown = repr(bytes(name[:100]).decode("utf-8", "replace"))
    if column.has(4):
        raise StoreError(f"the column {shown} is coded by a dictionary, which no column of a store is")
    if column.count(6):
        raise StoreError(f"the column {shown} has metadata of its own, or an extension type")
    if not is_list and column.number(2, "B") not in _PLAIN_TYPES:
        raise StoreError(
            f"the column {shown} has a type that no column of a store has; expected integers, floats, bool, "
            "large_utf8 or large_binary"
        )
    if column.count(5) != is_list:
        raise StoreError(f"the column {shown} has {column.count(5)} types below its own, expected {int(is_list)}")
    return len(name) + sum(_check_column(child, is_list=False) for child in column.tables(5))


def _check_batch(data: memoryview, offset: int, metadata_bytes: int, body_bytes: int) -> None:
    """Raise StoreError for a record batch that is compressed, or whose buffers share bytes."""
    if not 8 <= offset <= offset + metadata_bytes <= offset + metadata_bytes + body_bytes <= len(data):
        raise StoreError("its record batch is outside of the file")
    head = data[offset : offset + metadata_bytes]
    if bytes(head[:4]) != b"\xff\xff\xff\xff":
        raise StoreError("its record batch has no message")
    message = _Flat.root(head[8:])
    if message.number(1, "B") != _BATCH:
        raise StoreError("where its record batch should be is another message")
    if message.count(4):
        raise StoreError("its record batch has metadata of its own")
    batch = message.table(2)
    if batch.has(3):
        raise StoreError("it is compressed, which no table of a store is")
    if batch.count(4):
        raise StoreError("it has columns of views")
    places = np.frombuffer(batch.vector(2, 16), "<i8").reshape(-1, 2)
    starts, lengths = places[places[:, 1] != 0].T
    if (lengths < 0).any() or (starts[1:] < (starts + lengths)[:-1]).any():
        raise StoreError("its columns share bytes")
