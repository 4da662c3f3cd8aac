"""NumPy's array files ``.npy`` and ``.npz``, read as data. Every size is checked before anything is read.

The format is NumPy's (numpy.lib.format, NEP 1). Object arrays contain pickles and are refused by their header.
"""

from __future__ import annotations

import io
import math
import os
import sys
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstore.errors import SourceError
from skelstore.format.files import open_regular, pread
from skelstore.format.values import is_storable_dtype
from skelstore.wording import counted

MAGIC = b"\x93NUMPY"
SUFFIXES = (".npy", ".npz")

_MAX_MEMBERS = 1000
"""Arrays in one .npz."""
MAX_HEADER = 32 << 10
"""Bytes that are read to find a header; NumPy itself accepts up to 10,000."""
_MAX_UNPACKED = 1 << 30
"""Uncompressed bytes that the arrays of one .npz may declare together. It is one video, which is held in memory."""
MAX_RATIO = 1100
"""Uncompressed bytes per compressed byte. Deflate reaches at most 1032, so a higher declared ratio is false."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
CHANGED = "has changed while it was read: convert it again when no process writes to it"
"""The rest of a message about a file whose size or time of change differs from before."""
_MAX_TEXT = 4 << 10
"""Bytes of a str in an array without axes."""
_BAD_HEADER = (
    *(ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError, EOFError, LookupError),
    tokenize.TokenError,
)
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError)


class Header(NamedTuple):
    """The dtype, shape and order of an array, and the byte at which its values begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def npy_header(path: Path) -> Header:
    """The header of a .npy file. Raises SourceError if it is not one, or does not have the length it declares."""
    with _unchanged(path) as (file, size):
        return _header(file, size, str(path))


