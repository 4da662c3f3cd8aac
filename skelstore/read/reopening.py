"""A pickled store, opened again in another process: the same store, or the reason why not at its first use."""

from __future__ import annotations

from typing import Any

from skelstore.errors import (
    StoreNotFoundError,
)
from skelstore.format.store_files import replaced
from skelstore.read.arrays import Check
from skelstore.read.location import Cache, Location
from skelstore.read.reader import Reader


class UnavailableReader(Reader):
    """Replaces the reader of an unpickled ``Store`` whose store is no longer available: every use raises the reason.

    An error during unpickling would leave a multiprocessing.Pool waiting forever.
    """

    def __init__(
        self, path: Location, check: Check, mmap: bool, cache: Cache, identity: bytes, reason: Exception
    ) -> None:
        self.path = path
        self.check = check
        self.mmap = mmap
        self.cache = cache
        self._identity = identity
        self._reason = reason

    @property
    def identity(self) -> bytes:
        return self._identity

    def close(self) -> None:
        """Nothing is open."""

    def refuse_replaced(self) -> None:
        raise self._reason.with_traceback(None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._reason.with_traceback(None)


def reopen(path: Location, check: Check, mmap: bool, cache: Cache, identity: bytes) -> Reader:
    """The reader of a store with this path and identity; if it is unavailable, a reader whose every use raises why."""
    try:
        reader = Reader(path, check, mmap, cache)
        if reader.identity == identity:
            return reader
        reason: Exception = replaced(path)
    except StoreNotFoundError:
        reason = replaced(path)
    except Exception as error:
        reason = error
    return UnavailableReader(path, check, mmap, cache, identity, reason)
