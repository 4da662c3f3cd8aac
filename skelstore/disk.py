"""Durable local files: what has been reported as written survives a power cut, whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from skelstore.codecs import crc32c
from skelstore.metadata import FileEntry

_BLOCK = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write_file(path: Path, data: bytes) -> FileEntry:
    """Write a new file and bring it to the disk."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return FileEntry(len(data), crc32c(data))


def seal_file(path: Path) -> FileEntry:
    """Bring a file that something else wrote to the disk; return its size and checksum."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return measure_file(path)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that stands on the disk, and never changes, a second name; where that cannot be, a durable copy."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # another file system, or one without hard links, or with too many of one file
        with open(source, "rb") as old, open(target, "xb") as new:
            shutil.copyfileobj(old, new, _BLOCK)
            new.flush()
            os.fsync(new.fileno())


def measure_file(path: Path) -> FileEntry:
    """Size and crc32c of a file, read in blocks."""
    size = crc = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            crc = crc32c(block, crc)
            size += len(block)
    return FileEntry(size, crc)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk (not the content of its files)."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot, and needs not
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(path: Path) -> None:
    """``sync_folder`` for a folder and all folders below it."""
    for folder, _, _ in os.walk(path):
        sync_folder(Path(folder))


def move_into_place(new: Path, final: Path, *, replace: bool) -> None:
    """Give a complete folder its final name, in one step.

    With ``replace`` an existing folder there changes places with the new one and is then removed; where the file
    system cannot exchange two names it is moved aside first.
    Raises FileExistsError if something stands there and ``replace`` is false.
    """
    if final.exists():
        if not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
        if not _exchange(new, final):
            aside = new.with_name(new.name + ".replaced")
            os.rename(final, aside)
            os.rename(new, final)
            new = aside
        sync_folder(final.parent)
        shutil.rmtree(new)
        return
    os.rename(new, final)
    sync_folder(final.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Let two names change places atomically; False where that is not to be had (Linux has renameat2)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0
    if not done and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(b))
    return bool(done)


def walk_files(root: Path) -> Iterator[str]:
    """Every file below a folder, as keys relative to it."""
    for folder, _, names in os.walk(root):
        for name in names:
            yield (Path(folder) / name).relative_to(root).as_posix()
