"""Stores at a URL: they are read as local ones are, through the cache, in any process, and never mixed."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import skelstore
from converters.samples.pickles import ntu_like
from skelstore.errors import DamageError, StoreError, StoreNotFoundError, StoreReplacedError
from skelstore.read.verification import verify
from skelstore.write import parts
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from tests.support.http_server import Served, serving

VIDEOS = 60
CHUNKS = r"keypoint.*/c\."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of the same videos: ``fast.zarr`` and ``default.zarr``, with several shards per array."""
    folder = tmp_path_factory.mktemp("made")
    patch = pytest.MonkeyPatch()
    patch.setattr(parts, "PART_VIDEOS", 25)
    data = ntu_like(VIDEOS)
    for profile in ("fast", "default"):
        with skelstore.Writer(folder / f"{profile}.zarr", profile=profile) as writer:  # type: ignore[arg-type]
            for annotation in data["annotations"]:
                writer.add(annotation)
            writer.splits |= data["split"]
    patch.undo()
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(made: Path, cache: Path) -> Iterator[Served]:
    with serving(made) as served:
        yield served


@pytest.mark.parametrize("profile", ["fast", "default"])
@pytest.mark.parametrize("kept", ["auto", None])
def test_a_remote_store_is_read_as_a_local_one(made: Path, server: Served, profile: str, kept: Any) -> None:
    local = skelstore.open(made / f"{profile}.zarr")
    with skelstore.open(f"{server.url}/{profile}.zarr", cache=kept) as store:
        assert len(store) == VIDEOS
        assert store.splits == local.splits
        assert store.videos.equals(local.videos)
        name = local.name(7)
        assert name is not None
        assert_exact(store[name], local[7])
        order = [41, 3, 3, 59, 0, 24, 25]
        assert_exact(store.read(order), local.read(order))
        assert_exact(list(store), list(local))
        assert_exact(store.read_one(9, frames=range(3, 9)), local.read_one(9, frames=range(3, 9)))
        assert_exact(dict(store.lazy(11)), local[11])
        assert_exact(list(store.split("xsub_train")), list(local.split("xsub_train")))


def test_what_was_read_is_not_requested_again(made: Path, server: Served) -> None:
    url = f"{server.url}/default.zarr"
    first = list(skelstore.open(url))
    assert server.count(CHUNKS) > 0
    server.seen.clear()
    assert_exact(list(skelstore.open(url)), first)
    assert [seen.path for seen in server.seen] == ["/default.zarr/zarr.json"]


def test_a_video_takes_two_rounds_of_requests_and_then_one(made: Path, server: Served) -> None:
    """First the index of each of its shards, then one range of each; of a video beside it, the ranges only."""
    store = skelstore.open(f"{server.url}/default.zarr")
    server.seen.clear()
    store[3]
    fields = len(store.fields)
    assert len(server.seen) <= 2 * fields
    server.seen.clear()
    store[20]
    assert len(server.seen) <= fields
    assert all(seen.headers["Range"].startswith("bytes=") for seen in server.seen)


def test_a_batch_is_requested_at_once(made: Path, server: Served) -> None:
    store = skelstore.open(f"{server.url}/default.zarr")
    store.read([0, 25, 59])  # indexes, and chunks at the ends of shards: nothing spans what is there
    server.seen.clear()
    store.read(list(range(1, VIDEOS, 2)))
    shards = len({seen.path for seen in server.seen})
    assert len(server.seen) == shards  # gaps in these small shards are fetched, too


def test_the_query_goes_along_and_is_not_shown(made: Path, server: Served) -> None:
    url = f"{server.url.replace('//', '//me:hidden@')}/default.zarr?token=secret"
    store = skelstore.open(url)
    store[0]
    assert all(seen.path.endswith("?token=secret") for seen in server.seen)
    assert all(seen.headers["Authorization"] == "Basic bWU6aGlkZGVu" for seen in server.seen)
    for text in (repr(store), str(store.path), store._repr_html_()):
        assert "secret" not in text
        assert "hidden" not in text
    server.seen.clear()
    list(skelstore.open(f"{server.url}/default.zarr?token=other"))
    again = skelstore.open(f"{server.url}/default.zarr?token=third")
    server.seen.clear()
    list(again)
    assert server.seen == []  # the query is no part of what the cache knows a store by


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers(made: Path, server: Served, method: str) -> None:
    store = skelstore.open(f"{server.url}/default.zarr").split("xsub_train")
    store[0]  # the parent has read, with connections and threads of its own
    context: Any = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        assert_exact(pool.map(store.__getitem__, range(len(store))), list(store))


