"""Reading videos that are not in memory: the time, and the bytes that come from disk, beside the bytes that are stored.

The pages of a side's files are evicted from the page cache before each run. A data set that fits into memory is read
from disk once, in the first epoch. Of a larger one, little is in memory when a video is read: a small sample of the
videos shows what that costs.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

# Imported here: a module that is loaded during a run would count as read from disk.
import skelstore.read.store  # noqa: F401
from converters.bench.data import DataSet, array_bytes, folder_bytes
from converters.bench.peers import Lmdb, Peer, PickleFiles, Skelstore
from converters.bench.results import Result, Wanted

EPOCH = "an epoch"
SAMPLE = "5 % of the videos"
IN_ORDER = "in order"
WANTED = {("fast", EPOCH): Wanted(2, at_least=False), ("default", EPOCH): Wanted(1.5, at_least=False)}
"""Bytes from disk, as a multiple of the bytes that the side stores for the same videos."""

PROBE_BYTES = 1 << 20


def evict(path: Path) -> None:
    """Drop the pages of a file, or of all files below a folder, from the page cache, unless a process maps them."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # pages that are not on disk yet are not dropped
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def bytes_from_disk() -> int:
    """Bytes that this process has caused to be read from disk, read-ahead included (Linux)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))


def uncounted(folder: Path) -> str | None:
    """Why reads from disk cannot be counted in a folder; None if they can. In memory, there is no disk to read."""
    probe = folder / "probe"
    try:
        probe.write_bytes(random.Random(0).randbytes(PROBE_BYTES))
        evict(probe)
        before = bytes_from_disk()
        probe.read_bytes()
        counted = bytes_from_disk() - before
    except (OSError, AttributeError) as error:
        return f"this system does not evict files or count reads ({error})"
    finally:
        probe.unlink(missing_ok=True)
    return None if counted >= PROBE_BYTES else f"reads below {folder} are not counted: give a local disk with --data"


def read_cold(peer: Peer, path: Path, names: list[str]) -> dict[str, float]:
    """Read videos by name with a peer that is not open, from its evicted files: microseconds and kilobytes per video.

    The time and the bytes of opening count.
    """
    evict(path)
    reader = copy.copy(peer)  # it and its maps end with this call
    spent = []
    before = bytes_from_disk()
    start = time.perf_counter_ns()
    reader.open()
    for name in names:
        began = time.perf_counter_ns()
        reader.get(name)
        spent.append(time.perf_counter_ns() - began)
    total = time.perf_counter_ns() - start
    read = bytes_from_disk() - before
    reader.close()
    count = len(names)
    return {"us p50": statistics.median(spent) / 1e3, "us mean": total / count / 1e3, "KB read": read / count / 1e3}


def read_all(
    sides: Mapping[str, tuple[Peer, Path]], orders: Mapping[str, list[str]], rounds: int
) -> dict[str, dict[str, float]]:
    """The medians of some rounds of each side and order, the sides in turn. Runs in a process that has mapped none."""
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for order, names in orders.items():
            for side, (peer, path) in sides.items():
                found.setdefault(f"{side}, {order}", []).append(read_cold(peer, path, names))
    return {
        key: {unit: statistics.median(run[unit] for run in runs) for unit in runs[0]} for key, runs in found.items()
    }


def measure(data: DataSet, folder: Path, rounds: int) -> Result:
    """Read an epoch in random order, a sample, and all videos in order, with every profile, LMDB and pickle files."""
    result = Result(f"cold {data.kind}", "whole annotations by frame_dir, from disk: files evicted from the page cache")
    ground = folder / f"cold-{data.kind}"
    shutil.rmtree(ground, ignore_errors=True)
    ground.mkdir()
    try:
        if reason := uncounted(ground):
            result.skipped["all sides"] = reason
            return result
        sides: dict[str, tuple[Peer, Path]] = {}
        stored: dict[str, float] = {}
        names = data.names
        for peer in (Skelstore("fast"), Skelstore("default"), Skelstore("small"), Lmdb(), PickleFiles()):
            if reason := peer.missing():
                result.skipped[peer.name] = reason
                continue
            path = data.folder / f"{peer.name}.zarr" if isinstance(peer, Skelstore) else ground / peer.name
            if not isinstance(peer, Skelstore):
                path.mkdir()
            peer.build(data, path)
            sides[peer.name] = peer, path
            stored[peer.name] = folder_bytes(path) / len(names) / 1e3
        result.conditions = {
            "videos": len(names),
            "KB per video": round(sum(map(array_bytes, data.loaded)) / len(names) / 1e3, 1),
            "rounds": rounds,
        }
        data.forget()
        sample = data.sample(max(1, len(names) // 20))
        orders = {EPOCH: data.sample(len(names)), SAMPLE: sample, IN_ORDER: names}
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            measured = process.submit(read_all, sides, orders, rounds).result()
        for order in orders:
            for side in sides:
                figures = measured[f"{side}, {order}"]
                result.measurements[f"{side}, {order}"] = figures | {"KB stored": stored[side]}
                ratio = figures["KB read"] / stored[side]
                result.claim(f"{side}, {order}", ratio, "x the stored bytes read", WANTED.get((side, order)))
    finally:
        shutil.rmtree(ground, ignore_errors=True)
    return result
