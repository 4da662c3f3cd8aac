"""NumPy's array files as data: ``.npy`` and ``.npz``, of which every size is checked before anything is read.

The format is NumPy's (numpy.lib.format, NEP 1). Object arrays are pickles inside and are refused by their header.
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
_MAX_HEADER = 32 << 10
"""Bytes that are read to find a header, which NumPy itself takes up to 10,000 of."""
_MAX_UNPACKED = 1 << 30
"""Bytes that the members of one .npz may state together: one video, which is held in memory."""
_MAX_RATIO = 1100
"""Deflate cannot do better than 1032 to 1; who states more is not to be believed."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHANGED = "has changed while it was read: convert it again when nothing writes to it"
_MAX_TEXT = 4 << 10
_BAD_HEADER = (
    *(ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError, EOFError, LookupError),
    tokenize.TokenError,
)
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError)


class Header(NamedTuple):
    """What an array is, and the byte at which its values begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def npy_header(path: Path) -> Header:
    """The header of a .npy file. Raises SourceError if it is not one, or not as long as its header says."""
    with _unchanged(path) as (file, size):
        return _header(file, size, str(path))


def read_entry(path: Path, header: Header, index: int) -> NDArray[Any]:
    """One entry of the first axis of a .npy file, whose header was read before.

    It is read, not mapped: a map of a file that becomes shorter would end the process. Raises SourceError if the file
    is not as long as its header says, or changes while it is read.
    """
    dtype, shape = header.dtype, header.shape[1:]
    count = math.prod(shape)
    with _unchanged(path) as (file, size):
        if size != header.offset + header.size * dtype.itemsize:
            raise SourceError(f"{path} {_CHANGED}")
        if header.fortran_order:  # the first axis changes first, so the values lie apart
            places = range(index, header.size, header.shape[0])
            data = b"".join(pread(file.fileno(), dtype.itemsize, header.offset + i * dtype.itemsize) for i in places)
        else:
            data = pread(file.fileno(), count * dtype.itemsize, header.offset + index * count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise SourceError(f"{path} {_CHANGED}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if header.fortran_order else "C")


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, in memory. Raises SourceError as `npy_header` does."""
    with _unchanged(path) as (file, size):
        return _array(file, size, str(path))


def npz_headers(path: Path) -> dict[str, Header]:
    """The headers of the arrays in a .npz file. Raises SourceError if it is not one, or states what cannot be."""
    with _members(path) as (archive, members):
        found = {}
        for name, info in members.items():
            with archive.open(info) as stream:
                found[name] = _header(stream, info.file_size, f"{path}: {name}")  # type: ignore[arg-type]
        return found


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of a .npz file by name, and as Python values those without an axis (what ``savez`` makes of them).

    Raises SourceError as `npz_headers` does, and if what is unpacked is not what the file states.
    """
    with _members(path) as (archive, members):
        found = {}
        for name, info in members.items():
            with archive.open(info) as stream:
                array = _array(stream, info.file_size, f"{path}: {name}")  # type: ignore[arg-type]
            found[name] = array.item() if array.ndim == 0 else array
        return found


def npz_text(path: Path, name: str) -> str | None:
    """The text that a .npz file has under a name, if it has one. Raises SourceError as `read_npz` does."""
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


@contextmanager
def _unchanged(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A file and its size. Raises SourceError at the end if its size or time of change is another then."""
    with open(path, "rb", opener=open_regular) as file:
        before = os.fstat(file.fileno())
        yield file, before.st_size
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(f"{path} {_CHANGED}")


@contextmanager
def _members(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and its arrays by name. What goes wrong with the archive while they are read is a SourceError."""
    try:
        with _unchanged(path) as (file, size), zipfile.ZipFile(file) as archive:
            members: dict[str, zipfile.ZipInfo] = {}
            for info in archive.infolist()[: _MAX_MEMBERS + 1]:
                name = info.filename.removesuffix(".npy")
                if name == info.filename or name in members:
                    raise SourceError(f"{path}: {info.filename!r} is not one array of a name of its own")
                if info.file_size > _MAX_RATIO * (info.compress_size + 1):
                    raise SourceError(
                        f"{path}: {name} states {counted(info.file_size, 'byte')} in {info.compress_size:,} packed "
                        "ones, which cannot be"
                    )
                if info.compress_type not in _METHODS or not 0 <= info.header_offset < size:
                    raise SourceError(f"{path}: {name} is packed as NumPy does not, or lies outside of the file")
                members[name] = info
            unpacked = sum(info.file_size for info in members.values())
            if len(members) > _MAX_MEMBERS or unpacked > _MAX_UNPACKED:
                raise SourceError(
                    f"{path} has more than {_MAX_MEMBERS} arrays or {_MAX_UNPACKED:,} bytes of them; expected one video"
                )
            yield archive, members
    except SourceError:
        raise
    except _BAD_ZIP as error:
        raise SourceError(f"{path} is not an .npz file, or is damaged ({error})") from None


def _header(file: BinaryIO, size: int, where: str) -> Header:
    """The header at the beginning of a file of that size, checked against it."""
    return _parse_header(io.BytesIO(file.read(_MAX_HEADER)), size, where)


def _parse_header(file: BinaryIO, size: int, where: str) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 2 wrote numbers that NumPy mends and warns of
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                raise SourceError(f"{where} is an array file of version {version[0]}.{version[1]}; expected 1 or 2")
    except SourceError:
        raise
    except _BAD_HEADER as error:
        reason = str(error).partition("\n")[0][:200]
        raise SourceError(f"{where} is not an array file of NumPy, or is damaged ({reason})") from None
    if dtype.hasobject:
        raise SourceError(
            f"{where} is an array of Python objects, which is a pickle inside and is not read: save it as an array of "
            "numbers"
        )
    text = dtype.kind == "U" and shape == () and dtype.itemsize <= _MAX_TEXT
    if not (is_storable_dtype(dtype) or text):
        raise SourceError(f"{where} is an array of {str(dtype)[:80]}; expected numbers")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise SourceError(f"{where} has the shape {shape}; expected lengths of at least 0")
    header = Header(dtype, shape, fortran, file.tell())
    stated = header.offset + header.size * dtype.itemsize
    if stated != size:
        raise SourceError(
            f"{where} has {counted(size, 'byte')}; its header says {stated:,} ({dtype} of shape {shape}): it is damaged"
        )
    return header


def _array(file: BinaryIO, size: int, where: str) -> NDArray[Any]:
    beginning = file.read(_MAX_HEADER)
    header = _parse_header(io.BytesIO(beginning), size, where)
    data = beginning[header.offset :] + file.read(max(size - len(beginning), 0))
    if len(data) != size - header.offset:
        raise SourceError(f"{where} ends after {header.offset + len(data):,} of {counted(size, 'byte')}: it is damaged")
    if header.dtype.kind == "b" and data.strip(b"\0\1"):
        raise SourceError(f"{where} has values of bool that are neither 0 nor 1: it is damaged")
    if header.dtype.kind == "U" and (np.frombuffer(data, f"{header.dtype.str[0]}u4") > sys.maxunicode).any():
        raise SourceError(f"{where} has letters that Unicode does not have: it is damaged")  # NumPy would make a str
    flat = np.frombuffer(data, header.dtype, header.size)
    try:
        return flat.reshape(header.shape, order="F" if header.fortran_order else "C").copy(order="C")
    except ValueError as error:  # more axes than NumPy has
        raise SourceError(f"{where} cannot be read ({error})") from None
