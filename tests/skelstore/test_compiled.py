"""The compiled reader returns and raises what the Python reader does, which is its oracle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc

import skelstore
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, Profile
from skelstore.read import compiled
from skelstore.read.arrays import Check
from tests.fuzz.stores import with_signed
from tests.support import strategies
from tests.support.contracts import write, written
from tests.support.exact import assert_exact
from tests.support.small_store import check_readers_agree, lay_out, made, open_pure, sign_root, small_dataset

if not compiled.COMPILED:
    pytest.skip("the compiled reader was not built, or SKELSTORE_PURE_PYTHON is set", allow_module_level=True)

CHECKS: tuple[Check, ...] = get_args(Check)


def no_fallback(store: skelstore.Store) -> skelstore.Store:
    """The store, which fails if its compiled reader leaves an annotation to Python."""

    def fail(row: int) -> Any:
        raise AssertionError(f"the compiled reader did not read row {row}")

    vars(store._reader)["_read_by_python"] = fail
    return store


def tiny_shards(patch: pytest.MonkeyPatch) -> None:
    for name, size in (
        ("PART_BYTES", 500),
        ("CHUNK_BYTES_MIN", 32),
        ("CHUNK_BYTES_MAX", 64),
        ("CHUNK_BYTES_PLAIN", 64),
    ):
        patch.setattr(chunking, name, size)


@settings(max_examples=60)
@given(
    dataset=strategies.datasets(),
    profile=st.sampled_from(PROFILES),
    check=st.sampled_from(CHECKS),
    mmap=st.booleans(),
    tiny=st.booleans(),
    direct=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_any_data_set(
    dataset: strategies.Dataset, profile: Profile, check: Check, mmap: bool, tiny: bool, direct: bool, order: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if tiny:
            tiny_shards(patch)
        patch.setattr(compiled, "DIRECT_BLOSC", direct)
        with written(*dataset, profile=profile) as path:
            options: dict[str, Any] = {"check": check, "mmap": mmap}
            with no_fallback(skelstore.open(path, **options)) as store, open_pure(path, **options) as pure:
                positions = [*range(len(store)), *range(len(store))]
                order.shuffle(positions)
                for position in positions:
                    assert_exact(store[position], pure[position], f"[{position}]")
                assert_exact(store.read(positions), [pure[i] for i in positions], "a batch")
                for name in {store.name(i) for i in positions} - {None}:
                    assert_exact(outcome(store.__getitem__, name), outcome(pure.__getitem__, name), repr(name))
                store.close()
                assert_exact(list(store), list(pure), "after close")


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns; the type and the message of the error that it raises."""
    try:
        return function(*arguments)
    except Exception as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=100)
@given(data=st.data(), signed=st.booleans(), mmap=st.booleans())
def test_any_damage(
    tmp_path_factory: pytest.TempPathFactory, profile: Profile, data: st.DataObject, signed: bool, mmap: bool
) -> None:
    files = made(profile)
    key = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[key])
    action = data.draw(st.sampled_from(["flip", "flip", "flip", "cut", "zero", "swap", "remove"]))
    at = data.draw(st.integers(0, len(content) - 1))
    if action == "flip":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif action == "cut":
        del content[at:]
    elif action == "zero":
        content[at : at + 8] = bytes(len(content[at : at + 8]))
    elif action == "swap":
        content = bytearray(files[data.draw(st.sampled_from(sorted(files)))])
    changed = with_signed(files, key, bytes(content)) if signed else files | {key: bytes(content)}
    if action == "remove":
        del changed[key]
    path = lay_out(tmp_path_factory.mktemp("damaged"), changed)
    check_readers_agree(path, mmap=mmap)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_layout_that_names_a_key_twice(tmp_path: Path, profile: Profile) -> None:
    """The first array would be freed before it is filled."""
    files = made(profile)
    root = json.loads(files["zarr.json"])
    for layout in root["attributes"]["skelstore"]["layouts"]:
        layout["dict"] += layout["dict"]
    path = lay_out(tmp_path, sign_root(files, root))
    check_readers_agree(path)
    with skelstore.open(path) as store:
        assert_exact(list(store), small_dataset().annotations, "the last of two equal keys")


