"""What an object store of any kind offers: signed requests for the files below a URL, and ranges of their bytes."""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from skelstore.errors import RemoteError
from skelstore.remote.transport import SUCCESS, Answer, Request, TruncatedError, complete_headers, discard, drop, send
from skelstore.remote.url import Url
from skelstore.wording import escape

Sink = Callable[[int, bytes], None]
"""Takes pieces of a file: the offset and the bytes. A request that is repeated sends the same pieces again."""

_PIECE_BYTES = 256 << 10

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class Part(NamedTuple):
    """Bytes of a file: ``data`` from the requested offset on, or None if the server sent the whole file to the sink.

    ``total`` is the size of the file. ``version`` changes when the file does (ETag or Last-Modified); it is empty if
    the server states neither.
    """

    data: bytes | None
    total: int
    version: str


class Glance(NamedTuple):
    """The beginning of a file, and what the server says about it.

    ``total`` is the size of the file, None if the server does not state it; ``version`` is that of ``Part``.
    ``ranges``: the server sends parts of files. ``encoding``: how the server compresses the file on the way, although
    it was asked not to; ``head`` is decompressed then, empty if that fails. Empty if it does not.
    """

    head: bytes
    total: int | None
    version: str
    ranges: bool
    content_type: str
    encoding: str


class Service(ABC):
    """The files below the URL of a store, by key (``keypoint/c.0.0.0``); an empty key is the URL itself."""

    def __init__(self, root: Url) -> None:
        self.root = root

    @property
    @abstractmethod
    def origin(self) -> str:
        """Who is in charge of the files: the address of the folder of the store. Only its stores share a cache."""

    @abstractmethod
    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        """A request, with what the service needs to allow it (signature, token)."""

    def ask(
        self,
        request: Callable[[], Request],
        consume: Callable[[Any], Any] | None = None,
        *,
        accept: frozenset[int] = SUCCESS,
    ) -> Answer:
        """``transport.send``, to this service."""
        return send(request, consume, accept=accept)

    def send(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        accept: frozenset[int] = SUCCESS,
    ) -> Answer:
        """Send a request for a file and read the answer. Raises what ``transport.send`` raises."""
        return self.ask(lambda: self.request(method, key, headers or {}, body), accept=accept)

    def get(
        self,
        key: str,
        headers: Mapping[str, str],
        consume: Callable[[Any], Any],
        accept: frozenset[int],
        before: Callable[[], None] = lambda: None,
    ) -> Any:
        """What ``consume`` makes of the answer to a GET; ``before`` is called before each attempt.

        Raises what ``transport.send`` raises, and what the two raise.
        """

        def request() -> Request:
            before()
            return self.request("GET", key, headers)

        return self.ask(request, consume, accept=accept).value

    def read_range(
        self,
        key: str,
        start: int,
        stop: int,
        sink: Sink,
        *,
        fresh: bool = False,
        seen: Callable[[int], None] | None = None,
    ) -> Part:
        """The bytes ``start`` to ``stop`` of a file, or all of its bytes to ``sink`` if the server ignores ranges.

        ``fresh``: caches between here and the server shall not answer. ``seen`` is called with the number of bytes that
        this attempt has received, first with 0 before it; an error that it raises ends the request.
        If the file ends before ``stop``, there are fewer bytes. Raises RemoteError if the server sends another range,
        and what ``transport.send`` raises.
        """
        headers = _range_headers(start, stop)
        if fresh:
            headers |= {"Cache-Control": "no-cache", "Pragma": "no-cache"}

        def consume(response: Any) -> Part:
            self.refuse_encoded(key, _encoding(response))
            if response.status == 206:
                return self._partial(response, key, start, stop, seen)
            return _stream(response, sink) if response.status == 200 else _beyond(response)

        before = (lambda: None) if seen is None else partial(seen, 0)
        part: Part = self.get(key, headers, consume, frozenset((200, 206, 416)), before)
        return part

    def first_request(self, key: str, start: int, stop: int) -> tuple[str, Mapping[str, str]]:
        """The address and the headers of what ``read_range`` sends first, for ``run_batch``."""
        request = self.request("GET", key, _range_headers(start, stop))
        return request.address, complete_headers(request)

    def read_all(self, key: str, sink: Sink) -> Part:
        """All bytes of a file, to ``sink``. Raises what ``transport.send`` raises."""

        def consume(response: Any) -> Part:
            self.refuse_encoded(key, _encoding(response))
            return _stream(response, sink)

        part: Part = self.get(key, {}, consume, frozenset((200,)))
        return part

    def glance(self, key: str, count: int, known: str = "") -> Glance | None:
        """The first ``count`` bytes of a file; None if the server says that its ETag is still ``known``.

        A date is never asked for: a server does not send a file that was replaced by an older one (If-Modified-Since).
        Raises as ``read_range`` does.
        """
        headers = {"Range": f"bytes=0-{count - 1}"}
        if known.startswith(('"', 'W/"')):
            headers["If-None-Match"] = known

        def consume(response: Any) -> Glance | None:
            if response.status == 304:
                discard(response)
                return None
            kind, encoding = response.headers.get("Content-Type", ""), _encoding(response)
            if response.status == 200 or encoding:
                head = response.read(count)
                drop(response)  # the rest is not wanted
                stated = response.headers.get("Content-Length", "")
                total = int(stated) if stated.isdecimal() and len(stated) < 19 else None
                head = _decompress(head, count) if encoding else head
                return Glance(head, total, _version(response.headers), False, kind, encoding)
            part = self._partial(response, key, 0, count) if response.status == 206 else _beyond(response)
            return Glance(part.data or b"", part.total, part.version, True, kind, "")

        found: Glance | None = self.get(key, headers, consume, frozenset((200, 206, 304, 416)))
        return found

    def refuse_encoded(self, key: str, encoding: str) -> None:
        """Raise RemoteError if a file is compressed on the way."""
        if encoding:
            raise RemoteError(
                f"{self.root / key}: the server sends it compressed ({escape(encoding)}), so its bytes cannot be "
                "addressed: turn compression off for this file on the server"
            )

    def _partial(
        self, response: Any, key: str, start: int, stop: int, seen: Callable[[int], None] | None = None
    ) -> Part:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or match[3] == "*":
            raise RemoteError(f"{self.root / key}: the server sent a part without saying which (no Content-Range)")
        first, last, total = map(int, match.groups())
        if first != start or last != min(stop, total) - 1:
            raise RemoteError(
                f"{self.root / key}: the server sent the bytes {first} to {last}; expected {start} to {stop - 1}"
            )
        data = response.read(last - first + 2) if seen is None else _read_watched(response, last - first + 2, seen)
        if len(data) != last - first + 1:
            raise TruncatedError(f"the answer was cut short ({len(data)} of {last - first + 1} bytes)")
        response.release_conn()
        return Part(data, total, _version(response.headers))


