"""memcached on the loopback interface with pymemcache's ``pickle_serde``, as PYSKL serves Kinetics-400 in training.

Server and client are pinned to one core, if the system can do that (Linux). This is the better case for memcached: the
client waits while the server works, and waking up another core takes longer than changing the process on the same one.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from converters.bench.data import Annotation, DataSet
from converters.bench.peers import Peer, UnsuitedError
from converters.bench.timing import Spent

START_SECONDS = 10
_KEY = re.compile(r"[!-~]{1,250}")


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this thread, and processes that it starts, to the first core that it may use."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Server:
    """A memcached process on a free port, with room for ``capacity`` bytes."""

    def __init__(self, capacity: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        command = ["memcached", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        # memcached refuses items above -I; 32 MB is more than the largest video.
        command += ["-I", "32m", "-m", str(capacity // 1_000_000 + 64)]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command += ["-u", "root"]  # memcached runs as root only with this option
        with one_core():
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"memcached did not answer on port {self.port}") from None
                time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Memcached(Peer):
    """The whole annotation with one ``get``; what PYSKL copies and joins afterwards is not timed here."""

    name = "memcached"
    modules = ("pymemcache",)
    program = "memcached"
    install = "pip install pymemcache, and memcached from the system's packages (apt install memcached)"

    def __init__(self, keys: tuple[str, ...] | None = None) -> None:
        """Serve these keys of each annotation, or all keys if None."""
        self._keys = keys

    def build(self, data: DataSet, folder: Path) -> None:
        if refused := next((name for name in data.names if not _KEY.fullmatch(name)), None):
            raise UnsuitedError(f"its keys are up to 250 ASCII characters without spaces; a video is named {refused!r}")
        # Room for twice the data: slabs waste up to half of it, and an evicted video would be missing.
        self._server = Server(2 * data.pickle.stat().st_size)
        self._client: Any = None
        try:
            client = self._connect()
            for name, annotation in zip(data.names, data.loaded, strict=True):
                value = annotation if self._keys is None else {key: annotation[key] for key in self._keys}
                client.set(name, value, noreply=False)
            evicted = client.stats()[b"evictions"]
            client.close()
            if evicted:
                raise RuntimeError(f"memcached dropped {evicted} videos: it had too little room")
        except BaseException:
            self._server.stop()
            raise

    def open(self) -> None:
        self._client = self._connect()

    def get(self, name: str) -> Annotation:
        annotation: Annotation = self._client.get(name)
        return annotation

    def timed(self, names: Sequence[str]) -> Spent:
        with one_core():
            return super().timed(names)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._server.stop()

    def _connect(self) -> Any:
        from pymemcache import serde
        from pymemcache.client.base import Client

        return Client(("127.0.0.1", self._server.port), serde=serde.pickle_serde)
