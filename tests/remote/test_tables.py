"""Large tables at a URL, which are fetched in blocks: here with blocks of 64 bytes and groups of eight rows."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import skelstore
from skelstore.errors import DamageError, SkelstoreError, StoreError, StoreReplacedError
from skelstore.format import checksums
from skelstore.format.metadata import Manifest
from skelstore.read import opening, partial_table
from skelstore.read.verification import verify
from tests.support import hostile_stores
from tests.support.exact import assert_exact
from tests.support.small_store import lay_out, open_pure, sign

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from skelstore.remote import tables
from tests.support.http_server import Fault, Served, serving

VIDEOS = 150
TABLES = r"(videos|names)\.arrow"
SIZES = {
    (checksums, "TABLE_BLOCKS_FROM"): 0,
    (checksums, "LEAST_TABLE_BLOCK"): 64,
    (opening, "WHOLE_BYTES"): -1,
    (opening, "WHOLE_NAMES_BYTES"): -1,
    (partial_table, "GROUP_ROWS"): 8,
    (tables, "GAP_BYTES"): 64,
    (tables, "END_BYTES"): 64,
}


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in SIZES.items():
            patch.setattr(module, name, value)
        yield


def _annotation(number: int) -> dict[str, Any]:
    annotation: dict[str, Any] = {
        "frame_dir": f"{'a' * (number % 7)}v{number:03}",
        "label": number % 10,
        "keypoint": np.full((1, 1 + number % 3, 2, 2), number, np.float32),
        "img_shape": (number, 100),
        "good": number % 3 == 0,
        "same": np.bool_(number % 2),
        "note": [number, ("é", None)],
        "raw": bytes([number, 0]),
    }
    if number % 4 == 0:
        annotation["ratio"] = number / 8
    if number % 5 == 0:
        del annotation["keypoint"]
    return annotation


def _write(path: Path, first: int = 0) -> Path:
    with skelstore.Writer(path) as writer:
        for number in range(first, first + VIDEOS):
            writer.add(_annotation(number % 256))
        names = [_annotation(number % 256)["frame_dir"] for number in range(first, first + VIDEOS)]
        writer.splits |= {"even": names[::2], "few": [*names[40:44], "nobody"]}
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small: None) -> Path:
    folder = tmp_path_factory.mktemp("made")
    _write(folder / "s.zarr")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(made: Path, cache: Path) -> Iterator[Served]:
    with serving(made) as served:
        yield served


def _url(server: Served) -> str:
    return f"{server.url}/s.zarr?token=hidden"


# --- the same as a local store ------------------------------------------------------------------------------


POSITIONS = st.integers(0, VIDEOS - 1)
NAMES = st.builds(lambda number: str(_annotation(number)["frame_dir"]), st.integers(0, VIDEOS + 3))
CALLS: dict[str, st.SearchStrategy[Any]] = {
    "[]": POSITIONS | NAMES,
    "read": st.lists(POSITIONS | NAMES, max_size=5),
    "in": NAMES,
    "name": POSITIONS,
    "lazy": POSITIONS,
    "read_one": POSITIONS,
    "split": st.sampled_from(["even", "few"]),
    "select": st.sampled_from(
        [
            pc.field("label") < 3,
            (pc.field("ratio") > 4) & pc.field("good"),
            pc.field("frame_dir") == "v000",
            pc.scalar(True),
            pc.field(1) < 5,
            pc.field("nothing") == 1,
            pc.field("label"),
        ]
    ),
    "labels": st.none(),
    "videos": st.none(),
    "origins": st.none(),
    "repr": st.none(),
    "at": st.lists(POSITIONS, max_size=4),
    "view name": NAMES,
}


def _call(store: skelstore.Store, what: str, value: Any) -> Any:
    calls: dict[str, Callable[[], Any]] = {
        "[]": lambda: store[value],
        "read": lambda: store.read(value),
        "in": lambda: (value in store, store.get(value)),
        "name": lambda: store.name(value),
        "lazy": lambda: dict(store.lazy(value)),
        "read_one": lambda: store.read_one(value, fields=["label", "note"]),
        "split": lambda: [store.name(0), *store.split(value)._table_rows().tolist()],
        "select": lambda: store.select(value)._table_rows().tolist(),
        "labels": lambda: store.labels.tolist(),
        "videos": lambda: store.videos.to_pydict(),
        "origins": store.origins,
        "repr": lambda: repr(store).replace(str(store.path), ""),
        "at": lambda: list(store.at(value)),
        "view name": lambda: store.split("even")[value],
    }
    try:
        return calls[what]()
    except (SkelstoreError, TypeError) as error:
        return type(error).__name__, str(error).replace(str(store.path), "").partition("; did you mean")[0]


@given(
    calls=st.lists(
        st.sampled_from(sorted(CALLS)).flatmap(lambda what: st.tuples(st.just(what), CALLS[what])), max_size=6
    ),
    mapped=st.booleans(),
    kept=st.booleans(),
    pure=st.booleans(),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_calls_return_what_a_local_store_returns(
    made: Path, server: Served, cache: Path, calls: list[tuple[str, Any]], mapped: bool, kept: bool, pure: bool
) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    opened = open_pure if pure else skelstore.open
    with (
        skelstore.open(made / "s.zarr") as local,
        opened(_url(server), mmap=mapped, cache="auto" if kept else None) as store,  # type: ignore[operator]
    ):
        assert isinstance(store._reader.table, partial_table.PartialTable)
        for what, value in calls:
            assert_exact(_call(store, what, value), _call(local, what, value), what)


def test_all_videos_in_any_order(made: Path, server: Served) -> None:
    order = np.random.default_rng(0).permutation(VIDEOS).tolist()
    local, store = skelstore.open(made / "s.zarr"), skelstore.open(_url(server))
    assert_exact([store[i] for i in order], [local[i] for i in order])
    fetched = [seen.headers["Range"] for seen in server.seen if "videos.arrow" in seen.path]
    assert len(fetched) == len(set(fetched))
    bytes_of = [range(*(int(part) + i for i, part in enumerate(r[6:].split("-")))) for r in fetched]
    assert sum(map(len, bytes_of)) < 1.2 * (made / "s.zarr" / "videos.arrow").stat().st_size


# --- requests -----------------------------------------------------------------------------------------------


def test_the_requests_of_opening_and_of_a_video(made: Path, server: Served) -> None:
    store = skelstore.open(_url(server))
    assert server.count(r"videos\.arrow") <= 5  # the ends, and with blocks as small as these the rest of the metadata
    assert server.count(r"names\.arrow") == 2
    columns = len(store._reader.table.raw.column_names)
    server.seen.clear()
    local = skelstore.open(made / "s.zarr")
    assert_exact(store["v000"], local["v000"])
    assert 1 <= server.count(r"names\.arrow") <= 4
    assert columns <= server.count(r"videos\.arrow") <= 3 * columns
    server.seen.clear()
    assert_exact(store.read([0, 1, "v000"]), local.read([0, 1, 0]))
    assert server.count(TABLES) == 0
    again = skelstore.open(_url(server))
    assert_exact(again["v000"], local["v000"])
    assert server.count(TABLES) == 0  # from the cache
    again.select(pc.field("label") < 3)
    assert 0 < server.count(TABLES) < columns


def test_groups_grow(made: Path, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_table, "_MISSES_PER_DOUBLING", 1)
    store = skelstore.open(_url(server))
    for position in range(0, VIDEOS, 8):
        store[position]
    ready = store._reader._groups
    assert ready is not None
    assert ready.ready.all()
    few = server.count(r"videos\.arrow")
    server.seen.clear()
    monkeypatch.setattr(partial_table, "_MISSES_PER_DOUBLING", 1000)
    store = skelstore.open(_url(server), cache=None)
    for position in range(0, VIDEOS, 8):
        store[position]
    assert server.count(r"videos\.arrow") > 1.5 * few


def test_a_server_without_ranges_and_a_store_without_checksums_of_blocks(
    made: Path, server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = list(skelstore.open(made / "s.zarr"))
    server.ranges = False
    store = skelstore.open(_url(server), cache=None)
    assert_exact(list(store), local)
    assert not isinstance(store._reader.table, partial_table.PartialTable)
    server.ranges = True
    monkeypatch.setattr(checksums, "TABLE_BLOCKS_FROM", 1 << 40)
    _write(tmp_path / "old.zarr")
    assert "blocks" not in (tmp_path / "old.zarr" / "manifest.json").read_text()
    with serving(tmp_path) as older:
        store = skelstore.open(f"{older.url}/old.zarr", cache=None)
        assert_exact(list(store), local)
        assert older.count(r"videos\.arrow") == 1


def test_a_server_that_stops_sending_ranges(made: Path, server: Served) -> None:
    store = skelstore.open(_url(server))
    server.faults.append(Fault(r"videos\.arrow", "whole", times=1000))
    assert_exact(list(store), list(skelstore.open(made / "s.zarr")))


# --- damage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flip", "truncate", "reset", "503"])
@pytest.mark.parametrize("key", ["videos", "names"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_fault_that_passes_is_survived(made: Path, server: Served, kind: str, key: str, opened: bool) -> None:
    server.faults.append(Fault(rf"{key}\.arrow", kind, times=0 if opened else 1))
    store = skelstore.open(_url(server))
    server.faults[0].times = int(opened)
    assert_exact(store["v000"], skelstore.open(made / "s.zarr")["v000"])
    assert server.faults[0].times == 0


@pytest.mark.parametrize("key", ["videos", "names"])
def test_a_block_that_stays_wrong(server: Served, key: str) -> None:
    store = skelstore.open(_url(server))
    server.faults.append(Fault(rf"{key}\.arrow", "flip", times=10_000))
    for _ in range(2):
        with pytest.raises(DamageError, match=f"{server.url}/s.zarr/{key}.arrow is damaged.*does not match") as caught:
            store["v000"]
        assert "hidden" not in str(caught.value)
    server.faults.clear()
    assert store["v000"]["label"] == 0
    server.faults.append(Fault(r"videos\.arrow", "404", times=10_000))
    with pytest.raises(DamageError, match=r"videos\.arrow does not exist"):
        store[100]


@pytest.mark.parametrize("versions", [True, False])
def test_another_store_at_the_url_is_never_mixed_in(cache: Path, tmp_path: Path, versions: bool) -> None:
    _write(tmp_path / "s.zarr")
    with serving(tmp_path) as server:
        server.versions = versions
        store = skelstore.open(f"{server.url}/s.zarr")
        first = store[0]
        shutil.rmtree(tmp_path / "s.zarr")
        _write(tmp_path / "s.zarr", 1)
        assert_exact(store[0], first)
        for call in (lambda: store[100], lambda: store["v007"], lambda: store.labels, lambda: store.split("even")):
            with pytest.raises(StoreReplacedError):
                call()
        assert skelstore.open(f"{server.url}/s.zarr")[0]["label"] == 1


def test_a_block_that_the_disk_has_lost_is_fetched_again(made: Path, server: Served, cache: Path) -> None:
    local = list(skelstore.open(made / "s.zarr"))
    assert_exact(list(skelstore.open(_url(server))), local)
    (copy,) = cache.rglob("videos.arrow-64")
    data = bytearray(copy.read_bytes())
    data[64 * 20 : 64 * 22] = bytes(128)
    copy.write_bytes(data)
    server.seen.clear()
    for mapped in (True, False):
        assert_exact(list(skelstore.open(_url(server), mmap=mapped)), local)
    assert 1 <= server.count(r"videos\.arrow") <= 2


def test_checksums_of_blocks_are_verified(made: Path, server: Served, tmp_path: Path) -> None:
    """Also those that no reader needs that reads tables as a whole."""
    assert verify(_url(server), level="checksums") == []
    path = made / "s.zarr"
    files = {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    manifest = json.loads(files["manifest.json"])
    blocks = manifest["files"]["videos.arrow"]["blocks"]
    for wrong in ({**blocks, "crc32c": "A" * len(blocks["crc32c"])}, {**blocks, "size": 63}, {**blocks, "size": 0}):
        manifest["files"]["videos.arrow"]["blocks"] = wrong
        files["manifest.json"] = json.dumps(manifest).encode()
        signed = sign(files, json.loads(files["zarr.json"]))
        path = lay_out(tmp_path / str(wrong["size"]), signed)
        (problem,) = verify(path, level="checksums")
        assert "blocks" in problem


# --- hostile tables -----------------------------------------------------------------------------------------


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others use, too, is made without checksums of blocks."""
    monkeypatch.setattr(checksums, "TABLE_BLOCKS_FROM", 1 << 40)
    monkeypatch.setattr(tables, "GAP_BYTES", 4096)


