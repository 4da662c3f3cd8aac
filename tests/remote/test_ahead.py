"""What is fetched ahead of a training: the windows of its order, within a budget, each byte once, in any process."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters.samples.pickles import iter_kinetics_like, ntu_like
from skelstore.errors import DamageError, RemoteAccessError
from skelstore.read.store import reading_in_turn, table_rows
from skelstore.sampling import EpochSampler
from skelstore.train.selection import shard_numbers
from skelstore.write import parts
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from skelstore.read import ahead as fetching_ahead
from skelstore.read import gathering
from skelstore.read.ahead import FetchAhead, plan_stretches
from skelstore.remote import batches, files, retries
from tests.support.ahead import Videos, lanes
from tests.support.http_server import Fault, Served, serving

VIDEOS = 96
CHUNKS = r"/c\."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_VIDEOS", 16)
        with skelstore.Writer(folder / "s.zarr") as writer:
            for annotation in ntu_like(VIDEOS)["annotations"]:
                writer.add(annotation)
        with skelstore.Writer(folder / "k.zarr") as writer:
            for entry, keypoint in iter_kinetics_like(20, 3):
                writer.add({**entry, "keypoint": keypoint})
    return folder


@pytest.fixture
def server(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(fetching_ahead, "STRETCH_BYTES", 200_000)
    with serving(made) as served:
        yield served


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


def ranges(server: Served) -> list[tuple[str, int, int]]:
    """The requests for bytes of shards, ascending: path, first byte, last byte + 1."""
    found = []
    for seen in server.seen:
        if re.search(CHUNKS, seen.path):
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", seen.headers["Range"])
            assert match is not None
            found.append((seen.path, int(match[1]), int(match[2]) + 1))
    return sorted(found)


def assert_once(server: Served) -> None:
    for (path, _, stop), (other, start, _) in itertools.pairwise(ranges(server)):
        assert path != other or stop <= start


@contextmanager
def values(**changed: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setattr(files if name == "AHEAD_BYTES" else fetching_ahead, name, value)
        yield


# --- what is fetched ----------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=10)
def test_any_order_and_budget_reads_the_same_and_requests_each_byte_once(
    made: Path, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    local = skelstore.open(made / "s.zarr")
    order = np.array(data.draw(st.permutations(range(VIDEOS)))[: data.draw(st.integers(1, VIDEOS))])
    starts = [0, *sorted(data.draw(st.sets(st.integers(1, len(order)), max_size=4)))]
    sizes = {"AHEAD_BYTES": data.draw(st.integers(0, 600_000)), "STRETCH_BYTES": data.draw(st.integers(1, 200_000))}
    batch = data.draw(st.integers(1, 9))
    with serving(made) as server, values(LANES=data.draw(st.integers(1, 5)), **sizes):
        store = skelstore.open(f"{server.url}/s.zarr", cache=tmp_path_factory.mktemp("cache"))
        ahead = FetchAhead([table_rows(store)], order, starts)
        for begin in range(0, len(order), batch):
            positions = order[begin : begin + batch].tolist()
            for _ in positions:
                ahead.take()
            assert_exact(store.read(positions), local.read(positions))
        ahead.stop()
        wait_until(lambda: not lanes())
        assert_once(server)


@given(data=st.data())
@settings(max_examples=60)
def test_stretches_are_the_order(made: Path, data: Any) -> None:
    """Against a slow plan: each video once, in the window that it is in, with the place at which it is read."""
    store = skelstore.open(made / "s.zarr")
    view = store.at(data.draw(st.permutations(range(VIDEOS)))[:40])
    order = np.array(data.draw(st.lists(st.integers(0, 79), max_size=100)), np.int64)  # twice the same view
    starts = [0, *sorted(data.draw(st.sets(st.integers(0, 100), max_size=5)))]
    starts = [start for start in starts if start <= len(order)]
    reader, rows = table_rows(view)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader.files, "ahead_bytes", lambda: 1)
        patch.setattr(fetching_ahead, "STRETCH_BYTES", data.draw(st.integers(1, 100_000)))
        planned = list(plan_stretches([(reader, rows), (reader, rows)], order, starts))
    places = np.concatenate([np.zeros(0, int), *(stretch.places for stretch in planned)]).tolist()
    assert sorted(places) == list(range(len(order)))
    windows = [sum(start <= place for start in starts) for place in places]
    assert windows == sorted(windows)
    for stretch in planned:
        assert (np.diff(stretch.rows) >= 0).all()
        assert sorted(rows[order[stretch.places] % 40]) == stretch.rows.tolist()
        assert (np.diff(stretch.places) > 0).all()
        assert_exact(stretch.sizes, reader.gatherer.sizes(rows[order[stretch.places] % 40].tolist()))


@given(data=st.data())
@settings(max_examples=30)
def test_what_is_lacking(made: Path, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Against a look at each chunk of each video, and nothing else is planned."""
    with serving(made) as server:
        store = skelstore.open(f"{server.url}/s.zarr", cache=tmp_path_factory.mktemp("cache"))
        for position in data.draw(st.sets(st.integers(0, VIDEOS - 1), max_size=20)):
            store[position]
        reader, rows = table_rows(store)
        asked = np.array(data.draw(st.lists(st.integers(0, VIDEOS - 1), max_size=30)), np.int64)
        lacking = [not _is_there(reader, row) for row in asked.tolist()]
        assert reader.gatherer.lacking(asked).tolist() == lacking
        planned = [row for stretch in plan_stretches([(reader, rows)], asked, [0]) for row in stretch.rows.tolist()]
        assert sorted(planned) == sorted(asked[lacking].tolist())


