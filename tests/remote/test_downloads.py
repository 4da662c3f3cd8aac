"""Files that are downloaded whole into the cache: faults, kills and changes end in the right bytes or in an error."""

from __future__ import annotations

import errno
import functools
import gzip
import hashlib
import http.server
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelstore.errors import RemoteBusyError, RemoteError, SourceError
from skelstore.remote import cache as cache_module
from skelstore.remote.cache import RECORD, Cache, CachedFile
from skelstore.remote.pages import describe_page
from skelstore.remote.url import Url, parse_url

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from benchmarks.delays import delayed
from skelstore.remote import connections, downloads, incoming, locks, retries
from skelstore.remote.downloads import download
from skelstore.remote.services import service_of
from tests.support.http_server import Fault, Seen, Served, serving

PIECE = 2000
DATA = random.Random(7).randbytes(12_345)
PIECES = 7
SHA = hashlib.sha256(DATA).hexdigest()
NAME = "ntu60.pkl"
SECRETS = "?token=hidden"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(downloads, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(incoming.Incoming, "piece_bytes", PIECE)
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path, cache: Path) -> Iterator[Served]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(DATA)
    with serving(tmp_path / "served") as served:
        yield served


def _url(server: Served, name: str = NAME) -> Url:
    return parse_url(f"{server.url.replace('//', '//me:hidden@')}/{name}{SECRETS}")


def _pieces(server: Served) -> list[int]:
    """The offsets of the pieces that were requested."""
    ranges = [re.fullmatch(r"bytes=(\d+)-(\d+)", seen.headers.get("Range", "")) for seen in server.seen]
    return [int(found[1]) for found in ranges if found and int(found[2]) - int(found[1]) < PIECE]


def _fail_after(server: Served, requests: int, *kinds: str) -> None:
    """Let requests fail in these ways, the last one for ever, after some have been answered."""
    begun = len(server.seen)
    server.faults[:] = [Fault(NAME, kind, 99 if kind == kinds[-1] else 1) for kind in kinds]
    answer = server.fault_of
    server.fault_of = lambda *request: answer(*request) if len(server.seen) > begun + requests else None  # type: ignore[method-assign]


def _files(cache: Path, name: str = "*") -> list[Path]:
    return [path for path in cache.glob(f"v1/sources/*/*/{name}") if path.is_file()]


# --- what is right


def test_a_file_is_fetched_by_ranges_and_once(server: Served, cache: Path) -> None:
    told: list[tuple[int, int]] = []
    file = download(_url(server), report=lambda done, total: told.append((done, total)))
    assert Path(file).read_bytes() == DATA
    assert (file.path.name, file.size, file.sha256, file.downloaded) == (NAME, len(DATA), SHA, True)
    assert sorted(_pieces(server)) == list(range(0, len(DATA), PIECE))
    assert told == sorted(told)
    assert told[-1] == (len(DATA), len(DATA))
    assert all(seen.path == f"/{NAME}{SECRETS}" and "Authorization" in seen.headers for seen in server.seen)
    server.seen.clear()
    again = download(_url(server), sha256=SHA.upper())
    assert (again.path, again.downloaded) == (file.path, False)
    assert server.seen == [], "the checksum tells that it is the file"
    again = download(_url(server))
    assert (again.path, again.downloaded) == (file.path, False)
    assert len(server.seen) == 1
    for path in _files(cache, ".*"):
        assert b"hidden" not in path.read_bytes(), "credentials are kept nowhere"
    assert b"hidden" not in pickle.dumps(file), "it goes to workers by a file"
    assert not _files(cache, ".p*")


@pytest.mark.parametrize("kind", ["reset", "truncate", "429", "500", "503", "whole", "shift", "404", "gzip"])
def test_a_fault_at_a_piece(server: Served, kind: str) -> None:
    """Those that pass are survived; those that do not are an error, and the next run goes on."""
    _fail_after(server, 4, kind)
    server.faults[0].times = 1
    if kind in ("shift", "404", "gzip"):
        with pytest.raises((RemoteError, SourceError)):
            download(_url(server))
    assert Path(download(_url(server))).read_bytes() == DATA
    assert server.faults[0].times == 0


