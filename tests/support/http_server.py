"""A test server: it serves the ranges of files in a folder, counts requests, and fails on demand.

With ``writable`` it is an object store, too: it takes puts and deletes, with the conditions and checksums of S3, Google
and Azure as their documentation has them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import google_crc32c

from skelstore.remote.connections import close_connections


@dataclass
class Fault:
    """The next ``times`` requests whose path matches ``pattern`` end as ``kind`` says.

    ``reset``, ``truncate``, ``flip`` (a byte is wrong), ``shift`` (another range), ``hang``, ``whole`` (Range is
    ignored), ``endless`` (so is it, and the body has no end), ``gzip``, ``redirect`` (to ``location``), or a status
    such as ``429``, with ``headers``. ``lost``: a put is done, but its answer is not sent; ``spoil``: other bytes are
    stored. ``method`` restricts it to one method.
    """

    pattern: str
    kind: str
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    method: str = ""
    body: bytes = b"<Code>Told</Code>"


@dataclass
class Seen:
    """A request: method, path with query, headers."""

    method: str
    path: str
    headers: dict[str, str]


class Served:
    """What a server serves, what it has seen, and how it fails."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.ranges = True
        self.versions = True
        self.writable = False
        self.stated: dict[str, dict[str, str]] = {}
        self.watch: Callable[[Seen], None] | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fault_of(self, path: str, method: str = "GET") -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, path) and fault.method in ("", method):
                    fault.times -= 1
                    return fault
        return None

    def count(self, pattern: str = "", method: str = "") -> int:
        """The number of requests, or of those with one method, whose path matches."""
        return sum(re.search(pattern, seen.path) is not None and method in ("", seen.method) for seen in self.seen)


_COPY_HEADERS = ("x-amz-copy-source", "x-goog-copy-source", "x-ms-copy-source")

