"""A store that is replaced while it is read: every value is of the store that was opened, or an error says so."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore.errors import StoreReplacedError
from skelstore.format import chunking, files
from skelstore.train.selection import Selection
from skelstore.write import disk
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.replacing import put, videos
from tests.support.repository import REPOSITORY

WATCHDOG = 60
SAID = r"was replaced or removed after it was opened.*: open it again$"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return put(tmp_path / "a.zarr", 0)


VIEWS: dict[str, Callable[[skelstore.Store], Any]] = {
    "store": lambda store: store,
    "split": lambda store: store.split("even"),
    "at": lambda store: store.at([3, 1]),
    "decompressed": lambda store: store.decompressed(),
    "selection": lambda store: Selection(store, split="even"),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("count", [5, 12, 30])
def test_views_pickled_before_a_replacement_are_refused_at_first_use(path: Path, view: str, count: int) -> None:
    sent = pickle.dumps(VIEWS[view](skelstore.open(path)))
    length = len(pickle.loads(sent))
    put(path, 100, count)
    received = pickle.loads(sent)
    assert len(received) == length
    for _ in range(2):
        with pytest.raises(StoreReplacedError, match=SAID) as refused:
            received[0]
        assert str(path) in str(refused.value)
        with pytest.raises(StoreReplacedError, match=SAID):
            received.read([0])
    for again in (copy.copy(received), copy.deepcopy(received), pickle.loads(pickle.dumps(received))):
        with pytest.raises(StoreReplacedError, match=SAID):
            again[0]


def test_every_use_of_a_store_replaced_before_unpickling_is_refused(path: Path) -> None:
    sent = pickle.dumps(skelstore.open(path))
    put(path, 100)
    with pickle.loads(sent) as received:
        assert received.path == path
        uses: list[Callable[[], Any]] = [
            lambda: received["v0"],
            lambda: list(received),
            lambda: "v0" in received,
            lambda: received.splits,
            lambda: received.split("even"),
            lambda: received.videos,
            lambda: received.fields,
            lambda: received.joints,
            lambda: received.source,
            lambda: received.lazy(0),
            lambda: received.read_one(0, frames=[0]),
            lambda: received.name(0),
            lambda: received.files(),
            lambda: received.origins(),
            lambda: received.at([0])[0],
        ]
        for use in uses:
            with pytest.raises(StoreReplacedError, match=SAID):
                use()


def test_a_store_that_was_removed_is_refused_at_its_first_use_too(path: Path) -> None:
    sent = pickle.dumps(skelstore.open(path))
    shutil.rmtree(path)
    received = pickle.loads(sent)
    with pytest.raises(StoreReplacedError, match=SAID):
        received[0]


def test_a_store_that_is_damaged_when_it_is_unpickled_is_refused_at_its_first_use(path: Path) -> None:
    sent = pickle.dumps(skelstore.open(path))
    os.truncate(path / "videos.arrow", 10)
    received = pickle.loads(sent)
    with pytest.raises(skelstore.DamageError, match=r"videos\.arrow has 10 bytes"):
        received[0]


def test_a_store_that_was_replaced_by_the_same_or_moved_back_is_the_same(path: Path) -> None:
    store = skelstore.open(path)
    sent = pickle.dumps(store)
    put(path, 0)
    assert_exact(list(pickle.loads(sent)), videos(0))
    assert_exact(list(store), videos(0))
    put(path.with_name("other"), 100)
    path.rename(path.with_name("moved"))
    path.with_name("other").rename(path)
    with pytest.raises(StoreReplacedError):
        pickle.loads(sent)[0]
    shutil.rmtree(path)
    path.with_name("moved").rename(path)
    assert_exact(list(pickle.loads(sent)), videos(0))


def test_a_store_with_other_labels_only_is_another_store(path: Path) -> None:
    sent = pickle.dumps(skelstore.open(path))
    store = skelstore.open(path)
    other = [annotation | {"label": 7} for annotation in videos(0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 2000)
        write(path, other, {}, profile="default", force=True)
    with pytest.raises(StoreReplacedError):
        pickle.loads(sent)[0]
    assert_exact(list(store), videos(0))  # its table is open, and the shards have the same content


def read_all(store: skelstore.Store, first: int) -> int:
    """Check that every value is right or refused because the store was replaced; return how many were refused."""
    expected = videos(first)
    refused = 0
    for i, annotation in enumerate(expected):
        for read in (lambda i=i: store[i], lambda a=annotation: store[a["frame_dir"]], lambda i=i: dict(store.lazy(i))):
            try:
                found = read()
            except StoreReplacedError:
                refused += 1
            else:
                assert_exact(found, annotation)
    try:
        assert store.splits == {"even": [a["frame_dir"] for a in expected[::2]]}
    except StoreReplacedError:
        refused += 1
    return refused


steps = st.lists(st.sampled_from(["read one", "name", "splits", "close", "replace", "all"]), min_size=1, max_size=8)


@settings(max_examples=40)
@given(steps=steps, check=st.sampled_from(["first", "always", "never"]))
def test_an_open_store_never_returns_a_value_of_its_replacement(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], check: Any
) -> None:
    path = put(tmp_path_factory.mktemp("stores") / "a.zarr", 0)
    store = skelstore.open(path, check=check)
    first = 0
    with store:
        for number, step in enumerate(steps):
            if step == "replace":
                first = 100 * (number + 1)
                put(path, first)
                continue
            if step == "close":
                store.close()
                continue
            try:
                if step == "read one":
                    assert_exact(store[number], videos(0)[number])
                elif step == "name":
                    assert store.index("v7") == 7
                elif step == "splits":
                    assert store.splits["even"][0] == "v0"
                else:
                    read_all(store, 0)
            except StoreReplacedError:
                assert first, "it was not replaced"
        assert read_all(store, 0) == 0 or first
    shutil.rmtree(path)


def test_a_file_that_was_closed_and_replaced_is_not_read_on(path: Path) -> None:
    """The chunks of the old file were checked, those of the new one were not and must not count as checked."""
    store = skelstore.open(path)
    assert read_all(store, 0) == 0
    put(path, 100)
    assert read_all(store, 0) == 0  # everything is open
    store.close()
    for read in (lambda: store[0], lambda: store.read_one("v3", fields=["keypoint"]), lambda: list(store)):
        with pytest.raises(StoreReplacedError, match=SAID):
            read()


def test_damage_of_a_store_that_was_not_replaced_is_still_damage(path: Path) -> None:
    store = skelstore.open(path)
    shard = next((path / "keypoint").glob("c.*"))
    data = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(data[:-1])
    with pytest.raises(skelstore.DamageError, match=shard.name):
        list(store)
    (path / "names.arrow").unlink()
    with pytest.raises(skelstore.DamageError, match=r"names\.arrow is missing"):
        store["v0"]


POOL = """
import multiprocessing, sys
import skelstore
from tests.support.replacing import put
from pathlib import Path

