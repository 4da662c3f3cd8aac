"""A set of annotations to measure on, as a pickle and as stores."""

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
"""Of the arrays of a sample, at most: every side keeps it on the disk, and some in memory."""


def array_bytes(annotation: Annotation) -> int:
    """Bytes of all arrays of an annotation."""
    return sum(value.nbytes for value in annotation.values() if isinstance(value, np.ndarray))


def array_fields(annotation: Annotation) -> list[str]:
    """The keys whose value is an array."""
    return [key for key, value in annotation.items() if isinstance(value, np.ndarray)]


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class DataSet:
    """Annotations below a folder, which every side is built from: a pickle of ``split`` and ``annotations``.

    Stores are made when they are first asked for, by the code of today.
    """

    def __init__(self, kind: str, pickle: Path) -> None:
        self.kind = kind
        self.pickle = pickle
        self.folder = pickle.parent
        self._stores: dict[str, Path] = {}

    def load(self) -> list[Annotation]:
        """All annotations of the pickle, by the data-only reader, one by one: together they may be too many for it."""
        with PickleFile(self.pickle) as file:
            found: list[Any] = [file.element(i, "annotations") for i in range(file.elements("annotations") or 0)]
        return found

    @cached_property
    def loaded(self) -> list[Annotation]:
        """`load`, kept until `forget`: every side is built from the same list."""
        return self.load()

    def forget(self) -> None:
        """Let go of `loaded`."""
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
        """The names of the videos, in order."""
        with skelstore.open(self.store("default")) as store:
            return [store.name(i) or "" for i in range(len(store))]

    def sample(self, count: int, seed: int = 0) -> list[str]:
        """Names of so many videos, drawn at random."""
        return random.Random(seed).sample(self.names, min(count, len(self.names)))


def sample_of(path: Path, count: int, folder: Path) -> DataSet:
    """A random sample of the videos of a store, in the order of the store.

    Only videos that are found by their names. Raises FieldNotFoundError if the store has none.
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
            raise FieldNotFoundError(f"{path} has no video that is found by its name, and by names all sides are read")
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
