"""Durable local files: after a power cut, a file that was reported as written is there and complete."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from skelstore.format.checksums import FileEntry, crc32c, measure_file
from skelstore.format.files import open_regular
from skelstore.format.schema import aside_of

_BLOCK = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RANGE = 1 << 30
_NO_RANGE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


def write_file(path: Path, data: bytes) -> FileEntry:
    """Write a new file and sync it to disk."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return FileEntry(len(data), crc32c(data))


def seal_file(path: Path) -> FileEntry:
    """Sync a file that was written by other code; return its size and checksum."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return measure_file(path)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder (not the content of its files) to disk, if the file system supports it.

    Some network file systems do not (SMB, some FUSE file systems), and an unreadable folder cannot be synced.
    """
    if not hasattr(os, "O_DIRECTORY"):  # not possible on Windows, and not needed
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return
        error.filename = str(path)
        raise
    finally:
        os.close(fd)


def sync_tree(path: Path) -> None:
    """Call ``sync_folder`` for a folder and all folders below it."""
    for folder, _, _ in os.walk(path):
        sync_folder(Path(folder))


def move_into_place(new: Path, final: Path, *, replace: bool) -> None:
    """Rename a complete folder to its final name, in one step.

    With ``replace``, an existing folder at the final name is exchanged with the new one. If the file system cannot
    exchange two names, the old folder is first moved to ``aside_of(new)``, and moved back if the rename fails. The
    caller removes the old folder.

    Raises FileExistsError if the final name is taken and ``replace`` is false. Raises OSError with EXDEV, and changes
    nothing, if a folder cannot be renamed, such as one in a lower layer of a container's overlay file system.
    """
    if final.exists():
        if not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
        if not _exchange(new, final):
            aside = aside_of(new)
            os.rename(final, aside)
            try:
                os.rename(new, final)
            except OSError:
                os.rename(aside, final)
                raise
        sync_folder(final.parent)
        return
    os.rename(new, final)
    sync_folder(final.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two names atomically; False if that is not supported (Linux has renameat2)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0
    if not done and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EXDEV):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(b))
    return bool(done)


def remove_folder(path: Path) -> None:
    """Remove a folder and its content. An error names this folder; shutil's error names a file without its folder."""
    try:
        shutil.rmtree(path)
    except OSError as error:
        error.filename = str(path)
        raise


def link_file(source: Path, target: Path) -> bool:
    """Hard-link a file; False if that is not possible (another file system, or one without links).

    If the source is a symbolic link, the file that it points to is linked, so that the target remains when the
    source's folder is removed.
    """
    try:
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a durable file, or make a durable copy if it cannot be linked."""
    if not link_file(source, target):
        copy_file(source, target)


def copy_file(source: Path, target: Path) -> FileEntry:
    """Copy a file and sync it to disk; the system shares blocks if it can. Returns the copy's size and checksum."""
    with open(source, "rb", opener=open_regular) as reading, open(target, "xb") as writing:
        if not _copy_range(reading.fileno(), writing.fileno()):
            reading.seek(0)
            writing.seek(0)
            shutil.copyfileobj(reading, writing, _BLOCK)
    return seal_file(target)


def _copy_range(source: int, target: int) -> bool:
    """Let the system copy a whole file; False if it cannot (Linux has copy_file_range)."""
    if not hasattr(os, "copy_file_range"):
        return False
    try:
        while os.copy_file_range(source, target, _RANGE):
            pass
    except OSError as error:
        if error.errno in _NO_RANGE:
            return False
        raise
    return os.fstat(target).st_size == os.fstat(source).st_size  # some file systems copy nothing and return 0