def test_a_download_that_broke_off_goes_on(server: Served, cache: Path) -> None:
    _fail_after(server, 6, "503")
    with pytest.raises(RemoteBusyError, match=f"^{server.url}/{NAME}: the server answered 503") as caught:
        download(_url(server))
    assert "hidden" not in str(caught.value)
    assert caught.value.__notes__ == ["what has arrived is kept: run the same command again to continue from it"]
    (partial,) = _files(cache, ".partial")
    there = partial.stat().st_size
    assert 0 < there < len(DATA)
    server.faults.clear()
    server.seen.clear()
    told: list[tuple[int, int]] = []
    assert Path(download(_url(server), report=lambda *now: told.append(now))).read_bytes() == DATA
    assert min(_pieces(server)) == there
    assert len(_pieces(server)) == PIECES - there // PIECE
    assert told[0][0] >= there


SHARE = st.floats(0, 1)
DAMAGE = st.tuples(st.lists(st.tuples(SHARE, st.sampled_from([0, 1, 255])), max_size=2), SHARE | st.just(1.0))


def _damaged(content: bytes, changes: list[tuple[float, int]], kept: float, more: bytes) -> bytes:
    """The content with some bytes changed, cut to a share of it, with more bytes at the end."""
    changed = bytearray(content)
    for share, mask in changes:
        if changed:
            changed[int(share * (len(changed) - 1))] ^= mask
    return bytes(changed[: round(kept * len(changed))]) + more


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DAMAGE, DAMAGE, st.binary(max_size=9), st.binary(max_size=9))
def test_a_beginning_with_any_damage_gives_the_right_file(
    server: Served, cache: Path, of_bytes: Any, of_checksums: Any, more: bytes, more_checksums: bytes
) -> None:
    """As a power cut leaves it: bytes that are wrong, missing, or too many, in the beginning and in its checksums."""
    shutil.rmtree(cache, ignore_errors=True)
    _fail_after(server, 5, "404")
    with pytest.raises(SourceError):
        download(_url(server))
    server.faults.clear()
    (partial,), (checksums,) = _files(cache, ".partial"), _files(cache, ".pieces")
    partial.write_bytes(_damaged(partial.read_bytes(), *of_bytes, more))
    checksums.write_bytes(_damaged(checksums.read_bytes(), *of_checksums, more_checksums))
    assert Path(download(_url(server))).read_bytes() == DATA


def test_a_size_that_no_file_has_takes_no_memory(tmp_path: Path) -> None:
    """A server may state any size."""
    with incoming.Incoming(tmp_path) as beginning:
        assert not beginning.resume(10**18 - 1)


def test_a_request_that_is_stopped_is_not_tried_again(server: Served) -> None:
    server.faults.append(Fault(NAME, "reset", 99))
    seen: list[int] = []

    def stop_at_the_second(count: int) -> None:
        seen.append(count)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service_of(_url(server)).read_range("", 0, 10, lambda offset, piece: None, seen=stop_at_the_second)
    assert (len(server.seen), seen) == (1, [0, 0])


def test_an_empty_file_and_those_around_a_piece(server: Served, tmp_path: Path) -> None:
    for size in (0, 1, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE, 5 * PIECE):
        (tmp_path / "served" / f"{size}.pkl").write_bytes(DATA[:size])
        assert Path(download(_url(server, f"{size}.pkl"))).read_bytes() == DATA[:size]


# --- servers that know less


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("versions", [True, False])
def test_servers_that_know_less(server: Served, cache: Path, ranges: bool, versions: bool) -> None:
    """Without a version nobody knows whether a file is still the same, so only its checksum saves a download."""
    server.ranges, server.versions = ranges, versions
    server.faults.append(Fault(NAME, "truncate", 1))
    first = download(_url(server))
    assert Path(first).read_bytes() == DATA
    again = download(_url(server))
    assert again.downloaded is not versions
    assert again.path == first.path, "the same bytes are kept once"
    assert len(_files(cache, NAME)) == 1
    assert Path(first).read_bytes() == DATA
    server.seen.clear()
    assert not download(_url(server), sha256=SHA).downloaded
    assert server.seen == []


def test_a_beginning_that_cannot_go_on_takes_no_space(server: Served, cache: Path) -> None:
    server.ranges = False
    _fail_after(server, 1, "truncate")
    with pytest.raises(RemoteError, match="after 5 attempts"):
        download(_url(server))
    assert [path.stat().st_size for path in _files(cache, ".partial")] == [0]


