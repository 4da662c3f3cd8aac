"""Many processes that read the same data, like the workers of training: the memory of each, and the speed of all.

All are spawned, prepare, and read at the same time, each its part of a random epoch.
"""

from __future__ import annotations

import pickle
import random
import time
from collections.abc import Callable
from typing import Any

from converters.bench import fresh
from converters.bench.data import DataSet
from converters.bench.results import Result, Wanted

PRIVATE = Wanted(30, at_least=False)


def read_store(path: str, worker: int, workers: int, samples: int) -> dict[str, float]:
    """Run one of the workers, with a store."""
    # skelstore loads its reader when a name of it is first used: without this, its code would be counted.
    from converters.bench import memory
    from skelstore import open as open_reader

    before = memory.now()
    store = open_reader(path)
    order = _order(len(store), worker, workers, samples)
    fresh.wait_for_go()
    start = time.perf_counter()
    for i in order:
        store[i]
    return {"s": time.perf_counter() - start, "samples": len(order), **memory.now().since(before)}


def read_pickle(path: str, worker: int, workers: int, samples: int) -> dict[str, float]:
    """Run one of the workers, with the whole pickle in memory. Annotations are returned without a copy."""
    import numpy  # noqa: F401 - else its import would be counted

    from converters.bench import memory

    before = memory.now()
    with open(path, "rb") as file:
        annotations = pickle.load(file)["annotations"]
    order = _order(len(annotations), worker, workers, samples)
    fresh.wait_for_go()
    start = time.perf_counter()
    for i in order:
        annotations[i]
    return {"s": time.perf_counter() - start, "samples": len(order), **memory.now().since(before)}


def _order(videos: int, worker: int, workers: int, samples: int) -> list[int]:
    """The worker's part of an epoch of at most ``samples`` samples; all workers use the same shuffle."""
    return random.Random(0).sample(range(videos), min(samples, videos))[worker::workers]


def measure(data: DataSet, samples: int, counts: tuple[int, ...]) -> Result:
    """Measure with each of these numbers of workers."""
    result = Result("workers", "spawned processes that each read a part of a random epoch, by position")
    result.conditions = {"videos": len(data.names), "samples in total": min(samples, len(data.names))}
    sides = {
        "skelstore": (read_store, data.store("default")),
        "pickle": (read_pickle, data.pickle),
    }
    data.forget()
    for count in counts:
        for name, (function, path) in sides.items():
            outcomes = _together(function, count, path=path, samples=samples)
            private = [run["private MB"] for run in outcomes]
            result.measurements[f"{name}, {count}"] = {
                "samples/s": sum(run["samples"] for run in outcomes) / max(run["s"] for run in outcomes),
                "private MB in total": sum(private),
                "private MB per worker": max(private),
                "mapped MB in total": sum(run["mapped MB"] for run in outcomes),
            }
        ours, pickled = (result.measurements[f"{name}, {count}"] for name in sides)
        result.claim(f"skelstore, {count}", ours["private MB per worker"], "MB of private memory per worker", PRIVATE)
        ratio = pickled["private MB in total"] / ours["private MB in total"]
        result.claim(f"pickle against skelstore, {count}", ratio, "x its private memory")
    return result


def _together(function: Callable[..., dict[str, float]], count: int, **arguments: Any) -> list[dict[str, Any]]:
    processes = [fresh.start(function, worker=i, workers=count, **arguments) for i in range(count)]
    try:
        fresh.go(processes)
        return [fresh.result(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
