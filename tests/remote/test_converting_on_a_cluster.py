"""A conversion to a bucket by a Dask cluster whose workers have no folder in common but that of the source."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import skelstore
from tests.support.crashes import command, converted, make_source, run_here
from tests.support.files import tree
from tests.support.processes import run
from tests.support.servers import free_port, running

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'skelstore[dask]'")
pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")
pytest.importorskip("moto", reason="moto[server] is not installed")

from skelstore.publish.files import RemoteStore
from skelstore.publish.pulling import pull
from skelstore.publish.staging import object_store
from skelstore.read.verification import verify
from skelstore.remote.transfers import Content
from skelstore.remote.url import parse_url

pytestmark = pytest.mark.slow

PARTS = 14
URL = "s3://bucket/data/s.zarr"

_WORKER = """if True:
    import asyncio, sys
    from distributed import Worker

    async def work():
        async with Worker(sys.argv[1], nthreads=2, dashboard_address=None) as worker:
            await worker.finished()

    asyncio.run(work())
"""


class Cluster(NamedTuple):
    """The address of a scheduler, its workers, and the folder that each of them has for itself."""

    address: str
    workers: list[subprocess.Popen[bytes]]
    folders: list[Path]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "a.pkl", videos=4 * PARTS)


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, bytes]:
    return converted(source)


def own_folder(folder: Path) -> dict[str, str]:
    """The environment of a process for which every folder that it may write to is its own."""
    for name in ("tmp", "home", "cache", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    settings = {"TMPDIR": "tmp", "HOME": "home", "SKELSTORE_CACHE": "cache", "DASK_TEMPORARY_DIRECTORY": "tmp"}
    own = {name: str(folder / value) for name, value in settings.items()}
    return {**os.environ, **own, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture
def cluster(tmp_path: Path, s3: str) -> Iterator[Cluster]:
    """A scheduler and two workers, and a bucket in moto's server."""
    port = free_port()
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running([*scheduler, "--host", "127.0.0.1"], port))
        address = f"tcp://127.0.0.1:{port}"
        workers, folders = [], [tmp_path / "worker1", tmp_path / "worker2"]
        for folder in folders:
            environment = own_folder(folder)
            with open(folder / "log", "wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", _WORKER, address],
                    stdout=log,
                    stderr=log,
                    cwd=folder / "work",
                    env=environment,
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            workers.append(process)
        wait_for(lambda: all(b"Registered to" in (folder / "log").read_bytes() for folder in folders))
        yield Cluster(address, workers, folders)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished() -> int:
    """The number of finished parts in the bucket."""
    return sum(key.endswith("part.json") for key in object_store(parse_url(URL)).keys("unfinished"))


@contextlib.contextmanager
def converting(source: Path, cluster: Cluster, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, once it has some finished parts; it has folders of its own, too."""
    arguments = command("convert", source, URL, "--dask", cluster.address)
    with subprocess.Popen(
        arguments,
        env=own_folder(folder),
        cwd=folder / "work",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: process.poll() is not None or finished() >= 3)
        assert process.poll() is None, process.communicate()
        yield process


def check(source: Path, expected: dict[str, bytes], cluster: Cluster, folder: Path) -> None:
    """The store at the URL is that of the local conversion, and nothing else is there."""
    pull(RemoteStore(parse_url(URL)), folder / "pulled.zarr")
    assert tree(folder / "pulled.zarr") == expected
    assert verify(URL, level="decode") == []
    assert len(skelstore.open(URL)) == 4 * PARTS
    assert sorted(object_store(parse_url("s3://bucket")).keys("data")) == sorted(
        f"data/s.zarr/{key}" for key in expected
    )
    assert sorted(path.name for path in source.parent.iterdir()) == ["a.pkl", "a.zarr"]
    for worker, own in zip(cluster.workers, cluster.folders, strict=True):
        assert list((own / "work").iterdir()) == list((own / "cache").iterdir()) == []
        if worker.poll() is None:
            assert list((own / "tmp").glob("skelstore-*")) == [], "a worker has left its parts"


def test_a_command_and_a_worker_are_killed(
    source: Path, expected: dict[str, bytes], cluster: Cluster, tmp_path: Path
) -> None:
    with converting(source, cluster, tmp_path / "command") as process:
        process.kill()
        process.communicate(timeout=60)
    assert "data/s.zarr/zarr.json" not in object_store(parse_url("s3://bucket")).keys("data")
    with converting(source, cluster, tmp_path / "again") as process:
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.startswith(f"{URL}: {4 * PARTS} videos")
    assert "resumed an interrupted conversion" in err
    check(source, expected, cluster, tmp_path)
    # With a source at a URL, nothing at all is shared: the worker that is left downloads it into its own cache.
    object_store(parse_url("s3://bucket")).put("a.pkl", Content.of_bytes(source.read_bytes()))
    arguments = command("convert", "s3://bucket/a.pkl", f"{URL}/2", "--shuffle", 1, "--dask", cluster.address)
    done = run(arguments, env=own_folder(tmp_path / "by_url"))
    assert done.status == 0, done
    assert run_here("convert", "s3://bucket/a.pkl", tmp_path / "local.zarr", "--shuffle", 1, "--workers", 1).status == 0
    pull(RemoteStore(parse_url(f"{URL}/2")), tmp_path / "pulled_again.zarr")
    assert tree(tmp_path / "pulled_again.zarr") == tree(tmp_path / "local.zarr")
    assert any((cluster.folders[1] / "cache").rglob("a.pkl"))