def test_a_server_of_python(tmp_path: Path, cache: Path) -> None:
    """It knows no ranges, and would answer 304 to If-Modified-Since for a file that is older than the one before."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        statuses: list[int] = []  # noqa: RUF012

        def log_request(self, code: Any = "-", size: Any = "-") -> None:
            self.statuses.append(int(code))

    (tmp_path / NAME).write_bytes(DATA)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as python:
        thread = threading.Thread(target=python.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = parse_url(f"http://127.0.0.1:{python.server_port}/{NAME}")
        assert Path(download(url)).read_bytes() == DATA
        assert not download(url).downloaded
        assert Quiet.statuses == [200, 200, 200]
        (tmp_path / NAME).write_bytes(DATA[::-1])
        os.utime(tmp_path / NAME, (0, 0))
        assert Path(download(url)).read_bytes() == DATA[::-1]
        connections.close_connections()
        python.shutdown()
        thread.join()


# --- files that change


def test_a_file_that_changed_is_downloaded_anew(server: Served, tmp_path: Path) -> None:
    old = download(_url(server))
    (tmp_path / "served" / NAME).write_bytes(DATA[::-1])
    new = download(_url(server))
    assert new.downloaded
    assert (Path(old).read_bytes(), Path(new).read_bytes()) == (DATA, DATA[::-1])


def _change_after(server: Served, requests: int, times: int) -> None:
    """Replace the file after each so many requests."""
    seen = server.fault_of

    def change(*request: str) -> Fault | None:
        if len(server.seen) % requests == 0 and len(server.seen) // requests <= times:
            (server.root / NAME).write_bytes(DATA[len(server.seen) // requests :] + b"new")
        return seen(*request)

    server.fault_of = change  # type: ignore[method-assign]


def test_a_file_that_changes_meanwhile_is_never_a_mix(server: Served) -> None:
    _change_after(server, 5, 1)
    assert Path(download(_url(server))).read_bytes() == DATA[1:] + b"new"


def test_a_file_that_changes_again_and_again_is_an_error(server: Served) -> None:
    _change_after(server, 4, 99)
    with pytest.raises(RemoteError, match="changed again and again while it was downloaded"):
        download(_url(server))


def test_a_beginning_of_another_version_is_not_continued(server: Served, tmp_path: Path) -> None:
    test_a_download_that_broke_off_goes_on(server, tmp_path / "cache")
    (tmp_path / "served" / NAME).write_bytes(DATA[::-1])
    _fail_after(server, 5, "404")
    with pytest.raises(SourceError):
        download(_url(server))
    server.faults.clear()
    (tmp_path / "served" / NAME).write_bytes(DATA[:-1])
    assert Path(download(_url(server))).read_bytes() == DATA[:-1]


# --- checksums


def test_a_wrong_checksum_is_an_error_and_the_file_is_kept(server: Served) -> None:
    wrong = "0" * 64
    with pytest.raises(SourceError, match=f"^{server.url}/{NAME} has the SHA-256 {SHA}; expected {wrong}"):
        download(_url(server), sha256=wrong)
    server.seen.clear()
    assert not download(_url(server), sha256=SHA).downloaded, "it was the stated checksum that was wrong"
    with pytest.raises(SourceError, match="has the SHA-256"):
        download(_url(server), sha256=wrong)
    assert len(_pieces(server)) == PIECES, "it was fetched once more, since bytes may change on their way"
    assert any(seen.headers.get("Cache-Control") == "no-cache" for seen in server.seen)
    for text in ("12", "g" * 64, ""):
        with pytest.raises(SourceError, match="is not valid; expected 64 hexadecimal digits"):
            download(_url(server), sha256=text)


def test_damage_on_the_disk_is_found_by_the_checksum(server: Served) -> None:
    path = Path(download(_url(server)))
    times = path.stat()
    path.write_bytes(DATA[:-1] + b"?")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Path(download(_url(server), sha256=SHA)).read_bytes() == DATA
    path.write_bytes(b"changed, which its size and time tell")
    assert Path(download(_url(server))).read_bytes() == DATA


def test_damage_is_not_waited_for_while_another_process_reads_it(server: Served) -> None:
    held = download(_url(server))
    held.path.write_bytes(b"changed")
    assert Path(download(_url(server))).read_bytes() == DATA
    assert held.path.read_bytes() == b"changed", "what is read is left alone"


def test_a_beginning_that_does_not_fit_the_checksum_is_fetched_again(server: Served, cache: Path) -> None:
    """Its version says that it is the same file, but a proxy has sent something else."""
    _fail_after(server, 2, "flip", "404")
    with pytest.raises(SourceError):
        download(_url(server))
    server.faults.clear()
    assert Path(download(_url(server), sha256=SHA)).read_bytes() == DATA


# --- what is sent in place of a file

LOGIN = b"<!DOCTYPE html><html><head><title> Sign in to your\naccount </title></head><body></body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 1234567\n"


@pytest.mark.parametrize(
    ("content", "path", "found"),
    [
        (b"\n <HTML><body>hello", "/a.pkl", "is a web page, not a file: give the address that its download link has"),
        (LOGIN, "/a.pkl", r"is a web page \('Sign in to your account'\) that asks for a login, not a file: download"),
        (b'<!doctype html><form><input  type=password name="p">', "/a", "is a web page that asks for a login"),
        (b"<!doctype html><title>a &amp; \x1b[31m</title>", "/a", r"is a web page \('a & \\x1b\[31m'\), not"),
        (b"<html>", "/o/n/blob/main/a.pkl", "about a file: write /raw/ .* in place of /blob/"),
        (POINTER, "/a.pkl", "is a pointer of Git LFS to a file of 1,234,567 bytes, not the file: give"),
        (b"\xef\xbb\xbf<!DOCTYPE HTML>" + b"<title" * 9000, "/a", "is a web page, not a file"),
    ],
)
def test_what_is_no_file_is_named(server: Served, tmp_path: Path, content: bytes, path: str, found: str) -> None:
    place = tmp_path / "served" / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    with pytest.raises(SourceError, match=found) as caught:
        download(_url(server, path.lstrip("/")))
    assert "\n" not in str(caught.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("content", "error", "found"),
    [
        (
            gzip.compress(LOGIN, mtime=0),
            SourceError,
            r"is a web page \('Sign in to your account'\) that asks for a login",
        ),
        (DATA, RemoteError, r"the server sends it compressed \(gzip\), so its bytes cannot be addressed: turn"),
    ],
    ids=["page", "data"],
)
def test_what_is_compressed_on_the_way(server: Served, content: bytes, error: type[Exception], found: str) -> None:
    """A page that is compressed, although that was not asked for, is still named as one."""
    (server.root / NAME).write_bytes(content)
    server.faults.append(Fault(NAME, "gzip", 1))
    with pytest.raises(error, match=found):
        download(_url(server))


@pytest.mark.parametrize("content", [b"\x80\x04}.", b"path,label\n<html>,1\n", b"[1]", b"", b"<?xml version='1.0'?>"])
@pytest.mark.parametrize("kind", ["", "application/octet-stream", "text/plain"])
def test_data_is_no_page(content: bytes, kind: str) -> None:
    assert describe_page(content, kind, "/a.pkl") is None


def test_a_page_is_known_by_its_type_only_if_it_begins_as_one() -> None:
    assert describe_page(b"<!-- x --><p>no file</p>", "text/html; charset=utf-8", "/a.pkl")
    assert describe_page(b"\x80\x04}.", "text/html", "/a.pkl") is None


def test_a_file_that_does_not_exist_or_may_not_be_read(server: Served) -> None:
    with pytest.raises(SourceError, match=f"^{server.url}/no.pkl does not exist: the server answered 404"):
        download(_url(server, "no.pkl"))
    server.faults.append(Fault(NAME, "403", 1))
    with pytest.raises(RemoteError, match="access is refused"):
        download(_url(server))


def test_a_server_that_has_gone_and_a_copy(server: Served) -> None:
    download(_url(server))
    server.faults.append(Fault(NAME, "reset", 99))
    with pytest.raises(RemoteError) as caught:
        download(_url(server))
    assert f"give --sha256 {SHA} to use it" in caught.value.__notes__[0]
    assert Path(download(_url(server), sha256=SHA)).read_bytes() == DATA


# --- names


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=300))
def test_any_name_is_one_of_a_visible_file_in_the_folder(text: str) -> None:
    name = incoming.safe_name(Url("s3", "bucket", f"/a/{text}"))
    assert 0 < len(name.encode()) <= 200
    assert not name.startswith(".")
    assert Path(name).name == name
    assert name.isprintable()


# --- disks


def test_a_full_disk_is_an_error_and_the_next_run_goes_on(
    server: Served, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.pwrite, 3 * PIECE

    def write(fd: int, data: Any, offset: int) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(fd, bytes(data)[:left], offset)
        left -= done
        return done

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(RemoteError, match=rf"the cache {cache} cannot be used: No space left on device; set"):
        download(_url(server))
    monkeypatch.setattr(os, "pwrite", real)
    server.seen.clear()
    assert Path(download(_url(server))).read_bytes() == DATA
    assert len(_pieces(server)) < PIECES


def test_too_little_space_is_said_before_the_download(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage("/")._replace(free=len(DATA) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(RemoteError, match=r"has 12,345 bytes, but the cache .* is on a disk with 12,344 free bytes"):
        download(_url(server))
    assert _pieces(server) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_that_is_really_full(server: Served, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12k", "none", str(cache)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: os.statvfs_result and _Plenty())
        with pytest.raises(RemoteError, match="No space left on device"):
            download(_url(server))
    finally:
        subprocess.run(["umount", str(cache)], check=True)


class _Plenty:
    free = 1 << 40


def test_a_cache_that_cannot_be_written(server: Served, cache: Path) -> None:
    cache.touch()
    with pytest.raises(RemoteError, match=f"the cache {cache} cannot be used: "):
        download(_url(server))


# --- evicting


def test_what_is_held_is_not_evicted(server: Served, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELSTORE_CACHE_SIZE", "1")
    monkeypatch.setattr(cache_module, "KEPT_SECONDS", 0)
    file: CachedFile | None = download(_url(server))
    assert file is not None
    path = file.path
    Cache(cache).evict()
    assert path.read_bytes() == DATA
    file = None
    Cache(cache).evict()
    assert not path.exists()
    assert Path(download(_url(server))).read_bytes() == DATA


def test_use_is_noted_beside_the_file(server: Served, cache: Path, tmp_path: Path) -> None:
    """The times of the file stay as they are, since a conversion that is resumed compares them."""
    (tmp_path / "served" / "b.pkl").write_bytes(DATA)
    first, second = (download(_url(server, name)).path for name in (NAME, "b.pkl"))
    for path, age in ((first, 5000), (second, 4000)):
        os.utime(path.with_name(RECORD), (time.time() - age,) * 2)
    os.utime(first, ns=(0, first.stat().st_mtime_ns))
    before = first.stat()
    assert not download(_url(server)).downloaded
    after = first.stat()
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
    assert first.with_name(RECORD).stat().st_mtime > time.time() - 60
    usage = Cache(cache).usage()
    assert (usage.sources, usage.shards, usage.tables) == (2, 0, 0)
    limit = Cache(cache, usage.size - 1)
    for path in (first, second):  # both were written just now, and only their records say when they were used
        times = path.stat()
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns - 10**13))
    limit.evict()
    assert first.exists()
    assert not second.exists()


# --- processes

CHILD = """
import hashlib, sys
from pathlib import Path
from skelstore.remote import incoming
from skelstore.remote.downloads import download
from skelstore.remote.url import parse_url
incoming.Incoming.piece_bytes = int(sys.argv[2])
file = download(parse_url(sys.argv[1]))
print(hashlib.sha256(Path(file).read_bytes()).hexdigest(), file.downloaded)
"""
LARGE = random.Random(8).randbytes(2_000_000)


@contextmanager
def _slow(server: Served) -> Iterator[str]:
    """The URL of a large file by a network of 4 MB/s."""
    (server.root / "large.pkl").write_bytes(LARGE)
    with delayed(server.port, 0.0, 4e6) as port:
        yield f"http://127.0.0.1:{port}/large.pkl"


def _start(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, url, "50000"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for(cache: Path, size: int) -> None:
    for _ in range(3000):
        if any(path.stat().st_size >= size for path in _files(cache, ".partial")):
            return
        time.sleep(0.01)
    raise AssertionError("no download began")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_killed_loses_only_what_was_on_its_way(server: Served, cache: Path, how: int) -> None:
    with _slow(server) as url:
        with _start(url) as killed:
            _wait_for(cache, 600_000)
            begun = time.monotonic()
            killed.send_signal(how)
            killed.communicate(timeout=60)
            assert time.monotonic() - begun < 20, "what is on its way is not waited for"
        (partial,) = _files(cache, ".partial")
        assert 600_000 <= partial.stat().st_size < len(LARGE)
        before = server.count("large")
        with _start(url) as process:
            out, _ = process.communicate(timeout=60)
    assert out.split() == [hashlib.sha256(LARGE).hexdigest(), "True"]
    pieces = len(LARGE) // 50_000
    # The first look, a piece whose checksum was not recorded, and what was on its way when it was counted.
    assert server.count("large") - before <= pieces - 600_000 // 50_000 + 2 + downloads.AT_ONCE
    assert server.count("large") <= pieces + 2 + downloads.AT_ONCE + 1


def test_an_interrupt_waits_for_no_server(server: Served, cache: Path) -> None:
    """From some byte on, the server answers nothing while the process lives."""
    (server.root / "large.pkl").write_bytes(LARGE)
    going = threading.Event()

    def stall(seen: Seen) -> None:
        if int(seen.headers["Range"].removeprefix("bytes=").partition("-")[0]) > 500_000:
            going.wait(60)

    server.watch = stall
    with _start(f"{server.url}/large.pkl") as interrupted:
        try:
            _wait_for(cache, 500_000)
            interrupted.send_signal(signal.SIGINT)
            _, err = interrupted.communicate(timeout=15)
        finally:
            going.set()
            interrupted.kill()
    assert "what has arrived is kept: run the same command again to continue from it" in err
    (partial,) = _files(cache, ".partial")
    assert partial.stat().st_size >= 500_000


def test_processes_that_need_the_same_file_download_it_once(server: Served, cache: Path) -> None:
    with _slow(server) as url:
        processes = [_start(url) for _ in range(3)]
        outs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert {out[0] for out in outs} == {hashlib.sha256(LARGE).hexdigest()}
    assert sorted(out[1] for out in outs) == ["False", "False", "True"]
    assert server.count("large") == len(LARGE) // 50_000 + 3


def test_a_process_goes_on_for_one_that_was_killed(server: Served, cache: Path) -> None:
    """It waits for the other, and finds its beginning."""
    with _slow(server) as url, _start(url) as killed:
        _wait_for(cache, 200_000)
        with _start(url) as waiting:
            _wait_for(cache, 800_000)
            killed.kill()
            killed.communicate(timeout=60)
            out, _ = waiting.communicate(timeout=60)
    assert out.split() == [hashlib.sha256(LARGE).hexdigest(), "True"]
    assert server.count("large") <= len(LARGE) // 50_000 + 2 + downloads.AT_ONCE + 1


def test_without_locks_each_process_has_a_file_of_its_own(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems that have none: two processes must not write the same beginning."""

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "fcntl", refuse)
    found: list[CachedFile] = []
    threads = [threading.Thread(target=lambda: found.append(download(_url(server)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Path(file).read_bytes() for file in found] == [DATA] * 3
    assert len({file.path for file in found}) == sum(file.downloaded for file in found)
    assert not download(_url(server)).downloaded


def test_a_file_is_never_there_without_its_record(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a process that comes at this moment would take it for damaged, and download it again."""
    looks: list[bool] = []
    replace = os.replace

    def look_and_replace(source: Path, target: Path) -> None:
        looks.append(incoming.is_damaged(target.parent, NAME))
        replace(source, target)
        looks.append(incoming.is_damaged(target.parent, NAME))

    monkeypatch.setattr("skelstore.remote.incoming.os.replace", look_and_replace)
    assert Path(download(_url(server))).read_bytes() == DATA
    assert looks == [False] * 4  # the record and the file


def test_threads_that_need_the_same_file_download_it_once(server: Served) -> None:
    found: list[CachedFile] = []
    threads = [threading.Thread(target=lambda: found.append(download(_url(server)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Path(file).read_bytes() for file in found] == [DATA] * 4
    assert len(_pieces(server)) == PIECES


# --- other services


def test_a_file_of_the_hub(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hidden")
    place = server.root / "datasets/o/n/resolve/main/a b"
    place.mkdir(parents=True)
    shutil.move(server.root / NAME, place / NAME)
    file = download(parse_url(f"hf://datasets/o/n/a b/{NAME}"))
    assert Path(file).read_bytes() == DATA
    assert server.seen[0].headers["Authorization"] == "Bearer hidden"
