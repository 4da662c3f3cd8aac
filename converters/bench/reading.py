"""Reading whole annotations by ``frame_dir``, in random order, warm: what training does millions of times.

The floors (``bare …``) are timed in the same turns, so that a ratio names its limit: no reader that returns new arrays
is faster than memcpy, and none that decodes these chunks is faster than blosc.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from converters.bench.array_peers import Hdf5, Lance, PlainHdf5, Tensorstore, ZarrPython, Zarrs
from converters.bench.data import DataSet, array_bytes, folder_bytes
from converters.bench.floors import BareBlosc, BareCopy, BareNumcodecs, BareRead
from converters.bench.memcached import Memcached
from converters.bench.own_process import LmdbAlone, PurePython, compiled
from converters.bench.peers import (
    Batches,
    Lmdb,
    Peer,
    PickleFiles,
    PickleInMemory,
    Skelstore,
    StoreAsItIs,
    UnsuitedError,
)
from converters.bench.results import Result, Wanted
from converters.bench.timing import alternate

PROFILES = ("fast", "default", "small")
OURS = (*PROFILES, Batches.name, PurePython.name)
CODEC_FLOORS = (BareBlosc.name, BareNumcodecs.name)
"""The floors of the profile ``default``, the better one first."""

YOUR_STORE = StoreAsItIs.name

KINDS = {"kinetics": "K400-like", "ntu": "NTU-like", "ntu_short": "NTU-like"}
"""What the synthetic data sets are like."""

_TITLES = {
    "fast": "skelstore, `fast`",
    "default": "skelstore, `default`",
    "small": "skelstore, `small`",
    Batches.name: "skelstore, `default`, 32 at a time",
    PurePython.name: "skelstore, `fast`, in Python",
    "LMDB": "LMDB + pickle",
    LmdbAlone.name: "LMDB + pickle, own process",
    "pickle files": "one pickle file per video",
    "memcached": "memcached + pickle",
    "h5py": "HDF5 (h5py, lzf)",
    "h5py, uncompressed": "HDF5 (h5py, uncompressed)",
    "zarr-python": "zarr-python, same store",
    "zarrs": "zarr-python with zarrs, same store",
    "tensorstore": "tensorstore, same store",
    BareCopy.name: "floor: memcpy from a map",
    BareRead.name: "floor: preadv",
    BareBlosc.name: "floor of `default`: blosc",
    BareNumcodecs.name: "floor of `default`: numcodecs",
}

WANTED = {
    "kinetics": {
        ("fast", "LMDB"): Wanted(1.5),
        ("fast", "memcached"): Wanted(8),
        ("default", "memcached"): Wanted(2.5),
        ("default", "zarr-python"): Wanted(30),
        ("default", "tensorstore"): Wanted(4),
        ("default", "h5py"): Wanted(5),
        ("default", "Lance"): Wanted(6),
        (PurePython.name, LmdbAlone.name): Wanted(0.6),
    },
    "ntu": {("fast", "LMDB"): Wanted(1.7), (PurePython.name, LmdbAlone.name): Wanted(0.6)},
    "ntu_short": {("fast", "LMDB"): Wanted(1.8), (PurePython.name, LmdbAlone.name): Wanted(0.6)},
}
CODEC_RATIO = {
    "kinetics": Wanted(1.15, at_least=False),
    "ntu": Wanted(1.2, at_least=False),
    "ntu_short": Wanted(1.3, at_least=False),
}

BATCH_RATIO = Wanted(1, at_least=False)


def peers() -> list[Peer]:
    """All sides; ours come first."""
    return [
        Skelstore("fast"),
        Skelstore("default"),
        Skelstore("small"),
        Batches(),
        PurePython(),
        LmdbAlone(),
        BareCopy(),
        BareRead(),
        BareBlosc(),
        BareNumcodecs(),
        PickleInMemory(),
        Lmdb(),
        PickleFiles(),
        Memcached(),
        Tensorstore(),
        Hdf5(),
        PlainHdf5(),
        Lance(),
        Zarrs(),
        ZarrPython(),
    ]


def title(name: str) -> str:
    """A side as documents and plots call it."""
    return _TITLES.get(name, name)


def heading(result: Result) -> str:
    """What the videos of a result of `measure` are, and their size."""
    kind = result.name.removeprefix("reading ")
    return f"{KINDS.get(kind, kind)}, {result.conditions['KB per video']:.0f} KB"


def _stored(folder: Path) -> dict[str, float]:
    """The megabytes that a side keeps on disk; empty if it has no files of its own."""
    size = folder_bytes(folder)
    return {"MB": size / 1e6} if size else {}


def measure(data: DataSet, folder: Path, calls: int, rounds: int, sides: list[Peer] | None = None) -> Result:
    """Time all installed sides on a sample of the videos, and compare the ratios with the wanted ones."""
    result = Result(f"reading {data.kind}", "one whole annotation by frame_dir, random order, warm")
    with ExitStack() as stack:
        ready: list[Peer] = []
        stored: dict[str, dict[str, float]] = {}
        ground = folder / f"reading-{data.kind}"
        stack.callback(shutil.rmtree, ground, ignore_errors=True)
        for peer in sides or peers():
            if reason := peer.missing():
                result.skipped[peer.name] = reason
                continue
            place = ground / peer.name
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            try:
                peer.build(data, place)
            except UnsuitedError as unsuited:
                result.skipped[peer.name] = str(unsuited)
                continue
            stored[peer.name] = _stored(data.folder / f"{peer.name}.zarr" if peer.name in PROFILES else place)
            peer.open()
            stack.callback(peer.close)
            ready.append(peer)
        result.conditions = {
            "videos": len(data.names),
            "KB per video": round(sum(map(array_bytes, data.loaded)) / len(data.names) / 1e3, 1),
            "videos per round": min(calls, len(data.names)),
            "rounds": rounds,
            "compiled reader": "yes" if compiled() else "no",
        }
        data.forget()
        for peer in ready:
            peer.warm(data.names)
        # Other videos in every round, as in training: repeated ones would come from the chunk caches of HDF5.
        orders = [data.sample(calls, seed) for seed in range(rounds + 1)]
        times = alternate({peer.name: peer.timed for peer in ready}, orders)
    result.measurements = {name: spent.values() | stored[name] for name, spent in times.items()}
    _claim(result, data.kind, [peer.name for peer in ready if peer.whole and peer.name not in OURS])
    return result


def _claim(result: Result, kind: str, others: list[str]) -> None:
    """Compare skelstore with the other ways to keep annotations, and with the floors."""
    wanted = WANTED.get(kind, {})
    for profile in PROFILES[:2]:
        for other in others:
            result.claim_speed(profile, other, wanted)
    result.claim_speed(PurePython.name, LmdbAlone.name, wanted)
    codec = next((name for name in CODEC_FLOORS if name in result.measurements), CODEC_FLOORS[-1])
    for profile, floor, bound in (
        ("fast", BareCopy.name, None),
        ("fast", BareRead.name, None),
        ("default", codec, CODEC_RATIO.get(kind)),
        (Batches.name, codec, BATCH_RATIO if kind in CODEC_RATIO else None),
    ):
        by_mean = profile == Batches.name  # whose time of a video is a mean already
        for of, reached in (("us p50", None if by_mean else bound), ("mean", bound if by_mean else None)):
            if {profile, floor} <= result.measurements.keys():
                ratio = result.measurements[profile][of] / result.measurements[floor][of]
                name = f"{profile} against the {floor}" + (", mean" if of == "mean" else "")
                result.claim(name, ratio, "x its time", reached)
