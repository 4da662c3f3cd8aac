"""nginx with a log of what was requested: the server of the benchmarks of stores at a URL."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"(\S+) (\S+) (\S+) (\S+) \d+ (\d+) (?:bytes=(\d+)-\d+|\S+) (.*)")
_SETTLED = 0.05
"""Seconds until an answer that the client has is in the log."""


class Logged(NamedTuple):
    """A request: bytes ``start`` to ``stop`` of the file at a path were sent; ``client`` names itself.

    It ``arrived`` at these seconds since 1970.
    """

    method: str
    path: str
    start: int
    stop: int
    client: str
    arrived: float


class Served:
    """A folder that nginx serves at a port, and what was requested."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self._read = 0

    def requests(self) -> list[Logged]:
        """What was requested since the last call."""
        time.sleep(_SETTLED)
        with open(self._log) as file:
            file.seek(self._read)
            lines = file.readlines()
            self._read = file.tell()
        found = []
        for line in lines:
            match = _LINE.match(line)
            assert match is not None, line
            ended, taken, method, path, sent, first, client = match.groups()
            start = int(first or 0)
            found.append(Logged(method, path, start, start + int(sent), client, float(ended) - float(taken)))
        return found


def sent_bytes(requests: Iterable[Logged]) -> int:
    """The bytes of all answers, without headers."""
    return sum(request.stop - request.start for request in requests)


def sent_twice(requests: Iterable[Logged]) -> int:
    """The bytes that were sent although an earlier answer had them."""
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for request in requests:
        ranges[request.path].append((request.start, request.stop))
    twice = 0
    for of_file in ranges.values():
        end = 0
        for start, stop in sorted(of_file):
            twice += max(min(stop, end) - start, 0)
            end = max(end, stop)
    return twice


def program() -> str | None:
    """The path of nginx, which may be outside of PATH; None if it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(root: Path, work: Path) -> Iterator[Served]:
    """Serve a folder by nginx, whose own files are in ``work``. Connections stay open."""
    nginx = program()
    assert nginx is not None
    work.mkdir(parents=True, exist_ok=True)
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {work}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""  # else it may not read folders of mode 0700
    log = work / "requests"
    log.touch()
    (work / "nginx.conf").write_text(
        f"{user} daemon off; pid {work}/pid; error_log {work}/log; worker_processes 1; events {{ }}\n"
        f"http {{ {paths} sendfile on; keepalive_requests 1000000;\n"
        'log_format requests "$msec $request_time $request_method $uri $status $body_bytes_sent $http_range '
        '$http_user_agent";\n'
        f"access_log {work}/requests requests; server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    with subprocess.Popen([nginx, "-c", str(work / "nginx.conf"), "-e", str(work / "log")]) as server:
        try:
            _wait_for(port)
            served = Served(port, log)
            yield served
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nginx does not start")
