"""PyTorch's DataLoader on a store compared with PoseDataset on the pickle; and clips sampled from long videos.

PoseDataset is MMAction2's if it is installed, otherwise a data set that holds the pickle in memory, as PYSKL's does.
Each run is a fresh process with forked workers, PyTorch's default on Linux, and reads one epoch in random order.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import pickle
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from benchmarks.data import Synthetic
from converters.bench import fresh
from converters.bench.data import Annotation
from converters.bench.results import Result, Wanted
from converters.samples import motion
from converters.samples.people import stage
from skelstore.format.codecs import Profile

BATCH = 32
CLIP = 48
SPEED = Wanted(1)
MEMORY = Wanted(3)
LONG = 9000
"""Frames of a long video: six minutes at 25 frames per second."""
LONG_VIDEOS = 40


class HeldPickle:
    """The annotations of a pickle in memory, each copied before the pipeline gets it: PYSKL's way."""

    def __init__(self, path: str, pipeline: Callable[[Annotation], Any]) -> None:
        with open(path, "rb") as file:
            self._annotations = pickle.load(file)["annotations"]
        self._pipeline = pipeline

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, index: int) -> Any:
        return self._pipeline(copy.deepcopy(self._annotations[index]))


class Nothing:
    """As many samples without reading: what the processes cost by themselves."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        import torch

        return torch.zeros(CLIP, 17, 3)


def clip(annotation: Annotation) -> Any:
    """A short pipeline, the same for all sides: CLIP frames of the first person as a tensor [CLIP, V, 3]."""
    import torch

    keypoint, score = annotation["keypoint"], annotation["keypoint_score"]
    chosen = np.linspace(0, keypoint.shape[1] - 1, CLIP).astype(int)
    points = np.concatenate([keypoint[0, chosen], score[0, chosen][..., None]], axis=-1)
    return torch.from_numpy(points.astype(np.float32))


def has_mmaction() -> bool:
    return importlib.util.find_spec("mmaction") is not None


def dataset_of(side: str, path: str, count: int) -> Any:
    if side == "nothing":
        return Nothing(count)
    if not has_mmaction():
        if side == "pickle":
            return HeldPickle(path, clip)
        from skelstore.torch import SkeletonDataset

        return SkeletonDataset(path, transform=clip)
    if side == "pickle":
        from mmaction.datasets import PoseDataset

        return PoseDataset(path, pipeline=[clip], split="train")
    from skelstore.mmaction2 import SkelStorePoseDataset

    return SkelStorePoseDataset(path, pipeline=[clip], split="train")


def epoch(side: str, path: str, count: int, workers: int) -> dict[str, float]:
    """Time the second epoch; in the first each process checks each chunk once. Called in a fresh process."""
    warnings.simplefilter("ignore")
    import torch
    from torch.utils.data import DataLoader

    from skelstore.sampling import EpochSampler

    torch.set_num_threads(1)
    begin = time.perf_counter()
    dataset = dataset_of(side, path, count)
    opened = time.perf_counter() - begin
    size = max(1, min(BATCH, len(dataset) // 8))
    sampler = EpochSampler(dataset)
    loader: Any = DataLoader(
        dataset, size, sampler=sampler, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    for _ in loader:
        pass
    sampler.set_epoch(1)
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    left = len(loader) - 1
    private = 0.0
    for number, _ in enumerate(batches, 1):
        if number == left // 2:
            paused = time.perf_counter()
            private = private_megabytes()
            start += time.perf_counter() - paused
    return {
        "samples/s": left * size / (time.perf_counter() - start),
        "private MB in total": private,
        "start s": opened,
    }


def private_megabytes() -> float:
    """Anonymous memory of this process and its children; pages that several of them share count once."""
    pids = [os.getpid()]
    for task in Path("/proc/self/task").glob("*/children"):
        pids += map(int, task.read_text().split())
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                total += int(line.split()[1]) * 1024
    return total / 1e6


def measure(data: Synthetic, rounds: int, workers: tuple[int, ...]) -> Result:
    """Measure an epoch of each side with each number of workers, in turn."""
    result = Result("training", "an epoch of PyTorch's DataLoader, random order, a fresh process each")
    result.conditions = {"videos": data.count, "pickle MB": data.pickle.stat().st_size / 1e6, "rounds": rounds}
    result.conditions["PoseDataset"] = "of MMAction2" if has_mmaction() else "a copy from the pickle in memory"
    if not importlib.util.find_spec("torch"):
        result.skipped["training"] = "torch is not installed: pip install 'skelstore[torch]'"
        return result
    if not Path("/proc/self/smaps_rollup").exists():
        result.skipped["training"] = "this system does not report the memory of a process (/proc/self/smaps_rollup)"
        return result
    paths: dict[str, Path] = {f"store, {profile}": split_store(data, profile) for profile in ("fast", "default")}
    paths |= {"pickle": data.pickle, "nothing": data.pickle}
    data.forget()
    for count in workers:
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in paths}
        for _ in range(rounds):
            for side, path in paths.items():
                found = fresh.run(epoch, side=side, path=path, count=data.count, workers=count)
                runs[side].append(found)
        medians = {side: _medians(found) for side, found in runs.items()}
        for side, figures in medians.items():
            result.measurements[f"{side}, {count} workers"] = figures
        pickled, nothing = medians["pickle"], medians["nothing"]
        of = "private MB in total"
        wanted = MEMORY if count == max(workers) else None
        for side in [side for side in paths if side.startswith("store")]:
            ours = medians[side]
            name = f"{side}, against PoseDataset, {count} workers"
            result.claim(name, ours["samples/s"] / pickled["samples/s"], "x the samples per second", SPEED)
            name = f"PoseDataset against {side}, {count} workers"
            result.claim(name, pickled[of] / ours[of], "x its private memory", wanted)
            own = (pickled[of] - nothing[of]) / max(ours[of] - nothing[of], 0.1)
            result.claim(f"{name}, without that of empty processes", own, "x its private memory")
    return result


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def split_store(data: Synthetic, profile: Profile) -> Path:
    """Write a store with the splits of the pickle."""
    path = data.folder / f"splits-{profile}.zarr"
    with open(data.pickle, "rb") as file:
        content = pickle.load(file)
    with skelstore.Writer(path, profile=profile, force=True) as writer:
        for annotation in content["annotations"]:
            writer.add(annotation)
        writer.splits |= content["split"]
    return path


def measure_sampled(folder: Path, calls: int, rounds: int) -> Result:
    """Measure a clip of a long video: read the whole video and cut it, or read only the chunks of the clip's frames."""
    result = Result("sampled", "48 frames of a long video: read whole and cut, or only these read")
    result.conditions = {"videos": LONG_VIDEOS, "frames": LONG, "profile": "default"}
    random = np.random.default_rng(0)
    path = folder / "long.zarr"
    with skelstore.Writer(path, force=True) as writer:
        for i in range(LONG_VIDEOS):
            keypoint, score = motion.dense(random, stage(random, 1, LONG, "walking"), LONG)
            writer.add({"frame_dir": f"v{i}", "total_frames": LONG, "keypoint": keypoint, "keypoint_score": score})
    store = skelstore.open(path)
    ways: dict[str, Callable[[int], Any]] = {}
    for kind, pick in {"a run of 48": near, "48 of the whole": spread}.items():
        ways[f"whole, {kind}"] = lambda i, pick=pick: cut(store[i], pick)  # type: ignore[misc]
        ways[f"sampled, {kind}"] = lambda i, pick=pick: store.read_one(i, frames=pick)  # type: ignore[misc]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            for i in random.integers(0, LONG_VIDEOS, max(2, calls // 20)).tolist():
                start = time.perf_counter()
                read(i)
                taken[name].append((time.perf_counter() - start) * 1e6)
    store.close()
    for name, times in taken.items():
        result.measurements[name] = {"us p50": statistics.median(times)}
    for kind in ("a run of 48", "48 of the whole"):
        result.claim_speed(f"sampled, {kind}", f"whole, {kind}", {})
    return result


def near(total: int) -> Any:
    start = total // 3
    return range(start, start + CLIP)


def spread(total: int) -> Any:
    return np.linspace(0, total - 1, CLIP).astype(int)


def cut(annotation: Annotation, pick: Callable[[int], Any]) -> Annotation:
    """The annotation with only those frames of its arrays."""
    chosen = pick(annotation["keypoint"].shape[1])
    return annotation | {name: annotation[name][:, chosen] for name in ("keypoint", "keypoint_score")}
