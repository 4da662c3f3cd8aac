"""Results of benchmarks that were not run, for tests of tables and plots."""

from __future__ import annotations

from converters.bench.results import Result, Wanted


def read(kind: str, kilobytes: float, **medians: float) -> Result:
    """A result of the benchmark reading with these medians; underscores in names stand for spaces."""
    result = Result(f"reading {kind}", "")
    result.conditions = {"videos": 4000, "KB per video": kilobytes, "compiled reader": "no"}
    result.measurements = {name.replace("_", " "): {"us p50": median} for name, median in medians.items()}
    return result


def measured() -> list[Result]:
    """Results of every benchmark whose figures are in the documents."""
    kinetics = read("kinetics", 51.7, fast=20, default=60, LMDB=10, bare_blosc=30, bare_memcpy=5, pickle_in_memory=0.3)
    kinetics.claim("fast against LMDB", 0.5, "x as fast", Wanted(1.5))
    kinetics.claim("fast against pickle in memory", 0.015, "x as fast")
    kinetics.claim("default against the bare blosc", 2.0, "x its time", Wanted(1.15, at_least=False))
    short = read("ntu_short", 5.8, fast=1234.4, default=40, bare_blosc=10)
    short.claim("fast against LMDB", 2.0, "x as fast", Wanted(1.8))
    short.claim("default against the bare blosc", 4.0, "x its time")
    opening = Result("opening", "", {"videos": 240_000})
    opening.measurements = {
        "skelstore.open": {"ms": 17.2, "cold start ms": 20.4, "private MB": 0.123},
        "pickle.load": {"ms": 1900, "cold start ms": 2000, "private MB": 521},
    }
    workers = Result("workers", "")
    for count in (1, 8):
        workers.measurements[f"skelstore, {count}"] = {"private MB per worker": 12.0 + count}
        workers.measurements[f"pickle, {count}"] = {"private MB per worker": 500.0 + count}
    size = Result("size", "")
    for name, megabytes in {"pickle": 10.0, "fast": 10.1, "default": 7.2, "small": 5.9}.items():
        size.measurements[f"real HRNet, {name}"] = {"MB": megabytes}
    conversion = Result("conversion", "", {"ntu 1 GB": "83 videos"})
    conversion.measurements = {
        "ntu 1 GB, 1 worker": {"MB/s": 100, "s": 10, "MB/CPU s": 110, "peak MB": 147},
        "ntu 1 GB, 2 workers": {"MB/s": 170, "s": 6},
        "ntu 1 GB, twice at once": {"MB/s": 190, "s": 11},
        "ntu 1 GB, pickle.load": {"MB/s": 900, "s": 1, "MB/CPU s": 950, "peak MB": 1200},
    }
    remote = Result("remote", "", {"peer": "zarr 3.1.6"})
    for kind, measured in {"K400-like": 1.234, "NTU-like": 1.1}.items():
        remote.claim(f"a video by name: {kind}", measured, "round trips", Wanted(1.5, at_least=False))
    remote.claim("open 300 videos", 2.0, "round trips")
    return [kinetics, short, opening, workers, size, conversion, remote]
