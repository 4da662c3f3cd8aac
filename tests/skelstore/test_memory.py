"""Memory of workers on a store of as many videos as Kinetics-400 has, over a whole epoch."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters.bench import fresh
from converters.bench.workers import read_store

VIDEOS = 240_000
PRIVATE_MB = 30
"""Of a worker, beyond its imports."""
SPLIT_MB = 8 * VIDEOS / 1_000_000
"""Of the view of a split, with what the libraries keep after its videos were found."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="private memory is read from /proc"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "large.zarr"
    rows = [np.arange(n, dtype=np.int16) for n in range(1, 60)]
    keypoints = [np.ones((n, 17, 3), np.float16) for n in range(1, 60)]
    with skelstore.Writer(path) as writer:
        for i in range(VIDEOS):
            n = i % len(rows)
            writer.add(
                {
                    "frame_dir": f"video {i * 7919 % VIDEOS:06}",
                    "label": i % 400,
                    "total_frames": 300,
                    "img_shape": (340, 450),
                    "valid": {0.5: i % 300, 0.9: 0},
                    "frame_inds": rows[n],
                    "keypoint": keypoints[n],
                }
            )
        writer.splits["none"] = []
        writer.splits["train"] = [f"video {i:06}" for i in range(VIDEOS) if i % 7]
    return path


def read_by_name(path: str) -> dict[str, float]:
    """Read a whole epoch by name; return the memory after each half, without that of the names."""
    from converters.bench import memory

    before = memory.now()
    store = skelstore.open(path)
    found = {}
    names = [f"video {i:06}" for i in random.Random(1).sample(range(VIDEOS), VIDEOS)]
    held = memory.now().since(before)["private MB"]
    for when in ("first half", "second half"):
        for name in names[: VIDEOS // 2] if when == "first half" else names[VIDEOS // 2 :]:
            store[name]
        found[when] = memory.now().since(before)["private MB"] - held
    return found


def hold_a_split(path: str) -> dict[str, float]:
    """Find the videos of a split; return the memory of the view, and that of the ids as Python objects."""
    import pickle

    from converters.bench import memory

    store = skelstore.open(path)
    store.at([0]).split("none")  # the first call loads code
    before = memory.now()
    view = store.split("train")
    held = memory.now().since(before)["private MB"]
    sent = len(pickle.dumps(view)) / 1e6
    ids = store.splits["train"]
    return {
        "videos": len(view),
        "held": held,
        "sent": sent,
        "ids": memory.now().since(before)["private MB"] - held,
        "all": len(ids),
    }


def hold_the_table(path: str) -> dict[str, float]:
    """The case that must not happen: the metadata of every video as Python objects."""
    from converters.bench import memory

    before = memory.now()
    rows = skelstore.open(path).videos.to_pylist()
    return {"videos": len(rows), "private MB": memory.now().since(before)["private MB"]}


def test_workers_stay_small_over_an_epoch(store: Path) -> None:
    workers = [fresh.start(read_store, path=store, worker=i, workers=2, samples=VIDEOS) for i in range(2)]
    fresh.go(workers)
    found: list[dict[str, Any]] = [fresh.result(worker) for worker in workers]
    assert sum(each["samples"] for each in found) == VIDEOS
    assert all(each["private MB"] < PRIVATE_MB for each in found), found


def test_reading_by_name_stays_small_and_flat(store: Path) -> None:
    found = fresh.run(read_by_name, path=store)
    assert found["first half"] < PRIVATE_MB
    assert found["second half"] - found["first half"] < 1


def test_a_split_takes_little_memory(store: Path) -> None:
    found = fresh.run(hold_a_split, path=store)
    assert found["videos"] == found["all"] > VIDEOS / 2
    assert found["held"] < SPLIT_MB
    assert found["sent"] < VIDEOS / 8 / 1e6 + 0.001
    assert found["ids"] > 2 * SPLIT_MB, "the measure detects held ids"


def test_the_measure_detects_a_held_table(store: Path) -> None:
    found = fresh.run(hold_the_table, path=store)
    assert found["videos"] == VIDEOS
    assert found["private MB"] > PRIVATE_MB
