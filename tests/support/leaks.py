"""What a test must not leave behind: open descriptors, running threads and child processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

GRACE = 10.0
"""Seconds that a thread, a process or a descriptor may take to disappear after its test, on a machine that is busy."""


def open_files() -> dict[str, str]:
    """Open descriptors -> what they are open on; empty on a system without /proc."""
    found = {}
    try:
        names = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return {}
    for name in names:
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return found


def threads() -> dict[str, str]:
    """Identity of every Python thread -> its name."""
    return {str(thread.ident): thread.name for thread in threading.enumerate()}


def children() -> dict[str, str]:
    """Process id of every child process -> its command line; zombies included."""
    found = {str(process.pid): process.name for process in multiprocessing.active_children()}
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            continue
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[pid] = command.strip() or "(zombie)"
    return found


def stop_library_helpers() -> None:
    """End threads and processes that libraries keep running: a test that forks must have a single thread."""
    zarr_sync = sys.modules.get("zarr.core.sync")
    if zarr_sync is not None:
        zarr_sync.cleanup_resources()
    forkserver._forkserver._stop()
    resource_tracker._resource_tracker._stop()


def leaks(kind: Callable[[], dict[str, str]], before: dict[str, str]) -> list[str]:
    """What is new since ``before``, after the grace time and a garbage collection."""
    deadline = time.monotonic() + GRACE
    while True:
        new = {key: name for key, name in kind().items() if key not in before}
        if not new:
            return []
        if time.monotonic() > deadline:
            return [f"{key}: {name}" for key, name in sorted(new.items())]
        gc.collect()  # may take longer than the grace time, so the next check is always done
        stop_library_helpers()
        time.sleep(0.01)
