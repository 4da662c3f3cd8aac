"""Synthetic data sets of a given size, as pickles and as stores.

Lengths, detections and smoothness follow real data; see ``converters.samples.pickles``.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from converters import samples
from converters.bench import fresh
from converters.bench.data import Annotation, DataSet, array_bytes
from converters.samples import motion, pickles

DISTINCT = 4000
"""Number of generated videos. A larger data set repeats them under other names: generating more would take hours."""
VIDEOS_A_KPFILE = 500
"""Number of videos in each kpfile: 25 MB."""
TINY_ROWS = 2
"""Rows of every array of a video of `contents`, which measures what a video costs apart from its arrays."""


def kinetics(count: int) -> Iterator[Annotation]:
    """Kinetics-400 joined with its kpfiles: the entry of the table of contents, then ``keypoint`` [N, 17, 3]."""
    for entry, keypoint in samples.iter_kinetics_like(count):
        yield {**entry, "keypoint": keypoint}


def contents(count: int) -> Iterator[Annotation]:
    """As many videos as Kinetics-400 has, with the columns of its table of contents and nearly empty arrays.

    Real entries hold 2 KB of ``frame_inds`` and ``box_score``, so a real table of contents is slower to load.
    """
    for annotation in kinetics(count):
        arrays = {key: value[:TINY_ROWS] for key, value in annotation.items() if isinstance(value, np.ndarray)}
        yield annotation | {key: value.copy() for key, value in arrays.items()}


def ntu_short(count: int) -> Iterator[Annotation]:
    """NTU-like videos with half as many frames: 6 KB each."""
    for annotation in samples.iter_ntu_like(count):
        keypoint, score = (np.ascontiguousarray(annotation[key][:, ::2]) for key in ("keypoint", "keypoint_score"))
        yield annotation | {"total_frames": keypoint.shape[1], "keypoint": keypoint, "keypoint_score": score}


KINDS: dict[str, Callable[[int], Iterator[Annotation]]] = {
    "kinetics": kinetics,
    "ntu": samples.iter_ntu_like,
    "ntu_short": ntu_short,
    "contents": contents,
}


def annotations(kind: str, count: int) -> Iterator[Annotation]:
    """Videos of a kind: at most `DISTINCT` different ones, repeated under other names. No two share an array."""
    distinct = list(KINDS[kind](min(count, DISTINCT)))
    for i in range(count):
        again, place = divmod(i, len(distinct))
        annotation = distinct[place]
        if again:
            arrays = {key: value.copy() for key, value in annotation.items() if isinstance(value, np.ndarray)}
            annotation = annotation | {"frame_dir": f"{annotation['frame_dir']}_{again}"} | arrays
        yield annotation


def videos_of(kind: str, size: int) -> int:
    """How many videos have arrays of ``array_bytes`` bytes in total."""
    some = [array_bytes(annotation) for annotation in KINDS[kind](200)]
    return max(1, round(size / (sum(some) / len(some))))


def write_pickle(kind: str, count: int, path: str) -> dict[str, Any]:
    """Write a pickle of ``split`` and ``annotations``, as PYSKL has. It takes memory, so it runs in a fresh process."""
    found = list(annotations(kind, count))
    names = [annotation["frame_dir"] for annotation in found]
    split = {"train": [name for i, name in enumerate(names) if i % 12], "val": names[::12]}
    with open(f"{path}.partial", "wb") as file:
        pickle.dump({"split": split, "annotations": found}, file, protocol=4)
    facts = {"array_bytes": sum(map(array_bytes, found))}
    Path(path).with_suffix(".json").write_text(json.dumps(facts))
    os.rename(f"{path}.partial", path)
    return facts


def write_kpfiles(count: int, path: str) -> dict[str, Any]:
    """Write a table of contents, and a folder of its kpfiles beside it, as PYSKL has them; in a fresh process."""
    contents = Path(path)
    sizes: list[int] = []
    names: list[str] = []

    def pairs() -> Iterator[tuple[Annotation, Any]]:
        for i, annotation in enumerate(annotations("kinetics", count)):
            sizes.append(array_bytes(annotation))
            names.append(annotation["frame_dir"])
            entry = annotation | {"raw_file": f"data/k400/kpfiles/k400_{i // VIDEOS_A_KPFILE:03d}.pkl"}
            yield entry, entry.pop("keypoint")

    entries = list(samples.written_to_kpfiles(contents.parent / "kpfiles", pairs()))
    samples.write_dataset(contents, samples.kinetics_split(names), entries)
    facts = {"array_bytes": sum(sizes)}
    contents.with_suffix(".json").write_text(json.dumps(facts))
    return facts


class Convertible(Protocol):
    """A source of the benchmark of conversions: a pickle of ``count`` videos, and the options to open it."""

    kind: str
    pickle: Path
    count: int
    options: dict[str, str]

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays."""


class Kpfiles:
    """A synthetic table of contents of Kinetics-400, ``pickle``, with its kpfiles beside it; kept like `Synthetic`."""

    kind = "kpfiles"

    def __init__(self, count: int, folder: Path) -> None:
        own = folder / f"{self.kind}-{count}-{_generator_version()}"
        self.pickle = own / "k400_hrnet.pkl"
        self.options = {"kpfiles": str(own / "kpfiles")}
        self.count = count
        if not own.exists():
            partial = own.with_name(f"{own.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            fresh.run(write_kpfiles, count=count, path=partial / self.pickle.name)
            partial.rename(own)

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays."""
        return _array_bytes(self.pickle)


class Synthetic(DataSet):
    """A synthetic data set below a folder.

    Later runs reuse the pickle if the folder is kept. Stores and the files of peers are rebuilt in each run, with the
    current code.
    """

    def __init__(self, kind: str, count: int, folder: Path) -> None:
        path = folder / f"{kind}-{count}-{_generator_version()}" / "annotations.pkl"
        super().__init__(kind, path)
        self.count = count
        self.options: dict[str, str] = {}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.run(write_pickle, kind=kind, count=count, path=path)

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays."""
        return _array_bytes(self.pickle)


def _array_bytes(path: Path) -> int:
    """The bytes of all arrays of a data set, which were counted when its pickle was written."""
    facts: dict[str, int] = json.loads(path.with_suffix(".json").read_text())
    return facts["array_bytes"]


def _generator_version() -> str:
    """A digest of the code that generates the data, so that old data are not reused after a change."""
    sources = (pickles.__file__, motion.__file__, __file__)
    return hashlib.blake2b(b"".join(Path(source).read_bytes() for source in sources), digest_size=4).hexdigest()