def _range_headers(start: int, stop: int) -> dict[str, str]:
    return {"Range": f"bytes={start}-{stop - 1}"}


def _read_watched(response: Any, most: int, seen: Callable[[int], None]) -> bytes:
    """At most ``most`` bytes of a body; ``seen`` is called with their number after each piece."""
    data = bytearray()
    while len(data) < most and (piece := response.read(min(_PIECE_BYTES, most - len(data)))):
        data += piece
        seen(len(data))
    return bytes(data)


def _stream(response: Any, sink: Sink) -> Part:
    offset = 0
    for piece in response.stream(_PIECE_BYTES):
        sink(offset, piece)
        offset += len(piece)
    stated = response.headers.get("Content-Length")
    if stated is not None and stated.isdecimal() and int(stated) != offset:
        raise TruncatedError(f"the answer was cut short ({offset} of {stated} bytes)")
    response.release_conn()
    return Part(None, offset, _version(response.headers))


def _beyond(response: Any) -> Part:
    """No bytes, since the file ends before the range begins (416)."""
    discard(response)
    total = response.headers.get("Content-Range", "").removeprefix("bytes */")
    return Part(b"", int(total) if total.isdecimal() and len(total) < 19 else 0, _version(response.headers))


def _encoding(response: Any) -> str:
    """How the body of an answer is compressed; empty if it is not."""
    encoding = str(response.headers.get("Content-Encoding", "")).lower()[:20]
    return "" if encoding in ("identity", "aws-chunked") else encoding


def _decompress(head: bytes, count: int) -> bytes:
    """The first bytes of a body that is compressed by gzip or zlib; none for another compression."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, count)
    except zlib.error:
        return b""


def _version(headers: Mapping[str, str]) -> str:
    """What identifies the content of a file: its ETag, else the time of its last change."""
    return str(headers.get("ETag") or headers.get("Last-Modified") or "")[:240]
