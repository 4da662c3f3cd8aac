"""Two jobs of eight processes on one cold cache, of which one is killed: values, and numbers of requests."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import skelstore
from benchmarks.jobs import digest
from converters.bench import fresh
from converters.samples.pickles import ntu_like
from skelstore.write import parts
from tests.support.jobs import read_apart

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from tests.support.http_server import Served, serving

VIDEOS = 240
WORKERS = 8
KILLS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several small shards: the server of the tests reads a whole shard for each request."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_VIDEOS", 30)
        with skelstore.Writer(folder / "s.zarr") as writer:
            for annotation in ntu_like(VIDEOS)["annotations"]:
                writer.add(annotation)
    return folder


@pytest.fixture
def server(made: Path) -> Iterator[Served]:
    with serving(made) as served:
        yield served


def _job(server: Served, cache: Path, seed: int) -> subprocess.Popen[str]:
    environment = {"SKELSTORE_CACHE": str(cache)}
    return fresh.start_with(environment, read_apart, source=f"{server.url}/s.zarr", seed=seed, workers=WORKERS)


def test_a_killed_job_changes_nothing_for_another(made: Path, server: Served, tmp_path: Path) -> None:
    """Both jobs read every video once, in orders of their own. All requests count, from opening on, also those of the
    job that is killed.
    """
    with skelstore.open(made / "s.zarr") as store:
        expected = [digest(annotation) for annotation in store]
    job = _job(server, tmp_path / "alone", seed=0)
    fresh.go([job])
    assert fresh.result(job)["digests"] == expected
    alone = server.count()
    assert alone > VIDEOS
    draws = random.Random()
    for turn in range(KILLS):
        server.seen.clear()
        requests = draws.randrange(1, alone * 9 // 10)
        jobs = [_job(server, tmp_path / f"both {turn}", seed=2 * turn + i) for i in range(2)]
        try:
            fresh.go(jobs)
            end = time.monotonic() + 300
            while server.count() < requests and time.monotonic() < end:
                time.sleep(0.001)
            assert server.count() >= requests
            assert jobs[1].poll() is None
            os.killpg(jobs[1].pid, signal.SIGKILL)
            assert fresh.result(jobs[0])["digests"] == expected
        finally:
            for job in jobs:
                job.kill()
                job.communicate()
        assert jobs[1].returncode == -signal.SIGKILL
        assert server.count() <= 1.1 * alone
