"""Synthetic data sets of a given size, as pickles and as stores.

What the content decides (lengths, detections, smoothness) follows real data, see ``converters.samples``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import random
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from benchmarks import fresh
from converters import sample_motion, samples
from skelstore.codecs import Profile

Annotation = dict[str, Any]

#: Videos that are made up; a larger data set is these again under other names, or making it would take hours.
DISTINCT = 4000
#: Rows of every array of a video of `contents`: what is measured there is what a video costs apart from its arrays.
TINY_ROWS = 2


def kinetics(count: int) -> Iterator[Annotation]:
    """Kinetics-400 joined with its kpfiles: the entry of the table of contents, then ``keypoint`` [N, 17, 3]."""
    for entry, keypoint in samples.iter_kinetics_like(count):
        yield {**entry, "keypoint": keypoint}


def contents(count: int) -> Iterator[Annotation]:
    """As many videos as Kinetics-400 has, with the columns of its table of contents and next to nothing in the arrays.

    Real entries hold 2 KB of ``frame_inds`` and ``box_score``, so a real table of contents is slower to load.
    """
    for annotation in kinetics(count):
        arrays = {key: value[:TINY_ROWS] for key, value in annotation.items() if isinstance(value, np.ndarray)}
        yield annotation | {key: value.copy() for key, value in arrays.items()}


def ntu_short(count: int) -> Iterator[Annotation]:
    """NTU-like videos of half as many frames: 6 KB each, the size for which figures were stated."""
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
    """Videos of a kind: `DISTINCT` ones at most, then the same under other names. No two share an array."""
    distinct = list(KINDS[kind](min(count, DISTINCT)))
    for i in range(count):
        again, place = divmod(i, len(distinct))
        annotation = distinct[place]
        if again:
            arrays = {key: value.copy() for key, value in annotation.items() if isinstance(value, np.ndarray)}
            annotation = annotation | {"frame_dir": f"{annotation['frame_dir']}_{again}"} | arrays
        yield annotation


def array_bytes(annotation: Annotation) -> int:
    return sum(value.nbytes for value in annotation.values() if isinstance(value, np.ndarray))


def videos_of(kind: str, size: int) -> int:
    """How many videos have arrays of so many bytes."""
    some = [array_bytes(annotation) for annotation in KINDS[kind](200)]
    return max(1, round(size / (sum(some) / len(some))))


def write_pickle(kind: str, count: int, path: str) -> dict[str, Any]:
    """Write a pickle of ``split`` and ``annotations``, as PYSKL's are. Called in a fresh process: it takes memory."""
    found = list(annotations(kind, count))
    names = [annotation["frame_dir"] for annotation in found]
    split = {"train": [name for i, name in enumerate(names) if i % 12], "val": names[::12]}
    with open(f"{path}.partial", "wb") as file:
        pickle.dump({"split": split, "annotations": found}, file, protocol=4)
    facts = {"array_bytes": sum(map(array_bytes, found))}
    Path(path).with_suffix(".json").write_text(json.dumps(facts))
    os.rename(f"{path}.partial", path)
    return facts


class DataSet:
    """A data set below a folder, whose files are made when they are first asked for.

    The pickle outlives the run if the folder does; stores and what peers build are made by the code of today, anew in
    each run.
    """

    def __init__(self, kind: str, count: int, folder: Path) -> None:
        self.kind = kind
        self.count = count
        self.folder = folder / f"{kind}-{count}-{_generator_version()}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stores: dict[str, Path] = {}

    @property
    def pickle(self) -> Path:
        path = self.folder / "annotations.pkl"
        if not path.exists():
            fresh.run("data:write_pickle", kind=self.kind, count=self.count, path=path)
        return path

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays."""
        facts: dict[str, int] = json.loads(self.pickle.with_suffix(".json").read_text())
        return facts["array_bytes"]

    def load(self) -> list[Annotation]:
        """All annotations, as ``pickle.load`` gives them."""
        with open(self.pickle, "rb") as file:
            found: list[Annotation] = pickle.load(file)["annotations"]
        return found

    @cached_property
    def loaded(self) -> list[Annotation]:
        """`load`, kept until `forget`: every peer is built from the same list."""
        return self.load()

    def forget(self) -> None:
        with contextlib.suppress(AttributeError):
            del self.loaded

    def store(self, profile: Profile) -> Path:
        """A store of that codec profile."""
        if profile not in self._stores:
            path = self.folder / f"{profile}.zarr"
            with skelstore.Writer(path, profile=profile, force=True) as writer:
                for annotation in self.loaded:
                    writer.add(annotation)
            self._stores[profile] = path
        return self._stores[profile]

    @cached_property
    def names(self) -> list[str]:
        with skelstore.open(self.store("default")) as store:
            found: list[str] = store.videos["frame_dir"].to_pylist()
        return found

    def sample(self, count: int, seed: int = 0) -> list[str]:
        """Names of so many videos, drawn at random."""
        return random.Random(seed).sample(self.names, min(count, self.count))


def _generator_version() -> str:
    """Changes with the code that makes up the data, so that nothing old is taken for new."""
    sources = (samples.__file__, sample_motion.__file__, __file__)
    return hashlib.blake2b(b"".join(Path(source).read_bytes() for source in sources), digest_size=4).hexdigest()