class Task:
    store = None

def label(store):
    return store[0]["label"]

def inherited(position):
    return Task.store[position]["label"]

def attempt(pool, function, argument):
    try:
        return pool.apply_async(function, (argument,)).get(30)
    except skelstore.StoreError as error:
        assert "was replaced" in str(error) and "open it again" in str(error), error
        return "replaced"

if __name__ == "__main__":
    method, path = sys.argv[1], Path(sys.argv[2])
    store = Task.store = skelstore.open(path)
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        print(attempt(pool, label, store), attempt(pool, label, store.split("even")))
        put(path, 100)
        print(attempt(pool, label, store), attempt(pool, label, store.split("even")), attempt(pool, abs, -1))
    with context.Pool(1) as pool:
        print(attempt(pool, label, store), attempt(pool, label, skelstore.open(path)))
        if method == "fork":
            print([attempt(pool, inherited, i) for i in (0, 11)])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_report_a_replaced_store_and_no_pool_hangs(tmp_path: Path, path: Path, method: str) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    done = subprocess.run(
        [sys.executable, "-W", "error", script, method, path],
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert lines[:3] == ["0 0", "replaced replaced 1", "replaced 100"]
    # A forked process has the tables of its parent and no shard of the new store.
    assert lines[3:] == (["['replaced', 'replaced']"] if method == "fork" else [])


def test_a_store_that_is_replaced_during_opening_is_opened_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No matter which file was opened last, the following ones are of the new store."""
    opened = files.open_regular
    for at in range(1, 12):
        put(path, 0)
        count = 0

        def open_late(file: Any, flags: int = os.O_RDONLY, at: int = at) -> int:
            nonlocal count
            count += 1
            if count == at:
                put(path, 100)
            return opened(file, flags)

        for module in ("format.store_files", "format.local_file", "read.table"):
            monkeypatch.setattr(f"skelstore.{module}.open_regular", open_late)
        with skelstore.open(path) as store:
            monkeypatch.undo()
            labels = store.videos["label"].to_pylist()
            assert labels in (list(range(12)), list(range(100, 112)))
            assert read_all(store, labels[0]) == 0 or labels[0] == 0


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_store_that_is_replaced_repeatedly_is_opened_whole(
    path: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the file system cannot exchange two names, so that the path is missing for a moment."""
    if not exchanges:
        monkeypatch.setattr(disk, "_exchange", lambda a, b: False)
    stop = threading.Event()

    def replace() -> None:
        first = 0
        while not stop.is_set():
            first = 100 - first
            put(path, first)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(150):
            with skelstore.open(path) as store:
                try:
                    found = [store[i]["label"] for i in (0, 11)]
                except StoreReplacedError:
                    continue
                assert found in ([0, 11], [100, 111])
    finally:
        stop.set()
        thread.join(WATCHDOG)


def test_a_store_that_stays_inconsistent_is_an_error_after_some_attempts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = put(path.with_name("b.zarr"), 100)
    shutil.copy(other / "manifest.json", path / "manifest.json")
    with pytest.raises(skelstore.DamageError, match=r"manifest\.json is damaged"):
        skelstore.open(path)
    monkeypatch.setattr("skelstore.format.store_files.LocalFiles.was_replaced", lambda files: True)
    with pytest.raises(skelstore.DamageError, match=r"manifest\.json is damaged"):
        skelstore.open(path)


def test_a_store_opened_by_a_relative_path_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, first in (("project", 0), ("project/run", 100)):
        (tmp_path / place / "data").mkdir(parents=True)
        put(tmp_path / place / "data/s.zarr", first)
    monkeypatch.chdir(tmp_path / "project")
    store, late, view = (skelstore.open("data/s.zarr") for _ in range(3))
    view = view.split("even")
    assert store.path == tmp_path / "project/data/s.zarr"
    monkeypatch.chdir("run")
    assert read_all(store, 0) == 0
    assert_exact(list(pickle.loads(pickle.dumps(late))), videos(0))
    assert_exact(list(view), videos(0)[::2])
    monkeypatch.chdir("/")
    assert read_all(late, 0) == 0


def test_dots_after_a_link_in_a_relative_path_are_left_to_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk/deep").mkdir(parents=True)
    put(tmp_path / "disk/s.zarr", 0)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/link").symlink_to(tmp_path / "disk/deep")
    put(tmp_path / "home/s.zarr", 100)
    monkeypatch.chdir(tmp_path / "home")
    store = skelstore.open("link/../s.zarr")
    monkeypatch.chdir("/")
    assert store[0]["label"] == 0


def test_a_working_directory_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        with pytest.raises(skelstore.StoreNotFoundError, match=r"s\.zarr does not exist"):
            skelstore.open("s.zarr")
    finally:
        os.chdir("/")
