"""PyTorch trains from ``s3://``, on moto's server, as it does from the same store in a folder."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import random
import signal
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import skelstore
from converters.samples.pickles import ntu_like
from skelstore.format import chunking
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.gcn_data import generated_clips, write_store

torch = pytest.importorskip("torch", reason="torch is not installed here: see `make mmaction-test`")
pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")
from torch._utils import ExceptionWrapper  # noqa: E402
from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler  # noqa: E402

from skelstore.gcn import AgcnFeeder, Feeder  # noqa: E402
from skelstore.publish.files import LocalStore  # noqa: E402
from skelstore.publish.pushing import push  # noqa: E402
from skelstore.remote.service import Service  # noqa: E402
from skelstore.remote.url import parse_url  # noqa: E402
from skelstore.torch import EpochSampler, SkeletonDataset  # noqa: E402

URL = "s3://bucket/skeletons/ntu.zarr"


class Losses(NamedTuple):
    """The loss of each step, and a random number that each worker drew in its last batch."""

    steps: list[float]
    drawn: list[float]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Sums do not depend on the number of threads, and threads do not disturb forks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several shards."""
    data = ntu_like(40, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 50_000)
        return write(tmp_path_factory.mktemp("ntu") / "ntu.zarr", data["annotations"], data["split"])


@pytest.fixture
def url(local: Path, s3: str) -> str:
    """The same store at a URL, of which nothing is in the cache."""
    push(LocalStore(local), parse_url(URL))
    return URL


def turned(annotation: dict[str, Any]) -> tuple[Any, int, float]:
    """32 frames of the first person, turned, moved and scaled at random with each of three generators."""
    keypoint = annotation["keypoint"]
    chosen = np.linspace(0, keypoint.shape[1] - 1, 32).astype(int)
    points = torch.from_numpy(keypoint[0, chosen].astype(np.float32))
    points = (points - points.mean(dim=(0, 1))) / 200
    angle, number = torch.rand(1).item(), random.random()
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float32)
    return (points @ turn * (1 + number) + np.random.rand()).permute(2, 0, 1), annotation["label"], number


def losses(dataset: Any, sampler: Any = None, epochs: int = 2, **options: Any) -> Losses:
    """Train a small model; two workers unless ``options`` say otherwise."""
    random.seed(5)
    np.random.seed(6)
    torch.manual_seed(7)
    layers = [torch.nn.Conv2d(2, 8, (9, 1), padding=(4, 0)), torch.nn.BatchNorm2d(8), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 60))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sampler = EpochSampler(dataset, seed=3) if sampler is None else sampler
    loader = DataLoader(dataset, batch_size=6, sampler=sampler, **{"num_workers": 2, **options})
    steps, drawn = [], []
    for epoch in range(epochs):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        for points, labels, numbers in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(points), labels)
            loss.backward()
            optimizer.step()
            steps.append(loss.item())
            drawn += numbers.tolist()
    return Losses(steps, drawn)


@pytest.fixture(scope="module")
def expected(local: Path) -> Callable[[bool, int], Losses]:
    """The losses from the folder, by forked workers: workers that do not persist have new seeds in each epoch."""
    dataset = SkeletonDataset(local, transform=turned)
    return functools.cache(
        lambda persistent, workers: losses(dataset, persistent_workers=persistent, num_workers=workers)
    )


# --- start methods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("forkserver", 2), ("spawn", 1)])
def test_losses_and_random_numbers_are_those_of_the_folder(
    url: str, local: Path, expected: Callable[[bool, int], Losses], method: str, workers: int, tmp_path: Path
) -> None:
    """The parent has read before it starts its workers, so that its connections are open; most is not in the cache."""
    with pytest.MonkeyPatch.context() as patch:
        # Else each of its workers takes as long as a spawned one.
        patch.setattr(forkserver._forkserver, "_preload_modules", ["skelstore.torch"])  # type: ignore[attr-defined]
        for persistent in (False, True):
            store = skelstore.open(url, cache=tmp_path / f"cold {persistent}")
            dataset = SkeletonDataset(store, transform=turned)
            dataset[0], dataset.__getitems__([1, 30])
            options = {"multiprocessing_context": method, "persistent_workers": persistent, "num_workers": workers}
            found = losses(dataset, **options)
            assert found == expected(persistent, workers)
            assert len(found.steps) == 14
            assert len(set(found.drawn)) == 80
            assert_exact(list(store), list(skelstore.open(local)))


def test_the_main_process_alone(url: str, local: Path) -> None:
    one, other = (SkeletonDataset(place, transform=turned) for place in (url, local))
    assert losses(one, num_workers=0) == losses(other, num_workers=0)


def test_a_cache_of_its_own_is_shared_by_forked_workers(
    url: str, local: Path, expected: Callable[[bool, int], Losses]
) -> None:
    dataset = SkeletonDataset(skelstore.open(url, cache=None), transform=turned)
    assert losses(dataset, persistent_workers=True) == expected(True, 2)


# --- samplers -----------------------------------------------------------------------------------------------


def _windows(dataset: Any) -> EpochSampler:
    return EpochSampler(dataset, seed=1, window=2)


def _rank(rank: int, dataset: Any) -> Any:
    return DistributedSampler(dataset, num_replicas=2, rank=rank, seed=4)


@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
@pytest.mark.parametrize("sampler", [_windows, functools.partial(_rank, 0), functools.partial(_rank, 1)])
def test_samplers(url: str, local: Path, sampler: Callable[[Any], Any]) -> None:
    """Without an accelerator ``pin_memory`` only warns."""
    one, other = (SkeletonDataset(place, transform=turned) for place in (url, local))
    found = losses(one, sampler(one), persistent_workers=True, pin_memory=True)
    assert found == losses(other, sampler(other), persistent_workers=True)


