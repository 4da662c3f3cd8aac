"""What several tests of this folder need: a process that starts commands, and an object store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.forks import Forks, forking

if TYPE_CHECKING:
    from tests.support.http_server import Served


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forking(tmp_path_factory.mktemp("forks")) as started:
        yield started


@pytest.fixture
def object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that stands in for S3, Google and Azure, to which the environment leads; pauses are short."""
    from skelstore.remote import retries
    from tests.support.http_server import serving

    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as served:
        served.writable = True
        monkeypatch.setenv("AWS_ENDPOINT_URL", served.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", served.url)
        monkeypatch.setenv(
            "AZURE_STORAGE_CONNECTION_STRING", f"BlobEndpoint={served.url};AccountName=me;AccountKey=aGlkZGVu"
        )
        yield served
