"""Requests that are stopped together, such as all of a command when it is interrupted.

A thread that waits for a server cannot be ended from outside, but its socket can be shut down.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

_GRACE_SECONDS = 0.5
"""How long requests that are stopped may take to end by themselves, so that the answers of most are not lost."""


class StoppedError(Exception):
    """A request was stopped because another one failed, or the command was interrupted; never raised to users."""


class Group:
    """The requests of some calls, which run in threads of their own: see ``call_in``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._cut_off = False
        self._sockets: dict[int, Any] = {}

    def stop(self, calls: Collection[Future[Any]]) -> None:
        """Refuse further requests, cut off those that are not answered soon, and wait until the calls have ended."""
        self._stopped.set()
        wait(calls, _GRACE_SECONDS)
        with self._lock:
            self._cut_off = True
            sockets = list(self._sockets.values())
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        wait(calls)

    def refuse_stopped(self) -> None:
        """Raise StoppedError after ``stop``."""
        if self._stopped.is_set():
            raise StoppedError

    def refuse_cut_off(self) -> None:
        """Raise StoppedError if ``stop`` may have cut off a request: to its thread, the answer seems to have ended."""
        if self._cut_off:
            raise StoppedError

    def hold(self, one: Any) -> None:
        """Note the socket that this thread waits for from now on; None for none. Raises StoppedError after ``stop``."""
        with self._lock:
            self._sockets.pop(threading.get_ident(), None)
            if one is not None:
                self.refuse_stopped()
                self._sockets[threading.get_ident()] = one

    def pause(self, seconds: float) -> None:
        """Sleep. Raises StoppedError at ``stop``."""
        self._stopped.wait(seconds)
        self.refuse_stopped()


class _Thread(threading.local):
    """What belongs to one thread: the group of its requests."""

    group: Group | None = None


_thread = _Thread()


def call_in(group: Group | None, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function so that the requests of this thread belong to a group, or to none."""
    before, _thread.group = _thread.group, group
    try:
        return function(*arguments)
    finally:
        if group is not None:
            group.hold(None)
        _thread.group = before


def hold(one: Any) -> None:
    """``Group.hold`` of the group of this thread, if it has one."""
    if _thread.group is not None:
        _thread.group.hold(one)


def refuse_cut_off() -> None:
    """``Group.refuse_cut_off`` of the group of this thread, if it has one."""
    if _thread.group is not None:
        _thread.group.refuse_cut_off()


def pause(seconds: float) -> None:
    """Sleep, or ``Group.pause`` of the group of this thread."""
    if _thread.group is not None:
        _thread.group.pause(seconds)
    else:
        time.sleep(seconds)


@contextlib.contextmanager
def unstopped() -> Iterator[None]:
    """Let the requests of this thread in the block belong to no group: they tidy up after a stop."""
    before, _thread.group = _thread.group, None
    try:
        yield
    finally:
        _thread.group = before
