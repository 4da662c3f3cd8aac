"""What every test gets: nothing may be left open or running behind it, and where real files are found."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

# A shared machine stalls now and then: a deadline would fail tests that are right.
settings.register_profile("skelstore", deadline=None)
settings.register_profile("thorough", settings.get_profile("skelstore"))
settings.load_profile("skelstore")

#: How many times the examples of a test the profile ``thorough`` tries: ``pytest --hypothesis-profile=thorough``.
THOROUGH = 10
REPOSITORY = Path(__file__).resolve().parent.parent
#: How long a thread, a process or a descriptor may take to go after its test, in seconds.
GRACE = 2.0


def pytest_configure() -> None:
    """Let processes that tests start take an interrupt: a shell that runs us in the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Multiply the examples of every property test under the profile ``thorough``, those that state a number too."""
    if settings.get_current_profile_name() != "thorough":
        return
    for test in {item.obj for item in items if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj)}:
        stated = test._hypothesis_internal_use_settings  # Hypothesis has no public way to change them afterwards
        test._hypothesis_internal_use_settings = settings(stated, max_examples=THOROUGH * stated.max_examples)


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


@pytest.fixture(autouse=True)
def no_leaked_files() -> Iterator[None]:
    """Fail a test that leaves a file descriptor open."""
    before = open_files()
    yield
    left = leaks(open_files, before)
    assert not left, f"file descriptors left open: {left}"


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = threads()
    yield
    left = leaks(threads, before)
    assert not left, f"threads left running: {left}"


@pytest.fixture(autouse=True)
def no_leaked_processes() -> Iterator[None]:
    """Fail a test that leaves a child process running or not waited for."""
    before = children()
    yield
    left = leaks(children, before)
    assert not left, f"child processes left: {left}"


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """Folder of real files from public repositories, which may not be committed; skip where it is missing."""
    stated = os.environ.get("SKELSTORE_REAL")
    folder = Path(stated) if stated else REPOSITORY.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}: set SKELSTORE_REAL to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def real_file(real_folder: Path) -> Callable[[str], Path]:
    """Path of one real file by its name in the folder, such as ``ntu/x.skeleton``; skip by that name."""

    def find(name: str) -> Path:
        path = real_folder / name
        if not path.exists():
            pytest.skip(f"no real file {name} at {real_folder}: set SKELSTORE_REAL to a folder that has it")
        return path

    return find
