"""Bytes of a whole store, tables included, compared with the pickle that it was converted from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.data import Synthetic
from converters.bench.data import folder_bytes
from converters.bench.results import Result, Wanted
from converters.conversion.convert import convert_source
from converters.dialects.registry import open_source
from skelstore.format.codecs import PROFILES

REAL = "annotations/hrnet_11_joints.pkl"
WANTED = {"default": Wanted(0.80, at_least=False), "small": Wanted(0.62, at_least=False)}


def real_file() -> Path:
    """The real HRNet keypoints, below SKELSTORE_REAL or beside the repository. They may not be committed."""
    folder = os.environ.get("SKELSTORE_REAL") or Path(__file__).resolve().parents[2] / "shared" / "real"
    return Path(folder) / REAL


def measure(sets: list[Synthetic], folder: Path) -> Result:
    """Convert the real file, and synthetic data sets, with every profile."""
    result = Result("size", "a store against the pickle that it was converted from")
    sources = {f"synthetic {data.kind}": data.pickle for data in sets}
    if real_file().exists():
        sources = {"real HRNet": real_file()} | sources
    else:
        result.skipped["real HRNet"] = f"no {real_file()}: set SKELSTORE_REAL to the folder of real files"
    for name, source in sources.items():
        size = source.stat().st_size
        result.measurements[f"{name}, pickle"] = {"MB": size / 1e6}
        for profile in PROFILES:
            destination = folder / f"size-{profile}.zarr"
            try:
                convert_source(open_source(source), destination, profile=profile, workers=1, force=True)
                stored = folder_bytes(destination)
            finally:
                shutil.rmtree(destination, ignore_errors=True)
            result.measurements[f"{name}, {profile}"] = {"MB": stored / 1e6}
            wanted = WANTED.get(profile) if name == "real HRNet" else None
            result.claim(f"{name}, {profile}", stored / size, "of the pickle", wanted)
    return result
