"""How the time and the memory that a store needs grow with the number of its videos.

Seconds and milliseconds are CPU time, which other programs on the machine hardly change; the time for single videos is
the median.

Converting ten million videos takes hours, so their parts are fabricated: one part is written, and the others are copies
of it with other names, whose shards are hard links. All are joined as a conversion does it.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import random
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import skelstore
from benchmarks.data import annotations
from converters.bench import fresh, memory, timing
from converters.bench.results import Result, Wanted
from skelstore.format.schema import VIDEOS_KEY, name_hash
from skelstore.write.joining import join
from skelstore.write.part_records import find_part, keep_part
from skelstore.write.parts import Part, PartWriter
from skelstore.write.planning import SAMPLE_VIDEOS, Plan, Planner

PART_VIDEOS = 10_000
"""Videos of a part. Parts of 64 MiB have 1,000 to 10,000 real videos."""

TRAIN = 0.9
"""Share of the videos, chosen at random, that are in the split ``train``. The others are in ``val``."""

CHOSEN = pc.field("label") < 200
"""Chooses half of the videos."""

SPLIT = Wanted(0.7, at_least=False)
SPLIT_MEMORY = Wanted(8, at_least=False)
SELECT = Wanted(3, at_least=False)

MILLION = 1_000_000


def name_of(video: int) -> str:
    """The name of the video at a position; it has as many characters as a name of Kinetics."""
    return f"v{video:010}"


def part_videos(videos: int) -> int:
    """The number of videos of each part of a store of this size. There are at least two parts."""
    return min(PART_VIDEOS, videos // 2)


def write_parts(folder: str, videos: int) -> dict[str, float]:
    """Write the finished parts of a store of ``videos`` videos, a multiple of ``part_videos(videos)``."""
    each = part_videos(videos)
    writer = PartWriter(Path(folder, "first"), _plan(each))
    for video, annotation in enumerate(annotations("contents", each)):
        writer.add(annotation | {"frame_dir": name_of(video)})
    first = writer.close()
    for number in range(1, videos // each):
        copy = _copy_part(first, Path(folder, "copy"), number * each)
        keep_part(copy, _part_folder(folder, number), number, [])
    keep_part(first, _part_folder(folder, 0), 0, [])
    return {"parts": videos // each}


def _plan(videos: int) -> Plan:
    planner = Planner("default")
    for annotation in annotations("contents", min(videos, SAMPLE_VIDEOS)):
        planner.add(annotation)
    return planner.plan()


def _part_folder(folder: str, number: int) -> Path:
    return Path(folder, f"part-{number:06}")


def _copy_part(part: Part, folder: Path, start: int) -> Part:
    """Copy a part. The videos of the copy have the names of the positions from ``start`` on."""
    for shard in part.folder.glob("*/c.*"):
        (folder / shard.parent.name).mkdir(parents=True, exist_ok=True)
        os.link(shard, folder / shard.parent.name / shard.name)
    names = [name_of(video) for video in range(start, start + part.videos)]
    named = next(f"column {i}" for i, column in enumerate(part.columns) if column.path == ("frame_dir",))
    table = part.table()
    for column, cells in (
        (named, pa.array(names, pa.large_utf8())),
        ("name", pa.array(map(name_hash, names), pa.uint32())),
    ):
        table = table.set_column(table.column_names.index(column), column, cells)
    with pa.OSFile(os.fsencode(folder / VIDEOS_KEY), "wb") as file, pa.ipc.new_file(file, table.schema) as sink:
        sink.write_table(table)
    return dataclasses.replace(part, folder=folder)


def join_parts(folder: str, videos: int, store: str) -> dict[str, float]:
    """Join the finished parts into a store."""
    each = part_videos(videos)
    kept = [find_part(_part_folder(folder, number), number) for number in range(videos // each)]
    parts = [one.part for one in kept if one]
    train = np.random.default_rng(0).random(videos) < TRAIN
    splits = {
        name: list(map(name_of, np.flatnonzero(inside).tolist()))
        for name, inside in (("train", train), ("val", ~train))
    }
    plan = _plan(each)
    Path(store).mkdir()
    start = time.process_time()
    join(parts, plan, splits, {"dialect": "writer"}, Path(store))
    return {"join s": time.process_time() - start, "join peak MB": memory.peak() / 1e6}


def open_and_read(path: str, calls: int, rounds: int) -> dict[str, float]:
    """Open a store; then read videos at random from the whole store and from a split, by position and by name."""
    start = time.process_time()
    store = skelstore.open(path)
    opened = time.process_time()
    store[name_of(len(store) // 2)]
    figures = {"open ms": (opened - start) * 1e3, "first video ms": (time.process_time() - opened) * 1e3}
    train = store.split("train")
    picked = random.Random(0).choices(range(len(train)), k=calls)
    names = {position: str(train.name(position)) for position in picked}
    rows = {position: store.index(name) for position, name in names.items()}
    sides = {
        "by position": lambda position: store[rows[position]],
        "by name": lambda position: store[names[position]],
        "of a split, by position": lambda position: train[position],
        "of a split, by name": lambda position: train[names[position]],
    }
    spent = timing.interleave(sides, timing.shuffles(picked, rounds))
    return figures | {f"{side} us": times.median for side, times in spent.items()}


def choose(path: str, rounds: int) -> dict[str, float]:
    """Choose videos by the names of splits, and by an expression from the whole store and from a split."""
    store = skelstore.open(path)
    store.select(pc.scalar(False))  # the first call imports modules
    before = memory.now()
    start = time.process_time()
    train = store.split("train")
    first = time.process_time()
    other = store.split("val")
    figures = {"split s": first - start, "second split s": time.process_time() - first}
    figures["both hold MB"] = memory.now().since(before)["private MB"]
    del other
    spent = timing.interleave(
        {"select ms": store.select, "select of a split ms": train.select}, [[CHOSEN]] * (rounds + 1)
    )
    figures |= {side: times.median / 1e3 for side, times in spent.items()}
    return figures | {"pickled split MB": len(pickle.dumps(train)) / 1e6}


def work(path: str, samples: int) -> dict[str, float]:
    """Read as a worker of a training does: videos of a split at random, by position."""
    before = memory.now()
    train = skelstore.open(path).split("train")
    for position in random.Random(0).choices(range(len(train)), k=samples):
        train[position]
    return {"worker MB": memory.now().since(before)["private MB"]}


def measure(folder: Path, counts: Iterable[int], calls: int, rounds: int) -> Result:
    """Make a store of each number of videos, and measure it in new processes."""
    result = Result("growth", "stores of more and more videos, as of Kinetics-400, but with nearly empty arrays")
    result.conditions = {"calls": calls, "rounds": rounds, "videos that a worker reads": 10 * calls}
    for videos in counts:
        parts, store = folder / f"growth-{videos}.parts", folder / f"growth-{videos}.zarr"
        try:
            parts.mkdir()
            fresh.run(write_parts, folder=parts, videos=videos)
            figures = fresh.run(join_parts, folder=parts, videos=videos, store=store)
            shutil.rmtree(parts)
            figures["tables MB"] = sum(table.stat().st_size for table in store.glob("*.arrow")) / 1e6
            figures |= fresh.run(open_and_read, path=store, calls=calls, rounds=rounds)
            figures |= fresh.run(choose, path=store, rounds=rounds)
            figures |= fresh.run(work, path=store, samples=10 * calls)
        finally:
            for path in (parts, store):
                shutil.rmtree(path, ignore_errors=True)
        size = f"{videos:,} videos"
        for what, figure in figures.items():
            result.measurements.setdefault(what, {})[size] = figure
        ratio = figures["select of a split ms"] / figures["select ms"]
        result.claim(f"{size}, select of a split", ratio, "x the time of the whole store", SELECT)
        if videos >= MILLION:
            millions = videos / MILLION
            result.claim(f"{size}, split", figures["split s"] / millions, "s per million videos", SPLIT)
            result.claim(f"{size}, splits", figures["both hold MB"] / millions, "MB held per million", SPLIT_MEMORY)
    return result