def read_entry(path: Path, header: Header, index: int) -> NDArray[Any]:
    """One entry along the first axis of a .npy file, as an array of shape ``header.shape[1:]``.

    It is read, not memory-mapped: if a mapped file is truncated, the process is killed. Raises SourceError if the file
    does not have the length that its header declares, or changes while it is read.
    """
    dtype, shape = header.dtype, header.shape[1:]
    count = math.prod(shape)
    with _unchanged(path) as (file, size):
        if size != header.offset + header.size * dtype.itemsize:
            raise SourceError(f"{path} {CHANGED}")
        if header.fortran_order:  # the first axis varies fastest, so the values are not contiguous
            places = range(index, header.size, header.shape[0])
            data = b"".join(pread(file.fileno(), dtype.itemsize, header.offset + i * dtype.itemsize) for i in places)
        else:
            data = pread(file.fileno(), count * dtype.itemsize, header.offset + index * count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise SourceError(f"{path} {CHANGED}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if header.fortran_order else "C")


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, in memory. Raises SourceError as `npy_header` does."""
    return read_npy_and_head(path)[0]


def read_npy_and_head(path: Path) -> tuple[NDArray[Any], bytes]:
    """The array of a .npy file, in memory, and the bytes of its header. Raises SourceError as `npy_header` does."""
    with _unchanged(path) as (file, size):
        array = _array(file, size, str(path))
        file.seek(0)
        return array, file.read(size - array.nbytes)


def npz_headers(path: Path) -> dict[str, Header]:
    """The headers of the arrays in a .npz file by name. Raises SourceError if it is not one, or a size is false."""
    with _members(path) as (archive, members):
        headers = {}
        for name, info in members.items():
            with archive.open(info) as stream:
                headers[name] = _header(stream, info.file_size, f"{path}: {name}")  # type: ignore[arg-type]
        return headers


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of a .npz file by name. Arrays without axes, as which ``savez`` writes scalars, are Python values.

    Raises SourceError as `npz_headers` does, and if the uncompressed data differ from what the file declares.
    """
    with _members(path) as (archive, members):
        arrays = {}
        for name, info in members.items():
            with archive.open(info) as stream:
                array = _array(stream, info.file_size, f"{path}: {name}")  # type: ignore[arg-type]
            arrays[name] = array.item() if array.ndim == 0 else array
        return arrays


def npz_text(path: Path, name: str) -> str | None:
    """The str that a .npz file has under a name, None if there is none. Raises SourceError as `read_npz` does."""
    with _members(path) as (archive, members):
        if name not in members:
            return None
        with archive.open(members[name]) as stream:
            header = _header(stream, members[name].file_size, f"{path}: {name}")  # type: ignore[arg-type]
            if header.dtype.kind != "U":
                return None
        with archive.open(members[name]) as stream:
            text = _array(stream, members[name].file_size, f"{path}: {name}")  # type: ignore[arg-type]
        return str(text)


def parse_npy(data: bytes, where: str) -> NDArray[Any]:
    """The array that the bytes of a .npy file hold. Raises SourceError, with its name ``where``, if it is not one."""
    return _array(io.BytesIO(data), len(data), where)


def npz_pickle(path: Path, name: str) -> bytes:
    """The pickle in an array of Python objects, which a .npz has under a name.

    Raises SourceError as `npz_headers` does, and if there is no array of objects with this name.
    """
    with _members(path) as (archive, members):
        if name not in members:
            raise SourceError(f"{path} has no array {name}")
        with archive.open(members[name]) as stream:
            data = stream.read()
    where = f"{path}: {name}"
    file = io.BytesIO(data)
    _, _, dtype = _stated(file, where)
    if not dtype.hasobject:
        raise SourceError(f"{where} is an array of {str(dtype)[:80]}; expected an array of Python objects")
    return data[file.tell() :]


@contextmanager
def _unchanged(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file; yields it and its size. Raises SourceError at the end if its size or mtime has changed."""
    with open(path, "rb", opener=open_regular) as file:
        before = os.fstat(file.fileno())
        yield file, before.st_size
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(f"{path} {CHANGED}")


@contextmanager
def _members(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Open a .npz; yields the archive and its arrays by name. Errors of the archive in the block are SourceErrors."""
    try:
        with _unchanged(path) as (file, size), zipfile.ZipFile(file) as archive:
            members: dict[str, zipfile.ZipInfo] = {}
            for info in archive.infolist()[: _MAX_MEMBERS + 1]:
                name = info.filename.removesuffix(".npy")
                if name == info.filename or name in members:
                    raise SourceError(f"{path}: {info.filename!r} is not an array with its own name")
                if info.file_size > MAX_RATIO * (info.compress_size + 1):
                    raise SourceError(
                        f"{path}: {name} declares {counted(info.file_size, 'byte')}, compressed to "
                        f"{info.compress_size:,}, which is impossible"
                    )
                if info.compress_type not in _METHODS or not 0 <= info.header_offset < size:
                    raise SourceError(
                        f"{path}: {name} is compressed with a method that NumPy does not use, or lies outside the file"
                    )
                members[name] = info
            unpacked = sum(info.file_size for info in members.values())
            if len(members) > _MAX_MEMBERS or unpacked > _MAX_UNPACKED:
                raise SourceError(
                    f"{path} has more than {_MAX_MEMBERS} arrays or {_MAX_UNPACKED:,} bytes; expected one video"
                )
            yield archive, members
    except SourceError:
        raise
    except _BAD_ZIP as error:
        raise SourceError(f"{path} is not a .npz file, or is damaged ({error})") from None


def _header(file: BinaryIO, size: int, where: str) -> Header:
    """The header at the beginning of a file, checked against the size of the file."""
    return parse_header(file.read(MAX_HEADER), size, where)


def _stated(file: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether the order is Fortran's, and the dtype that the header of an array states."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy repairs, and warns about, integers that Python 2 wrote
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                raise SourceError(f"{where} is an array file of version {version[0]}.{version[1]}; expected 1.0 or 2.0")
    except SourceError:
        raise
    except _BAD_HEADER as error:
        reason = str(error).partition("\n")[0][:200]
        raise SourceError(f"{where} is not an array file of NumPy, or is damaged ({reason})") from None
    return shape, fortran, dtype


def parse_header(beginning: bytes, size: int | None, where: str) -> Header:
    """The header in the first bytes of an array file of ``size`` bytes, at most ``MAX_HEADER`` of which are needed.

    ``where`` names the file in messages. Raises SourceError if it is not one, if its arrays are not of numbers, or if
    it declares another size; with ``size`` None, it may declare any.
    """
    file = io.BytesIO(beginning)
    shape, fortran, dtype = _stated(file, where)
    if dtype.hasobject:
        raise SourceError(
            f"{where} is an array of Python objects, which contains a pickle and is not read: save it as an array of "
            "numbers"
        )
    text = dtype.kind == "U" and shape == () and dtype.itemsize <= _MAX_TEXT
    if not (is_storable_dtype(dtype) or text):
        raise SourceError(f"{where} is an array of {str(dtype)[:80]}; expected numbers")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise SourceError(f"{where} has the shape {shape}; expected integers of at least 0")
    header = Header(dtype, shape, fortran, file.tell())
    stated = header.offset + header.size * dtype.itemsize
    if size is not None and stated != size:
        raise SourceError(
            f"{where} has {counted(size, 'byte')}; its header declares {stated:,} ({dtype} of shape {shape}): it is "
            "damaged"
        )
    return header


def _array(file: BinaryIO, size: int, where: str) -> NDArray[Any]:
    beginning = file.read(MAX_HEADER)
    header = parse_header(beginning, size, where)
    data = beginning[header.offset :] + file.read(max(size - len(beginning), 0))
    if len(data) != size - header.offset:
        raise SourceError(f"{where} ends after {header.offset + len(data):,} of {counted(size, 'byte')}: it is damaged")
    if header.dtype.kind == "b" and data.strip(b"\0\1"):
        raise SourceError(f"{where} has bool values that are neither 0 nor 1: it is damaged")
    if header.dtype.kind == "U" and (np.frombuffer(data, f"{header.dtype.str[0]}u4") > sys.maxunicode).any():
        raise SourceError(f"{where} has characters that are not in Unicode: it is damaged")  # NumPy would make a str
    flat = np.frombuffer(data, header.dtype, header.size)
    try:
        return flat.reshape(header.shape, order="F" if header.fortran_order else "C").copy(order="C")
    except ValueError as error:  # more axes than NumPy has
        raise SourceError(f"{where} cannot be read ({error})") from None
