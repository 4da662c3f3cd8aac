"""What people keep skeletons in, each behind the same few methods, and skelstore among them.

``get`` gives the whole annotation by its ``frame_dir``, equal to the one that was put in: a test holds all peers to
that. Where there was a choice it fell in the peer's favour (named in each class), so that a ratio is a lower bound.
Those who keep pickles unpickle here, as their users do: only what the same run has written, in a folder of its own.
"""

from __future__ import annotations

import importlib
import pickle
import shutil
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import skelstore
from converters.bench.data import Annotation, DataSet
from skelstore.format.codecs import Profile


class UnsuitedError(Exception):
    """A peer cannot hold this data; the reason."""


class Peer:
    """One way to keep annotations and to get them back."""

    name: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    """What it cannot do without: modules to import, programs on PATH, and how to install them."""
    program: ClassVar[str] = ""
    install: ClassVar[str] = ""
    whole: ClassVar[bool] = True
    """Whether ``get`` gives the annotation; a floor does only a part of the work."""

    def missing(self) -> str | None:
        """Why this peer cannot take part, and what to do about it; None if it can."""
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
        """Put a data set into a new, empty folder. Raises UnsuitedError if this peer cannot hold it."""

    def open(self) -> None:
        """Get ready to read what was built."""

    def warm(self, names: list[str]) -> None:
        """Do what a process does once for each video; nothing, but for one that checks what it has not read before."""

    @abstractmethod
    def get(self, name: str) -> Annotation:
        """The annotation of that ``frame_dir``. Some set what gives it in ``open``, to have no call between."""

    def close(self) -> None:
        """Let go of files, and end processes, that were opened or started."""


class Skelstore(Peer):
    """This project, with one codec profile."""

    def __init__(self, profile: Profile) -> None:
        self.name = profile  # type: ignore[misc]
        self._profile = profile

    def build(self, data: DataSet, folder: Path) -> None:
        self._path = data.store(self._profile)

    def open(self) -> None:
        self._store = skelstore.open(self._path)
        self.get = self._store.__getitem__  # type: ignore[method-assign,assignment]

    def get(self, name: str) -> Annotation:
        return self._store[name]

    def warm(self, names: list[str]) -> None:
        """Read every video: a chunk's checksum is held against its bytes when it is first read."""
        for name in names:
            self.get(name)

    def close(self) -> None:
        self._store.close()


class StoreAsItIs(Skelstore):
    """The very store that a sample is from, with all its videos."""

    name = "your store"

    def __init__(self, path: Path) -> None:
        self._path = path

    def build(self, data: DataSet, folder: Path) -> None:
        """There it is."""


class PickleInMemory(Peer):
    """The whole pickle, loaded: what PYSKL and MMAction2 do. Its dict is handed out as it is, not even copied."""

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
    """One pickle a video, as MMAction2 has its Kinetics. Protocol 5, which copies arrays once."""

    name = "pickle files"

    def build(self, data: DataSet, folder: Path) -> None:
        # Numbered: names that differ by case only are one file to some systems.
        self._paths = {name: f"{folder}/{i}.pkl" for i, name in enumerate(data.names)}
        for name, annotation in zip(data.names, data.loaded, strict=True):
            Path(self._paths[name]).write_bytes(pickle.dumps(annotation, protocol=5))

    def get(self, name: str) -> Annotation:
        with open(self._paths[name], "rb") as file:
            annotation: Annotation = pickle.loads(file.read())
        return annotation


class Lmdb(Peer):
    """LMDB holding each annotation pickled. Protocol 5, loaded from the memory map without a copy before that."""

    name = "LMDB"
    modules = ("lmdb",)
    install = "pip install lmdb"

    def build(self, data: DataSet, folder: Path) -> None:
        import lmdb

        self._path = str(folder)
        if longest := max(data.names, key=lambda name: len(name.encode()))[511:]:
            raise UnsuitedError(f"its keys have at most 511 bytes, and a name goes on with {longest!r}")
        size = data.pickle.stat().st_size * 2 + (64 << 20)
        with lmdb.open(self._path, map_size=size, sync=False) as environment, environment.begin(write=True) as batch:
            for name, annotation in zip(data.names, data.loaded, strict=True):
                batch.put(name.encode(), pickle.dumps(annotation, protocol=5))

    def open(self) -> None:
        import lmdb

        self._environment: Any = lmdb.open(self._path, readonly=True, lock=False, readahead=False)

    def get(self, name: str) -> Annotation:
        with self._environment.begin(buffers=True) as transaction:
            annotation: Annotation = pickle.loads(transaction.get(name.encode()))
        return annotation

    def close(self) -> None:
        self._environment.close()
