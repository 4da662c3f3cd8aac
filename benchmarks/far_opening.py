"""Opening a store of many videos at a URL, with an empty and with a full cache, beside the store on the disk.

Each is a new process that has imported everything. What an opening with an empty cache requests is then requested again
by a bare client: the time for that, less one round trip, is what the transfer takes on this machine.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import skelstore
from benchmarks.delays import delayed
from benchmarks.round_trips import CONNECTIONS, ROUND_TRIP, Bare, seconds
from benchmarks.served import sent_bytes, serving
from converters.bench import fresh


def open_store(source: str, connect: bool = False) -> dict[str, float]:
    """Open a store, after the imports that the first store at a URL needs, and with open connections if wanted."""
    from skelstore.remote import files, web  # noqa: F401
    from skelstore.remote.connections import CONNECTIONS, run_together
    from skelstore.remote.services import service_of
    from skelstore.remote.url import parse_url

    if connect:
        service = service_of(parse_url(source))
        run_together([lambda: service.read_range("zarr.json", 0, 1, lambda *_: None)] * CONNECTIONS)
    opening = skelstore.open  # loads the reader
    return {"s": seconds(opening, source)}


def transfer(url: str, ranges: list[tuple[str, int, int]]) -> dict[str, float]:
    """Request ranges at once on connections that are open, and one small range alone."""
    bare = Bare(url)
    small = (ranges[0][0], 0, 1)
    bare.get_all([small] * CONNECTIONS)
    return {
        "s": seconds(bare.get_all, ranges),
        "round trip s": statistics.median(seconds(bare.get, *small) for _ in range(5)),
    }


def measure(store: Path, folder: Path, megabits: int, rounds: int) -> dict[str, float]:
    """Medians, all sides in turn; what is "far" is measured through the delay, and "near" without it."""
    taken: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        taken.setdefault(what, []).append(value)

    def open_with(cache: str, source: str, connect: bool = False) -> float:
        environment = {"SKELSTORE_CACHE": str(folder / cache)}
        process = fresh.start_with(environment, open_store, source=source, connect=connect)
        return float(fresh.result(process)["s"])

    rate = megabits / 8 * 1e6
    with serving(store.parent, folder / "nginx") as served, delayed(served.port, ROUND_TRIP, rate) as port:
        near, far = (f"http://127.0.0.1:{one}/{store.name}" for one in (served.port, port))
        for turn in range(rounds):
            served.requests()
            unconnected = open_with(f"{turn}-unconnected", far)
            requests = served.requests()
            connected = open_with(f"{turn}-far", far, connect=True)
            ranges = [(request.path, request.start, request.stop) for request in requests]
            bare: dict[str, float] = fresh.run(transfer, url=f"http://127.0.0.1:{port}", ranges=ranges)
            round_trip = bare["round trip s"]
            note("cold, round trips beside the transfer", (connected - bare["s"]) / round_trip + 1)
            note("the same, connections not yet open", (unconnected - bare["s"]) / round_trip + 1)
            note("cold ms", connected * 1e3)
            note("transfer ms", (bare["s"] - round_trip) * 1e3)
            note("cold, MB requested", sent_bytes(requests) / 1e6)
            served.requests()
            warm = open_with(f"{turn}-far", far)
            note("warm, GETs", len(served.requests()))
            note("warm ms", warm * 1e3)
            open_with(f"{turn}-near", near)
            local, close = open_with("none", str(store)), open_with(f"{turn}-near", near)
            note("local ms", local * 1e3)
            note("warm, without delay, over local", close / local)
    return {what: statistics.median(values) for what, values in taken.items()}
