"""Files of this machine: what a path names, opening without blocking, and bytes at a place."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelstore.errors import SkelstoreError, StoreError, StoreNotFoundError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_SECRETS = re.compile(r"(?<=//)[^/?#]*@|\?.*", re.DOTALL)
"""What a message leaves out of a URL: name, password, and query."""

_SCHEMES = frozenset(
    {
        *("http", "https", "ftp", "sftp", "ssh", "file", "memory"),
        *("s3", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "hf"),
    }
)
"""Schemes that are recognised in a Path made of a URL, which has lost one slash."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""What messages call files that are neither regular files nor folders."""


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path, which stays valid when the working directory changes.

    Neither links nor ``..`` are resolved: after a link to a folder, ``..`` is not the folder that holds the link.
    Raises StoreNotFoundError if the working directory was removed.
    """
    try:
        return Path(path).absolute()
    except FileNotFoundError as error:
        raise StoreNotFoundError(
            f"{os.fspath(path)} does not exist: the working directory was removed, so give the whole path"
        ) from error


def local_path(path: str | os.PathLike[str], error: type[SkelstoreError] = StoreError) -> Path:
    """The path of a local file or folder.

    Raises ``error`` for a URL, and for a Path made of one: Path turns a URL into a local path with one slash less.
    """
    text = os.fspath(path)
    match = _URL.match(text)
    if match is None or os.path.lexists(f"{match[1]}:"):
        return Path(path)
    scheme, rest = match.groups()
    if not text.startswith(f"{scheme}://") and scheme.lower() not in _SCHEMES:
        return Path(path)
    url = text if text.startswith(f"{scheme}://") else f"{scheme}://{rest}"
    remedy = "download it first, or give a local path; `skelstore pull` and `skelstore push` copy stores"
    remedy = "leave out file://" if scheme.lower() == "file" else remedy
    raise error(f"{_SECRETS.sub('', url)} is a URL; expected the path of a local file or folder: {remedy}")


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY) -> int:
    """Open a regular file, or a link to one, without blocking; return its descriptor.

    An ``opener`` for the built-in ``open``. Raises OSError for a named pipe, a socket or a device, which could block
    forever or return endless bytes; its ``strerror`` names the kind of file. Raises IsADirectoryError for a folder.
    """
    try:
        mode = os.stat(path).st_mode  # before the open: opening a device may have effects
    except ValueError as error:  # a NUL in the path
        raise FileNotFoundError(errno.ENOENT, str(error), os.fspath(path)) from None
    _refuse_special(mode, path)
    fd = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        _refuse_special(os.fstat(fd).st_mode, path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _refuse_special(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", os.fspath(path))


def flat_bytes(array: np.ndarray[Any, Any]) -> memoryview:
    """The memory of a C-contiguous array as a flat view of bytes."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type,unused-ignore]  # a Buffer since 3.12


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write bytes at a place of a file, all of them; its own place in the file does not move."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def _pread_by_seeking(fd: int, length: int, offset: int, /) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


def _preadv_by_seeking(fd: int, buffers: Sequence[Any], offset: int, /) -> int:
    return 0  # nothing is filled, so the caller reads everything with ``read``


pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _pread_by_seeking)
preadv: Callable[[int, Sequence[Any], int], int] = getattr(os, "preadv", _preadv_by_seeking)
