"""What a test may leave behind: open descriptors, running threads and child processes."""

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

#: How long a thread, a process or a descriptor may take to go after its test, in seconds.
GRACE = 2.0


def open_files() -> dict[str, str]:
    """Descriptor to what it is open on; empty where the system does not tell (no /proc)."""
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
    """Identity to name of every Python thread."""
    return {str(thread.ident): thread.name for thread in threading.enumerate()}


def children() -> dict[str, str]:
    """Process id to command line of every child process, zombies included."""
    found = {str(process.pid): process.name for process in multiprocessing.active_children()}
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            pids = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # the thread ended while we looked
            continue
        for pid in pids:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[pid] = command.strip() or "(zombie)"
    return found


def stop_library_helpers() -> None:
    """End what libraries keep for the life of the process: a test that forks must start from one thread."""
    zarr_sync = sys.modules.get("zarr.core.sync")
    if zarr_sync is not None:
        zarr_sync.cleanup_resources()
    forkserver._forkserver._stop()
    resource_tracker._resource_tracker._stop()


def leaks(kind: Callable[[], dict[str, str]], before: dict[str, str]) -> list[str]:
    """What is there now and was not before, after the grace time and a collection of garbage."""
    deadline = time.monotonic() + GRACE
    while True:
        new = {key: name for key, name in kind().items() if key not in before}
        if not new:
            return []
        if time.monotonic() > deadline:
            return [f"{key}: {name}" for key, name in sorted(new.items())]
        gc.collect()  # which may take longer than the grace time, so what it freed is looked at once more
        stop_library_helpers()
        time.sleep(0.01)