def test_windows_are_there_before_they_are_read(made: Path, server: Served) -> None:
    """The workers request nothing, and each shard is requested by few requests."""
    videos = Videos(skelstore.open(f"{server.url}/s.zarr"))
    sampler = EpochSampler(videos, seed=3, window=2)
    expected = list(EpochSampler(Videos(skelstore.open(made / "s.zarr")), seed=3, window=2))
    iterator = iter(sampler)
    first = next(iterator)
    wait_until(lambda: not lanes())
    requests = server.count()
    assert_once(server)
    assert server.count(CHUNKS) < VIDEOS
    local = skelstore.open(made / "s.zarr")
    for position in [first, *iterator]:
        assert_exact(videos[position], local[position])
    assert server.count() == requests
    assert list(sampler) == expected
    wait_until(lambda: not lanes())
    assert server.count() == requests  # the second epoch is in the cache


def test_the_budget_bounds_what_is_fetched(server: Served) -> None:
    """It is used, kept, and free again when videos have been taken."""
    store = skelstore.open(f"{server.url}/s.zarr")
    reader, rows = table_rows(store)
    sizes = reader.gatherer.sizes(rows.tolist())
    budget = int(sizes[:16].sum())
    with values(AHEAD_BYTES=budget, STRETCH_BYTES=int(sizes[:3].sum())):
        iterator = iter(EpochSampler(Videos(store), shuffle=False))
        for position in iterator:
            if position in (0, 20, 50):
                wait_until(lambda place=position: all(_is_there(reader, place + i) for i in range(1, 7)))
                time.sleep(0.05)
                there = [row for row in range(position + 1, VIDEOS) if _is_there(reader, row)]
                assert sizes[there].sum() <= budget + sizes[:6].sum()  # chunks are shared with videos beside them
            if position == 50:
                break
        assert lanes()
        del iterator
    wait_until(lambda: not lanes())


