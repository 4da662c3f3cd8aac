"""Reading raw NTU RGB+D: our reader compared with reading line by line, and a conversion on one core and on two.

The peers are not the upstream scripts. They are written here to read a file as PYSKL's ntu_preproc.py does (x, y, z of
each joint through NumPy) and as MMAction2's gen_ntu_rgbd_raw.py does (each value through ``float`` into dicts).
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conversion import ON_TWO_CORES
from converters.bench import fresh
from converters.bench.results import Result, Wanted
from converters.bench.timing import interleave, shuffles
from converters.dialects.ntu.skeleton_file import parse
from converters.samples.pickles import ntu_names
from converters.samples.skeletons import write_skeletons

DISTINCT = 60
READ_ALONE = 500
"""Number of files that are read line by line. Reading all of them would take minutes."""
AS_FAST = Wanted(2)
WANTED = {("skelstore", "as PYSKL reads"): AS_FAST, ("skelstore", "as MMAction2 reads"): AS_FAST}

_BODY_KEYS = [
    *("bodyID", "clipedEdges", "handLeftConfidence", "handLeftState", "handRightConfidence", "handRightState"),
    *("isResticted", "leanX", "leanY", "trackingState"),
]
_JOINT_KEYS = [
    *("x", "y", "z", "depthX", "depthY", "colorX", "colorY"),
    *("orientationW", "orientationX", "orientationY", "orientationZ", "trackingState"),
]


def as_pyskl_reads(path: Path) -> dict[int, Any]:
    """Positions [F, 25, 3] of each body id; each line becomes an array of three numbers."""
    lines = iter(path.read_text().split("\n"))
    bodies: dict[int, list[Any]] = {}
    for _ in range(int(next(lines))):
        for _ in range(int(next(lines))):
            seen = bodies.setdefault(int(next(lines).split()[0]), [])
            joints = np.zeros((int(next(lines)), 3), np.float32)
            for joint in range(len(joints)):
                joints[joint] = np.array(next(lines).split()[:3], dtype=np.float32)
            seen.append(joints)
    return {body_id: np.stack(seen) for body_id, seen in bodies.items()}


def as_mmaction2_reads(path: Path) -> list[Any]:
    """Frames of bodies; each value is an entry of a dict."""
    frames = []
    with open(path) as file:
        for _ in range(int(file.readline())):
            frame = []
            for _ in range(int(file.readline())):
                body: dict[str, Any] = {
                    key: float(value) for key, value in zip(_BODY_KEYS, file.readline().split(), strict=False)
                }
                count = int(file.readline())
                body["joints"] = [
                    {key: float(value) for key, value in zip(_JOINT_KEYS, file.readline().split(), strict=False)}
                    for _ in range(count)
                ]
                frame.append(body)
            frames.append(frame)
    return frames


def read(path: Path) -> Any:
    return parse(path.read_bytes())


def convert(source: str, destination: str, recipe: Any, workers: int) -> dict[str, float]:
    """Convert in this process, which does nothing else."""
    from converters.dialects import ntu

    start = time.perf_counter()
    ntu.convert(source, destination, recipe=recipe, workers=workers, force=True)
    return {"s": time.perf_counter() - start}


def read_some(source: str) -> dict[str, float]:
    """Read the first files as PYSKL does, in this process; return the seconds that all would take."""
    paths = sorted(Path(source).iterdir())
    start = time.perf_counter()
    for path in paths[:READ_ALONE]:
        as_pyskl_reads(path)
    return {"s": (time.perf_counter() - start) * max(len(paths) / READ_ALONE, 1)}


def measure(folder: Path, count: int, rounds: int) -> Result:
    """Read some files in turn, then convert a folder of ``count`` files: ``count`` names for 60 different contents."""
    source = folder / f"skeletons-{count}"
    if not source.exists():
        _write(source, count)
    paths = sorted(source.iterdir())
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    result = Result("skeletons", "raw NTU RGB+D (.skeleton files)")
    result.conditions["files"] = f"{count:,} of {1000 * megabytes / count:.0f} KB, generated"
    sides = {"skelstore": read, "as PYSKL reads": as_pyskl_reads, "as MMAction2 reads": as_mmaction2_reads}
    times = interleave(sides, shuffles(paths[:DISTINCT], rounds))
    result.measurements |= {name: found.values() for name, found in times.items()}
    for side in list(sides)[1:]:
        result.claim_speed("skelstore", side, WANTED)
    runs: dict[str, list[float]] = {}
    destination = folder / "skeletons.zarr"
    try:
        for _ in range(min(rounds, 3)):
            for workers in (1, 2):
                found = fresh.run(convert, source=source, destination=destination, recipe="pyskl", workers=workers)
                runs.setdefault(f"recipe pyskl, {workers} worker{'s'[: workers > 1]}", []).append(found["s"])
            runs.setdefault("reading alone as PYSKL", []).append(fresh.run(read_some, source=source)["s"])
    finally:
        shutil.rmtree(destination, ignore_errors=True)
    seconds = {name: statistics.median(found) for name, found in runs.items()}
    result.measurements |= {name: {"s": s, "MB/s": megabytes / s} for name, s in seconds.items()}
    one, two, lines = seconds.values()
    result.claim("conversion with 1 worker against reading alone as PYSKL", lines / one, "x as fast", AS_FAST)
    result.claim("conversion with 2 workers against 1", one / two, "x as fast", ON_TWO_CORES)
    return result


def _write(folder: Path, count: int) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    names = ntu_names(count)
    write_skeletons(partial, names[:DISTINCT])
    for i, name in enumerate(names[DISTINCT:]):
        os.link(partial / f"{names[i % DISTINCT]}.skeleton", partial / f"{name}.skeleton")
    partial.rename(folder)
