"""A store at a URL in PyTorch's DataLoader: windows are fetched ahead, whatever starts and ends the workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converters.samples.pickles import ntu_like
from skelstore.format import chunking
from tests.support.contracts import write
from tests.support.exact import assert_exact

torch = pytest.importorskip("torch", reason="torch is not installed here: see `make mmaction-test`")
pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")
from torch.utils.data import DataLoader  # noqa: E402

from skelstore.torch import EpochSampler, SkeletonDataset  # noqa: E402
from tests.support.http_server import Served, serving  # noqa: E402

CHUNKS = r"/c\."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several shards."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 200_000)
        write(folder / "s.zarr", ntu_like(48, seed=2)["annotations"])
    return folder


@pytest.fixture
def server(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    with serving(made) as served:
        yield served


def wait_for_threads() -> None:
    end = time.monotonic() + 20
    while any(thread.name.startswith("skelstore-ahead") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("workers", "method", "persistent"), [(0, None, False), (2, "fork", False), (2, "fork", True), (2, "spawn", True)]
)
def test_epochs(made: Path, server: Served, workers: int, method: str | None, persistent: bool) -> None:
    """The second epoch is left early and begun again, so workers start while threads may be ending."""
    local = SkeletonDataset(made / "s.zarr")
    dataset = SkeletonDataset(f"{server.url}/s.zarr")
    sampler, expected = (EpochSampler(data, seed=5, window=2) for data in (dataset, local))
    options: dict[str, Any] = {"num_workers": workers, "multiprocessing_context": method}
    loader = DataLoader(
        dataset, batch_size=4, sampler=sampler, collate_fn=list, persistent_workers=persistent, **options
    )
    assert_exact([item for batch in loader for item in batch], [local[i] for i in expected])
    assert server.count(CHUNKS) > 0
    wait_for_threads()
    requests = server.count(CHUNKS)
    sampler.set_epoch(1)
    expected.set_epoch(1)
    for batch in loader:
        assert len(batch) == 4
        break
    assert_exact([item for batch in loader for item in batch], [local[i] for i in expected])
    assert server.count(CHUNKS) == requests  # all of it is in the cache
    del loader
    wait_for_threads()


def test_frames_of_a_batch_are_requested_at_once(made: Path, server: Served) -> None:
    local = SkeletonDataset(made / "s.zarr", frames=slice(2, 6))
    dataset = SkeletonDataset(f"{server.url}/s.zarr", frames=slice(2, 6))
    indices = list(range(0, 48, 3))
    assert_exact(dataset.__getitems__(indices), [local[i] for i in indices])
    assert server.count(CHUNKS) < 2 * len({seen.path for seen in server.seen})
