"""A server of ``skelstore view`` in a thread of the test, and requests to it."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np

import skelstore
from converters.view import serve
from converters.view.media import Folder


class Answer(NamedTuple):
    """Status, headers (names in lower case) and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, which may contain neither NaN nor infinity."""
        return json.loads(self.body.decode("ascii"), parse_constant=_refuse)

    def arrays(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        """The header and the arrays of a binary body, whose offsets are multiples of 8."""
        assert self.status == 200, self.body
        (length,) = struct.unpack_from("<I", self.body)
        header = json.loads(self.body[4 : 4 + length].decode("utf-8"), parse_constant=_refuse)
        start = 4 + length
        assert start % 8 == 0
        arrays, end = {}, 0
        for entry in header["arrays"]:
            assert entry["offset"] % 8 == 0
            assert entry["offset"] >= end
            dtype = np.dtype(entry["dtype"]).newbyteorder("<")
            count = int(np.prod(entry["shape"], dtype=np.int64))
            array = np.frombuffer(self.body, dtype, count, start + entry["offset"])
            arrays[entry["name"]] = array.reshape(entry["shape"])
            end = entry["offset"] + array.nbytes
        assert start + end <= len(self.body) < start + end + 8
        return header, arrays


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


class Client:
    """Requests to a server, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, headers: dict[str, str] | None = None, *, method: str = "GET", **query: Any) -> Answer:
        """The answer to a request; ``query`` are parameters (a list: several times), with ``_`` at the end for words
        of Python."""
        pairs = [(name.rstrip("_"), value) for name, value in query.items()]
        target = f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, target, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        """The answer to the bytes of a request, or the part of it that came before the connection was reset."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            parts = []
            with suppress(OSError):  # "not connected", too, if the server has already closed
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(1 << 16):
                    parts.append(part)
            return b"".join(parts)

    def select(self, store: int = 0, **query: Any) -> Any:
        return self.get(f"/api/stores/{store}/select", **query).json()

    def rows(self, store: int = 0, **query: Any) -> list[int]:
        """The rows of the videos of a selection, in order."""
        made = self.select(store, **query)
        rows: list[int] = []
        while len(rows) < made["videos"]:
            listed = self.get(f"/api/stores/{store}/videos", selection=made["selection"], from_=len(rows)).json()
            rows += [video["row"] for video in listed["videos"]]
        return rows


@contextmanager
def served(
    *paths: Path | str, videos: Path | None = None, host: str = "127.0.0.1", token: str | None = None
) -> Iterator[Client]:
    """Serve stores while the block runs."""
    with ExitStack() as stack:
        stores = [stack.enter_context(skelstore.open(path)) for path in paths]
        folder = None if videos is None else Folder(videos)
        listening = stack.enter_context(serve.listen("127.0.0.1", 0))
        server = serve.make_server(stores, folder, listening, host, token)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Client(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            assert not thread.is_alive()


def write_store(path: Path, annotations: Sequence[dict[Any, Any]], splits: dict[Any, Any] | None = None) -> Path:
    with skelstore.Writer(path, profile="fast") as writer:
        for annotation in annotations:
            writer.add(annotation)
        writer.splits |= splits or {}
    return path
