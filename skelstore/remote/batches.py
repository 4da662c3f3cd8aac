"""Many small requests at once: all are sent before the first answer is read, by one thread.

A thread for each costs more than the requests: 85 ranges of 20 KB take 67 ms of CPU time in 64 threads, which take
turns in the interpreter, and 25 ms in one (urllib3 2, Python 3.11). Only open connections are used in this way.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, NamedTuple, cast

from skelstore.remote.connections import CONNECTIONS, connections_to, run_together, start
from skelstore.remote.stopping import Group, hold

# isort: split
import urllib3


class Batched(NamedTuple):
    """A call, and what makes the address and the headers of the GET of a range that it sends first.

    ``first`` is None if it sends none.
    """

    call: Callable[[], None]
    first: Callable[[], tuple[str, Mapping[str, str]]] | None


class _Sent:
    """A GET that was sent on a connection, which was taken from a pool."""

    def __init__(self, address: str, headers: Mapping[str, str], pool: Any, connection: Any) -> None:
        self.identity = address, headers.get("Range")
        self._response: Any = None
        self._error: Exception | None = None
        self._pool = pool
        self._connection = connection

    def wait(self) -> bool:
        """Wait for the head of the answer. Whether it is that of a range, which needs no retry and no redirect."""
        try:
            hold(self._connection.sock)
            self._response = self._connection.getresponse()
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            self._error = self._translate(error)
            return False
        return bool(self._response.status == 206)

    def _translate(self, error: Exception) -> Exception:
        """The error of urllib3 for one of a connection, as its urlopen raises it."""
        if isinstance(error, TimeoutError):
            return cast(Exception, urllib3.exceptions.ReadTimeoutError(self._pool, "", str(error)))
        if isinstance(error, (HTTPException, OSError)):
            return cast(Exception, urllib3.exceptions.ProtocolError(str(error), error))
        return error

    def take(self) -> Any:
        """The response. Raises the error if the connection broke off."""
        if self._error is not None:
            raise self._error
        hold(self._connection.sock)  # this may be another thread than the one that has sent the request
        return self._response

    def end(self) -> None:
        """Give the connection back, once; if the answer was not read to its end, it is closed first."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._response is None or self._response.length_remaining != 0:
                connection.close()
            _give_back(self._pool, connection)


class _Thread(threading.local):
    """What belongs to one thread: the GET that was sent for the call that it makes."""

    sent: _Sent | None = None


_thread = _Thread()


def take_answer(address: str, headers: Mapping[str, str]) -> Any:
    """The response to a GET if it was sent before the call of this thread; None if it has to be sent.

    Raises what a connection raises that broke off.
    """
    sent, _thread.sent = _thread.sent, None
    if sent is None:
        return None
    if sent.identity != (address, headers.get("Range")):
        sent.end()
        return None
    return sent.take()


def run_batch(batch: Sequence[Batched]) -> None:
    """Make one or more calls, with their first requests all at once; wait for all, then raise an error if one did.

    Answers that are not ranges, such as redirects and refusals, are dealt with in threads, and so are calls for which
    no connection is open. After an interrupt they are stopped.
    """
    waiting = deque(batch)
    sent: deque[tuple[Callable[[], None], _Sent]] = deque()
    group, futures, errors = Group(), list[Future[None]](), list[Exception]()
    try:
        _send(waiting, sent)
        if not sent:
            run_together([one.call for one in batch])
            return
        futures += (
            start(waiting.popleft().call, group=group) for _ in range(min(len(waiting), CONNECTIONS - len(sent)))
        )
        while sent:
            call, first = sent[0]
            if first.wait():
                try:
                    _call_after(first, call)
                except Exception as error:
                    errors.append(error)
            else:
                futures.append(start(_call_after, first, call, group=group))
            sent.popleft()
            _send(waiting, sent)
        futures += [start(one.call, group=group) for one in waiting]
        wait(futures)
    except BaseException as error:
        for _, first in sent:
            first.end()
        if not isinstance(error, Exception):
            group.stop(futures)
        wait(futures)
        raise
    for future in futures:
        future.result()
    if errors:
        raise errors[0]


def _send(waiting: deque[Batched], sent: deque[tuple[Callable[[], None], _Sent]]) -> None:
    """Send the first requests of calls that wait, as long as there are open connections that nobody uses."""
    while waiting and waiting[0].first is not None and len(sent) < CONNECTIONS:
        first = _send_one(*waiting[0].first())
        if first is None:
            return
        sent.append((waiting.popleft().call, first))


def _send_one(address: str, headers: Mapping[str, str]) -> _Sent | None:
    manager = connections_to(address)
    if manager.proxy is not None:
        return None
    url = urllib3.util.parse_url(address)
    pool = manager.connection_from_host(url.host, url.port, url.scheme)
    while (connection := _take_open(pool)) is not None:
        sent = _Sent(address, headers, pool, connection)
        try:
            connection.request("GET", url.request_uri, headers=headers, preload_content=False, decode_content=False)
            return sent
        except (urllib3.exceptions.HTTPError, HTTPException, OSError):  # the server has just closed it
            sent.end()
        except BaseException:
            sent.end()
            raise
    return None


def _take_open(pool: Any) -> Any:
    """An open connection that nobody uses; None if the pool has none."""
    unused = []
    try:
        while (connection := pool.pool.get_nowait()) is not None and not connection.is_connected:
            unused.append(connection)
    except (queue.Empty, AttributeError):  # all are used, or the pool was closed
        connection = None
    else:
        if connection is None:
            unused.append(None)
    for closed in unused:
        _give_back(pool, closed)
    return connection


def _give_back(pool: Any, connection: Any) -> None:
    try:
        pool.pool.put_nowait(connection)
    except (queue.Full, AttributeError):  # others have given back more than there were, or the pool was closed
        if connection is not None:
            connection.close()


@contextmanager
def _answered(sent: _Sent) -> Iterator[None]:
    """Let the first request of this thread in the block find its answer."""
    _thread.sent = sent
    try:
        yield
    finally:
        _thread.sent = None
        sent.end()


def _call_after(sent: _Sent, call: Callable[[], None]) -> None:
    with _answered(sent):
        call()
