"""Arrow IPC files of a store. Their metadata is checked against the format before any column is read.

Arrow decompresses, expands and shares whatever a file asks for, without a limit on memory. Its metadata is stored as
flatbuffers (format/File.fbs, Schema.fbs and Message.fbs of apache/arrow); this module reads the few fields it needs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import skelstore.packages  # noqa: F401 - before pyarrow is imported

# isort: split
import numpy as np
import pyarrow as pa

from skelstore.errors import StoreError

MAX_COLUMNS = 50_000
"""Maximum number of columns of a table: columns of values, and columns of the positions of arrays."""

_MAGIC = b"ARROW1"
_TAIL = struct.Struct("<i6s")
_BLOCK = struct.Struct("<qi4xq")
_BATCH = 3
_LARGE_LIST = 21
_PLAIN_TYPES = frozenset((2, 3, 6, 19, 20))
"""Type numbers of Schema.fbs: integers, floats, bool, large_binary and large_utf8."""


class _Flat:
    """A flatbuffer table: its fields by slot. Raises struct.error if an offset points outside the data."""

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
            raise struct.error("an offset points before the first byte")
        number: int = struct.unpack_from("<" + form, self._data, at)[0]
        return number

    def _place(self, slot: int) -> int:
        """The offset of the field; 0 if it is omitted and has its default value."""
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
            raise StoreError(f"its metadata lacks field {slot} of a table")
        return _Flat(self._data, place + self._number("I", place))

    def vector(self, slot: int, size: int) -> memoryview:
        """The bytes of a vector whose elements have ``size`` bytes; empty if the vector is omitted."""
        place = self._place(slot)
        if not place:
            return self._data[:0]
        start = place + self._number("I", place)
        elements = self._data[start + 4 : start + 4 + size * self._number("I", start)]
        if len(elements) != size * self._number("I", start):
            raise struct.error("a vector extends beyond the last byte")
        return elements

    def count(self, slot: int) -> int:
        """The number of elements of a vector."""
        place = self._place(slot)
        return self._number("I", place + self._number("I", place)) if place else 0

    def tables(self, slot: int) -> Iterator[_Flat]:
        place = self._place(slot)
        if place:
            start = place + self._number("I", place) + 4
            for at in range(start, start + 4 * self._number("I", start - 4), 4):
                yield _Flat(self._data, at + self._number("I", at))


def load_table(buffer: pa.Buffer) -> pa.Table:
    """The table of an Arrow file, without a copy. Raises StoreError, without the path, if the format does not allow it.

    The format allows at most one record batch, which is not compressed. Its columns are integers, floats, bool,
    large_utf8, large_binary or lists of large_utf8, without dictionaries, and do not share bytes.
    """
    try:
        _check(memoryview(buffer))
        table = pa.ipc.open_file(buffer).read_all()
        table.validate(full=True)
        table.column_names  # noqa: B018 - pyarrow decodes the names only on access
    except (pa.ArrowException, OSError, UnicodeDecodeError, struct.error) as error:
        raise StoreError(str(error).partition("\n")[0][:300]) from error
    return table


def load_parts(buffer: pa.Buffer, provide: Callable[[int, int], None]) -> pa.Table:
    """The table of an Arrow file of which only some bytes are there; its columns are not looked at.

    ``provide`` is called with the bytes (start, stop) that are needed. What the table says about itself is checked as
    ``load_table`` checks it, and that its columns are long enough; their cells may be anything.
    """
    try:
        data = memoryview(buffer)
        for start, stop in _metadata_spans(data):
            provide(start, stop)
        _check(data)
        table = pa.ipc.open_file(buffer).read_all()
        for name, column in zip(table.column_names, table.columns, strict=True):
            for chunk in column.chunks:
                _check_lengths(name, chunk, len(table))
    except (pa.ArrowException, OSError, UnicodeDecodeError, struct.error) as error:
        raise StoreError(str(error).partition("\n")[0][:300]) from error
    return table


def _metadata_spans(data: memoryview) -> Iterator[tuple[int, int]]:
    """The bytes of a file that are not in its columns, one span after the other, since each says where the next is."""
    yield 0, min(len(data), len(_MAGIC))
    yield max(len(data) - _TAIL.size, 0), len(data)
    length, _ = _TAIL.unpack(data[-_TAIL.size :])
    yield max(len(data) - _TAIL.size - max(length, 0), 0), len(data)
    batches = _Flat.root(_footer(data)).vector(3, _BLOCK.size)
    if len(batches) == _BLOCK.size:
        offset, metadata_bytes, _ = _BLOCK.unpack(batches)
        start = min(max(offset, 0), len(data))
        yield start, min(start + max(metadata_bytes, 0), len(data))


def _check_lengths(name: str, chunk: pa.Array, rows: int) -> None:
    """Raise StoreError if a column has fewer cells than the table has rows, or its buffers are too short for them."""
    if pa.types.is_nested(chunk.type):
        raise StoreError(f"the column {name!r} is a list, which only a table of splits has")
    text = pa.types.is_large_string(chunk.type) or pa.types.is_large_binary(chunk.type)
    needed = 8 * (rows + 1) if text else (chunk.type.bit_width * rows + 7) // 8
    present, cells = chunk.buffers()[:2]
    short = cells is None or cells.size < needed or (present is not None and 8 * present.size < rows)
    if chunk.offset or len(chunk) != rows or short:
        raise StoreError(f"the column {name!r} has fewer cells than the table has rows")


def _check(data: memoryview) -> None:
    footer = _footer(data)
    table = _Flat.root(footer)
    _check_schema(table.table(1), len(footer))
    if table.has(4) and table.count(4):
        raise StoreError("it has custom metadata")
    if table.count(2):
        raise StoreError("it has dictionaries")
    if table.count(3) > 1:
        raise StoreError(f"it has {table.count(3)} record batches, expected one")
    if table.count(3):
        _check_batch(data, *_BLOCK.unpack(table.vector(3, _BLOCK.size)))


def _footer(data: memoryview) -> memoryview:
    length, magic = _TAIL.unpack(data[-_TAIL.size :])
    if data[: len(_MAGIC)] != _MAGIC or magic != _MAGIC or not 0 < length <= len(data) - _TAIL.size - 8:
        raise StoreError("it does not begin and end like an Arrow file")
    return data[len(data) - _TAIL.size - length : len(data) - _TAIL.size]


def _check_schema(schema: _Flat, most_bytes: int) -> None:
    """Raise StoreError for columns that take more memory to read than they have bytes."""
    if schema.number(0, "h"):
        raise StoreError("it is not little-endian")
    if schema.count(2):
        raise StoreError("its schema has custom metadata")
    if schema.count(1) > MAX_COLUMNS:
        raise StoreError(f"it has {schema.count(1)} columns, expected at most {MAX_COLUMNS}")
    names = 0
    for column in schema.tables(1):
        names += _check_column(column, is_list=column.number(2, "B") == _LARGE_LIST)
        if names > most_bytes:
            raise StoreError("its columns share their names")


def _check_column(column: _Flat, *, is_list: bool) -> int:
    """Raise StoreError for a column of a type that the format does not have; return the size of its names in bytes."""
    name = column.vector(0, 1)
    shown = repr(bytes(name[:100]).decode("utf-8", "replace"))
    if column.has(4):
        raise StoreError(f"the column {shown} is dictionary-encoded, which no column of a store is")
    if column.count(6):
        raise StoreError(f"the column {shown} has custom metadata, or an extension type")
    if not is_list and column.number(2, "B") not in _PLAIN_TYPES:
        raise StoreError(
            f"the column {shown} has a type that no column of a store has; expected integers, floats, bool, "
            "large_utf8 or large_binary"
        )
    if column.count(5) != is_list:
        raise StoreError(f"the column {shown} has {column.count(5)} child types, expected {int(is_list)}")
    return len(name) + sum(_check_column(child, is_list=False) for child in column.tables(5))


def _check_batch(data: memoryview, offset: int, metadata_bytes: int, body_bytes: int) -> None:
    """Raise StoreError for a record batch that is compressed or whose buffers share bytes."""
    if not 8 <= offset <= offset + metadata_bytes <= offset + metadata_bytes + body_bytes <= len(data):
        raise StoreError("its record batch is outside the file")
    head = data[offset : offset + metadata_bytes]
    if bytes(head[:4]) != b"\xff\xff\xff\xff":
        raise StoreError("its record batch has no message")
    message = _Flat.root(head[8:])
    if message.number(1, "B") != _BATCH:
        raise StoreError("it has another message in the place of its record batch")
    if message.count(4):
        raise StoreError("its record batch has custom metadata")
    batch = message.table(2)
    if batch.has(3):
        raise StoreError("it is compressed, which no table of a store is")
    if batch.count(4):
        raise StoreError("it has view columns, which no table of a store has")
    places = np.frombuffer(batch.vector(2, 16), "<i8").reshape(-1, 2)
    starts, lengths = places[places[:, 1] != 0].T
    if (lengths < 0).any() or (starts[1:] < (starts + lengths)[:-1]).any():
        raise StoreError("its columns share bytes")
