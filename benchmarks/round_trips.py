"""Reading single videos and batches of a store at a URL, in round trips, beside zarr-python on the same arrays.

Everything runs in one new process, through one proxy, in turn: a bare ranged GET on a connection that is open, a video
by name, the same by zarr-python. ``skelstore`` reads no video twice, and no two videos that lie side by side.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import skelstore
from benchmarks.delays import delayed
from benchmarks.served import sent_twice, serving
from converters.bench import fresh
from converters.bench.array_peers import Run, runs

BATCH = 32
RANGE = 50_000
ROUND_TRIP = 0.03
CONNECTIONS = 64

MISSING = [name for name in ("fsspec", "aiohttp") if importlib.util.find_spec(name) is None]
"""What zarr-python needs to read a URL, and is not installed."""


class Bare:
    """GETs without a library of stores, on connections that stay open."""

    def __init__(self, url: str) -> None:
        import urllib3

        self._url = url
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS)
        self._threads = ThreadPoolExecutor(CONNECTIONS)

    def get(self, path: str, start: int, stop: int) -> None:
        answer = self._pool.request("GET", f"{self._url}{path}", headers={"Range": f"bytes={start}-{stop - 1}"})
        if stop > start and len(answer.data) != stop - start:
            raise ValueError(f"{path}: {len(answer.data)} bytes; expected {stop - start}")

    def get_all(self, ranges: Sequence[Sequence[Any]]) -> None:
        """Request ranges (path, start, stop) at once."""
        list(self._threads.map(lambda one: self.get(*one), ranges))


def zarr_arrays(url: str, fields: list[str]) -> dict[str, Any]:
    """The arrays of a store as zarr-python opens them by fsspec."""
    import zarr

    group = zarr.open_group(zarr.storage.FsspecStore.from_url(url), mode="r")
    return {field: group[field] for field in fields}


def slice_in_turn(arrays: dict[str, Any], places: list[Run]) -> list[Any]:
    """The arrays of a video."""
    return [arrays[place.field][place.start : place.stop].reshape(place.shape) for place in places]


def slice_at_once(arrays: dict[str, Any], places: list[Run]) -> list[Any]:
    """The arrays of a video, all requested at once by zarr-python's event loop."""
    from zarr.core.sync import sync

    async def gather() -> list[Any]:
        slices = (arrays[place.field].async_array.getitem(slice(place.start, place.stop)) for place in places)
        return list(await asyncio.gather(*slices))

    return [rows.reshape(place.shape) for rows, place in zip(sync(gather()), places, strict=True)]


def seconds(call: Callable[..., object], *arguments: Any) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def read(url: str, name: str, local: str, cache: str, rounds: int, calls: int, firsts: int) -> dict[str, Any]:
    """The seconds of each call of each side; called in a new process with an empty cache."""
    with skelstore.open(local) as store:
        fields = sorted(store.fields)
        places = list(runs(Path(local), fields))
        shuffled = random.Random(0).sample(range(len(store)), len(store))
        names = [store.name(i) or "" for i in range(len(store))]
    path = f"/{name}/{fields[0]}/" + min(p.name for p in Path(local, fields[0]).glob("c.*"))
    bare = Bare(url)
    taken: dict[str, list[float]] = {}

    def time_call(side: str, call: Callable[..., object], *arguments: Any) -> None:
        taken.setdefault(side, []).append(seconds(call, *arguments))

    store = skelstore.open(f"{url}/{name}", cache=f"{cache}/0")
    time_call(
        "the first batch after opening", store.read, [shuffled.pop() for _ in range(min(BATCH, len(shuffled) // 4))]
    )
    peers: dict[str, Callable[[list[Run]], object]] = {}
    if not MISSING:
        arrays = zarr_arrays(f"{url}/{name}", fields)
        peers["zarr-python"] = lambda places: slice_in_turn(arrays, places)
        peers["zarr-python, all arrays at once"] = lambda places: slice_at_once(arrays, places)
    for peer in peers.values():
        peer(places[shuffled[0]])
    bare.get(path, 0, RANGE)
    turns = min(calls, len(shuffled) // 4)
    for turn in range(turns):
        video = shuffled.pop()
        offset = turn * 1000
        time_call("a bare range", bare.get, path, offset, offset + RANGE)
        time_call("a video by name", store.__getitem__, names[video])
        if turn % 4 == 0:  # it is slow, and varies little
            for peer, call in peers.items():
                time_call(peer, call, places[video])
    fresh.reply("read")
    list(fresh.questions())  # ends when the parent has looked at the log
    size = min(BATCH, len(shuffled) // (2 * rounds))
    for turn in range(rounds):
        offset = turn * 1000
        time_call("a bare range", bare.get, path, offset, offset + RANGE)
        time_call("32 shuffled videos", store.read, [shuffled.pop() for _ in range(size)])
    for turn in range(firsts):  # another cache each, so that it has no index of a shard
        with skelstore.open(f"{url}/{name}", cache=f"{cache}/{turn + 1}") as other:
            time_call("a video by name, no index of its shards known", other.__getitem__, names[shuffled.pop()])
    return {"seconds": taken}


def measure(store: Path, folder: Path, rounds: int, calls: int) -> dict[str, float]:
    """The median of each side in round trips, and what skelstore requested for the videos that it read once each."""
    with serving(store.parent, folder / "nginx") as served, delayed(served.port, ROUND_TRIP) as port:
        arguments: dict[str, Any] = {"url": f"http://127.0.0.1:{port}", "name": store.name, "local": store}
        arguments |= {"cache": folder / "cache", "rounds": rounds, "calls": calls, "firsts": min(rounds, 5)}
        process = fresh.start(read, **arguments)
        fresh.answer(process)
        requests = [request for request in served.requests() if request.client == "skelstore"]
        found: dict[str, list[float]] = fresh.result(process)["seconds"]
    medians = {side: statistics.median(times) for side, times in found.items()}
    figures = {side: value / medians["a bare range"] for side, value in medians.items()}
    figures["ms of a bare range"] = medians["a bare range"] * 1e3
    figures["bytes requested twice"] = sent_twice(requests)
    return figures
