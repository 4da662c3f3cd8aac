"""A store at a URL, behind a delay of 30 ms: what reading, training and opening cost beside the network and the disk.

nginx serves it, and a proxy of our own delays. What is called a round trip is a bare GET of a range of 50 KB on an open
connection through the same proxy, in the same run.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks import epochs, far_opening, jobs, round_trips, served
from benchmarks.data import Synthetic
from converters.bench.data import folder_bytes
from converters.bench.results import Result, Wanted

VIDEO = Wanted(1.5, at_least=False)
PEER = Wanted(5)
BATCH = Wanted(3, at_least=False)
NOTHING = Wanted(0, at_least=False)
EPOCH = Wanted(80)
SECOND_EPOCH = Wanted(1.2, at_least=False)
SECOND_GETS = Wanted(5, at_least=False)
WORKER = Wanted(60, at_least=False)
OPEN_COLD = Wanted(4, at_least=False)
OPEN_WARM = Wanted(2, at_least=False)
JOBS = Wanted(1.1, at_least=False)

SLOW = 300
"""Megabits per second below which there is one round only: such an epoch takes long, and varies little."""


def measure(
    sets: dict[str, Synthetic],
    contents: Synthetic,
    small: Synthetic,
    folder: Path,
    *,
    rounds: int,
    calls: int,
    bandwidths: tuple[int, ...],
    workers: int,
) -> Result:
    """Measure single videos, batches and epochs of ``sets``, opening ``contents``, and two jobs on ``small``.

    ``bandwidths`` are those of epochs, in Mbit/s; ``workers`` those of each job.
    """
    result = Result("remote", "a store at a URL, 30 ms away; round trips are bare ranges on open connections")
    if missing := missing_programs():
        result.skipped["remote"] = missing
        return result
    load = os.getloadavg()[0]
    if round_trips.MISSING:
        result.skipped["zarr-python"] = f"{' and '.join(round_trips.MISSING)} missing: pip install 'fsspec[http]'"
    else:
        versions = (f"{name} {version(name)}" for name in ("zarr", "fsspec", "aiohttp"))
        result.conditions["peer"] = ", ".join(versions)
    result.conditions["epochs by"] = "PyTorch's DataLoader" if epochs.HAS_TORCH else "forked processes of our own"
    with tempfile.TemporaryDirectory(dir=folder) as temporary:  # caches are cold, also if the data are kept
        work = Path(temporary)
        for number, (kind, data) in enumerate(sets.items()):
            store = data.store("default")
            data.forget()
            result.conditions[kind] = f"{data.count:,} videos, {folder_bytes(store) / 1e6:,.0f} MB"
            add_round_trips(result, kind, round_trips.measure(store, work / f"calls-{number}", rounds, calls))
            for megabits in bandwidths:
                times = 1 if megabits < SLOW else min(rounds, 3)
                runs = epochs.measure(store, work / f"epochs-{number}-{megabits}", megabits, times)
                add_epochs(result, kind, megabits, data.count, runs)
        store = contents.store("default")
        contents.forget()
        add_opening(result, contents.count, far_opening.measure(store, work / "opening", max(bandwidths), rounds))
        store = small.store("default")
        small.forget()
        add_jobs(result, jobs.measure(store, work / "jobs", workers, min(rounds, 3)))
    result.conditions["load of the machine"] = f"{load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    return result


def missing_programs() -> str:
    """What cannot be done without; empty if all is there."""
    if served.program() is None:
        return "nginx is not installed"
    if not Path("/proc/self/smaps_rollup").exists():
        return "this system does not report the memory of a process (/proc/self/smaps_rollup)"
    return ""


def add_round_trips(result: Result, kind: str, found: dict[str, float]) -> None:
    for side, value in found.items():
        if not side.startswith(("bytes", "ms")):
            ms = value * found["ms of a bare range"]
            result.measurements[f"{kind}, {side}"] = {"round trips": value, "ms": ms}
    result.claim(f"a video by name: {kind}", found["a video by name"], "round trips", VIDEO)
    result.claim(f"bytes requested twice for that: {kind}", found["bytes requested twice"], "bytes", NOTHING)
    for peer, wanted in (("zarr-python", PEER), ("zarr-python, all arrays at once", None)):
        if peer in found:
            ratio = found[peer] / found["a video by name"]
            result.claim(f"{peer}, the same video: {kind}", ratio, "x its time", wanted)
    result.claim(f"32 shuffled videos: {kind}", found["32 shuffled videos"], "round trips", BATCH)
    first = found["a video by name, no index of its shards known"]
    result.claim(f"the first video of its shards: {kind}", first, "round trips")


def add_epochs(result: Result, kind: str, megabits: int, videos: int, runs: list[dict[str, dict[str, float]]]) -> None:
    """``runs`` are the figures of each round."""

    def median(of_run: Callable[[dict[str, dict[str, float]]], float]) -> float:
        return statistics.median(map(of_run, runs))

    for side, figures in runs[0].items():
        of_side = {key: statistics.median(run[side][key] for run in runs) for key in figures}
        result.measurements[f"{kind}, {megabits:,} Mbit/s, {side}"] = of_side
    limit = megabits / 8 * videos

    def of_possible(run: dict[str, dict[str, float]]) -> float:
        possible = min(limit / run["bare"]["MB"], run["local"]["videos/s"])
        return 100 * run["remote"]["videos/s"] / possible

    def of_local(run: dict[str, dict[str, float]], key: str) -> float:
        return max(run["remote"][key], run["remote, later epochs"][key]) - max(
            run["local"][key], run["local, later epochs"][key]
        )

    what = f"{megabits:,} Mbit/s: {kind}"
    unit = "% of the bandwidth or of local speed"
    result.claim(f"an epoch by windows, 2 workers, {what}", median(of_possible), unit, EPOCH)
    second = median(lambda run: run["remote, later epochs"]["s"] / run["local, later epochs"]["s"])
    result.claim(f"later epochs, from the cache, {what}", second, "x the time of local", SECOND_EPOCH)
    gets = median(lambda run: 100 * run["remote, later epochs"]["GETs"] / run["remote"]["GETs"])
    result.claim(f"later epochs, from the cache, {what}", gets, "% of the GETs of the first", SECOND_GETS)
    uss = median(lambda run: of_local(run, "USS MB"))
    result.claim(f"private memory (USS) of a worker, {what}", uss, "MB above local", WORKER)
    anonymous = median(lambda run: of_local(run, "anonymous MB"))
    result.claim(f"anonymous memory of a worker, {what}", anonymous, "MB above local", WORKER)


def add_opening(result: Result, videos: int, found: dict[str, float]) -> None:
    for side, value in found.items():
        result.measurements[f"opening, {side}"] = {"median": value}
    what = f"open {videos:,} videos"
    cold = found["cold, round trips beside the transfer"]
    result.claim(f"{what}, cold cache", cold, "round trips beside the transfer", OPEN_COLD)
    unconnected = found["the same, connections not yet open"]
    result.claim(f"{what}, cold cache, connections not yet open", unconnected, "round trips beside the transfer")
    result.claim(
        f"{what}, warm cache, without delay", found["warm, without delay, over local"], "x the time of local", OPEN_WARM
    )
    result.claim(f"{what}, warm cache, at 30 ms", found["warm ms"], "ms")
    result.claim(f"{what}, on the disk", found["local ms"], "ms")


def add_jobs(result: Result, found: dict[str, float]) -> None:
    result.measurements["two jobs"] = found
    what = f"two jobs of {found['workers']:g} workers on a cold cache, one killed"
    result.claim(what, found["wrong"], "videos that are wrong", NOTHING)
    result.claim(what, found["ratio"], "x the GETs of one job", JOBS)