def test_hostile_tables_end_in_values_or_sentences(plain: None, cache: Path, tmp_path: Path) -> None:
    """Stores whose checksums are right and whose tables are not: nothing outside of them is read."""
    refused: list[str] = []
    with serving(tmp_path) as server:
        stores = [files for what, files in hostile_stores.tables() if "splits" not in what]
        stores += [files for what, files in hostile_stores.texts() if "in a cell" in what]
        for number, files in enumerate(stores):
            path = lay_out(tmp_path / str(number), _with_blocks(files))
            url = f"{server.url}/{number}/{path.name}"
            for opened in (skelstore.open, open_pure):
                try:
                    with opened(url) as store:  # type: ignore[operator]
                        store.select(pc.field("label") < 3)
                        list(store)
                        store.get("v4")
                except SkelstoreError as error:
                    refused.append(str(error))
    assert len(refused) > 10
    assert not any("\n" in text for text in refused)


def test_a_row_that_is_false_is_refused_when_it_is_read(plain: None, cache: Path, tmp_path: Path) -> None:
    for column, cells in (("keypoint.row", [-8, 0, 0]), ("skelstore.layout", [0, 0, 7])):
        path = lay_out(tmp_path / column, _with_blocks(hostile_stores.with_column(column, cells)))
        with serving(path.parent) as server:
            store = skelstore.open(f"{server.url}/{path.name}", cache=None)
            with pytest.raises(StoreError, match=r"videos\.arrow names"):
                list(store)


