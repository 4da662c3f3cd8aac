"""Requests that are sent before the calls that they belong to: every call gets its own bytes, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore.errors import RemoteError, StoreNotFoundError

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from skelstore.remote import batches, connections, retries, transport
from skelstore.remote.batches import Batched, run_batch
from skelstore.remote.service import Service
from skelstore.remote.services import service_of
from skelstore.remote.url import parse_url
from tests.support.http_server import Fault, Served, serving
from tests.support.leaks import open_files

DATA = random.Random(0).randbytes(40_000)
Ranges = list[tuple[int, int]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "file").write_bytes(DATA)
    return folder


@pytest.fixture
def server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(transport, "READ_SECONDS", 0.3)
    with serving(root) as served:
        yield served


def web(server: Served) -> Service:
    return service_of(parse_url(server.url))


def connect(service: Service, count: int) -> None:
    """Let this number of connections be open, which nobody uses."""
    barrier = threading.Barrier(count)

    def hold(response: Any) -> None:
        barrier.wait(10)
        response.read()  # which gives the connection back

    connections.run_together([partial(service.get, "file", {}, hold, frozenset((200,)))] * count)


def fetch(service: Service, ranges: Ranges, key: str = "file") -> list[bytes]:
    """The bytes of each range, all in one batch."""
    found = [b""] * len(ranges)

    def read(place: int, start: int, stop: int) -> None:
        data = service.read_range(key, start, stop, lambda *_: None).data
        assert data is not None
        found[place] = data

    run_batch(
        [
            Batched(partial(read, place, *span), partial(service.first_request, key, *span))
            for place, span in enumerate(ranges)
        ]
    )
    return found


SPANS = [(place * 1000, place * 1000 + 700) for place in range(20)]
BYTES = [DATA[start:stop] for start, stop in SPANS]


@given(
    ranges=st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 9000)), min_size=1, max_size=12),
    opened=st.integers(1, 5),
    most=st.integers(1, 5),
)
@settings(max_examples=40)
def test_every_call_gets_its_bytes(root: Path, ranges: Ranges, opened: int, most: int) -> None:
    """Each range is requested once, with more or fewer connections than calls."""
    spans = [(start, start + count) for start, count in ranges]
    with serving(root) as server, pytest.MonkeyPatch.context() as patch:
        service = web(server)
        connect(service, opened)
        patch.setattr(batches, "CONNECTIONS", most)
        server.seen.clear()
        assert fetch(service, spans) == [DATA[start:stop] for start, stop in spans]
        requested = Counter(seen.headers["Range"] for seen in server.seen)
        assert requested == Counter(f"bytes={start}-{stop - 1}" for start, stop in spans)


def test_all_are_sent_before_the_first_is_answered(server: Served) -> None:
    """By the thread of the caller alone, on the connections that are open."""
    service = web(server)
    connect(service, len(SPANS))
    together = threading.Barrier(len(SPANS))
    server.watch = lambda _: together.wait(5) and None
    threads: set[int] = set()
    before = open_files()
    run_batch(
        [
            Batched(
                lambda span=span: threads.add(  # type: ignore[misc]
                    (service.read_range("file", *span, lambda *_: None), threading.get_ident())[1]
                ),
                partial(service.first_request, "file", *span),
            )
            for span in SPANS
        ]
    )
    assert threads == {threading.get_ident()}
    assert open_files() == before


@pytest.mark.parametrize("kind", ["reset", "truncate", "hang", "429", "503", "500", "redirect"])
@pytest.mark.parametrize("times", [1, 7])
def test_faults_that_pass_are_survived(server: Served, kind: str, times: int) -> None:
    """Without a request more than a call that is alone sends."""
    service = web(server)
    connect(service, len(SPANS))
    server.seen.clear()
    server.faults.append(Fault("file", kind, times, {"Location": "/file"}))
    assert fetch(service, SPANS) == BYTES
    assert server.count() == len(SPANS) + times
    assert fetch(service, SPANS) == BYTES


def test_the_time_to_come_back_is_heeded_by_all_at_once(server: Served) -> None:
    service = web(server)
    connect(service, 8)
    server.faults.append(Fault("file", "429", 8, {"Retry-After": "1"}))
    begin = time.monotonic()
    assert fetch(service, SPANS[:8]) == BYTES[:8]
    assert 1 <= time.monotonic() - begin < 3


def test_a_server_without_ranges(server: Served) -> None:
    """It sends the whole file to each call."""
    service = web(server)
    connect(service, 4)
    server.ranges = False
    whole: list[bytes] = []

    def read(start: int) -> None:
        data = bytearray()
        assert service.read_range("file", start, start + 9, lambda _, piece: data.extend(piece)).data is None
        whole.append(bytes(data))

    for first in (True, False):  # before that is known, and after
        whole.clear()
        requests = server.count()
        run_batch(
            [
                Batched(partial(read, i), partial(service.first_request, "file", i, i + 9) if first else None)
                for i in range(6)
            ]
        )
        assert whole == [DATA] * 6
        assert server.count() == requests + 6


def test_an_error_waits_for_the_others(server: Served) -> None:
    """The calls that come after it are made; of two errors one is raised."""
    service = web(server)
    connect(service, 4)
    done: list[int] = []

    def call(place: int) -> None:
        if place in (0, 3):
            raise RemoteError("told")
        service.read_range("file", *SPANS[place], lambda *_: None)
        done.append(place)

    for count in (3, 9):
        done.clear()
        first = partial(service.first_request, "file")
        with pytest.raises(RemoteError, match="told"):
            run_batch([Batched(partial(call, i), partial(first, *SPANS[i])) for i in range(count)])
        assert sorted(done) == [i for i in range(count) if i not in (0, 3)]
    assert fetch(service, SPANS) == BYTES


def test_a_file_that_is_missing(server: Served) -> None:
    service = web(server)
    connect(service, 4)
    with pytest.raises(StoreNotFoundError, match="gone does not exist"):
        fetch(service, SPANS, "gone")


@pytest.mark.parametrize("other", [(1000, 1700), None])
def test_an_answer_is_of_the_request_of_the_call(server: Served, other: tuple[int, int] | None) -> None:
    """A call whose first request is another one sends that itself; one that sends none leaves nothing behind."""
    service = web(server)
    connect(service, 2)
    found: list[bytes | None] = []

    def call() -> None:
        if other is not None:
            found.append(service.read_range("file", *other, lambda *_: None).data)

    run_batch([Batched(call, partial(service.first_request, "file", 0, 700))] * 2)
    assert found == ([] if other is None else [DATA[slice(*other)]] * 2)
    assert fetch(service, SPANS) == BYTES


def test_connections_that_the_server_has_closed(server: Served) -> None:
    service = web(server)
    connect(service, 6)
    pool = connections.connections_to(server.url).connection_from_url(server.url)
    for connection in [one for one in pool.pool.queue if one is not None][:3]:
        connection.sock.shutdown(2)
    assert fetch(service, SPANS) == BYTES


def test_an_interrupt_ends_a_batch_at_once(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not answer; what was sent is given up, and later requests use other connections."""
    monkeypatch.setattr(transport, "READ_SECONDS", 30)
    service = web(server)
    connect(service, 4)
    asked, go_on = threading.Event(), threading.Event()

    def stall(_: Any) -> None:
        asked.set()
        go_on.wait(10)

    server.watch = stall

    def interrupt() -> None:
        asked.wait(10)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(service, SPANS)
    taken = time.monotonic() - begin
    thread.join()
    go_on.set()
    server.watch = None
    assert taken < 3
    assert fetch(service, SPANS) == BYTES


def test_a_proxy_is_asked_by_threads(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is its own proxy."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    service = service_of(parse_url("http://skelstore.invalid"))
    calls: list[Callable[[], None]] = []
    monkeypatch.setattr(batches, "run_together", lambda given: (calls.extend(given), [call() for call in given]))
    assert fetch(service, SPANS[:3]) == BYTES[:3]
    assert len(calls) == 3
    connections.close_connections()
