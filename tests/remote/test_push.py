"""Stores are published and copied exactly, whatever is killed, broken or done at the same time."""

from __future__ import annotations

import filecmp
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore.errors import (
    DamageError,
    RemoteAccessError,
    RemoteError,
    SkelstoreError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    StoreReplacedError,
)
from skelstore.format.checksums import FileEntry
from skelstore.format.metadata import Manifest
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")
pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")

from skelstore.publish import pulling
from skelstore.publish.claims import UNFINISHED_KEY
from skelstore.publish.files import LocalStore, RemoteStore, StoreCopy
from skelstore.publish.pulling import pull
from skelstore.publish.pushing import push
from skelstore.remote.transfers import Content
from skelstore.remote.url import parse_url
from tests.support.files import tree
from tests.support.forks import Forks
from tests.support.http_server import Fault, Seen, Served

S3 = "s3://bucket/data/s.zarr"
PLACE = "bucket/data/s.zarr"


def _write(path: Path, seed: int, videos: int = 12) -> Path:
    """A store with several shards per field."""
    noise = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skelstore.write.parts.PART_VIDEOS", 5)
        with skelstore.Writer(path) as writer:
            for number in range(videos):
                keypoint = noise.normal(0, 9, (1, 20 + number, 17, 2)).astype(np.float16)
                score = noise.random((1, 20 + number, 17)).astype(np.float16)
                writer.add({"frame_dir": f"v{number}", "keypoint": keypoint, "keypoint_score": score})
            writer.splits["train"] = [f"v{seed}"]
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores of the same names and forms, and a smaller one."""
    folder = tmp_path_factory.mktemp("made")
    _write(folder / "a.zarr", 1)
    _write(folder / "b.zarr", 2)
    _write(folder / "few.zarr", 3, 4)
    return folder


@pytest.fixture
def server(object_store: Served) -> Served:
    return object_store


def _push(store: Path, url: str = S3, **options: Any) -> int:
    return push(LocalStore(store), parse_url(url), **options)


def _put_keys(server: Served) -> list[str]:
    return [seen.path.partition("s.zarr/")[2] for seen in server.seen if seen.method == "PUT"]


# --- there and back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [S3, "gs://bucket/data/s.zarr", "az://bucket/data/s.zarr"])
def test_there_and_back(made: Path, server: Served, tmp_path: Path, url: str) -> None:
    local = LocalStore(made / "a.zarr")
    done: list[int] = []
    assert push(local, parse_url(url), advance=done.append) == len(local.copy.files) + 1
    assert sum(done) == local.copy.size
    assert tree(server.root / PLACE) == tree(made / "a.zarr")
    puts = _put_keys(server)
    shards = [key for key in puts if "/c." in key]
    assert len(shards) > 4
    assert puts[0] == UNFINISHED_KEY
    assert puts[-2:] == ["manifest.json", "zarr.json"]
    assert sorted(puts[1:]) == sorted(tree(made / "a.zarr"))
    assert_exact(list(skelstore.open(url)), list(skelstore.open(made / "a.zarr")))
    server.seen.clear()
    done.clear()
    assert push(local, parse_url(url), advance=done.append) == 0
    assert server.count(method="PUT") == server.count(method="DELETE") == 0
    assert sum(done) == local.copy.size
    done.clear()
    source = RemoteStore(parse_url(url))
    assert pull(source, tmp_path / "t.zarr", advance=done.append) == len(local.copy.files) + 1
    assert sum(done) == local.copy.size
    assert tree(tmp_path / "t.zarr") == tree(made / "a.zarr")
    assert not (tmp_path / "t.zarr.partial").exists()


def test_commands(made: Path, server: Served, forks: Forks, tmp_path: Path) -> None:
    done = forks.run("push", made / "a.zarr", S3)
    assert done.status == 0, done
    assert done.out.startswith(f"{S3}: complete, ")
    done = forks.run("push", made / "b.zarr", S3)
    assert done.status == 1
    assert done.err == (
        f"skelstore: another store is at {S3}: choose another URL, or replace it with --force, which takes it away "
        "from its readers first\n"
    )
    assert forks.run("push", made / "b.zarr", S3, "--force").status == 0
    web = f"{server.url}/{PLACE}"
    assert forks.run("pull", f"{web}?token=hidden", tmp_path / "t.zarr").status == 0
    assert tree(tmp_path / "t.zarr") == tree(made / "b.zarr")
    done = forks.run("push", made / "a.zarr", f"{web}?token=hidden")
    assert done.status == 1
    assert done.err.startswith(f"skelstore: {web} is on a web server, which takes no files")
    assert "hidden" not in done.err
    for arguments in (("push", made / "a.zarr", "nowhere"), ("pull", "nowhere", tmp_path / "u.zarr")):
        done = forks.run(*arguments)
        assert done.status == 2
        assert "'nowhere' is not a URL" in done.err
    done = forks.run("pull", "s3://bucket/nothing", tmp_path / "u.zarr")
    assert done.status == 1
    assert "s3://bucket/nothing/zarr.json does not exist, so there is no store at this URL" in done.err


# --- killed -------------------------------------------------------------------------------------------------


def _kill_at(server: Served, number: int, pids: list[int]) -> None:
    """Kill a process when its request of this number arrives; the request is still answered."""
    left = [number]

    def watch(_: Seen) -> None:
        left[0] -= 1
        if left[0] == 0:
            while not pids:
                time.sleep(0.001)
            os.kill(pids[0], signal.SIGKILL)

    server.watch = watch


def test_a_killed_push_leaves_no_store(made: Path, server: Served, forks: Forks) -> None:
    expected = tree(made / "a.zarr")
    assert forks.run("push", made / "a.zarr", S3).status == 0
    requests = len(server.seen)
    assert requests > 40
    moments = sorted({*random.sample(range(1, requests + 1), 5), requests - 2, requests})
    for number in moments:
        shutil.rmtree(server.root / "bucket")
        server.stated.clear()
        pids: list[int] = []
        _kill_at(server, number, pids)
        running = forks.start("push", made / "a.zarr", S3)
        pids.append(running.pid)
        assert forks.wait(running).status == -signal.SIGKILL, f"request {number}"
        time.sleep(0.02)  # what is on its way arrives
        server.watch = None
        there = tree(server.root / PLACE) if (server.root / PLACE).is_dir() else {}
        if "zarr.json" in there:
            assert there.keys() - {UNFINISHED_KEY} == expected.keys()
        else:
            with pytest.raises(StoreNotFoundError):
                skelstore.open(S3)
        server.seen.clear()
        done = forks.run("push", made / "a.zarr", S3)
        assert done.status == 0, (number, done)
        assert tree(server.root / PLACE) == expected, f"request {number}"
        assert not {*_put_keys(server)} & (there.keys() - {UNFINISHED_KEY, "zarr.json"}), f"request {number}"


def test_a_killed_pull_leaves_no_store(made: Path, server: Served, forks: Forks, tmp_path: Path) -> None:
    _push(made / "a.zarr")
    pieces = {"skelstore.publish.pulling._PIECE_BYTES": 40_000}
    target = tmp_path / "t.zarr"
    server.seen.clear()
    assert forks.run("pull", S3, target, settings=pieces).status == 0
    requests = len(server.seen)
    for number in sorted({*random.sample(range(3, requests + 1), 4), requests}):
        shutil.rmtree(target, ignore_errors=True)
        server.seen.clear()
        pids: list[int] = []
        _kill_at(server, number, pids)
        running = forks.start("pull", S3, target, settings=pieces)
        pids.append(running.pid)
        assert forks.wait(running).status == -signal.SIGKILL, f"request {number}"
        server.watch = None
        assert not target.exists()
        part = next((tmp_path / "t.zarr.partial" / "parts").glob("*"), None)
        kept = tree(part / "files") if part is not None else {}
        begun = tree(part / "incoming") if part is not None else {}
        server.seen.clear()
        done = forks.run("pull", S3, target, settings=pieces)
        assert done.status == 0, (number, done)
        assert tree(target) == tree(made / "a.zarr")
        assert not (tmp_path / "t.zarr.partial").exists()
        asked = [(seen.path, seen.headers.get("Range", "")) for seen in server.seen]
        for key in kept:
            assert not any(path.endswith(key) for path, _ in asked), f"{key} was fetched again"
        for name, data in begun.items():
            key = unquote(name)
            first = [ranges for path, ranges in asked if path.endswith(key)][:1]
            assert not first or first[0].startswith(f"bytes={len(data)}-"), f"{key} was fetched from its beginning"


def test_an_interrupted_pull_says_how_to_continue(made: Path, server: Served, tmp_path: Path) -> None:
    _push(made / "a.zarr")
    source = RemoteStore(parse_url(S3))
    server.faults.append(Fault(r"videos\.arrow", "500", 99))
    with pytest.raises(RemoteError) as caught:
        pull(source, tmp_path / "t.zarr")
    assert caught.value.__notes__ == [
        f"{tmp_path}/t.zarr.partial keeps what was fetched: run the same command again to continue"
    ]
    server.faults.clear()
    pull(source, tmp_path / "t.zarr")
    assert tree(tmp_path / "t.zarr") == tree(made / "a.zarr")


@pytest.mark.parametrize(
    ("command", "pattern"),
    [("push", "PUT .*keypoint/c"), ("pull", "GET .*keypoint/c"), ("info", "GET "), ("push", "HEAD .*keypoint/c")],
)
def test_an_interrupt_waits_for_no_server(
    made: Path, server: Served, forks: Forks, tmp_path: Path, command: str, pattern: str
) -> None:
    """The server answers none of some requests while the process lives, which would wait for 30 seconds each."""
    if command != "push":
        _push(made / "a.zarr")
    server.seen.clear()
    stalled, going = threading.Semaphore(0), threading.Event()

    def stall(seen: Seen) -> None:
        if re.match(pattern, f"{seen.method} {seen.path}"):
            stalled.release()
            going.wait(60)

    server.watch = stall
    store = [made / "a.zarr", S3] if command == "push" else [S3, tmp_path / "t.zarr"]
    arguments = [command, *(store[:1] if command == "info" else store)]
    program = [sys.executable, "-m", "converters.cli", *map(str, arguments)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(2):
                assert stalled.acquire(timeout=30)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=15)
        finally:
            going.set()
            process.kill()
    assert process.returncode == 130
    assert err.lstrip().startswith("interrupted")
    if command == "pull":
        assert "keeps what was fetched: run the same command again to continue" in err
    server.watch = None
    assert forks.run(*arguments).status == 0
    assert tree(server.root / PLACE) == tree(made / "a.zarr")
    if command == "pull":
        assert tree(tmp_path / "t.zarr") == tree(made / "a.zarr")


# --- at the same time ---------------------------------------------------------------------------------------


def _slow(server: Served, most: float = 0.01) -> None:
    server.watch = lambda _: time.sleep(random.uniform(0, most))


def test_two_pushes_of_the_same_store(made: Path, server: Served, forks: Forks) -> None:
    _slow(server)
    both = [forks.start("push", made / "a.zarr", S3) for _ in range(2)]
    for running in both:
        done = forks.wait(running)
        assert done.status == 0, done
    assert tree(server.root / PLACE) == tree(made / "a.zarr")


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_two_pushes_of_different_stores(made: Path, server: Served, forks: Forks, options: list[str]) -> None:
    """One wins and the other ends with an error, or is replaced; in the end there is one store, whole."""
    stores = [made / "a.zarr", made / "b.zarr"]
    for _ in range(2):
        shutil.rmtree(server.root / "bucket", ignore_errors=True)
        server.stated.clear()
        _slow(server)
        done = [forks.wait(one) for one in [forks.start("push", store, S3, *options) for store in stores]]
        server.watch = None
        assert 0 in [one.status for one in done], done
        for one in done:
            assert one.status == 0 or "another" in one.err, one
        assert tree(server.root / PLACE) in [tree(store) for store in stores]


def test_readers_of_a_store_that_is_replaced(made: Path, server: Served, forks: Forks) -> None:
    """They see the old store, an error, or the new one."""
    old, new = (list(skelstore.open(made / name)) for name in ("a.zarr", "b.zarr"))
    _push(made / "a.zarr")
    early = skelstore.open(S3, cache=None)
    assert_exact(early[0], old[0])
    server.seen.clear()
    _slow(server, 0.03)
    running = forks.start("push", made / "b.zarr", S3, "--force")
    outcomes = set()
    end = time.monotonic() + 20
    while "new" not in outcomes and time.monotonic() < end:
        try:
            read: list[Any] = list(skelstore.open(S3, cache=None))
        except SkelstoreError as error:
            outcomes.add(type(error).__name__)
            continue
        which = "old" if read[0]["keypoint"].tobytes() == old[0]["keypoint"].tobytes() else "new"
        assert_exact(read, old if which == "old" else new)
        outcomes.add(which)
    done = forks.wait(running)
    assert done.status == 0, done
    server.watch = None
    assert "new" in outcomes
    assert outcomes <= {"old", "new", "StoreNotFoundError", "StoreReplacedError"}
    written = [
        (seen.method, seen.path.rpartition("s.zarr/")[2]) for seen in server.seen if seen.method in ("PUT", "DELETE")
    ]
    shards = [place for place, (method, key) in enumerate(written) if method == "PUT" and "/c." in key]
    assert written.index(("DELETE", "zarr.json")) < shards[0] < shards[-1] < written.index(("PUT", "zarr.json"))
    with pytest.raises(StoreReplacedError, match="was replaced"):
        early[11]


def test_force_removes_what_the_new_store_does_not_have(made: Path, server: Served) -> None:
    _push(made / "a.zarr")
    server.seen.clear()
    _push(made / "few.zarr", force=True)
    assert tree(server.root / PLACE) == tree(made / "few.zarr")
    changes = [(seen.method, seen.path.rpartition("/")[2]) for seen in server.seen if seen.method in ("PUT", "DELETE")]
    assert changes[:2] == [("PUT", UNFINISHED_KEY), ("DELETE", "zarr.json")]
    assert _push(made / "few.zarr", force=True) == 0


def test_an_unfinished_push_of_another_store(made: Path, server: Served) -> None:
    server.faults.append(Fault("videos.arrow", "403", 99, method="PUT"))
    with pytest.raises(RemoteAccessError):
        _push(made / "a.zarr")
    server.faults.clear()
    with pytest.raises(StoreExistsError, match=r"another store is being pushed to .* or that was ended"):
        _push(made / "few.zarr")
    _push(made / "few.zarr", force=True)
    assert tree(server.root / PLACE) == tree(made / "few.zarr")
    assert_exact(list(skelstore.open(S3)), list(skelstore.open(made / "few.zarr")))


def test_what_an_unfinished_push_has_left_is_removed_by_a_later_one(made: Path, server: Served) -> None:
    """Though the push that takes over is ended, too, before it has removed anything."""
    server.faults.append(Fault("videos.arrow", "403", 99, method="PUT"))
    with pytest.raises(RemoteAccessError):
        _push(made / "a.zarr")
    server.faults[:] = [Fault("", "403", 99, method="DELETE")]
    with pytest.raises(RemoteAccessError):
        _push(made / "few.zarr", force=True)
    assert tree(server.root / PLACE).keys() - tree(made / "few.zarr").keys() - {UNFINISHED_KEY}
    server.faults.clear()
    _push(made / "few.zarr")
    assert tree(server.root / PLACE) == tree(made / "few.zarr")


def test_a_store_that_is_complete_before_the_claim_is_not_touched(made: Path, server: Served) -> None:
    """Another push ends after the first look at the root."""
    expected = tree(made / "a.zarr")

    def arrive(seen: Seen) -> None:
        if seen.method == "PUT":
            server.watch = None
            shutil.copytree(made / "a.zarr", server.root / PLACE)

    server.watch = arrive
    with pytest.raises(StoreExistsError, match=r"another store was pushed to .* meanwhile"):
        _push(made / "b.zarr")
    assert tree(server.root / PLACE) == expected


def test_a_bucket_that_does_not_exist(made: Path, server: Served) -> None:
    server.faults.append(Fault("unfinished", "404", 1, method="PUT"))
    with pytest.raises(StoreNotFoundError, match="s3://bucket does not exist: create it, or check the name"):
        _push(made / "a.zarr")


@pytest.mark.parametrize("url", ["s3://b/x#y", "s3://b/x?y", "gs://b/x?", "az://b/x#y", "hf://datasets/a/b/c#y"])
def test_nothing_after_a_path_is_left_out(url: str) -> None:
    with pytest.raises(StoreError, match=r"is followed by \? or #"):
        parse_url(url)


# --- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "lost", "503"])
@pytest.mark.parametrize("key", ["/zarr.json", "keypoint/c", "unfinished"])
def test_a_fault_that_passes_is_survived(made: Path, server: Served, kind: str, key: str) -> None:
    server.faults.append(Fault(f"s.zarr/.*{key}".replace("/.*/", "/"), kind, 2, method="PUT"))
    done: list[int] = []
    _push(made / "a.zarr", advance=done.append)
    assert server.faults[0].times == 0
    assert sum(done) == LocalStore(made / "a.zarr").copy.size
    assert tree(server.root / PLACE) == tree(made / "a.zarr")


def test_a_fault_that_stays_is_one_sentence(made: Path, server: Served) -> None:
    for kind, error, found in (
        ("reset", RemoteError, "cannot be written after 5 attempts: the connection broke off"),
        ("403", RemoteAccessError, r"answered 403 \(Told\): access is refused"),
        ("400", RemoteError, r"answered 400 \(Told\); expected to be allowed to PUT"),
    ):
        server.faults[:] = [Fault("keypoint/c.0", kind, 99, method="PUT")]
        with pytest.raises(error, match=f"{S3}/keypoint/c.0.0.0.*{found}") as caught:
            _push(made / "a.zarr")
        assert "hidden" not in str(caught.value)
        with pytest.raises(StoreNotFoundError):
            skelstore.open(S3)
    server.faults.clear()
    _push(made / "a.zarr")
    assert tree(server.root / PLACE) == tree(made / "a.zarr")


def test_what_arrives_is_checked(made: Path, server: Served) -> None:
    """A service that stores other bytes is found out before there is a root; repeating mends it."""
    server.faults.append(Fault("keypoint/c.0", "spoil", 1, method="PUT"))
    url = "gs://bucket/data/s.zarr"
    with pytest.raises(RemoteError, match=f"{url}/keypoint/c.0.0.0: after it was sent, .* was found there; expected"):
        _push(made / "a.zarr", url)
    with pytest.raises(StoreNotFoundError):
        skelstore.open(url)
    _push(made / "a.zarr", url)
    assert tree(server.root / PLACE) == tree(made / "a.zarr")


def test_a_damaged_store_is_not_published(made: Path, server: Served, tmp_path: Path) -> None:
    shutil.copytree(made / "a.zarr", tmp_path / "a.zarr")
    shard = tmp_path / "a.zarr" / "keypoint" / "c.1.0.0"
    whole = shard.read_bytes()
    for data in (whole[:-1] + b"?", whole[:-5], whole + b"?"):
        shard.write_bytes(data)
        with pytest.raises(DamageError, match=r"keypoint/c\.1\.0\.0"):
            _push(tmp_path / "a.zarr")
    shard.unlink()
    with pytest.raises(DamageError, match=r"keypoint/c\.1\.0\.0"):
        _push(tmp_path / "a.zarr")
    assert not (server.root / PLACE / "zarr.json").exists()


def test_what_is_no_store_is_not_replaced(made: Path, server: Served) -> None:
    (server.root / PLACE).mkdir(parents=True)
    for name, text in (("zarr.json", "{}"), ("manifest.json", '{"name": "app"}')):
        (server.root / PLACE / name).write_text(text)
        with pytest.raises(StoreExistsError, match=f"{S3}/{name} exists and is not that of a store"):
            _push(made / "a.zarr", force=True)
        assert (server.root / PLACE / name).read_text() == text
        (server.root / PLACE / name).unlink()


# --- pulling ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flip", "truncate", "reset", "whole", "503", "endless"])
def test_a_pull_survives_faults(
    made: Path, server: Served, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "_PIECE_BYTES", 40_000)
    _push(made / "a.zarr")
    done: list[int] = []
    source = RemoteStore(parse_url(S3))
    server.faults.append(Fault("keypoint/c.1", kind, 1))
    pull(source, tmp_path / "t.zarr", advance=done.append)
    assert server.faults[0].times == 0
    assert tree(tmp_path / "t.zarr") == tree(made / "a.zarr")
    assert sum(done) == source.copy.size


def test_a_pull_from_a_server_without_ranges(made: Path, server: Served, tmp_path: Path) -> None:
    _push(made / "a.zarr")
    server.ranges = False
    pull(RemoteStore(parse_url(f"{server.url}/{PLACE}")), tmp_path / "t.zarr")
    assert not filecmp.dircmp(tmp_path / "t.zarr", made / "a.zarr").diff_files
    assert tree(tmp_path / "t.zarr") == tree(made / "a.zarr")


def test_a_pull_of_a_damaged_or_replaced_store(made: Path, server: Served, tmp_path: Path) -> None:
    _push(made / "a.zarr")
    shard = server.root / PLACE / "keypoint" / "c.1.0.0"
    whole = shard.read_bytes()
    source = RemoteStore(parse_url(S3))
    for data in (whole[:-1] + b"?", whole[:-5], whole + b"?"):
        shard.write_bytes(data)
        with pytest.raises(DamageError, match=rf"{S3}/keypoint/c\.1\.0\.0 is damaged"):
            pull(source, tmp_path / "t.zarr")
    shard.unlink()
    with pytest.raises(DamageError, match=rf"{S3}/keypoint/c\.1\.0\.0 does not exist"):
        pull(source, tmp_path / "t.zarr")
    shutil.rmtree(server.root / "bucket")
    server.stated.clear()
    _push(made / "b.zarr")
    with pytest.raises(StoreReplacedError, match=f"{S3} was replaced while it was fetched"):
        pull(source, tmp_path / "t.zarr")
    assert not (tmp_path / "t.zarr").exists()
    assert not (tmp_path / "t.zarr.partial").exists()
    pull(RemoteStore(parse_url(S3)), tmp_path / "t.zarr")
    with pytest.raises(StoreExistsError, match="exists: choose another destination"):
        pull(RemoteStore(parse_url(S3)), tmp_path / "t.zarr")
    pull(RemoteStore(parse_url(S3)), tmp_path / "t.zarr", force=True)
    assert tree(tmp_path / "t.zarr") == tree(made / "b.zarr")


def test_a_store_whose_root_and_manifest_do_not_match(made: Path, server: Served) -> None:
    _push(made / "a.zarr")
    shutil.copyfile(made / "b.zarr" / "manifest.json", server.root / PLACE / "manifest.json")
    with pytest.raises(DamageError, match=r"manifest\.json is missing or not the one that zarr\.json names"):
        RemoteStore(parse_url(S3))


_BELOW = ["../x", "/x", "a/../../x", "a//b", "a/.", ".", "a/b/c", "k"]


@pytest.mark.parametrize("key", [*_BELOW, "zarr.json", "manifest.json", "a\\b", "a\nb", "a b", "a" * 256])
def test_files_that_no_store_has_are_not_written(key: str) -> None:
    files = {key: FileEntry(1, 0), "k/c.0": FileEntry(1, 0)}
    with pytest.raises(StoreError, match=r"which no store has|cannot be the name of a file"):
        StoreCopy.of(b"", Manifest(files, {}).to_bytes(), "s3://b/s")


def test_files_without_bytes_are_not_written() -> None:
    with pytest.raises(StoreError, match=r"'k/c\.0' has no bytes"):
        StoreCopy.of(b"", Manifest({"k/c.0": FileEntry(0, 0)}, {}).to_bytes(), "s3://b/s")


# --- bodies -------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    st.integers(0, 5000),
    st.lists(st.one_of(st.integers(0, 3000), st.tuples(st.integers(0, 5000), st.sampled_from([0, 1, 2])))),
    st.booleans(),
)
def test_a_body_reads_as_a_file(
    tmp_path_factory: pytest.TempPathFactory, size: int, steps: list[Any], on_disk: bool
) -> None:
    """The reference is io.BytesIO over the same bytes; a seek beyond the ends stops there."""
    data = random.Random(size).randbytes(size)
    path = tmp_path_factory.getbasetemp() / "body"
    path.write_bytes(data)
    content = Content(path, size, None) if on_disk else Content.of_bytes(data)
    start, stop = size // 5, size - size // 7
    body, reference = content.body(start, stop), io.BytesIO(data[start:stop])
    assert len(body) == stop - start
    for step in steps:
        if isinstance(step, int):
            expected = reference.read(step)
            read = b""
            while len(read) < len(expected):
                more = body.read(step - len(read))
                assert more
                read += more
            assert read == expected
        else:
            offset = -step[0] if step[1] == 2 else step[0]
            place = min(max({0: 0, 1: reference.tell(), 2: stop - start}[step[1]] + offset, 0), stop - start)
            reference.seek(place)
            assert body.seek(offset, step[1]) == place
        assert body.tell() == reference.tell()


def test_the_claim_names_the_store_and_its_files(made: Path, server: Served) -> None:
    server.faults.append(Fault("videos.arrow", "403", 99, method="PUT"))
    with pytest.raises(RemoteAccessError):
        _push(made / "a.zarr")
    claim = json.loads((server.root / PLACE / UNFINISHED_KEY).read_bytes())
    copy = LocalStore(made / "a.zarr").copy
    assert claim == {"store": copy.identity, "files": sorted(copy.files)}
