"""Advisory locks on byte ranges of a file, so that processes that miss the same bytes fetch them once.

Nothing that is right depends on them: without them, bytes are fetched twice, and what is in use may be evicted. A lock
ends with the process that holds it, whatever happens to it.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import time
from typing import Literal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment,unused-ignore]

PATIENCE = 60.0
"""Seconds without progress to wait for bytes that somebody else is fetching, before they are fetched here, too."""

_SHORTEST_PAUSE = 0.002
"""Seconds before the second look at what somebody else is fetching."""

_OPEN_FILE = getattr(fcntl, "F_OFD_SETLK", None) if sys.platform == "linux" else None
"""Linux locks for an opened file: it counts which file object has the lock, not which process, so threads are
distinguished, and closing another descriptor of the same file does not end the lock."""

_FLOCK = "hhqqi"


def try_lock(fd: int, start: int, stop: int, *, shared: bool = False) -> bool:
    """Lock bytes of a file that is open for reading and writing; a ``shared`` lock keeps out only those that are not.

    A lock that this file object has is replaced. False if another holds some of them; True if locks do not work.
    """
    return _set(fd, "r" if shared else "w", start, stop) is not False


def unlock(fd: int, start: int, stop: int) -> None:
    """End a lock before the file is closed."""
    _set(fd, "", start, stop)


def has_locks(fd: int) -> bool:
    """Whether locks work on a file that is open for reading and writing, and of which this file object locks nothing.

    Some network file systems have none.
    """
    works = _set(fd, "r", 0, 1) is not None
    unlock(fd, 0, 1)
    return works


def _set(fd: int, kind: Literal["r", "w", ""], start: int, stop: int) -> bool | None:
    """Set or end a lock; False if another holds it, None if locks do not work."""
    if fcntl is None:
        return None
    try:
        if _OPEN_FILE is not None:
            number = {"r": fcntl.F_RDLCK, "w": fcntl.F_WRLCK, "": fcntl.F_UNLCK}[kind]
            fcntl.fcntl(fd, _OPEN_FILE, struct.pack(_FLOCK, number, os.SEEK_SET, start, stop - start, 0))
        else:
            flags = {"r": fcntl.LOCK_SH | fcntl.LOCK_NB, "w": fcntl.LOCK_EX | fcntl.LOCK_NB, "": fcntl.LOCK_UN}[kind]
            fcntl.lockf(fd, flags, stop - start, start)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True


class Patience:
    """How long to wait for what somebody else is fetching, in pauses that grow up to ``longest`` seconds."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self.restart()

    def restart(self) -> None:
        """Begin anew, after something was fetched here."""
        self._end, self._pause, self._there = time.monotonic() + PATIENCE, _SHORTEST_PAUSE, -1

    @property
    def is_over(self) -> bool:
        """Whether nothing has arrived for so long that it is fetched here, too."""
        return time.monotonic() > self._end

    def wait(self, there: int) -> None:
        """Pause; ``there`` is the number of parts that have arrived, by which progress is seen."""
        if there != self._there:
            self._end, self._there = time.monotonic() + PATIENCE, there
        time.sleep(self._pause)
        self._pause = min(1.5 * self._pause, self._longest)
