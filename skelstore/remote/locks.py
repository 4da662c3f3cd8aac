"""Advisory locks on byte ranges of a file, so that processes that miss the same bytes fetch them once.

Nothing that is right depends on them: without them, bytes are fetched twice. A lock ends with the process that holds
it, whatever happens to it.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment,unused-ignore]

_OPEN_FILE = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform == "linux" else None
"""Linux locks for an opened file: it counts which file object has the lock, not which process, so threads are
distinguished, and closing another descriptor of the same file does not end the lock."""

_FLOCK = "hhqqi"


def try_lock(fd: int, start: int, stop: int, *, shared: bool = False) -> bool:
    """Lock bytes of a file that is open for reading and writing; a ``shared`` lock keeps out only those that are not.

    A lock that this file object has is replaced. False if another holds some of them; True if locks do not work.
    """
    if fcntl is None:
        return True
    try:
        if _OPEN_FILE is not None:
            kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
            fcntl.fcntl(fd, _OPEN_FILE, struct.pack(_FLOCK, kind, os.SEEK_SET, start, stop - start, 0))
        else:
            fcntl.lockf(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, stop - start, start)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def unlock(fd: int, start: int, stop: int) -> None:
    """End a lock before the file is closed."""
    if fcntl is None:
        return
    try:
        if _OPEN_FILE is not None:
            fcntl.fcntl(fd, _OPEN_FILE, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, start, stop - start, 0))
        else:
            fcntl.lockf(fd, fcntl.LOCK_UN, stop - start, start)
    except OSError:
        pass
