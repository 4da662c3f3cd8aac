"""Converting a pickle on one core, and on two: array bytes a second, and memory that must not grow with the file."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.data import Synthetic
from converters.bench import fresh
from converters.bench.results import Result, Wanted

SPEED = Wanted(150)
PEAK = Wanted(400, at_least=False)
SAME_PEAK = Wanted(1.15, at_least=False)
"""The same memory for four times the data, but for what a table of four times the videos takes."""


def convert(source: str, destination: str, workers: int) -> dict[str, float]:
    """Convert in this process, which does nothing else."""
    from converters.bench import memory
    from converters.conversion import convert_source
    from converters.dialects import open_source

    start = time.perf_counter()
    convert_source(open_source(source), destination, workers=workers, force=True)
    return {"s": time.perf_counter() - start, "peak MB": memory.peak() / 1e6}


def load(source: str) -> dict[str, float]:
    """What the conversion is held against: ``pickle.load`` of the same file."""
    import pickle

    from converters.bench import memory

    start = time.perf_counter()
    with open(source, "rb") as file:
        annotations = pickle.load(file)
    return {"s": time.perf_counter() - start, "peak MB": memory.peak() / 1e6, "videos": len(annotations["annotations"])}


def measure(sets: list[Synthetic], folder: Path, rounds: int) -> Result:
    """Convert each data set with one worker and with two, in turn. The last set is a larger one like the first."""
    result = Result("conversion", "a pickle to a store, profile default; MB of arrays a second")
    peaks = {}
    for data in sets:
        source = data.pickle
        megabytes = data.array_bytes / 1e6
        kind = f"{data.kind} {megabytes / 1e3:.3g} GB"
        result.conditions[kind] = f"{data.count:,} videos, pickle of {source.stat().st_size / 1e6:,.0f} MB"
        destination = folder / f"conversion-{data.kind}.zarr"
        runs: dict[str, list[dict[str, Any]]] = {"1 worker": [], "2 workers": [], "pickle.load": []}
        try:
            for _ in range(rounds):
                for workers, name in ((1, "1 worker"), (2, "2 workers")):
                    found = fresh.run(convert, source=source, destination=destination, workers=workers)
                    runs[name].append(found)
                runs["pickle.load"].append(fresh.run(load, source=source))
        finally:
            shutil.rmtree(destination, ignore_errors=True)
        for name, found in runs.items():
            seconds = statistics.median(run["s"] for run in found)
            result.measurements[f"{kind}, {name}"] = {"MB/s": megabytes / seconds, "s": seconds}
            if name != "2 workers":  # where it is the workers that take memory
                result.measurements[f"{kind}, {name}"]["peak MB"] = max(run["peak MB"] for run in found)
        one, two, pickled = (result.measurements[f"{kind}, {name}"] for name in runs)
        peaks[data.kind, data.count] = one["peak MB"]
        result.claim(f"{kind}, 1 worker", one["MB/s"], "MB/s", SPEED)
        result.claim(f"{kind}, 1 worker", one["peak MB"], "MB at the peak", PEAK)
        result.claim(f"{kind}, 2 workers against 1", one["s"] / two["s"], "x as fast")
        result.claim(f"{kind}, 1 worker against pickle.load", pickled["s"] / one["s"], "x as fast")
        result.claim(f"{kind}, pickle.load against 1 worker", pickled["peak MB"] / one["peak MB"], "x its memory")
    for small in sets:
        for large in sets:
            if small.kind == large.kind and small.count < large.count:
                ratio = peaks[large.kind, large.count] / peaks[small.kind, small.count]
                times = large.count / small.count
                result.claim(f"{large.kind}, {times:.3g} times the data", ratio, "x the peak memory", SAME_PEAK)
    return result
