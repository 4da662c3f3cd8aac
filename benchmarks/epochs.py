"""Epochs by windows of a store at a URL, beside the same store on the disk: speed, requests, memory of workers.

PyTorch's DataLoader reads, if PyTorch is installed, else forked processes of our own, which share the batches out in
the same way; for those, nothing is fetched ahead. Each epoch is timed from its start to its last batch; starting the
workers counts in the first.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import skelstore
from benchmarks.delays import delayed
from benchmarks.round_trips import ROUND_TRIP, Bare
from benchmarks.served import Served, sent_bytes, sent_twice, serving
from converters.bench import fresh
from converters.bench.data import Annotation
from skelstore.sampling import EpochSampler
from skelstore.train.selection import shard_numbers

BATCH = 32
WINDOW = 1
"""Shards of a window: 64 MB of the largest array before compression."""
WORKERS = 2
LATER_EPOCHS = 3
LOOKS = 4
"""How often the memory of the workers is looked at in an epoch."""
PIECE, BARE_PIECES = 1 << 20, 64
"""What a bare client requests, to see how fast the network is."""

HAS_TORCH = importlib.util.find_spec("torch") is not None


def label_of(annotation: Annotation) -> int:
    """What a worker sends to the main process, in a list: reading is measured, not sending.

    A tensor per batch would be sent by a file descriptor of its own, which takes more time than reading the batch.
    """
    return int(annotation["label"])


class Videos:
    """What `EpochSampler` needs to know of a store, without PyTorch."""

    def __init__(self, source: str) -> None:
        self.store = skelstore.open(source)
        self.shards = shard_numbers(self.store)

    def __len__(self) -> int:
        return len(self.store)


class Loader:
    """Forked processes that read the batches of a sampler, each every `WORKERS`-th, as DataLoader's workers do."""

    def __init__(self, videos: Videos, sampler: EpochSampler) -> None:
        self._videos = videos
        self._sampler = sampler
        self._batches = -(-len(sampler) // BATCH)

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Any]:
        order = list(self._sampler)
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        context = multiprocessing.get_context("fork")
        done = context.Event()  # until then the memory of all can be looked at
        queues = [context.Queue(2) for _ in range(WORKERS)]
        processes = [
            context.Process(target=self._work, args=(batches[number::WORKERS], queues[number], done), daemon=True)
            for number in range(WORKERS)
        ]
        for process in processes:
            process.start()
        for number in range(len(batches)):
            yield queues[number % WORKERS].get()
        done.set()
        for process in processes:
            process.join()

    def _work(self, batches: list[list[int]], queue: Any, done: Any) -> None:
        for batch in batches:
            queue.put([label_of(annotation) for annotation in self._videos.store.read(batch)])
        done.wait()


def loader_of(source: str) -> tuple[Any, EpochSampler]:
    if not HAS_TORCH:
        videos = Videos(source)
        sampler = EpochSampler(videos, window=WINDOW)
        return Loader(videos, sampler), sampler
    import torch
    from torch.utils.data import DataLoader

    from skelstore.torch import SkeletonDataset

    torch.set_num_threads(1)
    dataset = SkeletonDataset(source, transform=label_of)
    sampler = EpochSampler(dataset, window=WINDOW)
    workers: dict[str, Any] = {"num_workers": WORKERS, "persistent_workers": True}
    loader: Any = DataLoader(dataset, BATCH, sampler=sampler, collate_fn=list, **workers)
    return loader, sampler


def read(source: str) -> dict[str, float]:
    """Read the epochs that the parent asks for; called in a new process."""
    loader, sampler = loader_of(source)
    fresh.reply("opened")
    for epoch in fresh.questions():
        sampler.set_epoch(epoch)
        marks = {len(loader) * look // LOOKS - 1 for look in range(1, LOOKS + 1)}
        private = anonymous = main = 0.0
        start = time.perf_counter()
        videos = 0
        for number, batch in enumerate(loader):
            videos += len(batch)
            if number in marks:
                found = [_memory(pid) for pid in _children()]
                private = max(private, *(one["Private"] for one in found))
                anonymous = max(anonymous, *(one["Anonymous"] for one in found))
                main = max(main, _memory(os.getpid())["Anonymous"])
        taken = time.perf_counter() - start
        fresh.reply(
            {
                "videos/s": videos / taken,
                "s": taken,
                "USS MB": private,
                "anonymous MB": anonymous,
                "main process, anonymous MB": main,
            }
        )
    return {}


def _children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]


def _memory(pid: int) -> dict[str, float]:
    """USS (pages that only this process has) and anonymous memory of a process, in MB."""
    sizes = {"Private": 0.0, "Anonymous": 0.0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        for kind in sizes:
            if line.startswith(kind):
                sizes[kind] += int(line.split()[1]) * 1024 / 1e6
    return sizes


def measure(store: Path, folder: Path, megabits: int, rounds: int) -> list[dict[str, dict[str, float]]]:
    """The figures of the epochs of each side at a bandwidth, and of a bare client, of each round; sides in turn.

    Of the epochs after the first, the medians.
    """
    figures = []
    with (
        serving(store.parent, folder / "nginx") as served,
        delayed(served.port, ROUND_TRIP, megabits / 8 * 1e6) as port,
    ):
        url = f"http://127.0.0.1:{port}"
        for turn in range(rounds):
            cache = folder / f"cache-{megabits}-{turn}"
            sides = {"local": str(store), "remote": f"{url}/{store.name}"}
            found = {"bare": _bare(store, url), **_epochs(served, sides, cache)}
            figures.append(found)
            shutil.rmtree(cache)
    return figures


def _epochs(served: Served, sides: dict[str, str], cache: Path) -> dict[str, dict[str, float]]:
    """The figures of the first epoch of each side, and of later ones."""
    environment = {"SKELSTORE_CACHE": str(cache)}
    processes = {side: fresh.start_with(environment, read, source=source) for side, source in sides.items()}
    epochs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    try:
        for process in processes.values():
            fresh.answer(process)
        served.requests()
        for epoch in range(1 + LATER_EPOCHS):
            for side, process in processes.items():
                found = fresh.answer(process, epoch)
                requests = served.requests()
                found |= {"GETs": len(requests), "MB requested": sent_bytes(requests) / 1e6}
                epochs[side].append(found | {"MB twice": sent_twice(requests) / 1e6})
        for process in processes.values():
            fresh.result(process)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    figures = {}
    for side, (first, *later) in epochs.items():
        figures[side] = first
        figures[f"{side}, later epochs"] = {key: statistics.median(one[key] for one in later) for key in first}
    return figures


def _bare(store: Path, url: str) -> dict[str, float]:
    """A client that requests shards of the store in pieces, as many at once as skelstore does, and the MB of all."""
    bare = Bare(url)
    sizes = {f"/{path.relative_to(store.parent)}": path.stat().st_size for path in sorted(store.glob("*/c.*"))}
    pieces = [(key, start, min(start + PIECE, size)) for key, size in sizes.items() for start in range(0, size, PIECE)][
        :BARE_PIECES
    ]
    start = time.perf_counter()
    bare.get_all(pieces)
    taken = time.perf_counter() - start
    return {"MB/s": sum(stop - begin for _, begin, stop in pieces) / 1e6 / taken, "MB": sum(sizes.values()) / 1e6}
