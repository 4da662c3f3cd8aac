"""Object stores that files are written to: put, look at, copy, list, remove.

A file appears when all of its bytes have arrived.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple
from urllib.parse import quote

from skelstore.errors import RemoteError, StoreNotFoundError
from skelstore.remote.service import Service
from skelstore.remote.transfers import Content, Digests, Transfer
from skelstore.remote.transport import SUCCESS, Answer
from skelstore.wording import counted

TAKEN = frozenset((409, 412))
"""Status codes of a conditional put, if the file exists or another process puts it at the same time."""


class Stored(NamedTuple):
    """What an object store says about a file: its size, and its crc32c, which is None if it says none."""

    size: int
    crc32c: int | None


class ObjectStore(Service):
    """A service whose files can be written. ``LARGEST`` is the most bytes that one put may have.

    ``LISTED`` and ``NEXT`` are the XML elements of a listing with a name, and with the marker of the next page.
    """

    LARGEST: ClassVar[int]
    LISTED: ClassVar[bytes] = b"Key"
    NEXT: ClassVar[bytes] = b"NextContinuationToken"

    @abstractmethod
    def put_headers(self, digests: Digests, *, absent: bool) -> dict[str, str]:
        """The headers of a put: what the service checks the bytes with, and remembers as their crc32c.

        With ``absent``, the condition that there is no such file.
        """

    @abstractmethod
    def stated_crc32c(self, headers: Mapping[str, str]) -> int | None:
        """The crc32c of a file in the headers of an answer about it."""

    def stored(self, key: str) -> Stored | None:
        """What is stored under a key; None if nothing is. Raises what ``transport.send`` raises."""
        answer = self.send("HEAD", key, self.head_headers(), accept=SUCCESS | {404})
        if answer.status == 404:
            return None
        size = answer.headers.get("Content-Length", "")
        if not size.isdecimal():
            raise RemoteError(f"{self.root / key}: the server does not say how large it is (no Content-Length)")
        return Stored(int(size), self.stated_crc32c(answer.headers))

    def head_headers(self) -> dict[str, str]:
        """Headers that ask for the checksum."""
        return {}

    def put(self, key: str, content: Content, transfer: Transfer | None = None, *, absent: bool = False) -> bool:
        """Store a file; with ``absent``, only if there is none: whether it was stored.

        Raises what ``transport.send`` raises, StoreNotFoundError if there is no such bucket, DamageError if the file
        cannot be read.
        """
        if content.size > self.LARGEST:
            raise RemoteError(
                f"{self.root / key} would have {counted(content.size, 'byte')}; this service takes {self.LARGEST:,} at "
                "most, so split the store"
            )
        headers = self.put_headers(content.measure("md5"), absent=absent)
        headers |= {"Content-Length": str(content.size), "Content-Type": "application/octet-stream"}
        body = content.body(transfer=transfer)
        accept = SUCCESS | (TAKEN if absent else set())
        try:
            return self.send("PUT", key, headers, body, accept=accept).status in SUCCESS
        except StoreNotFoundError as error:
            bucket = f"{self.root.scheme}://{self.root.host}"
            raise StoreNotFoundError(f"{bucket} does not exist: create it, or check the name") from error

    def remove(self, key: str) -> None:
        """Remove a file, if it is there. Raises what ``transport.send`` raises."""
        self.send("DELETE", key, accept=SUCCESS | {202, 404})

    @abstractmethod
    def copy(self, source: str, key: str) -> None:
        """Let the service copy a file, with what it has stated about it, over the one at ``key``, if there is one.

        No bytes pass through this machine. Raises StoreNotFoundError if ``source`` is missing, and what
        ``transport.send`` raises.
        """

    @abstractmethod
    def list_page(self, prefix: str, marker: str) -> Answer:
        """The XML of one page of the names in the bucket that begin with ``prefix``, after a marker if one is given."""

    def keys(self, folder: str) -> Iterator[str]:
        """The keys of the files in a folder and below it. Raises what ``transport.send`` raises."""
        top = self.root.path.strip("/")
        start = f"{top}/" if top else ""
        marker = ""
        while True:
            text: bytes = self.list_page(f"{start}{folder}/", marker).value
            for name in re.findall(rb"<%b>([^<]*)</%b>" % (self.LISTED, self.LISTED), text):
                key = html.unescape(name.decode())
                if key.startswith(f"{start}{folder}/"):
                    yield key.removeprefix(start)
            more = re.search(rb"<%b>([^<]+)</%b>" % (self.NEXT, self.NEXT), text)
            if more is None:
                return
            following = html.unescape(more[1].decode())
            if following == marker:
                raise RemoteError(f"{self.root}: the server sends the same page of its list of files again and again")
            marker = following


def read_small(service: Service, key: str, limit: int) -> bytes | None:
    """A whole small file; None if there is none. Raises RemoteError if it is larger, and as ``Service.read_all``."""
    data = bytearray()

    def take(offset: int, piece: bytes) -> None:
        del data[offset:]
        data.extend(piece)
        if len(data) > limit:
            raise RemoteError(f"{service.root / key} has more than {limit:,} bytes, which no such file of a store has")

    try:
        service.read_all(key, take)
    except StoreNotFoundError:
        return None
    return bytes(data)


def encode_crc32c(checksum: int) -> str:
    """A crc32c as S3 and Google have it: base64 of its four bytes, big-endian."""
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


def decode_crc32c(text: str) -> int | None:
    """The crc32c in a text, or None if it is none: a checksum of checksums has a dash and their number at its end."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return int.from_bytes(data, "big") if len(data) == 4 else None


def list_query(prefix: str, marker: str) -> str:
    """The query of a listing by the second version of S3's protocol, which Google speaks, too."""
    more = f"&continuation-token={quote(marker, safe='')}" if marker else ""
    return f"?list-type=2&prefix={quote(prefix, safe='')}{more}"
