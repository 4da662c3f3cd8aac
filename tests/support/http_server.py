"""A web server of the tests: it serves a folder with ranges, counts requests, and fails on request."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from skelstore.remote.transport import close_connections


@dataclass
class Fault:
    """The next ``times`` requests whose path matches ``pattern`` end as ``kind`` says.

    ``reset``, ``truncate``, ``flip`` (a byte is wrong), ``shift`` (another range), ``hang``, ``whole`` (Range is
    ignored), ``gzip``, ``redirect`` (to ``location``), or a status such as ``429``, with ``headers``.
    """

    pattern: str
    kind: str
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


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
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fault_of(self, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, path):
                    fault.times -= 1
                    return fault
        return None

    def count(self, pattern: str = "") -> int:
        """The number of requests whose path matches."""
        return sum(re.search(pattern, seen.path) is not None for seen in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        served = self.served
        served.seen.append(Seen(self.command, self.path, dict(self.headers)))
        fault = served.fault_of(self.path)
        kind = fault.kind if fault else ""
        if fault and kind == "hang":
            time.sleep(1.0)
            kind = "reset"
        if kind == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if fault and (kind.isdecimal() or kind == "redirect"):
            self._answer(302 if kind == "redirect" else int(kind), b"<Code>Told</Code>", fault.headers)
            return
        path = served.root / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            self._answer(404, b"not here", {})
            return
        self._send(path.read_bytes(), kind)

    def _send(self, data: bytes, kind: str) -> None:
        headers: dict[str, str] = {}
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
        if kind == "flip":
            data = data[:-6] + bytes([data[-6] ^ 1]) + data[-5:]
        if kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        self._answer(status, data, headers, cut=kind == "truncate")

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


class _Server(ThreadingHTTPServer):
    block_on_close = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that went away are part of the tests


@contextmanager
def serving(root: Path) -> Iterator[Served]:
    """Serve a folder at a free port of this machine."""
    server = _Server(("127.0.0.1", 0), _Handler)
    served = Served(root, server.server_address[1])
    server.RequestHandlerClass = type("Handler", (_Handler,), {"served": served})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        close_connections()
        server.shutdown()
        server.server_close()
        thread.join()
