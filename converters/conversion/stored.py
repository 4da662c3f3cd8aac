"""The videos of a store as those of a source, from which another store is made."""

from __future__ import annotations

import os
from pathlib import Path

import skelstore
from converters.conversion.shuffling import recorded_seed
from converters.conversion.source import KnownAtOnce
from skelstore.format.schema import ROOT_KEY
from skelstore.format.values import Json
from skelstore.read.source_order import in_source_order
from skelstore.read.store import table_rows
from skelstore.remote.url import Url


class FromStore(KnownAtOnce):
    """Base class of sources that take their videos from a store, in the order of the store's own source.

    ``seed`` is the one that the store was shuffled with, None if it was not. A pickled one has the whole URL of
    the store, as a pickled store has. Raises what ``skelstore.open`` raises.
    """

    def __init__(self, path: str | os.PathLike[str] | Url) -> None:
        self._store = in_source_order(skelstore.open(path))
        self.path: Path | Url = self._store.path
        self.seed = recorded_seed(self._store.source)

    def files(self, start: int, stop: int) -> list[Path]:
        """The root, which holds the checksums of all other files; none of a store at a URL."""
        return [] if isinstance(self.path, Url) else [self.path / ROOT_KEY]

    def settings(self) -> Json:
        """For a store at a URL, which has no times of change, what distinguishes it from others; else None."""
        if not isinstance(self.path, Url):
            return None
        manifest = table_rows(self._store)[0].metadata.manifest
        return [manifest.size, manifest.crc32c]

    def close(self) -> None:
        self._store.close()
