"""Opening a store, against loading a pickle with the same videos, such as a table of contents of Kinetics-400.

Each is measured in a new process, after its imports. The files are in the page cache for both. "Cold start" is the time
from the start of opening to the first sample by name.
"""

from __future__ import annotations

import pickle
import statistics
import time
from typing import Any

from converters.bench import fresh
from converters.bench.data import DataSet
from converters.bench.results import Result, Wanted

SPEED = Wanted(50)
MEMORY = Wanted(20)
MILLISECONDS = Wanted(50, at_least=False)
MEGABYTES = Wanted(60, at_least=False)


def open_store(path: str, name: str) -> dict[str, float]:
    """Open a store, then read one video by name."""
    # skelstore loads its reader when a name of it is first used: without this, the import would be timed.
    from converters.bench import memory
    from skelstore import open as open_reader

    before = memory.now()
    start = time.perf_counter()
    store = open_reader(path)
    opened = time.perf_counter()
    after_open = memory.now()
    began = time.perf_counter()
    store[name]
    first = time.perf_counter() - began
    after_first = memory.now().since(before)
    return _figures(opened - start, first, after_open.since(before), after_first)


def load_pickle(path: str, name: str) -> dict[str, float]:
    """Load a whole pickle, then find one video by name, which requires an index of the names."""
    # A pickle creates arrays with NumPy: without this, the import of NumPy would be timed.
    import numpy  # noqa: F401

    from converters.bench import memory

    before = memory.now()
    start = time.perf_counter()
    with open(path, "rb") as file:
        annotations = pickle.load(file)["annotations"]
    opened = time.perf_counter()
    after_open = memory.now()
    began = time.perf_counter()
    index = {annotation.get("frame_dir"): i for i, annotation in enumerate(annotations)}
    annotations[index.get(name, 0)]
    first = time.perf_counter() - began
    return _figures(opened - start, first, after_open.since(before), memory.now().since(before))


def _figures(
    opening: float, first: float, after_open: dict[str, float], after_first: dict[str, float]
) -> dict[str, float]:
    return {
        "ms": opening * 1e3,
        "first sample ms": first * 1e3,
        "cold start ms": (opening + first) * 1e3,
        **after_open,
        "private MB after it": after_first["private MB"],
    }


def measure(data: DataSet, rounds: int) -> Result:
    """Open and load alternately, in new processes."""
    result = Result("opening", "a store of many videos against a pickle of the same videos, in new processes")
    result.conditions = {"videos": len(data.names), "rounds": rounds, "pickle MB": data.pickle.stat().st_size / 1e6}
    store, (name,) = data.store("default"), data.sample(1)
    data.forget()
    runs: dict[str, list[dict[str, Any]]] = {"skelstore.open": [], "pickle.load": []}
    for _ in range(rounds):
        runs["skelstore.open"].append(fresh.run(open_store, path=store, name=name))
        runs["pickle.load"].append(fresh.run(load_pickle, path=data.pickle, name=name))
    for side, of_side in runs.items():
        result.measurements[side] = {key: statistics.median(run[key] for run in of_side) for key in of_side[0]}
    ours, pickled = result.measurements.values()
    result.claim("open against pickle.load", pickled["ms"] / ours["ms"], "x as fast", SPEED)
    # One page is the resolution of the measurement, and the divisor must not be 0.
    ratio = pickled["private MB"] / max(ours["private MB"], 0.004096)
    result.claim("pickle.load against open", ratio, "x its private memory", MEMORY)
    mapped = ours["private MB"] + ours["mapped MB"]
    ratio = (pickled["private MB"] + pickled["mapped MB"]) / max(mapped, 0.004096)
    result.claim("pickle.load against open, mapped pages counted", ratio, "x its memory")
    result.claim("cold start against pickle.load", pickled["cold start ms"] / ours["cold start ms"], "x as fast")
    result.claim("open", ours["ms"], "ms", MILLISECONDS)
    result.claim("open", ours["private MB"], "MB of private memory", MEGABYTES)
    return result