PAGE_KEYS = 7
"""Names in one page of a listing."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a small answer may wait for 40 ms
    served: Served

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        served = self.served
        kind = self._begin()
        if kind is None:
            return
        path = served.root / unquote(urlsplit(self.path).path).lstrip("/")
        if "prefix" in parse_qs(urlsplit(self.path).query):
            self._list(path)
            return
        if not path.is_file():
            self._answer(404, b"not here", {})
            return
        self._send(path.read_bytes(), kind)

    def _begin(self) -> str | None:
        """Note the request, and fail if there is a fault for it: None then, else what else is wrong."""
        served = self.served
        seen = Seen(self.command, self.path, dict(self.headers))
        served.seen.append(seen)
        if served.watch is not None:
            served.watch(seen)
        fault = served.fault_of(self.path, self.command)
        kind = fault.kind if fault else ""
        if fault and kind == "hang":
            time.sleep(1.0)
            kind = "reset"
        if kind == "reset":
            self.close_connection = True
            self.connection.close()
            return None
        if fault and (kind.isdecimal() or kind == "redirect"):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(302 if kind == "redirect" else int(kind), fault.body, fault.headers)
            return None
        return kind

    def do_PUT(self) -> None:
        served = self.served
        kind = self._begin()
        if kind is None:
            return
        size = int(self.headers["Content-Length"])
        data = self.rfile.read(size)
        copies = any(name in self.headers for name in _COPY_HEADERS)
        if copies:
            found = self._copied()
            if found is None:
                self._answer(404, b"<Code>NoSuchKey</Code>", {})
                return
            data, size = found, len(found)
        path = served.root / unquote(urlsplit(self.path).path).lstrip("/")
        if not served.writable or len(data) < size:
            self._answer(405 if len(data) == size else 400, b"", {})
        elif self._is_taken(path):
            self._answer(409 if "x-ms-version" in self.headers else 412, b"<Code>PreconditionFailed</Code>", {})
        elif not copies and not _has_digests(data, self.headers):
            self._answer(400, b"<Code>BadDigest</Code>", {})
        else:
            with served.lock:
                if self._is_taken(path):
                    self._answer(412, b"", {})
                    return
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = served.root / f".{secrets.token_hex(8)}"
                temporary.write_bytes(data[:-1] + b"?" if kind == "spoil" else data)
                temporary.rename(path)
                meta = ("x-amz-meta-", "x-ms-meta-", "x-goog-hash", "content-md5")
                stated = {name: value for name, value in self.headers.items() if name.lower().startswith(meta)}
                if copies:
                    stated = served.stated[str(self._copy_source())]
                if kind == "spoil":
                    stated = {"x-goog-hash": "crc32c=AAAAAA=="}
                served.stated[str(path)] = stated
            if kind == "lost":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(201, b"", {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

    def _copied(self) -> bytes | None:
        """The bytes of the file that a put copies; None if it is missing."""
        path = self._copy_source()
        return path.read_bytes() if path.is_file() else None

    def _copy_source(self) -> Path:
        stated = next(self.headers[name] for name in _COPY_HEADERS if name in self.headers)
        return self.served.root / unquote(urlsplit(stated).path).lstrip("/")

    def _list(self, bucket: Path) -> None:
        """One page of the names that begin with a prefix, as S3 and Google, or Azure, send it."""
        query = parse_qs(urlsplit(self.path).query)
        marker = query.get("continuation-token", query.get("marker", [""]))[0]
        keys = sorted(path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file())
        keys = [key for key in keys if key.startswith(query["prefix"][0]) and key > marker]
        names, more = ("Name", "NextMarker") if "comp" in query else ("Key", "NextContinuationToken")
        page = "".join(f"<{names}>{escape(key)}</{names}>" for key in keys[:PAGE_KEYS])
        rest = f"<{more}>{escape(keys[PAGE_KEYS - 1])}</{more}>" if len(keys) > PAGE_KEYS else f"<{more} />"
        self._answer(200, f"<Listed>{page}{rest}</Listed>".encode(), {})

    def do_DELETE(self) -> None:
        kind = self._begin()
        if kind is None:
            return
        path = self.served.root / unquote(urlsplit(self.path).path).lstrip("/")
        there = path.is_file()
        path.unlink(missing_ok=True)
        self._answer(204 if there else 404, b"", {})

    def _is_taken(self, path: Path) -> bool:
        """Whether the condition of a put is not met."""
        absent = self.headers.get("If-None-Match") == "*" or self.headers.get("x-goog-if-generation-match") == "0"
        return absent and path.exists()

    def _send(self, data: bytes, kind: str) -> None:
        path = self.served.root / unquote(urlsplit(self.path).path).lstrip("/")
        headers = dict(self.served.stated.get(str(path), {}))
        if self.served.versions:
            headers["ETag"] = f'"{hashlib.md5(data).hexdigest()}"'
        status, start = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted and self.served.ranges and kind != "whole":
            start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            if kind == "shift":
                start, stop = start + 1, min(stop + 1, len(data))
            if start >= len(data):
                self._answer(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            status, data = 206, data[start:stop]
        if kind == "endless":
            self._send_endless()
            return
        if kind == "flip":
            data = data[:-6] + bytes([data[-6] ^ 1]) + data[-5:]
        if kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        self._answer(status, data, headers, cut=kind == "truncate")

    def _send_endless(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        while True:  # until the client ends the connection
            self.wfile.write(bytes(1 << 16))

    def _answer(self, status: int, data: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()


def _has_digests(data: bytes, headers: Any) -> bool:
    """Whether the bytes of a put have the checksums that are sent with it."""
    crc = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    google = dict(part.partition("=")[::2] for part in headers.get("x-goog-hash", "").split(",") if part)
    stated = [(headers.get("x-amz-checksum-crc32c"), crc), (headers.get("Content-MD5"), md5)]
    stated += [(google.get("crc32c"), crc), (google.get("md5"), md5)]
    return any(one for one, _ in stated) and all(one in (None, actual) for one, actual in stated)


class Server(ThreadingHTTPServer):
    block_on_close = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that went away are part of the tests


@contextmanager
def serving(root: Path) -> Iterator[Served]:
    """Serve a folder at a free port of this machine."""
    server = Server(("127.0.0.1", 0), Handler)
    served = Served(root, server.server_address[1])
    server.RequestHandlerClass = type("Serving", (Handler,), {"served": served})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        close_connections()
        server.shutdown()
        server.server_close()
        thread.join()