def _with_blocks(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a store with checksums of blocks in its manifest."""
    manifest = json.loads(files["manifest.json"])
    for key in ("videos.arrow", "names.arrow"):
        if key in files and key in manifest["files"]:
            data = files[key]
            sums = b"".join(checksums.crc32c(data[i : i + 512]).to_bytes(4, "little") for i in range(0, len(data), 512))
            entry = checksums.FileEntry(len(data), checksums.crc32c(data), checksums.Blocks(512, sums))
            manifest["files"][key] = json.loads(Manifest({key: entry}, {}).to_bytes())["files"][key]
    return sign({**files, "manifest.json": json.dumps(manifest).encode()}, json.loads(files["zarr.json"]))


# --- several processes --------------------------------------------------------------------------------------


def _read_all(url: str, seed: int, queue: Any) -> None:
    store = skelstore.open(url)
    order = np.random.default_rng(seed).permutation(VIDEOS).tolist()
    queue.put([store[position]["label"] == position % 10 for position in order] == [True] * VIDEOS)
    queue.close()
    queue.join_thread()
    os._exit(0)


def test_processes_and_threads_share_a_cold_cache(made: Path, server: Served, cache: Path) -> None:
    context: Any = multiprocessing.get_context("fork")
    queue = context.Queue()
    requests = []
    for number in (1, 3):
        shutil.rmtree(cache, ignore_errors=True)
        server.seen.clear()
        processes = [context.Process(target=_read_all, args=(_url(server), 0, queue)) for _ in range(number)]
        for process in processes:
            process.start()
        assert [queue.get(timeout=60) for _ in processes] == [True] * number
        for process in processes:
            process.join(20)
        requests.append(server.count(TABLES))
    assert requests[1] <= 1.1 * requests[0] + 20  # what a process is fetching divides the requests of another
    shutil.rmtree(cache)
    store = skelstore.open(_url(server))
    with ThreadPoolExecutor(8) as threads:
        labels = list(threads.map(lambda position: store[position]["label"], range(VIDEOS)))
    assert labels == [position % 10 for position in range(VIDEOS)]


def test_a_forked_child_goes_on(made: Path, server: Served) -> None:
    store = skelstore.open(_url(server))
    store[0]
    context: Any = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert_exact(pool.map(store.__getitem__, range(VIDEOS)), list(skelstore.open(made / "s.zarr")))


def test_a_cleared_cache_does_no_harm(made: Path, server: Served, cache: Path) -> None:
    store = skelstore.open(_url(server))
    store[0]
    shutil.rmtree(cache)
    local = list(skelstore.open(made / "s.zarr"))
    assert_exact([store[i] for i in range(0, VIDEOS, 10)], local[::10])
    assert_exact(list(skelstore.open(_url(server))), local)
    assert_exact(list(store), local)
