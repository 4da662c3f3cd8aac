"""Files that are elsewhere, of which parts are here: copies of shards, and large tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from skelstore.errors import DamageError
from skelstore.format.local_file import LocalFile


class EvictedError(DamageError):
    """The copy that a reader had is no longer in the cache, so it needs a new one; never raised to users."""


class PartialFile(LocalFile, ABC):
    """A copy of a shard that is elsewhere, with some of its chunks; ``present`` has a byte for each, 1 if it is there.

    Reading raises EvictedError if the copy is gone.
    """

    present: bytearray

    @abstractmethod
    def again(self) -> PartialFile:
        """A new copy of the same shard, to continue with after this one is gone."""

    @abstractmethod
    def forget(self, first: int, stop: int) -> None:
        """Let chunks be fetched again, since they are damaged in the copy."""


class FileParts(ABC):
    """A large file that is elsewhere, of which parts are fetched when they are needed.

    ``buffer`` is the whole file as an Arrow buffer; only what ``provide`` was called for may be looked at.
    """

    buffer: Any

    @abstractmethod
    def provide(self, spans: Sequence[tuple[int, int]]) -> None:
        """Fetch the bytes (start, stop) that are missing, all at once, and verify what this process has not verified.

        Raises DamageError, StoreReplacedError and RemoteError, whose messages have URL and key.
        """
