"""Stores on real servers: moto's S3, nginx, and Python's http.server, which knows no ranges."""

from __future__ import annotations

import functools
import http.server
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import skelstore
from converters.samples.pickles import ntu_like
from skelstore.errors import RemoteError, StoreNotFoundError
from skelstore.read.verification import verify
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

import urllib3

from skelstore.remote.downloads import download
from skelstore.remote.transport import close_connections
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(400):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


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


def test_s3(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and the endpoint, which is http, come from the environment alone."""
    pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")
    pytest.importorskip("moto", reason="moto[server] is not installed")
    port = _free_port()
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port) as endpoint:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_SESSION_TOKEN": "c",
        }.items():
            monkeypatch.setenv(name, value)
        with urllib3.PoolManager() as pool:
            pool.request("PUT", f"{endpoint}/bucket")
            for path in (made / "s.zarr").rglob("*"):
                if path.is_file():
                    key = path.relative_to(made).as_posix()
                    assert pool.request("PUT", f"{endpoint}/bucket/a b/{key}", body=path.read_bytes()).status == 200
        _check("s3://bucket/a b/s.zarr", made)
        store = skelstore.open("s3://bucket/a b/s.zarr", cache=None)
        store[0]
        context: Any = multiprocessing.get_context("fork")
        with context.Pool(2) as workers:
            assert_exact(workers.map(store.__getitem__, range(12)), list(skelstore.open(made / "s.zarr")))


def test_nginx(made: Path, tmp_path: Path) -> None:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = _free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; {paths} server {{ listen 127.0.0.1:{port}; root {made}; }} }}"
    )
    with _running([program, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "log")], port) as url:
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
