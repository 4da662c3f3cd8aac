"""Mutual exclusion of processes: a locked file or, on a file system without locks, a file that names the process."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import stat
import time
from pathlib import Path
from typing import Any

from skelstore.errors import StoreError
from skelstore.format.files import open_regular
from skelstore.write import disk
from skelstore.write.owners import Owners, require_kind

try:
    import fcntl
except ImportError:  # on Windows two processes at once are not detected
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_HOLDER_BYTES = 4096
_WRITING_SECONDS = 1.0
"""Time that another process may take between creating the file that names it and writing its name."""


class Lock:
    """A lock that this process holds until ``release``."""

    def __init__(self, file: Path, descriptor: int, holder: Path | None) -> None:
        self._file = file
        self._descriptor = descriptor
        self._holder = holder

    def remove(self) -> None:
        """Remove the files of the lock. Call ``release`` afterwards."""
        self._file.unlink()
        if self._holder is not None:
            self._holder.unlink()
            self._holder = None

    def release(self) -> None:
        """Release the lock, so that another process can take it."""
        if self._descriptor < 0:
            return
        if self._holder is not None:
            with contextlib.suppress(OSError):
                self._holder.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def take_lock(file: Path, busy: str, owners: Owners) -> Lock:
    """Create a file, or take over the file of a process that has ended, and lock it.

    Raises StoreError with the text ``busy`` if another process holds the lock; StoreError if the file is a link or
    belongs to another user; FileNotFoundError if its folder is missing.
    """
    while True:
        descriptor = _open_own(file, owners)
        try:
            holder = None if _lock(descriptor, busy) else _hold(file, busy, owners)
            # The previous holder may have removed the file, and the folder with it.
            if holder is not None or _is_at(file, descriptor):
                lock, descriptor = Lock(file, descriptor, holder), -1
                return lock
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _open_own(file: Path, owners: Owners) -> int:
    with contextlib.suppress(FileNotFoundError):
        _require_own(file, os.lstat(file), owners)
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(file, flags, 0o666)
    try:
        _require_own(file, os.fstat(descriptor), owners)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_own(file: Path, status: os.stat_result, owners: Owners) -> None:
    require_kind(file, status, stat.S_IFREG)
    owners.require(file, status)


def _is_at(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(file))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, busy: str) -> bool:
    """Lock a file; False if the file system has no locks. Raises StoreError if another process holds the lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(busy) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _hold(file: Path, busy: str, owners: Owners) -> Path:
    """Create the file that names this process, beside the file that cannot be locked."""
    holder = file.with_name(f"{file.name}.held")
    while True:
        try:
            disk.write_file(holder, json.dumps(_this_process()).encode())
            return holder
        except FileExistsError:
            _remove_stale(holder, busy, owners)
        except BaseException:  # else an empty file would block every process
            holder.unlink(missing_ok=True)
            raise


def _this_process() -> dict[str, Any]:
    """Host, process namespace and process id: a container counts separately, even if its host has the same name."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return {"host": socket.gethostname(), "processes": processes, "pid": os.getpid()}


def _remove_stale(holder: Path, busy: str, owners: Owners) -> None:
    """Remove the file of a process of this host that has ended; else raise StoreError, which names the process."""
    process, status = _read_holder(holder, owners)
    if status is None:
        return  # it was removed meanwhile
    here = _this_process()
    pid = process.get("pid")
    if not isinstance(pid, int) or not 0 < pid < 1 << 31:
        raise StoreError(
            f"{busy}; {holder} does not name the process: remove that file if no process is running ({_why(holder)})"
        )
    if any(process.get(key) != here[key] for key in ("host", "processes")) or _is_running(pid):
        raise StoreError(
            f"{busy}; it is process {pid} on {process.get('host')}: if it has ended, remove {holder} ({_why(holder)})"
        )
    aside = holder.with_name(f"{holder.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(holder, aside)
        if os.path.samestat(os.lstat(aside), status):
            aside.unlink()
        else:  # another process was faster, and this file is its own
            os.rename(aside, holder)


def _why(holder: Path) -> str:
    return f"the file system of {holder.parent} has no locks"


def _read_holder(holder: Path, owners: Owners) -> tuple[dict[str, Any], os.stat_result | None]:
    """The content and status of the file that names a process; waits a short time until the file has content."""
    begun = time.monotonic()
    while True:
        try:
            _require_own(holder, os.lstat(holder), owners)
            with open(holder, "rb", opener=open_regular) as file:
                status, data = os.fstat(file.fileno()), file.read(_HOLDER_BYTES)
        except FileNotFoundError:
            return {}, None
        with contextlib.suppress(ValueError, RecursionError):
            process = json.loads(data)
            return (process if isinstance(process, dict) else {}), status
        if time.monotonic() - begun > _WRITING_SECONDS:
            return {}, status
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True
