"""Stores on real servers: moto's S3, nginx, and Python's http.server, which knows no ranges."""

from __future__ import annotations

import functools
import http.server
import multiprocessing
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skelstore
from converters.samples.pickles import ntu_like
from skelstore.errors import RemoteError, StoreExistsError, StoreNotFoundError
from skelstore.read.verification import verify
from tests.support.exact import assert_exact
from tests.support.servers import free_port, running

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

import urllib3

from skelstore.publish.files import LocalStore, RemoteStore
from skelstore.publish.pulling import pull
from skelstore.publish.pushing import push
from skelstore.remote import s3 as s3_module
from skelstore.remote.connections import close_connections
from skelstore.remote.downloads import download
from skelstore.remote.url import parse_url


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with skelstore.Writer(folder / "s.zarr") as writer:
        for annotation in ntu_like(12)["annotations"]:
            writer.add(annotation)
    folder.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    yield
    close_connections()


def _check(url: str, made: Path) -> None:
    local = list(skelstore.open(made / "s.zarr"))
    store = skelstore.open(url)
    assert_exact(store.read([3, 1]), [local[3], local[1]])
    assert_exact(list(store), local)
    assert verify(url, level="decode") == []
    file = download(parse_url(f"{url}/videos.arrow"))
    assert Path(file).read_bytes() == (made / "s.zarr/videos.arrow").read_bytes()
    assert not download(parse_url(f"{url}/videos.arrow")).downloaded
    with pytest.raises((StoreNotFoundError, RemoteError), match="nothing"):
        skelstore.open(url.replace("s.zarr", "nothing.zarr"))


def test_s3(made: Path, s3: str) -> None:
    with urllib3.PoolManager() as pool:
        for path in (made / "s.zarr").rglob("*"):
            if path.is_file():
                key = path.relative_to(made).as_posix()
                assert pool.request("PUT", f"{s3}/bucket/a b/{key}", body=path.read_bytes()).status == 200
    _check("s3://bucket/a b/s.zarr", made)
    store = skelstore.open("s3://bucket/a b/s.zarr", cache=None)
    store[0]
    context: Any = multiprocessing.get_context("fork")
    with context.Pool(2) as workers:
        assert_exact(workers.map(store.__getitem__, range(12)), list(skelstore.open(made / "s.zarr")))


@pytest.mark.parametrize("part_bytes", [1 << 26, 20_000])
def test_push_and_pull_on_s3(
    made: Path, s3: str, tmp_path: Path, part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files in one request, and in parts; S3's own checksums are those of the manifest."""
    monkeypatch.setattr(s3_module, "PART_BYTES", part_bytes)
    url = parse_url("s3://bucket/a b/s.zarr")
    local = LocalStore(made / "s.zarr")
    done: list[int] = []
    assert push(local, url, advance=done.append) == len(local.copy.files) + 1
    assert sum(done) == local.copy.size
    _check(str(url), made)
    assert push(local, url) == 0
    with urllib3.PoolManager() as pool:
        listed = pool.request("GET", f"{s3}/bucket?list-type=2").data.decode()
        assert {*re.findall(r"<Key>a b/s.zarr/([^<]+)</Key>", listed)} == {*local.copy.files, "zarr.json"}
        assert b"<UploadId>" not in pool.request("GET", f"{s3}/bucket?uploads").data
    pull(RemoteStore(url), tmp_path / "t.zarr")
    for key in [*local.copy.files, "zarr.json"]:
        assert (tmp_path / "t.zarr" / key).read_bytes() == (made / "s.zarr" / key).read_bytes()
    with skelstore.Writer(tmp_path / "other.zarr") as writer:
        writer.add(ntu_like(1)["annotations"][0])
    with pytest.raises(StoreExistsError, match="another store is at"):
        push(LocalStore(tmp_path / "other.zarr"), url)
    push(LocalStore(tmp_path / "other.zarr"), url, force=True)
    assert len(skelstore.open(str(url))) == 1


def test_a_part_that_fails_leaves_no_upload(made: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "PART_BYTES", 20_000)
    url = parse_url("s3://bucket/s.zarr")
    local = LocalStore(made / "s.zarr")

    def interrupt(amount: int) -> None:
        if amount > 8000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(local, url, advance=interrupt)
    with urllib3.PoolManager() as pool:
        assert b"<UploadId>" not in pool.request("GET", f"{s3}/bucket?uploads").data
    push(local, url)
    _check(str(url), made)


def test_nginx(made: Path, tmp_path: Path) -> None:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; {paths} server {{ listen 127.0.0.1:{port}; root {made}; }} }}"
    )
    with running([program, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "log")], port) as url:
        _check(f"{url}/s.zarr", made)


def test_a_server_of_python(made: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(made)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        _check(f"http://127.0.0.1:{server.server_port}/s.zarr", made)
    finally:
        close_connections()
        server.shutdown()
        server.server_close()
        thread.join()
