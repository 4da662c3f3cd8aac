"""A set of annotations for a benchmark, as a pickle and as stores."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from converters.pickles.file import PickleFile
from skelstore.errors import FieldNotFoundError
from skelstore.format.codecs import Profile

Annotation = dict[str, Any]

SAMPLE_BYTES = 400_000_000
"""Maximum array bytes of a sample: every side keeps it on disk, and some also in memory."""


def array_bytes(annotation: Annotation) -> int:
    """Total bytes of the arrays of an annotation."""
    return sum(value.nbytes for value in annotation.values() if isinstance(value, np.ndarray))


def array_fields(annotation: Annotation) -> list[str]:
    """The keys whose value is an array."""
    return [key for key, value in annotation.items() if isinstance(value, np.ndarray)]


def folder_bytes(folder: Path) -> int:
    """Total bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class DataSet:
    """The annotations from which every side is built: a pickle of ``split`` and ``annotations`` in a folder.

    Stores are made on first use, by the current code.
    """

    def __init__(self, kind: str, pickle: Path) -> None:
        self.kind = kind
        self.pickle = pickle
        self.folder = pickle.parent
        self._stores: dict[str, Path] = {}

    def load(self) -> list[Annotation]:
        """Load all annotations of the pickle with the data-only reader, one by one: it limits the size of one value."""
        with PickleFile(self.pickle) as file:
            elements: list[Any] = [file.element(i, "annotations") for i in range(file.elements("annotations") or 0)]
        return elements

    @cached_property
    def loaded(self) -> list[Annotation]:
        """The result of `load`, cached until `forget`: every side is built from the same list."""
        return self.load()

    def forget(self) -> None:
        """Free `loaded`."""
        with contextlib.suppress(AttributeError):
            del self.loaded

    def store(self, profile: Profile) -> Path:
        """A store with this codec profile."""
        if profile not in self._stores:
            path = self.folder / f"{profile}.zarr"
            with skelstore.Writer(path, profile=profile, force=True) as writer:
                for annotation in self.loaded:
                    writer.add(annotation)
            self._stores[profile] = path
        return self._stores[profile]

    @cached_property
    def names(self) -> list[str]:
        """The names of the videos, in order."""
        with skelstore.open(self.store("default")) as store:
            return [store.name(i) or "" for i in range(len(store))]

    def sample(self, count: int, seed: int = 0) -> list[str]:
        """The names of ``count`` random videos."""
        return random.Random(seed).sample(self.names, min(count, len(self.names)))


def sample_of(path: Path, count: int, folder: Path) -> DataSet:
    """A random sample of ``count`` videos of a store, in the order of the store.

    It has only videos that can be read by name. Raises FieldNotFoundError if the store has none.
    """
    with skelstore.open(path) as store:
        order = random.Random(0).sample(range(len(store)), len(store))
        chosen: list[int] = []
        size = 0
        for position in order:
            name = store.name(position)
            if len(chosen) == count or size > SAMPLE_BYTES:
                break
            if name and _is_only(store, name):
                chosen.append(position)
                size += array_bytes(store[position])
        if not chosen:
            raise FieldNotFoundError(f"{path} has no video with a unique name, but all sides are read by name")
        annotations = store.read(sorted(chosen))
    file = folder / "annotations.pkl"
    with open(file, "wb") as sink:
        pickle.dump({"split": {}, "annotations": annotations}, sink, protocol=4)
    return DataSet(f"{os.path.basename(path)}", file)


def _is_only(store: skelstore.Store, name: str) -> bool:
    try:
        store.index(name)
    except skelstore.SkelstoreError:
        return False
    return True
