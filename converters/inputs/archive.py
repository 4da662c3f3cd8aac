"""Files in a zip file. Once its directory has been read, each of them can be read on its own.

``zipfile`` reads the directory again whenever it opens the file, which takes half a second for 50,000 entries. Many
processes read a few hundred entries each, so that time matters.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.wording import counted

CHUNK_BYTES = 1 << 20
"""Bytes of a file that ``chunks`` returns at once."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 1
_MOST_OVERHEAD = 1024
"""Compressed bytes that are accepted beyond twice the size of the file."""


class Member(NamedTuple):
    """A file in a zip file: its path, its size, and where and how it is stored.

    ``size`` and ``packed`` are the uncompressed and compressed sizes in bytes, ``offset`` is the byte at which its
    local header begins.
    """

    path: str
    size: int
    offset: int
    packed: int
    method: int
    flags: int
    crc: int


def members(path: Path) -> list[Member]:
    """All files in a zip file, in its order. Raises SourceError if it is not one, or its directory is damaged."""
    try:
        with open(path, "rb", opener=open_regular) as file, zipfile.ZipFile(file) as archive:
            found = [
                Member(i.filename, i.file_size, i.header_offset, i.compress_size, i.compress_type, i.flag_bits, i.CRC)
                for i in archive.infolist()
                if not i.is_dir()
            ]
    except (zipfile.BadZipFile, ValueError, IndexError, OverflowError, NotImplementedError, struct.error) as error:
        raise SourceError(f"{path} is not a readable zip file ({error}): get it again, or unpack it") from None
    size = path.stat().st_size
    for member in found:
        if not 0 <= member.offset <= member.offset + member.packed <= size:
            raise SourceError(
                f"{path}: its directory places {member.path[:200]!r} at byte {member.offset} with "
                f"{counted(member.packed, 'byte')}, but the file has {size:,}: get the file again"
            )
    _refuse_shared(path, found)
    return found


def _refuse_shared(path: Path, found: list[Member]) -> None:
    """Raise SourceError if files overlap in the zip file: a few bytes could then unpack to any number."""
    ordered = sorted(found, key=lambda member: member.offset)
    for member, following in pairwise(ordered):
        if member.offset + member.packed > following.offset:
            raise SourceError(
                f"{path}: {member.path[:200]!r} and {following.path[:200]!r} overlap in the zip file: get the file "
                "again, or unpack it"
            )


def read(path: Path, member: Member) -> bytes:
    """The bytes of a file. Raises SourceError, without the path, if they cannot be read or are damaged."""
    return b"".join(chunks(path, member))


def chunks(path: Path, member: Member) -> Iterator[bytes]:
    """The bytes of a file in chunks of at most ``CHUNK_BYTES``. Raises as ``read`` does, at the latest at the end."""
    if member.flags & _ENCRYPTED or member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SourceError("it is encrypted, or compressed with a method other than deflate: unpack the zip file")
    if member.packed > 2 * member.size + _MOST_OVERHEAD:
        raise SourceError(
            f"it is damaged in the zip file ({counted(member.packed, 'byte')} compressed, {member.size:,} uncompressed)"
            ": get the zip file again"
        )
    size = crc = 0
    for chunk in _unpack(path, member):
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
        if size > member.size:
            break
        yield chunk
    if size != member.size or crc != member.crc:
        raise SourceError("it is damaged in the zip file: get the zip file again")


def _unpack(path: Path, member: Member) -> Iterator[bytes]:
    """The uncompressed bytes of a file, up to the first damaged one."""
    with open(path, "rb", opener=open_regular) as file:
        begins = _content_begins(file, member)
        if begins is None:
            return
        file.seek(begins)
        left = member.packed
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == zipfile.ZIP_DEFLATED else None
        while left > 0 and (data := file.read(min(left, CHUNK_BYTES))):
            left -= len(data)
            if inflate is None:
                yield data
                continue
            while data and not inflate.eof:
                try:
                    chunk = inflate.decompress(data, CHUNK_BYTES)
                except zlib.error:
                    return
                yield chunk
                data = inflate.unconsumed_tail


def _content_begins(file: BinaryIO, member: Member) -> int | None:
    """The byte behind the local header of a file; None if there is no such header."""
    file.seek(member.offset)
    magic, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size).ljust(_LOCAL_HEADER.size, b"\0"))
    return member.offset + _LOCAL_HEADER.size + name + extra if magic == _LOCAL_MAGIC else None
