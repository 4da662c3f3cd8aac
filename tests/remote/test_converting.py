"""Conversions straight to a bucket give the store of a local conversion, whatever is killed or done at once."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
import skelstore
from skelstore.errors import (
    RemoteError,
    SkelstoreError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    WorkerError,
)
from tests.support.crashes import PART_BYTES, converted, make_source
from tests.support.files import tree

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")
pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")

import converters.conversion.convert as convert_module
from converters.conversion import jobs
from converters.conversion.convert import convert_source
from converters.dialects.registry import open_source
from skelstore.format import chunking
from skelstore.publish.claims import STAGED, UNFINISHED_KEY
from skelstore.publish.files import LocalStore, RemoteStore
from skelstore.publish.pulling import pull
from skelstore.publish.pushing import push
from skelstore.publish.staging import object_store
from skelstore.remote.transfers import Content
from skelstore.remote.url import parse_url
from tests.support.forks import Forks
from tests.support.http_server import PAGE_KEYS, Fault, Seen, Served

S3 = "s3://bucket/data/s.zarr"
PLACE = "bucket/data/s.zarr"
URLS = [S3, "gs://bucket/data/s.zarr", "az://bucket/data/s.zarr"]
PARTS = 4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "a.pkl", videos=4 * PARTS)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("other") / "a.pkl", seed=6, videos=4 * PARTS)


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, bytes]:
    return converted(source)


@pytest.fixture(scope="module")
def expected_other(other: Path) -> dict[str, bytes]:
    return converted(other)


@pytest.fixture
def server(object_store: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(chunking, "PART_BYTES", PART_BYTES)
    return object_store


def convert(source: Path, url: str = S3, **options: Any) -> int:
    return convert_source(open_source(source), url, **{"workers": 1, **options})


def there(server: Served) -> dict[str, bytes]:
    return tree(server.root / PLACE) if (server.root / PLACE).is_dir() else {}


def interrupt(source: Path, videos: int, **options: Any) -> None:
    """Interrupt a conversion after this number of videos."""
    left = [videos]

    def advance(done: int) -> None:
        left[0] -= done
        if left[0] <= 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        convert(source, advance=advance, **options)
    assert caught.value.__notes__ == [
        f"{S3}/{STAGED} keeps the finished parts: run the same command again to continue from them"
    ]


def assert_no_store(server: Served) -> None:
    assert "zarr.json" not in there(server)
    with pytest.raises(StoreNotFoundError):
        skelstore.open(S3)
    with pytest.raises(StoreNotFoundError):
        RemoteStore(parse_url(S3))


# --- the same store -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", URLS)
def test_the_store_is_that_of_a_local_conversion(
    source: Path, expected: dict[str, bytes], server: Served, tmp_path: Path, url: str
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    videos: list[int] = []
    assert convert(source, url, advance=videos.append) == 0
    assert sum(videos) == 4 * PARTS
    assert there(server) == expected
    assert {path.name for path in tmp_path.iterdir()} == before, "temporary files are left"
    puts = [seen.path.partition("s.zarr/")[2] for seen in server.seen if seen.method == "PUT"]
    assert puts[0] == UNFINISHED_KEY
    assert puts[-2:] == ["manifest.json", "zarr.json"]
    shards = [key for key in expected if "/c." in key]
    assert len(shards) > PARTS
    bodies = [seen for seen in server.seen if seen.method == "PUT" and int(seen.headers.get("Content-Length", 0))]
    sent = [seen.path for seen in bodies if "/c." in seen.path]
    assert all(f"/{STAGED}/" in path for path in sent), "a shard was sent twice"
    assert len({*sent}) == len(sent) >= len(shards)
    if url == S3:
        pull(RemoteStore(parse_url(url)), tmp_path / "pulled.zarr")
        assert tree(tmp_path / "pulled.zarr") == expected
        assert len(skelstore.open(url)) == 4 * PARTS


def test_a_store_of_one_part(server: Served, tmp_path: Path) -> None:
    """The only shard of an array is trimmed, so it comes back to the process that joins."""
    source = make_source(tmp_path / "few.pkl", videos=2)
    convert_source(open_source(source), tmp_path / "few.zarr", workers=1)
    convert(source)
    assert there(server) == tree(tmp_path / "few.zarr")


def test_a_shuffled_conversion(source: Path, expected: dict[str, bytes], server: Served, tmp_path: Path) -> None:
    """It is the local one with the same seed; with another seed, or none, the URL is taken."""
    convert(source, str(tmp_path / "shuffled.zarr"), shuffle=1)
    interrupt(source, 10, shuffle=1)
    before = there(server)
    for seed in (None, 2):
        with pytest.raises(StoreExistsError, match="another store is being pushed"):
            convert(source, shuffle=seed)
        assert there(server) == before
    assert convert(source, shuffle=1) == 2
    assert there(server) == tree(tmp_path / "shuffled.zarr") != expected


def test_local_processes(source: Path, expected: dict[str, bytes], server: Served, forks: Forks) -> None:
    settings = {"skelstore.format.chunking.PART_BYTES": PART_BYTES}
    done = forks.run("convert", source, S3, "--workers", 2, settings=settings)
    assert done.status == 0, done
    assert done.out.startswith(f"{S3}: {4 * PARTS} videos, ")
    assert there(server) == expected
    done = forks.run("convert", source, S3, settings=settings)
    assert done.status == 1
    assert done.err == (
        f"skelstore: another store is at {S3}: choose another URL, or replace it with --force, which takes it away "
        "from its readers first\n"
    )


@pytest.mark.parametrize("url", URLS)
def test_keys_are_listed_page_by_page(server: Served, url: str) -> None:
    service = object_store(parse_url(f"{url[:5]}bucket/a & b/ü.zarr"))
    keys = [f"{STAGED}/{i:03}-x/0/c.{i}" for i in range(2 * PAGE_KEYS + 1)]
    for key in [*keys, "unfinished.json", "unfinishedly/x", "zarr.json"]:
        service.put(key, Content.of_bytes(b"x"))
    assert sorted(service.keys(STAGED)) == keys
    assert list(service.keys("nothing")) == []


# --- interrupted and killed ---------------------------------------------------------------------------------


def test_an_interrupted_conversion_sends_only_what_is_missing(
    source: Path, expected: dict[str, bytes], server: Served
) -> None:
    interrupt(source, 10)
    assert_no_store(server)
    kept = {key.split("/")[1] for key in there(server) if key.endswith("part.json")}
    assert len(kept) == 2
    server.seen.clear()
    assert convert(source) == 2
    assert there(server) == expected
    puts = [seen.path for seen in server.seen if seen.method == "PUT"]
    assert not [path for path in puts for name in kept if f"{STAGED}/{name}" in path]


def test_a_damaged_part_is_made_again(source: Path, expected: dict[str, bytes], server: Served) -> None:
    interrupt(source, 4 * PARTS)
    names = sorted(path for path in (server.root / PLACE / STAGED).iterdir() if path.is_dir())
    (names[0] / "part.json").write_text("{}")
    next(names[1].glob("0/c.*")).unlink()
    (names[2] / "videos.arrow").write_bytes(b"")
    assert convert(source) == len(names) - 3
    assert there(server) == expected


def test_a_command_that_is_killed_at_any_request_is_completed_by_the_next(
    source: Path, expected: dict[str, bytes], server: Served, forks: Forks
) -> None:
    settings = {"skelstore.format.chunking.PART_BYTES": PART_BYTES}
    arguments = ("convert", source, S3, "--workers", 1)
    assert forks.run(*arguments, settings=settings).status == 0
    [root] = [
        i for i, seen in enumerate(server.seen, 1) if seen.method == "PUT" and seen.path.endswith("zarr/zarr.json")
    ]
    last = max(i for i, seen in enumerate(server.seen, 1) if seen.method == "DELETE")
    joined = next(i for i, seen in enumerate(server.seen) if "x-amz-copy-source" in seen.headers)
    moments = [random.randrange(2, joined), random.randrange(joined, root), root, random.randrange(root + 1, last)]
    for number in sorted({*moments}):
        shutil.rmtree(server.root / "bucket")
        server.stated.clear()
        pids: list[int] = []
        left = [number]

        def watch(_: Seen, pids: list[int] = pids, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                while not pids:
                    time.sleep(0.001)
                os.kill(pids[0], signal.SIGKILL)

        server.watch = watch
        running = forks.start(*arguments, settings=settings)
        pids.append(running.pid)
        assert forks.wait(running).status == -signal.SIGKILL, f"request {number}"
        time.sleep(0.02)  # what is on its way arrives
        server.watch = None
        found = there(server)
        if "zarr.json" in found:
            assert {key: data for key, data in found.items() if not key.startswith(STAGED)} == expected
        else:
            assert_no_store(server)
        done = forks.run(*arguments, settings=settings)
        complete = found.keys() == expected.keys()
        assert done.status == (1 if complete else 0), (number, done)
        assert there(server) == expected, f"request {number}"


@pytest.mark.parametrize(
    ("kind", "method", "pattern"),
    [
        ("503", "PUT", "c.0"),
        ("lost", "PUT", "c.0"),
        ("reset", "PUT", "keypoint/c"),
        ("500", "PUT", "s.zarr/zarr.json"),
        ("truncate", "GET", "videos.arrow"),
        ("flip", "GET", "videos.arrow"),
        ("reset", "DELETE", ""),
    ],
)
def test_faults_on_the_way(
    source: Path, expected: dict[str, bytes], server: Served, kind: str, method: str, pattern: str
) -> None:
    server.faults.append(Fault(pattern, kind, 1, method=method))
    convert(source)
    assert server.faults[0].times == 0
    assert there(server) == expected


def test_a_shard_that_is_stored_wrong_is_no_store(source: Path, expected: dict[str, bytes], server: Served) -> None:
    """Google and S3 say what they have stored; it is compared before the root is put."""
    server.faults.append(Fault(f"{STAGED}/000002", "spoil", 1, method="PUT"))
    url = S3.replace("s3:", "gs:")
    with pytest.raises((SkelstoreError, OSError)):
        convert(source, url)
    assert "zarr.json" not in there(server)
    convert(source, url)
    assert there(server) == expected


def test_a_service_that_refuses_is_one_sentence(source: Path, server: Served) -> None:
    server.faults.append(Fault("part.json", "403", 1, method="PUT"))
    with pytest.raises(
        RemoteError, match=rf"{S3}/{STAGED}/000000-[0-9a-f]+/part.json: the server answered 403"
    ) as caught:
        convert(source)
    assert f"{S3}/{STAGED} keeps the finished parts" in caught.value.__notes__[0]
    assert_no_store(server)


def test_a_worker_may_have_its_own_copy_of_the_source(
    source: Path, expected: dict[str, bytes], server: Served, tmp_path: Path
) -> None:
    path = shutil.copy2(source, tmp_path / "a.pkl")
    interrupt(path, 10)
    path.rename(tmp_path / "moved")
    shutil.copy2(source, path)
    assert convert(path) == 2
    assert there(server) == expected


def test_a_worker_with_another_file_is_named(source: Path, server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_another(*arguments: Any, **options: Any) -> dict[str, Any]:
        return {**identity_of(*arguments, **options), "state": "of another file"}

    identity_of = jobs.identity_of
    monkeypatch.setattr(convert_module, "identity_of", of_another)
    with pytest.raises(
        WorkerError, match="has another size or modification time than it had for the command"
    ) as caught:
        convert(source)
    assert str(caught.value).startswith(f"{source} on ")
    assert f"{S3}/{STAGED} keeps the finished parts" in caught.value.__notes__[0]
    monkeypatch.setattr(type(open_source(source)), "files", lambda *_: [source.with_name("gone.pkl")])
    monkeypatch.setattr(convert_module, "identity_of", lambda *_, **__: {"state": ""})
    with pytest.raises(WorkerError, match=r"gone.pkl is not on .*, where a worker needs it"):
        convert(source)


def test_what_is_sent_to_workers_has_no_secrets(source: Path, server: Served) -> None:
    """It passes through the bucket. Without the file, a worker would download it by the same URL without them."""
    shutil.copy(source, server.root / "a.pkl")
    opened = open_source(f"{server.url.replace('//', '//me:hidden@')}/a.pkl?token=hidden")
    data = pickle.dumps(opened)
    opened.close()
    assert b"hidden" not in data
    again = pickle.loads(data)
    assert again.description()["downloaded"]["source"]["url"] == f"{server.url}/a.pkl"
    again.close()


def test_data_that_no_store_can_hold_leaves_nothing(server: Served, tmp_path: Path) -> None:
    keypoint = np.ones((1, 4, 17, 2), np.float16)
    annotations: list[dict[str, Any]] = [{"frame_dir": f"v{i}", "keypoint": keypoint} for i in range(30)]
    annotations.append({"frame_dir": "bad", "what": {1, 2}})
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(annotations))
    with pytest.raises(SkelstoreError, match="what"):
        convert(tmp_path / "bad.pkl")
    assert there(server) == {}


# --- others at the same URL ---------------------------------------------------------------------------------


def test_another_conversion_is_refused(
    source: Path, other: Path, expected: dict[str, bytes], server: Served, tmp_path: Path
) -> None:
    interrupt(source, 10)
    before = there(server)
    with pytest.raises(StoreExistsError, match=r"is being pushed to s3://bucket/data/s.zarr or converted there"):
        convert(other, profile="small")
    convert_source(open_source(other), tmp_path / "other.zarr", workers=1)
    with pytest.raises(StoreExistsError, match=r"or converted there"):
        push(LocalStore(tmp_path / "other.zarr"), parse_url(S3))
    assert there(server) == before
    assert convert(source) == 2
    assert there(server) == expected


def test_a_taken_url_is_noticed_before_the_source_is_downloaded(source: Path, server: Served, forks: Forks) -> None:
    convert(source)
    (server.root / "bucket" / "a.pkl").write_bytes(source.read_bytes())
    taken, away = f"another store is at {S3}", "hf://datasets/me/set/s.zarr"
    server.seen.clear()
    done = forks.run("convert", "s3://bucket/a.pkl", S3)
    assert (done.status, taken in done.err) == (1, True), done.err
    with pytest.raises(StoreExistsError, match=taken):
        converters.convert("s3://bucket/a.pkl", S3)
    with pytest.raises(StoreError, match="is on the hub"):
        converters.convert("s3://bucket/a.pkl", away, force=True)
    with pytest.raises(StoreError, match=f"{S3} is a URL; --shared"):
        converters.convert("s3://bucket/a.pkl", S3, force=True, shared=True)
    with pytest.raises(StoreExistsError, match="exists: choose another destination"):
        converters.convert("s3://bucket/a.pkl", source)
    assert {seen.path.rpartition("/")[2] for seen in server.seen} == {"zarr.json", UNFINISHED_KEY}
    assert forks.run("convert", "s3://bucket/a.pkl", S3, "--force").status == 0
    assert any(seen.path.endswith("a.pkl") for seen in server.seen)


def test_force_takes_over_and_leaves_nothing_of_the_other(
    source: Path, other: Path, server: Served, tmp_path: Path
) -> None:
    convert_source(open_source(other), tmp_path / "small.zarr", workers=1, profile="small")
    convert_source(open_source(other), tmp_path / "other.zarr", workers=1)
    interrupt(source, 10)
    convert(other, profile="small", force=True)
    assert there(server) == tree(tmp_path / "small.zarr")
    interrupt(source, 10, force=True)
    assert len(list(skelstore.open(S3))) == 4 * PARTS, "the old store is there until the new one is joined"
    with pytest.raises(StoreExistsError, match="another store is at"):
        convert(source)
    push(LocalStore(tmp_path / "other.zarr"), parse_url(S3), force=True)
    assert there(server) == tree(tmp_path / "other.zarr")


def test_a_push_of_the_same_store_completes_a_conversion(
    source: Path, expected: dict[str, bytes], server: Served
) -> None:
    server.faults.append(Fault("s.zarr/zarr.json", "403", 1, method="PUT"))
    with pytest.raises(RemoteError, match="403"):
        convert(source)
    assert any(key.startswith(STAGED) for key in there(server))
    push(LocalStore(source.with_name("a.zarr")), parse_url(S3), force=False)
    assert there(server) == expected


def test_a_changed_source_is_not_mixed_with_what_is_there(
    source: Path, other: Path, expected_other: dict[str, bytes], server: Served, tmp_path: Path
) -> None:
    path = tmp_path / "a.pkl"
    shutil.copy(source, path)
    interrupt(path, 10)
    shutil.copy(other, path)
    os.utime(path, (1, 1))
    assert convert(path) == 0
    assert there(server) == expected_other


def test_two_at_once(
    source: Path, other: Path, expected: dict[str, bytes], expected_other: dict[str, bytes], server: Served
) -> None:
    """The same conversion twice gives the store; of two different ones, one is refused, and nothing is mixed."""
    for pair, stores in (((source, source), [expected]), ((source, other), [expected, expected_other])):
        shutil.rmtree(server.root / "bucket", ignore_errors=True)
        server.stated.clear()
        errors: list[Exception] = []

        def work(path: Path, errors: list[Exception] = errors) -> None:
            try:
                convert(path)
            except (StoreExistsError, StoreError, RemoteError) as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(path,)) for path in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) < 2, errors
        found = {key: data for key, data in there(server).items() if not key.startswith(STAGED)}
        wrong = [sorted(key for key in found.keys() | one.keys() if found.get(key) != one.get(key)) for one in stores]
        assert [] in wrong, (wrong, errors)


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hf://datasets/me/skeletons/s.zarr", "is on the hub; a conversion writes to s3://, gs:// or az://"),
        (
            "https://me:hidden@host/s.zarr?token=hidden",
            "https://host/s.zarr is on a web server; a conversion writes to",
        ),
    ],
)
def test_the_hub_and_web_servers_are_refused(source: Path, server: Served, forks: Forks, url: str, words: str) -> None:
    done = forks.run("convert", source, url)
    assert done.status == 1
    assert words in done.err
    assert "convert to a folder of this machine, then" in done.err
    assert "hidden" not in done.err
    done = forks.run("convert", source, S3, "--shared")
    assert done.status == 1
    assert f"{S3} is a URL; --shared" in done.err
    assert server.seen == []


def test_what_is_not_a_store_is_never_replaced(source: Path, server: Served) -> None:
    (server.root / PLACE).mkdir(parents=True)
    (server.root / PLACE / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    with pytest.raises(StoreExistsError, match="is not that of a store, so it is not replaced"):
        convert(source, force=True)
    assert list(there(server)) == ["zarr.json"]