def test_a_damaged_chunk_is_reported_on_every_read(tmp_path: Path) -> None:
    files = made("default")
    key = next(key for key in sorted(files) if key.startswith("keypoint/c."))
    content = bytearray(files[key])
    content[20] ^= 1
    path = lay_out(tmp_path, files | {key: bytes(content)})
    with skelstore.open(path) as store:
        for _ in range(3):
            with pytest.raises(skelstore.DamageError, match=r"chunk 0 is damaged"):
                store[0]
            with pytest.raises(skelstore.DamageError, match=r"chunk 0 is damaged"):
                store.read([3, 0])
        assert_exact(store[3], small_dataset().annotations[3], "an undamaged video")


@given(st.binary(max_size=100), st.integers(0, 40))
def test_checksums(data: bytes, repeat: int) -> None:
    data *= repeat
    assert compiled.core.crc32c(data, True) == compiled.core.crc32c(data, False) == google_crc32c.value(data)


def test_blosc_is_taken_from_numcodecs() -> None:
    """If numcodecs no longer exports the function, compressed arrays are read by Python, and this test says so."""
    assert compiled.DIRECT_BLOSC
    try:
        assert not compiled.find_blosc(None)
        assert not compiled.find_blosc(sys.executable)
    finally:
        assert compiled.find_blosc(blosc.__file__)


@pytest.mark.parametrize(("value", "used"), [("1", False), ("0", True), ("", True)])
def test_the_environment_chooses_the_reader(value: str, used: bool) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import skelstore; print(skelstore.compiled)"],
        env=os.environ | {"SKELSTORE_PURE_PYTHON": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == str(used)


# ------------------------------------------------------------------------------------------------------- maps


def mapped(path: Path) -> int:
    """The number of files of a store that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split()[-1] for line in lines if line.endswith(".0") and str(path) in line})


def opened(path: Path) -> int:
    """The number of files of a store that this process has open."""
    links = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    return sum(link.startswith(str(path)) for link in links)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps are listed in /proc")
def test_maps_end_with_the_store(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", small_dataset().annotations)
    store = skelstore.open(path)
    assert mapped(path) == 0
    list(store)
    assert mapped(path) == 2  # keypoint and keypoint_score
    assert opened(path) == 0
    store.close()
    assert mapped(path) == 0
    list(store)
    assert mapped(path) == 2
    del store
    assert mapped(path) == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps are listed in /proc")
def test_what_does_not_fit_into_memory_is_not_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.zarr", small_dataset().annotations)
    monkeypatch.setattr(compiled, "memory_bytes", lambda: 1000)
    with no_fallback(skelstore.open(path)) as store:
        assert_exact(list(store), small_dataset().annotations, "read by pread")
        assert mapped(path) == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps are listed in /proc")
def test_without_maps_a_file_may_be_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", small_dataset().annotations, profile="fast")
    with skelstore.open(path, mmap=False) as store:
        list(store)
        assert mapped(path) == 0
        os.truncate(path / "keypoint/c.0.0.0", 100)
        with pytest.raises(skelstore.DamageError, match="ends at byte 100"):
            list(store)


def test_a_read_releases_the_interpreter_lock(tmp_path: Path) -> None:
    large = {"frame_dir": "large", "label": 0, "keypoint": np.ones((1, 2_000_000, 17, 2), np.float32)}
    path = write(tmp_path / "a.zarr", [large], profile="fast")
    with skelstore.open(path, check="never") as store:
        started = threading.Event()
        ended: list[bool] = []

        def read() -> None:
            started.set()
            store[0]
            ended.append(True)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)  # the other thread runs only if this one releases the lock
        try:
            thread = threading.Thread(target=read)
            thread.start()
            started.wait()
            assert not ended
        finally:
            sys.setswitchinterval(interval)
            thread.join()
        assert ended


def test_threads_read_while_files_are_closed(tmp_path: Path) -> None:
    annotations = small_dataset().annotations
    path = write(tmp_path / "a.zarr", annotations)
    failures: list[BaseException] = []
    with skelstore.open(path) as store:

        def read() -> None:
            try:
                for _ in range(200):
                    assert_exact(store.read(list(range(9))), annotations, "a batch")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.001)
            store.close()
    assert not failures
