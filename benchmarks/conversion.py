"""Converting pickles and kpfiles on one core and on two: array bytes per second, and memory that must not grow.

With one worker, the figures include the CPU time of the process, which depends less on what else the machine does.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import Convertible
from converters.bench import fresh
from converters.bench.results import Result, Wanted

SPEED = Wanted(150)
PEAK = Wanted(400, at_least=False)
SAME_PEAK = Wanted(1.15, at_least=False)
"""Four times the data must take the same memory, except for the larger table of videos."""
ON_TWO_CORES = Wanted(1.7)


def convert(source: str, destination: str, workers: int, **options: Any) -> dict[str, float]:
    """Convert in this process, which does nothing else. The options are those of `open_source`."""
    from converters.bench import memory
    from converters.conversion.convert import convert_source
    from converters.dialects.registry import open_source

    start, began = time.perf_counter(), time.process_time()
    convert_source(open_source(source, **options), destination, workers=workers, force=True)
    cpu = time.process_time() - began
    return {"s": time.perf_counter() - start, "CPU s": cpu, "peak MB": memory.peak() / 1e6}


def load(source: str, kpfiles: str | None = None) -> dict[str, float]:
    """The baseline of the conversion: ``pickle.load`` of the same file, and of all kpfiles."""
    import pickle

    from converters.bench import memory

    start, began = time.perf_counter(), time.process_time()
    paths = [Path(source), *(sorted(Path(kpfiles).iterdir()) if kpfiles else ())]
    loaded = []
    for path in paths:
        with open(path, "rb") as file:
            loaded.append(pickle.load(file))
    cpu = time.process_time() - began
    return {"s": time.perf_counter() - start, "CPU s": cpu, "peak MB": memory.peak() / 1e6, "files": len(loaded)}


def convert_twice(data: Convertible, folder: Path) -> dict[str, float]:
    """Run two conversions at once with one worker each: the limit of two processes on this machine."""
    destinations = [folder / f"conversion-{data.kind}-{number}.zarr" for number in (1, 2)]
    try:
        running = [
            fresh.start(convert, source=data.pickle, destination=path, workers=1, **data.options)
            for path in destinations
        ]
        return {"s": max(fresh.result(process)["s"] for process in running)}
    finally:
        for path in destinations:
            shutil.rmtree(path, ignore_errors=True)


def measure(sets: Sequence[Convertible], folder: Path, rounds: int) -> Result:
    """Convert each data set with one worker, with two, and twice at once, in turn.

    If two data sets are of one kind, the peaks of their memory are compared.
    """
    result = Result("conversion", "pickles and kpfiles to a store, profile default; MB of arrays per second")
    peaks = {}
    for data in sets:
        megabytes = data.array_bytes / 1e6
        kind = f"{data.kind} {megabytes / 1e3:.3g} GB"
        result.conditions[kind] = f"{data.count:,} videos, pickle of {data.pickle.stat().st_size / 1e6:,.0f} MB"
        destination = folder / f"conversion-{data.kind}.zarr"
        sides = ("1 worker", "2 workers", "twice at once", "pickle.load")
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        try:
            for _ in range(rounds):
                for workers, name in ((1, "1 worker"), (2, "2 workers")):
                    runs[name].append(
                        fresh.run(convert, source=data.pickle, destination=destination, workers=workers, **data.options)
                    )
                runs["twice at once"].append(convert_twice(data, folder))
                runs["pickle.load"].append(fresh.run(load, source=data.pickle, **data.options))
        finally:
            shutil.rmtree(destination, ignore_errors=True)
        for name, found in runs.items():
            seconds = statistics.median(run["s"] for run in found)
            converted = 2 * megabytes if name == "twice at once" else megabytes
            result.measurements[f"{kind}, {name}"] = {"MB/s": converted / seconds, "s": seconds}
            if name in ("1 worker", "pickle.load"):  # with more workers, other processes take the memory and the time
                cpu = statistics.median(run["CPU s"] for run in found)
                peak = max(run["peak MB"] for run in found)
                result.measurements[f"{kind}, {name}"] |= {"MB/CPU s": converted / cpu, "peak MB": peak}
        one, two, twice, pickled = (result.measurements[f"{kind}, {name}"] for name in runs)
        peaks[data.kind, data.count] = one["peak MB"]
        result.claim(f"{kind}, 1 worker", one["MB/s"], "MB/s", SPEED)
        result.claim(f"{kind}, 1 worker", one["MB/CPU s"], "MB per second of CPU time")
        result.claim(f"{kind}, 1 worker", one["peak MB"], "MB at the peak", PEAK)
        result.claim(f"{kind}, 2 workers against 1", two["MB/s"] / one["MB/s"], "x as fast", ON_TWO_CORES)
        result.claim(f"{kind}, two conversions at once against one", twice["MB/s"] / one["MB/s"], "x as fast")
        result.claim(f"{kind}, 1 worker against pickle.load", pickled["s"] / one["s"], "x as fast")
        result.claim(f"{kind}, pickle.load against 1 worker", pickled["peak MB"] / one["peak MB"], "x its memory")
    for small in sets:
        for large in sets:
            if small.kind == large.kind and small.count < large.count:
                ratio = peaks[large.kind, large.count] / peaks[small.kind, small.count]
                times = large.count / small.count
                result.claim(f"{large.kind}, {times:.3g} times the data", ratio, "x the peak memory", SAME_PEAK)
    return result