def test_threads(made: Path, server: Served) -> None:
    store = skelstore.open(f"{server.url}/fast.zarr")
    local = skelstore.open(made / "fast.zarr")
    with ThreadPoolExecutor(8) as threads:
        assert_exact(list(threads.map(store.__getitem__, range(VIDEOS))), list(local))


def test_pickling_keeps_where_the_store_is(made: Path, server: Served, tmp_path: Path) -> None:
    store = skelstore.open(f"{server.url}/fast.zarr?a=b", cache=tmp_path / "mine")[10:20]
    again = pickle.loads(pickle.dumps(store))
    assert_exact(list(again), list(store))
    assert again.path == store.path
    assert (tmp_path / "mine").is_dir()


def test_the_place_of_a_store_is_used_as_that_of_a_folder(made: Path, server: Served, tmp_path: Path) -> None:
    """It opens the store, shows no secrets, and is refused in one sentence where only a folder can be."""
    store = skelstore.open(f"http://me:word@127.0.0.1:{server.port}/fast.zarr?token=secret")
    place: Any = store[3:5].path
    assert f"{place}" == f"{server.url}/fast.zarr"
    assert (place.name, place.parent / "fast.zarr") == ("fast.zarr", place)
    shown = f"{store!r} {store._repr_html_()} {place!r} {place}"
    assert "secret" not in shown
    assert "word" not in shown
    for again in (place, copy.copy(place), copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert (again, hash(again), again.secret) == (place, hash(place), place.secret)
        assert_exact(skelstore.open(again)[0], store[0])
    for other in (copy.copy(store), copy.deepcopy(store)):
        assert_exact(list(other[:3]), list(store[:3]))
    calls: list[Callable[[], object]] = [
        lambda: os.fspath(place),
        lambda: Path(place),
        lambda: open(place),  # noqa: SIM115
        lambda: skelstore.merge([place], tmp_path / "m.zarr"),
        lambda: skelstore.Writer(place).__enter__(),
        lambda: skelstore.subset(store[:2], place),
    ]
    for call in calls:
        with pytest.raises(
            StoreError, match=rf"^{server.url}/fast\.zarr is a URL, not a path of this machine: [^\n]*$"
        ):
            call()
    assert not os.path.exists(place)


def _read_all(url: str, order: list[int], queue: Any) -> None:
    store = skelstore.open(url)
    for position in order:
        store[position]
    queue.put(True)


def test_two_processes_request_what_both_miss_once(made: Path, server: Served, cache: Path) -> None:
    url = f"{server.url}/fast.zarr"
    context: Any = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    order = list(range(VIDEOS))
    store = skelstore.open(url)
    for position in order:
        store[position]
    alone = server.count()
    shutil.rmtree(cache)
    server.seen.clear()
    processes = [context.Process(target=_read_all, args=(url, order, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [queue.get(), queue.get()] == [True, True]
    assert server.count(CHUNKS) <= 1.1 * alone
    assert server.count(r"videos\.arrow") == 1


def test_a_killed_process_leaves_nothing_that_is_wrong_or_locked(made: Path, server: Served) -> None:
    local = list(skelstore.open(made / "fast.zarr"))
    url = f"{server.url}/fast.zarr"
    context: Any = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    for requests in (6, 14, 30):
        server.seen.clear()
        process = context.Process(target=_read_all, args=(url, list(range(VIDEOS)), queue))
        process.start()
        end = time.monotonic() + 20
        while server.count() < requests and process.is_alive() and time.monotonic() < end:
            time.sleep(0.001)
        process.kill()
        process.join()
    begin = time.monotonic()
    assert_exact(list(skelstore.open(url)), local)
    assert time.monotonic() - begin < 20  # nobody waits for a process that is gone


def test_a_copy_that_is_damaged_on_disk_is_fetched_again(made: Path, server: Served, cache: Path) -> None:
    local = list(skelstore.open(made / "default.zarr"))
    assert_exact(list(skelstore.open(f"{server.url}/default.zarr")), local)
    for path in (cache / "v1").rglob("*"):
        if path.is_file() and path.stat().st_size:
            data = bytearray(path.read_bytes())
            data[len(data) // 10] ^= 1
            path.write_bytes(data)
    assert_exact(list(skelstore.open(f"{server.url}/default.zarr", check="never")), local)
    server.seen.clear()
    assert_exact(list(skelstore.open(f"{server.url}/default.zarr")), local)
    assert server.count() == 1  # it is right again


def test_a_cleared_cache_does_no_harm_to_readers(made: Path, server: Served, cache: Path) -> None:
    local = list(skelstore.open(made / "default.zarr"))
    store = skelstore.open(f"{server.url}/default.zarr")
    for position in range(VIDEOS):
        if position % 7 == 3:
            shutil.rmtree(cache)
        assert_exact(store[position], local[position])
    store.close()
    shutil.rmtree(cache)
    assert_exact(list(store), local)
    assert_exact(store.read(list(range(VIDEOS))), local)


def test_another_store_at_the_url_is_never_mixed_in(made: Path, cache: Path, tmp_path: Path) -> None:
    """Both stores have the same names, shapes and sizes, so only what identifies shards tells them apart."""
    root = tmp_path / "served"
    root.mkdir()
    shutil.copytree(made / "fast.zarr", root / "s.zarr")
    with skelstore.Writer(tmp_path / "other.zarr", profile="fast") as writer:
        for annotation in skelstore.open(made / "fast.zarr"):
            writer.add({**annotation, "keypoint": annotation["keypoint"] + 1})
    for versions in (True, False):
        with serving(root) as server:
            server.versions = versions
            shutil.rmtree(cache, ignore_errors=True)
            store = skelstore.open(f"{server.url}/s.zarr")
            before = [store[0], store[59]]
            shutil.rmtree(root / "s.zarr")
            shutil.copytree(tmp_path / "other.zarr", root / "s.zarr")
            assert_exact([store[0], store[59]], before)
            with pytest.raises(StoreReplacedError, match="open it again"):
                list(store)
            with pytest.raises(StoreReplacedError):
                pickle.loads(pickle.dumps(store))[0]
            shutil.rmtree(root / "s.zarr")
            with pytest.raises(StoreReplacedError):
                list(store)
            with pytest.raises(StoreNotFoundError, match=r"404.*check the URL"):
                skelstore.open(f"{server.url}/s.zarr")
            shutil.copytree(made / "fast.zarr", root / "s.zarr")


def test_shards_that_do_not_belong_to_the_store(made: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "default.zarr", tmp_path / "s.zarr")
    shards = sorted((tmp_path / "s.zarr" / "keypoint").glob("c.*"))
    data = shards[0].read_bytes()
    for change, found in (
        (data[:-1], "bytes; the manifest says"),
        (data + b"\0", "bytes; the manifest says"),
        (data[:50] + bytes([data[50] ^ 1]) + data[51:], "chunk 0 is damaged"),
        (data[:-3] + bytes(3), "index of the shard is damaged"),
        (None, "does not exist"),
    ):
        shards[0].unlink(missing_ok=True)
        if change is not None:
            shards[0].write_bytes(change)
        with serving(tmp_path) as server:
            store = skelstore.open(f"{server.url}/s.zarr")
            with pytest.raises(DamageError, match=rf"{server.url}/s\.zarr/keypoint/c\.0\.0\.0.*{found}"):
                store[0]
            assert any(found in problem or "bytes" in problem for problem in verify(store.path, level="checksums"))


def test_a_server_without_ranges(made: Path, cache: Path) -> None:
    local = list(skelstore.open(made / "default.zarr"))
    with serving(made) as server:
        server.ranges = False
        store = skelstore.open(f"{server.url}/default.zarr")
        assert_exact([store[3], store[40]], [local[3], local[40]])
        assert_exact(list(store), local)
        shards = sum("/c." in seen.path for seen in server.seen)
        assert shards == len({seen.path for seen in server.seen if "/c." in seen.path})  # each whole, and once
        assert verify(store.path, level="decode") == []


def test_verifying(made: Path, server: Served) -> None:
    for level in ("structure", "checksums", "decode"):
        assert verify(f"{server.url}/fast.zarr", level=level) == []  # type: ignore[arg-type]


def test_the_private_cache_is_removed_with_the_store(
    made: Path, server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = skelstore.open(f"{server.url}/fast.zarr", cache=None)
    store[0]
    assert len(list(tmp_path.glob("skelstore-*"))) == 1
    del store
    import gc

    gc.collect()
    assert list(tmp_path.glob("skelstore-*")) == []


def test_a_fork_while_other_threads_read(made: Path, server: Served) -> None:
    store = skelstore.open(f"{server.url}/fast.zarr")
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            list(store)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        context: Any = multiprocessing.get_context("fork")
        for position in range(3):
            queue = context.SimpleQueue()
            process = context.Process(target=_read_all, args=(f"{server.url}/fast.zarr", [position], queue))
            process.start()
            process.join(20)
            assert process.exitcode == 0
    finally:
        done.set()
        thread.join()
