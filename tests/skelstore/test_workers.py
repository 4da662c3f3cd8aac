"""Stores in worker processes and threads, with any start method and after anything the parent did."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from tests.support.contracts import write
from tests.support.exact import assert_exact

WATCHDOG = 60
"""Seconds after which a process that hangs is ended; it takes about one."""


def annotations() -> list[dict[str, Any]]:
    noise = np.random.default_rng(7)
    return [
        {
            "frame_dir": f"v{i}",
            "label": i,
            "keypoint": noise.normal(500, 200, (1 + i % 2, 10 + i, 17, 2)).astype(np.float16),
            "keypoint_score": noise.random((1 + i % 2, 10 + i, 17)).astype(np.float16),
        }
        for i in range(40)
    ]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    made = {
        name: write(folder / name, annotations(), {"even": [f"v{i}" for i in range(0, 40, 2)]}, profile=name)
        for name in PROFILES
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 1000)
        made["many files"] = write(folder / "many", annotations(), profile="default")
    return made


PARENT = """
import multiprocessing, sys, threading, warnings
import numpy as np
import skelstore

def sums(arguments):
    store, order = arguments
    found = [float(store[i]["keypoint"].sum(dtype=np.float64)) for i in order]
    again = [float(a["keypoint"].sum(dtype=np.float64)) for a in store.read(order)]
    named = [float(store[f"v{i}"]["keypoint"].sum(dtype=np.float64)) for i in order]
    assert found == again == named
    return found

class Task:
    # for fork: the child uses the store object of its parent, not a pickle of it
    store = None

def inherited(order):
    return sums((Task.store, order))

if __name__ == "__main__":
    method, has_read, reading, path = sys.argv[1], sys.argv[2] == "read", sys.argv[3] == "reading", sys.argv[4]
    # CPython 3.12 and later warn of fork in a process with threads: that is what is tested here.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    store = Task.store = skelstore.open(path)
    order = [3, 39, 0, 17, 17, 8]
    expected = None
    if has_read:
        expected = sums((store, order))
    stop = threading.Event()
    def keep_reading():
        number = 0
        while not stop.is_set():
            store[number % len(store)]
            number += 1
    thread = threading.Thread(target=keep_reading)
    if reading:
        thread.start()
    try:
        context = multiprocessing.get_context(method)
        for _ in range(3 if method == "fork" else 1):
            with context.Pool(2) as pool:
                results = pool.map(sums, [(store, order), (store.split("even"), [0, 5]), (store, order)], chunksize=1)
                if method == "fork":
                    results += pool.map(inherited, [order] * 4, chunksize=1)
                pool.close()
                pool.join()
            mine = sums((store, order))
            assert results[0] == results[2] == mine, (results, mine)
            assert results[1] == [float(store[i]["keypoint"].sum(dtype=np.float64)) for i in (0, 10)]
            assert all(found == mine for found in results[3:])
            assert expected in (None, mine)
    finally:
        stop.set()
        if reading:
            thread.join()
    print("done")
"""


def check_script(script: Path, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script), *arguments], capture_output=True, text=True, timeout=WATCHDOG
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"hangs: {error.stdout!r} {error.stderr!r}")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


PARENT_VIEW = PARENT.replace(
    'named = [float(store[f"v{i}"]', 'names = [store[i]["frame_dir"] for i in order]\n    named = [float(store[name]'
).replace("for i in order]\n    assert", "for name in names]\n    assert")


@pytest.mark.parametrize("reading", ["reading", "quiet"])
@pytest.mark.parametrize("has_read", ["read", "fresh"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_read_what_the_parent_reads(
    tmp_path: Path, stores: dict[str, Path], method: str, has_read: str, reading: str
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT_VIEW)
    profile = {"fork": "default", "spawn": "small", "forkserver": "fast"}[method]
    check_script(script, method, has_read, reading, str(stores[profile]))


@pytest.mark.parametrize("profile", PROFILES)
def test_forked_workers_while_the_parent_reads_in_every_profile(
    tmp_path: Path, stores: dict[str, Path], profile: Profile
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT_VIEW)
    check_script(script, "fork", "read", "reading", str(stores[profile]))


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import os
import skelstore
from skelstore import SkelstoreError
store = skelstore.open(sys.argv[1])
labels = [a["label"] for _ in range(2) for a in store]
assert labels == [*range(40)] * 2, labels
assert store.read(range(39, -1, -1))[0]["label"] == 39
others = [skelstore.open(sys.argv[1]) for _ in range(2)] if sys.argv[2] == "three" else []
for other in others:
    assert [a["label"] for a in other] == [*range(40)]
kept = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
assert len(kept) < 60, len(kept)
print("done")
"""


@pytest.mark.parametrize("stores_open", ["one", "three"])
def test_a_process_that_may_open_few_files_reads_a_store_of_many(
    tmp_path: Path, stores: dict[str, Path], stores_open: str
) -> None:
    shards = [file for file in stores["many files"].rglob("c.*") if file.is_file()]
    assert len(shards) > 64
    script = tmp_path / "few.py"
    script.write_text(FEW_FILES)
    check_script(script, str(stores["many files"]), stores_open)


@pytest.mark.parametrize("name", [*PROFILES, "many files"])
@pytest.mark.parametrize("check", ["first", "always"])
def test_threads_share_one_store(
    stores: dict[str, Path], name: str, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few descriptors, so that a thread closes files that another one reads."""
    monkeypatch.setattr("skelstore.format.local_file.MAX_OPEN", 4)
    expected = annotations()
    store = skelstore.open(stores[name], check=check)
    failures: list[BaseException] = []
    start = threading.Barrier(6)

    def read(seed: int) -> None:
        noise = np.random.default_rng(seed)
        try:
            start.wait()
            for position in noise.integers(0, len(expected), 40).tolist():
                assert_exact(store[position], expected[position])
                assert_exact(store[f"v{position}"], expected[position])
                if position % 10 == 0:
                    store.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WATCHDOG)
    store.close()
    assert failures == []


@pytest.mark.parametrize("mmap", [True, False])
def test_descriptors_do_not_accumulate(stores: dict[str, Path], mmap: bool) -> None:
    fds = Path("/proc/self/fd")
    if not fds.exists():
        pytest.skip("this system does not list the open files of a process")
    store = skelstore.open(stores["many files"], mmap=mmap)
    before = len(list(fds.iterdir()))
    list(store)
    kept = len(list(fds.iterdir())) - before
    assert kept == 0 if mmap and skelstore.compiled else kept > 0  # a map needs no descriptor
    store.close()
    assert len(list(fds.iterdir())) <= before
    list(store)
    store.close()
    assert len(list(fds.iterdir())) <= before