def test_a_budget_that_is_used_up_ends_nothing(made: Path, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of 60 KB: nothing fits, so nothing is fetched ahead, and everything is read."""
    monkeypatch.setenv("SKELSTORE_CACHE_SIZE", "60K")
    videos = Videos(skelstore.open(f"{server.url}/s.zarr"))
    local = skelstore.open(made / "s.zarr")
    for position in EpochSampler(videos, window=2):
        assert_exact(videos[position], local[position])
    wait_until(lambda: not lanes())


def _is_there(reader: Any, row: int) -> bool:
    for name, (number, first, stop) in reader.gatherer.spans([row]):
        array = reader.arrays[name]
        if not array.is_open(number) or array.shard(number).present.find(0, first, stop) >= 0:
            return False
    return True


@pytest.mark.parametrize("cache", ["local", None])
def test_nothing_is_fetched_where_nobody_would_find_it(made: Path, server: Served, cache: Any) -> None:
    """A local store; and a cache that other processes do not have."""
    store = skelstore.open(made / "s.zarr") if cache else skelstore.open(f"{server.url}/s.zarr", cache=None)
    requests = server.count()
    assert len(list(EpochSampler(Videos(store), window=1))) == VIDEOS
    wait_until(lambda: not lanes())
    assert server.count() == requests


def test_several_stores_and_ranks(made: Path, server: Served) -> None:
    def stores() -> list[skelstore.Store]:
        remote = skelstore.open(f"{server.url}/s.zarr")
        return [remote[::3], skelstore.open(made / "k.zarr"), skelstore.open(f"{server.url}/k.zarr")]

    videos = Videos(*stores())
    local = Videos(skelstore.open(made / "s.zarr")[::3], *[skelstore.open(made / "k.zarr")] * 2)
    read: list[int] = []
    for rank in range(3):
        sampler = EpochSampler(videos, window=1, rank=rank, num_replicas=3, drop_last=False)
        iterator = iter(sampler)
        read.append(next(iterator))
        wait_until(lambda: not lanes())
        read += iterator
    assert sorted(read) == list(range(len(videos)))
    assert_once(server)
    requests = server.count()
    for position in read:
        assert_exact(videos[position], local[position])
    assert server.count() == requests


# --- ends and faults ----------------------------------------------------------------------------------------


def test_an_epoch_that_is_left_ends_the_threads(server: Served) -> None:
    videos = Videos(skelstore.open(f"{server.url}/s.zarr"))
    with values(AHEAD_BYTES=100_000, STRETCH_BYTES=40_000):
        sampler = EpochSampler(videos, window=2)
        for _ in zip(sampler, range(3), strict=False):
            pass
        wait_until(lambda: not lanes())
        iterator = iter(sampler)
        assert not lanes()  # nothing before the first sample
        next(iterator)
        assert lanes()
        again = pickle.loads(pickle.dumps(EpochSampler(skelstore.open(f"{server.url}/s.zarr"), seed=4)))
        assert len(list(again)) == VIDEOS
        iterator.close()  # type: ignore[attr-defined]
        wait_until(lambda: not lanes())


@pytest.mark.parametrize(("kind", "error"), [("403", RemoteAccessError), ("flip", DamageError)])
def test_a_fault_is_raised_by_the_reader_of_the_video(
    made: Path, server: Served, kind: str, error: type[Exception], capfd: pytest.CaptureFixture[str]
) -> None:
    videos = Videos(skelstore.open(f"{server.url}/s.zarr"))
    local = skelstore.open(made / "s.zarr")
    videos[0]  # the first shard is open
    server.faults.append(Fault(r"keypoint/c\.3\.", kind, 10_000))
    iterator = iter(EpochSampler(videos, shuffle=False))
    failed = []
    for position in iterator:
        if shard_numbers(local)[position] == 3:
            with pytest.raises(error, match=r"/s\.zarr/keypoint/c\.3\."):
                videos[position]
            failed.append(position)
        else:
            assert_exact(videos[position], local[position])
    assert failed
    wait_until(lambda: not lanes())
    server.faults.clear()
    assert_exact([videos[position] for position in failed], [local[position] for position in failed])
    assert capfd.readouterr() == ("", "")


def test_a_fault_that_passes_is_not_noticed(made: Path, server: Served) -> None:
    server.faults += [Fault(CHUNKS, "reset", 3), Fault(CHUNKS, "truncate", 3), Fault(CHUNKS, "503", 3)]
    videos = Videos(skelstore.open(f"{server.url}/s.zarr"))
    local = skelstore.open(made / "s.zarr")
    for position in EpochSampler(videos, window=2):
        assert_exact(videos[position], local[position])
    wait_until(lambda: not lanes())


PROGRAM = """
import os, signal, sys, threading, time
sys.path.insert(0, sys.argv[3])
import skelstore
from skelstore.sampling import EpochSampler
from tests.support.ahead import Videos, lanes

videos = Videos(skelstore.open(sys.argv[1]))
iterator = iter(EpochSampler(videos, window=2))
next(iterator)
assert lanes()
if sys.argv[2] == "interrupt":
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        time.sleep(20)
    except KeyboardInterrupt:
        sys.exit(3)
if sys.argv[2] == "error":
    raise SystemExit(4)
"""


@pytest.mark.parametrize(("end", "status"), [("interrupt", 3), ("error", 4), ("return", 0)])
def test_the_end_of_a_process_waits_for_nothing(server: Served, end: str, status: int) -> None:
    """The server answers no request for chunks while the process lives."""
    hanging = threading.Event()

    def hang(seen: Any) -> None:
        if re.search(CHUNKS, seen.path):
            hanging.wait(20)

    server.watch = hang
    command = [sys.executable, "-c", PROGRAM, f"{server.url}/s.zarr", end, str(Path(__file__).parents[2])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15)
    finally:
        hanging.set()
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


# --- processes ----------------------------------------------------------------------------------------------


def _read(videos: Videos, positions: list[int], results: Any) -> None:
    results.put([videos[position] for position in positions])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_that_start_while_windows_are_fetched(made: Path, server: Served, method: str) -> None:
    """As a loader starts them: before the first sample, and while threads run. They find what the threads fetch."""
    local = skelstore.open(made / "s.zarr")
    videos = Videos(skelstore.open(f"{server.url}/s.zarr"))
    context: Any = multiprocessing.get_context(method)
    iterator = iter(EpochSampler(videos, window=2))
    positions = [next(iterator) for _ in range(40)]
    videos.started.clear()  # threads are not sent to a worker
    results = [context.SimpleQueue() for _ in range(3)]
    workers = [
        context.Process(target=_read, args=(videos, positions[i::3], result)) for i, result in enumerate(results)
    ]
    for worker in workers:
        worker.start()
    for i, result in enumerate(results):
        assert_exact(result.get(), [local[position] for position in positions[i::3]])
    for worker in workers:
        worker.join()
    list(iterator)
    wait_until(lambda: not lanes())
    assert_once(server)


def _go_on(iterator: Any, results: Any) -> None:
    results.put([*iterator])
    results.put([thread.name for thread in threading.enumerate() if "ahead" in thread.name])


def test_a_child_that_has_the_iterator_goes_on_without_threads(server: Served) -> None:
    """Its threads and the state of their locks stay behind in the parent."""
    context: Any = multiprocessing.get_context("fork")
    with values(AHEAD_BYTES=100_000, STRETCH_BYTES=40_000):
        iterator = iter(EpochSampler(Videos(skelstore.open(f"{server.url}/s.zarr")), window=2))
        next(iterator)
        for _ in range(5):
            results = context.SimpleQueue()
            child = context.Process(target=_go_on, args=(iterator, results))
            child.start()
            assert len(results.get()) == VIDEOS - 1
            assert results.get() == []
            child.join(20)
            assert child.exitcode == 0
        assert lanes()
        assert len(list(iterator)) == VIDEOS - 1
    wait_until(lambda: not lanes())


def test_a_claim_does_not_outlive_the_fetch_in_a_child_that_was_forked_meanwhile(made: Path, server: Served) -> None:
    """The child has the descriptors with the locks of its parent. The fetch fails, and nobody waits for the child."""
    store = skelstore.open(f"{server.url}/s.zarr")
    store[0]
    child = -1

    def fork(seen: Any) -> None:
        nonlocal child
        if child < 0 and re.search(CHUNKS, seen.path):
            child = -2
            asked.set()
            answered.wait(20)

    asked, answered = threading.Event(), threading.Event()
    server.faults.append(Fault(CHUNKS, "403"))
    server.watch = fork
    reader, _ = table_rows(store)
    thread = threading.Thread(target=_fail, args=(reader, 10))
    thread.start()
    assert asked.wait(20)
    pid = os.fork()
    if pid == 0:
        time.sleep(30)
        os._exit(0)
    try:
        answered.set()
        thread.join()
        begin = time.monotonic()
        assert_exact(store[10], skelstore.open(made / "s.zarr")[10])
        assert time.monotonic() - begin < 10
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fail(reader: Any, row: int) -> None:
    with suppress(RemoteAccessError):
        reader.gatherer.fetch_ahead([row], [], lambda: True)


# --- reading in order, and some frames ----------------------------------------------------------------------


def test_iteration_is_requested_in_runs(made: Path, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_FIRST_RUN_BYTES", 20_000)
    local = skelstore.open(made / "s.zarr")
    store = skelstore.open(f"{server.url}/s.zarr")
    iterator = iter(store)
    next(iterator)
    assert sum(stop - start for _, start, stop in ranges(server)) < 600_000  # for one video, little is fetched
    assert_exact(list(iterator), list(local)[1:])
    assert server.count(CHUNKS) < VIDEOS / 2
    assert_once(server)
    monkeypatch.setattr(gathering, "_RUN_VIDEOS", 7)
    backwards = skelstore.open(f"{server.url}/s.zarr", cache=None)[::-1]
    assert_exact(list(backwards), list(local[::-1]))


def test_an_error_of_iteration_comes_at_its_video(made: Path, server: Served) -> None:
    store = skelstore.open(f"{server.url}/s.zarr")
    server.faults.append(Fault(r"keypoint/c\.3\.", "403", 1000))
    read: list[Any] = []
    with pytest.raises(RemoteAccessError, match=r"/s\.zarr/keypoint/c\.3\."):
        read.extend(store)
    local = skelstore.open(made / "s.zarr")
    assert_exact(read, [local[i] for i in range(VIDEOS) if shard_numbers(local)[i] < 3])


def test_positions_that_follow_one_another_are_requested_in_runs(made: Path, server: Served) -> None:
    """Also in a view, after a jump, and after errors, which come at their video."""
    local = skelstore.open(made / "s.zarr")
    view = np.sort(np.random.default_rng(1).permutation(VIDEOS)[:60])
    expected = [local[int(i)] for i in view]
    store = skelstore.open(f"{server.url}/s.zarr").at(view)
    read = reading_in_turn(store)
    positions = [*range(10, 30), 5, *range(60), 59, 59]
    assert_exact([read(i) for i in positions], [expected[i] for i in positions])
    requests = server.count(CHUNKS)
    assert_once(server)
    one_by_one = skelstore.open(f"{server.url}/s.zarr", cache=None).at(view)
    for i in positions:
        one_by_one[i]
    assert 2 * requests < server.count(CHUNKS) - requests
    store = skelstore.open(f"{server.url}/s.zarr", cache=None)
    server.faults.append(Fault(r"keypoint/c\.3\.", "403", 1000))
    read, shards = reading_in_turn(store), shard_numbers(local)
    for i in range(VIDEOS):
        if shards[i] == 3:
            with pytest.raises(RemoteAccessError, match=r"/s\.zarr/keypoint/c\.3\."):
                read(i)
        else:
            assert_exact(read(i), local[i])


@pytest.mark.parametrize("name", ["s.zarr", "k.zarr"])
def test_frames_and_fields_are_requested_at_once(made: Path, server: Served, name: str) -> None:
    """Frames apart from each other: one request a shard, or two if the frames are found in the first."""
    local, store = skelstore.open(made / name), skelstore.open(f"{server.url}/{name}")
    frames = [2, 30, 5]
    rounds = []

    def count(batch: Any) -> None:
        rounds.append(len(batch))
        batches.run_batch(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skelstore.remote.fetching.run_batch", count)
        assert_exact(store.read_one(3, frames=frames), local.read_one(3, frames=frames))
        assert 1 <= len(rounds) <= (2 if name == "s.zarr" else 4)  # indexes, chunks; before them, those of frame_inds
        rounds.clear()
        fields = [key for key in ("keypoint", "frame_inds", "label") if key in local[5]]
        assert_exact(store.read_one(17, fields=fields), local.read_one(17, fields=fields))
        assert 1 <= len(rounds) <= 2
        assert_exact(store.read_one(8, frames=frames), local.read_one(8, frames=frames))
    assert_once(server)


def test_frames_of_a_decompressed_video(made: Path, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skelstore.read.decompressed.SHORT_BYTES", 0)
    local, store = skelstore.open(made / "k.zarr").decompressed(), skelstore.open(f"{server.url}/k.zarr").decompressed()
    for position in range(0, 20, 4):
        for frames in ([1, 9, 4], slice(2, 8)):
            assert_exact(store.read_one(position, frames=frames), local.read_one(position, frames=frames))
    assert_exact(list(store), list(local))
    assert_once(server)
