"""Fixtures of all tests: no test may leave anything open or running; the real files; running the command line."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings

from tests.support.leaks import children, leaks, open_files, threads
from tests.support.processes import Done
from tests.support.repository import REPOSITORY
from tests.support.servers import serving_s3, use_s3

# A shared machine stalls now and then; a deadline would make correct tests fail.
settings.register_profile("skelstore", deadline=None)
settings.register_profile("thorough", settings.get_profile("skelstore"))
settings.load_profile("skelstore")

THOROUGH = 10
"""The profile ``thorough`` (``pytest --hypothesis-profile=thorough``) tries this many times the examples of a test."""


def pytest_configure() -> None:
    """Make processes that tests start react to an interrupt, which a shell makes its background jobs ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Multiply the examples of property tests under the profile ``thorough``, also if a test states their number."""
    if settings.get_current_profile_name() != "thorough":
        return
    for test in {item.obj for item in items if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj)}:
        stated = test._hypothesis_internal_use_settings  # Hypothesis has no public way to change them later
        test._hypothesis_internal_use_settings = settings(stated, max_examples=THOROUGH * stated.max_examples)


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
    """Folder of real files from public repositories, which may not be committed. Skip the test if it is missing."""
    stated = os.environ.get("SKELSTORE_REAL")
    folder = Path(stated) if stated else REPOSITORY.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}: set SKELSTORE_REAL to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def real_file(real_folder: Path) -> Callable[[str], Path]:
    """Path of a real file by its name in the folder, such as ``ntu/x.skeleton``. Skip the test if it is missing."""

    def find(name: str) -> Path:
        path = real_folder / name
        if not path.exists():
            pytest.skip(f"no real file {name} at {real_folder}: set SKELSTORE_REAL to a folder that has it")
        return path

    return find


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of moto's server. Skip the test if a package is missing."""
    with serving_s3(tmp_path_factory.mktemp("moto")) as endpoint:
        yield endpoint


@pytest.fixture
def s3(moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An endpoint with an empty ``s3://bucket``, credentials in the environment alone, and a cold cache."""
    from skelstore.remote.connections import close_connections  # tests without it need none of its libraries

    use_s3(moto_url, monkeypatch)
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    yield moto_url
    close_connections()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process, through ``main``, as the installed script does."""
    from converters.cli import entry  # tests without it need none of its libraries

    def call(*arguments: object) -> Done:
        capfd.readouterr()
        status = 0
        try:
            entry.main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        captured = capfd.readouterr()
        return Done(status, captured.out, captured.err)

    return call