def _train_rank(rank: int, source: Any, folder: Path) -> None:
    """One process of two: gradients are averaged by torch.distributed."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2 * 32 * 17, 60))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    dataset = SkeletonDataset(source, transform=turned)
    sampler = DistributedSampler(dataset, seed=4)
    loader = DataLoader(dataset, batch_size=5, sampler=sampler, num_workers=1, persistent_workers=True)
    found = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for points, labels, _ in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(points.flatten(1)), labels)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def _train_ranks(source: Any, folder: Path) -> list[list[float]]:
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=_train_rank, args=(rank, source, folder)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
        assert rank.exitcode == 0
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_two_ranks(url: str, local: Path, tmp_path: Path) -> None:
    """Distributed training: ranks, and the workers of each, are forks of a process that has read."""
    store = skelstore.open(url)
    store.read([0, 30])
    found = _train_ranks(store, tmp_path / "remote")
    assert found == _train_ranks(local, tmp_path / "local")
    assert len(found[0]) == len(found[1]) == 8
    assert found[0] != found[1]


# --- what breaks --------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_while_it_fetches(url: str, expected: Callable[[bool, int], Losses]) -> None:
    """DataLoader's error comes, and what the worker was fetching is neither locked nor wrong afterwards."""
    parent, read_range = os.getpid(), Service.read_range

    def die(self: Service, *arguments: Any, **options: Any) -> Any:
        part = read_range(self, *arguments, **options)
        if os.getpid() != parent and torch.utils.data.get_worker_info().id == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return part

    dataset = SkeletonDataset(url, transform=turned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "read_range", die)
        with pytest.raises(RuntimeError, match=r"DataLoader worker .*(killed by signal|exited unexpectedly)"):
            losses(dataset)
    assert losses(dataset) == expected(False, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_is_replaced_during_the_training(url: str, local: Path, tmp_path: Path, workers: int) -> None:
    """It is one error of the main process, which says what to do; data of the two stores are never mixed."""
    dataset = SkeletonDataset(url)
    options: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0, "collate_fn": list}
    seen: list[int] = [0, 1, 2]
    loader = DataLoader(dataset, batch_size=3, sampler=SequentialSampler(seen), **options)
    annotations = list(skelstore.open(local))
    assert_exact([item for batch in loader for item in batch], annotations[:3])
    other = write(tmp_path / "other.zarr", ntu_like(50, seed=9)["annotations"], {})
    push(LocalStore(other), parse_url(URL), force=True)
    assert_exact([item for batch in loader for item in batch], annotations[:3])  # from the cache
    seen += range(3, 40)
    with pytest.raises(skelstore.StoreReplacedError) as raised:
        list(loader)
    sentence = (
        "s3://bucket/skeletons/ntu.zarr was replaced or removed after it was opened, so the rest of it cannot be "
    )
    *traceback, last = str(raised.value).splitlines()
    assert last.endswith(sentence + "read: open it again")
    assert bool(traceback) == (workers > 0)  # that of the worker, as DataLoader shows it
    again = DataLoader(SkeletonDataset(url), batch_size=3, num_workers=workers, collate_fn=list)
    assert_exact([item for batch in again for item in batch], list(skelstore.open(other)))


def _errors(kind: type[skelstore.SkelstoreError] = skelstore.SkelstoreError) -> Iterator[type[Exception]]:
    yield kind
    for more in kind.__subclasses__():
        yield from _errors(more)


@pytest.mark.parametrize("kind", [kind for kind in _errors() if kind.__module__ == "skelstore.errors"])
def test_an_error_of_a_worker_keeps_its_type_and_lines(kind: type[Exception]) -> None:
    try:
        raise kind("a.zarr: x\x1b\ny")
    except kind:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 1")
    with pytest.raises(kind) as raised:
        wrapped.reraise()
    assert type(raised.value) is kind
    lines = str(raised.value).splitlines()
    assert lines[:2] == [
        f"Caught {kind.__name__} in DataLoader worker process 1.",
        "Original Traceback (most recent call last):",
    ]
    assert lines[-1] == rf"skelstore.errors.{kind.__name__}: a.zarr: x\x1b\ny"
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


# --- feeders ------------------------------------------------------------------------------------------------


def test_feeders_of_gcn_code_bases(s3: str, tmp_path: Path) -> None:
    """Their items in two workers, with the random numbers of the folder; ``data_path`` is text in a config."""
    clips = [clip for clip in generated_clips(16, seed=5, longest=40) if clip["keypoint"].any()]
    folder = write_store(tmp_path / "gcn.zarr", clips, [])
    push(LocalStore(folder), parse_url("s3://bucket/gcn.zarr"))
    splits = list(skelstore.open(folder).splits)

    def items(kind: Any, path: str, **options: Any) -> list[Any]:
        np.random.seed(1)
        torch.manual_seed(2)
        feeder = kind(path, **options)
        feeder[0]
        loader = DataLoader(feeder, batch_size=4, shuffle=True, num_workers=2)
        assert feeder.sample_name
        return [batch for _ in range(2) for batch in loader]

    ctrgcn: dict[str, Any] = {"split": splits[0], "p_interval": [0.5, 1], "window_size": 16, "random_rot": True}
    agcn: dict[str, Any] = {"label_path": splits[0], "normalization": True, "random_move": True}
    for kind, options in ((Feeder, ctrgcn), (AgcnFeeder, agcn)):
        found, wanted = (items(kind, path, **options) for path in ("s3://bucket/gcn.zarr", str(folder)))
        assert len(found) == len(wanted) == 8
        for batch, other in zip(found, wanted, strict=True):
            assert all(torch.equal(one, two) for one, two in zip(batch, other, strict=True))
