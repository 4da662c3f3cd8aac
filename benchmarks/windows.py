"""A window of 64 frames, as a frame sampler reads it: from an hour-long video and from a short one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import skelstore
from converters.bench.data import Annotation
from converters.bench.results import Result, Wanted
from converters.bench.timing import interleave
from skelstore.format.codecs import Profile

FRAMES = 64
SHORT = 300
PROFILES: tuple[Profile, ...] = ("fast", "default")
RATIO = Wanted(1.5, at_least=False)


def dense(name: str, total: int, noise: np.random.Generator) -> Annotation:
    """One person, [1, T, 17, 2]."""
    keypoint = np.cumsum(noise.normal(size=(1, total, 17, 2)), axis=1).astype(np.float16)
    score = noise.random((1, total, 17)).astype(np.float16)
    return {"frame_dir": name, "total_frames": total, "keypoint": keypoint, "keypoint_score": score}


def compressed(name: str, total: int, noise: np.random.Generator) -> Annotation:
    """One or two skeletons per frame, [N, 17, 3]."""
    frame_inds = np.repeat(np.arange(1, total + 1, dtype=np.int32), 1 + (np.arange(total) % 3 == 0))
    keypoint = np.cumsum(noise.normal(size=(len(frame_inds), 17, 3)), axis=0).astype(np.float16)
    return {"frame_dir": name, "total_frames": total, "frame_inds": frame_inds, "keypoint": keypoint}


def measure(folder: Path, long: int, short_videos: int, calls: int, rounds: int) -> Result:
    """Measure random windows of one video of ``long`` frames and of many short ones, in the same store."""
    result = Result("windows", f"{FRAMES} consecutive frames at random, by position, warm")
    result.conditions = {"frames of the long video": long, "frames of a short video": SHORT, "rounds": rounds}
    noise = np.random.default_rng(0)
    sides: dict[str, Callable[[float], object]] = {}
    names = []
    for make in (dense, compressed):
        videos = [make(f"short {i}", SHORT, noise) for i in range(short_videos)] + [make("long", long, noise)]
        for profile in PROFILES:
            path = folder / f"windows-{make.__name__}-{profile}.zarr"
            with skelstore.Writer(path, profile=profile, force=True) as writer:
                for video in videos:
                    writer.add(video)
            store = skelstore.open(path)
            for i in range(len(store)):
                store[i]
            name = f"{make.__name__}, {profile}"
            names.append(name)
            sides[f"{name}, short"] = partial(_window, store, short_videos, SHORT)
            sides[f"{name}, long"] = partial(_window, store.at([short_videos]), 1, long)
    chance = random.Random(0)
    spent = interleave(sides, [[chance.random() for _ in range(calls)] for _ in range(rounds + 1)])
    result.measurements = {name: times.values() for name, times in spent.items()}
    for name in names:
        long_one, short_one = (result.measurements[f"{name}, {which}"]["us p50"] for which in ("long", "short"))
        result.claim(f"{name}: a long video against a short one", long_one / short_one, "x its time", RATIO)
        shutil.rmtree(folder / f"windows-{name.replace(', ', '-')}.zarr")
    return result


def _window(store: skelstore.Store, videos: int, total: int, chance: float) -> Annotation:
    """A window of one of the first videos, chosen by a number from 0 to 1."""
    video, place = divmod(int(chance * videos * (total - FRAMES)), total - FRAMES)
    return store.read_one(video, frames=range(1 + place, 1 + place + FRAMES))
