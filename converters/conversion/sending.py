"""Handing a source, with its index, to worker processes: it is too large to be sent with every task."""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

from skelstore.errors import StoreError
from skelstore.write import disk

__all__ = ["Sent", "received", "send"]


class Sent(NamedTuple):
    """A file with a pickled object, and the digest by which a worker recognises it as ours."""

    path: Path
    digest: bytes


def send(value: object, folder: Path) -> Sent:
    """Write an object to a file in a folder of this run, for all workers."""
    data = bytes(ForkingPickler.dumps(value))
    path = folder / f"source.{secrets.token_hex(4)}"
    disk.write_file(path, data)
    return Sent(path, hashlib.blake2b(data).digest())


@lru_cache(maxsize=1)
def received(sent: Sent) -> Any:
    """The object, in a worker. Raises StoreError if the file is not the one that was sent."""
    data = sent.path.read_bytes()
    if hashlib.blake2b(data).digest() != sent.digest:
        raise StoreError(f"{sent.path} differs from what was written for the workers: run the same command again")
    return ForkingPickler.loads(data)
