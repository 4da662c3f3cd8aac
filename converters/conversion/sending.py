"""Handing a source, with its index, to worker processes: it is too large to be sent with every task."""

from __future__ import annotations

import hashlib
import secrets
import socket
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

from skelstore.errors import RemoteError, StoreError
from skelstore.remote.url import Url
from skelstore.write import disk

__all__ = ["Sent", "received", "send"]


class Sent(NamedTuple):
    """A file with a pickled object, on disk or at a URL, and the digest by which a worker recognises it as ours."""

    path: Path | Url
    digest: bytes


def send(value: object, folder: Path | Url) -> Sent:
    """Write an object to a file in a folder of this run, on disk or in an object store, for all workers."""
    data = bytes(ForkingPickler.dumps(value))
    name = f"source.{secrets.token_hex(4)}"
    path = folder / name
    if isinstance(folder, Url):
        from skelstore.publish.staging import object_store  # only here: local files need no HTTP
        from skelstore.remote.transfers import Content

        object_store(folder).put(name, Content.of_bytes(data))
    else:
        disk.write_file(folder / name, data)
    return Sent(path, hashlib.blake2b(data).digest())


@lru_cache(maxsize=1)
def received(sent: Sent) -> Any:
    """The object, in a worker. Raises StoreError if the file is not the one that was sent."""
    data = _read(sent.path) if isinstance(sent.path, Url) else sent.path.read_bytes()
    if hashlib.blake2b(data).digest() != sent.digest:
        raise StoreError(f"{sent.path} differs from what was written for the workers: run the same command again")
    return ForkingPickler.loads(data)


def _read(url: Url) -> bytes:
    from skelstore.remote.services import service_of

    data = bytearray()

    def take(offset: int, piece: bytes) -> None:
        del data[offset:]
        data.extend(piece)

    try:
        service_of(url).read_all("", take)
    except RemoteError as error:
        error.add_note(f"a worker on {socket.gethostname()} needs the same credentials as the command")
        raise
    return bytes(data)
