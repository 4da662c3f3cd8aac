"""Merging two stores, compared with converting the two pickles that they were made from."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.conversion import convert
from benchmarks.data import Synthetic
from converters.bench import fresh
from converters.bench.results import Result, Wanted

SPEED = Wanted(10)


def merge(stores: Sequence[str], destination: str, copy: bool) -> dict[str, float]:
    """Merge in this process, which does nothing else. The stores have names in common because they are of one kind."""
    import skelstore

    start = time.perf_counter()
    skelstore.merge(stores, destination, allow=["ids"], copy=copy, force=True)
    return {"s": time.perf_counter() - start}


def measure(pairs: Sequence[tuple[Synthetic, Synthetic]], folder: Path, rounds: int) -> Result:
    """Convert both pickles with two workers, then merge the stores by links and by copies, in turn."""
    result = Result("merging", "two stores to one, profile default; seconds")
    for pair in pairs:
        kind = f"{pair[0].kind}, {sum(data.array_bytes for data in pair) / 1e9:.3g} GB in total"
        result.conditions[kind] = f"{pair[0].count:,} and {pair[1].count:,} videos"
        stores = [folder / f"merging-{i}.zarr" for i in range(2)]
        merged = folder / "merging-both.zarr"
        spent: dict[str, list[float]] = {"convert": [], "merge": [], "merge, copied": []}
        try:
            for _ in range(rounds):
                converted = 0.0
                for data, store in zip(pair, stores, strict=True):
                    found = fresh.run(convert, source=data.pickle, destination=store, workers=2)
                    converted += found["s"]
                spent["convert"].append(converted)
                for name, copy in (("merge", False), ("merge, copied", True)):
                    paths = [str(store) for store in stores]
                    spent[name].append(fresh.run(merge, stores=paths, destination=merged, copy=copy)["s"])
        finally:
            for path in (*stores, merged):
                shutil.rmtree(path, ignore_errors=True)
        medians = {name: statistics.median(found) for name, found in spent.items()}
        for name, seconds in medians.items():
            result.measurements[f"{kind}, {name}"] = {"s": seconds}
        result.claim(f"{kind}, merged", medians["convert"] / medians["merge"], "x as fast as converting", SPEED)
        result.claim(f"{kind}, copied", medians["convert"] / medians["merge, copied"], "x as fast as converting")
    return result
