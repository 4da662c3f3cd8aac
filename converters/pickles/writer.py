"""Writing pickles of plain data and NumPy arrays as a stream, without the pickle module.

A pickle of 30 GB is written with one annotation in memory. Python 3.4 and later can load it with NumPy 1 and 2: it has
protocol 4 without frames (which are optional, and would need the size of what follows), and the module names of NumPy
1, which NumPy 2 keeps for old pickles.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import UnsupportedValueError
from skelstore.wording import kind_of

__all__ = ["PickleWriter", "dumps"]

SHARED_STRING_BYTES = 64
"""Strings of at most this many bytes are written once and then fetched from the memo."""
SHARED_VALUES = 100_000
SHARED_STRINGS = 150_000
"""Maximum number of strings in the memo: of values, and of values and keys together. The difference is reserved for
dict keys, which occur in every annotation and need room even after the names of a large split."""
BATCH = 1000
"""Number of items of a list or dict per batch on the loader's stack, as in the pickle module."""
DIRECT_BYTES = 16 * 1024
"""Minimum size of data that is written to the file directly, not copied to the buffer."""
BUFFER_BYTES = 64 * 1024

NUMPY_TYPES = frozenset(np.dtype(code).type for code in "?bhilqBHILQefd")


class PickleWriter:
    """Writes one pickle to a buffered binary file: a single `value`, or streamed containers.

    ::

        writer = PickleWriter(file)
        with writer.streamed_dict():
            writer.key("split")
            writer.value({"xsub_train": [...]})
            writer.key("annotations")
            with writer.streamed_list():
                for annotation in annotations:
                    writer.value(annotation)
        writer.stop()

    Values are None, bool, int, float, str, bytes, tuple, list, dict, NumPy scalars (bool, integer, float up to 64 bits,
    str) and arrays of bool, integer and float of either byte order. Subclasses are refused, since their class would be
    lost. Arrays are written in C order. Only strings, dtypes and NumPy's functions are shared within the file; a list
    or array that occurs in two places is written twice.

    The file is not closed, and is complete only after `stop`. After an error it is not a valid pickle.
    Raises ValueError if the file is not buffered.
    """

    def __init__(self, file: BinaryIO) -> None:
        if isinstance(file, io.RawIOBase):
            # Its write may write only a part of the data: at most 2 GiB on Linux.
            raise ValueError("a pickle needs a buffered file, as open(path, 'wb') returns it")
        self._file = file
        self._buffer = bytearray(b"\x80\x04")
        self._fetch_string: dict[str, bytes] = {}
        self._fetch_dtype: dict[np.dtype[Any], bytes] = {}
        self._fetch_global: dict[str, bytes] = {}
        self._memo_size = 0
        # The opcodes that add a value to each open container; b"" for the file itself, which has one value.
        self._open = [b""]
        self._expects_key = False
        self._complete = False
        self._writers: dict[type, Callable[[Any], None]] = {
            type(None): self._none,
            bool: self._bool,
            int: self._int,
            float: self._float,
            str: self._str,
            bytes: self._bytes,
            tuple: self._tuple,
            list: self._list,
            dict: self._dict,
            np.ndarray: self._array,
            np.str_: self._numpy_str,
            **dict.fromkeys(NUMPY_TYPES, self._numpy_number),
        }

    def value(self, value: object) -> None:
        """Write a whole value: the only one of the file, an item of a list, or the value of a `key`.

        Raises UnsupportedValueError, with the place inside `value`, for a type that is not listed above, for a NumPy
        string that ends in NUL (loading it would drop the NUL), and for nesting deeper than Python's stack. Raises
        ValueError if a key must come next, or the pickle is complete.
        """
        self._begin()
        try:
            self._write(value)
        except UnsupportedValueError as error:
            where = f"at {error.place}: " if error.place else ""
            raise UnsupportedValueError(f"{where}{error}", error.place, error.value) from None
        except RecursionError:
            raise UnsupportedValueError("a value that is nested too deeply, or contains itself", "", value) from None
        self._end()

    def key(self, key: object) -> None:
        """Write a key of the streamed dict; its value comes next.

        Raises ValueError if no key is expected, and UnsupportedValueError as `value` does.
        """
        if not self._expects_key:
            raise ValueError(f"the key {key!r} was written where a value belongs")
        self._key(key)
        self._expects_key = False

    @contextmanager
    def streamed_list(self) -> Iterator[None]:
        """Write a list whose items are the values written inside the block."""
        self._begin()
        self._buffer += b"]"
        self._open.append(b"a")
        yield
        self._open.pop()
        self._end()

    @contextmanager
    def streamed_dict(self) -> Iterator[None]:
        """Write a dict whose items are the keys and values written alternately inside the block."""
        self._begin()
        self._buffer += b"}"
        self._open.append(b"s")
        self._expects_key = True
        yield
        if not self._expects_key:
            raise ValueError("the last key has no value")
        self._open.pop()
        self._expects_key = False
        self._end()

    def stop(self) -> None:
        """End the pickle. Raises ValueError if it does not have one complete value."""
        if not self._complete:
            raise ValueError("a pickle has exactly one value, and that of this pickle is not complete")
        self._buffer += b"."
        self._flush()

    def _begin(self) -> None:
        if self._expects_key:
            raise ValueError("a value was written where a key belongs")
        if self._complete:
            raise ValueError("a pickle has exactly one value, and that of this pickle is complete")

    def _end(self) -> None:
        add = self._open[-1]
        self._buffer += add
        self._expects_key = add == b"s"
        self._complete = not add
        if len(self._buffer) >= BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.write(self._buffer)
        # A new buffer, since the file may keep a reference to the old one.
        self._buffer = bytearray()

    def _write(self, value: object) -> None:
        write = self._writers.get(type(value))
        if write is None:
            raise UnsupportedValueError(f"{kind_of(value)} cannot be written to a pickle of plain data", "", value)
        write(value)

    def _none(self, value: None) -> None:
        self._buffer += b"N"

    def _bool(self, value: bool) -> None:
        self._buffer += b"\x88" if value else b"\x89"

    def _int(self, value: int) -> None:
        if 0 <= value < 1 << 8:
            self._buffer += b"K%c" % value
        elif 0 <= value < 1 << 16:
            self._buffer += struct.pack("<cH", b"M", value)
        elif -(1 << 31) <= value < 1 << 31:
            self._buffer += struct.pack("<ci", b"J", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self._buffer += sized(b"\x8a", b"\x8b", b"", len(data))
            self._buffer += data

    def _float(self, value: float) -> None:
        self._buffer += struct.pack(">cd", b"G", value)

    def _str(self, value: str) -> None:
        self._shared_str(value, SHARED_VALUES)

    def _key(self, value: object) -> None:
        if type(value) is str:
            self._shared_str(value, SHARED_STRINGS)
        else:
            self._write(value)

    def _shared_str(self, value: str, room: int) -> None:
        fetch = self._fetch_string.get(value)
        if fetch is not None:
            self._buffer += fetch
            return
        # surrogatepass: lone surrogates, which file names can have, are written as the pickle module does.
        data = value.encode("utf-8", "surrogatepass")
        self._blob(sized(b"\x8c", b"X", b"\x8d", len(data)), data)
        if len(data) <= SHARED_STRING_BYTES and len(self._fetch_string) < room:
            self._fetch_string[value] = self._memoize()

    def _bytes(self, value: bytes) -> None:
        self._blob(sized(b"C", b"B", b"\x8e", len(value)), value)

    def _tuple(self, value: tuple[object, ...]) -> None:
        if len(value) > 3:
            self._buffer += b"("
        for index, item in enumerate(value):
            self._item(item, index)
        self._buffer += (b")", b"\x85", b"\x86", b"\x87")[len(value)] if len(value) <= 3 else b"t"

    def _list(self, value: list[object]) -> None:
        self._buffer += b"]"
        for start in range(0, len(value), BATCH):
            self._buffer += b"("
            for index, item in enumerate(value[start : start + BATCH], start):
                self._item(item, index)
            self._buffer += b"e"

    def _dict(self, value: dict[object, object]) -> None:
        self._buffer += b"}"
        if not value:
            return
        self._buffer += b"("
        for index, (key, item) in enumerate(value.items()):
            if index and index % BATCH == 0:
                self._buffer += b"u("
            try:
                self._key(key)
                self._write(item)
            except UnsupportedValueError as error:
                error.place = (f".{key}" if type(key) is str else f"[{key!r}]") + error.place
                raise
        self._buffer += b"u"

    def _item(self, value: object, index: int) -> None:
        try:
            self._write(value)
        except UnsupportedValueError as error:
            error.place = f"[{index}]{error.place}"
            raise

    def _array(self, value: NDArray[Any]) -> None:
        dtype = value.dtype
        if dtype.type not in NUMPY_TYPES:
            raise UnsupportedValueError(f"an array of {dtype} cannot be written to a pickle of plain data", "", value)
        # After ascontiguousarray, reshape and view copy nothing. Unlike a cast of the memoryview, they accept every
        # shape, including zero-size and 0-d, and either byte order.
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        if dtype.isnative:
            self._reconstruct(value.shape, dtype, data)
        else:
            # The usual form loads in the machine's byte order, even if NumPy wrote it. ndarray(shape, dtype, buffer)
            # keeps the byte order, and with an array as the buffer the result is writeable.
            self._global("numpy", "ndarray")
            self._tuple(value.shape)
            self._dtype(dtype)
            self._reconstruct(data.shape, data.dtype, data)
            self._buffer += b"\x87R"

    def _reconstruct(self, shape: tuple[int, ...], dtype: np.dtype[Any], data: NDArray[np.uint8]) -> None:
        self._global("numpy.core.multiarray", "_reconstruct")
        self._global("numpy", "ndarray")
        # _reconstruct(ndarray, (0,), b"b"), then its state: version 1, shape, dtype, not in Fortran order, bytes.
        self._buffer += b"K\x00\x85C\x01b\x87R(K\x01"
        self._tuple(shape)
        self._dtype(dtype)
        self._buffer += b"\x89"
        self._blob(sized(b"C", b"B", b"\x8e", len(data)), data.data)
        self._buffer += b"tb"

    def _numpy_number(self, value: np.generic) -> None:
        self._scalar(value.dtype, value.tobytes())

    def _numpy_str(self, value: np.str_) -> None:
        if value.endswith("\0"):
            raise UnsupportedValueError(
                "a NumPy string that ends in NUL cannot be written: loading drops it", "", value
            )
        # NumPy calls the dtype of an empty string U0, but gives it four bytes, which is U1.
        self._scalar(np.dtype(f"=U{max(1, len(value))}"), value.tobytes())

    def _scalar(self, dtype: np.dtype[Any], data: bytes) -> None:
        self._global("numpy.core.multiarray", "scalar")
        self._dtype(dtype)
        self._bytes(data)
        self._buffer += b"\x86R"

    def _dtype(self, dtype: np.dtype[Any]) -> None:
        fetch = self._fetch_dtype.get(dtype)
        if fetch is not None:
            self._buffer += fetch
            return
        # dtype(name, False, True), then its state: version 3, byte order, no subarray, names or fields, item size and
        # alignment (-1: implied by the name), no flags. Strings have item size and alignment in bytes, and flag 8.
        name, order = dtype.str[1:], dtype.str[0]
        size, alignment, flags = (dtype.itemsize, 4, 8) if dtype.kind == "U" else (-1, -1, 0)
        self._global("numpy", "dtype")
        self._tuple((name, False, True))
        self._buffer += b"R"
        self._tuple((3, order, None, None, None, size, alignment, flags))
        self._buffer += b"b"
        if len(self._fetch_dtype) < SHARED_VALUES:
            self._fetch_dtype[dtype] = self._memoize()

    def _global(self, module: str, name: str) -> None:
        fetch = self._fetch_global.get(name)
        if fetch is not None:
            self._buffer += fetch
            return
        self._str(module)
        self._str(name)
        self._buffer += b"\x93"
        self._fetch_global[name] = self._memoize()

    def _memoize(self) -> bytes:
        """Put the value on top of the loader's stack into the memo; return the bytes that fetch it."""
        self._buffer += b"\x94"
        slot = self._memo_size
        self._memo_size += 1
        return b"h%c" % slot if slot < 256 else struct.pack("<cI", b"j", slot)

    def _blob(self, head: bytes, data: bytes | memoryview) -> None:
        self._buffer += head
        if len(data) < DIRECT_BYTES:
            self._buffer += data
        else:
            self._flush()
            self._file.write(data)


def dumps(value: object) -> bytes:
    """Return the pickle of `value` as bytes.

    Two pickles are the same bytes if and only if the values are the same in type, order and bits. This allows an exact
    comparison; ``==`` takes 1 for True, refuses arrays, and finds NaN unequal to itself. Raises UnsupportedValueError.
    """
    file = io.BytesIO()
    writer = PickleWriter(file)
    writer.value(value)
    writer.stop()
    return file.getvalue()


def sized(short: bytes, long: bytes, longest: bytes, size: int) -> bytes:
    """One of three opcodes, for lengths of 1, 4 or 8 bytes, followed by the length `size`."""
    if size < 1 << 8:
        return short + size.to_bytes(1, "little")
    if size < 1 << 32:
        return long + size.to_bytes(4, "little")
    return longest + size.to_bytes(8, "little")
