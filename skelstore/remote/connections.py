"""Connections and threads of this process, and calls that run in these threads.

``urllib3`` is used, since it works in a child that was forked after its parent has read (``docs/design.md`` compares
clients). Connections belong to a process: a forked child makes its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from skelstore.errors import MissingPackageError
from skelstore.remote.stopping import Group, call_in, hold

try:
    import urllib3
except ImportError as error:
    raise MissingPackageError(
        f"stores and sources at a URL need urllib3, which cannot be imported ({error}): pip install 'skelstore[remote]'"
    ) from error

T = TypeVar("T")

CONNECTIONS = 64
"""Maximum number of requests of a process at the same time: those of a batch of 32 videos with two arrays each."""


class _Stoppable:
    """A connection whose socket is known to the group of the thread that uses it."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        hold(self.sock)  # type: ignore[attr-defined]

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:  # type: ignore[attr-defined]
            hold(self.sock)  # type: ignore[attr-defined]
        super().request(*arguments, **options)  # type: ignore[misc]


class _HttpConnection(_Stoppable, urllib3.HTTPConnectionPool.ConnectionCls):  # type: ignore[misc]
    pass


class _HttpsConnection(_Stoppable, urllib3.HTTPSConnectionPool.ConnectionCls):  # type: ignore[misc]
    pass


class _HttpPool(urllib3.HTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _HttpsConnection


class _Process:
    """What belongs to one process: its connections and threads."""

    def __init__(self) -> None:
        self.id = os.getpid()
        self.lock = threading.Lock()
        self.pools: dict[str | None, Any] = {}
        self.pool_of: dict[tuple[str, str], Any] = {}
        self.threads: ThreadPoolExecutor | None = None

    def pool(self, address: str) -> Any:
        """The connections for an address, through the proxy that the environment named for its host at first, if any.

        The environment is not looked at for each request, which would take a quarter of its time.
        """
        parts = urlsplit(address)
        place = parts.scheme, parts.hostname or ""
        with self.lock:
            if place not in self.pool_of:
                self.pool_of[place] = self._pool_by(_proxy_for(*place))
            return self.pool_of[place]

    def _pool_by(self, proxy: str | None) -> Any:
        if proxy not in self.pools:
            # Threads of the caller, such as those that fetch ahead, have connections beside those of this module.
            options: dict[str, Any] = {"maxsize": 2 * CONNECTIONS, "num_pools": 50}
            bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
            if bundle:
                options["ca_certs"] = bundle
            manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
            self.pools[proxy] = manager
        return self.pools[proxy]

    def executor(self) -> ThreadPoolExecutor:
        with self.lock:
            if self.threads is None:
                self.threads = ThreadPoolExecutor(CONNECTIONS, "skelstore-remote")
            return self.threads


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for a host, if any."""
    proxy = getproxies().get(scheme)
    return None if not proxy or proxy_bypass(host) else proxy


_process = _Process()


def _this_process() -> _Process:
    """Connections and threads of this process: those of a parent are left alone, neither used nor closed."""
    global _process
    if _process.id != os.getpid():
        _process = _Process()
    return _process


def connections_to(address: str) -> Any:
    """The connections of this process to the server of an address: an urllib3.PoolManager."""
    return _this_process().pool(address)


def close_connections() -> None:
    """Close the connections of this process that no request uses, and end its idle threads; both are made again.

    Requests in those threads end first: one that has not begun yet would open a connection after all were closed.
    """
    process = _this_process()
    with process.lock:
        threads, process.threads = process.threads, None
    if threads is not None:
        threads.shutdown()
    with process.lock:
        pools, process.pools = process.pools, {}
        process.pool_of = {}
    for pool in pools.values():
        pool.clear()


def start(function: Callable[..., T], *arguments: Any, group: Group | None = None) -> Future[T]:
    """Call a function in a thread of this process; its requests belong to ``group``."""
    return _this_process().executor().submit(call_in, group, function, *arguments)


def run_together(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Call one or more functions at once, the last one in this thread; wait for all, then raise an error if one did.

    After an interrupt they are stopped.
    """
    *others, last = calls
    group = Group()
    futures: list[Future[T]] = []
    try:
        futures += (start(call, group=group) for call in others)
        final = last()
        wait(futures)
    except BaseException as error:
        if not isinstance(error, Exception):
            group.stop(futures)
        wait(futures)
        raise
    return [*(future.result() for future in futures), final]
