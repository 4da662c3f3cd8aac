"""The ways to keep skeletons that are compared, skelstore among them, behind the same few methods.

``get`` returns the whole annotation by its ``frame_dir``, equal to the one that was stored; a test checks that for all
peers. Choices are made in favour of the peer (each class names them), so a ratio is a lower bound. Peers that keep
pickles unpickle here, as their users do, but only what the same run has written into its own folder.
"""

from __future__ import annotations

import importlib
import pickle
import shutil
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import skelstore
from converters.bench.data import Annotation, DataSet
from converters.bench.timing import Spent, timed
from skelstore.format.codecs import Profile

BATCH = 32
"""The length of a batch."""


class UnsuitedError(Exception):
    """A peer cannot hold this data; the message is the reason."""


class Peer:
    """One way to store annotations and to read them back."""

    name: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    program: ClassVar[str] = ""
    install: ClassVar[str] = ""
    """Requirements: modules to import, a program on PATH, and how to install them."""
    whole: ClassVar[bool] = True
    """Whether ``get`` returns the annotation; a floor does only part of the work."""

    def missing(self) -> str | None:
        """Why this peer cannot take part and what to do about it; None if it can."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                return f"not installed ({error}): {self.install}"
        if self.program and not shutil.which(self.program):
            return f"the program {self.program} is not on PATH: {self.install}"
        return None

    @abstractmethod
    def build(self, data: DataSet, folder: Path) -> None:
        """Store a data set in a new, empty folder. Raises UnsuitedError if this peer cannot hold it."""

    def open(self) -> None:
        """Prepare to read what was built."""

    def warm(self, names: list[str]) -> None:
        """Do what a process does once per video: check data on the first read, or touch the pages of a memory map."""

    def timed(self, names: Sequence[str]) -> Spent:
        """The nanoseconds of each ``get`` of these names."""
        return timed(self.get, names)

    @abstractmethod
    def get(self, name: str) -> Annotation:
        """The annotation with this ``frame_dir``. Some peers replace this method in ``open``, to save a call."""

    def close(self) -> None:
        """Close files that were opened, and end processes that were started."""


class Skelstore(Peer):
    """This project, with one codec profile."""

    def __init__(self, profile: Profile) -> None:
        self.name = profile  # type: ignore[misc]
        self._profile = profile

    def build(self, data: DataSet, folder: Path) -> None:
        self.path: Path | str = data.store(self._profile)

    def open(self) -> None:
        self._store = skelstore.open(self.path)
        self.get = self._store.__getitem__  # type: ignore[method-assign,assignment]

    def get(self, name: str) -> Annotation:
        return self._store[name]

    def warm(self, names: list[str]) -> None:
        """Read every video: the checksum of a chunk is verified when the chunk is first read."""
        for name in names:
            self.get(name)

    def close(self) -> None:
        self._store.close()


class Batches(Skelstore):
    """This project, with batches by ``Store.read``. The time of a batch is divided by its length."""

    name = f"default, {BATCH} at a time"

    def __init__(self) -> None:
        self._profile = "default"

    def timed(self, names: Sequence[str]) -> Spent:
        spent = np.zeros(len(names), np.int64)
        for at in range(0, len(names), BATCH):
            batch = list(names[at : at + BATCH])
            spent[at : at + BATCH] = timed(self._store.read, [batch])[0] // len(batch)
        return spent


class StoreAsItIs(Skelstore):
    """The store from which a sample was taken, with all its videos."""

    name = "your store"

    def __init__(self, path: Path) -> None:
        self.path = path

    def build(self, data: DataSet, folder: Path) -> None:
        """The store exists already."""


class PickleInMemory(Peer):
    """The whole pickle in memory, as in PYSKL and MMAction2. Its dicts are returned without a copy."""

    name = "pickle in memory"

    def build(self, data: DataSet, folder: Path) -> None:
        self._data = data

    def open(self) -> None:
        self._annotations = dict(zip(self._data.names, self._data.load(), strict=True))
        self.get = self._annotations.__getitem__  # type: ignore[method-assign,assignment]

    def get(self, name: str) -> Annotation:
        return self._annotations[name]

    def close(self) -> None:
        del self.get, self._annotations


class PickleFiles(Peer):
    """One pickle per video, as MMAction2 keeps Kinetics. Protocol 5, which copies arrays once."""

    name = "pickle files"

    def build(self, data: DataSet, folder: Path) -> None:
        # Numbered, since names that differ only in case are the same file on some systems.
        self._paths = {name: f"{folder}/{i}.pkl" for i, name in enumerate(data.names)}
        for name, annotation in zip(data.names, data.loaded, strict=True):
            Path(self._paths[name]).write_bytes(pickle.dumps(annotation, protocol=5))

    def get(self, name: str) -> Annotation:
        with open(self._paths[name], "rb") as file:
            annotation: Annotation = pickle.loads(file.read())
        return annotation


class Lmdb(Peer):
    """LMDB with each annotation pickled. Protocol 5, loaded from the memory map without an extra copy."""

    name = "LMDB"
    modules = ("lmdb",)
    install = "pip install lmdb"

    def build(self, data: DataSet, folder: Path) -> None:
        import lmdb

        self.path: Path | str = folder
        if longest := max(data.names, key=lambda name: len(name.encode()))[511:]:
            raise UnsuitedError(f"its keys have at most 511 bytes, but a name continues with {longest!r}")
        size = data.pickle.stat().st_size * 2 + (64 << 20)
        with (
            lmdb.open(str(self.path), map_size=size, sync=False) as environment,
            environment.begin(write=True) as batch,
        ):
            for name, annotation in zip(data.names, data.loaded, strict=True):
                batch.put(name.encode(), pickle.dumps(annotation, protocol=5))

    def open(self) -> None:
        import lmdb

        self._environment: Any = lmdb.open(str(self.path), readonly=True, lock=False, readahead=False)

    def get(self, name: str) -> Annotation:
        with self._environment.begin(buffers=True) as transaction:
            annotation: Annotation = pickle.loads(transaction.get(name.encode()))
        return annotation

    def warm(self, names: list[str]) -> None:
        """Read every video: LMDB reads from a memory map."""
        for name in names:
            self.get(name)

    def close(self) -> None:
        self._environment.close()
